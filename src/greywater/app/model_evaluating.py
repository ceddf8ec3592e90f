"""The use case that judges a model that was kept, on payments that it has not seen, as a run would have been judged."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from greywater.access.policy import require
from greywater.app.audit import audited
from greywater.app.evaluating import EvaluateRequest, Evaluation, Evaluator
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.judging import Judged, judge
from greywater.app.keeping import KeptRun, Scores
from greywater.app.mandatory import roll_up_with_mandatory
from greywater.app.parties import read_parties
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.run import code_versions
from greywater.app.split import Split
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.desk.rollup import Candidate, ScoredPayments
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.loading import load_detector
from greywater.errors import DetectorError, EmptyInputError
from greywater.vocab import Actor, Float64Array, Progress

__all__ = ["evaluate_model"]


def evaluate_model(
    actor: Actor,
    settings: Settings,
    model: str,
    split: Split,
    *,
    resamples: int = 200,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the payments behind a model's slices, and judge it by the labels known now, with intervals.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `run`, `read_labels` and `read_alerts`.
    settings : Settings
        Store and project; the seed of the resamples; costs.
    model : str
        Id of a model that the project keeps.
    split : Split
        What it learned from and was tuned on: `Trained.split`. All scored payments from `alerting` on are judged,
        those recorded since among them.
    resamples : int
        Behind each interval.
    budget : Budget, optional
        How many alerts it would raise; 20 a day where left out. None is raised.
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    DetectorError
        There is no such model, or it is damaged.
    EmptyInputError
        No payment is behind the slices, or there is no label.
    """
    told, chosen = progress or Silent(), budget or Budget()
    with (
        audited(settings, actor, "read_labels", f"evaluation of model {model}") as detail,
        open_project(settings, actor) as project,
        open_workplace(project, "evaluate", parameters={"model": model}, versions=code_versions()) as place,
    ):
        require(actor, "run")
        require(actor, "read_alerts")
        folder = project.folder / "models" / Path(model).name
        if not folder.is_dir():
            raise DetectorError(f"no model is named {model!r}", where=str(folder), mend="fit one: greywater train")
        kept, candidates = _judged(project, folder, split, chosen, place.folder, told)
        found = Evaluator(project, kept, candidates, EvaluateRequest(model, resamples), told).evaluation()
        place.summary.update(model=model, payments=len(kept.scores.seq))
        detail.update(model=model, payments=len(kept.scores.seq))
    return found


def _judged(
    project: Project, folder: Path, split: Split, budget: Budget, workplace: Path, progress: Progress
) -> tuple[KeptRun, list[Candidate]]:
    """What a run of this model would have kept, and whom it would have alerted."""
    detector: Any = load_detector(folder)
    known = project_features(project)
    names = getattr(detector, "names", None)
    made = replay_project(project, known if names is None else known.for_columns(names), workplace, progress)
    if made.truth is None or split.alerting >= made.rows:
        lacks = "label" if made.truth is None else "payment behind those that the model learned from"
        raise EmptyInputError(
            f"there is no {lacks} to judge the model by", where=str(project.folder),
            mend="record more: greywater ingest PATH --labels FILE",
        )  # fmt: skip
    rows = made.blocks.slice(split.alerting)
    progress.step("scoring", rows.rows)
    score = detector.score(rows)
    probability = detector.calibrate(score)
    candidates = _candidates(project, detector, made, split.alerting, score, probability, budget)
    scores = Scores.of(made.replayed, split.alerting, score, probability)
    threshold = float(detector.threshold.value)
    costs = (project.settings.cost_missed, project.settings.cost_wasted)
    judged = Judged(
        made.replayed, split.alerting, score, probability, threshold, candidates, read_parties(project.tables), costs
    )
    earlier = Validation(made.blocks.slice(split.train, split.validation), made.truth.y[split.train : split.validation])
    verdict = judge(judged, made.truth, made.blocks, earlier if earlier.y.any() else None)
    facts = {
        "made_at": datetime.now(UTC).isoformat(),
        "title": f"model {folder.name}",
        "detector": {"kind": detector.kind, "name": detector.kind, "why": "", "card": detector.card},
        "features": {
            "name": made.features.name,
            "fingerprint": made.features.fingerprint,
            "columns": len(made.features.names),
            "set": made.features.to_json(),
        },
        "budget": str(budget),
        "base_currency": project.file.base_currency,
        "split": asdict(split) | {"rows": made.rows},
        "threshold": threshold,
        "costs": list(costs),
        "allow_protected": project.settings.allow_protected,
        "metrics": verdict.metrics,
        "versions": code_versions() | {"model": folder.name, "data": f"{project.ledger.next_seq} payments"},
    }
    return KeptRun(folder.name, facts, scores), candidates


def _candidates(
    project: Project,
    detector: Any,
    made: FeatureRows,
    begin: int,
    score: Float64Array,
    probability: Float64Array,
    budget: Budget,
) -> list[Candidate]:
    replayed = made.replayed
    rows = made.blocks.slice(begin)
    payments = ScoredPayments(
        seq=replayed.seq[begin:],
        time_us=replayed.time_us[begin:],
        score=score,
        probability=probability,
        sender=replayed.sender[begin:],
        receiver=replayed.receiver[begin:],
        accounts=replayed.accounts,
        customer_of=read_parties(project.tables).customer_of,
        horizon_us=int(replayed.time_us[:begin].max()) if begin else None,
    )
    mandatory = detector.mandatory(rows) if isinstance(detector, Hybrid) else score != score
    return roll_up_with_mandatory(payments, budget, mandatory)
