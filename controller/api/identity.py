"""The identity door: Keystone v3 as far as networks need it.

Owns `/identity`. The one idea: tenants are real from the first day, so the same door that clients
log in by is where projects and users are made.
"""

from __future__ import annotations

from typing import Any, TypeVar

from controller.api.accounts import PROJECTS, USERS
from controller.api.attributes import Actor, Resource, Values, Write
from controller.api.faults import fault, forbidden
from controller.api.grants import Grants
from controller.api.listing import listed
from controller.api.login import Login, catalog, token_body
from controller.api.operations import Operations
from controller.api.routes import Caller, Handler, Route
from controller.api.shapes import administrator, found, href, links, version_of
from controller.api.tokens import Token, Tokens
from controller.api.wire import Reply, Request, bad
from controller.model.resources import Row, User
from controller.store.store import Transaction

R = TypeVar("R", bound=Row)
Args = tuple[str, ...]


class Identity:
    """The handlers of the door."""

    def __init__(self, operations: Operations, tokens: Tokens) -> None:
        self.operations, self.tokens = operations, tokens
        self.store, self.surroundings = operations.store, operations.surroundings
        self.login = Login(self.store, tokens, self.surroundings)

    # Versions and tokens

    def versions(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity."""
        return Reply(300, {"versions": {"values": [version_of(request.base)]}})

    def version(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3."""
        return Reply(200, {"version": version_of(request.base)})

    def log_in(self, request: Request, caller: Caller, args: Args) -> Reply:
        """POST /identity/v3/auth/tokens."""
        secret, token = self.login(request.json())
        body = token_body(token, self.store.snapshot, request.base,
                          request.value("nocatalog") is None)
        return Reply(201, body, {"X-Subject-Token": secret, "Vary": "X-Auth-Token"})

    def validate(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/auth/tokens."""
        secret, token = self._subject(request, caller, "validate_token")
        body = token_body(token, self.store.snapshot, request.base,
                          request.value("nocatalog") is None)
        return Reply(200, body, {"X-Subject-Token": secret, "Vary": "X-Auth-Token"})

    def revoke(self, request: Request, caller: Caller, args: Args) -> Reply:
        """DELETE /identity/v3/auth/tokens."""
        secret, _ = self._subject(request, caller, "revoke_token")
        self.tokens.revoke(secret)
        return Reply(204)

    def _subject(self, request: Request, caller: Caller, action: str) -> tuple[str, Token]:
        secret = request.headers.get("x-subject-token", "")
        token = self.tokens.find(secret, self.store.snapshot) if secret else None
        if token is None:
            raise fault("HTTPNotFound")
        if token.user_id != caller.actor.user_id and not caller.actor.is_admin:
            raise forbidden(f"identity:{action}")
        return secret, token

    def catalog(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/auth/catalog."""
        return Reply(200, {"catalog": catalog(request.base), "links": links(request)})

    # Projects and users

    def listing(self, resource: Resource[R]) -> Handler:
        """GET of a collection."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            administrator(caller, f"list_{resource.collection}")
            return self._listed(resource, request, caller.actor)
        return handler

    def _listed(self, resource: Resource[R], request: Request, actor: Actor) -> Reply:
        body = listed(resource, request, self.operations.view(), actor).body
        assert isinstance(body, dict)
        for shown in body[resource.collection]:
            shown["links"] = {"self": href(request, resource.collection, str(shown.get("id")))}
        return Reply(200, {resource.collection: body[resource.collection],
                           "links": links(request)})

    def my_projects(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of the projects that a user has a role on."""
        user_id = args[0] if args else caller.actor.user_id
        if user_id != caller.actor.user_id:
            administrator(caller, "list_user_projects")
        if self.store.snapshot.get(User, user_id) is None:
            raise fault("UserNotFound", id=user_id[:80])
        return self._listed(PROJECTS, request, Actor(user_id, "", frozenset()))

    def show(self, resource: Resource[R]) -> Handler:
        """GET of one."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            row = found(self.store.snapshot, resource, args[0])
            if not resource.visible(self.store.snapshot, row, caller.actor):
                raise forbidden(f"identity:get_{resource.name}")
            return self._reply(200, resource, row, request, caller)
        return handler

    def create(self, resource: Resource[R]) -> Handler:
        """POST."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            administrator(caller, f"create_{resource.name}")
            values = self._values(resource, request, caller.actor, "C")
            row = self.store.transact(
                lambda draft: resource.create(self._write(draft, caller), values)).value
            return self._reply(201, resource, row, request, caller)
        return handler

    def update(self, resource: Resource[R]) -> Handler:
        """PATCH."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            administrator(caller, f"update_{resource.name}")
            found(self.store.snapshot, resource, args[0])
            values = self._values(resource, request, caller.actor, "U")

            def work(draft: Transaction) -> R:
                return resource.update(self._write(draft, caller),
                                       found(draft, resource, args[0]), values)
            row = self.store.transact(work).value
            if "password" in values:
                self.tokens.revoke_user(row.id)
            return self._reply(200, resource, row, request, caller)
        return handler

    def delete(self, resource: Resource[R]) -> Handler:
        """DELETE."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            administrator(caller, f"delete_{resource.name}")

            def work(draft: Transaction) -> None:
                resource.delete(self._write(draft, caller), found(draft, resource, args[0]))
            self.store.transact(work)
            return Reply(204)
        return handler

    def change_password(self, request: Request, caller: Caller, args: Args) -> Reply:
        """POST /identity/v3/users/*/password: by the user."""
        user = found(self.store.snapshot, USERS, args[0])
        if user.id != caller.actor.user_id:
            raise forbidden("identity:change_password")
        body = request.json()
        given = body.get("user") if isinstance(body, dict) else None
        old = given.get("original_password") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(old, str):
            raise bad("Failed to parse request. Required attribute 'original_password' not "
                      "specified")
        if not self.surroundings.verify_password(old, user.password_hash):
            raise fault("Unauthorized")
        values = self._hashed(USERS.accept({"password": given.get("password")}, caller.actor, "U"))
        self.store.transact(lambda draft: USERS.update(
            self._write(draft, caller), found(draft, USERS, user.id), values))
        self.tokens.revoke_user(user.id)
        return Reply(204)

    def _values(self, resource: Resource[R], request: Request, actor: Actor, verb: str) -> Values:
        body = request.json()
        if not isinstance(body, dict) or resource.name not in body:
            raise bad(f"Unable to find '{resource.name}' in request body")
        given = body[resource.name]
        if isinstance(given, dict):
            # The client sends what it has no value for.
            given = {name: value for name, value in given.items()
                     if value is not None or name not in _MAY_BE_NULL}
        return self._hashed(resource.accept(given, actor, verb))

    def _hashed(self, values: Values) -> Values:
        if "password" not in values:
            return values
        return values | {"password": self.surroundings.hash_password(values["password"])}

    def _reply(self, status: int, resource: Resource[R], row: R, request: Request, caller: Caller
               ) -> Reply:
        shown = resource.show(row, self.operations.view(), caller.actor)
        shown["links"] = {"self": href(request, resource.collection, row.id)}
        return Reply(status, {resource.name: shown})

    def _write(self, draft: Transaction, caller: Caller) -> Write:
        return self.operations.write(draft, caller.actor)


_MAY_BE_NULL = frozenset({"domain_id", "parent_id", "email", "default_project_id", "description",
                          "password"})


def routes(door: Identity) -> list[Route]:
    """The routes under `/identity`."""
    v3, grants = "/identity/v3", Grants(door.store)
    collections: list[tuple[str, Resource[Any]]] = [("projects", PROJECTS), ("users", USERS)]
    paths: list[tuple[str, dict[str, Handler]]] = [
        ("/auth/catalog", {"GET": door.catalog}),
        ("/auth/projects", {"GET": door.my_projects}),
        ("/users/*/projects", {"GET": door.my_projects}),
        ("/users/*/password", {"POST": door.change_password}),
        ("/roles", {"GET": grants.roles}),
        ("/roles/*", {"GET": grants.role}),
        ("/domains", {"GET": grants.domains}),
        ("/domains/*", {"GET": grants.domain}),
        ("/role_assignments", {"GET": grants.assignments}),
        ("/projects/*/users/*/roles", {"GET": grants.granted}),
        ("/projects/*/users/*/roles/*", {"GET": grants.has_role, "PUT": grants.grant,
                                         "DELETE": grants.withdraw}),
    ]
    for path, resource in collections:
        paths += [(f"/{path}", {"GET": door.listing(resource), "POST": door.create(resource)}),
                  (f"/{path}/*", {"GET": door.show(resource), "PATCH": door.update(resource),
                                  "DELETE": door.delete(resource)})]
    return [Route("/identity", {"GET": door.versions}, open=("GET",)),
            Route(v3, {"GET": door.version}, open=("GET",)),
            Route(f"{v3}/auth/tokens", {"POST": door.log_in, "GET": door.validate,
                                        "DELETE": door.revoke}, open=("POST",)),
            *(Route(v3 + path, handlers) for path, handlers in paths)]
