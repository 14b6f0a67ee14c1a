"""Listing: filters, sorting, fields and pages.

Owns the query string of a list. The one idea: a filter on an indexed attribute chooses the rows to
look at, so that the look-ups by name and network that clients do all the time cost what they find.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from controller.api.attributes import Actor, Attribute, Resource, View, text_of
from controller.api.faults import Fault, fault, quoted, some
from controller.api.wire import Reply, Request, bad
from controller.model.resources import Row

R = TypeVar("R", bound=Row)
_LARGEST_PAGE = 1 << 31
Filter = tuple[Attribute, list[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of the sorted list is asked for."""

    limit: int | None
    marker: str | None
    reverse: bool


def listed(resource: Resource[R], request: Request, view: View, actor: Actor) -> Reply:
    """The reply to a list."""
    filters = _filters(resource, request)
    since = request.value("changed_since")
    rows = [row for row in _candidates(resource, filters, view, actor)
            if all(_matches(filter, row, view) for filter in filters)
            and (since is None or _updated(row) >= since)]
    page = _page(request)
    order = _order(resource, request)
    if order or page.limit is not None or page.marker is not None:
        rows = _sorted(rows, order, view)
    rows, links = _cut(resource, request, rows, page, order, view, actor)
    fields = frozenset(request.values("fields"))
    body: dict[str, object] = {
        resource.collection: [resource.show(row, view, actor, fields) for row in rows]}
    if links:
        body[f"{resource.collection}_links"] = links
    return Reply(200, body)


def _updated(row: Any) -> str:
    return str(row.updated_at)


def _filters(resource: Resource[R], request: Request) -> list[Filter]:
    """What the query asks of rows; parameters that are no filter are ignored, as the reference
    does without its filter-validation extension."""
    asked: dict[str, list[str]] = {}
    for name, text in request.query:
        attribute = resource.by_name.get(name)
        if attribute is not None and "F" in attribute.flags:
            asked.setdefault(name, []).append(text)
    return [(resource.by_name[name], texts) for name, texts in asked.items()]


def _candidates(resource: Resource[R], filters: Sequence[Filter], view: View, actor: Actor
                ) -> Iterable[R]:
    state, kind = view.state, resource.kind
    for attribute, texts in filters:
        ids: Iterable[str]
        if attribute.bucket == "id":
            ids = texts
        elif attribute.bucket is not None and "" not in texts:
            ids = (id for text in texts for id in state.ids(kind, attribute.bucket, text))
        else:
            continue
        found = (state.get(kind, id) for id in sorted(set(ids)))
        return [row for row in found
                if row is not None and (actor.is_admin or resource.visible(state, row, actor))]
    if actor.is_admin:
        return state.where(kind)
    found = (state.get(kind, id) for id in sorted(set(resource.mine(state, actor))))
    return [row for row in found if row is not None]


def _matches(filter: Filter, row: Row, view: View) -> bool:
    attribute, texts = filter
    assert attribute.show is not None
    value = attribute.show(row, view)
    if attribute.matches is not None:
        return attribute.matches(value, texts)
    if isinstance(value, bool):
        return any(_flag(text) is value for text in texts)
    return text_of(value) in texts


def _flag(text: str) -> bool | None:
    lower = text.lower()
    return True if lower in ("true", "1") else False if lower in ("false", "0") else None


def _page(request: Request) -> Page:
    text = request.value("limit")
    limit = None
    if text is not None:
        if not (text.isascii() and text.isdigit() and int(text[:12]) < _LARGEST_PAGE):
            raise bad(f"Invalid input for limit. Reason: {quoted(text)} is not an integer "
                      "of 0 or greater.")
        limit = int(text) or None
    return Page(limit, request.value("marker"), _flag(request.value("page_reverse") or "") is True)


def _order(resource: Resource[R], request: Request) -> list[tuple[Attribute, bool]]:
    """(attribute, descending) for each sort key."""
    keys, directions = request.values("sort_key"), request.values("sort_dir")
    wrong = [key for key in keys if "S" not in getattr(resource.by_name.get(key), "flags", "")]
    if wrong:
        raise bad(f"Invalid attribute(s) to sort by: {some(quoted(key) for key in wrong)}.")
    odd = [direction for direction in directions if direction not in ("asc", "desc")]
    if odd:
        raise bad(f"Invalid sort direction {quoted(odd[0])}: it is 'asc' or 'desc'.")
    if directions and len(directions) != len(keys):
        raise bad("The number of sort_keys and sort_dirs must be same.")
    directions = directions or ["asc"] * len(keys)
    return [(resource.by_name[key], direction == "desc")
            for key, direction in dict(zip(keys, directions)).items()]


def _sorted(rows: list[R], order: list[tuple[Attribute, bool]], view: View) -> list[R]:
    """Sorted by the keys, and by id where they are equal."""
    rows = sorted(rows, key=lambda row: row.id)
    for attribute, descending in reversed(order):
        def key(row: R, attribute: Attribute = attribute) -> tuple[bool, Any]:
            assert attribute.show is not None
            value = attribute.show(row, view)
            return (value is not None, value if value is not None else 0)
        rows.sort(key=key, reverse=descending)
    return rows


def _cut(resource: Resource[R], request: Request, rows: list[R], page: Page,
         order: list[tuple[Attribute, bool]], view: View, actor: Actor
         ) -> tuple[list[R], list[dict[str, str]]]:
    """The rows of the page, and the links to the next and the previous one."""
    if page.marker is None and page.limit is None:
        return (rows[::-1] if page.reverse else rows), []
    if page.marker is not None:
        rows = _behind_marker(resource, rows, page, order, view, actor)
    limit = page.limit if page.limit is not None else len(rows)
    more = len(rows) > limit
    rows = (rows[-limit:] if limit else []) if page.reverse else rows[:limit]
    if page.limit is None or not rows:
        return rows, []
    links = []
    if more and not page.reverse or page.reverse and page.marker is not None:
        links.append(_link(request, "next", rows[-1].id))
    if more and page.reverse or not page.reverse and page.marker is not None:
        links.append(_link(request, "previous", rows[0].id))
    return rows, links


def _behind_marker(resource: Resource[R], rows: list[R], page: Page,
                   order: list[tuple[Attribute, bool]], view: View, actor: Actor) -> list[R]:
    """The rows behind the marker, or before it; it need not be among those that match."""
    assert page.marker is not None
    at = view.state.get(resource.kind, page.marker)
    if at is None or not (actor.is_admin or resource.visible(view.state, at, actor)):
        raise _no_marker(page.marker)
    if all(row.id != at.id for row in rows):
        rows = _sorted([*rows, at], order, view)
    place = next(index for index, row in enumerate(rows) if row.id == at.id)
    return rows[:place] if page.reverse else rows[place + 1:]


def _no_marker(marker: str) -> Fault:
    return fault("HTTPBadRequest", reason=f"Invalid input for marker. Reason: there is no "
                                          f"{quoted(marker)}.")


def _link(request: Request, relation: str, marker: str) -> dict[str, str]:
    query = [(name, value) for name, value in request.query
             if name not in ("marker", "page_reverse")]
    query.append(("marker", marker))
    if relation == "previous":
        query.append(("page_reverse", "True"))
    return {"rel": relation, "href": f"{request.base}/{'/'.join(request.path)}?{urlencode(query)}"}
