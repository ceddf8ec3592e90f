"""Which label rows a training set is made of: those of its time whose label was known at its moment, one an id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import InputError, RefusedTypeError, RefusedValueError
from greywater.featurestore.canonical import UTC_TIME, canonical_table
from greywater.stores.feature_ports import microseconds
from greywater.vocab import Int64Array

__all__ = ["LabelCounts", "LabelRules", "select_label_rows"]

MICROSECONDS_A_DAY: Final = 86_400_000_000
NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True)
class LabelRules:
    """How label rows are read.

    Parameters
    ----------
    row_id, time_column : str
        Columns of the row ids and event times; together they name a row.
    label : str
        Column of the label; empty = the set has none, and every row of its time is taken.
    known_since : str or None
        Column that says from when on the label was known; None, like a null in it, means `delay_days` after the
        event (SEMANTICS: Other records).
    start_us, end_us : int
        Event times [start, end), microseconds since 1970.
    as_known_at_us : int
        A label counts iff its known_since is at or before this moment.
    delay_days : float
    keep_unlabelled : bool
        Rows whose label is null or not yet known stay, with a null label; else they are left out.
    columns : tuple of str
        Further columns to carry.
    """

    row_id: str
    time_column: str
    label: str
    known_since: str | None
    start_us: int
    end_us: int
    as_known_at_us: int
    delay_days: float
    keep_unlabelled: bool
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelCounts:
    """given = used + outside (of the time) + not_known + unlabelled + superseded + incomplete (no id or no time)."""

    given: int
    used: int
    outside: int
    not_known: int
    unlabelled: int
    superseded: int
    incomplete: int


def select_label_rows(labels: pa.Table, rules: LabelRules) -> tuple[pa.Table, LabelCounts]:
    """The rows a set is made of, sorted by (event time, row id), so that the order given does not matter.

    Of several rows with one id and event time the one whose label was known last wins, and one with a label wins
    over one without.

    Returns
    -------
    rows : pa.Table
        Row id, event time, label and the further columns, in canonical dtypes.
    counts : LabelCounts
        What became of every row given.

    Raises
    ------
    InputError
        A column is missing.
    RefusedTypeError
        Times are not timestamps, or row ids neither strings nor whole numbers.
    RefusedValueError
        Two rows of one id, known since the same moment, contradict each other.

    Examples
    --------
    >>> at = lambda *us: pa.array(us, pa.timestamp("us", "UTC"))
    >>> labels = pa.table({"id": ["b", "a", "a"], "time": at(5, 5, 5), "y": [0, 0, 1], "since": at(6, 6, 9)})
    >>> rules = LabelRules("id", "time", "y", "since", 0, 10, 9, 30.0, False)
    >>> rows, counts = select_label_rows(labels, rules)
    >>> rows["id"].to_pylist(), rows["y"].to_pylist(), counts.superseded
    (['a', 'b'], [1, 0], 1)
    """
    carried = _carried(rules)
    rows = _columns(labels, [*carried, *([rules.known_since] if rules.label and rules.known_since else [])])
    _check_types(rows, rules)
    complete = np.asarray(pc.and_(rows[rules.row_id].is_valid(), rows[rules.time_column].is_valid()))
    event_us = microseconds(rows[rules.time_column].fill_null(0))
    inside = complete & (event_us >= rules.start_us) & (event_us < rules.end_us)
    known_us, has_label = _known(rows, rules, event_us)
    in_time = has_label & (known_us <= rules.as_known_at_us)
    taken = inside if rules.keep_unlabelled or not rules.label else inside & in_time
    places = np.flatnonzero(taken)
    rows, known_us = rows.select(carried).take(pa.array(places)), np.where(in_time, known_us, NEVER)[places]
    if rules.label and rules.keep_unlabelled:
        rows = _without_label(rows, rules.label, known_us == NEVER)
    rows, superseded = _one_an_id(rows, known_us, rules)
    counts = LabelCounts(
        given=labels.num_rows,
        used=rows.num_rows,
        outside=int((complete & ~inside).sum()),
        not_known=int((inside & has_label & ~taken).sum()),
        unlabelled=int((inside & ~has_label & ~taken).sum()),
        superseded=superseded,
        incomplete=int((~complete).sum()),
    )
    return rows, counts


def _carried(rules: LabelRules) -> list[str]:
    label = [rules.label] if rules.label else []
    return list(dict.fromkeys([rules.row_id, rules.time_column, *label, *rules.columns]))


def _columns(labels: pa.Table, names: Sequence[str]) -> pa.Table:
    missing = [name for name in dict.fromkeys(names) if name not in labels.column_names]
    if missing:
        raise InputError(
            f"the label rows have no column {', '.join(repr(name) for name in missing)}",
            where=f"columns {', '.join(labels.column_names)}",
            mend="add the columns, or say what they are called",
        )
    return canonical_table(labels.select(list(dict.fromkeys(names))))


def _check_types(rows: pa.Table, rules: LabelRules) -> None:
    for name in (rules.time_column, rules.known_since):
        if name and name in rows.column_names and rows.schema.field(name).type != UTC_TIME:
            raise RefusedTypeError(
                f"times are {rows.schema.field(name).type}", where=f"column {name}", mend="cast them to timestamps"
            )
    kind = rows.schema.field(rules.row_id).type
    if not pa.types.is_string(kind) and not pa.types.is_integer(kind):
        raise RefusedTypeError(
            f"row ids are {kind}", where=f"column {rules.row_id}", mend="give strings or whole numbers"
        )


def _known(rows: pa.Table, rules: LabelRules, event_us: Int64Array) -> tuple[Int64Array, NDArray[np.bool_]]:
    """From when on each label was known, and whether there is one."""
    if not rules.label:
        return event_us, np.ones(len(event_us), np.bool_)
    known_us = event_us + round(rules.delay_days * MICROSECONDS_A_DAY)
    if rules.known_since:
        column = rows[rules.known_since]
        known_us = np.where(np.asarray(column.is_valid()), microseconds(column.fill_null(0)), known_us)
    return known_us, np.asarray(rows[rules.label].is_valid())


def _without_label(rows: pa.Table, label: str, unknown: NDArray[np.bool_]) -> pa.Table:
    kind = rows.schema.field(label).type
    hidden = pc.if_else(pa.array(unknown), pa.scalar(None, kind), rows[label])
    return rows.set_column(rows.column_names.index(label), pa.field(label, kind), hidden)


def _one_an_id(rows: pa.Table, known_us: Int64Array, rules: LabelRules) -> tuple[pa.Table, int]:
    """Sort by (event time, id), and of equal ones keep what was known last."""
    keys = pa.table({"time": rows[rules.time_column], "id": rows[rules.row_id], "known": pa.array(known_us)})
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    rows, known_us = rows.take(order).combine_chunks(), known_us[np.asarray(order)]
    if rows.num_rows < 2:
        return rows, 0
    same = ~(_differ(rows[rules.time_column]) | _differ(rows[rules.row_id]))
    equal = np.flatnonzero(same & (known_us[1:] == known_us[:-1]))
    if len(equal):
        pairs = rows.take(pa.array(np.stack([equal, equal + 1], axis=1).ravel()))
        for name in rows.column_names:
            differ = _differ(pairs[name])[::2]
            if differ.any():
                _refuse(pairs.slice(2 * int(np.argmax(differ)), 2), name, rules)
    if not same.any():
        return rows, 0
    last = np.append(~same, True)
    return rows.take(pa.array(np.flatnonzero(last))), int(same.sum())


def _differ(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """bool[n - 1]: whether each value differs from the next; null equals null and NaN equals NaN."""
    whole = column.combine_chunks()
    whole = whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
    first, second = whole[:-1], whole[1:]
    same = np.array(pc.fill_null(pc.equal(first, second), False), np.bool_)
    same |= np.asarray(pc.and_(first.is_null(nan_is_null=True), second.is_null(nan_is_null=True)))
    same &= np.asarray(pc.equal(first.is_null(), second.is_null()))
    return ~same


def _refuse(pair: pa.Table, column: str, rules: LabelRules) -> None:
    one, other = pair.to_pylist()
    raise RefusedValueError(
        f"two rows contradict each other: {column} is {one[column]!r} and {other[column]!r}",
        where=f"{rules.row_id} {one[rules.row_id]!r} at {one[rules.time_column]}",
        mend="give the row that holds a later known_since, or leave the wrong one out",
    )
