"""Whether a feature is still what it was: two windows of a group, or a training set and what is live."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa

from greywater.errors import RefusedTypeError
from greywater.features.expressions.values import kind_of, load
from greywater.featurestore.definitions import FeatureGroup, FeatureView, RequestValue
from greywater.featurestore.distances import (
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    moved,
    pooled_bins,
    population_stability_index,
)
from greywater.featurestore.significance import (
    chi_squared_critical,
    chi_squared_tail,
    kolmogorov_critical,
    kolmogorov_tail,
)
from greywater.featurestore.windows_in_bins import category_counts, number_counts
from greywater.stores.feature_ports import EVENT_TIME, Offline, microseconds
from greywater.vocab import Float64Array, Int64Array

if TYPE_CHECKING:
    from greywater.stores.feature_record_rows import DriftRecord

__all__ = ["MEASURES", "DriftReport", "DriftRow", "Thresholds", "Window", "drift", "group_drift", "view_drift"]

Measure = Literal["psi", "jensen_shannon", "kolmogorov_smirnov", "wasserstein", "chi_square"]
MEASURES: Final[tuple[Measure, ...]] = ("psi", "jensen_shannon", "kolmogorov_smirnov", "wasserstein", "chi_square")
_columns_at_once: Final = 16
#: How many times its average without drift the Wasserstein distance must be.
_wasserstein_factor: Final = 3.0


@dataclass(frozen=True)
class Thresholds:
    """From where on a measure is an alert.

    Each is a line for the size of a change. Small windows differ by chance alone, so the line that counts is the
    greater of this one and the value that chance exceeds with probability `significance`; large windows differ
    significantly in everything, and there these lines decide.

    Parameters
    ----------
    psi : float
        0.2: in credit scoring 0.1 is for watching and 0.25 a new population.
    jensen_shannon : float
        0.2, a distance; for small changes it is sqrt(PSI / (8 ln 2)), so this is nearly the same line as PSI 0.2.
    kolmogorov_smirnov : float
        0.1: a tenth of the rows on the other side of some value.
    wasserstein : float
        0.1 standard deviations of the reference window.
    cramers_v : float
        0.1, what is called a small effect; the threshold of chi-square is this squared times the rows.
    significance : float
        0.001, up to 0.1.
    most_categories : int
        So many categories are bins of their own.

    Examples
    --------
    >>> Thresholds(psi=0.1).psi
    0.1
    """

    psi: float = 0.2
    jensen_shannon: float = 0.2
    kolmogorov_smirnov: float = 0.1
    wasserstein: float = 0.1
    cramers_v: float = 0.1
    significance: float = 0.001
    most_categories: int = 50


@dataclass(frozen=True)
class DriftRow:
    """One measure of one feature; `alert` iff `value` > `threshold`.

    `value` and `threshold` are None where a window has nothing to measure, and `note` says so. `p_value` is the chance
    of so much without drift (of Kolmogorov-Smirnov and chi-square).
    """

    feature: str
    measure: Measure
    value: float | None
    threshold: float | None
    alert: bool
    p_value: float | None = None
    note: str = ""


@dataclass(frozen=True)
class DriftReport:
    """All measures of all features of two windows.

    `left_out` names features that cannot be measured (timestamps without an event time beside them).
    """

    reference: str
    live: str
    reference_rows: int
    live_rows: int
    rows: tuple[DriftRow, ...]
    left_out: tuple[str, ...] = ()

    @property
    def alerts(self) -> tuple[DriftRow, ...]:
        """The rows that are beyond their threshold."""
        return tuple(row for row in self.rows if row.alert)

    def records(self, subject: str) -> list[DriftRecord]:
        """The rows as the records keep them, about `subject` (such as `group:credit@1`)."""
        from greywater.stores.feature_record_rows import DriftRecord

        sizes = {"reference_rows": self.reference_rows, "live_rows": self.live_rows}
        return [
            DriftRecord(
                subject, self.reference, self.live, row.feature, row.measure, row.value, row.threshold, row.alert,
                {"p_value": row.p_value, "note": row.note, **sizes},
            )
            for row in self.rows
        ]  # fmt: skip

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> DriftReport:
        """What `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        rows = tuple(DriftRow(**row) for row in fields.pop("rows"))
        return cls(rows=rows, left_out=tuple(fields.pop("left_out")), **fields)


@dataclass(frozen=True)
class Window:
    """Event times in [start, stop), microseconds since 1970; `as_of_commit` leaves out what was written later."""

    start_us: int
    stop_us: int
    name: str = ""
    as_of_commit: int | None = None

    @property
    def said(self) -> str:
        """Its name, or its bounds."""
        times = np.array([self.start_us, self.stop_us], "datetime64[us]").astype("datetime64[s]")
        return self.name or f"{times[0]}Z to {times[1]}Z"


def drift(
    reference: pa.Table,
    live: pa.Table,
    features: Sequence[str] | None = None,
    *,
    thresholds: Thresholds | None = None,
    names: tuple[str, str] = ("reference", "live"),
) -> DriftReport:
    """Measure how far the features of two tables are apart.

    Numbers: PSI and Jensen-Shannon distance over the tenths of the reference (over single values where there are
    few), missing values (null, NaN) in a bin of their own; Kolmogorov-Smirnov statistic of the values; Wasserstein
    distance of the finite values in standard deviations of the reference. Categories (texts, bools): PSI,
    Jensen-Shannon and chi-square over the most frequent ones, the others together, and missing as a category.
    Timestamps are measured as ages, event_time minus the value in seconds.

    Parameters
    ----------
    reference, live : pa.Table
        A training set and live rows, or any two windows.
    features : sequence of str, optional
        Columns of both; without, all of the reference except event_time.
    thresholds : Thresholds, optional
    names : (str, str)
        What the two are called in the report.

    Raises
    ------
    RefusedTypeError
        Where a feature is absent in one of them, or of a kind that cannot be measured.

    Examples
    --------
    >>> before = pa.table({"channel": ["wire"] * 900 + ["cash"] * 100})
    >>> after = pa.table({"channel": ["wire"] * 600 + ["cash"] * 400})
    >>> [(row.measure, round(row.value, 3), row.alert) for row in drift(before, after).rows]
    [('psi', 0.538, True), ('jensen_shannon', 0.302, True), ('chi_square', 240.0, True)]
    """
    limits = thresholds or Thresholds()
    chosen = [name for name in reference.column_names if name != EVENT_TIME] if features is None else features
    rows: list[DriftRow] = []
    left_out: list[str] = []
    for name in chosen:
        if any(_kind(table, name, where) == "moment" and EVENT_TIME not in table.column_names
               for table, where in zip((reference, live), names, strict=True)):  # fmt: skip
            left_out.append(name)
        else:
            rows += _measured(name, reference, live, names, limits)
    return DriftReport(*names, reference.num_rows, live.num_rows, tuple(rows), tuple(left_out))


def group_drift(
    offline: Offline,
    group: FeatureGroup,
    reference: Window,
    live: Window,
    *,
    features: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
) -> DriftReport:
    """Measure how far two windows of a group are apart; sixteen features are in memory at once.

    Raises
    ------
    RefusedTypeError
        Where the group has no such feature.
    """
    chosen = [feature.name for feature in group.features] if features is None else list(features)
    names = (reference.said, live.said)
    parts = []
    for at in range(0, max(len(chosen), 1), _columns_at_once):
        some = chosen[at : at + _columns_at_once]
        tables = [_read(offline, group, window, some) for window in (reference, live)]
        parts.append(drift(tables[0], tables[1], some, thresholds=thresholds, names=names))
    rows = tuple(row for part in parts for row in part.rows)
    return DriftReport(*names, parts[0].reference_rows, parts[0].live_rows, rows)


def view_drift(
    learned: pa.Table,
    view: FeatureView,
    groups: Mapping[tuple[str, int], FeatureGroup],
    offline: Offline,
    live: Window,
    *,
    name: str = "training set",
    thresholds: Thresholds | None = None,
) -> DriftReport:
    """Measure how far the rows that came into the groups of a view are from what a model learned from.

    Of a training set a feature has one value a label row, of a group one a row that was written: for groups with a row
    a payment these are the same population.

    Parameters
    ----------
    learned : pa.Table
        Rows of a training set of the view, with its columns.
    view : FeatureView
    groups : mapping of (name, version) to FeatureGroup
    offline : Offline
    live : Window
    name : str
        What the training set is called in the report.
    thresholds : Thresholds, optional

    Returns
    -------
    DriftReport
        By the names of the view. Timestamps and values of the request are left out. `live_rows` are those of the group
        that has most.

    Raises
    ------
    RefusedTypeError
        The training set does not have a column of the view.
    """
    rows: list[DriftRow] = []
    left_out = [one.name for one in view.columns if isinstance(one, RequestValue)]
    most = 0
    for key in view.groups:
        columns = [one for one in view.features if (one.group, one.version) == key]
        moments = [one.name for one in columns if groups[key].by_name[one.feature].dtype == "timestamp"]
        left_out += moments
        asked = [one for one in columns if one.name not in moments]
        found = _read(offline, groups[key], live, list(dict.fromkeys(one.feature for one in asked)))
        table = pa.table({one.name: found[one.feature] for one in asked})
        most = max(most, found.num_rows)
        rows += drift(learned, table, table.column_names, thresholds=thresholds, names=(name, live.said)).rows
    return DriftReport(name, live.said, learned.num_rows, most, tuple(rows), tuple(left_out))


def _read(offline: Offline, group: FeatureGroup, window: Window, features: Sequence[str]) -> pa.Table:
    layout = group.layout.features
    if strange := [name for name in features if layout.get_field_index(name) < 0]:
        raise RefusedTypeError(f"group {group.name} has no feature {strange[0]!r}", mend=f"name one of {layout.names}")
    times = pa.field(EVENT_TIME, pa.timestamp("us", tz="UTC"))
    schema = pa.schema([times, *(layout.field(name) for name in features)])
    batches = offline.scan(
        group.name, group.version, schema.names, start_us=window.start_us, stop_us=window.stop_us,
        as_of_commit=window.as_of_commit,
    )  # fmt: skip
    return pa.Table.from_batches([batch.select(schema.names).cast(schema) for batch in batches], schema)


# ---------------------------------------------------------------- measuring


def _kind(table: pa.Table, name: str, where: str) -> str:
    place = table.schema.get_field_index(name)
    if place < 0:
        raise RefusedTypeError(f"no single column {name!r}", where=where, mend="name features that both have")
    kind = kind_of(table.schema.field(place).type)
    if kind is None:
        raise RefusedTypeError(
            f"{name!r} is of type {table.schema.field(place).type}", where=where, mend="leave it out"
        )
    return "number" if kind == "whole" else "category" if kind in ("text", "truth") else kind


def _measured(
    name: str, reference: pa.Table, live: pa.Table, names: tuple[str, str], limits: Thresholds
) -> Iterator[DriftRow]:
    kinds = [_kind(table, name, where) for table, where in zip((reference, live), names, strict=True)]
    if kinds[0] != kinds[1]:
        raise RefusedTypeError(f"{name!r} is a {kinds[0]} in {names[0]} and a {kinds[1]} in {names[1]}")
    if kinds[0] == "category":
        counts = category_counts(reference.column(name), live.column(name), limits.most_categories)
        yield from _of_counts(name, *counts, limits)
        yield _of_chi_square(name, *pooled_bins(*counts), limits)
        return
    first, second = (_numbers(table, name, kinds[0]) for table in (reference, live))
    missing = (reference.num_rows - len(first), live.num_rows - len(second))
    yield from _of_counts(name, *number_counts(first, second, missing), limits)
    yield _of_smirnov(name, first, second, limits)
    yield _of_wasserstein(name, first[np.isfinite(first)], second[np.isfinite(second)], limits)


def _numbers(table: pa.Table, name: str, kind: str) -> Float64Array:
    """The values of a column that there are, sorted; of timestamps their ages in seconds."""
    if kind == "moment":
        values = load(table.column(name), "moment")
        ages = (microseconds(table.column(EVENT_TIME)) - values.data) / 1e6
        return np.sort(ages[np.broadcast_to(values.known, ages.shape)])
    column = table.column(name)
    values = load(column, "number" if pa.types.is_floating(column.type) else "whole")
    numbers = values.numbers
    return np.sort(numbers[~np.isnan(numbers)])


def _nothing(name: str, measure: Measure, note: str) -> DriftRow:
    return DriftRow(name, measure, None, None, False, None, note)


def _of_counts(name: str, reference: Int64Array, live: Int64Array, limits: Thresholds) -> Iterator[DriftRow]:
    if not reference.sum() or not live.sum():
        note = "the live window has no rows" if reference.sum() else "the reference window has no rows"
        yield _nothing(name, "psi", note)
        yield _nothing(name, "jensen_shannon", note)
        return
    freedom = max(int(np.count_nonzero(reference + live)) - 1, 1)
    by_chance = chi_squared_critical(limits.significance, freedom) * (1 / reference.sum() + 1 / live.sum())
    value, threshold = population_stability_index(reference, live), max(limits.psi, float(by_chance))
    yield DriftRow(name, "psi", value, threshold, value > threshold)
    value = jensen_shannon(reference, live)
    threshold = max(limits.jensen_shannon, math.sqrt(by_chance / (8 * math.log(2))))
    yield DriftRow(name, "jensen_shannon", value, threshold, value > threshold)


def _of_chi_square(name: str, reference: Int64Array, live: Int64Array, limits: Thresholds) -> DriftRow:
    if not reference.sum() or not live.sum():
        return _nothing(name, "chi_square", "a window has no rows")
    value, freedom = chi_square(reference, live)
    if not freedom:
        return _nothing(name, "chi_square", "there is one category only")
    effect = limits.cramers_v**2 * float(reference.sum() + live.sum())
    threshold = max(effect, chi_squared_critical(limits.significance, freedom))
    return DriftRow(name, "chi_square", value, threshold, value > threshold, chi_squared_tail(value, freedom))


def _of_smirnov(name: str, reference: Float64Array, live: Float64Array, limits: Thresholds) -> DriftRow:
    if not len(reference) or not len(live):
        return _nothing(name, "kolmogorov_smirnov", "a window has no values")
    value = kolmogorov_smirnov(reference, live)
    root = math.sqrt(1 / len(reference) + 1 / len(live))
    threshold = max(limits.kolmogorov_smirnov, kolmogorov_critical(limits.significance) * root)
    return DriftRow(name, "kolmogorov_smirnov", value, threshold, value > threshold, kolmogorov_tail(value / root))


def _of_wasserstein(name: str, reference: Float64Array, live: Float64Array, limits: Thresholds) -> DriftRow:
    if not len(reference) or not len(live):
        return _nothing(name, "wasserstein", "a window has no finite values")
    largest = max(abs(reference[0]), abs(reference[-1]), abs(live[0]), abs(live[-1])) or 1.0
    first, second = reference / largest, live / largest
    unit, note = _spread(first), ""
    if not unit:
        unit, note = _spread(np.sort(np.concatenate([first, second]))) or 1.0, "in deviations of both windows together"
    distance, by_chance = moved(first, second)
    value = min(distance / unit, sys.float_info.max)
    by_chance = min(_wasserstein_factor * by_chance / unit, sys.float_info.max)
    threshold = max(limits.wasserstein, by_chance)
    return DriftRow(name, "wasserstein", value, threshold, value > threshold, None, note)


def _spread(ordered: Float64Array) -> float:
    """The standard deviation, exactly 0 of one value repeated."""
    return float(np.std(ordered)) if ordered[0] != ordered[-1] else 0.0
