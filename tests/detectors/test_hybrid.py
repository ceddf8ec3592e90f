"""The hybrid: what its second level learns and when, fusion without labels, fading, contributions, one row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid, HybridParameters, part_contributions
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.metrics import average_precision
from greywater.detectors.part_scores import PartScores
from greywater.detectors.rule_part import RulePart
from greywater.detectors.rules.rule import Rule
from greywater.detectors.rules.rule_set import RuleSet
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array, TrainingTable

QUICK = BoostedParameters(rounds=30, patience=20, rounds_without_validation=10, min_data_in_leaf=5)
SMALL = IsolationParameters(trees=30, sample_rows=1_000)


class Column:
    """A part that reads one column as its score, remembers what it was fitted on, and may demand alerts."""

    kind = "column"
    needs_labels = False

    def __init__(self, column: str, *, demanded_from: float = np.inf) -> None:
        self.column = column
        self.demanded_from = demanded_from
        self.fitted_on: tuple[int, int] | None = None

    @property
    def card(self) -> dict[str, Any]:
        return {"kind": self.kind, "column": self.column}

    def fit(self, X: TrainingTable, y: Any = None, time: Any = None, weight: Any = None, **more: Any) -> Any:
        held = more.get("validation")
        self.fitted_on = (X.rows, 0 if held is None else held.X.rows)
        return self

    def score(self, X: TrainingTable) -> Float64Array:
        parts = [np.asarray(batch.column(X.names.index(self.column)), np.float64) for batch in X.batches()]
        return np.concatenate([np.zeros(0), *parts])

    def probability(self, X: TrainingTable) -> Float64Array:
        return self.score(X)

    def explain(self, X: TrainingTable) -> Float64Array:
        return np.column_stack([self.score(X), np.zeros(X.rows)])

    def mandatory(self, X: TrainingTable) -> Any:
        return self.score(X) >= self.demanded_from


class Taught(Column):
    """A part that cannot do without labels."""

    needs_labels = True


class Rules(Column):
    """A part with two scores."""

    def part_scores(self, X: TrainingTable) -> PartScores:
        severity = self.score(X)
        return PartScores(("severity", "hits"), np.column_stack([severity, severity > 1]))

    def base_scores(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    def row_scores(self, row: Float64Array, schema: pa.Schema) -> tuple[float, ...]:
        severity = float(row[schema.get_field_index(self.column)])
        return (severity, float(severity > 1))


def made(rows: int, seed: int, share: float = 0.05) -> tuple[TableRows, Int64Array]:
    """Laundering shows in `good` and, apart from that, in `other`; `noise` knows nothing."""
    draw = np.random.default_rng(seed)
    y = (draw.random(rows) < share).astype(np.int64)
    columns = {
        "good": draw.normal(size=rows) + 2 * y,
        "other": draw.normal(size=rows) + 2 * y,
        "noise": draw.lognormal(size=rows),
    }
    return TableRows(pa.table(columns), batch_rows=700), y


def columns_hybrid(*names: str, **more: Any) -> Hybrid:
    return Hybrid({name: Column(name) for name in names}, HybridParameters(**more))  # type: ignore[dict-item]


def test_two_parts_that_each_know_something_rank_better_together() -> None:
    (X, y), (later, told), (test, truth) = made(500, 1), made(6_000, 2), made(6_000, 3)
    hybrid = columns_hybrid("good", "other", "noise").fit(X, y, validation=Validation(later, told))
    assert hybrid.card["how"] == "fitted"
    weight = {each["name"]: each["weight"] for each in hybrid.card["scores"]}
    assert min(weight["good"], weight["other"]) > 5 * weight["noise"]
    together = average_precision(truth, hybrid.score(test)) or 0
    for part in hybrid.parts.values():
        assert together > (average_precision(truth, part.score(test)) or 0) + 0.1
    assert hybrid.card["measures"]["average_precision"] > 0.5
    assert hybrid.card["scores"][0]["average_precision"] == pytest.approx(
        average_precision(told[3_000:], Column("good").score(later.slice(3_000)))
    )


def test_a_part_that_is_better_alone_is_used_alone() -> None:
    """Noise that happens to look good on the first half of the slice must not spoil the second."""
    (X, y), (later, told), (test, _) = made(500, 1), made(4_000, 2), made(1_000, 3)
    draw = np.random.default_rng(5)
    table = later._table.set_column(2, "noise", pa.array(draw.normal(size=4_000)))
    turns = np.where(np.arange(4_000) < 3_000, 6.0, -6.0) * told  # right on [2,000, 3,000), wrong afterwards
    table = table.set_column(1, "other", pa.array(draw.normal(size=4_000) + turns))
    held = Validation(TableRows(table), told)
    hybrid = columns_hybrid("good", "other").fit(X, y, validation=held)
    assert hybrid.card["how"] == "one part"
    weights = [each["weight"] for each in hybrid.card["scores"]]
    assert sorted(weights) == [0.0, 1.0]
    alone = hybrid.parts["good" if weights[0] else "other"]
    assert np.array_equal(np.argsort(hybrid.score(test)), np.argsort(alone.score(test)))


def test_the_second_level_learns_from_rows_that_no_part_was_shown() -> None:
    (X, y), (later, told) = made(500, 1), made(1_000, 2)
    hybrid = columns_hybrid("good", "other", stop_share=0.25).fit(X, y, validation=Validation(later, told))
    assert {part.fitted_on for part in hybrid._parts.values()} == {(500, 250)}  # type: ignore[attr-defined]
    assert hybrid.card["measures"]["rows"] == 750
    assert hybrid.later_scores is not None
    assert np.array_equal(hybrid.later_scores, hybrid.score(later)[250:])
    whole = columns_hybrid("good", "other", stop_share=1.0).fit(X, y, validation=Validation(later, told))
    assert whole.card["measures"]["rows"] == 1_000


@pytest.mark.parametrize("labels", ["none", "only honest"])
def test_without_laundering_the_parts_are_fused_by_rank(labels: str) -> None:
    X, _ = made(3_000, 1)
    test, truth = made(3_000, 3)
    hybrid = columns_hybrid("good", "other").fit(X, None if labels == "none" else np.zeros(3_000, np.int64))
    assert hybrid.card["how"] == "fused"
    fused = average_precision(truth, hybrid.score(test)) or 0
    assert fused > max(average_precision(truth, part.score(test)) or 0 for part in hybrid.parts.values())
    assert np.isfinite(hybrid.threshold.value)
    assert hybrid.probability(test).max() <= 1
    assert "fused by reciprocal rank" in hybrid.card["notes"][-1]


def test_a_part_that_needs_labels_is_left_out_without_them() -> None:
    X, _ = made(600, 1)
    parts = {"boosted": Boosted(QUICK, threads=1), "isolation": Isolation(SMALL, threads=1)}
    hybrid = Hybrid(parts).fit(X)
    assert tuple(hybrid.parts) == ("isolation",)
    assert "boosted was left out" in hybrid.card["notes"][0]
    alone = Isolation(SMALL, threads=1).fit(X)
    assert np.array_equal(np.argsort(hybrid.score(X), kind="stable"), np.argsort(alone.score(X), kind="stable"))
    with pytest.raises(DetectorError, match="no part"):
        Hybrid({"boosted": Boosted(QUICK)}).fit(X)


def test_an_anomaly_score_fades_as_labels_come() -> None:
    X, _ = made(600, 1)
    later, told = made(4_000, 2)
    weights = []
    for positives in (0, 6, 12, 40):
        y = np.zeros(600, np.int64)
        y[0] = 1
        few = np.zeros(4_000, np.int64)
        few[np.flatnonzero(told)[:positives]] = 1
        # The anomaly score is the one that knows: only its cap holds it back.
        parts: dict[str, Any] = {"isolation": Column("good"), "boosted": Taught("noise")}
        hybrid = Hybrid(parts, HybridParameters(stop_share=1.0)).fit(X, y, validation=Validation(later, few))
        weights.append(hybrid.card["scores"][0]["weight"])
    assert weights[0] == pytest.approx(0.5 * 19 / 20)
    assert weights[0] >= weights[1] > weights[2] > weights[3] == 0


@pytest.mark.parametrize("boosted", ["left out", "nothing learned"])
def test_an_anomaly_score_stays_where_nothing_learned_from_the_labels(boosted: str) -> None:
    X, _ = made(600, 1)
    X = TableRows(X.take(np.arange(600)).append_column("flat", pa.array(np.zeros(600))))
    later, told = made(4_000, 2)
    later = TableRows(later.take(np.arange(4_000)).append_column("flat", pa.array(np.zeros(4_000))))
    y = np.zeros(600, np.int64)
    y[0] = boosted != "left out"
    parts: dict[str, Any] = {"boosted": Taught("flat"), "isolation": Column("good"), "rules": Column("noise")}
    hybrid = Hybrid(parts).fit(X, y, validation=Validation(later, told))
    assert tuple(hybrid.parts) == tuple(parts)[boosted == "left out" :]
    assert average_precision(told, hybrid.score(later)) >= average_precision(told, parts["isolation"].score(later))


@pytest.mark.parametrize("y", [np.full(600, np.nan), np.full(600, 2), np.zeros(599)])
def test_labels_that_are_none_are_refused(y: Any) -> None:
    X, _ = made(600, 1)
    with pytest.raises(DetectorError, match="label"):
        columns_hybrid("good").fit(X, y)


def test_several_scores_of_one_part_and_what_it_demands() -> None:
    (X, y), (later, told), (test, _) = made(500, 1), made(2_000, 2), made(1_000, 3)
    parts: dict[str, Any] = {"rules": Rules("good", demanded_from=3.0), "other": Column("other")}
    hybrid = Hybrid(parts).fit(X, y, validation=Validation(later, told))
    assert hybrid.part_scores(test).names == ("rules.severity", "rules.hits", "other")
    assert hybrid.mandatory(test).tolist() == (Column("good").score(test) >= 3).tolist()
    assert hybrid.mandatory(test).any()
    said = part_contributions(hybrid, test)
    assert said.names == ("rules.severity", "rules.hits", "other", "base")
    assert np.allclose(said.values.sum(axis=1), hybrid.score(test))


def test_real_rules_beside_trees(tmp_path: Path) -> None:
    """Rules of the language: two scores, mandatory alerts, contributions by column, one row, saved and loaded."""
    expression = "good >= 2.5 and whole >= 2"
    rule = Rule("many", 1, "Many", "Many.", "the test", (), "sender", "1d", 3, expression, mandatory=True)
    part = RulePart(RuleSet((rule,)))
    (X, y), (later, told), (test, _) = (with_whole(rows, seed) for rows, seed in ((2_000, 1), (2_000, 2), (500, 3)))
    parts: dict[str, Any] = {"boosted": Boosted(QUICK, threads=1), "rules": part}
    hybrid = Hybrid(parts).fit(X, y, validation=Validation(later, told))
    assert hybrid.part_scores(test).names == ("boosted", "rules.severity", "rules.hits")
    hit = hybrid.part_scores(test).of("rules.hits") > 0
    assert hit.any()
    assert hybrid.mandatory(test).tolist() == hit.tolist()
    found = hybrid.explain(test)
    assert np.allclose(found.sum(axis=1), hybrid.score(test), atol=1e-9)
    assert np.ptp(found[:, -1]) == 0
    rows = np.column_stack([np.asarray(test._table.column(name), np.float64) for name in test.names])
    assert [hybrid.score_row(row) for row in rows[:100]] == hybrid.score(test)[:100].tolist()
    hybrid.save(tmp_path)
    loaded = Hybrid.load(tmp_path)
    assert np.array_equal(loaded.score(test), hybrid.score(test))
    assert np.array_equal(loaded.mandatory(test), hybrid.mandatory(test))
    assert loaded.score_row(rows[0]) == hybrid.score_row(rows[0])


def test_a_part_without_weight_is_not_asked_and_changes_no_bit() -> None:
    (X, y), (later, told), (test, _) = made(500, 1), made(6_000, 2), made(500, 3)
    parts: dict[str, Any] = {"good": Taught("good"), "isolation": Column("isolation")}
    hybrid = Hybrid(parts).fit(renamed(X), y, validation=Validation(renamed(later), told))
    assert [each["weight"] > 0 for each in hybrid.card["scores"]] == [True, False]
    whole = hybrid._known().combination.score(hybrid.part_scores(renamed(test)))
    hybrid._parts["isolation"].score = None  # type: ignore[method-assign, assignment]
    assert hybrid.score(renamed(test)).tobytes() == whole.tobytes()


def renamed(table: TableRows) -> TableRows:
    return TableRows(table._table.rename_columns(["good", "isolation", "noise"]))


def with_whole(rows: int, seed: int) -> tuple[TableRows, Int64Array]:
    """As `made`, with a column of whole numbers."""
    table, y = made(rows, seed)
    whole = np.random.default_rng(seed).integers(0, 4, rows)
    return TableRows(table._table.append_column("whole", pa.array(whole)), batch_rows=700), y


@pytest.fixture(scope="module")
def real() -> Hybrid:
    (X, y), (later, told) = made(3_000, 1), made(2_000, 2)
    parts = {"boosted": Boosted(QUICK, threads=1), "isolation": Isolation(SMALL, threads=1)}
    # Both are given weight, so that every path is walked.
    fitted = Hybrid(parts, HybridParameters(fade_labels=1_000)).fit(X, y, validation=Validation(later, told))
    assert all(each["weight"] > 0 for each in fitted.card["scores"])
    return fitted


def test_one_row_has_the_bits_of_many(real: Hybrid) -> None:
    test, _ = made(300, 3)
    rows = np.column_stack([np.asarray(test._table.column(name)) for name in test.names])
    rows[5], rows[6], rows[7] = np.nan, np.inf, -1e300
    table = TableRows(pa.table({name: rows[:, place] for place, name in enumerate(test.names)}))
    assert [real.score_row(row) for row in rows] == real.score(table).tolist()


def test_contributions_follow_the_parts(real: Hybrid) -> None:
    test, _ = made(300, 3)
    found = real.explain(test)
    score = real.score(test)
    assert np.allclose(found.sum(axis=1), score, atol=1e-9)
    assert np.ptp(found[:, -1]) == 0
    most = int(np.argmax(score))
    assert found[most, :2].sum() > found[most, 2]
    said = part_contributions(real, test)
    assert said.of("boosted")[most] > 0


def test_one_row_through_a_part_without_a_path_of_its_own() -> None:
    (X, y), (later, told) = made(500, 1), made(2_000, 2)
    parts: dict[str, Any] = {"rules": Rules("good"), "other": Column("other")}
    hybrid = Hybrid(parts).fit(X, y, validation=Validation(later, told))
    rows = np.column_stack([np.asarray(X._table.column(name)) for name in X.names])
    assert [hybrid.score_row(row) for row in rows[:20]] == hybrid.score(X.slice(0, 20)).tolist()


@pytest.mark.parametrize("damage", ["part", "weights", "scale", "name", "missing"])
def test_a_damaged_hybrid_is_refused(real: Hybrid, damage: str, tmp_path: Path) -> None:
    real.save(tmp_path)
    path = tmp_path / "detector.json"
    held = json.loads(path.read_text())
    if damage == "part":
        other = tmp_path / "boosted" / "detector.json"
        other.write_text(other.read_text().replace('"seed": 7', '"seed": 8', 1))
    elif damage == "missing":
        (tmp_path / "isolation" / "detector.json").unlink()
    else:
        if damage == "weights":
            held["combination"]["weights"][0] = -1.0
        elif damage == "scale":
            held["combination"]["scales"][0]["levels"][0] = 1e9
        else:
            held["parts"][0]["name"] = "../outside"
        path.write_text(json.dumps(held))
    with pytest.raises(DetectorError) as raised:
        Hybrid.load(tmp_path)
    assert raised.value.mend


def test_parameters_and_parts_that_cannot_be_used_are_refused() -> None:
    for bad in ({"stop_share": 0.0}, {"alert_share": 1.0}, {"strength": -1.0}, {"fade_labels": 0}):
        with pytest.raises(DetectorError, match="cannot be used"):
            HybridParameters(**bad)  # type: ignore[arg-type]
    with pytest.raises(DetectorError, match="plain names"):
        Hybrid({})
    with pytest.raises(DetectorError, match="plain names"):
        Hybrid({"../x": Boosted(QUICK)})
