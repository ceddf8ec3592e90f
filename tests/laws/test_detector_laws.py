"""The laws every detector keeps, whatever it is made of."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.association import Association
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Detector, Validation
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.loading import load_detector
from greywater.detectors.metrics import roc_auc
from greywater.detectors.onnx_detector import OnnxDetector
from greywater.detectors.onnx_export import export_onnx
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.rules.rule import Rule
from greywater.detectors.rules.rule_detector import RuleDetector
from greywater.detectors.rules.rule_set import RuleSet
from greywater.detectors.xgboosted import XGBoosted
from greywater.errors import DetectorError
from greywater.stores.blocks import BlockWriter, FeatureBlocks, TableRows
from greywater.vocab import FeatureBlock, Float64Array, Int64Array

#: Of the networks one, for the time they take; tests/detectors/test_adversarial_peers.py has them all.
OUTLIERS = tuple(kind for kind in OUTLIER_KINDS if kind not in ("deepsvdd", "alad", "so_gaal", "anogan"))
KINDS = ("boosted", "xgboosted", "isolation", "hybrid", "rules", "trust", "adversarial", "onnx", *OUTLIERS)
#: Contributions by score calls take thousands of them a row.
FEW = {"kde": 25, "ocsvm": 25}
#: One planted payment in 25 launders, and all of them alike: more than the defaults expect of the unusual.
PLANTED: dict[str, dict[str, Any]] = {
    "kmeans": {"least_share": 0.1},
    "knn": {"neighbour": 80},
    "kde": {"bandwidth": 2.0},
    "ocsvm": {"outside": 0.2},
    "autoencoder": {"epochs": 4, "batch_rows": 64, "code": 2, "layer": 8},
}
NAMES = ("sender.suspicion", "sender.out.count.1d", "receiver.suspicion", "payment.channel", "constant", "undefined")


def new(kind: str, *, seed: int = 7, threads: int = 1) -> Any:
    if kind == "hybrid":
        return Hybrid({name: new(name, seed=seed, threads=threads) for name in ("boosted", "isolation")})
    if kind in ("boosted", "xgboosted"):
        return (Boosted if kind == "boosted" else XGBoosted)(
            BoostedParameters(rounds=30, patience=20, min_data_in_leaf=5, max_negatives=1_500),
            seed=seed,
            threads=threads,
        )
    if kind == "trust":
        return Association()
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="pip install 'greywater[onnx]'")
        return OnnxDetector(brought(), source="brought.onnx", seed=seed)
    if kind == "adversarial":
        pytest.importorskip("torch", reason="pip install 'greywater[deep]'")
        quick = AdversarialParameters(hidden=16, code=4, epochs=3, epoch_rows=3_200, batch=64, rate=1e-2, labels="good")
        return Adversarial(quick, seed=seed, threads=threads, device="cpu")
    if kind in OUTLIER_KINDS:
        if kind == "autoencoder":
            pytest.importorskip("pyod.models.auto_encoder", reason="pip install 'greywater[outliers,deep]'")
        made = OUTLIER_KINDS[kind]
        return made(made.parameters_type(sample_rows=1_000, **PLANTED.get(kind, {})), seed=seed, threads=threads)
    if kind == "rules":
        return RuleDetector(RuleSet((rule("sum", f"{NAMES[0]} > 2000", 3), rule("many", f"{NAMES[1]} >= 8", 2))))
    return Isolation(IsolationParameters(trees=40, sample_rows=1_000), seed=seed, threads=threads)


@cache
def brought() -> bytes:
    """An ONNX file: boosted trees over the planted columns."""
    return export_onnx(fitted("boosted")).content


def rule(name: str, expression: str, severity: int) -> Rule:
    return Rule(name, 1, name, name, "the test", (), "sender", "1d", severity, expression)


def planted(rows: int, seed: int, share: float = 0.04) -> tuple[pa.Table, Int64Array]:
    """Rows in which laundering shows as large sums, many payments and odd means; NaN, a constant and a NaN column."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int64)
    mean = rng.normal(size=rows) + 6 * y
    mean[rng.random(rows) < 0.2] = np.nan
    columns = {
        NAMES[0]: rng.lognormal(5, 1, rows) * (1 + 30 * y),
        NAMES[1]: rng.poisson(2, rows) + 12 * y,
        NAMES[2]: mean,
        NAMES[3]: rng.integers(0, 5, rows),
        NAMES[4]: np.ones(rows),
        NAMES[5]: np.full(rows, np.nan),
    }
    return pa.table(columns), y


def fitted(kind: str, *, seed: int = 7, threads: int = 1, table: pa.Table | None = None) -> Any:
    X, y = planted(2_000, 1)
    later, truth = planted(1_000, 2)
    return new(kind, seed=seed, threads=threads).fit(
        TableRows(table if table is not None else X, batch_rows=700), y, validation=Validation(TableRows(later), truth)
    )


def few(detector: Detector, rows: TableRows) -> TableRows:
    return rows.slice(0, FEW.get(detector.kind, rows.rows))


@pytest.fixture(scope="module", params=KINDS)
def detector(request: pytest.FixtureRequest) -> Detector:
    made: Detector = fitted(request.param)
    return made


@pytest.fixture(scope="module")
def later() -> tuple[TableRows, Int64Array]:
    table, y = planted(1_500, 3)
    return TableRows(table, batch_rows=400), y


def test_launderers_score_above_honest_payments(detector: Detector, later: tuple[TableRows, Int64Array]) -> None:
    area = roc_auc(later[1], detector.score(later[0]))
    assert area is not None
    assert area > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_scores_on_any_number_of_threads(
    kind: str, later: tuple[TableRows, Int64Array]
) -> None:
    once = fitted(kind).score(later[0])
    again = fitted(kind, threads=2).score(later[0])
    assert once.tobytes() == again.tobytes()
    # XGBoost parts the planted rows perfectly, and the same way, whatever it is shown of the honest ones; rules draw
    # nothing, and what was brought is fitted already.
    assert kind in ("xgboosted", "rules", "trust", "onnx") or not np.array_equal(
        once, fitted(kind, seed=8).score(later[0])
    )


def test_probability_keeps_the_order_of_the_score(detector: Detector, later: tuple[TableRows, Int64Array]) -> None:
    score, probability = detector.score(later[0]), detector.probability(later[0])
    assert probability.min() >= 0
    assert probability.max() <= 1
    order = np.argsort(score, kind="stable")
    rises, steps = np.diff(probability[order]), np.diff(score[order])
    assert (rises >= 0).all()
    # Strictly, where the scores differ by more than rounding and the probability has not run into 1.
    assert (rises[(steps > 1e-9) & (probability[order][1:] < 1 - 1e-9)] > 0).all()


def test_what_is_loaded_is_what_was_saved(
    detector: Detector, later: tuple[TableRows, Int64Array], tmp_path: Path
) -> None:
    detector.save(tmp_path / "saved")
    loaded = type(detector).load(tmp_path / "saved")
    for method, rows in (("score", later[0]), ("probability", later[0]), ("explain", few(detector, later[0]))):
        before, after = getattr(detector, method)(rows), getattr(loaded, method)(rows)
        assert before.tobytes() == after.tobytes()
    assert loaded.card == detector.card
    loaded.save(tmp_path / "again")
    for path in (tmp_path / "saved").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "saved")).read_bytes()
    assert isinstance(load_detector(tmp_path / "saved"), type(detector))


def test_explanations_sum_to_the_score(detector: Detector, later: tuple[TableRows, Int64Array]) -> None:
    rows = few(detector, later[0])
    parts = detector.explain(rows)
    assert parts.shape == (rows.rows, len(NAMES) + 1)
    assert parts.dtype == np.float64
    assert np.allclose(parts.sum(axis=1), detector.score(rows), rtol=0, atol=1e-9)
    assert np.ptp(parts[:, -1]) == 0  # one base value for all
    assert not parts[:, NAMES.index("constant")].any()
    # What is planted carries the rows that score highest.
    top = np.argsort(-detector.score(rows))[:20]
    assert np.abs(parts[top][:, :3]).sum() > np.abs(parts[top][:, 3:-1]).sum()


def test_a_score_does_not_depend_on_the_other_rows(detector: Detector, later: tuple[TableRows, Int64Array]) -> None:
    together = detector.score(later[0])
    assert together[700:].tobytes() == detector.score(later[0].slice(700)).tobytes()
    probable = detector.probability(later[0])
    for row in (0, 399, 400, 1_499):
        alone = later[0].slice(row, row + 1)
        assert detector.score(alone)[0] == together[row]
        assert detector.probability(alone)[0] == probable[row]
    few_rows = few(detector, later[0])
    explained = detector.explain(few_rows)
    for row in (0, few_rows.rows // 2, few_rows.rows - 1):
        assert detector.explain(few_rows.slice(row, row + 1)).tobytes() == explained[row : row + 1].tobytes()


def test_no_rows_give_no_scores(detector: Detector, later: tuple[TableRows, Int64Array]) -> None:
    none = later[0].slice(0, 0)
    assert detector.score(none).shape == (0,)
    assert detector.probability(none).shape == (0,)
    assert detector.explain(none).shape == (0, len(NAMES) + 1)


def test_undefined_rows_and_infinities_get_finite_scores(detector: Detector) -> None:
    values = [np.nan, np.inf, -np.inf, 0.0, 1e308]
    odd = TableRows(pa.table({name: np.array(values) for name in NAMES}))
    assert np.isfinite(detector.score(odd)).all()
    assert np.isfinite(detector.explain(odd)).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.select(list(reversed(t.schema.names))), "another order"),
        (lambda t: t.drop_columns([NAMES[0]]), "1 missing"),
        (lambda t: t.append_column("new", pa.array(np.zeros(t.num_rows))), "1 unknown"),
        (lambda t: t.rename_columns(["other", *NAMES[1:]]), "missing .* and 1 unknown"),
    ],
)
def test_other_columns_are_refused(detector: Detector, change: Any, match: str) -> None:
    table = TableRows(change(planted(5, 4)[0]))
    for method in (detector.score, detector.probability, detector.explain):
        with pytest.raises(DetectorError, match=match):
            method(table)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_that_say_nothing_give_one_score(kind: str) -> None:
    rows = 300
    y = (np.arange(rows) % 7 == 0).astype(np.int64)
    dull = TableRows(pa.table({name: np.full(rows, np.nan if name == "undefined" else 1.0) for name in NAMES}))
    made = new(kind).fit(dull, y, validation=Validation(dull, y))
    assert len(np.unique(made.score(dull))) == 1
    assert np.isfinite(made.probability(dull)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_slice_with_other_columns_is_refused(kind: str) -> None:
    X, y = planted(200, 1)
    other = TableRows(X.rename_columns(["x", *NAMES[1:]]))
    with pytest.raises(DetectorError, match="not the ones"):
        new(kind).fit(TableRows(X), y, validation=Validation(other, y))
    with pytest.raises(DetectorError, match="labels do not fit"):
        new(kind).fit(TableRows(X), y, validation=Validation(TableRows(X), y[:5]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_that_was_not_fitted_says_so(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="not fitted"):
        new(kind).score(TableRows(planted(5, 1)[0]))
    with pytest.raises(DetectorError, match="not fitted"):
        new(kind).save(tmp_path)


def test_the_card_is_json_and_says_what_was_done(detector: Detector) -> None:
    card = json.loads(json.dumps(detector.card, allow_nan=False))
    assert card["kind"] == detector.kind
    assert card["rows"] == 2_000
    assert card["features"] == len(NAMES)
    assert card["limits"]
    assert card["measures"]["average_precision"] > 0.3
    assert "accuracy" not in json.dumps(card)


@pytest.mark.parametrize("damage", ["model", "description", "missing", "no folder", "other kind"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_folder_is_refused_with_its_mend(kind: str, damage: str, tmp_path: Path) -> None:
    made = fitted(kind)
    made.save(tmp_path)
    description = tmp_path / "detector.json"
    model = next((path for path in tmp_path.rglob("*.*") if path.name != "detector.json"), None)
    if model is None and damage == "model":
        description.write_text("{}")
    elif model is None and damage == "missing":
        description.unlink()
    elif damage == "model":
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    elif damage == "description":
        description.write_text(description.read_text()[:-40])
    elif damage == "missing":
        model.unlink()
    elif damage == "other kind":
        description.write_text(description.read_text().replace(f'"kind": "{kind}"', '"kind": "rule"', 1))
    folder = tmp_path / "nowhere" if damage == "no folder" else tmp_path
    with pytest.raises(DetectorError) as raised:
        type(made).load(folder)
    assert raised.value.mend
    assert str(folder) in raised.value.where
    with pytest.raises(DetectorError):
        load_detector(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_from_disk_and_from_memory_give_the_same_detector(kind: str, tmp_path: Path) -> None:
    X, y = planted(2_000, 1)
    columns = X.combine_chunks().to_batches()[0]
    with BlockWriter(tmp_path, NAMES, fingerprint="abc") as writer:
        for start in range(0, 2_000, 600):
            part = columns.slice(start, 600)
            scored = np.ones(part.num_rows, bool)
            writer.append(FeatureBlock(np.arange(start, start + part.num_rows), part, scored))
    blocks = FeatureBlocks.open(tmp_path)

    def scores(train: Any, held: Any) -> Float64Array:
        made = new(kind).fit(train, y[:1_500], validation=Validation(held, y[1_500:]))
        result: Float64Array = made.score(held)
        return result

    table = TableRows(X, batch_rows=333)
    assert (
        scores(blocks.slice(0, 1_500), blocks.slice(1_500)).tobytes()
        == scores(table.slice(0, 1_500), table.slice(1_500)).tobytes()
    )
