"""A small bank for the tests of training sets: groups in memory, label rows, and the slow obvious join."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from greywater.featurestore.definitions import (
    DTYPES,
    FeatureField,
    FeatureGroup,
    FeatureView,
    RequestValue,
    ViewFeature,
)
from greywater.featurestore.training_set import TrainingSet, training_set
from greywater.stores.feature_ports import GroupCommit, GroupLayout, Offline, SortedRun
from greywater.stores.ports import Finding

DAY = 86_400_000_000
END = 30 * DAY
UTC = pa.timestamp("us", tz="UTC")

BANDS = [None, "", "a,b", 'say "no"', "two\r\nlines", "a\ttab", " blank", "d\u00e9j\u00e0"]

Groups = Mapping[tuple[str, int], FeatureGroup]


class SmallOffline:
    """Groups as lists of rows with the number of their commit."""

    def __init__(self) -> None:
        self.layouts: dict[tuple[str, int], GroupLayout] = {}
        self.rows: dict[tuple[str, int], list[tuple[int, dict[str, Any]]]] = {}
        self.log: dict[tuple[str, int], list[GroupCommit]] = {}
        self.joined_rows: list[int] = []

    def create(self, layout: GroupLayout) -> None:
        key = (layout.name, layout.version)
        self.layouts[key] = layout
        self.rows.setdefault(key, [])
        self.log.setdefault(key, [])

    def layout(self, name: str, version: int) -> GroupLayout | None:
        return self.layouts.get((name, version))

    def versions(self) -> list[tuple[str, int]]:
        return sorted(self.layouts)

    def append(
        self, name: str, version: int, rows: pa.Table, *, transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:  # fmt: skip
        key, log = (name, version), self.log[name, version]
        digest = hashlib.sha256(repr(rows.to_pylist()).encode()).hexdigest()
        commit = GroupCommit(len(log), rows.num_rows, 0, transaction, digest, meta or {})
        log.append(commit)
        self.rows[key] += [(commit.number, row) for row in rows.to_pylist()]
        return commit

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        return self.log[name, version]

    def runs(self, name: str, version: int, **_: Any) -> list[SortedRun]:
        raise NotImplementedError

    def scan(self, name: str, version: int, columns: Sequence[str] | None = None, **_: Any) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def check(self) -> list[Finding]:
        return []


def slow_join(
    labels: pa.Table, view: FeatureView, groups: Groups, offline: Offline, *, time_column: str = "event_time",
    known_column: str | None = None, as_of_commit: Mapping[tuple[str, int], int] | None = None,
    as_served: bool = False,
) -> pa.Table:  # fmt: skip
    """For each label row look at every feature row there is."""
    assert isinstance(offline, SmallOffline)
    offline.joined_rows.append(labels.num_rows)
    out: dict[str, list[Any]] = {name: [] for name in view.names}
    for label in labels.to_pylist():
        best = {key: _best(label, view, groups[key], offline, time_column, known_column, as_of_commit)
                for key in view.groups}  # fmt: skip
        for column in view.columns:
            if isinstance(column, RequestValue):
                out[column.name].append(label.get(column.name, column.default))
            else:
                group, row = groups[column.group, column.version], best[column.group, column.version]
                if as_served and row and group.ttl_seconds:
                    age = label[time_column] - row["event_time"]
                    row = None if age.total_seconds() > group.ttl_seconds else row
                default = group.by_name[column.feature].default if as_served else None
                out[column.name].append(row[column.feature] if row else default)
    return pa.table({column.name: pa.array(out[column.name], _kind(column, groups)) for column in view.columns})


def _kind(column: ViewFeature | RequestValue, groups: Groups) -> pa.DataType:
    if isinstance(column, RequestValue):
        return DTYPES[column.dtype]
    return DTYPES[groups[column.group, column.version].by_name[column.feature].dtype]


def _best(
    label: dict[str, Any], view: FeatureView, group: FeatureGroup, offline: SmallOffline, time_column: str,
    known_column: str | None, as_of_commit: Mapping[tuple[str, int], int] | None,
) -> dict[str, Any] | None:  # fmt: skip
    key = (group.name, group.version)
    until = as_of_commit[key] if as_of_commit else len(offline.log[key])
    at, known = label[time_column], label[known_column or time_column]
    wanted = [label[name] for name in view.joins.get(group.name, group.keys)]
    found = [
        (row["event_time"], commit, place, row)
        for place, (commit, row) in enumerate(offline.rows[key])
        if commit <= until and [row[name] for name in group.keys] == wanted and row["event_time"] <= at
        and row["known_time"] <= known
    ]  # fmt: skip
    return max(found, key=lambda one: one[:3])[3] if found else None


CREDIT = FeatureGroup(
    "credit",
    1,
    ("customer",),
    ("string",),
    (
        FeatureField("score", "float64"),
        FeatureField("band", "string"),
        FeatureField("accounts", "int64"),
        FeatureField("since", "timestamp"),
        FeatureField("watched", "bool"),
    ),
)
ORIGIN = FeatureGroup("origin", 1, ("number",), ("int64",), (FeatureField("share", "float32"),))
GROUPS = {("credit", 1): CREDIT, ("origin", 1): ORIGIN}

VIEW = FeatureView(
    "risk",
    2,
    (
        ViewFeature("credit", 1, "score"),
        ViewFeature("origin", 1, "share", "origin share"),
        RequestValue("amount", "int64", 0),
        ViewFeature("credit", 1, "band"),
        ViewFeature("credit", 1, "accounts"),
        ViewFeature("credit", 1, "since"),
        ViewFeature("credit", 1, "watched"),
    ),
    joins={"origin": ("branch",)},
    label="laundering",
)
NUMBERS = FeatureView("numbers", 1, VIEW.columns[:3], joins=VIEW.joins, label="laundering")


def times(values: list[int | None]) -> pa.Array:
    """Timestamps of microseconds since 1970."""
    return pa.array(values, UTC)


def fill(offline: Offline, seed: int, commits: int = 3, rows: int = 40) -> None:
    """Append rows to both groups, some known late, some of the same moment."""
    chance = random.Random(seed)
    for layout in (CREDIT.layout, ORIGIN.layout):
        if offline.layout(layout.name, layout.version) is None:
            offline.create(layout)
    for _ in range(commits):
        at = [chance.randrange(60) * DAY // 2 for _ in range(rows)]
        known = [moment + chance.choice([0, 0, DAY, 9 * DAY]) for moment in at]
        offline.append("credit", 1, pa.table({
            "customer": [f"C{chance.randrange(9)}" for _ in at],
            "event_time": times(at),
            "known_time": times(known),
            "score": pa.array([chance.choice([None, float("nan"), -0.0, chance.random() * 1e9]) for _ in at]),
            "band": [chance.choice(BANDS) for _ in at],
            "accounts": pa.array([chance.choice([None, 2**62, -1, 7]) for _ in at], pa.int64()),
            "since": times([chance.choice([None, moment, -5]) for moment in at]),
            "watched": pa.array([chance.choice([None, True, False]) for _ in at]),
        }))  # fmt: skip
        offline.append("origin", 1, pa.table({
            "number": [chance.randrange(4) for _ in at],
            "event_time": times(at),
            "known_time": times(known),
            "share": pa.array([chance.random() for _ in at], pa.float32()),
        }))  # fmt: skip


def bank(seed: int = 3) -> SmallOffline:
    """Both groups with three commits each."""
    offline = SmallOffline()
    fill(offline, seed)
    return offline


def label_rows(seed: int = 5, count: int = 120, first: int = 0) -> pa.Table:
    """Payments with labels, each known some days after."""
    chance = random.Random(seed)
    at = [chance.randrange(30 * 24) * DAY // 24 for _ in range(count)]
    return pa.table({
        "tx": [f"t{number}" for number in range(first, first + count)],
        "event_time": times(at),
        "customer": pa.array([chance.choice([f"C{chance.randrange(9)}"] * 9 + [None]) for _ in at]),
        "branch": pa.array([chance.choice([0, 1, 2, None]) for _ in at], pa.int64()),
        "amount": pa.array([chance.randrange(10**6) for _ in at], pa.int64()),
        "laundering": pa.array([chance.choice([0, 0, 0, 1, None]) for _ in at], pa.int8()),
        "known_since": times([chance.choice([moment + DAY, moment + 20 * DAY, None]) for moment in at]),
        "segment": [chance.choice(["retail", "corporate"]) for _ in at],
    })  # fmt: skip


def make(offline: SmallOffline, labels: pa.Table, **changed: Any) -> TrainingSet:
    """A set of all defaults but those changed."""
    given: dict[str, Any] = {
        "view": VIEW, "groups": GROUPS, "start": 2 * DAY, "end": END, "name": "march", "row_id": "tx",
        "as_known_at": 25 * DAY, "join": slow_join, **changed,
    }  # fmt: skip
    return training_set(offline=offline, labels=labels, **given)
