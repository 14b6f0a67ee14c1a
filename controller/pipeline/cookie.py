"""Cookies: why a rule exists, in 64 bits.

    63..56 format (0x54) | 55..48 feature | 47..32 purpose | 31..0 owner key

Owns that layout. The owner key is the small integer of the resource that caused the rule (a
network's, port's or chassis' key: the purpose says which). A cookie of another format is not ours.
"""

from __future__ import annotations

from dataclasses import dataclass

FORMAT = 0x54
GROUP_KEY_BITS = 24


@dataclass(frozen=True, slots=True)
class Purpose:
    """One reason for rules: numbers are stable for ever, `owner` is the kind the key belongs to."""

    feature: int
    number: int
    text: str
    owner: str

    def cookie(self, key: int) -> int:
        """The cookie of a rule with this purpose for the owner `key`."""
        if not 0 <= key < 1 << 32:
            raise ValueError(f"owner key {key} does not fit 32 bits")
        return FORMAT << 56 | self.feature << 48 | self.number << 32 | key


@dataclass(frozen=True, slots=True)
class Origin:
    """A cookie taken apart."""

    feature: int
    purpose: int
    key: int


def origin(cookie: int) -> Origin | None:
    """What a cookie says, or None when it is not one of ours."""
    if cookie >> 56 != FORMAT:
        return None
    return Origin(cookie >> 48 & 0xFF, cookie >> 32 & 0xFFFF, cookie & 0xFFFFFFFF)


def group_id(feature: int, key: int) -> int:
    """The id of a feature's group for the owner `key`: unique without an allocator of its own.

    Feature numbers stay below 255, since group ids from 0xffffff00 on are reserved
    (OpenFlow 1.3.5, 7.3.4.3).
    """
    if not 0 < feature < 255 or not 0 <= key < 1 << GROUP_KEY_BITS:
        raise ValueError(f"no group id for feature {feature}, key {key}")
    return feature << GROUP_KEY_BITS | key
