"""Values: the types that attributes have on the wire.

Owns what each may hold. A type turns a JSON value into the model's own, or raises with words that
a caller understands. Nothing here knows which attribute uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from controller.api.faults import quoted
from controller.model.addresses import parse_mac
from controller.model.overlay import NETWORK_TYPES

NO_IPV6 = "IPv6 is not carried yet"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LARGEST_PROFILE = 4095


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} is not a string")
    return value


def _parsed(parse: Callable[[str], object]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(_text(value)))


def _uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a valid UUID")
    return text.lower()


def _address(text: str) -> IPv4Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a valid IP address") from None
    if not isinstance(address, IPv4Address):
        raise ValueError(f"{quoted(text)}: {NO_IPV6}")
    return address


def _cidr(text: str) -> IPv4Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a valid IP subnet") from None
    if not isinstance(network, IPv4Network):
        raise ValueError(f"{quoted(text)}: {NO_IPV6}")
    if "/" not in text or not text.split("/")[1].isdigit():
        raise ValueError(f"{quoted(text)} is not in CIDR form, {network} is recommended")
    return network


def _subnet(text: str) -> IPv4Network:
    network = _cidr(text)
    if network.prefixlen == 0:
        raise ValueError("0 is not allowed as CIDR prefix length")
    if network.is_multicast or network.is_loopback:
        raise ValueError(f"{network} holds no addresses of hosts")
    return network


def _number(value: object) -> object:
    if isinstance(value, (bool, float)):
        raise ValueError(f"{quoted(value)} is not an integer")
    return value


def _version(value: object) -> object:
    number = int(value) if isinstance(value, str) and value.isdigit() else value
    if number == 6 and not isinstance(number, bool):
        raise ValueError(NO_IPV6)
    return _number(number)


def _type(text: str) -> str:
    if text not in NETWORK_TYPES:
        raise ValueError(f"{quoted(text)} networks are not carried; known types: "
                         + ", ".join(NETWORK_TYPES))
    return text


def _profile(value: object) -> object:
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise ValueError(f"{quoted(value)} is not a dictionary")
    if len(json.dumps(value)) > _LARGEST_PROFILE:
        raise ValueError(f"it is longer than {_LARGEST_PROFILE} characters")
    return value


def _no_groups(value: object) -> object:
    if value not in ([], None):
        raise ValueError("security groups are not served yet; only [] is accepted")
    return []


def _empty(value: object) -> object:
    return "" if value is None else value


def _not_external(value: bool) -> bool:
    if value:
        raise ValueError("external networks are not carried yet")
    return value


def _list(value: object) -> object:
    return [] if value is None else value


class FixedIpRequest(BaseModel):
    """An address that is asked for: this one, or any of this subnet."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    subnet_id: Annotated[str, _parsed(_uuid)] | None = None
    ip_address: Annotated[IPv4Address, _parsed(_address)] | None = None


class Pool(BaseModel):
    """An inclusive range of addresses."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    start: Annotated[IPv4Address, _parsed(_address)]
    end: Annotated[IPv4Address, _parsed(_address)]


class HostRoute(BaseModel):
    """A route that hosts learn."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    destination: Annotated[IPv4Network, _parsed(_cidr)]
    nexthop: Annotated[IPv4Address, _parsed(_address)]


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


TEXT = _adapter(Annotated[str, Field(max_length=255)])
REQUIRED_TEXT = _adapter(Annotated[str, Field(min_length=1, max_length=255)])
PROJECT_NAME = _adapter(Annotated[str, Field(min_length=1, max_length=64)])
LONG_TEXT = _adapter(Annotated[str, Field(max_length=65535)])
OPTIONAL_LONG_TEXT = _adapter(Annotated[str, Field(max_length=65535)] | None)
PASSWORD = _adapter(Annotated[str, Field(min_length=1, max_length=4096)])
OR_NULL_TEXT = _adapter(Annotated[str, Field(max_length=255), BeforeValidator(_empty)])
FLAG = _adapter(bool)
NOT_EXTERNAL = _adapter(Annotated[bool, AfterValidator(_not_external)])
UUID = _adapter(Annotated[str, _parsed(_uuid)])
OPTIONAL_ID = _adapter(Annotated[str, Field(min_length=1, max_length=64)] | None)
NULL = _adapter(None)
FALSE = _adapter(Literal[False])
DOMAIN = _adapter(Literal["default"] | None)
EMPTY_LIST = _adapter(Annotated[list[Any], Field(max_length=0)])
EMPTY_OBJECT = _adapter(Annotated[dict[str, Any], Field(max_length=0)])
MTU = _adapter(Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)])
NETWORK_TYPE = _adapter(Annotated[str, _parsed(_type)])
SEGMENT = _adapter(Annotated[int, BeforeValidator(_number), Field(ge=1, lt=1 << 24)] | None)
IP_VERSION = _adapter(Annotated[Literal[4], BeforeValidator(_version)])
CIDR = _adapter(Annotated[IPv4Network, _parsed(_subnet)])
ADDRESS_OR_NULL = _adapter(Annotated[IPv4Address, _parsed(_address)] | None)
POOLS = _adapter(Annotated[list[Pool], Field(max_length=100), BeforeValidator(_list)])
NAMESERVERS = _adapter(Annotated[
    list[Annotated[IPv4Address, _parsed(_address)]],
    Field(max_length=5), BeforeValidator(_list)])
HOST_ROUTES = _adapter(Annotated[list[HostRoute], Field(max_length=20), BeforeValidator(_list)])
MAC = _adapter(Annotated[str, _parsed(parse_mac)])
FIXED_IPS = _adapter(Annotated[list[FixedIpRequest], Field(max_length=5)])
PROFILE = _adapter(Annotated[dict[str, Any], BeforeValidator(_profile)])
VNIC_TYPE = _adapter(Literal["normal"])
NO_GROUPS = _adapter(Annotated[list[str], BeforeValidator(_no_groups)])
