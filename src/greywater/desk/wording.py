"""Numbers, money, times and windows in words, the same everywhere on the desk."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from greywater.vocab import currency_exponent

__all__ = [
    "compact_money",
    "count",
    "day_words",
    "duration",
    "moment_words",
    "money",
    "number",
    "plain",
    "share",
    "times",
    "window_seconds",
    "window_words",
    "within",
]

DAY: Final = 86_400
NO_CURRENCY: Final = "XXX"
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": DAY}
_LABEL: Final = re.compile(r"([0-9]{1,9})([smhd])")


def plain(text: str, longest: int | None = None, *, keep: str = "") -> str:
    """Make text from outside safe to show: nothing in it moves the cursor, turns the line or fills the page.

    Parameters
    ----------
    text : str
        Ids, names of files, messages that quote them.
    longest : int, optional
        Words of more letters are cut in their middle.
    keep : str
        Letters that stay although they do not print.

    Examples
    --------
    >>> plain("A\x1b[2Jx" + "9" * 40, 11)
    'A�[2J…99999'
    """
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() or letter in keep else "\ufffd" for letter in text)
    if longest is None or len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return re.sub(rf"\S{{{longest + 1},}}", lambda word: f"{word[0][: longest - 1 - tail]}…{word[0][-tail:]}", text)


def money(minor: float, currency: str) -> str:
    """Write an amount of minor units in major units with its currency.

    Parameters
    ----------
    minor : float
        Minor units; rounded to a whole one.
    currency : str
        ISO 4217 or crypto code; `XXX` (no currency) and the empty text show no code.

    Examples
    --------
    >>> money(1234560, "USD"), money(1234560, "JPY"), money(-5, "EUR"), money(100, "XXX")
    ('12,345.60 USD', '1,234,560 JPY', '-0.05 EUR', '1.00')
    """
    exponent = currency_exponent(currency)
    whole = round(minor)
    sign = "-" if whole < 0 else ""
    major, rest = divmod(abs(whole), 10**exponent)
    text = f"{sign}{major:,}" + (f".{rest:0{exponent}d}" if exponent else "")
    return text if currency in ("", NO_CURRENCY) else f"{text} {currency}"


def compact_money(minor: float, currency: str) -> str:
    """Write three or so digits of an amount, for a picture: no currency code.

    Examples
    --------
    >>> [compact_money(minor, "USD") for minor in (950, 123_456, 1_234_560, 123_456_000, 9_876_543_210_000)]
    ['9.50', '1,235', '12.3 k', '1.23 M', '98.8 G']
    """
    major = minor / 10 ** currency_exponent(currency)
    if abs(major) < 100:
        return f"{major:.2f}"
    if abs(major) < 9_999.5:
        return f"{major:,.0f}"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(major) >= size * 0.9995:
            return f"{major / size:.3g} {letter}" if abs(major / size) < 999.5 else f"{major / size:,.0f} {letter}"
    return f"{major:,.0f}"


def count(amount: float, noun: str, nouns: str = "") -> str:
    """Count things in words.

    Examples
    --------
    >>> count(1, "payment"), count(1400, "payment"), count(0, "payee")
    ('1 payment', '1,400 payments', 'no payees')
    """
    many = nouns or noun + "s"
    whole = round(amount)
    if whole == 0:
        return f"no {many}"
    return f"{whole:,} {noun if whole == 1 else many}"


def number(value: float) -> str:
    """Write a plain number with at most three meaningful digits behind the point.

    Examples
    --------
    >>> number(3.0), number(0.012345), number(12345.678), number(float("nan"))
    ('3', '0.0123', '12,346', 'not defined')
    """
    if not math.isfinite(value):
        return "not defined"
    if value == round(value) or abs(value) >= 1_000:
        return f"{round(value):,}"
    return f"{value:.3g}"


def times(ratio: float) -> str:
    """Write how many times.

    Examples
    --------
    >>> times(6.23), times(48.6), times(123456), times(0.126)
    ('6.2 times', '49 times', 'more than 1,000 times', '0.13 times')
    """
    if ratio > 1_000:
        return "more than 1,000 times"
    return f"{ratio:.0f} times" if ratio >= 20 else (f"{ratio:.1f} times" if ratio >= 1 else f"{ratio:.2g} times")


def share(ratio: float) -> str:
    """Write a share as a percentage; never rounded to 0 % or 100 % where it is not.

    Examples
    --------
    >>> share(0.923), share(1.0), share(0.9999), share(0.0001)
    ('92 %', '100 %', 'over 99 %', 'under 1 %')
    """
    if 0 < ratio < 0.01:
        return "under 1 %"
    if 0.99 < ratio < 1:
        return "over 99 %"
    return f"{ratio * 100:.0f} %"


def duration(seconds: float) -> str:
    """Write a length of time in the unit that suits it.

    Examples
    --------
    >>> [duration(s) for s in (0, 40, 200, 7200, 100_000, 3 * 86400, 400 * 86400, 1000 * 86400)]
    ['0 s', '40 s', '3 minutes', '2 h', '28 h', '3 days', '13 months', '2.7 years']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    for unit, name, most in ((60, "minutes", 100), (3_600, "h", 48), (DAY, "days", 120), (30.44 * DAY, "months", 24)):
        if seconds / unit < most:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / (365.25 * DAY):.1f} years"


def window_seconds(label: str) -> int | None:
    """Read the label of a window; None where it is none.

    Examples
    --------
    >>> window_seconds("6h"), window_seconds("30d"), window_seconds("mean")
    (21600, 2592000, None)
    """
    match = _LABEL.fullmatch(label)
    return int(match[1]) * _UNITS[match[2]] if match else None


def window_words(seconds: int, *, whole_days: bool = False) -> str:
    """Write a window: sliding ones by length, whole-day ones by the days they hold.

    Examples
    --------
    >>> window_words(3600), window_words(86400), window_words(7 * 86400), window_words(90 * 86400, whole_days=True)
    ('1 h', '24 h', '7 days', 'today and the 89 days before')
    """
    if whole_days:
        days = seconds // DAY
        return (
            "today"
            if days <= 1
            else ("today and the day before" if days == 2 else f"today and the {days - 1:,} days before")
        )
    if seconds > DAY and seconds % DAY == 0:
        return f"{seconds // DAY:,} days"
    if seconds % 3_600 == 0:
        return f"{seconds // 3_600:,} h"
    return count(seconds // 60, "minute") if seconds % 60 == 0 else f"{seconds:,} s"


def within(seconds: int, *, whole_days: bool = False) -> str:
    """Write a window with its preposition.

    Examples
    --------
    >>> within(86400), within(90 * 86400, whole_days=True)
    ('in 24 h', 'over today and the 89 days before')
    """
    return f"{'over' if whole_days else 'in'} {window_words(seconds, whole_days=whole_days)}"


def moment_words(time_us: int) -> str:
    """Write a UTC time to the second; midnight (day-stamped data) as the day alone.

    Examples
    --------
    >>> moment_words(0), moment_words(1_709_208_000_000_000)
    ('1970-01-01', '2024-02-29 12:00:00')
    """
    moment = _EPOCH + timedelta(microseconds=time_us)
    return f"{moment:%Y-%m-%d}" if time_us % (DAY * 1_000_000) == 0 else f"{moment:%Y-%m-%d %H:%M:%S}"


def day_words(time_us: int) -> str:
    """Write the UTC day of a time.

    Examples
    --------
    >>> day_words(1_709_208_000_000_000)
    '2024-02-29'
    """
    return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%d}"
