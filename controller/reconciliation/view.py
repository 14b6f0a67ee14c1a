"""Views: a read-only window on a snapshot that records what was read.

Owns the record, which is the whole of invalidation: a unit runs again exactly when something that
it read has changed. A compile function has no other input.
"""

from __future__ import annotations

from typing import TypeVar

from controller.model.resources import Row
from controller.model.snapshot import DirtyKey, Snapshot

R = TypeVar("R", bound=Row)


class View:
    """The rows at one revision, for one run of one unit."""

    __slots__ = ("reads", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.reads: set[DirtyKey] = set()

    def get(self, kind: type[R], id: str) -> R | None:
        """The row, or None; read either way."""
        self.reads.add((kind, id))
        return self._snapshot.get(kind, id)

    def where(self, kind: type[R], *bucket: object) -> list[R]:
        """The rows in a bucket, in the order of their ids."""
        self.reads.add((kind, *bucket))
        return self._snapshot.where(kind, *bucket)
