"""The use case that judges a kept run by the labels known now: measures with intervals, drift, fairness, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.access.policy import require
from greywater.app.attributes import open_attributes
from greywater.app.audit import audited
from greywater.app.judging import Judged, Verdict, measure_alerts, party_scores
from greywater.app.keeping import KeptRun, Scores, kept_runs, read_run
from greywater.app.parties import Parties, read_parties
from greywater.app.truth import Truth, TruthReader
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.desk.document import Document, to_html, to_markdown
from greywater.desk.rollup import Candidate
from greywater.detectors.bootstrap import Interval, PartyBootstrap, ratio_interval, wilson
from greywater.detectors.fairness import Fairness, measure_fairness
from greywater.detectors.periods import PeriodMeasures, measure_periods
from greywater.detectors.saved import plain
from greywater.errors import StoreError, UsageError
from greywater.features.attributes import Attribute, AttributeJoin
from greywater.stores.durable import write_whole_text
from greywater.vocab import EXTERNAL_PREFIX, Actor, Int64Array, Progress

__all__ = ["EvaluateRequest", "Evaluation", "Evaluator", "evaluate", "write_document"]

#: Payments read from the ledger at a time to find the labelled ones.
BATCH_ROWS: Final = 131_072
FLOORS: Final = (0.99, 0.95, 0.90)


@dataclass(frozen=True)
class EvaluateRequest:
    """Which run (None: the last one kept), and how many resamples the intervals rest on."""

    run_id: str | None = None
    resamples: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.resamples <= 100_000:
            raise UsageError(
                f"{self.resamples} resamples cannot be drawn", where="--resamples", mend="give 1 to 100,000"
            )


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Parameters
    ----------
    run_id : str
        The run that was judged.
    evaluated_at : datetime
        When; the labels are those known then.
    facts : dict
        What the run kept: detector, features, split, budget, versions, the measures of its day.
    verdict : Verdict or None
        Measures and curves by today's labels; None without labels.
    intervals : dict of str to Interval
        Of the measures, by their keys in `metrics`; of `alerts_saved` by `alerts_saved_0.99`...
    reliability : list of dict
        The bins of `metrics.calibration` with Wilson's intervals `low`, `high` of what came.
    periods : dict of str to tuple of PeriodMeasures
        By "month" and "quarter".
    fairness : tuple of Fairness
        One a protected attribute.
    resamples : int
        Of the bootstrap.
    """

    run_id: str
    evaluated_at: datetime
    facts: dict[str, Any]
    verdict: Verdict | None
    intervals: dict[str, Interval] = field(default_factory=dict)
    reliability: list[dict[str, Any]] = field(default_factory=list)
    periods: dict[str, tuple[PeriodMeasures, ...]] = field(default_factory=dict)
    fairness: tuple[Fairness, ...] = ()
    resamples: int = 0

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater evaluate --json`; docs/cli.md describes it. Keys are only ever added."""
        verdict, facts = self.verdict, self.facts
        kept = (
            "made_at", "title", "detector", "features", "budget", "base_currency", "split", "threshold",
            "costs", "versions",
        )  # fmt: skip
        found: dict[str, Any] = {
            "run": self.run_id,
            "evaluated_at": self.evaluated_at.isoformat(),
            **{name: facts.get(name) for name in kept},
            "metrics": None if verdict is None else verdict.metrics,
            "intervals": {name: asdict(each) for name, each in self.intervals.items()},
            "resamples": self.resamples,
            "metrics_at_run": facts.get("metrics"),
            "reliability": self.reliability,
            "periods": {name: [asdict(each) for each in parts] for name, parts in self.periods.items()},
            "fairness": [asdict(each) for each in self.fairness],
            "curves": {
                "precision_recall": verdict.curve if verdict else (),
                "alerts_saved": verdict.saved if verdict else (),
                "waiting": verdict.waiting if verdict else (),
            },
        }
        return plain(found)  # type: ignore[no-any-return]


def evaluate(
    actor: Actor, settings: Settings, request: EvaluateRequest, progress: Progress | None = None
) -> Evaluation:
    """Judge a kept run by the labels that the project holds now.

    Labels that came after the run count, so an old run can be judged when its cases are closed. Nothing is scored or
    fitted anew: the scores are those of the run.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_labels` and to `read_alerts`.
    settings : Settings
        Store and project; the seed of the resamples.
    request : EvaluateRequest
        Which run.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    Evaluation

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project, or no such run was kept.
    StoreDamagedError
        What was kept is not what was written.
    """
    with (
        audited(settings, actor, "read_labels", f"evaluation of run {request.run_id or 'last'}") as detail,
        open_project(settings, actor) as project,
    ):
        require(actor, "read_alerts")
        kept = read_run(project.folder, request.run_id or _last(project))
        detail.update(run=kept.run_id)
        return Evaluator(project, kept, _candidates(project, kept.run_id), request, progress).evaluation()


def write_document(actor: Actor, settings: Settings, document: Document, path: Path) -> None:
    """Write a model card or a report to a file: Markdown where its name ends in .md, else HTML.

    Raises
    ------
    AccessDeniedError
        The actor may not export.
    StoreFullError, StoreAccessError
        The file cannot be written.
    """
    with audited(settings, actor, "export", path.name):
        text = to_markdown(document) if path.suffix.lower() == ".md" else to_html(document)
        write_whole_text(path, text, "write the document")


def _last(project: Project) -> str:
    known = kept_runs(project.folder)
    if not known:
        raise StoreError("no run of this project was kept", where=str(project.folder), mend="run first: greywater run")
    return known[-1]


class Evaluator:
    """One evaluation on its way: of what a run kept and of the alerts that it raised, or would have raised."""

    def __init__(
        self,
        project: Project,
        kept: KeptRun,
        candidates: Sequence[Candidate],
        request: EvaluateRequest,
        progress: Progress | None,
    ) -> None:
        self._project = project
        self._kept = kept
        self._request = request
        self._progress = progress
        self._parties = read_parties(project.tables)
        self._candidates = list(candidates)

    def evaluation(self) -> Evaluation:
        """Do it."""
        kept = self._kept
        truth = self._truth()
        begun = Evaluation(kept.run_id, datetime.now(UTC), kept.facts, None)
        if truth is None:
            return Evaluation(**(vars(begun) | {"fairness": self._fairness(None)}))
        threshold = kept.facts["threshold"]
        missed, wasted = kept.facts["costs"]
        judged = Judged(
            kept.scores, 0, kept.scores.score, kept.scores.probability,
            float("inf") if threshold is None else float(threshold), self._candidates, self._parties, (missed, wasted),
        )  # fmt: skip
        verdict = measure_alerts(judged, truth)
        sender, receiver = self._codes()
        return Evaluation(
            run_id=kept.run_id,
            evaluated_at=begun.evaluated_at,
            facts=kept.facts,
            verdict=verdict,
            intervals=self._intervals(judged, truth, verdict, (sender, receiver)),
            reliability=_reliability(verdict.metrics["calibration"]["bins"]),
            periods={
                length: measure_periods(
                    truth.y, judged.score, kept.scores.time_us, judged.threshold,
                    length="quarter" if length == "quarter" else "month", parties=(sender, receiver),
                    resamples=min(self._request.resamples, 100), seed=self._project.settings.seed,
                )
                for length in ("month", "quarter")
            },
            fairness=self._fairness(verdict.guilty),
            resamples=self._request.resamples,
        )  # fmt: skip

    def _truth(self) -> Truth | None:
        """What the labels say now of the payments that the run scored; None without any label."""
        reader = TruthReader.open(self._project.tables)
        seq = self._kept.scores.seq
        if not reader.labelled or not len(seq):
            return None
        if self._progress is not None:
            self._progress.step("finding the labelled payments", len(seq))
        for batch in self._project.ledger.scan(["seq", "tx_id"], start=int(seq[0]), batch_rows=BATCH_ROWS):
            reader.watch(batch)
            if self._progress is not None:
                self._progress.advance(batch.num_rows)
            if batch.column("seq")[-1].as_py() >= int(seq[-1]):
                break
        return reader.targets(self._kept.scores)

    def _codes(self) -> tuple[Int64Array, Int64Array]:
        """The parties of each payment as numbers: customers where accounts have one."""
        known: dict[str, int] = {}
        entities = [self._parties.entity(account) for account in self._kept.scores.accounts]
        code = np.array([known.setdefault(entity, len(known)) for entity in entities], np.int64)
        return code[self._kept.scores.sender], code[self._kept.scores.receiver]

    def _intervals(
        self, judged: Judged, truth: Truth, verdict: Verdict, parties: tuple[Int64Array, Int64Array]
    ) -> dict[str, Interval]:
        """Of the measures per payment, at the budget and of the alerts saved."""
        resamples, seed = self._request.resamples, self._project.settings.seed
        if self._progress is not None:
            self._progress.step("drawing parties again")
        drawn = PartyBootstrap(truth.y, judged.score, parties, resamples=resamples, seed=seed)
        missed, wasted = judged.costs
        found = drawn.payments(judged.threshold, cost_missed=missed, cost_wasted=wasted)
        guilty = verdict.guilty
        alerted = [candidate.entity for candidate in judged.candidates]
        often: dict[str, int] = {}
        for entity in alerted:
            often[entity] = often.get(entity, 0) + 1
        alerts = np.array(list(often.values()), np.float64)
        right = np.array([number if entity in guilty else 0 for entity, number in often.items()], np.float64)
        found["precision_at_budget"] = ratio_interval(right, alerts, resamples=resamples, seed=seed)
        caught = np.array([name in often for name in sorted(guilty)], np.float64)
        found["recall_at_budget"] = ratio_interval(caught, np.ones(len(caught)), resamples=resamples, seed=seed)
        names, best = party_scores(judged)
        laundered = np.array([name in guilty for name in names], np.int64)
        if laundered.any():
            rows = PartyBootstrap(laundered, best, [np.arange(len(names))], resamples=resamples, seed=seed)
            for floor, interval in zip(FLOORS, rows.saved(FLOORS), strict=True):
                found[f"alerts_saved_{floor:.2f}"] = interval
        return found

    def _fairness(self, guilty: frozenset[str] | None) -> tuple[Fairness, ...]:
        """One comparison a protected attribute, over the parties inside the bank that take part in the slice."""
        join = open_attributes(self._project.tables, "protected")
        if join is None or not len(self._kept.scores.seq):
            return ()
        entities, seq, time, accounts = _last_payments(self._kept.scores, self._parties)
        alerted = {candidate.entity for candidate in self._candidates}
        flags = np.array([name in alerted for name in entities], np.bool_)
        laundered = None if guilty is None else np.array([name in guilty for name in entities], np.bool_)
        return tuple(
            measure_fairness(each.name, _groups(join, each, seq, time, accounts), flags, laundered)
            for each in join.attributes
        )


def _candidates(project: Project, run_id: str) -> list[Candidate]:
    """The alerts of a run as candidates again."""
    found = []
    for record in project.records.alerts(run_id):
        payload = record.payload
        time_us = int((record.raised_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000 + 0.5)
        seq = int(payload["evidence"][0]["seq"])
        found.append(
            Candidate(record.entity, "customer" if record.kind == "customer" else "account", record.score,
                      float(payload["probability"]), seq, time_us, (), int(payload.get("folded", 0)))
        )  # fmt: skip
    return found


def _reliability(bins: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Reliability bins as plain mappings with `low_edge`, `high_edge` and the interval `low`, `high` of what came."""
    found = []
    for each in bins:
        came = wilson((each["share_positive"] or 0) * each["rows"], each["rows"])
        found.append(
            {
                "low_edge": each["low"],
                "high_edge": each["high"],
                "rows": each["rows"],
                "mean_probability": each["mean_probability"],
                "share_positive": each["share_positive"],
                "low": came.low,
                "high": came.high,
            }
        )
    return found


def _last_payments(scores: Scores, parties: Parties) -> tuple[list[str], Int64Array, Int64Array, pa.Array]:
    """Parties inside the bank, and of each the seq, the time and the account of its last payment in the slice."""
    last = np.full(len(scores.accounts), -1, np.int64)
    rows = np.arange(len(scores.seq), dtype=np.int64)
    for codes in (scores.sender, scores.receiver):
        np.maximum.at(last, codes, rows)
    best: dict[str, tuple[int, str]] = {}
    for code in np.flatnonzero(last >= 0).tolist():
        account = scores.accounts[code]
        if account.startswith(EXTERNAL_PREFIX):
            continue
        entity = parties.entity(account)
        best[entity] = max(best.get(entity, (-1, "")), (int(last[code]), account))
    places = np.array([row for row, _ in best.values()], np.int64)
    accounts = pa.array([account for _, account in best.values()], pa.string())
    return list(best), scores.seq[places], scores.time_us[places], accounts


def _groups(
    join: AttributeJoin, attribute: Attribute, seq: Int64Array, time: Int64Array, accounts: pa.Array
) -> list[str]:
    """The group of each party: a word, yes or no, or a quarter of the numbers; "" = not known."""
    values = join.values(attribute.name, seq, time, accounts)
    if attribute.kind == "text":
        words = attribute.words
        return [words[code] if 0 <= code < len(words) else "" for code in values.astype(np.int64).tolist()]
    if attribute.kind == "flag":
        return [{0: "no", 1: "yes"}.get(code, "") for code in values.astype(np.int64).tolist()]
    known = values[~np.isnan(values)]
    if not len(known):
        return [""] * len(values)
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75]))
    bounds = [float(known.min()), *edges.tolist(), float(known.max())]
    names = [f"{low:g} to {high:g}" for low, high in pairwise(bounds)]
    place = np.clip(np.searchsorted(edges, values, side="left"), 0, len(names) - 1)
    return [names[at] if known else "" for at, known in zip(place.tolist(), (~np.isnan(values)).tolist(), strict=True)]
