"""What a hypervisor's administrator wrote into `Open_vSwitch.external_ids`, checked.

Owns the meaning of the keys by which a hypervisor joins. A value that makes no sense never stops
the rest: it is left out and named in `problems`, one plain line each, to be logged and shown.
Pure functions only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from controller.southbound.ovsdb.replica import Row

INTEGRATION_BRIDGE = "br-int"
ENCAP_TYPES = ("vxlan", "geneve", "gre")
DATAPATH_TYPES = ("system", "netdev")
MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Settings:
    """One chassis as it announces itself. `encap_types` is empty when `encap_ip` is."""

    system_id: str
    hostname: str
    encap_ip: str
    encap_types: tuple[str, ...]
    datapath_type: str
    bridge_mappings: tuple[tuple[str, str], ...]
    ovs_version: str
    problems: tuple[str, ...]


def read_settings(database_id: str, row: Row) -> Settings:
    """The settings in the one row of Open_vSwitch, whose UUID is `database_id`.

    A database without a system-id still has that UUID, which lasts as long as the database.
    """
    keys = row["external_ids"]
    problems: list[str] = []
    system_id = _name(keys, "system-id", problems)
    if not system_id:
        problems.append("external_ids has no usable system-id: known by its database's UUID")
    encap_ip = _encap_ip(keys, problems)
    return Settings(
        system_id=system_id or database_id,
        hostname=_name(keys, "hostname", problems),
        encap_ip=encap_ip,
        encap_types=_encap_types(keys, problems) if encap_ip else (),
        datapath_type=_datapath_type(keys, problems),
        bridge_mappings=_bridge_mappings(keys, problems),
        ovs_version=_name({"ovs_version": row["ovs_version"] or ""}, "ovs_version", problems),
        problems=tuple(problems),
    )


def _shown(value: str) -> str:
    """A peer's text for a log line: on one line, and not long."""
    return repr(value if len(value) <= 80 else value[:80] + "...")


def _name(keys: Mapping[str, str], key: str, problems: list[str]) -> str:
    value: str = keys.get(key, "").strip()
    if len(value) <= MAX_NAME and value.isprintable():
        return value
    problems.append(f"{key} {_shown(value)} is not a name")
    return ""


def _encap_ip(keys: Row, problems: list[str]) -> str:
    text = keys.get("tenet-encap-ip", "").strip()
    if not text:
        problems.append("no tenet-encap-ip: reaches no other chassis")
        return ""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        problems.append(f"tenet-encap-ip {_shown(text)} is not an IPv4 address: no tunnels")
        return ""
    if address.is_multicast or address.is_reserved or address.is_unspecified:
        problems.append(f"tenet-encap-ip {address} is not the address of a host: no tunnels")
        return ""
    return str(address)


def _list(keys: Row, key: str) -> list[str]:
    return [word for word in (part.strip() for part in keys.get(key, "").split(",")) if word]


def _encap_types(keys: Row, problems: list[str]) -> tuple[str, ...]:
    """In the order of preference that the hypervisor gives; vxlan when it says nothing."""
    wanted = _list(keys, "tenet-encap-type") or [ENCAP_TYPES[0]]
    known = tuple(dict.fromkeys(word for word in wanted if word in ENCAP_TYPES))
    for word in wanted:
        if word not in ENCAP_TYPES:
            problems.append(f"tenet-encap-type {_shown(word)} is none of {', '.join(ENCAP_TYPES)}")
    if not known:
        problems.append("no usable tenet-encap-type: no tunnels")
    return known


def _datapath_type(keys: Row, problems: list[str]) -> str:
    text: str = keys.get("tenet-datapath-type", "").strip()
    if text in ("", *DATAPATH_TYPES):
        return text or DATAPATH_TYPES[0]
    problems.append(f"tenet-datapath-type {_shown(text)} is neither system nor netdev: system")
    return DATAPATH_TYPES[0]


def _bridge_mappings(keys: Row, problems: list[str]) -> tuple[tuple[str, str], ...]:
    """`physnet:bridge` pairs; each side at most once, and never br-int."""
    mappings: dict[str, str] = {}
    for word in _list(keys, "tenet-bridge-mappings"):
        network, colon, bridge = (part.strip() for part in word.partition(":"))
        if not (network and colon and bridge) or not word.isprintable() or len(word) > MAX_NAME:
            problems.append(f"tenet-bridge-mappings: {_shown(word)} is not network:bridge")
        elif network in mappings or bridge in mappings.values():
            problems.append(f"tenet-bridge-mappings: {_shown(word)} names something twice")
        elif bridge == INTEGRATION_BRIDGE:
            problems.append(f"tenet-bridge-mappings: {bridge} cannot be a mapped bridge")
        else:
            mappings[network] = bridge
    return tuple(mappings.items())
