"""The payments of patterns of two legs: scatter-gather, gather-scatter, 2x2 blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from greywater.features.evidence import Finding, Found, Lookup, seconds_between
from greywater.features.payment_view import Account, PaymentView, SeenPayment

__all__ = ["blocks", "gather_scatters", "scatter_gathers"]

NAN = math.nan
#: Bins of the number of middlemen: the least and the most of each.
SIZES: Final = {
    "size_2": (2, 2), "size_3": (3, 3), "size_4": (4, 4), "size_5_6": (5, 6), "size_7_10": (7, 10),
    "size_11": (11, math.inf),
}  # fmt: skip
LAST_LEG, FIRST_LEG = "last leg", "first leg"

#: One middleman: the payments he received and the payments he made.
Legs = tuple[list[SeenPayment], list[SeenPayment]]
#: Of each end (source or sink) the middlemen and their payments.
Ends = dict[Account, dict[Account, Legs]]


def scatter_gathers(view: PaymentView, cap: int, limit: int) -> Finding:
    """One source pays middlemen who pay one sink, payment i among them as a last or as a first leg.

    Of each middleman two payments are shown: the latest gather leg that has a scatter leg before it and the latest
    such scatter leg; where there is no such pair, the latest of each.

    Best: most middlemen, then most of them paid before they pay, then a last leg, then the latest payment between i's
    own middleman and the end.

    Parameters
    ----------
    view : PaymentView
        What i sees.
    cap : int
        Payments visited at most.
    limit : int
        Instances given.
    """
    lookup = Lookup(view, cap)
    sources = _sources(lookup)
    sinks = {} if lookup.capped else _sinks(lookup)
    columns: dict[str, float] = {}
    columns |= _sizes("any", (len(middlemen) for middlemen in sources.values()))
    columns |= _sizes("ordered", map(_ordered, sources.values()))
    columns |= _sizes("first_leg", (len(middlemen) for middlemen in sinks.values()))
    ranked = [
        ((len(middlemen), _ordered(middlemen), kind == LAST_LEG, _own_leg(middlemen, own, kind).place), kind, end)
        for kind, ends, own in (
            (LAST_LEG, sources, lookup.this.sender),
            (FIRST_LEG, sinks, lookup.this.receiver),
        )
        for end, middlemen in ends.items()
        if len(middlemen) >= 2
    ]
    ranked.sort(key=lambda each: each[0], reverse=True)
    best = [
        _scatter_gather(lookup.this, kind, end, (sources if kind == LAST_LEG else sinks)[end])
        for _, kind, end in ranked[:limit]
    ]
    return Finding(best, len(ranked), columns, lookup.capped)


def _sources(lookup: Lookup) -> Ends:
    """Per source who paid i's sender, the middlemen through whom it reached i's receiver."""
    this = lookup.this
    sources: Ends = {}
    for payment in lookup.into(this.sender):
        if payment.sender != this.receiver:
            sources.setdefault(payment.sender, {}).setdefault(this.sender, ([], [this]))[0].append(payment)
    if not sources:
        return {}
    for middle, out in lookup.by_payer(this.receiver).items():
        if middle == this.sender:
            # Parallel payments of i's sender; i itself is the latest of all.
            for middlemen in sources.values():
                middlemen[middle][1].extend(out)
            continue
        for payment in lookup.into(middle):
            if payment.sender in sources:
                sources[payment.sender].setdefault(middle, ([], out))[0].append(payment)
    return sources


def _sinks(lookup: Lookup) -> Ends:
    """Per sink whom i's receiver paid, the middlemen through whom i's sender reached it."""
    this = lookup.this
    sinks: Ends = {}
    for payment in lookup.out_of(this.receiver):
        if payment.receiver != this.sender:
            sinks.setdefault(payment.receiver, {}).setdefault(this.receiver, ([this], []))[1].append(payment)
    if not sinks:
        return {}
    received: dict[Account, list[SeenPayment]] = {}
    for payment in lookup.out_of(this.sender):
        received.setdefault(payment.receiver, []).append(payment)
    for middle, into in received.items():
        if middle == this.receiver:
            for middlemen in sinks.values():
                middlemen[middle][0].extend(into)
            continue
        for payment in lookup.out_of(middle):
            if payment.receiver in sinks:
                sinks[payment.receiver].setdefault(middle, (into, []))[1].append(payment)
    return sinks


def _sizes(variant: str, middlemen: Iterable[int]) -> dict[str, float]:
    """The columns of one variant; pairs count from two middlemen on."""
    counted = [size for size in middlemen if size >= 2]
    name = f"scatter_gather.{variant}"
    row: dict[str, float] = {f"{name}.pairs": len(counted), f"{name}.largest": max(counted, default=0)}
    for column, (least, most) in SIZES.items():
        row[f"{name}.{column}"] = sum(least <= size <= most for size in counted)
    return row


def _ordered(middlemen: dict[Account, Legs]) -> int:
    """How many of them were paid before they paid."""
    return sum(
        min(each.place for each in received) < max(each.place for each in paid) for received, paid in middlemen.values()
    )


def _own_leg(middlemen: dict[Account, Legs], own: Account, kind: str) -> SeenPayment:
    """The latest payment between the end and the party of i that is a middleman."""
    return max(middlemen[own][0 if kind == LAST_LEG else 1], key=lambda each: each.place)


def _shown_legs(legs: Legs) -> tuple[SeenPayment, SeenPayment, bool]:
    """A scatter leg and a gather leg of one middleman, and whether the first precedes the second."""
    received, paid = (sorted(side, key=lambda each: each.place, reverse=True) for side in legs)
    for out in paid:
        for into in received:
            if into.place < out.place:
                return into, out, True
    return received[0], paid[0], False


def _scatter_gather(this: SeenPayment, kind: str, end: Account, middlemen: dict[Account, Legs]) -> Found:
    source, sink = (end, this.receiver) if kind == LAST_LEG else (this.sender, end)
    shown = []
    for middle, (received, paid) in middlemen.items():
        if kind == LAST_LEG and middle == this.sender:
            # Every payment into i's sender precedes i.
            scatter, gather, in_order = max(received, key=lambda each: each.place), this, True
        elif kind == FIRST_LEG and middle == this.receiver:
            # i came after every payment of its receiver that it sees.
            scatter, gather, in_order = this, max(paid, key=lambda each: each.place), False
        else:
            scatter, gather, in_order = _shown_legs((received, paid))
        shown.append((scatter, gather, in_order, middle))
    shown.sort(key=lambda pair: (this in pair[:2], max(pair[0].place, pair[1].place)), reverse=True)
    payments = []
    for scatter, gather, _, _ in shown:
        payments.append(("closing payment" if scatter is this else "scatter leg", scatter))
        payments.append(("closing payment" if gather is this else "gather leg", gather))
    accounts: dict[Account, str] = {source: "source", sink: "sink"}
    accounts |= {middle: "middleman" for *_, middle in shown if middle not in accounts}
    first = min((payment for _, payment in payments), key=lambda payment: payment.place)
    measures = {
        "middlemen": len(shown),
        "ordered": sum(in_order for _, _, in_order, _ in shown),
        "duration": seconds_between(first, this),
    }
    return Found(kind, payments, accounts, measures)


def gather_scatters(view: PaymentView, cap: int, limit: int) -> Finding:
    """Many pay one hub, which pays many: i's sender as a hub that scatters, i's receiver as one that gathers.

    Best: most accounts on both sides together, then the hub that is i's sender. All payments of the hub are shown,
    the latest first. Parameters as for `scatter_gathers`.
    """
    lookup = Lookup(view, cap)
    this = lookup.this
    into = lookup.into(this.sender)
    out = []
    if into:
        first = into[-1].place
        out = [this, *(each for each in lookup.out_of(this.sender) if each.place > first)]
    hubs = [("hub sender", this.sender, into, out)]
    out = lookup.out_of(this.receiver)
    hubs.append(("hub receiver", this.receiver, [this, *lookup.into(this.receiver)] if out else [], out))
    columns: dict[str, float] = {}
    found = []
    for kind, hub, into, out in hubs:
        senders, receivers = {each.sender for each in into}, {each.receiver for each in out}
        enough = len(senders) >= 2 and len(receivers) >= 2
        name = f"gather_scatter.{kind.removeprefix('hub ')}"
        columns[f"{name}.senders"] = len(senders) if enough else 0
        columns[f"{name}.receivers"] = len(receivers) if enough else 0
        columns[f"{name}.kept"] = _kept(into, out) if enough else NAN
        if enough:
            found.append(_hub(this, kind, hub, into, out, columns))
    found.sort(key=lambda each: -each.measures["senders"] - each.measures["receivers"])
    return Finding(found[:limit], len(found), columns, lookup.capped)


def _kept(into: list[SeenPayment], out: list[SeenPayment]) -> float:
    """(money in - money out) / money in, the difference exact; NaN where nothing came in."""
    received, paid = (sum(each.amount or 0 for each in side) for side in (into, out))
    return float(received - paid) / float(received) if received else NAN


def _hub(
    this: SeenPayment,
    kind: str,
    hub: Account,
    into: list[SeenPayment],
    out: list[SeenPayment],
    columns: dict[str, float],
) -> Found:
    legs = [("gather leg", each) for each in into] + [("scatter leg", each) for each in out]
    legs.sort(key=lambda leg: leg[1].place, reverse=True)
    legs.sort(key=lambda leg: leg[1] is not this)
    accounts: dict[Account, str] = {hub: "hub"}
    for each in into:
        accounts.setdefault(each.sender, "source")
    for each in out:
        if accounts.setdefault(each.receiver, "sink") == "source":
            accounts[each.receiver] = "source and sink"
    name = f"gather_scatter.{kind.removeprefix('hub ')}"
    first = min((payment for _, payment in legs), key=lambda payment: payment.place)
    measures = {each: columns[f"{name}.{each}"] for each in ("senders", "receivers", "kept")}
    return Found(kind, legs, accounts, measures | {"duration": seconds_between(first, this)})


def blocks(view: PaymentView, cap: int, limit: int) -> Finding:
    """2x2 blocks that payment u -> v completes: another payer s of v and another payee d of u with s -> d.

    Accounts outside the bank are in no block.
    Of parallel payments the latest is shown. Best: the block whose oldest payment is the latest, then its other
    payments. Parameters as for `scatter_gathers`.
    """
    lookup = Lookup(view, cap)
    this = lookup.this
    payees: dict[Account, SeenPayment] = {}
    for payment in lookup.out_of(this.sender):
        if payment.receiver != this.receiver:
            payees.setdefault(payment.receiver, payment)
    found: list[tuple[SeenPayment, SeenPayment, SeenPayment]] = []
    for payer, payments in lookup.by_payer(this.receiver).items() if payees else ():
        if payer == this.sender:
            continue
        crossing: dict[Account, SeenPayment] = {}
        for payment in lookup.out_of(payer):
            if payment.receiver in payees and lookup.is_own(payment.receiver):
                crossing.setdefault(payment.receiver, payment)
        found += [(payments[0], across, payees[payee]) for payee, across in crossing.items()]
    found.sort(key=lambda block: sorted(each.place for each in block), reverse=True)
    best = [_block(this, *block) for block in found[:limit]]
    return Finding(best, len(found), {"bipartite.blocks": len(found)}, lookup.capped)


def _block(this: SeenPayment, beside: SeenPayment, across: SeenPayment, own: SeenPayment) -> Found:
    payments = [
        ("payer's other payment", own),
        ("other payer's payment", beside),
        ("other payer's other payment", across),
        ("closing payment", this),
    ]
    first = min((payment for _, payment in payments), key=lambda payment: payment.place)
    known = [payment.amount for _, payment in payments if payment.amount is not None]
    accounts: dict[Account, str] = {
        this.sender: "payer", across.sender: "payer", this.receiver: "payee", across.receiver: "payee"
    }  # fmt: skip
    measures = {
        "amount": float(sum(known)) if len(known) == len(payments) else NAN,
        "duration": seconds_between(first, this),
    }
    return Found("", payments, accounts, measures)
