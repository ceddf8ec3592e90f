"""The use cases of ONNX: a model that was fitted elsewhere is registered, a kept model is written as a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.model_place import (
    MODELS,
    choose_model,
    kept_names,
    learned_slice,
    measures_of,
    register_model,
    slice_words,
)
from greywater.app.replaying import FeatureRows
from greywater.app.run import code_versions
from greywater.app.split import Split, split_by_time
from greywater.app.training import model_features
from greywater.app.wiring import open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.column_choice import columns_for
from greywater.detectors.detector import Validation
from greywater.detectors.loading import load_detector
from greywater.detectors.metrics import measure_payments
from greywater.detectors.onnx_detector import OnnxDetector
from greywater.detectors.onnx_export import Exported, export_onnx
from greywater.detectors.onnx_model import OnnxModel
from greywater.errors import EmptyInputError, UsageError
from greywater.stores.durable import store_errors, write_file_durably
from greywater.vocab import Actor, Progress, TrainingTable

__all__ = ["AddRequest", "Added", "Written", "add_model", "export_model"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_UNKNOWN: Final = "it is not known what the model learned from; it may have seen the payments that it is measured on"


@dataclass(frozen=True)
class AddRequest:
    """What to register.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        What the model is called; the file's name without its ending where left out.
    columns : str
        Columns of its input in order, with commas between, or a file with one a line; empty = the file names them.
    output : str
        Which output is the score; empty = the file tells.
    turned : bool
        A lower output is more suspicious.
    trained_until : str, optional
        The last day that it learned from, ISO 8601.
    """

    path: Path
    name: str | None = None
    columns: str = ""
    output: str = ""
    turned: bool = False
    trained_until: str | None = None


@dataclass(frozen=True)
class Added:
    """A model that was registered. `sha256` is the file's; `notes` are sentences for whoever reads the measures."""

    model: str
    columns: tuple[str, ...]
    sha256: str
    evidence: dict[str, Any]
    card: dict[str, Any]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater models add --json`."""
        return asdict(self) | {"columns": list(self.columns), "notes": list(self.notes)}


@dataclass(frozen=True)
class Written:
    """A file that was written, and the model it was made of."""

    model: str
    path: Path
    sha256: str
    exported: Exported

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater models export --json`."""
        made = self.exported
        return {
            "model": self.model,
            "file": str(self.path),
            "sha256": self.sha256,
            "columns": list(made.columns),
            "outputs": list(made.outputs),
            "note": made.note,
            "compared": made.compared,
            "largest": made.largest,
            "flipped": made.flipped,
        }


def add_model(actor: Actor, settings: Settings, request: AddRequest, progress: Progress | None = None) -> Added:
    """Calibrate an ONNX model on the project's payments, keep it, and register it as a candidate.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store and project.
    request : AddRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        The name cannot be a folder or is taken, or the day cannot be read.
    DetectorError
        The file cannot be used, or reads columns that the project does not have.
    """
    told = progress or Silent()
    name, until = request.name or request.path.stem, _moment(request.trained_until)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a model", where="--name", mend="use letters, digits, -, _ and ."
        )
    if not request.path.is_file():
        raise UsageError("there is no such file", where=str(request.path), mend="name an ONNX file")
    with store_errors(request.path, "read the model"):
        content = request.path.read_bytes()
    named = _columns(request.columns)
    columns = OnnxModel.open(
        content, named, output=request.output, turned=request.turned, where=str(request.path)
    ).columns
    with (
        audited(settings, actor, "train", f"model {name}") as detail,
        open_project(settings, actor) as project,
        open_workplace(project, "add model", parameters={"model": name}, versions=code_versions()) as place,
    ):
        if name in kept_names(project):
            raise UsageError(f"a model {name!r} is kept already", where="--name", mend="give it another name")
        made = model_features(project, place.folder, told, columns)
        split = split_by_time(made.replayed.time_us, labelled=made.truth is not None)
        detector = OnnxDetector(
            content,
            columns=columns,
            output=request.output,
            turned=request.turned,
            source=request.path.name,
            seed=settings.seed,
            threshold_by="cost" if settings.threshold_by == "cost" else "f1",
            cost_missed=settings.cost_missed,
            cost_wasted=settings.cost_wasted,
        )
        _calibrate(detector, columns, made, split)
        evidence = _evidence(detector, made, split, until)
        detector.annotate({"data_version": project.ledger.next_seq, "learned": evidence["learned"]})
        detector.save(project.folder / MODELS / name)
        register_model(project, name, evidence, why=f"brought as {request.path.name}")
        digest = hashlib.sha256(content).hexdigest()
        place.summary.update(model=name, sha256=digest)
        detail.update(model=name, sha256=digest)
    notes = (_UNKNOWN,) if until is None and evidence["measures"] is not None else ()
    return Added(name, columns, digest, evidence, detector.card, notes)


def export_model(actor: Actor, settings: Settings, name: str | None, out: Path, part: str = "") -> Written:
    """Write a kept model as an ONNX file.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `export`.
    settings : Settings
    name : str, optional
        A kept model; the one that `greywater score` would take where left out.
    out : Path
        The file.
    part : str
        Of a hybrid: which of its parts.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    DetectorError
        There is no such model, or it cannot be exported; the message says why.
    StoreError
        The file cannot be written.
    """
    with audited(settings, actor, "export", out.name) as detail:
        with open_project(settings, actor) as project:
            chosen = choose_model(project, name)
        exported = export_onnx(load_detector(chosen.folder), part)
        digest = hashlib.sha256(exported.content).hexdigest()
        write_file_durably(out, exported.content)
        detail.update(model=chosen.name, sha256=digest)
    return Written(chosen.name, out, digest, exported)


def _columns(said: str) -> tuple[str, ...]:
    """Names with commas between, or of a file with one a line."""
    path = Path(said)
    if said and "," not in said and path.is_file():
        with store_errors(path, "read the columns"):
            return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return tuple(name.strip() for name in said.split(",") if name.strip())


def _moment(day: str | None) -> int | None:
    """The end of a day, or the moment that is named, microseconds since 1970."""
    if day is None:
        return None
    try:
        moment = datetime.fromisoformat(day)
    except ValueError:
        raise UsageError(f"{day!r} is no date", where="--trained-until", mend="give one such as 2024-03-31") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if len(day) == len("2024-03-31"):
        moment += timedelta(days=1) - timedelta(microseconds=1)
    return int(moment.timestamp() * 1_000_000)


def _rows(columns: tuple[str, ...], made: FeatureRows, begin: int, end: int | None) -> TrainingTable:
    return columns_for(made.blocks.slice(begin, end), columns)


def _calibrate(detector: OnnxDetector, columns: tuple[str, ...], made: FeatureRows, split: Split) -> None:
    """Ranks on the first slice; with labels a sigmoid and a threshold on the second."""
    later = None
    if made.truth is not None and split.validation > split.train:
        y = made.truth.y[split.train : split.validation]
        later = Validation(_rows(columns, made, split.train, split.validation), y)
    if not split.train:
        raise EmptyInputError("there are too few payments to calibrate on", mend="record more: greywater ingest PATH")
    detector.fit(
        _rows(columns, made, 0, split.train), time=made.replayed.time_us[: split.train], validation=later
    )  # fmt: skip


def _evidence(detector: OnnxDetector, made: FeatureRows, split: Split, until: int | None) -> dict[str, Any]:
    """How it does on the last payments, of these on the ones after the day that it learned until."""
    times = made.replayed.time_us
    begin = split.alerting if until is None else max(split.alerting, int(np.searchsorted(times, until, side="right")))
    said = learned_slice(made, split)
    known = None if until is None else datetime.fromtimestamp(until / 1e6, UTC).isoformat(timespec="seconds")
    learned = {"from": None, "to": known, "payments": None, "laundering": None, "tuned": said["tuned"]}
    learned["seen_until"] = None if until is None else max(until, int(said["seen_until"]))
    measures = None
    if made.truth is not None and begin < made.rows:
        score = detector.score(_rows(detector.names, made, begin, None))
        measures = measures_of(measure_payments(made.truth.y[begin:], score, detector.threshold.value))
    return {"learned": learned, "slice": slice_words(made, begin, made.rows), "measures": measures}
