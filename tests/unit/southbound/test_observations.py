"""What hypervisors say becomes rows: whole facts, sightings, silence."""

from __future__ import annotations

from dataclasses import replace

from controller.model.resources import Binding, Chassis, Interface, Port
from controller.southbound.chassis_facts import ChassisFact, InterfaceChanges, InterfaceFact
from controller.southbound.observations import observe
from controller.store.store import Store
from controller.testing.site import Site

FACT = ChassisFact("hv1", "one", "172.31.0.1", ("vxlan",), 7, (("vxlan", 65000),), (), "3.1.0",
                   (), ())


def seen(name: str, claim: str, ofport: int | None = 3) -> InterfaceFact:
    return InterfaceFact(name, ofport, claim, "", "")


def told(store: Store, *facts: ChassisFact) -> int:
    """The revision after these facts."""
    for fact in facts:
        store.transact(lambda draft, fact=fact: observe(fact, draft))  # type: ignore[misc]
    return store.revision


def interfaces(store: Store, chassis: str = "hv1") -> dict[str, tuple[str, int]]:
    return {row.name: (row.iface_id, row.ofport)
            for row in store.snapshot.where(Interface, "chassis", chassis)}


def test_the_same_fact_again_changes_nothing() -> None:
    store = Store()
    fact = replace(FACT, interfaces=(seen("tap0", "p"),))
    revision = told(store, fact)
    assert told(store, fact, replace(fact, changes=InterfaceChanges((), ()))) == revision


def test_what_a_first_fact_does_not_mention_is_gone() -> None:
    store = Store()
    told(store, replace(FACT, interfaces=(seen("tap0", "p"), seen("tap1", "q", 4))))
    told(store, replace(FACT, interfaces=(seen("tap1", "q", 4),)))
    assert interfaces(store) == {"tap1": ("q", 4)}


def test_later_facts_name_only_what_changed() -> None:
    store = Store()
    told(store, replace(FACT, interfaces=(seen("tap0", "p"), seen("tap1", "q", 4))))
    told(store, replace(FACT, changes=InterfaceChanges((seen("tap2", "r", 5),), ("tap0",))))
    assert interfaces(store) == {"tap1": ("q", 4), "tap2": ("r", 5)}


def test_a_switch_that_restarts_keeps_its_ports_and_numbers() -> None:
    store = Store()
    told(store, replace(FACT, interfaces=(seen("tap0", "p"),)))
    told(store, replace(FACT, datapath_id=None, tunnel_ofports=(),
                        interfaces=(seen("tap0", "p", None),)))
    assert interfaces(store) == {"tap0": ("p", 3)}
    row = store.snapshot.get(Chassis, "hv1")
    assert row is not None and (row.datapath_id, row.tunnel_ports) == (7, (("vxlan", 65000),))


def test_an_interface_that_cannot_be_opened_or_claims_nonsense_is_none() -> None:
    store = Store()
    told(store, replace(FACT, interfaces=(
        seen("tap0", "p", -1), seen("tap1", "x" * 1000), seen("tap2", "q", None))))
    assert interfaces(store) == {}


def test_a_number_that_no_port_can_have_is_none() -> None:
    site = Site()
    port = site.port(site.network("red"), "web", 5)
    huge = 1 << 40
    told(site.store, replace(FACT, tunnel_ofports=(("vxlan", huge), ("gre", 0xFF00)),
                             interfaces=(seen("tap0", port.id, huge), seen("tap1", "q", 0xFFFE))))
    row = site.store.snapshot.get(Chassis, "hv1")
    assert row is not None and row.tunnel_ports == ()
    assert interfaces(site.store) == {}


def test_two_interfaces_never_hold_one_number() -> None:
    store = Store()
    told(store, replace(FACT, interfaces=(seen("tap0", "p", 5), seen("tap1", "q", 6))))
    told(store, replace(FACT, interfaces=(seen("tap0", "p", None), seen("tap2", "r", 5),
                                          seen("tap1", "q", 6))))
    assert interfaces(store) == {"tap1": ("q", 6), "tap2": ("r", 5)}
    told(store, replace(FACT, changes=InterfaceChanges((seen("tap0", "p", 7),), ())))
    assert interfaces(store)["tap0"] == ("p", 7)
    told(store, replace(FACT, changes=InterfaceChanges(
        (seen("tap2", "r", 6), seen("tap1", "q", 5)), ())))
    assert interfaces(store) == {"tap0": ("p", 7), "tap1": ("q", 5), "tap2": ("r", 6)}


def test_a_chassis_that_was_forgotten_while_it_spoke_is_known_again_as_a_whole() -> None:
    site = Site()
    fact = replace(FACT, interfaces=(seen("tap0", "p"),))
    told(site.store, fact)
    row = site.store.snapshot.get(Chassis, "hv1")
    assert row is not None
    site.forget(row)
    told(site.store, replace(fact, changes=InterfaceChanges((), ())))
    assert interfaces(site.store) == {"tap0": ("p", 3)}


def test_the_newest_claim_holds_the_port_whatever_chassis_says_it() -> None:
    site = Site()
    port = site.port(site.network("red"), "web", 5)
    other = replace(FACT, system_id="hv2", datapath_id=8)
    claim = (seen("tap0", port.id),)
    told(site.store, replace(FACT, interfaces=claim), replace(other, interfaces=claim))
    assert holder(site, port) == "hv2"
    told(site.store, replace(FACT, interfaces=claim))
    assert holder(site, port) == "hv2", "an old sighting told again is not newer"
    told(site.store, replace(other, interfaces=()))
    assert holder(site, port) == "hv1"


def holder(site: Site, port: Port) -> str | None:
    binding = site.store.snapshot.get(Binding, port.id)
    return binding.chassis_id if binding is not None else None


def test_a_bad_address_is_a_problem_of_the_chassis() -> None:
    store = Store()
    told(store, replace(FACT, encap_ip="172.31.0.300"))
    row = store.snapshot.get(Chassis, "hv1")
    assert row is not None and row.encap_ip is None
    assert row.problems == ("tenet-encap-ip '172.31.0.300' is not an IPv4 address",)
