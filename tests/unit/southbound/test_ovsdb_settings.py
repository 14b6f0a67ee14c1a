"""external_ids: what a hypervisor says when it joins, and what is said of what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.ovsdb.settings import Settings, read_settings

UUID = "00000000-0000-4000-8000-000000000001"
GOOD = {"system-id": "s1", "hostname": "hv1", "tenet-encap-ip": "172.31.0.1"}


def read(**changes: str | None) -> Settings:
    renamed = {key.replace("_", "-"): value for key, value in changes.items()}
    keys: dict[str, Any] = {**GOOD, **renamed}
    return read_settings(UUID, {
        "external_ids": {key: value for key, value in keys.items() if value is not None},
        "ovs_version": "3.1.0", "bridges": frozenset()})


def test_the_least_that_a_hypervisor_has_to_say() -> None:
    assert read() == Settings(
        system_id="s1", hostname="hv1", encap_ip="172.31.0.1", encap_types=("vxlan",),
        datapath_type="system", bridge_mappings=(), ovs_version="3.1.0", problems=())


def test_everything_that_it_may_say() -> None:
    settings = read(tenet_encap_type=" geneve, vxlan ,geneve", tenet_datapath_type="netdev",
                    tenet_bridge_mappings="public:br-ex, provider:br-p")
    assert settings.encap_types == ("geneve", "vxlan")
    assert settings.datapath_type == "netdev"
    assert settings.bridge_mappings == (("public", "br-ex"), ("provider", "br-p"))
    assert settings.problems == ()


@pytest.mark.parametrize(("changes", "field", "value", "problem"), [
    ({"system_id": None}, "system_id", UUID, "no usable system-id"),
    ({"system_id": "  "}, "system_id", UUID, "no usable system-id"),
    ({"system_id": "a\nb"}, "system_id", UUID, "is not a name"),
    ({"system_id": "x" * 300}, "system_id", UUID, "is not a name"),
    ({"hostname": "a\x1b[31mb"}, "hostname", "", "is not a name"),
    ({"tenet_encap_ip": None}, "encap_types", (), "no tenet-encap-ip"),
    ({"tenet_encap_ip": "here"}, "encap_ip", "", "not an IPv4 address"),
    ({"tenet_encap_ip": "10.0.0.300"}, "encap_ip", "", "not an IPv4 address"),
    ({"tenet_encap_ip": "10.0.0.1/24"}, "encap_ip", "", "not an IPv4 address"),
    ({"tenet_encap_ip": "fd00::1"}, "encap_ip", "", "not an IPv4 address"),
    ({"tenet_encap_ip": "224.0.0.1"}, "encap_ip", "", "not the address of a host"),
    ({"tenet_encap_ip": "0.0.0.0"}, "encap_ip", "", "not the address of a host"),
    ({"tenet_encap_ip": "255.255.255.255"}, "encap_ip", "", "not the address of a host"),
    ({"tenet_encap_type": "stt"}, "encap_types", (), "no usable tenet-encap-type"),
    ({"tenet_encap_type": "stt,gre"}, "encap_types", ("gre",), "'stt' is none of"),
    ({"tenet_datapath_type": "dpdk"}, "datapath_type", "system", "neither system nor netdev"),
    ({"tenet_bridge_mappings": "public"}, "bridge_mappings", (), "is not network:bridge"),
    ({"tenet_bridge_mappings": ":br-ex,a:"}, "bridge_mappings", (), "is not network:bridge"),
    ({"tenet_bridge_mappings": "a:b,a:c"}, "bridge_mappings", (("a", "b"),), "twice"),
    ({"tenet_bridge_mappings": "a:b,c:b"}, "bridge_mappings", (("a", "b"),), "twice"),
    ({"tenet_bridge_mappings": "a:br-int"}, "bridge_mappings", (), "cannot be a mapped"),
])
def test_nonsense_is_left_out_and_named(
    changes: dict[str, str | None], field: str, value: object, problem: str
) -> None:
    settings = read(**changes)
    assert getattr(settings, field) == value
    assert any(problem in said for said in settings.problems), settings.problems


@given(st.dictionaries(st.sampled_from(["system-id", "hostname", "tenet-encap-ip",
                                        "tenet-encap-type", "tenet-datapath-type",
                                        "tenet-bridge-mappings"]), st.text()))
def test_any_text_is_survived_and_no_problem_spans_lines(keys: dict[str, str]) -> None:
    settings = read_settings(UUID, {"external_ids": keys, "ovs_version": None})
    assert settings.system_id
    assert all(problem.isprintable() and len(problem) < 600 for problem in settings.problems)
