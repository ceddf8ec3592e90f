"""The fidelity and privacy report of made-up alerts, from files to a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.app.fidelity import Fidelity, FidelityRequest, measure_fidelity
from greywater.config import Settings
from greywater.desk.document import to_html, to_markdown
from greywater.desk.fidelity_page import fidelity_page
from greywater.detectors.told_apart import told_apart
from greywater.errors import AccessDeniedError, InputError, UsageError
from greywater.synth.alertbook_tables import ENTRIES, KINDS, AlertTables
from greywater.vocab import Actor
from tests.synth.alert_sets import made_alerts

MODELS = ("decision_tree", "lightgbm", "logistic_regression")
Pair = tuple[Path, Path]


def files(folder: Path, side: AlertTables) -> Pair:
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.arange(len(side.day))
    alerts = {
        "AlertID": ids,
        "Date": side.day.astype("datetime64[D]").astype(str),
        "Outcome": np.where(side.reported, "Report", "Dismiss"),
    }
    rows = {
        "AlertID": side.alert,
        "Timestamp": np.char.replace(side.seconds.astype("datetime64[s]").astype(str), "T", " "),
        "Entry": np.array(ENTRIES)[side.cell // 4],
        "Type": np.array(KINDS)[side.cell % 4],
        "Size": side.size,
    }
    paths = folder / "alerts.parquet", folder / "transactions.parquet"
    for path, columns in zip(paths, (alerts, rows), strict=True):
        pq.write_table(pa.table(columns), path)
    return paths


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("fidelity")
    sides = {name: made_alerts(700, 60, seed, signal=2.0) for name, seed in (("real", 1), ("made", 2), ("holdout", 3))}
    made = sides["made"]
    draw = np.random.default_rng(5)
    sides["shuffled"] = replace(made, size=draw.permutation(made.size))
    sides["blind"] = replace(made, reported=draw.permutation(made.reported))
    return {name: files(folder / name, side) for name, side in sides.items()}


def measured(sets: dict[str, Pair], made: str, **more: Any) -> Fidelity:
    asked = {"models": MODELS, "seeds": 1, "holdout": sets["holdout"], **more}
    settings = Settings(store=sets["real"][0].parent / "store", threads=1)
    return measure_fidelity(Actor(), settings, FidelityRequest(sets["real"], sets[made], **asked))


def missed(found: Fidelity) -> set[str]:
    return {each.name for part in found.measures.values() for each in part if each.fine is False}


def test_another_draw_of_the_same_bank_is_found_near_useful_and_private(sets: dict[str, Pair]) -> None:
    found = measured(sets, "made")
    assert missed(found) <= {"outcome", "correlations", "train-synthetic, test-real"}, missed(found)
    values = {each.name: each.value for part in found.measures.values() for each in part}
    assert values["closer to train"] == pytest.approx(0.5, abs=0.07)
    assert values["train-synthetic, test-real"] == pytest.approx(1.0, abs=0.08)
    assert values["alerts"] == pytest.approx(0.5, abs=0.1)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["counts"]["holdout"]["alerts"] == 700
    page = to_html(fidelity_page(document))
    for words in ("Within categories", "Distance to the closest record", "made to holdout", "<rect", "wire debit"):
        assert words in page
    assert "<script" not in page
    assert "## Privacy" in to_markdown(fidelity_page(document))


def test_a_copied_table_is_caught(sets: dict[str, Pair]) -> None:
    found = measured(sets, "real")
    assert missed(found) >= {"closer to train", "copied alerts", "copied transactions", "copied extremes"}
    assert not found.fine
    assert "figures miss their line" in to_html(fidelity_page(found.to_json()))
    assert not [each for each in found.measures["overall"] if each.fine is False]


def test_a_shuffled_column_is_caught(sets: dict[str, Pair]) -> None:
    found = measured(sets, "shuffled")
    assert missed(found) >= {"cells beyond their line", "correlations", "alerts"}
    assert "size" not in missed(found)
    blind = measured(sets, "blind")
    assert missed(blind) >= {"outcome", "train-synthetic, test-real"}


def test_without_a_holdout_privacy_by_distance_is_not_known_and_that_is_said(sets: dict[str, Pair]) -> None:
    found = measured(sets, "made", holdout=None)
    privacy = {each.name: each for each in found.measures["privacy"]}
    assert privacy["closer to train"].value is None
    assert privacy["copied alerts"].value == 0.0
    assert any("give --holdout" in note for note in found.notes)
    assert any("may have seen" in note for note in found.notes)
    assert found.models
    assert "could not be measured" in to_html(fidelity_page(found.to_json()))
    assert not any("it is no holdout" in note for note in measured(sets, "made").notes)
    own = measured(sets, "real", holdout=sets["real"])
    assert any("it is no holdout" in note for note in own.notes)
    assert all(each.line is None or each.line <= 1.0 for each in own.measures["privacy"])
    none = measured(sets, "made", holdout=None, test_from="2030-01-01")
    assert none.models == {}
    assert any("usefulness was not measured" in note for note in none.notes)


def test_what_cannot_be_asked_for_is_said(sets: dict[str, Pair], tmp_path: Path) -> None:
    for more, words in (
        ({"models": ("oracle",)}, "no 'oracle'"), ({"models": ()}, "no model"), ({"seeds": 0}, "0 seeds"),
        ({"test_from": "soon"}, "is no day"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            measured(sets, "made", **more)
    with pytest.raises(InputError):
        measured({**sets, "made": (tmp_path / "none.csv", tmp_path / "none.csv")}, "made")
    request = FidelityRequest(sets["real"], sets["made"])
    with pytest.raises(AccessDeniedError):
        measure_fidelity(Actor(role="auditor"), Settings(store=tmp_path / "s"), request)


def test_rows_of_one_group_share_a_fold() -> None:
    """A value that every row of a group bears tells the groups apart only where they straddle folds."""
    draw = np.random.default_rng(1)
    owners = np.repeat(np.arange(60), 30)
    left, right = (draw.normal(size=60)[owners][:, None] for _ in range(2))
    whole = told_apart(left, right, groups=(owners, owners))
    torn = told_apart(left, right)
    assert whole is not None
    assert torn is not None
    assert torn > 0.9
    assert whole < 0.7
    assert told_apart(left[:40], right[:40], groups=(owners[:40], owners[:40])) is None
