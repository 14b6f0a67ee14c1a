"""Every attribute of every resource, from the declarations themselves."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.application import RESOURCES
from controller.api.attributes import ABSENT, Attribute, Resource
from controller.testing.api import Client, Cloud

EVERY: list[Any] = [
    pytest.param(resource, attribute, id=f"{resource.name}:{attribute.name}")
    for resource in RESOURCES for attribute in resource.attributes]

GIVEN = [each for each in EVERY if "C" in each.values[1].flags]
ON_LISTS = ("fixed_ips", "subnets", "security_groups")
FILTERS = [each for each in EVERY if "F" in each.values[1].flags
           and each.values[1].name not in ON_LISTS]

RIGHT: dict[str, object] = {
    "name": "a name", "description": "words", "project_id": "project-admin",
    "tenant_id": "project-admin", "admin_state_up": False, "shared": True, "mtu": 1400,
    "port_security_enabled": False, "provider:network_type": "geneve",
    "provider:physical_network": None, "provider:segmentation_id": 77, "ip_version": 4,
    "cidr": "10.9.0.0/24", "gateway_ip": None, "enable_dhcp": False,
    "allocation_pools": [{"start": "10.9.0.10", "end": "10.9.0.20"}],
    "dns_nameservers": ["9.9.9.9"],
    "host_routes": [{"destination": "10.1.0.0/16", "nexthop": "10.9.0.5"}],
    "mac_address": "fa:16:3e:01:02:03", "fixed_ips": [], "device_id": "machine",
    "device_owner": "compute:one", "security_groups": [], "binding:host_id": "hv1",
    "binding:profile": {"key": "value"}, "router:external": False,
    "binding:vnic_type": "normal",
}
"""A value for each attribute that may be given, other than its default where there is one."""

WRONG: dict[str, list[object]] = {
    "name": [None, 5, "x" * 256, []], "description": [7, "x" * 256], "project_id": ["", 1],
    "tenant_id": ["", {}], "admin_state_up": ["perhaps", 2, None], "shared": ["perhaps", []],
    "mtu": [-1, "many", 65536, True, 1500.5, 10 ** 30, None],
    "port_security_enabled": ["maybe", None], "provider:network_type": ["vlan", "flat", "x", 1],
    "provider:physical_network": ["physnet1", 0], "provider:segmentation_id": [0, 1 << 24, "x", -1],
    "network_id": ["x", None, 5, "a" * 4000], "ip_version": [6, 5, "six", None, True],
    "cidr": ["10.0.0.0", "10.0.0.0/33", "2001:db8::/64", "0.0.0.0/0", "224.0.0.0/8", 10, None,
             "10.0.0.0/255.255.255.0", "10.0.0.0/24\n"],
    "gateway_ip": ["x", 1, "::1", "10.0.0.256"],
    "allocation_pools": ["x", [{"start": "10.9.0.1"}], [{"start": 1, "end": 2}], [[]],
                         [{"start": "10.9.0.1", "end": "10.9.0.2", "more": 1}]],
    "enable_dhcp": ["perhaps"], "dns_nameservers": ["x", ["x"], [5], ["1.1.1.1"] * 6],
    "host_routes": [[{"destination": "x", "nexthop": "10.0.0.1"}], [{}], 5],
    "mac_address": ["x", "01:00:5e:00:00:01", "00:00:00:00:00:00", 5, None],
    "fixed_ips": ["x", [{"ip_address": "x"}], [{"subnet_id": "x"}], [{"other": 1}], [5], None,
                  [{}] * 6],
    "device_id": [5, "x" * 256], "device_owner": [5, "x" * 256],
    "security_groups": [["default"], "x", 5],
    "binding:host_id": [5, "x" * 256], "binding:profile": ["x", [], {"a": "x" * 5000}],
    "binding:vnic_type": ["direct", 5], "router:external": [True, "x", None],
}


def minimal(resource: Resource[Any], admin: Client) -> dict[str, object]:
    """A body with what is required."""
    if resource.name == "network":
        return {}
    network = admin.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
    more = {"ip_version": 4, "cidr": "10.9.0.0/24"} if resource.name == "subnet" else {}
    return {"network_id": network, **more}


def create(client: Client, resource: Resource[Any], body: object) -> Any:
    return client.post(f"/v2.0/{resource.collection}", {resource.name: body})


@pytest.mark.parametrize(("resource", "attribute"), EVERY)
def test_given_on_create(cloud: Cloud, resource: Resource[Any], attribute: Attribute) -> None:
    body = minimal(resource, cloud.admin)
    if "C" not in attribute.flags:
        answer = create(cloud.admin, resource, body | {attribute.name: "x"})
        assert answer.error == (400, "HTTPBadRequest")
        assert answer.message == f"Attribute '{attribute.name}' not allowed in POST"
        return
    value = body.get(attribute.name, RIGHT.get(attribute.name))
    answer = create(cloud.admin, resource, body | {attribute.name: value})
    assert answer.status == 201, answer.raw
    assert answer.json[resource.name][attribute.name] == value
    again = cloud.admin.get(f"/v2.0/{resource.collection}/{answer.json[resource.name]['id']}")
    assert again.json == answer.json


@pytest.mark.parametrize(("resource", "attribute"), EVERY)
def test_given_on_update(cloud: Cloud, resource: Resource[Any], attribute: Attribute) -> None:
    old = create(cloud.admin, resource, minimal(resource, cloud.admin)).json[resource.name]
    value = RIGHT.get(attribute.name, "x")
    target = f"/v2.0/{resource.collection}/{old['id']}"
    answer = cloud.admin.put(target, {resource.name: {attribute.name: value}})
    if "U" not in attribute.flags:
        assert answer.error == (400, "HTTPBadRequest")
        assert answer.message == f"Cannot update read-only attribute {attribute.name}"
        assert cloud.admin.get(target).json[resource.name] == old
        return
    assert answer.status == 200, answer.raw
    new = answer.json[resource.name]
    assert new[attribute.name] == value
    assert new["revision_number"] == old["revision_number"] + (old[attribute.name] != value)
    assert cloud.admin.put(target, {resource.name: {attribute.name: value}}).json[
        resource.name]["revision_number"] == new["revision_number"]


@pytest.mark.parametrize(("resource", "attribute"), GIVEN)
def test_wrong_values_are_named(cloud: Cloud, resource: Resource[Any], attribute: Attribute
                                ) -> None:
    body = minimal(resource, cloud.admin)
    before = cloud.store.revision
    for value in WRONG[attribute.name]:
        answer = create(cloud.admin, resource, body | {attribute.name: value})
        assert answer.error == (400, "HTTPBadRequest"), (value, answer.raw)
        assert attribute.name in answer.message, answer.message
        assert len(answer.message) < 400
    assert cloud.store.revision == before


@pytest.mark.parametrize(("resource", "attribute"), EVERY)
def test_defaults(cloud: Cloud, resource: Resource[Any], attribute: Attribute) -> None:
    body = minimal(resource, cloud.admin)
    if "!" in attribute.flags:
        answer = create(cloud.admin, resource,
                        {name: value for name, value in body.items() if name != attribute.name})
        assert answer.error == (400, "HTTPBadRequest")
        assert f"Required attribute '{attribute.name}' not specified" in answer.message
        return
    made = create(cloud.admin, resource, body).json[resource.name]
    if attribute.default is not ABSENT and attribute.name != "mtu":
        default = attribute.default
        assert made[attribute.name] == (list(default) if isinstance(default, tuple) else default)
    else:
        assert attribute.name in made


@pytest.mark.parametrize(("resource", "attribute"), EVERY)
def test_kept_from_tenants(cloud: Cloud, resource: Resource[Any], attribute: Attribute) -> None:
    tenant = cloud.user("red", "member")
    body = minimal(resource, tenant)
    made = create(tenant, resource, body).json[resource.name]
    assert (attribute.name in made) == (attribute.show is not None and not attribute.admin_reads)
    if not attribute.admin_writes:
        return
    more = create(tenant, resource, body | {attribute.name: WRONG[attribute.name][0]})
    assert more.error == (403, "PolicyNotAuthorized")
    assert f"create_{resource.name}:{attribute.name}" in more.message
    if "U" in attribute.flags:
        target = f"/v2.0/{resource.collection}/{made['id']}"
        change = tenant.put(target, {resource.name: {attribute.name: RIGHT[attribute.name]}})
        assert change.error == (403, "PolicyNotAuthorized")


@pytest.mark.parametrize(("resource", "attribute"), FILTERS)
def test_filters(cloud: Cloud, resource: Resource[Any], attribute: Attribute) -> None:
    body = minimal(resource, cloud.admin)
    made = create(cloud.admin, resource, body).json[resource.name]
    value = made[attribute.name]
    ask = f"/v2.0/{resource.collection}?{attribute.name}="
    text = "" if value is None else str(value)
    assert made in cloud.admin.get(ask + text).json[resource.collection]
    assert cloud.admin.get(ask + "no-such-value").json[resource.collection] == []
    either = cloud.admin.get(f"{ask}no-such-value&{attribute.name}={text}")
    assert made in either.json[resource.collection]


@pytest.mark.parametrize(("resource", "attribute"), EVERY)
def test_sort_keys(cloud: Cloud, resource: Resource[Any], attribute: Attribute) -> None:
    first = create(cloud.admin, resource, minimal(resource, cloud.admin)).json[resource.name]
    body = minimal(resource, cloud.admin)
    create(cloud.admin, resource, body | {
        name: value for name, value in RIGHT.items()
        if "C" in getattr(resource.by_name.get(name), "flags", "")})
    target = f"/v2.0/{resource.collection}?sort_key={attribute.name}"
    answer = cloud.admin.get(target)
    if "S" not in attribute.flags:
        assert answer.error == (400, "HTTPBadRequest")
        return
    rows = answer.json[resource.collection]
    assert first in rows
    values = [row[attribute.name] for row in rows if row[attribute.name] is not None]
    assert values == sorted(values)
    down = cloud.admin.get(target + "&sort_dir=desc").json[resource.collection]
    falling = [row[attribute.name] for row in down if row[attribute.name] is not None]
    assert falling == sorted(values, reverse=True)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_unknown_attributes(cloud: Cloud, resource: Resource[Any]) -> None:
    body = minimal(resource, cloud.admin)
    answer = create(cloud.admin, resource, body | {"colour": "red", "allowed_address_pairs": []})
    assert answer.error == (400, "HTTPBadRequest")
    assert answer.message == "Unrecognized attribute(s) 'colour, allowed_address_pairs'"


def test_every_name_has_samples() -> None:
    names = {attribute.name for resource in RESOURCES for attribute in resource.attributes
             if "C" in attribute.flags}
    assert names == set(WRONG)
    assert names - {"network_id"} == set(RIGHT)
