"""Golden rules: what each small scenario puts on each switch, as text.

`pytest tests/golden --update-golden` accepts a change; the diff of the text shows its effect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.pipeline.describe import golden_files, page
from controller.testing.fake_fabric import FakeFabric
from controller.testing.site import Site

Golden = Callable[[str, str], None]


def rendered(fabric: FakeFabric) -> str:
    """All switches, one after another."""
    return "\n".join(f"=== {name} ===\n{switch}"
                     for name, switch in sorted(fabric.switches.items()))


def one_port(site: Site) -> None:
    """One network, one port, one hypervisor."""
    site.plug(site.port(site.network("red"), "web", 11), site.chassis("hv1"))


def two_hypervisors(site: Site) -> None:
    """A network across two hypervisors, which share two overlay types."""
    red = site.network("red", "geneve")
    for host, (name, types) in enumerate((("hv1", ("vxlan", "geneve")),
                                          ("hv2", ("geneve", "vxlan"))), 11):
        site.plug(site.port(red, name, host), site.chassis(name, types=types))


def twin_tenants(site: Site) -> None:
    """Two tenants with the same MAC and IP on one hypervisor."""
    hypervisor = site.chassis("hv1")
    for name in ("red", "blue"):
        site.plug(site.port(site.network(name), "web", 11), hypervisor)


def no_port_security(site: Site) -> None:
    """A network where anybody may live."""
    lax = site.network("lax", secure=False)
    for host, name in enumerate(("web", "db"), 11):
        site.plug(site.port(lax, name, host, secure=False), site.chassis("hv1"))


def local_network(site: Site) -> None:
    """A network that stays on each hypervisor."""
    red = site.network("red", "local")
    for host, name in enumerate(("hv1", "hv2"), 11):
        site.plug(site.port(red, name, host), site.chassis(name))


SCENARIOS = (one_port, two_hypervisors, twin_tenants, no_port_security, local_network)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_rules_are_the_golden_ones(scenario: Callable[[Site], None], site: Site,
                                   fabric: FakeFabric, golden: Golden) -> None:
    scenario(site)
    golden(scenario.__name__, rendered(fabric))


def test_every_golden_file_belongs_to_a_scenario() -> None:
    assert set(golden_files()) == {scenario.__name__ for scenario in SCENARIOS}


def test_the_pipeline_page_is_up_to_date() -> None:
    path = Path(__file__).parents[2] / "docs" / "pipeline.md"
    assert path.exists() and path.read_text() == page(golden_files()), \
        "run: python -m controller.pipeline.describe > docs/pipeline.md"
