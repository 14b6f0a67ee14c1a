"""Shapes of the identity door: what its replies have in common.

Owns links, versions and roles as Keystone's clients read them, and the two refusals that every
handler behind that door needs.
"""

from __future__ import annotations

from typing import TypeVar

from controller.api.accounts import ROLE_IDS, ROLE_NAMES
from controller.api.attributes import Reader, Resource
from controller.api.faults import fault, forbidden
from controller.api.routes import Caller
from controller.api.wire import Request
from controller.model.resources import Row

R = TypeVar("R", bound=Row)


def found(state: Reader, resource: Resource[R], id: str) -> R:
    """The row; a fault when there is none."""
    row = state.get(resource.kind, id)
    if row is None:
        raise fault(resource.not_found, id=id[:80])
    return row


def administrator(caller: Caller, action: str) -> None:
    """Refuse everyone else."""
    if not caller.actor.is_admin:
        raise forbidden(f"identity:{action}")


def role_named(id: str) -> str:
    """The name of a role; a fault when there is none."""
    if id not in ROLE_NAMES:
        raise fault("RoleNotFound", id=id[:80])
    return ROLE_NAMES[id]


def role_of(name: str, request: Request) -> dict[str, object]:
    """A role as it is shown."""
    return {"id": ROLE_IDS[name], "name": name, "domain_id": None, "description": None,
            "options": {}, "links": {"self": href(request, "roles", ROLE_IDS[name])}}


def version_of(base: str) -> dict[str, object]:
    """The version document."""
    return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{base}/identity/v3/"}],
            "media-types": [{"base": "application/json",
                             "type": "application/vnd.openstack.identity-v3+json"}]}


def href(request: Request, collection: str, id: str) -> str:
    """The address of a resource."""
    return f"{request.base}/identity/v3/{collection}/{id}"


def links(request: Request) -> dict[str, object]:
    """The links of a list."""
    return {"self": f"{request.base}/{'/'.join(request.path)}", "next": None, "previous": None}
