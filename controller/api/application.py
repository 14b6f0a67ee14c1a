"""The application: one WSGI callable for all doors.

Owns the way of a request: route, token, body, handler, reply. The one idea: whatever goes wrong on
that way is a `Fault` with a status and words, rendered as its door's clients expect; what is not a
Fault is our own mistake, logged with the request's id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic_core import to_json

from controller.api import discovery, identity, status
from controller.api.attributes import Resource
from controller.api.faults import TITLES, Fault, fault, forbidden
from controller.api.identity import Identity
from controller.api.networks import NETWORKS
from controller.api.operations import Operations
from controller.api.ports import PORTS
from controller.api.realisation import Realisation
from controller.api.routes import NOBODY, Caller, Handler, Route, Routes
from controller.api.settings import ApiSettings, Surroundings
from controller.api.subnets import SUBNETS
from controller.api.tokens import Tokens, actor_of
from controller.api.wire import Reply, Request, read_base, read_body, read_path, read_query
from controller.store.store import Store

RESOURCES: tuple[Resource[Any], ...] = (NETWORKS, SUBNETS, PORTS)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_LOG = logging.getLogger("tenet.api")
StartResponse = Callable[..., object]


class Application:
    """Answers requests from a store; `registry` holds its measurements and the edge's."""

    def __init__(self, store: Store, realisation: Realisation, settings: ApiSettings,
                 surroundings: Surroundings, registry: CollectorRegistry | None = None) -> None:
        self.store, self.settings, self.surroundings = store, settings, surroundings
        self.registry = registry if registry is not None else CollectorRegistry()
        self.tokens = Tokens(settings.token_hours, surroundings)
        self._answered = Counter("tenet_api_requests", "Requests answered",
                                 ("route", "method", "status"), registry=self.registry)
        operations = Operations(store, realisation, settings, surroundings)
        self._routes = Routes([
            *self._process_routes(), *discovery.routes(RESOURCES), *status.routes(operations),
            *identity.routes(Identity(operations, self.tokens)),
            *(route for resource in RESOURCES for route in resource_routes(operations, resource)),
        ])

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse
                 ) -> Iterable[bytes]:
        """Answer one request."""
        request_id = f"req-{self.surroundings.new_id()}"
        method = str(environ.get("REQUEST_METHOD", "GET"))
        door, route = "", None
        try:
            path = read_path(environ)
            door = path[0] if path else ""
            found = self._routes.find(path)
            route = found[0] if found is not None else None
            reply = self._answer(environ, path, method, request_id, found)
        except Fault as refusal:
            reply = self._refusal(refusal, door, environ)
        except Exception:
            _LOG.exception("%s: %r %r failed", request_id, method, environ.get("PATH_INFO"))
            reply = self._refusal(fault("HTTPInternalServerError", request=request_id), door,
                                  environ)
        self._answered.labels(route.pattern if route is not None else "unknown",
                              method if method in _METHODS else "other", reply.status).inc()
        return _send(reply, method, request_id, start_response)

    def _answer(self, environ: Mapping[str, Any], path: tuple[str, ...], method: str,
                request_id: str, found: tuple[Route, tuple[str, ...]] | None) -> Reply:
        caller = NOBODY
        verb = "GET" if method == "HEAD" else method
        if found is None or verb not in found[0].open:
            caller = self._caller(environ, path, found is None)
        if found is None:
            raise fault("HTTPNotFound")
        route, args = found
        handler = route.handlers.get(verb)
        if handler is None:
            raise fault("HTTPMethodNotAllowed", method=method[:20],
                        allowed=", ".join(sorted(route.handlers)))
        # Reading a body holds up everybody else: from those whom we do not know, a short one.
        limit = self.settings.largest_open_body if caller is NOBODY else self.settings.largest_body
        raw = read_body(environ, limit) if method in _WITH_BODY else b""
        headers = {name[5:].lower().replace("_", "-"): str(value)
                   for name, value in environ.items() if name.startswith("HTTP_")}
        base = read_base(environ, f"{self.settings.host}:{self.settings.port}")
        request = Request(method, path, read_query(environ), base, headers, raw, request_id)
        return handler(request, caller, args)

    def _caller(self, environ: Mapping[str, Any], path: tuple[str, ...], unknown: bool) -> Caller:
        """Who asks. Only below the doors does an unknown path ask for a token first."""
        if unknown and (not path or path[0] not in ("v2.0", "tenet", "identity")):
            return NOBODY
        secret = environ.get("HTTP_X_AUTH_TOKEN")
        token = self.tokens.find(str(secret), self.store.snapshot) if secret else None
        if token is None:
            raise fault("Unauthorized")
        actor = actor_of(token, self.store.snapshot)
        if not actor.roles and path[0] != "identity":
            raise forbidden("project_scope")
        return Caller(token, actor)

    def _refusal(self, refusal: Fault, door: str, environ: Mapping[str, Any]) -> Reply:
        headers = {}
        if refusal.status == 401:
            base = read_base(environ, f"{self.settings.host}:{self.settings.port}")
            headers["WWW-Authenticate"] = f'Keystone uri="{base}/identity"'
        if refusal.status == 401 or door == "identity":
            body: object = {"error": {"code": refusal.status, "message": refusal.message,
                                      "title": TITLES.get(refusal.status, "Error")}}
        else:
            body = {"NeutronError": {"type": refusal.type, "message": refusal.message,
                                     "detail": ""}}
        return Reply(refusal.status, body, headers)

    def _process_routes(self) -> list[Route]:
        def alive(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
            return Reply(200, {"status": "ok"})

        def ready(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
            missing = list(self.surroundings.missing())
            return Reply(503 if missing else 200, {"ready": not missing, "missing": missing})

        def metrics(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
            return Reply(200, generate_latest(self.registry),
                         {"Content-Type": CONTENT_TYPE_LATEST})
        return [Route("/healthz", {"GET": alive}, open=("GET",)),
                Route("/readyz", {"GET": ready}, open=("GET",)),
                Route("/metrics", {"GET": metrics}, open=("GET",))]


def resource_routes(operations: Operations, resource: Resource[Any]) -> list[Route]:
    """The routes that a declared resource has."""
    def one(work: Callable[..., Reply]) -> Handler:
        return lambda request, caller, args: work(resource, request, caller.actor, *args)
    collection = f"/v2.0/{resource.collection}"
    return [
        Route(collection, {"GET": one(operations.list), "POST": one(operations.create)}),
        Route(f"{collection}/*", {"GET": one(operations.show), "PUT": one(operations.update),
                                  "DELETE": one(operations.delete)}),
    ]


def _send(reply: Reply, method: str, request_id: str, start_response: StartResponse
          ) -> Iterable[bytes]:
    if reply.body is None:
        body = b""
    elif isinstance(reply.body, bytes):
        body = reply.body
    else:
        body = to_json(reply.body)
    headers = {"Content-Type": "application/json", "X-Openstack-Request-Id": request_id,
               **reply.headers}
    if reply.status == 204:
        del headers["Content-Type"]
    else:
        headers["Content-Length"] = str(len(body))
    reason = _REASONS.get(reply.status) or TITLES.get(reply.status, "Unknown")
    start_response(f"{reply.status} {reason}", list(headers.items()))
    return [] if method == "HEAD" else [body]


_REASONS = {200: "OK", 201: "Created", 204: "No Content", 300: "Multiple Choices"}
