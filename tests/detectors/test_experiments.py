"""Fewer and later labels, months, groups and curves: on made-up payments whose answers are known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.curves import alerts_saved_curve, precision_recall_curve, waiting_curve
from greywater.detectors.experiments import DAY_US, Labelled, class_imbalance, label_delay
from greywater.detectors.fairness import measure_fairness
from greywater.detectors.metrics import alerts_saved, average_precision
from greywater.detectors.periods import measure_periods, period_of
from greywater.detectors.row_choice import RowChoice
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows

JANUARY = 1_704_067_200_000_000


class Told:
    """A detector that scores by its first column and notes what it was fitted on."""

    kind: ClassVar[str] = "told"
    needs_labels: ClassVar[bool] = True
    seen: ClassVar[list[tuple[int, int]]] = []

    def fit(self, X: Any, y: Any = None, time: Any = None, weight: Any = None, **_: Any) -> Told:
        rows = sum(batch.num_rows for batch in X.batches())
        assert rows == X.rows == len(y) == len(time)
        Told.seen.append((rows, int(y.sum())))
        return self

    def score(self, X: Any) -> np.ndarray:
        return np.concatenate([batch.column(0).to_numpy() for batch in X.batches()])


def labelled(rows: int, *, seed: int, begin: int, share: float = 0.2) -> Labelled:
    generator = np.random.default_rng(seed)
    y = (generator.random(rows) < share).astype(np.int64)
    X = pa.table({"a": generator.normal(size=rows) + 2 * y, "b": generator.normal(size=rows)})
    return Labelled(TableRows(X, batch_rows=64), y, begin + np.arange(rows) * DAY_US // 10)


def slices() -> tuple[Labelled, Labelled, Labelled]:
    return (labelled(1_000, seed=1, begin=0), labelled(300, seed=2, begin=100 * DAY_US),
            labelled(300, seed=3, begin=130 * DAY_US))  # fmt: skip


@pytest.mark.parametrize("others", ["left out", "called honest"])
def test_less_laundering_is_learned_from_and_the_test_slice_stays(others: Any) -> None:
    train, validation, test = slices()
    Told.seen.clear()
    points = class_imbalance(Told, train, validation, test, shares=(1, 0.5, 0.1), others=others)  # type: ignore[arg-type]
    positives = int(train.y.sum())
    assert [seen[1] for seen in Told.seen] == [positives, round(positives * 0.5), round(positives * 0.1)]
    for point, (rows, kept) in zip(points, Told.seen, strict=True):
        assert (point.rows, point.positives) == (rows, kept)
        assert rows == (1_000 - positives + kept if others == "left out" else 1_000)
        assert point.measures is not None
        assert point.measures.positives == int(test.y.sum())
        assert point.measures.average_precision == average_precision(test.y, Told().score(test.X))


def test_late_labels_hide_the_laundering_of_the_last_days() -> None:
    train, validation, test = slices()
    Told.seen.clear()
    points = label_delay(Told, train, validation, test, days=(0, 60, 500))  # type: ignore[arg-type]
    known = int(train.y[train.time_us <= 70 * DAY_US].sum())
    assert [seen[1] for seen in Told.seen] == [int(train.y.sum()), known]
    assert points[2].measures is None
    assert "no laundering" in points[2].why
    assert points[0].setting == 0.0


def test_a_real_detector_gets_worse_with_less() -> None:
    train, validation, test = slices()

    def make() -> Boosted:
        return Boosted(BoostedParameters(rounds=20, min_data_in_leaf=5, feature_fraction=1.0), threads=1)

    full, least = class_imbalance(make, train, validation, test, shares=(1, 0.02))
    assert full.measures is not None
    assert least.measures is not None
    assert (full.measures.average_precision or 0) > (least.measures.average_precision or 0)


def test_settings_that_make_no_sense_are_refused() -> None:
    train, validation, test = slices()
    with pytest.raises(DetectorError):
        class_imbalance(Told, train, validation, test, shares=(0.0,))  # type: ignore[arg-type]
    with pytest.raises(DetectorError):
        label_delay(Told, train, validation, test, days=(-1,))  # type: ignore[arg-type]
    with pytest.raises(DetectorError):
        Labelled(train.X, train.y[:-1], train.time_us)
    with pytest.raises(DetectorError):
        measure_periods(train.y, np.zeros(1_000), train.time_us, 0.5, length="week")  # type: ignore[arg-type]


@given(st.sets(st.integers(0, 199)), st.integers(0, 200), st.integers(0, 200))
def test_chosen_rows_are_read_as_if_they_were_a_table(chosen: set[int], one: int, other: int) -> None:
    table = pa.table({"a": np.arange(200), "b": np.arange(200) / 2})
    rows = np.array(sorted(chosen), np.int64)
    view = RowChoice(TableRows(table, batch_rows=37), rows)
    whole = table.take(pa.array(rows))
    begin, end = sorted((min(one, len(rows)), min(other, len(rows))))
    read = pa.Table.from_batches(list(view.batches(begin, end)), schema=table.schema)
    assert read.equals(whole.slice(begin, end - begin))
    assert view.rows == len(rows)
    assert view.take(np.arange(begin, end)).equals(whole.slice(begin, end - begin))


def test_rows_that_are_not_there_are_refused() -> None:
    table = TableRows(pa.table({"a": [1, 2]}))
    for rows in ([2], [1, 1], [-1]):
        with pytest.raises(DetectorError):
            RowChoice(table, np.array(rows))


def test_months_and_quarters_are_those_of_the_calendar() -> None:
    day = 86_400_000_000
    assert [period_of(JANUARY + 31 * day - 1), period_of(JANUARY + 31 * day)] == ["2024-01", "2024-02"]
    assert [period_of(JANUARY + place * 30 * day, "quarter") for place in (0, 3, 4, 7)] == [
        "2024-Q1", "2024-Q1", "2024-Q2", "2024-Q3",
    ]  # fmt: skip


def test_performance_that_drifts_is_called_worse_and_wobbling_is_not() -> None:
    generator = np.random.default_rng(8)
    y = (generator.random(3_000) < 0.1).astype(np.int64)
    month = np.repeat([0, 1, 2], 1_000)
    score = generator.normal(size=3_000) + np.where(month == 2, 0.0, 3.0) * y
    time = JANUARY + month * 31 * DAY_US
    found = measure_periods(y, score, time, 2.0, parties=(np.arange(3_000) % 500,), resamples=40)
    assert [each.name for each in found] == ["2024-01", "2024-02", "2024-03"]
    assert [each.worse for each in found] == [False, False, True]
    assert [each.rows for each in found] == [1_000] * 3
    first = found[0]
    assert first.average_precision == average_precision(y[:1_000], score[:1_000])
    assert first.recall_interval.low is not None
    assert first.recall_interval.low <= (first.at.recall or 0)


def test_groups_are_compared_by_hand_made_counts() -> None:
    groups = ["a"] * 100 + ["b"] * 50 + ["c"] * 5 + [""] * 40
    alerted = np.zeros(195, bool)
    alerted[:20] = alerted[100:105] = alerted[150:155] = True
    guilty = np.zeros(195, bool)
    guilty[:10] = guilty[100:104] = guilty[120] = True
    found = measure_fairness("origin", groups, alerted, guilty)
    a, b, c, unknown = found.groups
    assert (a.alert_rate, b.alert_rate, c.counts, unknown.name, unknown.counts) == (0.2, 0.1, False, "", False)
    assert (a.false_alert_rate, b.false_alert_rate) == (10 / 90, 1 / 45)
    assert (a.recall, b.recall, a.precision) == (1.0, 0.8, 0.5)
    assert found.alert_ratio == pytest.approx(0.5)
    assert found.false_alert_ratio == pytest.approx(0.2)
    assert found.recall_gap == pytest.approx(0.2)
    assert found.keeps_four_fifths is False
    assert a.alert_rate_interval.low is not None
    assert a.alert_rate_interval.low < 0.2


def test_what_cannot_be_compared_is_not_judged() -> None:
    alone = measure_fairness("origin", ["a"] * 50, np.ones(50, bool))
    assert alone.keeps_four_fifths is None
    assert alone.groups[0].recall is None
    equal = measure_fairness("origin", ["a"] * 50 + ["b"] * 50, np.tile([True, False], 50))
    assert (equal.alert_ratio, equal.keeps_four_fifths) == (1.0, True)
    with pytest.raises(DetectorError):
        measure_fairness("origin", ["a"], np.ones(2, bool))


@given(st.integers(0, 5_000), st.integers(1, 60))
def test_the_curve_of_alerts_saved_passes_through_the_floors(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    y = (generator.random(rows) < 0.4).astype(np.int64)
    score = np.round(generator.normal(size=rows), 1)
    curve = alerts_saved_curve(y, score)
    if not y.any():
        assert curve == precision_recall_curve(y, score) == ()
        return
    assert curve[-1][0] == 1.0
    assert all(a[0] < b[0] and a[1] >= b[1] for a, b in pairwise(curve))
    for floor in alerts_saved(y, score):
        reached = next(saved for recall, saved in curve if recall >= floor.floor - 1e-9)
        assert reached == pytest.approx(floor.saved)


def test_curves_are_thinned_and_keep_their_ends() -> None:
    generator = np.random.default_rng(0)
    y = (generator.random(5_000) < 0.5).astype(np.int64)
    curve = alerts_saved_curve(y, generator.normal(size=5_000), points=50)
    assert len(curve) <= 50
    assert curve[-1][0] == 1.0


def test_waiting_ends_at_the_share_that_was_found() -> None:
    assert waiting_curve({}, []) == ()
    assert waiting_curve({"a": DAY_US}, [("a", 0)]) == ()
    assert waiting_curve({"a": 0, "b": 0}, [("a", DAY_US // 2), ("c", 5)]) == ((0.5, 0.5),)
