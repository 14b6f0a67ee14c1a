"""The API's server: sockets, clock, randomness and threads around the application.

Owns the edge of the API. Refuses to know any resource. One green thread serves one connection; a
client that does not send or read is cut off after a while, and harms nobody else meanwhile.
Passwords are hashed in native threads, since a memory-hard hash would hold up everything else.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import eventlet
import eventlet.semaphore
import eventlet.wsgi
from eventlet import tpool

from controller.api.application import Application
from controller.api.bootstrap import first_start
from controller.api.passwords import hash_password, verify_password
from controller.api.settings import ApiSettings, Surroundings
from controller.southbound.metrics import FabricCollector

if TYPE_CHECKING:
    from controller.southbound.fabric import Fabric

LOG = logging.getLogger("tenet.api")

PATIENCE = 60.0
"""Seconds that a client may keep its connection without a byte moving."""

CONNECTIONS = 2048
LEFT_OVER = 1 << 16
"""Octets of a body that nobody wanted which are read before the next request."""

_HASHING = eventlet.semaphore.Semaphore(1)
T = TypeVar("T")


def _one_at_a_time(function: Callable[..., T], *arguments: str) -> T:
    # A hash takes 64 MiB and a core for a while: a flood of logins gets no more than that.
    with _HASHING:
        return cast(T, tpool.execute(function, *arguments))


class Fair(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """One connection that gives way: eventlet goes on with a client for as long as there is
    something to read, and reads an unwanted body to its end, however far that is announced."""

    def handle_one_request(self) -> None:
        eventlet.sleep(0)
        super().handle_one_request()

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        body = environ["eventlet.input"]

        def discard() -> None:
            if len(body.read(LEFT_OVER)) == LEFT_OVER:
                self.close_connection = 1
        body.discard = discard
        return environ


class ApiServer:
    """Serves the application on the configured address."""

    def __init__(self, fabric: Fabric, settings: Any, folder: Path) -> None:
        self._address = (settings.api_host, settings.api_port)
        api_settings = ApiSettings(host=settings.api_host, port=settings.api_port,
                                   underlay_mtu=settings.underlay_mtu,
                                   network_type=settings.network_type)
        surroundings = Surroundings(
            clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()),
            random_bytes=os.urandom,
            hash_password=lambda password: _one_at_a_time(hash_password, password),
            verify_password=lambda password, encoded: _one_at_a_time(
                verify_password, password, encoded),
            missing=lambda: [] if fabric.ready else ["the fabric has not started"])
        first_start(fabric.store, api_settings, surroundings, folder)
        self.application = Application(fabric.store, fabric.status, api_settings, surroundings)
        self.application.registry.register(FabricCollector(fabric))

    def start(self) -> None:
        """Listen; OSError when the address is taken."""
        listener = eventlet.listen(self._address, backlog=1024)
        eventlet.spawn(eventlet.wsgi.server, listener, self.application, log=LOG, protocol=Fair,
                       log_output=False, socket_timeout=PATIENCE, max_size=CONNECTIONS,
                       debug=False)
        LOG.info("listening on http://%s:%d", *self._address)
