"""Memory for rows of integers that can grow where it lies: address space is set aside, pages come with use."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from greywater.vocab import Int64Array

__all__ = ["set_aside"]

#: Address space without pages behind it; where the system has no such thing, rows are allocated as they are.
_FLAGS: Any = getattr(mmap, "MAP_PRIVATE", None)
_ANONYMOUS: Any = getattr(mmap, "MAP_ANONYMOUS", None)
_NO_RESERVE: Any = getattr(mmap, "MAP_NORESERVE", 0)
_HUGE: Any = getattr(mmap, "MADV_HUGEPAGE", None)
#: Bytes from which large pages are worth asking for.
LARGE = 1 << 22


def set_aside(rows: int, most: int, width: int) -> Int64Array:
    """Zeros int64[m, width] of which the first `rows` are meant to be used and up to `most` can be.

    Rows that are never written take address space only. Large pages are asked for, as the rows of an arena are visited
    in no order. m is `most`, or `rows` where address space cannot be had without memory.

    Examples
    --------
    >>> held = set_aside(10, 1_000_000, 3)
    >>> held[:10].sum(), held.shape[1], held.flags.c_contiguous
    (np.int64(0), 3, True)
    """
    size = most * width * 8
    if _FLAGS is None or _ANONYMOUS is None or size < LARGE:
        return np.zeros((rows, width), np.int64)
    try:
        space = mmap.mmap(-1, size, flags=_FLAGS | _ANONYMOUS | _NO_RESERVE)
        if _HUGE is not None:
            space.madvise(_HUGE)
    except (OSError, ValueError):
        return np.zeros((rows, width), np.int64)
    return np.frombuffer(space, np.int64).reshape(most, width)
