"""Rules and their settings as TOML files: read into rules, with errors that name file, line and column."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from greywater.detectors.rules.rule import ABOUT, STATES, Origin, Rule, RuleParameter, size_of
from greywater.errors import FormatError, UsageError

__all__ = ["overridden", "read_rules", "read_settings", "rule_of"]

#: Largest file that is read, in bytes.
MOST_BYTES: Final = 8_000_000
_texts: Final = ("id", "title", "description", "source", "about", "window", "expression")
_words: Final = frozenset(
    {*_texts, "version", "typologies", "severity", "mandatory", "segment", "state", "why_off", "parameters"}
)
_needed: Final = ("id", "version", "title", "description", "source", "typologies", "about", "window", "severity")
_parameter_words: Final = frozenset({"default", "unit", "least", "most", "meaning", "value", "by_day"})
_settings_words: Final = frozenset({"state", "why_off", "severity", "mandatory", "parameters"})
_header: Final = re.compile(r"^\s*\[\[\s*rule\s*\]\]", re.MULTILINE)
Word = TypeVar("Word", bound=str)


def read_rules(path: Path, name: str = "") -> tuple[Rule, ...]:
    """The rules of a TOML file, in its order.

    Parameters
    ----------
    path : Path
        A file of tables `[[rule]]`, each with `[rule.parameters.NAME]`.
    name : str
        How messages call the file; its path where left out.

    Raises
    ------
    FormatError
        The file is no TOML, or something in it is not what a rule has; with the line.
    UsageError
        A rule contradicts itself.
    """
    called = name or str(path)
    text = _text_of(path, called)
    tables = _tables(text, called)
    _refuse_unknown(tables, frozenset({"rule"}), called, "the file")
    rules = tables.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise FormatError("the rules are no list of tables", where=called, mend="begin each with [[rule]]")
    blocks = _blocks(text, len(rules))
    return tuple(
        rule_of(table, _origin(block, "expression", called), _origin(block, "segment", called))
        for table, block in zip(rules, blocks, strict=True)
    )


def rule_of(table: Mapping[str, Any], origin: Origin = Origin(), segment_origin: Origin = Origin()) -> Rule:  # noqa: B008
    """A rule of its table, as `Rule.to_json` writes it or a TOML file has it.

    Raises
    ------
    FormatError
        Something is missing, unknown, or of another kind than it must be.
    """
    where = _where(table, origin)
    _refuse_unknown(table, _words, where, "the rule")
    missing = [word for word in (*_needed, "expression") if word not in table]
    if missing:
        raise FormatError(f"the rule has no {', '.join(missing)}", where=where, mend="write it")
    for word in (*_texts, "segment", "state", "why_off"):
        _require(table, word, str, "a text", where)
    for word in ("version", "severity"):
        _require(table, word, int, "a whole number", where)
    _require(table, "mandatory", bool, "true or false", where)
    typologies = table["typologies"]
    if not isinstance(typologies, list) or not all(isinstance(each, str) for each in typologies):
        raise FormatError("typologies are no list of texts", where=where, mend='write typologies = ["structuring"]')
    given = table.get("parameters", {})
    if not isinstance(given, dict) or not all(isinstance(each, dict) for each in given.values()):
        raise FormatError("the parameters are no tables", where=where, mend="write [rule.parameters.NAME]")
    return Rule(
        id=table["id"],
        version=table["version"],
        title=table["title"],
        description=table["description"].strip(),
        source=table["source"],
        typologies=tuple(typologies),
        about=_one_of(table["about"], ABOUT, "about", where),
        window=table["window"],
        severity=table["severity"],
        expression=table["expression"],
        parameters=tuple(_parameter(name, each, where) for name, each in given.items()),
        mandatory=table.get("mandatory", False),
        segment=table.get("segment", ""),
        state=_one_of(table.get("state", "on"), STATES, "state", where),
        why_off=table.get("why_off", ""),
        origin=origin,
        segment_origin=segment_origin,
    )


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """What a settings file says of each rule: `[rules.ID]` with state, severity, mandatory and `parameters`.

    Raises
    ------
    FormatError
        The file is no TOML, or has words that mean nothing.
    """
    called = str(path)
    tables = _tables(_text_of(path, called), called)
    _refuse_unknown(tables, frozenset({"rules"}), called, "the file")
    found = tables.get("rules", {})
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise FormatError("the settings are no tables", where=called, mend="write [rules.ID]")
    for name, table in found.items():
        where = f"{called}, rules.{name}"
        _refuse_unknown(table, _settings_words, where, "the settings of a rule")
        _require(table, "severity", int, "a whole number", where)
        _require(table, "mandatory", bool, "true or false", where)
        _require(table, "parameters", dict, "a table", where)
    return found


def overridden(rules: Sequence[Rule], settings: Mapping[str, Mapping[str, Any]], where: str) -> tuple[Rule, ...]:
    """The rules with what settings say of some.

    Raises
    ------
    UsageError
        There is no such rule or parameter, or a value does not fit.
    """
    known = [rule.id for rule in rules]
    for name in settings:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3)
            mend = f"perhaps {' or '.join(close)} is meant" if close else "see greywater rules list"
            raise UsageError(f"there is no rule {name[:80]!r}", where=where, mend=mend)
    return tuple(_overridden(rule, settings[rule.id], where) if rule.id in settings else rule for rule in rules)


def _overridden(rule: Rule, table: Mapping[str, Any], where: str) -> Rule:
    place = f"{where}, rules.{rule.id}"
    changed = rule.with_parameters(table.get("parameters", {}), place)
    state = _one_of(table.get("state", rule.state), STATES, "state", place)
    why_off = str(table.get("why_off", rule.why_off or ("switched off by settings" if state == "off" else "")))
    return replace(
        changed,
        state=state,
        why_off=why_off,
        severity=table.get("severity", rule.severity),
        mandatory=table.get("mandatory", rule.mandatory),
    )


def _parameter(name: str, table: Mapping[str, Any], where: str) -> RuleParameter:
    place = f"{where}, parameter {name}"
    _refuse_unknown(table, _parameter_words, place, "the parameter")
    missing = [word for word in ("default", "unit", "least", "most", "meaning") if word not in table]
    if missing:
        raise FormatError(f"the parameter has no {', '.join(missing)}", where=place, mend="write it")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise FormatError(f"{name[:40]!r} is no name of a parameter", where=place, mend="write lower-case words")
    for word in ("unit", "meaning"):
        _require(table, word, str, "a text", place)
    kinds = {word: table[word] for word in ("default", "least", "most", "by_day") if word in table}
    for word, value in kinds.items():
        if isinstance(value, bool) or not isinstance(value, str if table["unit"] == "time" else int | float):
            raise FormatError(
                f"{word} is {str(value)[:40]!r}",
                where=place,
                mend='give numbers, or of unit "time" texts such as "48h"',
            )
        if not isinstance(value, str) and word in ("least", "most") and math.isnan(value):
            raise FormatError(f"{word} is no number", where=place, mend="give the bounds of the parameter")
    try:
        for value in kinds.values():
            size_of(value)
    except UsageError as error:
        raise FormatError(error.found, where=place, mend=error.mend) from None
    bare = RuleParameter(
        name,
        kinds["default"],
        table["unit"],
        kinds["least"],
        kinds["most"],
        table["meaning"],
        kinds["default"],
        kinds.get("by_day"),
    )
    for value in (bare.default, bare.by_day):
        if value is not None:
            bare.with_value(value, place)
    return bare.with_value(table.get("value", bare.default), place)


# ------------------------------------------------------------------- TOML, and places in it


def _text_of(path: Path, called: str) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FormatError(
                f"the file has more than {MOST_BYTES:,} bytes", where=called, mend="make several files of it"
            )
        return path.read_text(encoding="utf-8-sig")  # editors put a mark before it
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", where=called, mend="name a TOML file") from None
    except UnicodeDecodeError:
        raise FormatError("the file is not UTF-8 text", where=called, mend="save it as UTF-8") from None


def _tables(text: str, called: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        place = re.search(r"\(at (line \d+, column \d+)\)", said)
        where = f"{called}, {place[1]}" if place else called
        raise FormatError(
            f"this is no TOML: {said.partition(' (at ')[0]}", where=where, mend="mend that line"
        ) from None
    except RecursionError:
        raise FormatError(
            "lists or tables are nested too deep", where=called, mend="a rule needs two levels at most"
        ) from None


def _blocks(text: str, rules: int) -> list[tuple[str, int]]:
    """The text of each rule and the line it begins in; without text where headers stand inside of texts too."""
    starts = [match.start() for match in _header.finditer(text)]
    if len(starts) != rules:
        return [("", 0)] * rules
    ends = [*starts[1:], len(text)][:rules]
    return [(text[start:end], text.count("\n", 0, start) + 1) for start, end in zip(starts, ends, strict=True)]


def _origin(block: tuple[str, int], word: str, called: str) -> Origin:
    """Where the text of a key begins, for places inside of it."""
    text, first = block
    match = re.search(rf"""^[ \t]*{word}[ \t]*=[ \t]*('''|\"\"\"|'|")(\r?\n)?""", text, re.MULTILINE)
    if match is None:
        return Origin(called, first)
    line = first + text.count("\n", 0, match.end())
    column = match.end() - (text.rfind("\n", 0, match.end()) + 1) + 1
    return Origin(called, line, column)


def _where(table: Mapping[str, Any], origin: Origin) -> str:
    parts = [origin.file] if origin.file else []
    if isinstance(table.get("id"), str):
        parts.append(f"rule {table['id'][:80]}")
    if origin.line:
        parts.append(f"line {origin.line}")
    return ", ".join(parts)


def _refuse_unknown(table: Mapping[str, Any], known: frozenset[str], where: str, what: str) -> None:
    for word in table:
        if word not in known:
            close = difflib.get_close_matches(word, known, 1)
            mend = f"perhaps {close[0]!r} is meant" if close else f"it may have {', '.join(sorted(known))}"
            raise FormatError(f"{what} has {word[:40]!r}, which means nothing", where=where, mend=mend)


def _require(table: Mapping[str, Any], word: str, kind: type, wanted: str, where: str) -> None:
    value = table.get(word)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise FormatError(f"{word} is {str(value)[:40]!r}, not {wanted}", where=where, mend=f"give {wanted}")


def _one_of(found: Any, known: tuple[Word, ...], what: str, where: str) -> Word:
    for word in known:
        if word == found:
            return word
    raise FormatError(f"{what} is {str(found)[:40]!r}", where=where, mend=f"give one of {', '.join(known)}")
