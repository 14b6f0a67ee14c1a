"""Status: waiting for switches, chassis, health and measurements."""

from __future__ import annotations

import pytest

from controller.model.resources import Binding, Chassis, Interface
from controller.testing.api import Cloud


def test_a_write_tells_its_revision(cloud: Cloud) -> None:
    made = cloud.admin.post("/v2.0/networks", {"network": {}})
    assert made.headers["Tenet-Revision"] == str(cloud.store.revision)
    assert "Tenet-Realised" not in made.headers
    assert cloud.realisation.waits == []
    target = f"/v2.0/networks/{made.json['network']['id']}"
    same = cloud.admin.put(target, {"network": {}})
    assert same.headers["Tenet-Revision"] == made.headers["Tenet-Revision"]
    gone = cloud.admin.delete(target)
    assert int(gone.headers["Tenet-Revision"]) == int(made.headers["Tenet-Revision"]) + 1


def test_waiting_for_the_networks_concerned(cloud: Cloud) -> None:
    nets = [cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
            for _ in range(2)]
    made = cloud.admin.post("/v2.0/ports?wait=realised&timeout=5", {"ports": [
        {"network_id": nets[0]}, {"network_id": nets[1]}, {"network_id": nets[0]}]})
    assert made.headers["Tenet-Realised"] == "true"
    assert cloud.realisation.waits == [(cloud.store.revision, net, 5.0) for net in sorted(nets)]
    cloud.realisation.waits.clear()
    port = made.json["ports"][0]["id"]
    cloud.admin.put(f"/v2.0/ports/{port}?wait=realised", {"port": {"name": "x"}})
    assert cloud.realisation.waits == [(cloud.store.revision, nets[0], 30.0)]
    assert cloud.admin.delete(f"/v2.0/ports/{port}?wait=realised").status == 204
    assert cloud.realisation.waits[-1][:2] == (cloud.store.revision, nets[0])


def test_when_the_time_is_up_the_write_holds(cloud: Cloud) -> None:
    cloud.realisation.in_time = False
    made = cloud.admin.post("/v2.0/networks?wait=realised&timeout=0.5", {"network": {}})
    assert made.status == 201
    assert made.headers["Tenet-Realised"] == "false"
    assert cloud.admin.get(f"/v2.0/networks/{made.json['network']['id']}").status == 200


@pytest.mark.parametrize("query", [
    "wait=soon", "wait=", "wait=realised&timeout=x", "wait=realised&timeout=-1",
    "wait=realised&timeout=nan", "wait=realised&timeout=1e9"])
def test_wrong_waits_write_nothing(cloud: Cloud, query: str) -> None:
    before = cloud.store.revision
    assert cloud.admin.post(f"/v2.0/networks?{query}", {"network": {}}).error == (
        400, "HTTPBadRequest")
    assert cloud.store.revision == before


def test_status(cloud: Cloud) -> None:
    cloud.realisation.connected = {"hv1", "hv2"}
    body = cloud.admin.get("/tenet/v1/status").json
    assert body["revision"] == cloud.store.revision
    assert [(each["chassis"], each["connected"]) for each in body["switches"]] == [
        ("hv1", True), ("hv2", True)]


def test_a_chassis_is_forgotten_with_its_interfaces(cloud: Cloud) -> None:
    net = cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
    port = cloud.admin.post("/v2.0/ports", {"port": {"network_id": net}}).json["port"]["id"]

    def join(draft):  # type: ignore[no-untyped-def]
        draft.put(Chassis(id="hv1", key=1, hostname="one", datapath_id=0x2a))
        draft.put(Interface(id="hv1/tap", chassis_id="hv1", name="tap", iface_id=port, ofport=3,
                            seen=1))
    cloud.store.transact(join)
    cloud.realisation.connected = {"hv1"}
    shown = cloud.admin.get("/tenet/v1/chassis/hv1").json["chassis"]
    assert (shown["connected"], shown["datapath_id"]) == (True, "000000000000002a")
    assert cloud.admin.get("/tenet/v1/chassis").json == {"chassis": [shown]}
    refused = cloud.admin.delete("/tenet/v1/chassis/hv1")
    assert refused.error == (409, "ChassisInUse")
    assert cloud.store.snapshot.get(Binding, port) is not None
    cloud.realisation.connected = set()
    assert cloud.admin.delete("/tenet/v1/chassis/hv1").status == 204
    assert cloud.store.snapshot.get(Binding, port) is None
    assert not cloud.store.snapshot.where(Interface, "chassis", "hv1")
    assert cloud.admin.delete("/tenet/v1/chassis/hv1").error == (404, "ChassisNotFound")
    assert cloud.admin.get("/tenet/v1/chassis/hv1").status == 404


@pytest.mark.parametrize(("cookie", "status"), [
    ("42", 200), ("0x2a", 200), ("43", 404), ("x", 404), ("-1", 404), ("0x" + "f" * 17, 404),
    ("9" * 5000, 404)])
def test_explaining_a_cookie(cloud: Cloud, cookie: str, status: int) -> None:
    cloud.realisation.cookies[42] = {"cookie": 42}
    answer = cloud.admin.get(f"/tenet/v1/explain/{cookie}")
    assert answer.status == status
    if status == 200:
        assert answer.json == {"explanation": {"cookie": 42}}


def test_health(cloud: Cloud) -> None:
    stranger = cloud.anyone()
    assert stranger.get("/healthz").json == {"status": "ok"}
    assert stranger.get("/readyz").json == {"ready": True, "missing": []}
    cloud.bench.missing.append("hv1 is not read yet")
    waiting = stranger.get("/readyz")
    assert waiting.status == 503
    assert waiting.json == {"ready": False, "missing": ["hv1 is not read yet"]}


def test_metrics_count_by_route(cloud: Cloud) -> None:
    cloud.admin.get("/v2.0/networks/x")
    cloud.admin.get("/v2.0/networks/y")
    cloud.anyone().call("BREW" + "X" * 500, "/coffee")
    answer = cloud.anyone().get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.raw.decode()
    assert ('tenet_api_requests_total{method="GET",route="/v2.0/networks/*",status="404"} 2.0'
            in text)
    assert 'tenet_api_requests_total{method="other",route="unknown",status="404"} 1.0' in text


def test_discovery(cloud: Cloud) -> None:
    stranger = cloud.anyone()
    root = stranger.get("/").json["versions"]
    assert root == [{"id": "v2.0", "status": "CURRENT", "links": [
        {"rel": "self", "href": "http://controller:9696/v2.0/"}]}]
    for target in ("/v2.0", "/v2.0/"):
        body = stranger.get(target).json
        assert body["version"] == root[0]
        assert [each["collection"] for each in body["resources"]] == [
            "networks", "subnets", "ports"]
    extensions = cloud.admin.get("/v2.0/extensions").json["extensions"]
    for each in extensions:
        assert cloud.admin.get(f"/v2.0/extensions/{each['alias']}").json == {"extension": each}
    assert {"binding", "provider", "port-security", "net-mtu"} <= {
        each["alias"] for each in extensions}
    for absent in ("security-group", "router", "standard-attr-tag", "allowed-address-pairs"):
        assert cloud.admin.get(f"/v2.0/extensions/{absent}").error == (404, "ExtensionNotFound")
