"""Bad input: whatever comes in, a 4xx with words goes out, and nothing is half-written."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.api.application import RESOURCES
from controller.api.settings import ApiSettings
from controller.testing.api import Answer, Cloud

COLLECTIONS = [f"/v2.0/{resource.collection}" for resource in RESOURCES]
BODIES: dict[str, bytes] = {
    "empty": b"", "not JSON": b"{", "text": b"hello", "not UTF-8": b'{"network": {"name": "\xff"}}',
    "NaN": b'{"network": {"mtu": NaN}}', "Infinity": b'{"network": {"mtu": -Infinity}}',
    "beyond a float": b'{"network": {"mtu": 1e999}}',
    "duplicate key": b'{"network": {"name": "a", "name": "b"}}',
    "duplicate envelope": b'{"network": {}, "network": {}}',
    "half a surrogate": b'{"network": {"name": "\\ud800"}}',
    "half a surrogate as a key": b'{"network": {"\\udfff": 1}}',
    "5,000 digits": b'{"network": {"mtu": ' + b"9" * 5000 + b"}}",
    "deep": b"[" * 40 + b"]" * 40, "very deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000, "a number": b"5", "null": b"null", "a list": b"[]",
    "a string": b'"network"', "no envelope": b'{"name": "x"}',
    "more than the envelope": b'{"network": {}, "other": 1}',
    "the envelope null": b'{"network": null}', "the envelope a list": b'{"network": []}',
    "bulk null": b'{"networks": null}', "bulk empty": b'{"networks": []}',
    "bulk of nulls": b'{"networks": [null]}', "bulk of lists": b'{"networks": [[]]}',
    "bulk an object": b'{"networks": {}}', "trailing": b'{"network": {}} x',
    "byte order mark": b'\xef\xbb\xbf{"network": {}}', "only spaces": b"   ",
}


def check(answer: Answer, statuses: range = range(400, 500)) -> None:
    assert answer.status in statuses, answer.raw
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Openstack-Request-Id"].startswith("req-")
    assert len(answer.raw) < 2000
    assert set(answer.json) in ({"NeutronError"}, {"error"})


@pytest.mark.parametrize("name", BODIES)
def test_bodies(cloud: Cloud, name: str) -> None:
    before = cloud.store.revision
    answer = cloud.admin.post("/v2.0/networks", raw=BODIES[name])
    check(answer)
    assert answer.error == (400, "HTTPBadRequest")
    for target in ("/v2.0/networks/00000000-0000-0000-0000-000000000001",):
        check(cloud.admin.put(target, raw=BODIES[name]))
    check(cloud.anyone().post("/identity/v3/auth/tokens", raw=BODIES[name]))
    check(cloud.admin.post("/identity/v3/projects", raw=BODIES[name]))
    assert cloud.store.revision == before


def test_a_duplicate_key_is_named(cloud: Cloud) -> None:
    answer = cloud.admin.post("/v2.0/networks", raw=BODIES["duplicate key"])
    assert "'name' appears twice" in answer.message


@pytest.mark.parametrize(("environ", "status"), [
    ({"CONTENT_LENGTH": "x"}, 400), ({"CONTENT_LENGTH": "-5"}, 400),
    ({"CONTENT_LENGTH": "\u0665"}, 400), ({"CONTENT_LENGTH": "9" * 30}, 400),
    ({"CONTENT_LENGTH": str(10 * 1024 * 1024 + 1)}, 413), ({"CONTENT_LENGTH": "500"}, 400)])
def test_announced_lengths(cloud: Cloud, environ: dict[str, str], status: int) -> None:
    answer = cloud.admin.post("/v2.0/networks", {"network": {}}, **environ)
    check(answer)
    assert answer.status == status


def test_a_body_of_many_keys_is_refused_at_once(cloud: Cloud) -> None:
    names = [f'"{number:x}":0' for number in range(60_000)]
    raw = ("{" + ",".join([*names, '"z":0', '"z":1']) + "}").encode()
    started = time.monotonic()
    answer = cloud.admin.post("/v2.0/networks", raw=raw)
    assert (answer.status, "'z' appears twice" in answer.message) == (400, True)
    assert time.monotonic() - started < 5


def test_strangers_may_send_a_login_and_no_more(cloud: Cloud) -> None:
    body = b'{"auth": "' + b"x" * 32 * 1024 + b'"}'
    assert cloud.anyone().post("/identity/v3/auth/tokens", raw=body).status == 413


def test_a_bulk_that_would_hold_up_everybody_is_refused(cloud: Cloud) -> None:
    before = cloud.store.revision
    answer = cloud.admin.post("/v2.0/networks", {"networks": [{}] * 2001})
    check(answer)
    assert answer.status == 400 and "2000" in answer.message
    assert cloud.store.revision == before


class _Broken:
    def read(self, size: int) -> bytes:
        raise OSError("connection reset")


def test_a_body_that_breaks_off(cloud: Cloud) -> None:
    answer = cloud.admin.post("/v2.0/networks", {"network": {}}, **{"wsgi.input": _Broken()})
    check(answer)


@pytest.mark.parametrize(("size", "status"), [(100, 201), (2000, 413)])
def test_chunked_bodies(size: int, status: int) -> None:
    cloud = Cloud(settings=ApiSettings(largest_body=1000))
    body = json.dumps({"network": {}}).encode().ljust(size)
    answer = cloud.admin.post("/v2.0/networks", CONTENT_LENGTH="",
                              HTTP_TRANSFER_ENCODING="chunked",
                              **{"wsgi.input": io.BytesIO(body)})
    assert answer.status == status


@pytest.mark.parametrize("path", [
    "/v2.0/networks/\xff\xfe", "/v2.0/networks/" + "x" * 5000, "/v2.0/networks/../../etc",
    "/v2.0/networks/a/b", "/nonsense", "/v3", "/v2.0/networks/%00", "/v2.0/networks/\x00",
    "/identity/v2.0/tokens", "/identity/v3/projects/\xff", "//", "/identity/v3/users/..;"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH", "BREW"])
def test_odd_paths(cloud: Cloud, path: str, method: str) -> None:
    raw = b"{}" if method in ("PUT", "POST", "PATCH") else None
    answer = cloud.admin.call(method, "/", raw=raw, PATH_INFO=path)
    if path == "//":
        assert answer.status == (200 if method == "GET" else 405)
    else:
        check(answer)
        assert answer.status in (404, 405)


@pytest.mark.parametrize("query", [
    "%ff=%fe", "name=%ff", "&".join("a=1" for _ in range(2000)), "====", "fields=", "&&&",
    "name=" + "x" * 5000, "limit=1&limit=x", "limit=\u0665", "wait=realised"])
def test_odd_queries(cloud: Cloud, query: str) -> None:
    answer = cloud.admin.call("GET", "/v2.0/networks", QUERY_STRING=query)
    assert answer.status in (200, 400)


@pytest.mark.parametrize("host", ["evil\r\nX: y", "a b", "", "x" * 3, "[::1]:9696", "h/../"])
def test_the_host_header_is_not_trusted(cloud: Cloud, host: str) -> None:
    href = cloud.anyone().get("/", HTTP_HOST=host).json["versions"][0]["links"][0]["href"]
    assert href in ("http://127.0.0.1:9696/v2.0/", f"http://{host}/v2.0/")
    assert not set(href) & set(" \r\n")


def test_json_suffix(cloud: Cloud) -> None:
    id = cloud.admin.post("/v2.0/networks.json", {"network": {}}).json["network"]["id"]
    assert cloud.admin.get(f"/v2.0/networks/{id}.json").status == 200
    assert len(cloud.admin.get("/v2.0/networks.json").json["networks"]) == 1


def test_methods(cloud: Cloud) -> None:
    refused = cloud.admin.put("/v2.0/networks", {"network": {}})
    assert refused.error == (405, "HTTPMethodNotAllowed")
    assert "GET, POST" in refused.message
    head = cloud.admin.call("HEAD", "/v2.0/networks")
    assert (head.status, head.raw) == (200, b"")


def test_our_own_mistake_is_a_500_with_the_request(cloud: Cloud, caplog: pytest.LogCaptureFixture
                                                   ) -> None:
    cloud.admin.post("/v2.0/networks", {"network": {}})

    def broken(network_id: str) -> tuple[str, str]:
        raise RuntimeError("a bug")
    cloud.realisation.network_status = broken  # type: ignore[method-assign]
    answer = cloud.admin.get("/v2.0/networks")
    assert answer.error == (500, "HTTPInternalServerError")
    request_id = answer.headers["X-Openstack-Request-Id"]
    assert request_id in answer.message and "a bug" not in answer.message
    assert request_id in caplog.text and "RuntimeError: a bug" in caplog.text


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-2, 40), st.floats(), st.text(max_size=30),
    st.sampled_from(["10.0.0.0/24", "10.0.0.5", "::1", "0.0.0.0/0", "vxlan", "local", "True", "",
                     "fa:16:3e:00:00:01", "a0000000-0000-0000-0000-000000000002", "0", "4"]))
NAMES = st.one_of(
    st.sampled_from([attribute.name for resource in RESOURCES
                     for attribute in resource.attributes]
                    + ["start", "end", "subnet_id", "ip_address", "destination", "nexthop"]),
    st.text(max_size=10))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)), max_leaves=12)


@st.composite
def operations(draw: st.DrawFn) -> tuple[Any, dict[str, Any], int, bool]:
    """(resource, attributes, which row, whether to update it)."""
    resource = draw(st.sampled_from(RESOURCES))
    body = draw(st.dictionaries(st.sampled_from(
        [each.name for each in resource.attributes if each.flags.strip("FS")]), VALUES,
        max_size=5))
    if resource.name == "subnet" and draw(st.integers(0, 9)):
        body |= {"ip_version": 4, "cidr": f"10.{draw(st.integers(0, 9))}.0.0/29"}
    return resource, body, draw(st.integers(0, 9)), draw(st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(operations(), min_size=1, max_size=8))
def test_no_json_is_our_mistake(steps: list[tuple[Any, dict[str, Any], int, bool]]) -> None:
    """Attributes with any JSON value, on resources that exist: never a 5xx, and a refusal leaves
    the store as it was."""
    cloud = Cloud()
    nets = [cloud.admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
            for _ in range(2)]
    for resource, body, which, updates in steps:
        target = f"/v2.0/{resource.collection}"
        existing = cloud.admin.get(target).json[resource.collection]
        before = cloud.store.revision
        if existing and updates:
            id = existing[which % len(existing)]["id"]
            answer = cloud.admin.put(f"{target}/{id}", {resource.name: {
                name: value for name, value in body.items()
                if "U" in resource.by_name[name].flags}})
        else:
            place = {} if resource.name == "network" or which == 9 else {
                "network_id": nets[which % 2]}
            answer = cloud.admin.post(target, {resource.name: body | place})
        assert answer.status < 500, answer.raw
        if answer.status >= 400:
            check(answer)
            assert cloud.store.revision == before
        for each in RESOURCES:
            assert cloud.admin.get(f"/v2.0/{each.collection}").status == 200


@settings(max_examples=300, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET"]),
       st.sampled_from([*COLLECTIONS, "/identity/v3/projects", "/identity/v3/users",
                        "/identity/v3/auth/tokens", "/identity/v3/users/user-admin-admin/password",
                        "/v2.0/networks/x", "/tenet/v1/chassis/x"]),
       st.one_of(st.binary(max_size=60), VALUES.map(lambda value: json.dumps(value).encode()),
                 st.builds(lambda name, value: json.dumps({name: value}).encode(),
                           st.sampled_from(["network", "networks", "subnet", "port", "project",
                                            "user", "auth"]), VALUES)),
       st.text(max_size=20))
def test_no_request_is_our_mistake(cloud: Cloud, method: str, target: str, raw: bytes, query: str
                                   ) -> None:
    environ: dict[str, Any] = {"QUERY_STRING": query.encode("utf-8", "replace").decode("latin-1")}
    answer = cloud.admin.call(method, target, raw=raw, **environ)
    assert answer.status < 500, answer.raw
