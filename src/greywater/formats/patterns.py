"""The Patterns files that are published beside AMLworld: laundering attempts, payment by payment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from greywater.errors import FormatError
from greywater.formats.blocks import check_gzip, text_blocks

__all__ = ["Attempt", "read_patterns", "typology_name"]

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


def _wrong(path: Path, line: int, found: str) -> FormatError:
    return FormatError(found, where=f"{path}, line {line}", mend="fetch the Patterns file again, or remove it")
