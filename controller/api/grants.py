"""Grants: which roles a user has on a project.

Owns the handlers for roles, role assignments and the one domain. Roles are fixed: they can be given
and taken, not made.
"""

from __future__ import annotations

from controller.api.accounts import (
    DOMAIN_ID, DOMAIN_NAME, PROJECTS, ROLE_IDS, USERS, assignment)
from controller.api.faults import fault
from controller.api.routes import Caller
from controller.api.shapes import administrator, found, links, role_named, role_of
from controller.api.tokens import IMPLIED
from controller.api.wire import Reply, Request
from controller.model.resources import Project, RoleAssignment, User
from controller.store.store import Store, Transaction

Args = tuple[str, ...]
_DOMAIN: dict[str, object] = {"id": DOMAIN_ID, "name": DOMAIN_NAME, "enabled": True,
                              "description": "The only domain", "options": {}, "tags": []}


class Grants:
    """The handlers for roles and where they hold."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def roles(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/roles."""
        wanted = request.values("name")
        return Reply(200, {"roles": [role_of(name, request) for name in IMPLIED
                                     if not wanted or name in wanted], "links": links(request)})

    def role(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of one role."""
        return Reply(200, {"role": role_of(role_named(args[0]), request)})

    def domains(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET /identity/v3/domains."""
        wanted = request.values("name")
        return Reply(200, {"domains": [_DOMAIN] if not wanted or DOMAIN_NAME in wanted else [],
                           "links": links(request)})

    def domain(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of one domain."""
        if args[0] != DOMAIN_ID:
            raise fault("HTTPNotFound")
        return Reply(200, {"domain": _DOMAIN})

    def granted(self, request: Request, caller: Caller, args: Args) -> Reply:
        """GET of the roles that a user was given on a project."""
        administrator(caller, "list_grants")
        given = {each.role for each in self._grants(args[0], args[1])}
        return Reply(200, {"roles": [role_of(name, request) for name in IMPLIED if name in given],
                           "links": links(request)})

    def has_role(self, request: Request, caller: Caller, args: Args) -> Reply:
        """HEAD of a role that a user was given on a project."""
        administrator(caller, "check_grant")
        if role_named(args[2]) not in {each.role for each in self._grants(args[0], args[1])}:
            raise fault("RoleNotFound", id=args[2][:80])
        return Reply(204)

    def _grants(self, project_id: str, user_id: str) -> list[RoleAssignment]:
        found(self.store.snapshot, PROJECTS, project_id)
        found(self.store.snapshot, USERS, user_id)
        return self.store.snapshot.where(RoleAssignment, "user project", user_id, project_id)

    def grant(self, request: Request, caller: Caller, args: Args) -> Reply:
        """PUT of a role of a user on a project."""
        administrator(caller, "create_grant")
        role = role_named(args[2])

        def work(draft: Transaction) -> None:
            project = found(draft, PROJECTS, args[0])
            draft.put(assignment(found(draft, USERS, args[1]).id, project.id, role))
        self.store.transact(work)
        return Reply(204)

    def withdraw(self, request: Request, caller: Caller, args: Args) -> Reply:
        """DELETE of a role of a user on a project."""
        administrator(caller, "revoke_grant")
        row = assignment(args[1], args[0], role_named(args[2]))

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
            administrator(caller, "list_role_assignments")
        project, role = request.value("scope.project.id"), request.value("role.id")
        users = [user] if user is not None else sorted(state.ids(User))
        rows = [each for id in users for each in state.where(RoleAssignment, "user", id)
                if project in (None, each.project_id) and role in (None, ROLE_IDS[each.role])]
        return Reply(200, {"role_assignments": [self._assignment(each, request) for each in rows],
                           "links": links(request)})

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
