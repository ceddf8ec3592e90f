"""The published method: a Gaussian copula for each alert's rows, its parameters beside the alert, a copula over all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from greywater.errors import RefusedValueError, UsageError
from greywater.synth.alertbook_blocks import BLOCK, AlertBlock, sorted_rows
from greywater.synth.alertbook_categories import Brackets, brackets_of
from greywater.synth.alertbook_copula import GRID, look_up, pairwise_correlation, repaired
from greywater.synth.alertbook_families import best_family, family_table
from greywater.synth.alertbook_tables import CELLS, DAY, ENTRIES, KINDS, AlertTables
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = ["GROUPS", "HmaBook", "RawAlerts", "fit_hma1"]

Categories = Literal["paper", "library"]
Marginals = Literal["gaussian", "best"]

#: An alert is kept only if one of its transactions lies so many seconds before it, or fewer.
RECENT: Final = 604_800
#: Groups of the correction of sizes: 8 times the outcome plus the cell.
GROUPS: Final = 2 * CELLS

# Columns of one row: seconds before the alert, entry, type, size. An alert with its rows has 17: their count, where
# each column lies and how wide it is, the six correlations, date and outcome.
_ROW: Final = 4
_COUNT, _LOC, _SCALE, _CORRELATION, _DATE, _OUTCOME = 0, 1, 5, 9, 15, 16
_COLUMNS: Final = 17
_PAIRS: Final = tuple((one, other) for one in range(_ROW) for other in range(one))
_MOST_ROWS: Final = 30_000
_LEAST_ALERTS: Final = 30
_ROUNDS: Final = 64
_CLIPPED: Final = 0.001


@dataclass(frozen=True)
class RawAlerts:
    """Alerts as the copula draws them, before any correction; rows in order of alert."""

    day: Int64Array
    reported: NDArray[np.bool_]
    alert: NDArray[np.int32]
    before: Int64Array
    cell: NDArray[np.int8]
    size: Float64Array


@dataclass(frozen=True)
class HmaBook:
    """Parameters of the published method.

    Parameters
    ----------
    marginal : float64[17, p]
        Quantiles of each column of the extended table.
    root : float64[17, 17]
        Lower triangular factor of their correlation.
    most : float64[2]
        Most rows of an alert, and most seconds before it.
    between : float64[2]
        First and last date.
    entry_order, kind_order, outcome_order : int64[k]
        Categories, commonest first.
    entry_edge, kind_edge, outcome_edge : float64[k + 1]
        Their brackets.
    mean, spread : float64[16]
        Of the sizes of each outcome and cell, to which drawn sizes are corrected; NaN where there are none.
    clip : float64[8, 2]
        Least and greatest size of each cell.
    nearest : int64[1]
        1 where categories are decoded as the library did.
    flip : float64[1]
        Chance that an alert's sizes are corrected to those of the other outcome.
    time_noise : float64[1]
        Transactions are moved by up to so many seconds.
    """

    marginal: Float64Array = field(repr=False)
    root: Float64Array = field(repr=False)
    most: Float64Array
    between: Float64Array
    entry_order: Int64Array
    entry_edge: Float64Array
    kind_order: Int64Array
    kind_edge: Float64Array
    outcome_order: Int64Array
    outcome_edge: Float64Array
    mean: Float64Array
    spread: Float64Array
    clip: Float64Array
    nearest: Int64Array
    flip: Float64Array
    time_noise: Float64Array

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> HmaBook:
        """What `arrays` gave."""
        return cls(**{one.name: arrays[one.name] for one in fields(cls)})

    def raw(self, seed: int, number: int) -> RawAlerts:
        """The alerts of a block before correction: those without a recent transaction are drawn again.

        Raises
        ------
        RefusedValueError
            Hardly any alert that the book draws has a recent transaction.
        """
        parts: list[RawAlerts] = []
        wanted = BLOCK
        for turn in range(_ROUNDS):
            drawn = self._candidates(stream(seed, "alertbook", "hma1", number, turn))
            recent = np.zeros(BLOCK, np.bool_)
            recent[drawn.alert[drawn.before <= RECENT]] = True
            chosen = np.flatnonzero(recent)[:wanted]
            parts.append(_chosen(drawn, chosen, BLOCK - wanted))
            wanted -= len(chosen)
            if not wanted:
                return _together(parts)
        text = "hardly any drawn alert has a transaction in the week before it"
        raise RefusedValueError(text, mend="fit to alerts whose transactions reach up to them")

    def _candidates(self, random: np.random.Generator) -> RawAlerts:
        score = random.standard_normal((BLOCK, _COLUMNS)) @ self.root.T
        drawn = np.column_stack([look_up(self.marginal[column], score[:, column]) for column in range(_COLUMNS)])
        count = np.clip(np.rint(drawn[:, _COUNT]), 1, self.most[0]).astype(np.int64)
        roots = np.linalg.cholesky(repaired(_matrices(drawn[:, _CORRELATION:_DATE])))
        scale = np.maximum(drawn[:, _SCALE:_CORRELATION], 0.0)
        rows = random.standard_normal((int(count.sum()), _ROW))
        end = np.cumsum(count)
        for alert, (first, last) in enumerate(zip((end - count).tolist(), end.tolist(), strict=True)):
            rows[first:last] = rows[first:last] @ (roots[alert].T * scale[alert]) + drawn[alert, _LOC:_SCALE]
        nearest = bool(self.nearest[0])
        entry = Brackets(self.entry_order, self.entry_edge).decode(rows[:, 1], nearest=nearest)
        kind = Brackets(self.kind_order, self.kind_edge).decode(rows[:, 2], nearest=nearest)
        outcome = Brackets(self.outcome_order, self.outcome_edge).decode(drawn[:, _OUTCOME], nearest=nearest)
        return RawAlerts(
            day=np.rint(np.clip(drawn[:, _DATE], self.between[0], self.between[1])).astype(np.int64),
            reported=outcome == 1, alert=np.repeat(np.arange(BLOCK, dtype=np.int32), count),
            before=np.clip(rows[:, 0], 1, self.most[1]).astype(np.int64),
            cell=(len(KINDS) * entry + kind).astype(np.int8), size=rows[:, 3].copy(),
        )  # fmt: skip

    def groups(self, seed: int, number: int, raw: RawAlerts) -> NDArray[np.int8]:
        """Group of each row in the correction of sizes: an alert is now and then taken for one of the other outcome."""
        flipped = stream(seed, "alertbook", "flip", number).random(BLOCK) < self.flip[0]
        outcome = (raw.reported ^ flipped).astype(np.int8)
        found: NDArray[np.int8] = (np.int8(CELLS) * outcome)[raw.alert] + raw.cell
        return found

    def block(self, seed: int, number: int, raw: RawAlerts, size: Float64Array) -> AlertBlock:
        """The alerts with their sizes corrected, each moved to a random date of its quarter, its rows with it."""
        random = stream(seed, "alertbook", "moved", number)
        first, last = _quarter(raw.day)
        first = np.maximum(first, int(self.between[0]))
        last = np.minimum(last, int(self.between[1]))
        day = first + (random.random(BLOCK) * (last - first + 1)).astype(np.int64)
        noise = np.rint(random.uniform(-1, 1, len(size)) * self.time_noise[0]).astype(np.int64)
        seconds = (day[raw.alert] + 1) * DAY - np.maximum(raw.before + noise, 1)
        kept = sorted_rows(raw.alert, seconds)
        return AlertBlock(
            number * BLOCK + 1, day, raw.reported, raw.alert[kept], seconds[kept], raw.cell[kept], size[kept]
        )


def _matrices(pairs: Float64Array) -> Float64Array:
    """Symmetric matrices with a unit diagonal from six correlations each."""
    matrix = np.tile(np.eye(_ROW), (len(pairs), 1, 1))
    for place, (one, other) in enumerate(_PAIRS):
        matrix[:, one, other] = matrix[:, other, one] = np.clip(pairs[:, place], -1, 1)
    return matrix


def _chosen(drawn: RawAlerts, chosen: Int64Array, first: int) -> RawAlerts:
    """Some of the alerts with their rows, numbered from `first`."""
    place = np.full(BLOCK, -1, np.int32)
    place[chosen] = first + np.arange(len(chosen), dtype=np.int32)
    owner = place[drawn.alert]
    kept = owner >= 0
    return RawAlerts(
        drawn.day[chosen], drawn.reported[chosen], owner[kept], drawn.before[kept], drawn.cell[kept], drawn.size[kept]
    )


def _together(parts: list[RawAlerts]) -> RawAlerts:
    return RawAlerts(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(RawAlerts)))


def _quarter(day: Int64Array) -> tuple[Int64Array, Int64Array]:
    """First and last day of the quarter of each date."""
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) // 3 * 3
    first, after = (one.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for one in (month, month + 3))
    return first, after - 1


def fit_hma1(
    tables: AlertTables, *, categories: Categories = "paper", marginals: Marginals = "gaussian", flip: float = 0.1,
    time_noise: float = 3_600.0, seed: int = 0, progress: Progress | None = None,
) -> HmaBook:  # fmt: skip
    """Fit the published method.

    Parameters
    ----------
    tables : AlertTables
        The two tables.
    categories : {"paper", "library"}
        Truncated Gaussians decoded by bracket; or untruncated ones, taken modulo 1, decoded by the nearest mean.
    marginals : {"gaussian", "best"}
        Of the extended table: Gaussian, or of each column the family that is nearest.
    flip : float
        Chance that an alert's sizes are corrected to those of the other outcome.
    time_noise : float
        Transactions are moved by up to so many seconds.
    seed : int
        Of the noise that encodes categories.

    Raises
    ------
    UsageError
        A switch is not known or out of range.
    RefusedValueError
        Fewer than 30 alerts have transactions, or all have the same outcome.
    """
    if categories not in ("paper", "library") or marginals not in ("gaussian", "best"):
        mend = "choose paper or library, gaussian or best"
        raise UsageError(f"{categories!r} and {marginals!r} are no such switches", where="categories", mend=mend)
    if not 0 <= flip <= 0.5 or time_noise < 0:
        mend = "give a chance from 0 to 0.5, and seconds from 0"
        raise UsageError("the noise cannot be used", where="flip, time_noise", mend=mend)
    if progress is not None:
        progress.step("fitting the alerts", 2)
    truncated = categories == "paper"
    random = stream(seed, "alertbook", "categories")
    entry = brackets_of(tables.cell // np.int8(len(KINDS)), len(ENTRIES))
    kind = brackets_of(tables.cell % np.int8(len(KINDS)), len(KINDS))
    outcome = brackets_of(tables.reported.astype(np.int8), 2)
    before = ((tables.day + 1) * DAY)[tables.alert] - tables.seconds
    rows = [
        before.astype(np.float64),
        entry.encode(tables.cell // np.int8(len(KINDS)), random, truncated=truncated),
        kind.encode(tables.cell % np.int8(len(KINDS)), random, truncated=truncated),
        tables.size,
    ]
    count = np.bincount(tables.alert, minlength=len(tables.day))
    some = count > 0
    if np.count_nonzero(some) < _LEAST_ALERTS or len(outcome.order) < 2:
        text = f"{np.count_nonzero(some)} alerts of {len(outcome.order)} outcome(s) have transactions"
        raise RefusedValueError(text, mend=f"give at least {_LEAST_ALERTS}, of both outcomes")
    extended = np.column_stack(
        [count, *_moments(rows, tables.alert, count), tables.day,
         outcome.encode(tables.reported.astype(np.int8), random, truncated=truncated)]
    )[some]  # fmt: skip
    if progress is not None:
        progress.advance(1)
    names = [best_family(column) if marginals == "best" else "gaussian" for column in extended.T]
    marginal = np.stack([family_table(column, name) for column, name in zip(extended.T, names, strict=True)])
    scores = np.column_stack([_scores(column, table) for column, table in zip(extended.T, marginal, strict=True)])
    mean, spread, clip = _targets(tables)
    root = np.asarray(np.linalg.cholesky(repaired(pairwise_correlation(scores))), np.float64)
    if progress is not None:
        progress.advance(1)
    return HmaBook(
        marginal=marginal, root=root,
        most=np.array([min(count.max(), _MOST_ROWS), before.max()], np.float64),
        between=np.array([tables.day.min(), tables.day.max()], np.float64),
        entry_order=entry.order, entry_edge=entry.edge, kind_order=kind.order, kind_edge=kind.edge,
        outcome_order=outcome.order, outcome_edge=outcome.edge, mean=mean, spread=spread, clip=clip,
        nearest=np.array([int(not truncated)]), flip=np.array([flip]), time_noise=np.array([time_noise]),
    )  # fmt: skip


def _scores(column: Float64Array, table: Float64Array) -> Float64Array:
    """Normal scores of values under a table of quantiles."""
    if table[0] == table[-1]:
        return np.zeros(len(column))
    return np.interp(column, table, GRID)


def _moments(rows: list[Float64Array], alert: NDArray[np.int32], count: Int64Array) -> list[Float64Array]:
    """Location and scale of each column and their six correlations, by alert; NaN correlations are 0."""
    alerts = len(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        loc = [np.bincount(alert, column, minlength=alerts) / count for column in rows]
        off = [column - mean[alert] for column, mean in zip(rows, loc, strict=True)]
        scale = [np.sqrt(np.bincount(alert, one * one, minlength=alerts) / count) for one in off]
        found = []
        for one, other in _PAIRS:
            product = np.bincount(alert, off[one] * off[other], minlength=alerts) / count
            found.append(np.nan_to_num(product / (scale[one] * scale[other]), nan=0.0, posinf=0.0, neginf=0.0))
    return [*loc, *scale, *(np.clip(one, -1, 1) for one in found)]


def _targets(tables: AlertTables) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Mean and spread of sizes by outcome and cell, and where sizes of a cell are clipped."""
    group = (np.int8(CELLS) * tables.reported.astype(np.int8))[tables.alert] + tables.cell
    count = np.bincount(group, minlength=GROUPS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(group, tables.size, minlength=GROUPS) / count
        off = tables.size - mean[group]
        spread = np.sqrt(np.bincount(group, off * off, minlength=GROUPS) / count)
    clip = np.tile(np.array([-np.inf, np.inf]), (CELLS, 1))
    for cell in range(CELLS):
        size = tables.size[tables.cell == cell]
        if len(size):
            clip[cell] = np.quantile(size, [_CLIPPED, 1 - _CLIPPED])
    return mean, spread, clip
