"""What each step of a pipeline does: its use case, the rights it needs, and whether its output still stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from greywater.app.backfill import BackfillRequest, backfill
from greywater.app.evaluating import Evaluation, write_document
from greywater.app.features import feature_store
from greywater.app.model_evaluating import evaluate_model
from greywater.app.models import list_models, show_model
from greywater.app.pipeline_file import Pipeline
from greywater.app.pipeline_tables import (
    BackfillTable,
    EvaluateTable,
    ProposeTable,
    TrainingSetTable,
    TrainTable,
    TuneTable,
    ValidateTable,
)
from greywater.app.promotion import Proposed, promote_if_allowed, propose_model
from greywater.app.split import Split
from greywater.app.training import TrainRequest, train
from greywater.app.training_sets import RECORDED, make_training_set
from greywater.app.tuning import TuneRequest, tune
from greywater.app.validating import DriftAsked, ValidateRequest, narrowed, validate_features
from greywater.app.wiring import Project
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.desk.model_card import model_card
from greywater.desk.validation_report import validation_report
from greywater.detectors.saved import DESCRIPTION
from greywater.detectors.tunable import search_space_of
from greywater.detectors.tuning_methods import PRUNERS, SAMPLERS, load_optuna
from greywater.errors import DetectorError, UsageError
from greywater.features.catalog import payment_features
from greywater.featurestore.definitions import FeatureGroup, FeatureView, ValidationRule, ViewFeature
from greywater.featurestore.drift import Window
from greywater.featurestore.part_files import FileLayout
from greywater.featurestore.splits import split_of
from greywater.featurestore.training_record import TrainingQuery, moment_us
from greywater.featurestore.writers import MANIFEST
from greywater.pipeline.backfill import payment_group
from greywater.stores.durable import make_folder
from greywater.stores.part_reader import file_sha256
from greywater.vocab import Actor, Progress, currency_exponent

__all__ = ["WORK", "StepPlace", "StepWork", "refuse_unfit"]

#: Label column of the view that a pipeline makes for itself.
LABEL: Final = "laundering"
Output = dict[str, Any]


@dataclass(frozen=True)
class StepPlace:
    """Where a step works: for whom, with which settings, behind which earlier outputs, on what (its inputs' digest)."""

    actor: Actor
    settings: Settings
    pipeline: Pipeline
    outputs: Mapping[str, Output]
    fingerprint: str
    progress: Progress


@dataclass(frozen=True)
class StepWork:
    """A step.

    Parameters
    ----------
    run : callable
        Does it; returns the output in JSON types.
    actions : tuple of str
        What the actor must be allowed to do.
    stands : callable
        Whether the output of an earlier execution is still there.
    about : str
        In words.
    """

    run: Callable[[StepPlace, Any], Output]
    actions: tuple[str, ...]
    stands: Callable[[Settings, Output], bool]
    about: str


def refuse_unfit(project: Project, pipeline: Pipeline, settings: Settings) -> None:
    """Refuse features and rules that the backfilled group will not have, before anything runs.

    Raises
    ------
    UsageError
        Naming the table.
    """
    where = f"{pipeline.path}, "
    tuned = pipeline.steps.get("tune")
    if isinstance(tuned, TuneTable):
        _refuse_untunable(tuned, settings, where + "[tune]")
    asked = pipeline.steps.get("backfill")
    if not isinstance(asked, BackfillTable):
        return
    features = payment_features(settings, project.file.resolution_us or 1)
    try:
        if asked.features:
            exponent = currency_exponent(project.file.base_currency)
            features = features.also((), base_exponent=exponent).only(asked.features)
    except UsageError as error:
        raise UsageError(error.found, where=where + "[backfill], features", mend=error.mend) from None
    group = payment_group(features)
    checks = pipeline.steps.get("validate")
    if isinstance(checks, ValidateTable):
        try:
            narrowed(group, _rules(checks))
        except UsageError as error:
            raise UsageError(error.found, where=f"{where}[validate], {error.where}", mend=error.mend) from None
    known = {one.name for one in group.features}
    for name, columns in _columns(pipeline).items():
        strange = [column for column in columns if column not in known]
        if strange:
            raise UsageError(
                f"{', '.join(strange[:5])} will not be among the backfilled features", where=where + name,
                mend=f"add them to features of [backfill], or name some of its {len(known)}",
            )  # fmt: skip


def _refuse_untunable(table: TuneTable, settings: Settings, where: str) -> None:
    load_optuna()
    try:
        search_space_of(table.detector or settings.detector)
    except DetectorError as error:
        raise UsageError(error.found, where=where, mend=error.mend) from None
    for word, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if getattr(table, word) not in known:
            raise UsageError(
                f"no {word} is named {getattr(table, word)!r}", where=f"{where}, {word}",
                mend=f"give one of {', '.join(known)}",
            )  # fmt: skip


def _columns(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    checks, made = pipeline.steps.get("validate"), pipeline.steps.get("training_set")
    drift = checks.drift if isinstance(checks, ValidateTable) else None
    return {
        "[validate.drift], features": () if drift is None else drift.features,
        "[training_set], columns": made.columns if isinstance(made, TrainingSetTable) else (),
    }


# ------------------------------------------------------------------- steps


def _backfill(place: StepPlace, table: BackfillTable) -> Output:
    request = BackfillRequest(
        begin=_moment(table.begin), end=_moment(table.end), engine=table.engine, master=table.master,
        slices=table.slices, known_time=table.known_time, features=table.features, statistics=table.statistics,
    )  # fmt: skip
    return backfill(place.actor, place.settings, request, place.progress).to_json()


def _validate(place: StepPlace, table: ValidateTable) -> Output:
    drift = None
    if table.drift is not None:
        windows = (_window(table.drift.reference), _window(table.drift.live))
        drift = DriftAsked(*windows, table.drift.features, table.drift.action)
    group = place.outputs["backfill"]
    request = ValidateRequest(group["group"], group["version"], table.least_rows, _rules(table), drift)
    return validate_features(place.actor, place.settings, request, place.progress).to_json()


def _training_set(place: StepPlace, table: TrainingSetTable) -> Output:
    name = place.pipeline.name
    view = _view(place, table)
    with feature_store(place.actor, place.settings, "read_features", f"training sets {name}") as (store, _):
        version = max((one.version for one in store.records.training_sets(name)), default=0) + 1
    home = place.settings.project_folder / "pipelines" / name / "training_sets"
    folder = (home if table.out is None else place.pipeline.beside(table.out)) / f"{name}-{version}"
    make_folder(folder.parent)
    query = TrainingQuery(
        name, version, table.begin, table.end or _END, split_of(table.split, place.settings.seed), row_id=table.row_id,
        as_known_at=table.known, allow_protected=place.settings.allow_protected, slices=table.slices,
    )  # fmt: skip
    labels = RECORDED if table.labels == RECORDED else str(place.pipeline.beside(table.labels))
    layout = FileLayout(table.format)
    record = make_training_set(place.actor, place.settings, view, labels, query, folder, layout)
    return {
        "name": name, "version": version, "view": f"{view[0]}@{view[1]}", "folder": str(folder.absolute()),
        "rows": record.rows, "parts": {part.name: part.rows for part in record.parts}, "sha256": record.sha256,
        "warnings": list(record.warnings),
    }  # fmt: skip


def _tune(place: StepPlace, table: TuneTable) -> Output:
    # The same inputs go on with the same study; others begin one of their own.
    name = f"{place.pipeline.name[:48]}-{place.fingerprint[:12]}"
    space = None if table.space is None else place.pipeline.beside(table.space)
    request = TuneRequest(
        name, table.trials, table.minutes, table.money, table.per_hour, table.sampler, table.pruner, table.workers,
        space=space,
    )  # fmt: skip
    found = tune(place.actor, place.settings.with_(detector=table.detector), request, place.progress)
    return {
        "study": name, "detector": found.tuned.detector, "parameters": found.tuned.parameters,
        "score": found.tuned.score, "default_score": found.tuned.default_score, "trials": found.tally.ended,
        "tally": asdict(found.tally),
        "sha256": file_sha256(found.kept), "file": str(found.kept.absolute()),
    }  # fmt: skip


def _train(place: StepPlace, table: TrainTable) -> Output:
    settings = place.settings.with_(detector=table.detector)
    study = place.outputs["tune"]["study"] if "tune" in place.outputs else None
    trained = train(place.actor, settings, TrainRequest(table.whole, tuned=study), place.progress)
    told = trained.to_json()
    return {
        "tuned": study, "model": trained.model, "detector": told["detector"], "split": told["split"],
        "test": told["test"], "sha256": file_sha256(trained.folder / DESCRIPTION),
    }  # fmt: skip


def _evaluate(place: StepPlace, table: EvaluateTable) -> Output:
    fitted = place.outputs["train"]
    found = evaluate_model(
        place.actor, place.settings, fitted["model"], Split(**fitted["split"]), resamples=table.resamples,
        budget=Budget.parse(table.budget), progress=place.progress,
    )  # fmt: skip
    told = found.to_json()
    told["detector"] = {**told["detector"], "name": fitted["detector"]["name"], "why": fitted["detector"]["why"]}
    written = []
    for given, make in ((table.card, model_card), (table.report, validation_report)):
        if given is not None:
            path = place.pipeline.beside(given)
            write_document(place.actor, place.settings, make(told), path)
            written.append(str(path))
    _refuse_weak(found, table)
    metrics = told["metrics"]
    kept = ("average_precision", "roc_auc", "precision", "recall", "precision_at_budget", "recall_at_budget")
    return {
        "model": fitted["model"], "payments": metrics["payments"], "laundering": metrics["laundering_payments"],
        **{name: metrics[name] for name in kept},
        "intervals": {name: told["intervals"].get(name) for name in kept}, "files": written,
    }  # fmt: skip


def _propose(place: StepPlace, table: ProposeTable) -> Output:
    name = place.outputs["train"]["model"]
    shown = show_model(place.actor, place.settings, name)
    champion = list_models(place.actor, place.settings).champion
    # Killed behind the proposal and before its record, the step finds what it proposed, accepted or still open.
    made = [one for one in shown.proposals if one.against == (champion or "") and one.decision is None]
    if name == champion:
        made = [one for one in shown.proposals if one.decision is not None and one.decision.outcome == "accepted"]
    if name == champion and not made:
        said = "it is the champion already"
        return {"model": name, "proposal": None, "against": None, "passed": True, "promoted": True, "why": said}
    if made:
        proposed = Proposed(made[-1], name == champion or promote_if_allowed(place.actor, place.settings, made[-1]))
    else:
        proposed = propose_model(place.actor, place.settings, name, place.progress)
    proposal = proposed.proposal
    if table.must_pass and not proposal.passed:
        raise DetectorError(
            f"proposal {proposal.id} does not meet the policy: {proposal.why}", where=f"model {name}",
            mend="see the settings promotion_..., or let a person decide: greywater models promote",
        )  # fmt: skip
    return {
        "model": name, "proposal": proposal.id, "against": proposal.against or None, "passed": proposal.passed,
        "promoted": proposed.promoted, "why": proposal.why,
    }  # fmt: skip


def _refuse_weak(found: Evaluation, table: EvaluateTable) -> None:
    metrics = {} if found.verdict is None else found.verdict.metrics
    for name, line in table.least.items():
        value = metrics.get(name)
        if value is None or value < line:
            said = "not defined" if value is None else f"{value:.4g}"
            raise DetectorError(
                f"{name} is {said}, below the {line:g} asked for", where=f"model {found.run_id}",
                mend="learn from more or better labels, try another detector, or lower the line",
            )  # fmt: skip


# -------------------------------------------------------------------- parts

#: Far behind every payment: a training set without an end takes all that is recorded.
_END: Final = "9999-01-01"


def _view(place: StepPlace, table: TrainingSetTable) -> tuple[str, int]:
    """The view that is named, or the one of the backfilled group, registered where it is not yet."""
    group = place.outputs["backfill"]
    with feature_store(place.actor, place.settings, "write_features", f"view of {group['group']}") as (store, _):
        if table.view is not None:
            word, _, version = table.view.partition("@")
            found = store.registry.view(word, int(version) if version else None)
            return found.name, found.version
        held: FeatureGroup = store.registry.group(group["group"], group["version"])
        names = table.columns or tuple(one.name for one in held.features)
        columns = tuple(ViewFeature(held.name, held.version, name) for name in names)
        known = [one for one in store.registry.views() if one.name == place.pipeline.name.replace("-", "_")]
        view = FeatureView(place.pipeline.name.replace("-", "_"), 1, columns, label=LABEL)
        for one in known:
            if (one.columns, one.label) == (view.columns, view.label) and one.state == "active":
                return one.name, one.version
        view = replace(view, version=max((one.version for one in known), default=0) + 1)
        made = store.create_view(view, allow_protected=place.settings.allow_protected)
    return made.name, made.version


def _rules(table: ValidateTable) -> tuple[ValidationRule, ...]:
    return tuple(ValidationRule(one.kind, one.feature, one.given, one.action) for one in table.rules)


def _window(words: str) -> Window:
    begin, _, end = words.partition("..")
    return Window(moment_us(begin), moment_us(end))


def _moment(words: str | None) -> datetime | None:
    return None if words is None else datetime.fromisoformat(words)


def _always(settings: Settings, output: Output) -> bool:
    return True


def _set_stands(settings: Settings, output: Output) -> bool:
    return (Path(output["folder"]) / MANIFEST).is_file()


def _study_stands(settings: Settings, output: Output) -> bool:
    path = Path(output["file"])
    return path.is_file() and file_sha256(path) == output["sha256"]


def _model_stands(settings: Settings, output: Output) -> bool:
    path = settings.project_folder / "models" / str(output["model"]) / DESCRIPTION
    return path.is_file() and file_sha256(path) == output["sha256"]


def _files_stand(settings: Settings, output: Output) -> bool:
    return all(Path(path).is_file() for path in output["files"])


#: The steps by name.
WORK: Final[Mapping[str, StepWork]] = MappingProxyType(
    {
        "backfill": StepWork(_backfill, ("run",), _always, "write the features of recorded payments"),
        "validate": StepWork(_validate, ("write_features",), _always, "hold these features against rules"),
        "training_set": StepWork(
            _training_set, ("write_features", "read_labels"), _set_stands, "make a training set in files"
        ),
        "tune": StepWork(_tune, ("train",), _study_stands, "try parameters of the detector"),
        "train": StepWork(_train, ("train",), _model_stands, "fit a detector and keep it"),
        "evaluate": StepWork(
            _evaluate, ("run", "read_labels", "read_alerts"), _files_stand, "judge it on payments it has not seen"
        ),
        "propose": StepWork(_propose, ("train", "read_records"), _always, "propose it against the champion"),
    }
)
