"""The faithful model of an alert book: a copula for each outcome over what alerts are like, rows from pooled shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from greywater.errors import RefusedValueError
from greywater.synth.alertbook_blocks import BLOCK, AlertBlock, sorted_rows
from greywater.synth.alertbook_copula import (
    GRID,
    PROBABILITIES,
    look_up,
    normal_scores,
    pairwise_correlation,
    quantile_table,
    repaired,
)
from greywater.synth.alertbook_moments import (
    BEND,
    COLUMNS,
    DATE,
    LOG_SPREAD,
    MEAN,
    ROWS,
    SPAN,
    YOUNGEST,
    AlertMoments,
    days_of,
    moments_of,
    shrunk,
)
from greywater.synth.alertbook_sizes import SizeMap, size_map, thinned
from greywater.synth.alertbook_tables import CELLS, DAY, KINDS, AlertTables
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = ["MOST_ROWS", "DrawnSizes", "FaithfulBook", "fit_faithful", "with_maps"]

#: Most rows an alert may be given.
MOST_ROWS: Final = 30_000
#: Alerts of each outcome that a fit needs.
LEAST_ALERTS: Final = 30

_LEAST_FOR_SHAPE: Final = 8
_LEAST_FOR_MAP: Final = 400
_ALERTS_FOR_MAP: Final = 16_384
_POINTS_FOR_MAP: Final = 16


@dataclass(frozen=True)
class FaithfulBook:
    """Parameters from which alerts are drawn; d columns describe an alert (alertbook_moments), p points a table.

    Parameters
    ----------
    share : float64[1]
        Share of alerts that are reported.
    marginal : float64[2, d, p]
        Quantiles of each column, by outcome (dismissed, reported).
    root : float64[2, d, d]
        Lower triangular factor of the correlation of normal scores.
    most : float64[8]
        Most rows of a cell.
    shape : float64[8, p]
        Quantiles of (size - mean) / spread within alerts, by cell.
    days : float64[p]
        Quantiles of the place of a row between the last and the first.
    clock : float64[4, p]
        Quantiles of the second of the day, by type.
    drawn, size : float64[k]
        Knots of the maps to the sizes of the data, one after the other, by outcome and cell.
    start : int64[17]
        Where each of the maps begins and ends.
    between : float64[2]
        First and last date.
    """

    share: Float64Array
    marginal: Float64Array
    root: Float64Array
    most: Float64Array
    shape: Float64Array
    days: Float64Array
    clock: Float64Array
    drawn: Float64Array = field(repr=False)
    size: Float64Array = field(repr=False)
    start: Int64Array
    between: Float64Array

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> FaithfulBook:
        """What `arrays` gave."""
        return cls(**{one.name: arrays[one.name] for one in fields(cls)})

    def map_of(self, outcome: int, cell: int) -> SizeMap:
        """Knots of one map."""
        begin, end = self.start[outcome * CELLS + cell : outcome * CELLS + cell + 2]
        return self.drawn[begin:end], self.size[begin:end]

    def draw(self, seed: int, number: int) -> AlertBlock:
        """The block of a number: a function of seed and number alone."""
        random = stream(seed, "alertbook", "faithful", number)
        reported = random.random(BLOCK) < self.share[0]
        alerts = self.alerts(random, reported)
        count = _whole_rows(alerts, self.most)
        order = np.argsort(reported, kind="stable")
        dismissed = int(np.count_nonzero(~reported))
        owner, cells, sizes = [], [], []
        for cell in range(CELLS):
            per_alert = count[order, cell]
            owner.append(np.repeat(order, per_alert))
            cells.append(np.full(len(owner[-1]), cell, np.int8))
            sizes.append(self._sizes(random, alerts, owner[-1], cell, int(per_alert[:dismissed].sum())))
        alert, cell_of = np.concatenate(owner).astype(np.int32), np.concatenate(cells)
        day = np.rint(np.clip(alerts[:, DATE], self.between[0], self.between[1])).astype(np.int64)
        seconds = self._seconds(random, alerts, alert, cell_of, day)
        kept = sorted_rows(alert, seconds)
        size = np.concatenate(sizes)[kept]
        return AlertBlock(number * BLOCK + 1, day, reported, alert[kept], seconds[kept], cell_of[kept], size)

    def alerts(self, random: np.random.Generator, reported: NDArray[np.bool_]) -> Float64Array:
        """Columns of alerts with these outcomes."""
        noise = random.standard_normal((len(reported), COLUMNS))
        found = np.empty_like(noise)
        for outcome in (0, 1):
            mine = reported == bool(outcome)
            score = noise[mine] @ self.root[outcome].T
            for column in range(COLUMNS):
                found[mine, column] = look_up(self.marginal[outcome, column], score[:, column])
        return found

    def _sizes(
        self, random: np.random.Generator, alerts: Float64Array, owner: Int64Array, cell: int, dismissed: int
    ) -> Float64Array:
        """Sizes of the rows of one cell; those of dismissed alerts come first."""
        size = look_up(self.shape[cell], random.standard_normal(len(owner)))
        size *= np.exp(alerts[:, LOG_SPREAD + cell])[owner]
        size += alerts[owner, MEAN + cell]
        for outcome, part in ((0, slice(0, dismissed)), (1, slice(dismissed, None))):
            if len(size[part]):
                size[part] = np.interp(size[part], *self.map_of(outcome, cell))
        return size

    def _seconds(
        self, random: np.random.Generator, alerts: Float64Array, alert: NDArray[np.int32],
        cell: NDArray[np.int8], day: Int64Array,
    ) -> Int64Array:  # fmt: skip
        share = look_up(self.days, random.standard_normal(len(alert)))
        np.power(np.clip(share, 0.0, 1.0, out=share), np.exp(alerts[:, BEND])[alert], out=share)
        _put_ends(random, share, alert)
        youngest, span = (np.rint(np.expm1(np.maximum(alerts[:, column], 0.0))) for column in (YOUNGEST, SPAN))
        before = np.rint(share * span[alert]).astype(np.int64) + youngest.astype(np.int64)[alert]
        score = random.standard_normal(len(alert))
        clock = np.empty(len(alert))
        kind = cell % len(KINDS)
        for one in range(len(KINDS)):
            mine = kind == one
            clock[mine] = look_up(self.clock[one], score[mine])
        return (day[alert] - before) * DAY + np.clip(clock, 0, DAY - 1).astype(np.int64)


def _whole_rows(alerts: Float64Array, most: Float64Array) -> Int64Array:
    """Rows of each alert and cell; an alert that would have none has one, in its likeliest cell."""
    wanted = np.expm1(np.maximum(alerts[:, ROWS : ROWS + CELLS], 0.0))
    count = np.minimum(np.rint(wanted), most).astype(np.int64)
    empty = np.flatnonzero(count.sum(axis=1) == 0)
    count[empty, np.argmax(wanted[empty], axis=1)] = 1
    total = count.sum(axis=1)
    large = np.flatnonzero(total > MOST_ROWS)
    count[large] = count[large] * MOST_ROWS // total[large, None]
    return count


def _put_ends(random: np.random.Generator, share: Float64Array, alert: NDArray[np.int32]) -> None:
    """Put one row of each alert on its last day and another on its first."""
    count = np.bincount(alert, minlength=BLOCK)
    order = np.argsort(alert, kind="stable")
    begin = np.cumsum(count) - count
    last = (random.random(BLOCK) * count).astype(np.int64)
    first = (last + 1 + (random.random(BLOCK) * np.maximum(count - 1, 0)).astype(np.int64)) % np.maximum(count, 1)
    some = count > 1
    share[order[(begin + first)[some]]] = 1.0
    share[order[(begin + last)[count > 0]]] = 0.0


def fit_faithful(tables: AlertTables, progress: Progress | None = None) -> FaithfulBook:
    """Fit the model to two tables.

    Raises
    ------
    RefusedValueError
        Fewer than 30 alerts of an outcome have transactions.
    """
    moments = moments_of(tables)
    some = moments.count.sum(axis=1) > 0
    for outcome, name in enumerate(("dismissed", "reported")):
        found = int(np.count_nonzero(some & (tables.reported == bool(outcome))))
        if found < LEAST_ALERTS:
            text = f"{found} {name} alerts have transactions; a fit needs {LEAST_ALERTS}"
            raise RefusedValueError(text, mend="give more alerts, or start from the built-in example")
    if progress is not None:
        progress.step("fitting the alerts", CELLS + 2)
    columns, share = _columns(tables, moments)
    marginal, root = np.zeros((2, COLUMNS, len(GRID))), np.empty((2, COLUMNS, COLUMNS))
    for outcome in (0, 1):
        mine = columns[some & (tables.reported == bool(outcome))]
        for column in range(COLUMNS):
            seen = mine[~np.isnan(mine[:, column]), column]
            if len(seen):
                marginal[outcome, column] = quantile_table(seen)
        scores = np.column_stack([normal_scores(mine[:, column]) for column in range(COLUMNS)])
        root[outcome] = np.linalg.cholesky(repaired(pairwise_correlation(scores)))
    shapes = _shapes(tables, moments)
    seen_share = thinned(share[~np.isnan(share)])
    clock = np.stack([_clock(tables, kind) for kind in range(len(KINDS))])
    book = FaithfulBook(
        share=np.array([float(tables.reported.mean())]), marginal=marginal, root=root,
        most=np.minimum(1.25 * moments.count.max(axis=0), MOST_ROWS), shape=shapes,
        days=np.clip(quantile_table(seen_share if len(seen_share) else np.array([0.5])), 0.0, 1.0), clock=clock,
        drawn=np.empty(0), size=np.empty(0), start=np.zeros(2 * CELLS + 1, np.int64),
        between=np.array([tables.day.min(), tables.day.max()], np.float64),
    )  # fmt: skip
    if progress is not None:
        progress.advance(2)
    return _with_maps(book, tables, progress)


def _columns(tables: AlertTables, moments: AlertMoments) -> tuple[Float64Array, Float64Array]:
    mean, spread = np.empty(moments.mean.shape), np.empty(moments.mean.shape)
    for outcome in (False, True):
        mine = tables.reported == outcome
        mean[mine], spread[mine] = shrunk(AlertMoments(moments.count[mine], moments.mean[mine], moments.spread[mine]))
    days, share = days_of(tables)
    return np.column_stack([np.log1p(moments.count), mean, spread, days, tables.day]), share


def _shapes(tables: AlertTables, moments: AlertMoments) -> Float64Array:
    """Quantiles of what is left of sizes within alerts of enough rows; normal where there are none."""
    shapes = np.tile(GRID, (CELLS, 1))
    for cell in range(CELLS):
        rows: Int64Array = np.flatnonzero(tables.cell == cell)
        count, spread = moments.count[:, cell], moments.spread[:, cell]
        usable = (count >= _LEAST_FOR_SHAPE) & (spread > 0)
        rows = thinned(rows[usable[tables.alert[rows]]])
        if len(rows) >= _LEAST_FOR_MAP:
            owner = tables.alert[rows]
            left = (tables.size[rows] - moments.mean[owner, cell]) / spread[owner]
            shapes[cell] = quantile_table(left * np.sqrt(count[owner] / (count[owner] - 1)))
    return shapes


def _clock(tables: AlertTables, kind: int) -> Float64Array:
    seconds = thinned(tables.seconds[tables.cell % len(KINDS) == kind]) % DAY
    return quantile_table(seconds.astype(np.float64)) if len(seconds) else np.full(len(GRID), DAY / 2)


def _with_maps(book: FaithfulBook, tables: AlertTables, progress: Progress | None) -> FaithfulBook:
    """The book with the maps from the sizes it draws to those of the data."""
    drawn = DrawnSizes(book, _ALERTS_FOR_MAP, _POINTS_FOR_MAP)
    reported = tables.reported[tables.alert]
    maps: dict[tuple[int, int], SizeMap] = {}
    for cell in range(CELLS):
        rows = np.flatnonzero(tables.cell == cell)
        for outcome in (0, 1):
            mine = rows[reported[rows] == bool(outcome)]
            mine = mine if len(mine) >= _LEAST_FOR_MAP else rows
            values, weight = drawn.of(outcome, cell)
            if len(mine) and len(values):
                maps[outcome, cell] = size_map(tables.size[mine], tables.alert[mine].astype(np.int64), values, weight)
        if progress is not None:
            progress.advance(1)
    return with_maps(book, maps)


def with_maps(book: FaithfulBook, maps: Mapping[tuple[int, int], SizeMap]) -> FaithfulBook:
    """The book with these maps, by outcome and cell; a cell without one has no sizes but 0."""
    nothing = (np.zeros(1), np.zeros(1))
    ordered = [maps.get((outcome, cell), nothing) for outcome in (0, 1) for cell in range(CELLS)]
    given = book.arrays() | {
        "drawn": np.concatenate([knots for knots, _ in ordered]),
        "size": np.concatenate([sizes for _, sizes in ordered]),
        "start": np.cumsum([0, *(len(knots) for knots, _ in ordered)]).astype(np.int64),
    }
    return FaithfulBook.from_arrays(given)


class DrawnSizes:
    """Sizes that a book draws before they are mapped.

    Parameters
    ----------
    book : FaithfulBook
        Its maps are not used.
    alerts, points : int
        Alerts of each outcome, and sizes taken for each alert and cell.
    """

    def __init__(self, book: FaithfulBook, alerts: int, points: int) -> None:
        self._random = stream(0, "alertbook", "maps")
        self._alerts = [book.alerts(self._random, np.full(alerts, bool(outcome))) for outcome in (0, 1)]
        self._book, self._points = book, points

    def of(self, outcome: int, cell: int) -> tuple[Float64Array, Float64Array]:
        """Sizes of one outcome and cell, and how many rows each stands for."""
        alerts, points = self._alerts[outcome], self._points
        count = _whole_rows(alerts, self._book.most)[:, cell]
        some = np.flatnonzero(count)
        step = (np.arange(points) + self._random.random((len(some), points))) / points
        shape = np.interp(step, PROBABILITIES, self._book.shape[cell])
        drawn = alerts[some, MEAN + cell, None] + np.exp(alerts[some, LOG_SPREAD + cell, None]) * shape
        return drawn.ravel(), np.repeat(count[some] / points, points)
