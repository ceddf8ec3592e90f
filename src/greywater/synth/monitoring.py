"""The monitoring of the day: whom it alerts, what becomes of the alerts and when, which payments so get a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.disguise import EverydayLooks
from greywater.synth.economy import Population
from greywater.synth.hard_mode import HardMode
from greywater.synth.laundering import Laundering
from greywater.synth.lookalikes import LookAlikes
from greywater.synth.planned import TYPOLOGIES, Planned
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.streams import stream
from greywater.vocab import Int64Array

__all__ = ["RULES", "SEED_REASONS", "Alerts", "Labels", "Seeds", "Watched", "watch"]

#: Scenarios of the monitoring of the day.
RULES: Final = (
    "many senders",
    "many payees",
    "money passes through",
    "money comes back",
    "unusual amount",
    "new payees",
)
#: The scenario that each typology would trigger, were monitoring not as noisy as it is.
_USUAL_RULE: Final = (1, 0, 2, 2, 3, 2, 5, 2)
#: Share of the alerts that another scenario raised.
_OTHER_RULE: Final = 0.35
#: Share of the false alerts that are on people of look-alike groups.
_ON_LOOKALIKES: Final = 1 / 3
#: Share of the reported launderers who are convicted or named, and so may serve as seeds.
_CONFIRMED: Final = 0.12
SEED_REASONS: Final = ("convicted", "suspicious activity report filed", "named in an investigation")


@dataclass(frozen=True)
class Alerts:
    """Alerts by column, in order of time.

    Parameters
    ----------
    customer : int64[n]
        Places of the customers in the population.
    time, decided : int64[n]
        Seconds since 1970: raised, and decided.
    rule : int64[n]
        Place in RULES.
    reported : bool[n]
        What was decided, which may be wrong.
    attempt, group : int64[n]
        What it is about, -1 nothing: the truth, which no bank knows.
    """

    customer: Int64Array
    time: Int64Array
    decided: Int64Array
    rule: Int64Array
    reported: NDArray[np.bool_]
    attempt: Int64Array
    group: Int64Array

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Labels:
    """Labels by column: row of the planned payments, 0 or 1, place in TYPOLOGIES (-1 none), seconds since 1970."""

    row: Int64Array
    label: NDArray[np.int8]
    typology: NDArray[np.int8]
    known_since: Int64Array


@dataclass(frozen=True)
class Seeds:
    """Confirmed launderers by column: customer, an account, whether the whole customer is meant, reason, time."""

    customer: Int64Array
    account: Int64Array
    whole: NDArray[np.bool_]
    reason: Int64Array
    known_since: Int64Array


@dataclass(frozen=True)
class Watched:
    """What monitoring brought about."""

    alerts: Alerts
    labels: Labels
    seeds: Seeds


def watch(
    plan: WorldPlan,
    population: Population,
    looks: EverydayLooks,
    laundering: Laundering,
    lookalikes: LookAlikes,
    hard: HardMode,
) -> Watched:
    """Raise alerts, decide them, and label what they are about.

    Only payments of alerted customers are ever labelled, from the decision on: those of a reported customer with 1,
    those of a dismissed one with 0, and as far as they were made before the alert. Both decisions may be wrong. Labels
    count rows of `Planned.joined([laundering.payments, lookalikes.payments])`.
    """
    planned = Planned.joined([laundering.payments, lookalikes.payments])
    found = _concerned(population, planned)
    kinds = [attempt.typology for attempt in laundering.attempts] + [group.shape for group in lookalikes.groups]
    kind = np.array([TYPOLOGIES.index(name) for name in kinds], dtype=np.int64)
    alerts = _raised(plan, population, looks, found, kind, hard)
    return Watched(alerts, _labels(plan, found, planned, alerts, hard), _seeds(plan, population, planned, alerts))


@dataclass(frozen=True)
class _Concerned:
    """Who takes part in what: one row a payment and party, and the same once an attempt or group and customer."""

    row: Int64Array
    customer: Int64Array
    case: Int64Array
    time: Int64Array
    each: Int64Array
    last: Int64Array
    attempts: int

    @property
    def guilty(self) -> NDArray[np.bool_]:
        """For each pair of case and customer: it is laundering."""
        return self.case[self.each] < self.attempts


def _concerned(population: Population, planned: Planned) -> _Concerned:
    rows = np.tile(np.arange(len(planned)), 2)
    customer = population.entity[np.concatenate([planned.sender, planned.receiver])].astype(np.int64)
    attempts = int(planned.attempt.max(initial=-1)) + 1
    case = np.where(planned.attempt >= 0, planned.attempt, attempts + planned.group)
    order = np.lexsort((planned.time[rows], customer, case[rows]))
    rows, customer = rows[order], customer[order]
    case_of = case[rows]
    ends = np.flatnonzero(np.append((np.diff(case_of) != 0) | (np.diff(customer) != 0), True))
    typed = planned.typology[rows] >= 0
    starts = np.concatenate([[0], ends[:-1] + 1])
    takes_part = np.logical_or.reduceat(typed, starts) | (case_of[ends] >= attempts)
    return _Concerned(
        rows, customer, case_of, planned.time[rows], ends[takes_part], planned.time[rows][ends][takes_part], attempts
    )


def _raised(
    plan: WorldPlan,
    population: Population,
    looks: EverydayLooks,
    found: _Concerned,
    kind: Int64Array,
    hard: HardMode,
) -> Alerts:
    """Alerts on launderers, on people of look-alike groups, and on anybody."""
    rng = stream(plan.seed, "alerts")
    guilty = np.flatnonzero(found.guilty)
    hit = guilty[rng.random(len(guilty)) < hard.alerted]
    false = round(hard.false_alerts * len(hit))
    honest = np.flatnonzero(~found.guilty)
    alike = rng.permutation(honest)[: min(len(honest), round(false * _ON_LOOKALIKES))]
    anybody = max(0, false - len(alike))
    chosen = np.concatenate([hit, alike])
    case = np.concatenate([found.case[found.each[chosen]], np.full(anybody, -1)])
    customer = np.concatenate([found.customer[found.each[chosen]], _customers(rng, population, looks, anybody)])
    wait = (rng.exponential(1.5, len(chosen)) + 0.1) * DAY_SECONDS
    time = np.concatenate([found.last[chosen] + wait.astype(np.int64), rng.integers(plan.start, plan.end, anybody)])
    is_guilty = (case >= 0) & (case < found.attempts)
    is_alike = case >= found.attempts
    right = rng.random(len(case)) >= hard.overlooked
    reported = np.where(is_guilty, right, is_alike & (rng.random(len(case)) < hard.mistaken))
    delay = np.clip(rng.lognormal(np.log(max(hard.label_delay_days, 1e-3)), 0.6, len(case)), 0.05, 180.0)
    usual = (case >= 0) & (rng.random(len(case)) >= _OTHER_RULE)
    rule = np.where(usual, np.array(_USUAL_RULE)[kind[case]], rng.integers(0, len(RULES), len(case)))
    order = np.lexsort((customer, time))
    order = order[time[order] < plan.end]
    return Alerts(
        customer=customer[order],
        time=time[order],
        decided=(time + (delay * DAY_SECONDS).astype(np.int64))[order],
        rule=rule[order],
        reported=reported[order],
        attempt=np.where(is_guilty, case, -1)[order],
        group=np.where(is_alike, case - found.attempts, -1)[order],
    )


def _customers(rng: np.random.Generator, population: Population, looks: EverydayLooks, count: int) -> Int64Array:
    """Owners of accounts that take part in everyday payments."""
    accounts = [
        looks.cast(rng, looks.currency(rng.random()), 1, companies=bool(rng.random() < 0.5)) for _ in range(count)
    ]
    joined = np.concatenate([np.empty(0, np.int64), *accounts]).astype(np.int64)
    return population.entity[joined].astype(np.int64)


def _labels(plan: WorldPlan, found: _Concerned, planned: Planned, alerts: Alerts, hard: HardMode) -> Labels:
    """For each payment of an alerted customer made before the alert the first report, else the first dismissal."""
    case = np.where(alerts.attempt >= 0, alerts.attempt, np.where(alerts.group >= 0, alerts.group + found.attempts, -1))
    about = np.flatnonzero(case >= 0)
    key = found.case * (int(found.customer.max(initial=0)) + 1) + found.customer
    wanted = case[about] * (int(found.customer.max(initial=0)) + 1) + alerts.customer[about]
    first, behind = np.searchsorted(key, wanted, "left"), np.searchsorted(key, wanted, "right")
    alert = np.repeat(about, behind - first)
    place = np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for a, b in zip(first, behind, strict=True))])
    place = place.astype(np.int64)
    before = found.time[place] <= alerts.time[alert]
    alert, row = alert[before], found.row[place[before]]
    order = np.lexsort((alerts.decided[alert], ~alerts.reported[alert], row))
    row, alert = row[order], alert[order]
    once = np.flatnonzero(np.diff(row, prepend=-1) != 0)
    row, alert = row[once], alert[once]
    label = alerts.reported[alert].astype(np.int8)
    rng = stream(plan.seed, "typologies of labels")
    typology = np.where(label == 1, planned.typology[row], -1)
    wrong = (rng.random(len(row)) < hard.misnamed) & (typology >= 0)
    typology = np.where(wrong, rng.integers(0, len(TYPOLOGIES), len(row)), typology).astype(np.int8)
    return Labels(row, label, typology, alerts.decided[alert])


def _seeds(plan: WorldPlan, population: Population, planned: Planned, alerts: Alerts) -> Seeds:
    """Some of the launderers who were reported, weeks after the decision."""
    rng = stream(plan.seed, "confirmed launderers")
    right = np.flatnonzero(alerts.reported & (alerts.attempt >= 0))
    known = alerts.decided[right] + rng.integers(3, 30, len(right)) * DAY_SECONDS
    chosen = (rng.random(len(right)) < _CONFIRMED) & (known < plan.end)
    right, known = right[chosen], known[chosen]
    _, first = np.unique(alerts.customer[right], return_index=True)
    first = first[np.argsort(known[first], kind="stable")]
    right, known = right[first], known[first]
    account = [_account_of(population, planned, int(alerts.attempt[one]), int(alerts.customer[one])) for one in right]
    return Seeds(
        customer=alerts.customer[right],
        account=np.array(account, dtype=np.int64),
        whole=rng.random(len(right)) < 0.3,
        reason=rng.integers(0, len(SEED_REASONS), len(right)),
        known_since=known,
    )


def _account_of(population: Population, planned: Planned, attempt: int, customer: int) -> int:
    """The customer's account in the attempt."""
    rows = np.flatnonzero(planned.attempt == attempt)
    both = np.concatenate([planned.sender[rows], planned.receiver[rows]])
    return int(both[population.entity[both] == customer][0])
