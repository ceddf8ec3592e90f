"""The payments of rings and chains: cycles in time order, cycles in any order, money passed on hop by hop."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from greywater.features.evidence import Finding, Found, Lookup, seconds_between
from greywater.features.payment_view import Account, PaymentView, SeenPayment

__all__ = ["chains", "simple_cycles", "temporal_cycles"]

MOST_HOPS = 10
NAN = math.nan

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Step:
    """An account on the way back from payment i: `depth` payments lead from it to i's receiver, i included."""

    account: Account
    towards: _Step | None
    depth: int
    #: The payments with which it may pass the money on; no other surpasses one of them in both time and number.
    front: tuple[SeenPayment, ...] = ()

    def accounts(self) -> list[Account]:
        """From this account to i's sender."""
        found, step = [self.account], self.towards
        while step is not None:
            found.append(step.account)
            step = step.towards
        return found

    def passes(self, account: Account) -> bool:
        """Is an account on the way?"""
        step: _Step | None = self
        while step is not None:
            if step.account == account:
                return True
            step = step.towards
        return False


def temporal_cycles(view: PaymentView, cap: int, longest: int, limit: int) -> Finding:
    """Cycles in time order that payment i closes (contract: docs/patterns/temporal_cycle.md).

    Best: shortest, then the largest share of the amount that comes round, then the latest first payment.

    Parameters
    ----------
    view : PaymentView
        What i sees.
    cap : int
        Payments visited at most.
    longest : int
        Payments of the longest cycle, i included.
    limit : int
        Instances given.
    """
    lookup = Lookup(view, cap)
    closed = _closed(lookup, view, cap, longest, ordered=True)
    columns = _by_length("temporal_cycle", closed, longest)
    best: list[Found] = []
    for length in sorted(closed):
        if len(best) < max(limit, 1):
            rings = [_assigned(lookup, step) for step in closed[length]]
            rings.sort(key=_rank_of_ring, reverse=True)
            best += [_ring(payments, share_of(payments)) for payments in rings[: max(limit, 1) - len(best)]]
    columns["temporal_cycle.shortest"] = min(closed, default=0)
    columns["temporal_cycle.share"] = best[0].measures["share"] if best else NAN
    columns["temporal_cycle.duration"] = best[0].measures["duration"] if best else NAN
    return Finding(best[:limit], sum(map(len, closed.values())), columns, lookup.capped)


def simple_cycles(view: PaymentView, cap: int, longest: int, limit: int) -> Finding:
    """Cycles that payment i closes, their payments in any order; of parallel payments the latest is shown.

    Best: shortest, then the largest share (the smallest amount of the largest), then the latest first payment.
    Parameters as for `temporal_cycles`.
    """
    lookup = Lookup(view, cap)
    closed = _closed(lookup, view, cap, longest, ordered=False)
    best: list[Found] = []
    for length in sorted(closed):
        if len(best) < limit:
            rings = [_latest(lookup, step) for step in closed[length]]
            rings.sort(key=_rank_of_loop, reverse=True)
            best += [_ring(payments, _evenness(payments)) for payments in rings[: limit - len(best)]]
    columns = _by_length("simple_cycle", closed, longest)
    return Finding(best, sum(map(len, closed.values())), columns, lookup.capped)


def _closed(lookup: Lookup, view: PaymentView, cap: int, longest: int, *, ordered: bool) -> dict[int, list[_Step]]:
    """By length, the ways from i's receiver back to i's sender; each begins with who the receiver paid."""
    this = lookup.this
    hops, known = _hops_from(this.receiver, view, cap // 2, longest // 2, this.sender)
    closed: dict[int, list[_Step]] = {}
    level = [_Step(this.sender, None, 1, (this,))]
    while level and not lookup.capped:
        following: list[_Step] = []
        for step in level:
            length = step.depth + 1
            for payer, payments in _payers(lookup, step):
                front = _feasible(payments, step.front) if ordered else ()
                if ordered and not front:
                    continue
                if payer == this.receiver:
                    closed.setdefault(length, []).append(step)
                    continue
                room = longest - length
                if room > 0 and not step.passes(payer) and hops.get(payer, known + 1) <= room:
                    following.append(_Step(payer, step, length, front))
        level = following
    return closed


def _payers(lookup: Lookup, step: _Step) -> Iterator[tuple[Account, list[SeenPayment]]]:
    """Who paid an account, with the payments; accounts come again on other ways, and each time counts."""
    first = not lookup.looked_into(step.account)
    payers = lookup.by_payer(step.account)
    if first or lookup.spend(len(payers)):
        yield from payers.items()


def _hops_from(start: Account, view: PaymentView, cap: int, most: int, end: Account) -> tuple[dict[Account, int], int]:
    """How few payments lead from an account to others, in any order; and up to how many hops that is known."""
    lookup = Lookup(view, cap)
    hops, level = {start: 0}, [start]
    for depth in range(1, most + 1):
        reached: dict[Account, int] = {}
        for account in level:
            if account != end:
                for payment in lookup.out_of(account):
                    if payment.receiver not in hops:
                        reached[payment.receiver] = depth
            if lookup.capped:
                return hops, depth - 1
        hops |= reached
        level = list(reached)
    return hops, most


def _feasible(payments: list[SeenPayment], front: tuple[SeenPayment, ...]) -> tuple[SeenPayment, ...]:
    """Of parallel payments those that may come before one of `front` and that no other surpasses, the latest first."""
    kept: list[SeenPayment] = []
    for payment in payments:
        if kept and payment.number <= kept[-1].number:
            continue
        if any(later.may_follow(payment) for later in front):
            kept.append(payment)
    return tuple(kept)


def _assigned(lookup: Lookup, step: _Step) -> list[SeenPayment]:
    """The payments of a cycle in time order: going back from i, always the latest from which the rest is possible."""
    this = lookup.this
    accounts = [this.receiver, *step.accounts()]
    legs = [lookup.by_payer(payee)[payer] for payer, payee in pairwise(accounts)]
    possible = [legs[0]]
    for leg in legs[1:]:
        possible.append(_that_follow(leg, possible[-1]))
    taken = [this]
    for leg in reversed(possible):
        taken.append(max((each for each in leg if taken[-1].may_follow(each)), key=lambda each: each.place))
    return taken[::-1]


def _that_follow(leg: list[SeenPayment], before: list[SeenPayment]) -> list[SeenPayment]:
    """The payments of a leg that may follow one of those before."""
    ascending = sorted(before, key=lambda each: each.place)
    times = [each.time_us for each in ascending]
    least = list(accumulate((each.number for each in ascending), min))
    return [each for each in leg if (k := bisect_right(times, each.time_us)) and least[k - 1] < each.number]


def _latest(lookup: Lookup, step: _Step) -> list[SeenPayment]:
    """The payments of a cycle in any order, beginning with the one of i's receiver."""
    accounts = [lookup.this.receiver, *step.accounts()]
    legs = [lookup.by_payer(payee)[payer][0] for payer, payee in pairwise(accounts)]
    return [*legs, lookup.this]


def share_of(payments: list[SeenPayment]) -> float:
    """What comes round of what set out: the smallest amount of the first one; NaN where one is not known."""
    amounts = [payment.amount for payment in payments]
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts) or known[0] == 0:
        return NAN
    return float(min(known)) / float(known[0])


def _evenness(payments: list[SeenPayment]) -> float:
    """The smallest amount of the largest; NaN where one is not known."""
    known = [payment.amount for payment in payments if payment.amount is not None]
    if len(known) < len(payments) or max(known) == 0:
        return NAN
    return float(min(known)) / float(max(known))


def _rank_of_ring(payments: list[SeenPayment]) -> tuple[float, Place, list[Place]]:
    share = share_of(payments)
    return -1.0 if math.isnan(share) else share, payments[0].place, _backward(payments)


def _rank_of_loop(payments: list[SeenPayment]) -> tuple[float, Place, list[Place]]:
    share = _evenness(payments)
    return -1.0 if math.isnan(share) else share, min(each.place for each in payments), _backward(payments)


def _backward(payments: list[SeenPayment]) -> list[Place]:
    return [payment.place for payment in reversed(payments)]


def _ring(payments: list[SeenPayment], share: float) -> Found:
    first = min(payments, key=lambda payment: payment.place)
    accounts = {payments[0].sender: "source"} | {payment.sender: "middleman" for payment in payments[1:]}
    measures = {"length": len(payments), "share": share, "duration": seconds_between(first, payments[-1])}
    return Found("", _hops(payments, "closing payment"), accounts, measures)


def _hops(payments: list[SeenPayment], last: str) -> list[tuple[str, SeenPayment]]:
    named = [(f"hop {place}", payment) for place, payment in enumerate(payments[:-1], 1)]
    return [*named, (last, payments[-1])]


def _by_length(pattern: str, closed: dict[int, list[_Step]], longest: int) -> dict[str, float]:
    return {f"{pattern}.length_{k}": len(closed.get(k, ())) for k in range(2, longest + 1)}


@dataclass(frozen=True, slots=True)
class _Hop:
    """A payment of a chain on the way back from payment i."""

    payment: SeenPayment
    following: _Hop | None
    depth: int

    def payments(self) -> list[SeenPayment]:
        """From this one to payment i."""
        found, hop = [self.payment], self.following
        while hop is not None:
            found.append(hop.payment)
            hop = hop.following
        return found

    def passes(self, account: Account) -> bool:
        """Does an account pay in the chain from here on, or receive its last payment?"""
        hop: _Hop | None = self
        while hop is not None:
            if hop.payment.sender == account or (hop.following is None and hop.payment.receiver == account):
                return True
            hop = hop.following
        return False


def chains(view: PaymentView, cap: int, tolerance_per_mille: int, limit: int) -> Finding:
    """Chains of payments that end in payment i, each amount close to the one before; those that begin no earlier.

    Best: most payments, then the least leak, then the latest first payment. A chain that is the end of a longer one is
    no instance of its own.

    Parameters
    ----------
    view, cap, limit
        As for `temporal_cycles`.
    tolerance_per_mille : int
        How much a hop may differ from what came in, in thousandths of what came in.
    """
    lookup = Lookup(view, cap)
    columns: dict[str, float] = {"chain.hops": 0, "chain.duration": NAN, "chain.leak": NAN, "chain.lag": NAN}
    if not lookup.this.amount:
        return Finding([], 0, columns, capped=False)
    whole: list[_Hop] = []
    level = [_Hop(lookup.this, None, 1)]
    while level:
        following: list[_Hop] = []
        for hop in level:
            before = _hops_before(lookup, hop, tolerance_per_mille) if hop.depth < MOST_HOPS else []
            following += before
            if not before and hop.depth > 1:
                whole.append(hop)
        level = following
    chosen = sorted((hop.payments() for hop in whole), key=_rank_of_chain, reverse=True)
    best = [_chain(payments) for payments in chosen[: max(limit, 1)]]
    columns["chain.hops"] = 1
    if best:
        columns["chain.hops"] = best[0].measures["hops"]
        columns |= {f"chain.{name}": best[0].measures[name] for name in ("duration", "leak", "lag")}
    return Finding(best[:limit], len(whole), columns, lookup.capped)


def _hops_before(lookup: Lookup, hop: _Hop, tolerance_per_mille: int) -> list[_Hop]:
    """The payments that may come before one in a chain."""
    goes = hop.payment.amount or 0
    first = not lookup.looked_into(hop.payment.sender)
    payments = lookup.into(hop.payment.sender)
    if not first and not lookup.spend(len(payments)):
        return []
    return [
        _Hop(payment, hop, hop.depth + 1)
        for payment in payments
        if payment.amount
        and hop.payment.may_follow(payment)
        and abs(goes - payment.amount) * 1_000 <= tolerance_per_mille * payment.amount
        and not hop.passes(payment.sender)
    ]


def _rank_of_chain(payments: list[SeenPayment]) -> tuple[int, int, Place, list[Place]]:
    # Of two chains to the same payment the one that began with less leaks less.
    return len(payments), -(payments[0].amount or 0), payments[0].place, _backward(payments)


def _chain(payments: list[SeenPayment]) -> Found:
    first, last = payments[0], payments[-1]
    came, went = first.amount or 0, last.amount or 0
    accounts = {first.sender: "source"} | {payment.sender: "middleman" for payment in payments[1:]}
    accounts[last.receiver] = "sink"
    measures = {
        "hops": len(payments),
        "duration": seconds_between(first, last),
        "leak": float(came - went) / float(came),
        "lag": seconds_between(payments[-2], last),
    }
    return Found("", _hops(payments, "last hop"), accounts, measures)
