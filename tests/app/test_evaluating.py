"""Runs judged later and alerts explained, on one made-up world: what was kept, what labels say, what would help."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import greywater as gw
from greywater.app.comparing import compare_detectors
from greywater.app.evaluating import EvaluateRequest, Evaluation, evaluate, write_document
from greywater.app.experimenting import experiment
from greywater.app.explaining import ExplainRequest, explain
from greywater.app.export import write_report
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.keeping import kept_runs, read_run
from greywater.app.results import run_report
from greywater.app.run import RunOutcome
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.desk.document import to_html, to_markdown
from greywater.desk.model_card import model_card
from greywater.desk.validation_report import validation_report
from greywater.detectors.detector import Detector
from greywater.errors import AccessDeniedError, ExtraMissingError, StoreDamagedError, StoreError, UsageError
from greywater.vocab import Actor

SIDES = ("labels", "accounts", "parties", "seeds")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    gw.make_world(folder, accounts=300, payments=5_000, days=60, seed=3)
    with (folder / "parties.csv").open() as source:
        customers = [row["customer"] for row in csv.DictReader(source)]
    with (folder / "attributes.csv").open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["customer", "known_since", "segment", "protected:origin"])
        for place, customer in enumerate(customers):
            writer.writerow([customer, "2020-01-01", ("retail", "firms")[place % 2], ("north", "south")[place % 3 > 0]])
    return folder


def settings_in(store: Path) -> Settings:
    return Settings(
        store=store, threads=1, features="payments-v1", windows=(86_400, 604_800), day_windows=(), detector="boosted"
    )


@pytest.fixture(scope="module")
def judged(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunOutcome, Settings]:
    settings = settings_in(tmp_path_factory.mktemp("store"))
    sides = {name: world / f"{name}.csv" for name in (*SIDES, "attributes")}
    outcome = gw.run(world / "payments.csv", store=settings.store, settings=settings, budget="5/day", **sides)
    return outcome, settings


@pytest.fixture(scope="module")
def found(judged: tuple[RunOutcome, Settings]) -> Evaluation:
    return evaluate(Actor(), judged[1], EvaluateRequest(resamples=40))


def test_a_run_keeps_its_scores_the_rows_of_its_alerts_and_its_peers(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, settings = judged
    kept = read_run(settings.project_folder, outcome.run_id)
    begin = outcome.split.alerting
    assert np.array_equal(kept.scores.seq, outcome.replayed.seq[begin:])
    assert kept.alerted is not None
    assert kept.typical is not None
    assert kept.alerted["seq"].to_pylist() == sorted({alert.evidence[0].seq for alert in outcome.alerts})
    assert kept.alerted.column_names[1:] == list(outcome.features.names)
    assert 0 < kept.typical.num_rows <= 64
    by_seq = dict(zip(kept.scores.seq.tolist(), kept.scores.score.tolist(), strict=True))
    assert all(by_seq[alert.evidence[0].seq] == alert.score for alert in outcome.alerts)


def test_by_the_same_labels_the_measures_are_those_of_the_run(
    judged: tuple[RunOutcome, Settings], found: Evaluation
) -> None:
    outcome, _ = judged
    assert outcome.verdict is not None
    assert found.verdict is not None
    then = {key: value for key, value in outcome.verdict.metrics.items() if key != "single_column_baseline"}
    assert found.verdict.metrics == then
    assert found.verdict.curve == outcome.verdict.curve
    assert found.verdict.guilty == outcome.verdict.guilty
    for name in ("average_precision", "roc_auc", "precision_at_budget", "recall_at_budget", "expected_cost"):
        interval = found.intervals[name]
        assert interval.low is not None
        assert interval.low <= interval.high  # type: ignore[operator]
    assert sum(period.rows for period in found.periods["month"]) == found.verdict.metrics["payments"]
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["run"] == outcome.run_id
    assert told["metrics_at_run"]["single_column_baseline"]


def test_groups_of_a_protected_attribute_are_compared_and_stay_out_of_the_model(
    judged: tuple[RunOutcome, Settings], found: Evaluation
) -> None:
    outcome, _ = judged
    assert not any("origin" in name for name in outcome.features.names)
    (origin,) = found.fairness
    assert [group.name for group in origin.groups if group.name] == ["north", "south"]
    alerted = {alert.entity for alert in outcome.alerts}
    assert sum(group.alerted for group in origin.groups) == len(alerted)


def test_reasons_cite_payments_and_compare_with_the_segment(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, _ = judged
    reasons = [reason for alert in outcome.alerts for reason in alert.reasons]
    assert all(reason.payments for reason in reasons)
    assert any("(retail)" in reason.peers or "(firms)" in reason.peers for reason in reasons)


def test_documents_are_made_of_it(found: Evaluation, judged: tuple[RunOutcome, Settings], tmp_path: Path) -> None:
    told = found.to_json()
    for make in (model_card, validation_report):
        page, text = to_html(make(told)), to_markdown(make(told))
        assert "<script" not in page
        assert found.run_id in page
        assert found.run_id in text
        assert "four-fifths" in text
    _, settings = judged
    write_document(Actor(), settings, model_card(told), tmp_path / "card.md")
    write_document(Actor(), settings, validation_report(told), tmp_path / "report.html")
    assert (tmp_path / "card.md").read_text().startswith("# Model card")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    with pytest.raises(AccessDeniedError):
        write_document(Actor(role="investigator"), settings, model_card(told), tmp_path / "no.md")
    write_report(Actor(), settings, run_report(judged[0]), tmp_path / "run.html")
    assert (tmp_path / "run.html").read_text().count('class="chart"') >= 4


def test_labels_that_come_later_count(world: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "store")
    first = gw.run(world / "payments.csv", store=settings.store, settings=settings, budget="50")
    before = evaluate(Actor(), settings, EvaluateRequest())
    assert before.verdict is None
    assert "no labels" in to_markdown(validation_report(before.to_json()))
    assert "no labels" in to_markdown(model_card(before.to_json()))
    ingest(Actor(), settings, IngestRequest((), labels=world / "labels.csv"))
    after = evaluate(Actor(), settings, EvaluateRequest(first.run_id, resamples=10))
    assert after.verdict is not None
    assert after.verdict.metrics["laundering_payments"] > 0
    assert after.to_json()["metrics_at_run"] is None


def test_an_alert_is_explained_as_it_was_frozen(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, settings = judged
    alert = outcome.alerts[0]
    told = explain(Actor(), settings, ExplainRequest(alert.id))
    assert (told.kind, told.entity, told.score, told.run_id) == ("alert", alert.entity, alert.score, outcome.run_id)
    assert told.reasons == alert.reasons
    assert told.evidence == alert.evidence
    assert told.versions == dict(alert.versions)
    changed = told.counterfactual
    assert changed is not None
    assert told.line is not None
    assert changed.found == (changed.after < told.line)
    assert not {change.feature for change in changed.changes} & {"sender.age", "calendar.weekday"}
    assert json.loads(json.dumps(told.to_json(), allow_nan=False))["line"]["words"]


MANDATORY = """
[[rule]]
id = "just-under-the-line"
version = 1
title = "Just under the line"
description = "One payment just under the reporting line."
source = "the bank"
typologies = ["structuring"]
about = "sender"
window = ""
severity = 1
mandatory = true
expression = "payment.amount between 900000 and 999999"
"""


def test_mandatory_alerts_are_beside_the_budget_and_have_no_line(world: Path, tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), detector="hybrid")
    (settings.project_folder / "rules").mkdir(parents=True)
    (settings.project_folder / "rules" / "bank.toml").write_text(MANDATORY)
    outcome = gw.run(
        world / "payments.csv", labels=world / "labels.csv", store=settings.store, settings=settings, budget="1/day"
    )
    told = [explain(Actor(), settings, ExplainRequest(alert.id)) for alert in outcome.alerts]
    demanded = [each for each in told if any("Just under the line" in reason.text for reason in each.rules)]
    assert 0 < len(demanded) < len(told)
    for each in demanded:
        assert each.line is None
        assert each.counterfactual is None
        assert "mandatory" in each.line_words
    threshold = outcome.fitted.threshold
    ranked = [each for each in told if each not in demanded and each.score < threshold]
    assert ranked
    least = {each.payment.time_us // 86_400_000_000: each.score for each in ranked}
    assert all(each.line == least[each.payment.time_us // 86_400_000_000] for each in ranked)


def test_a_payment_is_worked_out_as_the_run_saw_it(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, settings = judged
    begin = outcome.split.alerting
    kept = read_run(settings.project_folder, outcome.run_id)
    raising = {alert.evidence[0].seq for alert in outcome.alerts}
    place = next(at for at in range(40, len(kept.scores.seq)) if int(kept.scores.seq[at]) not in raising)
    seq = int(outcome.replayed.seq[begin + place])
    with open_project(settings, Actor()) as project:
        name = project.ledger.take(np.array([seq]), ["tx_id"])["tx_id"][0].as_py()
    told = explain(Actor(), settings, ExplainRequest(name))
    assert told.kind == "payment"
    assert told.score == kept.scores.score[place]
    assert told.probability == kept.scores.probability[place]
    assert max(row.seq for row in told.evidence) == seq
    assert told.reasons
    pushed = sum(push for *_, push in told.contributions)
    assert pushed != 0


def test_contributions_by_calls_lead_to_the_same_score(
    judged: tuple[RunOutcome, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, settings = judged
    from greywater.app import explaining

    asked: dict[str, float] = {}

    def by_calls(detector: Detector, X, background, **more):  # type: ignore[no-untyped-def]
        found = explaining_by_calls(detector, X, background, coalitions=120, **more)
        asked["sum"] = float(found.sum())
        return found

    explaining_by_calls = explaining.explain_by_calls
    monkeypatch.setattr(explaining, "explain_by_calls", by_calls)
    told = explain(Actor(), settings, ExplainRequest(outcome.alerts[0].id, by_calls=True))
    assert told.method == "calls"
    assert asked["sum"] == pytest.approx(told.score)


def test_what_is_not_there_or_not_allowed_is_refused(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, settings = judged
    with pytest.raises(AccessDeniedError):
        evaluate(Actor(role="investigator"), settings, EvaluateRequest())
    with pytest.raises(AccessDeniedError):
        explain(Actor(role="administrator"), settings, ExplainRequest(outcome.alerts[0].id))
    with pytest.raises(UsageError, match="neither an alert nor a recorded payment"):
        explain(Actor(), settings, ExplainRequest("nobody"))
    with pytest.raises(StoreError, match="are kept"):
        evaluate(Actor(), settings, EvaluateRequest("20000101T000000-00000000"))
    with pytest.raises(UsageError):
        EvaluateRequest(resamples=0)


def test_damage_is_found_by_check_and_stops_an_evaluation(
    world: Path, tmp_path: Path, judged: tuple[RunOutcome, Settings]
) -> None:
    from greywater.app.check import check

    _, settings = judged
    assert check(Actor(), settings).findings == ()
    (name,) = kept_runs(settings.project_folder)
    path = settings.project_folder / "runs" / name / "peers.npz"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + b"x")
        (finding,) = check(Actor(), settings).findings
        assert finding.where.endswith("peers.npz")
        with pytest.raises(StoreDamagedError):
            evaluate(Actor(), settings, EvaluateRequest())
    finally:
        path.write_bytes(content)


def test_fewer_and_later_labels_are_tried_on_the_same_slice(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, settings = judged
    tried = experiment(Actor(), settings, shares=(1, 0.5), days=(0, 500))
    assert outcome.verdict is not None
    full = tried.rarer[0]
    assert full.measures is not None
    assert full.measures.positives == outcome.verdict.metrics["laundering_payments"]
    assert full.measures.average_precision == outcome.verdict.metrics["average_precision"]
    assert [point.setting for point in tried.unfound] == [1, 0.5]
    assert tried.unfound[1].rows == full.rows > tried.rarer[1].rows
    assert tried.late[1].measures is None
    told = evaluate(Actor(), settings, EvaluateRequest(resamples=5)).to_json() | {"experiments": tried.to_json()}
    assert "nobody has found it yet" in to_markdown(validation_report(told))
    with pytest.raises(AccessDeniedError):
        experiment(Actor(role="auditor"), settings)


def test_detectors_stand_side_by_side_on_the_slice_of_the_run(judged: tuple[RunOutcome, Settings]) -> None:
    outcome, settings = judged
    found = compare_detectors(Actor(), settings, ["boosted", "pca", "knn", "pca"])
    assert outcome.verdict is not None
    assert found.budget == "5/day"
    boosted, pca, knn = found.contenders
    assert [each.detector for each in found.contenders] == ["boosted", "pca", "knn"]
    for each in (boosted, pca, knn):
        assert each.measures is not None
        assert each.measures.positives == outcome.verdict.metrics["laundering_payments"]
        assert each.precision_at_budget is not None
    assert boosted.measures.average_precision == outcome.verdict.metrics["average_precision"]  # type: ignore[union-attr]
    assert pca.why == "the setting `detector` asks for it"
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    whole = evaluate(Actor(), settings, EvaluateRequest(resamples=5)).to_json() | {"detectors": told}
    assert "k nearest neighbours" in to_markdown(validation_report(whole))
    with pytest.raises(AccessDeniedError):
        compare_detectors(Actor(role="auditor"), settings, ["pca"])
    for names in (["pca", "guess"], []):
        with pytest.raises(UsageError, match="no detector is named"):
            compare_detectors(Actor(), settings, names)


def test_a_detector_whose_library_is_missing_is_named(
    judged: tuple[RunOutcome, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise ExtraMissingError("torch is not installed", mend="pip install 'greywater[outliers,deep]'")

    monkeypatch.setattr("greywater.detectors.adversarial_peers.load_pyod", missing)
    autoencoder, ecod = compare_detectors(Actor(), judged[1], ["autoencoder", "ecod"], budget=Budget(3)).contenders
    assert autoencoder.measures is None
    assert "greywater[outliers,deep]" in autoencoder.why
    assert ecod.measures is not None
