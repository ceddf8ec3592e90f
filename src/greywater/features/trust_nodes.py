"""Edges and seeds as people hold them (Arrow, pandas, NumPy; ids as text or numbers), told as numbers of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedTypeError, RefusedValueError
from greywater.vocab import Float64Array

__all__ = ["EdgeColumns", "NodeNames", "edge_columns", "seed_column"]

#: Up to so many ids are looked up one by one; a table of all names is made for more.
_FEW: Final = 32


@dataclass(frozen=True)
class EdgeColumns:
    """Edges as columns: ids of source and target, and weight float64[m], None = all alike."""

    source: pa.Array
    target: pa.Array
    weight: Float64Array | None


class NodeNames:
    """Gives every id a number, in order of first appearance.

    Examples
    --------
    >>> names = NodeNames()
    >>> names.encode(pa.array(["a", "b", "a"])).tolist(), names.numbers(["b", "z"]).tolist(), names.name(1)
    ([0, 1, 0], [1, -1], 'b')
    """

    def __init__(self) -> None:
        self._names: pa.Array | None = None

    def __len__(self) -> int:
        return 0 if self._names is None else len(self._names)

    @property
    def ids(self) -> Any:
        """Ids by number: int64[n] where they are numbers, else object[n] of text."""
        if self._names is None:
            return np.empty(0, object)
        return self._names.to_numpy(zero_copy_only=False)

    def encode(self, ids: pa.Array) -> Any:
        """Numbers int32[m] of ids; unknown ones get the next numbers."""
        if self._names is None or not len(self._names):
            encoded = ids.dictionary_encode()
            self._names = encoded.dictionary
            return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        if len(ids):
            ids = self._alike(ids)
        known = self._find(ids)
        fresh = pc.unique(ids.filter(pa.array(known < 0)))
        if len(fresh):
            first = len(self._names)
            self._names = pa.concat_arrays([self._names, fresh])
            places = pc.index_in(ids, fresh).fill_null(-1).to_numpy(zero_copy_only=False)
            known = np.where(known < 0, first + places, known).astype(np.int32)
        return known

    def numbers(self, ids: Iterable[Any]) -> Any:
        """Numbers int32[k] of ids, -1 where there is no such node."""
        wanted = ids if isinstance(ids, pa.Array) else _ids(list(ids), "seeds")
        if self._names is None or not len(wanted):
            return np.full(len(wanted), -1, np.int32)
        return self._find(self._alike(wanted))

    def name(self, number: int) -> Any:
        """The id of a number."""
        assert self._names is not None
        return self._names[int(number)].as_py()

    def of(self, numbers: Any) -> pa.Array:
        """The ids of numbers int[k]."""
        if self._names is None:
            return pa.array([], pa.string())
        return self._names.take(pa.array(np.asarray(numbers, np.int64)))

    def _find(self, ids: pa.Array) -> Any:
        """Numbers int32[k], -1 = unknown: through a table of whichever is fewer, the ids or all names."""
        names = self._names
        assert names is not None
        if len(ids) <= _FEW:
            return np.array([pc.index(names, each).as_py() for each in ids], np.int32)
        if len(ids) * 4 > len(names):
            found = pc.index_in(ids, names).fill_null(-1)
            return found.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        different = ids.dictionary_encode()
        where = pc.index_in(names, different.dictionary).fill_null(-1).to_numpy(zero_copy_only=False)
        hit = np.flatnonzero(where >= 0)
        numbers = np.full(len(different.dictionary), -1, np.int32)
        numbers[where[hit]] = hit
        return numbers[different.indices.to_numpy(zero_copy_only=False)]

    def _alike(self, ids: pa.Array) -> pa.Array:
        assert self._names is not None
        if pa.types.is_string(ids.type) != pa.types.is_string(self._names.type):
            raise RefusedTypeError(
                f"ids are of type {ids.type}, those of the graph of type {self._names.type}",
                where="ids of nodes", mend="give every id as text, or every id as a whole number",
            )  # fmt: skip
        return ids


def edge_columns(edges: Any, weight: str | None) -> EdgeColumns:
    """Read edges.

    Parameters
    ----------
    edges : pyarrow table or record batch, pandas frame, NumPy array [m, 2], or arrays (source, target[, weight])
        Of a table, the columns `source` and `target`, or where it has none the first two.
    weight : str, optional
        Column of the weights. None: the column `weight` where there is one, the third array, else all alike.

    Returns
    -------
    EdgeColumns

    Raises
    ------
    RefusedTypeError
        This is none of those, or ids are neither text nor whole numbers.
    RefusedValueError
        There is no such column, an id is missing, or the lengths differ.
    """
    if isinstance(edges, pa.Table | pa.RecordBatch):
        columns = {name: edges.column(name) for name in edges.schema.names}
    elif hasattr(edges, "columns") and hasattr(edges, "iloc"):
        columns = {str(name): edges[name].to_numpy() for name in edges.columns}
    else:
        columns = _plain(edges)
    names = list(columns)
    if len(names) < 2:
        raise RefusedValueError("edges have no two columns", where="edges", mend="give source and target")
    ends = ("source", "target") if {"source", "target"} <= set(names) else (names[0], names[1])
    if weight is not None and weight not in columns:
        raise RefusedValueError(
            f"edges have no column {weight!r}", where="weight", mend=f"name one of {', '.join(names)}, or None"
        )
    source, target = (_ids(columns[name], name) for name in ends)
    weigher = columns.get(weight or "weight")
    found = None if weigher is None else _weights(weigher)
    if len(source) != len(target) or (found is not None and len(found) != len(source)):
        raise RefusedValueError("columns of edges differ in length", where="edges", mend="give one of each per edge")
    return EdgeColumns(source, target, found)


def seed_column(seeds: Any) -> tuple[pa.Array, Float64Array]:
    """Ids and weights float64[k] of seeds: a mapping id -> weight, or ids that weigh alike."""
    if isinstance(seeds, Mapping):
        return _ids(list(seeds), "seeds"), np.array(list(seeds.values()), np.float64)
    if isinstance(seeds, str | bytes | int):
        seeds = [seeds]
    ids = _ids(seeds if isinstance(seeds, pa.Array | pa.ChunkedArray | np.ndarray) else list(seeds), "seeds")
    return ids, np.ones(len(ids))


def _plain(edges: Any) -> dict[str, Any]:
    if isinstance(edges, np.ndarray) and edges.ndim == 2 and edges.shape[1] in (2, 3):
        parts: Sequence[Any] = [edges[:, place] for place in range(edges.shape[1])]
    elif isinstance(edges, tuple | list) and len(edges) in (2, 3):
        parts = edges
    else:
        raise RefusedTypeError(
            f"edges are of type {type(edges).__name__}", where="edges",
            mend="give an Arrow table, a pandas frame, an array [m, 2], or (source, target[, weight])",
        )  # fmt: skip
    return dict(zip(("source", "target", "weight"), parts, strict=False))


def _ids(values: Any, where: str) -> pa.Array:
    """Ids as an Arrow array of text or int64, none missing."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks)
    if not isinstance(values, pa.Array):
        try:
            values = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise RefusedTypeError(
                f"ids cannot be read: {str(error).splitlines()[0]}", where=where, mend="give text or whole numbers"
            ) from None
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count:
        raise RefusedValueError("an id is missing", where=where, mend="give every edge and seed its ids")
    if pa.types.is_integer(values.type):
        if pa.types.is_uint64(values.type) and len(values) and pc.max(values).as_py() >= 2**63:
            raise RefusedValueError("an id has more than 63 bits", where=where, mend="give such ids as text")
        return values.cast(pa.int64())
    if pa.types.is_floating(values.type) and len(values) and bool(pc.all(pc.equal(pc.floor(values), values)).as_py()):
        return values.cast(pa.int64())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or not len(values):
        return values.cast(pa.string())
    raise RefusedTypeError(f"ids are of type {values.type}", where=where, mend="give text or whole numbers")


def _weights(values: Any) -> Float64Array:
    try:
        array = pa.array(values) if not isinstance(values, pa.Array | pa.ChunkedArray) else values
        numbers = np.asarray(array.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy(), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError):
        raise RefusedTypeError("weights are no numbers", where="weight", mend="give a column of numbers") from None
    return numbers
