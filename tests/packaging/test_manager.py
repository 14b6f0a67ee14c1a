"""What the `ryu-manager` entry point takes for an app, and what it refuses."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controller.southbound.manager import AppRefused, apps_among, foreign_controller
from controller.southbound.options import OPTIONS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `apps/*` may expand to after a first run."""
    apps = tmp_path / "apps"
    (apps / "__pycache__").mkdir(parents=True)
    for name in ("one.py", "two.py", "__init__.py", "README.md", "one.pyc"):
        (apps / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return apps


def test_only_python_files_of_a_glob_are_apps(folder: Path) -> None:
    words = sorted(f"apps/{path.name}" for path in folder.iterdir())
    assert apps_among(words) == ["apps/one.py", "apps/two.py"]


def test_module_names_are_left_to_ryu() -> None:
    assert apps_among(["ryu.controller.ofp_handler"]) == ["ryu.controller.ofp_handler"]


def test_an_app_named_twice_is_loaded_once(folder: Path) -> None:
    assert apps_among(["apps/one.py", "./apps/one.py"]) == ["apps/one.py"]


@pytest.mark.parametrize("words, says", [
    (["apps/three.py"], "no such app: apps/three.py"),
    (["nowhere/*"], "no such app: nowhere/*"),
    (["apps/__pycache__", "apps/README.md"], "no app among"),
])
def test_what_is_no_app_is_refused(folder: Path, words: list[str], says: str) -> None:
    with pytest.raises(AppRefused) as refused:
        apps_among(words)
    assert says in str(refused.value)


@pytest.mark.parametrize("name", ["queue.py", "json.py", "controller.py"])
def test_an_app_may_not_replace_a_module(folder: Path, name: str) -> None:
    (folder / name).write_text("")
    with pytest.raises(AppRefused, match="would replace the module"):
        apps_among([f"apps/{name}"])


def test_two_apps_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("")
    with pytest.raises(AppRefused, match="two apps of one name"):
        apps_among(["apps/one.py", "one.py"])


def test_apps_of_another_clone_are_noticed(folder: Path, tmp_path: Path) -> None:
    assert foreign_controller("apps/one.py") is None
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "__init__.py").write_text("")
    assert foreign_controller("apps/one.py") == str(tmp_path / "controller")


def test_the_help_lists_every_option_of_ours() -> None:
    said = subprocess.run([sys.executable, "-m", "controller.southbound.manager", "--help"],
                          capture_output=True, text=True, timeout=60, check=True).stdout
    assert [option.name for option in OPTIONS if f"--tenet-{option.name}" not in said] == []
