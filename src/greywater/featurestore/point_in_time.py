"""The point-in-time join: for each label row the features as they were known at its moment, and nothing later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import RefusedTypeError, UsageError
from greywater.featurestore.definitions import DTYPES, FeatureGroup, FeatureView, RequestValue, ViewFeature
from greywater.stores.feature_ports import EVENT_TIME, Offline, SortedRun, microseconds
from greywater.stores.offline_keys import key_column, key_hashes
from greywater.vocab import Int64Array

__all__ = ["join_as_of"]

#: Answers of a row of labels: rows of labels int64[m], and the place in the run that holds each answer int64[m].
Found = tuple[Int64Array, Int64Array]
#: Columns of eight bytes that are filled together: a line of memory.
TOGETHER: Final = 8
WIDTHS: Final = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def join_as_of(
    labels: pa.Table,
    view: FeatureView,
    groups: Mapping[tuple[str, int], FeatureGroup],
    offline: Offline,
    *,
    time_column: str = EVENT_TIME,
    known_column: str | None = None,
    as_of_commit: Mapping[tuple[str, int], int] | None = None,
    as_served: bool = False,
) -> pa.Table:
    """The columns of a view for each label row, as of its moment.

    For a label row at T that knows what was known by T', the feature row of its entity with the greatest (event
    time, commit order) among event_time <= T and known_time <= T' wins (SEMANTICS: joins use known_time).

    Parameters
    ----------
    labels : pa.Table
        n rows with the keys of every group (under the names that `view.joins` gives, else the group's own), the time
        column, and the request values that are at hand.
    view : FeatureView
    groups : mapping of (name, version) to FeatureGroup
        At least the groups of the view.
    offline : Offline
    time_column : str
        T: timestamps; a null one finds nothing.
    known_column : str, optional
        T': timestamps; a null one finds nothing. None: T' is T.
    as_of_commit : mapping of (name, version) to int, optional
        The last commit that is seen of a group; all of them where it is not named.
    as_served : bool
        Answer what `OnlineView.vector` would have answered at T: an answer that is older than its group's
        `ttl_seconds` is none, and a feature without an answer is its default.

    Returns
    -------
    pa.Table
        n rows in the order of `labels` with the view's columns in order. A feature without an answer is null, or with
        `as_served` its default; a request value that the labels do not hold is its default.

    Raises
    ------
    UsageError
        A group, a feature or a column of the labels is missing.
    RefusedTypeError
        A column of the labels has a type that cannot be what the view or the group says.
    StoreDamagedError
        A data file is not what was written.
    """
    join = _Join(labels, _moments(labels, time_column), _moments(labels, known_column or time_column), as_served)
    limits = as_of_commit or {}
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name in view.groups:
        group = groups.get(name)
        if group is None:
            raise UsageError(
                f"the view reads group {name[0]!r} version {name[1]}, which was not given", where=view.name
            )
        wanted = [one for one in view.features if (one.group, one.version) == name]
        columns |= join.features(group, wanted, view.joins.get(group.name, group.keys), offline, limits.get(name))
    for column in view.columns:
        if isinstance(column, RequestValue):
            columns[column.name] = _request_value(labels, column)
    return pa.table([columns[name] for name in view.names], names=list(view.names))


@dataclass
class _Join:
    """Label rows on their way through the groups of a view."""

    labels: pa.Table
    moment: tuple[Int64Array, NDArray[np.uint8]]
    known: tuple[Int64Array, NDArray[np.uint8]]
    as_served: bool
    hashed: dict[tuple[Any, ...], tuple[Int64Array, Int64Array, NDArray[np.uint8]]] = field(default_factory=dict)

    def features(
        self, group: FeatureGroup, wanted: Sequence[ViewFeature], key_names: Sequence[str], offline: Offline,
        as_of_commit: int | None,
    ) -> dict[str, pa.Array | pa.ChunkedArray]:  # fmt: skip
        """Columns of one group by their names in the view."""
        known = group.by_name
        for one in wanted:
            if one.feature not in known:
                raise UsageError(
                    f"group {group.name!r} version {group.version} has no feature {one.feature!r}",
                    mend=f"name one of {', '.join(known)}",
                )
        high, low, live = self._keys(key_names, group)
        rows = self.labels.num_rows
        kinds = {one.feature: DTYPES[known[one.feature].dtype] for one in wanted}
        columns = _Columns(kinds, rows, dated=self.as_served and group.ttl_seconds > 0)
        moments = self.moment[0][live.view(np.bool_)]
        stop = int(moments.max()) + 1 if len(moments) else None
        runs: list[SortedRun] = []
        if stop is not None:
            runs = list(offline.runs(group.name, group.version, stop_us=stop, as_of_commit=as_of_commit))

        answered = _answer((high, low, self.moment[0], self.known[0]), live, runs, columns.take)
        made = columns.made(answered)
        if self.as_served:
            if columns.event is not None:
                answered &= self.moment[0] - columns.event <= group.ttl_seconds * 1_000_000
            unknown = pa.array(answered == 0)
            made = {
                name: pc.if_else(unknown, pa.scalar(known[name].default, kinds[name]), column)
                for name, column in made.items()
            }
        return {one.name: made[one.feature] for one in wanted}

    def _keys(self, names: Sequence[str], group: FeatureGroup) -> tuple[Int64Array, Int64Array, NDArray[np.uint8]]:
        """Hashes of the label rows' entities, and 1 where there is an entity and a moment; kept for other groups."""
        if len(names) != len(group.keys):
            raise UsageError(
                f"group {group.name!r} has {len(group.keys)} keys, the view joins it by {len(names)} columns"
            )
        card = (*names, *group.key_dtypes)
        if card not in self.hashed:
            keys = [
                key_column(_column(self.labels, name), dtype, name)
                for name, dtype in zip(names, group.key_dtypes, strict=True)
            ]
            live = self.moment[1] & self.known[1]
            for key in keys:
                if key.null_count:
                    live &= key.is_valid().to_numpy(zero_copy_only=False).view(np.uint8)
            self.hashed[card] = (*key_hashes(keys), live)
        return self.hashed[card]


class _Column:
    """One feature of all label rows, filled run by run; those of eight bytes are filled by their block."""

    def __init__(self, kind: pa.DataType, rows: int) -> None:
        self.kind = kind
        self.rows = rows
        self.plain = not (pa.types.is_string(kind) or pa.types.is_boolean(kind))
        self.wide = self.plain and kind.bit_width == 64
        self.values: NDArray[Any] = np.zeros(0 if self.wide or not self.plain else rows, _bits(kind))
        self.absent: NDArray[np.uint8] | None = None
        self.pieces: list[pa.Array] = []
        self.places: list[Int64Array] = []

    def add(self, column: pa.Array, found: Found) -> NDArray[Any]:
        """Take the answers of one run in; returns the bits of its numbers, if it has any."""
        from greywater.kernels.as_of import gather, gather_present

        rows, places = found
        if not self.plain:
            self.pieces.append(column.take(pa.array(places)))
            self.places.append(rows.copy())  # the next span writes over it
            return self.values
        validity, data = column.buffers()
        held = np.frombuffer(data, self.values.dtype, len(column), column.offset * self.values.itemsize)
        if not self.wide:
            gather(held, places, rows, self.values)
        if column.null_count:
            if self.absent is None:
                self.absent = np.ones(self.rows, np.uint8)
            gather_present(np.frombuffer(validity, np.uint8), column.offset, places, rows, self.absent)
        return held

    def made(self, answered: NDArray[np.uint8]) -> pa.Array | pa.ChunkedArray:
        """The whole column; null where no run answered."""
        if not self.plain:
            if not self.pieces:
                return pa.nulls(self.rows, self.kind)
            where = np.zeros(self.rows, np.int64)
            rows = np.concatenate(self.places)
            where[rows] = np.arange(len(rows))
            picked = pa.array(where, mask=answered == 0)
            return pa.chunked_array(self.pieces, self.kind).combine_chunks().take(picked)
        present = answered if self.absent is None else answered & self.absent
        if self.absent is not None:
            self.values[present == 0] = 0
        if present.all():
            return pa.Array.from_buffers(self.kind, self.rows, [None, pa.py_buffer(self.values)])
        bitmap = pa.py_buffer(np.packbits(present, bitorder="little"))
        return pa.Array.from_buffers(self.kind, self.rows, [bitmap, pa.py_buffer(self.values)])


class _Columns:
    """The features of one group for all label rows; up to eight numbers of eight bytes lie together while filled.

    `event` are the event times of the answers, where they are wanted (`dated`).
    """

    def __init__(self, kinds: Mapping[str, pa.DataType], rows: int, *, dated: bool = False) -> None:
        self.event = np.zeros(rows, np.int64) if dated else None
        self.columns = {name: _Column(kind, rows) for name, kind in kinds.items()}
        wide = [name for name, column in self.columns.items() if column.wide]
        self.rest = [name for name in self.columns if name not in wide]
        self.blocks = [wide[at : at + TOGETHER] for at in range(0, len(wide), TOGETHER)]
        self.filled = [np.zeros((rows, len(block)), np.int64) for block in self.blocks]

    def take(self, run: SortedRun, found: Found) -> None:
        """Take the answers of one run in, reading no more than a block of columns at a time."""
        from greywater.kernels.as_of import gather_eight

        rows, places = found
        if self.event is not None:
            self.event[rows] = run.event_us[places]
        if self.rest:
            table = run.columns(self.rest)
            for name in self.rest:
                self.columns[name].add(_whole(table[name]), found)
        for block, filled in zip(self.blocks, self.filled, strict=True):
            table = run.columns(block)
            held = [self.columns[name].add(_whole(table[name]), found) for name in block]
            held += [held[0]] * (TOGETHER - len(held))
            gather: Any = gather_eight
            gather(*held, len(block), places, rows, filled)

    def made(self, answered: NDArray[np.uint8]) -> dict[str, pa.Array | pa.ChunkedArray]:
        """All of them by their names in the group."""
        from greywater.kernels.as_of import split_columns

        for number, block in enumerate(self.blocks):
            apart = np.empty((len(block), self.filled[number].shape[0]), np.int64)
            split_columns(self.filled[number], apart)
            self.filled[number] = apart[:0]
            for at, name in enumerate(block):
                self.columns[name].values = apart[at]
        return {name: column.made(answered) for name, column in self.columns.items()}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one array, not copied where it is one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _bits(kind: pa.DataType) -> Any:
    """The whole numbers that hold the bits of a number of this type."""
    plain = not (pa.types.is_string(kind) or pa.types.is_boolean(kind))
    return WIDTHS[kind.bit_width // 8] if plain else np.int8


def _answer(
    labels: tuple[Int64Array, Int64Array, Int64Array, Int64Array],
    live: NDArray[np.uint8],
    runs: list[SortedRun],
    take: Callable[[SortedRun, Found], None],
) -> NDArray[np.uint8]:
    """Find the answer of each label, from the newest runs to the oldest; `take` is told those of each run.

    Runs whose times overlap answer together, as a span; a label that a span answered is done, because everything
    older is older than its answer. A run is let go of after its span.

    Parameters
    ----------
    labels : tuple
        high, low, moment, known, all int64[n].
    live : uint8[n]

    Returns
    -------
    uint8[n]
        1 where there is an answer.
    """
    from greywater.kernels.as_of import Best, Waiting, deal, enter, look, merge, settle

    count = len(live)
    answered = np.zeros(count, np.uint8)
    spans = _spans(runs)
    runs.clear()
    entry, counts = np.empty(count, np.int32), np.empty(len(spans) + 2, np.int64)
    least = np.array([min(run.least_event_us for run in span) for span in spans], np.int64)
    enter(labels[2], live, least, entry, counts)
    bounds = counts[: len(spans) + 1].copy()
    dealt = _room(Waiting, int(bounds[-1]))
    deal(entry, counts, len(spans), *labels, dealt)
    del entry
    now, then = _room(Waiting, len(dealt.row)), _room(Waiting, len(dealt.row))
    best = _room(Best, len(dealt.row))
    best.run[:] = -1
    rows, places = np.empty_like(dealt.row), np.empty_like(dealt.row)
    held = 0
    for number in range(len(spans)):
        span = spans[number]
        spans[number] = []
        begin, stop = int(bounds[number]), int(bounds[number + 1])
        order = _in_order(dealt, begin, stop)
        held = merge(now, held, dealt, begin, order, then)
        now, then = then, now
        if held == 0:
            continue
        for at, run in enumerate(span):
            look(now, held, _rows(run), at, best)
        starts = np.empty(len(span) + 1, np.int64)
        held = settle(now, held, best, starts, rows, places)
        for at, run in enumerate(span):
            found = slice(int(starts[at]), int(starts[at + 1]))
            if found.stop > found.start:
                answered[rows[found]] = 1
                take(run, (rows[found], places[found]))
    return answered


def _spans(runs: Sequence[SortedRun]) -> list[list[SortedRun]]:
    """Runs whose event times overlap or touch, together; the newest first."""
    spans: list[list[SortedRun]] = []
    least = 0
    for run in sorted(runs, key=lambda run: -run.greatest_event_us):
        if run.rows == 0:
            continue
        if spans and run.greatest_event_us >= least:
            spans[-1].append(run)
            least = min(least, run.least_event_us)
        else:
            spans.append([run])
            least = run.least_event_us
    return spans


def _rows(run: SortedRun) -> Any:
    """A run as the kernel wants it."""
    from greywater.kernels.as_of import BLOCK, Rows, floors

    known, commit = run.known_us, run.commit
    floor = np.empty(-(-len(known) // BLOCK), np.int64)
    floors(known, floor)
    commits = np.array([commit], np.int64) if isinstance(commit, int) else commit
    return Rows(run.key_high, run.key_low, run.event_us, known, commits, floor)


def _in_order(dealt: Any, begin: int, stop: int) -> Int64Array:
    """What sorts the labels of one span."""
    from greywater.stores.offline_rows import in_order

    return in_order(dealt.high[begin:stop], dealt.low[begin:stop], dealt.moment[begin:stop])


def _room(kind: Any, rows: int) -> Any:
    return kind(*(np.empty(rows, np.int64) for _ in kind._fields))


def _column(labels: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in labels.column_names:
        raise UsageError(
            f"the labels have no column {name!r}", mend=f"they have {', '.join(labels.column_names) or 'none'}"
        )
    return labels[name]


def _moments(labels: pa.Table, name: str) -> tuple[Int64Array, NDArray[np.uint8]]:
    """Microseconds since 1970 int64[n], and 1 where there is a moment uint8[n]. Naive times are UTC."""
    column = _column(labels, name)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_null(column.type)):
        raise RefusedTypeError(f"column {name!r} is {column.type}, not a timestamp", mend="cast that column")
    present = np.ones(len(column), np.uint8)
    if column.null_count:
        present = column.is_valid().to_numpy().view(np.uint8)
    whole = column.combine_chunks().cast(pa.timestamp("us", tz="UTC"), safe=False)
    return microseconds(whole.fill_null(0)), present


def _request_value(labels: pa.Table, value: RequestValue) -> pa.Array | pa.ChunkedArray:
    kind = DTYPES.get(value.dtype)
    if kind is None:
        raise UsageError(f"no dtype {value.dtype!r}", where=value.name, mend=f"give one of {', '.join(DTYPES)}")
    try:
        if value.name not in labels.column_names:
            return pa.repeat(pa.scalar(value.default, kind), labels.num_rows)
        return labels[value.name].cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise RefusedTypeError(f"request value {value.name!r} cannot be {value.dtype}: {error}") from error
