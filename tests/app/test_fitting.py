"""Which detector is fitted, of what parts, and that mandatory alerts come first and outside the budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from greywater.app.fitting import fit_detector
from greywater.app.mandatory import roll_up_with_mandatory
from greywater.app.part_makers import PART_MAKERS, PartContext, make_parts
from greywater.config import DETECTORS, Settings
from greywater.desk.budget import Budget
from greywater.desk.rollup import ScoredPayments, roll_up
from greywater.detectors.adversarial_peers import NetworkDetector
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.loading import load_detector
from greywater.detectors.part_kinds import PART_KINDS
from greywater.errors import UsageError
from greywater.stores.blocks import TableRows
from tests.app.fits import small_fit

#: Networks take their time (tests/detectors/test_adversarial_peers.py saves and loads them); sequences need columns of
#: their own: tests/app/test_deep.py.
SLOW = (NetworkDetector, AdversarialSequence)
QUICK = [name for name in DETECTORS if not issubclass(PART_KINDS.get(name, Hybrid), SLOW)]


@pytest.mark.parametrize("detector", QUICK)
def test_the_setting_names_the_detector_and_what_is_saved_is_loaded(detector: str, tmp_path: Path) -> None:
    fitted = small_fit(fit_detector, Settings(threads=1, detector=detector))
    assert fitted.kind == detector
    fitted.detector.save(tmp_path)
    loaded = load_detector(tmp_path)
    assert type(loaded) is type(fitted.detector)
    assert loaded.card == fitted.detector.card


def test_the_hybrid_says_what_its_parts_weigh() -> None:
    fitted = small_fit(fit_detector, Settings(threads=1))
    assert isinstance(fitted.detector, Hybrid)
    assert tuple(fitted.detector.parts) == ("boosted", "isolation", "rules")
    assert fitted.name == "hybrid of boosted trees (LightGBM), isolation forest (scikit-learn) and rules"
    assert "isolation 0.00" in fitted.why  # more than 20 labels: the anomaly score says nothing any more
    assert not fitted.survey(_rows()).mandatory.any()  # type: ignore[arg-type]


def _rows() -> TableRows:
    return TableRows(pa.table({"telling": [1.0, 2.0], "noise": [0.0, 0.0]}))


def test_the_trees_keep_to_the_directions_where_the_setting_says_so() -> None:
    parts = make_parts(PartContext(Settings(monotone=True), ("a",)))
    assert parts["boosted"]._parameters.monotone  # type: ignore[attr-defined]


def test_every_part_that_is_made_can_be_loaded() -> None:
    parts = make_parts(PartContext(Settings(), ("a",)), PART_MAKERS)
    assert {part.kind for part in parts.values()} <= set(PART_KINDS)
    assert all(name.isidentifier() for name in parts)


def test_the_adversarial_detector_is_a_part_where_it_is_asked_for() -> None:
    names = [tuple(make_parts(PartContext(Settings(deep=deep), ("a",)))) for deep in (False, True)]
    assert names == [("boosted", "isolation", "rules"), ("boosted", "isolation", "adversarial", "rules")]


def test_a_detector_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="luck"):
        Settings(detector="luck")


def payments(rows: int = 40) -> ScoredPayments:
    draw = np.random.default_rng(1)
    return ScoredPayments(
        seq=np.arange(rows),
        time_us=np.arange(rows) * 3_600_000_000,
        score=draw.random(rows),
        probability=draw.random(rows),
        sender=draw.integers(0, 10, rows).astype(np.int32),
        receiver=draw.integers(10, 20, rows).astype(np.int32),
        accounts=tuple(f"a{k}" for k in range(20)),
    )


def test_without_a_mandatory_payment_nothing_changes() -> None:
    given, budget = payments(), Budget(5, per_day=False)
    assert roll_up_with_mandatory(given, budget, np.zeros(40, np.bool_)) == roll_up(given, budget)


def test_mandatory_payments_are_raised_first_and_outside_the_budget() -> None:
    given, budget = payments(), Budget(3, per_day=False)
    given = replace(given, score=np.where(np.isin(given.seq, (7, 30)), 0.0, given.score))
    demanded = np.isin(given.seq, (7, 30))
    found = roll_up_with_mandatory(given, budget, demanded)
    must = {given.accounts[code] for side in (given.sender, given.receiver) for code in side[demanded]}
    assert {candidate.entity for candidate in found[: len(must)]} == must
    assert {candidate.seq for candidate in found[: len(must)]} == {7, 30}
    rest = [candidate for candidate in roll_up(given, budget) if candidate.entity not in must]
    assert found[len(must) :] == rest
    assert len({(candidate.kind, candidate.entity) for candidate in found}) == len(found)
