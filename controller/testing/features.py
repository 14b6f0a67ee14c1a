"""The features in a folder of apps, as values, for tests and measurements.

Owns loading files by path: nothing imports `apps`, whose files are no package.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from controller.reconciliation.feature import Feature
from controller.southbound.manager import repair_eventlet

APPS = Path(__file__).resolve().parents[2] / "apps"


def load_app(path: Path) -> ModuleType:
    """The module of one file, under a name that cannot meet the one Ryu gives it."""
    repair_eventlet()
    name = f"tenet_app_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_features(folder: Path = APPS) -> tuple[Feature, ...]:
    """Every feature that a file of the folder declares, by cookie."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        for value in vars(load_app(path)).values():
            if isinstance(value, Feature):
                found[value.name] = value
    return tuple(sorted(found.values(), key=lambda feature: feature.cookie))
