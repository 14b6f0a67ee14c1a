"""The part of a hypervisor's database that we watch, as immutable rows.

Owns the decoding of OVSDB values, the rows, and an index by name. Refuses, with `ReplicaError`,
what does not fit the schema below, and more rows or text than a hypervisor can have. Sends
nothing.

Why not the `ovs` package's IDL: it opens its own connections (an accepted socket has to be put in
place of a private attribute, past its state machine), has no bounds, answers a bad value with a
default and a log line, and rebuilds whole columns when they are read: 5 ms for the ports of a
bridge that has 1,000, on every change of one. What it would save us is this one file.

The one idea: a row is never changed, it is replaced, and `apply` returns each pair (old, new).
So what follows from a change costs what changed, not what there is.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

MAX_ROWS = 40_000
MAX_WEIGHT = 32 << 20  # Characters of text, plus ATOM_WEIGHT for each value.
ATOM_WEIGHT = 16

Row = Mapping[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ReplicaError(Exception):
    """The peer's rows do not fit the schema, or not within bounds."""


class Shape(enum.Enum):
    """How many values a column holds: one, none or one (None), a frozenset, a dict."""

    ONE = "one"
    OPTIONAL = "optional"
    SET = "set"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Column:
    atom: type  # str or int
    shape: Shape = Shape.ONE
    is_uuid: bool = False

    def empty(self) -> Any:
        return {Shape.ONE: self.atom(), Shape.OPTIONAL: None,
                Shape.SET: frozenset(), Shape.MAP: _NO_MAP}[self.shape]


_NO_MAP: Mapping[str, str] = MappingProxyType({})
_NAME = Column(str)
_TEXT = Column(str)
_MAYBE_TEXT = Column(str, Shape.OPTIONAL)
_MAYBE_NUMBER = Column(int, Shape.OPTIONAL)
_MAP = Column(str, Shape.MAP)
_TEXTS = Column(str, Shape.SET)
_ROWS = Column(str, Shape.SET, is_uuid=True)

# What is watched. No statistics and no status: those change every few seconds.
TABLES: Mapping[str, Mapping[str, Column]] = {
    "Open_vSwitch": {"external_ids": _MAP, "ovs_version": _MAYBE_TEXT, "bridges": _ROWS},
    "Bridge": {
        "name": _NAME, "datapath_id": _MAYBE_TEXT, "datapath_type": _TEXT,
        "fail_mode": _MAYBE_TEXT, "protocols": _TEXTS, "other_config": _MAP,
        "controller": _ROWS, "ports": _ROWS,
    },
    "Port": {"name": _NAME, "interfaces": _ROWS},
    "Interface": {
        "name": _NAME, "type": _TEXT, "options": _MAP, "ofport": _MAYBE_NUMBER,
        "ofport_request": _MAYBE_NUMBER, "external_ids": _MAP, "error": _MAYBE_TEXT,
        "mtu": _MAYBE_NUMBER,
    },
    "Controller": {
        "target": _TEXT, "connection_mode": _MAYBE_TEXT, "inactivity_probe": _MAYBE_NUMBER,
        "max_backoff": _MAYBE_NUMBER,
    },
}
NAMED = frozenset(table for table, columns in TABLES.items() if "name" in columns)
DEFAULTS = {table: {name: column.empty() for name, column in columns.items()}
            for table, columns in TABLES.items()}


def monitor_requests() -> dict[str, Any]:
    """The third parameter of `monitor_cond`: every row, these columns."""
    return {table: [{"columns": sorted(columns)}] for table, columns in TABLES.items()}


@dataclass(frozen=True, slots=True)
class Change:
    """A row before and after; None where it did not or does not exist."""

    table: str
    uuid: str
    old: Row | None
    new: Row | None


class Replica:
    def __init__(self, max_rows: int = MAX_ROWS, max_weight: int = MAX_WEIGHT) -> None:
        self.max_rows = max_rows
        self.max_weight = max_weight
        self.tables: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self._names: dict[str, dict[str, str]] = {table: {} for table in NAMED}
        self._weight = 0
        self._count = 0

    def named(self, table: str, name: str) -> tuple[str, Row] | None:
        """The row of that name, with its UUID."""
        uuid = self._names[table].get(name)
        return None if uuid is None else (uuid, self.tables[table][uuid])

    def root(self) -> tuple[str, Row] | None:
        """The one row of Open_vSwitch."""
        return next(iter(self.tables["Open_vSwitch"].items()), None)

    def apply(self, updates: Any) -> list[Change]:
        """Take over the <table-updates2> of a dump or a notification; the changes that it makes.

        After an error the replica is of no use: the connection that fed it has to go.
        """
        changes = []
        for table, rows in _object(updates, "table updates").items():
            if table not in TABLES:
                raise ReplicaError(f"an update of table {table[:40]!r}, which is not watched")
            for uuid, update in _object(rows, table).items():
                change = self._change(table, uuid, _object(update, table))
                if change.old != change.new:
                    self._put(change)
                    changes.append(change)
        return changes

    def _change(self, table: str, uuid: str, update: Mapping[str, Any]) -> Change:
        if not _UUID.fullmatch(uuid):
            raise ReplicaError(f"{table} has a row without a UUID")
        old = self.tables[table].get(uuid)
        if len(update) != 1:
            raise ReplicaError(f"an update of {table} is not of one kind")
        kind, columns = next(iter(update.items()))
        if kind == "delete":
            return Change(table, uuid, old, None)
        row = _object(columns, table)
        if kind in ("initial", "insert"):
            return Change(table, uuid, old, _inserted(table, row))
        if kind == "modify" and old is not None:
            return Change(table, uuid, old, _modified(table, old, row))
        raise ReplicaError(f"{table} has an update {kind[:20]!r} that makes no sense")

    def _put(self, change: Change) -> None:
        rows = self.tables[change.table]
        self._count += (change.new is not None) - (change.old is not None)
        self._weight += _weight(change.new) - _weight(change.old)
        if self._count > self.max_rows or self._weight > self.max_weight:
            raise ReplicaError("the database is larger than a hypervisor's can be")
        names = self._names.get(change.table)
        if names is not None and change.old is not None:
            if names.get(change.old["name"]) == change.uuid:
                del names[change.old["name"]]
        if change.new is None:
            del rows[change.uuid]
            return
        rows[change.uuid] = change.new
        if names is not None:
            names[change.new["name"]] = change.uuid


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ReplicaError(f"{what}: not an object")
    return value


def _columns(table: str, row: Mapping[str, Any]) -> list[tuple[str, Column, Any]]:
    columns = TABLES[table]
    unknown = row.keys() - columns.keys()
    if unknown:
        raise ReplicaError(f"{table} has a column {min(unknown)[:40]!r}, which is not watched")
    return [(name, columns[name], value) for name, value in row.items()]


def _inserted(table: str, row: Mapping[str, Any]) -> Row:
    """A whole row; the server leaves out columns that have their default value."""
    values = dict(DEFAULTS[table])
    for name, column, value in _columns(table, row):
        values[name] = parse(column, value)
    return values


def _modified(table: str, old: Row, row: Mapping[str, Any]) -> Row:
    """Sets and maps come as differences, the rest as new values (ovsdb-server(7), 4.1.14).

    A set's difference are the elements to add or remove. A map's difference are pairs: one that
    is there as it is goes, any other is set.
    """
    values = dict(old)
    for name, column, value in _columns(table, row):
        parsed = parse(column, value)
        if column.shape is Shape.SET:
            parsed = old[name] ^ parsed
        elif column.shape is Shape.MAP:
            merged = dict(old[name])
            for key, item in parsed.items():
                if merged.get(key) == item:
                    del merged[key]
                else:
                    merged[key] = item
            parsed = merged
        values[name] = parsed
    return values


def parse(column: Column, value: Any) -> Any:
    """An OVSDB <value> as a Python value of the column's shape."""
    is_list = isinstance(value, list)
    if is_list and len(value) != 2:
        raise ReplicaError("a value is a list, but not a pair")
    if column.shape is Shape.MAP:
        if not (is_list and value[0] == "map" and isinstance(value[1], list)):
            raise ReplicaError("a value is not a map")
        return dict(_pair(column, item) for item in value[1])
    if is_list and value[0] == "set":
        if not isinstance(value[1], list):
            raise ReplicaError("a set is not a list")
        atoms = frozenset(_atom(column, item) for item in value[1])
    else:
        atoms = frozenset((_atom(column, value),))
    if column.shape is Shape.SET:
        return atoms
    if len(atoms) > 1 or (not atoms and column.shape is Shape.ONE):
        raise ReplicaError("a single value is a set")
    return next(iter(atoms), None)


def _pair(column: Column, item: Any) -> tuple[Any, Any]:
    if not isinstance(item, list) or len(item) != 2:
        raise ReplicaError("a map holds something else than pairs")
    return _atom(column, item[0]), _atom(column, item[1])


def _atom(column: Column, value: Any) -> Any:
    if column.is_uuid:
        if not (isinstance(value, list) and len(value) == 2 and value[0] == "uuid"
                and isinstance(value[1], str)):
            raise ReplicaError("a value is not a UUID")
        return value[1]
    if type(value) is not column.atom:  # bool is an int, but not here.
        raise ReplicaError(f"a value is not of type {column.atom.__name__}")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ReplicaError("an integer has more than 64 bits")
    return value


def _weight(row: Row | None) -> int:
    if row is None:
        return 0
    total = 0
    for value in row.values():
        if isinstance(value, str):
            total += ATOM_WEIGHT + len(value)
        elif isinstance(value, frozenset):
            total += ATOM_WEIGHT * len(value) + sum(map(len, value))
        elif isinstance(value, Mapping):
            total += sum(2 * ATOM_WEIGHT + len(key) + len(item) for key, item in value.items())
        else:
            total += ATOM_WEIGHT
    return total
