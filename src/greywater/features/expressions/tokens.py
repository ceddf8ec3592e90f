"""Cuts the text of an expression into tokens, each with its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from greywater.errors import UsageError

__all__ = ["MOST_CHARACTERS", "WORDS", "Place", "Token", "refused", "tokens"]

#: Longest text that is read.
MOST_CHARACTERS: Final = 65_536
#: Words of the language, in any case. A column of such a name is written in double quotes.
WORDS: Final = frozenset({"and", "or", "not", "is", "null", "in", "between", "true", "false"})

TokenKind = Literal["number", "text", "name", "word", "sign", "end"]

_pattern: Final = re.compile(
    r"""
      (?P<space>[ \t\r\n]+|\#[^\n]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.]))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    | (?P<quoted>"[^"\n]*(?:""[^"\n]*)*")
    | (?P<text>'[^']*(?:''[^']*)*')
    | (?P<sign><=|>=|<>|!=|==|[-+*/%(),=<>])
    """,
    re.VERBOSE,
)
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
class Token:
    """One word, sign, number, name or quoted text; `text` is without quotes, words are in lower case."""

    kind: TokenKind
    text: str
    place: Place

    @property
    def said(self) -> str:
        """How a message names it, cut to 40 characters."""
        if self.kind == "end":
            return "the end"
        return repr(self.text if len(self.text) <= 40 else f"{self.text[:39]}…")


def refused(found: str, place: Place, mend: str = "") -> UsageError:
    """The error for something in the text of an expression."""
    return UsageError(found, where=str(place), mend=mend)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, and one of kind "end".

    Raises
    ------
    UsageError
        Where the text is longer than MOST_CHARACTERS, or something in it begins no token.

    Examples
    --------
    >>> [token.text for token in tokens("score >= 0.5 AND name = 'it''s'")]
    ['score', '>=', '0.5', 'and', 'name', '=', "it's", '']
    """
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
        token = _token(match.lastgroup or "", found, place)
        if token is not None:
            yield token
        at = match.end()
        if breaks := found.count("\n"):
            line += breaks
            line_begins = match.start() + found.rindex("\n") + 1
    yield Token("end", "", Place(line, at - line_begins + 1))


def _token(group: str, found: str, place: Place) -> Token | None:
    if group == "space":
        return None
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
