"""The shell of a feature: the two lines of Ryu that each file in `apps/` needs.

Owns how a feature reaches the fabric. A feature app has no handlers and no state: it registers its
declaration with the shared context, and the fabric does the rest when all apps are loaded.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ryu.base import app_manager

from controller.reconciliation.feature import Feature
from controller.southbound.fabric import Fabric


class FeatureApp(app_manager.RyuApp):  # type: ignore[misc]
    """Subclass it once per file and name the `feature`."""

    _CONTEXTS = {"fabric": Fabric}
    feature: ClassVar[Feature]

    def __init__(self, *args: Any, fabric: Fabric, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fabric.register(self.feature)
