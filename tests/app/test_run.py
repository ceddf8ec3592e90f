"""The main job on a made-up world: with labels and without, twice, for customers, on nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import greywater as gw
from greywater.app.export import write_report
from greywater.app.keeping import read_run
from greywater.app.results import run_in_json, run_report
from greywater.app.run import RunOutcome
from greywater.app.split import cut_at, split_by_time
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.loading import load_detector
from greywater.errors import AccessDeniedError, EmptyInputError, StoreError, UsageError
from greywater.featurestore.lineage import Lineage
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.records import Records
from greywater.vocab import Actor, Counts

KEYS = {
    "source", "counts", "split", "detector", "features", "budget", "metrics", "alerts", "queue", "rules", "run",
    "versions", "warnings", "timings", "peak_rss_mb",
}  # fmt: skip
METRICS = {
    "average_precision", "precision", "recall", "f1", "f2", "confusion", "precision_at_budget", "recall_at_budget",
    "roc_auc", "recall_by_typology",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    gw.make_world(folder, accounts=600, payments=12_000, days=60, seed=3)
    return folder


def run_on(world: Path, store: Path, **more: str | Path) -> RunOutcome:
    return gw.run(world / "payments.csv", store=store, settings=Settings(threads=1), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def labelled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunOutcome, Path]:
    store = tmp_path_factory.mktemp("labelled")
    sides = {name: world / f"{name}.csv" for name in ("labels", "accounts", "parties", "relationships", "seeds")}
    return run_on(world, store, budget="5/day", **sides), store


def test_with_labels_the_hybrid_judges_and_is_measured(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, _ = labelled
    assert outcome.fitted.kind == "hybrid"
    assert "boosted trees" in outcome.fitted.name
    assert "labelled laundering" in outcome.fitted.why
    assert "weights boosted" in outcome.fitted.why
    assert outcome.verdict is not None
    assert set(outcome.verdict.metrics) >= METRICS
    positives = outcome.verdict.metrics["laundering_payments"]
    assert outcome.verdict.metrics["average_precision"] > 2 * positives / outcome.verdict.metrics["payments"]
    assert outcome.verdict.metrics["roc_auc"] > 0.6


def test_relations_and_known_launderers_join_the_features(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, store = labelled
    assert outcome.features.joined == ("relations", "suspicion", "leading_digits")
    assert {"sender.related_launderers", "pair.related", "receiver.suspicion"} <= set(outcome.features.names)
    assert outcome.features.asked
    detector = load_detector(store / "projects" / "default" / "models" / outcome.run_id)
    assert isinstance(detector, Hybrid)
    assert set(detector.parts) == {"boosted", "isolation", "rules", "trust"}
    assert "Anti-TrustRank" in outcome.fitted.name


def test_a_run_says_what_rules_did_those_in_shadow_too(world: Path, tmp_path: Path) -> None:
    rules = tmp_path / "store" / "projects" / "default" / "rules"
    gw.run(world / "payments.csv", store=tmp_path / "store", settings=Settings(threads=1), budget="5")
    rules.mkdir(parents=True, exist_ok=True)
    (rules / "settings.toml").write_text('[rules.fan-in]\nstate = "shadow"\n')
    outcome = gw.run(store=tmp_path / "store", settings=Settings(threads=1), budget="5")
    said = {each["id"]: each for each in run_in_json(outcome)["rules"]}
    assert said["fan-in"]["state"] == "shadow"
    assert said["fan-in"]["hits"] >= said["fan-in"]["alone"] >= 0
    assert said["dormant-reactivation"]["hits"] is None
    assert said["dormant-reactivation"]["why_off"]
    assert sum(each["hits"] or 0 for each in said.values()) > 0
    kept = read_run(tmp_path / "store" / "projects" / "default", outcome.run_id)
    assert kept.facts["rules"] == run_in_json(outcome)["rules"]


def test_alerts_become_cases(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, _ = labelled
    queue = run_in_json(outcome)["queue"]
    ids = [alert.id for alert in outcome.alerts]
    assert sorted(name for case in queue["cases"] for name in case["alerts"]) == sorted(ids)
    assert [case["rank"] for case in queue["cases"]] == list(range(1, len(queue["cases"]) + 1))
    assert {case["level"] for case in queue["cases"]} <= {"critical", "high", "medium", "low", "minimal"}
    assert queue["hibernation"]["reported"] > 0
    assert queue["assumptions"]
    awake = [case["value_per_hour"] for case in queue["cases"] if case["place"] == "work"]
    assert awake == sorted(awake, reverse=True)


def test_json_is_stable_and_plain(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, _ = labelled
    found = json.loads(json.dumps(run_in_json(outcome), allow_nan=False))
    assert set(found) == KEYS
    assert set(found["alerts"][0]) == {"id", "rank", "entity", "score", "reasons", "evidence", "patterns"}
    assert [alert["rank"] for alert in found["alerts"]] == list(range(1, len(found["alerts"]) + 1))
    assert [part["slice"] for part in found["split"]] == ["learn", "tune", "alert and judge"]


def test_every_alert_has_reasons_evidence_and_a_picture(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, _ = labelled
    assert outcome.alerts
    begin = outcome.replayed.seq[outcome.split.alerting]
    for alert in outcome.alerts:
        assert alert.kind == "customer"
        assert alert.reasons
        assert alert.evidence[0].raising
        assert alert.evidence[0].seq >= begin
        assert max(row.seq for row in alert.evidence) == alert.evidence[0].seq
        assert alert.picture.startswith("<svg")
    scores = [alert.score for alert in outcome.alerts]
    assert scores == sorted(scores, reverse=True)


def test_patterns_behind_alerts_are_shown_with_payments_up_to_the_raising_one(
    labelled: tuple[RunOutcome, Path],
) -> None:
    outcome, _ = labelled
    shown = [(alert, proof) for alert in outcome.alerts for proof in alert.patterns]
    assert shown
    for alert, proof in shown:
        raising = alert.evidence[0]
        best = [each.row for each in proof.formed[0].payments]
        assert raising.seq in {row.seq for row in best}
        assert max(proof.seqs) == raising.seq
        assert all(row.time_us <= raising.time_us for row in best)
        assert proof.picture.startswith("<svg")
        assert proof.found >= len(proof.formed) >= 1
        named = {name for place in proof.reasons for name in alert.reasons[place].features}
        assert not proof.reasons or any(name.startswith(f"{proof.pattern}.") for name in named)
    assert len([1 for alert in outcome.alerts if alert.patterns]) < len(outcome.alerts)


def test_what_alerts_say_is_frozen_and_the_run_is_audited(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, store = labelled
    with Records.open(store / "projects" / "default" / "records.sqlite") as records:
        assert [alert.entity for alert in records.alerts(outcome.run_id)] == [a.entity for a in outcome.alerts]
        assert records.run(outcome.run_id).outcome == "done"
        assert {(row.action, row.outcome) for row in records.audits()} >= {("ingest", "done"), ("run", "done")}
        assert {row.principal for row in records.audits()} == {"DEFAULT__LOCAL"}
        assert records.check() == []
        with pytest.raises(StoreError):
            records.raise_alerts(outcome.run_id, outcome.alerts[:1])


def test_an_alert_can_be_traced_to_the_files(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, store = labelled
    with open_project(Settings(store=store), Actor()) as project:
        lineage = Lineage(FeatureRecords(project.records.database))
        behind = lineage.upstream("alert", outcome.alerts[0].id)
    assert behind.of_kind("model") == (outcome.run_id,)
    assert any("payments" in source for source in behind.of_kind("source"))


def test_features_are_removed_and_the_model_is_kept(labelled: tuple[RunOutcome, Path]) -> None:
    outcome, store = labelled
    project = store / "projects" / "default"
    assert not list((project / "features").iterdir())
    assert (project / "models" / outcome.run_id / "detector.json").is_file()


def test_the_report_is_one_file_that_needs_no_network(labelled: tuple[RunOutcome, Path], tmp_path: Path) -> None:
    outcome, store = labelled
    settings = Settings(store=store)
    write_report(Actor(), settings, run_report(outcome), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert outcome.alerts[0].entity in text
    assert "hours of work" in text
    for outside in ('src="http', "src='http", 'href="http', "@import", "url(http"):
        assert outside not in text


def test_a_second_run_records_nothing_and_says_the_same(
    labelled: tuple[RunOutcome, Path], world: Path, tmp_path: Path
) -> None:
    first, store = labelled
    again = gw.run(store=store, budget="5/day", settings=Settings(threads=2))
    assert again.ingested.counts == Counts()
    assert [(a.entity, a.score, a.evidence) for a in again.alerts] == [
        (a.entity, a.score, a.evidence) for a in first.alerts
    ]
    assert again.run_id != first.run_id


def test_without_labels_an_isolation_forest_says_why_it_was_used(world: Path, tmp_path: Path) -> None:
    outcome = run_on(world, tmp_path / "store", budget="25")
    assert outcome.fitted.kind == "hybrid"
    assert outcome.fitted.name == "hybrid of isolation forest (scikit-learn) and rules"
    assert "no labels" in outcome.fitted.why
    assert outcome.verdict is None
    assert len(outcome.alerts) == 25
    assert outcome.split.alerting == outcome.split.train
    assert run_in_json(outcome)["metrics"] is None
    assert run_in_json(outcome)["queue"]["hibernation"] is None
    assert {alert.kind for alert in outcome.alerts} == {"account"}


def test_nothing_to_score_is_said(tmp_path: Path) -> None:
    path = tmp_path / "outside.csv"
    path.write_text(
        "tx_id,event_time,sender,receiver,amount,currency\n1,2024-01-01,external:a,B,5,USD\n2,2024-01-02,external:a,C,5,USD\n"
    )
    with pytest.raises(EmptyInputError, match="nothing to score"):
        gw.run(path, store=tmp_path / "store")
    assert not list((tmp_path / "store" / "projects" / "default" / "features").glob("*"))


def test_a_store_that_is_not_there_and_a_budget_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no project"):
        gw.run(store=tmp_path / "none")
    with pytest.raises(UsageError, match="budget"):
        gw.run(store=tmp_path / "none", budget="0")


def test_an_auditor_may_not_run(labelled: tuple[RunOutcome, Path]) -> None:
    from greywater.app.run import run

    outcome, store = labelled
    with pytest.raises(AccessDeniedError):
        run(Actor(user="EVE", role="auditor"), Settings(store=store), outcome.request)


def test_cuts_move_to_the_start_of_their_timestamp() -> None:
    import numpy as np

    times = np.array([0, 0, 1, 1, 1, 1, 1, 2, 2, 3], np.int64)
    assert cut_at(times, 0.6) == 2
    split = split_by_time(times, labelled=True)
    assert (split.train, split.validation, split.alerting) == (2, 7, 7)
    assert split_by_time(np.zeros(10, np.int64), labelled=False).train == 6


def test_where_every_row_is_rejected_the_first_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(
        "tx_id,event_time,sender,receiver,amount,currency\n1,2024-01-01,A,B,abc,USD\n2,2024-01-02,A,,5,USD\n"
    )
    with pytest.raises(EmptyInputError, match=r"2 rows were rejected.*bad.csv, row 1, column amount"):
        gw.run(path, store=tmp_path / "store")
