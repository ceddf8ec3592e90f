"""Where the models of a project lie, how they are registered, and which of them scores where none is named."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.app.replaying import FeatureRows
from greywater.app.split import Split
from greywater.app.wiring import Project
from greywater.detectors.metrics import PaymentMeasures
from greywater.detectors.registry import Kept, Roster
from greywater.detectors.saved import DESCRIPTION, plain
from greywater.errors import DetectorError
from greywater.stores.durable import store_errors
from greywater.stores.model_records import ModelRecords
from greywater.stores.model_rows import StepRecord
from greywater.vocab import Int64Array

__all__ = [
    "MODELS", "Chosen", "choose_model", "kept_model", "kept_names", "learned_slice", "measures_of", "model_evidence",
    "model_folder", "read_roster", "register_model", "require_sound", "rows_words",
    "slice_words", "told_time",
]  # fmt: skip

#: Folder of a project with one folder a model.
MODELS: Final = "models"
#: What evidence says of how a model did, on payments that it has not seen.
MEASURES: Final = ("average_precision", "roc_auc", "partial_roc_auc", "precision", "recall", "f1")
#: Kind of the models that users bring; one of these scores only where it is named, or once it is champion.
BROUGHT: Final = "onnx"

log = logging.getLogger("greywater.models")


@dataclass(frozen=True)
class Chosen:
    """The model that scores, its folder, and why it was taken."""

    name: str
    folder: Path
    why: str


def model_folder(project: Project, name: str) -> Path:
    """Folder of a model that was kept.

    Raises
    ------
    DetectorError
        None is kept under the name.
    """
    home = project.folder / MODELS
    folder = home / name
    if Path(name).name != name or not (folder / DESCRIPTION).is_file():
        known = kept_names(project)
        there = f"; there are {', '.join(known[-5:])}" if known else ""
        raise DetectorError(f"no model is named {name!r}", where=str(home), mend=f"fit one: greywater train{there}")
    return folder


def kept_names(project: Project) -> list[str]:
    """Names of the models that lie in the project's folder, sorted: those that were fitted here by age."""
    home = project.folder / MODELS
    with store_errors(home, "look for kept models"):
        return sorted(path.parent.name for path in home.glob(f"*/{DESCRIPTION}")) if home.is_dir() else []


def read_roster(project: Project) -> Roster:
    """The registered models of this moment."""
    records = ModelRecords(project.records.database)
    return Roster(records.models(), records.steps(), records.proposals())


def kept_model(project: Project, name: str, evidence: Mapping[str, Any] | None = None) -> Kept:
    """A kept model as it is registered.

    Raises
    ------
    DetectorError
        None is kept under the name, or its description is damaged.
    """
    folder = model_folder(project, name)
    try:
        with store_errors(folder, "read a model"):
            kind = str(json.loads((folder / DESCRIPTION).read_bytes())["kind"])
            parts = sorted(path for path in folder.rglob("*") if path.is_file())
            each = [f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in parts]
    except (ValueError, KeyError, TypeError) as error:
        raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend="fit it again") from error
    digest = hashlib.sha256("".join(each).encode()).hexdigest()
    return Kept(name, kind, digest, plain(dict(evidence or {})))


def register_model(
    project: Project, name: str, evidence: Mapping[str, Any] | None = None, why: str = ""
) -> list[StepRecord]:
    """Register a kept model as a candidate; what is registered already stays as it is."""
    kept = kept_model(project, name, evidence)
    records = ModelRecords(project.records.database)
    return records.take(project.actor, lambda *now: Roster(*now).register(kept, why))


def require_sound(project: Project, name: str) -> None:
    """Raise a DetectorError where the folder of a registered model is not what was registered."""
    known = next((one for one in ModelRecords(project.records.database).models() if one.name == name), None)
    if known is not None and kept_model(project, name).sha256 != known.sha256:
        raise DetectorError(
            f"model {name} is not what was registered: a file was changed, added or taken away",
            where=str(project.folder / MODELS / name),
            mend="bring the folder back from a copy, or fit another: greywater train",
        )


def choose_model(project: Project, asked: str | None = None) -> Chosen:
    """The model that is asked for; else the champion; else the newest that was fitted here and is not retired.

    Raises
    ------
    DetectorError
        There is none, or the champion's folder is not what was registered.
    """
    if asked is not None:
        require_sound(project, asked)
        return Chosen(asked, model_folder(project, asked), "it was asked for")
    roster = read_roster(project)
    if roster.champion is not None:
        require_sound(project, roster.champion)
        return Chosen(roster.champion, model_folder(project, roster.champion), "it is the champion")
    brought = {one.name for one in ModelRecords(project.records.database).models() if one.kind == BROUGHT}
    usable = [name for name in kept_names(project) if name not in brought and roster.state(name) != "retired"]
    if not usable:
        raise DetectorError(
            "no model was kept", where=str(project.folder / MODELS), mend="fit one: greywater train"
        )  # fmt: skip
    return Chosen(usable[-1], model_folder(project, usable[-1]), "there is no champion, and it is the newest")


def learned_slice(made: FeatureRows, split: Split) -> dict[str, Any]:
    """Which payments a model learned from and was tuned on, for its card and its evidence; JSON types."""
    known = slice_words(made, 0, split.train) | {"tuned": slice_words(made, split.train, split.validation)}
    times = made.replayed.time_us
    return known | {"seen_until": int(times[max(split.validation, split.train) - 1])}


def slice_words(made: FeatureRows, begin: int, end: int) -> dict[str, Any]:
    """Payments [begin, end): from when to when, how many, and how many of them are labelled laundering."""
    return rows_words(made, np.arange(begin, end))


def rows_words(made: FeatureRows, rows: Int64Array) -> dict[str, Any]:
    """The same of payments at increasing positions."""
    if not len(rows):
        return {"from": None, "to": None, "payments": 0, "laundering": 0}
    times = made.replayed.time_us[rows]
    laundering = 0 if made.truth is None else int(made.truth.y[rows].sum())
    first, last = (told_time(int(edge)) for edge in (times.min(), times.max()))
    return {"from": first, "to": last, "payments": len(times), "laundering": laundering}


def measures_of(measures: PaymentMeasures) -> dict[str, Any]:
    """What evidence says of measures, JSON types."""
    at = measures.at_threshold
    known = {name: getattr(measures, name) for name in ("average_precision", "roc_auc", "partial_roc_auc")}
    return plain(known | {name: getattr(at, name) for name in ("precision", "recall", "f1")})  # type: ignore[no-any-return]


def model_evidence(made: FeatureRows, split: Split, measures: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a model is registered with: what it learned from, and how it did on the payments after that; JSON types."""
    return {
        "learned": learned_slice(made, split),
        "slice": slice_words(made, split.alerting, split.rows),
        "measures": None if measures is None else {name: measures.get(name) for name in MEASURES},
    }


def told_time(microseconds: int) -> str:
    """A moment as evidence writes it: ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="seconds")
