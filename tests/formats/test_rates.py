"""Exchange rates: the latest dated rate, exact half-even integers, and unknown where there is none."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import EmptyInputError, FormatError, InputError, UsageError
from greywater.formats.rates import Rates
from greywater.vocab import MAX_AMOUNT, RATE_SCHEMA, REJECTED_SCHEMA, currency_exponent

FULL = os.environ.get("GREYWATER_FULL") == "1"


def table(*rows: tuple[int, str, str]) -> pa.Table:
    days, codes, rates = zip(*rows, strict=True)
    return pa.table({"date": pa.array(days, pa.int32()).cast(pa.date32()), "currency": codes, "rate": rates})


def convert(rates: Rates, amount: int, currency: str | None, day: int = 0) -> int | None:
    base, known = rates.convert(
        np.array([amount], dtype=np.int64), pa.array([currency], pa.string()), np.array([day], dtype=np.int32)
    )
    assert base.dtype == np.int64
    return int(base[0]) if known[0] else None


def by_hand(amount: int, rate: str, currency: str, base: str) -> int | None:
    exact = amount * Fraction(rate) * Fraction(10) ** (currency_exponent(base) - currency_exponent(currency))
    return round(exact) if abs(round(exact)) <= MAX_AMOUNT else None


@settings(max_examples=5_000 if FULL else 300, deadline=None)
@given(
    amounts=st.lists(st.integers(0, MAX_AMOUNT) | st.integers(0, 10**7), min_size=1, max_size=20),
    whole=st.integers(0, 10**6),
    digits=st.text("0123456789", min_size=1, max_size=16),
    currency=st.sampled_from(["EUR", "JPY", "BTC", "KWD", "USDT"]),
    base=st.sampled_from(["USD", "JPY", "KWD", "ETH"]),
)
def test_conversion_equals_fractions(amounts: list[int], whole: int, digits: str, currency: str, base: str) -> None:
    rate = f"{whole}.{digits}"
    if currency == base or Fraction(rate) == 0:
        rate, currency = "1.5", "GBP"
    rates = Rates(table((0, currency, rate)), base=base, name="t")
    found, known = rates.convert(
        np.array(amounts, dtype=np.int64), pa.array([currency] * len(amounts)), np.zeros(len(amounts), dtype=np.int32)
    )
    expected = [by_hand(amount, rate, currency, base) for amount in amounts]
    assert [value if sure else None for value, sure in zip(found.tolist(), known.tolist(), strict=True)] == expected


@settings(max_examples=1_000 if FULL else 100, deadline=None)
@given(
    steps=st.dictionaries(st.tuples(st.integers(-50, 50), st.sampled_from(["EUR", "JPY"])), st.integers(1, 999)),
    asked=st.lists(st.tuples(st.integers(-60, 60), st.sampled_from(["EUR", "JPY", "USD", "XXX"])), min_size=1),
)
def test_latest_rate_on_or_before_the_day(steps: dict[tuple[int, str], int], asked: list[tuple[int, str]]) -> None:
    rows = [(day, code, f"0.{value:03d}") for (day, code), value in steps.items()]
    rates = Rates(table(*rows) if rows else RATE_SCHEMA.empty_table(), base="USD", name="t")
    for day, code in asked:
        days = [step for step, other in steps if other == code and step <= day]
        if code == "USD":
            expected = 12_345
        elif days:
            expected = by_hand(12_345, f"0.{steps[(max(days), code)]:03d}", code, "USD")
        else:
            expected = None
        assert convert(rates, 12_345, code, day) == expected


def test_halves_go_to_the_even_neighbour() -> None:
    rates = Rates(table((0, "EUR", "0.5")), base="USD", name="t")
    assert [convert(rates, amount, "EUR") for amount in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_rates_with_more_digits_than_a_word_holds_are_exact() -> None:
    text = "1.000000000000000000000000000001"
    rates = Rates(table((0, "EUR", text)), base="USD", name="t")
    assert convert(rates, MAX_AMOUNT, "EUR") == MAX_AMOUNT
    tiny = Rates(table((0, "BTC", "0.500000000000000000000000000001")), base="JPY", name="t")
    assert convert(tiny, 10**8, "BTC") == 1


def test_overflow_null_and_unknown_currencies_are_not_known() -> None:
    rates = Rates(table((0, "BTC", "20000")), base="ETH", name="t")
    assert convert(rates, MAX_AMOUNT, "BTC") is None
    assert convert(rates, 1, None) is None
    assert convert(rates, 1, "EUR") is None
    assert convert(rates, 5, "ETH", -(10**6)) == 5


def test_dictionary_coded_and_chunked_currencies() -> None:
    rates = Rates.constant_amlworld()
    codes = ["EUR", "USD", None, "JPY"]
    amounts, days = np.array([10, 20, 30, 40], dtype=np.int64), np.zeros(4, dtype=np.int32)
    plain = rates.convert(amounts, pa.array(codes), days)
    coded = rates.convert(amounts, pa.array(codes).dictionary_encode(), days)
    chunked = rates.convert(
        amounts, pa.chunked_array([pa.array(codes[:2]), pa.array(codes[2:])]).dictionary_encode(), days
    )
    assert plain[0].tolist() == coded[0].tolist() == chunked[0].tolist() == [10, 20, 0, 28]
    assert plain[1].tolist() == coded[1].tolist() == chunked[1].tolist() == [True, True, False, True]


def test_lengths_must_agree() -> None:
    rates = Rates.constant_amlworld()
    with pytest.raises(UsageError, match="one currency"):
        rates.convert(np.zeros(2, dtype=np.int64), pa.array(["USD"]), np.zeros(1, dtype=np.int32))
    with pytest.raises(UsageError, match="one date"):
        rates.convert(np.zeros(1, dtype=np.int64), pa.array(["USD"]), np.zeros(2, dtype=np.int32))


def test_the_demo_table_covers_the_currencies_of_amlworld_and_says_what_it_is() -> None:
    rates = Rates.constant_amlworld()
    assert len(rates.currencies) == 15
    assert "demo" in rates.name
    assert rates.table.schema == RATE_SCHEMA
    again = Rates(rates.table, base=rates.base, name=rates.name)
    assert convert(again, 100, "GBP") == 120
    assert convert(again, 10**8, "BTC") == 2_000_000


def test_read_sets_bad_rows_aside(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_bytes(
        b"\xef\xbb\xbfDate;Currency;Rate\r\n2024-01-01;EUR;1.10\r\n2024-01-02;EUR;1.20\r\n2024-01-02;EUR;1.200\r\n"
        b"2024-01-02;EUR;1.21\r\nsoon;EUR;1\r\n2024-01-01;Euro!;1\r\n2024-01-01;GBP;-1\r\n2024-01-01;GBP;NaN\r\n"
        b"2024-01-01;GBP;\r\n2024-01-01;USD;2\r\n2024-01-01;GBP\r\n"
    )
    rates = Rates.read(path, "USD")
    assert rates.name == "rates.csv"
    day = 19_723
    assert [convert(rates, 100, "EUR", at) for at in (day - 1, day, day + 1, day + 99)] == [None, 110, 120, 120]
    assert rates.rejected.schema == REJECTED_SCHEMA
    assert rates.rejected["row"].to_pylist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert rates.rejected["reason"].to_pylist() == [
        "conflict", "time_unreadable", "currency_unknown", "rate_unreadable", "rate_unreadable", "rate_unreadable",
        "rate_of_base", "fields",
    ]  # fmt: skip


def test_read_parquet_and_utf16(tmp_path: Path) -> None:
    pq.write_table(table((19_723, "EUR", "1.5")), tmp_path / "rates.parquet")
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-01-01,EUR,1.5\n", encoding="utf-16")
    for name in ("rates.parquet", "rates.csv"):
        assert convert(Rates.read(tmp_path / name), 3, "EUR", 19_723) == 4


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    (tmp_path / "none.csv").write_text("date,currency,rate\n2024-01-01,EUR,0\n")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(EmptyInputError, match="empty"):
        Rates.read(tmp_path / "empty.csv")
    with pytest.raises(FormatError, match="date and currency and rate; found a, b"):
        Rates.read(tmp_path / "columns.csv")
    with pytest.raises(FormatError, match="no usable rate; this is no rate"):
        Rates.read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="damaged"):
        Rates.read(tmp_path / "cut.parquet")
    with pytest.raises(InputError, match="no such file"):
        Rates.read(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="directory"):
        Rates.read(tmp_path)
    with pytest.raises(UsageError, match="currency code"):
        Rates.read(tmp_path / "none.csv", "dollars")


def test_two_rates_of_one_day_do_not_make_a_table() -> None:
    with pytest.raises(FormatError, match="one of two"):
        Rates(table((0, "EUR", "1"), (0, "EUR", "2")), base="USD", name="t")
