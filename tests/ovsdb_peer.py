"""A hypervisor's database in memory, for tests: rows, dumps and a server that obeys transactions.

Owns just enough of OVSDB to answer what the controller asks of it. Raises on any operation it
does not know, so that a test cannot pass by being ignored.
"""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

from controller.southbound.ovsdb.replica import TABLES, Shape

SYSTEM_ID = "5b0c8f3e-4d5f-4e43-9a53-2f2d9e1b7c10"
IDS = {"system-id": SYSTEM_ID, "hostname": "hv1", "tenet-encap-ip": "172.31.0.1",
       "tenet-datapath-type": "netdev"}

Rows = dict[str, dict[str, dict[str, Any]]]


def encoded(value: Any, is_uuid: bool = False) -> Any:
    """A Python value in OVSDB's notation."""
    if isinstance(value, dict):
        return ["map", [[key, item] for key, item in value.items()]]
    if isinstance(value, (set, frozenset, list)):
        return ["set", [["uuid", item] if is_uuid else item for item in sorted(value)]]
    return ["set", []] if value is None else value


class Database:
    """Rows by table and UUID, as Python values. `news` tells what changed since it was asked."""

    def __init__(self, external_ids: dict[str, str] | None = None) -> None:
        self._numbers = itertools.count(1)
        self.rows: Rows = {table: {} for table in TABLES}
        self.root = self.uuid()
        self.rows["Open_vSwitch"][self.root] = {
            "external_ids": dict(IDS if external_ids is None else external_ids),
            "ovs_version": "3.1.0", "bridges": set()}
        self._told: Rows = {}

    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._numbers):012x}"

    # What a server says

    def dump(self) -> dict[str, Any]:
        self._told = copy.deepcopy(self.rows)
        return {table: {uuid: {"initial": self._json(table, row)} for uuid, row in rows.items()}
                for table, rows in self.rows.items() if rows}

    def news(self) -> dict[str, Any]:
        """One update for everything since the last one, or the dump."""
        update: dict[str, Any] = {}
        for table, rows in self.rows.items():
            told = self._told.get(table, {})
            for uuid in told.keys() | rows.keys():
                row_update = self._row_update(table, told.get(uuid), rows.get(uuid))
                if row_update is not None:
                    update.setdefault(table, {})[uuid] = row_update
        self._told = copy.deepcopy(self.rows)
        return update

    def _row_update(self, table: str, old: Any, new: Any) -> dict[str, Any] | None:
        if new is None:
            return {"delete": None}
        if old is None:
            return {"insert": self._json(table, new)}
        difference = {name: self._difference(table, name, old.get(name), value)
                      for name, value in new.items() if old.get(name) != value}
        return {"modify": difference} if difference else None

    @staticmethod
    def _json(table: str, row: dict[str, Any]) -> dict[str, Any]:
        return {name: encoded(value, TABLES[table][name].is_uuid) for name, value in row.items()}

    @staticmethod
    def _difference(table: str, name: str, old: Any, new: Any) -> Any:
        column = TABLES[table][name]
        if column.shape is Shape.SET:
            return encoded(set(old or ()) ^ set(new), column.is_uuid)
        if column.shape is Shape.MAP:
            old = old or {}
            gone = {key: value for key, value in old.items() if key not in new}
            fresh = {key: value for key, value in new.items() if old.get(key) != value}
            return encoded({**gone, **fresh})
        return encoded(new)

    # Finding and making rows

    def named(self, table: str, name: str) -> str:
        return next(uuid for uuid, row in self.rows[table].items() if row["name"] == name)

    def names(self, table: str) -> set[str]:
        return {row["name"] for row in self.rows[table].values()}

    def change(self, table: str, uuid: str, **values: Any) -> None:
        """Set columns of a row, which may be new."""
        self.rows[table].setdefault(uuid, {}).update(values)

    def plug(self, name: str, bridge: str = "br-int", **interface: Any) -> None:
        interface_id, port_id = self.uuid(), self.uuid()
        self.change("Interface", interface_id, name=name, **interface)
        self.change("Port", port_id, name=name, interfaces={interface_id})
        row = self.rows["Bridge"][self.named("Bridge", bridge)]
        row["ports"] = row["ports"] | {port_id}

    def unplug(self, name: str) -> None:
        port_id = self.named("Port", name)
        for row in self.rows["Bridge"].values():
            row["ports"] = row["ports"] - {port_id}
        self.collect()

    def collect(self) -> None:
        """Rows to which nothing refers go, as in a real server."""
        for table, parent, column in (("Bridge", "Open_vSwitch", "bridges"),
                                      ("Port", "Bridge", "ports"),
                                      ("Interface", "Port", "interfaces"),
                                      ("Controller", "Bridge", "controller")):
            used = {uuid for row in self.rows[parent].values() for uuid in row.get(column, ())}
            self.rows[table] = {uuid: row for uuid, row in self.rows[table].items()
                                if uuid in used}

    # Obeying

    def transact(self, operations: list[dict[str, Any]]) -> list[Any]:
        """Do them, and return their results."""
        fresh = {operation["uuid-name"]: self.uuid() for operation in operations
                 if operation["op"] == "insert"}
        for operation in operations:
            self._operate(operation, fresh)
        self.collect()
        for table in ("Bridge", "Port", "Interface"):
            assert len(self.names(table)) == len(self.rows[table]), f"a {table} twice"
        return [{} for _ in operations]

    def _operate(self, operation: dict[str, Any], fresh: dict[str, str]) -> None:
        kind = operation["op"]
        if kind == "comment":
            return
        table = operation["table"]
        if kind == "insert":
            self.change(table, fresh[operation["uuid-name"]],
                        **self._python(table, operation["row"], fresh))
            return
        [[column, function, wanted]] = operation["where"]
        assert function == "=="
        for uuid, row in self.rows[table].items():
            if wanted != (["uuid", uuid] if column == "_uuid" else row[column]):
                continue
            if kind == "update":
                row.update(self._python(table, operation["row"], fresh))
            elif kind == "mutate":
                [[name, mutator, value]] = operation["mutations"]
                given = self._python(table, {name: value}, fresh)[name]
                now = row.get(name, set())
                row[name] = {"insert": now | given, "delete": now - given}[mutator]
            else:
                raise AssertionError(f"unknown operation {kind}")

    def _python(self, table: str, row: dict[str, Any], fresh: dict[str, str]) -> dict[str, Any]:
        def value(column: str, given: Any) -> Any:
            if isinstance(given, list) and given[0] == "map":
                return {key: item for key, item in given[1]}
            if isinstance(given, list) and given[0] == "set":
                return {item[1] if isinstance(item, list) else item for item in given[1]}
            if isinstance(given, list):
                return {fresh[given[1]] if given[0] == "named-uuid" else given[1]}
            return {given} if TABLES[table][column].shape is Shape.SET else given

        return {column: value(column, given) for column, given in row.items()}


def message(**members: Any) -> bytes:
    return json.dumps(members).encode()


def notification(update: dict[str, Any]) -> bytes:
    return message(method="update2", params=["tenet", update], id=None)


def sent(output: bytearray) -> list[dict[str, Any]]:
    """Take and decode what a session has written."""
    decoder, text, found = json.JSONDecoder(), bytes(output).decode(), []
    del output[:]
    at = 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found
