"""What differs between two versions of a group, and whether those who read the old one can read the new one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from greywater.featurestore.definitions import FeatureField, FeatureGroup

__all__ = ["SchemaChange", "compare_groups"]

#: What may be said of a feature or a group without any value meaning something else.
_WORDS = frozenset({"description", "tags", "owner", "team", "state"})


@dataclass(frozen=True)
class SchemaChange:
    """One difference: what changed, in a sentence, and whether old readers may go on.

    Parameters
    ----------
    what : str
        Feature, `keys`, `rules`, `ttl_seconds` or the name of a text.
    told : str
        A sentence.
    compatible : bool
        True for a new optional feature at the end, and for words (description, tags, owner, team, state).
    """

    what: str
    told: str
    compatible: bool


def compare_groups(old: FeatureGroup, new: FeatureGroup) -> tuple[SchemaChange, ...]:
    """All differences between two versions of a group.

    Compatible are: new features after all old ones, where no rule refuses rows without them; other words
    (description, tags, owner, team, state of a feature); new rules that only warn; a feature served online that was
    not. Everything else (keys, an old feature that is gone, moved, of another dtype or unit, with another default,
    protected or no longer so, a rule that is gone or refuses rows, another time to live) changes what a value means
    or whether a row is taken, and needs a version of its own.

    Examples
    --------
    >>> old = FeatureGroup("credit", 1, ("customer",), ("string",), (FeatureField("score", "float64"),))
    >>> new = FeatureGroup("credit", 2, ("customer",), ("string",), (*old.features, FeatureField("band", "string")))
    >>> [(one.what, one.compatible) for one in compare_groups(old, new)]
    [('band', True)]
    >>> [(one.told, one.compatible) for one in compare_groups(new, old)]
    [("feature 'band' is gone", False)]
    """
    return (*_of_group(old, new), *_of_features(old, new), *_of_rules(old, new))


def _of_group(old: FeatureGroup, new: FeatureGroup) -> Iterator[SchemaChange]:
    if old.name != new.name:
        yield SchemaChange("name", f"{old.name!r} and {new.name!r} are two groups", False)
    if (old.keys, old.key_dtypes) != (new.keys, new.key_dtypes):
        yield SchemaChange("keys", f"the keys were {', '.join(old.keys)} and are {', '.join(new.keys)}", False)
    if old.ttl_seconds != new.ttl_seconds:
        told = f"values lived {old.ttl_seconds} s and live {new.ttl_seconds} s"
        yield SchemaChange("ttl_seconds", told, False)
    for name in ("description", "owner", "team", "tags"):
        if getattr(old, name) != getattr(new, name):
            yield SchemaChange(name, f"{name} differs", True)


def _of_features(old: FeatureGroup, new: FeatureGroup) -> Iterator[SchemaChange]:
    kept = [one.name for one in new.features if one.name in old.by_name]
    known = [one.name for one in old.features if one.name in new.by_name]
    for name in old.by_name:
        if name not in new.by_name:
            yield SchemaChange(name, f"feature {name!r} is gone", False)
        else:
            yield from _of_feature(old.by_name[name], new.by_name[name])
    if kept != known:
        yield SchemaChange("order", "features that were there stand in another order", False)
    last_old = max((place for place, one in enumerate(new.features) if one.name in old.by_name), default=-1)
    for place, feature in enumerate(new.features):
        if feature.name in old.by_name:
            continue
        if place < last_old:
            yield SchemaChange(feature.name, f"new feature {feature.name!r} stands before old ones", False)
            continue
        asked = [rule for rule in new.rules if rule.feature == feature.name and rule.action != "warn"]
        needed = [rule for rule in asked if rule.kind in ("not_null", "null_share")]
        told = f"new feature {feature.name!r}" + (" that a row must have" if needed else "")
        yield SchemaChange(feature.name, told, not needed)


def _of_feature(old: FeatureField, new: FeatureField) -> Iterator[SchemaChange]:
    for one in fields(FeatureField):
        was, becomes = getattr(old, one.name), getattr(new, one.name)
        if was == becomes and type(was) is type(becomes):
            continue
        compatible = one.name in _WORDS or (one.name == "online" and becomes)
        yield SchemaChange(new.name, f"{one.name} of {new.name!r} was {was!r} and is {becomes!r}", compatible)


def _of_rules(old: FeatureGroup, new: FeatureGroup) -> Iterator[SchemaChange]:
    added = {one.name for one in new.features} - {one.name for one in old.features}
    for rule in old.rules:
        if rule not in new.rules:
            yield SchemaChange("rules", f"rule {rule.kind} of {rule.feature or 'the rows'} is gone", False)
    for rule in new.rules:
        if rule not in old.rules:
            compatible = rule.action == "warn" or (
                rule.feature in added and rule.kind not in ("not_null", "null_share")
            )
            yield SchemaChange("rules", f"new rule {rule.kind} of {rule.feature or 'the rows'}", compatible)
