"""Subnets: addresses, gateways and pools."""

from __future__ import annotations

from typing import Any

import pytest

from controller.testing.api import Answer, Cloud


@pytest.fixture
def network(cloud: Cloud) -> str:
    return str(cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"])


def subnet(cloud: Cloud, network: str, cidr: str = "10.0.0.0/24", **values: Any) -> Answer:
    return cloud.admin.post("/v2.0/subnets", {"subnet": {
        "network_id": network, "ip_version": 4, "cidr": cidr, **values}})


@pytest.mark.parametrize(("cidr", "gateway", "pools"), [
    ("10.0.0.0/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
    ("10.0.0.7/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
    ("10.0.0.0/30", "10.0.0.1", [("10.0.0.2", "10.0.0.2")]),
    ("10.0.0.0/31", "10.0.0.0", [("10.0.0.1", "10.0.0.1")]),
    ("10.0.0.4/32", None, [("10.0.0.4", "10.0.0.4")]),
])
def test_defaults(cloud: Cloud, network: str, cidr: str, gateway: str | None,
                  pools: list[tuple[str, str]]) -> None:
    made = subnet(cloud, network, cidr).json["subnet"]
    assert made["gateway_ip"] == gateway
    assert made["allocation_pools"] == [{"start": start, "end": end} for start, end in pools]
    assert made["cidr"].split("/")[1] == cidr.split("/")[1]


@pytest.mark.parametrize(("gateway", "pools"), [
    (None, [("10.0.0.1", "10.0.0.254")]),
    ("10.0.0.254", [("10.0.0.1", "10.0.0.253")]),
    ("10.0.0.9", [("10.0.0.1", "10.0.0.8"), ("10.0.0.10", "10.0.0.254")]),
])
def test_pools_leave_out_the_gateway(cloud: Cloud, network: str, gateway: str | None,
                                     pools: list[tuple[str, str]]) -> None:
    made = subnet(cloud, network, gateway_ip=gateway).json["subnet"]
    assert made["allocation_pools"] == [{"start": start, "end": end} for start, end in pools]


def pool(start: int, end: int) -> dict[str, str]:
    return {"start": f"10.0.0.{start}", "end": f"10.0.0.{end}"}


@pytest.mark.parametrize(("values", "status", "type", "words"), [
    ({"gateway_ip": "10.0.1.1"}, 400, "InvalidInput", "gateway_ip"),
    ({"gateway_ip": "10.0.0.0"}, 400, "InvalidInput", "gateway_ip"),
    ({"gateway_ip": "10.0.0.255"}, 400, "InvalidInput", "gateway_ip"),
    ({"allocation_pools": [pool(9, 5)]}, 400, "InvalidAllocationPool", "10.0.0.9-10.0.0.5"),
    ({"allocation_pools": [pool(200, 255)]}, 400, "OutOfBoundsAllocationPool", "10.0.0.255"),
    ({"allocation_pools": [pool(5, 9), pool(9, 12)]}, 409, "OverlappingAllocationPools",
     "10.0.0.9-10.0.0.12"),
    ({"allocation_pools": [pool(1, 9)]}, 409, "GatewayConflictWithAllocationPools", "10.0.0.1"),
    ({"ip_version": 6, "cidr": "2001:db8::/64"}, 400, "HTTPBadRequest", "IPv6 is not carried yet"),
    ({"cidr": "fd00::/64"}, 400, "HTTPBadRequest", "IPv6 is not carried yet"),
])
def test_refusals(cloud: Cloud, network: str, values: dict[str, Any], status: int, type: str,
                  words: str) -> None:
    before = cloud.store.revision
    refused = subnet(cloud, network, **values)
    assert refused.error == (status, type)
    assert words in refused.message
    assert cloud.store.revision == before


@pytest.mark.parametrize("cidr", ["10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/16", "10.0.0.5/32"])
def test_overlap_in_one_network(cloud: Cloud, network: str, cidr: str) -> None:
    first = subnet(cloud, network).json["subnet"]["id"]
    refused = subnet(cloud, network, cidr)
    assert refused.error == (400, "InvalidInput")
    assert "overlaps with another subnet" in refused.message and first in refused.message
    other = cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
    assert subnet(cloud, other, cidr).status == 201


def test_overlap_within_one_bulk(cloud: Cloud, network: str) -> None:
    body = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}
    refused = cloud.admin.post("/v2.0/subnets", {"subnets": [body, body]})
    assert refused.error == (400, "InvalidInput")
    assert cloud.admin.get("/v2.0/subnets").json == {"subnets": []}


def test_unknown_network(cloud: Cloud) -> None:
    refused = subnet(cloud, "00000000-0000-0000-0000-00000000dead")
    assert refused.error == (404, "NetworkNotFound")


def test_update(cloud: Cloud, network: str) -> None:
    id = subnet(cloud, network).json["subnet"]["id"]
    target = f"/v2.0/subnets/{id}"
    refused = cloud.admin.put(target, {"subnet": {"gateway_ip": "10.0.0.50"}})
    assert refused.error == (409, "GatewayConflictWithAllocationPools")
    both = {"gateway_ip": "10.0.0.50", "allocation_pools": [pool(60, 70)]}
    changed = cloud.admin.put(target, {"subnet": both}).json["subnet"]
    assert changed["gateway_ip"] == "10.0.0.50"
    assert changed["allocation_pools"] == [pool(60, 70)]
    assert changed["revision_number"] == 2
    none = cloud.admin.put(target, {"subnet": {"gateway_ip": None, "dns_nameservers": None}})
    assert none.json["subnet"]["gateway_ip"] is None
    assert none.json["subnet"]["dns_nameservers"] == []


def test_delete_names_the_ports(cloud: Cloud, network: str) -> None:
    id = subnet(cloud, network).json["subnet"]["id"]
    port = cloud.admin.post("/v2.0/ports", {"port": {"network_id": network}}).json["port"]["id"]
    refused = cloud.admin.delete(f"/v2.0/subnets/{id}")
    assert refused.error == (409, "SubnetInUse")
    assert port in refused.message
    cloud.admin.delete(f"/v2.0/ports/{port}")
    assert cloud.admin.delete(f"/v2.0/subnets/{id}").status == 204
