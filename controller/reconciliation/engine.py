"""The engine: re-runs only the units whose recorded reads meet a change.

Owns two maps, unit -> what it read and key -> who read it, and each unit's last result. In words:
a delta names the rows and buckets that changed; the units that read them, and the units of the
changed rows themselves, run again on the new snapshot; where a result is the same, the change
stops there; where it differs, the linker hears the difference. Order does not matter, because a
unit's result depends on the snapshot alone. A unit that fails yields nothing, and is reported as an
objection: it holds up nobody else, and runs again when what it read has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from controller.model.resources import Chassis, Presence, Row
from controller.model.snapshot import Delta, DirtyKey, Snapshot
from controller.reconciliation.feature import EVERYWHERE, Each, Feature, Placed, check_features
from controller.reconciliation.linker import Linker, Unit
from controller.reconciliation.misses import MISSES
from controller.reconciliation.view import View

LOG = logging.getLogger("tenet.engine")
_SLICE = 50
"""Units between two chances for others to run."""


class Engine:
    """All features against all chassis. `units_run` counts for ever."""

    def __init__(self, features: Iterable[Feature]) -> None:
        self.features = (MISSES, *sorted(features, key=lambda feature: feature.cookie))
        check_features(self.features)
        self.linker = Linker(self.features)
        self.revision = 0
        self.units_run = 0
        self._each: dict[type[Row], list[tuple[Feature, Each]]] = {}
        for feature in self.features:
            for each in feature.units:
                self._each.setdefault(each.kind, []).append((feature, each))
        self._compile = {(feature.name, each.kind): each.compile
                         for feature in self.features for each in feature.units}
        self._reads: dict[Unit, tuple[DirtyKey, ...]] = {}
        self._readers: dict[DirtyKey, set[Unit]] = {}
        self._results: dict[Unit, tuple[Placed, ...]] = {}

    def advance(self, snapshot: Snapshot, delta: Delta) -> None:
        """Bring every table up to date with `snapshot`, which differs by `delta` from the last."""
        for _ in self.steps(snapshot, delta):
            pass

    def steps(self, snapshot: Snapshot, delta: Delta) -> Iterator[None]:
        """As `advance`, with a pause for others now and then. Run it to its end."""
        todo: set[Unit] = set()
        for key in delta.dirty:
            todo.update(self._readers.get(key, ()))
        self._move_scopes(delta)
        for (kind, id), (_, new) in delta.rows.items():
            for feature, _each in self._each.get(kind, ()):
                unit = Unit(feature.name, kind, id)
                if new is not None:
                    todo.add(unit)
                else:
                    todo.discard(unit)
                    self._forget(unit)
        for count, unit in enumerate(todo):
            if count % _SLICE == _SLICE - 1:
                yield
            self._run(unit, snapshot)
        self.revision = snapshot.revision

    def _move_scopes(self, delta: Delta) -> None:
        """Chassis come, go, or begin and cease to hold a network."""
        for (kind, id), (old, new) in delta.rows.items():
            if kind is Chassis and (old is None or new is None):
                for scope in (EVERYWHERE, ("chassis", id)):
                    self.linker.move(scope, id, joins=new is not None)
            elif kind is Presence and (old is None or new is None):
                row = new or old
                assert isinstance(row, Presence)
                self.linker.move(("network", row.network_id), row.chassis_id,
                                 joins=new is not None)

    def _run(self, unit: Unit, snapshot: Snapshot) -> None:
        row = snapshot.get(unit.kind, unit.id)
        if row is None:
            self._forget(unit)
            return
        view = View(snapshot)
        failure = None
        try:
            # Materialise here: what a generator reads after the recording would go unseen.
            result = tuple(self._compile[unit.feature, unit.kind](row, view))
        except Exception as error:
            LOG.exception("%s failed for %s %s", unit.feature, unit.kind.__name__, unit.id)
            result, failure = (), f"{type(error).__name__}: {error}"
        self.units_run += 1
        reads = view.reads
        before = self._reads.get(unit, ())
        for key in before:
            if key not in reads:
                self._unread(key, unit)
        for key in reads:
            self._readers.setdefault(key, set()).add(unit)
        self._reads[unit] = tuple(reads)
        old = self._results.get(unit, ())
        if result != old:
            self._results[unit] = result
            self.linker.replace(unit, old, result)
        if failure is not None:
            self.linker.objections[unit] = failure
        elif not result:
            self.linker.objections.pop(unit, None)

    def _forget(self, unit: Unit) -> None:
        for key in self._reads.pop(unit, ()):
            self._unread(key, unit)
        self.linker.replace(unit, self._results.pop(unit, ()), ())

    def _unread(self, key: DirtyKey, unit: Unit) -> None:
        readers = self._readers.get(key)
        if readers is not None:
            readers.discard(unit)
            if not readers:
                del self._readers[key]
