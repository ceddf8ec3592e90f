"""The use cases of training sets: label rows from a file or from the project's own records, made and made again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv, parquet

from greywater.app.audit import audited
from greywater.app.features import feature_store
from greywater.app.recorded_labels import recorded_label_rows
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import FormatError, StoreError, UsageError
from greywater.featurestore.part_files import FileLayout
from greywater.featurestore.training_record import TrainingQuery, TrainingRecord
from greywater.featurestore.writers import save_training_set
from greywater.vocab import Actor

__all__ = ["RECORDED", "make_training_set", "read_label_rows", "remake_training_set"]

#: Said instead of a file of label rows: the labels that the project has recorded.
RECORDED: Final = "recorded"
MOMENT: Final = pa.timestamp("us", tz="UTC")


def make_training_set(
    actor: Actor,
    settings: Settings,
    view: tuple[str, int | None],
    labels: str,
    query: TrainingQuery,
    out: Path,
    layout: FileLayout,
) -> TrainingRecord:
    """Make a training set of a view in files, and register it.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `write_features`, and to `read_labels` where the labels are the project's.
    settings : Settings
        Store and project.
    view : (str, int or None)
        Name and version; None = the newest.
    labels : str
        Path of a CSV or Parquet file of label rows, or "recorded".
    query : TrainingQuery
        What is asked.
    out : Path
        Folder to make.
    layout : FileLayout
        Format of the files.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    FormatError, UsageError, InputError, StoreError
        See `greywater.featurestore.training_set.training_set`.
    """
    query = query.at(time.time_ns() // 1000)
    with feature_store(actor, settings, "write_features", f"training set {query.name}") as (store, detail):
        chosen = store.registry.view(*view)
        rows = _label_rows(actor, settings, labels, chosen.label, query)
        record = store.write_training_set(chosen, rows, query, out, layout).record
        detail.update(rows=record.rows, sha256=record.sha256, labels="recorded" if labels == RECORDED else "file")
    return record


def remake_training_set(
    actor: Actor,
    settings: Settings,
    name: tuple[str, int | None],
    labels: str,
    out: Path,
    layout: FileLayout,
) -> TrainingRecord:
    """Make a registered training set again, the same bit for bit, into a folder.

    Parameters and errors as for `make_training_set`; StoreDamagedError where it is not the same.
    """
    word, version = name
    with feature_store(actor, settings, "read_features", f"training set {word}") as (store, _):
        sets = [one for one in store.records.training_sets(word) if version in (None, one.version)]
        if not sets:
            raise StoreError(f"there is no training set {word!r}", mend="see greywater training-set list")
        was = TrainingRecord.from_json(json.dumps(sets[-1].record))
        rows = _label_rows(actor, settings, labels, was.view.label, was.query)
        made = store.remake(word, rows, version=version)
        save_training_set(made, out, layout)
    return made.record


def _label_rows(actor: Actor, settings: Settings, labels: str, label: str, query: TrainingQuery) -> pa.Table:
    if labels != RECORDED:
        return read_label_rows(Path(labels))
    if not label:
        raise UsageError("the view names no label", mend="name one in the view, or give a file of label rows")
    with (
        audited(settings, actor, "read_labels", f"labels for training set {query.name}") as detail,
        open_project(settings, actor) as project,
    ):
        rows = recorded_label_rows(project.ledger, project.tables, query, label)
        detail.update(rows=rows.num_rows)
    return rows


def read_label_rows(path: Path) -> pa.Table:
    """Label rows of a CSV or Parquet file; event_time and known_since are moments.

    Raises
    ------
    FormatError
        The file cannot be read.
    """
    kinds = {"event_time": MOMENT, "known_since": MOMENT, "row_id": pa.string()}
    try:
        if path.suffix == ".parquet":
            return parquet.read_table(path)
        return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=kinds, strings_can_be_null=True))
    except FileNotFoundError:
        raise FormatError("there is no such file", where=str(path)) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(
            f"the label rows cannot be read: {error}", where=str(path), mend="give .csv or .parquet"
        ) from None
