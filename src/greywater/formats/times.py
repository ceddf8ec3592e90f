"""Event times to microseconds since 1970 UTC: ISO 8601 text, patterns, counts of a unit, Arrow types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.formats import decimals
from greywater.formats.text import as_text
from greywater.formats.timetext import (
    ISO,
    MISSING,
    OK,
    OUT_OF_RANGE,
    UNREADABLE,
    Times,
    pattern_expression,
    read_text,
    unread,
)
from greywater.vocab import Int64Array

__all__ = ["DAY_US", "SECOND_US", "TIME_REASONS", "TimeRule", "Times", "pattern_expression", "read_times"]

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US

#: Reason code, finding and mend of each verdict on a time.
TIME_REASONS: Final = {
    MISSING: ("time_missing", "the time is missing", "give the time of every payment"),
    UNREADABLE: (
        "time_unreadable",
        "the time cannot be read",
        "write it like 2024-01-31 23:59:59, with Z or +01:00 where it is not UTC, or name its format in a mapping file",
    ),
    OUT_OF_RANGE: (
        "time_out_of_range",
        "the time is before 1900 or after 2262",
        "check the unit and the origin of the times; a mapping file can name both",
    ),
}

_EARLIEST: Final = int(np.datetime64("1900-01-01", "us").astype(np.int64))
_LATEST: Final = int(np.datetime64("2263-01-01", "us").astype(np.int64)) - 1
_QUARTER_US: Final = 900 * SECOND_US


@dataclass(frozen=True)
class TimeRule:
    """How a source writes times.

    Parameters
    ----------
    kind : {"iso", "pattern", "count", "iso_or_count"}
        ISO 8601 text; text by `pattern`; a number of `unit_us` since `origin_us`; or whichever of ISO text and a
        number the value is. Arrow timestamps and dates are read as such by every kind.
    unit_us, origin_us : int
        Microseconds a unit has, and where counting starts.
    pattern : str
        Directives %Y %y %m %d %H %I %M %S %f %p %b %z %%.
    zone : str
        IANA name of the zone of times that carry none; empty = UTC.
    """

    kind: Literal["iso", "pattern", "count", "iso_or_count"] = "iso"
    unit_us: int = SECOND_US
    origin_us: int = 0
    pattern: str = ""
    zone: str = ""


def read_times(column: pa.Array, rule: TimeRule) -> Times:
    """Read a column of times.

    Naive times are UTC, or local times of `rule.zone` (of an hour that occurs twice the earlier one; a time skipped by
    the clock change counts with the offset before it). Digits beyond microseconds are dropped.

    Parameters
    ----------
    column : pyarrow.Array
        Timestamps, dates, numbers or text; n values.
    rule : TimeRule
        How they are written.

    Examples
    --------
    >>> read_times(pa.array(["1970-01-01 00:01", "1970-01-01T01:00:00+01:00", "soon"]), TimeRule()).value.tolist()
    [60000000, 0, 0]
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = _from_arrow(column)
        local = not (pa.types.is_timestamp(kind) and kind.tz)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = as_text(column)
        if rule.kind == "count":
            return _checked(_from_counts(text, rule))
        expression = ISO if rule.kind != "pattern" else pattern_expression(rule.pattern)
        times = read_text(text, expression)
        if rule.kind == "iso_or_count":
            times = _fill_counts(times, text, rule)
        local = True
    elif rule.kind in ("count", "iso_or_count"):
        return _checked(_from_counts(column, rule))
    else:
        return unread(len(column), np.asarray(column.is_null()))
    if rule.zone and local:
        rows = (times.verdict == OK) & ~times.zoned
        times.value[rows] = _to_utc(times.value[rows], rule.zone)
        times.naive[:] = False
    return _checked(times)


def _from_arrow(column: pa.Array) -> Times:
    times = unread(len(column), np.asarray(column.is_null()))
    if not pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s"))
    # floor, not truncation, and no overflow: seconds can exceed the range of microseconds
    counts = np.asarray(pc.fill_null(column.cast(pa.int64()), 0)).astype(np.int64)
    unit = column.type.unit
    if unit == "ns":
        counts = counts // 1_000
    elif unit != "us":
        factor = SECOND_US if unit == "s" else 1_000
        counts = np.clip(counts, -(2**62) // factor, 2**62 // factor) * factor
    good = times.verdict != MISSING
    times.value[good] = counts[good]
    times.verdict[good] = OK
    return times


def _from_counts(column: pa.Array, rule: TimeRule) -> Times:
    """Numbers of a unit: exact to the microsecond, whole days only for days."""
    digits = {SECOND_US: 6, 1_000: 3}.get(rule.unit_us, 0)
    factor = rule.unit_us // 10**digits
    scaled = decimals.scale(column, digits, limit=2**62 // factor)
    times = unread(len(column), scaled.verdict == decimals.MISSING)
    good = scaled.verdict == decimals.OK
    if rule.unit_us == DAY_US:
        good &= ~scaled.inexact
    times.value[good] = rule.origin_us + np.clip(scaled.value[good] * factor, -(2**61), 2**61)
    times.verdict[good] = OK
    times.verdict[scaled.verdict == decimals.TOO_LARGE] = OUT_OF_RANGE
    return times


def _fill_counts(times: Times, text: pa.Array, rule: TimeRule) -> Times:
    rest = np.flatnonzero(times.verdict == UNREADABLE)
    if len(rest) == 0:
        return times
    counted = _from_counts(text.take(pa.array(rest)), rule)
    times.value[rest] = counted.value
    times.verdict[rest] = counted.verdict
    return times


def _to_utc(local: Int64Array, zone: str) -> Int64Array:
    """Local times of a zone as UTC; offsets change on quarters of an hour at most."""
    clock = ZoneInfo(zone)
    quarters, codes = np.unique(local // _QUARTER_US, return_inverse=True)
    offsets = np.empty(len(quarters), dtype=np.int64)
    for position, quarter in enumerate(quarters.tolist()):
        if not _EARLIEST <= quarter * _QUARTER_US <= _LATEST:
            offsets[position] = 0
            continue
        moment = datetime(1970, 1, 1) + timedelta(microseconds=quarter * _QUARTER_US)
        offset = moment.replace(tzinfo=clock).utcoffset() or timedelta()
        offsets[position] = offset // timedelta(microseconds=1)
    return local - offsets[codes]


def _checked(times: Times) -> Times:
    outside = (times.verdict == OK) & ((times.value < _EARLIEST) | (times.value > _LATEST))
    times.verdict[outside] = OUT_OF_RANGE
    bad = times.verdict != OK
    times.value[bad] = 0
    times.naive[bad] = False
    times.zoned[bad] = False
    return times
