"""Trust between payments: what is suspect spreads along the money, from a payment to those that can carry it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_scores import TrustScores, trust_scores
from greywater.kernels.trust_payments import link_payments
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PaymentLinks", "payment_links", "payment_scores"]

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class PaymentLinks:
    """Links between payments, which are named by their place in ledger order.

    Parameters
    ----------
    source, target : int32[m]
        A payment, and a later one out of its receiver.
    weight : float64[m]
        Share of the first payment's money that the second can carry.
    kept : float64[n]
        Share that none can carry: it stays with the receiver.
    cut : bool[n]
        Payments with more links than were kept.
    """

    source: Any
    target: Any
    weight: Float64Array
    kept: Float64Array
    cut: Any


def payment_links(
    sender: Any, receiver: Any, time: Int64Array, amount: Int64Array, *, window_us: int = 14 * _DAY_US, most: int = 64
) -> PaymentLinks:
    """Link each payment to the later payments of its receiver within a window.

    Parameters
    ----------
    sender, receiver : int32[n]
        Accounts from 0 on, in ledger order.
    time : int64[n]
        Event times, microseconds since 1970.
    amount : int64[n]
        Base amounts in minor units; where unknown, 0 or less: such a payment carries nothing.
    window_us : int
        How long the receiver may keep the money, microseconds.
    most : int
        Links of one payment at most; the earliest are kept.

    Returns
    -------
    PaymentLinks

    Raises
    ------
    RefusedValueError
        The columns differ in length, an account is negative, or a parameter is not positive.

    Notes
    -----
    Payment j is linked to i where it is later in the ledger, not earlier in event time, at most `window_us` after it,
    and sent by i's receiver; its weight is min(amount j, amount i) / amount i. Where the links of i can carry less than
    all of it, the rest stays with the receiver and its score leaks.

    Examples
    --------
    >>> links = payment_links([0, 1, 1], [1, 2, 3], np.array([0, 5, 9]), np.array([100, 30, 60]))
    >>> links.target.tolist(), links.weight.tolist(), links.kept.round(2).tolist()
    ([1, 2], [0.3, 0.6], [0.1, 1.0, 1.0])
    """
    sender, receiver = np.ascontiguousarray(sender, np.int32), np.ascontiguousarray(receiver, np.int32)
    time, amount = np.ascontiguousarray(time, np.int64), np.ascontiguousarray(amount, np.int64)
    count = len(sender)
    if not len(receiver) == len(time) == len(amount) == count:
        raise RefusedValueError("columns of payments differ in length", where="payments", mend="give one value of each")
    if count and min(int(sender.min()), int(receiver.min())) < 0:
        raise RefusedValueError("an account is below 0", where="payments", mend="number accounts from 0 on")
    if window_us < 1 or most < 1:
        raise RefusedValueError("window and most must be positive", where="payment_links", mend="give 1 or more")
    accounts = max(int(sender.max()), int(receiver.max())) + 1 if count else 0
    ordered = np.lexsort((np.arange(count), time, sender)).astype(np.int64)
    begin = np.concatenate([[0], np.cumsum(np.bincount(sender, minlength=accounts))]).astype(np.int64)
    kept, cut = np.empty(count), np.empty(count, np.uint8)
    places, shares = np.empty(0, np.int32), np.empty(0)
    given = (receiver, time, amount, begin, ordered, window_us, most)
    total = link_payments(*given, places, places, shares, kept, cut)
    source, target, weight = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total)
    link_payments(*given, source, target, weight, kept, cut)
    return PaymentLinks(source, target, weight, kept, cut.astype(np.bool_))


def payment_scores(
    links: PaymentLinks, seeds: Any, seed_weight: Float64Array | None = None, *, beta: float = 0.85, tol: float = 1e-8
) -> TrustScores:
    """Score payments by the suspicion that reaches them from flagged ones.

    Parameters
    ----------
    links : PaymentLinks
        Among n payments.
    seeds : int[k]
        Places of payments already flagged.
    seed_weight, beta, tol
        As in `trust_scores`.

    Returns
    -------
    TrustScores
        Over the n payments. Links lead forward in the ledger, so one look at each link is exact.
    """
    return trust_scores(
        links.source, links.target, links.weight, len(links.kept), seeds, seed_weight,
        beta=beta, tol=tol, kept=links.kept,
    )  # fmt: skip
