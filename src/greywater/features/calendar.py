"""Calendar features: is the moment special (night, weekend, month end, public holiday)."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from functools import cache

import numpy as np

from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.vocab import Int64Array

__all__ = ["calendar_features", "check_calendar", "compute_calendar"]

DAY_US = 86_400_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
ZERO, MICROSECOND = datetime.timedelta(0), datetime.timedelta(microseconds=1)
#: Seconds between two looks at a zone: no zone changes twice within them.
STEP = 6 * 3_600
#: Seconds that every zone can show as a date.
EARLIEST, LATEST = -62_100_000_000, 253_300_000_000
#: A block that spans more years than this asks only for those it holds.
MANY_YEARS = 64


def _calendar(name: str, unit: str, description: str) -> Feature:
    return Feature(
        name=f"calendar.{name}",
        entity="payment",
        dtype="int64",
        unit=unit,
        description=description,
        family="calendar",
        kind="mergeable",
        parameters={"statistic": name},
    )


HOUR = _calendar("hour", "hour", "hour of the day, 0 to 23, in the set time zone")
DAYS = (
    _calendar("weekday", "day", "day of the week, 0 = Monday"),
    _calendar("weekend", "flag", "1 on Saturday and Sunday"),
    _calendar("month_day", "day", "day of the month, 1 to 31"),
    _calendar("month_end", "flag", "1 on the last day of a month"),
    _calendar("holiday", "flag", "1 on a public holiday of the set country"),
)


def calendar_features(resolution_us: int) -> tuple[Feature, ...]:
    """The calendar features data of this time resolution can carry: day-stamped data has no hours."""
    return DAYS if resolution_us >= DAY_US else (HOUR, *DAYS)


def check_calendar(timezone: str, country: str) -> None:
    """Raise UsageError where the time zone or the country is not known."""
    _local(np.zeros(1, np.int64), timezone)
    _holidays_of(country, 2024)


def compute_calendar(time_us: Int64Array, timezone: str, country: str, resolution_us: int) -> list[Int64Array]:
    """Columns int64[n] in the order of `calendar_features`.

    Day-stamped data carries dates, not moments: its days are read as they are, whatever the time zone.
    """
    day_stamped = resolution_us >= DAY_US
    local = time_us if day_stamped else _local(time_us, timezone)
    day = np.floor_divide(local, DAY_US)
    dates = day.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month_day = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
    next_month = (months + 1).astype("datetime64[D]")
    weekday = (day + 3) % 7
    columns = [
        weekday,
        (weekday >= 5).astype(np.int64),
        month_day,
        (dates + 1 == next_month).astype(np.int64),
        _on_holiday(dates, country),
    ]
    return columns if day_stamped else [(local - day * DAY_US) // 3_600_000_000, *columns]


def _local(time_us: Int64Array, timezone: str) -> Int64Array:
    """Microseconds since 1970 as a clock in `timezone` shows them."""
    if timezone == "UTC" or not len(time_us):
        return time_us
    first, last = (_year_of(int(time_us.min())), _year_of(int(time_us.max())))
    years: Sequence[int] = range(first, last + 1)
    if len(years) > MANY_YEARS:
        years = np.unique(time_us.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970).tolist()
    parts = [_offsets_of(timezone, year) for year in years]
    begins = np.concatenate([part[0] for part in parts])
    offsets = np.concatenate([part[1] for part in parts])
    local: Int64Array = time_us + offsets[np.searchsorted(begins, time_us, "right") - 1]
    return local


def _year_of(time_us: int) -> int:
    return int(np.datetime64(time_us, "us").astype("datetime64[Y]").astype(np.int64)) + 1970


@cache
def _offsets_of(timezone: str, year: int) -> tuple[Int64Array, Int64Array]:
    """When, in a UTC year, which offset to UTC begins: microseconds, rising, the first the begin of the year.

    Arrow reads only the listed changes of a zone, which end in 2037 or earlier, and not the rule that goes on.
    """
    zone = _zone(timezone)
    begin, end = (int(np.datetime64(f"{y:04d}-01-01", "s").astype(np.int64)) for y in (year, year + 1))

    def offset_at(second: int) -> int:
        moment = EPOCH + datetime.timedelta(seconds=min(max(second, EARLIEST), LATEST))
        return (moment.astimezone(zone).utcoffset() or ZERO) // MICROSECOND

    begins, offsets = [begin], [offset_at(begin)]
    for low in range(begin, end, STEP):
        high = min(low + STEP, end - 1)
        if offset_at(high) != offsets[-1]:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_at(middle) == offsets[-1] else (low, middle)
            begins.append(high)
            offsets.append(offset_at(high))
    return np.array(begins, np.int64) * 1_000_000, np.array(offsets, np.int64)


def _zone(timezone: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"the time zone {timezone!r} is not known",
            where="timezone",
            mend='give an IANA name such as "Europe/Berlin"',
        ) from None


def _on_holiday(dates: np.ndarray, country: str) -> Int64Array:
    flags = np.zeros(len(dates), np.int64)
    if country and len(dates):
        years = np.unique(dates.astype("datetime64[Y]").astype(np.int64)) + 1970
        off = np.concatenate([_holidays_of(country, int(year)) for year in years])
        flags[np.isin(dates, off)] = 1
    return flags


@cache
def _holidays_of(country: str, year: int) -> np.ndarray:
    """Public holidays of a country in a year, datetime64[D]."""
    import holidays

    if not country:
        return np.zeros(0, "datetime64[D]")
    code, _, subdivision = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=subdivision or None, years=year)
    except NotImplementedError:
        raise UsageError(
            f"no public holidays are known for {country!r}",
            where="country",
            mend='give an ISO 3166 code such as "DE" or "US-NY", or leave it empty for none',
        ) from None
    days: list[datetime.date] = sorted(found)
    return np.array(days, "datetime64[D]")
