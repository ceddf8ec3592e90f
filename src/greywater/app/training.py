"""Fits a detector on what a project recorded, and keeps it as a candidate."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from greywater.app.audit import audited
from greywater.app.fit_notes import note_fitted, note_judged
from greywater.app.fitting import Fitted, fit_detector
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.judging import payment_metrics
from greywater.app.model_place import MODELS, learned_slice, measures_of, model_evidence, register_model
from greywater.app.provenance import fit_settings, fit_versions
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.rule_place import words_of
from greywater.app.split import Split, cut_at, split_by_time
from greywater.app.tracing import note_run
from greywater.app.tuned import read_tuned
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import Workplace, open_workplace
from greywater.config import Settings
from greywater.detectors.metrics import PaymentMeasures, measure_payments
from greywater.detectors.saved import plain
from greywater.errors import EmptyInputError
from greywater.stores.run_log import RunLog
from greywater.vocab import Actor, Float64Array, Progress

__all__ = ["TrainRequest", "Trained", "fit_recorded", "model_features", "train"]


@dataclass(frozen=True)
class TrainRequest:
    """How much to learn from.

    `whole` False: learn on the first 60 %, tune on the next 20 %, measure on the last 20 %. True: learn on the first
    75 %, tune on the rest, and measure nothing. `tags` go on the run, for finding it again. `tuned` names a study: its
    detector is fitted, with the parameters that it found best.
    """

    whole: bool = False
    tags: tuple[str, ...] = ()
    tuned: str | None = None


@dataclass(frozen=True)
class Trained:
    """A model that was kept: its id, what it is, and how it did on payments that it has not seen.

    `test` is None without labels, or where everything was learned from.
    """

    model: str
    folder: Path
    fitted: Fitted
    split: Split
    test: PaymentMeasures | None

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater train --json`; docs/cli.md describes it."""
        found: dict[str, Any] = plain(
            {
                "model": self.model,
                "detector": {"kind": self.fitted.kind, "name": self.fitted.name, "why": self.fitted.why},
                "split": asdict(self.split),
                "card": self.fitted.detector.card,
                "test": None if self.test is None else asdict(self.test),
            }
        )
        return found


def train(
    actor: Actor, settings: Settings, request: TrainRequest | None = None, progress: Progress | None = None
) -> Trained:
    """Fit the detector that the settings name on the recorded payments, and keep it in the project.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store, project, features, detector.
    request : TrainRequest, optional
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    EmptyInputError
        The project holds no payment to learn from.
    DetectorError
        No study of the name `tuned` has found parameters.
    """
    asked, told = request or TrainRequest(), progress or Silent()
    with audited(settings, actor, "train", "payments") as detail:
        found = None if asked.tuned is None else read_tuned(settings.project_folder, asked.tuned)
        tuned = None if found is None else found.in_short()
        chosen = settings if found is None else settings.with_(detector=found.detector)
        parameters = {"whole": asked.whole, **fit_settings(chosen), **({} if tuned is None else {"tuned": tuned})}
        with (
            open_project(chosen, actor) as project,
            open_workplace(project, "train", parameters=parameters, versions=fit_versions(project)) as place,
        ):
            RunLog(project.records.database).tag(actor, place.run_id, asked.tags)
            trained = fit_recorded(project, place, asked, told, tuned=tuned)
            note_run(project, place.run_id, ())
            detail.update(model=place.run_id, detector=trained.fitted.kind)
    return trained


def fit_recorded(
    project: Project,
    place: Workplace,
    request: TrainRequest,
    progress: Progress,
    *,
    measured: bool = True,
    why: str = "fitted by greywater train",
    tuned: Mapping[str, Any] | None = None,
) -> Trained:
    """Fit the detector that the project's settings name on its payments, keep it, and write down how it did.

    Parameters
    ----------
    project : Project
        Open for reading.
    place : Workplace
        Of the run, whose id the model gets.
    request : TrainRequest
    progress : Progress
    measured : bool
        Write the data version and the measures on the last slice on the model's card; those of `greywater run` have
        neither.
    why : str
        Why it is a candidate.
    tuned : mapping, optional
        Of a study: `parameters`, and what else goes on the card (`Tuned.in_short`).
    """
    made = model_features(project, place.folder, progress)
    split = _split(made, request)
    fitted = fit_detector(
        made.blocks, made.replayed, made.truth, split, project.settings, progress, words_of(made.features),
        place.fit.series, None if tuned is None else tuned["parameters"],
    )  # fmt: skip
    test, scores = _test(fitted, made, split)
    facts = {"data_version": project.ledger.next_seq, "test": None if test is None else asdict(test)}
    learned: dict[str, Any] = {"learned": learned_slice(made, split)}
    if tuned is not None:  # keys in the order of the records, so that a repeat writes the same bytes
        learned["tuned"] = json.loads(json.dumps(plain(tuned), sort_keys=True))
    fitted.detector.annotate({**(facts if measured else {}), **learned})
    folder = project.folder / MODELS / place.run_id
    fitted.detector.save(folder)
    note_fitted(place.fit, fitted, made, split, folder)
    y = None if made.truth is None else made.truth.y[split.alerting :]
    note_judged(place.fit, scores, y, None if test is None else payment_metrics(test))
    measures = None if test is None else measures_of(test)
    register_model(project, place.run_id, model_evidence(made, split, measures), why=why)
    place.summary.update(detector=fitted.kind, payments=split.rows)
    return Trained(place.run_id, folder, fitted, split, test)


def model_features(
    project: Project, folder: Path, progress: Progress, names: Collection[str] | None = None
) -> FeatureRows:
    """The features of all payments; of models that are fitted already, those that they name."""
    features = project_features(project)
    made = replay_project(project, features if names is None else features.for_columns(names), folder, progress)
    if not made.rows:
        raise EmptyInputError(
            "no payment between two accounts of the bank is recorded",
            where=str(project.folder),
            mend="record payments: greywater ingest PATH",
        )
    return made


def _split(made: FeatureRows, request: TrainRequest) -> Split:
    split = split_by_time(made.replayed.time_us, labelled=made.truth is not None)
    if request.whole:
        train_rows = cut_at(made.replayed.time_us, 0.75) or int(made.rows * 0.75)
        tuned = made.rows if made.truth is not None else train_rows
        split = replace(split, train=train_rows, validation=tuned, alerting=made.rows)
    if not split.train:
        raise EmptyInputError(
            "there is no payment before the last ones to learn from", mend="record more payments: greywater ingest PATH"
        )
    return split


def _test(fitted: Fitted, made: FeatureRows, split: Split) -> tuple[PaymentMeasures | None, Float64Array]:
    """How it does on what it has not seen, where there are labels, and the scores of that."""
    if split.alerting >= made.rows:
        return None, np.empty(0)
    found = fitted.detector.score(made.blocks.slice(split.alerting))
    if made.truth is None:
        return None, found
    return measure_payments(made.truth.y[split.alerting :], found, fitted.threshold), found
