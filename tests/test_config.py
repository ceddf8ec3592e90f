"""Settings: defaults, the environment over them, and clear refusals."""

from __future__ import annotations

import pytest

from greywater.app.fitting import fit_detector
from greywater.config import Settings
from greywater.errors import UsageError


def test_the_environment_overlays_the_defaults() -> None:
    given = {
        "GREYWATER_WINDOWS": "60,120",
        "GREYWATER_THRESHOLD_BY": "cost",
        "GREYWATER_STORE": "elsewhere",
        "HOME": "x",
    }
    settings = Settings.from_environment(given)
    assert settings.windows == (60, 120)
    assert settings.threshold_by == "cost"
    assert str(settings.project_folder) == "elsewhere/projects/default"


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("WINDOWS", "60,x", "whole numbers"),
        ("WINDOWS", "60,30", "increasing"),
        ("DAY_WINDOWS", "0", "positive"),
        ("CHUNK_ROWS", "0", "at least 1"),
        ("CHUNK_ROWS", "many", "int"),
        ("THRESHOLD_BY", "luck", "luck"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(name: str, value: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        Settings.from_environment({f"GREYWATER_{name}": value})


def test_the_threshold_can_be_chosen_by_cost() -> None:
    from tests.app.fits import small_fit

    f1, cost = (
        small_fit(fit_detector, Settings(threads=1)),
        small_fit(fit_detector, Settings(threads=1, threshold_by="cost", cost_missed=1_000.0)),
    )
    assert (f1.detector.threshold.by, cost.detector.threshold.by) == ("f1", "cost")
    assert cost.threshold <= f1.threshold
