"""What a rule is: a typology with its parameters, and the condition under which a payment hits it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from greywater.errors import UsageError
from greywater.features.expressions.tokens import Parameter
from greywater.features.requests import LONGEST_WINDOW
from greywater.features.window_labels import window_label
from greywater.vocab import MAX_AMOUNT

__all__ = ["ABOUT", "STATES", "About", "Origin", "Rule", "RuleParameter", "State", "Value", "size_of", "weight_of"]

State = Literal["on", "shadow", "off"]
About = Literal["sender", "receiver", "both"]
Value = int | float | str
#: on = evaluated and counted; shadow = evaluated and recorded, never alerts; off = not evaluated.
STATES: Final[tuple[State, ...]] = ("on", "shadow", "off")
ABOUT: Final[tuple[About, ...]] = ("sender", "receiver", "both")

_time: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_seconds: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_identifier: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def weight_of(severity: int) -> float:
    """What a hit of a rule adds to the score of a payment: 2^(severity - 1), so a step of severity counts twice.

    Examples
    --------
    >>> [weight_of(severity) for severity in (1, 2, 3, 4, 5)]
    [1.0, 2.0, 4.0, 8.0, 16.0]
    """
    return 2.0 ** (severity - 1)


@dataclass(frozen=True)
class Origin:
    """Where the condition of a rule begins in its file; `line` is 0 where that is not known."""

    file: str = ""
    line: int = 0
    column: int = 1


@dataclass(frozen=True)
class RuleParameter:
    """A number or a length of time that a rule can be tuned by.

    Parameters
    ----------
    name : str
        Stands as `$name` in the condition.
    default : int, float or str
        A text is a length of time ("48h"), where `unit` is "time".
    unit : str
        "money" (major units of the base currency), "time", "payments", "accounts", "ratio", ...
    least, most : int, float or str
        Bounds, included.
    meaning : str
        One sentence.
    value : int, float or str
        What is used; the default where nothing else was set.
    by_day : int, float or str, optional
        What takes the default's place on data whose columns have other windows because it is stamped to the day.
    """

    name: str
    default: Value
    unit: str
    least: Value
    most: Value
    meaning: str
    value: Value
    by_day: Value | None = None

    def with_value(self, value: Any, where: str) -> RuleParameter:
        """The parameter with another value.

        Raises
        ------
        UsageError
            It is not of the default's kind, or out of bounds.
        """
        if self.unit == "time":
            fits = isinstance(value, str) and _time.fullmatch(value) is not None
            wanted = "a length of time such as '48h'"
        elif isinstance(self.default, int) and self.unit != "money":
            fits, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        else:
            fits, wanted = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        if not fits:
            raise UsageError(
                f"parameter {self.name} is {str(value)[:40]!r}, which is not {wanted}",
                where=where,
                mend=f"give {wanted}",
            )
        if not isinstance(value, str) and abs(value) > MAX_AMOUNT:
            raise UsageError(
                f"parameter {self.name} = {str(value)[:40]} is larger than any amount or count",
                where=where,
                mend=f"give at most {MAX_AMOUNT}",
            )
        if not size_of(self.least) <= size_of(value) <= size_of(self.most):
            raise UsageError(
                f"parameter {self.name} = {value} is out of bounds",
                where=where,
                mend=f"give {self.least} to {self.most}",
            )
        return replace(self, value=value)

    def standing_in(self, exponent: int) -> Parameter:
        """What stands for `$name`: money as minor units, a length of time as seconds; in names as they are written."""
        value = self.value
        if self.unit == "time":
            return Parameter(int(size_of(value)), window_label(int(size_of(value))))
        if self.unit == "money":
            return Parameter(float(round(float(value) * 10**exponent)), _plain(value))
        return Parameter(value, _plain(value))


def size_of(value: Value) -> float:
    """A value as a number: seconds of a length of time.

    Examples
    --------
    >>> size_of("48h"), size_of(3)
    (172800, 3)
    """
    if not isinstance(value, str):
        return value
    match = _time.fullmatch(value)
    seconds = int(match[1]) * _seconds[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_WINDOW:
        raise UsageError(f"{value[:40]!r} is no length of time", mend="write 90s, 30m, 48h or 7d, at most 366d")
    return seconds


def _plain(value: Value) -> str:
    if isinstance(value, float):
        text = f"{value:.10f}".rstrip("0").rstrip(".")
        return text or "0"
    return str(value)


@dataclass(frozen=True)
class Rule:
    """A typology as data.

    Parameters
    ----------
    id : str
        Lower-case words with hyphens.
    version : int
        From 1; a change of the condition is a new version.
    title, description : str
        For people: one line, and what it looks for and why.
    source : str
        The typology or guidance that it restates.
    typologies : tuple of str
    about : {"sender", "receiver", "both"}
        Whom a hit is about.
    window : str
        The longest time it looks back, "48h"; may be `$name` of a parameter; empty where it looks at nothing before.
    severity : int
        1 (worth noting) to 5 (act today).
    mandatory : bool
        A hit always alerts, whatever other detectors say.
    segment : str
        A condition that limits it to some payments; empty = all.
    parameters : tuple of RuleParameter
    expression : str
        The condition under which a payment hits it.
    state : {"on", "shadow", "off"}
    why_off : str
        Why it is off by default, where it is.
    origin, segment_origin : Origin
        Where the condition and the segment are written; no part of what the rule is.
    """

    id: str
    version: int
    title: str
    description: str
    source: str
    typologies: tuple[str, ...]
    about: About
    window: str
    severity: int
    expression: str
    parameters: tuple[RuleParameter, ...] = ()
    mandatory: bool = False
    segment: str = ""
    state: State = "on"
    why_off: str = ""
    origin: Origin = field(default=Origin(), compare=False)
    segment_origin: Origin = field(default=Origin(), compare=False)

    def __post_init__(self) -> None:
        if not _identifier.fullmatch(self.id) or len(self.id) > 64:
            raise self._refused(f"{self.id[:80]!r} is no id of a rule", "write lower-case words with hyphens")
        if self.version < 1:
            raise self._refused(f"version {self.version} is below 1", "count versions from 1")
        if not 1 <= self.severity <= 5:
            raise self._refused(f"severity {self.severity} is not 1 to 5", "give 1 (worth noting) to 5 (act today)")
        if self.state == "off" and not self.why_off:
            raise self._refused("it is off and does not say why", "write why_off")
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise self._refused("two parameters have one name", "name each once")
        if self.window and self.window_seconds <= 0:
            raise self._refused(f"{self.window!r} is no window", "write 48h, or $name of a parameter of unit time")

    @property
    def where(self) -> str:
        """The rule as a message names it."""
        return f"{self.origin.file}, rule {self.id}" if self.origin.file else f"rule {self.id}"

    @property
    def weight(self) -> float:
        """What a hit adds to the score of a payment."""
        return weight_of(self.severity)

    @property
    def window_seconds(self) -> int:
        """Seconds that it looks back; 0 where it does not."""
        named = {f"${parameter.name}": parameter.value for parameter in self.parameters if parameter.unit == "time"}
        written = named.get(self.window, self.window)
        return int(size_of(written)) if _time.fullmatch(str(written)) else 0

    def standing_in(self, exponent: int) -> dict[str, Parameter]:
        """What stands for each `$name`; `exponent` = decimals of the base currency."""
        return {parameter.name: parameter.standing_in(exponent) for parameter in self.parameters}

    def with_parameters(self, values: Mapping[str, Any], where: str = "") -> Rule:
        """The rule with other values of some parameters.

        Raises
        ------
        UsageError
            There is no such parameter, or a value does not fit.
        """
        place = where or self.where
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in values:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise UsageError(
                    f"rule {self.id} has no parameter {str(name)[:40]!r}", where=place, mend=f"it has {listed}"
                )
        changed = tuple(
            parameter.with_value(values[parameter.name], place) if parameter.name in values else parameter
            for parameter in self.parameters
        )
        return replace(self, parameters=changed)

    def by_day(self) -> Rule:
        """The rule with the windows that data stamped to the day have, where a parameter was not set otherwise."""
        parameters = tuple(
            replace(each, value=each.by_day) if each.by_day is not None and each.value == each.default else each
            for each in self.parameters
        )
        return replace(self, parameters=parameters)

    def to_json(self) -> dict[str, Any]:
        """Everything it is, in JSON types, in the words of the TOML form."""
        return {
            "id": self.id, "version": self.version, "title": self.title, "description": self.description,
            "source": self.source, "typologies": list(self.typologies), "about": self.about, "window": self.window,
            "severity": self.severity, "mandatory": self.mandatory, "segment": self.segment, "state": self.state,
            "why_off": self.why_off, "expression": self.expression,
            "parameters": {
                each.name: {
                    "default": each.default, "unit": each.unit, "least": each.least, "most": each.most,
                    "meaning": each.meaning, "value": each.value,
                    **({} if each.by_day is None else {"by_day": each.by_day}),
                }
                for each in self.parameters
            },
        }  # fmt: skip

    def _refused(self, found: str, mend: str) -> UsageError:
        return UsageError(found, where=self.where, mend=mend)
