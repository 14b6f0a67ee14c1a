"""Transactions: all or nothing, in memory and on disk."""

from __future__ import annotations

import sqlite3
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from controller.model.addresses import mac_of
from controller.model.resources import Binding, Interface, Network, Port, Presence
from controller.model.snapshot import Delta, Snapshot
from controller.store.journal import JournalError, SqliteJournal
from controller.store.store import Store, Transaction, everything
from controller.testing.site import Site


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tenet.db"


def network(id: str, key: int, name: str = "") -> Network:
    return Network(id=id, project_id="p", key=key, network_type="local", segmentation_id=None,
                   mtu=1500, name=name)


def busy(site: Site) -> None:
    """Rows of most kinds, some changed and some deleted again."""
    red = site.network("red")
    web, db = site.port(red, "web", 11), site.port(red, "db", 12, host="hv1")
    site.plug(web, site.chassis("hv1"))
    site.plug(db, "hv1")
    site.update(web, name="renamed")
    site.delete(site.port(red, "brief", 13))


def test_a_transaction_that_raises_leaves_nothing(path: Path) -> None:
    store = Store(SqliteJournal(path))
    store.transact(lambda draft: draft.put(network("kept", draft.numbers.take("network"))))
    before, seen = store.snapshot, []
    store.watch(lambda snapshot, delta: seen.append(delta))

    def work(draft: Transaction) -> None:
        draft.put(network("new", draft.numbers.take("network")))
        draft.delete(Network, "kept")
        draft.numbers.release("network", 1, draft.revision)
        raise LookupError("changed my mind")
    with pytest.raises(LookupError):
        store.transact(work)
    assert store.snapshot is before and not seen
    assert store.transact(lambda draft: draft.numbers.take("network")).value == 2
    store.close()
    again = Store(SqliteJournal(path))
    assert again.snapshot.rows == before.rows
    again.close()


def test_a_disk_that_refuses_leaves_memory_as_it_was(path: Path) -> None:
    journal = SqliteJournal(path)
    store = Store(journal)
    store.transact(lambda draft: draft.put(network("kept", 1)))
    before = store.snapshot
    journal._db.execute("CREATE TRIGGER full BEFORE INSERT ON counters BEGIN "
                        "SELECT RAISE(ABORT, 'disk full'); END")

    def work(draft: Transaction) -> None:
        draft.put(network("new", draft.numbers.take("network")))
    with pytest.raises(JournalError, match="disk full"):
        store.transact(work)
    assert store.snapshot is before
    journal._db.execute("DROP TRIGGER full")
    store.transact(work)
    store.close()
    again = Store(SqliteJournal(path))
    assert again.snapshot.get(Network, "new") == network("new", 1)
    assert again.revision == 2
    again.close()


def test_what_was_written_is_read_back_with_what_follows_from_it(path: Path) -> None:
    store = Store(SqliteJournal(path))
    site = Site(store)
    busy(site)
    store.close()
    again = Store(SqliteJournal(path))
    assert {key: row for key, (row, _) in again.snapshot.rows.items()} == {
        key: row for key, (row, _) in store.snapshot.rows.items()}
    assert {key: set(ids) for key, ids in again.snapshot.index.items()} == {
        key: set(ids) for key, ids in store.snapshot.index.items()}
    assert again.revision == store.revision
    for (kind, id), (_, changed) in store.snapshot.rows.items():
        if kind.PERSISTENT:
            assert again.snapshot.changed(kind, id) == changed
    assert again.snapshot.where(Binding, "chassis", "hv1")
    assert again.transact(lambda draft: draft.numbers.take("port")).value == 4
    again.close()


def test_derived_rows_are_never_stored(path: Path) -> None:
    store = Store(SqliteJournal(path))
    busy(Site(store))
    assert store.snapshot.where(Presence, "chassis", "hv1")
    store.close()
    kinds = {kind for kind, in sqlite3.connect(path).execute("SELECT DISTINCT kind FROM rows")}
    assert kinds == {"Network", "Subnet", "Port", "Chassis", "Interface"}


def test_an_equal_row_is_no_change() -> None:
    store = Store()
    store.transact(lambda draft: draft.put(network("one", 1)))
    seen: list[Delta] = []
    store.watch(lambda snapshot, delta: seen.append(delta))
    assert store.transact(lambda draft: draft.put(network("one", 1))).revision == 1

    def there_and_back(draft: Transaction) -> None:
        draft.put(network("one", 1, "other"))
        draft.put(network("one", 1))
        draft.put(network("two", 2))
        draft.delete(Network, "two")
    assert store.transact(there_and_back).revision == 1
    assert not seen


def test_watchers_hear_each_change_once_and_see_what_follows() -> None:
    store = Store()
    heard: list[tuple[Snapshot, Delta]] = []
    store.watch(lambda snapshot, delta: heard.append((snapshot, delta)))
    site = Site(store)
    port = site.port(site.network("red"), "web", 11)
    site.plug(port, site.chassis("hv1"))
    snapshot, delta = heard[-1]
    assert snapshot is store.snapshot
    assert set(delta.rows) == {(Interface, "hv1/tap" + port.id[:11]), (Binding, port.id),
                               (Presence, f"{port.network_id}/hv1")}
    assert (Binding, "network", port.network_id) in delta.dirty
    assert len(heard) == store.revision == 4


def test_moving_a_row_between_buckets_dirties_both() -> None:
    store = Store()
    heard: list[Delta] = []
    store.watch(lambda snapshot, delta: heard.append(delta))
    site = Site(store)
    port = site.port(site.network("red"), "web", 11)
    site.update(port, mac=mac_of(0xFA163E000099))
    assert {key for key in heard[-1].dirty if key[1] == "mac"} == {
        (Port, "mac", port.network_id, port.mac),
        (Port, "mac", port.network_id, mac_of(0xFA163E000099))}


def test_everything_leads_from_nothing_to_the_snapshot() -> None:
    store = Store()
    busy(Site(store))
    delta = everything(store.snapshot)
    assert {key: row for key, (_, row) in delta.rows.items()} == {
        key: row for key, (row, _) in store.snapshot.rows.items()}
    assert all(old is None for old, _ in delta.rows.values())


def test_a_snapshot_that_is_held_does_not_change() -> None:
    store = Store()
    site = Site(store)
    site.network("red")
    held = store.snapshot
    rows, index = dict(held.rows), {key: set(ids) for key, ids in held.index.items()}
    site.network("blue")
    site.delete(*held.where(Network, "all"))
    assert dict(held.rows) == rows
    assert {key: set(ids) for key, ids in held.index.items()} == index


def test_a_transaction_that_raises_forgets_which_address_it_gave_out() -> None:
    store = Store()
    given = IPv4Address("10.0.0.7")

    def work(draft: Transaction, fails: bool) -> IPv4Address | None:
        before = draft.cursors.get("subnet")
        draft.cursors["subnet"] = given
        draft.numbers.take("network")
        if fails:
            raise LookupError("changed my mind")
        return before
    with pytest.raises(LookupError):
        store.transact(lambda draft: work(draft, True))
    assert store.transact(lambda draft: work(draft, False)).value is None
    assert store.transact(lambda draft: work(draft, False)).value == given


def test_a_watcher_that_fails_makes_no_write_look_undone(
        caplog: pytest.LogCaptureFixture) -> None:
    store, heard = Store(), []

    def fails(snapshot: Snapshot, delta: Delta) -> None:
        raise LookupError("not today")
    store.watch(fails)
    store.watch(lambda snapshot, delta: heard.append(snapshot.revision))
    assert store.transact(lambda draft: draft.put(network("new", 1))).revision == 1
    assert heard == [1] and "a watcher failed" in caplog.text
