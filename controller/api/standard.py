"""Standard attributes: what every Neutron resource has.

Owns the attributes that networks, subnets and ports share, and to whom a new resource belongs.
"""

from __future__ import annotations

from controller.api.attributes import Actor, Attribute, Values, field
from controller.api.faults import fault, forbidden
from controller.api.values import REQUIRED_TEXT, TEXT

IDENTITY: tuple[Attribute, ...] = (
    Attribute(name="id", flags="FS", show=field("id"), bucket="id"),
    Attribute(name="name", type=TEXT, flags="CUFS", default="", show=field("name"), bucket="name"),
    Attribute(name="description", type=TEXT, flags="CUFS", default="", show=field("description")),
    Attribute(name="project_id", type=REQUIRED_TEXT, flags="CFS", show=field("project_id"),
              bucket="project"),
    Attribute(name="tenant_id", type=REQUIRED_TEXT, flags="CFS", show=field("project_id"),
              bucket="project"),
)

HISTORY: tuple[Attribute, ...] = (
    Attribute(name="revision_number", flags="FS", show=field("revision_number")),
    Attribute(name="created_at", flags="FS", show=field("created_at")),
    Attribute(name="updated_at", flags="FS", show=field("updated_at")),
)


def project_of(values: Values, actor: Actor, resource: str) -> str:
    """The project that a new resource belongs to."""
    given = {values[name] for name in ("project_id", "tenant_id") if name in values}
    if len(given) > 1:
        raise fault("HTTPBadRequest", reason="'project_id' and 'tenant_id' do not match")
    project = str(given.pop()) if given else actor.project_id
    if project != actor.project_id and not actor.is_admin:
        raise forbidden(f"create_{resource}:project_id")
    return project
