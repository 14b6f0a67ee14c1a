"""`pip install .`, then `ryu-manager apps/*` typed literally, twice in a row, on each interpreter.

An environment takes half a minute to make, so it is kept below $XDG_CACHE_HOME/tenet until
something that decides about it changes; the project itself is installed anew in every run.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINORS = (11, 12, 13)
DECIDING = ("requirements.lock", "setup.cfg", "pyproject.toml", "build_backend.py")
START_LIMIT = 60.0
STOP_LIMIT = 20.0


def interpreter(minor: int) -> str | None:
    """A Python 3.minor of this machine that can make environments."""
    name = f"python3.{minor}"
    versions = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))
    for candidate in (f"/usr/bin/{name}", shutil.which(name), *map(str, versions)):
        if candidate is None or not Path(candidate).exists():
            continue
        probe = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, {minor}))"
        if subprocess.run([candidate, "-c", probe], capture_output=True).returncode == 0:
            return candidate
    return None


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without what would bend Python's or pip's habits."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV")) and name != "PIP_CONSTRAINT"}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **settings}


def do(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, env=clean_environment(PIP_NO_COMPILE="1"), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that nothing is written into the clone."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "controller", folder / "controller",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*DECIDING, "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def project_wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is now."""
    folder = tmp_path_factory.mktemp("wheel")
    do(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir",
       folder, ".", cwd=source)
    (wheel,) = folder.glob("tenet-*.whl")
    return wheel


@pytest.fixture(scope="module", params=MINORS, ids=lambda minor: f"3.{minor}")
def environment(request: pytest.FixtureRequest, source: Path, project_wheel: Path) -> Path:
    """An environment into which `pip install .` was typed, with the project as it is now."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"Python 3.{request.param} is not on this machine")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "tenet" / f"venv-3.{request.param}"
    stamp = folder / "made-from"
    deciding = hashlib.sha256(python.encode())
    for name in DECIDING:
        deciding.update((source / name).read_bytes())
    if not stamp.exists() or stamp.read_text() != deciding.hexdigest():
        do(python, "-m", "venv", "--clear", folder, cwd=source)
        do(folder / "bin" / "pip", "install", ".", cwd=source)
        stamp.write_text(deciding.hexdigest())
    do(folder / "bin" / "pip", "install", "--no-deps", "--force-reinstall", project_wheel,
       cwd=source)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place of its own to run in: the apps, a state folder, options, free ports."""
    shutil.copytree(ROOT / "apps", tmp_path / "apps", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".ryu").mkdir()
    openflow, ovsdb, api = free_ports(3)
    (tmp_path / ".ryu" / "ryu.conf").write_text(
        f"[tenet]\nstate_dir = {tmp_path / 'state'}\n"
        f"openflow_listen_host = 127.0.0.1\nopenflow_port = {openflow}\n"
        f"ovsdb_listen_host = 127.0.0.1\novsdb_port = {ovsdb}\n"
        f"api_port = {api}\n")
    (tmp_path / "ports").write_text(f"{openflow} {ovsdb} {api}")
    return tmp_path


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                   for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def typed(command: str, environment: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command typed into a shell in which the environment is active; its words are in `log`."""
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"], cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env=clean_environment(PATH=path, HOME=str(folder)))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def words(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")


def wait_until_listening(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    for port in map(int, (folder / "ports").read_text().split()):
        while True:
            assert process.poll() is None, f"ended by itself:\n{words(folder)}"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, f"port {port} is silent:\n{words(folder)}"
                time.sleep(0.1)


@pytest.mark.timeout(200)
def test_our_entry_point_is_in_place(environment: Path) -> None:
    script = (environment / "bin" / "ryu-manager").read_text()
    assert "from controller.southbound.manager import main" in script


def test_the_installed_requirements_agree(environment: Path, folder: Path) -> None:
    do(environment / "bin" / "pip", "check", cwd=folder)


@pytest.mark.timeout(200)
def test_twice_in_a_row(environment: Path, folder: Path) -> None:
    for _ in range(2):
        with typed("ryu-manager apps/*", environment, folder) as process:
            wait_until_listening(process, folder)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=STOP_LIMIT) in (0, -signal.SIGTERM), words(folder)
        assert "Traceback" not in words(folder)
        # What the second run's glob names as well, and what Ryu by itself takes for an app.
        assert (folder / "apps" / "__pycache__").is_dir()


@pytest.mark.parametrize("command, says", [
    ("ryu-manager apps/nothing.py", "no such app: apps/nothing.py"),
    ("ryu-manager --config-file nowhere.conf apps/*", "nowhere.conf"),
    ("ryu-manager --config-file broken.conf apps/*", "Failed to parse"),
])
def test_mistakes_get_one_clear_line(folder: Path, command: str, says: str) -> None:
    (folder / "broken.conf").write_text("neither a group nor an assignment\n")
    with typed(command, Path(sys.prefix), folder) as process:
        assert process.wait(timeout=START_LIMIT) == 1, words(folder)
    (line,) = words(folder).splitlines()
    assert line.startswith("ryu-manager: ")
    assert says in line
