"""Makes two tables of alerts with a known label signal, in a way of its own, and measures them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from greywater.synth.alertbook_tables import CELLS, DAY, AlertTables

FIRST_DAY = 18_262  # 2020-01-01
NEW_YEAR_2021 = 18_628
QUARTERS = (0.11, 0.10, 0.153, 0.173, 0.164, 0.133, 0.087, 0.074)
#: Shares of card, cash, international and wire; credit (money leaving) first.
SHARES = np.array([0.52, 0.012, 0.014, 0.22, 0.04, 0.008, 0.006, 0.18])
CENTRES = np.array([5.2, 6.6, 6.0, 7.2, 5.6, 7.4, 7.0, 7.9])
#: Mean and standard deviation of log(amount + 2), about.
MEAN_SIZE, SIZE_SPREAD = 6.33, 1.92
SPREADS = np.array([1.2, 0.9, 1.4, 1.5, 1.1, 1.0, 1.6, 1.5])


def made_alerts(alerts: int, rows: int, seed: int, *, report: float = 0.17, signal: float = 1.0) -> AlertTables:
    """Alerts of three kinds of customers; risk shifts wires, cash and sizes; amounts of cash and wires are often round.

    Nothing here is a copula: counts are negative binomial, shares Dirichlet, sizes a skewed mixture.
    """
    random = np.random.default_rng(seed)
    quarter = random.choice(8, alerts, p=np.array(QUARTERS) / sum(QUARTERS))
    length = np.array([91, 91, 92, 92, 90, 91, 92, 92])
    begin = FIRST_DAY + np.concatenate([[0], np.cumsum(length)[:-1]])
    day = begin[quarter] + (random.random(alerts) * length[quarter]).astype(np.int64)
    segment = random.choice(3, alerts, p=[0.5, 0.35, 0.15])
    risk = random.standard_normal(alerts)
    odds = np.exp(-1.95 + signal * (0.8 * risk + 0.35 * (segment == 2)))
    reported = random.random(alerts) < odds / (1 + odds) * report / 0.17
    weight = np.tile(SHARES * 18, (alerts, 1))
    weight[segment == 1, 0] *= 1.5
    weight[segment == 2, 3] *= 2.0
    weight[:, 7] *= np.exp(0.35 * risk)
    weight[:, 5] *= np.exp(0.8 * risk)
    weight[:, 4] *= np.exp(-0.3 * risk)
    share = random.standard_gamma(weight) + 1e-12
    share /= share.sum(axis=1, keepdims=True)
    mean = rows * np.array([0.8, 1.1, 1.4])[segment] * np.exp(0.15 * risk)
    total = np.minimum(random.poisson(random.standard_gamma(1.3, alerts) * mean / 1.3) + 3, 12 * rows)
    count = random.multinomial(total, share)
    alert = np.repeat(np.repeat(np.arange(alerts), CELLS), count.ravel())
    cell = np.repeat(np.tile(np.arange(CELLS), alerts), count.ravel())
    level = random.normal(0, 0.45, (alerts, CELLS)) + 0.35 * random.standard_normal(alerts)[:, None]
    level += np.array([-0.2, 0.1, 0.7])[segment][:, None]
    level[:, [3, 7]] += 0.25 * risk[:, None]
    width = np.exp(random.normal(0, 0.2, (alerts, CELLS)))
    skew = random.gamma(4.0, 0.5, len(alert)) - 2.0
    log_amount = (
        CENTRES[cell]
        + level[alert, cell]
        + SPREADS[cell] * width[alert, cell] * (0.8 * random.standard_normal(len(alert)) + 0.6 * skew)
    )
    amount = np.exp(log_amount)
    unit = 10.0 ** np.floor(log_amount / np.log(10))
    to_round = random.random(len(alert)) < np.where(cell % 4 == 1, 0.7, np.where(cell % 4 == 3, 0.25, 0.03))
    amount = np.where(to_round, np.maximum(np.rint(amount / unit), 1) * unit, np.round(amount, 2))
    size = np.log(amount + 2.0)
    span = np.minimum(20 + random.gamma(3.0, 80.0, alerts), 365)
    before = np.floor(span[alert] * random.beta(1.0, 1.2, len(alert))).astype(np.int64) + 1
    hour = np.clip(random.normal(13.5, 4.0, len(alert)), 0, 23.99)
    seconds = (day[alert] - before) * DAY + (hour * 3600).astype(np.int64)
    # The same two constants for every set, so that a round amount is the same size in all.
    size = (size - MEAN_SIZE) / SIZE_SPREAD
    return AlertTables(day, reported, alert.astype(np.int32), seconds, cell.astype(np.int8), size)


def alert_features(tables: AlertTables) -> NDArray[np.float64]:
    """The 56 features: min, mean, median, max, std, count and sum of sizes in each cell; -3 where there are none."""
    alerts = len(tables.day)
    order = np.lexsort((tables.size, tables.alert.astype(np.int64) * CELLS + tables.cell))
    size = tables.size[order]
    place = (tables.alert.astype(np.int64) * CELLS + tables.cell)[order]
    count = np.bincount(place, minlength=alerts * CELLS)
    begin = np.cumsum(count) - count
    some = count > 0
    found = np.full((7, alerts * CELLS), -3.0)
    found[0, some] = size[begin[some]]
    found[3, some] = size[(begin + count - 1)[some]]
    total = np.bincount(place, size, minlength=alerts * CELLS)
    found[1, some] = total[some] / count[some]
    found[2, some] = (size[(begin + (count - 1) // 2)[some]] + size[(begin + count // 2)[some]]) / 2
    off = np.bincount(place, (size - found[1][place]) ** 2, minlength=alerts * CELLS)
    found[4, count > 1] = np.sqrt(off[count > 1] / (count[count > 1] - 1))
    found[5] = count
    found[6, some] = total[some]
    return np.moveaxis(found.reshape(7, alerts, CELLS), 0, 2).reshape(alerts, 7 * CELLS)


def kolmogorov_smirnov(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Greatest distance of two distributions."""
    both = np.sort(np.concatenate([one, other]))
    first = np.searchsorted(np.sort(one), both, side="right") / len(one)
    second = np.searchsorted(np.sort(other), both, side="right") / len(other)
    return float(np.abs(first - second).max())
