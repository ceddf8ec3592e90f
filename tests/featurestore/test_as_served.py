"""What a model learns from is what it will be served: a training row and the vector of its moment are the same."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, RequestValue, ViewFeature
from greywater.featurestore.materialize import materialize
from greywater.featurestore.point_in_time import join_as_of
from greywater.featurestore.training_record import TrainingRecord
from greywater.featurestore.training_set import training_set
from greywater.featurestore.vectors import OnlineView
from greywater.stores.offline_memory import MemoryOffline
from greywater.stores.online_memory import MemoryOnline

SECOND = 1_000_000
UTC = pa.timestamp("us", tz="UTC")
CREDIT = FeatureGroup(
    "credit", 1, ("customer",), ("string",),
    (
        FeatureField("score", "float64", default=500.0),
        FeatureField("half", "float32"),
        FeatureField("band", "string", default="none"),
        FeatureField("loans", "int64", default=-1),
        FeatureField("small", "int8", default=3),
        FeatureField("since", "timestamp", default=7),
        FeatureField("watched", "bool", default=True),
    ),
    ttl_seconds=10,
)  # fmt: skip
SHOP = FeatureGroup(
    "shop", 1, ("place", "branch"), ("string", "int64"), (FeatureField("risk", "int64", default=9),), ttl_seconds=3
)
AGED = FeatureGroup("aged", 1, ("customer",), ("string",), (FeatureField("old", "float64", default=0.5),))
GROUPS = {(one.name, 1): one for one in (CREDIT, SHOP, AGED)}
VIEW = FeatureView(
    "risk", 1,
    (
        ViewFeature("shop", 1, "risk"), *(ViewFeature("credit", 1, one.name) for one in CREDIT.features),
        RequestValue("amount", "float64", 0.0), ViewFeature("aged", 1, "old"),
    ),
    joins={"shop": ("shop_place", "shop_branch")}, label="laundering",
)  # fmt: skip

Row = tuple[int, int, int, int | None]
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 6), st.none() | st.integers(0, 99)))


def _times(moments: list[int]) -> pa.Array:
    return pa.array([one * SECOND for one in moments], UTC)


def _rows(group: FeatureGroup, rows: list[Row]) -> pa.Table:
    columns: dict[str, Any] = {"event_time": _times([row[1] for row in rows])}
    columns["known_time"] = _times([row[1] + row[2] for row in rows])
    for name, dtype in zip(group.keys, group.key_dtypes, strict=True):
        columns[name] = pa.array([row[0] if dtype == "int64" else f"c{row[0]}" for row in rows], dtype)
    for one in group.layout.features:
        columns[one.name] = pa.array([row[3] for row in rows], pa.int64()).cast(
            pa.string() if pa.types.is_string(one.type) else one.type
        )
    return pa.table(columns)


@given(ROWS, ROWS, ROWS, st.integers(0, 45), st.integers(0, 3))
def test_a_training_row_is_what_would_have_been_served(
    credit: list[Row], shop: list[Row], aged: list[Row], at: int, who: int
) -> None:
    offline = MemoryOffline()
    for group, rows in ((CREDIT, credit), (SHOP, shop), (AGED, aged)):
        offline.create(group.layout)
        for row in rows:
            offline.append(group.name, 1, _rows(group, [row]))
    online = OnlineView(VIEW, GROUPS, MemoryOnline())
    materialize(online, offline, at * SECOND)
    keys = {"customer": f"c{who}", "shop_place": f"c{who}", "shop_branch": who}
    served = online.vector(keys, at_us=at * SECOND)
    labels = pa.table({**{name: [value] for name, value in keys.items()}, "event_time": _times([at])})
    joined = join_as_of(labels, VIEW, GROUPS, offline, as_served=True)
    joined = joined.set_column(
        joined.column_names.index("since"), "since", joined["since"].cast(pa.int64())
    )  # a vector has moments as microseconds
    assert tuple(joined.to_pylist()[0].values()) == served


def _one(as_served: bool) -> tuple[Any, ...]:
    offline = MemoryOffline()
    for group in GROUPS.values():
        offline.create(group.layout)
    offline.append("credit", 1, _rows(CREDIT, [(0, 0, 0, 5), (2, 0, 0, None)]))
    labels = pa.table(
        {
            "row_id": ["kept", "too old", "unknown", "null"],
            "customer": ["c0", "c0", "c1", "c2"], "shop_place": ["p"] * 4, "shop_branch": [1] * 4,
            "event_time": pa.array([10 * SECOND, 10 * SECOND + 1, 20 * SECOND, 5 * SECOND], UTC), "laundering": [0] * 4,
        }
    )  # fmt: skip
    made = training_set(
        VIEW, GROUPS, offline, labels, start=0, end=60 * SECOND, name="t", as_known_at=10**17, label_known=None,
        as_served=as_served,
    )  # fmt: skip
    rows = {row["row_id"]: row["score"] for row in made.table.to_pylist()}
    return rows["kept"], rows["too old"], rows["unknown"], rows["null"]


def test_a_value_lives_as_long_as_online_and_an_unknown_entity_has_its_defaults() -> None:
    assert _one(as_served=True) == (5.0, 500.0, 500.0, None)
    assert _one(as_served=False) == (5.0, 5.0, None, None)


def test_a_record_of_before_is_made_again_as_it_was() -> None:
    offline = MemoryOffline()
    for group in GROUPS.values():
        offline.create(group.layout)
    labels = pa.table(
        {
            "row_id": ["a"], "customer": ["c0"], "shop_place": ["p"], "shop_branch": [1], "event_time": _times([1]),
            "laundering": [0],
        }
    )  # fmt: skip
    made = training_set(
        VIEW, GROUPS, offline, labels, start=0, end=60 * SECOND, name="t", label_known=None, as_known_at=10**17
    )
    assert made.record.query.as_served
    said = json.loads(made.record.to_json())
    del said["query"]["as_served"], said["query"]["slices"], said["bias"]
    assert not TrainingRecord.from_json(json.dumps(said)).query.as_served
