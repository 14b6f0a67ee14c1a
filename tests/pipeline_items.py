"""What random tests of the codec draw from: rules, groups and meters of every kind.

`rules` and friends draw anything that OpenFlow can say, sensible or not. `acceptable_items` makes
many items that a real switch takes: prerequisites are met, groups exist before they are used.
"""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from controller.pipeline.actions import (
    Action, Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.fields import CARRIER_WIDTH, Match, Test
from controller.pipeline.rule import Bucket, Group, Item, Meter, Rule

UNMASKABLE = {"in_port", "eth_type", "ip_proto", "arp_op"}
CARRIER_NAMES = sorted(CARRIER_WIDTH)


@st.composite
def carrier_tests(draw: st.DrawFn, name: str) -> Test:
    """A test of some or all bits of a carrier."""
    full = (1 << CARRIER_WIDTH[name]) - 1
    mask = full
    if name not in UNMASKABLE and draw(st.booleans()):
        mask = draw(st.integers(1, full))
    return (name, draw(st.integers(0, full)) & mask, mask)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    """A match on up to six carriers."""
    names = draw(st.lists(st.sampled_from(CARRIER_NAMES), unique=True, max_size=6))
    return tuple(draw(carrier_tests(name)) for name in sorted(names))


@st.composite
def places(draw: st.DrawFn, width: int | None = None) -> tuple[str, int, int]:
    """Carrier, offset and width of some bits."""
    fitting = [name for name in CARRIER_NAMES if width is None or CARRIER_WIDTH[name] >= width]
    name = draw(st.sampled_from(fitting))
    if width is None:
        width = draw(st.one_of(st.just(CARRIER_WIDTH[name]), st.integers(1, CARRIER_WIDTH[name])))
    return name, draw(st.integers(0, CARRIER_WIDTH[name] - width)), width


@st.composite
def loads(draw: st.DrawFn) -> Load:
    """A load of any bits of any carrier."""
    name, offset, width = draw(places())
    return Load(name, offset, width, draw(st.integers(0, (1 << width) - 1)))


@st.composite
def moves(draw: st.DrawFn) -> Move:
    """A move between any carriers."""
    source, source_offset, width = draw(places())
    target, target_offset, _ = draw(places(width))
    return Move(source, source_offset, target, target_offset, width)


output_ports = st.one_of(st.integers(1, 0xFEFF), st.sampled_from((0xFFFFFFFE, 0xFFFFFFFD)))
tables = st.integers(0, 254)
plain_actions = st.one_of(
    loads(), moves(), st.builds(Output, output_ports), st.just(Return()),
    st.builds(ToGroup, st.integers(0, 0xFFFFFF00 - 1)), st.builds(Subroutine, tables))
bucket_actions = st.lists(plain_actions, max_size=5).map(tuple)


@st.composite
def rule_actions(draw: st.DrawFn) -> Actions:
    """Police, plain actions, goto: each may be missing."""
    police = draw(st.one_of(st.just(()), st.tuples(st.builds(Police, st.integers(1, 0xFFFF0000)))))
    goto = draw(st.one_of(st.just(()), st.tuples(st.builds(Goto, tables))))
    return (*police, *draw(bucket_actions), *goto)


rules = st.builds(Rule, tables, st.integers(0, 0xFFFF), matches(), rule_actions(),
                  st.integers(0, (1 << 64) - 1))
groups = st.builds(
    Group, st.integers(0, 0xFFFFFF00 - 1), st.sampled_from(("all", "select", "indirect")),
    st.lists(st.builds(Bucket, bucket_actions, st.integers(0, 0xFFFF)), max_size=4).map(tuple))
meters = st.builds(Meter, st.integers(1, 0xFFFF0000), st.integers(0, 0xFFFFFFFF),
                   st.integers(0, 0xFFFFFFFF))
items = st.one_of(rules, groups, meters)


_FREE = ("in_port", "metadata", "tun_id", "tun_src", "tun_dst", "eth_src", "eth_dst", "vlan_vid",
         "reg0", "reg5", "reg9", "reg10", "reg14", "reg15")
_ARP = ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha")
_IPV4 = ("ip_proto", "ipv4_src", "ipv4_dst")
_WRITABLE = ("metadata", "tun_id", "tun_src", "tun_dst", "eth_src", "eth_dst",
             *(f"reg{number}" for number in range(16)))


def _acceptable_test(random: Random, name: str) -> Test:
    full = (1 << CARRIER_WIDTH[name]) - 1
    if name == "in_port":
        return (name, random.randrange(1, 0xFEFF), full)
    if name == "arp_op":
        return (name, random.randrange(1, 3), full)
    if name == "vlan_vid":
        return (name, random.choice((0, 0x1000 | random.randrange(1, 4095))), full)
    mask = full if name in UNMASKABLE or random.random() < 0.6 else random.randint(1, full)
    return (name, random.randint(0, full) & mask, mask)


def _acceptable_actions(random: Random, writable: tuple[str, ...], groups: int,
                        table: int) -> Actions:
    actions: list[Action] = []
    for _ in range(random.randrange(4)):
        name = random.choice(writable)
        width = random.choice((CARRIER_WIDTH[name], random.randint(1, CARRIER_WIDTH[name])))
        if name == "arp_op":
            width = CARRIER_WIDTH[name]
        offset = random.randint(0, CARRIER_WIDTH[name] - width)
        if random.random() < 0.7:
            # Open vSwitch knows ARP operations of eight bits only.
            bits = 8 if name == "arp_op" else width
            actions.append(Load(name, offset, width, random.getrandbits(bits)))
        else:
            source = random.choice([other for other in writable if CARRIER_WIDTH[other] >= width])
            actions.append(Move(source, random.randint(0, CARRIER_WIDTH[source] - width),
                                name, offset, width))
    last = random.choice((Output(random.randrange(1, 0xFE00)), Output(0xFFFFFFFE), Return(),
                          ToGroup(random.randrange(groups)), Subroutine(random.randrange(254))))
    if random.random() < 0.6:
        actions.append(last)
    if random.random() < 0.5 and table < 250:
        actions.append(Goto(random.randrange(table + 1, 251)))
    return tuple(actions)


def acceptable_items(count: int, seed: int = 7, groups: int = 20, meters: int = 20) -> list[Item]:
    """`count` rules with other keys each, groups and meters that Open vSwitch accepts together."""
    random = Random(seed)
    made: list[Item] = [Meter(number, random.randint(1, 10**6), random.choice((0, 5, 10**5)))
                        for number in range(1, meters + 1)]
    for number in range(groups):
        kind = random.choice(("all", "select", "indirect"))
        buckets = [Bucket(_acceptable_actions(random, _WRITABLE, 1, 255)[:2],
                          random.randint(1, 100) if kind == "select" else 0)
                   for _ in range(1 if kind == "indirect" else random.randrange(6))]
        made.append(Group(number, kind, tuple(  # type: ignore[arg-type]
            Bucket(tuple(action for action in bucket.actions if not isinstance(action, ToGroup)),
                   bucket.weight) for bucket in buckets)))
    keys = set()
    while len(made) < count + groups + meters:
        family, kind = random.choice((((), 0), (_ARP, 0x0806), (_IPV4, 0x0800)))
        names = set(random.sample(_FREE, random.randrange(4)))
        names |= set(random.sample(family, random.randrange(len(family) + 1)))
        tests = [_acceptable_test(random, name) for name in names]
        if kind:
            tests.append(("eth_type", kind, 0xFFFF))
        writable = _WRITABLE + tuple(name for name in family if name != "ip_proto")
        table = random.randrange(254)
        actions = _acceptable_actions(random, writable, groups, table)
        if random.random() < 0.1:
            actions = (Police(random.randint(1, meters)), *actions)
        rule = Rule(table, random.randrange(0x10000), tuple(sorted(tests)), actions,
                    random.getrandbits(63))
        if rule.key not in keys:
            keys.add(rule.key)
            made.append(rule)
    return made
