"""Counts two windows of a feature into the same bins, with a bin of its own for what is missing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.vocab import Float64Array, Int64Array

__all__ = ["FEW_VALUES", "category_counts", "number_counts"]

#: Up to so many different values in both windows together each value is a bin.
FEW_VALUES = 20
_parts = 10


def number_counts(
    reference: Float64Array, live: Float64Array, missing: tuple[int, int]
) -> tuple[Int64Array, Int64Array]:
    """Counts of two windows of numbers in bins.

    Where both together have up to FEW_VALUES different values, each is a bin; else the tenths of the reference are,
    each up to and with its upper edge. The last bin holds what is missing.

    Parameters
    ----------
    reference, live : float64[n], float64[m]
        Sorted, no NaN.
    missing : (int, int)
        Rows without a value in each.

    Examples
    --------
    >>> number_counts(np.array([0.0, 0.0, 1.0]), np.array([0.5, 1.0]), (1, 0))
    (array([2, 0, 1, 1]), array([0, 1, 1, 0]))
    """
    values = np.unique(np.concatenate([_different(reference), _different(live)]))
    if len(values) <= FEW_VALUES or not len(reference):
        edges = values[:-1]
    else:
        edges = np.unique(reference[(len(reference) * np.arange(1, _parts)) // _parts])
    counts = []
    for window, without in zip((reference, live), missing, strict=True):
        place = np.searchsorted(edges, window, side="left")
        counts.append(np.append(np.bincount(place, minlength=len(edges) + 1), without).astype(np.int64))
    return counts[0], counts[1]


def _different(ordered: Float64Array) -> Float64Array:
    """The first FEW_VALUES + 1 different values."""
    first = np.flatnonzero(ordered[1:] != ordered[:-1])[:FEW_VALUES] + 1
    return np.concatenate([ordered[:1], ordered[first]])


def category_counts(
    reference: pa.ChunkedArray | pa.Array, live: pa.ChunkedArray | pa.Array, most: int
) -> tuple[Int64Array, Int64Array]:
    """Counts of two windows of categories.

    Bins are the `most` most frequent categories of both windows together (ties by name), then all others, then what is
    missing. They are chosen from both: those that are frequent in one window by chance are less so in the other, and
    would look like drift.

    Examples
    --------
    >>> category_counts(pa.array(["a", "a", "b", None]), pa.array(["a", "c"]), 1)
    (array([2, 1, 1]), array([1, 1, 0]))
    """
    counted = [_value_counts(window) for window in (reference, live)]
    both = pa.concat_tables(counted).group_by("value").aggregate([("count", "sum")])
    keys = [("count_sum", "descending"), ("value", "ascending")]
    kept = both.sort_by(keys).column("value").slice(0, most).combine_chunks()
    found = []
    for window, table in zip((reference, live), counted, strict=True):
        counts = table.column("count").to_numpy()
        place = pc.index_in(table.column("value"), value_set=kept).fill_null(len(kept)).to_numpy().astype(np.int64)
        bins = np.bincount(place, weights=counts, minlength=len(kept) + 1).astype(np.int64)
        found.append(np.append(bins, window.null_count))
    return found[0], found[1]


def _value_counts(window: pa.ChunkedArray | pa.Array) -> pa.Table:
    plain = window.cast(pa.string()).drop_null()
    counted = pc.value_counts(plain)
    return pa.table({"value": counted.field("values"), "count": counted.field("counts")})
