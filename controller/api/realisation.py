"""Realisation: what the API asks about the switches.

Owns the questions only; who talks to switches answers them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Realisation(Protocol):
    """How far the switches are. All but `wait` answer at once."""

    def port_status(self, port_id: str) -> tuple[str, str]:
        """(DOWN, BUILD, ACTIVE or ERROR; why, or nothing) of a port that is administratively up."""

    def network_status(self, network_id: str) -> tuple[str, str]:
        """The same of a network."""

    def switches(self) -> Sequence[Mapping[str, object]]:
        """Each known chassis: `chassis`, `hostname`, `connected`, `desired` and `realised`
        revision, and what else an operator needs (`pending`, `problems`)."""

    def explain(self, cookie: int) -> Mapping[str, object] | None:
        """Which resource, feature and source line a rule's cookie stands for; None: not ours."""

    def wait(self, revision: int, network_id: str | None, timeout: float) -> bool:
        """Wait until the connected switches concerned (all of them for None) hold `revision`.

        False when `timeout` seconds passed first.
        """
