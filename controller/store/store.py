"""The store: one writer, many snapshots.

Owns the current snapshot and the order of transactions. In words: a transaction runs on a draft;
when it returns, derived rows are brought up to date, persistent rows go to the journal, and only
then does the new snapshot become the current one and the watchers hear of it. When it raises, the
draft is dropped. Nothing in here yields, so under cooperative threads a transaction is atomic.
"""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Generic, TypeVar

from controller.model.placement import derive
from controller.model.resources import Row
from controller.model.snapshot import Delta, Draft, Snapshot
from controller.store.journal import Journal, MemoryJournal
from controller.store.numbers import Numbers

LOG = logging.getLogger("tenet.store")
T = TypeVar("T")
Watcher = Callable[[Snapshot, Delta], None]


class Transaction(Draft):
    """A draft that can also take and release numbers. `cursors` remembers, by subnet, the last
    address that was given out, so that a released address is not reused at once."""

    def __init__(self, start: Snapshot, numbers: Numbers, cursors: dict[str, IPv4Address]) -> None:
        super().__init__(start)
        self.numbers = numbers
        self.cursors: ChainMap[str, IPv4Address] = ChainMap({}, cursors)


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """What a transaction returned, and the revision from which it holds."""

    value: T
    revision: int


class Store:
    """Rows in memory, journalled. Not thread-safe by itself: one native thread."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal: Journal = journal if journal is not None else MemoryJournal()
        revision, rows, self._counters, self._released = self._journal.load()
        self._watchers: list[Watcher] = []
        self._cursors: dict[str, IPv4Address] = {}
        self.confirmed = 0
        self.snapshot = _loaded(revision, rows)

    @property
    def revision(self) -> int:
        """The current revision."""
        return self.snapshot.revision

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher(snapshot, delta)` after each transaction that changed something."""
        self._watchers.append(watcher)

    def confirm(self, revision: int) -> None:
        """Every known switch holds `revision`: numbers released by then may be reused."""
        self.confirmed = max(self.confirmed, revision)

    def transact(self, work: Callable[[Transaction], T]) -> Committed[T]:
        """Run `work` on a draft and commit; whatever it raises, nothing is changed."""
        numbers = Numbers(self._counters, self._released, self.confirmed)
        draft = Transaction(self.snapshot, numbers, self._cursors)
        value = work(draft)
        derive(draft)
        changes = list(draft.changes())
        if not changes and not numbers.counters and not numbers.released:
            return Committed(value, self.snapshot.revision)
        self._journal.write(
            draft.revision,
            [(key, new) for key, _, new in changes if key[0].PERSISTENT],
            numbers.counters, numbers.released)
        self._counters = {**self._counters, **numbers.counters}
        self._apply_released(numbers)
        self._cursors.update(draft.cursors.maps[0])
        self.snapshot, delta = draft.finish()
        for watcher in self._watchers:
            try:
                watcher(self.snapshot, delta)
            except Exception:
                # The write is done; who fails to hear of it must not make it look undone.
                LOG.exception("a watcher failed at revision %d", self.snapshot.revision)
        return Committed(value, self.snapshot.revision)

    def _apply_released(self, numbers: Numbers) -> None:
        for pool, changed in numbers.released.items():
            released = self._released.setdefault(pool, {})
            for number, revision in changed.items():
                if revision is None:
                    released.pop(number, None)
                else:
                    released[number] = revision

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()


def _loaded(revision: int, rows: list[tuple[Row, int]]) -> Snapshot:
    """The snapshot of stored rows, with what derives from them."""
    draft = Draft(Snapshot(revision - 1))
    for row, _ in rows:
        draft.put(row)
    derive(draft)
    snapshot, _ = draft.finish()
    stored = snapshot.rows.mutate()
    for row, changed in rows:
        stored[type(row), row.id] = (row, changed)
    return Snapshot(revision, stored.finish(), snapshot.index)


def everything(snapshot: Snapshot) -> Delta:
    """The delta that leads from nothing to the snapshot: for those that start to watch late."""
    rows: dict[tuple[type[Row], str], tuple[Row | None, Row | None]] = {
        key: (None, row) for key, (row, _) in snapshot.rows.items()}
    return Delta(frozenset(), rows)


__all__ = ["Committed", "Store", "Transaction", "Watcher", "everything"]
