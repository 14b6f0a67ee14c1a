"""Settings and surroundings: what the application is told, and what it needs from the world.

Owns both shapes. The one idea: time, randomness and slow work (password hashing) are values that
the edge passes in, so that a test decides them and the application never reaches out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

REGION = "RegionOne"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """What an operator may set. `host` and `port` are where the edge listens. `largest_open_body`
    is the limit for those who have not logged in, `largest_bulk` how many a request may create: a
    request is answered in one go, and meanwhile everybody else waits."""

    host: str = "127.0.0.1"
    port: int = 9696
    underlay_mtu: int = 1500
    network_type: str = "vxlan"
    token_hours: float = 12.0
    largest_body: int = 1024 * 1024
    largest_open_body: int = 32 * 1024
    largest_bulk: int = 2000
    wait_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the edge provides.

    `clock` tells the time in UTC, with its zone; `new_id` a new UUID as text; `random_bytes` that
    many secret bytes. `hash_password` and `verify_password(password, hash)` may take long: the
    edge runs them where they hold nobody up. `missing` names what is not ready yet.
    """

    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    random_bytes: Callable[[int], bytes]
    hash_password: Callable[[str], str]
    verify_password: Callable[[str, str], bool]
    missing: Callable[[], Sequence[str]]


def timestamp(moment: datetime) -> str:
    """A moment as resources show it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
