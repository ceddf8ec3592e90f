"""The main job on little, odd and hostile data, on what killed runs left, and beside another run."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import greywater as gw
from greywater.app.check import check
from greywater.app.results import run_in_json, run_report
from greywater.app.run import RunOutcome
from greywater.app.wiring import open_project
from greywater.app.workplace import RUN_LOCK, open_workplace
from greywater.config import Settings
from greywater.desk.report import render
from greywater.errors import EmptyInputError
from greywater.stores.lock import WriterLock
from greywater.vocab import Actor

NASTY = (
    "<script>alert(1)</script>", "\"quo'ted\"", "line\nbreak", "emoji😀", "x" * 10_000, "a&b;--><!--",
    "</svg><h1>hi</h1>", "[red]rich[/red]", "\u202eRTL", "\x1b[2J", "NaN",
)  # fmt: skip
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def write(path: Path, rows: Sequence[Sequence[Any]], *columns: str) -> Path:
    with path.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(columns or ("tx_id", "event_time", "sender", "receiver", "amount", "currency"))
        writer.writerows(rows)
    return path


def payments(path: Path, count: int, names: Sequence[str] = ("A", "B", "C", "D")) -> Path:
    """A payment every two hours, between parties that change."""
    times = [f"{BEGIN + timedelta(hours=2 * i):%Y-%m-%dT%H:%M:%SZ}" for i in range(count)]
    pairs = [(names[i % len(names)], names[(i * i + 1 + i) % len(names)]) for i in range(count)]
    return write(path, [(f"<i>t{i}", times[i], *pairs[i], f"{10 + i % 7}.00", "USD") for i in range(count)])


def settings_at(folder: Path) -> Settings:
    return Settings(store=folder / "store", threads=1)


def run(path: Path, **more: Any) -> RunOutcome:
    return gw.run(path, store=path.parent / "store", settings=settings_at(path.parent), **more)


def assert_sound(folder: Path) -> None:
    assert check(Actor(), settings_at(folder)).findings == ()
    features = folder / "store" / "projects" / "default" / "features"
    assert not list(features.glob("*"))


def test_one_payment_is_too_few_and_two_are_enough(tmp_path: Path) -> None:
    with pytest.raises(EmptyInputError, match="none before it"):
        run(payments(tmp_path / "one.csv", 1))
    assert_sound(tmp_path)
    (tmp_path / "two").mkdir()
    assert len(run(payments(tmp_path / "two" / "two.csv", 2)).alerts) == 2
    assert_sound(tmp_path / "two")


def test_labels_that_call_all_laundering_are_said_to(tmp_path: Path) -> None:
    path = payments(tmp_path / "p.csv", 40)
    labels = write(tmp_path / "labels.csv", [(f"<i>t{i}", 1) for i in range(40)], "tx_id", "label")
    outcome = run(path, labels=labels)
    assert outcome.fitted.name == "hybrid of isolation forest (scikit-learn), rules and Anti-TrustRank"
    assert "every one" in outcome.fitted.why


def test_without_laundering_in_the_last_slice_what_needs_it_is_not_defined(tmp_path: Path) -> None:
    path = payments(tmp_path / "p.csv", 60)
    labels = write(tmp_path / "labels.csv", [(f"<i>t{i}", int(i % 3 == 0)) for i in range(30)], "tx_id", "label")
    metrics = run_in_json(run(path, labels=labels))["metrics"]
    assert metrics["laundering_payments"] == 0
    undefined = ("average_precision", "recall", "f1", "f2", "roc_auc", "recall_at_budget", "recall_by_typology")
    assert {name: metrics[name] for name in undefined} == dict.fromkeys(undefined)
    json.dumps(metrics, allow_nan=False)
    assert_sound(tmp_path)


def test_ids_that_are_markup_are_shown_as_text_and_kept_whole_in_the_json(tmp_path: Path) -> None:
    outcome = run(payments(tmp_path / "<b>p.csv", 120, NASTY), budget="1000")
    found = json.loads(json.dumps(run_in_json(outcome), allow_nan=False))
    assert {alert["entity"] for alert in found["alerts"]} <= set(NASTY)
    assert any(len(alert["entity"]) == 10_000 for alert in found["alerts"])
    with open_project(settings_at(tmp_path), Actor()) as project:
        seqs = {
            tx_id: seq
            for batch in project.ledger.scan(["tx_id", "seq"])
            for tx_id, seq in zip(batch["tx_id"].to_pylist(), batch["seq"].to_pylist(), strict=True)
        }
    for alert in found["alerts"]:
        numbers = [seqs[tx_id] for tx_id in alert["evidence"]]
        assert max(numbers) == numbers[0]
    page = render(run_report(outcome))
    for raw in ("<script>alert(1)", "<h1>hi", "<i>t", "<b>p", "\u202e", "\x1b", "x" * 1_000):
        assert raw not in page
    assert_sound(tmp_path)


@pytest.mark.parametrize(("known_since", "marked"), [("2024-01-02T00:00:00Z", True), ("2024-06-01T00:00:00Z", False)])
def test_a_seed_known_only_later_is_not_marked(tmp_path: Path, known_since: str, marked: bool) -> None:
    path = payments(tmp_path / "p.csv", 60)
    columns = ("account", "customer", "reason", "known_since")
    seeds = write(tmp_path / "seeds.csv", [(name, "", "case", known_since) for name in "ABCD"], *columns)
    outcome = run(path, seeds=seeds, budget="10")
    assert outcome.alerts
    assert {"confirmed" in alert.picture.lower() for alert in outcome.alerts} == {marked}


def test_what_a_killed_run_left_is_removed_and_a_living_run_is_left_alone(tmp_path: Path) -> None:
    path = payments(tmp_path / "p.csv", 20)
    run(path)
    features = tmp_path / "store" / "projects" / "default" / "features"
    with open_project(settings_at(tmp_path), Actor()) as project:
        killed, gone, living = (project.records.start_run(Actor(), "run") for _ in range(3))
        for run_id in (killed, living):
            (features / run_id).mkdir()
            (features / run_id / "block-000000.arrow").write_bytes(b"rows")
        with WriterLock(features / living, name=RUN_LOCK):
            again = gw.run(store=tmp_path / "store", settings=settings_at(tmp_path))
            assert [folder.name for folder in features.iterdir()] == [living]
            assert (features / living / "block-000000.arrow").is_file()
        ends = {record.id: record.outcome for record in project.records.runs()}
        assert (ends[killed], ends[gone], ends[living], ends[again.run_id]) == ("failed", "failed", None, "done")
        gw.run(store=tmp_path / "store", settings=settings_at(tmp_path))
        assert project.records.run(living).outcome == "failed"
    assert_sound(tmp_path)


def test_two_runs_at_once_have_a_folder_each(tmp_path: Path) -> None:
    run(payments(tmp_path / "p.csv", 20))
    with open_project(settings_at(tmp_path), Actor()) as project:
        words: dict[str, Any] = {"parameters": {}, "versions": {}}
        with open_workplace(project, "run", **words) as first, open_workplace(project, "run", **words) as second:
            assert first.folder.is_dir()
            assert second.folder.is_dir()
            assert first.folder != second.folder
        assert {record.outcome for record in project.records.runs()} == {"done"}
    assert_sound(tmp_path)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_run_that_is_stopped_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise stop

    path = payments(tmp_path / "p.csv", 20)
    with monkeypatch.context() as patch:
        patch.setattr("greywater.app.run.fit_detector", stopped)
        with pytest.raises(stop):
            run(path)
    assert_sound(tmp_path)
    assert run(path).ingested.counts.recorded == 0
    with open_project(settings_at(tmp_path), Actor()) as project:
        said = "stopped" if stop is KeyboardInterrupt else "failed"
        assert [record.outcome for record in project.records.runs()] == [said, "done"]
