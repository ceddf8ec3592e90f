"""Mapping files: TOML that says which column of any CSV or Parquet file is what, and how it is written."""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from greywater.errors import FormatError
from greywater.formats.blocks import reading
from greywater.formats.layout import FALSE_WORDS, TRUE_WORDS, Column, LabelRule, Layout, PartyRule, Places
from greywater.formats.money import AmountRule
from greywater.formats.tabular import Table
from greywater.formats.times import DAY_US, SECOND_US, TimeRule, pattern_expression
from greywater.vocab import CHANNELS

__all__ = ["MappingPlan", "read_mapping"]

COLUMNS: Final = (
    "tx_id",
    "event_time",
    "sender",
    "receiver",
    "sender_bank",
    "receiver_bank",
    "amount",
    "currency",
    "received_amount",
    "received_currency",
    "channel",
    "reference",
    "sender_balance",
    "receiver_balance",
    "label",
    "typology",
)
CONSTANTS: Final = ("currency", "received_currency", "channel", "sender_bank", "receiver_bank")
#: Keys of each section and the type of each; None as a key stands for any.
SECTIONS: Final[Mapping[str, Mapping[str | None, type[Any]]]] = {
    "file": {"separator": str, "encoding": str, "header": list},
    "columns": dict.fromkeys(COLUMNS, str),
    "constants": dict.fromkeys(CONSTANTS, str),
    "time": {"format": str, "zone": str, "origin": str, "resolution": str},
    "amount": {"unit": str, "digits": int, "decimal": str, "thousands": str},
    "parties": {
        "bank_qualified": bool,
        "strip_bank_zeros": bool,
        "external_prefixes": list,
        "external_values": list,
    },
    "labels": {"true": list, "false": list},
    "channels": {None: str},
    "currencies": {None: str},
    "skip": {"column": str, "values": list},
    "source": {"base_currency": str, "answer_columns": list},
}
RESOLUTIONS: Final = {
    "day": DAY_US,
    "hour": 3_600 * SECOND_US,
    "minute": 60 * SECOND_US,
    "second": SECOND_US,
    "millisecond": 1_000,
    "microsecond": 1,
}
#: Time formats that are words; anything else is a pattern.
COUNTS: Final = {"unix_s": SECOND_US, "unix_ms": 1_000, "unix_us": 1, "days": DAY_US}
_CURRENCY: Final = re.compile(r"[A-Z][A-Z0-9]{2,4}", re.ASCII)


@dataclass(frozen=True)
class MappingPlan:
    """A mapping file, read and checked.

    Parameters
    ----------
    path : Path
        The mapping file.
    text : str
        What it holds, for line numbers in messages.
    sections : dict
        The checked values.
    """

    path: Path
    text: str
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def separator(self) -> str:
        """Of a CSV file; empty = found in the header."""
        return str(self.get("file", "separator", ""))

    @property
    def encoding(self) -> str:
        """Of a CSV file; empty = by its byte order mark, else UTF-8."""
        return str(self.get("file", "encoding", ""))

    @property
    def header(self) -> tuple[str, ...]:
        """Column names of a CSV file that has no header line."""
        return tuple(self.get("file", "header", ()))

    @property
    def resolution_stated(self) -> bool:
        """Whether the file says how fine the times are."""
        return self.get("time", "resolution", None) is not None or self.get("time", "format", "") == "days"

    def get(self, section: str, key: str, default: Any) -> Any:
        """A value, or the default where the file does not give it."""
        return self.sections.get(section, {}).get(key, default)

    def wrong(self, found: str, section: str, key: str = "", *, mend: str) -> FormatError:
        """An error that names the line."""
        line = _line(self.text, section, key)
        place = f"[{section}] {key}".strip()
        return FormatError(found, where=f"{self.path}, line {line}, {place}", mend=mend)

    def layout(self, table: Table) -> Layout:
        """The layout for a file with these columns.

        Raises
        ------
        FormatError
            If the file lacks a column that the mapping names.
        """
        columns = {name: Column(str(source)) for name, source in self.sections.get("columns", {}).items()}
        for name, value in self.sections.get("constants", {}).items():
            columns[name] = Column(constant=str(value))
        for name, place in columns.items():
            if place.name:
                self._find(place.name, table, "columns", name)
        skip = str(self.get("skip", "column", ""))
        if skip:
            self._find(skip, table, "skip", "column")
        answers = [columns[name].name for name in ("label", "typology") if name in columns]
        return Layout(
            format="mapping",
            places=Places(**columns),
            time=self._time(),
            money=self._money(),
            party=PartyRule(
                bank_qualified=self.get("parties", "bank_qualified", False),
                strip_bank_zeros=self.get("parties", "strip_bank_zeros", False),
                external_prefixes=tuple(self.get("parties", "external_prefixes", ())),
                external_values=tuple(self.get("parties", "external_values", ())),
            ),
            labels=self._labels(),
            currencies=self.sections.get("currencies", {}),
            channels=self.sections.get("channels", {}),
            skip_column=skip,
            skip_values=frozenset(str(value) for value in self.get("skip", "values", ())),
            base_currency=self.get("source", "base_currency", columns["currency"].constant or ""),
            resolution_us=self._resolution(),
            answers=tuple(dict.fromkeys([*answers, *self.get("source", "answer_columns", ())])),
        )

    def _find(self, column: str, table: Table, section: str, key: str) -> None:
        if column in table.columns:
            return
        close = difflib.get_close_matches(column, table.columns, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        found = ", ".join(table.columns[:20])
        raise self.wrong(
            f"{table.path.name} has no column {column!r}", section, key, mend=f"{hint}the columns are {found}"
        )

    def _time(self) -> TimeRule:
        written = str(self.get("time", "format", "iso"))
        zone = str(self.get("time", "zone", ""))
        origin = str(self.get("time", "origin", "1970-01-01"))
        if written == "iso":
            return TimeRule("iso", zone=zone)
        if written in COUNTS:
            start = int(np.datetime64(origin, "us").astype(np.int64))
            return TimeRule("count", unit_us=COUNTS[written], origin_us=start)
        return TimeRule("pattern", pattern=written, zone=zone)

    def _money(self) -> AmountRule:
        return AmountRule(
            digits=self.get("amount", "digits", None),
            minor=self.get("amount", "unit", "major") == "minor",
            decimal=self.get("amount", "decimal", "."),
            thousands=self.get("amount", "thousands", ""),
        )

    def _labels(self) -> LabelRule:
        true = self.get("labels", "true", None)
        false = self.get("labels", "false", None)
        if true is None and false is None:
            return LabelRule(TRUE_WORDS, FALSE_WORDS)
        yes = TRUE_WORDS if true is None else frozenset(str(value).lower() for value in true)
        return LabelRule(yes, frozenset(str(value).lower() for value in false or ()))

    def _resolution(self) -> int:
        if self.get("time", "format", "") == "days":
            return DAY_US
        return RESOLUTIONS[self.get("time", "resolution", "second")]


def read_mapping(path: Path) -> MappingPlan:
    """Read and check a mapping file.

    Raises
    ------
    FormatError
        If it is no TOML, or has an unknown section or key, a value of the wrong type or one that cannot be used; the
        message names the line.
    """
    with reading(path):
        raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        sections = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise FormatError("the mapping file is not UTF-8", where=str(path), mend="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise FormatError(
            f"the mapping file is not TOML: {error}", where=str(path), mend="see the examples in docs/formats.md"
        ) from error
    plan = MappingPlan(path, text, sections)
    for section, values in sections.items():
        _check_section(plan, section, values)
    _check_columns(plan)
    _check_file(plan)
    _check_time(plan)
    _check_amount(plan)
    _check_codes(plan)
    return plan


def _check_section(plan: MappingPlan, section: str, values: Any) -> None:
    if section not in SECTIONS:
        close = difflib.get_close_matches(section, SECTIONS, n=1)
        hint = f"did you mean [{close[0]}]? " if close else ""
        known = ", ".join(SECTIONS)
        raise plan.wrong(f"{section!r} is no known section", section, mend=f"{hint}the sections are {known}")
    if not isinstance(values, dict):
        raise plan.wrong(f"{section!r} is a section, not a value", section, mend=f"write [{section}] above its keys")
    keys = SECTIONS[section]
    for key, value in values.items():
        kind = keys.get(key, keys.get(None))
        if kind is None:
            close = difflib.get_close_matches(key, [str(known) for known in keys], n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            mend = f"{hint}the keys of [{section}] are {', '.join(str(known) for known in keys)}"
            raise plan.wrong(f"{key!r} is no known key", section, key, mend=mend)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            word = {str: "text in quotes", int: "a whole number", bool: "true or false", list: "a list of texts"}[kind]
            raise plan.wrong(f"{value!r} has the wrong type", section, key, mend=f"give {word}")
        if kind is list and not all(isinstance(item, str) for item in value):
            raise plan.wrong(f"{value!r} is no list of texts", section, key, mend='write ["a", "b"]')


def _check_columns(plan: MappingPlan) -> None:
    columns, constants = plan.sections.get("columns", {}), plan.sections.get("constants", {})
    for name in ("event_time", "sender", "receiver", "amount"):
        if not columns.get(name):
            raise plan.wrong(f"{name} is missing", "columns", mend=f'name its column: {name} = "..."')
    if not columns.get("currency") and not constants.get("currency"):
        mend = 'name its column, or give one for all: [constants] currency = "EUR"'
        raise plan.wrong("currency is missing", "columns", mend=mend)
    for name in columns:
        if name in constants:
            raise plan.wrong(f"{name} is a column and a constant", "constants", name, mend="leave one out")
    if plan.get("parties", "bank_qualified", False):
        for name in ("sender_bank", "receiver_bank"):
            if name not in columns and name not in constants:
                mend = f"name the column of {name}, or set bank_qualified = false"
                raise plan.wrong(f"bank_qualified needs {name}", "parties", "bank_qualified", mend=mend)
    if ("skip" in plan.sections) and not (plan.get("skip", "column", "") and plan.get("skip", "values", ())):
        raise plan.wrong("a column and values belong to [skip]", "skip", mend="give both, or leave the section out")


def _check_file(plan: MappingPlan) -> None:
    separator = plan.get("file", "separator", ",")
    if len(separator) != 1 or not separator.isascii() or separator in '"\n\r':
        mend = 'give one character: "," ";" "|" or "\\t"'
        raise plan.wrong(f"{separator!r} is no separator", "file", "separator", mend=mend)
    if plan.encoding:
        try:
            codecs.lookup(plan.encoding)
            "".encode(plan.encoding)
        except LookupError as error:
            mend = 'give a name like "utf-8", "latin-1" or "cp1252"'
            raise plan.wrong(f"{plan.encoding!r} is no known encoding", "file", "encoding", mend=mend) from error


def _check_time(plan: MappingPlan) -> None:
    written = plan.get("time", "format", "iso")
    if written != "iso" and written not in COUNTS:
        mend = f"give iso, {', '.join(COUNTS)}, or a pattern of %Y %y %m %d %H %I %M %S %f %p %b %z"
        try:
            expression = pattern_expression(written)
        except ValueError as error:
            raise plan.wrong(f"{written!r} has the unknown part {error}", "time", "format", mend=mend) from error
        names = set(re.findall(r"\?P<(\w)>", expression))
        if not (names & {"Y", "y"} and names & {"m", "b"} and "d" in names):
            raise plan.wrong(f"{written!r} does not name a day", "time", "format", mend=mend)
        if ("I" in names) != ("p" in names) or {"H", "I"} <= names:
            raise plan.wrong(f"{written!r} does not name an hour", "time", "format", mend="use %H, or %I with %p")
    zone = plan.get("time", "zone", "")
    try:
        if zone:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        mend = 'give an IANA name like "Europe/Berlin"'
        raise plan.wrong(f"{zone!r} is no known time zone", "time", "zone", mend=mend) from error
    try:
        np.datetime64(plan.get("time", "origin", "1970-01-01"), "us")
    except ValueError as error:
        raise plan.wrong("the origin cannot be read", "time", "origin", mend='give a day like "2020-01-01"') from error
    resolution = plan.get("time", "resolution", "second")
    if resolution not in RESOLUTIONS:
        mend = f"give one of {', '.join(RESOLUTIONS)}"
        raise plan.wrong(f"{resolution!r} is no known resolution", "time", "resolution", mend=mend)


def _check_amount(plan: MappingPlan) -> None:
    unit = plan.get("amount", "unit", "major")
    digits = plan.get("amount", "digits", None)
    decimal, thousands = plan.get("amount", "decimal", "."), plan.get("amount", "thousands", "")
    if unit not in ("major", "minor"):
        raise plan.wrong(f"{unit!r} is no known unit", "amount", "unit", mend="give major or minor")
    if digits is not None and (not 0 <= digits <= 30 or unit == "minor"):
        mend = "give 0 to 30 (18 for wei), and no unit beside it"
        raise plan.wrong(f"digits = {digits} cannot be used", "amount", "digits", mend=mend)
    if len(decimal) != 1 or decimal.isalnum() or decimal in "+-":
        raise plan.wrong(f"{decimal!r} is no decimal mark", "amount", "decimal", mend='give "." or ","')
    if thousands and (len(thousands) != 1 or thousands.isalnum() or thousands in "+-" or thousands == decimal):
        mend = 'give one character that is not the decimal mark: "." "," "\'" or " "'
        raise plan.wrong(f"{thousands!r} is no thousands mark", "amount", "thousands", mend=mend)


def _check_codes(plan: MappingPlan) -> None:
    for name, channel in plan.sections.get("channels", {}).items():
        if channel not in CHANNELS:
            mend = f"give one of {', '.join(CHANNELS)}"
            raise plan.wrong(f"{channel!r} is no known channel", "channels", name, mend=mend)
    codes = [("currencies", name, code) for name, code in plan.sections.get("currencies", {}).items()]
    codes += [("constants", key, plan.get("constants", key, "USD")) for key in ("currency", "received_currency")]
    codes += [("source", "base_currency", plan.get("source", "base_currency", "USD"))]
    for section, key, code in codes:
        if not _CURRENCY.fullmatch(code):
            mend = "give the ISO 4217 code in capitals, like EUR"
            raise plan.wrong(f"{code!r} is no currency code", section, key, mend=mend)


def _line(text: str, section: str, key: str) -> int:
    """The line of a key, or of its section; 1 where neither is found."""
    current, found = "", 1
    for number, line in enumerate(text.splitlines(), start=1):
        head = re.match(r"\s*\[+\s*\"?([^\]\"]+?)\"?\s*\]", line)
        if head:
            current = head.group(1)
            if current == section:
                found = number
        elif re.match(rf"\s*[\"']?{re.escape(section)}[\"']?\s*[.=]", line) and not current:
            found = number
        elif key and current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return found
