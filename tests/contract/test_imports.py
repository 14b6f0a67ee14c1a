"""The direction of dependency, by reading every import.

`apps -> reconciliation, pipeline, model, packets, southbound.app`; `api -> store -> model`;
`southbound -> all of these`; `model` and `pipeline` do not know each other; nothing imports `apps`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "controller").rglob("*.py")) + sorted((ROOT / "apps").glob("*.py"))
LAYERS: dict[str, set[str]] = {
    "model": set(),
    "pipeline": set(),
    "packets": set(),
    "store": {"model"},
    "reconciliation": {"model", "pipeline"},
    "api": {"model", "store", "packets"},
    "southbound": {"model", "pipeline", "packets", "store", "reconciliation", "api"},
    "testing": {"model", "pipeline", "packets", "store", "reconciliation", "api", "southbound"},
    "apps": {"model", "pipeline", "packets", "reconciliation", "southbound"},
}
EDGE = {"time", "random", "secrets", "socket", "select"}
"""What makes a result depend on more than its arguments."""
EDGE_ALLOWED = ("controller/southbound/", "controller/api/", "controller/store/journal.py")
RYU = {"ryu", "eventlet", "oslo_config", "ovs"}
RYU_ALLOWED = ("controller/southbound/",)


def imports(path: Path) -> Iterator[str]:
    """Every module a file names in an import, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def layer(path: Path) -> str:
    """`model`, `pipeline`, ... or `apps`."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "controller" and len(parts) > 2 else parts[0]


def offences(path: Path) -> Iterator[str]:
    """What a file imports against the rules."""
    name = str(path.relative_to(ROOT))
    allowed = LAYERS.get(layer(path), set()) | {layer(path)}
    for module in imports(path):
        head, *rest = module.split(".")
        if head == "apps":
            yield "nothing imports apps"
        if head == "controller" and rest and rest[0] not in allowed:
            yield f"{layer(path)} may not import {module}"
        if head in RYU and not name.startswith(RYU_ALLOWED):
            yield f"{head} outside southbound"
        if head in EDGE and not name.startswith(EDGE_ALLOWED):
            yield f"{head} outside the edge"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    assert not list(offences(path))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_environment_is_read_at_the_edge(path: Path) -> None:
    if not str(path.relative_to(ROOT)).startswith(EDGE_ALLOWED):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Attribute)}
        assert not names & {"environ", "getenv", "urandom"}


def test_apps_take_nothing_of_southbound_but_the_shell() -> None:
    for path in sorted((ROOT / "apps").glob("*.py")):
        taken = {module for module in imports(path) if module.startswith("controller.southbound")}
        assert taken == {"controller.southbound.app"}, path.name


def test_an_import_against_the_rules_is_seen(tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    folder = tmp_path / "controller" / "model"
    folder.mkdir(parents=True)
    bad = folder / "bad.py"
    bad.write_text("def f():\n    import ryu.base\n    from controller.store import store\n"
                   "    import time\n    from apps import overlay\n")
    assert len(list(offences(bad))) == 4
