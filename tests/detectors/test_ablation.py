"""Ablation: what carries a detector is missed, what does nothing is not, and intervals tell the two apart."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

from greywater.detectors.ablation import LAYERS, AblationSlices, Variant, ablate, paired_interval
from greywater.detectors.bootstrap import PartyBootstrap
from greywater.detectors.detector import Detector, Validation
from greywater.detectors.tunable import default_parameters, make_detector
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows

SMALL = {"rounds": 20, "evaluate_every": 5, "num_leaves": 7, "max_negatives": 800}


def slices(seed: int = 3) -> AblationSlices:
    """Laundering shows in `loud`, a little in `faint`, and not in `noise`; a party has ten payments."""
    draw = np.random.default_rng(seed)
    y = (draw.random(3_000) < 0.1).astype(np.int64)
    rows = pa.table(
        {
            "loud": draw.normal(size=3_000) + 2.0 * y,
            "faint": draw.normal(size=3_000) + 0.5 * y,
            "noise": draw.normal(size=3_000),
        }
    )
    later = Validation(TableRows(rows.slice(2_000)), y[2_000:])
    return AblationSlices(TableRows(rows.slice(0, 2_000)), y[:2_000], np.arange(2_000), later, [np.arange(1_000) // 10])


def trees(seed: int, _: tuple[str, ...]) -> Detector:
    return make_detector("boosted", SMALL, seed=seed, threads=1)


WHOLE = Variant("whole", "", trees)


def test_what_carries_the_detector_is_missed_and_noise_is_not() -> None:
    names = ("loud", "faint", "noise")
    variants = [Variant("family", name, trees, tuple(each for each in names if each != name)) for name in names]
    made = slices()
    whole, *points = ablate(WHOLE, variants, made, seeds=(1, 2, 3), resamples=100)
    assert (whole.kind, whole.loss, whole.columns, len(whole.scores)) == ("whole", 0.0, 3, 3)
    assert points[0].without == "loud"
    by_name = {point.without: point for point in points}
    loud, noise = by_name["loud"], by_name["noise"]
    assert loud.loss is not None
    assert loud.loss > 0.2
    for interval in (loud.by_seeds, loud.by_parties):
        assert interval.low is not None
        assert interval.low > 0
        assert interval.high is not None
        assert interval.low < loud.loss < interval.high
    assert noise.by_parties.low is not None
    assert noise.by_parties.high is not None
    assert noise.by_parties.low < 0 < noise.by_parties.high
    assert loud.columns == 2
    for point in points:
        assert point.score == pytest.approx(np.mean(point.scores))
        assert point.loss == pytest.approx(np.mean(whole.scores) - np.mean(point.scores))


def test_a_detector_without_a_piece_that_it_needs_is_said_to_fail() -> None:
    def none(seed: int, _: tuple[str, ...]) -> Detector:
        raise DetectorError("there is nothing left", mend="leave something")

    _, works, fails = ablate(
        WHOLE, [Variant("part", "all", none), Variant("layer", "same", trees)], slices(), seeds=(1,), resamples=10
    )
    assert (works.without, works.loss) == ("same", 0.0)
    assert works.by_seeds.low is None
    assert (fails.without, fails.score, fails.loss, fails.why) == ("all", None, None, "there is nothing left")
    with pytest.raises(DetectorError, match="no seed"):
        ablate(WHOLE, [], slices(), seeds=())


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_can_be_switched_off(kind: str) -> None:
    known = default_parameters(kind)
    for changes in LAYERS[kind].values():
        assert make_detector(kind, changes, seed=7).kind == kind
        assert any(known[name] != value for name, value in changes.items())


def test_intervals_over_parties_are_of_pairs() -> None:
    """The same party is drawn for both scores: of equal scores the difference is nothing in every resample."""
    draw = np.random.default_rng(5)
    y, score = (draw.random(200) < 0.2).astype(np.int64), draw.random(200)
    other = np.where(y == 1, score + 0.1, score)
    parties = [np.arange(200) // 4]
    first, second, again = (
        PartyBootstrap(y, each, parties, resamples=50, seed=9).average_precisions() for each in (score, other, score)
    )
    np.testing.assert_array_equal(first, again)
    assert (second > first).all()
    generator = np.random.default_rng(9)
    for reached in first[:5]:
        count = np.bincount(generator.integers(0, 50, 50), minlength=50)
        rows = np.repeat(np.arange(200), count[np.arange(200) // 4])
        assert reached == pytest.approx(average_precision_score(y[rows], score[rows]))


def test_students_interval() -> None:
    assert paired_interval([0.3]).low is None
    found = paired_interval([0.1, 0.1, 0.1])
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
