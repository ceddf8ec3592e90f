"""The rows of the feature store's records, as they are read back, and the tables they lie in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa

from greywater.stores.record_database import table

__all__ = [
    "BINDINGS",
    "COMMITS",
    "DOCUMENTS",
    "DOCUMENT_FIELDS",
    "DRIFT",
    "EDGES",
    "GROUPS",
    "SERVED",
    "STATES",
    "TERMS",
    "TRAINING_SETS",
    "USES",
    "VIEWS",
    "BindingRecord",
    "Change",
    "CommitRecord",
    "Definition",
    "DriftRecord",
    "Edge",
    "Kind",
    "Node",
    "SearchDocument",
    "ServedRecord",
    "TrainingSetRecord",
    "UseRecord",
]

Kind = Literal["group", "view"]

META: Final = sa.MetaData()
_defined: Final[dict[str, Any]] = {
    "name": str, "version": int, "fingerprint": str, "definition": str, "sha256": str, "principal": str, "at_us": int,
}  # fmt: skip
GROUPS: Final = table(META, "feature_groups", **_defined)
VIEWS: Final = table(META, "feature_views", **_defined)
STATES: Final = table(
    META, "feature_states", id=int, kind=str, name=str, version=int, feature=str, field=str, value=str, principal=str,
    at_us=int,
)  # fmt: skip
COMMITS: Final = table(
    META, "feature_commits", name=str, version=int, number=int, rows=int, content_sha256=str, statistics=str,
    detail=str, sha256=str, at_us=int,
)  # fmt: skip
TRAINING_SETS: Final = table(
    META, "training_sets", name=str, version=int, view=str, view_version=int, content_sha256=str, record=str,
    sha256=str, principal=str, at_us=int,
)  # fmt: skip
BINDINGS: Final = table(
    META, "feature_bindings", model=str, model_fingerprint=str, view=str, view_version=int, view_fingerprint=str,
    team=str, principal=str, at_us=int,
)  # fmt: skip
USES: Final = table(
    META, "feature_uses", name=str, version=int, feature=str, model=str, model_fingerprint=str, team=str, view=str,
    view_version=int, at_us=int,
)  # fmt: skip
SERVED: Final = table(
    META, "feature_served", view=str, view_version=int, day=int, how=str, vectors=int, defaults=int
)  # fmt: skip
EDGES: Final = table(
    META, "feature_edges", source_kind=str, source=str, target_kind=str, target=str, how=str, at_us=int
)  # fmt: skip
DRIFT: Final = table(
    META, "feature_drift", id=int, subject=str, reference=str, live=str, feature=str, measure=str, value=float,
    threshold=float, alert=int, detail=str, at_us=int,
)  # fmt: skip
DOCUMENTS: Final = table(
    META, "feature_documents", id=int, kind=str, name=str, version=int, feature=str, texts=str
)  # fmt: skip
TERMS: Final = table(META, "feature_terms", term=str)

#: The texts of a document that are searched, heaviest first.
DOCUMENT_FIELDS: Final = ("names", "tags", "unit", "owner", "description")


@dataclass(frozen=True)
class Definition:
    """One version of a group or a view as it was registered; `text` is its canonical JSON."""

    kind: Kind
    name: str
    version: int
    fingerprint: str
    text: str
    principal: str
    at: datetime


@dataclass(frozen=True)
class Change:
    """What was said later of a group, a view, a feature of a group (or a model): one field, one value in JSON types."""

    id: int
    kind: str
    name: str
    version: int
    feature: str
    field: str
    value: Any
    principal: str
    at: datetime


@dataclass(frozen=True)
class CommitRecord:
    """One append to a group: rows, SHA-256 of what was written, statistics, and whatever else was told of it."""

    name: str
    version: int
    number: int
    rows: int
    sha256: str
    statistics: dict[str, Any]
    detail: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class TrainingSetRecord:
    """A training set: the view it is of, the SHA-256 of its rows, and all it takes to make it again."""

    name: str
    version: int
    view: str
    view_version: int
    sha256: str
    record: dict[str, Any]
    principal: str
    at: datetime


@dataclass(frozen=True)
class BindingRecord:
    """A model and the view that it reads."""

    model: str
    model_fingerprint: str
    view: str
    view_version: int
    view_fingerprint: str
    team: str
    principal: str
    at: datetime


@dataclass(frozen=True)
class UseRecord:
    """A feature of a group that a model reads, through which view, and whose model it is."""

    group: str
    version: int
    feature: str
    model: str
    model_fingerprint: str
    team: str
    view: str
    view_version: int
    at: datetime


@dataclass(frozen=True)
class ServedRecord:
    """Vectors of a view served on a day (days since 1970, UTC): how many, and how many fell back on defaults."""

    view: str
    view_version: int
    day: int
    how: str
    vectors: int
    defaults: int


@dataclass(frozen=True)
class DriftRecord:
    """One measure of drift of one feature between a reference and what is live.

    `value` and `threshold` are None where the measure is not defined; `id` and `at` are given when it is written.
    """

    subject: str
    reference: str
    live: str
    feature: str
    measure: str
    value: float | None
    threshold: float | None
    alert: bool
    detail: Mapping[str, Any] = field(default_factory=dict, hash=False)
    at: datetime | None = None
    id: int = 0


@dataclass(frozen=True, order=True)
class Node:
    """A thing that comes from others: its kind, and its name (unique within the kind)."""

    kind: str
    name: str


@dataclass(frozen=True, order=True)
class Edge:
    """`target` was made from `source`."""

    source: Node
    target: Node
    how: str = ""


@dataclass(frozen=True)
class SearchDocument:
    """What is found by search: a group, a view, or a feature of a group.

    Parameters
    ----------
    kind, name, version, feature : str, str, int, str
        `feature` is empty for a group and a view.
    texts : mapping of str to str
        Field of DOCUMENT_FIELDS to text as it is shown.
    words : mapping of str to tuple of str
        Field to its words as they are looked for: letters and digits only.
    """

    kind: str
    name: str
    version: int
    feature: str
    texts: Mapping[str, str] = field(hash=False)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
