"""The lock file: every package with its hashes, on every interpreter and machine that we name."""
from __future__ import annotations

import re
from configparser import ConfigParser
from importlib.metadata import version
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
INTERPRETERS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def statements() -> list[str]:
    """The lock's logical lines: continued lines joined, comments left out."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def pins() -> list[Requirement]:
    return [Requirement(HASH.sub("", line).strip()) for line in statements()]


def wanted() -> list[Requirement]:
    """What setup.cfg and requirements.in ask for."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    lines += (ROOT / "requirements.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def environment(interpreter: str, machine: str) -> dict[str, str]:
    return {"python_version": interpreter, "python_full_version": f"{interpreter}.0",
            "platform_machine": machine, "sys_platform": "linux", "os_name": "posix",
            "platform_system": "Linux", "platform_python_implementation": "CPython",
            "implementation_name": "cpython"}


@pytest.mark.parametrize("statement", statements(), ids=lambda line: line.split("==")[0])
def test_each_line_is_one_version_with_hashes(statement: str) -> None:
    assert HASH.search(statement), "no hash"
    requirement = Requirement(HASH.sub("", statement).strip())
    assert [specifier.operator for specifier in requirement.specifier] == ["=="]
    assert requirement.url is None


def test_the_lock_names_no_host_and_no_option() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", text)) == {"--hash"}


@pytest.mark.parametrize("interpreter, machine", [*product(INTERPRETERS, MACHINES)])
def test_all_that_we_ask_for_is_locked_once(interpreter: str, machine: str) -> None:
    here = environment(interpreter, machine)
    active = [pin for pin in pins() if pin.marker is None or pin.marker.evaluate(here)]
    locked = {canonicalize_name(pin.name): pin for pin in active}
    assert len(locked) == len(active), "a package is pinned twice for one interpreter"
    for requirement in wanted():
        if requirement.marker is not None and not requirement.marker.evaluate(here):
            continue
        pin = locked[canonicalize_name(requirement.name)]
        (specifier,) = pin.specifier
        assert requirement.specifier.contains(specifier.version), f"{requirement} but {pin}"


def test_what_is_installed_is_what_is_locked() -> None:
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate():
            (specifier,) = pin.specifier
            assert version(pin.name) == specifier.version
