"""Explanations: from a rule's cookie to the resource, the feature and the source line.

Owns the answer to "why is this rule here?". Reads the feature's source to find the line that uses
the cookie's purpose, since a line number in the cookie would change with every edit.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable, Iterator
from typing import Any

from controller.model.resources import Chassis, Network, Port, Row
from controller.model.snapshot import Snapshot
from controller.pipeline.cookie import Purpose, origin
from controller.reconciliation.feature import Feature

OWNERS: dict[str, type[Row]] = {"port": Port, "network": Network, "chassis": Chassis}


def explain(cookie: int, features: Iterable[Feature], snapshot: Snapshot) -> dict[str, Any] | None:
    """What a cookie stands for, or None when it is not one of ours."""
    parts = origin(cookie)
    feature = next((feature for feature in features
                    if parts is not None and feature.cookie == parts.feature), None)
    if parts is None or feature is None:
        return None
    purpose = next((purpose for purpose in feature.purposes
                    if purpose.number == parts.purpose), None)
    if purpose is None:
        return None
    resource: dict[str, Any] | None = None
    for row in snapshot.where(OWNERS[purpose.owner], "key", parts.key):
        name = row.hostname if isinstance(row, Chassis) else getattr(row, "name", "")
        resource = {"kind": purpose.owner, "id": row.id, "name": name,
                    "project_id": getattr(row, "project_id", None)}
    return {"cookie": f"{cookie:#018x}", "feature": feature.name, "purpose": purpose.text,
            "owner_key": parts.key, "resource": resource, "source": list(uses(feature, purpose))}


def uses(feature: Feature, purpose: Purpose) -> Iterator[str]:
    """`file:line` of each line of the feature's source that makes rules for the purpose."""
    scopes = {each.compile.__code__.co_filename: each.compile.__globals__
              for each in feature.units if hasattr(each.compile, "__code__")}
    for path, scope in sorted(scopes.items()):
        for name in (name for name, value in scope.items() if value is purpose):
            for number, line in enumerate(linecache.getlines(path), start=1):
                if re.search(rf"^\s.*\b{name}\b", line) and "purposes=" not in line:
                    yield f"{path}:{number}"
