"""What the values of a group's features are like, per commit, and of all commits together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import RefusedTypeError, UsageError
from greywater.featurestore.definitions import DTYPES
from greywater.featurestore.distinct_count import Distinct, hashes_of_numbers, hashes_of_texts
from greywater.featurestore.histogram import Histogram, Magnitudes
from greywater.featurestore.moments import Moments
from greywater.featurestore.quantile_summary import PROBABILITIES, QuantileSummary
from greywater.featurestore.top_values import LONGEST_TEXT, TopValues
from greywater.vocab import Int64Array

__all__ = ["FeatureStatistics", "GroupStatistics", "describe", "merge"]

Value = bool | int | float | str
_dtype_names: Final = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class FeatureStatistics:
    """What the values of one feature are like.

    Whole numbers, bools (as 0 and 1) and timestamps (microseconds since 1970) are whole; mean, deviation, quantiles
    and histogram of floats are of the finite values; -0.0 counts as 0.0.

    Parameters
    ----------
    name, dtype : str
    rows : int
    nulls, nans : int
        Rows without a value, and rows with NaN.
    below_all, above_all : int
        Rows with minus and with plus infinity.
    distinct : Distinct
        Different values, infinities included, nulls and NaN not.
    least, greatest : bool, int, float, str or None
        None where there is no (finite) value; texts by code point, their first 256 characters.
    moments : Moments or None
        None for texts, as are quantiles, histogram and magnitudes; those are also None where there is no value.
    magnitudes : Magnitudes or None
        Of numbers, not of bools and timestamps.
    top : TopValues or None
        Of bools, whole numbers and texts.
    """

    name: str
    dtype: str
    rows: int
    nulls: int
    nans: int
    below_all: int
    above_all: int
    distinct: Distinct
    least: Value | None
    greatest: Value | None
    moments: Moments | None
    quantiles: QuantileSummary | None
    histogram: Histogram | None
    magnitudes: Magnitudes | None
    top: TopValues | None

    @property
    def missing(self) -> int:
        """Rows with null or NaN."""
        return self.nulls + self.nans

    @property
    def mean(self) -> float | None:
        """Of the finite values."""
        return self.moments.mean if self.moments else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation with ddof = 1; None below two values."""
        return self.moments.deviation if self.moments else None

    def quantile(self, probability: float) -> float | None:
        """By linear interpolation; None without values."""
        return self.quantiles.quantile(probability) if self.quantiles else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what can be read off, and what is needed to merge."""
        parts = {name: getattr(self, name) for name in _parts}
        plain = {name: getattr(self, name) for name in _plain}
        shown = {str(p): self.quantile(p) for p in PROBABILITIES} if self.quantiles else None
        return plain | {name: part and part.as_dict() for name, part in parts.items()} | {"shown": shown}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> FeatureStatistics:
        """What `as_dict` gave."""
        parts = {name: found[name] and kind.from_dict(found[name]) for name, kind in _parts.items()}
        plain = {name: found[name] for name in _plain}
        if found["dtype"].startswith("float"):
            plain |= {
                name: plain[name] if plain[name] is None else float(plain[name]) for name in ("least", "greatest")
            }
        return cls(**plain, **parts)


_counts: Final = ("rows", "nulls", "nans", "below_all", "above_all")
_plain: Final = ("name", "dtype", *_counts, "least", "greatest")
_parts: Final[dict[str, Any]] = {
    "distinct": Distinct, "moments": Moments, "quantiles": QuantileSummary, "histogram": Histogram,
    "magnitudes": Magnitudes, "top": TopValues,
}  # fmt: skip


@dataclass(frozen=True)
class GroupStatistics:
    """What the features of some rows are like.

    Examples
    --------
    >>> found = describe(pa.table({"score": [1.0, 3.0, None]}))
    >>> score = found.by_name["score"]
    >>> score.rows, score.nulls, score.mean, score.quantile(0.5)
    (3, 1, 2.0, 2.0)
    >>> GroupStatistics.from_json(found.to_json()) == found
    True
    """

    rows: int
    features: tuple[FeatureStatistics, ...]

    @property
    def by_name(self) -> dict[str, FeatureStatistics]:
        """Statistics by feature."""
        return {feature.name: feature for feature in self.features}

    def to_json(self) -> str:
        """Canonical JSON, no NaN nor infinity in it."""
        found = {"rows": self.rows, "features": [feature.as_dict() for feature in self.features]}
        return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> GroupStatistics:
        """What `to_json` wrote."""
        found = json.loads(text)
        return cls(found["rows"], tuple(FeatureStatistics.from_dict(feature) for feature in found["features"]))


def describe(rows: pa.Table | pa.RecordBatch, features: Sequence[str] | None = None) -> GroupStatistics:
    """The statistics of some columns; all figures are exact.

    Parameters
    ----------
    rows : pa.Table or pa.RecordBatch
    features : sequence of str, optional
        Columns to describe; all without.

    Raises
    ------
    RefusedTypeError
        Where a column is not of one of the dtypes of features, or is not there.
    """
    names = rows.schema.names if features is None else features
    found = []
    for name in names:
        place = rows.schema.get_field_index(name)
        if place < 0:
            raise RefusedTypeError(f"the rows have no single column {name!r}", mend="name the columns there are")
        found.append(_described(name, rows.column(place)))
    return GroupStatistics(rows.num_rows, tuple(found))


def merge(parts: Sequence[GroupStatistics]) -> GroupStatistics:
    """The statistics of all rows together, from those of disjoint parts; the order of the parts does not matter.

    Exact: rows, nulls, NaN, infinities, least, greatest, histogram, magnitudes; mean and deviation of whole numbers,
    bools and timestamps (of floats to rounding); different values up to 128 and top values up to 64 different ones;
    quantiles up to 128 different values in a part. Beyond: `distinct` is an estimate (standard error 2.3 %), top
    counts carry what may be missing, and `QuantileSummary.rank_error` bounds the error of quantiles.

    Raises
    ------
    UsageError
        Without parts, or where they are not of the same features.
    """
    if not parts:
        raise UsageError("there are no statistics to merge", mend="give those of one commit at least")
    for part in parts[1:]:
        mine, theirs = ([(one.name, one.dtype) for one in each.features] for each in (parts[0], part))
        if mine != theirs:
            raise UsageError(
                "statistics of different features cannot be merged",
                where=", ".join(sorted({name for name, _ in set(mine) ^ set(theirs)})[:5]) or "their order",
                mend="merge commits of one version of a group",
            )
    columns = zip(*(part.features for part in parts), strict=True)
    return GroupStatistics(sum(part.rows for part in parts), tuple(_merged(column) for column in columns))


# ------------------------------------------------------------------ merging


def _merged(parts: Sequence[FeatureStatistics]) -> FeatureStatistics:
    def together(name: str) -> Any:
        there = [part for one in parts if (part := getattr(one, name)) is not None]
        return _parts[name].merged(there) if there else None

    totals: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _counts}
    ends: dict[str, Any] = {
        name: choose((value for part in parts if (value := getattr(part, name)) is not None), default=None)
        for name, choose in (("least", min), ("greatest", max))
    }
    return FeatureStatistics(
        name=parts[0].name, dtype=parts[0].dtype, **totals, **ends, **{name: together(name) for name in _parts}
    )


# --------------------------------------------------------------- describing


def _described(name: str, column: pa.ChunkedArray | pa.Array) -> FeatureStatistics:
    inside = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(inside) or pa.types.is_large_string(inside):
        return _of_texts(name, column)
    if inside not in _dtype_names:
        raise RefusedTypeError(f"column {name!r} is of type {column.type}", mend=f"give columns of {', '.join(DTYPES)}")
    dtype = _dtype_names[inside]
    return _of_floats(name, dtype, column) if dtype.startswith("float") else _of_wholes(name, dtype, column)


def _of_texts(name: str, column: pa.ChunkedArray | pa.Array) -> FeatureStatistics:
    counted = pc.value_counts(column.cast(pa.string()).drop_null())
    texts, counts = counted.field("values"), counted.field("counts").to_numpy()
    ends = pc.min_max(texts).as_py() if len(texts) else {"min": None, "max": None}
    return FeatureStatistics(
        name=name, dtype="string", rows=len(column), nulls=column.null_count, nans=0, below_all=0, above_all=0,
        distinct=Distinct.of_hashes(hashes_of_texts(texts)),
        least=ends["min"] and ends["min"][:LONGEST_TEXT], greatest=ends["max"] and ends["max"][:LONGEST_TEXT],
        moments=None, quantiles=None, histogram=None, magnitudes=None, top=TopValues.of_texts(texts, counts),
    )  # fmt: skip


def _of_wholes(name: str, dtype: str, column: pa.ChunkedArray | pa.Array) -> FeatureStatistics:
    there = column.drop_null()
    if dtype == "bool":
        ones = pc.sum(there).as_py() or 0
        counted = np.array([len(there) - ones, ones])
        values, counts = np.flatnonzero(counted), counted[counted > 0]
    else:
        if dtype == "timestamp":
            there = there.cast(pa.int64())
        values, counts = _different(np.sort(_plain_array(there).astype(np.int64, copy=False)))
    through = np.cumsum(counts)
    truth = dtype == "bool"
    least, greatest = (values[0].item(), values[-1].item()) if len(values) else (None, None)
    return FeatureStatistics(
        name=name, dtype=dtype, rows=len(column), nulls=column.null_count, nans=0, below_all=0, above_all=0,
        distinct=Distinct.of_hashes(hashes_of_numbers(values)),
        least=bool(least) if truth and least is not None else least,
        greatest=bool(greatest) if truth and greatest is not None else greatest,
        moments=Moments.of_whole(values, counts),
        quantiles=QuantileSummary.of_sorted(values, through) if len(values) else None,
        histogram=Histogram.of_sorted(values, through) if len(values) else None,
        magnitudes=None if dtype in ("bool", "timestamp") else Magnitudes.of_sorted(values, through),
        top=None if dtype == "timestamp" else TopValues.of_wholes(values, counts, truth=truth),
    )  # fmt: skip


def _of_floats(name: str, dtype: str, column: pa.ChunkedArray | pa.Array) -> FeatureStatistics:
    whole = _plain_array(column.drop_null()).astype(np.float64, copy=False)
    finite = np.isfinite(whole)
    rest = whole[~finite]
    ordered = np.sort(whole if not len(rest) else whole[finite])
    ordered += 0.0
    values, counts = _different(ordered)
    through = np.cumsum(counts)
    nans = int(np.count_nonzero(np.isnan(rest)))
    infinite = np.unique(rest[~np.isnan(rest)])
    below_all = int(np.count_nonzero(rest == -np.inf))
    return FeatureStatistics(
        name=name, dtype=dtype, rows=len(column), nulls=column.null_count, nans=nans,
        below_all=below_all, above_all=len(rest) - nans - below_all,
        distinct=Distinct.of_hashes(hashes_of_numbers(np.concatenate([values, infinite]))),
        least=values[0].item() if len(values) else None, greatest=values[-1].item() if len(values) else None,
        moments=Moments.of_numbers(ordered),
        quantiles=QuantileSummary.of_sorted(values, through) if len(values) else None,
        histogram=Histogram.of_sorted(values, through) if len(values) else None,
        magnitudes=Magnitudes.of_sorted(values, through), top=None,
    )  # fmt: skip


def _plain_array(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Values of a column without nulls."""
    return np.asarray(
        column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    )


def _different(ordered: NDArray[Any]) -> tuple[NDArray[Any], Int64Array]:
    """The different values of a sorted array, and how often each is there."""
    if not len(ordered):
        return ordered, np.empty(0, np.int64)
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(begins, len(ordered)))
    return (ordered if len(begins) == len(ordered) else ordered[begins]), counts
