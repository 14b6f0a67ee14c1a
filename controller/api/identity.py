"""The identity door: Keystone v3 as far as networks need it.

Owns `/identity`. The one idea: tenants are real from the first day, so the same door that clients
log in by is where projects and users are made.
"""

from __future__ import annotations

from typing import Any, TypeVar

from controller.api.accounts import (
    DOMAIN_ID, DOMAIN_NAME, PROJECTS, ROLE_IDS, ROLE_NAMES, USERS, assignment)
from controller.api.attributes import Actor, Resource, Values, Write
from controller.api.faults import Fault, fault, forbidden
from controller.api.listing import listed
from controller.api.login import Login, catalog, token_body
from controller.api.operations import Operations
from controller.api.routes import Caller, Handler, Route
from controller.api.tokens import IMPLIED, Token, Tokens
from controller.api.wire import Reply, Request, bad
from controller.model.resources import Project, RoleAssignment, Row, User
from controller.store.store import Transaction

R = TypeVar("R", bound=Row)
Args = tuple[str, ...]
_DOMAIN: dict[str, object] = {"id": DOMAIN_ID, "name": DOMAIN_NAME, "enabled": True,
                              "description": "The only domain", "options": {}, "tags": []}


class Identity:
    """The handlers of the door."""

    def __init__(self, operations: Operations, tokens: Tokens) -> None:
        self.operations, self.tokens = operations, tokens
        self.store, self.surroundings = operations.store, operations.surroundings
        self.login = Login(self.store, tokens, self.surroundings)

    # Versions and tokens

    def versions(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity."""
        return Reply(300, {"versions": {"values": [_version(request.base)]}})

    def version(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3."""
        return Reply(200, {"version": _version(request.base)})

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
        return Reply(200, {"catalog": catalog(request.base), "links": _links(request)})

    # Projects and users

    def listing(self, resource: Resource[R]) -> Handler:
        """GET of a collection."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            _administrator(caller, f"list_{resource.collection}")
            return self._listed(resource, request, caller.actor)
        return handler

    def _listed(self, resource: Resource[R], request: Request, actor: Actor) -> Reply:
        body = listed(resource, request, self.operations.view(), actor).body
        assert isinstance(body, dict)
        for shown in body[resource.collection]:
            shown["links"] = {"self": _href(request, resource.collection, str(shown.get("id")))}
        return Reply(200, {resource.collection: body[resource.collection],
                           "links": _links(request)})

    def my_projects(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of the projects that a user has a role on."""
        user_id = args[0] if args else caller.actor.user_id
        if user_id != caller.actor.user_id:
            _administrator(caller, "list_user_projects")
        if self.store.snapshot.get(User, user_id) is None:
            raise fault("UserNotFound", id=user_id[:80])
        return self._listed(PROJECTS, request, Actor(user_id, "", frozenset()))

    def show(self, resource: Resource[R]) -> Handler:
        """GET of one."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            row = self._found(resource, args[0])
            if not resource.visible(self.store.snapshot, row, caller.actor):
                raise forbidden(f"identity:get_{resource.name}")
            return self._reply(200, resource, row, request, caller)
        return handler

    def create(self, resource: Resource[R]) -> Handler:
        """POST."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            _administrator(caller, f"create_{resource.name}")
            values = self._values(resource, request, caller.actor, "C")
            row = self.store.transact(
                lambda draft: resource.create(self._write(draft, caller), values)).value
            return self._reply(201, resource, row, request, caller)
        return handler

    def update(self, resource: Resource[R]) -> Handler:
        """PATCH."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            _administrator(caller, f"update_{resource.name}")
            self._found(resource, args[0])
            values = self._values(resource, request, caller.actor, "U")

            def work(draft: Transaction) -> R:
                return resource.update(self._write(draft, caller),
                                       self._in(draft, resource, args[0]), values)
            row = self.store.transact(work).value
            if "password" in values:
                self.tokens.revoke_user(row.id)
            return self._reply(200, resource, row, request, caller)
        return handler

    def delete(self, resource: Resource[R]) -> Handler:
        """DELETE."""
        def handler(request: Request, caller: Caller, args: Args) -> Reply:
            _administrator(caller, f"delete_{resource.name}")

            def work(draft: Transaction) -> None:
                resource.delete(self._write(draft, caller), self._in(draft, resource, args[0]))
            self.store.transact(work)
            return Reply(204)
        return handler

    def change_password(self, request: Request, caller: Caller, args: Args) -> Reply:
        """POST /identity/v3/users/*/password: by the user."""
        user = self._found(USERS, args[0])
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
            self._write(draft, caller), self._in(draft, USERS, user.id), values))
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

    def _found(self, resource: Resource[R], id: str) -> R:
        row = self.store.snapshot.get(resource.kind, id)
        if row is None:
            raise fault(resource.not_found, id=id[:80])
        return row

    @staticmethod
    def _in(draft: Transaction, resource: Resource[R], id: str) -> R:
        row = draft.get(resource.kind, id)
        if row is None:
            raise fault(resource.not_found, id=id[:80])
        return row

    def _reply(self, status: int, resource: Resource[R], row: R, request: Request, caller: Caller
               ) -> Reply:
        shown = resource.show(row, self.operations.view(), caller.actor)
        shown["links"] = {"self": _href(request, resource.collection, row.id)}
        return Reply(status, {resource.name: shown})

    def _write(self, draft: Transaction, caller: Caller) -> Write:
        return self.operations.write(draft, caller.actor)

    # Roles and domains

    def roles(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/roles."""
        wanted = request.values("name")
        return Reply(200, {"roles": [_role(name, request) for name in IMPLIED
                                     if not wanted or name in wanted], "links": _links(request)})

    def role(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of one role."""
        return Reply(200, {"role": _role(_role_name(args[0]), request)})

    def domains(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/domains."""
        wanted = request.values("name")
        return Reply(200, {"domains": [_DOMAIN] if not wanted or DOMAIN_NAME in wanted else [],
                           "links": _links(request)})

    def domain(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of one domain."""
        if args[0] != DOMAIN_ID:
            raise fault("HTTPNotFound")
        return Reply(200, {"domain": _DOMAIN})

    def granted(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of the roles that a user was given on a project."""
        _administrator(caller, "list_grants")
        given = {each.role for each in self._grants(args[0], args[1])}
        return Reply(200, {"roles": [_role(name, request) for name in IMPLIED if name in given],
                           "links": _links(request)})

    def has_role(self, request: Request, caller: Caller, args: Args) -> Reply:
        """HEAD of a role that a user was given on a project."""
        _administrator(caller, "check_grant")
        if _role_name(args[2]) not in {each.role for each in self._grants(args[0], args[1])}:
            raise fault("RoleNotFound", id=args[2][:80])
        return Reply(204)

    def _grants(self, project_id: str, user_id: str) -> list[RoleAssignment]:
        self._found(PROJECTS, project_id)
        self._found(USERS, user_id)
        return self.store.snapshot.where(RoleAssignment, "user project", user_id, project_id)

    def grant(self, request: Request, caller: Caller, args: Args) -> Reply:
        """PUT of a role of a user on a project."""
        _administrator(caller, "create_grant")
        role = _role_name(args[2])

        def work(draft: Transaction) -> None:
            project = self._in(draft, PROJECTS, args[0])
            draft.put(assignment(self._in(draft, USERS, args[1]).id, project.id, role))
        self.store.transact(work)
        return Reply(204)

    def withdraw(self, request: Request, caller: Caller, args: Args) -> Reply:
        """DELETE of a role of a user on a project."""
        _administrator(caller, "revoke_grant")
        row = assignment(args[1], args[0], _role_name(args[2]))

        def work(draft: Transaction) -> None:
            if draft.get(RoleAssignment, row.id) is None:
                raise fault("RoleNotFound", id=args[2][:80])
            draft.delete(RoleAssignment, row.id)
        self.store.transact(work)
        return Reply(204)

    def assignments(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/role_assignments, by user, project and role."""
        state, user = self.store.snapshot, request.value("user.id")
        if user is None or user != caller.actor.user_id:
            _administrator(caller, "list_role_assignments")
        project, role = request.value("scope.project.id"), request.value("role.id")
        users = [user] if user is not None else sorted(state.ids(User))
        rows = [each for id in users for each in state.where(RoleAssignment, "user", id)
                if project in (None, each.project_id) and role in (None, ROLE_IDS[each.role])]
        return Reply(200, {"role_assignments": [self._assignment(each, request) for each in rows],
                           "links": _links(request)})

    def _assignment(self, row: RoleAssignment, request: Request) -> dict[str, object]:
        user = self.store.snapshot.get(User, row.user_id)
        project = self.store.snapshot.get(Project, row.project_id)
        domain = {"id": DOMAIN_ID, "name": DOMAIN_NAME}
        named = request.value("include_names") is not None and user and project
        return {
            "role": {"id": ROLE_IDS[row.role]} | ({"name": row.role} if named else {}),
            "user": {"id": row.user_id} | (
                {"name": user.name, "domain": domain} if named and user else {}),
            "scope": {"project": {"id": row.project_id} | (
                {"name": project.name, "domain": domain} if named and project else {})},
            "links": {"assignment": f"{request.base}/identity/v3/projects/{row.project_id}/users/"
                                    f"{row.user_id}/roles/{ROLE_IDS[row.role]}"},
        }


_MAY_BE_NULL = frozenset({"domain_id", "parent_id", "email", "default_project_id", "description",
                          "password"})


def _administrator(caller: Caller, action: str) -> None:
    if not caller.actor.is_admin:
        raise forbidden(f"identity:{action}")


def _role_name(id: str) -> str:
    if id not in ROLE_NAMES:
        raise _no_role(id)
    return ROLE_NAMES[id]


def _no_role(id: str) -> Fault:
    return fault("RoleNotFound", id=id[:80])


def _role(name: str, request: Request) -> dict[str, object]:
    return {"id": ROLE_IDS[name], "name": name, "domain_id": None, "description": None,
            "options": {}, "links": {"self": _href(request, "roles", ROLE_IDS[name])}}


def _version(base: str) -> dict[str, object]:
    return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{base}/identity/v3/"}],
            "media-types": [{"base": "application/json",
                             "type": "application/vnd.openstack.identity-v3+json"}]}


def _href(request: Request, collection: str, id: str) -> str:
    return f"{request.base}/identity/v3/{collection}/{id}"


def _links(request: Request) -> dict[str, object]:
    return {"self": f"{request.base}/{'/'.join(request.path)}", "next": None, "previous": None}


def routes(door: Identity) -> list[Route]:
    """The routes under `/identity`."""
    v3 = "/identity/v3"
    collections: list[tuple[str, Resource[Any]]] = [("projects", PROJECTS), ("users", USERS)]
    paths: list[tuple[str, dict[str, Handler]]] = [
        ("/auth/catalog", {"GET": door.catalog}),
        ("/auth/projects", {"GET": door.my_projects}),
        ("/users/*/projects", {"GET": door.my_projects}),
        ("/users/*/password", {"POST": door.change_password}),
        ("/roles", {"GET": door.roles}),
        ("/roles/*", {"GET": door.role}),
        ("/domains", {"GET": door.domains}),
        ("/domains/*", {"GET": door.domain}),
        ("/role_assignments", {"GET": door.assignments}),
        ("/projects/*/users/*/roles", {"GET": door.granted}),
        ("/projects/*/users/*/roles/*", {"GET": door.has_role, "PUT": door.grant,
                                         "DELETE": door.withdraw}),
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
