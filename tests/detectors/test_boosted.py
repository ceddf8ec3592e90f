"""Boosted trees: what is refused, what is noted, sampling, early stopping, thresholds and the reference data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors import trees
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision, roc_auc
from greywater.detectors.monotone import DIRECTIONS, monotone_signs
from greywater.detectors.trees import read_trees
from greywater.detectors.xgboosted import XGBoosted
from greywater.errors import DetectorError
from greywater.features.exposure import ExposurePlan
from greywater.stores.blocks import TableRows
from greywater.vocab import Int64Array, TrainingTable

QUICK = BoostedParameters(rounds=30, patience=20, rounds_without_validation=10, min_data_in_leaf=5)


def made(rows: int, seed: int, share: float = 0.05) -> tuple[TableRows, Int64Array]:
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int64)
    columns = {"a": rng.normal(size=rows) + 2 * y, "b": rng.normal(size=rows), "count": rng.poisson(2, rows) + y}
    return TableRows(pa.table(columns), batch_rows=500), y


class Telling:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None]] = []
        self.advanced = 0

    def step(self, name: str, total: int | None = None) -> None:
        self.steps.append((name, total))

    def advance(self, amount: int) -> None:
        self.advanced += amount

    def say(self, text: str) -> None:
        self.steps.append((text, None))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "no labels"),
        (np.zeros(100, np.int64), "no laundering payment"),
        (np.ones(100, np.int64), "no honest payment"),
        (np.ones(7, np.int64), "do not fit"),
        (np.full(100, 2), "0 or 1"),
    ],
)
def test_unusable_labels_are_refused_with_their_mend(y: Int64Array | None, match: str) -> None:
    with pytest.raises(DetectorError, match=match) as raised:
        Boosted(QUICK).fit(made(100, 1)[0], y)
    assert raised.value.mend


def test_an_empty_table_and_odd_weights_are_refused() -> None:
    X, y = made(100, 1)
    with pytest.raises(DetectorError, match="0 payments"):
        Boosted(QUICK).fit(X.slice(0, 0), y[:0])
    for weight in (np.ones(3), np.full(100, np.nan), np.full(100, -1.0)):
        with pytest.raises(DetectorError, match="weights"):
            Boosted(QUICK).fit(X, y, weight=weight)


@pytest.mark.parametrize("validation", ["none", "without laundering", "empty"])
def test_without_a_usable_validation_slice_the_card_says_what_was_done(validation: str) -> None:
    X, y = made(600, 1)
    later, truth = made(300, 2)
    slices: dict[str, Validation | None] = {
        "none": None,
        "without laundering": Validation(later, np.zeros(300, np.int64)),
        "empty": Validation(later.slice(0, 0), truth[:0]),
    }
    detector = Boosted(QUICK, threads=1).fit(X, y, validation=slices[validation])
    assert detector.card["trees"] == 10
    assert detector.card["measured_on"] == "training"
    assert "fixed number of trees" in detector.card["notes"][0]
    margin = detector.score(later)
    assert np.allclose(detector.probability(later), 1 / (1 + np.exp(-margin)))
    assert np.isfinite(detector.threshold.value)


@pytest.mark.parametrize("kind", [Boosted, XGBoosted])
def test_what_is_saved_does_not_tell_the_number_of_threads(kind: type[Boosted], tmp_path: Path) -> None:
    X, y = made(3_000, 1)
    saved = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        kind(QUICK, threads=threads).fit(X, y, validation=Validation(*made(1_000, 2))).save(folder)
        saved.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert saved[0] == saved[1]


def test_growing_stops_where_the_validation_slice_stops_gaining() -> None:
    X, y = made(1_500, 1)
    later, truth = made(800, 2)
    heard = Telling()
    parameters = BoostedParameters(rounds=400, patience=20, evaluate_every=5, learning_rate=0.5, lambda_l2=1.0)
    detector = Boosted(parameters, threads=1).fit(X, y, validation=Validation(later, truth), progress=heard)
    trees = detector.card["trees"]
    assert trees % 5 == 0
    assert heard.steps == [("grow trees", 400)]
    assert heard.advanced == trees + 20 < 400
    assert detector._fitted is not None
    assert detector._fitted.booster.num_trees() == trees
    assert detector.card["measures"]["average_precision"] == average_precision(truth, detector.score(later))


def test_a_sample_of_the_honest_payments_keeps_the_odds() -> None:
    X, y = made(20_000, 1, share=0.02)
    later, truth = made(10_000, 2, share=0.02)
    held = Validation(later, truth)
    few = BoostedParameters(rounds=40, max_negatives=3_000, max_validation_negatives=2_000)
    sampled = Boosted(few, threads=1).fit(X, y, validation=held)
    whole = Boosted(BoostedParameters(rounds=40, max_negatives=0), threads=1).fit(X, y, validation=held)
    for detector in (sampled, whole):
        bare = 1 / (1 + np.exp(-detector.score(later)))
        assert bare.mean() == pytest.approx(0.02, rel=0.35)
        assert detector.probability(later).mean() == pytest.approx(truth.mean(), rel=0.05)
    assert roc_auc(truth, sampled.score(later)) == pytest.approx(roc_auc(truth, whole.score(later)), abs=0.03)


def test_positive_weight_and_row_weights_reach_the_trees() -> None:
    X, y = made(2_000, 1)
    plain = Boosted(QUICK, threads=1).fit(X, y).score(X)
    weighted = Boosted(
        BoostedParameters(rounds_without_validation=10, min_data_in_leaf=5, positive_weight=5), threads=1
    )
    assert weighted.fit(X, y).score(X).mean() > plain.mean() + 0.2
    by_row = Boosted(QUICK, threads=1).fit(X, y, weight=np.where(y == 1, 5.0, 1.0)).score(X)
    assert by_row.mean() > plain.mean() + 0.2


def test_the_threshold_follows_the_stated_costs() -> None:
    X, y = made(3_000, 1)
    later, truth = made(1_500, 2)
    held = Validation(later, truth)
    chosen = []
    for missed in (1.0, 1_000.0):
        detector = Boosted(QUICK, threads=1, threshold_by="cost", cost_missed=missed, cost_wasted=1.0)
        detector.fit(X, y, validation=held)
        chosen.append(detector.threshold.value)
        assert detector.threshold.by == "cost"
        assert detector.card["measures"]["expected_cost"] >= 0
    assert chosen[1] < chosen[0]
    with pytest.raises(DetectorError, match="two costs"):
        Boosted(threshold_by="cost", cost_missed=3)


def test_rows_that_are_held_and_rows_that_are_read_twice_grow_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = made(3_000, 1)
    chosen = BoostedParameters(rounds_without_validation=5, bin_rows=500, max_negatives=1_000)
    grown = []
    for values in (trees.HELD_VALUES, 0):
        monkeypatch.setattr(trees, "HELD_VALUES", values)
        booster, _ = trees.grow_trees(X, y, None, None, chosen, seed=3, threads=1, progress=None, told=lambda *_: True)
        grown.append(booster.model_to_string())
    assert grown[0] == grown[1]


def test_a_tree_may_choose_from_enough_columns_however_few_there_are() -> None:
    for columns, share in ((3, 1.0), (28, 1.0), (56, 0.5), (280, 0.1), (2_000, 0.1)):
        assert trees.column_share(BoostedParameters(feature_fraction=0.1), columns) == share


def test_notes_are_added_and_saved(tmp_path: Path) -> None:
    X, y = made(400, 1)
    time = np.arange(400) * 1_000_000
    detector = Boosted(QUICK, threads=1).fit(X, y, time)
    assert detector.card["time"] == [0, 399_000_000]
    assert {row["feature"] for row in detector.card["most_used"]} <= set(X.names)
    detector.annotate({"data_version": 3, "test": {"average_precision": np.float64(0.5), "undefined": float("nan")}})
    detector.save(tmp_path)
    card = Boosted.load(tmp_path).card
    assert card["data_version"] == 3
    assert card["test"] == {"average_precision": 0.5, "undefined": None}


def test_column_names_of_any_kind_are_kept(tmp_path: Path) -> None:
    X, y = made(400, 1)
    odd = TableRows(pa.Table.from_batches(list(X.batches())).rename_columns(["a b", 'c"{', "d,e"]))
    detector = Boosted(QUICK, threads=1).fit(odd, y)
    detector.save(tmp_path)
    assert Boosted.load(tmp_path).names == ("a b", 'c"{', "d,e")
    assert b"sender" not in (tmp_path / "model.txt").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("platt"),
        lambda d: d["platt"].update(slope=-1.0),
        lambda d: d["platt"].update(slope="x"),
        lambda d: d["threshold"].update(by="magic"),
        lambda d: d["threshold"].pop("value"),
        lambda d: d["names"].append("more"),
        lambda d: d["parameters"].update(rounds=0),
        lambda d: d["parameters"].update(unknown=1),
        lambda d: d.update(version=99),
        lambda d: d["files"].update({"model.txt": "0" * 64}),
    ],
)
def test_a_description_that_was_tampered_with_is_refused(tmp_path: Path, change: Any) -> None:
    X, y = made(300, 1)
    Boosted(QUICK, threads=1).fit(X, y).save(tmp_path)
    path = tmp_path / "detector.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DetectorError):
        Boosted.load(tmp_path)


def test_text_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="cannot read"):
        read_trees("tree\nnothing")


@pytest.mark.parametrize("name", ["rounds", "learning_rate", "num_leaves", "feature_fraction", "max_bin", "lambda_l2"])
def test_unusable_parameters_are_refused(name: str) -> None:
    with pytest.raises(DetectorError, match=name):
        BoostedParameters(**{name: -1})  # type: ignore[arg-type]


def test_the_measures_need_neither_lightgbm_nor_sklearn() -> None:
    script = (
        "import sys, greywater.detectors.metrics, greywater.detectors.boosted, greywater.detectors.isolation, "
        "greywater.detectors.baseline; "
        "print([m for m in ('lightgbm', 'sklearn', 'numba', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_loading_lightgbm_leaves_the_environment_as_it_was() -> None:
    script = (
        "import os; from greywater.detectors.trees import load_lightgbm; load_lightgbm(); "
        "print(os.environ.get('OMP_WAIT_POLICY'))"
    )
    for policy, told in ((None, "None"), ("ACTIVE", "ACTIVE")):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
        out = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        assert out.stdout.strip() == told


def features_of(transactions: pa.Table) -> TrainingTable:
    """A few columns known at the moment of payment: amount, and what sender and receiver did so far."""
    sender = transactions["orig_acct"].to_numpy()
    receiver = transactions["bene_acct"].to_numpy()
    amount = transactions["base_amt"].to_numpy()

    def before(accounts: Int64Array) -> tuple[Int64Array, np.ndarray[Any, Any]]:
        order = np.argsort(accounts, kind="stable")
        first = np.r_[True, np.diff(accounts[order]) != 0]
        starts = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        total = np.cumsum(amount[order])
        count, paid = np.empty(len(order), np.int64), np.empty(len(order))
        count[order] = np.arange(len(order)) - starts
        paid[order] = total - total[starts]
        return count, paid

    sent, sent_sum = before(sender)
    got, got_sum = before(receiver)
    columns = {"amount": amount, "sent": sent, "sent_sum": sent_sum, "got": got, "got_sum": got_sum}
    return TableRows(pa.table(columns))


def test_it_beats_chance_on_reference_payments(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    path = shared_data / "amlsim_medium" / "transactions.parquet"
    transactions = pq.read_table(path).slice(0, 300_000).sort_by("tran_timestamp")
    y = transactions["is_sar"].to_numpy().astype(np.int64)
    X = features_of(transactions)
    assert isinstance(X, TableRows)
    held = Validation(X.slice(180_000, 240_000), y[180_000:240_000])
    parameters = BoostedParameters(rounds=60, max_negatives=50_000)
    detector = Boosted(parameters, threads=1).fit(X.slice(0, 180_000), y[:180_000], validation=held)
    test, truth = X.slice(240_000), y[240_000:]
    area = roc_auc(truth, detector.score(test))
    assert area is not None
    assert area > 0.8
    precision = average_precision(truth, detector.score(test))
    assert precision is not None
    assert precision > 5 * truth.mean()


NEW_PAYEES = "sender.out.new_counterparties.7d"


@pytest.mark.parametrize("kind", [Boosted, XGBoosted])
def test_declared_columns_push_one_way_only_where_asked(kind: type[Boosted]) -> None:
    draw = np.random.default_rng(4)
    rows = 3_000
    few = draw.poisson(3, rows).astype(np.float64)
    other = draw.normal(size=rows)
    # In this sample fewer new payees look worse: what the field knows forbids to learn it.
    y = (draw.random(rows) < 0.05 + 0.3 * (few < 2) + 0.1 * (other > 1)).astype(np.int64)
    X = TableRows(pa.table({NEW_PAYEES: few, "other": other}))
    ladder = np.arange(12.0)
    steps = TableRows(pa.table({NEW_PAYEES: ladder, "other": np.zeros(12)}))
    free = kind(QUICK, threads=1).fit(X, y).score(steps)
    bound = kind(replace(QUICK, monotone=True), threads=1).fit(X, y).score(steps)
    assert (np.diff(free) < 0).any()
    assert (np.diff(bound) >= 0).all()


def test_declared_directions_are_in_the_documents_and_only_theirs_are_bound() -> None:
    names = (NEW_PAYEES, "payment.amount", "temporal_cycle.length_3.7d", "temporal_cycle.duration.7d",
             "scatter_gather.truncated.6h")  # fmt: skip
    assert monotone_signs(names).tolist() == [1, 0, 1, 0, 0]


def test_exposure_pushes_up_and_its_distance_and_age_push_down() -> None:
    exposed = [feature.name for feature in ExposurePlan((86_400,), hops=3).features]
    signs = dict(zip(exposed, monotone_signs(exposed).tolist(), strict=True))
    assert {name for name, sign in signs.items() if sign == 0} == {"exposure.truncated.1d"}
    assert {name.split("exposed_")[1] for name, sign in signs.items() if sign < 0} == {"distance.1d", "since_last"}
    page = (Path(__file__).parents[2] / "docs" / "boosted.md").read_text("utf-8")
    for direction in DIRECTIONS:
        assert direction.why in page


def test_where_only_some_laundering_is_labelled_probabilities_are_of_all_of_it() -> None:
    """Labels are given to 40 % of the laundering, at random: the assumption of Elkan and Noto."""
    draw = np.random.default_rng(5)

    def drawn(rows: int) -> tuple[TableRows, Int64Array, Int64Array]:
        truth = (draw.random(rows) < 0.2).astype(np.int64)
        X = TableRows(pa.table({"a": draw.normal(size=rows) + 4 * truth, "b": draw.normal(size=rows)}))
        return X, truth, truth * (draw.random(rows) < 0.4)

    (X, _, labelled), (later, _, told), (test, truth, _) = drawn(6_000), drawn(6_000), drawn(6_000)
    held = Validation(later, told)
    plain = Boosted(QUICK, threads=1).fit(X, labelled, validation=held)
    unknown = Boosted(replace(QUICK, positives_unlabelled=True), threads=1).fit(X, labelled, validation=held)
    assert unknown.card["labelled_share"] == pytest.approx(0.4, abs=0.06)
    assert plain.probability(test).mean() == pytest.approx(0.4 * truth.mean(), rel=0.15)
    assert unknown.probability(test).mean() == pytest.approx(truth.mean(), rel=0.15)
    assert unknown.probability(test).max() <= 1
    assert np.array_equal(unknown.score(test), plain.score(test))
    assert "unknown" in unknown.card["notes"][0]


def test_the_share_of_labelled_laundering_is_saved(tmp_path: Path) -> None:
    X, y = made(800, 1)
    later, truth = made(500, 2)
    fitted = Boosted(replace(QUICK, positives_unlabelled=True)).fit(X, y, validation=Validation(later, truth))
    fitted.save(tmp_path)
    assert np.array_equal(Boosted.load(tmp_path).probability(later), fitted.probability(later))
