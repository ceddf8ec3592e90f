"""The ordered pairs of accounts that have met, in a table that grows: which number, and whether for the first time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from greywater.errors import EngineError
from greywater.kernels import pairs as pair_kernels
from greywater.vocab import Int64Array

__all__ = ["PairBook"]

#: The kernels keep twice a pair's number in an int32.
MAX_NUMBERS = 2**30


class PairBook:
    """Numbers pairs of accounts, one record a pair for ever.

    Examples
    --------
    >>> import numpy as np
    >>> book = PairBook()
    >>> codes = np.array([0, 1, 0], np.int32), np.array([1, 0, 1], np.int32)
    >>> pair, new = book.meet(*codes, np.zeros(3, np.bool_), np.arange(3), accounts=2)
    >>> pair.tolist(), new.tolist(), len(book)
    ([0, 1, 0], [1, 1, 0], 2)
    """

    def __init__(self) -> None:
        self._table = pair_kernels.empty_pairs(1 << 12, 1024, 1024)

    def __len__(self) -> int:
        return int(self._table.size[0])

    def meet(
        self, sender: np.ndarray, receiver: np.ndarray, external: np.ndarray, time: Int64Array, *, accounts: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the pairs of consecutive payments.

        Parameters
        ----------
        sender, receiver : int32[n]
            Account codes.
        external : bool[2, n] or bool[n]
            Where the sender (receiver) is outside the bank; what the pair's records say is then not asked for.
        time : int64[n]
            Event times.
        accounts : int
            Accounts known.

        Returns
        -------
        (int32[n], uint8[n])
            The number, -1 = self-payment; 1 where it is the first payment ever of its pair.
        """
        n = len(time)
        self._reserve(n, accounts)
        outside = np.broadcast_to(external, (2, n))
        pair, reverse = np.empty(n, np.int32), np.empty(n, np.int32)
        new, late = np.empty(n, np.uint8), np.empty((2, n), np.uint8)
        counts, floats = np.empty((2, n), np.int64), np.empty((4, n), np.float64)
        own = np.where(outside, -1, np.stack([sender, receiver])).astype(np.int32)
        pair_kernels.meet(self._table, own[0], own[1], sender, receiver, time, pair, reverse, new, counts, floats, late)
        return pair, new

    def arrays(self, accounts: int) -> dict[str, np.ndarray]:
        """The state as plain arrays."""
        table, pairs = self._table, len(self)
        used = np.flatnonzero(table.slots >= 0)
        return {
            "keys": table.slots[used],
            "numbers": table.numbers[used],
            "counts": table.counts[:pairs],
            "latest": table.latest[:pairs],
            "first": table.first[:accounts],
        }

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the state that `arrays` gave."""
        keys = np.ascontiguousarray(arrays["keys"])
        size = 1 << max(12, int(len(keys) * 2).bit_length())
        slots, numbers = np.full(size, -1, np.int64), np.zeros(size, np.int32)
        pair_kernels.rehash(keys, np.ascontiguousarray(arrays["numbers"]), slots, numbers)
        counts, latest, first = (arrays[name].copy() for name in ("counts", "latest", "first"))
        self._table = pair_kernels.PairTable(slots, numbers, counts, latest, first, np.array([len(keys)], np.int64))

    def _reserve(self, payments: int, accounts: int) -> None:
        """Room for every payment of a block to be a new pair."""
        table = self._table
        wanted = len(self) + payments
        if max(wanted, accounts) > MAX_NUMBERS:
            raise EngineError(
                f"{accounts:,} accounts and up to {wanted:,} pairs of accounts; at most {MAX_NUMBERS:,} fit",
                mend="keep the payments of different institutions in ledgers of their own",
            )
        if wanted * 2 > len(table.slots):
            size = 1 << int(wanted * 2).bit_length()
            slots, numbers = np.full(size, -1, np.int64), np.zeros(size, np.int32)
            pair_kernels.rehash(table.slots, table.numbers, slots, numbers)
            table = table._replace(slots=slots, numbers=numbers)
        if wanted > len(table.counts):
            fresh = pair_kernels.empty_pairs(1, max(wanted, len(table.counts) * 3 // 2) - len(table.counts), 0)
            counts = np.concatenate([table.counts, fresh.counts])
            table = table._replace(counts=counts, latest=np.concatenate([table.latest, fresh.latest]))
        if accounts > len(table.first):
            fresh = pair_kernels.empty_pairs(1, 0, max(accounts, len(table.first) * 3 // 2) - len(table.first))
            table = table._replace(first=np.concatenate([table.first, fresh.first]))
        self._table = table
