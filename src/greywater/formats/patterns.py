"""Reads and writes the Patterns files that are published beside AMLworld: laundering attempts, payment by payment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from greywater.errors import FormatError, RefusedValueError
from greywater.formats.blocks import check_gzip, text_blocks

__all__ = ["Attempt", "pattern_lines", "read_patterns", "typology_name"]

_BEGIN: Final = re.compile(r"BEGIN LAUNDERING ATTEMPT - ([^:]+?)\s*(?::\s*(.*?)\s*)?")
_END: Final = re.compile(r"END LAUNDERING ATTEMPT(?: - .*)?")
_FIELDS: Final = 11


@dataclass(frozen=True)
class Attempt:
    """One laundering attempt.

    `typology` in lower case with hyphens ("fan-out"); `remark` what follows it ("Max 16-degree Fan-Out"); `payments`
    the 11 fields of each payment as they are written: time, from bank, account, to bank, account, amount received,
    currency, amount paid, currency, payment format, is laundering.
    """

    typology: str
    remark: str = ""
    payments: tuple[tuple[str, ...], ...] = field(default=())


def typology_name(text: str) -> str:
    """The field's spelling of a typology.

    Examples
    --------
    >>> typology_name("SCATTER-GATHER"), typology_name("fan_in")
    ('scatter-gather', 'fan-in')
    """
    return text.strip().lower().replace("_", "-").replace(" ", "-")


def read_patterns(path: Path) -> list[Attempt]:
    """Read a Patterns file, plain or gzip.

    Raises
    ------
    FormatError
        If a line is neither a payment nor the beginning or the end of an attempt, with its number.
    InputError
        If the file cannot be read.
    """
    check_gzip(path)
    attempts: list[Attempt] = []
    current: tuple[str, str] | None = None
    payments: list[tuple[str, ...]] = []
    number = 0
    for block in text_blocks(path):
        for line in block.decode("utf-8", "replace").split("\n")[:-1]:
            number += 1
            text = line.strip()
            begin = _BEGIN.fullmatch(text)
            if not text:
                continue
            if begin:
                if current is not None:
                    raise _wrong(path, number, "an attempt begins before the one before it ends")
                current, payments = (typology_name(begin.group(1)), begin.group(2) or ""), []
            elif _END.fullmatch(text):
                if current is None:
                    raise _wrong(path, number, "an attempt ends that did not begin")
                attempts.append(Attempt(*current, payments=tuple(payments)))
                current = None
            else:
                fields = tuple(part.strip() for part in text.split(","))
                if current is None or len(fields) != _FIELDS:
                    raise _wrong(path, number, f"a payment of {_FIELDS} fields inside an attempt was expected")
                payments.append(fields)
    if current is not None:
        raise _wrong(path, number, "the last attempt does not end")
    return attempts


def pattern_lines(attempts: Iterable[Attempt]) -> Iterator[str]:
    """The lines of a Patterns file, one attempt at a time, as they are published.

    Parameters
    ----------
    attempts : iterable of Attempt
        In the order wanted; the fields of each payment are written as they are.

    Yields
    ------
    str
        The text of one attempt: its beginning, its payments, its end and an empty line, each ended by LF. What
        `read_patterns` read from a published file gives that file back, byte for byte.

    Raises
    ------
    RefusedValueError
        A payment has not eleven fields, or a field holds a comma or the end of a line.

    Examples
    --------
    >>> fields = "2022/09/01 00:06,01,A,02,B,5.00,Euro,5.00,Euro,ACH,1".split(",")
    >>> print("".join(pattern_lines([Attempt("fan-out", "Max 1-degree Fan-Out", (tuple(fields),))])), end="")
    BEGIN LAUNDERING ATTEMPT - FAN-OUT:  Max 1-degree Fan-Out
    2022/09/01 00:06,01,A,02,B,5.00,Euro,5.00,Euro,ACH,1
    END LAUNDERING ATTEMPT - FAN-OUT
    <BLANKLINE>
    """
    for number, attempt in enumerate(attempts):
        name = attempt.typology.upper()
        remark = f":  {attempt.remark}" if attempt.remark else ""
        for fields in attempt.payments:
            if len(fields) != _FIELDS or any("," in text or "\n" in text or "\r" in text for text in fields):
                raise RefusedValueError(
                    f"a payment of {_FIELDS} fields without commas was expected",
                    where=f"attempt {number + 1}",
                    mend="give each payment as read_patterns gives it",
                )
        body = "".join(",".join(fields) + "\n" for fields in attempt.payments)
        yield f"BEGIN LAUNDERING ATTEMPT - {name}{remark}\n{body}END LAUNDERING ATTEMPT - {name}\n\n"


def _wrong(path: Path, line: int, found: str) -> FormatError:
    return FormatError(found, where=f"{path}, line {line}", mend="fetch the Patterns file again, or remove it")
