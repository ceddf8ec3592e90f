"""What was known of a customer's earlier alerts, and of its rule's, at the moment of an alert."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from greywater.features.feature import Feature
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PAST_FEATURES", "AlertPast", "alert_past"]

DAY_US: Final = 86_400_000_000
#: So many alerts of the overall share stand behind a rule before it has any of its own.
PRIOR_ALERTS: Final = 20
#: Share reported that is taken before any outcome is known: a few percent of rule alerts become a report.
PRIOR_SHARE: Final = 0.03

_WORDS: Final = (
    ("alerts.before.30d", "alerts", "earlier alerts on the same customer in 30 days"),
    ("alerts.before.365d", "alerts", "earlier alerts on the same customer in 365 days"),
    ("alerts.before", "alerts", "earlier alerts on the same customer"),
    ("alerts.same_moment", "alerts", "other alerts on the same customer at the same time"),
    ("alerts.rules_before", "rules", "different rules that raised earlier alerts on the same customer"),
    ("alerts.same_rule_before", "alerts", "earlier alerts of the same rule on the same customer"),
    ("alerts.since_last", "seconds", "time since the last alert on the same customer"),
    ("alerts.reported_before", "alerts", "earlier alerts on the same customer known to be reported"),
    ("alerts.dismissed_before", "alerts", "earlier alerts on the same customer known to be dismissed"),
    ("rule.reported_share", "ratio", "share of the rule's earlier alerts known to be reported"),
    ("rule.alerts.30d", "alerts", "alerts of the same rule on anybody in 30 days"),
)

#: The columns of `alert_past`, in order.
PAST_FEATURES: Final = tuple(
    Feature(name, "sender", "float64", unit, words, "alerts", parameters={}) for name, unit, words in _WORDS
)


@dataclass(frozen=True)
class AlertPast:
    """Alerts in order of time.

    Parameters
    ----------
    time_us : int64[n]
        When each was raised, not falling.
    party, rule : sequence of str
        Whom it is about ("" = nobody said: it has no past of its own), and the rule.
    outcome : int64[n]
        1 reported, 0 dismissed, -1 not decided.
    known_us : int64[n]
        From when on the outcome is known.
    """

    time_us: Int64Array
    party: Sequence[str]
    rule: Sequence[str]
    outcome: Int64Array
    known_us: Int64Array


class _Seen:
    """What came before of one customer."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.rules: dict[str, int] = {}
        self.reported = 0
        self.dismissed = 0


def alert_past(alerts: AlertPast) -> Float64Array:
    """The past of each alert, float64[n, PAST_FEATURES].

    Earlier means raised at an earlier moment; an outcome counts where it was known by then (before or at the moment).
    The share of a rule leans on the share of all rules with the weight of PRIOR_ALERTS alerts.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> past = alert_past(AlertPast(np.array([0, day]), ["C", "C"], ["r", "r"], np.array([1, -1]), np.array([day, 0])))
    >>> past[1, [2, 7]].tolist()
    [1.0, 1.0]
    """
    n = len(alerts.time_us)
    found = np.empty((n, len(PAST_FEATURES)))
    # An outcome is never known before its alert was raised, whatever a file says.
    known = np.maximum(alerts.known_us, alerts.time_us + 1)
    decided = sorted(np.flatnonzero(alerts.outcome >= 0).tolist(), key=lambda place: int(known[place]))
    customers: dict[str, _Seen] = {}
    rules: dict[str, list[int]] = {}
    recent: dict[str, deque[int]] = {}
    overall = [0, 0]
    learned = begin = 0
    while begin < n:
        now = int(alerts.time_us[begin])
        end = begin + 1
        while end < n and alerts.time_us[end] == now:
            end += 1
        while learned < len(decided) and known[decided[learned]] <= now:
            _learn(alerts, decided[learned], customers, rules, overall)
            learned += 1
        together: dict[str, int] = {}
        for place in range(begin, end):
            together[alerts.party[place]] = together.get(alerts.party[place], 0) + 1
        for place in range(begin, end):
            party, rule = alerts.party[place], alerts.rule[place]
            seen = customers.get(party) if party else None
            mates = together[party] - 1 if party else 0
            queue = recent.setdefault(rule, deque())
            while queue and queue[0] <= now - 30 * DAY_US:
                queue.popleft()
            found[place] = (*_of_customer(seen, rule, mates, now), _share(rules.get(rule), overall), len(queue))
        for place in range(begin, end):
            _remember(alerts.party[place], alerts.rule[place], now, customers, recent)
        begin = end
    return found


def _of_customer(seen: _Seen | None, rule: str, mates: int, now: int) -> tuple[float, ...]:
    if seen is None:
        return (0.0, 0.0, 0.0, float(mates), 0.0, 0.0, np.nan, 0.0, 0.0)
    times = np.array(seen.times, np.int64)
    within = [float(len(times) - np.searchsorted(times, now - days * DAY_US, side="right")) for days in (30, 365)]
    since = (now - seen.times[-1]) / 1e6 if seen.times else np.nan
    return (
        *within, float(len(times)), float(mates), float(len(seen.rules)), float(seen.rules.get(rule, 0)), since,
        float(seen.reported), float(seen.dismissed),
    )  # fmt: skip


def _share(known: list[int] | None, overall: list[int]) -> float:
    whole = (overall[1] + PRIOR_SHARE * PRIOR_ALERTS) / (overall[0] + PRIOR_ALERTS)
    alerts, reported = known or (0, 0)
    return (reported + whole * PRIOR_ALERTS) / (alerts + PRIOR_ALERTS)


def _learn(
    alerts: AlertPast, place: int, customers: dict[str, _Seen], rules: dict[str, list[int]], overall: list[int]
) -> None:
    reported = int(alerts.outcome[place])
    for counts in (overall, rules.setdefault(alerts.rule[place], [0, 0])):
        counts[0] += 1
        counts[1] += reported
    if alerts.party[place]:
        seen = customers.setdefault(alerts.party[place], _Seen())
        seen.reported += reported
        seen.dismissed += 1 - reported


def _remember(party: str, rule: str, now: int, customers: dict[str, _Seen], recent: dict[str, deque[int]]) -> None:
    recent[rule].append(now)
    if party:
        seen = customers.setdefault(party, _Seen())
        seen.times.append(now)
        seen.rules[rule] = seen.rules.get(rule, 0) + 1
