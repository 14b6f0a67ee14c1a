"""Snapshots: all rows at one revision, immutable, with their buckets.

Owns look-up. A snapshot costs nothing to keep: the next one shares all that did not change
(persistent hash maps), so a reader never sees half a transaction and a writer never waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from immutables import Map, MapMutation

from controller.model.resources import Bucket, Row

R = TypeVar("R", bound=Row)
Kind = type[Any]
"""One of the row classes."""

RowKey = tuple[Kind, str]
BucketKey = tuple[object, ...]
"""(kind, index name, value, ...)."""
DirtyKey = RowKey | BucketKey


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`rows`: (kind, id) -> (row, revision of its last change); `index`: bucket -> ids."""

    revision: int = 0
    rows: Map[RowKey, tuple[Row, int]] = field(default_factory=Map)
    index: Map[BucketKey, Map[str, None]] = field(default_factory=Map)

    def get(self, kind: type[R], id: str) -> R | None:
        """The row, or None."""
        found = self.rows.get((kind, id))
        return cast(R, found[0]) if found is not None else None

    def changed(self, kind: Kind, id: str) -> int:
        """The revision at which the row last changed; 0 when there is none."""
        found = self.rows.get((kind, id))
        return found[1] if found is not None else 0

    def ids(self, kind: Kind, *bucket: object) -> Map[str, None]:
        """The ids in a bucket; `("all",)` when no bucket is named."""
        return self.index.get((kind, *(bucket or ("all",))), _EMPTY)

    def where(self, kind: type[R], *bucket: object) -> list[R]:
        """The rows in a bucket, in the order of their ids."""
        rows = self.rows
        return [cast(R, rows[kind, id][0]) for id in sorted(self.ids(kind, *bucket))]


_EMPTY: Map[str, None] = Map()


@dataclass(frozen=True, slots=True)
class Delta:
    """What one or more transactions changed: `dirty` row and bucket keys; rows as (old, new)."""

    dirty: frozenset[DirtyKey]
    rows: dict[RowKey, tuple[Row | None, Row | None]]

    def then(self, later: Delta) -> Delta:
        """This delta and the one after it, as one."""
        rows = dict(self.rows)
        for key, (old, new) in later.rows.items():
            rows[key] = (rows[key][0] if key in rows else old, new)
        return Delta(self.dirty | later.dirty, rows)


class Draft:
    """A snapshot being changed by one transaction: reads see the writes.

    Not shared: made by one transaction, finished once.
    """

    def __init__(self, start: Snapshot) -> None:
        self.start = start
        self.revision = start.revision + 1
        self._rows: MapMutation[RowKey, tuple[Row, int]] = start.rows.mutate()
        self._buckets: dict[BucketKey, Map[str, None]] = {}
        self.touched: dict[RowKey, Row | None] = {}

    def get(self, kind: type[R], id: str) -> R | None:
        """The row as this transaction sees it, or None."""
        found = self._rows.get((kind, id))
        return cast(R, found[0]) if found is not None else None

    def ids(self, kind: Kind, *bucket: object) -> Map[str, None]:
        """The ids in a bucket as this transaction sees them."""
        return self._bucket((kind, *(bucket or ("all",))))

    def count(self, kind: Kind, *bucket: object) -> int:
        """How many rows a bucket holds."""
        return len(self.ids(kind, *bucket))

    def where(self, kind: type[R], *bucket: object) -> list[R]:
        """The rows in a bucket, in the order of their ids."""
        rows = self._rows
        return [cast(R, rows[kind, id][0]) for id in sorted(self.ids(kind, *bucket))]

    def put(self, row: Row) -> None:
        """Add the row, or replace the one with its id; an equal row changes nothing."""
        kind = type(row)
        key = (kind, row.id)
        found = self._rows.get(key)
        old = found[0] if found is not None else None
        if old == row:
            return
        self.touched.setdefault(key, old)
        before = set(old.buckets()) if old is not None else set()
        after = set(row.buckets())
        for bucket in before - after:
            self._leave(kind, bucket, row.id)
        for bucket in after - before:
            key_of_bucket: BucketKey = (kind, *bucket)
            self._buckets[key_of_bucket] = self._bucket(key_of_bucket).set(row.id, None)
        self._rows[key] = (row, self.revision)

    def delete(self, kind: Kind, id: str) -> None:
        """Remove the row, if there is one."""
        found = self._rows.get((kind, id))
        if found is None:
            return
        self.touched.setdefault((kind, id), found[0])
        for bucket in set(found[0].buckets()):
            self._leave(kind, bucket, id)
        del self._rows[kind, id]

    def _bucket(self, key: BucketKey) -> Map[str, None]:
        changed = self._buckets.get(key)
        return changed if changed is not None else self.start.index.get(key, _EMPTY)

    def _leave(self, kind: Kind, bucket: Bucket, id: str) -> None:
        key: BucketKey = (kind, *bucket)
        self._buckets[key] = self._bucket(key).delete(id)

    def changes(self) -> Iterator[tuple[RowKey, Row | None, Row | None]]:
        """(key, old, new) of every row that differs from the start."""
        for key, old in self.touched.items():
            new = self.get(*key)
            if old != new:
                yield key, old, new

    def finish(self) -> tuple[Snapshot, Delta]:
        """The new snapshot and what changed. A row's change dirties the buckets it was in and
        those it is in: whoever listed it may have read any part of it."""
        rows: dict[RowKey, tuple[Row | None, Row | None]] = {}
        dirty: set[DirtyKey] = set()
        for key, old, new in self.changes():
            rows[key] = (old, new)
            dirty.add(key)
            for row in (old, new):
                if row is not None:
                    dirty.update((key[0], *bucket) for bucket in row.buckets())
        index = self.start.index.mutate()
        for bucket_key, ids in self._buckets.items():
            if ids:
                index[bucket_key] = ids
            else:
                index.pop(bucket_key, None)
        return (Snapshot(self.revision, self._rows.finish(), index.finish()),
                Delta(frozenset(dirty), rows))
