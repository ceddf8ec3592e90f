"""What a group of features and a view are: data, with a JSON form and a fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa

from greywater.errors import UsageError
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, GroupLayout

__all__ = [
    "DTYPES", "STATES", "FeatureField", "FeatureGroup", "FeatureView", "RequestValue", "ValidationRule", "ViewFeature",
]  # fmt: skip

Value = str | int | float | bool | None
State = Literal["draft", "active", "deprecated", "retired"]
STATES: Final[tuple[State, ...]] = ("draft", "active", "deprecated", "retired")
#: Names of dtypes and what they are in Arrow.
DTYPES: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(), "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "float32": pa.float32(), "float64": pa.float64(), "string": pa.string(), "timestamp": pa.timestamp("us", tz="UTC"),
}  # fmt: skip
#: Names that rows use for themselves.
TAKEN: Final = frozenset({EVENT_TIME, KNOWN_TIME, "commit", "key_high", "key_low", "day"})
#: The greatest number of 32 bits.
FLOAT32_MAX: Final = 2.0**128 - 2.0**104

_group_name: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_column_name: Final = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]{1,127}")
_feature_name: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.,\-\[\] ]{0,126}")


@dataclass(frozen=True)
class FeatureField:
    """One feature of a group.

    Parameters
    ----------
    name : str
    dtype : str
        One of DTYPES.
    unit, description : str
    tags : tuple of str
    online : bool
        Whether it is served online.
    default : str, int, float, bool or None
        What an unknown entity has; None = missing.
    protected : bool
        A protected attribute (age, origin...): serves fairness reports only unless a project allows more.
    state : str
        One of STATES; a retired feature is refused for new views.
    """

    name: str
    dtype: str
    unit: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    online: bool = True
    default: Value = None
    protected: bool = False
    state: State = "active"

    def __post_init__(self) -> None:
        if not _feature_name.fullmatch(self.name) or self.name in TAKEN:
            raise UsageError(
                f"{self.name!r} cannot be the name of a feature",
                mend=f"use letters, digits, _ . - and not {', '.join(sorted(TAKEN))}",
            )
        _refuse_value(self.name, self.dtype, self.default)
        if self.state not in STATES:
            raise UsageError(f"no state {self.state!r}", where=self.name, mend=f"give one of {', '.join(STATES)}")
        for flag in ("online", "protected"):
            if not isinstance(getattr(self, flag), bool):
                raise UsageError(f"{flag} is {getattr(self, flag)!r}", where=self.name, mend="give true or false")


@dataclass(frozen=True)
class ValidationRule:
    """What is asked of the rows at write.

    Parameters
    ----------
    kind : {"range", "not_null", "null_share", "unique", "freshness", "one_of", "expression"}
    feature : str
        Feature or key; empty for `unique` (over keys and event time), `freshness` and `expression`.
    parameters : dict
        range: least, most; null_share: most; one_of: values; freshness: most_seconds; expression: text.
    action : {"reject", "quarantine", "warn"}
        reject: nothing is written; quarantine: rows that break it are kept aside with the reason; warn: counted.
    """

    kind: Literal["range", "not_null", "null_share", "unique", "freshness", "one_of", "expression"]
    feature: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    action: Literal["reject", "quarantine", "warn"] = "reject"


@dataclass(frozen=True)
class FeatureGroup:
    """One version of a group: rows of features about an entity, each of a moment.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores.
    version : int
        From 1.
    keys : tuple of str
        Columns that name the entity.
    key_dtypes : tuple of str
        "string" or "int64", one a key.
    features : tuple of FeatureField
    description, owner, team : str
    tags : tuple of str
    rules : tuple of ValidationRule
    ttl_seconds : int
        Online values older than this count as unknown (event time of the value against the moment asked for);
        0 = never.

    Examples
    --------
    >>> group = FeatureGroup("credit", 1, ("customer",), ("string",), (FeatureField("score", "float64"),))
    >>> FeatureGroup.from_json(group.to_json()) == group
    True
    >>> group.layout.keys
    ('customer',)
    """

    name: str
    version: int
    keys: tuple[str, ...]
    key_dtypes: tuple[str, ...]
    features: tuple[FeatureField, ...]
    description: str = ""
    owner: str = ""
    team: str = ""
    tags: tuple[str, ...] = ()
    rules: tuple[ValidationRule, ...] = ()
    ttl_seconds: int = 0

    def __post_init__(self) -> None:
        if not _group_name.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot be the name of a group",
                mend="use lower-case letters, digits and _, beginning with a letter",
            )
        _refuse_version(self.name, self.version)
        if not _is_whole(self.ttl_seconds) or self.ttl_seconds < 0:
            raise UsageError(f"ttl_seconds is {self.ttl_seconds!r}", where=self.name, mend="give whole seconds from 0")
        if not self.keys or len(self.keys) != len(self.key_dtypes) or set(self.key_dtypes) - {"string", "int64"}:
            raise UsageError("a group needs keys, each string or int64", where=self.name)
        _refuse_names(self.name, self.keys)
        # A Delta table tells no columns apart by upper and lower case.
        names = [name.lower() for name in (*self.keys, *(feature.name for feature in self.features))]
        if len(set(names)) < len(names) or TAKEN & set(names) or not self.features:
            raise UsageError(
                "keys and features need names of their own, also in lower case, and there must be a feature",
                where=self.name,
                mend=f"leave out doubles and {', '.join(sorted(TAKEN))}",
            )

    @property
    def layout(self) -> GroupLayout:
        """As the offline store wants it; string or int64 keys come first in its rows."""
        schema = pa.schema([pa.field(feature.name, DTYPES[feature.dtype]) for feature in self.features])
        return GroupLayout(self.name, self.version, self.keys, schema, self.key_dtypes)

    @property
    def by_name(self) -> dict[str, FeatureField]:
        """Features by name."""
        return {feature.name: feature for feature in self.features}

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FeatureGroup:
        """The group that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        features = tuple(FeatureField(**{**one, "tags": tuple(one["tags"])}) for one in fields.pop("features"))
        rules = tuple(ValidationRule(**one) for one in fields.pop("rules"))
        fields |= {name: tuple(fields[name]) for name in ("keys", "key_dtypes", "tags")}
        return cls(features=features, rules=rules, **fields)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what its values mean (keys, names, dtypes, units), 16 hex digits."""
        columns = [[one.name, one.dtype, one.unit] for one in self.features]
        text = json.dumps([self.name, self.version, self.keys, self.key_dtypes, columns])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ViewFeature:
    """One feature of a view: from which group, and under which name the view gives it (empty = its own)."""

    group: str
    version: int
    feature: str
    alias: str = ""

    @property
    def name(self) -> str:
        """The name in the view."""
        return self.alias or self.feature


@dataclass(frozen=True)
class RequestValue:
    """A value that comes with the request and not from the store, at its place in the view."""

    name: str
    dtype: str
    default: Value = None

    def __post_init__(self) -> None:
        _refuse_value(self.name, self.dtype, self.default)


@dataclass(frozen=True)
class FeatureView:
    """An ordered list of features of several groups, with values of the request, for one kind of model.

    Parameters
    ----------
    name : str
    version : int
    columns : tuple of ViewFeature or RequestValue
        In the order of a vector.
    joins : mapping of str to tuple of str
        Group name to the label rows' (or request's) columns that hold its keys, where they are called otherwise.
    label : str
        Name of the label column of training sets; empty = none.
    description, owner, team : str
    tags : tuple of str
    state : str

    Examples
    --------
    >>> view = FeatureView("risk", 1, (ViewFeature("credit", 1, "score"), RequestValue("amount", "float64")))
    >>> view.names, FeatureView.from_json(view.to_json()) == view
    (('score', 'amount'), True)
    """

    name: str
    version: int
    columns: tuple[ViewFeature | RequestValue, ...]
    joins: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    label: str = ""
    description: str = ""
    owner: str = ""
    team: str = ""
    tags: tuple[str, ...] = ()
    state: State = "active"

    def __post_init__(self) -> None:
        if not _group_name.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot be the name of a view",
                mend="use lower-case letters, digits and _, beginning with a letter",
            )
        _refuse_version(self.name, self.version)
        if self.state not in STATES:
            raise UsageError(f"no state {self.state!r}", where=self.name, mend=f"give one of {', '.join(STATES)}")
        _refuse_names(self.name, [*self.names, *([self.label] if self.label else [])])
        for joined in self.joins.values():
            _refuse_names(self.name, joined)
        if not self.columns or len(set(self.names)) < len(self.columns):
            raise UsageError(
                "a view needs columns with names of their own", where=self.name, mend="give an alias to doubles"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def features(self) -> tuple[ViewFeature, ...]:
        """The columns that come from groups."""
        return tuple(column for column in self.columns if isinstance(column, ViewFeature))

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """The groups read, each once, in order of first use."""
        return tuple(dict.fromkeys((column.group, column.version) for column in self.features))

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FeatureView:
        """The view that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        columns = tuple(
            ViewFeature(**one) if "feature" in one else RequestValue(**one) for one in fields.pop("columns")
        )
        joins = {group: tuple(names) for group, names in fields.pop("joins").items()}
        return cls(columns=columns, joins=joins, tags=tuple(fields.pop("tags")), **fields)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what a vector holds (columns in order and how they are joined), 16 hex digits."""
        text = json.dumps([[asdict(column) for column in self.columns], {k: list(v) for k, v in self.joins.items()}])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse_names(where: str, names: Iterable[Any]) -> None:
    """Refuse what cannot be the name of a column: it is one of files, too."""
    for name in names:
        if not isinstance(name, str) or not _column_name.fullmatch(name):
            raise UsageError(
                f"{name!r:.60} cannot be the name of a column",
                where=where,
                mend="use 1 to 127 characters, neither / nor \\ nor control characters",
            )


def _refuse_version(name: str, version: Any) -> None:
    if not _is_whole(version) or version < 1:
        raise UsageError(f"version {version!r}", where=name, mend="versions count from 1")


def _refuse_value(name: str, dtype: str, default: Any) -> None:
    """Refuse a dtype that there is not, and a default that is none of its values."""
    if dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}", where=name, mend=f"give one of {', '.join(DTYPES)}")
    if default is None:
        return
    if dtype in ("bool", "string"):
        fits = isinstance(default, bool if dtype == "bool" else str)
    elif dtype.startswith("float"):
        greatest = FLOAT32_MAX if dtype == "float32" else math.inf
        fits = isinstance(default, float) and math.isfinite(default) and abs(default) <= greatest
        fits = fits or (_is_whole(default) and abs(default) <= 2**53)
    else:
        bits = DTYPES[dtype].bit_width
        fits = _is_whole(default) and -(2 ** (bits - 1)) <= default < 2 ** (bits - 1)
    if not fits:
        kind = "a timestamp: whole microseconds since 1970" if dtype == "timestamp" else f"a finite {dtype}"
        raise UsageError(f"the default {default!r} is no {dtype}", where=name, mend=f"give {kind}, or none")
