"""Who is known to be a launderer, as kernels read it: facts in order, and how near the nearest is to each account."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.vocab import Int64Array

__all__ = [
    "ACCOUNT", "AFTER", "FACTS", "FOREVER", "GUILTY", "NEAR", "NEVER", "SINCE", "SOURCE", "Known", "empty_near",
    "is_known",
]  # fmt: skip

NEVER = np.int64(-(2**62))
FOREVER = np.int64(2**62)
#: Columns of `Known.facts`.
ACCOUNT, SOURCE, SINCE, AFTER, GUILTY = range(5)
FACTS = 5
#: Columns of `Known.near`: four a direction, by the payments of the way; those of no payment mark known accounts.
NEAR = 8


class Known(NamedTuple):
    """What is known of A accounts, by code.

    near int64[A, 8]: per direction the latest time of ways of 0 (FOREVER for a known account) to 3 payments, NEVER
    where there is none. facts int64[F, 5]: account, source, known since (microseconds), recorded after payment,
    1 = launderer and 0 = cleared, in order of the first three and then of recording. first int64[A]: an account's first
    fact, -1 = none. order int64[G]: rows of the facts that say launderer, by the payment they were recorded after.
    applied int64[1]: how many of those are in `near`. outside uint8[A]: outside the bank, without lists of its own.
    """

    near: Any
    facts: Any
    first: Any
    order: Any
    applied: Any
    outside: Any


def empty_near(accounts: int) -> Int64Array:
    """Accounts of which nothing is known."""
    return np.full((accounts, NEAR), NEVER, np.int64)


@kernel
def is_known(known: Known, account: Int, seq: Int, time: Int) -> bool:
    """Is the account a launderer to payment `seq` of `time`? Of each source the latest fact that it sees counts."""
    facts, row = known.facts, known.first[account]
    if row < 0:
        return False
    source, guilty = facts[row, SOURCE], False
    while row < facts.shape[0] and facts[row, ACCOUNT] == account:
        if facts[row, SOURCE] != source:
            if guilty:
                return True
            source = facts[row, SOURCE]
        if facts[row, AFTER] < seq and facts[row, SINCE] <= time:
            guilty = facts[row, GUILTY] == 1
        row += 1
    return guilty
