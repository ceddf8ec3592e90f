"""Scores recorded payments with a kept model, the champion where none is named, and with the shadows beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.model_place import Chosen, choose_model, model_folder, read_roster, require_sound
from greywater.app.replaying import FeatureRows
from greywater.app.run import code_versions
from greywater.app.training import model_features
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.column_choice import columns_for
from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import Hybrid, part_contributions
from greywater.detectors.loading import load_detector
from greywater.detectors.part_scores import PartScores
from greywater.detectors.saved import plain
from greywater.errors import DetectorError, UsageError
from greywater.formats.text import for_spreadsheets
from greywater.stores.durable import store_errors
from greywater.vocab import Actor, Progress

__all__ = ["ScoreRequest", "Scored", "Shadow", "score"]

#: Kinds of file that scores can be written to.
ENDINGS: Final = (".csv", ".parquet")


@dataclass(frozen=True)
class ScoreRequest:
    """What to score with which model.

    `model` is a name; None = the champion, and where there is none the newest that was fitted here. `last` payments,
    None = all. `out` takes the scores, .csv or .parquet.
    """

    model: str | None = None
    last: int | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Shadow:
    """A shadow that scored beside the model: how many payments it flags, and how many of them both do.

    `why` says why it did not score; empty where it did.
    """

    model: str
    kind: str
    flagged: int = 0
    flagged_by_both: int = 0
    why: str = ""


@dataclass(frozen=True)
class Scored:
    """Scores of recorded payments, in ledger order.

    `table` has `tx_id`, `seq`, `score`, `probability`, `flagged`, `mandatory`, and for a hybrid `part.NAME`: what each
    of its scores adds to the average payment's. Of each shadow it has `shadow.MODEL.score`, `.probability` and
    `.flagged`. `why` says why this model was taken.
    """

    model: str
    kind: str
    table: pa.Table
    why: str = ""
    shadows: tuple[Shadow, ...] = ()

    def to_json(self, most: int = 100) -> dict[str, Any]:
        """The result of `greywater score --json`: the counts, and the payments with the highest scores."""
        flagged = int(np.count_nonzero(self.table["flagged"].to_numpy()))
        found: dict[str, Any] = plain(
            {
                "model": self.model,
                "kind": self.kind,
                "why": self.why,
                "payments": self.table.num_rows,
                "flagged": flagged,
                "shadows": [vars(shadow) for shadow in self.shadows],
                "highest": self.highest(most).to_pylist(),
            }
        )
        return found

    def highest(self, most: int) -> pa.Table:
        """The payments with the highest scores, mandatory ones first, ties by seq."""
        score, must = self.table["score"].to_numpy(), self.table["mandatory"].to_numpy(zero_copy_only=False)
        return self.table.take(pa.array(np.lexsort((np.arange(len(score)), -score, ~must))[:most]))


@dataclass(frozen=True)
class _Beside:
    """A shadow that could be loaded."""

    name: str
    detector: Detector


def score(actor: Actor, settings: Settings, request: ScoreRequest, progress: Progress | None = None) -> Scored:
    """Score recorded payments with a model that was kept; nothing is alerted.

    The shadows of the project score beside the champion, in columns of their own. One that cannot is told in
    `Scored.shadows` and hinders nothing.

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
        chosen = choose_model(project, request.model)
        detector = load_detector(chosen.folder)
        beside, refused = _shadows(project, chosen)
        with open_workplace(project, "score", parameters={"model": chosen.name}, versions=code_versions()) as place:
            made = model_features(project, place.folder, told, _columns(detector, beside))
            begin = 0 if request.last is None else max(made.rows - request.last, 0)
            table = _scores(project, detector, made, begin, told)
            table, shadows = _with_shadows(table, beside, made, begin, told)
            place.summary.update(model=chosen.name, payments=table.num_rows)
        detail.update(model=chosen.name, payments=table.num_rows)
    if request.out is not None:
        with audited(settings, actor, "export", request.out.name), store_errors(request.out, "write the scores"):
            _write(table, request.out)
    return Scored(chosen.name, detector.kind, table, chosen.why, (*shadows, *refused))


def _write(table: pa.Table, out: Path) -> None:
    if out.suffix.lower() == ".parquet":
        pq.write_table(table, out)
        return
    ids = pa.array([for_spreadsheets(name) for name in table["tx_id"].to_pylist()], pa.string())
    pa_csv.write_csv(table.set_column(0, "tx_id", ids), out)


def _names(detector: Detector) -> tuple[str, ...]:
    """The columns that a detector reads."""
    names: tuple[str, ...] = detector.names  # type: ignore[attr-defined]
    return names


def _columns(detector: Detector, beside: list[_Beside]) -> list[str]:
    """Every column that is read, once."""
    names = list(_names(detector))
    for shadow in beside:
        names += _names(shadow.detector)
    return list(dict.fromkeys(names))


def _shadows(project: Project, chosen: Chosen) -> tuple[list[_Beside], list[Shadow]]:
    """The shadows that can score beside the champion, and those that cannot; none beside a model that was asked for."""
    roster = read_roster(project)
    loaded: list[_Beside] = []
    refused: list[Shadow] = []
    for name in roster.shadows if chosen.name == roster.champion else ():
        try:
            require_sound(project, name)
            loaded.append(_Beside(name, load_detector(model_folder(project, name))))
        except DetectorError as error:
            refused.append(Shadow(name, "", why=str(error)))
    return loaded, refused


def _scores(project: Project, detector: Detector, made: FeatureRows, begin: int, progress: Progress) -> pa.Table:
    rows = columns_for(made.blocks.slice(begin), _names(detector))
    progress.step("scoring", rows.rows)
    parts: PartScores | None = None
    must = np.zeros(rows.rows, np.bool_)
    if isinstance(detector, Hybrid):
        parts, must = part_contributions(detector, rows), detector.mandatory(rows)
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


def _with_shadows(
    table: pa.Table, beside: list[_Beside], made: FeatureRows, begin: int, progress: Progress
) -> tuple[pa.Table, list[Shadow]]:
    """The table with the columns of the shadows, and what each of them did."""
    flagged = table["flagged"].to_numpy(zero_copy_only=False)
    told = []
    for shadow in beside:
        detector = shadow.detector
        try:
            rows = columns_for(made.blocks.slice(begin), _names(detector))
            progress.step(f"scoring with shadow {shadow.name}", rows.rows)
            raw = detector.score(rows)
        except DetectorError as error:
            told.append(Shadow(shadow.name, detector.kind, why=str(error)))
            continue
        progress.advance(rows.rows)
        flags = raw >= detector.threshold.value  # type: ignore[attr-defined]
        chances = detector.calibrate(raw)  # type: ignore[attr-defined]
        for name, column in (("score", raw), ("probability", chances), ("flagged", flags)):
            table = table.append_column(f"shadow.{shadow.name}.{name}", pa.array(column))
        both = int(np.count_nonzero(flags & flagged))
        told.append(Shadow(shadow.name, detector.kind, int(np.count_nonzero(flags)), both))
    return table, told
