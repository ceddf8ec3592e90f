"""Dated exchange rates, and the exact conversion of amounts into the base currency."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import FormatError, UsageError
from greywater.formats.sidefile import SideFile
from greywater.vocab import MAX_AMOUNT, RATE_SCHEMA, REJECTED_SCHEMA, Float64Array, Int64Array, currency_exponent

__all__ = ["Rates"]

#: Round figures in US dollars per one unit, for demos only. They are no market rates of any day.
_AMLWORLD_USD: Final = {
    "AUD": "0.7", "BRL": "0.2", "BTC": "20000", "CAD": "0.75", "CHF": "1.05", "CNY": "0.15", "EUR": "1.0",
    "GBP": "1.2", "ILS": "0.3", "INR": "0.0125", "JPY": "0.007", "MXN": "0.05", "RUB": "0.0165", "SAR": "0.27",
}  # fmt: skip

_DECIMAL: Final = re.compile(r"\+?(\d{1,30})(?:\.(\d{1,30}))?|\+?\.(\d{1,30})")
_CURRENCY: Final = re.compile(r"[A-Z0-9]{2,10}")
_MICROSECONDS_A_DAY: Final = 86_400_000_000
_FIRST_DAY: Final = -(2**31)
_FAST_DENOMINATOR: Final = 10**18
_WORD: Final = 2**64
_KEY_STRIDE: Final = 2**33

_COLUMNS: Final = {
    "date": ("date", "day", "rate_date", "valid_from"),
    "currency": ("currency", "currency_code", "ccy", "iso"),
    "rate": ("rate", "fx_rate", "exchange_rate", "value"),
}


@dataclass(frozen=True)
class _Steps:
    """The table as sorted steps: from its day on, minor units of a currency times numerator / denominator are base."""

    currencies: tuple[str, ...]
    keys: Int64Array
    numerator: Int64Array
    denominator: Int64Array
    ratio: Float64Array
    exact: tuple[Fraction, ...]
    slow: NDArray[np.bool_]


class Rates:
    """A table of dated rates to one base currency.

    A rate is the number of units of the base currency paid for one unit of the currency, in major units of both.
    On a day the latest rate dated that day or before holds. A currency is worth itself. All arithmetic is in
    integers, rounded half to even once (SEMANTICS: Numbers).

    Parameters
    ----------
    table : pa.Table
        RATE_SCHEMA: date, currency, rate as decimal text.
    base : str
        The base currency.
    name : str
        What outputs call the table.
    rejected : pa.Table, optional
        Rows of the file that could not be used, REJECTED_SCHEMA.

    Raises
    ------
    FormatError
        A rate is not a positive decimal number, or two rates of one currency and day differ.

    Examples
    --------
    >>> rates = Rates.constant_amlworld()
    >>> base, known = rates.convert(
    ...     np.array([150, 1_000, 7]), pa.array(["EUR", "JPY", "XYZ"]), np.zeros(3, dtype=np.int32))
    >>> base.tolist(), known.tolist()
    ([150, 700, 0], [True, True, False])
    """

    def __init__(self, table: pa.Table, *, base: str, name: str, rejected: pa.Table | None = None) -> None:
        self.base = base
        self.name = name
        self.table = table.select(RATE_SCHEMA.names).cast(RATE_SCHEMA)
        self.rejected = REJECTED_SCHEMA.empty_table() if rejected is None else rejected
        self._steps = _steps(self.table, base, name)

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that have a rate, and the base currency, sorted."""
        return self._steps.currencies

    @classmethod
    def read(cls, path: Path | str, base: str = "USD", *, name: str | None = None) -> Rates:
        """Read a CSV or Parquet file with the columns date, currency and rate.

        Parameters
        ----------
        path : Path or str
            The file. Dates are ISO 8601, rates decimal text with a point.
        base : str
            The currency the rates lead to.
        name : str, optional
            What outputs call the table; the file name where left out.

        Returns
        -------
        Rates
            Bad rows are in its `rejected`.

        Raises
        ------
        UsageError
            `base` is no currency code.
        InputError
            The file cannot be read, lacks a column, or has no usable row.
        """
        if not _CURRENCY.fullmatch(base):
            raise UsageError(f"{base!r} is no currency code", where="base currency", mend="give a code such as USD")
        file = SideFile(path, _COLUMNS)
        file.need("date", "currency", "rate", what="a rates file (base units for one unit of the currency)")
        seen = _usable(file, base)
        rejected = file.rejected()
        if not seen:
            first = f"; {rejected['message'][0]}" if rejected.num_rows else ""
            raise FormatError(
                f"no usable rate{first}", where=str(path), mend="give date, currency and rate in each row"
            )
        order = sorted(seen)
        table = _table([day for day, _ in order], [code for _, code in order], [seen[key] for key in order])
        return cls(table, base=base, name=name or Path(path).name, rejected=rejected)

    @classmethod
    def constant_amlworld(cls) -> Rates:
        """Constant round rates to USD for the 15 currencies of AMLworld: for demos, and named so in outputs.

        Returns
        -------
        Rates
            One rate a currency, valid on every day.
        """
        codes = sorted(_AMLWORLD_USD)
        first = [_days_of(date.min)] * len(codes)
        return cls(
            _table(first, codes, [_AMLWORLD_USD[code] for code in codes]),
            base="USD",
            name="constant demo rates (AMLworld)",
        )

    def convert(
        self, amounts: Int64Array, currencies: pa.Array | pa.ChunkedArray, dates: NDArray[np.int32]
    ) -> tuple[Int64Array, NDArray[np.bool_]]:
        """Convert amounts into the base currency.

        Parameters
        ----------
        amounts : int64[n]
            Minor units of each row's currency.
        currencies : pa.Array or pa.ChunkedArray of n
            Codes, as strings or dictionary-coded.
        dates : int32[n]
            Days since 1970 of each payment (UTC).

        Returns
        -------
        base : int64[n]
            Minor units of the base currency, rounded half to even; 0 where not known.
        known : bool[n]
            False where there is no rate on or before the day, or the result is beyond MAX_AMOUNT.
        """
        amounts = np.ascontiguousarray(amounts, dtype=np.int64)
        step, known = self._find(currencies, np.asarray(dates, dtype=np.int64))
        if amounts.shape != step.shape:
            raise UsageError(f"{len(amounts)} amounts and {len(step)} currencies", mend="give one currency an amount")
        steps = self._steps
        guess = np.rint(amounts * steps.ratio[step])
        known &= np.abs(guess) <= MAX_AMOUNT + 8
        guess[~known] = 0.0
        base = guess.astype(np.int64)
        # The guess is a few units off at most, so what is left over is exact in wrapping 64-bit arithmetic.
        numerator, denominator = steps.numerator[step], steps.denominator[step]
        left = amounts * numerator - base * denominator
        off = np.floor_divide(left, denominator)
        left -= off * denominator
        base += off
        base += (2 * left > denominator) | ((2 * left == denominator) & (base & 1 == 1))
        if steps.slow.any():
            for index in np.flatnonzero(steps.slow[step] & known).tolist():
                base[index] = round(int(amounts[index]) * steps.exact[int(step[index])])
        known &= np.abs(base) <= MAX_AMOUNT
        base[~known] = 0
        return base, known

    def _find(
        self, currencies: pa.Array | pa.ChunkedArray, dates: Int64Array
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The step that holds for each row, and whether there is one."""
        if isinstance(currencies, pa.ChunkedArray):
            currencies = currencies.combine_chunks()
        coded = currencies if isinstance(currencies, pa.DictionaryArray) else currencies.dictionary_encode()
        if len(coded) != len(dates):
            raise UsageError(f"{len(coded)} currencies and {len(dates)} dates", mend="give one date a currency")
        place = {code: index for index, code in enumerate(self._steps.currencies)}
        codes = np.array([place.get(code, -1) for code in coded.dictionary.to_pylist()] + [-1], dtype=np.int64)
        index = coded.indices.fill_null(len(codes) - 1) if coded.null_count else coded.indices
        code = codes[index.to_numpy(zero_copy_only=False).astype(np.intp, copy=False)]
        key = code * _KEY_STRIDE + (dates - _FIRST_DAY)
        step = np.searchsorted(self._steps.keys, key, side="right") - 1
        known = (code >= 0) & (step >= 0)
        step[~known] = 0
        known &= self._steps.keys[step] // _KEY_STRIDE == code
        return step, known


def _days_of(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _table(days: list[int], codes: list[str], rates: list[str]) -> pa.Table:
    columns = [pa.array(days, pa.int32()).cast(pa.date32()), pa.array(codes, pa.string()), pa.array(rates, pa.string())]
    return pa.Table.from_arrays(columns, schema=RATE_SCHEMA)


def _fraction(text: str) -> Fraction | None:
    """The exact value of a positive decimal number, else None."""
    if not _DECIMAL.fullmatch(text):
        return None
    value = Fraction(text)
    return value if value > 0 else None


def _usable(file: SideFile, base: str) -> dict[tuple[int, str], str]:
    """The rates by day and currency; rows that cannot be used are set aside."""
    moments = file.times("date")
    code = pc.utf8_upper(file.text("currency"))
    codes, values = code.to_pylist(), file.text("rate").to_pylist()
    rates = [None if value is None else _fraction(value) for value in values]
    foreign = np.array([name is None or not _CURRENCY.fullmatch(name) for name in codes], dtype=np.bool_)
    unusable = np.array([rate is None for rate in rates], dtype=np.bool_)
    not_one = np.array([name == base and rate != 1 for name, rate in zip(codes, rates, strict=True)], dtype=np.bool_)
    file.reject(moments.is_null(), "date", "time_missing", "the date is missing", "write it as 2024-01-31")
    file.reject(foreign, "currency", "currency_unknown", "this is no currency code", "write a code such as EUR")
    mend = "write a positive decimal number with a point and at most 30 digits on each side of it"
    file.reject(unusable, "rate", "rate_unreadable", "this is no rate", mend)
    mend = "leave the row out"
    file.reject(not_one, "rate", "rate_of_base", f"the rate of the base currency {base} is always 1", mend)
    days = pc.fill_null(moments.cast(pa.int64()), 0).to_numpy() // _MICROSECONDS_A_DAY
    first: dict[tuple[int, str], int] = {}
    contrary = np.zeros(len(codes), dtype=np.bool_)
    for position in np.flatnonzero(file.kept).tolist():
        earlier = first.setdefault((int(days[position]), codes[position]), position)
        contrary[position] = rates[earlier] != rates[position]
    found, mend = "an earlier row has another rate for this currency and day", "keep one of the two"
    file.reject(contrary, "rate", "conflict", found, mend)
    return {key: values[position] for key, position in first.items()}


def _steps(table: pa.Table, base: str, name: str) -> _Steps:
    days = table["date"].cast(pa.int32()).to_pylist()
    entries: dict[tuple[str, int], Fraction] = {}
    for day, code, text in zip(days, table["currency"].to_pylist(), table["rate"].to_pylist(), strict=True):
        rate = _fraction(text)
        if rate is None or entries.setdefault((code, day), rate) != rate:
            where = f"{name}, {code} on day {day}"
            raise FormatError(
                f"the rate {text!r} is not positive, or one of two", where=where, mend="give one rate a day"
            )
    entries = {key: rate for key, rate in entries.items() if key[0] != base}
    entries[(base, _FIRST_DAY)] = Fraction(1)
    codes = tuple(sorted({code for code, _ in entries}))
    place = {code: index for index, code in enumerate(codes)}
    order = sorted(entries, key=lambda key: (place[key[0]], key[1]))
    exact = [entries[key] * Fraction(10) ** (currency_exponent(base) - currency_exponent(key[0])) for key in order]
    slow = np.array([factor.denominator > _FAST_DENOMINATOR for factor in exact])
    return _Steps(
        currencies=codes,
        keys=np.array([place[code] * _KEY_STRIDE + (day - _FIRST_DAY) for code, day in order], dtype=np.int64),
        numerator=np.array([_wrapped(factor.numerator) for factor in exact], dtype=np.int64),
        denominator=np.array(
            [1 if beyond else factor.denominator for factor, beyond in zip(exact, slow, strict=True)], dtype=np.int64
        ),
        ratio=np.array([float(factor) for factor in exact], dtype=np.float64),
        exact=tuple(exact),
        slow=slow,
    )


def _wrapped(value: int) -> int:
    """The value modulo 2^64 as a signed word."""
    value %= _WORD
    return value - _WORD if value >= _WORD // 2 else value
