"""Fields: named bit ranges of registers and packet headers.

Owns the names, widths, positions and prerequisites of everything a rule may match, load or move.
Refuses overlapping registers: two fields may share bits only if they say so by living in
different stages (checked by `check_registers`, which `layout` calls at import).

The one idea: a `Field` is what people read, a *carrier* is what the switch has. A test on a field
becomes a triple (carrier, value, mask), so that a rule that was read back from a switch compares
equal to the rule that was sent, whatever fields share the carrier.

Carriers carry the names of ovs-fields(7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

Test = tuple[str, int, int]
"""(carrier, value, mask): the bits of `carrier` under `mask` equal `value`."""

Match = tuple[Test, ...]
"""Tests sorted by carrier, each carrier once."""

CARRIER_WIDTH: dict[str, int] = {
    "in_port": 32,
    "metadata": 64,
    "tun_id": 64,
    "tun_src": 32,
    "tun_dst": 32,
    "eth_src": 48,
    "eth_dst": 48,
    "eth_type": 16,
    "vlan_vid": 13,
    "ip_proto": 8,
    "ipv4_src": 32,
    "ipv4_dst": 32,
    "arp_op": 16,
    "arp_spa": 32,
    "arp_tpa": 32,
    "arp_sha": 48,
    "arp_tha": 48,
    **{f"reg{number}": 32 for number in range(16)},
}
"""Every carrier of the pipeline and its width in bits (ovs-fields(7))."""


class Stage(IntEnum):
    """The stages a packet passes, in order; a table's number is its stage plus its slot."""

    CLASSIFY = 0
    GUARD = 10
    SERVICE = 20
    FROM_PORT = 30
    BALANCE = 40
    ROUTE = 50
    SWITCH = 70
    TO_PORT = 80
    DELIVER = 90


@dataclass(frozen=True, slots=True)
class Field:
    """A named bit range: `width` bits of `carrier`, from bit `offset` up.

    `live` is the first and the last stage in which the bits belong to this field; a header field
    is always live. `requires` are the tests without which the switch refuses a match on it
    (OpenFlow 1.3.5, 7.2.3.6: prerequisites).
    """

    name: str
    carrier: str
    width: int
    offset: int = 0
    live: tuple[Stage, Stage] | None = None
    requires: Match = ()
    purpose: str = ""

    @property
    def bits(self) -> int:
        """The bits of the carrier that the field occupies, as a mask."""
        return ((1 << self.width) - 1) << self.offset

    def equals(self, value: int) -> Test:
        """The test that the field holds `value`; ValueError if it cannot."""
        if value < 0 or value >> self.width:
            raise ValueError(f"{self.name}: {value:#x} does not fit {self.width} bits")
        return (self.carrier, value << self.offset, self.bits)

    def masked(self, value: int, mask: int) -> Test:
        """The test that the field's bits under `mask` equal those of `value`."""
        if mask < 0 or mask >> self.width:
            raise ValueError(f"{self.name}: mask {mask:#x} does not fit {self.width} bits")
        return (self.carrier, (value & mask) << self.offset, mask << self.offset)


def match(*tests: Test, requires: Match = ()) -> Match:
    """Unite tests into a canonical match; ValueError when two contradict each other."""
    united: dict[str, tuple[int, int]] = {}
    for carrier, value, mask in (*requires, *tests):
        if carrier in united:
            other, other_mask = united[carrier]
            if (value ^ other) & mask & other_mask:
                raise ValueError(f"{carrier}: contradictory tests")
            value, mask = value | other, mask | other_mask
        united[carrier] = (value, mask)
    return tuple(sorted((carrier, value, mask) for carrier, (value, mask) in united.items()))


ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806

ETH_TYPE = Field("eth_type", "eth_type", 16)
_IPV4: Match = (ETH_TYPE.equals(ETHERTYPE_IPV4),)
_ARP: Match = (ETH_TYPE.equals(ETHERTYPE_ARP),)

SWITCH_PORT = Field("in_port", "in_port", 32, purpose="OpenFlow port the packet came in by")
TUNNEL_ID = Field("tun_id", "tun_id", 64, purpose="segment (VNI) a tunnel carries")
TUNNEL_SOURCE = Field("tun_src", "tun_src", 32)
TUNNEL_DESTINATION = Field("tun_dst", "tun_dst", 32)
ETH_SRC = Field("eth_src", "eth_src", 48)
ETH_DST = Field("eth_dst", "eth_dst", 48)
VLAN = Field("vlan_vid", "vlan_vid", 13, purpose="0: no 802.1Q tag (OpenFlow 1.3.5, 7.2.3.7)")
IPV4_SRC = Field("ipv4_src", "ipv4_src", 32, requires=_IPV4)
IPV4_DST = Field("ipv4_dst", "ipv4_dst", 32, requires=_IPV4)
IP_PROTOCOL = Field("ip_proto", "ip_proto", 8, requires=_IPV4)
ARP_OPERATION = Field("arp_op", "arp_op", 16, requires=_ARP)
ARP_SENDER_IP = Field("arp_spa", "arp_spa", 32, requires=_ARP)
ARP_TARGET_IP = Field("arp_tpa", "arp_tpa", 32, requires=_ARP)
ARP_SENDER_MAC = Field("arp_sha", "arp_sha", 48, requires=_ARP)
ARP_TARGET_MAC = Field("arp_tha", "arp_tha", 48, requires=_ARP)

ALWAYS = (Stage.CLASSIFY, Stage.DELIVER)

NETWORK = Field("network", "metadata", 32, live=ALWAYS,
                purpose="key of the network that owns the packet")
FROM_TUNNEL = Field("from_tunnel", "reg10", 1, 0, live=ALWAYS,
                    purpose="came from another chassis: may only go to a local port")
ENCAPSULATION = Field("encapsulation", "reg10", 3, 4, live=ALWAYS,
                      purpose="overlay type that the network prefers")
OUT_CHASSIS = Field("out_chassis", "reg9", 32, live=(Stage.SWITCH, Stage.DELIVER),
                    purpose="key of the chassis that holds the destination")
IN_PORT = Field("in_port_key", "reg14", 32, live=ALWAYS,
                purpose="key of the port that sent the packet, 0 from a tunnel")
OUT_PORT = Field("out_port_key", "reg15", 32, live=(Stage.SWITCH, Stage.DELIVER),
                 purpose="key of the port that receives the packet")

HEADERS: tuple[Field, ...] = (
    SWITCH_PORT, TUNNEL_ID, TUNNEL_SOURCE, TUNNEL_DESTINATION, ETH_SRC, ETH_DST, ETH_TYPE, VLAN,
    IPV4_SRC, IPV4_DST, IP_PROTOCOL, ARP_OPERATION, ARP_SENDER_IP, ARP_TARGET_IP,
    ARP_SENDER_MAC, ARP_TARGET_MAC,
)
REGISTERS: tuple[Field, ...] = (
    NETWORK, FROM_TUNNEL, ENCAPSULATION, OUT_CHASSIS, IN_PORT, OUT_PORT,
)


def check_registers(fields: tuple[Field, ...]) -> None:
    """ValueError when a field leaves its carrier, or shares live bits with another."""
    for number, field in enumerate(fields):
        if field.carrier not in CARRIER_WIDTH or field.bits >> CARRIER_WIDTH[field.carrier]:
            raise ValueError(f"{field.name}: leaves its carrier {field.carrier}")
        if field.live is None or field.live[0] > field.live[1]:
            raise ValueError(f"{field.name}: a register needs the stages it lives in")
        for other in fields[:number]:
            assert other.live is not None
            apart = field.live[1] < other.live[0] or other.live[1] < field.live[0]
            if field.carrier == other.carrier and field.bits & other.bits and not apart:
                raise ValueError(f"{field.name} and {other.name} share bits of {field.carrier}")
