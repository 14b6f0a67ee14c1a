"""Accounts: projects, users and their roles, as the identity door's clients know them.

Owns their declarations and rules. One domain exists, `default`; three roles exist, and none can be
made. Refuses to delete a project that still owns something: nobody could see what it left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

from controller.api.attributes import (
    Actor, Attribute, Reader, Resource, Values, Write, constant, field)
from controller.api.faults import fault, some
from controller.api.tokens import IMPLIED
from controller.api.values import (
    DOMAIN, EMPTY_LIST, EMPTY_OBJECT, FALSE, FLAG, LONG_TEXT, OPTIONAL_ID, OPTIONAL_LONG_TEXT,
    PASSWORD, PROJECT_NAME, REQUIRED_TEXT)
from controller.model.resources import (
    Network, Port, Project, RoleAssignment, Subnet, User)
from controller.model.snapshot import Snapshot

DOMAIN_ID, DOMAIN_NAME = "default", "Default"
ROLE_IDS: dict[str, str] = {name: uuid5(NAMESPACE_URL, f"tenet:role:{name}").hex
                            for name in IMPLIED}
ROLE_NAMES: dict[str, str] = {id: name for name, id in ROLE_IDS.items()}


def assignment(user_id: str, project_id: str, role: str) -> RoleAssignment:
    """The row that gives a user a role on a project."""
    return RoleAssignment(id=f"{user_id}/{project_id}/{role}", user_id=user_id,
                          project_id=project_id, role=role)


def create_project(write: Write, values: Values) -> Project:
    """Add a project with a name of its own."""
    _check_name(write, Project, values["name"], "project")
    row = Project(id=write.surroundings.new_id().replace("-", ""), name=values["name"],
                  description=values["description"] or "", enabled=values["enabled"])
    write.transaction.put(row)
    return row


def _check_name(write: Write, kind: type[Project] | type[User], name: str, word: str,
                own: str = "") -> None:
    for holder in write.transaction.ids(kind, "name", name):
        if holder != own:
            raise fault("Conflict", reason=f"Conflict occurred attempting to store {word} - "
                                           f"the name {name} is that of {word} {holder}.")


def update_project(write: Write, row: Project, values: Values) -> Project:
    """The project with new values."""
    if "name" in values:
        _check_name(write, Project, values["name"], "project", row.id)
    new = replace(row, **_stored(values, ("name", "description", "enabled")))
    write.transaction.put(new)
    return new


def _stored(values: Values, names: Iterable[str]) -> Values:
    fields = {name: values[name] for name in names if name in values}
    return {name: "" if value is None and name != "default_project_id" else value
            for name, value in fields.items()}


def delete_project(write: Write, row: Project) -> None:
    """Remove a project that owns nothing, and the roles on it."""
    draft = write.transaction
    owned = [f"{kind.__name__.lower()} {id}" for kind in (Network, Subnet, Port)
             for id in sorted(draft.ids(kind, "project", row.id))]
    if owned:
        raise fault("Conflict", reason=f"Project {row.name} still owns {some(owned)}: delete that "
                                       "first.")
    for id in list(draft.ids(RoleAssignment, "project", row.id)):
        draft.delete(RoleAssignment, id)
    draft.delete(Project, row.id)


def create_user(write: Write, values: Values) -> User:
    """Add a user; `password` is hashed already."""
    _check_name(write, User, values["name"], "user")
    _check_default_project(write, values)
    row = User(id=write.surroundings.new_id().replace("-", ""), name=values["name"],
               password_hash=values.get("password", ""),
               **_stored(values, ("default_project_id", "description", "email", "enabled")))
    write.transaction.put(row)
    return row


def _check_default_project(write: Write, values: Values) -> None:
    id = values.get("default_project_id")
    if id is not None and write.transaction.get(Project, id) is None:
        raise fault("HTTPBadRequest", reason="Invalid input for default_project_id. Reason: there "
                                             f"is no project {id}.")


def update_user(write: Write, row: User, values: Values) -> User:
    """The user with new values; `password` is hashed already."""
    if "name" in values:
        _check_name(write, User, values["name"], "user", row.id)
    _check_default_project(write, values)
    fields = _stored(values, ("name", "default_project_id", "description", "email", "enabled"))
    if "password" in values:
        fields["password_hash"] = values["password"]
    new = replace(row, **fields)
    write.transaction.put(new)
    return new


def delete_user(write: Write, row: User) -> None:
    """Remove a user and its roles."""
    draft = write.transaction
    for id in list(draft.ids(RoleAssignment, "user", row.id)):
        draft.delete(RoleAssignment, id)
    draft.delete(User, row.id)


def _visible_project(state: Reader, row: Project, actor: Actor) -> bool:
    return actor.is_admin or bool(
        state.ids(RoleAssignment, "user project", actor.user_id, row.id))


def _visible_user(state: Reader, row: User, actor: Actor) -> bool:
    return actor.is_admin or row.id == actor.user_id


def _my_projects(state: Snapshot, actor: Actor) -> Iterable[str]:
    return (each.project_id for each in state.where(RoleAssignment, "user", actor.user_id))


def _my_user(state: Snapshot, actor: Actor) -> Iterable[str]:
    return (actor.user_id,)


def _administrator(state: Reader, row: object, actor: Actor) -> bool:
    return actor.is_admin


PROJECTS: Resource[Project] = Resource(
    name="project", collection="projects", kind=Project, not_found="ProjectNotFound",
    create=create_project, update=update_project, delete=delete_project,
    visible=_visible_project, owned=_administrator, mine=_my_projects, network=lambda row: "",
    attributes=(
        Attribute(name="id", flags="FS", show=field("id"), bucket="id"),
        Attribute(name="name", type=PROJECT_NAME, flags="C!UFS", show=field("name"),
                  bucket="name"),
        Attribute(name="description", type=OPTIONAL_LONG_TEXT, flags="CU", default="",
                  show=field("description")),
        Attribute(name="enabled", type=FLAG, flags="CUF", default=True, show=field("enabled")),
        Attribute(name="domain_id", type=DOMAIN, flags="CUF", show=constant(DOMAIN_ID)),
        Attribute(name="parent_id", type=DOMAIN, flags="CUF", show=constant(DOMAIN_ID)),
        Attribute(name="is_domain", type=FALSE, flags="CUF", show=constant(False)),
        Attribute(name="tags", type=EMPTY_LIST, flags="CU", show=constant([])),
        Attribute(name="options", type=EMPTY_OBJECT, flags="CU", show=constant({})),
    ))

USERS: Resource[User] = Resource(
    name="user", collection="users", kind=User, not_found="UserNotFound",
    create=create_user, update=update_user, delete=delete_user,
    visible=_visible_user, owned=_administrator, mine=_my_user, network=lambda row: "",
    attributes=(
        Attribute(name="id", flags="FS", show=field("id"), bucket="id"),
        Attribute(name="name", type=REQUIRED_TEXT, flags="C!UFS", show=field("name"),
                  bucket="name"),
        Attribute(name="description", type=OPTIONAL_LONG_TEXT, flags="CU", default="",
                  show=field("description")),
        Attribute(name="email", type=LONG_TEXT, flags="CU", default="", show=field("email")),
        Attribute(name="enabled", type=FLAG, flags="CUF", default=True, show=field("enabled")),
        Attribute(name="default_project_id", type=OPTIONAL_ID, flags="CUF",
                  show=field("default_project_id")),
        Attribute(name="domain_id", type=DOMAIN, flags="CUF", show=constant(DOMAIN_ID)),
        Attribute(name="password", type=PASSWORD, flags="CU"),
        Attribute(name="password_expires_at", show=constant(None)),
        Attribute(name="options", type=EMPTY_OBJECT, flags="CU", show=constant({})),
    ))
