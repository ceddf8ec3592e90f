"""A built-in alert book with the marginals that SynthAML publishes, for files made with no real data at all."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np

from greywater.synth.alertbook_copula import GRID, PROBABILITIES, repaired
from greywater.synth.alertbook_faithful import MOST_ROWS, DrawnSizes, FaithfulBook, with_maps
from greywater.synth.alertbook_moments import BEND, COLUMNS, DATE, LOG_SPREAD, MEAN, ROWS, SPAN, YOUNGEST
from greywater.synth.alertbook_sizes import size_map
from greywater.synth.alertbook_tables import CELLS, DAY, KINDS
from greywater.synth.streams import stream
from greywater.vocab import Float64Array

__all__ = ["QUARTER_SHARES", "REPORT_SHARE", "ROWS_AN_ALERT", "example_book"]

#: As published.
REPORT_SHARE: Final = 0.17
ROWS_AN_ALERT: Final = 16_232_955 / 20_000
#: Alerts by quarter, from the first of 2020 to the last of 2021.
QUARTER_SHARES: Final = (0.11, 0.10, 0.153, 0.173, 0.164, 0.133, 0.087, 0.074)

# By cell: card, cash, international and wire, credit (money leaving) first. Cash is 2 % and card debit 4 % of rows, as
# reported of the data behind SynthAML; the other shares, amounts and the signal are ours.
_SHARES: Final = (0.520, 0.012, 0.014, 0.220, 0.040, 0.008, 0.006, 0.180)
_ROW_SPREADS: Final = (0.90, 1.20, 1.30, 0.95, 1.20, 1.20, 1.30, 0.90)
_LOG_AMOUNTS: Final = (5.2, 6.6, 5.8, 7.0, 5.4, 7.4, 7.2, 7.8)
_LOG_SPREADS: Final = (1.2, 0.8, 1.2, 1.5, 1.1, 0.9, 1.5, 1.5)
_LEVEL_SPREADS: Final = (0.30, 0.50, 0.60, 0.50, 0.60, 0.60, 0.80, 0.50)
_ROUND_SHARES: Final = (0.03, 0.70, 0.03, 0.25, 0.03, 0.60, 0.05, 0.20)
#: How far reported alerts differ, in standard deviations between alerts: log rows and mean size.
_MORE_ROWS: Final = (-0.10, 0.25, 0.15, 0.10, 0.05, 0.35, 0.15, 0.25)
_LARGER: Final = (0.00, 0.15, 0.05, 0.20, 0.10, 0.25, 0.15, 0.30)
#: Shares of the common factors of rows and of mean sizes.
_COMMON_ROWS: Final = 0.50
_COMMON_SIZES: Final = 0.35
_ALERTS: Final = 4_096
_POINTS: Final = 16


def example_book(seed: int) -> FaithfulBook:
    """The parameters; the seed varies correlations and the signal a little, as from bank to bank."""
    random = stream(seed, "alertbook", "example")
    marginal = np.zeros((2, COLUMNS, len(GRID)))
    weight = np.gradient(PROBABILITIES)
    for cell in range(CELLS):
        shift = _MORE_ROWS[cell] * random.uniform(0.9, 1.1) * _ROW_SPREADS[cell]
        both = np.stack([_ROW_SPREADS[cell] * GRID, shift + _ROW_SPREADS[cell] * GRID])
        marginal[:, ROWS + cell] = both + _centre(both, weight / weight.sum(), ROWS_AN_ALERT * _SHARES[cell])
        larger = _LARGER[cell] * random.uniform(0.9, 1.1) * _LEVEL_SPREADS[cell]
        marginal[:, MEAN + cell] = _LOG_AMOUNTS[cell] + _LEVEL_SPREADS[cell] * GRID
        marginal[1, MEAN + cell] += larger
        marginal[:, LOG_SPREAD + cell] = np.log(_LOG_SPREADS[cell]) + 0.2 * GRID
    marginal[:, YOUNGEST] = np.clip(0.8 + 0.5 * GRID, np.log1p(1), np.log1p(6))
    marginal[:, SPAN] = np.clip(5.6 + 0.5 * GRID, np.log1p(2), np.log1p(358))
    marginal[:, BEND] = 0.1 + 0.2 * GRID
    marginal[:, DATE] = _dates()
    root = np.linalg.cholesky(repaired(_correlation(random)))
    clock = 13.5 + np.array([3.6, 3.0, 4.5, 3.2])[:, None] * GRID
    book = FaithfulBook(
        share=np.array([REPORT_SHARE]), marginal=marginal, root=np.stack([root, root]),
        most=np.full(CELLS, MOST_ROWS / 2), shape=np.tile(_skewed(), (CELLS, 1)), days=np.clip(PROBABILITIES, 0, 1),
        clock=np.clip(clock * DAY / 24, 0, DAY - 1)[: len(KINDS)], drawn=np.empty(0), size=np.empty(0),
        start=np.zeros(2 * CELLS + 1, np.int64), between=marginal[0, DATE][[0, -1]].copy(),
    )  # fmt: skip
    return _with_round_amounts(book, random)


def _centre(both: Float64Array, weight: Float64Array, rows: float) -> float:
    """What to add to the log rows of both outcomes so that an alert has so many on average."""
    low, high = -10.0, 15.0
    for _ in range(60):
        middle = (low + high) / 2
        drawn = np.minimum(np.rint(np.expm1(np.maximum(both + middle, 0.0))), MOST_ROWS / 2) @ weight
        if (1 - REPORT_SHARE) * drawn[0] + REPORT_SHARE * drawn[1] < rows:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _dates() -> Float64Array:
    begin = [date(2020 + quarter // 4, 3 * (quarter % 4) + 1, 1) for quarter in range(8)] + [date(2022, 1, 1)]
    days = [(one - date(1970, 1, 1)).days - 0.5 for one in begin]
    upto = np.concatenate([[0.0], np.cumsum(QUARTER_SHARES)]) / sum(QUARTER_SHARES)
    return np.clip(np.interp(PROBABILITIES, upto, days), days[0] + 0.5, days[-1] - 0.5)


def _skewed() -> Float64Array:
    """A shape with mean 0, variance 1 and a longer tail of large sizes."""
    shape = GRID + 0.08 * (GRID**2 - 1)
    found: Float64Array = np.maximum.accumulate(shape) / np.sqrt(1 + 2 * 0.08**2)
    return found


def _correlation(random: np.random.Generator) -> Float64Array:
    loading = np.zeros((COLUMNS, 3))
    jitter = random.uniform(0.9, 1.1, (COLUMNS, 3))
    loading[ROWS : ROWS + CELLS, 0] = np.sqrt(_COMMON_ROWS)
    loading[MEAN : MEAN + CELLS, 1] = np.sqrt(_COMMON_SIZES)
    loading[LOG_SPREAD : LOG_SPREAD + CELLS, 2] = 0.4
    loading[YOUNGEST, 0], loading[SPAN, 0] = -0.3, 0.3
    loading *= jitter
    found: Float64Array = loading @ loading.T
    np.fill_diagonal(found, 1.0)
    return found


def _with_round_amounts(book: FaithfulBook, random: np.random.Generator) -> FaithfulBook:
    """The book with maps from log amounts to standardised sizes, some amounts rounded to one digit."""
    drawn = DrawnSizes(book, _ALERTS, _POINTS)
    outcome_share = (1 - REPORT_SHARE, REPORT_SHARE)
    sizes, rows, values = {}, {}, {}
    for outcome in (0, 1):
        for cell in range(CELLS):
            values[outcome, cell] = drawn.of(outcome, cell)
            log_amount, weight = values[outcome, cell]
            rows[outcome, cell] = outcome_share[outcome] * float(weight.sum())
            chosen = random.choice(log_amount, 60_000, p=weight / weight.sum())
            unit = 10.0 ** np.floor(chosen / np.log(10))
            rounded = np.maximum(np.rint(np.exp(chosen) / unit), 1) * unit
            is_round = random.random(len(chosen)) < _ROUND_SHARES[cell]
            sizes[outcome, cell] = np.where(is_round, np.log(rounded), chosen)
    total = sum(rows.values())
    mean = sum(rows[place] * float(size.mean()) for place, size in sizes.items()) / total
    variance = sum(rows[place] * float(((size - mean) ** 2).mean()) for place, size in sizes.items()) / total
    owner = np.arange(60_000)
    maps = {place: size_map((size - mean) / np.sqrt(variance), owner, *values[place]) for place, size in sizes.items()}
    return with_maps(book, maps)
