"""A set of rules: loaded, overridden by settings, checked, bound to the columns there are, evaluated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.detectors.rules.compiling import Words, check_rule, columns_of, compiled
from greywater.detectors.rules.hits import RowHits, RuleHits
from greywater.detectors.rules.program import Program
from greywater.detectors.rules.rule import Rule
from greywater.detectors.rules.rule_file import overridden, read_rules, read_settings, rule_of
from greywater.errors import FormatError, UsageError

__all__ = ["BoundRules", "RuleSet"]

#: The folder of the package that holds the rules shipped with it.
CATALOGUE: Final = "catalogue"
#: What changes the answers of a rule.
_telling: Final = ("id", "version", "about", "window", "severity", "mandatory", "segment", "state", "expression")


@dataclass(frozen=True)
class RuleSet:
    """Rules in order.

    Parameters
    ----------
    rules : tuple of Rule
    exponent : int
        Decimals of the base currency: parameters in money are in its major unit, amounts of payments in the minor one.

    Examples
    --------
    >>> rules = RuleSet.load()
    >>> len(rules.rules) >= 30
    True
    >>> rows = pa.table({"receiver.in.counterparties.1d": [4, 5]})
    >>> hits = rules.only(["fan-in"]).evaluate(rows)
    >>> hits.of("fan-in").tolist(), hits.values(1)
    ([False, True], {'fan-in': {'receiver.in.counterparties.1d': 5}})
    """

    rules: tuple[Rule, ...]
    exponent: int = 2
    _bound: dict[Any, BoundRules] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seen: dict[str, Rule] = {}
        for rule in self.rules:
            if rule.id in seen:
                raise UsageError(
                    f"two rules have the id {rule.id!r}",
                    where=f"{seen[rule.id].where}; {rule.where}",
                    mend="rename one",
                )
            seen[rule.id] = rule

    @classmethod
    def load(cls, place: Path | None = None, *, settings: Path | None = None, exponent: int = 2) -> RuleSet:
        """The rules of a TOML file, of all `*.toml` of a folder in the order of their names, or those of the package.

        Parameters
        ----------
        place : Path, optional
            File or folder; the rules that are shipped where left out.
        settings : Path, optional
            A TOML file that switches rules and sets parameters: `[rules.ID]`.
        exponent : int
            Decimals of the base currency.

        Raises
        ------
        FormatError, UsageError
            Something cannot be read; with file, line and column where there is one.
        """
        if place is None:
            folder = files("greywater.detectors.rules") / CATALOGUE
            paths = [(Path(str(each)), each.name) for each in folder.iterdir() if each.name.endswith(".toml")]
        elif place.is_dir():
            paths = [(each, str(each)) for each in place.glob("*.toml") if each.is_file()]
        else:
            paths = [(place, str(place))]
        rules = tuple(rule for path, name in sorted(paths) for rule in read_rules(path, name))
        if not rules:
            raise FormatError("there is no rule", where=str(place), mend="write [[rule]] into a file *.toml")
        made = cls(rules, exponent)
        return made if settings is None else made.with_settings(read_settings(settings), str(settings))

    def with_settings(self, settings: Mapping[str, Mapping[str, Any]], where: str = "settings") -> RuleSet:
        """The rules with what settings say of some: state, severity, mandatory, parameters."""
        return RuleSet(overridden(self.rules, settings, where), self.exponent)

    def joined(self, other: RuleSet) -> RuleSet:
        """These rules and others; a rule of the other set takes the place of one with its id."""
        theirs = {rule.id: rule for rule in other.rules}
        kept = tuple(theirs.pop(rule.id, rule) for rule in self.rules)
        return RuleSet(kept + tuple(theirs.values()), self.exponent)

    def by_day(self) -> RuleSet:
        """The rules with the windows that data stamped to the day have, for who settles what is to be computed."""
        return RuleSet(tuple(rule.by_day() for rule in self.rules), self.exponent)

    def only(self, ids: Sequence[str]) -> RuleSet:
        """The rules with these ids, in the order of the set; those that are off are put on.

        Raises
        ------
        UsageError
            There is no such rule.
        """
        overridden(self.rules, {name: {} for name in ids}, "rules")
        chosen = [rule for rule in self.rules if rule.id in set(ids)]
        on = tuple(replace(rule, state="on") if rule.state == "off" else rule for rule in chosen)
        return RuleSet(on, self.exponent)

    def rule(self, name: str) -> Rule:
        """The rule with this id.

        Raises
        ------
        UsageError
            There is none.
        """
        overridden(self.rules, {name: {}}, "rules")
        return next(rule for rule in self.rules if rule.id == name)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that must be there for all rules that are not off, each once: what is to be computed."""
        named = [name for rule in self.rules if rule.state != "off" for name in columns_of(rule, self.exponent)]
        return tuple(dict.fromkeys(named))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that changes an answer, 16 hex digits."""
        told = []
        for rule in self.rules:
            whole = rule.to_json()
            values = {parameter.name: parameter.value for parameter in rule.parameters}
            told.append({**{word: whole[word] for word in _telling}, "values": values})
        text = json.dumps([self.exponent, told], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check(self, catalog: Mapping[str, pa.DataType]) -> None:
        """Refuse rules that could never be evaluated; `catalog` holds the columns of the largest set of features."""
        for rule in self.rules:
            check_rule(rule, catalog, exponent=self.exponent)

    def bind(self, columns: pa.Schema, words: Words | None = None) -> BoundRules:
        """The rules over the columns there are: one whose columns are missing says so and stays off."""
        types = {column.name: column.type for column in columns}
        key = (tuple(types.items()), json.dumps(words, default=list))
        if key not in self._bound:
            self._bound.clear()
            self._bound[key] = BoundRules.of(self, types, words)
        return self._bound[key]

    def evaluate(self, rows: pa.Table | pa.RecordBatch, words: Words | None = None) -> RuleHits:
        """The answers for all rows, n payments of columns by name."""
        return self.bind(rows.schema, words).evaluate(rows)

    def to_json(self) -> str:
        """The set as JSON text."""
        return json.dumps({"exponent": self.exponent, "rules": [rule.to_json() for rule in self.rules]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> RuleSet:
        """The set that `to_json` wrote."""
        told = json.loads(text)
        return cls(tuple(rule_of(rule) for rule in told["rules"]), int(told["exponent"]))


@dataclass(frozen=True)
class BoundRules:
    """Rules over columns that are there.

    Parameters
    ----------
    rules : tuple of Rule
        All of the set; on data stamped to the day (a calendar without hours) one whose columns are missing stands with
        the windows that it names for such data.
    active : tuple of int
        Places of those that are evaluated.
    off : mapping of str to str
        The others, and why they are not.
    program : Program
        The active rules, merged.
    read : mapping of str to tuple of str
        The columns that each active rule reads.
    """

    rules: tuple[Rule, ...]
    active: tuple[int, ...]
    off: Mapping[str, str]
    program: Program
    read: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, rule_set: RuleSet, types: Mapping[str, pa.DataType], words: Words | None) -> BoundRules:
        """Compile the rules whose columns are there."""
        off: dict[str, str] = {}
        rules = list(rule_set.rules)
        stamped_to_the_day = "calendar.weekday" in types and "calendar.hour" not in types
        active, made = [], []
        for place, rule in enumerate(rule_set.rules):
            if rule.state == "off":
                off[rule.id] = rule.why_off
                continue
            missing = [name for name in columns_of(rule, rule_set.exponent) if name not in types]
            if missing and stamped_to_the_day:
                rules[place] = rule.by_day()
                missing = [name for name in columns_of(rules[place], rule_set.exponent) if name not in types]
            if missing:
                more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
                off[rule.id] = f"the data have no {', '.join(missing[:2])}{more}"
                continue
            try:
                made.append(compiled(rules[place], types, exponent=rule_set.exponent, words=words))
            except UsageError as error:
                if words is not None or not any(".attribute." in name for name in columns_of(rule, rule_set.exponent)):
                    raise
                off[rule.id] = f"what the codes of attributes mean is not known here: {error.found}"
                continue
            active.append(place)
        read = {rules[place].id: each.columns for place, each in zip(active, made, strict=True)}
        return cls(tuple(rules), tuple(active), off, Program.of(made), read)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, in the order in which `one` takes their values."""
        return self.program.columns

    def evaluate(self, rows: pa.Table | pa.RecordBatch) -> RuleHits:
        """The answers for all rows."""
        found = self.program.evaluate(rows)
        if len(self.active) < len(self.rules):
            found = (self._spread(found[0]), self._spread(found[1]))
        return RuleHits(self.rules, *found, self.off, self.read, rows)

    def one(self, values: Sequence[Any]) -> RowHits:
        """The answers for one payment, given the values of `columns` in order (None or NaN = not known)."""
        hits, shadow, score, mandatory = [], [], 0.0, False
        for place, answer in zip(self.active, self.program.one(values), strict=True):
            if answer:
                rule = self.rules[place]
                if rule.state == "on":
                    hits.append(rule.id)
                    score += rule.weight
                    mandatory = mandatory or rule.mandatory
                else:
                    shadow.append(rule.id)
        return RowHits(tuple(hits), tuple(shadow), score, mandatory)

    def _spread(self, found: np.ndarray) -> np.ndarray:
        """Columns of all rules from those of the active ones."""
        whole = np.zeros((len(found), len(self.rules)), np.bool_, order="F")
        whole[:, list(self.active)] = found
        return whole
