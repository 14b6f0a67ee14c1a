"""House rules that a machine can check."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = [path for folder in ("controller", "apps", "mininet_topos")
           for path in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in path.parts]
APPS = sorted((ROOT / "apps").glob("*.py"))
LONGEST = 450


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST
    assert max((len(line) for line in text.splitlines()), default=0) <= 100
    assert len(ast.get_docstring(ast.parse(text)) or "") > 20


def test_apps_holds_nothing_but_loadable_files() -> None:
    names = [path.name for path in (ROOT / "apps").iterdir() if path.name != "__pycache__"]
    assert names and all(name.endswith(".py") and not name.startswith("_") for name in names)


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.name)
def test_an_app_shadows_no_module(path: Path) -> None:
    """Ryu loads apps as top-level modules: `queue.py` would become everyone's `queue`."""
    assert path.stem not in sys.stdlib_module_names
    without_apps = [entry for entry in sys.path if Path(entry).resolve() != ROOT / "apps"]
    assert importlib.machinery.PathFinder.find_spec(path.stem, without_apps) is None


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.name)
def test_an_app_file_has_one_app_class_with_a_name_of_its_own(path: Path) -> None:
    classes = {other: [node.name for node in ast.parse(other.read_text()).body
                       if isinstance(node, ast.ClassDef)
                       and any(ast.unparse(above).endswith("App") for above in node.bases)]
               for other in APPS}
    assert len(classes[path]) == 1
    assert [name for found in classes.values() for name in found].count(classes[path][0]) == 1
