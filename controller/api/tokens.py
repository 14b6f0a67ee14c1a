"""Tokens: who has logged in.

Owns the live tokens. Only their SHA-256 is kept, in memory: who reads the memory or the disk cannot
use them, and a restart asks everyone to log in again. Roles are looked up at each use, so what is
taken from a user is gone at once.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.api.attributes import Actor
from controller.api.settings import Surroundings
from controller.model.resources import Project, RoleAssignment, User
from controller.model.snapshot import Snapshot

_PURGE_EVERY = 256
IMPLIED: dict[str, tuple[str, ...]] = {
    "admin": ("admin", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",)}
"""The roles that exist, and what each includes."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for; without a project it only leads to another token."""

    user_id: str
    project_id: str | None
    methods: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    audit_id: str


def roles_on(state: Snapshot, user_id: str, project_id: str) -> frozenset[str]:
    """The roles that a user has on a project, with those that they include."""
    given = state.where(RoleAssignment, "user project", user_id, project_id)
    return frozenset(role for each in given for role in IMPLIED[each.role])


class Tokens:
    """The tokens of this run, by digest."""

    def __init__(self, hours: float, surroundings: Surroundings) -> None:
        self._lifetime = timedelta(hours=hours)
        self._surroundings = surroundings
        self._tokens: dict[bytes, Token] = {}
        self._issued = 0

    def __len__(self) -> int:
        return len(self._tokens)

    def issue(self, user_id: str, project_id: str | None, methods: tuple[str, ...],
              expires_at: datetime | None = None) -> tuple[str, Token]:
        """A new token; one made from another expires with it."""
        now = self._surroundings.clock()
        secret = base64.urlsafe_b64encode(self._surroundings.random_bytes(32)).decode().rstrip("=")
        audit = base64.urlsafe_b64encode(self._surroundings.random_bytes(16)).decode().rstrip("=")
        token = Token(user_id, project_id, methods, now,
                      min(expires_at or now + self._lifetime, now + self._lifetime), audit)
        self._issued += 1
        if self._issued % _PURGE_EVERY == 0:
            self._tokens = {key: old for key, old in self._tokens.items() if old.expires_at > now}
        self._tokens[_digest(secret)] = token
        return secret, token

    def find(self, secret: str, state: Snapshot) -> Token | None:
        """The token, if it is alive and so are its user and project."""
        token = self._tokens.get(_digest(secret))
        if token is None or token.expires_at <= self._surroundings.clock():
            return None
        user = state.get(User, token.user_id)
        if user is None or not user.enabled:
            return None
        if token.project_id is not None:
            project = state.get(Project, token.project_id)
            if project is None or not project.enabled:
                return None
            if not state.ids(RoleAssignment, "user project", token.user_id, token.project_id):
                return None
        return token

    def revoke(self, secret: str) -> None:
        """End a token."""
        self._tokens.pop(_digest(secret), None)

    def revoke_user(self, user_id: str) -> None:
        """End all tokens of a user."""
        self._tokens = {key: token for key, token in self._tokens.items()
                        if token.user_id != user_id}


def actor_of(token: Token, state: Snapshot) -> Actor:
    """Who acts with the token, with the roles of this moment."""
    if token.project_id is None:
        return Actor(token.user_id, "", frozenset())
    return Actor(token.user_id, token.project_id,
                 roles_on(state, token.user_id, token.project_id))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
