"""The use case that holds the rows of a group against rules: how many, what they break, how they drift."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa

from greywater.app.features import feature_store
from greywater.config import Settings
from greywater.errors import EmptyInputError, RefusedValueError
from greywater.featurestore.definitions import FeatureGroup, ValidationRule
from greywater.featurestore.drift import Window
from greywater.featurestore.store import FeatureStore
from greywater.featurestore.validation import RuleOutcome, check
from greywater.featurestore.validation_rules import column_types, read_rules
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME
from greywater.vocab import Actor, Progress

__all__ = ["DriftAsked", "ValidateRequest", "Validation", "narrowed", "validate_features"]


@dataclass(frozen=True)
class DriftAsked:
    """Two windows to compare, the features (empty = all), and whether drift stops (`reject`) or is only said."""

    reference: Window
    live: Window
    features: tuple[str, ...] = ()
    action: Literal["reject", "warn"] = "warn"


@dataclass(frozen=True)
class ValidateRequest:
    """What is asked of a group's rows.

    Parameters
    ----------
    group : str
        A registered group.
    version : int, optional
        None = the newest active one.
    least_rows : int
        Fewer are refused.
    rules : tuple of ValidationRule
        `reject` refuses, `warn` is only said. Columns that rules read are in memory at once.
    drift : DriftAsked, optional
    """

    group: str
    version: int | None = None
    least_rows: int = 1
    rules: tuple[ValidationRule, ...] = ()
    drift: DriftAsked | None = None


@dataclass(frozen=True)
class Validation:
    """What was found: the rows, what became of each rule, which features drifted, and all that is only to be said."""

    group: str
    rows: int
    outcomes: tuple[RuleOutcome, ...] = ()
    drifted: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        rules = [{"rule": one.name, "action": one.action, "rows": one.rows} for one in self.outcomes]
        return {
            "group": self.group, "rows": self.rows, "rules": rules, "drifted": list(self.drifted),
            "warnings": list(self.warnings),
        }  # fmt: skip


def validate_features(
    actor: Actor, settings: Settings, request: ValidateRequest, progress: Progress | None = None
) -> Validation:
    """Hold the rows of a group against rules, and compare two windows of it.

    Nothing is written but the drift that was measured.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `write_features`.
    settings : Settings
        Store and project.
    request : ValidateRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    EmptyInputError
        There are fewer rows than asked for.
    RefusedValueError
        A rule that rejects is broken, or features drifted where that rejects.
    UsageError
        A rule does not fit the group.
    StoreError
        There is no such group.
    """
    with feature_store(actor, settings, "write_features", f"validation of {request.group}") as (store, detail):
        group = store.registry.group(request.group, request.version)
        name = f"{group.name}@{group.version}"
        asked = narrowed(group, request.rules)
        if progress is not None:
            progress.step(f"validating {name}")
        rows = _rows(store, asked)
        if rows.num_rows < request.least_rows:
            raise EmptyInputError(
                f"{name} has {rows.num_rows:,} rows, fewer than the {request.least_rows:,} asked for", where=name,
                mend="record more payments and backfill them, or ask for fewer",
            )  # fmt: skip
        outcomes = _outcomes(rows, asked)
        drifted = _drifted(store, group, request.drift)
        warnings = [one.sentence for one in outcomes if one.rows and one.action == "warn"]
        if drifted and request.drift is not None and request.drift.action == "warn":
            warnings.append(f"{len(drifted)} features drifted, among them {', '.join(drifted[:5])}")
        found = Validation(name, rows.num_rows, outcomes, drifted, tuple(warnings))
        detail.update(found.to_json())
        _refuse(found, request)
    return found


def narrowed(group: FeatureGroup, rules: Sequence[ValidationRule]) -> FeatureGroup:
    """The group with these rules and only the features that they can read.

    Raises
    ------
    UsageError
        A rule does not fit the group.
    """
    whole = replace(group, rules=tuple(rules))
    free = any(rule.expression is not None for rule in read_rules(whole))
    read = {rule.feature for rule in rules}
    kept = tuple(one for one in group.features if free or one.name in read)
    return replace(whole, features=kept or group.features[:1])


def _rows(store: FeatureStore, group: FeatureGroup) -> pa.Table:
    """The rows of the group with the columns that its rules read."""
    kinds = column_types(group)
    names = [*group.keys, EVENT_TIME, KNOWN_TIME, *(one.name for one in group.features)]
    batches = list(store.offline.scan(group.name, group.version, names))
    if not batches:
        return pa.schema([(name, kinds[name]) for name in names]).empty_table()
    return pa.Table.from_batches(batches)


def _outcomes(rows: pa.Table, group: FeatureGroup) -> tuple[RuleOutcome, ...]:
    """What became of each rule; the rows are there already, so no rule sets any aside or refuses them here."""
    told = replace(group, rules=tuple(replace(rule, action="warn") for rule in group.rules))
    found = check(rows, told, time.time_ns() // 1000).outcomes
    return tuple(replace(one, action=rule.action) for one, rule in zip(found, group.rules, strict=True))


def _drifted(store: FeatureStore, group: FeatureGroup, asked: DriftAsked | None) -> tuple[str, ...]:
    if asked is None:
        return ()
    report = store.drift(
        group.name, asked.reference, asked.live, version=group.version, features=asked.features or None
    )
    for window, size in ((report.reference, report.reference_rows), (report.live, report.live_rows)):
        if not size:
            raise EmptyInputError(
                f"{group.name} has no row in {window}, so nothing can be compared", where="drift",
                mend="name windows that hold payments",
            )  # fmt: skip
    return tuple(dict.fromkeys(row.feature for row in report.alerts))


def _refuse(found: Validation, request: ValidateRequest) -> None:
    broken = [one.sentence for one in found.outcomes if one.rows and one.action == "reject"]
    if found.drifted and request.drift is not None and request.drift.action == "reject":
        broken.append(f"{len(found.drifted)} features drifted, among them {', '.join(found.drifted[:5])}")
    if broken:
        raise RefusedValueError(
            "; ".join(broken), where=found.group, mend="mend where the payments come from, or let the rule warn"
        )
