"""The API without sockets and switches: a client that calls the application, surroundings that a
test decides, and switches that confirm at once."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from controller.api.accounts import assignment
from controller.api.application import Application
from controller.api.settings import ApiSettings, Surroundings
from controller.model.resources import Binding, Project, User
from controller.store.store import Store, Transaction


@dataclass
class InstantRealisation:
    """Switches that hold every revision at once: a port is ACTIVE when it is plugged."""

    store: Store
    connected: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    cookies: dict[int, Mapping[str, object]] = field(default_factory=dict)
    in_time: bool = True
    waits: list[tuple[int, str | None, float]] = field(default_factory=list)

    def port_status(self, port_id: str) -> tuple[str, str]:
        if port_id in self.errors:
            return "ERROR", self.errors[port_id]
        bound = self.store.snapshot.get(Binding, port_id) is not None
        return ("ACTIVE", "") if bound else ("DOWN", "not plugged into any chassis")

    def network_status(self, network_id: str) -> tuple[str, str]:
        return "ACTIVE", ""

    def switches(self) -> Sequence[Mapping[str, object]]:
        return [{"chassis": id, "hostname": id, "connected": True, "desired": self.store.revision,
                 "realised": self.store.revision, "pending": 0} for id in sorted(self.connected)]

    def explain(self, cookie: int) -> Mapping[str, object] | None:
        return self.cookies.get(cookie)

    def wait(self, revision: int, network_id: str | None, timeout: float) -> bool:
        self.waits.append((revision, network_id, timeout))
        return self.in_time


@dataclass
class Bench:
    """Surroundings in which nothing is left to chance: counted ids and a clock that one sets."""

    now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)
    missing: list[str] = field(default_factory=list)
    hashed: int = 0
    _ids: int = 0
    _bytes: int = 0

    def surroundings(self) -> Surroundings:
        return Surroundings(
            clock=lambda: self.now, new_id=self.new_id, random_bytes=self.random_bytes,
            hash_password=lambda password: f"hash of {password}",
            verify_password=self.verify, missing=lambda: self.missing)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def new_id(self) -> str:
        self._ids += 1
        return str(UUID(int=0xA << 124 | self._ids))

    def random_bytes(self, count: int) -> bytes:
        self._bytes += 1
        return self._bytes.to_bytes(3, "big") * (count // 3 + 1)

    def verify(self, password: str, encoded: str) -> bool:
        self.hashed += 1
        return encoded == f"hash of {password}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> tuple[int, str]:
        """(status, type) of a refusal."""
        return self.status, str(self.json["NeutronError"]["type"])

    @property
    def message(self) -> str:
        return str(self.json["NeutronError"]["message"])


@dataclass(frozen=True)
class Client:
    """Calls an application as a server would."""

    application: Application
    token: str | None = None

    def call(self, method: str, target: str, body: object = None, raw: bytes | None = None,
             headers: Mapping[str, str] | None = None, **environ: object) -> Answer:
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        parts = urlsplit(target)
        full: dict[str, object] = {
            "REQUEST_METHOD": method, "PATH_INFO": parts.path, "QUERY_STRING": parts.query,
            "wsgi.url_scheme": "http", "HTTP_HOST": "controller:9696",
            "wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)) if data else ""}
        if self.token is not None:
            full["HTTP_X_AUTH_TOKEN"] = self.token
        for name, value in (headers or {}).items():
            full["HTTP_" + name.upper().replace("-", "_")] = value
        full.update(environ)
        seen: list[tuple[str, list[tuple[str, str]]]] = []
        raw_answer = b"".join(self.application(full, lambda *given: seen.append(given)))
        return Answer(int(seen[0][0].split()[0]), dict(seen[0][1]), raw_answer)

    def get(self, target: str, **more: Any) -> Answer:
        return self.call("GET", target, **more)

    def post(self, target: str, body: object = None, **more: Any) -> Answer:
        return self.call("POST", target, body, **more)

    def put(self, target: str, body: object = None, **more: Any) -> Answer:
        return self.call("PUT", target, body, **more)

    def delete(self, target: str, **more: Any) -> Answer:
        return self.call("DELETE", target, **more)


class Cloud:
    """An application with an administrator and as many tenants as a test asks for."""

    def __init__(self, store: Store | None = None, settings: ApiSettings | None = None) -> None:
        self.store = store if store is not None else Store()
        self.bench = Bench()
        self.realisation = InstantRealisation(self.store)
        self.application = Application(self.store, self.realisation, settings or ApiSettings(),
                                       self.bench.surroundings())
        self.admin = self.user("admin", "admin")

    def user(self, project: str, *roles: str) -> Client:
        """A client logged in to a project; both are made when they are new."""
        name = f"{project}-{'-'.join(roles)}"

        def work(draft: Transaction) -> None:
            draft.put(Project(id=f"project-{project}", name=project))
            draft.put(User(id=f"user-{name}", name=name, password_hash=f"hash of {name}"))
            for role in roles:
                draft.put(assignment(f"user-{name}", f"project-{project}", role))
        self.store.transact(work)
        secret, _ = self.application.tokens.issue(f"user-{name}", f"project-{project}",
                                                  ("password",))
        return Client(self.application, secret)

    def anyone(self) -> Client:
        """A client without a token."""
        return Client(self.application)
