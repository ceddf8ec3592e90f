"""The use case that fits several detectors on the same payments and shows them side by side on the last slice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from greywater.app.audit import audited
from greywater.app.fitting import CALLED, fit_detector
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.keeping import kept_runs, read_run
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.rule_place import words_of
from greywater.app.split import Split, split_by_time
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import DETECTORS, Settings
from greywater.desk.budget import Budget
from greywater.detectors.metrics import PaymentMeasures, measure_payments
from greywater.detectors.saved import plain
from greywater.detectors.side_by_side import precision_of_highest
from greywater.errors import DetectorError, EmptyInputError, ExtraMissingError, UsageError
from greywater.vocab import Actor, Progress

__all__ = ["Comparison", "Contender", "compare_detectors"]


@dataclass(frozen=True)
class Contender:
    """What came of one detector.

    Parameters
    ----------
    detector, name : str
        As the setting names it, and what it is called.
    measures : PaymentMeasures or None
        On the last slice; None where it could not be fitted: `why` says so.
    precision_at_budget : float or None
        Share of laundering among the payments with the highest scores, as many as the budget has alerts.
    seconds : float
        Of fitting and scoring.
    why : str
        What it learned from, or why there is none.
    """

    detector: str
    name: str
    measures: PaymentMeasures | None
    precision_at_budget: float | None
    seconds: float
    why: str


@dataclass(frozen=True)
class Comparison:
    """Detectors side by side, fitted on the same first 60 %, tuned on the next 20 %, measured on the last 20 %."""

    contenders: tuple[Contender, ...]
    budget: str
    split: Split

    def to_json(self) -> dict[str, Any]:
        """As `detectors` in `greywater evaluate --json`."""
        return plain(asdict(self))  # type: ignore[no-any-return]


def compare_detectors(
    actor: Actor,
    settings: Settings,
    names: Sequence[str],
    progress: Progress | None = None,
    *,
    budget: Budget | None = None,
) -> Comparison:
    """Work out the features of the project anew, and fit one detector after another on them.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store, project, features, seed, and what the threshold is chosen by.
    names : sequence of str
        As the setting `detector` has them; repeats are left out.
    progress : Progress, optional
        Told how far it is.
    budget : Budget, optional
        How many payments count for `precision_at_budget`; that of the project's last run where left out, or 20 a day.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        A name is no detector's, or none is given.
    EmptyInputError
        There are no labels, or no payments before the last ones.
    """
    asked = list(dict.fromkeys(names))
    unknown = [name for name in asked if name not in DETECTORS]
    if unknown or not asked:
        raise UsageError(
            f"no detector is named {unknown[0]!r}" if unknown else "no detector is named",
            where="--detectors",
            mend=f"give some of {', '.join(DETECTORS)}",
        )
    told = progress or Silent()
    # The rules of a hybrid read columns of their own; so that all see the same, all see these.
    shared = settings.with_(detector="hybrid") if "hybrid" in asked else settings.with_(detector=asked[0])
    with (
        audited(settings, actor, "train", "detectors side by side") as detail,
        open_project(shared, actor) as project,
        open_workplace(project, "compare", parameters={"detectors": asked}, versions={}) as place,
    ):
        detail.update(run=place.run_id, detectors=asked)
        chosen = budget or _last_budget(project)
        made = replay_project(project, project_features(project), place.folder, told)
        split = _split(made)
        found = tuple(_contender(name, made, split, settings, chosen, told) for name in asked)
        place.summary.update(detectors=len(found))
    return Comparison(found, str(chosen), split)


def _last_budget(project: Project) -> Budget:
    known = kept_runs(project.folder)
    said = read_run(project.folder, known[-1]).facts.get("budget") if known else None
    return Budget() if said is None else Budget.parse(str(said))


def _split(made: FeatureRows) -> Split:
    if made.truth is None:
        raise EmptyInputError(
            "there are no labels to measure detectors by",
            where="labels",
            mend="record labels: greywater ingest --labels",
        )
    split = split_by_time(made.replayed.time_us, labelled=True)
    if not split.train or split.validation >= split.rows:
        raise EmptyInputError("there are too few payments to cut by time", mend="record more: greywater ingest PATH")
    return split


def _contender(
    name: str, made: FeatureRows, split: Split, settings: Settings, budget: Budget, progress: Progress
) -> Contender:
    begun = time.perf_counter()
    try:
        fitted = fit_detector(
            made.blocks, made.replayed, made.truth, split, settings.with_(detector=name), progress,
            words_of(made.features),
        )  # fmt: skip
    except (DetectorError, ExtraMissingError) as error:
        return Contender(name, CALLED.get(name, name), None, None, time.perf_counter() - begun, str(error))
    progress.step(f"scoring with {fitted.name}", split.rows - split.validation)
    score = fitted.detector.score(made.blocks.slice(split.validation))
    progress.advance(len(score))
    seconds = time.perf_counter() - begun
    y = made.truth.y[split.validation :] if made.truth is not None else score[:0].astype(int)
    times = made.replayed.time_us[split.validation :]
    right = precision_of_highest(y, score, times, budget.alerts(settings.alert_minutes), per_day=budget.per_day)
    return Contender(name, fitted.name, measure_payments(y, score, fitted.threshold), right, seconds, fitted.why)
