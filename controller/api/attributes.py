"""Attributes: what a resource is, declared once as data.

Owns the declaration's shape and what follows from it alone: which attributes a body may carry, what
is wrong with a value, what an actor may see. Routes, filters, replies and errors are derived from
the same declarations; nothing about an attribute is written twice.

Flags: `C` may be given on create, `U` on update, `F` filters a list, `S` sorts it, `!` must be
given on create. An attribute without `C` and `U` is read only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from controller.api.faults import Fault, fault, forbidden, invalid, quoted, some
from controller.api.realisation import Realisation
from controller.api.settings import ApiSettings, Surroundings
from controller.model.resources import Row
from controller.model.snapshot import Snapshot
from controller.store.store import Transaction

R = TypeVar("R", bound=Row)
Values = dict[str, Any]
Reader = Snapshot | Transaction


class _Absent:
    """Stands for a value that was not given."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a user with the roles that the token has on one project."""

    user_id: str
    project_id: str
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether the actor sees and may change everything."""
        return "admin" in self.roles

    def owns(self, row: Any) -> bool:
        """Whether the actor may treat the row as its own."""
        return self.is_admin or bool(row.project_id == self.project_id)


@dataclass(frozen=True, slots=True)
class View:
    """What a reply is made from: one snapshot, and how far the switches are."""

    state: Snapshot
    realisation: Realisation


@dataclass(frozen=True, slots=True)
class Write:
    """What a change is made in: one transaction, for one actor, at one moment."""

    transaction: Transaction
    actor: Actor
    now: str
    settings: ApiSettings
    surroundings: Surroundings


Show = Callable[[Any, View], object]
Match = Callable[[Any, Sequence[str]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute. `show` is None when it is write only; `bucket` names the index that answers
    its filter; `matches` replaces equality in filters. `admin_writes` and `admin_reads` keep it
    from everyone else; a default may be given by anyone."""

    name: str
    type: TypeAdapter[Any] | None = None
    flags: str = ""
    default: object = ABSENT
    show: Show | None = None
    bucket: str | None = None
    matches: Match | None = None
    admin_writes: bool = False
    admin_reads: bool = False

    def parse(self, raw: object) -> object:
        """The value that the JSON value stands for; a fault that names the attribute."""
        assert self.type is not None
        try:
            return self.type.validate_python(raw)
        except ValidationError as error:
            raise self._fault(error) from None

    def _fault(self, error: ValidationError) -> Fault:
        first = error.errors(include_url=False, include_context=False)[0]
        inside = "".join(f"[{part}]" if isinstance(part, int) else f".{part}"
                         for part in first["loc"] if part in ("start", "end")
                         or isinstance(part, int) or part in _INNER)
        if first["type"] == "value_error":
            reason = first["msg"].removeprefix("Value error, ")
        else:
            said = first["msg"]
            reason = f"{quoted(first['input'])}: {said[:1].lower()}{said[1:]}"
        return invalid(self.name + inside, reason)


_INNER = frozenset({"subnet_id", "ip_address", "destination", "nexthop"})


def field(name: str) -> Show:
    """Show the row's field as it is."""
    def show(row: Any, view: View) -> object:
        return getattr(row, name)
    return show


def constant(value: object) -> Show:
    """Show the same for every row."""
    def show(row: Any, view: View) -> object:
        return value
    return show


def text_of(value: object) -> str:
    """A shown value as a filter writes it."""
    if value is None:
        return ""
    if isinstance(value, (str, IPv4Address, IPv4Network)):
        return str(value)
    return repr(value)


def contains(value: Iterable[object], texts: Sequence[str]) -> bool:
    """Filter on a list: one of its items is one of the texts."""
    return any(text_of(item) in texts for item in value)


class Resource(Generic[R]):
    """One kind of resource: its names, its attributes, and the rules that are its own.

    `create`, `update` and `delete` change a transaction. `visible` and `owned` decide what an actor
    may read and change, `mine` yields the ids that an actor without admin can see, `network` names
    the network whose switches a change concerns.
    """

    def __init__(self, *, name: str, collection: str, kind: type[R], not_found: str,
                 attributes: Sequence[Attribute],
                 create: Callable[[Write, Values], R],
                 update: Callable[[Write, R, Values], R],
                 delete: Callable[[Write, R], None],
                 visible: Callable[[Reader, R, Actor], bool],
                 owned: Callable[[Reader, R, Actor], bool],
                 mine: Callable[[Snapshot, Actor], Iterable[str]],
                 network: Callable[[R], str]) -> None:
        self.name, self.collection, self.kind = name, collection, kind
        self.not_found = not_found
        self.attributes = tuple(attributes)
        self.create, self.update, self.delete = create, update, delete
        self.visible, self.owned, self.mine, self.network = visible, owned, mine, network

    @cached_property
    def by_name(self) -> Mapping[str, Attribute]:
        """The attributes by their names."""
        return {attribute.name: attribute for attribute in self.attributes}

    @cached_property
    def defaults(self) -> Values:
        """What a create gets that says nothing else."""
        return {attribute.name: attribute.default for attribute in self.attributes
                if attribute.default is not ABSENT and "C" in attribute.flags}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """What a create must give."""
        return tuple(each.name for each in self.attributes if "!" in each.flags)

    @cached_property
    def _shown(self) -> dict[bool, tuple[tuple[str, Show], ...]]:
        return {admin: tuple((each.name, each.show) for each in self.attributes
                             if each.show is not None and (admin or not each.admin_reads))
                for admin in (False, True)}

    def show(self, row: R, view: View, actor: Actor,
             fields: frozenset[str] = frozenset()) -> dict[str, object]:
        """The row as this actor sees it; only `fields`, when some are named."""
        return {name: show(row, view) for name, show in self._shown[actor.is_admin]
                if not fields or name in fields}

    def accept(self, body: object, actor: Actor, verb: str) -> Values:
        """The values of a body; a fault for what is forbidden, unknown, missing or wrong."""
        if not isinstance(body, dict):
            raise fault("HTTPBadRequest", reason=f"'{self.name}' must be an object.")
        known = self.by_name
        for name in body:
            if name in known:
                self._check_allowed(known[name], body[name], actor, verb)
        unknown = [name for name in body if name not in known]
        if unknown:
            names = some(name[:80] for name in unknown)
            raise fault("HTTPBadRequest", reason=f"Unrecognized attribute(s) '{names}'")
        for name in body:
            if verb not in known[name].flags:
                said = (f"Attribute '{name}' not allowed in POST" if verb == "C"
                        else f"Cannot update read-only attribute {name}")
                raise fault("HTTPBadRequest", reason=said)
        values = {name: known[name].parse(raw) for name, raw in body.items()}
        if verb == "U":
            return values
        for name in self.required:
            if name not in values:
                raise fault("HTTPBadRequest", reason="Failed to parse request. Required attribute "
                                                     f"'{name}' not specified")
        return self.defaults | values

    def _check_allowed(self, attribute: Attribute, raw: object, actor: Actor, verb: str) -> None:
        """The reference's policy: what is kept from the actor may still be given as its default,
        since clients send defaults unasked."""
        if actor.is_admin or not attribute.admin_writes or verb not in attribute.flags:
            return
        action = f"{'create' if verb == 'C' else 'update'}_{self.name}:{attribute.name}"
        if verb == "U" or attribute.default is ABSENT:
            raise forbidden(action)
        try:
            value = attribute.parse(raw)
        except Fault:
            raise forbidden(action) from None
        if value != attribute.default:
            raise forbidden(action)
