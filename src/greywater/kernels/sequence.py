"""The last payments of each account, in the order in which they were recorded, as each payment sees them.

One ring of LENGTH entries an account; a payment to others is written into the rings of both its parties, and what each
ring holds is read out, newest first, without what the payment may not see.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["LENGTH", "RING_BYTES", "Rings", "empty_rings", "read_sequences"]

#: Entries of a ring, a power of two.
LENGTH = 32
_LAST = np.int64(LENGTH - 1)
#: What a kind says besides the channel.
OUT = np.int64(2)
#: Bytes of an account's ring: time, amount and kind of each entry, and how many there ever were.
RING_BYTES = LENGTH * (8 + 8 + 2) + 8


class Rings(NamedTuple):
    """place int32[A] ring of an account, -1 = none yet; written int64[R] entries ever written; time int64[R, LENGTH];
    amount float64[R, LENGTH], NaN = not known; kind int16[R, LENGTH]; size int64[1] rings in use.

    Entry number e of a ring stands at e modulo LENGTH."""

    place: Any
    written: Any
    time: Any
    amount: Any
    kind: Any
    size: Any


def empty_rings(accounts: int, rings: int) -> Rings:
    """Room for so many accounts and rings, none in use."""
    return Rings(
        np.full(accounts, -1, np.int32),
        np.zeros(rings, np.int64),
        np.zeros((rings, LENGTH), np.int64),
        np.zeros((rings, LENGTH)),
        np.zeros((rings, LENGTH), np.int16),
        np.zeros(1, np.int64),
    )


@inlined
def _write(rings: Rings, account: Int, moment: Int, amount: Any, kind: Int) -> None:
    """Put a payment into the account's ring, over the oldest entry where it is full."""
    if rings.place[account] < 0:
        rings.place[account] = rings.size[0]
        rings.size[0] += 1
    ring = np.int64(rings.place[account])
    spot = rings.written[ring] & _LAST
    rings.time[ring, spot] = moment
    rings.amount[ring, spot] = amount
    rings.kind[ring, spot] = kind
    rings.written[ring] += 1


@inlined
def _read(
    rings: Rings, account: Int, moment: Int, hidden: Int, own: Int, k: Int, floats: Float64Array, kinds: Int64Array
) -> None:
    """Fill column k with what the account's ring holds; `own` newest entries are the payment itself and always seen."""
    ring = np.int64(-1) if account < 0 else np.int64(rings.place[account])
    found, after = 0, moment
    written = np.int64(0) if ring < 0 else rings.written[ring]
    for back in range(min(written, np.int64(LENGTH))):
        spot = (written - np.int64(1) - back) & _LAST
        time = rings.time[ring, spot]
        if back >= own and (time > moment or time <= hidden):
            continue
        if found > 0:
            floats[2 * found - 1, k] = max(after - time, np.int64(0)) / 1e6
        floats[2 * found, k] = rings.amount[ring, spot]
        floats[2 * found + 1, k] = np.nan
        kinds[found, k] = rings.kind[ring, spot]
        found, after = found + 1, time
    for place in range(found, LENGTH):
        floats[2 * place, k] = np.nan
        floats[2 * place + 1, k] = np.nan
        kinds[place, k] = -1


@kernel
def read_sequences(
    rings: Rings, sender: Any, receiver: Any, time: Int64Array, hidden: Int64Array, amount: Float64Array,
    kind: Int64Array, others: Any, floats: Any, kinds: Any,
) -> None:  # fmt: skip
    """Take payments in one after the other, and write what each sees of both its parties.

    Parameters
    ----------
    rings : Rings
        With room for n more of each party.
    sender, receiver : int32[n]
        Account codes, -1 = outside the bank.
    time : int64[n]
        Event times, microseconds.
    hidden : int64[n]
        The greatest event time that each payment does not see any more.
    amount : float64[n]
        NaN = not known.
    kind : int64[n]
        As the receiver has it; the sender's is OUT more.
    others : bool[n]
        False = to oneself: in no ring.
    floats, kinds : float64[2, 2 * LENGTH, m], int64[2, LENGTH, m], m >= n
        Out, of the sender and of the receiver: amount and gap of each place in turn; kind, -1 = no entry.
    """
    for k in range(time.shape[0]):
        payer, payee, moment = np.int64(sender[k]), np.int64(receiver[k]), time[k]
        own = 0
        if others[k]:
            own = 1
            if payer >= 0:
                _write(rings, payer, moment, amount[k], kind[k] + OUT)
            if payee >= 0:
                _write(rings, payee, moment, amount[k], kind[k])
        _read(rings, payer, moment, hidden[k], own, k, floats[0], kinds[0])
        _read(rings, payee, moment, hidden[k], own, k, floats[1], kinds[1])
