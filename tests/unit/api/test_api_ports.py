"""Ports: addresses, binding and status."""

from __future__ import annotations

from typing import Any

import pytest

from controller.model.resources import Chassis, Interface, Port
from controller.testing.api import Answer, Cloud


@pytest.fixture
def network(cloud: Cloud) -> str:
    return str(cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"])


def subnet(cloud: Cloud, network: str, cidr: str = "10.0.0.0/29") -> str:
    made = cloud.admin.post("/v2.0/subnets", {"subnet": {
        "network_id": network, "ip_version": 4, "cidr": cidr}})
    return str(made.json["subnet"]["id"])


def port(cloud: Cloud, network: str, **values: Any) -> Answer:
    body = {name.replace("__", ":"): value for name, value in values.items()}
    return cloud.admin.post("/v2.0/ports", {"port": {"network_id": network, **body}})


def addresses(answer: Answer) -> list[str]:
    return [fixed["ip_address"] for fixed in answer.json["port"]["fixed_ips"]]


def plug(cloud: Cloud, port: str, hostname: str = "hv1.example") -> None:
    def work(draft: Any) -> None:
        draft.put(Chassis(id="system-1", key=1, hostname=hostname))
        draft.put(Interface(id="system-1/tap1", chassis_id="system-1", name="tap1",
                            iface_id=port, ofport=7, seen=1))
    cloud.store.transact(work)


def test_exactly_the_addresses_there_are(cloud: Cloud, network: str) -> None:
    subnet(cloud, network)
    given = [addresses(port(cloud, network))[0] for _ in range(5)]
    assert given == [f"10.0.0.{number}" for number in range(2, 7)]
    refused = port(cloud, network)
    assert refused.error == (409, "IpAddressGenerationFailure")
    assert network in refused.message


def test_a_released_address_is_not_reused_at_once(cloud: Cloud, network: str) -> None:
    subnet(cloud, network)
    first = port(cloud, network)
    cloud.admin.delete(f"/v2.0/ports/{first.json['port']['id']}")
    assert addresses(port(cloud, network)) == ["10.0.0.3"]


def test_a_second_subnet_when_the_first_is_full(cloud: Cloud, network: str) -> None:
    subnets = sorted([subnet(cloud, network, "10.0.0.0/30"), subnet(cloud, network, "10.1.0.0/30")])
    given = [port(cloud, network).json["port"]["fixed_ips"][0]["subnet_id"] for _ in range(2)]
    assert given == subnets
    assert port(cloud, network).error == (409, "IpAddressGenerationFailure")


def test_no_subnet_no_address(cloud: Cloud, network: str) -> None:
    assert addresses(port(cloud, network)) == []


def test_asked_for_addresses(cloud: Cloud, network: str) -> None:
    id = subnet(cloud, network)
    by_address = port(cloud, network, fixed_ips=[{"ip_address": "10.0.0.5"}])
    assert by_address.json["port"]["fixed_ips"] == [{"subnet_id": id, "ip_address": "10.0.0.5"}]
    taken = port(cloud, network, fixed_ips=[{"subnet_id": id, "ip_address": "10.0.0.5"}])
    assert taken.error == (409, "IpAddressAlreadyAllocated")
    assert by_address.json["port"]["id"] in taken.message
    several = port(cloud, network, fixed_ips=[{"subnet_id": id}, {"ip_address": "10.0.0.2"}, {}])
    assert addresses(several) == ["10.0.0.3", "10.0.0.2", "10.0.0.4"]


@pytest.mark.parametrize(("fixed", "error"), [
    ({"ip_address": "10.9.0.1"}, (400, "InvalidIpForNetwork")),
    ({"ip_address": "10.0.0.7"}, (400, "InvalidIpForSubnet")),
    ({"ip_address": "10.0.0.0"}, (400, "InvalidIpForSubnet")),
    ({"subnet_id": "00000000-0000-0000-0000-00000000dead"}, (400, "InvalidInput")),
])
def test_addresses_that_do_not_fit(cloud: Cloud, network: str, fixed: dict[str, str],
                                   error: tuple[int, str]) -> None:
    subnet(cloud, network)
    before = cloud.store.revision
    assert port(cloud, network, fixed_ips=[fixed]).error == error
    assert cloud.store.revision == before


def test_one_address_twice(cloud: Cloud, network: str) -> None:
    subnet(cloud, network)
    twice = [{"ip_address": "10.0.0.3"}, {"ip_address": "10.0.0.3"}]
    assert port(cloud, network, fixed_ips=twice).error == (400, "InvalidInput")


def test_addresses_on_update(cloud: Cloud, network: str) -> None:
    id = subnet(cloud, network)
    made = port(cloud, network, fixed_ips=[{"ip_address": "10.0.0.5"}]).json["port"]
    target = f"/v2.0/ports/{made['id']}"

    def change(fixed: list[dict[str, str]]) -> list[str]:
        return addresses(cloud.admin.put(target, {"port": {"fixed_ips": fixed}}))
    assert change([{"subnet_id": id}]) == ["10.0.0.5"]
    assert change([{"ip_address": "10.0.0.5"}, {"subnet_id": id}]) == ["10.0.0.5", "10.0.0.2"]
    assert change([{"ip_address": "10.0.0.6"}]) == ["10.0.0.6"]
    assert change([]) == []
    assert addresses(port(cloud, network, fixed_ips=[{"ip_address": "10.0.0.5"}]))


def test_filters_on_addresses(cloud: Cloud, network: str) -> None:
    one, two = subnet(cloud, network), subnet(cloud, network, "10.1.0.0/29")
    both = port(cloud, network, fixed_ips=[{"subnet_id": one}, {"subnet_id": two}])
    port(cloud, network, fixed_ips=[{"subnet_id": one}])

    def found(query: str) -> list[str]:
        return [each["id"] for each in cloud.admin.get(f"/v2.0/ports?{query}").json["ports"]]
    id = both.json["port"]["id"]
    assert found(f"fixed_ips=subnet_id={two}") == [id]
    assert len(found(f"fixed_ips=subnet_id={one}")) == 2
    assert found("fixed_ips=ip_address%3D10.1.0.2") == [id]
    assert found(f"fixed_ips=ip_address=10.1.0.2&fixed_ips=subnet_id={one}") == []
    assert found("security_groups=00000000-0000-0000-0000-000000000001") == []


def test_macs(cloud: Cloud, network: str) -> None:
    made = port(cloud, network).json["port"]
    assert made["mac_address"].startswith("fa:16:3e:")
    given = port(cloud, network, mac_address="FA-16-3E-AA-BB-CC").json["port"]
    assert given["mac_address"] == "fa:16:3e:aa:bb:cc"
    taken = port(cloud, network, mac_address="fa:16:3e:aa:bb:cc")
    assert taken.error == (409, "MacAddressInUse")
    assert given["id"] in taken.message
    other = cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
    assert port(cloud, other, mac_address="fa:16:3e:aa:bb:cc").status == 201
    change = cloud.admin.put(f"/v2.0/ports/{made['id']}",
                             {"port": {"mac_address": "fa:16:3e:aa:bb:cc"}})
    assert change.error == (409, "MacAddressInUse")


def test_binding_and_status(cloud: Cloud, network: str) -> None:
    made = port(cloud, network).json["port"]
    assert (made["status"], made["binding:vif_type"], made["binding:host_id"]) == (
        "DOWN", "unbound", "")
    assert made["tenet:status_reason"] == "not plugged into any chassis"
    target = f"/v2.0/ports/{made['id']}"
    plug(cloud, made["id"])
    bound = cloud.admin.get(target).json["port"]
    assert (bound["status"], bound["binding:vif_type"], bound["binding:host_id"]) == (
        "ACTIVE", "ovs", "hv1.example")
    assert bound["binding:vif_details"]["bridge_name"] == "br-int"
    cloud.realisation.errors[made["id"]] = "hv1 refused table 10: OFPBMC_BAD_VALUE"
    broken = cloud.admin.get(target).json["port"]
    assert broken["status"] == "ERROR"
    assert "OFPBMC_BAD_VALUE" in broken["tenet:status_reason"]
    down = cloud.admin.put(target, {"port": {"admin_state_up": False}}).json["port"]
    assert (down["status"], down["tenet:status_reason"]) == ("DOWN", "")
    assert cloud.admin.get("/v2.0/ports?status=DOWN").json["ports"] == [down]


def test_a_requested_host_is_shown_as_asked(cloud: Cloud, network: str) -> None:
    made = port(cloud, network, binding__host_id="hv2").json["port"]
    plug(cloud, made["id"])
    shown = cloud.admin.get(f"/v2.0/ports/{made['id']}").json["port"]
    assert (shown["binding:host_id"], shown["binding:vif_type"]) == ("hv2", "unbound")


def test_null_takes_back(cloud: Cloud, network: str) -> None:
    names = ("binding:host_id", "device_id", "device_owner")
    made = port(cloud, network, **{name: "something" for name in names}).json["port"]
    shown = cloud.admin.put(f"/v2.0/ports/{made['id']}", {"port": dict.fromkeys(names)}).json
    assert [shown["port"][name] for name in names] == ["", "", ""]


def test_port_security_comes_from_the_network(cloud: Cloud) -> None:
    open_network = cloud.admin.post("/v2.0/networks", {
        "network": {"port_security_enabled": False}}).json["network"]["id"]
    assert port(cloud, open_network).json["port"]["port_security_enabled"] is False
    kept = port(cloud, open_network, port_security_enabled=True)
    assert kept.json["port"]["port_security_enabled"] is True


@pytest.mark.parametrize("groups", [[], None])
def test_no_security_groups(cloud: Cloud, network: str, groups: object) -> None:
    made = port(cloud, network, security_groups=groups)
    assert made.json["port"]["security_groups"] == []
    target = f"/v2.0/ports/{made.json['port']['id']}"
    same = cloud.admin.put(target, {"port": {"security_groups": []}})
    assert same.json["port"]["revision_number"] == 1
    refused = cloud.admin.put(target, {"port": {"security_groups": ["x"]}})
    assert refused.error == (400, "HTTPBadRequest")
    assert "security groups are not served yet" in refused.message


def test_a_thousand_at_once(cloud: Cloud, network: str) -> None:
    subnet(cloud, network, "10.0.0.0/16")
    before = cloud.store.revision
    made = cloud.admin.post("/v2.0/ports", {"ports": [{"network_id": network}] * 1000})
    assert made.status == 201
    assert cloud.store.revision == before + 1
    ports = made.json["ports"]
    assert len({each["fixed_ips"][0]["ip_address"] for each in ports}) == 1000
    assert len({each["mac_address"] for each in ports}) == 1000
    rows = cloud.store.snapshot.where(Port)
    assert len({row.key for row in rows}) == 1000


def test_bulk_beyond_the_pool_leaves_nothing(cloud: Cloud, network: str) -> None:
    subnet(cloud, network)
    before = cloud.store.revision
    refused = cloud.admin.post("/v2.0/ports", {"ports": [{"network_id": network}] * 6})
    assert refused.error == (409, "IpAddressGenerationFailure")
    assert cloud.admin.get("/v2.0/ports").json == {"ports": []}
    assert cloud.store.revision == before
    made = cloud.admin.post("/v2.0/ports", {"ports": [{"network_id": network}] * 5})
    assert made.status == 201
