"""The main job: record payments, work out what was known of each, score, judge, and rank who is worth an hour."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater._version import __version__
from greywater.app.alerting import Scores, raise_alerts
from greywater.app.audit import audited
from greywater.app.experiment_log import FitLog
from greywater.app.fit_notes import note_fitted, note_judged
from greywater.app.fitting import Fitted, fit_detector
from greywater.app.ingest import IngestRequest, IngestResult, Silent, ingest
from greywater.app.joining import project_features
from greywater.app.judging import Judged, Verdict, judge
from greywater.app.keeping import KeptRun, keep_run
from greywater.app.keeping import Scores as KeptScores
from greywater.app.mandatory import roll_up_with_mandatory
from greywater.app.model_place import MODELS, learned_slice, model_evidence, register_model
from greywater.app.parties import Parties, read_parties
from greywater.app.peer_groups import PeerReader, Segments, learn_peers
from greywater.app.provenance import fit_settings, fit_versions
from greywater.app.queueing import later_cut, make_queue
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.rule_hits import rules_of
from greywater.app.rule_place import words_of
from greywater.app.split import Split, split_by_time
from greywater.app.tracing import note_run
from greywater.app.truth import Truth
from greywater.app.waking import sleepers_in_json, woken_since
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import Workplace, open_workplace
from greywater.config import Settings
from greywater.desk.alerts import Alert
from greywater.desk.budget import Budget
from greywater.desk.hibernation import HibernationCut
from greywater.desk.ranking import Ranking
from greywater.desk.rollup import Candidate, ScoredPayments
from greywater.desk.waking import Awakening
from greywater.detectors.detector import Validation
from greywater.detectors.rules.survey import RuleSurvey
from greywater.errors import EmptyInputError
from greywater.features.catalog import FeatureSet
from greywater.features.engine import Footprint
from greywater.kernels.compile import kernel_hash
from greywater.pipeline.replay import Replayed
from greywater.stores.blocks import FeatureBlocks
from greywater.vocab import Actor, Float64Array, Int64Array, Progress

__all__ = ["RunOutcome", "RunRequest", "code_versions", "run"]


@dataclass(frozen=True)
class RunRequest:
    """What to record (nothing: score what the project holds already), and how many alerts may be raised."""

    ingest: IngestRequest
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class RunOutcome:
    """Everything a run found, for the table, the JSON and the report.

    `queue` is what alerts ask of the desk, `woken` who of an earlier run's sleepers wakes, `rules` what rules did on
    payments that could raise one; `verdict` is None without labels. `timings` are seconds per step, in order;
    `peak_rss_mb` the largest memory held.
    """

    run_id: str
    made_at: datetime
    request: RunRequest
    settings: Settings
    ingested: IngestResult
    features: FeatureSet
    footprint: Footprint
    replayed: Replayed
    truth: Truth | None
    split: Split
    fitted: Fitted
    alerts: tuple[Alert, ...]
    queue: Ranking
    woken: tuple[Awakening, ...]
    rules: RuleSurvey
    parties: Parties
    verdict: Verdict | None
    versions: dict[str, str]
    warnings: tuple[str, ...]
    timings: dict[str, float]
    peak_rss_mb: float


def run(actor: Actor, settings: Settings, request: RunRequest, progress: Progress | None = None) -> RunOutcome:
    """Do the main job on the project that the settings name.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `ingest` (where there is something to record), `run` and `train`.
    settings : Settings
        Store, project, windows, costs.
    request : RunRequest
        Files and budget.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    RunOutcome

    Raises
    ------
    AccessDeniedError
        The actor may not.
    EmptyInputError
        The project holds no payment that can be scored.
    InputError, StoreError
        As `greywater.app.ingest.ingest`.
    """
    told = progress or Silent()
    clock = _Clock()
    with clock.step("ingest"):
        ingested = _record(actor, settings, request.ingest, told)
    with (
        audited(settings, actor, "run", "payments") as detail,
        open_project(settings, actor) as project,
        open_workplace(
            project,
            "run",
            parameters={"budget": str(request.budget), **fit_settings(settings)},
            versions=fit_versions(project),
        ) as place,
    ):
        detail["run"] = place.run_id
        outcome = _Run(project, request, ingested, place.run_id, told, clock).outcome(place)
        place.summary.update(alerts=len(outcome.alerts), detector=outcome.fitted.kind, payments=outcome.split.rows)
        detail.update(place.summary)
    return outcome


def _record(actor: Actor, settings: Settings, request: IngestRequest, progress: Progress) -> IngestResult:
    sides = (
        request.labels, request.accounts, request.parties, request.relationships, request.seeds, request.attributes,
    )  # fmt: skip
    if request.paths or any(side is not None for side in sides):
        return ingest(actor, settings, request, progress)
    with open_project(settings, actor) as project:
        return IngestResult.of_project(project)


class _Run:
    """One run on its way."""

    def __init__(
        self,
        project: Project,
        request: RunRequest,
        ingested: IngestResult,
        run_id: str,
        progress: Progress,
        clock: _Clock,
    ) -> None:
        self._project = project
        self._settings = project.settings
        self._request = request
        self._ingested = ingested
        self._id = run_id
        self._progress = progress
        self._clock = clock
        self._warnings = list(ingested.warnings)
        self._models = project.folder / MODELS

    def outcome(self, place: Workplace) -> RunOutcome:
        """Do it."""
        with self._clock.step("features"):
            known = project_features(self._project)
            made = replay_project(self._project, known, place.folder, self._progress)
        features, self._warnings = known.features, [*self._warnings, *known.left_out]
        if not made.rows:
            raise self._nothing_to_score()
        blocks, replayed, truth = made.blocks, made.replayed, made.truth
        parties = read_parties(self._project.tables)
        split = self._split(replayed, truth)
        with self._clock.step("train"):
            fitted = self._fit(made, split, place.fit)
        with self._clock.step("score"):
            score, probability = self._score(fitted, blocks.slice(split.alerting))
            rules = fitted.survey(blocks.slice(split.alerting))
            mandatory = rules.mandatory
        candidates = self._candidates(replayed, split, score, probability, parties, mandatory)
        versions = self._versions(features, fitted)
        with self._clock.step("alerts"):
            segments = Segments.open(self._project.tables, parties)
            groups, typical = learn_peers(blocks.slice(0, split.train), replayed, segments)
            peers = PeerReader(groups, segments)
            alerts = self._alerts(candidates, blocks, fitted, features, split, score, parties, versions, peers)
        kept = KeptScores.of(replayed, split.alerting, score, probability)
        with self._clock.step("rank"):
            cut = later_cut(fitted, blocks, replayed, truth, split, parties, self._settings)
            demanded = blocks.seq[split.alerting :][mandatory]
            labelled = truth is not None and bool(truth.y[: split.validation].any())
            queue = self._queue(alerts, candidates, demanded, parties, fitted, cut, labelled=labelled)
            woken = woken_since(self._project, kept, mandatory, parties, queue.cut)
        verdict = self._verdict(replayed, truth, split, fitted, blocks, candidates, parties, score, probability)
        y = None if truth is None else truth.y[split.alerting :]
        note_judged(place.fit, score, y, verdict.metrics if verdict else None)
        outcome = RunOutcome(
            run_id=self._id,
            made_at=datetime.now(UTC),
            request=self._request,
            settings=self._settings,
            ingested=self._ingested,
            features=features,
            footprint=replayed.footprint,
            replayed=replayed,
            truth=truth,
            split=split,
            fitted=fitted,
            alerts=alerts,
            queue=queue,
            woken=woken,
            rules=rules,
            parties=parties,
            verdict=verdict,
            versions=versions,
            warnings=tuple(self._warnings),
            timings=self._clock.seconds,
            peak_rss_mb=peak_rss_mb(),
        )
        with self._clock.step("keep"):
            keep_run(self._project.folder, self._kept(outcome, kept, blocks, typical, peers))
            evidence = model_evidence(made, split, verdict.metrics if verdict else None)
            register_model(self._project, self._id, evidence, why="fitted by greywater run")
        return outcome

    def _split(self, replayed: Replayed, truth: Truth | None) -> Split:
        """What is learned from, tuned on and alerted."""
        split = split_by_time(replayed.time_us, labelled=truth is not None)
        if not split.train:
            raise EmptyInputError(
                "one payment between two accounts of the bank is recorded, and none before it to learn from",
                where=str(self._project.folder),
                mend="record more payments: greywater ingest PATH",
            )
        return split

    def _fit(self, made: FeatureRows, split: Split, log: FitLog) -> Fitted:
        """The detector, fitted and kept."""
        fitted = fit_detector(
            made.blocks, made.replayed, made.truth, split, self._settings, self._progress, words_of(made.features),
            log.series,
        )  # fmt: skip
        fitted.detector.annotate({"learned": learned_slice(made, split)}).save(self._models / self._id)
        note_fitted(log, fitted, made, split, self._models / self._id)
        return fitted

    def _versions(self, features: FeatureSet, fitted: Fitted) -> dict[str, str]:
        """Versions of everything that makes the alerts."""
        return code_versions() | {
            "data": f"{self._project.ledger.next_seq} payments",
            "features": f"{features.name}, {features.fingerprint}",
            "model": f"{fitted.kind}, run {self._id}",
        }

    def _queue(
        self,
        alerts: tuple[Alert, ...],
        candidates: list[Candidate],
        demanded: Int64Array,
        parties: Parties,
        fitted: Fitted,
        cut: HibernationCut | None,
        *,
        labelled: bool,
    ) -> Ranking:
        """What the alerts ask of the desk."""
        return make_queue(
            alerts,
            candidates,
            np.asarray(demanded, np.int64),
            parties,
            fitted,
            cut,
            self._settings,
            labelled=labelled,
            base_currency=self._project.file.base_currency or "",
        )

    def _verdict(
        self,
        replayed: Replayed,
        truth: Truth | None,
        split: Split,
        fitted: Fitted,
        blocks: FeatureBlocks,
        candidates: list[Candidate],
        parties: Parties,
        score: Float64Array,
        probability: Float64Array,
    ) -> Verdict | None:
        """How good the alerts were; None without labels."""
        if truth is None:
            return None
        with self._clock.step("measure"):
            judged = Judged(
                replayed, split.alerting, score, probability, fitted.threshold, candidates, parties,
                (self._settings.cost_missed, self._settings.cost_wasted),
            )  # fmt: skip
            earlier = Validation(blocks.slice(split.train, split.validation), truth.y[split.train : split.validation])
            return judge(judged, truth, blocks, earlier if earlier.y.any() else None)

    def _kept(
        self,
        outcome: RunOutcome,
        scores: KeptScores,
        blocks: FeatureBlocks,
        typical: pa.Table | None,
        peers: PeerReader,
    ) -> KeptRun:
        """What the run leaves for those who judge or question it later."""
        raising = np.unique(np.array([alert.evidence[0].seq for alert in outcome.alerts], np.int64))
        rows = blocks.take(np.searchsorted(blocks.seq, raising).astype(np.int64))
        names = [file.name for file in self._ingested.files]
        facts = {
            "made_at": outcome.made_at.isoformat(),
            "title": ", ".join(names) or f"project {self._settings.project}",
            "detector": {
                "kind": outcome.fitted.kind,
                "name": outcome.fitted.name,
                "why": outcome.fitted.why,
                "card": outcome.fitted.detector.card,
            },
            "features": {
                "name": outcome.features.name,
                "fingerprint": outcome.features.fingerprint,
                "columns": len(outcome.features.names),
                "set": outcome.features.to_json(),
            },
            "budget": str(outcome.request.budget),
            "base_currency": self._project.file.base_currency,
            "split": asdict(outcome.split),
            "threshold": outcome.fitted.threshold,
            "costs": [self._settings.cost_missed, self._settings.cost_wasted],
            "allow_protected": self._settings.allow_protected,
            "metrics": outcome.verdict.metrics if outcome.verdict else None,
            "rules": outcome.rules.to_json(),
            "sleepers": sleepers_in_json(outcome.queue, int(outcome.replayed.time_us.max())),
            "versions": outcome.versions,
        }
        alerted = rows.add_column(0, "seq", pa.array(raising))
        return KeptRun(self._id, facts, scores, alerted, typical, peers.groups.to_bytes())

    def _nothing_to_score(self) -> EmptyInputError:
        """Why there is nothing, with the first rejected row where rows were rejected."""
        found = "no payment between two accounts of the bank is recorded, so there is nothing to score"
        rejections = self._ingested.rejections
        if not rejections:
            mend = "record payments between accounts: greywater ingest PATH"
            return EmptyInputError(found, where=str(self._project.folder), mend=mend)
        first = rejections[0]
        found += f"; {self._ingested.counts.rejected:,} rows were rejected, the first because of {first.reason}"
        where = f"{first.file}, row {first.row}, column {first.column}"
        return EmptyInputError(found, where=where, mend=f"{first.message}; the table `rejected` holds every reason")

    def _score(self, fitted: Fitted, rows: FeatureBlocks) -> tuple[Float64Array, Float64Array]:
        self._progress.step("scoring", rows.rows)
        score = fitted.detector.score(rows)
        self._progress.advance(rows.rows)
        return score, fitted.calibrate(score)

    def _candidates(
        self,
        replayed: Replayed,
        split: Split,
        score: Float64Array,
        probability: Float64Array,
        parties: Parties,
        mandatory: NDArray[np.bool_],
    ) -> list[Candidate]:
        begin = split.alerting
        payments = ScoredPayments(
            seq=replayed.seq[begin:],
            time_us=replayed.time_us[begin:],
            score=score,
            probability=probability,
            sender=replayed.sender[begin:],
            receiver=replayed.receiver[begin:],
            accounts=replayed.accounts,
            customer_of=parties.customer_of,
            horizon_us=int(replayed.time_us[:begin].max()) if begin else None,
        )
        return roll_up_with_mandatory(payments, self._request.budget, mandatory)

    def _alerts(
        self,
        candidates: list[Candidate],
        blocks: FeatureBlocks,
        fitted: Fitted,
        features: FeatureSet,
        split: Split,
        score: Float64Array,
        parties: Parties,
        versions: dict[str, str],
        peers: PeerReader,
    ) -> tuple[Alert, ...]:
        """Word the alerts and freeze what they say."""
        self._progress.step("explaining alerts", len(candidates))
        alerts = tuple(
            raise_alerts(
                self._id,
                candidates,
                ledger=self._project.ledger,
                blocks=blocks,
                detector=fitted.detector,
                features=features,
                scores=Scores(np.ascontiguousarray(blocks.seq[split.alerting :]), score),
                parties=parties,
                base_currency=self._project.file.base_currency,
                versions=versions,
                peers=peers,
                rules=rules_of(fitted.detector),
                progress=self._progress,
            )
        )
        self._project.records.raise_alerts(self._id, alerts)
        note_run(self._project, self._id, [alert.id for alert in alerts])
        return alerts


class _Clock:
    """Seconds per named step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begun, 3)


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(
        peak / (1_000_000 if sys.platform == "darwin" else 1_000) * (1 if sys.platform == "darwin" else 1.024), 1
    )


def code_versions() -> dict[str, str]:
    """Versions of what makes a result."""
    return {"greywater": __version__, "kernels": kernel_hash(), "python": sys.version.split()[0]}
