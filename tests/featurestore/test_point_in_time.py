"""The point-in-time join is the rule, row by row, whatever the order, the ties, the commits and the corrections."""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, StoreError, UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, RequestValue, ViewFeature
from greywater.featurestore.point_in_time import join_as_of
from greywater.stores.open import open_offline
from tests.naive_as_of import naive_as_of

BEGIN = datetime(2024, 2, 28, 12, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")
FEATURES = (
    FeatureField("f", "float64"), FeatureField("n", "int64"), FeatureField("s", "string"), FeatureField("b", "bool"),
    FeatureField("small", "int8"), FeatureField("half", "float32"), FeatureField("when", "timestamp"),
)  # fmt: skip
NAMES = tuple(feature.name for feature in FEATURES)
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "string": (("customer",), ("string",)),
    "int64": (("customer",), ("int64",)),
    "both": (("customer", "bank"), ("string", "int64")),
}


def group_of(kind: str, features: tuple[FeatureField, ...] = FEATURES) -> FeatureGroup:
    keys, dtypes = KEYS[kind]
    return FeatureGroup("credit", 1, keys, dtypes, features)


def view_of(*names: str) -> FeatureView:
    return FeatureView("risk", 1, tuple(ViewFeature("credit", 1, name) for name in names or NAMES))


def entity(kind: str, number: int) -> dict[str, Any]:
    if kind == "int64":
        return {"customer": number - 2}
    return {"customer": f"c{number % 3}", "bank": number // 3} if kind == "both" else {"customer": "é" * number}


def feature_row(kind: str, number: int, hours: int, later: int, value: int | None) -> dict[str, Any]:
    moment = BEGIN + timedelta(hours=hours)
    features: dict[str, Any] = dict.fromkeys(NAMES)
    if value is not None:
        features = {"f": value / 3, "n": -value, "s": f"v{value}", "b": value % 2 == 0, "small": value % 100}
        features |= {"half": value / 4, "when": moment + timedelta(seconds=value)}
    return {**entity(kind, number), "event_time": moment, "known_time": moment + timedelta(hours=later), **features}


def as_table(rows: list[dict[str, Any]], group: FeatureGroup) -> pa.Table:
    kinds: dict[str, pa.DataType] = {"string": pa.string(), "int64": pa.int64()}
    schema = [(name, kinds[dtype]) for name, dtype in zip(group.keys, group.key_dtypes, strict=True)]
    schema += [("event_time", MOMENT), ("known_time", MOMENT), *((one.name, one.type) for one in group.layout.features)]
    return pa.Table.from_pylist(rows, schema=pa.schema(schema))


def label_table(labels: list[dict[str, Any]], group: FeatureGroup) -> pa.Table:
    kinds: dict[str, pa.DataType] = {"string": pa.string(), "int64": pa.int64()}
    schema = [(name, kinds[dtype]) for name, dtype in zip(group.keys, group.key_dtypes, strict=True)]
    return pa.Table.from_pylist(labels, schema=pa.schema([*schema, ("event_time", MOMENT), ("asked", MOMENT)]))


HOURS = st.integers(0, 60)
ROW = st.tuples(st.integers(0, 5), HOURS, st.sampled_from([-30, 0, 0, 1, 30, 90]), st.none() | st.integers(0, 99))
LABEL = st.tuples(st.none() | st.integers(0, 6), st.none() | HOURS, st.none() | HOURS)


@given(
    st.sampled_from(sorted(KEYS)),
    st.lists(st.lists(ROW, max_size=8), max_size=6),
    st.lists(LABEL, max_size=12),
    st.booleans(),
    st.none() | st.integers(-1, 5),
    st.sampled_from(["memory", "delta", "compacted"]),
)
def test_the_join_is_the_rule(
    kind: str, appends: list[list[Any]], asked: list[Any], with_known: bool, upto: int | None, store: str
) -> None:
    group = group_of(kind)
    with tempfile.TemporaryDirectory() as folder:
        offline: Any = open_offline("memory:" if store == "memory" else f"delta:{folder}")
        offline.create(group.layout)
        every = []
        for commit, append in enumerate(appends):
            rows = [feature_row(kind, *each) for each in append]
            offline.append("credit", 1, as_table(rows, group))
            every += [{**row, "commit": commit} for row in rows]
            if store == "compacted" and commit % 2:
                offline.compact("credit", 1)
        labels = []
        for number, hours, known in asked:
            who = dict.fromkeys(group.keys) if number is None else entity(kind, number)
            moments = [None if each is None else BEGIN + timedelta(hours=each) for each in (hours, known)]
            labels.append({**who, "event_time": moments[0], "asked": moments[1]})
        known_column = "asked" if with_known else None
        limits = None if upto is None else {("credit", 1): upto}
        view = view_of()
        found = join_as_of(
            label_table(labels, group), view, {("credit", 1): group}, offline,
            known_column=known_column, as_of_commit=limits,
        )  # fmt: skip
        wanted = naive_as_of(labels, every, [(name, name) for name in group.keys], NAMES, known_column, upto)
        assert found.column_names == list(view.names)
        assert [field.type for field in found.schema] == [field.type for field in group.layout.features]
        assert [list(row.values()) for row in found.to_pylist()] == [_as_stored(row) for row in wanted]
        assert offline.check() == []


def _as_stored(row: list[Any]) -> list[Any]:
    half = NAMES.index("half")
    return [float(np.float32(value)) if at == half and value is not None else value for at, value in enumerate(row)]


@pytest.mark.parametrize("known_late", [False, True])
def test_many_rows_of_few_and_many_entities(known_late: bool, tmp_path: Path) -> None:
    """Hot keys, long runs of rows known too late, and labels in any order, against a search in sorted lists."""
    chance = np.random.default_rng(3)
    fields = (FeatureField("n", "int64"), FeatureField("s", "string"), FeatureField("b", "bool"))
    group = group_of("string", fields)
    offline = open_offline(f"delta:{tmp_path}")
    offline.create(group.layout)
    held: dict[str, list[tuple[int, int, int, int]]] = {}
    for commit in range(3):
        count = 4_000
        names = [f"c{int(one)}" for one in chance.zipf(1.3, count) % 50]
        event = chance.integers(0, 300_000, count) * 1_000_000
        known = event + (chance.random(count) < 0.9) * 200_000_000_000 * known_late
        value = chance.integers(0, 10**9, count)
        moments = {name: pa.array(each, MOMENT) for name, each in (("event_time", event), ("known_time", known))}
        offline.append(
            "credit",
            1,
            pa.table({"customer": names, **moments, "n": value, "s": value.astype(str), "b": value % 2 > 0}),
        )
        for at, name in enumerate(names):
            held.setdefault(name, []).append((int(event[at]), commit, at, int(value[at])))
            assert known_late or known[at] == event[at]
            held[name][-1] += (int(known[at]),)  # type: ignore[assignment]
    count = 3_000
    names = [f"c{int(one)}" for one in chance.zipf(1.3, count) % 60]
    asked = chance.integers(0, 400_000, count) * 1_000_000
    labels = pa.table({"customer": names, "event_time": pa.array(asked, MOMENT)})
    joined = join_as_of(labels, view_of("n", "s", "b"), {("credit", 1): group}, offline)
    found = joined["n"].to_pylist()
    assert joined["s"].to_pylist() == [None if one is None else str(one) for one in found]
    assert joined["b"].to_pylist() == [None if one is None else one % 2 > 0 for one in found]
    for at in range(count):
        seen = [row for row in held.get(names[at], ()) if row[0] <= asked[at] and row[4] <= asked[at]]  # type: ignore[misc]
        assert found[at] == (max(seen)[3] if seen else None)


def test_a_view_of_two_groups_with_other_names_and_request_values() -> None:
    offline = open_offline("memory:")
    credit = group_of("string", (FeatureField("f", "float64"),))
    shop = FeatureGroup("shop", 2, ("id",), ("int64",), (FeatureField("f", "float64"), FeatureField("open", "bool")))
    for group in (credit, shop):
        offline.create(group.layout)
    moment = [BEGIN]
    offline.append("credit", 1, pa.table({"customer": ["a"], "event_time": moment, "known_time": moment, "f": [1.5]}))
    shops = {"id": [7], "event_time": moment, "known_time": moment, "f": [2.5], "open": [True]}
    offline.append("shop", 2, pa.table(shops))
    view = FeatureView(
        "risk", 1,
        (
            RequestValue("amount", "float64"), ViewFeature("shop", 2, "open"), ViewFeature("credit", 1, "f"),
            ViewFeature("shop", 2, "f", "shop_f"), RequestValue("channel", "string", "card"),
        ),
        joins={"credit": ("payer",), "shop": ("payee",)},
    )  # fmt: skip
    labels = pa.table(
        {"payer": ["a", "b"], "payee": pa.array([9, 7], pa.int32()), "at": [BEGIN, BEGIN], "amount": [3, None]}
    )
    found = join_as_of(labels, view, {("credit", 1): credit, ("shop", 2): shop}, offline, time_column="at")
    assert found.to_pylist() == [
        {"amount": 3.0, "open": None, "f": 1.5, "shop_f": None, "channel": "card"},
        {"amount": None, "open": True, "f": None, "shop_f": 2.5, "channel": "card"},
    ]


def test_labels_of_any_kind_of_text_find_the_same() -> None:
    offline = open_offline("memory:")
    group = group_of("string", (FeatureField("f", "float64"),))
    offline.create(group.layout)
    names = [f"c{number}" for number in range(50)]
    rows = {"customer": names, "event_time": [BEGIN] * 50, "known_time": [BEGIN] * 50, "f": list(range(50))}
    offline.append("credit", 1, as_table(pa.table(rows).to_pylist(), group))
    random.Random(1).shuffle(names)
    plain = pa.array(names)
    texts = (plain, plain.cast(pa.large_string()), plain.dictionary_encode(), plain.cast(pa.string_view()))
    for text in (*texts, pa.chunked_array([plain.slice(0, 7), plain.slice(7)])):
        for moments in (pa.array([BEGIN] * 50, pa.timestamp("ns", tz="Europe/Paris")), pa.array([BEGIN] * 50, MOMENT)):
            labels = pa.table({"x": text, "customer": text, "event_time": moments}).slice(1)
            found = join_as_of(labels, view_of("f"), {("credit", 1): group}, offline)
            assert found["f"].to_pylist() == [float(name[1:]) for name in names[1:]]


def test_what_cannot_be_joined_is_said() -> None:
    offline = open_offline("memory:")
    group = group_of("string", (FeatureField("f", "float64"),))
    groups = {("credit", 1): group}
    labels = pa.table({"customer": ["a"], "event_time": [BEGIN], "wrong": ["x"]})
    with pytest.raises(StoreError, match="no group"):
        join_as_of(labels, view_of("f"), groups, offline)
    offline.create(group.layout)
    assert join_as_of(labels, view_of("f"), groups, offline)["f"].to_pylist() == [None]
    assert join_as_of(labels.slice(0, 0), view_of("f"), groups, offline).num_rows == 0
    with pytest.raises(UsageError, match="not given"):
        join_as_of(labels, view_of("f"), {}, offline)
    with pytest.raises(UsageError, match="no feature 'g'"):
        join_as_of(labels, view_of("g"), groups, offline)
    with pytest.raises(UsageError, match="no column 'at'"):
        join_as_of(labels, view_of("f"), groups, offline, time_column="at")
    with pytest.raises(RefusedTypeError, match="not a timestamp"):
        join_as_of(labels, view_of("f"), groups, offline, time_column="wrong")
    with pytest.raises(RefusedTypeError, match="not string"):
        join_as_of(labels.set_column(0, "customer", pa.array([1])), view_of("f"), groups, offline)
    with pytest.raises(RefusedTypeError, match="request value"):
        join_as_of(labels, FeatureView("v", 1, (RequestValue("wrong", "float64"),)), groups, offline)
