"""Metrics: counts of the fabric for `/metrics`, read when somebody asks.

Owns their names. Nothing is counted here: the numbers are those that the parts keep anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from controller.southbound.fabric import Fabric


class FabricCollector(Collector):
    """Gauges and counters of one fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    def collect(self) -> Iterator[Metric]:
        """All families at this moment."""
        fabric = self._fabric
        engine, switches = fabric.engine, fabric.status.connected.values()
        yield GaugeMetricFamily("tenet_revision", "Current revision of the store",
                                value=fabric.store.revision)
        yield GaugeMetricFamily("tenet_compiled_revision", "Revision that is compiled",
                                value=engine.revision)
        yield CounterMetricFamily("tenet_units_run", "Compile functions run",
                                  value=engine.units_run)
        yield CounterMetricFamily("tenet_desired_changes", "Changes of what chassis should hold",
                                  value=engine.linker.changes)
        yield GaugeMetricFamily("tenet_conflicts", "Places that two features want differently",
                                value=len(engine.linker.conflicts))
        yield GaugeMetricFamily("tenet_switches", "Connected switches", value=len(switches))
        rules = GaugeMetricFamily("tenet_switch_items", "Rules and groups that a switch holds",
                                  labels=["chassis"])
        refused = GaugeMetricFamily("tenet_switch_refused", "Items that a switch refuses",
                                    labels=["chassis"])
        sent = CounterMetricFamily("tenet_switch_sent", "Items put and deleted on this connection",
                                   labels=["chassis"])
        repaired = CounterMetricFamily("tenet_switch_repaired", "Items that others had changed",
                                       labels=["chassis"])
        for switch in switches:
            rules.add_metric([switch.chassis], len(switch.installed))
            refused.add_metric([switch.chassis], len(switch.refused))
            sent.add_metric([switch.chassis], switch.sent)
            repaired.add_metric([switch.chassis], switch.repaired)
        yield from (rules, refused, sent, repaired)
