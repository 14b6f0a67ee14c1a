"""The first start: somebody who can log in, and a file that says how.

Owns the first administrator and `clouds.yaml`. The one idea: the file is the password's only home
outside its owner's head, so it is written, durably, before the user exists. Whatever crash comes
between, the next start takes the password from the file. A file that is there is never changed.
"""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from controller.api.accounts import assignment
from controller.api.settings import REGION, ApiSettings, Surroundings
from controller.api.tokens import IMPLIED
from controller.model.resources import Project, User
from controller.store.store import Store, Transaction

FILE = "clouds.yaml"
ADMIN = "admin"
_PASSWORD = re.compile(r'^ +password: "([^"\\]+)"$', re.MULTILINE)


class BootstrapError(Exception):
    """The first start cannot go on; the message says what to do."""


def first_start(store: Store, settings: ApiSettings, surroundings: Surroundings, folder: Path
                ) -> Path | None:
    """Make the project and the user `admin` if there is no user yet; the path of the file that
    tells its password, or None when nothing was to be done."""
    if store.snapshot.ids(User):
        return None
    path = folder / FILE
    password = _password_in(path)
    if password is None:
        secret = surroundings.random_bytes(24)
        password = base64.urlsafe_b64encode(secret).decode().rstrip("=")
        write_private(path, clouds_yaml(settings, password))
    encoded = surroundings.hash_password(password)
    project = Project(id=surroundings.new_id().replace("-", ""), name=ADMIN,
                      description="Administrators of this controller")
    user = User(id=surroundings.new_id().replace("-", ""), name=ADMIN, password_hash=encoded,
                default_project_id=project.id)

    def work(draft: Transaction) -> None:
        draft.put(project)
        draft.put(user)
        for role in IMPLIED[ADMIN]:
            draft.put(assignment(user.id, project.id, role))
    store.transact(work)
    return path


def _password_in(path: Path) -> str | None:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise BootstrapError(f"{path} cannot be read: {error}") from error
    found = _PASSWORD.search(text)
    if found is None:
        raise BootstrapError(f"{path} names no password for the new administrator: move it away")
    return found[1]


def clouds_yaml(settings: ApiSettings, password: str) -> str:
    """How clients reach this controller, as openstacksdk reads it."""
    host = settings.host if settings.host not in ("", "0.0.0.0", "::") else "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"""\
clouds:
  tenet:
    auth:
      auth_url: "http://{host}:{settings.port}/identity"
      username: "{ADMIN}"
      password: "{password}"
      project_name: "{ADMIN}"
      user_domain_id: "default"
      project_domain_id: "default"
    region_name: "{REGION}"
    identity_api_version: "3"
"""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
