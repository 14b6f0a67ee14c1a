"""The controller as a node of the lab, and Mininet's remote controller repaired.

Owns the controller's process: its configuration file, its log, readiness, sudden death. Refuses
to know anything of what the controller does; it is asked over HTTP like by anyone else.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from mininet.log import warn
from mininet.node import Controller, RemoteController
from nodes import LAB

PROJECT = Path(__file__).resolve().parent.parent


class NotReady(Exception):
    """The controller ended or said nothing in time; the message ends with its log."""


class TenetController(Controller):
    """`ryu-manager apps/*` in the lab's root namespace.

    options: more lines for the [tenet] group of its configuration file
    """

    ovsdb_port = 6640
    api = "http://127.0.0.1:9696"

    def __init__(
        self,
        name: str,
        options: Mapping[str, object] | None = None,
        directory: str | None = None,
        **params: object,
    ) -> None:
        self.directory = Path(directory or os.environ.get("TENET_LAB_DIR", LAB))
        self.venv = Path(os.environ.get("TENET_VENV", PROJECT / ".venv"))
        self.options = {"state_dir": self.directory / "state", **(options or {})}
        self.log = self.directory / "controller.log"
        self.process: subprocess.Popen[bytes] | None = None
        super().__init__(name, **params)

    def checkListening(self) -> None:
        """Mininet asks with telnet; a port in use shows up in the log here."""

    @property
    def clouds(self) -> Path:
        """The credentials that the controller writes at its first start."""
        return self.directory / "state" / "clouds.yaml"

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the process; `wait_ready` says when it serves."""
        program = self.venv / "bin" / "ryu-manager"
        if not program.exists():
            raise NotReady(f"{program} is missing: ./run makes it, or set TENET_VENV")
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "tenet.conf"
        lines = [f"{key} = {value}" for key, value in self.options.items()]
        configuration.write_text("\n".join(["[tenet]", *lines, ""]))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", 'exec "$0" --config-file "$1" apps/*', program, configuration],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not self.ready():
            if self.process is None or self.process.poll() is not None:
                raise NotReady(f"the controller ended:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise NotReady(f"not ready after {timeout:g} s:\n{self.last_words()}")
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def last_words(self, lines: int = 30) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def kill(self) -> None:
        """Sudden death."""
        self.finish(signal.SIGKILL)

    def restart(self) -> None:
        self.start()

    def finish(self, how: signal.Signals, timeout: float = 5) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                warn(f"{self.name} ignores {how.name}; killing it\n")
                self.process.kill()
                self.process.wait()
        self.process = None

    def stop(self, *args: object, **kwargs: object) -> None:
        self.finish(signal.SIGTERM)
        self.terminate()

    @classmethod
    def isAvailable(cls) -> bool:
        return (PROJECT / "apps").is_dir()


class SafeRemoteController(RemoteController):
    """Mininet's RemoteController reads the peer's first bytes as UTF-8, and ends when they are
    not: a HELLO need not be. Whether a port answers can be asked without reading anything."""

    def isListening(self, ip: str, port: int) -> bool:
        try:
            socket.create_connection((ip, port), timeout=2).close()
        except OSError:
            warn(f"Unable to contact the remote controller at {ip}:{port}\n")
            return False
        return True
