"""What every test shares: fixed examples, full counts on demand, the shared data or a plain skip, no stray settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres_server import new_postgres, postgres_server, postgres_url

__all__ = ["new_postgres", "postgres_server", "postgres_url"]

ROOT = Path(__file__).resolve().parents[1]
FULL = os.environ.get("GREYWATER_FULL") == "1"

#: Variables of the test run itself; every other GREYWATER_* would change the settings under test.
OWN_VARIABLES = {"GREYWATER_DATA", "GREYWATER_FULL", "GREYWATER_KERNEL_CACHE", "GREYWATER_TEST_WORKERS"}

# Timing differs from machine to machine, examples must not: the same ones each time, no deadline.
for name, examples in (("default", 60), ("full", 1_000)):
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
settings.load_profile("full" if FULL else "default")


def pytest_configure(config: pytest.Config) -> None:
    """Take the settings of the person who runs the tests out of the environment."""
    for name in [name for name in os.environ if name.startswith("GREYWATER_") and name not in OWN_VARIABLES]:
        del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked `full` to scripts/test --all."""
    if not FULL:
        heavy = [item for item in items if item.get_closest_marker("full")]
        if heavy:
            config.hook.pytest_deselected(items=heavy)
            items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the reference data sets, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("GREYWATER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the reference data are not at {folder}; name their folder in GREYWATER_DATA")
    return folder
