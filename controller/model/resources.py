"""Resources: frozen rows of one kind each.

Owns the shape of every row. A row names in `buckets` the index buckets that it lies in; reading a
bucket is how a feature asks for "all ports of this network", and what marks a unit for re-running.

Asked-for kinds come from the API and survive restarts. Observed kinds (`Chassis`, `Interface`)
come from switches and survive as hints. Derived kinds (`Binding`, `Presence`) follow from the
others within the same transaction (see `placement`) and are never stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar, NewType

Mac = NewType("Mac", str)
"""An Ethernet address in canonical form: six lower-case pairs joined by colons."""

Bucket = tuple[object, ...]
"""(index name, value, ...): a place in a secondary index of one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A tenant. `id` is 32 hexadecimal digits, as Keystone's."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    name: str
    description: str = ""
    enabled: bool = True

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("name", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who logs in. `password_hash` is argon2id's encoded form."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    name: str
    password_hash: str
    default_project_id: str | None = None
    description: str = ""
    email: str = ""
    enabled: bool = True

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("name", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    """`role` (admin, member or reader) of a user on a project. `id` is user/project/role."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    user_id: str
    project_id: str
    role: str

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("user", self.user_id)
        yield ("project", self.project_id)
        yield ("user project", self.user_id, self.project_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An isolated Ethernet segment. `key` is its number inside switches, `segmentation_id` (the
    VNI) its number between them; a `local` network has none and stays on each chassis."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    project_id: str
    key: int
    network_type: str
    segmentation_id: int | None
    mtu: int
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    shared: bool = False
    port_security_enabled: bool = True
    revision_number: int = 0
    created_at: str = ""
    updated_at: str = ""

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("name", self.name)
        yield ("project", self.project_id)
        yield ("key", self.key)
        if self.shared:
            yield ("shared",)
        if self.segmentation_id is not None:
            yield ("segment", self.segmentation_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """Addresses of a network. `allocation_pools` are inclusive (first, last) pairs."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    project_id: str
    network_id: str
    cidr: IPv4Network
    gateway_ip: IPv4Address | None
    allocation_pools: tuple[tuple[IPv4Address, IPv4Address], ...]
    name: str = ""
    description: str = ""
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    revision_number: int = 0
    created_at: str = ""
    updated_at: str = ""

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("name", self.name)
        yield ("project", self.project_id)
        yield ("network", self.network_id)


@dataclass(frozen=True, slots=True)
class FixedIp:
    """An address of a port and the subnet that it comes from."""

    subnet_id: str
    ip_address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where a machine meets a network. `key` is its number inside switches. `host` is the chassis
    that it is asked to be on (binding:host_id), empty for wherever its interface shows up."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    project_id: str
    network_id: str
    key: int
    mac: Mac
    fixed_ips: tuple[FixedIp, ...] = ()
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    device_id: str = ""
    device_owner: str = ""
    host: str = ""
    vnic_type: str = "normal"
    profile: str = "{}"
    port_security_enabled: bool = True
    revision_number: int = 0
    created_at: str = ""
    updated_at: str = ""

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("name", self.name)
        yield ("project", self.project_id)
        yield ("network", self.network_id)
        yield ("mac", self.network_id, self.mac)
        yield ("key", self.key)
        if self.device_id:
            yield ("device", self.device_id)
        if self.host:
            yield ("host", self.host)
        for fixed in self.fixed_ips:
            yield ("subnet", fixed.subnet_id)
            yield ("address", fixed.subnet_id, fixed.ip_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chassis:
    """A hypervisor, as its OVSDB describes it. `id` is its system-id, `tunnel_ports` the OpenFlow
    port of each overlay type that its bridge has, `encap_types` what it offers, best first."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    key: int
    hostname: str = ""
    encap_ip: IPv4Address | None = None
    encap_types: tuple[str, ...] = ("vxlan",)
    datapath_id: int | None = None
    tunnel_ports: tuple[tuple[str, int], ...] = ()
    bridge_mappings: tuple[tuple[str, str], ...] = ()
    ovs_version: str = ""
    problems: tuple[str, ...] = ()

    def buckets(self) -> Iterator[Bucket]:
        yield ("all",)
        yield ("key", self.key)
        if self.hostname:
            yield ("hostname", self.hostname)
        if self.datapath_id is not None:
            yield ("datapath", self.datapath_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A virtual interface seen on a chassis, with the port it claims. `id` is chassis/name;
    `seen` grows with each new sighting, so that of two claims the newer is known."""

    PERSISTENT: ClassVar[bool] = True
    id: str
    chassis_id: str
    name: str
    iface_id: str
    ofport: int
    seen: int

    def buckets(self) -> Iterator[Bucket]:
        yield ("chassis", self.chassis_id)
        yield ("iface", self.iface_id)
        yield ("ofport", self.chassis_id, self.ofport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Derived: the port `id` is plugged into `chassis_id` at OpenFlow port `ofport`."""

    PERSISTENT: ClassVar[bool] = False
    id: str
    network_id: str
    chassis_id: str
    ofport: int

    def buckets(self) -> Iterator[Bucket]:
        yield ("chassis", self.chassis_id)
        yield ("network", self.network_id)
        yield ("network chassis", self.network_id, self.chassis_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Derived: at least one port of the network is plugged into the chassis."""

    PERSISTENT: ClassVar[bool] = False
    id: str
    network_id: str
    chassis_id: str

    def buckets(self) -> Iterator[Bucket]:
        yield ("network", self.network_id)
        yield ("chassis", self.chassis_id)


Row = (Project | User | RoleAssignment | Network | Subnet | Port | Chassis | Interface | Binding
       | Presence)
KINDS: tuple[type[Row], ...] = (
    Project, User, RoleAssignment, Network, Subnet, Port, Chassis, Interface, Binding, Presence,
)
