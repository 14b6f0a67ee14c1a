"""Operations: list, show, create, update and delete of any declared resource.

Owns the order of refusal (absent or not visible, then forbidden, then wrong), bulk creates, the
revision number and its condition, and `?wait=realised`. A write is one transaction: it is answered
when it is durable, and what it refuses leaves nothing behind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from controller.api.attributes import Actor, Resource, View, Write
from controller.api.faults import fault, forbidden, quoted
from controller.api.listing import listed
from controller.api.realisation import Realisation
from controller.api.settings import ApiSettings, Surroundings, timestamp
from controller.api.wire import Reply, Request, bad
from controller.model.resources import Row
from controller.store.store import Committed, Store, Transaction

R = TypeVar("R", bound=Row)
_CONDITION = re.compile(r'\s*"?revision_number=(\d{1,18})"?\s*')
_LONGEST_WAIT = 600.0


@dataclass(frozen=True, slots=True)
class Operations:
    """What a request on a resource does, on this store and these switches."""

    store: Store
    realisation: Realisation
    settings: ApiSettings
    surroundings: Surroundings

    def view(self) -> View:
        """The present."""
        return View(self.store.snapshot, self.realisation)

    def list(self, resource: Resource[R], request: Request, actor: Actor) -> Reply:
        """GET of a collection."""
        return listed(resource, request, self.view(), actor)

    def show(self, resource: Resource[R], request: Request, actor: Actor, id: str) -> Reply:
        """GET of one."""
        row = self._find(resource, actor, id)
        fields = frozenset(request.values("fields"))
        return Reply(200, {resource.name: resource.show(row, self.view(), actor, fields)})

    def create(self, resource: Resource[R], request: Request, actor: Actor) -> Reply:
        """POST: one, or several of which all or none are created."""
        if not _may_write(actor):
            raise forbidden(f"create_{resource.name}")
        patience = self._patience(request)
        bodies, bulk = _bodies(resource, request)
        if len(bodies) > self.settings.largest_bulk:
            raise bad(f"'{resource.collection}' holds {len(bodies)} objects; one request creates "
                      f"at most {self.settings.largest_bulk}.")
        accepted = [resource.accept(body, actor, "C") for body in bodies]

        def work(draft: Transaction) -> list[R]:
            write = self.write(draft, actor)
            return [resource.create(write, values) for values in accepted]
        done = self.store.transact(work)
        headers = self._settle(resource, done, done.value, patience)
        view = self.view()
        shown = [resource.show(self._latest(resource, row), view, actor) for row in done.value]
        body: object = {resource.collection: shown} if bulk else {resource.name: shown[0]}
        return Reply(201, body, headers)

    def update(self, resource: Resource[R], request: Request, actor: Actor, id: str) -> Reply:
        """PUT: the attributes that are given."""
        self._find_owned(resource, actor, id, "update")
        patience = self._patience(request)
        values = resource.accept(_envelope(resource, request), actor, "U")
        condition = _condition(request)

        def work(draft: Transaction) -> R:
            row = self._expected(resource, draft, id, condition)
            write = self.write(draft, actor)
            new = resource.update(write, row, values)
            if new != row:
                new = _next_revision(new, write.now)
                draft.put(new)
            return new
        done = self.store.transact(work)
        headers = self._settle(resource, done, (done.value,), patience)
        row = self._latest(resource, done.value)
        return Reply(200, {resource.name: resource.show(row, self.view(), actor)}, headers)

    def delete(self, resource: Resource[R], request: Request, actor: Actor, id: str) -> Reply:
        """DELETE of one."""
        self._find_owned(resource, actor, id, "delete")
        patience = self._patience(request)
        condition = _condition(request)

        def work(draft: Transaction) -> R:
            row = self._expected(resource, draft, id, condition)
            resource.delete(self.write(draft, actor), row)
            return row
        done = self.store.transact(work)
        return Reply(204, None, self._settle(resource, done, (done.value,), patience))

    def write(self, draft: Transaction, actor: Actor) -> Write:
        """A transaction as the rules of resources see it."""
        return Write(draft, actor, timestamp(self.surroundings.clock()), self.settings,
                     self.surroundings)

    def _find(self, resource: Resource[R], actor: Actor, id: str) -> R:
        row = self.store.snapshot.get(resource.kind, id)
        if row is None or not resource.visible(self.store.snapshot, row, actor):
            raise fault(resource.not_found, id=id[:80])
        return row

    def _find_owned(self, resource: Resource[R], actor: Actor, id: str, verb: str) -> None:
        row = self._find(resource, actor, id)
        if not _may_write(actor) or not resource.owned(self.store.snapshot, row, actor):
            raise forbidden(f"{verb}_{resource.name}")

    def _latest(self, resource: Resource[R], row: R) -> R:
        """The row as it is now: a wait may have seen it change, or go."""
        return self.store.snapshot.get(resource.kind, row.id) or row

    @staticmethod
    def _expected(resource: Resource[R], draft: Transaction, id: str, condition: int | None) -> R:
        row = draft.get(resource.kind, id)
        if row is None:
            raise fault(resource.not_found, id=id[:80])
        current = getattr(row, "revision_number")
        if condition is not None and condition != current:
            raise fault("RevisionNumberConstraintFailed", expected=condition, current=current)
        return row

    def _patience(self, request: Request) -> float | None:
        """For how long a write waits for switches; None when it does not."""
        wait, text = request.value("wait"), request.value("timeout")
        if wait is None:
            return None
        if wait != "realised":
            raise bad(f"Invalid input for wait. Reason: {quoted(wait)} is not 'realised'.")
        if text is None:
            return self.settings.wait_seconds
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= _LONGEST_WAIT:
            raise bad(f"Invalid input for timeout. Reason: {quoted(text)} is not a number of "
                      f"seconds up to {_LONGEST_WAIT:.0f}.")
        return seconds

    def _settle(self, resource: Resource[R], done: Committed[Any], rows: Iterable[R],
                patience: float | None) -> dict[str, str]:
        """The headers of a write; when it waits, after the networks concerned hold it."""
        headers = {"Tenet-Revision": str(done.revision)}
        if patience is not None:
            networks = sorted({resource.network(row) for row in rows})
            headers["Tenet-Realised"] = str(self._wait(done.revision, networks, patience)).lower()
        return headers

    def _wait(self, revision: int, networks: Sequence[str], patience: float) -> bool:
        started = self.surroundings.clock()
        for network in networks:
            passed = (self.surroundings.clock() - started).total_seconds()
            if not self.realisation.wait(revision, network, max(0.0, patience - passed)):
                return False
        return True


def _may_write(actor: Actor) -> bool:
    return bool(actor.roles & {"admin", "member"})


def _next_revision(row: Any, now: str) -> Any:
    return replace(row, revision_number=row.revision_number + 1, updated_at=now)


def _condition(request: Request) -> int | None:
    text = request.headers.get("if-match")
    if text is None:
        return None
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise bad(f"If-Match {quoted(text)} is not revision_number=N.")
    return int(found[1])


def _envelope(resource: Resource[R], request: Request) -> object:
    body = request.json()
    if not isinstance(body, dict) or resource.name not in body:
        raise bad(f"Unable to find '{resource.name}' in request body")
    if len(body) > 1:
        raise bad(f"The request body holds more than '{resource.name}'")
    return body[resource.name]


def _bodies(resource: Resource[R], request: Request) -> tuple[list[object], bool]:
    """What is to be created, and whether it came as a list."""
    body = request.json()
    if isinstance(body, dict) and len(body) == 1 and resource.collection in body:
        several = body[resource.collection]
        if not isinstance(several, list) or not several:
            raise bad(f"'{resource.collection}' must be a list that is not empty.")
        return several, True
    if not isinstance(body, dict) or resource.name not in body:
        raise bad(f"Unable to find '{resource.name}' in request body")
    if len(body) > 1:
        raise bad(f"The request body holds more than '{resource.name}'")
    return [body[resource.name]], False
