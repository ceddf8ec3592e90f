"""Cuts the text of an expression into tokens, each with its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from greywater.errors import UsageError
from greywater.features.requests import parse_request

__all__ = ["MOST_CHARACTERS", "WORDS", "Parameter", "Parameters", "Place", "Token", "refused", "tokens"]

#: Longest text that is read.
MOST_CHARACTERS: Final = 65_536
#: Words of the language, in any case. A column of such a name is written in double quotes.
WORDS: Final = frozenset({"and", "or", "not", "is", "null", "in", "between", "true", "false"})

TokenKind = Literal["number", "text", "name", "word", "sign", "value", "end"]

_pattern: Final = re.compile(
    r"""
      (?P<space>[ \t\r\n]+|\#[^\n]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.]))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.(?:[A-Za-z0-9_]+|\$[A-Za-z_][A-Za-z0-9_]*))*(?:\[[^\[\]\n]*\])?)
    | (?P<parameter>\$[A-Za-z_][A-Za-z0-9_]*)
    | (?P<quoted>"[^"\n]*(?:""[^"\n]*)*")
    | (?P<text>'[^']*(?:''[^']*)*')
    | (?P<sign><=|>=|<>|!=|==|[-+*/%(),=<>])
    """,
    re.VERBOSE,
)
_dollar: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
#: Two ways to write one sign.
_same: Final = {"==": "=", "<>": "!="}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the text, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What stands for `$name`: `value` where a value is wanted, `written` inside the name of a column."""

    value: bool | int | float | str
    written: str


Parameters = Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class Token:
    """One word, sign, number, name or quoted text; `text` is without quotes, words are in lower case.

    `value` is that of a parameter, of kind "value".
    """

    kind: TokenKind
    text: str
    place: Place
    value: bool | int | float | str = ""

    @property
    def said(self) -> str:
        """How a message names it, cut to 40 characters."""
        if self.kind == "end":
            return "the end"
        return repr(self.text if len(self.text) <= 40 else f"{self.text[:39]}…")


def refused(found: str, place: Place, mend: str = "") -> UsageError:
    """The error for something in the text of an expression."""
    return UsageError(found, where=str(place), mend=mend)


def tokens(text: str, parameters: Parameters | None = None) -> Iterator[Token]:
    """The tokens of a text, and one of kind "end".

    `$name` becomes the value of a parameter, also inside of a column's name; a name with a filter in square brackets
    becomes the one way to write it.

    Raises
    ------
    UsageError
        Where the text is longer than MOST_CHARACTERS, something in it begins no token, a filter cannot be read, or
        there is no such parameter.

    Examples
    --------
    >>> [token.text for token in tokens("score >= 0.5 AND name = 'it''s'")]
    ['score', '>=', '0.5', 'and', 'name', '=', "it's", '']
    >>> given = {"w": Parameter(172_800, "48h"), "most": Parameter(900, "9")}
    >>> [token.text for token in tokens("sender.out.count.$w[amount ..$most]", given)]
    ['sender.out.count.2d[amount ..9]', '']
    """
    known = {} if parameters is None else parameters
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"the expression has {len(text):,} characters; {MOST_CHARACTERS:,} are read",
            where="line 1, column 1",
            mend="make several rules of it",
        )
    at, line, line_begins = 0, 1, 0
    while at < len(text):
        place = Place(line, at - line_begins + 1)
        match = _pattern.match(text, at)
        if match is None:
            raise _unreadable(text, at, place)
        found = match.group()
        token = _token(match.lastgroup or "", found, place, known)
        if token is not None:
            yield token
        at = match.end()
        if breaks := found.count("\n"):
            line += breaks
            line_begins = match.start() + found.rindex("\n") + 1
    yield Token("end", "", Place(line, at - line_begins + 1))


def _token(group: str, found: str, place: Place, parameters: Parameters) -> Token | None:
    if group == "space":
        return None
    if group == "parameter":
        return Token("value", found, place, _parameter(found[1:], place, parameters).value)
    if group == "name" and ("$" in found or "[" in found):
        return Token("name", _feature(found, place, parameters), place)
    if group == "number":
        return Token("number", found, place)
    if group == "name":
        word = found.lower()
        return Token("word", word, place) if word in WORDS else Token("name", found, place)
    if group == "quoted":
        return Token("name", found[1:-1].replace('""', '"'), place)
    if group == "text":
        return Token("text", found[1:-1].replace("''", "'"), place)
    return Token("sign", _same.get(found, found), place)


def _feature(found: str, place: Place, parameters: Parameters) -> str:
    """The name of a column with parameters or a filter in it."""
    name = _dollar.sub(lambda match: _parameter(match[1], place, parameters).written, found)
    if "[" not in name:
        return name
    try:
        return parse_request(name).name
    except UsageError as error:
        raise refused(f"{error.found}, in {error.where!r}", place, error.mend) from None


def _parameter(name: str, place: Place, parameters: Parameters) -> Parameter:
    if name not in parameters:
        listed = ", ".join(f"${known}" for known in parameters)
        raise refused(f"there is no parameter ${name[:80]}", place, f"there are {listed}" if listed else "")
    return parameters[name]


def _unreadable(text: str, at: int, place: Place) -> UsageError:
    sign = text[at]
    if sign == "'":
        return refused("a text that does not end", place, "close it with ', and write ' inside of it as ''")
    if sign == '"':
        return refused("a column name in quotes that does not end", place, 'close it with " in the same line')
    if sign in ".0123456789":
        word = re.compile(r"[A-Za-z0-9_.]+").match(text, at)
        return refused(f"{(word.group() if word else sign)[:40]!r} is not a number", place, "write 1200, 0.5 or 1e6")
    return refused(f"{sign!r} means nothing here", place, "texts stand in '...', unusual column names in \"...\"")
