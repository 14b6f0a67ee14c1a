"""The journal: rows on disk, in SQLite.

Owns the file, its schema version and its durability. WAL with synchronous=FULL: when `write`
returned, the rows survive a power cut. One writer: the file is locked while it is open, so that a
second controller on the same state folder stops with a clear error instead of corrupting it.

Rows are JSON by kind and id; the schema of a row is its dataclass. A field that a newer version
added gets its default; a row that cannot be read stops the start and is named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from controller.model.resources import KINDS, Row
from controller.model.snapshot import RowKey

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (kind TEXT, id TEXT, revision INTEGER NOT NULL, body TEXT NOT NULL,
                   PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE counters (pool TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE released (pool TEXT, number INTEGER, revision INTEGER NOT NULL,
                       PRIMARY KEY (pool, number)) WITHOUT ROWID;
"""


class JournalError(Exception):
    """The state file cannot be used; the message names it and says why."""


class Journal(Protocol):
    """Where rows survive. `write` is all or nothing."""

    def load(self) -> tuple[int, list[tuple[Row, int]], dict[str, int], dict[str, dict[int, int]]]:
        """(revision, rows with their revisions, counters, released numbers by pool)."""

    def write(self, revision: int, changed: Iterable[tuple[RowKey, Row | None]],
              counters: Mapping[str, int], released: Mapping[str, Mapping[int, int | None]]
              ) -> None:
        """Record one transaction."""

    def close(self) -> None:
        """Let go of the file."""


_KIND_BY_NAME: dict[str, type[Row]] = {kind.__name__: kind for kind in KINDS}
_ADAPTERS: dict[type[Row], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in KINDS}


class SqliteJournal:
    """A journal in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False,
                                       timeout=0)
            path.chmod(0o600)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._create()
        except sqlite3.OperationalError as error:
            reason = "another controller has it open" if "locked" in str(error) else str(error)
            raise JournalError(f"{path}: {reason}") from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise JournalError(f"{path}: {error}") from error

    def _create(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        known = self._db.execute("SELECT name FROM sqlite_master WHERE name='meta'").fetchone()
        if known is None:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._db.execute(statement)
            self._db.execute("INSERT INTO meta VALUES ('schema', ?), ('revision', 0)",
                             (SCHEMA_VERSION,))
        self._db.execute("COMMIT")
        version = self._meta("schema")
        if version != SCHEMA_VERSION:
            raise JournalError(f"{self.path}: written by another version (schema {version}, "
                               f"this one reads {SCHEMA_VERSION})")

    def _meta(self, name: str) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return int(found[0]) if found else 0

    def load(self) -> tuple[int, list[tuple[Row, int]], dict[str, int], dict[str, dict[int, int]]]:
        """Everything in the file; JournalError names the row that cannot be read."""
        rows = list(self._rows())
        counters = dict(self._db.execute("SELECT pool, last FROM counters"))
        released: dict[str, dict[int, int]] = {}
        for pool, number, revision in self._db.execute("SELECT * FROM released"):
            released.setdefault(pool, {})[number] = revision
        return self._meta("revision"), rows, counters, released

    def _rows(self) -> Iterator[tuple[Row, int]]:
        for name, id, revision, body in self._db.execute("SELECT * FROM rows"):
            kind = _KIND_BY_NAME.get(name)
            if kind is None:
                raise JournalError(f"{self.path}: row {name} {id}: unknown kind")
            try:
                yield _ADAPTERS[kind].validate_json(body), revision
            except ValidationError as error:
                # Not the values themselves: a row may hold what no log should.
                wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in
                                  error.errors(include_input=False, include_context=False))
                raise JournalError(f"{self.path}: row {name} {id}: {wrong}") from None

    def write(self, revision: int, changed: Iterable[tuple[RowKey, Row | None]],
              counters: Mapping[str, int], released: Mapping[str, Mapping[int, int | None]]
              ) -> None:
        """Record one transaction; JournalError when the disk refuses, with nothing recorded."""
        puts, deletes = [], []
        for (kind, id), row in changed:
            if row is None:
                deletes.append((kind.__name__, id))
            else:
                body = _ADAPTERS[kind].dump_json(row).decode()
                puts.append((kind.__name__, id, revision, body))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?,?,?,?)", puts)
                self._db.executemany("DELETE FROM rows WHERE kind=? AND id=?", deletes)
                self._db.executemany("INSERT OR REPLACE INTO counters VALUES (?,?)",
                                     counters.items())
                for pool, numbers in released.items():
                    for number, when in numbers.items():
                        if when is None:
                            self._db.execute("DELETE FROM released WHERE pool=? AND number=?",
                                             (pool, number))
                        else:
                            self._db.execute("INSERT OR REPLACE INTO released VALUES (?,?,?)",
                                             (pool, number, when))
                self._db.execute("UPDATE meta SET value=? WHERE name='revision'", (revision,))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


class MemoryJournal:
    """A journal that forgets: for tests and measurements."""

    def load(self) -> tuple[int, list[tuple[Row, int]], dict[str, int], dict[str, dict[int, int]]]:
        """Nothing."""
        return 0, [], {}, {}

    def write(self, revision: int, changed: Iterable[tuple[RowKey, Row | None]],
              counters: Mapping[str, int], released: Mapping[str, Mapping[int, int | None]]
              ) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
