"""What all tests share: Hypothesis profiles, features, a site with its fabric, golden files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from controller.reconciliation.feature import Feature
from controller.testing.fake_fabric import FakeFabric
from controller.testing.features import load_features
from controller.testing.site import Site

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("ci", max_examples=60, stateful_step_count=30, deadline=None,
                          suppress_health_check=_QUIET)
settings.register_profile("deep", max_examples=1500, stateful_step_count=60, deadline=None,
                          suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("TENET_HYPOTHESIS", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`: write what the code says instead of comparing with it."""
    parser.addoption("--update-golden", action="store_true",
                     help="accept the present rules as the golden ones")


@pytest.fixture(scope="session")
def features() -> tuple[Feature, ...]:
    """The features of `apps/`."""
    return load_features()


@pytest.fixture
def site() -> Site:
    """An empty site in memory."""
    return Site()


@pytest.fixture
def fabric(site: Site, features: tuple[Feature, ...]) -> FakeFabric:
    """The switches of the site, whatever joins it later."""
    return FakeFabric(features, site.store)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text is that of the golden file, or becomes it."""
    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert path.exists(), f"no {path.name}: run with --update-golden and read the result"
        assert text == path.read_text(), f"{path.name} differs: --update-golden accepts it"
    return compare
