"""Numbers of the wire: OpenFlow 1.3.5, Nicira's extensions, ONF's bundles and flow monitors.

Owns names for numbers and the few structures that several modules share; knows no behaviour.
Section numbers are those of the OpenFlow Switch Specification 1.3.5; `nicira-ext.h`, `ofp-msgs.h`
and `ofp-errors.h` are Open vSwitch's headers; EXT-230 and EXT-187 are ONF extensions for 1.3.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

VERSION: Final = 0x04
HEADER = Struct("!BBHI")
"""version, type, length, xid (7.1)."""
MAX_MESSAGE: Final = 0xFFFF

# Message types (7.1.1).
HELLO: Final = 0
ERROR: Final = 1
ECHO_REQUEST: Final = 2
ECHO_REPLY: Final = 3
EXPERIMENTER: Final = 4
FEATURES_REQUEST: Final = 5
FEATURES_REPLY: Final = 6
PACKET_IN: Final = 10
FLOW_REMOVED: Final = 11
PORT_STATUS: Final = 12
PACKET_OUT: Final = 13
FLOW_MOD: Final = 14
GROUP_MOD: Final = 15
MULTIPART_REQUEST: Final = 18
MULTIPART_REPLY: Final = 19
BARRIER_REQUEST: Final = 20
BARRIER_REPLY: Final = 21
METER_MOD: Final = 29

# Multipart types (7.3.5).
MP_DESC: Final = 0
MP_FLOW: Final = 1
MP_GROUP_DESC: Final = 7
MP_METER_CONFIG: Final = 10
MP_PORT_DESC: Final = 13
MP_EXPERIMENTER: Final = 0xFFFF
MP_MORE: Final = 1

# Ports (7.2.1) and other "any" values.
PORT_MAX: Final = 0xFFFFFF00
PORT_IN_PORT: Final = 0xFFFFFFF8
PORT_TABLE: Final = 0xFFFFFFF9
PORT_CONTROLLER: Final = 0xFFFFFFFD
PORT_LOCAL: Final = 0xFFFFFFFE
PORT_ANY: Final = 0xFFFFFFFF
GROUP_ANY: Final = 0xFFFFFFFF
METER_ALL: Final = 0xFFFFFFFF
NO_BUFFER: Final = 0xFFFFFFFF
TABLE_ALL: Final = 0xFF

# Flow mods (7.3.4.1).
FLOW_ADD: Final = 0
FLOW_DELETE_STRICT: Final = 4
FLOW_MOD_BODY = Struct("!QQBBHHHIIIHxx")
"""cookie, cookie_mask, table, command, idle, hard, priority, buffer, out_port, out_group, flags."""

# Group mods (7.3.4.2); ADD_OR_MOD is Open vSwitch's own (openflow-1.1.h).
GROUP_ADD_OR_MODIFY: Final = 0x8000
GROUP_DELETE: Final = 2
GROUP_MOD_BODY = Struct("!HBxI")
"""command, type, group."""
GROUP_TYPES: Final = {"all": 0, "select": 1, "indirect": 2}
BUCKET = Struct("!HHII4x")
"""length, weight, watch_port, watch_group."""

# Meter mods (7.3.4.3).
METER_ADD: Final = 0
METER_MODIFY: Final = 1
METER_DELETE: Final = 2
METER_PACKETS: Final = 1 << 1
METER_BURST: Final = 1 << 2
METER_STATS: Final = 1 << 3
METER_MOD_BODY = Struct("!HHI")
"""command, flags, meter."""
BAND_DROP: Final = 1
BAND = Struct("!HHII4x")
"""type, length, rate, burst."""

PACKET_OUT_BODY = Struct("!IIH6x")
"""buffer, in_port, length of actions (7.3.6)."""

# Instructions (7.2.4).
INSTRUCTION_GOTO: Final = 1
INSTRUCTION_APPLY: Final = 4
INSTRUCTION_METER: Final = 6

# Actions (7.2.5).
ACTION_OUTPUT: Final = 0
ACTION_GROUP: Final = 22
ACTION_SET_FIELD: Final = 25
ACTION_EXPERIMENTER: Final = 0xFFFF

# Nicira (nicira-ext.h).
NICIRA: Final = 0x00002320
NXAST_REG_MOVE: Final = 6
NXAST_REG_LOAD: Final = 7
NXAST_RESUBMIT_TABLE: Final = 14
NX_IN_PORT: Final = 0xFFF8
NXT_TLV_TABLE_REQUEST: Final = 25
NXT_TLV_TABLE_REPLY: Final = 26
NXT_PACKET_IN2: Final = 30

# ONF: bundles (EXT-230) and flow monitors (EXT-187) for OpenFlow 1.3 (ofp-msgs.h).
ONF: Final = 0x4F4E4600
ONF_BUNDLE_CONTROL: Final = 2300
ONF_BUNDLE_ADD: Final = 2301
ONF_FLOW_MONITOR: Final = 1870
ONF_MONITOR_PAUSED: Final = 1871
ONF_MONITOR_RESUMED: Final = 1872
EXPERIMENTER_HEADER = Struct("!II")
"""experimenter, type."""

BUNDLE_CONTROL = Struct("!IHH")
"""bundle, type, flags."""
BUNDLE_ADD = Struct("!IxxH")
"""bundle, flags; the message follows."""
BUNDLE_OPEN: Final = 0
BUNDLE_CLOSE: Final = 2
BUNDLE_COMMIT: Final = 4
BUNDLE_DISCARD: Final = 6
BUNDLE_REPLY: Final = 1
"""Added to a request's type, gives its reply's."""
BUNDLE_ATOMIC_ORDERED: Final = 1 | 2

MONITOR_REQUEST = Struct("!IHHIB3x")
"""id, flags, length of match, out_port, table."""
MONITOR_ADD: Final = 1 << 1
MONITOR_DELETE: Final = 1 << 2
MONITOR_MODIFY: Final = 1 << 3
UPDATE = Struct("!HHHHHHHBxQ")
"""length, event, reason, priority, idle, hard, length of match, table, cookie."""
UPDATE_ADDED: Final = 0
UPDATE_DELETED: Final = 1
UPDATE_MODIFIED: Final = 2
UPDATE_ABBREVIATED: Final = 3

MATCH_OXM: Final = 1
EMPTY_MATCH: Final = b"\x00\x01\x00\x04\x00\x00\x00\x00"
