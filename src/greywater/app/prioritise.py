"""The use case that ranks the alerts of another monitoring system by what became of its earlier ones."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from greywater.access.policy import require
from greywater.app.alert_book import AlertBook, read_book
from greywater.app.alert_evidence import AlertEvidence, of_recorded_payments, of_their_own_transactions
from greywater.app.alert_model import AlertModel, DecidedAlerts, Learned, Measured, feature_rows, learn
from greywater.app.audit import audited
from greywater.app.earlier_ranking import earlier_recall
from greywater.app.ingest import IngestRequest, Silent, ingest
from greywater.app.ranking_policy import ranking_policy
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.desk.alert_reasons import AlertReasons
from greywater.desk.budget import Budget
from greywater.desk.fusion import fuse_ranks, rank_shares
from greywater.desk.hibernation import HibernationCut, RecallEstimate
from greywater.desk.ranking import CandidateFacts, RankedAlert, Ranking, rank_alerts
from greywater.desk.rollup import Candidate
from greywater.errors import EmptyInputError, FormatError
from greywater.formats.synthaml import is_synthaml
from greywater.formats.text import for_spreadsheets
from greywater.stores.durable import write_whole_text
from greywater.vocab import Actor, Float64Array, Int64Array, Progress

__all__ = ["PrioritiseOutcome", "PrioritiseRequest", "PrioritisedAlert", "prioritise", "write_csv"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS: Final = (
    "rank", "alert_id", "customer", "raised", "rule", "level", "probability", "score", "value_per_hour", "minutes",
    "money_at_stake", "place", "chosen_by", "chance", "folded_into", "reasons",
)  # fmt: skip
SYNTHAML: Final = "synthaml"
GENERAL: Final = "alerts of a monitoring system"


@dataclass(frozen=True)
class PrioritiseRequest:
    """What is to be ranked.

    Parameters
    ----------
    alerts : Path
        Alerts; those without an outcome are ranked.
    payments : IngestRequest
        Payments to record first (none: those that the project holds), or one file of SynthAML's form.
    history : Path, optional
        Outcomes of earlier alerts.
    budget : Budget, optional
        What can be worked; None = all that is awake.
    order : {"value", "score"}
        What comes first: expected value per hour, or the chance of being reported.
    earlier : Path, optional
        JSON of an earlier ranking, to say by the outcomes known now what its hibernation really kept.
    """

    alerts: Path
    payments: IngestRequest
    history: Path | None = None
    budget: Budget | None = None
    order: Literal["value", "score"] = "value"
    earlier: Path | None = None


@dataclass(frozen=True)
class PrioritisedAlert:
    """One alert and its place.

    `probability` and `value_per_hour` are None where no outcome taught them; `chance` is the alert's weight in the
    estimate of recall (`greywater.desk.hibernation.Sleep`), None where it folded.
    """

    rank: int
    alert_id: str
    customer: str
    raised: str
    rule: str
    level: str
    probability: float | None
    score: float
    value_per_hour: float | None
    minutes: float
    money_at_stake: float | None
    place: str
    chosen_by: str
    chance: float | None
    folded_into: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class PrioritiseOutcome:
    """The ranked alerts, how well such a ranking did, and what was assumed."""

    form: str
    alerts: tuple[PrioritisedAlert, ...]
    decided: int
    reported: int
    learned: Learned
    ranking: Ranking
    how: str
    notes: tuple[str, ...]
    rejected: tuple[dict[str, Any], ...]
    base_currency: str
    kept: RecallEstimate | None = None

    @property
    def measured(self) -> Measured | None:
        """What was measured on alerts the model had not seen; None where it could not be."""
        return self.learned.measured

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON types."""
        return {
            "form": self.form,
            "how": self.how,
            "decided": self.decided,
            "reported": self.reported,
            "measured": None if self.measured is None else self.measured.to_json(),
            "hibernation": None if self.ranking.cut is None else self.ranking.cut.to_json(),
            "earlier": None if self.kept is None else vars(self.kept),
            "assumptions": list(self.ranking.words),
            "base_currency": self.base_currency,
            "alerts": [{**vars(alert), "reasons": list(alert.reasons)} for alert in self.alerts],
            "notes": list(self.notes),
            "rejected": [dict(row) for row in self.rejected],
        }

    def to_csv(self) -> str:
        """One line an alert, in the order of the queue, with a header; no text is a formula to a spreadsheet."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(COLUMNS)
        for alert in self.alerts:
            row = {**vars(alert), "reasons": "; ".join(alert.reasons)}
            writer.writerow([_cell(row[name]) for name in COLUMNS])
        return target.getvalue()


def prioritise(
    actor: Actor, settings: Settings, request: PrioritiseRequest, progress: Progress | None = None
) -> PrioritiseOutcome:
    """Rank the alerts of another system.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `ingest` (where payments are to be recorded), `run` and `train`.
    settings : Settings
        Store, project, windows, assumptions.
    request : PrioritiseRequest
    progress : Progress, optional

    Returns
    -------
    PrioritiseOutcome

    Raises
    ------
    AccessDeniedError
        The actor may not.
    InputError
        A file cannot be used, or holds no alert.
    StoreError
        No payments are given and there is no such project.
    """
    told = progress or Silent()
    synthaml = _synthaml_file(request.payments)
    with audited(settings, actor, "run", "alerts of another system") as detail:
        require(actor, "train")
        book = read_book(request.alerts, request.history, delay_days=settings.label_delay_days)
        if synthaml is not None:
            evidence = of_their_own_transactions(synthaml, book, told)
        else:
            evidence = _recorded(actor, settings, request, book, told)
        detail.update(alerts=len(book.ids), decided=len(book.decided))
        return _rank(settings, request, book, evidence, SYNTHAML if synthaml is not None else GENERAL, told)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return for_spreadsheets(value) if isinstance(value, str) else value


def write_csv(actor: Actor, settings: Settings, outcome: PrioritiseOutcome, path: Path) -> None:
    """Write the ranked alerts as a CSV file, which then holds all of them or what it held before.

    Raises
    ------
    AccessDeniedError
        The actor may not export.
    StoreFullError, StoreAccessError
        The file cannot be written.
    """
    with audited(settings, actor, "export", path.name):
        write_whole_text(path, outcome.to_csv(), "write the ranked alerts")


def _synthaml_file(request: IngestRequest) -> Path | None:
    """The one file of payments where it has SynthAML's form."""
    if len(request.paths) != 1 or request.format is not None or request.mapping is not None:
        return None
    path = Path(str(request.paths[0]))
    return path if path.is_file() and is_synthaml(path) else None


def _recorded(
    actor: Actor, settings: Settings, request: PrioritiseRequest, book: AlertBook, progress: Progress
) -> AlertEvidence:
    if not book.has_parties and not any(book.party):
        raise FormatError(
            "the alerts name no customer",
            where=str(request.alerts),
            mend="add a column customer or account; only files of SynthAML's form do without",
        )
    notes: tuple[str, ...] = ()
    given = request.payments
    if given.paths or any((given.accounts, given.parties)):
        result = ingest(actor, settings, given, progress)
        notes = result.warnings
    with open_project(settings, actor) as project:
        evidence = of_recorded_payments(project, book, progress)
    return replace(evidence, notes=(*notes, *evidence.notes))


def _rank(
    settings: Settings,
    request: PrioritiseRequest,
    book: AlertBook,
    evidence: AlertEvidence,
    form: str,
    progress: Progress,
) -> PrioritiseOutcome:
    decided = book.decided
    names = {name: number for number, name in enumerate(dict.fromkeys(book.party))}
    # Without a customer every alert is about somebody of its own.
    party = np.array([names[name] if name else len(names) + at for at, name in enumerate(book.party)], np.int64)
    learned = learn(
        DecidedAlerts(
            evidence.features, evidence.values[decided], book.outcome[decided], book.moment_us[decided],
            party[decided], by_quarter=form == SYNTHAML,
        ),
        settings,
        progress,
    )  # fmt: skip
    chosen, model, cut, notes = _to_rank(book, learned)
    scored = _score(evidence, chosen, model)
    ranking = _ranking(settings, request, book, evidence, chosen, scored, cut)
    return PrioritiseOutcome(
        form=form,
        alerts=_rows(book, evidence, chosen, scored, ranking),
        decided=len(decided),
        reported=int(book.outcome[decided].sum()),
        learned=learned,
        ranking=ranking,
        how=_how(request.order, model),
        notes=(*book.notes, *evidence.notes, *learned.notes, *notes),
        rejected=(*book.rejected, *evidence.rejected),
        base_currency=evidence.base_currency,
        kept=None if request.earlier is None else earlier_recall(request.earlier, book),
    )


@dataclass(frozen=True)
class _Scored:
    """Scores and probabilities float64[n] of the alerts to be ranked, and how much each column pushed them up."""

    score: Float64Array
    probability: Float64Array | None
    pushes: Float64Array


def _to_rank(
    book: AlertBook, learned: Learned
) -> tuple[Int64Array, AlertModel | None, HibernationCut | None, list[str]]:
    """Which alerts are ranked, by which model, and the line below which they sleep."""
    if len(book.open):
        return book.open, learned.ranker, learned.cut, []
    asked = np.flatnonzero(book.asked).astype(np.int64)
    if learned.judge is None:
        words = "every alert has an outcome, and too few to learn from: all are ranked without using them"
        return asked, None, None, [words]
    last = np.intersect1d(book.decided[learned.test :], asked)
    if not len(last):
        raise EmptyInputError(
            "no alert without an outcome is given", where="ALERTS", mend="give the alerts that are to be ranked"
        )
    words = "every alert has an outcome: the last fifth of them is ranked by a model that saw only the earlier ones"
    return last, learned.judge, learned.judge_cut, [words]


def _score(evidence: AlertEvidence, chosen: Int64Array, model: AlertModel | None) -> _Scored:
    values = evidence.values[chosen]
    if model is not None:
        rows = feature_rows(evidence.features, values)
        score = model.score(rows)
        return _Scored(score, model.calibrate(score), model.explain(rows)[:, :-1])
    signs = list(evidence.signs)
    pushes = np.full(values.shape, np.nan)
    pushes[:, signs] = rank_shares(values[:, signs]) - 0.5
    return _Scored(fuse_ranks(values[:, signs]), None, pushes)


def _ranking(
    settings: Settings,
    request: PrioritiseRequest,
    book: AlertBook,
    evidence: AlertEvidence,
    chosen: Int64Array,
    scored: _Scored,
    cut: HibernationCut | None,
) -> Ranking:
    chance = scored.score if scored.probability is None else scored.probability
    candidates, facts = [], []
    for row, place in enumerate(chosen.tolist()):
        kind: Literal["account", "customer"] = "customer" if evidence.is_customer[place] else "account"
        candidates.append(
            Candidate(
                entity=book.party[place] or f"alert {book.ids[place]}",
                kind=kind,
                score=float(scored.score[row]),
                probability=float(chance[row]),
                seq=place,
                time_us=int(book.moment_us[place]),
                payments=(),
            )
        )
        facts.append(
            CandidateFacts(
                evidence.accounts[place],
                stake=float(evidence.stake[place]),
                behaviour=book.rule[place] if book.party[place] else "",
            )
        )
    # What ties the customers of another system's alerts is not known, so each stays an alert of its own.
    policy = replace(ranking_policy(settings, request.order), networks=None)
    if not any(book.party):
        policy = replace(policy, folding=None)
    return rank_alerts(
        candidates,
        facts,
        budget=request.budget,
        cut=cut,
        policy=policy,
        calibrated=scored.probability is not None,
        base_currency=evidence.base_currency,
    )


def _rows(
    book: AlertBook, evidence: AlertEvidence, chosen: Int64Array, scored: _Scored, ranking: Ranking
) -> tuple[PrioritisedAlert, ...]:
    """One row an alert: each of the queue, and after it those that folded into it."""
    writer = AlertReasons(evidence.features, evidence.values, evidence.base_currency)
    rows = []
    for alert in ranking.alerts:
        lead = int(chosen[alert.lead])
        for number in alert.candidates:
            place = int(chosen[number])
            own = number == alert.lead
            rows.append(
                PrioritisedAlert(
                    rank=alert.rank,
                    alert_id=book.ids[place],
                    customer=book.party[place],
                    raised=f"{_EPOCH + timedelta(microseconds=int(book.moment_us[place])):%Y-%m-%d}",
                    rule=book.rule[place],
                    level=alert.level.name,
                    probability=None if scored.probability is None else float(scored.probability[number]),
                    score=float(scored.score[number]),
                    value_per_hour=alert.value_per_hour,
                    minutes=alert.minutes,
                    money_at_stake=_money(alert, evidence),
                    place=alert.place if own else "folded",
                    chosen_by=alert.chosen_by if own else "",
                    chance=alert.chance if own else None,
                    folded_into="" if own else book.ids[lead],
                    reasons=writer.reasons(evidence.values[place], scored.pushes[number]),
                )
            )
    return tuple(rows)


def _money(alert: RankedAlert, evidence: AlertEvidence) -> float | None:
    return alert.stake if evidence.base_currency and math.isfinite(alert.stake) else None


def _how(order: str, model: AlertModel | None) -> str:
    if model is None:
        return (
            "by the mean of their ranks over several signs: no outcome taught it, so it shows no probability, nothing "
            "sleeps, and how good the order is is not known"
        )
    first = "expected value per hour of work" if order == "value" else "the chance of being reported"
    return f"by {first}, from {model.name} that learned from reported and dismissed alerts"
