"""A cloud per test: an application with an administrator, and no sockets."""

from __future__ import annotations

import pytest

from controller.testing.api import Cloud


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()
