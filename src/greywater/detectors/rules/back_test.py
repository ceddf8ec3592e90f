"""What rules would have done on history: hits, precision and recall with intervals, alerts a month, overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from greywater.detectors.bootstrap import Interval, wilson
from greywater.detectors.rules.hits import RuleHits
from greywater.detectors.rules.rule import About, Rule
from greywater.vocab import Int64Array

__all__ = ["BackTest", "History", "HitLog", "RuleMeasure", "back_test"]

DAY_US: Final = 86_400_000_000
#: Days of a month, on average.
MONTH: Final = 30.4375
#: Measures of all rules together stand under this name.
ANY: Final = "any rule that is on"


@dataclass(frozen=True)
class History:
    """The payments that rules are tried on, in ledger order.

    time_us int64[n] microseconds since 1970; sender, receiver int[n] codes of the parties; y int64[n] in {0, 1}, None
    where there are no labels.
    """

    time_us: Int64Array
    sender: np.ndarray
    receiver: np.ndarray
    y: Int64Array | None = None

    @property
    def rows(self) -> int:
        """Number of payments."""
        return len(self.time_us)

    def between(self, begin_us: int | None, end_us: int | None) -> np.ndarray:
        """bool[n]: payments with an event time in [begin, end); None = open."""
        inside = np.ones(self.rows, np.bool_)
        if begin_us is not None:
            inside &= self.time_us >= begin_us
        if end_us is not None:
            inside &= self.time_us < end_us
        return inside


@dataclass
class HitLog:
    """The hits of each rule as positions of payments, gathered block by block: rules hit rarely, so this is small."""

    rules: tuple[Rule, ...] = ()
    off: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    known: dict[str, int] = field(default_factory=dict)
    _parts: dict[str, list[Int64Array]] = field(default_factory=dict)

    def add(self, hits: RuleHits) -> None:
        """Note the hits of the next payments."""
        self.rules, self.off = hits.rules, dict(hits.off)
        for place, rule in enumerate(hits.rules):
            if rule.id in hits.off:
                continue
            found = np.flatnonzero(hits.hits[:, place]) + self.rows
            self._parts.setdefault(rule.id, []).append(found.astype(np.int64))
            self.known[rule.id] = self.known.get(rule.id, 0) + int(hits.known[:, place].sum())
        self.rows += len(hits.hits)

    def positions(self, rule: str) -> Int64Array:
        """Positions of the payments that hit a rule, increasing."""
        parts = self._parts.get(rule, [])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class RuleMeasure:
    """How a rule did.

    Parameters
    ----------
    rule : str
    state, severity
        As the rule had them; a rule in shadow is measured all the same.
    hits, laundering : int
        Payments hit, and those of them that are laundering.
    precision, recall, and their intervals
        Share of the hits that is laundering, share of the laundering that is hit, with Wilson's intervals. Hits of one
        case are not independent, so the intervals are rather too narrow.
    known : float
        Share of the payments for which everything the rule needs is known.
    alone : int
        Hits that no other rule has.
    alerts : int
        Parties and days with a hit: what a team would see.
    alerts_a_month : float
    alert_precision : float or None
        Share of those alerts with a laundering payment among their hits.
    """

    rule: str
    state: str
    severity: int
    hits: int
    laundering: int | None
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    known: float
    alone: int
    alerts: int
    alerts_a_month: float
    alert_precision: float | None
    alert_precision_interval: Interval


@dataclass(frozen=True)
class BackTest:
    """How a set of rules did on history.

    `overlap` gives for two rules the payments that both hit; rules that hit nothing are left out of it.
    """

    rules: tuple[RuleMeasure, ...]
    together: RuleMeasure
    overlap: Mapping[str, Mapping[str, int]]
    off: Mapping[str, str]
    payments: int
    laundering: int | None
    months: float

    @property
    def base_rate(self) -> float | None:
        """Share of all payments that is laundering: what a rule that hits at random would have as precision."""
        return None if self.laundering is None or not self.payments else self.laundering / self.payments

    def earning(self, rule: str) -> bool | None:
        """True where a rule's precision is above the base rate beyond doubt; None without labels or hits."""
        measure = next(each for each in self.rules if each.rule == rule)
        low = measure.precision_interval.low
        return None if low is None or self.base_rate is None else low > self.base_rate

    def to_json(self) -> dict[str, Any]:
        """Everything, in JSON types."""
        told = asdict(self)
        told["base_rate"] = self.base_rate
        return told


def back_test(log: HitLog, history: History, within: np.ndarray | None = None) -> BackTest:
    """Measure what a log of hits holds.

    Parameters
    ----------
    log : HitLog
        Of all payments of the history.
    history : History
    within : bool[n], optional
        Measure on these payments only (a quarter, a segment).

    Returns
    -------
    BackTest
    """
    chosen = np.ones(history.rows, np.bool_) if within is None else within
    measured = [rule for rule in log.rules if rule.id not in log.off]
    found = {rule.id: log.positions(rule.id) for rule in measured}
    found = {name: positions[chosen[positions]] for name, positions in found.items()}
    times = np.zeros(history.rows, np.int64)
    for positions in found.values():
        times[positions] += 1
    days = _days(history, chosen)
    measures = tuple(
        _measure(rule.id, rule.state, rule.severity, rule.about, found[rule.id], history, chosen, days, log, times)
        for rule in measured
    )
    on = [found[rule.id] for rule in measured if rule.state == "on"]
    all_hits = np.unique(np.concatenate(on)) if on else np.zeros(0, np.int64)
    whole = _measure(ANY, "on", 0, "both", all_hits, history, chosen, days, log, times)
    return BackTest(
        measures,
        whole,
        _overlap(found, history.rows),
        log.off,
        int(chosen.sum()),
        None if history.y is None else int(history.y[chosen].sum()),
        days / MONTH,
    )


def _days(history: History, chosen: np.ndarray) -> float:
    """Days from the first to the last payment, at least one."""
    times = history.time_us[chosen]
    return max((int(times.max()) - int(times.min())) / DAY_US, 1.0) if len(times) else 1.0


def _measure(
    name: str,
    state: str,
    severity: int,
    about: About,
    hits: Int64Array,
    history: History,
    chosen: np.ndarray,
    days: float,
    log: HitLog,
    times: Int64Array,
) -> RuleMeasure:
    alerts, right = alerts_of(hits, about, history)
    caught = None if history.y is None else int(history.y[hits].sum())
    guilty = 0 if history.y is None else int(history.y[chosen].sum())
    nothing = wilson(0, 0)
    return RuleMeasure(
        rule=name,
        state=state,
        severity=severity,
        hits=len(hits),
        laundering=caught,
        precision=None if caught is None or not len(hits) else caught / len(hits),
        precision_interval=nothing if caught is None else wilson(caught, len(hits)),
        recall=None if caught is None or not guilty else caught / guilty,
        recall_interval=nothing if caught is None else wilson(caught, guilty),
        known=log.known.get(name, log.rows) / log.rows if log.rows else 0.0,
        alone=int((times[hits] == 1).sum()),
        alerts=alerts,
        alerts_a_month=alerts / (days / MONTH),
        alert_precision=None if right is None or not alerts else right / alerts,
        alert_precision_interval=nothing if right is None else wilson(right, alerts),
    )


def alerts_of(hits: Int64Array, about: About, history: History) -> tuple[int, int | None]:
    """How many parties and days the hits are of, and how many of these have laundering among their hits."""
    sides: Sequence[np.ndarray] = {
        "sender": [history.sender],
        "receiver": [history.receiver],
        "both": [history.sender, history.receiver],
    }[about]
    day = history.time_us[hits] // DAY_US
    keys = np.concatenate([(side[hits].astype(np.int64) << 32) | (day & 0xFFFFFFFF) for side in sides])
    if history.y is None:
        return len(np.unique(keys)), None
    guilty = np.concatenate([history.y[hits] == 1 for _ in sides])
    return len(np.unique(keys)), len(np.unique(keys[guilty]))


def _overlap(found: Mapping[str, Int64Array], rows: int) -> dict[str, dict[str, int]]:
    shared: dict[str, dict[str, int]] = {}
    names = [name for name, hits in found.items() if len(hits)]
    mask = np.zeros(rows, np.bool_)
    for name in names:
        mask[:] = False
        mask[found[name]] = True
        shared[name] = {other: both for other in names if other != name and (both := int(mask[found[other]].sum()))}
    return shared
