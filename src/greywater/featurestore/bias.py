"""Bias at the source: how a training set's labels are spread over slices of declared attributes."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedTypeError, UsageError
from greywater.features.expressions.values import kind_of, load
from greywater.vocab import Int64Array

__all__ = ["BiasReport", "LabelWarning", "SliceRate", "bias", "wilson_interval"]

Slice = tuple[tuple[str, str | None], ...]
#: Numbers with up to so many different values are sliced by value, others by quarters or by given edges.
_few_values: Final = 10
_most_slices: Final = 100_000
_positive, _negative, _without = 0, 1, 2


@dataclass(frozen=True)
class SliceRate:
    """How often the label is positive in a slice.

    Parameters
    ----------
    attributes : tuple of (attribute, value)
        Empty for all rows; a value None is "missing".
    rows : int
    positives, negatives : int
        The remaining rows have no label.
    rate, low, high : float or None
        Share of positives among the labelled and its Wilson interval; None without a label.
    """

    attributes: Slice
    rows: int
    positives: int
    negatives: int
    rate: float | None
    low: float | None
    high: float | None

    @property
    def said(self) -> str:
        """The slice in words."""
        return _said(self.attributes)


@dataclass(frozen=True)
class LabelWarning:
    """A slice without rows, or with no or few rows of one label.

    `label` is empty where the slice has no rows at all.
    """

    attributes: Slice
    label: Literal["positive", "negative", ""]
    kind: Literal["absent", "thin"]
    rows: int

    @property
    def sentence(self) -> str:
        """In words."""
        of = f"{self.label} rows" if self.label else "rows"
        return f"{'no' if not self.rows else f'only {self.rows:,}'} {of} where {_said(self.attributes)}"


@dataclass(frozen=True)
class BiasReport:
    """Label rates of all rows, of each slice and of crossed slices, and what is absent or thin.

    Examples
    --------
    >>> rows = pa.table({"label": [1, 0, 0, 0], "region": ["north", "north", "north", "south"]})
    >>> report = bias(rows, "label", ["region"], thin=1)
    >>> [(one.said, one.rate) for one in report.slices]
    [('all rows', 0.25), ('region is north', 0.3333333333333333), ('region is south', 0.0)]
    >>> [one.sentence for one in report.warnings]
    ['no positive rows where region is south']
    """

    label: str
    positive: bool | int | float | str
    thin: int
    confidence: float
    slices: tuple[SliceRate, ...]
    warnings: tuple[LabelWarning, ...]

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> BiasReport:
        """What `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        slices = tuple(SliceRate(**_with_slice(one)) for one in fields.pop("slices"))
        warnings = tuple(LabelWarning(**_with_slice(one)) for one in fields.pop("warnings"))
        return cls(slices=slices, warnings=warnings, **fields)


def _with_slice(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**found, "attributes": tuple((name, value) for name, value in found["attributes"])}


def _said(attributes: Slice) -> str:
    parts = [f"{name} is {'missing' if value is None else value}" for name, value in attributes]
    return " and ".join(parts) or "all rows"


def wilson_interval(positives: int, labelled: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson, Journal of the American Statistical Association 22, 1927).

    Examples
    --------
    >>> [round(end, 4) for end in wilson_interval(1, 10)]
    [0.0179, 0.4042]
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = positives / labelled, z * z / labelled
    centre = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = ((centre - half) / (1 + spread), (centre + half) / (1 + spread))
    return (0.0 if positives == 0 else max(low, 0.0)), (1.0 if positives == labelled else min(high, 1.0))


def bias(
    rows: pa.Table,
    label: str,
    attributes: Sequence[str],
    *,
    positive: bool | int | float | str = 1,
    cross: int = 2,
    thin: int = 30,
    confidence: float = 0.95,
    edges: Mapping[str, Sequence[float]] | None = None,
    most_values: int = 50,
) -> BiasReport:
    """Count rows and label rates of a training set by slices of declared attributes.

    Parameters
    ----------
    rows : pa.Table
        The training set with its label and the attributes (protected ones too: this is what they are for).
    label : str
        Its column; null and NaN are "no label".
    attributes : sequence of str
        Texts and bools are sliced by value, numbers by value where there are up to ten, else by `edges`, else by
        quarters. Missing values are a slice.
    positive : bool, int, float or str
        The label that is counted; all others are negative. True and 1 are the same.
    cross : int
        Slices are crossed up to so many attributes.
    thin : int
        Fewer rows of a label in a slice are a warning.
    confidence : float
        Of the Wilson intervals.
    edges : mapping of str to sequence of float, optional
        Ascending; slices are below the first edge, from it to below the next, and so on.
    most_values : int
        Of a text the most frequent so many values are slices, the others together one, called "(others)".

    Raises
    ------
    RefusedTypeError
        Where a column is absent or of a kind that cannot be sliced.
    UsageError
        Where the slices would be more than 100,000.
    """
    if strange := sorted(set(edges or {}) - set(attributes)):
        raise UsageError(
            f"edges of {strange[0]!r}, which is no declared attribute", mend="name it among the attributes"
        )
    labels = _label_codes(rows, label, positive)
    coded = {name: _attribute(rows, name, (edges or {}).get(name), most_values) for name in dict.fromkeys(attributes)}
    slices = [_rate((), np.bincount(labels, minlength=3), confidence)]
    warnings: list[LabelWarning] = []
    for size in range(1, min(cross, len(coded)) + 1):
        for names in combinations(coded, size):
            levels = [coded[name][1] for name in names]
            if math.prod(map(len, levels)) + len(slices) > _most_slices:
                raise UsageError(
                    f"crossing {', '.join(names)} makes more than {_most_slices:,} slices",
                    mend="cross fewer attributes, or give edges or a smaller most_values",
                )
            for attributes_of, counts in _sliced(names, levels, [coded[name][0] for name in names], labels):
                warnings += _warned(attributes_of, counts, thin)
                if counts.sum():
                    slices.append(_rate(attributes_of, counts, confidence))
    return BiasReport(label, positive, thin, confidence, tuple(slices), tuple(warnings))


def _sliced(
    names: Sequence[str], levels: Sequence[Sequence[str | None]], codes: Sequence[Int64Array], labels: Int64Array
) -> Iterator[tuple[Slice, Int64Array]]:
    """Each combination of values with how many rows have a positive, a negative and no label."""
    place = np.zeros(len(labels), np.int64)
    for code, values in zip(codes, levels, strict=True):
        place = place * len(values) + code
    shape = [len(values) for values in levels]
    counts = np.bincount(place * 3 + labels, minlength=math.prod(shape) * 3).reshape(-1, 3)
    for at, found in enumerate(counts):
        chosen = np.unravel_index(at, shape)
        yield tuple((name, levels[k][int(chosen[k])]) for k, name in enumerate(names)), found


def _rate(attributes: Slice, counts: Int64Array, confidence: float) -> SliceRate:
    positives, negatives = int(counts[_positive]), int(counts[_negative])
    labelled = positives + negatives
    low, high = wilson_interval(positives, labelled, confidence) if labelled else (None, None)
    return SliceRate(
        attributes, int(counts.sum()), positives, negatives, positives / labelled if labelled else None, low, high
    )


def _warned(attributes: Slice, counts: Int64Array, thin: int) -> Iterator[LabelWarning]:
    if not counts.sum():
        yield LabelWarning(attributes, "", "absent", 0)
        return
    if counts[_positive] < max(thin, 1):
        yield LabelWarning(attributes, "positive", "thin" if counts[_positive] else "absent", int(counts[_positive]))
    if counts[_negative] < max(thin, 1):
        yield LabelWarning(attributes, "negative", "thin" if counts[_negative] else "absent", int(counts[_negative]))


# ------------------------------------------------------------------- columns


def _column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    place = rows.schema.get_field_index(name)
    if place < 0:
        raise RefusedTypeError(f"the training set has no single column {name!r}", mend="name columns it has")
    return rows.column(place)


def _label_codes(rows: pa.Table, name: str, positive: bool | int | float | str) -> Int64Array:
    """0 positive, 1 negative, 2 without a label."""
    column = _column(rows, name)
    kind = kind_of(column.type)
    if kind is None or kind == "moment" or (kind == "text") != isinstance(positive, str):
        raise RefusedTypeError(f"labels of type {column.type} are never {positive!r}", where=name, mend="give positive")
    values = load(column, kind)
    if kind == "text":
        hits = pc.equal(values.data, positive).fill_null(False).to_numpy(zero_copy_only=False)
    else:
        hits = np.asarray(values.data == positive)
    return np.where(values.there, np.where(hits, _positive, _negative), _without).astype(np.int64)


def _attribute(
    rows: pa.Table, name: str, edges: Sequence[float] | None, most_values: int
) -> tuple[Int64Array, list[str | None]]:
    """The slice of each row, and what the slices are called (None = missing)."""
    column = _column(rows, name)
    kind = kind_of(column.type)
    if kind is None or kind == "moment":
        raise RefusedTypeError(f"attributes of type {column.type} cannot be sliced", where=name, mend="leave it out")
    if edges is not None and (kind not in ("whole", "number") or list(edges) != sorted(set(edges)) or not edges):
        raise UsageError("edges are ascending numbers, for a number", where=name, mend="give such edges, or none")
    if kind in ("text", "truth"):
        return _of_texts(column.cast(pa.string()), most_values)
    numbers = load(column, kind).numbers
    there = ~np.isnan(numbers)
    known = numbers[there]
    values = np.unique(known)
    if edges is None and len(values) <= _few_values:
        codes, names = np.searchsorted(values, known), [f"{value:.15g}" for value in values.tolist()]
    else:
        cuts = np.unique(known if edges is None else np.array(edges, np.float64))
        if edges is None:
            cuts = np.unique(np.sort(known)[(len(known) * np.arange(1, 4)) // 4])
        codes = np.searchsorted(cuts, known, side="right")
        names = _between(cuts.tolist())
    found = np.full(len(numbers), len(names), np.int64)
    found[there] = codes
    return found, [*names, None] if not there.all() else list(names)


def _between(cuts: Sequence[float]) -> list[str]:
    inner = [f"{low:.15g} to below {high:.15g}" for low, high in pairwise(cuts)]
    return [f"below {cuts[0]:.15g}", *inner, f"{cuts[-1]:.15g} or more"]


def _of_texts(column: pa.ChunkedArray, most_values: int) -> tuple[Int64Array, list[str | None]]:
    counted = pc.value_counts(column.drop_null())
    table = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
    kept = table.sort_by([("count", "descending"), ("value", "ascending")]).column("value").slice(0, most_values)
    names: list[str | None] = sorted(kept.to_pylist())
    others = len(names)
    if len(table) > len(names):
        names.append("(others)")
    place = pc.index_in(column, value_set=pa.array(names[:others], pa.string())).fill_null(others)
    codes = place.to_numpy().astype(np.int64)
    if column.null_count:
        codes[pc.is_null(column).to_numpy()] = len(names)
        names.append(None)
    return codes, names
