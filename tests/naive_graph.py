"""The slow, obvious twin of the pattern kernels: every pattern around a payment, by trying everything.

Accounts are text; those that begin with "external:" are outside the bank. The plan is anything with
`allowed_lateness` in seconds and `patterns`, each with `pattern`, `windows` in seconds, `max_length` and
`tolerance_per_mille`. Nothing here knows a cap: the twin never cuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from greywater.features.windows import window_label
from tests.naive_graph_paths import chain, simple_cycle, temporal_cycle

SECOND = 1_000_000
NAN = math.nan
LARGEST_COUNT = 2**31 - 1
SIDES = tuple((role, direction) for role in ("sender", "receiver") for direction in ("out", "in"))
SIZES = {"size_2": (2, 2), "size_3": (3, 3), "size_4": (4, 4), "size_5_6": (5, 6), "size_7_10": (7, 10)}

Row = dict[str, Any]


@dataclass(frozen=True)
class Payment:
    """One payment; time in microseconds, amount in minor units, None where it is not known."""

    time: int
    sender: str
    receiver: str
    amount: int | None = None


class Entry(NamedTuple):
    """A payment and when it was recorded."""

    time: int
    seq: int
    sender: str
    receiver: str
    amount: int | None

    @property
    def place(self) -> tuple[int, int]:
        """What "precedes" compares."""
        return (self.time, self.seq)


class View(NamedTuple):
    """Payment i = (u -> v) and what it sees in one window, and in a window of twice the length."""

    this: Entry
    past: list[Entry]
    wider: list[Entry]
    window: int

    @property
    def all(self) -> list[Entry]:
        """What i sees, and i."""
        return [*self.past, self.this]


def is_outside(account: str) -> bool:
    return account.startswith("external:")


def lists(entry: Entry, account: str) -> bool:
    """Is the payment in the lists of the account? Accounts outside the bank have none."""
    return account in (entry.sender, entry.receiver) and not is_outside(account)


def hold_us(plan: Any) -> int:
    """For how long behind the horizon a payment is held."""
    back = [w * 2 if part.pattern == "fan_new" else w for part in plan.patterns for w in part.windows]
    return int(max(back) + plan.allowed_lateness) * SECOND


def naive_graph_features(payments: Sequence[Payment], plan: Any) -> list[Row]:
    """Every column of every payment, from nothing but the payments recorded before it."""
    return [_features_of(payments, i, plan) for i in range(len(payments))]


def _features_of(payments: Sequence[Payment], i: int, plan: Any) -> Row:
    entries = [Entry(p.time, seq, p.sender, p.receiver, p.amount) for seq, p in enumerate(payments[: i + 1])]
    this = entries[i]
    nothing = this.sender == this.receiver or is_outside(this.sender) or is_outside(this.receiver)
    row: Row = {}
    for part in plan.patterns:
        for seconds in part.windows:
            past = [] if nothing else visible(entries, i, seconds * SECOND, plan)
            wider = [] if nothing else visible(entries, i, 2 * seconds * SECOND, plan)
            view = View(this, past, wider, seconds * SECOND)
            columns = PATTERNS[part.pattern](view, part)
            label = window_label(seconds)
            row |= {f"{name}.{label}": _settled(value, nothing) for name, value in columns.items()}
            row[f"{part.pattern}.truncated.{label}"] = 0
    return row


def _settled(value: Any, nothing: bool) -> Any:
    if isinstance(value, int):
        return 0 if nothing else min(value, LARGEST_COUNT)
    return NAN if nothing else value


def visible(entries: Sequence[Entry], i: int, window: int, plan: Any) -> list[Entry]:
    """What payment i sees in a window, in the order of recording."""
    this = entries[i]
    horizon = max(entry.time for entry in entries[: i + 1])
    return [
        entry
        for entry in entries[:i]
        if this.time - window < entry.time <= this.time
        and entry.time > horizon - hold_us(plan)
        and entry.sender != entry.receiver
    ]


def _side(entries: Sequence[Entry], account: str, direction: str) -> list[Entry]:
    return [entry for entry in entries if (entry.sender if direction == "out" else entry.receiver) == account]


def _counterparties(entries: Sequence[Entry], direction: str) -> set[str]:
    return {entry.receiver if direction == "out" else entry.sender for entry in entries}


def _account(view: View, role: str) -> str:
    return view.this.sender if role == "sender" else view.this.receiver


def fan(view: View, part: Any) -> Row:
    row: Row = {}
    for role, direction in SIDES:
        inside = _side(view.all, _account(view, role), direction)
        name = f"{role}.{direction}"
        degree, distinct = len(inside), len(_counterparties(inside, direction))
        row[f"{name}.degree"] = degree
        row[f"{name}.fan"] = distinct
        row[f"{name}.fan_ratio"] = float(distinct) / float(degree) if degree else NAN
    return row


def fan_new(view: View, part: Any) -> Row:
    row: Row = {}
    before = [entry for entry in view.wider if entry.time <= view.this.time - view.window]
    for role, direction in SIDES:
        account = _account(view, role)
        now = _counterparties(_side(view.all, account, direction), direction)
        then = _counterparties(_side(before, account, direction), direction)
        row[f"{role}.{direction}.fan_new"] = len(now - then)
    return row


def moments_of(numbers: Sequence[int]) -> dict[str, float]:
    """The eight statistics of exact integers, in their own unit."""
    n = len(numbers)
    names = ("mean", "min", "max", "median", "variance", "skewness", "kurtosis")
    row = {"sum": float(sum(numbers))} | dict.fromkeys(names, NAN)
    if n == 0:
        return row
    ranked = sorted(numbers)
    row["mean"] = float(sum(numbers)) / float(n)
    row["min"], row["max"] = float(ranked[0]), float(ranked[-1])
    row["median"] = float(ranked[n // 2]) if n % 2 else float(ranked[n // 2 - 1] + ranked[n // 2]) / 2.0
    if n < 2:
        return row
    spread = n * sum(number * number for number in numbers) - sum(numbers) ** 2
    row["variance"] = float(spread) / (float(n) * (float(n) - 1.0))
    if ranked[0] == ranked[-1]:
        return row
    second = third = fourth = 0.0
    for number in numbers:
        away = float(number) - row["mean"]
        square = away * away
        second += square
        third += square * away
        fourth += square * square
    second, third, fourth = second / float(n), third / float(n), fourth / float(n)
    row["skewness"] = third / (second * math.sqrt(second))
    row["kurtosis"] = fourth / (second * second) - 3.0
    return row


def statistics(view: View, part: Any) -> Row:
    row: Row = {}
    for role, direction in SIDES:
        inside = sorted(_side(view.all, _account(view, role), direction), key=lambda entry: entry.place)
        amounts = [entry.amount for entry in inside if entry.amount is not None]
        gaps = [inside[k].time - inside[k - 1].time for k in range(1, len(inside))]
        name = f"{role}.{direction}"
        row[f"{name}.amount_count"] = len(amounts)
        row[f"{name}.gap_count"] = len(gaps)
        row |= {f"{name}.amount_{what}": value for what, value in moments_of(amounts).items()}
        for what, value in moments_of(gaps).items():
            unit = {"variance": 1e12, "skewness": 1.0, "kurtosis": 1.0}.get(what, 1e6)
            row[f"{name}.gap_{what}"] = value / unit
    return row


def _leg(view: View, payer: str, payee: str, middleman: str) -> list[Entry]:
    """Payments from one account to another that the lists of the middleman, one of the two, hold."""
    return [e for e in view.all if (e.sender, e.receiver) == (payer, payee) and lists(e, middleman)]


def scatter_gather(view: View, part: Any) -> Row:
    u, v = view.this.sender, view.this.receiver
    accounts = sorted({account for entry in view.all for account in (entry.sender, entry.receiver)})
    others = [account for account in accounts if account not in (u, v)]
    any_order, ordered, first_leg = [], [], []
    for s in others:
        if _leg(view, s, u, u):
            legs = [(_leg(view, s, x, x), _leg(view, x, v, x)) for x in accounts if x not in (s, v)]
            any_order.append(sum(bool(first and last) for first, last in legs))
            ordered.append(sum(any(a.place < b.place for a in first for b in last) for first, last in legs))
    for sink in others:
        if _leg(view, v, sink, v):
            legs = [(_leg(view, u, x, x), _leg(view, x, sink, x)) for x in accounts if x not in (u, sink)]
            first_leg.append(sum(bool(first and last) for first, last in legs))
    row: Row = {}
    for variant, sizes in (("any", any_order), ("ordered", ordered), ("first_leg", first_leg)):
        counted = [size for size in sizes if size >= 2]
        row[f"scatter_gather.{variant}.pairs"] = len(counted)
        row[f"scatter_gather.{variant}.largest"] = max(counted, default=0)
        for name, (least, most) in SIZES.items():
            row[f"scatter_gather.{variant}.{name}"] = sum(least <= size <= most for size in counted)
        row[f"scatter_gather.{variant}.size_11"] = sum(size >= 11 for size in counted)
    return row


def gather_scatter(view: View, part: Any) -> Row:
    u, v = view.this.sender, view.this.receiver
    into = sorted(_side(view.past, u, "in"), key=lambda entry: entry.place)
    out = [e for e in _side(view.all, u, "out") if e is view.this or (into and e.place > into[0].place)]
    row = _hub("sender", into, out)
    return row | _hub("receiver", _side(view.all, v, "in"), _side(view.past, v, "out"))


def _hub(role: str, into: Sequence[Entry], out: Sequence[Entry]) -> Row:
    senders, receivers = _counterparties(into, "in"), _counterparties(out, "out")
    found = len(senders) >= 2 and len(receivers) >= 2
    received = sum(e.amount for e in into if e.amount is not None)
    paid = sum(e.amount for e in out if e.amount is not None)
    name = f"gather_scatter.{role}"
    return {
        f"{name}.senders": len(senders) if found else 0,
        f"{name}.receivers": len(receivers) if found else 0,
        f"{name}.kept": float(received - paid) / float(received) if found and received else NAN,
    }


def bipartite(view: View, part: Any) -> Row:
    """Blocks u -> v, u -> d, s -> v, s -> d of the bank's own accounts."""
    u, v = view.this.sender, view.this.receiver
    paid = {(e.sender, e.receiver) for e in _through_the_bank(view)}
    accounts = {account for pair in paid for account in pair}
    blocks = [(s, d) for s in accounts for d in accounts if len({u, v, s, d}) == 4 and {(s, v), (s, d), (u, d)} <= paid]
    return {"bipartite.blocks": len(blocks)}


def _through_the_bank(view: View) -> list[Entry]:
    """What i sees of payments between the bank's own accounts."""
    return [e for e in view.past if not is_outside(e.sender) and not is_outside(e.receiver)]


def _temporal_cycle(view: View, part: Any) -> Row:
    return temporal_cycle(view.this, _through_the_bank(view), part.max_length)


def _simple_cycle(view: View, part: Any) -> Row:
    return simple_cycle(view.this, _through_the_bank(view), part.max_length)


def _chain(view: View, part: Any) -> Row:
    return chain(view.this, [e for e in view.past if not is_outside(e.receiver)], part.tolerance_per_mille)


PATTERNS: dict[str, Callable[[View, Any], Row]] = {
    "fan": fan,
    "fan_new": fan_new,
    "statistics": statistics,
    "scatter_gather": scatter_gather,
    "gather_scatter": gather_scatter,
    "temporal_cycle": _temporal_cycle,
    "simple_cycle": _simple_cycle,
    "chain": _chain,
    "bipartite": bipartite,
}
