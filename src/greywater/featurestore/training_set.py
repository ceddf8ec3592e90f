"""Training sets: label rows with what was known of them at their moment, made again bit for bit from a record."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater._version import __version__
from greywater.errors import InputError, RefusedTypeError, StoreDamagedError, StoreError, UsageError
from greywater.featurestore.bias import BiasReport, bias
from greywater.featurestore.canonical import UTC_TIME, CanonicalHash, canonical_table, dtype_name, sha256_of
from greywater.featurestore.definitions import DTYPES, FeatureGroup, FeatureView, RequestValue, ViewFeature
from greywater.featurestore.label_rows import LabelCounts, LabelRules, select_label_rows
from greywater.featurestore.matrix import float_matrix
from greywater.featurestore.point_in_time import join_as_of
from greywater.featurestore.splits import (
    LEFT_OUT,
    PARTS,
    WHOLE,
    GroupSplit,
    PartReport,
    RandomSplit,
    Split,
    assign_parts,
    report_parts,
)
from greywater.featurestore.training_record import PART, GroupUse, TrainingQuery, TrainingRecord, moment_us
from greywater.stores.feature_ports import Offline, microseconds
from greywater.vocab import Float64Array

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["Assembly", "Join", "TrainingSet", "assemble", "assemble_again", "remake", "training_set"]

Groups = Mapping[tuple[str, int], FeatureGroup]
#: Label rows joined at a time.
CHUNK_ROWS: Final = 1 << 20
#: Warnings of slices that a record tells in words; all of them are in its report.
MOST_TOLD: Final = 10


class Join(Protocol):
    """The point-in-time join: the view's columns in order, one row a label row in the order given."""

    def __call__(
        self, labels: pa.Table, view: FeatureView, groups: Groups, offline: Offline, *, time_column: str = ...,
        known_column: str | None = ..., as_of_commit: Mapping[tuple[str, int], int] | None = ...,
        as_served: bool = ...,
    ) -> pa.Table:  # fmt: skip
        """Join; a feature row counts if its event and knowledge times are at or before the label row's."""
        ...


@dataclass(frozen=True)
class TrainingSet:
    """A training set in memory.

    Parameters
    ----------
    table : pa.Table
        Row id, event time, label, kept columns, the view's columns, and `part`; sorted by (event time, row id).
    record : TrainingRecord
        What it was made of; `remake` makes it again.
    """

    table: pa.Table
    record: TrainingRecord

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The view's columns in order."""
        return self.record.feature_names

    def part(self, name: str | None = None) -> pa.Table:
        """The rows of one part (train, validation, test; "all" where the set is not split), or all rows.

        Raises
        ------
        UsageError
            The set has no such part.
        """
        if name is None:
            return self.table
        known = [report.name for report in self.record.parts if report.name in (*PARTS, WHOLE)]
        if name not in known:
            raise UsageError(f"no part {name!r}", where=self.record.query.name, mend=f"take one of {', '.join(known)}")
        import pyarrow.compute as pc

        return self.table.filter(pc.equal(self.table[PART], name))

    def to_pandas(self, part: str | None = None) -> pd.DataFrame:
        """The rows as a pandas frame; whole numbers with nulls become float64, as pandas has it."""
        frame: pd.DataFrame = self.part(part).to_pandas()
        return frame

    def to_polars(self, part: str | None = None) -> pl.DataFrame:
        """The rows as a polars frame."""
        import polars

        frame = polars.from_arrow(self.part(part))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_numpy(self, part: str | None = None) -> tuple[Float64Array, NDArray[Any] | None]:
        """The view's columns as float64[n, k] (null as NaN), and the labels.

        Labels are whole numbers or bools where none is null, else float64 with NaN; strings are objects. None where
        the view names no label.

        Raises
        ------
        RefusedTypeError, RefusedValueError
            A column of the view holds strings, or whole numbers without an exact float64.
        """
        rows = self.part(part)
        label = self.record.view.label
        y = rows[label].combine_chunks().to_numpy(zero_copy_only=False) if label else None
        return float_matrix(rows, self.feature_names), y


class Assembly:
    """A training set on its way: its rows come in chunks, and when all have come there is a record.

    Made by `assemble` and `assemble_again`. Label rows are held in memory, features only a chunk at a time.
    """

    def __init__(
        self, query: TrainingQuery, view: FeatureView, groups: Groups, offline: Offline, labels: pa.Table,
        uses: tuple[GroupUse, ...], join: Join, warnings: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        rows, self._counts = select_label_rows(labels, _rules(query, view, groups, labels))
        parts, cuts = assign_parts(query.split, rows, row_id=query.row_id, time_column=query.time_column)
        event_us = microseconds(rows[query.time_column])
        values = rows[view.label] if view.label else None
        self._reports = tuple(report_parts(parts, event_us, values, whole=query.split is None))
        self._labels_sha256 = sha256_of(rows)
        self._cuts = tuple(cuts)
        staying = np.flatnonzero(parts != LEFT_OUT)
        self._rows = rows if len(staying) == len(parts) else rows.take(pa.array(staying))
        self._parts = parts[staying]
        self._query, self._view, self._groups, self._offline = query, view, groups, offline
        self._uses, self._join, self._warnings = uses, join, warnings
        self.schema = _schema(query, view, groups, rows.schema)
        self._hash = CanonicalHash(self.schema)
        self._sliced: list[pa.Table] = []

    @property
    def query(self) -> TrainingQuery:
        """The query, all filled in."""
        return self._query

    @property
    def view(self) -> FeatureView:
        """The view of the set."""
        return self._view

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts, those without rows too."""
        return tuple(report.name for report in self._reports if report.name in (*PARTS, WHOLE))

    @property
    def labels_sha256(self) -> str:
        """SHA-256 of the label rows used."""
        return self._labels_sha256

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
        """The set's rows in order, at most so many at a time; once.

        Raises
        ------
        UsageError
            `rows` is not positive.
        StoreError
            The join does not give the view's columns.
        """
        if rows < 1:
            raise UsageError(f"chunks of {rows} rows", mend="give a number of rows from 1 on")
        commits = {(use.name, use.version): use.commit for use in self._uses}
        names = np.array([WHOLE] if self._query.split is None else PARTS)
        for start in range(0, self._rows.num_rows, rows):
            labels = self._rows.slice(start, rows)
            joined = self._join(
                labels, self._view, self._groups, self._offline,
                time_column=self._query.time_column, known_column=self._query.known_column, as_of_commit=commits,
                as_served=self._query.as_served,
            )  # fmt: skip
            if tuple(joined.column_names) != self._view.names or joined.num_rows != labels.num_rows:
                raise StoreError("the join does not give the view's columns for each label row", where=self._view.name)
            taken = [labels[name] for name in self.schema.names[: -1 - joined.num_columns]]
            part = pa.array(names[self._parts[start : start + rows]], pa.string())
            columns = [*taken, *canonical_table(joined).columns, part]
            try:
                whole = pa.table(columns, self.schema.names).cast(self.schema)
            except pa.ArrowInvalid as error:
                raise RefusedTypeError(
                    f"a value does not fit the dtype that the view gives it: {error}",
                    where=f"view {self._view.name}",
                    mend="look at the label rows' columns that the view takes from the request",
                ) from error
            self._hash.add(whole)
            if self._query.slices:
                sources = {name: whole if name in whole.column_names else labels for name in self._query.slices}
                sliced = {name: source[name] for name, source in sources.items()}
                self._sliced.append(pa.table(sliced | {self._view.label: whole[self._view.label]}))
            yield whole

    def record(self) -> TrainingRecord:
        """The record, once all chunks have come."""
        digests = self._hash.column_digests()
        spread = self._spread()
        kinds = {field.name: dtype_name(field.type) for field in self.schema}
        return TrainingRecord(
            query=self._query,
            view=self._view,
            groups=self._uses,
            labels_sha256=self._labels_sha256,
            label_counts=self._counts,
            cuts_us=self._cuts,
            parts=self._reports,
            rows=self._rows.num_rows,
            columns=tuple((name, kinds[name], digest) for name, digest in digests.items()),
            sha256=self._hash.table_digest(),
            made_us=_now_us(),
            software=__version__,
            warnings=(*self._warnings, *_part_warnings(self._reports, self._counts), *_spread_warnings(spread)),
            bias=spread,
        )

    def _spread(self) -> BiasReport | None:
        """How the labels are spread over the slices asked for."""
        if not self._sliced:
            return None
        return bias(pa.concat_tables(self._sliced), self._view.label, self._query.slices)


def training_set(
    view: FeatureView, groups: Groups, offline: Offline, labels: pa.Table, *,
    start: datetime | str | int, end: datetime | str | int, name: str, version: int = 1, split: Split | None = None,
    row_id: str = "row_id", time_column: str = "event_time", label_known: str | None = "known_since",
    as_known_at: datetime | str | int | None = None, label_delay_days: float = 30.0, known_column: str | None = None,
    keep: tuple[str, ...] = (), keep_unlabelled: bool = False, allow_protected: bool = False, as_served: bool = True,
    slices: tuple[str, ...] = (), join: Join = join_as_of,
) -> TrainingSet:  # fmt: skip
    """Make a training set, point-in-time correct by event time and by knowledge time.

    A feature row counts for a label row at T iff its event_time and known_time are at or before T (SEMANTICS: Other
    records); a label counts iff its known_since is at or before `as_known_at`.

    Parameters
    ----------
    view : FeatureView
        Which columns, and which label.
    groups : mapping of (name, version) to FeatureGroup
        The groups of the view.
    offline : Offline
        Where their rows are; all that is committed now is read, and which commits those are is recorded.
    labels : pa.Table
        Row ids, event times, keys of the groups, label, known_since, values of the request, further columns.
    start, end, name, version, split, row_id, time_column, label_known, as_known_at, label_delay_days, known_column, \
keep, keep_unlabelled, allow_protected, as_served, slices
        See TrainingQuery.
    join : Join
        The point-in-time join; another one for tests.

    Raises
    ------
    UsageError
        The view, a group or a feature is retired, unknown or protected, or names meet.
    InputError
        A column is missing, or no row is left.
    StoreError
        A group is not in the store.
    """
    query = TrainingQuery(
        name, version, start, end, split, row_id, time_column, label_known, as_known_at, label_delay_days,
        known_column, tuple(keep), keep_unlabelled, allow_protected, as_served, tuple(slices),
    )  # fmt: skip
    assembly = assemble(query, view, groups, offline, labels, join=join)
    return TrainingSet(pa.concat_tables(list(assembly.chunks())), assembly.record())


def assemble(
    query: TrainingQuery, view: FeatureView, groups: Groups, offline: Offline, labels: pa.Table,
    *, join: Join = join_as_of,
) -> Assembly:  # fmt: skip
    """Begin a new training set; see `training_set` for what is checked."""
    warnings = _check_new(query, view, groups)
    uses = tuple(_use_now(groups[key], offline) for key in view.groups)
    return Assembly(query.at(_now_us()), view, groups, offline, labels, uses, join, warnings)


def remake(
    record: TrainingRecord, groups: Groups, offline: Offline, labels: pa.Table, *, join: Join = join_as_of
) -> TrainingSet:
    """Make a training set again from its record, and verify that it is the same bit for bit.

    The label rows may have grown since: rows outside the record's time, or known after its `as_known_at`, do not
    count. What was appended to the groups since does not either. Retired features are read as they were.

    Raises
    ------
    InputError
        The label rows are not those of the record.
    StoreDamagedError
        A commit of a group is not the one that was read, or the set is another.
    """
    assembly = assemble_again(record, groups, offline, labels, join=join)
    table = pa.concat_tables(list(assembly.chunks()))
    verify_same(record, assembly.record())
    return TrainingSet(table, record)


def assemble_again(
    record: TrainingRecord, groups: Groups, offline: Offline, labels: pa.Table, *, join: Join = join_as_of
) -> Assembly:
    """Begin a training set that was made before; its sources are verified here, its rows by `verify_same`."""
    _check_known(record.view, groups)
    for use in record.groups:
        _verify_use(use, groups[use.name, use.version], offline)
    query = record.query
    assembly = Assembly(query, record.view, groups, offline, labels, record.groups, join)
    if assembly.labels_sha256 != record.labels_sha256:
        raise InputError(
            "the label rows are not those that the set was made of",
            where=f"training set {query.name} version {query.version}",
            mend="give the label rows of then; later ones may be among them",
        )
    return assembly


def verify_same(was: TrainingRecord, now: TrainingRecord) -> None:
    """Raise StoreDamagedError, naming the columns that differ, where a set made again is not the same."""
    if now.sha256 == was.sha256:
        return
    before = {name: rest for name, *rest in was.columns}
    differ = [name for name, *rest in now.columns if before.get(name) != rest]
    raise StoreDamagedError(
        f"the set made again is not the same: {now.rows} rows, of {was.rows}, differing in {', '.join(differ)}",
        where=f"training set {was.query.name} version {was.query.version}",
        mend="check the offline store; restore the groups from a copy if it is damaged",
    )


def _now_us() -> int:
    return time.time_ns() // 1000


def _keys_in_labels(view: FeatureView, groups: Groups) -> list[str]:
    return [name for key in view.groups for name in view.joins.get(key[0], groups[key].keys)]


def _rules(query: TrainingQuery, view: FeatureView, groups: Groups, labels: pa.Table) -> LabelRules:
    wanted = [*_keys_in_labels(view, groups), *query.keep, *(one for one in query.slices if one not in view.names)]
    wanted += [one.name for one in view.columns if isinstance(one, RequestValue) and one.name in labels.column_names]
    if isinstance(query.split, GroupSplit):
        wanted.append(query.split.column)
    elif isinstance(query.split, RandomSplit):
        wanted += [name for name in (query.split.by, query.split.stratify) if name]
    if query.known_column:
        wanted.append(query.known_column)
    return LabelRules(
        row_id=query.row_id,
        time_column=query.time_column,
        label=view.label,
        known_since=query.label_known,
        start_us=query.start_us,
        end_us=query.end_us,
        as_known_at_us=moment_us(query.as_known_at if query.as_known_at is not None else _now_us()),
        delay_days=query.label_delay_days,
        keep_unlabelled=query.keep_unlabelled,
        columns=tuple(dict.fromkeys(wanted)),
    )


def _schema(query: TrainingQuery, view: FeatureView, groups: Groups, labels: pa.Schema) -> pa.Schema:
    first = [query.row_id, query.time_column, *([view.label] if view.label else []), *query.keep]
    names = [*first, *view.names, PART]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise UsageError(
            f"{doubles[0]!r} would name two columns of the training set",
            where=f"training set {query.name}",
            mend="give the feature an alias in the view, or do not keep that column",
        )
    fields = [pa.field(name, labels.field(name).type) for name in first]
    fields += [pa.field(one.name, DTYPES[_dtype(one, groups)]) for one in view.columns]
    assert labels.field(query.time_column).type == UTC_TIME
    return pa.schema([*fields, pa.field(PART, pa.string())])


def _dtype(column: ViewFeature | RequestValue, groups: Groups) -> str:
    if isinstance(column, RequestValue):
        return column.dtype
    return groups[column.group, column.version].by_name[column.feature].dtype


def _check_known(view: FeatureView, groups: Groups) -> None:
    for one in view.features:
        group = groups.get((one.group, one.version))
        if group is None or one.feature not in group.by_name:
            what = f"feature {one.feature!r} of group" if group else "group"
            raise UsageError(
                f"the view wants {what} {one.group!r} version {one.version}, which is not there",
                where=f"view {view.name} version {view.version}",
                mend="register it, or take it out of the view",
            )


def _check_new(query: TrainingQuery, view: FeatureView, groups: Groups) -> tuple[str, ...]:
    """Refuse what a new set may not use; returns what its reader should know."""
    _check_known(view, groups)
    where = f"view {view.name} version {view.version}"
    if query.slices and not view.label:
        raise UsageError("slices are of labels, and the view names none", where=where, mend="name a label in the view")
    if view.state == "retired":
        raise UsageError("the view is retired", where=where, mend="make the set of a view that is in use")
    warnings = [f"view {view.name} is deprecated"] if view.state == "deprecated" else []
    for one in view.features:
        field = groups[one.group, one.version].by_name[one.feature]
        if field.state == "retired":
            raise UsageError(
                f"feature {one.feature!r} of group {one.group!r} is retired",
                where=where,
                mend="make a version of the view without it; sets made before can still be made again",
            )
        if field.protected and not query.allow_protected:
            raise UsageError(
                f"feature {one.feature!r} of group {one.group!r} is a protected attribute",
                where=where,
                mend="leave it to fairness reports, or give allow_protected=True where the project allows it",
            )
        if field.state == "deprecated":
            warnings.append(f"feature {one.feature} of group {one.group} is deprecated")
    return tuple(warnings)


def _use_now(group: FeatureGroup, offline: Offline) -> GroupUse:
    if offline.layout(group.name, group.version) is None:
        raise StoreError(
            f"group {group.name!r} version {group.version} is not in the offline store",
            mend="write it first, or open the store that holds it",
        )
    commits = offline.commits(group.name, group.version)
    last = max(commits, key=lambda commit: commit.number, default=None)
    number, digest = (last.number, last.sha256) if last else (-1, "")
    return GroupUse(group.name, group.version, group.fingerprint, number, digest)


def _verify_use(use: GroupUse, group: FeatureGroup, offline: Offline) -> None:
    where = f"group {use.name} version {use.version}"
    if group.fingerprint != use.fingerprint:
        raise StoreDamagedError("the group is defined otherwise than when the set was made", where=where)
    digests = {commit.number: commit.sha256 for commit in offline.commits(use.name, use.version)}
    if use.commit >= 0 and digests.get(use.commit) != use.sha256:
        found = "is missing" if use.commit not in digests else "is not the one that was read"
        raise StoreDamagedError(
            f"commit {use.commit} {found}", where=where, mend="open the store that the set was made of, or its copy"
        )


def _spread_warnings(spread: BiasReport | None) -> Iterator[str]:
    """The first label-slice combinations that are absent or thin, and how many more there are."""
    found = spread.warnings if spread else ()
    yield from (one.sentence for one in found[:MOST_TOLD])
    if len(found) > MOST_TOLD:
        yield f"{len(found) - MOST_TOLD} more slices with no or few rows of a label are in the record"


def _part_warnings(reports: tuple[PartReport, ...], counts: LabelCounts) -> Iterator[str]:
    for report in reports:
        if report.name not in (*PARTS, WHOLE):
            continue
        if report.rows == 0:
            yield f"part {report.name} has no rows"
        elif len(report.classes) == 1:
            yield f"all labels of part {report.name} are {next(iter(report.classes))}"
    if counts.incomplete:
        yield f"{counts.incomplete} label rows without an id or a time were left out"
