"""Networks: segments, MTUs and what stands in the way of deleting one."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.settings import ApiSettings
from controller.model.resources import Chassis, Network
from controller.testing.api import Cloud


def network(cloud: Cloud, **values: Any) -> Any:
    body = {name.replace("__", ":"): value for name, value in values.items()}
    return cloud.admin.post("/v2.0/networks", {"network": body})


@pytest.mark.parametrize(("network_type", "mtu"), [
    ("local", 1500), ("vxlan", 1450), ("geneve", 1450), ("gre", 1458)])
def test_types_and_their_mtu(cloud: Cloud, network_type: str, mtu: int) -> None:
    made = network(cloud, provider__network_type=network_type).json["network"]
    assert made["provider:network_type"] == network_type
    assert made["mtu"] == mtu
    assert (made["provider:segmentation_id"] is None) == (network_type == "local")


def test_mtu_follows_the_types_that_chassis_offer(cloud: Cloud) -> None:
    cloud.store.transact(lambda draft: draft.put(
        Chassis(id="hv1", key=1, encap_types=("gre", "vxlan"))))
    assert network(cloud, provider__network_type="gre").json["network"]["mtu"] == 1450


def test_mtu_is_bounded_by_the_underlay() -> None:
    cloud = Cloud(settings=ApiSettings(underlay_mtu=9000))
    assert network(cloud, mtu=8950).status == 201
    refused = network(cloud, mtu=8951)
    assert refused.error == (400, "HTTPBadRequest")
    assert "mtu" in refused.message and "8950" in refused.message
    assert "smaller than 68" in network(cloud, mtu=67).message


def test_mtu_on_update(cloud: Cloud) -> None:
    id = network(cloud, mtu=1300).json["network"]["id"]
    target = f"/v2.0/networks/{id}"
    assert cloud.admin.put(target, {"network": {"mtu": 1451}}).status == 400
    assert cloud.admin.put(target, {"network": {"mtu": "1400"}}).json["network"]["mtu"] == 1400
    assert cloud.admin.put(target, {"network": {"mtu": 0}}).json["network"]["mtu"] == 1450


def test_segments_are_given_once(cloud: Cloud) -> None:
    first = network(cloud).json["network"]
    assert first["provider:segmentation_id"] == 1
    taken = network(cloud, provider__segmentation_id=1)
    assert taken.error == (409, "TunnelIdInUse")
    assert first["id"] in taken.message
    assert network(cloud, provider__segmentation_id=2).status == 201
    assert network(cloud).json["network"]["provider:segmentation_id"] == 3


def test_overlay_types_share_one_space(cloud: Cloud) -> None:
    assert network(cloud, provider__network_type="gre", provider__segmentation_id=5).status == 201
    again = network(cloud, provider__network_type="vxlan", provider__segmentation_id=5)
    assert again.error == (409, "TunnelIdInUse")


def test_a_released_segment_waits_for_the_switches(cloud: Cloud) -> None:
    id = network(cloud, provider__segmentation_id=9).json["network"]["id"]
    assert cloud.admin.delete(f"/v2.0/networks/{id}").status == 204
    early = network(cloud, provider__segmentation_id=9)
    assert early.error == (409, "TunnelIdInUse")
    assert "not every switch has confirmed" in early.message
    cloud.store.confirm(cloud.store.revision)
    assert network(cloud, provider__segmentation_id=9).status == 201


def test_local_networks_have_no_segment(cloud: Cloud) -> None:
    refused = network(cloud, provider__network_type="local", provider__segmentation_id=5)
    assert refused.error == (400, "InvalidInput")
    assert "provider:segmentation_id" in refused.message


def test_the_last_segment_and_none_left(cloud: Cloud) -> None:
    assert network(cloud, provider__segmentation_id=(1 << 24) - 1).status == 201
    cloud.store.transact(lambda draft: draft.numbers.counters.update(segment=(1 << 24) - 2))
    refused = network(cloud)
    assert refused.error == (503, "NoNetworkAvailable")
    assert network(cloud, provider__network_type="local").status == 201


def test_delete_names_the_ports(cloud: Cloud) -> None:
    id = network(cloud).json["network"]["id"]
    ports = [cloud.admin.post("/v2.0/ports", {"port": {"network_id": id}}).json["port"]["id"]
             for _ in range(12)]
    refused = cloud.admin.delete(f"/v2.0/networks/{id}")
    assert refused.error == (409, "NetworkInUse")
    assert all(port in refused.message for port in ports[:10])
    assert "and 2 more" in refused.message
    for port in ports:
        cloud.admin.delete(f"/v2.0/ports/{port}")
    assert cloud.admin.delete(f"/v2.0/networks/{id}").status == 204
    assert cloud.admin.delete(f"/v2.0/networks/{id}").error == (404, "NetworkNotFound")


def test_delete_takes_the_subnets(cloud: Cloud) -> None:
    id = network(cloud).json["network"]["id"]
    subnet = cloud.admin.post("/v2.0/subnets", {"subnet": {
        "network_id": id, "ip_version": 4, "cidr": "10.0.0.0/24"}}).json["subnet"]["id"]
    assert cloud.admin.delete(f"/v2.0/networks/{id}").status == 204
    assert cloud.admin.get(f"/v2.0/subnets/{subnet}").error == (404, "SubnetNotFound")


def test_subnets_are_listed_and_filter(cloud: Cloud) -> None:
    id = network(cloud).json["network"]["id"]
    network(cloud)
    subnet = cloud.admin.post("/v2.0/subnets", {"subnet": {
        "network_id": id, "ip_version": 4, "cidr": "10.0.0.0/24"}}).json["subnet"]["id"]
    shown = cloud.admin.get(f"/v2.0/networks/{id}").json["network"]
    assert shown["subnets"] == [subnet]
    found = cloud.admin.get(f"/v2.0/networks?subnets={subnet}").json["networks"]
    assert [each["id"] for each in found] == [id]


def test_a_subnet_raises_the_revision_of_its_network(cloud: Cloud) -> None:
    id = network(cloud).json["network"]["id"]

    def revision() -> int:
        return int(cloud.admin.get(f"/v2.0/networks/{id}").json["network"]["revision_number"])
    assert revision() == 1
    subnet = cloud.admin.post("/v2.0/subnets", {"subnet": {
        "network_id": id, "ip_version": 4, "cidr": "10.0.0.0/24"}}).json["subnet"]["id"]
    assert revision() == 2
    cloud.admin.put(f"/v2.0/subnets/{subnet}", {"subnet": {"name": "new"}})
    assert revision() == 3
    cloud.admin.put(f"/v2.0/subnets/{subnet}", {"subnet": {"name": "new"}})
    assert revision() == 3
    cloud.admin.delete(f"/v2.0/subnets/{subnet}")
    assert revision() == 4


def test_unsharing_while_others_use_it(cloud: Cloud) -> None:
    id = network(cloud, shared=True).json["network"]["id"]
    tenant = cloud.user("red", "member")
    port = tenant.post("/v2.0/ports", {"port": {"network_id": id}}).json["port"]["id"]
    refused = cloud.admin.put(f"/v2.0/networks/{id}", {"network": {"shared": False}})
    assert refused.error == (409, "Conflict")
    assert port in refused.message
    tenant.delete(f"/v2.0/ports/{port}")
    assert cloud.admin.put(f"/v2.0/networks/{id}", {"network": {"shared": False}}).status == 200


def test_bulk_is_all_or_nothing(cloud: Cloud) -> None:
    before = cloud.store.revision
    refused = cloud.admin.post("/v2.0/networks", {"networks": [
        {"name": "a"}, {"provider:segmentation_id": 5}, {"provider:segmentation_id": 5}]})
    assert refused.error == (409, "TunnelIdInUse")
    assert cloud.admin.get("/v2.0/networks").json == {"networks": []}
    assert cloud.store.revision == before
    made = cloud.admin.post("/v2.0/networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert made.status == 201
    assert [each["name"] for each in made.json["networks"]] == ["a", "b"]
    assert cloud.store.revision == before + 1
    assert len(cloud.store.snapshot.ids(Network)) == 2
