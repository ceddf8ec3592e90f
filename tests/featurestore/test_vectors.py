"""Vectors read online: every dtype, defaults, ages, request values, several groups, and refusals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, RefusedValueError, StoreError, UsageError
from greywater.featurestore.definitions import (
    DTYPES,
    FeatureField,
    FeatureGroup,
    FeatureView,
    RequestValue,
    ViewFeature,
)
from greywater.featurestore.packing import FORMAT, EntityKeys, RecordLayout
from greywater.featurestore.pushing import push
from greywater.featurestore.vectors import OnlineView
from greywater.stores.online_lmdb import LmdbOnline
from greywater.stores.online_memory import MemoryOnline

NOW = 1_700_000_000_000_000
SECOND = 1_000_000

CREDIT = FeatureGroup(
    "credit", 1, ("customer",), ("string",),
    (FeatureField("score", "float64", default=0.5), FeatureField("limit", "int64"), FeatureField("open", "bool")),
)  # fmt: skip
KYC = FeatureGroup(
    "kyc", 2, ("customer",), ("string",),
    (FeatureField("risk", "string", default="unknown"), FeatureField("since", "timestamp")), ttl_seconds=60,
)  # fmt: skip
BRANCH = FeatureGroup(
    "branch", 1, ("bank", "number"), ("string", "int64"), (FeatureField("cash", "float64"),)
)  # fmt: skip
GROUPS = {(group.name, group.version): group for group in (CREDIT, KYC, BRANCH)}


def of(group: FeatureGroup, *names: str) -> list[ViewFeature]:
    return [ViewFeature(group.name, group.version, name) for name in names]


def table(group: FeatureGroup, columns: Mapping[str, Sequence[object]]) -> pa.Table:
    fields = group.by_name
    return pa.table({name: pa.array(values, DTYPES[fields[name].dtype]) for name, values in columns.items()})


def put(view: OnlineView, group: FeatureGroup, keys: Any, event: int, columns: Mapping[str, object]) -> None:
    """One row of a group, as `materialize` writes it."""
    for section in view.sections:
        if group in section.groups:
            number = section.groups.index(group)
            key = section.keys.of(keys)
            assert key is not None
            stored = {one.field.name: [columns[one.field.name]] for one in section.layout.stored if one.group == number}
            before = [view.online.get(section.space, key)]
            records = section.layout.pack(number, table(group, stored), np.array([event]), before)
            view.online.put_many(section.space, [(key, records[0])])


@pytest.fixture(params=["memory", "lmdb"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    store = MemoryOnline() if request.param == "memory" else LmdbOnline(tmp_path)
    yield store
    store.close()


def test_values_come_in_the_views_order_with_request_values_between(online: Any) -> None:
    columns = (
        *of(CREDIT, "limit"), RequestValue("amount", "float64", default=0.0), *of(BRANCH, "cash"),
        *of(CREDIT, "score"), RequestValue("text", "string"), *of(KYC, "risk"),
    )  # fmt: skip
    view = OnlineView(FeatureView("risk", 1, columns), GROUPS, online)
    assert [section.space for section in view.sections] == ["risk@1/customer", "risk@1/bank+number"]
    keys: dict[str, Any] = {"customer": "c1", "bank": "b", "number": 7}
    assert view.vector(keys, {"amount": 5}) == (None, 5.0, None, 0.5, None, "unknown")
    put(view, CREDIT, {"customer": "c1"}, NOW, {"limit": 9, "score": 1.5})
    assert view.vector(keys, {"text": "t"}, at_us=NOW) == (9, 0.0, None, 1.5, "t", "unknown")
    put(view, KYC, {"customer": "c1"}, NOW + SECOND, {"risk": "höher"})
    put(view, BRANCH, {"bank": "b", "number": 7}, NOW - SECOND, {"cash": 2.5})
    full = (9, 1.0, 2.5, 1.5, None, "höher")
    moment = NOW + 11 * SECOND
    vector, ages = view.vector(keys, {"amount": 1}, at_us=moment, with_age=True)
    assert vector == full
    assert ages == {"credit": 11.0, "branch": 12.0, "kyc": 10.0}
    many = view.vectors([keys, {**keys, "number": 8}, {**keys, "customer": None}], at_us=moment)
    assert many[0] == (9, 0.0, 2.5, 1.5, None, "höher")
    assert many[1] == (9, 0.0, None, 1.5, None, "höher")
    assert many[2] == (None, 0.0, 2.5, 0.5, None, "unknown")
    aged = view.vectors([keys], [{"amount": 1}], at_us=moment, with_age=True)
    assert aged == [(full, ages)]


def test_a_value_older_than_its_groups_limit_counts_as_unknown(online: Any) -> None:
    view = OnlineView(FeatureView("risk", 1, (*of(KYC, "risk"), *of(CREDIT, "score"))), GROUPS, online)
    put(view, KYC, "c1", NOW, {"risk": "high"})
    put(view, CREDIT, "c1", NOW, {"score": 2.0})
    at = NOW + 60 * SECOND
    assert view.vector("c1", at_us=at, with_age=True) == (("high", 2.0), {"kyc": 60.0, "credit": 60.0})
    assert view.vector("c1", at_us=at + 1, with_age=True) == (("unknown", 2.0), {"kyc": None, "credit": 60.000001})
    assert view.vectors(["c1", "c2"], at_us=at + 1) == [("unknown", 2.0), ("unknown", 0.5)]
    assert view.vector("c1") == ("unknown", 2.0)


def test_an_unknown_entity_has_the_defaults_and_a_null_stays_null(online: Any) -> None:
    view = OnlineView(FeatureView("risk", 1, tuple(of(CREDIT, "score", "limit", "open"))), GROUPS, online)
    put(view, CREDIT, "c1", NOW, {"score": None, "limit": 3, "open": True})
    put(view, CREDIT, "c2", NOW, {"score": math.nan, "limit": -(2**63), "open": None})
    put(view, CREDIT, "c3", NOW, {"score": 0.25, "limit": 2**63 - 1, "open": False})
    assert view.vector("c1") == (None, 3, True)
    score, limit, is_open = view.vector("c2")
    assert (math.isnan(score), limit, is_open) == (True, -(2**63), None)  # type: ignore[arg-type]
    assert view.vector({"customer": "c3"}) == (0.25, 2**63 - 1, False)
    assert view.vector("nobody") == view.vector({"customer": None}) == (0.5, None, None)
    assert view.vector("nobody", with_age=True)[1] == {"credit": None}
    assert view.vectors(["c3", "nobody", {"customer": "c1"}])[1:] == [(0.5, None, None), (None, 3, True)]
    matrix = view.vectors(["c3", "nobody", "c1", {"customer": None}], as_numpy=True)
    expected = [[0.25, 2.0**63, 0], [0.5, math.nan, math.nan], [math.nan, 3, 1], [0.5, math.nan, math.nan]]
    assert np.array_equal(matrix, expected, equal_nan=True)
    assert view.vectors([]) == []
    assert view.vectors([], as_numpy=True).shape == (0, 3)


def test_a_matrix_holds_what_the_tuples_hold(online: Any) -> None:
    columns = (*of(CREDIT, "score"), RequestValue("amount", "int64"), *of(BRANCH, "cash"))
    view = OnlineView(FeatureView("risk", 1, columns), GROUPS, online)
    put(view, CREDIT, "c1", NOW, {"score": 0.1})
    put(view, BRANCH, {"bank": "b", "number": 1}, NOW, {"cash": 0.2})
    keys: list[dict[str, Any]] = [{"customer": c, "bank": "b", "number": n} for c in ("c1", "c2") for n in (1, 2)]
    asked: list[dict[str, Any]] = [{"amount": n} for n in range(4)]
    matrix = view.vectors(keys, asked, as_numpy=True)
    rows = [[math.nan if value is None else value for value in row] for row in view.vectors(keys, asked)]
    assert np.array_equal(matrix, np.array(rows, np.float64), equal_nan=True)
    assert np.array_equal(view.vectors(keys, as_numpy=True, at_us=NOW)[:, 0], matrix[:, 0])
    with pytest.raises(RefusedTypeError, match="risk"):
        OnlineView(FeatureView("s", 1, tuple(of(KYC, "risk"))), GROUPS, online).vectors(["c1"], as_numpy=True)
    with pytest.raises(UsageError, match="ages"):
        view.vectors(keys, as_numpy=True, with_age=True)
    with pytest.raises(UsageError, match="3 requests"):
        view.vectors(keys, asked[:3])


def test_a_record_of_another_definition_is_refused_with_the_mend(online: Any) -> None:
    one = OnlineView(FeatureView("risk", 1, tuple(of(CREDIT, "score", "limit"))), GROUPS, online)
    put(one, CREDIT, "c1", NOW, {"score": 1.0, "limit": 2})
    other = OnlineView(FeatureView("risk", 1, tuple(of(CREDIT, "limit", "score"))), GROUPS, online)
    fields = (FeatureField("score", "float64", unit="percent"), *CREDIT.features[1:])
    changed = FeatureGroup("credit", 1, ("customer",), ("string",), fields)
    another = OnlineView(one.view, {("credit", 1): changed}, online)
    for view in (other, another):
        for ask in (
            lambda view=view: view.vector("c1"),
            lambda view=view: view.vector("c1", at_us=NOW),
            lambda view=view: view.vectors(["c1", "c2"]),
            lambda view=view: view.vectors(["c1"], as_numpy=True),
        ):
            with pytest.raises(StoreError, match=r"another definition.*materialize"):
                ask()
        assert view.vector("c2") == view.vectors(["c2"])[0]
    section = one.sections[0]
    record = online.get(section.space, b"kc1")
    for broken, words in ((record[:20], "definition"), (b"", "format 0"), (b"\x07" + record[1:], "format 7")):
        online.put_many(section.space, [(b"kc1", broken)])
        for ask in (lambda: one.vector("c1"), lambda: one.vectors(["c1"]), lambda: one.vectors(["c1"], as_numpy=True)):
            with pytest.raises(StoreError, match=words):
                ask()
    assert record[0] == FORMAT


def test_a_moment_before_the_record_is_refused(online: Any) -> None:
    view = OnlineView(FeatureView("risk", 1, tuple(of(CREDIT, "score"))), GROUPS, online)
    ahead = 4 * NOW
    put(view, CREDIT, "c1", ahead, {"score": 1.0})
    with pytest.raises(RefusedValueError, match="before the record"):
        view.vector("c1", at_us=ahead - 1)
    assert view.vector("c1", at_us=ahead) == (1.0,)
    assert view.vector("c1", with_age=True) == ((1.0,), {"credit": 0.0})


@pytest.mark.parametrize(
    ("keys", "request_", "words"),
    [
        ({"client": "c1"}, None, "the key 'customer' is not given"),
        (7, None, "is no string"),
        ({"customer": True}, None, "is no string"),
        ("c1", {"amount": "much"}, "is no float64"),
        ("c1", {"amount": True}, "is no float64"),
        ("c1", {"count": 1.5}, "is no int64"),
        ("c1", {"amont": 1.0}, "takes no amont"),
    ],
)
def test_what_cannot_be_asked_is_said(keys: Any, request_: Any, words: str) -> None:
    columns = (*of(CREDIT, "score"), RequestValue("amount", "float64"), RequestValue("count", "int64"))
    view = OnlineView(FeatureView("risk", 1, columns), GROUPS, MemoryOnline())
    with pytest.raises(UsageError, match=words):
        view.vector(keys, request_)
    with pytest.raises(UsageError, match=words):
        view.vectors([keys], None if request_ is None else [request_])


def test_what_cannot_be_served_is_said() -> None:
    hidden = FeatureGroup("h", 1, ("customer",), ("string",), (FeatureField("x", "float64", online=False),))
    for columns, joins, words in (
        ([ViewFeature("nothing", 1, "x")], {}, "no group nothing"),
        ([ViewFeature("credit", 1, "x")], {}, "no feature x"),
        ([ViewFeature("h", 1, "x")], {}, "not served online"),
        (of(BRANCH, "cash"), {"branch": ("bank",)}, "name 2 columns"),
    ):
        with pytest.raises(UsageError, match=words):
            OnlineView(FeatureView("v", 1, tuple(columns), joins), {**GROUPS, ("h", 1): hidden}, MemoryOnline())


def test_keys_may_be_called_otherwise_in_a_request() -> None:
    joins = {"credit": ("payer",), "kyc": ("payee",)}
    view = OnlineView(FeatureView("v", 1, (*of(CREDIT, "score"), *of(KYC, "risk")), joins), GROUPS, MemoryOnline())
    assert [section.keys.columns for section in view.sections] == [("payer",), ("payee",)]
    put(view, CREDIT, {"payer": "a"}, NOW, {"score": 3.0})
    assert view.vector({"payer": "a", "payee": "a"}) == (3.0, "unknown")


def test_pushed_rows_replace_older_ones_only(online: Any) -> None:
    view = OnlineView(
        FeatureView("p", 1, (*of(CREDIT, "score"), *of(BRANCH, "cash"), *of(KYC, "risk"))), GROUPS, online
    )
    keys = {"customer": "c1", "bank": "b", "number": 1}

    def rows(group: FeatureGroup, times: list[int], **columns: list[Any]) -> pa.Table:
        typed = {
            k: pa.array(v, DTYPES[group.by_name[k].dtype]) if k in group.by_name else v for k, v in columns.items()
        }
        return pa.table({"event_time": pa.array(times).cast(pa.timestamp("us", tz="UTC")), **typed})

    both = rows(CREDIT, [NOW, NOW, NOW - 1], customer=["c1", "c1", "c1"], score=[1.0, 2.0, 3.0])
    assert push(view, ("credit", 1), both) == 1
    assert push(view, ("kyc", 2), rows(KYC, [NOW + 5], customer=["c1"], risk=["low"])) == 1
    assert push(view, ("branch", 1), rows(BRANCH, [NOW], bank=["b"], number=[1], cash=[7.0])) == 1
    assert view.vector(keys, at_us=NOW + 5) == (2.0, 7.0, "low")
    older = rows(CREDIT, [NOW - 1, NOW - 1], customer=["c1", "c2"], score=[9.0, 4.0])
    assert push(view, ("credit", 1), older) == 1
    assert view.vectors([keys, {**keys, "customer": "c2"}], at_us=NOW + 5) == [(2.0, 7.0, "low"), (4.0, 7.0, "unknown")]
    assert push(view, ("credit", 1), rows(CREDIT, [NOW], customer=["c1"], score=[None])) == 1
    assert view.vector(keys, at_us=NOW + 5) == (None, 7.0, "low")
    assert push(view, ("credit", 1), both.slice(0, 0)) == 0
    with pytest.raises(UsageError, match="score are missing"):
        push(view, ("credit", 1), both.drop(["score"]))
    with pytest.raises(UsageError, match="takes no rows of credit version 2"):
        push(view, ("credit", 2), both)
    online.put_many("p@1/customer", [(b"kc1", bytes(80))])
    with pytest.raises(StoreError, match="format 0"):
        push(view, ("credit", 1), both)


key_values = st.tuples(st.text(max_size=6), st.integers(-(2**63), 2**63 - 1), st.text(max_size=6))


@given(one=key_values, other=key_values)
def test_no_two_entities_share_a_record(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    keys = EntityKeys(("a", "n", "b"), ("string", "int64", "string"))
    first, second = (keys.of(dict(zip(keys.columns, each, strict=True))) for each in (one, other))
    assert (first == second) == (one == other)
    assert first is not None
    rows = pa.table({"a": pa.array([one[0]]), "n": pa.array([one[1]], pa.int64()), "b": pa.array([one[2]])})
    assert keys.of_columns(rows) == [first]


def test_a_long_key_is_hashed_and_a_text_key_read_as_any() -> None:
    keys = EntityKeys(("a",), ("string",))
    long = "ü" * 300
    (column,) = keys.of_columns(pa.table({"a": [long]}))
    assert len(column) == 33
    assert keys.of(long) == keys.reader()({"a": long}) == keys.reader()(long) == column
    for text in ("", "x", "ü" * 124, "\U0001f600" * 126):
        assert keys.reader()(text) == keys.of({"a": text}) == keys.of_columns(pa.table({"a": [text]}))[0]


@given(st.lists(st.one_of(st.text(max_size=5), st.text(min_size=600, max_size=610), st.just("a\0k"), st.none())))
def test_keys_of_many_are_those_of_each(texts: list[str | None]) -> None:
    keys = EntityKeys(("a",), ("string",))
    entities: list[dict[str, str | None] | str] = [
        {"a": text} if place % 2 else text or "" for place, text in enumerate(texts)
    ]
    assert keys.of_many(entities) == [keys.of(one) for one in entities]


values = {
    "bool": st.booleans(), "int8": st.integers(-128, 127), "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1), "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32), "float64": st.floats(), "string": st.text(max_size=9),
    "timestamp": st.integers(0, 2**60),
}  # fmt: skip


@given(data=st.data(), dtypes=st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=11), n=st.integers(1, 4))
def test_every_dtype_comes_back(data: st.DataObject, dtypes: list[str], n: int) -> None:
    fields = tuple(FeatureField(f"f{k}", dtype) for k, dtype in enumerate(dtypes))
    halves = [fields[k::2] for k in range(2) if fields[k::2]]
    groups = {(f"g{k}", 1): FeatureGroup(f"g{k}", 1, ("c",), ("string",), half) for k, half in enumerate(halves)}
    features = tuple(ViewFeature(f"g{k % 2}", 1, f"f{k}") for k in range(len(fields)))
    view = OnlineView(FeatureView("v", 1, features), groups, MemoryOnline())
    (section,) = view.sections
    layout: RecordLayout = section.layout
    columns = {
        one.name: data.draw(st.lists(st.none() | values[one.dtype], min_size=n, max_size=n), one.name) for one in fields
    }
    records: list[bytes | None] = [None] * n
    for number, group in enumerate(section.groups):
        rows = table(group, {one.name: columns[one.name] for one in group.features})
        records = list(layout.pack(number, rows, np.full(n, NOW), records))
    view.online.put_many(section.space, [(b"k%d" % k, record) for k, record in enumerate(records) if record])
    asked = [str(k) for k in range(n)]
    found = view.vectors(asked)
    assert [view.vector(one) for one in asked] == found or any(v != v for row in found for v in row)
    for k, row in enumerate(found):
        for one, value in zip(fields, row, strict=True):
            given_ = columns[one.name][k]
            assert value == given_ or (value != value and given_ != given_)
            assert type(value) is type(given_)
    if "string" not in dtypes:
        numbers = [[math.nan if value is None else float(value) for value in row] for row in found]
        assert np.array_equal(view.vectors(asked, as_numpy=True), numbers, equal_nan=True)


def test_a_key_may_be_a_whole_number_of_numpy() -> None:
    group = FeatureGroup("shop", 1, ("number",), ("int64",), (FeatureField("risk", "int64", default=7),))
    view = FeatureView("risk", 1, (ViewFeature("shop", 1, "risk"),))
    online = OnlineView(view, {("shop", 1): group}, MemoryOnline())
    at = pa.array([1], pa.timestamp("us", tz="UTC"))
    push(online, ("shop", 1), pa.table({"number": [5], "event_time": at, "risk": [3]}))
    assert online.vector({"number": np.int64(5)}) == (3,)
    assert online.vectors([np.int32(5), 6]) == [(3,), (7,)]
    with pytest.raises(UsageError, match="is no int64"):
        online.vector({"number": np.bool_(True)})
