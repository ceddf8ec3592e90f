"""The slow, obvious twin of exposure: who is known, who paid whom in the window, and a walk from there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from greywater.features.exposure import ExposurePlan
from greywater.features.windows import window_label
from tests.naive_graph import Payment, is_outside

#: Account, source, known since, after seq, launderer.
Fact = tuple[str, int, int, int, bool]
SECOND = 1_000_000


def is_known(facts: Sequence[Fact], account: str, seq: int, time: int) -> bool:
    """Of each source the latest fact that payment `seq` of `time` sees counts; any source makes a launderer."""
    latest: dict[int, tuple[int, bool]] = {}
    for name, source, since, after, launderer in facts:
        seen = name == account and after < seq and since <= time
        if seen and (source not in latest or since >= latest[source][0]):
            latest[source] = (since, launderer)
    return any(launderer for _, launderer in latest.values())


def naive_exposure(
    payments: Sequence[Payment], facts: Sequence[Fact], plan: ExposurePlan, hold: int
) -> list[dict[str, Any]]:
    """Every column of every payment; `hold` in microseconds. Rows of payments with outsiders are empty."""
    return [_row(payments, i, facts, plan, hold) for i in range(len(payments))]


def _row(payments: Sequence[Payment], i: int, facts: Sequence[Fact], plan: ExposurePlan, hold: int) -> dict[str, Any]:
    this = payments[i]
    if is_outside(this.sender) or is_outside(this.receiver):
        return {}
    horizon = max(payment.time for payment in payments[: i + 1])
    row: dict[str, Any] = {}
    for role, account in (("sender", this.sender), ("receiver", this.receiver)):
        row[f"{role}.known_launderer"] = int(is_known(facts, account, i, this.time))
        for direction in ("out", "in"):
            last = math.nan
            for seconds in plan.windows:
                bound = max(this.time - seconds * SECOND, horizon - hold)
                seen = [
                    payment
                    for j, payment in enumerate(payments[: i + 1])
                    if (j == i or bound < payment.time <= this.time) and payment.sender != payment.receiver
                ]
                columns, last = _columns(seen, account, direction, facts, i, this.time)
                columns |= _reached(seen, account, direction, facts, i, this.time, plan.hops)
                stem, label = f"{role}.{direction}.exposed", window_label(seconds)
                row |= {f"{stem}_{name}.{label}": value for name, value in columns.items()}
            row[f"{role}.{direction}.exposed_since_last"] = last
    return row | {f"exposure.truncated.{window_label(seconds)}": 0 for seconds in plan.windows}


def _columns(
    seen: Sequence[Payment], account: str, direction: str, facts: Sequence[Fact], seq: int, time: int
) -> tuple[dict[str, Any], float]:
    """The columns of one list and window, and the seconds since its last payment from or to a known launderer."""
    own = [(p, _far(p, direction)) for p in seen if _near(p, direction) == account]
    met = [(p, other) for p, other in own if is_known(facts, other, seq, time)]
    total = sum(p.amount or 0 for p, _ in met)
    whole = sum(p.amount or 0 for p, _ in own)
    share = float(total) / float(whole) if whole else math.nan
    columns = {
        "distance": _distance(seen, account, direction, facts, seq, time),
        "accounts": len({other for _, other in met}),
        "count": len(met),
        "sum": float(total),
        "share": share if met else 0.0,
    }
    assert Fraction(total) <= whole
    return columns, (time - max(p.time for p, _ in met)) / 1e6 if met else math.nan


def _near(payment: Payment, direction: str) -> str:
    return payment.sender if direction == "out" else payment.receiver


def _far(payment: Payment, direction: str) -> str:
    return payment.receiver if direction == "out" else payment.sender


def _distance(seen: Sequence[Payment], account: str, direction: str, facts: Sequence[Fact], seq: int, time: int) -> int:
    """Payments to the nearest known launderer, 4 where there is none within 3; nothing is reached through outsiders."""
    reached = {account}
    for hops in range(4):
        if any(is_known(facts, name, seq, time) for name in reached):
            return hops
        inside = {name for name in reached if not is_outside(name)}
        reached = {_far(p, direction) for p in seen if _near(p, direction) in inside}
    return 4


def _reached(
    seen: Sequence[Payment], account: str, direction: str, facts: Sequence[Fact], seq: int, time: int, hops: int
) -> dict[str, Any]:
    """Known launderers met two and more payments away, payments to them, and the money that can have gone there."""
    between: Counter[tuple[str, str]] = Counter()
    payments: Counter[tuple[str, str]] = Counter()
    for p in seen:
        between[_near(p, direction), _far(p, direction)] += p.amount or 0
        payments[_near(p, direction), _far(p, direction)] += 1
    guilty = {other for _, other in payments if is_known(facts, other, seq, time)} - {account}
    met = {other for one, other in payments if one == account} & guilty
    given = {other: between[one, other] for one, other in payments if one == account and other not in guilty}
    asked = {account} | set(given)
    found: dict[str, Any] = {}
    for far in range(2, hops + 1):
        nexts: dict[str, int] = {}
        accounts, count, flow = set(), 0, 0
        for one, had in given.items():
            if is_outside(one):
                continue
            paid = 0
            for (giver, other), total in between.items():
                if giver == one and other in guilty:
                    accounts.add(other)
                    count += payments[giver, other]
                    paid += total
                elif giver == one and other not in asked:
                    nexts[other] = nexts.get(other, 0) + min(total, had)
            flow += min(paid, had)
        found |= {f"accounts_{far}": len(accounts - met), f"count_{far}": count, f"flow_{far}": float(flow)}
        met |= accounts
        given, asked = nexts, asked | set(nexts)
    return found
