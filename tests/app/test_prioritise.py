"""Ranking the alerts of another system: learned from outcomes, measured by time, honest where there are none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from greywater.app.alert_book import read_book
from greywater.app.alert_model import DecidedAlerts, feature_rows, learn
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.prioritise import PrioritiseOutcome, PrioritiseRequest, prioritise, write_csv
from greywater.app.ranking_policy import ranking_policy
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.detectors.metrics import average_precision
from greywater.errors import AccessDeniedError, EmptyInputError, FormatError, InputError, StoreError, UsageError
from greywater.features.alert_bags import BAG_FEATURES
from greywater.vocab import Actor
from tests.app.alerts_made import ALERT_COLUMNS, OUTCOME_COLUMNS, PAYMENT_COLUMNS, Made, made

OPEN = 60
WINDOWS = (86_400, 7 * 86_400, 30 * 86_400)


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as target:
        csv.writer(target).writerows([columns, *rows])
    return path


class Desk:
    """A folder with the files of a made case, recorded once."""

    def __init__(self, folder: Path, case: Made) -> None:
        self.folder = folder
        self.settings = Settings(store=folder / "store", windows=WINDOWS, day_windows=(90,), threads=1)
        self.case = case
        self.payments = write(folder / "payments.csv", PAYMENT_COLUMNS, case.payments)
        self.alerts = write(folder / "alerts.csv", ALERT_COLUMNS, case.alerts)
        self.history = write(folder / "outcomes.csv", OUTCOME_COLUMNS, case.outcomes[:-OPEN])

    def rank(self, **more: object) -> PrioritiseOutcome:
        changes = {name: more.pop(name) for name in list(more) if hasattr(self.settings, name)}
        request = {"alerts": self.alerts, "payments": IngestRequest(()), "history": self.history, **more}
        return prioritise(Actor(), self.settings.with_(**changes), PrioritiseRequest(**request))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    found = Desk(tmp_path_factory.mktemp("desk"), made())
    ingest(Actor(), found.settings, IngestRequest((found.payments,)))
    return found


@pytest.fixture(scope="module")
def outcome(desk: Desk) -> PrioritiseOutcome:
    return desk.rank(payments=IngestRequest((desk.payments,)))  # recorded already: nothing is recorded twice


def truth(desk: Desk) -> dict[str, int]:
    return {name: int(words == "SAR filed") for name, words, _ in desk.case.outcomes}


def test_alerts_without_an_outcome_are_ranked_and_the_reported_ones_come_first(
    desk: Desk, outcome: PrioritiseOutcome
) -> None:
    ranked = [alert.alert_id for alert in outcome.alerts]
    assert sorted(ranked) == sorted(row[0] for row in desk.case.alerts[-OPEN:])
    assert (outcome.decided, outcome.reported) == (300, sum(truth(desk)[row[0]] for row in desk.case.alerts[:-OPEN]))
    y = np.array([truth(desk)[name] for name in ranked])
    probability = np.array([alert.probability for alert in outcome.alerts], np.float64)
    quality = average_precision(y, probability)
    assert quality is not None
    assert quality > 3 * y.mean()
    assert outcome.measured is not None
    assert outcome.measured.average_precision is not None
    assert outcome.measured.average_precision > 3 * outcome.measured.base_rate


def test_what_was_measured_has_recalls_intervals_and_a_line_drawn_beforehand(outcome: PrioritiseOutcome) -> None:
    measured = outcome.measured
    assert measured is not None
    assert measured.alerts == 61  # the cut stands at the start of a day
    assert measured.learned_until <= measured.measured_from
    assert measured.baseline is not None
    assert [each.recall for each in measured.removed] == [0.9, 0.95, 0.99]
    for each in measured.removed:
        assert each.low <= each.removed <= each.high
        assert each.kept >= each.recall
        assert each.beforehand is not None


def test_every_alert_has_its_place_reasons_and_level(desk: Desk, outcome: PrioritiseOutcome) -> None:
    assert {alert.place for alert in outcome.alerts} <= {"work", "sampled", "hibernated", "folded"}
    first = outcome.alerts[0]
    assert first.reasons
    assert first.level in ("critical", "high", "medium")
    assert first.money_at_stake is not None
    assert any("EUR" in reason for reason in first.reasons)
    cut = outcome.ranking.cut
    assert cut is not None
    for alert in outcome.alerts:
        if alert.place in ("hibernated", "sampled"):
            assert alert.score < cut.threshold
        elif alert.place == "work":
            assert alert.score >= cut.threshold
    ids = {alert.alert_id: alert for alert in outcome.alerts}
    folded = [alert for alert in outcome.alerts if alert.place == "folded"]
    assert folded
    for alert in folded:
        lead = ids[alert.folded_into]
        assert (lead.customer, lead.rule, lead.rank) == (alert.customer, alert.rule, alert.rank)


def test_the_same_files_give_the_same_ranking(desk: Desk, outcome: PrioritiseOutcome) -> None:
    assert desk.rank().alerts == outcome.alerts


def test_budget_order_and_floor_are_kept(desk: Desk, outcome: PrioritiseOutcome) -> None:
    few = desk.rank(budget=Budget.parse("3"), order="score", recall_floor=0.5)
    work = [alert for alert in few.alerts if alert.place == "work"]
    assert len(work) == 3
    awake = [alert for alert in few.alerts if alert.place in ("work", "over_budget")]
    scores = [alert.score for alert in awake]
    assert scores == sorted(scores, reverse=True)
    assert len(awake) <= sum(alert.place == "work" for alert in outcome.alerts)


def test_json_and_csv_hold_every_alert(desk: Desk, outcome: PrioritiseOutcome, tmp_path: Path) -> None:
    document = json.loads(json.dumps(outcome.to_json(), allow_nan=False))
    assert [alert["alert_id"] for alert in document["alerts"]] == [alert.alert_id for alert in outcome.alerts]
    assert document["measured"]["removed"][0]["recall"] == 0.9
    assert document["hibernation"]["floor"] == 0.99
    assert document["assumptions"]
    write_csv(Actor(), desk.settings, outcome, tmp_path / "ranked.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "ranked.csv").read_text())))
    assert [row["alert_id"] for row in rows] == [alert.alert_id for alert in outcome.alerts]
    assert float(rows[0]["probability"]) == outcome.alerts[0].probability


def test_no_text_of_the_csv_is_a_formula(outcome: PrioritiseOutcome) -> None:
    hostile = replace(
        outcome.alerts[0],
        alert_id='=HYPERLINK("http://x")',
        customer="-12",
        rule="@sum",
        reasons=("+1", "-2"),
        score=-0.5,
    )
    row = next(csv.DictReader(io.StringIO(replace(outcome, alerts=(hostile,)).to_csv())))
    assert (row["alert_id"], row["customer"], row["rule"]) == ('\'=HYPERLINK("http://x")', "-12", "'@sum")
    assert (row["reasons"], row["score"]) == ("'+1; -2", "-0.5")
    assert replace(outcome, alerts=(hostile,)).to_json()["alerts"][0]["alert_id"] == hostile.alert_id


def test_without_outcomes_ranks_are_fused_and_that_is_said(desk: Desk, outcome: PrioritiseOutcome) -> None:
    plain = desk.rank(history=None)
    assert len(plain.alerts) == len(desk.case.alerts)
    assert "not known" in plain.how
    assert {alert.probability for alert in plain.alerts} == {None}
    assert {alert.value_per_hour for alert in plain.alerts} == {None}
    assert not {alert.place for alert in plain.alerts} & {"hibernated", "sampled"}
    assert plain.measured is None
    y = np.array([truth(desk)[alert.alert_id] for alert in plain.alerts])
    quality = average_precision(y, np.array([alert.score for alert in plain.alerts]))
    assert quality is not None
    assert quality > 1.5 * y.mean()


def test_where_all_are_decided_the_last_fifth_is_ranked_by_what_came_before(desk: Desk) -> None:
    whole = write(desk.folder / "whole.csv", OUTCOME_COLUMNS, desk.case.outcomes)
    found = desk.rank(history=whole)
    assert sorted(alert.alert_id for alert in found.alerts) == sorted(row[0] for row in desk.case.alerts[-72:])
    assert any("last fifth" in note for note in found.notes)


def test_outcomes_of_the_ranked_alerts_do_not_reach_their_ranking(desk: Desk) -> None:
    turned = [(name, "dismissed" if words == "SAR filed" else "SAR filed", day)
              for name, words, day in desk.case.outcomes[-72:]]  # fmt: skip
    one = desk.rank(history=write(desk.folder / "a.csv", OUTCOME_COLUMNS, desk.case.outcomes))
    other = desk.rank(history=write(desk.folder / "b.csv", OUTCOME_COLUMNS, [*desk.case.outcomes[:-72], *turned]))

    def first_alert(found: PrioritiseOutcome) -> tuple[str, float]:
        alert = min(found.alerts, key=lambda each: each.raised)
        return alert.alert_id, alert.score

    # Its outcome changed, and so did those of all later alerts.
    assert first_alert(one) == first_alert(other)


def test_history_may_hold_alerts_of_its_own(desk: Desk, tmp_path: Path) -> None:
    old = [(*row, words, day) for row, (_, words, day) in zip(desk.case.alerts, desk.case.outcomes, strict=True)]
    history = write(tmp_path / "old.csv", (*ALERT_COLUMNS, "outcome", "decided"), old[:-OPEN])
    new = write(tmp_path / "new.csv", ALERT_COLUMNS, desk.case.alerts[-OPEN:])
    found = desk.rank(alerts=new, history=history)
    assert found.alerts == desk.rank().alerts
    unknown = write(tmp_path / "lost.csv", OUTCOME_COLUMNS, [("nobody", "SAR filed", "")])
    assert any("no alert in the file" in note for note in desk.rank(history=unknown).notes)


def test_customers_with_several_accounts(desk: Desk, tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "store", windows=WINDOWS, day_windows=(90,), threads=1)
    accounts = write(tmp_path / "accounts.csv", ("account", "customer"), [(f"C{n}", f"K{n // 2}") for n in range(60)])
    alerts = write(tmp_path / "alerts.csv", ALERT_COLUMNS,
                   [(name, f"K{int(who[1:]) // 2}", *rest) for name, who, *rest in desk.case.alerts])  # fmt: skip
    request = PrioritiseRequest(alerts, IngestRequest((desk.payments,), accounts=accounts), desk.history)
    found = prioritise(Actor(), settings, request)
    assert not any("without a recorded payment" in note for note in found.notes)
    assert {alert.customer[0] for alert in found.alerts} == {"K"}
    assert found.alerts[0].minutes == 40.0


def test_customers_nobody_paid_are_said(desk: Desk, tmp_path: Path) -> None:
    rows = [*desk.case.alerts, ("stranger", "Nobody", "2023-12-30", "R1")]
    found = desk.rank(alerts=write(tmp_path / "alerts.csv", ALERT_COLUMNS, rows))
    assert any("the first is stranger" in note for note in found.notes)
    assert any(alert.alert_id == "stranger" for alert in found.alerts)


def test_an_earlier_ranking_is_held_to_account(desk: Desk, tmp_path: Path) -> None:
    before = desk.rank(quality_sample=0.9, uncertainty_share=0.1)
    path = tmp_path / "ranked.json"
    path.write_text(json.dumps(before.to_json()))
    places = {alert.alert_id: alert for alert in before.alerts}
    looked = [row for row in desk.case.outcomes if row[0] not in places or places[row[0]].place != "hibernated"]
    kept = desk.rank(history=write(tmp_path / "h.csv", OUTCOME_COLUMNS, looked), earlier=path).kept
    assert kept is not None
    drawn = [alert for alert in before.alerts if alert.chosen_by == "random"]
    assert (kept.sampled, kept.reviewed) == (len(drawn), len(drawn))
    assert kept.hits == sum(truth(desk)[alert.alert_id] for alert in drawn)
    assert kept.missed == pytest.approx(kept.hits / 0.81)
    assert kept.found == sum(truth(desk)[alert.alert_id] for alert in before.alerts if alert.place == "work")
    assert kept.left_out == sum(alert.chosen_by == "uncertainty" for alert in before.alerts)
    nothing_new = desk.rank(earlier=path).kept
    assert nothing_new is not None
    assert (nothing_new.reviewed, nothing_new.recall) == (0, None)
    for text in ("{}", "[]", '{"alerts": 3}', '{"alerts": [{}]}', "nonsense"):
        path.write_text(text)
        with pytest.raises(FormatError, match="no ranking"):
            desk.rank(history=None, earlier=path)
    with pytest.raises(InputError, match="cannot be read"):
        desk.rank(history=None, earlier=tmp_path / "none.json")


def synthaml(folder: Path, alerts: int = 320) -> tuple[Path, Path]:
    """A made-up pair of SynthAML's form: reported alerts have larger wires."""
    draw = np.random.default_rng(2)
    book, rows = [], []
    for number in range(alerts):
        day = datetime(2020, 1, 1) + timedelta(days=int(number * 720 / alerts))
        reported = draw.random() < 0.25
        book.append((number, f"{day:%Y-%m-%d}", "Report" if reported else "Dismiss"))
        for _ in range(int(draw.integers(4, 14))):
            kind = ("Card", "Cash", "International", "Wire")[int(draw.integers(4))]
            size = draw.normal() + (1.5 if reported and kind == "Wire" else 0.0)
            moment = day - timedelta(hours=float(draw.integers(1, 2_000)))
            rows.append((number, f"{moment:%Y-%m-%d %H:%M:%S}", ("Credit", "Debit")[int(draw.integers(2))], kind, size))
    rows.append((0, "2031-01-01 00:00:00", "Credit", "Card", 0.0))
    rows.append((9_999, "2020-01-01 00:00:00", "Credit", "Card", 0.0))
    return (write(folder / "alerts.csv", ("AlertID", "Date", "Outcome"), book),
            write(folder / "transactions.csv", ("AlertID", "Timestamp", "Entry", "Type", "Size"), rows))  # fmt: skip


def test_files_of_synthaml_take_a_path_of_their_own(tmp_path: Path) -> None:
    alerts, transactions = synthaml(tmp_path)
    settings = Settings(store=tmp_path / "store", threads=1)
    found = prioritise(Actor(), settings, PrioritiseRequest(alerts, IngestRequest((transactions,))))
    assert found.form == "synthaml"
    assert not settings.store.exists()
    assert found.measured is not None
    # Slices are cut where a quarter begins.
    assert found.measured.measured_from in ("2021-07-01", "2021-07-02", "2021-07-03")
    assert found.measured.roc_auc is not None
    assert found.measured.roc_auc > 0.6
    assert {alert.money_at_stake for alert in found.alerts} == {None}
    assert found.alerts[0].customer == ""
    assert not [alert for alert in found.alerts if alert.place == "folded"]
    assert not [words for words in found.ranking.words if "folds" in words]
    assert "1 transactions came after their alert and were left out" in found.notes
    assert "1 transactions are of no alert in the file" in found.notes
    assert all("EUR" not in reason for alert in found.alerts for reason in alert.reasons)


def test_one_quarter_cannot_be_cut_and_that_is_said() -> None:
    draw = np.random.default_rng(1)
    n = 100
    y = (np.arange(n) % 3 == 0).astype(np.int64)
    values = draw.normal(size=(n, len(BAG_FEATURES))) + y[:, None]
    decided = DecidedAlerts(BAG_FEATURES, values, y, np.arange(n) * 3_600_000_000, np.arange(n), by_quarter=True)
    learned = learn(decided, Settings(threads=1))
    assert learned.ranker is not None
    assert any("too few quarters" in note for note in learned.notes)


@pytest.mark.parametrize("reported", [0, 9])
def test_too_few_outcomes_teach_nothing(reported: int) -> None:
    y = np.zeros(100, np.int64)
    y[:reported] = 1
    decided = DecidedAlerts(BAG_FEATURES, np.zeros((100, 56)), y, np.arange(100) * 10**9, np.arange(100))
    learned = learn(decided, Settings(threads=1))
    assert (learned.ranker, learned.judge, learned.cut, learned.measured) == (None, None, None, None)
    assert any("too few to learn from" in note for note in learned.notes)


def test_days_mean_their_last_moment_and_outcomes_come_later(tmp_path: Path) -> None:
    alerts = write(tmp_path / "a.csv", ALERT_COLUMNS, [("1", "C", "2024-01-05", "r"), ("2", "C", "2024-01-04", "r")])
    history = write(tmp_path / "h.csv", ("alert_id", "outcome"), [("1", "dismissed")])
    book = read_book(alerts, history, delay_days=30)
    assert book.ids == ("2", "1")
    moment = int(datetime.fromisoformat("2024-01-06T00:00:00+00:00").timestamp()) * 1_000_000 - 1
    assert book.moment_us[1] == moment
    assert book.known_us[1] == moment + 30 * 86_400_000_000
    assert book.outcome.tolist() == [-1, 0]
    assert (book.open.tolist(), book.decided.tolist()) == ([0], [1])


def test_what_cannot_be_done_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no outcomes"):
        desk.rank(history=write(tmp_path / "h.csv", ("alert_id",), [("al1",)]))
    with pytest.raises(FormatError, match="name no customer"):
        desk.rank(alerts=write(tmp_path / "a.csv", ("alert_id", "date"), [("1", "2024-01-05")]))
    with pytest.raises(EmptyInputError, match="no alert in the file"):
        desk.rank(alerts=write(tmp_path / "b.csv", ALERT_COLUMNS, [("1", "C", "never", "r")]))
    with pytest.raises(StoreError, match="no project"):
        desk.rank(store=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="recall_floor"):
        desk.rank(recall_floor=1.5)
    request = PrioritiseRequest(desk.alerts, IngestRequest(()), desk.history)
    with pytest.raises(AccessDeniedError):
        prioritise(Actor(role="investigator"), desk.settings, request)
    with open_project(desk.settings, Actor()) as project:
        assert project.ledger.next_seq == len(desk.case.payments)


def test_settings_make_the_policy() -> None:
    settings = Settings(stake_unit=5.0, alert_minutes=7.0, fold_days=3, network_accounts=9, quality_sample=0.1, seed=4)
    policy = ranking_policy(settings, "score")
    assert (policy.value.stake_unit, policy.value.alert_minutes, policy.order) == (5.0, 7.0, "score")
    assert (policy.folding.days, policy.folding.longest_days) == (3, 9)
    assert policy.networks is not None
    assert policy.networks.most_accounts == 9
    assert (policy.hibernation.sample, policy.hibernation.seed) == (0.1, 4)


def test_the_plain_model_is_used_where_it_ranks_better() -> None:
    draw = np.random.default_rng(4)
    n = 400
    y = (draw.random(n) < 0.3).astype(np.int64)
    values = draw.normal(size=(n, len(BAG_FEATURES))) + 0.25 * y[:, None]
    decided = DecidedAlerts(BAG_FEATURES, values, y, np.arange(n) * 10**9, np.arange(n))
    learned = learn(decided, Settings(threads=1))
    assert learned.judge is not None
    assert "a logistic regression on ranks" in learned.judge.name
    rows = feature_rows(BAG_FEATURES, values)
    probability = learned.judge.calibrate(learned.judge.score(rows))
    assert ((probability > 0) & (probability < 1)).all()
    assert learned.judge.explain(rows).shape == (n, len(BAG_FEATURES) + 1)
