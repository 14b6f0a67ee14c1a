"""Waiting for green threads, and an OVSDB listener in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import eventlet

from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.ovsdb import OvsdbListener


def wait_for(condition: Callable[[], Any], within: float) -> Any:
    """Let green threads run until something is true, and give it."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        if value := condition():
            return value
        eventlet.sleep(0.01)
    raise AssertionError(f"not within {within} s")


class ListeningThread(logging.Handler):
    """An OVSDB listener, what it told and what it logged; `how` goes to the listener."""

    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.facts: list[ChassisFact] = []
        self.gone: list[str] = []
        self.log: list[str] = []
        self.consumer: Callable[[ChassisFact], None] = self.facts.append
        self.listener = OvsdbListener(
            "127.0.0.1", 0, lambda local: f"tcp:{local}:6653",
            lambda fact: self.consumer(fact), self.gone.append, **how)
        self.logger = logging.getLogger("controller.southbound.ovsdb")
        self.logger.addHandler(self)
        self._started, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(5)

    def emit(self, record: logging.LogRecord) -> None:
        self.log.append(record.getMessage())

    def _run(self) -> None:
        self.listener.start()
        self._started.set()
        while not self._stopping.is_set():
            eventlet.sleep(0.01)
        self.listener.stop()
        eventlet.sleep(0.05)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)
        self.logger.removeHandler(self)
