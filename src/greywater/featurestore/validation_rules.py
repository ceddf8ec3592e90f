"""Reads the rules of a group when it is registered; what cannot be asked of its rows is refused with its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from greywater.errors import UsageError
from greywater.features.expressions.expression import Expression
from greywater.features.expressions.syntax import KINDS, Kind
from greywater.features.expressions.values import kind_of, moment_of
from greywater.featurestore.definitions import DTYPES, FeatureGroup, ValidationRule
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME

__all__ = ["QUARANTINE_REASON", "QUARANTINE_RULE", "ReadRule", "column_types", "read_rules"]

#: Columns that rows set aside have beside their own.
QUARANTINE_RULE, QUARANTINE_REASON = "quarantine_rule", "quarantine_reason"
_actions: Final = ("reject", "quarantine", "warn")
Bound = int | float | None


@dataclass(frozen=True)
class ReadRule:
    """A rule that fits its group.

    Parameters
    ----------
    position : int
        From 1, as messages count.
    rule : ValidationRule
    broken : str
        What is the matter with a row that breaks it, in words.
    kind : Kind or None
        Of the values of its feature.
    least, most : int, float or None
        Bounds of `range` (moments as microseconds since 1970); `most` also of `null_share`, and of `freshness` in
        seconds.
    values : tuple
        Of `one_of`.
    expression : Expression or None
    """

    position: int
    rule: ValidationRule
    broken: str
    kind: Kind | None = None
    least: Bound = None
    most: Bound = None
    values: tuple[Any, ...] = ()
    expression: Expression | None = None

    @property
    def name(self) -> str:
        """How messages, outcomes and rows set aside name it."""
        return f"rule {self.position} ({' '.join(filter(None, (self.rule.kind, self.rule.feature)))})"


def column_types(group: FeatureGroup) -> dict[str, pa.DataType]:
    """The columns that rules can ask about: keys, event_time, known_time and features, with their Arrow types."""
    keys = {name: DTYPES[dtype] for name, dtype in zip(group.keys, group.key_dtypes, strict=True)}
    times = dict.fromkeys((EVENT_TIME, KNOWN_TIME), DTYPES["timestamp"])
    return keys | times | {feature.name: DTYPES[feature.dtype] for feature in group.features}


def read_rules(group: FeatureGroup) -> tuple[ReadRule, ...]:
    """The rules of a group, read and checked against its features; call it where a group is registered.

    Raises
    ------
    UsageError
        Naming group, rule, and of an expression line and column.

    Examples
    --------
    >>> from greywater.featurestore.definitions import FeatureField
    >>> score = FeatureField("score", "float64")
    >>> rule = ValidationRule("range", "score", {"least": 0, "most": 1000})
    >>> read_rules(FeatureGroup("credit", 1, ("customer",), ("string",), (score,), rules=(rule,)))[0].broken
    'score is not between 0 and 1000'
    """
    columns = column_types(group)
    found = []
    for position, rule in enumerate(group.rules, 1):
        where = f"group {group.name} version {group.version}, rule {position} ({rule.kind})"
        if rule.kind not in _readers:
            raise UsageError("no such kind of rule", where=where, mend=f"give one of {', '.join(_readers)}")
        if rule.action not in _actions:
            raise UsageError(f"no action {rule.action!r}", where=where, mend=f"give one of {', '.join(_actions)}")
        if rule.action == "quarantine" and {QUARANTINE_RULE, QUARANTINE_REASON} & set(columns):
            raise UsageError(
                "rows that are set aside need the columns of that name for themselves",
                where=where,
                mend=f"call no feature or key {QUARANTINE_RULE} or {QUARANTINE_REASON}",
            )
        allowed, about_one, read = _readers[rule.kind]
        _check_words(rule, allowed, about_one, columns, where)
        found.append(read(position, rule, columns, where))
    return tuple(found)


def _check_words(
    rule: ValidationRule, allowed: Sequence[str], about_one: bool, columns: Mapping[str, pa.DataType], where: str
) -> None:
    if strange := sorted(set(rule.parameters) - set(allowed)):
        mend = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        raise UsageError(f"no parameter {', '.join(map(repr, strange))}", where=where, mend=mend)
    if about_one and rule.feature not in columns:
        raise UsageError(
            f"the group has no feature {rule.feature!r}", where=where, mend="name a feature or a key of it"
        )
    if not about_one and rule.feature:
        raise UsageError(
            f"it is not about one feature, and names {rule.feature!r}", where=where, mend="leave the feature empty"
        )


# ------------------------------------------------------------ kinds of rules


def _range(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    kind = kind_of(columns[rule.feature])
    if kind not in ("whole", "number", "moment"):
        raise UsageError(
            f"{rule.feature} is {KINDS[kind or 'text']}, which has no range", where=where, mend="use one_of"
        )
    given = {name: rule.parameters.get(name) for name in ("least", "most")}
    least, most = (_bound(name, value, kind, where) for name, value in given.items())
    if least is None and most is None:
        raise UsageError("a range without bounds", where=where, mend="give least, most or both")
    if least is not None and most is not None and least > most:
        raise UsageError(f"least {given['least']} is above most {given['most']}", where=where)
    if most is None:
        broken = f"{rule.feature} is below {given['least']}"
    elif least is None:
        broken = f"{rule.feature} is above {given['most']}"
    else:
        broken = f"{rule.feature} is not between {given['least']} and {given['most']}"
    return ReadRule(position, rule, broken, kind, least, most)


def _bound(name: str, value: Any, kind: Kind, where: str) -> Bound:
    if value is None:
        return None
    if kind == "moment":
        moment = moment_of(value) if isinstance(value, str) else None
        if moment is None:
            raise UsageError(f"{name} {value!r} is not a moment", where=where, mend="write 2024-01-31T12:00:00Z")
        return moment
    return _number(name, value, where)


def _number(name: str, value: Any, where: str) -> int | float:
    whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if whole or (isinstance(value, float) and math.isfinite(value)):
        return value  # type: ignore[no-any-return]
    raise UsageError(f"{name} {value!r} is not a number that can be held", where=where, mend="give a finite number")


def _not_null(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    return ReadRule(position, rule, f"{rule.feature} has no value", kind_of(columns[rule.feature]))


def _null_share(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    most = _number("most", rule.parameters.get("most"), where)
    if not 0 <= most <= 1:
        raise UsageError(f"most {most} is not a share", where=where, mend="give 0 to 1")
    broken = f"{rule.feature} has no value, in more than {most:.4g} of the rows"
    return ReadRule(position, rule, broken, kind_of(columns[rule.feature]), most=most)


def _unique(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    return ReadRule(position, rule, "there is an earlier row of the same key and event time")


def _freshness(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    most = _number("most_seconds", rule.parameters.get("most_seconds"), where)
    if most <= 0:
        raise UsageError(f"most_seconds {most} is not above 0", where=where)
    return ReadRule(position, rule, f"the newest event time is more than {most:g} seconds ago", most=most)


def _one_of(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    kind = kind_of(columns[rule.feature])
    values = rule.parameters.get("values")
    if not isinstance(values, (list, tuple)) or not values:
        raise UsageError("there are no values", where=where, mend="give values, a list of those that are allowed")
    fits: dict[Kind, Callable[[Any], bool]] = {
        "text": lambda value: isinstance(value, str),
        "truth": lambda value: isinstance(value, bool),
        "whole": _is_number, "number": _is_number,
        "moment": lambda value: isinstance(value, str) and moment_of(value) is not None,
    }  # fmt: skip
    for value in values:
        if kind is None or not fits[kind](value):
            raise UsageError(
                f"{value!r} cannot be a value of {rule.feature}, which is {KINDS[kind or 'text']}", where=where
            )
    listed = ", ".join(repr(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")
    read = tuple(moment_of(value) for value in values) if kind == "moment" else tuple(values)
    return ReadRule(position, rule, f"{rule.feature} is none of {listed}", kind, values=read)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _expression(position: int, rule: ValidationRule, columns: Mapping[str, pa.DataType], where: str) -> ReadRule:
    text = rule.parameters.get("text")
    if not isinstance(text, str):
        raise UsageError("there is no text", where=where, mend="give text, a condition such as score >= 0")
    expression = Expression.parse(text, columns, where=where)
    if expression.kind != "truth":
        raise UsageError(
            f"the expression gives {KINDS[expression.kind]}, not true or false", where=where, mend="write a condition"
        )
    shown = " ".join(text.split())
    shown = shown if len(shown) <= 200 else f"{shown[:199]}…"
    return ReadRule(position, rule, f"it is not true that {shown}", "truth", expression=expression)


Reader = Callable[[int, ValidationRule, Mapping[str, pa.DataType], str], ReadRule]
#: Kind -> its parameters, whether it is about one feature, and what reads it.
_readers: Final[Mapping[str, tuple[tuple[str, ...], bool, Reader]]] = {
    "range": (("least", "most"), True, _range),
    "not_null": ((), True, _not_null),
    "null_share": (("most",), True, _null_share),
    "unique": ((), False, _unique),
    "freshness": (("most_seconds",), False, _freshness),
    "one_of": (("values",), True, _one_of),
    "expression": (("text",), False, _expression),
}
