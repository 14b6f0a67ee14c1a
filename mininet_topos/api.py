"""A client of the controller's API, as small as the lab needs.

Owns one HTTP connection and a token. Refuses to hide anything: resources are the dictionaries of
the Neutron API, errors carry its status and message. (People use the `openstack` command and
openstacksdk; this one needs nothing but the standard library.)
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

Resource = dict[str, Any]


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, type: str, message: str) -> None:
        super().__init__(f"{status} {type}: {message}")
        self.status = status
        self.type = type
        self.message = message


def read_clouds(path: Path, cloud: str = "tenet") -> dict[str, str]:
    """The `auth` settings of one cloud of a clouds.yaml.

    That file's nested `key: value` lines are read here without a YAML parser, because Debian's
    Python has none.
    """
    path_now: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        match = re.match(r"( *)([\w-]+): *(.*?) *$", line)
        if not match:
            continue
        indent, key, value = len(match[1]), match[2], match[3].strip("'\"")
        path_now = [(depth, name) for depth, name in path_now if depth < indent] + [(indent, key)]
        if [name for _, name in path_now][:-1] == ["clouds", cloud, "auth"]:
            found[key] = value
    if not found:
        raise KeyError(f"{path} has no cloud {cloud!r}")
    return found


class Api:
    """The API as seen by one user in one project. Usable from several threads."""

    def __init__(self, auth_url: str, timeout: float = 60) -> None:
        address = urlsplit(auth_url)
        self.identity = address.path.rstrip("/").removesuffix("/v3") + "/v3"
        self.host, self.port = address.hostname or "127.0.0.1", address.port or 80
        self.timeout = timeout
        self.token: str | None = None
        self._credentials: dict[str, Any] | None = None
        self.project_id = ""
        self._connections = threading.local()

    @classmethod
    def login(
        cls, auth_url: str, username: str, password: str, project: str, domain: str = "Default"
    ) -> Api:
        """Take a token for a project, as any client of Keystone does."""
        api = cls(auth_url)
        user = {"name": username, "password": password, "domain": {"name": domain}}
        scope = {"project": {"name": project, "domain": {"name": domain}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        api._credentials = {"auth": {"identity": identity, "scope": scope}}
        api.take_token()
        return api

    def take_token(self) -> None:
        answer, headers = self._exchange("POST", f"{self.identity}/auth/tokens", self._credentials)
        self.token = headers["X-Subject-Token"]
        self.project_id = answer["token"]["project"]["id"]

    @classmethod
    def from_clouds(cls, path: Path, cloud: str = "tenet") -> Api:
        """The administrator, with what the controller wrote at its first start."""
        auth = read_clouds(path, cloud)
        return cls.login(
            auth["auth_url"],
            auth["username"],
            auth["password"],
            auth["project_name"],
            auth.get("user_domain_name", "Default"),
        )

    # Networking

    def create(self, kind: str, *, wait: str | None = None, **attributes: Any) -> Resource:
        """One resource. With wait="realised" the answer comes when the switches have it."""
        path = f"/v2.0/{kind}s" + (f"?wait={wait}" if wait else "")
        created: Resource = self.call("POST", path, {kind: attributes})[kind]
        return created

    def create_many(
        self, kind: str, items: Sequence[Mapping[str, Any]], *, wait: str | None = None
    ) -> list[Resource]:
        """All or none, in one request."""
        path = f"/v2.0/{kind}s" + (f"?wait={wait}" if wait else "")
        created: list[Resource] = self.call("POST", path, {f"{kind}s": list(items)})[f"{kind}s"]
        return created

    def get(self, kind: str, id: str) -> Resource:
        found: Resource = self.call("GET", f"/v2.0/{kind}s/{id}")[kind]
        return found

    def find(self, kind: str, **filters: Any) -> list[Resource]:
        query = "?" + urlencode(filters, doseq=True) if filters else ""
        found: list[Resource] = self.call("GET", f"/v2.0/{kind}s{query}")[f"{kind}s"]
        return found

    def update(
        self, kind: str, id: str, *, wait: str | None = None, **attributes: Any
    ) -> Resource:
        path = f"/v2.0/{kind}s/{id}" + (f"?wait={wait}" if wait else "")
        changed: Resource = self.call("PUT", path, {kind: attributes})[kind]
        return changed

    def delete(self, kind: str, id: str, *, wait: str | None = None) -> None:
        self.call("DELETE", f"/v2.0/{kind}s/{id}" + (f"?wait={wait}" if wait else ""))

    def status(self) -> dict[str, Any]:
        """Per switch, the revision that it should have and the one that it has."""
        return dict(self.call("GET", "/tenet/v1/status"))

    # Identity

    def create_project(self, name: str) -> Resource:
        path = f"{self.identity}/projects"
        project: Resource = self.call("POST", path, {"project": {"name": name}})["project"]
        return project

    def create_user(self, name: str, password: str, project_id: str) -> Resource:
        path = f"{self.identity}/users"
        user = {"name": name, "password": password, "default_project_id": project_id}
        created: Resource = self.call("POST", path, {"user": user})["user"]
        return created

    def assign_role(self, role: str, user_id: str, project_id: str) -> None:
        """Let a user act in a project, as "member" for instance."""
        found = self.call("GET", f"{self.identity}/roles?" + urlencode({"name": role}))["roles"]
        path = f"{self.identity}/projects/{project_id}/users/{user_id}/roles/{found[0]['id']}"
        self.call("PUT", path)

    def create_tenant(self, name: str, password: str) -> Api:
        """A project with one user of the same name, and that user's own view of the API."""
        project = self.create_project(name)
        user = self.create_user(name, password, project["id"])
        self.assign_role("member", user["id"], project["id"])
        return self.login(f"http://{self.host}:{self.port}/identity", name, password, name)

    # The wire

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request. A token that has run out, or that a restart made void, is renewed."""
        try:
            return self._exchange(method, path, body)[0]
        except ApiError as error:
            if error.status != 401 or self._credentials is None:
                raise
        self.take_token()
        return self._exchange(method, path, body)[0]

    def _exchange(
        self, method: str, path: str, body: object
    ) -> tuple[Any, http.client.HTTPMessage]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        text = None if body is None else json.dumps(body)
        answer = self._send(method, path, text, headers)
        content = answer.read()
        if answer.status >= 400:
            raise error_of(answer.status, content)
        return (json.loads(content) if content else None), answer.headers

    def _send(
        self, method: str, path: str, text: str | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        """Send over this thread's connection. A stale one is replaced before anything is sent
        twice: only an answer that never began to come is asked for again, and only for GET."""
        connection = getattr(self._connections, "one", None)
        if connection is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            self._connections.one = connection
        try:
            connection.request(method, path, text, headers)
            answer: http.client.HTTPResponse = connection.getresponse()
            return answer
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            if method != "GET":
                raise
            connection.request(method, path, text, headers)
            again: http.client.HTTPResponse = connection.getresponse()
            return again
        except OSError:
            connection.close()
            raise


def error_of(status: int, content: bytes) -> ApiError:
    """Neutron's and Keystone's ways to say no."""
    try:
        said = json.loads(content)
        error = said.get("NeutronError") or said.get("error") or {}
        return ApiError(
            status, error.get("type") or error.get("title") or "", error.get("message") or ""
        )
    except (ValueError, AttributeError):
        return ApiError(status, "", content[:200].decode(errors="replace"))
