"""Arrays and frames of every kind give the same payments; what cannot be a payment is refused with its place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import GreywaterError, RefusedTypeError, RefusedValueError
from greywater.features.payment_input import Column, as_column, column_of_objects, read_input
from greywater.features.payment_reader import PaymentReader
from greywater.features.payment_stream import Payments
from greywater.features.payment_values import LARGEST_AMOUNT, LATEST, amounts, names_or_numbers, times

BASE: dict[str, list[Any]] = {
    "event_time": [0, 60, -120, 180],
    "sender": [1, 2, 1, 3],
    "receiver": [2, 3, 2, 1],
    "amount": [10.5, 20.0, 0.0, 40.25],
}
FRAME = pd.DataFrame(BASE)
TABLE = pa.table(BASE)
POLARS = pl.DataFrame(BASE)
ROWS = list(zip(*BASE.values(), strict=True))
MOMENTS = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second) for second in BASE["event_time"]]


def swapped(column: str, values: Any) -> pa.Table:
    return TABLE.set_column(TABLE.column_names.index(column), column, values)


def objects(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype=object)


INPUTS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.array(ROWS),
    "array by columns": lambda: np.asfortranarray(np.array(ROWS)),
    "array of objects": lambda: np.array(ROWS, object),
    "matrix": lambda: np.array(ROWS).view(np.matrix),
    "array with nothing masked": lambda: np.ma.masked_array(np.array(ROWS)),
    "list": lambda: [list(row) for row in ROWS],
    "pandas": lambda: FRAME,
    "pandas, other order, more columns": lambda: FRAME.assign(label="x")[["label", *list(BASE)[::-1]]],
    "pandas, nullable": FRAME.convert_dtypes,
    "pandas, arrow": lambda: FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas, small numbers": lambda: FRAME.astype({"sender": "uint8", "receiver": "float32", "amount": "float32"}),
    "pandas, categories": lambda: FRAME.astype({"sender": "category", "receiver": "category"}),
    "pandas, sparse": lambda: FRAME.astype({"sender": pd.SparseDtype("int64", 0)}),
    "pandas, times": lambda: FRAME.assign(event_time=pd.to_datetime(FRAME.event_time, unit="s")),
    "pandas, times of New York": lambda: FRAME.assign(event_time=pd.Series(MOMENTS).dt.tz_convert("America/New_York")),
    "pandas, datetime objects": lambda: FRAME.assign(event_time=objects(MOMENTS)),
    "pandas, naive objects": lambda: FRAME.assign(event_time=objects([each.replace(tzinfo=None) for each in MOMENTS])),
    "pandas, Timestamp objects": lambda: FRAME.assign(event_time=objects([pd.Timestamp(each) for each in MOMENTS])),
    "pandas, datetime64 objects": lambda: FRAME.assign(
        event_time=objects([np.datetime64(second * 10**9, "ns") for second in BASE["event_time"]])
    ),
    "pandas, decimals": lambda: FRAME.assign(amount=objects([Decimal(str(each)) for each in BASE["amount"]])),
    "pandas, numbered columns": lambda: pd.DataFrame(FRAME.to_numpy()),
    "arrow": lambda: TABLE,
    "arrow batch": lambda: TABLE.to_batches()[0],
    "arrow chunks": lambda: pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 0), TABLE.slice(1)]),
    "arrow ns": lambda: swapped("event_time", pa.array([s * 10**9 for s in BASE["event_time"]], pa.timestamp("ns"))),
    "arrow decimals": lambda: swapped("amount", TABLE["amount"].cast(pa.decimal128(10, 3))),
    "arrow wide decimals": lambda: swapped("amount", TABLE["amount"].cast(pa.decimal256(50, 3))),
    "arrow half floats": lambda: swapped("amount", TABLE["amount"].cast(pa.float16())),
    "arrow dictionary": lambda: swapped("sender", TABLE["sender"].dictionary_encode()),
    "polars": lambda: POLARS,
    "polars, ms": lambda: POLARS.with_columns((pl.col("event_time") * 1_000).cast(pl.Datetime("ms"))),
    "polars, decimals": lambda: POLARS.with_columns(pl.col("amount").cast(pl.Decimal(20, 2))),
}
TEXT_INPUTS: dict[str, Callable[[], Any]] = {
    "array of objects": lambda: np.array([(t, str(s), str(r), a) for t, s, r, a in ROWS], object),
    "list": lambda: [(t, str(s), str(r), a) for t, s, r, a in ROWS],
    "pandas": lambda: FRAME.astype({"sender": str, "receiver": str}),
    "pandas, objects": lambda: FRAME.astype({"sender": str, "receiver": str}).astype(
        {"sender": object, "receiver": object}
    ),
    "pandas, categories": lambda: FRAME.astype({"sender": str, "receiver": str}).astype(
        {"sender": "category", "receiver": "category"}
    ),
    "arrow": lambda: swapped("sender", TABLE["sender"].cast(pa.string())).set_column(
        2, "receiver", TABLE["receiver"].cast(pa.string_view())
    ),
    "polars": lambda: POLARS.with_columns(
        pl.col("sender").cast(pl.String).cast(pl.Categorical),
        pl.col("receiver").cast(pl.String).cast(pl.Enum(["1", "2", "3"])),
    ),
}


def read(given: Any, **parameters: Any) -> Payments:
    return PaymentReader(**parameters).read(read_input(given))


@pytest.mark.parametrize("name", INPUTS)
def test_every_kind_of_input_gives_the_same_payments(name: str) -> None:
    payments = read(INPUTS[name]())
    assert payments.time.tolist() == [0, 60_000_000, -120_000_000, 180_000_000]
    assert payments.sender.tolist() == BASE["sender"]
    assert payments.receiver.tolist() == BASE["receiver"]
    assert payments.amount.tolist() == [1_050, 2_000, 0, 4_025]
    for column in (payments.time, payments.sender, payments.receiver, payments.amount):
        assert isinstance(column, np.ndarray)
        assert column.dtype == np.int64
        # The kernels are compiled for arrays like these, and once more for any other.
        assert column.flags.c_contiguous
        assert column.flags.writeable


@pytest.mark.parametrize("name", TEXT_INPUTS)
def test_accounts_may_be_text(name: str) -> None:
    payments = read(TEXT_INPUTS[name]())
    assert payments.sender.to_pylist() == ["1", "2", "1", "3"]
    assert payments.receiver.to_pylist() == ["2", "3", "2", "1"]
    assert payments.sender.type == payments.receiver.type == pa.large_string()


def test_columns_by_name_and_position() -> None:
    renamed = FRAME.rename(columns={"event_time": "when", "amount": "usd"}).assign(tx=["a", "b", "c", "d"])
    payments = read(renamed, time_column="when", sender_column=1, amount_column="usd", id_column="tx")
    assert payments.time[1] == 60_000_000
    assert payments.ids is not None
    assert payments.ids.to_pylist() == ["a", "b", "c", "d"]
    array = np.array(ROWS)[:, ::-1]
    turned = read(array, time_column=3, sender_column=2, receiver_column=1, amount_column=0, id_column=3)
    assert turned.sender.tolist() == BASE["sender"]
    assert turned.ids is not None
    assert turned.ids.tolist() == BASE["event_time"]


def test_amounts_that_are_not_there() -> None:
    assert read(np.array(ROWS)[:, :3]).amount.tolist() == [-1] * 4
    assert read(FRAME, amount_column=None).amount.tolist() == [-1] * 4
    with pytest.raises(RefusedValueError, match="no columns are named 'amount'"):
        read(FRAME.drop(columns="amount"))
    for missing in (np.nan, None, pd.NA, pd.NaT):
        frame = FRAME.assign(amount=objects([1, missing, 2, missing]))
        assert read(frame, unknown_amounts="keep").amount.tolist() == [100, -1, 200, -1]
        with pytest.raises(RefusedValueError, match=r"the amount is missing \(NaN.*row 1, column amount"):
            read(frame)
    nulls = swapped("amount", pa.array([1, None, 2, None]))
    assert read(nulls, unknown_amounts="keep").amount.tolist() == [100, -1, 200, -1]
    with pytest.raises(RefusedValueError, match="row 1, column amount"):
        read(nulls)


@pytest.mark.parametrize(("unit", "factor"), [("s", 10**6), ("ms", 1_000), ("us", 1), ("D", 86_400 * 10**6)])
def test_units_of_time(unit: str, factor: int) -> None:
    assert times(Column("t", np.array([3, -2])), unit).tolist() == [3 * factor, -2 * factor]
    assert times(Column("t", np.array([3.0, -2.5])), unit).tolist() == [3 * factor, -round(2.5 * factor)]
    assert times(Column("t", np.array([1_999, -1])), "ns").tolist() == [1, -1]


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)))
def test_a_moment_is_the_same_in_every_form(moment: datetime) -> None:
    expected = int((moment - datetime(1970, 1, 1)) // timedelta(microseconds=1))
    forms = [
        np.array([moment], "datetime64[us]"),
        np.array([moment], "datetime64[ns]"),
        pa.array([moment], pa.timestamp("us", "UTC")),
        pa.chunked_array([pa.array([moment])]),
    ]
    for form in forms:
        assert times(as_column(form, "t"), "s").tolist() == [expected]
    assert times(column_of_objects([moment, pd.Timestamp(moment)], "t"), "s").tolist() == [expected] * 2


@given(st.decimals(0, 10**12, places=6), st.integers(0, 6))
def test_decimals_are_rounded_half_to_even(value: Decimal, decimals: int) -> None:
    minor = int((value * 10**decimals).to_integral_value(ROUND_HALF_EVEN))
    if minor <= LARGEST_AMOUNT:
        assert amounts(column_of_objects([value], "a"), decimals, unknown=False).tolist() == [minor]
        assert amounts(as_column(pa.array([value], pa.decimal128(30, 8)), "a"), decimals, unknown=False)[0] == minor


@given(st.lists(st.integers(0, LARGEST_AMOUNT // 100), min_size=1))
def test_whole_amounts_are_exact(values: list[int]) -> None:
    expected = [value * 100 for value in values]
    assert amounts(Column("a", np.array(values)), 2, unknown=False).tolist() == expected
    assert amounts(column_of_objects(list(values), "a"), 2, unknown=False).tolist() == expected
    cents = Column("a", np.array([value / 100 for value in values]))
    assert amounts(cents, 2, unknown=False).tolist() == values


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_account_numbers_are_exact(values: list[int]) -> None:
    assert names_or_numbers(Column("s", np.array(values, np.int64)), "account").tolist() == values
    assert names_or_numbers(column_of_objects(list(values), "s"), "account").tolist() == values
    assert names_or_numbers(as_column(pa.array(values, pa.int64()), "s"), "account").tolist() == values
    halved = [value // 2**11 for value in values]
    if max(map(abs, halved)) < 2**53:
        assert names_or_numbers(Column("s", np.array(halved, np.float64)), "account").tolist() == halved


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("float64", 2.0**53), ("float64", -(2.0**53)), ("float32", 2.0**24), ("float16", 2.0**11)],
)
def test_a_float_that_stands_for_several_accounts_is_refused(dtype: str, value: float) -> None:
    below = np.nextafter(np.array(value, dtype), np.array(0, dtype))
    assert names_or_numbers(Column("s", np.array([below], dtype)), "account").tolist() == [int(below)]
    with pytest.raises(RefusedValueError, match=f"a {dtype} from"):
        names_or_numbers(Column("s", np.array([1, value], dtype)), "account")
    assert times(Column("t", np.array([below], dtype)), "us").tolist() == [int(below)]
    with pytest.raises(RefusedValueError, match=f"a {dtype} from"):
        times(Column("t", np.array([1, value], dtype)), "us")


NAN, INF = float("nan"), float("inf")
#: Column, value in row 2, words of the error.
BAD: list[tuple[str, Any, str]] = [
    ("event_time", NAN, "NaN"),
    ("event_time", None, "NaN"),
    ("event_time", INF, "inf"),
    ("event_time", -INF, "inf"),
    ("event_time", 2.0**53, "does not tell one time|do not tell it"),
    ("event_time", 2**62, "too far from 1970"),
    ("event_time", -(2**63), "too far from 1970"),
    ("event_time", 2**63, "does not fit 64 bits"),
    ("event_time", np.uint64(2**63), "does not fit 64 bits"),
    ("event_time", np.datetime64("NaT"), "NaN"),
    ("sender", NAN, "missing"),
    ("sender", None, "missing"),
    ("sender", pd.NA, "missing"),
    ("sender", INF, "inf"),
    ("sender", 1.5, "fraction"),
    ("sender", 2**63, "does not fit 64 bits"),
    ("sender", -(2**63) - 1, "does not fit 64 bits"),
    ("receiver", 2.0**63, "do not tell it|does not tell"),
    ("receiver", 10**400, "does not fit 64 bits"),
    ("amount", NAN, "NaN"),
    ("amount", None, "NaN"),
    ("amount", INF, "inf"),
    ("amount", -0.01, "negative"),
    ("amount", -5, "negative"),
    ("amount", 2**53, "above 2\\^53|do not tell it"),
    ("amount", 2.0**53, "above 2\\^53|do not tell it"),
    ("amount", 2**63, "does not fit 64 bits|do not tell it"),
    ("id", NAN, "missing"),
    ("id", 0.5, "fraction"),
    ("id", 2**63, "does not fit 64 bits"),
]


@pytest.mark.parametrize("beside", ["objects", "list", "push"])
@pytest.mark.parametrize(("column", "value", "words"), BAD)
def test_a_value_that_cannot_be_used_is_refused_with_its_place(
    column: str, value: Any, words: str, beside: str
) -> None:
    columns = {**{name: list(values) for name, values in BASE.items()}, "id": [7, 8, 9, 10]}
    reader = PaymentReader(id_column="id" if beside == "objects" else 4)
    columns[column][2] = value
    rows = list(zip(*columns.values(), strict=True))
    frame = pd.DataFrame({name: objects(values) for name, values in columns.items()})
    readings: dict[str, Callable[[], Any]] = {
        "push": lambda: reader.one(rows[2]),
        "objects": lambda: reader.read(read_input(frame)),
        "list": lambda: reader.read(read_input(rows)),
    }
    with pytest.raises(RefusedValueError, match=words) as caught:
        readings[beside]()
    assert isinstance(caught.value, ValueError)
    assert caught.value.mend
    shown = {"objects": column, "list": str(list(columns).index(column))}
    if beside != "push":
        assert f"row 2, column {shown[beside]}" in caught.value.where


@pytest.mark.parametrize(
    ("column", "dtype", "value"),
    [
        ("sender", np.uint64, 2**63),
        ("sender", np.uint64, 2**64 - 1),
        ("sender", np.float64, NAN),
        ("sender", np.float64, 2.0**63),
        ("sender", np.float64, 0.5),
        ("event_time", np.uint64, 2**63),
        ("event_time", np.int64, 2**62),
        ("event_time", np.int64, -(2**63)),
        ("event_time", np.float64, 1e300),
        ("event_time", np.float32, 1.7e9),
        ("event_time", "datetime64[s]", 2**62),
        ("event_time", "datetime64[s]", -(2**62)),
        ("event_time", "datetime64[D]", 2**40),
        ("event_time", "datetime64[ns]", -(2**63)),
        ("amount", np.uint64, 2**63),
        ("amount", np.int64, -1),
        ("amount", np.int8, -1),
        ("amount", np.float64, 1e300),
        ("amount", np.float64, -1e-300),
    ],
)
def test_no_type_of_number_hides_a_bad_value(column: str, dtype: Any, value: Any) -> None:
    values = np.ones(4, np.int64).astype(dtype)
    values[2] = np.array(value).astype(np.int64).view(dtype) if "datetime" in str(dtype) else value
    with pytest.raises(RefusedValueError, match=f"row 2, column {column}"):
        read(FRAME.assign(**{column: values}))


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("event_time", ["2024-01-01"] * 4, "times cannot be read from text"),
        ("event_time", [True] * 4, "times cannot be read from true and false"),
        ("event_time", pd.to_timedelta([1] * 4, unit="s"), "timedelta64"),
        ("event_time", pd.period_range("2020-01-01", periods=4, freq="D"), "period"),
        ("event_time", [Decimal(1)] * 4, "times cannot be read from decimal"),
        ("event_time", objects([np.datetime64("2020", "Y")] * 4), r"datetime64\[Y\]"),
        ("sender", [True] * 4, "accounts cannot be read from true and false"),
        ("sender", MOMENTS, "accounts cannot be read from datetime64"),
        ("sender", objects([b"a"] * 4), "not 'bytes'"),
        ("sender", objects([1, 2, "3", 4]), "'3' and 1 are of different types"),
        ("sender", objects([1, 2, True, 4]), "True and 1 are of different types"),
        ("sender", ["a", "b", "c", "d"], "senders are text and receivers whole numbers"),
        ("amount", ["1", "2", "3", "4"], "amounts cannot be read from text"),
        ("amount", [True] * 4, "amounts cannot be read from true and false"),
        ("amount", objects([1, 2, {"foo": 1}, 4]), "argument must be a string or a real number, not 'dict'"),
    ],
)
def test_a_kind_of_value_that_cannot_be_used_is_refused(column: str, values: Any, words: str) -> None:
    with pytest.raises(RefusedTypeError, match=words) as caught:
        read(FRAME.assign(**{column: values}))
    assert isinstance(caught.value, TypeError)
    assert caught.value.mend


@pytest.mark.parametrize("empty", ["", np.str_("")])
def test_an_account_without_a_name_is_refused(empty: str) -> None:
    with pytest.raises(RefusedValueError, match="empty text"):
        PaymentReader().one((0, "a", empty, 1))
    with pytest.raises(RefusedValueError, match="row 1, column receiver"):
        read(FRAME.assign(sender=list("abcd"), receiver=["a", empty, "b", "c"]))


@pytest.mark.parametrize(
    "given",
    [
        None, 5, "text", BASE, (row for row in ROWS), POLARS.lazy(), FRAME.sender, np.zeros(3), np.zeros((2, 2, 2)), [],
        [[1, 2], [3]], np.array(5), np.array(ROWS) + 1j,
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(given: Any) -> None:
    with pytest.raises((RefusedTypeError, RefusedValueError)) as caught:
        read_input(given)
    assert caught.value.mend


def test_masked_values_are_missing() -> None:
    rows = np.ma.masked_array(np.array(ROWS), mask=np.zeros((4, 4), bool))
    rows[3, 1] = np.ma.masked
    with pytest.raises(RefusedValueError, match="row 3, column 1"):
        read(rows)
    rows.mask = np.ma.nomask
    rows[2, 3] = np.ma.masked
    assert read(rows, unknown_amounts="keep").amount.tolist() == [1_050, 2_000, -1, 4_025]


SCALARS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**64), 2**64),
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, 0.125, 0.5, 1.5, 2.5, 1e6 + 0.1234565, 9007199254740991.0, 90071992547409.91]),
    st.sampled_from(
        [None, True, "a", "", "b" * 40, b"a", Decimal("1.005"), np.float32(0.1), np.int8(3), np.bool_(True)]
    ),
    st.sampled_from([np.uint64(2**63), np.str_("c"), datetime(2020, 1, 1), np.datetime64("2020-01-01"), pd.NaT, [1]]),
    st.text(max_size=3),
)


@given(st.tuples(SCALARS, SCALARS, SCALARS, SCALARS), st.sampled_from(["s", "ms", "ns", "D"]), st.booleans())
def test_one_row_is_read_as_a_table_of_one(row: tuple[Any, ...], unit: str, keep: bool) -> None:
    reader = PaymentReader(time_unit=unit, unknown_amounts="keep" if keep else "raise")
    frame = pd.DataFrame({name: objects([value]) for name, value in zip(BASE, row, strict=True)})
    try:
        payments = reader.read(read_input(frame))
        expected: Any = [
            column[0].as_py() if isinstance(column, pa.Array) else int(column[0])
            for column in (payments.time, payments.sender, payments.receiver, payments.amount)
        ]
    except GreywaterError as error:
        expected = type(error)
    try:
        found: Any = list(reader.one(row)[:4])
        if isinstance(found[1], str) is not isinstance(found[2], str):
            found = RefusedTypeError
    except GreywaterError as error:
        found = type(error)
    assert found == expected
    assert not isinstance(expected, list) or abs(expected[0]) <= LATEST
