"""The engine against its slow twin on made-up worst cases, cut into blocks, packed and restarted at any place."""

from __future__ import annotations

import datetime
import math
import zoneinfo
from dataclasses import replace
from typing import Any

import holidays
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import EngineError, UsageError
from greywater.features import engine as engine_module
from greywater.features import sides
from greywater.features.calendar import check_calendar, compute_calendar
from greywater.features.catalog import FeatureSet, payments_v1
from greywater.features.engine import INPUT_COLUMNS, Engine
from tests.features.payments import as_table, random_payments, same_bits
from tests.naive import DAY_US, Paid, naive_features

HOUR_US = DAY_US // 24
LARGEST = 2**53 - 1


def plan(windows: tuple[int, ...], days: tuple[int, ...], lateness: int) -> FeatureSet:
    return payments_v1(Settings(windows=windows, day_windows=days, allowed_lateness=lateness), 1)


MIXED = plan((3_600, 86_400), (2, 5), 86_400)
SETS = (
    MIXED,
    plan((60, 86_400), (), 0),
    plan((), (1, 3), 3_600),
    plan((), (2,), 0),
    plan((3_600,), (1,), 30 * 86_400),
)
STARTS = (0, -1, 1, -DAY_US, -40_000 * DAY_US, 19_000 * DAY_US - 1, 19_000 * DAY_US + HOUR_US)
STEPS = (
    0, 0, 0, 1, 1_000_000, 60_000_000, HOUR_US - 1, HOUR_US, HOUR_US + 1, DAY_US - 1, DAY_US, DAY_US + 1,
    2 * DAY_US, 5 * DAY_US, 7 * DAY_US, 800 * DAY_US,
)  # fmt: skip
BACK = (
    1, 1_000_000, 60_000_000, HOUR_US, DAY_US - 1, DAY_US, 2 * DAY_US, 3 * DAY_US, 6 * DAY_US, 6 * DAY_US + 1,
    7 * DAY_US, 31 * DAY_US, 900 * DAY_US,
)  # fmt: skip
#: "r" only ever receives.
SENDERS = ("a", "b", "c", "external:x", "external:y")
RECEIVERS = (*SENDERS, "r")
AMOUNTS = (0, 0, 1, 2, 100, LARGEST - 1, LARGEST, None, None)
LATENESS = {"never": 0, "sometimes": 4, "mostly": 1}


@st.composite
def histories(draw: st.DrawFn) -> list[Paid]:
    """Up to 60 payments in arrival order."""
    now = draw(st.sampled_from(STARTS))
    late = LATENESS[draw(st.sampled_from(sorted(LATENESS)))]
    snap = draw(st.sampled_from((0, 0, 1)))
    nulls = draw(st.sampled_from((False, False, False, True)))
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(STEPS),
                st.integers(0, late) if late else st.just(1),
                st.sampled_from(BACK),
                st.sampled_from(SENDERS),
                st.sampled_from(RECEIVERS),
                st.sampled_from(AMOUNTS),
            ),
            min_size=1,
            max_size=60,
        )
    )
    payments = []
    for step, lot, back, sender, receiver, amount in rows:
        now += step
        time = now - (back if lot == 0 else 0)
        if snap:
            time -= time % DAY_US + step % 2
        base = None if nulls else amount
        payments.append(Paid(time, sender, receiver, amount or 0, base, received_amount=amount or 0))
    return payments


#: One of "go on", "pack", "restart" before each block, and the block's rows.
CUTS = st.lists(
    st.tuples(st.sampled_from(("go", "pack", "restart")), st.sampled_from((1, 1, 2, 3, 7, 20))), max_size=20
)


def engine_rows(payments: list[Paid], set_: FeatureSet, cuts: list[tuple[str, int]]) -> list[dict[str, Any] | None]:
    """A row a payment, None where it is not scored."""
    table, rows = as_table(payments), []
    engine = Engine(set_, threads=1)
    for what, size in [*cuts, ("go", len(payments))]:
        if what == "pack":
            engine.pack()
        elif what == "restart":
            state = engine.snapshot()
            engine = Engine(set_, threads=1)
            engine.restore(state)
        part = table.slice(engine.next_seq, size)
        block = engine.process(part)
        rows += [row if ok else None for row, ok in zip(block.columns.to_pylist(), block.scored, strict=True)]
    return rows


def differences(payments: list[Paid], set_: FeatureSet, cuts: list[tuple[str, int]]) -> list[str]:
    found = engine_rows(payments, set_, cuts)
    assert len(found) == len(payments)
    wrong = []
    for i, (row, expected) in enumerate(zip(found, naive_features(payments, set_), strict=True)):
        if row is None:
            continue
        assert set(row) == set(expected)
        for name, value in expected.items():
            if row[name] != value and not (math.isnan(row[name]) and math.isnan(value)):
                wrong.append(f"payment {i}: {name} is {row[name]}, the twin says {value}")
    return wrong


@given(histories(), st.sampled_from(SETS), CUTS, st.integers(4, 12))
@settings(max_examples=120)
def test_any_history_cut_anywhere_in_a_tiny_arena_equals_the_twin(
    payments: list[Paid], set_: FeatureSet, cuts: list[tuple[str, int]], spare: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "SPARE_ENTRIES", spare)
        assert differences(payments, set_, cuts) == []


def with_times(*times: int, sender: str = "a", receiver: str = "b") -> list[Paid]:
    return [Paid(time, sender, receiver, 100 + k, 100 + k, received_amount=k) for k, time in enumerate(times)]


CASES = {
    "the first payment of everything is late": [
        Paid(0, "x", "y", 5, 5, received_amount=5),
        *with_times(-90 * DAY_US, -90 * DAY_US, -91 * DAY_US, -89 * DAY_US, 0),
    ],
    "a pair whose payments were freed": [
        *with_times(-5, 0, 1),
        Paid(400 * DAY_US, "x", "y", 5, 5, received_amount=5),
        *with_times(400 * DAY_US, 0, -3, 380 * DAY_US, 400 * DAY_US),
        *with_times(0, -4, 399 * DAY_US, sender="b", receiver="a"),
    ],
    "payments to oneself that come late": [
        Paid(50 * DAY_US, "x", "y", 5, 5, received_amount=5),
        *with_times(0, 49 * DAY_US, -1, 50 * DAY_US, 44 * DAY_US, 50 * DAY_US, sender="a", receiver="a"),
    ],
    "the last and the first moment of days": with_times(
        -1,
        0,
        DAY_US - 1,
        DAY_US,
        2 * DAY_US - 1,
        2 * DAY_US,
        4 * DAY_US - 1,
        4 * DAY_US,
        5 * DAY_US - 1,
        5 * DAY_US,
        -1,
    ),
    "an outsider on either side": [
        *with_times(0, 5, 3, receiver="external:x"),
        *with_times(6, 2, sender="external:x", receiver="a"),
        *with_times(7, 7, 1),
        *with_times(9, sender="external:x", receiver="external:x"),
        *with_times(10, 4),
    ],
    "equal times only": with_times(*[-7] * 12),
    "backwards": with_times(*range(0, -40 * HOUR_US, -HOUR_US)),
    "gaps of years": with_times(0, 3_000 * DAY_US, 3_000 * DAY_US - 1, 9_000 * DAY_US, 1, 9_000 * DAY_US),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_worst_case_equals_the_twin(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "SPARE_ENTRIES", 4)
    for set_ in SETS:
        assert differences(CASES[case], set_, []) == []
    assert differences(CASES[case], MIXED, [("go", 1)] * 40) == []
    assert differences(CASES[case], SETS[2], [("restart", 3)] * 13) == []
    unknown = [replace(payment, base=None) for payment in CASES[case]]
    assert differences(unknown, MIXED, [("pack", 2)] * 20) == []


@pytest.mark.parametrize("shape", ["rising", "falling", "zigzag", "equal"])
def test_thousands_of_ordered_amounts_keep_the_right_extremes(shape: str) -> None:
    """The links from amount to amount are as long as they get; a window slides over them."""
    n, width = 4_000, 500
    rising = np.arange(n, dtype=np.int64) + 1
    zigzag = np.where(rising % 2 == 0, n + rising, n - rising)
    amounts = {"rising": rising, "falling": rising[::-1], "zigzag": zigzag, "equal": np.ones(n, np.int64)}[shape]
    set_ = plan((width,), (), 0)
    payments = [Paid(k * 1_000_000, "a", "b", int(a), int(a), received_amount=0) for k, a in enumerate(amounts)]
    rows = engine_rows(payments, set_, [("go", 1_500), ("restart", 700), ("pack", 9)])
    for k, row in enumerate(rows):
        inside = amounts[max(0, k - width + 1) : k + 1]
        assert row is not None
        assert (row["sender.out.max.500s"], row["receiver.in.min.500s"]) == (inside.max(), inside.min())
        assert row["sender.out.sum.500s"] == inside.sum()


def test_one_state_restores_two_engines() -> None:
    """Going on from a state must not change the state."""
    payments = random_payments(3, 200, accounts=4)
    table = as_table(payments)
    first = Engine(MIXED, threads=1)
    first.process(table.slice(0, 100))
    state = first.snapshot()
    answers = []
    for _ in range(2):
        engine = Engine(MIXED, threads=1)
        engine.restore(state)
        answers.append(pa.table(engine.process(table.slice(100)).columns))
    assert same_bits(*answers) == []


def test_more_pairs_than_the_kernels_can_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_NUMBERS", 10)
    engine = Engine(MIXED, threads=1)
    engine.process(as_table(with_times(*range(9))))
    with pytest.raises(EngineError, match="at most 10 fit"):
        engine.process(as_table(with_times(*range(10)), first_seq=9))


def test_positions_are_rebased_before_they_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    payments = with_times(*range(0, 400 * DAY_US, 2 * DAY_US))
    expected = engine_rows(payments, MIXED, [])
    monkeypatch.setattr(sides, "MAX_POSITION", 30)
    assert repr(engine_rows(payments, MIXED, [("go", 10)] * 20)) == repr(expected)
    with pytest.raises(EngineError, match="at most 30 fit"):
        engine_rows(with_times(*range(40)), MIXED, [("go", 20)])


ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Apia",
)
COUNTRIES = ("US", "DE", "DE-BY", "JP", "IN", "BR", "GB", "ZA")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def changes_of(zone: zoneinfo.ZoneInfo, year: int) -> list[int]:
    """Hours since 1970 at which the zone's offset changes in a year."""
    begin = int((datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) - EPOCH).total_seconds()) // 3600
    offsets = [(EPOCH + datetime.timedelta(hours=begin + h)).astimezone(zone).utcoffset() for h in range(8_785)]
    return [begin + h for h in range(1, 8_785) if offsets[h] != offsets[h - 1]]


def calendar_row(moment: datetime.datetime, days: Any) -> list[int]:
    last = (moment.date() + datetime.timedelta(days=1)).day == 1
    weekday = moment.weekday()
    return [moment.hour, weekday, int(weekday >= 5), moment.day, int(last), int(moment.date() in days)]


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("year", [1931, 1969, 1986, 2011, 2024, 2037, 2041])
def test_clocks_are_right_around_every_change_of_the_offset(name: str, year: int) -> None:
    zone = zoneinfo.ZoneInfo(name)
    near = [h * HOUR_US + away for h in changes_of(zone, year) for away in (-HOUR_US, -1, 0, 1, HOUR_US, -DAY_US // 48)]
    around = [int((datetime.datetime(year + k, 1, 1, tzinfo=datetime.UTC) - EPOCH).total_seconds()) for k in (0, 1)]
    times = near + [s * 1_000_000 + away for s in around for away in (-15 * HOUR_US, -1, 0, 15 * HOUR_US)]
    found = np.array(compute_calendar(np.array(times, np.int64), name, "", 1)).T.tolist()
    for time, row in zip(times, found, strict=True):
        moment = (EPOCH + datetime.timedelta(microseconds=time)).astimezone(zone)
        assert row == calendar_row(moment, ()), moment


def test_clocks_are_right_in_a_block_of_centuries() -> None:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    times = [year * 31_556_952_000_000 for year in range(-120, 130, 7)] + [9_000_000_000_000_000]
    found = np.array(compute_calendar(np.array(times, np.int64), zone.key, "", 1)).T.tolist()
    assert found == [calendar_row((EPOCH + datetime.timedelta(microseconds=t)).astimezone(zone), ()) for t in times]


@pytest.mark.parametrize("country", COUNTRIES)
def test_holidays_are_those_of_the_country_by_the_local_day(country: str) -> None:
    code, _, part = country.partition("-")
    zone = zoneinfo.ZoneInfo("Asia/Tokyo")
    days = holidays.country_holidays(code, subdiv=part or None, years=range(2022, 2027))
    begin = int((datetime.datetime(2022, 12, 28, tzinfo=datetime.UTC) - EPOCH).total_seconds())
    times = [(begin + 7 * 3600 * k) * 1_000_000 for k in range(3_000)]
    found = np.array(compute_calendar(np.array(times, np.int64), zone.key, country, 1)).T.tolist()
    moments = [(EPOCH + datetime.timedelta(microseconds=t)).astimezone(zone) for t in times]
    assert found == [calendar_row(moment, days) for moment in moments]
    assert any(row[-1] for row in found)


@pytest.mark.parametrize("name", ["", "Europe", "No/Where", "../etc/passwd", "Europe/Berlin\0"])
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not known"):
        check_calendar(name, "")


#: docs/formats.md: columns that give the answer away are read as labels and are no part of a payment.
ANSWERS = (
    "is laundering", "is_sar", "alert_id", "alert_type", "prior_sar_count", "issar", "patternid", "modeltype", "label",
    "typology",
)  # fmt: skip
ANSWER_WORDS = {
    "laundering",
    "sar",
    "issar",
    "alert",
    "label",
    "labels",
    "typology",
    "pattern",
    "fraud",
    "known",
    "seq",
    "row",
}


@pytest.mark.parametrize("set_", [*SETS, payments_v1(Settings(), 1), payments_v1(Settings(), DAY_US)])
def test_no_feature_is_named_after_an_answer(set_: FeatureSet) -> None:
    for feature in set_.features:
        words = set(feature.name.lower().replace("_", ".").split("."))
        assert not words & ANSWER_WORDS, feature.name
        assert not any(answer in feature.name.lower() for answer in ANSWERS), feature.name
    assert not {column.lower() for column in INPUT_COLUMNS} & set(ANSWERS)
    assert len(set(set_.names)) == len(set_.names)
