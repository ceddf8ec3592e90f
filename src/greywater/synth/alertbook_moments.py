"""What one alert's transactions are like: rows, mean and spread of sizes in each cell, and how its days are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.alertbook_tables import CELLS, AlertTables
from greywater.vocab import Float64Array, Int64Array

__all__ = ["COLUMNS", "LOG_SPREAD", "MEAN", "ROWS", "AlertMoments", "days_of", "moments_of", "shrunk"]

#: Where the columns of one alert begin: log rows, mean size and log spread of each cell, then days and date.
ROWS: Final = 0
MEAN: Final = CELLS
LOG_SPREAD: Final = 2 * CELLS
YOUNGEST: Final = 3 * CELLS
SPAN: Final = YOUNGEST + 1
BEND: Final = YOUNGEST + 2
DATE: Final = YOUNGEST + 3
COLUMNS: Final = YOUNGEST + 4

_LEAST_FOR_SPREAD: Final = 3
_LEAST_FOR_BEND: Final = 5
_SMALLEST: Final = 1e-6
_STEEPEST: Final = 2.5


@dataclass(frozen=True)
class AlertMoments:
    """Counts and moments of sizes, an alert a row and a cell a column.

    Parameters
    ----------
    count : int64[a, 8]
        Rows.
    mean, spread : float64[a, 8]
        Mean and standard deviation (ddof 1) of sizes; NaN where there are no rows, below two of them.
    """

    count: Int64Array
    mean: Float64Array
    spread: Float64Array


def moments_of(tables: AlertTables) -> AlertMoments:
    """Counts and moments of every alert and cell, in two passes over the rows."""
    alerts = len(tables.day)
    place = tables.alert.astype(np.int64) * CELLS + tables.cell
    count = np.bincount(place, minlength=CELLS * alerts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, tables.size, minlength=CELLS * alerts) / count
        off = tables.size - mean[place]
        off *= off
        variance = np.bincount(place, off, minlength=CELLS * alerts) / (count - 1)
    variance[count < 2] = np.nan
    shape = (alerts, CELLS)
    return AlertMoments(count.reshape(shape), mean.reshape(shape), np.sqrt(variance).reshape(shape))


def shrunk(moments: AlertMoments) -> tuple[Float64Array, Float64Array]:
    """Means and log spreads pulled towards those of all alerts, so that they vary as the true ones do.

    A mean of few rows varies more than the truth behind it. The factor is the root of the usual one of empirical Bayes
    (Louis, 1984, "Estimating a population of parameter values using Bayes and empirical Bayes methods"): the spread
    between alerts is kept, and drawing rows around them does not count the noise of few rows a second time.

    Returns
    -------
    mean, log_spread : float64[a, 8]
        NaN where there are no rows, below three of them.
    """
    mean = np.full(moments.mean.shape, np.nan)
    spread = np.full(moments.mean.shape, np.nan)
    for cell in range(CELLS):
        count, own = moments.count[:, cell], moments.spread[:, cell]
        some, several = np.flatnonzero(count), np.flatnonzero(count >= _LEAST_FOR_SPREAD)
        if len(several):
            free = count[several] - 1.0
            noise = 1 / (2 * free)
            spread[several, cell] = _pulled(np.log(np.maximum(own[several], _SMALLEST)) + noise, noise)
            pooled = float(np.average(own[several] ** 2, weights=free))
            mean[some, cell] = _pulled(moments.mean[some, cell], pooled / count[some])
        else:
            mean[some, cell] = moments.mean[some, cell]
    return mean, spread


def _pulled(values: Float64Array, noise: Float64Array) -> Float64Array:
    """Values whose estimates have a variance of `noise`, pulled towards their mean."""
    weight = 1 / (noise + noise.mean())
    centre = float(np.average(values, weights=weight))
    between = max(float(np.average((values - centre) ** 2 - noise, weights=weight)), 0.0)
    factor = np.sqrt(between / np.maximum(between + noise, 1e-300))
    pulled: Float64Array = centre + factor * (values - centre)
    return pulled


def days_of(tables: AlertTables) -> tuple[Float64Array, Float64Array]:
    """How the days before each alert are spread.

    Returns
    -------
    spread : float64[a, 3]
        log(1 + days from the last transaction to the alert), log(1 + days from the first to the last), and the log of
        the exponent that bends the days between so that their mean is the alert's own; NaN where rows are too few.
    share : float64[n]
        Each row's place between the last (0) and the first (1); NaN where all are of one day.
    """
    alerts, days = len(tables.day), tables.days_before
    youngest = np.full(alerts, np.iinfo(np.int32).max, np.int32)
    oldest = np.full(alerts, -1, np.int32)
    np.minimum.at(youngest, tables.alert, days)
    np.maximum.at(oldest, tables.alert, days)
    count = np.bincount(tables.alert, minlength=alerts)
    span = np.where(count > 0, oldest - youngest, 0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (days - youngest[tables.alert]) / span[tables.alert]
        # The last and the first are where they are by construction; the others say how the days bend.
        between = (np.bincount(tables.alert, share, minlength=alerts) - 1) / (count - 2)
    found = np.full((alerts, 3), np.nan)
    found[:, 0] = np.where(count > 0, np.log1p(np.maximum(youngest, 0)), np.nan)
    found[:, 1] = np.where(count > 0, np.log1p(span), np.nan)
    known = (count >= _LEAST_FOR_BEND) & (span > 0)
    found[known, 2] = np.clip(_log_odds(between[known]) - _log_odds(_mean_share(share)), -_STEEPEST, _STEEPEST)
    return found, share


def _log_odds(mean: NDArray[np.float64] | float) -> Float64Array:
    """Log of the exponent by which a uniform share must be bent to have this mean."""
    held = np.clip(mean, 0.01, 0.99)
    return np.asarray(np.log(1 / held - 1), np.float64)


def _mean_share(share: Float64Array) -> float:
    seen = share[~np.isnan(share)]
    return float(seen.mean()) if len(seen) else 0.5
