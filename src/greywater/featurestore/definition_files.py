"""Groups and views as TOML files: what a person writes, read into definitions with errors that name the place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from greywater.errors import FormatError, UsageError
from greywater.featurestore.definitions import (
    FeatureField,
    FeatureGroup,
    FeatureView,
    RequestValue,
    ValidationRule,
    ViewFeature,
)

__all__ = ["read_definitions"]

Definition = FeatureGroup | FeatureView
Made = TypeVar("Made")

GROUP_WORDS: Final = frozenset(field.name for field in fields(FeatureGroup)) - {"key_dtypes"}
VIEW_WORDS: Final = frozenset(field.name for field in fields(FeatureView))
FEATURE_WORDS: Final = frozenset(field.name for field in fields(FeatureField))
RULE_WORDS: Final = frozenset({"kind", "feature", "action"})


def read_definitions(path: Path) -> list[Definition]:
    """Read the groups and views of a TOML file, groups first.

    Parameters
    ----------
    path : Path
        A file with tables `[[group]]` and `[[view]]`.

    Returns
    -------
    list of FeatureGroup and FeatureView

    Raises
    ------
    FormatError
        The file is no TOML, or has words that mean nothing; the message names the table.
    UsageError
        A definition contradicts itself.

    Examples
    --------
    >>> text = '''
    ... [[group]]
    ... name = "credit"
    ... version = 1
    ... keys = { customer = "string" }
    ... [[group.features]]
    ... name = "score"
    ... dtype = "float64"
    ... [[view]]
    ... name = "risk"
    ... version = 1
    ... columns = ["credit:1/score", { request = "amount", dtype = "float64", default = 0.0 }]
    ... '''
    >>> place = getfixture("tmp_path") / "features.toml"
    >>> _ = place.write_text(text)
    >>> [one.name for one in read_definitions(place)]
    ['credit', 'risk']
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise FormatError("the file is not UTF-8 text", where=str(path), mend="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"this is no TOML: {error}", where=str(path), mend="mend that line") from None
    unknown = set(tables) - {"group", "view"}
    if unknown or not tables:
        found = f"the tables {', '.join(sorted(unknown))} mean nothing here" if unknown else "nothing is defined"
        raise FormatError(found, where=str(path), mend="give [[group]] and [[view]]")
    groups = [_group(one, f"{path}, group {number}") for number, one in _numbered(tables, "group", path)]
    views = [_view(one, f"{path}, view {number}") for number, one in _numbered(tables, "view", path)]
    return [*groups, *views]


def _numbered(tables: Mapping[str, Any], name: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    found = tables.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{name} is no list of tables", where=str(path), mend=f"write [[{name}]]")
    return list(enumerate(found, 1))


def _group(table: dict[str, Any], where: str) -> FeatureGroup:
    _known(table, GROUP_WORDS, where)
    keys = table.get("keys")
    if not isinstance(keys, dict) or not keys:
        raise FormatError("keys are missing", where=where, mend='write keys = { customer = "string" }')
    features = []
    for number, one in enumerate(_list(table, "features", where), 1):
        _known(one, FEATURE_WORDS, f"{where}, feature {number}")
        place = f"{where}, feature {number}"
        features.append(_made(FeatureField, {**one, "tags": _texts(one.get("tags", []), "tags", place)}, place))
    rules = []
    for number, one in enumerate(_list(table, "rules", where), 1):
        words = {name: one[name] for name in RULE_WORDS & set(one)}
        given = {name: value for name, value in one.items() if name not in RULE_WORDS}
        rules.append(_made(ValidationRule, {**words, "parameters": given}, f"{where}, rule {number}"))
    rest = {name: value for name, value in table.items() if name not in ("keys", "features", "rules", "tags")}
    lists = {
        "keys": tuple(keys), "key_dtypes": tuple(keys.values()), "features": tuple(features), "rules": tuple(rules),
        "tags": _texts(table.get("tags", []), "tags", where),
    }  # fmt: skip
    return _made(FeatureGroup, {**rest, **lists}, where)


def _view(table: dict[str, Any], where: str) -> FeatureView:
    _known(table, VIEW_WORDS, where)
    listed, joined = table.get("columns", []), table.get("joins", {})
    if not isinstance(listed, list):
        raise FormatError("columns is no list", where=where, mend='write columns = ["group:1/feature"]')
    if not isinstance(joined, dict):
        raise FormatError("joins is no table", where=where, mend='write joins = { group = ["column"] }')
    columns = [_column(one, f"{where}, column {k}") for k, one in enumerate(listed, 1)]
    joins = {group: _texts(names, f"the join of {group}", where) for group, names in joined.items()}
    rest = {name: value for name, value in table.items() if name not in ("columns", "joins", "tags")}
    given = {"columns": tuple(columns), "joins": joins, "tags": _texts(table.get("tags", []), "tags", where)}
    return _made(FeatureView, {**rest, **given}, where)


def _column(one: Any, where: str) -> ViewFeature | RequestValue:
    """`group:version/feature`, the same as a table with an alias, or a value of the request."""
    if isinstance(one, str):
        one = {"feature": one}
    if isinstance(one, dict) and "request" in one:
        _known(one, frozenset({"request", "dtype", "default"}), where)
        return _made(RequestValue, {"name": one["request"], **{k: one[k] for k in one if k != "request"}}, where)
    if not isinstance(one, dict) or "feature" not in one:
        mend = 'write "group:1/feature" or { request = "amount", dtype = "float64" }'
        raise FormatError("this is no column", where=where, mend=mend)
    _known(one, frozenset({"feature", "alias"}), where)
    group, slash, feature = str(one["feature"]).partition("/")
    name, colon, version = group.partition(":")
    if not slash or not colon or not version.isdecimal():
        raise FormatError(f"{one['feature']!r} names no feature", where=where, mend='write "group:1/feature"')
    return ViewFeature(name, int(version), feature, one.get("alias", ""))


def _list(table: Mapping[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    found = table.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{name} is no list of tables", where=where, mend=f"write [[group.{name}]]")
    return found


def _texts(found: Any, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise FormatError(f"{name} is no list of texts", where=where, mend='write ["one", "another"]')
    return tuple(found)


def _known(table: Mapping[str, Any], words: frozenset[str], where: str) -> None:
    unknown = set(table) - words
    if unknown:
        raise FormatError(
            f"{', '.join(sorted(unknown))} means nothing here", where=where, mend=f"use {', '.join(sorted(words))}"
        )


def _made(kind: type[Made], values: dict[str, Any], where: str) -> Made:
    """The definition; what contradicts itself is told with its place in the file."""
    try:
        return kind(**values)
    except UsageError as error:
        raise UsageError(
            error.found, where=f"{where}, {error.where}" if error.where else where, mend=error.mend
        ) from None
    except TypeError as error:
        missing = str(error).rpartition(":")[2].strip() or str(error)
        raise FormatError(f"something is missing: {missing}", where=where, mend="give it") from None
