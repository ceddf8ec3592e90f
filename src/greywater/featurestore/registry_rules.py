"""What the register holds and refuses: definitions with what was said later, states, joins, versions in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import STATES, FeatureGroup, FeatureView, State

if TYPE_CHECKING:
    from greywater.stores.feature_record_rows import Change, Definition, Kind

__all__ = [
    "ALLOWED", "allowed_change", "as_definition", "group_with", "known_state", "no_feature", "proper_words",
    "refuse_joins", "refuse_older", "refuse_other_words", "unknown_version", "view_with",
]  # fmt: skip

#: From which state into which. What is retired stays so: it is registered again as a new version.
ALLOWED: Final[Mapping[State, tuple[State, ...]]] = {
    "draft": ("active", "retired"),
    "active": ("deprecated", "retired"),
    "deprecated": ("active", "retired"),
    "retired": (),
}
#: What may be said of a thing later, beside its state.
_WORDS: Final = ("description", "owner", "team", "tags")


def as_definition(kind: Kind, thing: FeatureGroup | FeatureView) -> Definition:
    """The row of a group or a view."""
    from greywater.stores.feature_record_rows import Definition

    return Definition(kind, thing.name, thing.version, thing.fingerprint, thing.to_json(), "", datetime.min)


def group_with(definition: Definition, changes: Iterable[Change]) -> FeatureGroup:
    """A group as it was registered, with what was said of it and its features later."""
    group = FeatureGroup.from_json(definition.text)
    said: dict[str, dict[str, Any]] = {}
    for change in changes:
        if (change.name, change.version) == (definition.name, definition.version):
            value = tuple(change.value) if change.field == "tags" else change.value
            said.setdefault(change.feature, {})[change.field] = value
    features = tuple(replace(one, **said.get(one.name, {})) for one in group.features)
    words = {field: value for field, value in said.get("", {}).items() if field != "state"}
    return replace(group, features=features, **words)


def view_with(definition: Definition, changes: Iterable[Change]) -> FeatureView:
    """A view as it was registered, with what was said of it later."""
    said: dict[str, Any] = {
        change.field: tuple(change.value) if change.field == "tags" else change.value
        for change in changes
        if (change.name, change.version) == (definition.name, definition.version)
    }
    return replace(FeatureView.from_json(definition.text), **said)


def known_state(state: str) -> None:
    """Refuse what is no state."""
    if state not in STATES:
        raise UsageError(f"no state {state!r}", mend=f"give one of {', '.join(STATES)}")


def allowed_change(thing: str, was: State, state: State) -> None:
    """Refuse a state that the present one does not lead to."""
    if state != was and state not in ALLOWED[was]:
        mend = "; ".join(f"from {one} to {' or '.join(ALLOWED[one]) or 'nothing'}" for one in STATES)
        raise StoreError(f"{thing} is {was} and cannot become {state}", mend=f"states lead {mend}")


def proper_words(words: Mapping[str, Any], thing: str, feature: str) -> dict[str, Any]:
    """What is to be said of a thing, in JSON types; refuses everything but words."""
    may = ("description", "tags") if feature else _WORDS
    wrong = [word for word in words if word not in may]
    values: dict[str, Any] = {}
    for word, value in words.items():
        if word == "tags":
            wrong += [] if _is_texts(value) else ["tags"]
            values[word] = list(value) if _is_texts(value) else []
        else:
            wrong += [] if isinstance(value, str) else [word]
            values[word] = value
    if wrong:
        raise UsageError(
            f"{', '.join(dict.fromkeys(wrong))} cannot be said of {thing} later",
            mend=f"give {', '.join(may)} as texts (tags as a list of them), or register a new version",
        )
    return values


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def refuse_older(thing: FeatureGroup | FeatureView, kind: str, versions: Sequence[Definition]) -> None:
    """Refuse a new version that would stand before one that is registered."""
    newest = max((one.version for one in versions), default=0)
    if thing.version < newest:
        raise StoreError(
            f"{kind} {thing.name!r} has version {newest} already; version {thing.version} would come after it",
            mend=f"register it as version {newest + 1}",
        )


def refuse_other_words(thing: FeatureGroup | FeatureView, kind: str, versions: Sequence[Definition]) -> None:
    """Refuse a second definition that differs in words only, and say how words are changed."""
    newest = max(one.version for one in versions)
    raise StoreError(
        f"{kind} {thing.name!r} version {thing.version} is registered already, with other words (description, tags, "
        "owner, team or state)",
        mend=f"change the words with describe and set_state, or register it as version {newest + 1}",
    )


def refuse_joins(view: FeatureView, groups: Mapping[str, FeatureGroup]) -> None:
    """Refuse joins that name another group, or not one column for each key."""
    for name, columns in view.joins.items():
        keys = groups[name].keys if name in groups else ()
        if len(columns) != len(keys):
            found = f"the join gives {len(columns)} columns for {name!r}, whose keys are {', '.join(keys)}"
            raise UsageError(
                found if keys else f"the view joins {name!r} and reads nothing of it",
                where=f"view {view.name}@{view.version}",
                mend="give one column for each key of the groups that the view reads",
            )


def unknown_version(kind: str, name: str, version: int | None, held: Iterable[int]) -> StoreError:
    """The error of a group or a view that is not registered."""
    known = sorted(held)
    what = f"there is no {kind} {name!r}" + (f" version {version}" if version is not None and known else "")
    mend = f"name one of its versions: {', '.join(map(str, known))}" if known else f"register the {kind} first"
    return StoreError(what, mend=mend)


def no_feature(group: FeatureGroup, feature: str) -> StoreError:
    """The error of a feature that a group does not have."""
    names = ", ".join(list(group.by_name)[:20]) + (", ..." if len(group.features) > 20 else "")
    found = f"group {group.name}@{group.version} has no feature {feature!r}"
    return StoreError(found, mend=f"name one of {names}")
