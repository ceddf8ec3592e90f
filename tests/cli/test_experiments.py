"""`greywater experiments`: fits listed, shown, compared, drawn, tagged, handed to other programs and made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import greywater as gw
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.training import TrainRequest, train
from greywater.app.tuned import Tuned, write_tuned
from greywater.config import Settings
from greywater.detectors.search_space import SearchSpace, Whole
from greywater.vocab import Actor
from tests.cli.conftest import Said


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with payments up to a moment, three fits on them, and files of later payments beside it."""
    folder = tmp_path_factory.mktemp("fits")
    gw.make_world(folder / "world", accounts=300, payments=2_500, days=40, seed=3)
    rows = (folder / "world" / "payments.csv").read_text().splitlines(keepends=True)
    (folder / "early.csv").write_text("".join(rows[:2001]))
    (folder / "late.csv").write_text("".join([rows[0], *rows[2001:]]))
    labels = (folder / "world" / "labels.csv").read_text().splitlines(keepends=True)
    ids = {row.split(",")[0] for row in rows[1:2001]}
    (folder / "labels.csv").write_text(
        "".join([labels[0], *(row for row in labels[1:] if row.strip().split(",")[0] in ids)])
    )
    settings = Settings(store=folder / "store", features="payments-v1", threads=1, detector="boosted")
    ingest(Actor(), settings, IngestRequest((folder / "early.csv",), labels=folder / "labels.csv"))
    train(Actor(), settings, TrainRequest(tags=("base",)))
    train(Actor(), settings.with_(seed=8))
    train(Actor(), settings.with_(detector="pca"), TrainRequest(tags=("base", "plain")))
    return folder


@pytest.fixture
def store(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may add to."""
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    shutil.copytree(fitted / "store", tmp_path / "store")
    monkeypatch.setenv("GREYWATER_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def answer(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_fits_are_listed_filtered_and_sorted(greywater: Callable[..., Said], store: Path) -> None:
    every = answer(greywater("experiments", "list", "--json", "-"))
    assert [one["detector"] for one in every] == ["pca", "boosted", "boosted"]
    assert {one["state"] for one in every} == {"done"}
    assert all(one["seconds"] > 0 and one["metrics"]["roc_auc"] > 0 for one in every)

    def ids(*words: str) -> list[str]:
        return [one["run"] for one in answer(greywater("experiments", "list", *words, "--json", "-"))]

    pca, second, first = (one["run"] for one in every)
    assert ids("--tag", "base") == [pca, first]
    assert ids("--tag", "base", "--tag", "plain") == [pca]
    assert ids("--detector", "boosted", "--last", "1") == [second]
    assert ids("--where", "seed=8") == [second]
    assert ids("--where", "seed>=7", "--where", "detector!=pca") == [second, first]
    assert ids("--where", "roc_auc>2") == ids("--state", "failed") == ids("--kind", "trial") == []
    by_auc = sorted(every, key=lambda one: -one["metrics"]["roc_auc"])
    assert ids("--sort", "roc_auc") == [one["run"] for one in by_auc]
    assert ids("--sort", "roc_auc", "--lowest") == [one["run"] for one in reversed(by_auc)]
    shown = greywater("experiments", "list", "--sort", "seed")
    assert (shown.code, "3 fits" in shown.out, first in shown.out, "base, plain" in shown.out) == (0, True, True, True)
    for words, told in (
        (("--sort", "luck"), "no fit has a measure"),
        (("--where", "recal>=0.5"), "no fit has a measure"),
        (("--state", "finished"), "no fit is ever 'finished'"),
        (("--where", "recall"), "cannot be read"),
    ):
        said = greywater("experiments", "list", *words)
        assert (said.code, told in said.err) == (2, True)


def test_a_fit_is_shown_and_compared(greywater: Callable[..., Said], store: Path) -> None:
    second, first = (
        one["run"] for one in answer(greywater("experiments", "list", "--detector", "boosted", "--json", "-"))
    )
    one = answer(greywater("experiments", "show", first, "--json", "-"))
    assert one["parameters"]["seed"] == 7
    assert one["parameters"]["detector_parameters.num_leaves"] == 31
    assert one["origin"]["data.payments"] == 2000
    assert one["origin"]["features.fingerprint"]
    assert one["damaged"] == []
    (series,) = one["series"]
    assert (series["series"], series["name"], series["steps"][0]) == ("boosted", "score", 10)
    assert len(series["values"]) == len(series["steps"]) > 1
    assert one["curves"]["precision_recall"][-1][0] == 1.0
    said = greywater("experiments", "show", "last")
    assert (said.code, "pca" in said.out, "model/detector.json" in said.out) == (0, True, True)

    beside = answer(greywater("experiments", "compare", first, second, "--json", "-"))
    differing = {row["name"]: row["values"] for row in beside["parameters"] if row["differs"]}
    assert differing == {"seed": [7, 8]}
    assert not any(row["differs"] for row in beside["origin"])
    said = greywater("experiments", "compare", first, second)
    assert (said.code, "Given, where it differs" in said.out, "Made from, where it differs: nothing" in said.out) == (
        0, True, True,
    )  # fmt: skip
    for words, told in (
        (("compare", first), "fewer than two"),
        (("show", "2"), "3 runs begin with"),
        (("show", "x"), "no fit is named"),
    ):
        said = greywater("experiments", *words)
        assert (said.code, told in said.err) == (2, True)


def test_a_file_that_was_changed_is_said_so(greywater: Callable[..., Said], store: Path) -> None:
    (listed,) = answer(greywater("experiments", "list", "--last", "1", "--json", "-"))
    (store / "projects/default/models" / listed["run"] / "detector.json").write_text("{}")
    (store / "projects/default/experiments" / listed["run"] / "curves.json").unlink()
    found = answer(greywater("experiments", "show", "last", "--json", "-"))
    assert (found["damaged"], found["curves"]) == (["curves.json", "model/detector.json"], {})
    assert "not what was written" in greywater("experiments", "show", "last").out
    checked = greywater("check")
    assert (checked.code, (checked.out + checked.err).count(f"run {listed['run']} left")) == (4, 2), checked.err


def test_the_page_needs_nothing_but_itself(greywater: Callable[..., Said], store: Path, tmp_path: Path) -> None:
    assert greywater("experiments", "tag", "last", "<b>", "two words").code == 0
    said = greywater("experiments", "page", tmp_path / "page.html", "--json", tmp_path / "page.json")
    assert said.code == 0, said.err
    page = (tmp_path / "page.html").read_text()
    found = json.loads((tmp_path / "page.json").read_text())
    assert len(found["runs"]) == 3
    for wanted in ("boosted: score", "Precision against recall", "other payments", "two words", "&lt;b&gt;", "<svg"):
        assert wanted in page
    assert "<b></span>" not in page
    assert "http" not in page.split("<body>")[1]
    assert "<script" not in page
    for run in found["runs"]:
        assert run["run"] in page
    alone = greywater("experiments", "page", tmp_path / "one.html", "--run", found["runs"][0]["run"])
    assert alone.code == 0, alone.err
    assert found["runs"][1]["run"] not in (tmp_path / "one.html").read_text()
    none = greywater("experiments", "page", tmp_path / "none.html", "--state", "failed")
    assert (none.code, "No fit has been written down" in (tmp_path / "none.html").read_text()) == (0, True)


def test_a_fit_is_made_again_from_its_record(greywater: Callable[..., Said], store: Path, fitted: Path) -> None:
    before = answer(greywater("experiments", "list", "--json", "-"))
    boosted, pca = before[2]["run"], before[0]["run"]
    assert greywater("ingest", fitted / "late.csv", "--labels", fitted / "world" / "labels.csv").code == 0
    for run in (boosted, pca):
        again = answer(greywater("experiments", "repeat", run, "--json", "-"))
        assert (again["original"], again["same"], again["differing"], again["changed"]) == (run, True, [], [])
    models = store / "projects/default/models"
    for name in ("detector.json", "model.txt"):
        assert (models / boosted / name).read_bytes() == next(
            (models / one["run"] / name).read_bytes()
            for one in answer(greywater("experiments", "list", "--where", f"repeats={boosted}", "--json", "-"))
        )
    assert answer(greywater("experiments", "show", "last", "--json", "-"))["origin"]["data.payments"] == 2000
    fresh = answer(greywater("train", "--detector", "pca", "--json", "-"))
    assert answer(greywater("experiments", "show", "last", "--json", "-"))["origin"]["data.payments"] == 2500
    assert fresh["card"]["rows"] > 1200


def test_a_tuned_fit_is_made_again_although_the_study_found_better_since(
    greywater: Callable[..., Said], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    space = SearchSpace("boosted", {"num_leaves": Whole(3, 31), "rounds": Whole(10, 60)})
    for leaves in (5, 9):
        best = {"num_leaves": leaves, "rounds": 40}
        write_tuned(store / "projects/default", Tuned("trees", "boosted", best, 0.5, None, 1, 3, space))
        if leaves == 5:
            first = answer(greywater("train", "--tuned", "trees", "--json", "-"))
    again = answer(greywater("experiments", "repeat", first["model"], "--json", "-"))
    assert (again["same"], again["differing"]) == (True, [])
    shown = answer(greywater("experiments", "show", again["run"], "--json", "-"))
    assert shown["parameters"]["detector_parameters.num_leaves"] == 5


def test_a_fit_is_not_made_again_where_something_changed(
    greywater: Callable[..., Said], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greywater.app.provenance._code_hash", lambda: "0123456789abcdef")
    said = greywater("experiments", "repeat", "last")
    assert (said.code, "not as when it was fitted: code" in said.err, "--anyway" in said.err) == (2, True, True)
    anyway = greywater("experiments", "repeat", "last", "--anyway")
    assert anyway.code == 0, anyway.err
    assert "Not as it was: code." in anyway.out
    assert "the same model" in anyway.out
    said = greywater("experiments", "repeat", "nobody")
    assert (said.code, "no fit is named" in said.err) == (2, True)


def test_the_fit_inside_a_run_is_made_again(
    greywater: Callable[..., Said], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    assert greywater("run").code == 0
    monkeypatch.setenv("GREYWATER_SEED", "99")
    monkeypatch.setenv("GREYWATER_THREADS", "2")
    again = answer(greywater("experiments", "repeat", "last", "--json", "-"))
    assert (again["same"], again["differing"]) == (True, [])
    shown = answer(greywater("experiments", "show", again["original"], "--json", "-"))
    assert shown["kind"] == "run"
    assert {(one["series"], one["name"]) for one in shown["series"]} == {("boosted", "score")}
    assert shown["metrics"]["alerts"] > 0


def test_where_to_must_be_said(greywater: Callable[..., Said], store: Path) -> None:
    said = greywater("experiments", "export", "last")
    assert (said.code, "not said where to" in said.err) == (2, True)
