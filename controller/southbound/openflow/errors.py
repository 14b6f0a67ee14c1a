"""Names of what a switch refuses: error types and codes as words.

Owns the tables of OpenFlow 1.3.5, 7.4.4, and the experimenters' codes of `ofp-errors.h` that a
session can meet. An unknown number is shown as a number; nothing is refused here.
"""

from __future__ import annotations

_TYPES: dict[int, tuple[str, str]] = {
    0: ("HELLO_FAILED", "INCOMPATIBLE EPERM"),
    1: ("BAD_REQUEST", "BAD_VERSION BAD_TYPE BAD_MULTIPART BAD_EXPERIMENTER BAD_EXPERIMENTER_TYPE "
        "EPERM BAD_LEN BUFFER_EMPTY BUFFER_UNKNOWN BAD_TABLE_ID IS_SLAVE BAD_PORT BAD_PACKET "
        "MULTIPART_BUFFER_OVERFLOW"),
    2: ("BAD_ACTION", "BAD_TYPE BAD_LEN BAD_EXPERIMENTER BAD_EXPERIMENTER_TYPE BAD_OUT_PORT "
        "BAD_ARGUMENT EPERM TOO_MANY BAD_QUEUE BAD_OUT_GROUP MATCH_INCONSISTENT UNSUPPORTED_ORDER "
        "BAD_TAG BAD_SET_TYPE BAD_SET_LEN BAD_SET_ARGUMENT"),
    3: ("BAD_INSTRUCTION", "UNKNOWN_INST UNSUP_INST BAD_TABLE_ID UNSUP_METADATA "
        "UNSUP_METADATA_MASK BAD_EXPERIMENTER BAD_EXPERIMENTER_TYPE BAD_LEN EPERM"),
    4: ("BAD_MATCH", "BAD_TYPE BAD_LEN BAD_TAG BAD_DL_ADDR_MASK BAD_NW_ADDR_MASK BAD_WILDCARDS "
        "BAD_FIELD BAD_VALUE BAD_MASK BAD_PREREQ DUP_FIELD EPERM"),
    5: ("FLOW_MOD_FAILED", "UNKNOWN TABLE_FULL BAD_TABLE_ID OVERLAP EPERM BAD_TIMEOUT BAD_COMMAND "
        "BAD_FLAGS"),
    6: ("GROUP_MOD_FAILED", "GROUP_EXISTS INVALID_GROUP WEIGHT_UNSUPPORTED OUT_OF_GROUPS "
        "OUT_OF_BUCKETS CHAINING_UNSUPPORTED WATCH_UNSUPPORTED LOOP UNKNOWN_GROUP CHAINED_GROUP "
        "BAD_TYPE BAD_COMMAND BAD_BUCKET BAD_WATCH EPERM"),
    12: ("METER_MOD_FAILED", "UNKNOWN METER_EXISTS INVALID_METER UNKNOWN_METER BAD_COMMAND "
         "BAD_FLAGS BAD_RATE BAD_BURST BAD_BAND BAD_BAND_VALUE OUT_OF_METERS OUT_OF_BANDS"),
}
_BUNDLE = ("UNKNOWN EPERM BAD_ID BUNDLE_EXIST BUNDLE_CLOSED OUT_OF_BUNDLES BAD_TYPE BAD_FLAGS "
           "MSG_BAD_LEN MSG_BAD_XID MSG_UNSUP MSG_CONFLICT MSG_TOO_MANY MSG_FAILED TIMEOUT "
           "BUNDLE_IN_PROGRESS")

_NAMES: dict[int, tuple[str, list[str]]] = {
    kind: (name, codes.split()) for kind, (name, codes) in _TYPES.items()
}
_BUNDLE_NAMES = dict(enumerate(_BUNDLE.split(), start=2300))


def name(kind: int, code: int) -> str:
    """An error's type and code in words: `BAD_MATCH/BAD_PREREQ`."""
    known = _NAMES.get(kind)
    if known is None:
        return f"error {kind}/{code}"
    words = known[1]
    return f"{known[0]}/{words[code] if code < len(words) else code}"


def experimenter_name(experimenter: int, code: int) -> str:
    """An experimenter's error in words."""
    if code in _BUNDLE_NAMES:
        return f"BUNDLE_FAILED/{_BUNDLE_NAMES[code]}"
    return f"experimenter {experimenter:#x} error {code}"
