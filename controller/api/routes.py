"""Routes: which handler answers a path.

Owns the table. A pattern is a path whose `*` segments are handed to the handler; nothing is
registered by decorators, so the whole table is a value that is built once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.api.attributes import Actor
from controller.api.tokens import Token
from controller.api.wire import Reply, Request


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: nobody yet, on open routes."""

    token: Token | None
    actor: Actor


NOBODY = Caller(None, Actor("", "", frozenset()))
Handler = Callable[[Request, Caller, tuple[str, ...]], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """A path and what it answers by method. The `open` methods ask for no token."""

    pattern: str
    handlers: Mapping[str, Handler]
    open: tuple[str, ...] = ()


class Routes:
    """The table, by number of segments and first segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_shape: dict[tuple[int, str], list[tuple[tuple[str, ...], Route]]] = {}
        for route in routes:
            parts = tuple(part for part in route.pattern.split("/") if part)
            shape = (len(parts), parts[0] if parts else "")
            self._by_shape.setdefault(shape, []).append((parts, route))

    def find(self, path: tuple[str, ...]) -> tuple[Route, tuple[str, ...]] | None:
        """The route of a path, and its variable segments."""
        for parts, route in self._by_shape.get((len(path), path[0] if path else ""), ()):
            if all(part in ("*", given) for part, given in zip(parts, path)):
                return route, tuple(given for part, given in zip(parts, path) if part == "*")
        return None
