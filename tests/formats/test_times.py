"""Times: every notation, zones, ranges, and the same answer as datetime gives."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.formats.times import DAY_US, TIME_REASONS, TimeRule, pattern_expression, read_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ISO = TimeRule()


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def at(text: str, rule: TimeRule = ISO) -> int | str:
    times = read_times(pa.array([text]), rule)
    code = int(times.verdict[0])
    return TIME_REASONS[code][0] if code else int(times.value[0])


MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(2262, 12, 30))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.tuples(MOMENTS, st.none() | ZONES, st.sampled_from("T ")), min_size=1, max_size=20))
def test_iso_text_equals_datetime(rows: list[tuple[datetime, timezone | None, str]]) -> None:
    texts = [moment.replace(tzinfo=zone).isoformat(sep) for moment, zone, sep in rows]
    times = read_times(pa.array(texts), ISO)
    assert times.verdict.tolist() == [0] * len(rows)
    assert times.value.tolist() == [microseconds(moment.replace(tzinfo=zone or UTC)) for moment, zone, _ in rows]
    assert times.zoned.tolist() == [zone is not None for _, zone, _ in rows]
    assert times.naive.tolist() == [zone is None for _, zone, _ in rows]


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Tokyo"]))
def test_local_times_equal_zoneinfo(moments: list[datetime], zone: str) -> None:
    times = read_times(pa.array([moment.isoformat() for moment in moments]), TimeRule(zone=zone))
    assert times.value.tolist() == [microseconds(moment.replace(tzinfo=ZoneInfo(zone))) for moment in moments]
    assert not times.naive.any()


@given(st.lists(MOMENTS, min_size=1, max_size=10))
@pytest.mark.parametrize(
    "pattern",
    ["%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f"],
)
def test_patterns_equal_strptime(pattern: str, moments: list[datetime]) -> None:
    texts = [moment.strftime(pattern) for moment in moments]
    expected = [microseconds(datetime.strptime(text, pattern).replace(tzinfo=UTC)) for text in texts]
    times = read_times(pa.array(texts), TimeRule("pattern", pattern=pattern))
    assert times.value.tolist() == expected


@given(st.lists(st.text(alphabet="0123456789-/:. TZ+é", max_size=30), max_size=200))
def test_wild_text_never_raises(texts: list[str]) -> None:
    times = read_times(pa.array(texts, pa.string()), ISO)
    assert len(times.value) == len(texts)
    assert all(code in (0, *TIME_REASONS) for code in times.verdict.tolist())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022/09/01 00:06", "2022-09-01T00:06:00+00:00"),
        ("2022-09-01", "2022-09-01T00:00:00+00:00"),
        ("2022-9-1 7:05", "2022-09-01T07:05:00+00:00"),
        ("2022-09-01T00:00:00Z", "2022-09-01T00:00:00+00:00"),
        ("2022-09-01 00:00:00 UTC", "2022-09-01T00:00:00+00:00"),
        ("2022-09-01T00:00:00+0530", "2022-08-31T18:30:00+00:00"),
        ("2022-09-01T00:00-01", "2022-09-01T01:00:00+00:00"),
        ("2022-09-01T00:00:00.123456789", "2022-09-01T00:00:00.123456+00:00"),
        ("2022-09-01T00:00:00,5", "2022-09-01T00:00:00.5+00:00"),
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
    ],
)
def test_notations(text: str, expected: str) -> None:
    assert at(text) == microseconds(datetime.fromisoformat(expected))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "time_missing"),
        ("  ", "time_missing"),
        ("soon", "time_unreadable"),
        ("2023-02-29", "time_unreadable"),
        ("2022-13-01", "time_unreadable"),
        ("2022-00-01", "time_unreadable"),
        ("2022-01-01 24:00", "time_unreadable"),
        ("2022-01-01 23:60", "time_unreadable"),
        ("2022-01-01 23:59:60", "time_unreadable"),
        ("2022-01-01 23:59+00:99", "time_unreadable"),
        ("2022-01-01x", "time_unreadable"),
        ("1661990400", "time_unreadable"),
        ("1899-12-31 23:59", "time_out_of_range"),
        ("2263-01-01", "time_out_of_range"),
        ("0001-01-01", "time_out_of_range"),
        ("9999-12-31", "time_out_of_range"),
        ("2022-01-01 " + "0" * 60, "time_unreadable"),
    ],
)
def test_bad_texts(text: str, reason: str) -> None:
    assert at(text) == reason


def test_clock_changes() -> None:
    berlin = TimeRule(zone="Europe/Berlin")
    assert at("2022-10-30 02:30", berlin) == microseconds(datetime(2022, 10, 30, 0, 30, tzinfo=UTC))
    assert at("2022-03-27 02:30", berlin) == microseconds(datetime(2022, 3, 27, 1, 30, tzinfo=UTC))
    assert at("2022-07-01 12:00Z", berlin) == microseconds(datetime(2022, 7, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1_500_000_000_123_456_789], pa.timestamp("ns")), 1_500_000_000_123_456),
        (pa.array([-1], pa.timestamp("ns")), -1),
        (pa.array([1_500_000_000], pa.timestamp("s")), 1_500_000_000_000_000),
        (pa.array([1_500_000_000_123], pa.timestamp("ms", tz="Europe/Berlin")), 1_500_000_000_123_000),
        (pa.array([date(2022, 9, 1)]), microseconds(datetime(2022, 9, 1, tzinfo=UTC))),
        (pa.array([date(2022, 9, 1)], pa.date64()), microseconds(datetime(2022, 9, 1, tzinfo=UTC))),
    ],
)
def test_arrow_types(column: pa.Array, expected: int) -> None:
    assert read_times(column, ISO).value.tolist() == [expected]


def test_arrow_extremes_are_out_of_range() -> None:
    times = read_times(pa.array([2**62, -(2**62), None], pa.timestamp("s")), ISO)
    assert [TIME_REASONS[code][0] for code in times.verdict.tolist()] == [
        "time_out_of_range",
        "time_out_of_range",
        "time_missing",
    ]


@pytest.mark.parametrize(
    ("column", "unit", "expected"),
    [
        (pa.array([1_654_041_600]), 1_000_000, 1_654_041_600_000_000),
        (pa.array([1_654_041_600.25]), 1_000_000, 1_654_041_600_250_000),
        (pa.array(["1654041600.123456"]), 1_000_000, 1_654_041_600_123_456),
        (pa.array(["1654041600123"]), 1_000, 1_654_041_600_123_000),
        (pa.array([-1]), 1, -1),
        (pa.array([5], pa.int32()), DAY_US, 5 * DAY_US),
    ],
)
def test_counts(column: pa.Array, unit: int, expected: int) -> None:
    assert read_times(column, TimeRule("count", unit_us=unit)).value.tolist() == [expected]


def test_bad_counts() -> None:
    days = TimeRule("count", unit_us=DAY_US)
    verdicts = read_times(pa.array([0.5, float("nan"), 1e300, None, -1e6]), days).verdict.tolist()
    assert [TIME_REASONS[code][0] for code in verdicts] == [
        "time_unreadable",
        "time_unreadable",
        "time_out_of_range",
        "time_missing",
        "time_out_of_range",
    ]


def test_either_text_or_count() -> None:
    rule = TimeRule("iso_or_count")
    assert at("1661990400", rule) == at("2022-09-01", rule)
    assert at("later", rule) == "time_unreadable"
    assert read_times(pa.array([1_661_990_400]), rule).value.tolist() == [at("2022-09-01", rule)]


def test_a_number_is_no_iso_time() -> None:
    assert read_times(pa.array([20_220_901]), ISO).verdict.tolist() != [0]


def test_unknown_directive() -> None:
    with pytest.raises(ValueError, match="%Q"):
        pattern_expression("%Y-%Q")


def test_thousands_of_shapes_are_still_read() -> None:
    texts = [f"{'x' * (i % 40)}{i}" for i in range(3_000)] + ["2022-09-01 00:00"]
    times = read_times(pa.array(texts), ISO)
    assert int((times.verdict == 0).sum()) == 1
