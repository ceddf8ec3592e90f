"""One side of the engine in memory: a Lists that grows, packs, snapshots and counts its bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from greywater.errors import EngineError
from greywater.kernels.lists import HIGH, NEVER, NONE, Lists, empty_entries, empty_lists, pack, packed_size
from greywater.vocab import Int64Array

__all__ = ["Side"]

SPARE_ENTRIES = 1 << 14
#: Positions are int32 in the kernels.
MAX_POSITION = 2**31 - 1
ARRAYS = ("entries", "heads", "freed", "places", "values", "sums", "pair_last", "pair_freed")
PER_ACCOUNT = ("heads", "freed", "places", "values", "sums")


class Side:
    """The payments that accounts sent, or received, held as long as a window may want them.

    Parameters
    ----------
    windows : int
        Number of windows.
    kept : int64[3], optional
        What the windows keep (`Lists.kept`); None = all of it.
    """

    def __init__(self, windows: int, kept: Int64Array | None = None) -> None:
        self._windows = windows
        self.lists: Lists = empty_lists(SPARE_ENTRIES, 1024, windows, 1024)
        if kept is not None:
            self.lists = self.lists._replace(kept=kept)
        self._highest = 0

    def reserve(self, accounts: int, pairs: int) -> None:
        """See that so many accounts and pairs have their rows."""
        lists = self.lists
        known = lists.heads.shape[0]
        if accounts > known:
            fresh = empty_lists(0, max(accounts, known + known // 2) - known, self._windows, 0)
            lists = lists._replace(
                **{name: np.concatenate([getattr(lists, name), getattr(fresh, name)]) for name in PER_ACCOUNT}
            )
        known = lists.pair_last.shape[0]
        if pairs > known:
            more = max(pairs, known + known // 2) - known
            lists = lists._replace(
                pair_last=np.concatenate([lists.pair_last, np.full(more, NONE, np.int32)]),
                pair_freed=np.concatenate([lists.pair_freed, np.full(more, NEVER, np.int64)]),
            )
        self.lists = lists

    def run(self, kernel: Callable[[Lists, int], int], horizon: Int64Array, hold: int) -> None:
        """Call `kernel(lists, begin)` until it has come through the block, packing the arena when it is full."""
        begin, rows = 0, len(horizon)
        if self._highest + rows > MAX_POSITION:
            self._rebase(rows, int(horizon[0]) - hold)
        self._highest += rows
        while begin < rows:
            reached = kernel(self.lists, begin)
            if reached < rows:
                bound = int(horizon[reached - 1]) - hold if reached > 0 else int(NEVER)
                self.pack(bound, spare=True)
                self._highest += rows - reached
            begin = reached

    def _rebase(self, rows: int, bound: int) -> None:
        """Lay the lists out anew because a block of so many payments could carry a position past int32."""
        self.pack(bound, spare=True)
        if self._highest + rows > MAX_POSITION:
            raise EngineError(
                f"an account has {self._highest:,} payments that a window may want; at most {MAX_POSITION:,} fit",
                mend="set shorter windows or a shorter allowed_lateness",
            )

    def pack(self, bound: int, *, spare: bool) -> None:
        """Free what lies at or before `bound` and lay the lists out anew, with room to grow where `spare`."""
        needed = int(packed_size(self.lists, bound))
        size = needed + needed // 4 + SPARE_ENTRIES if spare else self.lists.held
        entries, links = empty_entries(size)
        top = pack(self.lists, entries, links, spare)
        self.lists = self.lists._replace(entries=entries, links=links, arena=np.array([top], np.int64))
        self._highest = int(self.lists.heads[:, HIGH].max(initial=0))

    @property
    def windows(self) -> int:
        """Windows whose state is kept."""
        return self._windows

    @property
    def held(self) -> int:
        """Payments held."""
        return self.lists.held

    @property
    def window_bytes(self) -> int:
        """Bytes of the arena: what grows with the payments held."""
        lists = self.lists
        return int(lists.entries.nbytes)

    @property
    def lifetime_bytes(self) -> int:
        """Bytes that are kept for ever, per account and per ordered pair."""
        lists = self.lists
        named = (*PER_ACCOUNT, "pair_last", "pair_freed")
        return sum(int(getattr(lists, name).nbytes) for name in named)

    def arrays(self, accounts: int, pairs: int) -> dict[str, np.ndarray]:
        """The state as plain arrays, trimmed to what is in use."""
        rows = dict.fromkeys(PER_ACCOUNT, accounts) | {"pair_last": pairs, "pair_freed": pairs}
        return {name: getattr(self.lists, name)[: rows.get(name)] for name in ARRAYS}

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Copy the arrays that `arrays` gave: they can be loaded again."""
        entries, links = empty_entries(len(arrays["entries"]))
        entries[:] = arrays["entries"]
        rest = {name: np.array(arrays[name], order="C") for name in ARRAYS[1:]}
        arena = np.array([len(entries)], np.int64)
        self.lists = Lists(entries=entries, links=links, arena=arena, kept=self.lists.kept, **rest)
        self._highest = int(self.lists.heads[:, HIGH].max(initial=0))
