"""Tenet's own resources: how far the switches are, and which chassis there are.

Owns `/tenet/v1`. All of it is for administrators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.api.faults import fault, forbidden
from controller.api.operations import Operations
from controller.api.routes import Caller, Handler, Route
from controller.api.wire import Reply, Request
from controller.model.resources import Chassis, Interface
from controller.store.store import Transaction


def routes(operations: Operations) -> list[Route]:
    """The routes under `/tenet/v1`."""
    store, realisation = operations.store, operations.realisation

    def switches() -> dict[str, Mapping[str, object]]:
        return {str(switch["chassis"]): switch for switch in realisation.switches()}

    def show_status(request: Request, args: tuple[str, ...]) -> Reply:
        return Reply(200, {"revision": store.revision,
                           "switches": [dict(switch) for switch in realisation.switches()]})

    def list_chassis(request: Request, args: tuple[str, ...]) -> Reply:
        seen = switches()
        return Reply(200, {"chassis": [_shown(row, seen.get(row.id))
                                       for row in store.snapshot.where(Chassis)]})

    def show_chassis(request: Request, args: tuple[str, ...]) -> Reply:
        row = store.snapshot.get(Chassis, args[0])
        if row is None:
            raise fault("ChassisNotFound", id=args[0][:80])
        return Reply(200, {"chassis": _shown(row, switches().get(row.id))})

    def forget_chassis(request: Request, args: tuple[str, ...]) -> Reply:
        def work(draft: Transaction) -> None:
            row = draft.get(Chassis, args[0])
            if row is None:
                raise fault("ChassisNotFound", id=args[0][:80])
            if switches().get(row.id, {}).get("connected"):
                raise fault("ChassisInUse", id=row.id)
            for id in list(draft.ids(Interface, "chassis", row.id)):
                draft.delete(Interface, id)
            draft.delete(Chassis, row.id)
            draft.numbers.release("chassis", row.key, draft.revision)
        done = store.transact(work)
        return Reply(204, None, {"Tenet-Revision": str(done.revision)})

    def explain_cookie(request: Request, args: tuple[str, ...]) -> Reply:
        try:
            cookie = int(args[0], 0)
        except ValueError:
            cookie = -1
        found = realisation.explain(cookie) if 0 <= cookie < 1 << 64 else None
        if found is None:
            raise fault("CookieNotFound", id=args[0][:80])
        return Reply(200, {"explanation": dict(found)})

    return [
        Route("/tenet/v1/explain/*", {"GET": _administrators("get_explanation", explain_cookie)}),
        Route("/tenet/v1/status", {"GET": _administrators("get_status", show_status)}),
        Route("/tenet/v1/chassis", {"GET": _administrators("get_chassis", list_chassis)}),
        Route("/tenet/v1/chassis/*", {"GET": _administrators("get_chassis", show_chassis),
                                      "DELETE": _administrators("delete_chassis",
                                                                forget_chassis)}),
    ]


def _administrators(action: str, handler: Callable[[Request, tuple[str, ...]], Reply]) -> Handler:
    def checked(request: Request, caller: Caller, args: tuple[str, ...]) -> Reply:
        if not caller.actor.is_admin:
            raise forbidden(action)
        return handler(request, args)
    return checked


def _shown(row: Chassis, switch: Mapping[str, object] | None) -> dict[str, object]:
    return {
        "id": row.id, "hostname": row.hostname,
        "connected": bool(switch is not None and switch.get("connected")),
        "encap_ip": None if row.encap_ip is None else str(row.encap_ip),
        "encap_types": list(row.encap_types),
        "datapath_id": None if row.datapath_id is None else f"{row.datapath_id:016x}",
        "tunnel_ports": dict(row.tunnel_ports), "bridge_mappings": dict(row.bridge_mappings),
        "ovs_version": row.ovs_version, "problems": list(row.problems),
    }
