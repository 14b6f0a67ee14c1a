"""Login: from a password or a token to a token on a project.

Owns the order of checks, and that a wrong name costs the same time as a wrong password, so that
names cannot be guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.api.accounts import DOMAIN_ID, DOMAIN_NAME, ROLE_IDS
from controller.api.faults import Fault, fault
from controller.api.settings import REGION, Surroundings
from controller.api.tokens import Token, Tokens, roles_on
from controller.api.wire import bad
from controller.model.resources import Project, User
from controller.model.snapshot import Snapshot
from controller.store.store import Store

Name = Annotated[str, Field(max_length=255)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Domain(_Part):
    id: Name | None = None
    name: Name | None = None

    def is_ours(self) -> bool:
        return (self.id in (None, DOMAIN_ID)
                and (self.name is None or self.name.lower() == DOMAIN_NAME.lower()))


class _Named(_Part):
    id: Name | None = None
    name: Name | None = None
    domain: _Domain | None = None

    def is_ours(self) -> bool:
        return self.domain is None or self.domain.is_ours()


class _User(_Named):
    password: Annotated[str, Field(max_length=4096)]


class _Password(_Part):
    user: _User


class _Token(_Part):
    id: Annotated[str, Field(max_length=255)]


class _Identity(_Part):
    methods: Annotated[list[Literal["password", "token"]], Field(min_length=1, max_length=1)]
    password: _Password | None = None
    token: _Token | None = None


class _Scope(_Part):
    project: _Named | None = None


class _Auth(_Part):
    identity: _Identity
    scope: _Scope | Literal["unscoped"] | None = None


class _Body(_Part):
    auth: _Auth


def _read(body: Any) -> _Auth:
    try:
        return _Body.model_validate(body).auth
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise bad(f"Invalid input for {path or 'the body'}: {first['msg']}.") from None


@dataclass
class Login:
    """Issues tokens to those who prove who they are."""

    store: Store
    tokens: Tokens
    surroundings: Surroundings

    @cached_property
    def _nobodys_hash(self) -> str:
        return self.surroundings.hash_password(self.surroundings.random_bytes(16).hex())

    def __call__(self, body: Any) -> tuple[str, Token]:
        """The token's secret and the token; Unauthorized when anything does not fit."""
        auth = _read(body)
        user, base = self._user(auth.identity)
        project = self._project(auth, user)
        # Checked again after the password: hashing may have let others run.
        state = self.store.snapshot
        current = state.get(User, user.id)
        if current is None or not current.enabled or current.password_hash != user.password_hash:
            raise fault("Unauthorized")
        if project is not None and not roles_on(state, user.id, project.id):
            raise fault("Unauthorized")
        methods: tuple[str, ...] = (auth.identity.methods[0],)
        if base is not None:
            methods = tuple(dict.fromkeys((*base.methods, "token")))
        return self.tokens.issue(user.id, project.id if project is not None else None, methods,
                                 base.expires_at if base is not None else None)

    def _user(self, identity: _Identity) -> tuple[User, Token | None]:
        state = self.store.snapshot
        if identity.methods == ["token"]:
            if identity.token is None:
                raise bad("Invalid input for auth.identity.token: it is missing.")
            base = self.tokens.find(identity.token.id, state)
            user = state.get(User, base.user_id) if base is not None else None
            if user is None:
                raise fault("Unauthorized")
            return user, base
        if identity.password is None:
            raise bad("Invalid input for auth.identity.password: it is missing.")
        asked = identity.password.user
        user = self._named_user(state, asked)
        stored = user.password_hash if user is not None else ""
        right = self.surroundings.verify_password(asked.password, stored or self._nobodys_hash)
        if user is None or not stored or not right or not user.enabled:
            raise fault("Unauthorized")
        return user, None

    @staticmethod
    def _named_user(state: Snapshot, asked: _User) -> User | None:
        if not asked.is_ours():
            return None
        if asked.id is not None:
            return state.get(User, asked.id)
        return next(iter(state.where(User, "name", asked.name or "")), None)

    def _project(self, auth: _Auth, user: User) -> Project | None:
        """The project that the token is for; one's default project when none is named."""
        state = self.store.snapshot
        if auth.scope == "unscoped":
            return None
        if auth.scope is None:
            id = user.default_project_id
            project = state.get(Project, id) if id is not None else None
            usable = (project is not None and project.enabled
                      and roles_on(state, user.id, project.id))
            return project if usable else None
        asked = auth.scope.project
        if asked is None or not asked.is_ours():
            raise fault("Unauthorized")
        if asked.id is not None:
            project = state.get(Project, asked.id)
        else:
            project = next(iter(state.where(Project, "name", asked.name or "")), None)
        if project is None or not project.enabled:
            raise fault("Unauthorized")
        return project


def token_body(token: Token, state: Snapshot, base: str, catalogue: bool = True
               ) -> dict[str, object]:
    """A token as the identity door shows it."""
    user = state.get(User, token.user_id)
    if user is None:
        raise _gone()
    domain = {"id": DOMAIN_ID, "name": DOMAIN_NAME}
    body: dict[str, object] = {
        "methods": list(token.methods), "audit_ids": [token.audit_id],
        "issued_at": token.issued_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "expires_at": token.expires_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "user": {"id": user.id, "name": user.name, "domain": domain, "password_expires_at": None},
    }
    if token.project_id is not None:
        project = state.get(Project, token.project_id)
        if project is None:
            raise _gone()
        body["project"] = {"id": project.id, "name": project.name, "domain": domain}
        body["is_domain"] = False
        body["roles"] = [{"id": ROLE_IDS[role], "name": role}
                         for role in sorted(roles_on(state, user.id, project.id))]
        if catalogue:
            body["catalog"] = catalog(base)
    return {"token": body}


def _gone() -> Fault:
    return fault("Unauthorized")


def catalog(base: str) -> list[dict[str, object]]:
    """The services, at the address that the client used."""
    def service(type: str, name: str, url: str) -> dict[str, object]:
        return {"id": f"tenet-{type}", "type": type, "name": name, "endpoints": [
            {"id": f"tenet-{type}-{interface}", "interface": interface, "region": REGION,
             "region_id": REGION, "url": url} for interface in ("public", "internal", "admin")]}
    return [service("identity", "keystone", f"{base}/identity"),
            service("network", "neutron", base)]
