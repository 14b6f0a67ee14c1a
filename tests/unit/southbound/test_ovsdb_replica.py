"""Rows out of updates: differences applied as OVSDB means them, nonsense and excess refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ovsdb_peer import Database

from controller.southbound.ovsdb.replica import Replica, ReplicaError

A, B = "00000000-0000-4000-8000-0000000000aa", "00000000-0000-4000-8000-0000000000bb"


def interface(**columns: Any) -> dict[str, Any]:
    return {"Interface": {A: {"insert": {"name": "tap0", **columns}}}}


def modified(**columns: Any) -> dict[str, Any]:
    return {"Interface": {A: {"modify": columns}}}


def test_what_the_server_leaves_out_has_its_default() -> None:
    replica = Replica()
    [change] = replica.apply(interface(ofport=["set", []]))
    assert change.old is None
    assert change.new == {"name": "tap0", "type": "", "options": {}, "ofport": None,
                          "ofport_request": None, "external_ids": {}, "error": None, "mtu": None}


def test_differences() -> None:
    replica = Replica()
    replica.apply(interface(external_ids=["map", [["a", "1"], ["b", "2"]]], ofport=4))
    [change] = replica.apply(modified(
        external_ids=["map", [["a", "1"], ["b", "3"], ["c", "4"]]], ofport=["set", [7]]))
    assert change.old is not None and change.old["external_ids"] == {"a": "1", "b": "2"}
    assert change.new is not None and change.new["external_ids"] == {"b": "3", "c": "4"}
    assert change.new["ofport"] == 7
    replica.apply({"Port": {B: {"insert": {"name": "p", "interfaces": ["uuid", A]}}}})
    replica.apply({"Port": {B: {"modify": {"interfaces": ["set", [["uuid", A], ["uuid", B]]]}}}})
    assert replica.tables["Port"][B]["interfaces"] == {B}


def test_no_change_is_none() -> None:
    replica = Replica()
    replica.apply(interface(ofport=4))
    assert replica.apply(modified(ofport=4)) == []
    assert replica.apply({"Interface": {B: {"delete": None}}}) == []


def test_rows_are_found_by_name_while_they_exist() -> None:
    replica = Replica()
    replica.apply(interface())
    found = replica.named("Interface", "tap0")
    assert found is not None and found[0] == A
    # One transaction may delete a name and give it to a new row, in any order.
    replica.apply({"Interface": {B: {"insert": {"name": "tap0"}}, A: {"delete": None}}})
    found = replica.named("Interface", "tap0")
    assert found is not None and found[0] == B
    replica.apply({"Interface": {B: {"delete": None}}})
    assert replica.named("Interface", "tap0") is None


@pytest.mark.parametrize("updates", [
    None, [], 7, "x", {"Interface": []}, {"Interface": {A: None}}, {"Interface": {A: {}}},
    {"Interface": {A: {"insert": {}, "delete": None}}}, {"Interface": {"no-uuid": {"insert": {}}}},
    {"Interface": {A: {"insert": []}}}, {"Interface": {A: {"replace": {}}}}, modified(ofport=1),
    {"Mirror": {A: {"insert": {}}}}, interface(statistics=["map", []]), interface(ofport="1"),
    interface(ofport=True), interface(ofport=1.0), interface(ofport=1 << 70),
    interface(ofport=["set", [1, 2]]), interface(ofport=["set"]), interface(ofport=["set", 1]),
    interface(type=["set", []]), interface(type=None), interface(type=["uuid", A]),
    interface(options={}), interface(options=["map", {}]), interface(options=["map", [["a"]]]),
    interface(options=["map", [["a", 1]]]), interface(options=["map", [[["a"], "b"]]]),
    {"Port": {A: {"insert": {"interfaces": A}}}},
    {"Port": {A: {"insert": {"interfaces": ["uuid", 1]}}}},
    {"Port": {A: {"insert": {"interfaces": ["set", [["named-uuid", "x"]]]}}}},
])
def test_nonsense_is_refused(updates: Any) -> None:
    with pytest.raises(ReplicaError):
        Replica().apply(updates)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["set", "map", "uuid", A, "name", "insert", "modify", "Interface"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=4) | st.sampled_from([A, B, "insert", "modify", "name", "options",
                                               "Interface", "Port", "ofport"]),
        inner, max_size=3), max_leaves=10)


@given(st.lists(JSON | st.fixed_dictionaries({"Interface": st.fixed_dictionaries({A: JSON})})
                | st.builds(interface, ofport=JSON, options=JSON)
                | st.builds(modified, external_ids=JSON), max_size=4))
def test_random_json_raises_nothing_but_our_error(updates: list[Any]) -> None:
    replica = Replica()
    try:
        for update in updates:
            replica.apply(update)
    except ReplicaError:
        pass


def test_a_database_has_bounds() -> None:
    rows = {f"00000000-0000-4000-8000-{number:012x}": {"insert": {"name": str(number)}}
            for number in range(11)}
    with pytest.raises(ReplicaError, match="larger"):
        Replica(max_rows=10).apply({"Port": rows})
    replica = Replica(max_rows=1, max_weight=2000)
    for number in range(1000):  # What goes leaves room.
        replica.apply(interface(type="x" * 500))
        replica.apply({"Interface": {A: {"delete": None}}})
    with pytest.raises(ReplicaError, match="larger"):
        replica.apply(interface(options=["map", [["key", "x" * 2000]]]))


@given(st.lists(st.tuples(st.sampled_from(["plug", "unplug", "set"]), st.integers(0, 5),
                          st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))),
                max_size=25))
def test_any_history_ends_with_the_rows_of_the_database(
    history: list[tuple[str, int, dict[str, str]]]
) -> None:
    database, replica = Database(), Replica()
    replica.apply(database.dump())
    bridge = database.uuid()
    database.change("Bridge", bridge, name="br-int", ports=set(), other_config={})
    database.change("Open_vSwitch", database.root, bridges={bridge})
    for action, number, values in history:
        name = f"tap{number}"
        if action == "plug" and name not in database.names("Port"):
            database.plug(name, external_ids=values)
        elif action == "unplug" and name in database.names("Port"):
            database.unplug(name)
        elif action == "set" and name in database.names("Interface"):
            database.change("Interface", database.named("Interface", name),
                            external_ids=values, ofport=number)
        if number:  # Else together with what comes next.
            replica.apply(database.news())
    replica.apply(database.news())
    fresh = Replica()
    fresh.apply(database.dump())
    assert replica.tables == fresh.tables
    assert replica._weight == fresh._weight and replica._count == fresh._count
