"""Links from payments to the later payments that can carry their money on."""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["link_payments"]


@kernel
def link_payments(
    receiver: Any,
    time: Int64Array,
    amount: Int64Array,
    begin: Int64Array,
    ordered: Int64Array,
    window: Int,
    most: Int,
    source: Any,
    target: Any,
    weight: Float64Array,
    kept: Float64Array,
    cut: Any,
) -> Int:
    """Link every payment to the next payments of its receiver; returns how many links there are.

    Parameters
    ----------
    receiver : int32[n]
        Account of each payment, in ledger order.
    time, amount : int64[n]
        Microseconds since 1970, and minor units; an amount below 1 links nothing.
    begin : int64[accounts + 1]
        Where each account's own payments begin in `ordered`.
    ordered : int64[n]
        Payments by sender, then time, then ledger order.
    window : int
        Microseconds after a payment in which the next ones are looked for, both ends included.
    most : int
        Links of one payment at most, the earliest first.
    source, target, weight : int32[k], int32[k], float64[k]
        Written; with k = 0 links are only counted.
    kept : float64[n]
        Written: share of the payment's money that no linked payment can carry.
    cut : uint8[n]
        Written: 1 where `most` cut.
    """
    writes = source.shape[0] > 0
    links = 0
    for payment in range(receiver.shape[0]):
        kept[payment] = 0.0
        cut[payment] = 0
        money = amount[payment]
        if money < 1:
            continue
        low, high = begin[receiver[payment]], begin[receiver[payment] + 1]
        last = high
        while low < high:
            middle = (low + high) // 2
            if time[ordered[middle]] < time[payment]:
                low = middle + 1
            else:
                high = middle
        found, carried = 0, np.int64(0)
        for place in range(low, last):
            later = ordered[place]
            if time[later] > time[payment] + window:
                break
            if later <= payment or amount[later] < 1:
                continue
            if found == most:
                cut[payment] = 1
                break
            taken = min(amount[later], money)
            if writes:
                source[links] = payment
                target[links] = later
                weight[links] = taken / money
            carried += taken
            links += 1
            found += 1
        if carried < money:
            kept[payment] = (money - carried) / money
    return links
