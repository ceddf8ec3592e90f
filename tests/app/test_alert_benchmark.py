"""The SynthAML benchmark on a made-up pair of files: split by quarter, ours beside the six, three studies, a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from greywater.app.alert_benchmark import OURS, PARTS, AlertBenchmark, BenchmarkRequest, bench_synthaml
from greywater.app.alert_set import read_alert_set
from greywater.config import Settings
from greywater.desk.alert_benchmark_page import alert_benchmark_page
from greywater.desk.document import to_html, to_markdown
from greywater.detectors.alert_models import ALERT_MODELS
from greywater.errors import AccessDeniedError, EmptyInputError, FormatError, UsageError
from greywater.vocab import Actor
from tests.app.alert_files_made import alert_files, write


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return alert_files(tmp_path_factory.mktemp("alerts"))


def bench(files: tuple[Path, Path], **more: object) -> AlertBenchmark:
    request = BenchmarkRequest(*files, **{"seeds": 2, **more})  # type: ignore[arg-type]
    settings = Settings(store=files[0].parent / "store", threads=1)
    return bench_synthaml(Actor(), settings, request)


@pytest.fixture(scope="module")
def whole(files: tuple[Path, Path]) -> AlertBenchmark:
    return bench(files, parts=tuple(PARTS), models=("logistic_regression", "lightgbm"), labels=20, seeds=1)


def test_six_models_and_ours_on_the_split_by_year(files: tuple[Path, Path]) -> None:
    found = bench(files, seeds=2)
    assert list(found.models) == [*ALERT_MODELS.values(), OURS]
    for name, spread in found.models.items():
        assert spread.mean is not None
        assert spread.mean > (0.55 if name == "decision tree" else 0.7), name
        assert len(spread.values) == 2
    document = found.to_json()
    assert (document["train"]["alerts"], document["test"]["alerts"]) == (201, 199)
    by_name = {each["model"]: each for each in document["models"]}
    assert by_name["logistic regression"]["published_percent"] == 64.10
    assert by_name[OURS]["published_percent"] is None
    assert len(found.columns) == 56
    assert not (files[0].parent / "store").exists()


def test_what_comes_after_the_cut_changes_nothing_that_was_learned(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The same test alerts with their outcomes turned: ROC AUC is mirrored, so nothing was learned from them."""
    lines = files[0].read_text().splitlines()
    turned = [
        line.replace("Report", "*").replace("Dismiss", "Report").replace("*", "Dismiss") if ",2021-" in line else line
        for line in lines
    ]
    other = tmp_path / "turned.csv"
    other.write_text("\n".join(turned))
    one = bench(files, models=("logistic_regression",)).models
    two = bench((other, files[1]), models=("logistic_regression",)).models
    for name in one:
        first, second = one[name].mean, two[name].mean
        assert first is not None
        assert second is not None
        assert first + second == pytest.approx(1.0)


def test_a_split_off_a_quarter_boundary_is_refused(files: tuple[Path, Path]) -> None:
    for day in ("2021-02-01", "2021-01-02", "2020-12-31"):
        with pytest.raises(UsageError, match="not the first day of a quarter"):
            bench(files, test_from=day)
    for day in ("soon", "2021-1-1", "2021-13-01"):
        with pytest.raises(UsageError, match="is no day"):
            bench(files, test_from=day)
    for day in ("2020-01-01", "2030-01-01"):
        with pytest.raises(UsageError, match="run from 2020-01-01 to 2021-12-29"):
            bench(files, test_from=day)
    assert bench(files, test_from="2020-10-01", models=("decision_tree",), seeds=1).train == 151


def test_what_cannot_be_asked_for_is_said(files: tuple[Path, Path], tmp_path: Path) -> None:
    for more, words in (
        ({"parts": ("magic",)}, "no 'magic'"), ({"parts": ()}, "no part"), ({"models": ("oracle",)}, "no 'oracle'"),
        ({"seeds": 0}, "0 seeds"), ({"labels": 0}, "0 outcomes"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            bench(files, **more)
    with pytest.raises(FormatError, match="SynthAML"):
        bench((files[0], files[0]))
    same = write(tmp_path / "same.csv", ("AlertID", "Date", "Outcome"), [(n, f"202{n % 2}-02-01", "Dismiss")
                                                                        for n in range(10)])  # fmt: skip
    with pytest.raises(UsageError, match="all of one outcome"):
        bench((same, files[1]))
    none = write(tmp_path / "none.csv", ("AlertID", "Date", "Outcome"), [(1, "2020-02-01", "")])
    with pytest.raises(EmptyInputError, match="no alert has an outcome"):
        read_alert_set(none, files[1])
    with pytest.raises(AccessDeniedError):
        bench_synthaml(Actor(role="investigator"), Settings(store=tmp_path / "s"), BenchmarkRequest(*files))


def test_all_parts_are_in_the_json_and_on_the_page(whole: AlertBenchmark) -> None:
    document = json.loads(json.dumps(whole.to_json(), allow_nan=False))
    assert len(document["imbalance"]) == 4 * 5 * 2
    assert len(document["drift"]["quarters"]) == 28 * 2
    assert len(document["drift"]["upkeep"]) == 7 * 4 * 2
    assert [each["model"] for each in document["interpretability"]] == ["logistic regression", "LightGBM"]
    page = to_html(alert_benchmark_page(document))
    for words in ("64.10", "SMOTE", "2021 Q4", "credit.wire", "greywater prioritise", "1 seeds", "<svg"):
        assert words in page
    assert "<script" not in page
    assert "| Model | ROC AUC | Published |" in to_markdown(alert_benchmark_page(document))


def test_the_planted_column_is_what_the_models_rest_on(whole: AlertBenchmark) -> None:
    for each in whole.to_json()["interpretability"]:
        first = [one["column"] for one in each["columns"][:6]]
        assert any(".wire." in name for name in first), first


def test_the_same_files_give_the_same_figures(files: tuple[Path, Path]) -> None:
    asked = {"models": ("lightgbm",), "seeds": 1}
    assert bench(files, **asked).to_json() == bench(files, **asked).to_json()


def test_drift_that_cannot_begin_is_refused_before_anything_is_fitted(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = files[0].read_text().splitlines()
    early = ("2020-01", "2020-02", "2020-03")
    kept = [line for line in lines if not (line.endswith("Report") and line.split(",")[1].startswith(early))]
    alerts = tmp_path / "alerts.csv"
    alerts.write_text("\n".join(kept) + "\n")
    monkeypatch.setattr("greywater.app.alert_benchmark._measured", lambda *_: pytest.fail("something was fitted"))
    with pytest.raises(UsageError, match="alerts of 2020 Q1, with which drift begins, are all of one outcome"):
        bench((alerts, files[1]), parts=("models", "drift"))
