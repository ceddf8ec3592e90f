"""Decimals to whole numbers: the vectorised paths equal the decimal module, number for number."""

from __future__ import annotations

import struct
from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.formats import decimals
from greywater.formats.decimals import MISSING, NOT_A_NUMBER, NOT_FINITE, OK, TOO_LARGE, scale, scale_one
from greywater.vocab import MAX_AMOUNT

SHIFTS = st.integers(0, 8)


def by_decimal(text: str, shift: int) -> tuple[int, bool] | None:
    """The definition: the decimal times 10**shift, rounded half-even; None beyond the limit."""
    number = Decimal(text)
    whole = number.scaleb(shift, Context(prec=800)).quantize(Decimal(1), ROUND_HALF_EVEN, Context(prec=800))
    return None if abs(whole) > MAX_AMOUNT else (int(whole), whole.scaleb(-shift, Context(prec=800)) != number)


def check(column: pa.Array, texts: list[str], shift: int) -> None:
    scaled = scale(column, shift)
    for i, text in enumerate(texts):
        expected = by_decimal(text, shift)
        if expected is None:
            assert scaled.verdict[i] == TOO_LARGE, text
        else:
            assert (scaled.verdict[i], int(scaled.value[i]), bool(scaled.inexact[i])) == (OK, *expected), text
        assert bool(scaled.negative[i]) == (Decimal(text) < 0), text


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), SHIFTS)
def test_any_double_is_its_shortest_decimal(numbers: list[float], shift: int) -> None:
    check(pa.array(numbers, pa.float64()), [repr(x) for x in numbers], shift)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 6)), min_size=1, max_size=20), SHIFTS)
def test_doubles_that_people_write(parts: list[tuple[int, int]], shift: int) -> None:
    numbers = [whole / 10**digits for whole, digits in parts]
    check(pa.array(numbers, pa.float64()), [repr(x) for x in numbers], shift)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-3, 3)), min_size=1, max_size=20), SHIFTS)
def test_doubles_around_halves(parts: list[tuple[int, int]], shift: int) -> None:
    numbers = []
    for whole, steps in parts:
        bits = struct.unpack("<q", struct.pack("<d", (whole + 0.5) / 10**shift))[0] + steps
        numbers.append(struct.unpack("<d", struct.pack("<q", max(bits, 0)))[0])
    check(pa.array(numbers, pa.float64()), [repr(x) for x in numbers], shift)


@given(st.lists(st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True), min_size=1, max_size=20), SHIFTS)
def test_text_is_read_exactly(texts: list[str], shift: int) -> None:
    check(pa.array(texts), texts, shift)


@given(st.lists(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,5})?", fullmatch=True), min_size=1, max_size=20), SHIFTS)
def test_short_text_is_read_exactly(texts: list[str], shift: int) -> None:
    check(pa.array(texts), texts, shift)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20), SHIFTS)
def test_integers(numbers: list[int], shift: int) -> None:
    check(pa.array(numbers, pa.int64()), [str(x) for x in numbers], shift)


@given(st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=10), st.integers(-25, -1))
def test_negative_shifts(numbers: list[int], shift: int) -> None:
    check(pa.array(numbers, pa.int64()), [str(x) for x in numbers], shift)
    check(pa.array([str(x) for x in numbers]), [str(x) for x in numbers], shift)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=20))
def test_any_text_gets_one_verdict(texts: list[str]) -> None:
    scaled = scale(pa.array(texts), 2)
    for i, text in enumerate(texts):
        assert int(scaled.verdict[i]) == scale_one(text, 2)[1], repr(text)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", MISSING),
        ("  ", MISSING),
        ("nan", NOT_FINITE),
        ("-Infinity", NOT_FINITE),
        ("abc", NOT_A_NUMBER),
        ("1_000", NOT_A_NUMBER),
        ("1,5", NOT_A_NUMBER),
        ("0x10", NOT_A_NUMBER),
        ("٣", NOT_A_NUMBER),
        ("1e400", TOO_LARGE),
        ("1e-400", OK),
        ("1e999999999", TOO_LARGE),
        ("1e18", TOO_LARGE),
        (" 12.50 ", OK),
        ("+1", OK),
        ("1.", OK),
        (".5", OK),
        ("-", NOT_A_NUMBER),
        (".", NOT_A_NUMBER),
        ("1.2.3", NOT_A_NUMBER),
    ],
)
def test_verdicts(text: str, verdict: int) -> None:
    assert scale(pa.array([text]), 2).verdict.tolist() == [verdict]
    assert scale(pa.array([text, "1"]), 2).verdict.tolist() == [verdict, OK]
    assert scale_one(text, 2)[1] == verdict


def test_the_limit_is_exact() -> None:
    at, beyond = str(MAX_AMOUNT), str(MAX_AMOUNT + 1)
    for column in (pa.array([at, beyond]), pa.array([MAX_AMOUNT, MAX_AMOUNT + 1])):
        scaled = scale(column, 0)
        assert scaled.verdict.tolist() == [OK, TOO_LARGE]
        assert scaled.value.tolist() == [MAX_AMOUNT, 0]


def test_exponents_differ_by_row() -> None:
    scaled = scale(pa.array([1.5, 1.5, 1.5]), np.array([0, 2, 8]))
    assert scaled.value.tolist() == [2, 150, 150_000_000]
    assert scaled.inexact.tolist() == [True, False, False]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([0.285, None], pa.float64()),
        pa.array([0.285, None], pa.float32()),
        pa.array(["0.285", None], pa.large_string()),
        pa.array(["0.285", None]).dictionary_encode(),
        pa.array([Decimal("0.285"), None], pa.decimal128(10, 3)),
    ],
)
def test_column_types(column: pa.Array) -> None:
    scaled = scale(column, 2)
    assert scaled.value.tolist() == [28, 0]
    assert scaled.verdict.tolist() == [OK, MISSING]
    assert scaled.inexact.tolist() == [True, False]


def test_unsigned_and_small_integers() -> None:
    assert scale(pa.array([2**64 - 1, 7], pa.uint64()), 0).verdict.tolist() == [TOO_LARGE, OK]
    assert scale(pa.array([7, None], pa.int8()), 2).value.tolist() == [700, 0]


def test_the_short_cut_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full doubles do not go through the decimal module, or a million rows would take seconds."""
    rows = np.random.default_rng(1).random(10_000) * 1e5
    slow: list[int] = []
    monkeypatch.setattr(decimals, "_one_by_one", lambda result, which, *rest: slow.extend(which))
    scale(pa.array(rows), 2)
    assert len(slow) < 10
