"""Writes the payments of large made-up worlds as lines of text, byte by byte."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.compile import kernel
from greywater.kernels.everyday import PaymentColumns
from greywater.vocab import Float64Array, Int64Array

__all__ = ["LONGEST", "Words", "account_texts", "amlsim_lines", "amlworld_lines", "own_lines"]

#: Bytes that no line is longer than.
LONGEST = 200

_COMMA, _NEWLINE, _POINT, _ZERO, _SLASH, _DASH, _COLON, _SPACE = 44, 10, 46, 48, 47, 45, 58, 32
_T, _Z, _A = 84, 90, 65
_TRUE, _FALSE = np.frombuffer(b"True", np.uint8), np.frombuffer(b"False", np.uint8)
_MIDNIGHT = np.frombuffer(b"T00:00:00Z,", np.uint8)
_DAY_US, _MINUTE_US, _SECOND_US = 86_400_000_000, 60_000_000, 1_000_000

Bytes = NDArray[np.uint8]


class Words(NamedTuple):
    """What numbers are written as: words uint8[n, width] with their lengths int64[n], accounts and banks by place.

    `digits` int64[C] decimals of each currency after division by `divisor` int64[C], `rate` float64[C] units that a
    dollar buys, `units` float64[C] smallest units of one; `id_digits` the width of a payment's number.
    """

    currency: Bytes
    currency_length: Int64Array
    format: Bytes
    format_length: Int64Array
    number: Int64Array
    bank: NDArray[np.int32]
    bank_id: Int64Array
    digits: Int64Array
    divisor: Int64Array
    rate: Float64Array
    units: Float64Array
    id_digits: int


@kernel
def _put_digits(out: Bytes, at: int, value: int, width: int) -> int:
    """`width` decimal digits, zeros before them where needed."""
    for place in range(width - 1, -1, -1):
        out[at + place] = _ZERO + value % 10
        value //= 10
    return at + width


@kernel
def _put_number(out: Bytes, at: int, value: int) -> int:
    """As few decimal digits as it takes."""
    width, rest = 1, value // 10
    while rest > 0:
        width += 1
        rest //= 10
    return _put_digits(out, at, value, width)


@kernel
def _put_money(out: Bytes, at: int, value: int, decimals: int) -> int:
    """Smallest units as units with so many decimals."""
    scale = 1
    for _ in range(decimals):
        scale *= 10
    at = _put_number(out, at, value // scale)
    if decimals == 0:
        return at
    out[at] = _POINT
    return _put_digits(out, at + 1, value % scale, decimals)


@kernel
def _put_amount(out: Bytes, at: int, value: int, words: Words, currency: int) -> int:
    """Smallest units as the file writes them, rounded where it knows fewer decimals."""
    divisor = words.divisor[currency]
    return _put_money(out, at, max(1, (value + divisor // 2) // divisor), words.digits[currency])


@kernel
def _put_account(out: Bytes, at: int, number: int) -> int:
    """Nine hexadecimal digits."""
    for place in range(8, -1, -1):
        digit = number & 15
        out[at + place] = _ZERO + digit if digit < 10 else _A + digit - 10
        number >>= 4
    return at + 9


@kernel
def _put_word(out: Bytes, at: Any, words: Bytes, lengths: Int64Array, which: Any) -> Any:
    for place in range(lengths[which]):
        out[at + place] = words[which, place]
    return at + lengths[which]


@kernel
def _put_date(out: Bytes, at: int, day: int, between: int) -> int:
    """A day since 1970 as year, month and day of the month (Hinnant, days from civil)."""
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    at_day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    at = _put_digits(out, at, year + era * 400 + (1 if month <= 2 else 0), 4)
    out[at] = between
    at = _put_digits(out, at + 1, month, 2)
    out[at] = between
    return _put_digits(out, at + 1, at_day, 2)


@kernel
def _put_bank(out: Bytes, at: int, number: int) -> int:
    """A bank as the published worlds write it: one or two zeros and its number."""
    out[at] = _ZERO
    at += 1
    if number % 7 < 3:
        out[at] = _ZERO
        at += 1
    return _put_number(out, at, number)


@kernel
def _comma(out: Bytes, at: int) -> int:
    out[at] = _COMMA
    return at + 1


@kernel
def amlworld_lines(columns: PaymentColumns, laundering: NDArray[np.bool_], words: Words, out: Bytes) -> int:
    """The lines of AMLworld's *_Trans.csv for these payments, and how many bytes they are."""
    at = 0
    for row in range(len(laundering)):
        time, sender, receiver = columns.time[row], columns.sender[row], columns.receiver[row]
        at = _put_date(out, at, time // _DAY_US, _SLASH)
        out[at] = _SPACE
        minute = time % _DAY_US // _MINUTE_US
        at = _put_digits(out, at + 1, minute // 60, 2)
        out[at] = _COLON
        at = _comma(out, _put_digits(out, at + 1, minute % 60, 2))
        at = _comma(out, _put_bank(out, at, words.bank_id[words.bank[sender]]))
        at = _comma(out, _put_account(out, at, words.number[sender]))
        at = _comma(out, _put_bank(out, at, words.bank_id[words.bank[receiver]]))
        at = _comma(out, _put_account(out, at, words.number[receiver]))
        currency = columns.received_currency[row]
        at = _comma(out, _put_amount(out, at, columns.received[row], words, currency))
        at = _comma(out, _put_word(out, at, words.currency, words.currency_length, currency))
        currency = columns.paid_currency[row]
        at = _comma(out, _put_amount(out, at, columns.paid[row], words, currency))
        at = _comma(out, _put_word(out, at, words.currency, words.currency_length, currency))
        at = _comma(out, _put_word(out, at, words.format, words.format_length, columns.format[row]))
        out[at] = _ZERO + laundering[row]
        out[at + 1] = _NEWLINE
        at += 2
    return at


@kernel
def own_lines(columns: PaymentColumns, first: int, words: Words, out: Bytes) -> int:
    """The lines of our own payments file, the first of which is payment `first` of the world, and their bytes."""
    at = 0
    for row in range(len(columns.time)):
        time, sender, receiver = columns.time[row], columns.sender[row], columns.receiver[row]
        out[at] = _T
        at = _comma(out, _put_digits(out, at + 1, first + row + 1, words.id_digits))
        at = _put_date(out, at, time // _DAY_US, _DASH)
        out[at] = _T
        second = time % _DAY_US // _SECOND_US
        at = _put_digits(out, at + 1, second // 3_600, 2)
        out[at] = _COLON
        at = _put_digits(out, at + 1, second // 60 % 60, 2)
        out[at] = _COLON
        at = _put_digits(out, at + 1, second % 60, 2)
        out[at] = _Z
        at = _comma(out, at + 1)
        at = _comma(out, _put_account(out, at, words.number[sender]))
        at = _comma(out, _put_account(out, at, words.number[receiver]))
        currency = columns.paid_currency[row]
        at = _comma(out, _put_amount(out, at, columns.paid[row], words, currency))
        at = _comma(out, _put_word(out, at, words.currency, words.currency_length, currency))
        currency = columns.received_currency[row]
        at = _comma(out, _put_amount(out, at, columns.received[row], words, currency))
        at = _comma(out, _put_word(out, at, words.currency, words.currency_length, currency))
        at = _comma(out, _put_number(out, at, words.bank_id[words.bank[sender]]))
        at = _comma(out, _put_number(out, at, words.bank_id[words.bank[receiver]]))
        at = _put_word(out, at, words.format, words.format_length, columns.format[row])
        out[at] = _NEWLINE
        at += 1
    return at


@kernel
def amlsim_lines(
    columns: PaymentColumns, laundering: NDArray[np.bool_], alert: Int64Array, first: int, words: Words, out: Bytes
) -> int:
    """The lines of AMLSim's transactions.csv, and how many bytes they are; `alert` is -1 where there is none."""
    at = 0
    for row in range(len(laundering)):
        currency = columns.paid_currency[row]
        dollars = columns.paid[row] / (words.units[currency] * words.rate[currency])
        at = _comma(out, _put_number(out, at, first + row + 1))
        at = _comma(out, _put_number(out, at, words.number[columns.sender[row]]))
        at = _comma(out, _put_number(out, at, words.number[columns.receiver[row]]))
        at = _comma(out, _put_word(out, at, words.format, words.format_length, columns.format[row]))
        at = _comma(out, _put_money(out, at, max(1, int(dollars * 100.0 + 0.5)), 2))
        at = _put_date(out, at, columns.time[row] // _DAY_US, _DASH)
        for letter in _MIDNIGHT:
            out[at] = letter
            at += 1
        truth = _TRUE if laundering[row] else _FALSE
        for letter in truth:
            out[at] = letter
            at += 1
        at = _comma(out, at)
        if alert[row] < 0:
            out[at] = _DASH
            at += 1
        at = _put_number(out, at, abs(alert[row]))
        out[at] = _NEWLINE
        at += 1
    return at


@kernel
def account_texts(places: NDArray[np.int32], number: Int64Array, out: Bytes) -> None:
    """The numbers of accounts as nine hexadecimal digits each, one after another."""
    for row in range(len(places)):
        _put_account(out, 9 * row, number[places[row]])
