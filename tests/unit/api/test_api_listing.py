"""Lists: filters, fields, order and pages; and the conditions of writes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from controller.testing.api import Cloud

NAMES = ["b", "a", "c", "a", "e", "d", "b"]


@pytest.fixture
def networks(cloud: Cloud) -> list[Any]:
    made = []
    for number, name in enumerate(NAMES):
        cloud.bench.pass_time(60)
        made.append(cloud.admin.post("/v2.0/networks", {"network": {
            "name": name, "mtu": 1400 + number}}).json["network"])
    return made


def names(cloud: Cloud, query: str) -> list[str]:
    return [each["name"] for each in cloud.admin.get(f"/v2.0/networks?{query}").json["networks"]]


def test_filters_combine(cloud: Cloud, networks: list[Any]) -> None:
    assert names(cloud, "name=a&name=c") == ["a", "c", "a"]
    assert names(cloud, "name=a&mtu=1401") == ["a"]
    assert names(cloud, "name=a&mtu=1400") == []
    assert names(cloud, f"id={networks[2]['id']}&id={networks[4]['id']}") == ["c", "e"]
    assert names(cloud, "admin_state_up=true") == names(cloud, "admin_state_up=1") != []
    assert names(cloud, "admin_state_up=False") == []
    assert names(cloud, "name=") == []
    assert len(names(cloud, "unknown=1")) == len(NAMES)


def test_empty_names_are_found(cloud: Cloud) -> None:
    cloud.admin.post("/v2.0/networks", {"network": {}})
    assert names(cloud, "name=") == [""]


def test_changed_since(cloud: Cloud, networks: list[Any]) -> None:
    assert names(cloud, f"changed_since={networks[5]['updated_at']}") == ["d", "b"]


def test_fields(cloud: Cloud, networks: list[Any]) -> None:
    listed = cloud.admin.get("/v2.0/networks?fields=id&fields=name&fields=nonsense")
    assert all(set(each) == {"id", "name"} for each in listed.json["networks"])
    one = cloud.admin.get(f"/v2.0/networks/{networks[0]['id']}?fields=mtu").json
    assert one == {"network": {"mtu": 1400}}


def test_order(cloud: Cloud, networks: list[Any]) -> None:
    assert names(cloud, "sort_key=name") == sorted(NAMES)
    assert names(cloud, "sort_key=name&sort_dir=desc") == sorted(NAMES, reverse=True)
    two = cloud.admin.get("/v2.0/networks?sort_key=name&sort_dir=asc&sort_key=mtu&sort_dir=desc")
    assert [(each["name"], each["mtu"]) for each in two.json["networks"]] == sorted(
        ((each["name"], each["mtu"]) for each in networks), key=lambda pair: (pair[0], -pair[1]))


@pytest.mark.parametrize("query", [
    "sort_key=colour", "sort_key=subnets", "sort_key=name&sort_dir=up",
    "sort_key=name&sort_key=id&sort_dir=asc", "limit=x", "limit=-1", "limit=1.5",
    "limit=99999999999999999999", "marker=nothing", "limit=2&marker=" + "x" * 3000])
def test_wrong_queries(cloud: Cloud, networks: list[Any], query: str) -> None:
    assert cloud.admin.get(f"/v2.0/networks?{query}").error == (400, "HTTPBadRequest")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("order", ["", "&sort_key=name", "&sort_key=name&sort_dir=desc"])
def test_pages_forth_and_back(cloud: Cloud, networks: list[Any], limit: int, order: str) -> None:
    """Following the links sees each row once, in either direction."""
    whole = cloud.admin.get(f"/v2.0/networks?sort_key=id{order}" if not order
                            else f"/v2.0/networks?{order[1:]}").json["networks"]
    target, forth, pages = f"/v2.0/networks?limit={limit}{order}", [], []
    while target:
        page = cloud.admin.get(target).json
        pages.append(page["networks"])
        forth += page["networks"]
        links = {link["rel"]: link["href"] for link in page.get("networks_links", [])}
        target = _target(links.get("next"))
        last = links
    assert forth == whole
    assert all(len(page) <= limit for page in pages)
    back = pages[-1]
    target = _target(last.get("previous"))
    while target:
        page = cloud.admin.get(target).json
        back = page["networks"] + back
        links = {link["rel"]: link["href"] for link in page.get("networks_links", [])}
        target = _target(links.get("previous"))
    assert back == whole


def _target(href: str | None) -> str:
    if href is None:
        return ""
    parts = urlsplit(href)
    assert parts.netloc == "controller:9696"
    return f"{parts.path}?{parts.query}"


def test_a_marker_need_not_match(cloud: Cloud, networks: list[Any]) -> None:
    query = f"name=a&limit=5&marker={networks[2]['id']}"
    found = cloud.admin.get(f"/v2.0/networks?{query}").json["networks"]
    assert [each["id"] for each in found] == [networks[3]["id"]]


def test_revision_conditions(cloud: Cloud, networks: list[Any]) -> None:
    target = f"/v2.0/networks/{networks[0]['id']}"

    def change(condition: str, name: str) -> Any:
        return cloud.admin.put(target, {"network": {"name": name}},
                               headers={"If-Match": condition})
    assert change("revision_number=1", "new").json["network"]["revision_number"] == 2
    late = change("revision_number=1", "newer")
    assert late.error == (412, "RevisionNumberConstraintFailed")
    assert late.message == "Constrained to 1, but current revision is 2"
    assert change("rubbish", "newer").error == (400, "HTTPBadRequest")
    refused = cloud.admin.delete(target, headers={"If-Match": "revision_number=1"})
    assert refused.status == 412
    assert cloud.admin.delete(target, headers={"If-Match": "revision_number=2"}).status == 204


def test_timestamps(cloud: Cloud, networks: list[Any]) -> None:
    assert networks[0]["created_at"] == "2026-11-21T12:01:00Z"
    cloud.bench.pass_time(3600)
    new = cloud.admin.put(f"/v2.0/networks/{networks[0]['id']}",
                          {"network": {"description": "x"}}).json["network"]
    assert new["created_at"] == networks[0]["created_at"]
    assert new["updated_at"] == "2026-11-21T13:07:00Z"
