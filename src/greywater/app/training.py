"""Fits a detector on what a project recorded and keeps it; scores recorded payments with one that was kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from greywater.app.audit import audited
from greywater.app.fitting import Fitted, fit_detector
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.rule_place import words_of
from greywater.app.run import code_versions
from greywater.app.split import Split, cut_at, split_by_time
from greywater.app.tracing import note_run
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import Hybrid, part_contributions
from greywater.detectors.loading import load_detector
from greywater.detectors.metrics import PaymentMeasures, measure_payments
from greywater.detectors.part_scores import PartScores
from greywater.detectors.saved import DESCRIPTION, plain
from greywater.errors import DetectorError, EmptyInputError, UsageError
from greywater.formats.text import for_spreadsheets
from greywater.stores.blocks import FeatureBlocks
from greywater.stores.durable import store_errors
from greywater.vocab import Actor, Progress

__all__ = ["ScoreRequest", "Scored", "TrainRequest", "Trained", "score", "train"]

#: Kinds of file that scores can be written to.
ENDINGS: Final = (".csv", ".parquet")


@dataclass(frozen=True)
class TrainRequest:
    """How much to learn from.

    `whole` False: learn on the first 60 %, tune on the next 20 %, measure on the last 20 %. True: learn on the first
    75 %, tune on the rest, and measure nothing.
    """

    whole: bool = False


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


@dataclass(frozen=True)
class ScoreRequest:
    """What to score with which model.

    `model` is an id; None = the newest. `last` payments, None = all. `out` takes the scores, .csv or .parquet.
    """

    model: str | None = None
    last: int | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Scored:
    """Scores of recorded payments, in ledger order.

    `table` has `tx_id`, `seq`, `score`, `probability`, `flagged`, `mandatory`, and for a hybrid `part.NAME`: what each
    of its scores adds to the average payment's.
    """

    model: str
    kind: str
    table: pa.Table

    def to_json(self, most: int = 100) -> dict[str, Any]:
        """The result of `greywater score --json`: the counts, and the payments with the highest scores."""
        flagged = int(np.count_nonzero(self.table["flagged"].to_numpy()))
        found: dict[str, Any] = plain(
            {
                "model": self.model,
                "kind": self.kind,
                "payments": self.table.num_rows,
                "flagged": flagged,
                "highest": self.highest(most).to_pylist(),
            }
        )
        return found

    def highest(self, most: int) -> pa.Table:
        """The payments with the highest scores, mandatory ones first, ties by seq."""
        score, must = self.table["score"].to_numpy(), self.table["mandatory"].to_numpy(zero_copy_only=False)
        return self.table.take(pa.array(np.lexsort((np.arange(len(score)), -score, ~must))[:most]))


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
    """
    asked, told = request or TrainRequest(), progress or Silent()
    with (
        audited(settings, actor, "train", "payments") as detail,
        open_project(settings, actor) as project,
        open_workplace(
            project, "train", parameters={"seed": settings.seed, "whole": asked.whole}, versions=code_versions()
        ) as place,
    ):
        made = _features(project, place.folder, told)
        split = _split(made, asked)
        fitted = fit_detector(made.blocks, made.replayed, made.truth, split, settings, told, words_of(made.features))
        test = _test(fitted, made, split)
        fitted.detector.annotate(
            {"data_version": project.ledger.next_seq, "test": None if test is None else asdict(test)}
        )
        folder = project.folder / "models" / place.run_id
        fitted.detector.save(folder)
        note_run(project, place.run_id, ())
        place.summary.update(detector=fitted.kind, payments=split.rows)
        detail.update(model=place.run_id, detector=fitted.kind)
    return Trained(place.run_id, folder, fitted, split, test)


def score(actor: Actor, settings: Settings, request: ScoreRequest, progress: Progress | None = None) -> Scored:
    """Score recorded payments with a model that `train` or a run kept; nothing is alerted.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `run`, and to `export` where a file is written.
    settings : Settings
        Store and project; features as they were when the model was fitted.
    request : ScoreRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    DetectorError
        There is no such model, it is damaged, or it was fitted on other columns.
    UsageError
        The file's ending is not known.
    """
    told = progress or Silent()
    if request.out is not None and request.out.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"scores cannot be written as {request.out.suffix or 'a file without an ending'}",
            where=str(request.out),
            mend=f"name a file that ends in {' or '.join(ENDINGS)}",
        )
    with (
        audited(settings, actor, "run", "scores of payments") as detail,
        open_project(settings, actor) as project,
    ):
        model, folder = _model(project, request.model)
        detector = load_detector(folder)
        with open_workplace(project, "score", parameters={"model": model}, versions=code_versions()) as place:
            made = _features(project, place.folder, told, getattr(detector, "names", None))
            begin = 0 if request.last is None else max(made.rows - request.last, 0)
            table = _scores(project, detector, made, begin, told)
            place.summary.update(model=model, payments=table.num_rows)
        detail.update(model=model, payments=table.num_rows)
    if request.out is not None:
        with audited(settings, actor, "export", request.out.name), store_errors(request.out, "write the scores"):
            if request.out.suffix.lower() == ".parquet":
                pq.write_table(table, request.out)
            else:
                ids = pa.array([for_spreadsheets(name) for name in table["tx_id"].to_pylist()], pa.string())
                pa_csv.write_csv(table.set_column(0, "tx_id", ids), request.out)
    return Scored(model, detector.kind, table)


def _features(project: Project, folder: Path, progress: Progress, names: tuple[str, ...] | None = None) -> FeatureRows:
    """The features of all payments; of a model that is fitted already, its own."""
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


def _test(fitted: Fitted, made: FeatureRows, split: Split) -> PaymentMeasures | None:
    if made.truth is None or split.alerting >= made.rows:
        return None
    found = fitted.detector.score(made.blocks.slice(split.alerting))
    return measure_payments(made.truth.y[split.alerting :], found, fitted.threshold)


def _model(project: Project, asked: str | None) -> tuple[str, Path]:
    """The folder of the model that is asked for, or of the newest."""
    home = project.folder / "models"
    kept = sorted(path.parent.name for path in home.glob(f"*/{DESCRIPTION}")) if home.is_dir() else []
    if asked is None and kept:
        return kept[-1], home / kept[-1]
    if asked in kept:
        return str(asked), home / str(asked)
    found = "no model was kept" if asked is None else f"no model is named {asked!r}"
    known = f"; there are {', '.join(kept[-5:])}" if kept else ""
    raise DetectorError(found, where=str(home), mend=f"fit one: greywater train{known}")


def _scores(project: Project, detector: Detector, made: FeatureRows, begin: int, progress: Progress) -> pa.Table:
    rows: FeatureBlocks = made.blocks.slice(begin)
    progress.step("scoring", rows.rows)
    parts: PartScores | None = None
    must = np.zeros(rows.rows, np.bool_)
    if isinstance(detector, Hybrid):
        parts, must = part_contributions(detector, rows), detector.mandatory(rows)
        raw = detector.score(rows)
    else:
        raw = detector.score(rows)
    progress.advance(rows.rows)
    seq = made.replayed.seq[begin:]
    columns: dict[str, Any] = {
        "tx_id": project.ledger.take(seq, ["tx_id"])["tx_id"],
        "seq": seq,
        "score": raw,
        "probability": detector.calibrate(raw),  # type: ignore[attr-defined]
        "flagged": raw >= detector.threshold.value,  # type: ignore[attr-defined]
        "mandatory": must,
    }
    if parts is not None:
        columns |= {f"part.{name}": parts.of(name) for name in parts.names if name != "base"}
    return pa.table(columns)
