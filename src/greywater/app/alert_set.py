"""Alerts of SynthAML's form with their 56 features, cut where a quarter begins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from greywater.app.alert_book import read_book
from greywater.app.alert_evidence import of_their_own_transactions
from greywater.detectors.alert_models import AlertRows
from greywater.errors import EmptyInputError, FormatError, UsageError
from greywater.features.feature import Feature
from greywater.formats.synthaml import is_synthaml
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = ["AlertSet", "quarter_cut", "quarters_of", "read_alert_set"]

DAY_US: Final = 86_400_000_000
_QUARTER_MONTHS: Final = (1, 4, 7, 10)


@dataclass(frozen=True)
class AlertSet:
    """Decided alerts in order of time.

    Parameters
    ----------
    features : tuple of Feature
        The 56 columns.
    values : float64[n, 56]
    y : int64[n] in {0, 1}
        1 = reported.
    moment_us : int64[n]
        When each was raised, not falling.
    notes : tuple of str
        What to know of the files.
    """

    features: tuple[Feature, ...]
    values: Float64Array
    y: Int64Array
    moment_us: Int64Array
    notes: tuple[str, ...]

    def rows(self, begin: int = 0, end: int | None = None) -> AlertRows:
        """Alerts [begin, end) as a matrix."""
        return AlertRows(self.values[begin:end], self.y[begin:end])


def read_alert_set(alerts: Path, transactions: Path, progress: Progress | None = None) -> AlertSet:
    """Read two files of SynthAML's form.

    Parameters
    ----------
    alerts : Path
        AlertID, Date, Outcome; alerts that are not decided are left out.
    transactions : Path
        AlertID, Timestamp, Entry, Type, Size.
    progress : Progress, optional

    Raises
    ------
    InputError
        A file cannot be used, or no alert is decided.
    """
    if not is_synthaml(transactions):
        raise FormatError(
            "these are no transactions of SynthAML's form",
            where=str(transactions),
            mend="give a file with the columns AlertID, Timestamp, Entry, Type, Size, after the file of the alerts",
        )
    book = read_book(alerts, None, delay_days=0)
    evidence = of_their_own_transactions(transactions, book, progress)
    decided = book.decided
    if not len(decided):
        raise EmptyInputError("no alert has an outcome", where=str(alerts), mend="give a column Outcome")
    left = len(book.ids) - len(decided)
    notes = (f"{left:,} alerts without an outcome were left out",) if left else ()
    return AlertSet(
        evidence.features,
        evidence.values[decided],
        book.outcome[decided],
        book.moment_us[decided],
        (*book.notes, *evidence.notes, *notes),
    )


def quarter_cut(moment_us: Int64Array, day: str) -> int:
    """How many alerts come before a day, which must be the first of a quarter.

    The published alerts were shifted inside their quarters, so any other cut would train on the future.

    Parameters
    ----------
    moment_us : int64[n]
        Not falling.
    day : str
        YYYY-MM-DD.

    Raises
    ------
    UsageError
        No such day, not the first of a quarter, or one side of it is empty.

    Examples
    --------
    >>> moments = np.array(["2020-12-31T23:59", "2021-01-01T00:00"], "datetime64[us]").astype(np.int64)
    >>> quarter_cut(moments, "2021-01-01")
    1
    >>> quarter_cut(moments, "2021-02-01")
    Traceback (most recent call last):
    ...
    greywater.errors.UsageError: 2021-02-01 is not the first day of a quarter (--test-from). To mend: give the first \
of January, April, July or October: alerts of this form are dated by quarter only, so another cut trains on the future.
    """
    found = _day(day)
    if found.day != 1 or found.month not in _QUARTER_MONTHS:
        raise UsageError(
            f"{day} is not the first day of a quarter",
            where="--test-from",
            mend="give the first of January, April, July or October: alerts of this form are dated by quarter only, "
            "so another cut trains on the future",
        )
    cut = int(np.searchsorted(moment_us, (found - date(1970, 1, 1)).days * DAY_US))
    if not 0 < cut < len(moment_us):
        first, last = (str(np.datetime64(int(each), "us").astype("datetime64[D]")) for each in moment_us[[0, -1]])
        side = f"before {day}" if cut == 0 else f"from {day} on"
        raise UsageError(
            f"no alert is dated {side}: they run from {first} to {last}",
            where="--test-from",
            mend="give the first day of a quarter between them",
        )
    return cut


def _day(text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day", where="--test-from", mend="give a day such as 2021-01-01") from None


def quarters_of(moment_us: Int64Array) -> list[tuple[str, int, int]]:
    """Name, first alert and end of every quarter that has alerts, in order of time.

    Examples
    --------
    >>> moments = np.array(["2020-02-01", "2020-03-31", "2021-01-01"], "datetime64[us]").astype(np.int64)
    >>> quarters_of(moments)
    [('2020 Q1', 0, 2), ('2021 Q1', 2, 3)]
    """
    quarter = moment_us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) // 3
    starts = np.flatnonzero(np.diff(quarter, prepend=quarter[0] - 1)).tolist()
    ends = [*starts[1:], len(quarter)]
    return [
        (f"{1970 + int(quarter[begin]) // 4} Q{int(quarter[begin]) % 4 + 1}", begin, end)
        for begin, end in zip(starts, ends, strict=True)
    ]
