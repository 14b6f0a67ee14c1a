"""Discovery: what this API is, for clients that look before they ask.

Owns version documents and the list of extensions. An extension stands here exactly when all that
clients expect of it works: they skip what is not announced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.api.attributes import Resource
from controller.api.faults import fault
from controller.api.routes import Caller, Route
from controller.api.wire import Reply, Request

EXTENSIONS: dict[str, tuple[str, str]] = {
    "binding": ("Port Binding", "Where a port is to be and where it is"),
    "empty-string-filtering": ("Empty String Filtering Extension",
                               "Filters match attributes that are empty"),
    "net-mtu": ("Network MTU", "The MTU of a network"),
    "net-mtu-writable": ("Network MTU (writable)", "The MTU of a network may be lowered"),
    "pagination": ("Pagination support", "Lists by pages, with links"),
    "port-security": ("Port Security", "Source addresses are checked per network and port"),
    "project-id": ("project_id field enabled", "project_id stands beside tenant_id"),
    "provider": ("Provider Network", "Network type and segment, for administrators"),
    "revision-if-match": ("If-Match constraints based on revision_number",
                          "A change that applies to one revision only"),
    "sorting": ("Sorting support", "Lists in the order of any attribute"),
    "standard-attr-description": ("standard-attr-description", "Descriptions of resources"),
    "standard-attr-revisions": ("Resource revision numbers", "A number that rises with changes"),
    "standard-attr-timestamp": ("Resource timestamps", "created_at and updated_at"),
}
_UPDATED = "2026-11-20T00:00:00-00:00"


def _extension(alias: str) -> dict[str, object]:
    name, description = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": description, "updated": _UPDATED,
            "links": []}


def _version(base: str) -> dict[str, object]:
    return {"id": "v2.0", "status": "CURRENT",
            "links": [{"rel": "self", "href": f"{base}/v2.0/"}]}


def routes(resources: Sequence[Resource[Any]]) -> list[Route]:
    """The routes of discovery; the resources are listed under the version."""
    def versions(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
        return Reply(200, {"versions": [_version(request.base)]})

    def version(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
        listed = [{"name": resource.name, "collection": resource.collection,
                   "links": [{"rel": "self",
                              "href": f"{request.base}/v2.0/{resource.collection}"}]}
                  for resource in resources]
        return Reply(200, {"version": _version(request.base), "resources": listed})

    def extensions(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
        return Reply(200, {"extensions": [_extension(alias) for alias in EXTENSIONS]})

    def extension(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
        if args[0] not in EXTENSIONS:
            raise fault("ExtensionNotFound", id=args[0][:80])
        return Reply(200, {"extension": _extension(args[0])})

    return [Route("/", {"GET": versions}, open=("GET",)),
            Route("/v2.0", {"GET": version}, open=("GET",)),
            Route("/v2.0/extensions", {"GET": extensions}),
            Route("/v2.0/extensions/*", {"GET": extension})]
