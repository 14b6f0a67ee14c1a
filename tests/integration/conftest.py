"""The running lab that the tests of the whole system share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.system import Cloud, Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three hypervisors that have joined the real controller."""
    from tests.integration import system  # Mininet is needed from here on only.

    import lab as mininet_lab
    from mininet.log import setLogLevel
    from three_hypervisors import ThreeHypervisors

    setLogLevel("warning")
    controller = system.TenetController("c0", options={"audit_interval": 4})
    with mininet_lab.started(ThreeHypervisors(), controller) as network:
        assert mininet_lab.joining_failures(network) == []
        found = {one.name: one for one in mininet_lab.hypervisors(network)}
        yield system.Lab(network, controller, found)


@pytest.fixture
def cloud(lab: Lab) -> Iterator[Cloud]:
    """Tenants of one test."""
    from tests.integration import system

    with system.Cloud.opened(lab) as made:
        yield made
