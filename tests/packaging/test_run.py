"""`./run` on machines where it cannot work: it stops, with one line that says why."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("run", "requirements.lock", "setup.cfg", "pyproject.toml", "build_backend.py")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# A machine that never saw us: no daemons, no package lists, nothing installed, no network.
FRESH_AND_OFFLINE = """
for place in /usr/sbin /var/lib/apt /var/lib/dpkg; do mount -t tmpfs none $place; done
mkdir -p /var/lib/dpkg/updates /var/lib/dpkg/info /var/lib/apt/lists/partial
: >/var/lib/dpkg/status
"$@"
status=$?
[ -z "$(ls /usr/sbin)" ] || { echo "left behind: $(ls /usr/sbin)" >&2; exit 99; }
exit $status
"""


@pytest.fixture
def clone() -> Iterator[Path]:
    """What set-up needs of a clone, where every user may read it."""
    with tempfile.TemporaryDirectory(prefix="tenet-clone-") as folder:
        for name in NEEDED:
            shutil.copy(ROOT / name, folder)
        os.chmod(folder, 0o755)
        yield Path(folder)


def setup(clone: Path, *before: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment: Mapping[str, str] = {**os.environ, "TMPDIR": str(clone), **settings}
    return subprocess.run([*before, "./run", "setup"], cwd=clone, env=environment, timeout=90,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refusal consists of, after whatever was reported as done."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    *progress, last = done.stderr.splitlines()
    assert all(line.startswith("[") for line in progress), done.stderr
    assert last.startswith("run: ")
    return last


@pytest.mark.root
def test_another_user_than_root_is_refused(clone: Path) -> None:
    done = setup(clone, *NOBODY)
    assert refusal(done) == "run: needs root: it installs packages and makes network namespaces"
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.root
@pytest.mark.parametrize("release", [
    'ID=fedora\nVERSION_ID=41\nPRETTY_NAME="Fedora Linux 41"',
    'ID=debian\nVERSION_ID=11\nPRETTY_NAME="Debian GNU/Linux 11"',
    'ID=ubuntu\nVERSION_ID=22.04\nPRETTY_NAME="Ubuntu 22.04.5 LTS"',
    "",
])
def test_an_unknown_system_is_refused(clone: Path, release: str) -> None:
    (clone / "os-release").write_text(release)
    done = setup(clone, TENET_OS_RELEASE=str(clone / "os-release"))
    assert "unknown system" in refusal(done)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.root
@pytest.mark.parametrize("release", [
    "ID=debian\nVERSION_ID=12", "ID=debian\nVERSION_ID=13", "ID=debian",
    "ID=ubuntu\nVERSION_ID=24.04", "ID=ubuntu\nVERSION_ID=26.04",
])
def test_a_known_system_comes_to_the_next_step(clone: Path, release: str) -> None:
    (clone / "os-release").write_text(release)
    done = setup(clone, TENET_OS_RELEASE=str(clone / "os-release"), TENET_PYTHON="/no/python")
    assert refusal(done) == "run: no such Python: /no/python"


@pytest.mark.root
def test_an_old_python_is_refused(clone: Path) -> None:
    old = clone / "python3.10"
    old.write_text('#!/bin/sh\n'
                   'exec /usr/bin/python3 -c "import sys; sys.version_info = (3, 10)\n$2"\n')
    old.chmod(0o755)
    assert "older than Python 3.11" in refusal(setup(clone, TENET_PYTHON=str(old)))


@pytest.mark.root
def test_debian_packages_without_a_network(clone: Path) -> None:
    done = setup(clone, "unshare", "--net", "--mount", "sh", "-c", FRESH_AND_OFFLINE, "sh")
    assert "openvswitch-switch" in refusal(done)
    assert "no network" in refusal(done)


@pytest.mark.root
def test_python_packages_without_a_network(clone: Path) -> None:
    done = setup(clone, "unshare", "--net", PIP_NO_INDEX="0", PIP_CACHE_DIR=str(clone / "cache"))
    assert "cannot install Python packages: no network" in refusal(done)
    assert not (clone / ".venv" / "made-from-lock").exists()


@pytest.mark.root
def test_the_second_time_nothing_is_done() -> None:
    done = setup(ROOT)
    assert done.returncode == 0
    assert re.fullmatch(r"\[ +\d\.\ds\] ready\n", done.stderr), "./run setup was due"


def test_unknown_words_get_the_usage() -> None:
    done = subprocess.run(["./run", "dmeo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: ./run" in done.stderr


@pytest.mark.root
def test_a_package_with_another_hash_is_refused(clone: Path) -> None:
    lock = clone / "requirements.lock"
    pinned = re.compile(r"^pbr==.*\n(?: +--hash=.*\n)+", re.MULTILINE)
    text, found = pinned.subn(
        lambda match: re.sub("sha256:[0-9a-f]{4}", "sha256:0000", match.group()), lock.read_text())
    assert found == 1
    lock.write_text(text)
    assert "DO NOT MATCH THE HASHES" in refusal(setup(clone))
    assert not (clone / ".venv" / "made-from-lock").exists()
