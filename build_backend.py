"""The build backend behind `pip install .`: setuptools', plus a wheel of Ryu made in time.

Ryu 4.34 has no wheel on the index, and its setup.py fails with any setuptools from 67 on, which is
what pip would build it with. A build backend is the one place where a project may say which
setuptools it wants, so Ryu is built here, beside us, and pip is told where the wheel lies.

The one idea: only the metadata that pip resolves with names that wheel. The wheel of ours that is
installed or handed on says `ryu==4.34`, as setup.cfg does. Where Ryu is installed already
(`--no-build-isolation` into a prepared environment), nothing is built.
"""
from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (the hooks that pip calls)
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

ROOT = Path(__file__).resolve().parent
RYU_WHEELS = ROOT / "build" / "ryu"


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: dict[str, str] | None = None
) -> str:
    name: str = build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
    _name_ryu_wheel(Path(metadata_directory, name, "METADATA"))
    return name


def prepare_metadata_for_build_editable(
    metadata_directory: str, config_settings: dict[str, str] | None = None
) -> str:
    name: str = build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)
    _name_ryu_wheel(Path(metadata_directory, name, "METADATA"))
    return name


def _name_ryu_wheel(metadata: Path) -> None:
    if importlib.util.find_spec("ryu") is not None:
        return
    requirement = f"Requires-Dist: ryu @ {_ryu_wheel().as_uri()}"
    text, found = re.subn(r"(?m)^Requires-Dist: ryu\b.*$", requirement, metadata.read_text())
    if found != 1:
        raise RuntimeError(f"expected one requirement of ryu in {metadata}, found {found}")
    metadata.write_text(text)


def _ryu_wheel() -> Path:
    """The wheel of the locked Ryu, built by the setuptools that pyproject.toml asks for."""
    built = sorted(RYU_WHEELS.glob("ryu-*.whl"))
    if not built:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
            requirement.write(_locked("ryu"))
            requirement.flush()
            subprocess.run(
                [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--use-pep517",
                 "--no-build-isolation", "--require-hashes", "--requirement", requirement.name,
                 "--wheel-dir", str(RYU_WHEELS)],
                check=True,
            )
        built = sorted(RYU_WHEELS.glob("ryu-*.whl"))
    return built[-1]


def _locked(package: str) -> str:
    """The lines of the lock file that pin one package: its version, then its hashes."""
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(rf"(?m)^{re.escape(package)}==(?:.*\\\n)*.*$", lock)
    if found is None:
        raise RuntimeError(f"requirements.lock does not pin {package}")
    return found.group() + "\n"
