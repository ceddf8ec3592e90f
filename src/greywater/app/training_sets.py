"""The use cases of training sets: label rows from a file or from the project's own records, made and made again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from greywater.app.audit import audited
from greywater.app.features import feature_store
from greywater.app.recorded_labels import recorded_label_rows
from greywater.app.table_files import read_table_file
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import DTYPES, FeatureGroup, FeatureView, RequestValue
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
        rows = _label_rows(actor, settings, labels, (chosen, store.groups_of(chosen)), query)
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
        rows = _label_rows(actor, settings, labels, (was.view, store.groups_of(was.view)), was.query)
        made = store.remake(word, rows, version=version)
        save_training_set(made, out, layout)
    return made.record


def _label_rows(
    actor: Actor,
    settings: Settings,
    labels: str,
    read: tuple[FeatureView, Mapping[tuple[str, int], FeatureGroup]],
    query: TrainingQuery,
) -> pa.Table:
    view, groups = read
    if labels != RECORDED:
        return read_label_rows(Path(labels), view, groups, query)
    if not view.label:
        raise UsageError("the view names no label", mend="name one in the view, or give a file of label rows")
    with (
        audited(settings, actor, "read_labels", f"labels for training set {query.name}") as detail,
        open_project(settings, actor) as project,
    ):
        rows = recorded_label_rows(project.ledger, project.tables, query, view.label)
        detail.update(rows=rows.num_rows)
    return rows


def read_label_rows(
    path: Path, view: FeatureView, groups: Mapping[tuple[str, int], FeatureGroup], query: TrainingQuery
) -> pa.Table:
    """Label rows of a CSV or Parquet file.

    In CSV the keys of the view's groups and the values of a request have the types that they are declared with, row ids
    are texts, and event_time, known_since and the moment of knowledge are moments.

    Raises
    ------
    FormatError
        The file cannot be read.
    """
    kinds = {query.row_id: pa.string(), query.time_column: MOMENT}
    kinds |= {name: MOMENT for name in (query.label_known, query.known_column) if name}
    for one in groups.values():
        columns = view.joins.get(one.name, one.keys)
        kinds |= {name: DTYPES[dtype] for name, dtype in zip(columns, one.key_dtypes, strict=True)}
    kinds |= {one.name: DTYPES[one.dtype] for one in view.columns if isinstance(one, RequestValue)}
    return read_table_file(path, kinds)
