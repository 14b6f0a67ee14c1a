"""Tenancy: what one project sees and changes of another."""

from __future__ import annotations

from typing import Any

import pytest

from controller.testing.api import Client, Cloud


@pytest.fixture
def red(cloud: Cloud) -> Client:
    return cloud.user("red", "member")


@pytest.fixture
def blue(cloud: Cloud) -> Client:
    return cloud.user("blue", "member")


def network(client: Client, **values: Any) -> str:
    return str(client.post("/v2.0/networks", {"network": values}).json["network"]["id"])


def subnet(client: Client, network: str) -> str:
    return str(client.post("/v2.0/subnets", {"subnet": {
        "network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}}).json["subnet"]["id"])


def port(client: Client, network: str, **values: Any) -> str:
    return str(client.post("/v2.0/ports", {"port": {
        "network_id": network, **values}}).json["port"]["id"])


def test_others_objects_are_absent(red: Client, blue: Client) -> None:
    net = network(red)
    targets = {"network": f"/v2.0/networks/{net}", "subnet": f"/v2.0/subnets/{subnet(red, net)}",
               "port": f"/v2.0/ports/{port(red, net)}"}
    for name, target in targets.items():
        absent = f"{target[:-4]}0000"
        for method in ("GET", "PUT", "DELETE"):
            body = {name: {"name": "mine"}} if method == "PUT" else None
            seen, nothing = blue.call(method, target, body), blue.call(method, absent, body)
            assert seen.status == nothing.status == 404
            assert seen.message.replace(target[-36:], "") == nothing.message.replace(
                absent[-36:], ""), "an id must not tell whether it exists"
        assert blue.get(target.rsplit("/", 1)[0]).json == {f"{name}s": []}
        assert red.get(target).status == 200
        id = target.rsplit("/", 1)[1]
        assert blue.get(f"{target.rsplit('/', 1)[0]}?id={id}").json == {f"{name}s": []}
        assert blue.get(f"/v2.0/{name}s?limit=1&marker={id}").status == 400
    assert blue.post("/v2.0/ports", {"port": {"network_id": net}}).error == (
        404, "NetworkNotFound")
    assert blue.post("/v2.0/subnets", {"subnet": {
        "network_id": net, "ip_version": 4, "cidr": "10.5.0.0/24"}}).status == 404


def test_filters_do_not_look_behind_the_wall(red: Client, blue: Client) -> None:
    net = network(red, name="secret")
    port(red, net, device_id="machine")
    for query in ("networks?name=secret", "networks?project_id=project-red",
                  f"ports?network_id={net}", "ports?device_id=machine"):
        assert list(blue.get(f"/v2.0/{query}").json.values()) == [[]]
        assert list(red.get(f"/v2.0/{query}").json.values()) != [[]]


def test_the_administrator_sees_everything(cloud: Cloud, red: Client, blue: Client) -> None:
    nets = {network(red), network(blue)}
    listed = cloud.admin.get("/v2.0/networks").json["networks"]
    assert {each["id"] for each in listed} == nets
    for net in nets:
        assert cloud.admin.put(f"/v2.0/networks/{net}", {"network": {"name": "x"}}).status == 200
        assert cloud.admin.delete(f"/v2.0/networks/{net}").status == 204


def test_creating_for_another_project(cloud: Cloud, red: Client) -> None:
    for name in ("project_id", "tenant_id"):
        body = {"network": {name: "project-blue"}}
        assert red.post("/v2.0/networks", body).error == (403, "PolicyNotAuthorized")
        made = cloud.admin.post("/v2.0/networks", body).json["network"]
        assert made["project_id"] == made["tenant_id"] == "project-blue"
    clash = {"network": {"project_id": "a", "tenant_id": "b"}}
    assert cloud.admin.post("/v2.0/networks", clash).error == (400, "HTTPBadRequest")
    assert red.post("/v2.0/networks", {"network": {"project_id": "project-red"}}).status == 201


def test_a_shared_network(cloud: Cloud, red: Client, blue: Client) -> None:
    net = network(cloud.admin, shared=True)
    sub = subnet(cloud.admin, net)
    assert [each["id"] for each in red.get("/v2.0/networks").json["networks"]] == [net]
    assert [each["id"] for each in red.get("/v2.0/subnets").json["subnets"]] == [sub]
    assert red.put(f"/v2.0/networks/{net}", {"network": {"name": "x"}}).error == (
        403, "PolicyNotAuthorized")
    assert red.delete(f"/v2.0/networks/{net}").status == 403
    assert red.put(f"/v2.0/subnets/{sub}", {"subnet": {"name": "x"}}).status == 403
    own = {"subnet": {"network_id": net, "ip_version": 4, "cidr": "10.7.0.0/24"}}
    assert red.post("/v2.0/subnets", own).error == (403, "PolicyNotAuthorized")
    mine = port(red, net)
    assert blue.get(f"/v2.0/ports/{mine}").status == 404
    assert blue.get("/v2.0/ports").json == {"ports": []}


@pytest.mark.parametrize("values", [
    {"mac_address": "fa:16:3e:00:00:99"}, {"port_security_enabled": False},
    {"fixed_ips": [{"ip_address": "10.0.0.9"}]}, {"device_owner": "network:router_interface"}])
def test_a_guest_cannot_pass_for_another(cloud: Cloud, red: Client, values: dict[str, Any]
                                         ) -> None:
    net = network(cloud.admin, shared=True)
    subnet(cloud.admin, net)
    body = {"port": {"network_id": net, **values}}
    assert red.post("/v2.0/ports", body).error == (403, "PolicyNotAuthorized")
    mine = port(red, net)
    assert red.put(f"/v2.0/ports/{mine}", {"port": values}).error == (403, "PolicyNotAuthorized")
    own = network(red)
    subnet(red, own)
    assert red.post("/v2.0/ports", {"port": {"network_id": own, **values}}).status == 201


def test_a_guest_may_choose_a_subnet(cloud: Cloud, red: Client) -> None:
    net = network(cloud.admin, shared=True)
    sub = subnet(cloud.admin, net)
    assert port(red, net, fixed_ips=[{"subnet_id": sub}])


def test_the_owner_of_a_network_owns_the_ports_on_it(cloud: Cloud, red: Client) -> None:
    net = network(red)
    foreign = port(cloud.admin, net, project_id="project-other")
    assert red.get(f"/v2.0/ports/{foreign}").status == 200
    assert [each["id"] for each in red.get("/v2.0/ports").json["ports"]] == [foreign]
    assert red.delete(f"/v2.0/ports/{foreign}").status == 204


def test_a_reader_changes_nothing(cloud: Cloud, red: Client) -> None:
    net = network(red)
    reader = cloud.user("red", "reader")
    assert reader.get(f"/v2.0/networks/{net}").status == 200
    before = cloud.store.revision
    for answer in (reader.post("/v2.0/networks", {"network": {}}),
                   reader.put(f"/v2.0/networks/{net}", {"network": {"name": "x"}}),
                   reader.delete(f"/v2.0/networks/{net}")):
        assert answer.error == (403, "PolicyNotAuthorized")
    assert cloud.store.revision == before


def test_order_of_refusal(cloud: Cloud, red: Client) -> None:
    """No token, then absent, then forbidden, then wrong."""
    stranger = cloud.anyone()
    for target in ("/v2.0/networks", "/v2.0/nonsense", "/v2.0/networks/x", "/tenet/v1/status"):
        refused = stranger.get(target)
        assert refused.status == 401
        assert refused.json["error"]["code"] == 401
        assert refused.headers["WWW-Authenticate"] == (
            'Keystone uri="http://controller:9696/identity"')
    assert stranger.post("/v2.0/networks", raw=b"{").status == 401
    assert red.put("/v2.0/networks/x", raw=b"{").status == 404
    assert red.get("/v2.0/nonsense").error == (404, "HTTPNotFound")
    both = {"network": {"shared": True, "colour": "red"}}
    assert red.post("/v2.0/networks", both).status == 403
    assert cloud.admin.post("/v2.0/networks", both).status == 400


def test_status_and_chassis_are_for_administrators(red: Client) -> None:
    for target in ("/tenet/v1/status", "/tenet/v1/chassis", "/tenet/v1/chassis/hv1"):
        assert red.get(target).error == (403, "PolicyNotAuthorized")
    assert red.delete("/tenet/v1/chassis/hv1").status == 403
