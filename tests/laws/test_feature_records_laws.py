"""The laws of the feature store's records: in SQLite on disk and in memory, and in PostgreSQL, the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from greywater.errors import StoreError, UsageError
from greywater.stores.feature_record_rows import (
    BindingRecord,
    Change,
    Definition,
    DriftRecord,
    Edge,
    Node,
    SearchDocument,
    ServedRecord,
)
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.records import Records
from greywater.vocab import Actor

NEVER = datetime(1, 1, 1, tzinfo=UTC)
ANN = Actor("ANN", "north", "data_scientist", "key-1")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, new_postgres: Callable[[], str]) -> str:
    if request.param == "postgresql":
        return new_postgres()
    return "sqlite::memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'records.sqlite'}"


@pytest.fixture
def records(url: str) -> Iterator[FeatureRecords]:
    with FeatureRecords.open(url) as opened:
        yield opened


def definition(name: str = "sums", version: int = 1, text: str = '{"a":1}', kind: Any = "group") -> Definition:
    return Definition(kind, name, version, "f00d", text, "", NEVER)


def test_a_definition_is_written_once_with_who_and_when(records: FeatureRecords) -> None:
    assert records.put_definition(ANN, definition(), state="active")
    assert not records.put_definition(Actor(), definition(), state="active")
    held = records.definition("group", "sums", 1)
    assert held is not None
    assert (held.text, held.principal, held.fingerprint) == ('{"a":1}', "NORTH__ANN", "f00d")
    assert held.at.year > 2000
    with pytest.raises(StoreError, match="version 2"):
        records.put_definition(ANN, definition(text="{}"))
    assert records.definition("group", "sums", 1) == held
    assert records.definition("view", "sums", 1) is None
    assert records.put_definition(ANN, definition(kind="view"))
    assert records.put_definition(ANN, definition(version=10))
    assert records.put_definition(ANN, definition(version=2))
    assert [one.version for one in records.definitions("group", "sums")] == [1, 2, 10]
    assert records.check() == []


def test_a_refused_definition_leaves_nothing(records: FeatureRecords) -> None:
    def refuse(held: object, changes: object) -> None:
        raise UsageError("no")

    document = SearchDocument("group", "sums", 1, "", {"names": "sums"}, {"names": ("sums",)})
    with pytest.raises(UsageError):
        records.put_definition(ANN, definition(), state="active", documents=[document], check=refuse)
    assert records.definitions("group") == []
    assert records.history() == []
    assert records.documents.find([[("sums", False)]]) == []
    assert Records(records.database).audits() == []


def test_what_is_said_later_is_kept_with_its_history(records: FeatureRecords) -> None:
    records.put_definition(ANN, definition(), state="active")
    assert records.change(ANN, "group", "sums", 1, {"description": "ü", "tags": ["a", "b"]}) == 2
    assert records.change(ANN, "group", "sums", 1, {"description": "ü", "tags": ["a"]}) == 1
    assert records.change(ANN, "group", "sums", 1, {"description": "x"}, feature="total") == 1
    said = [(one.feature, one.field, one.value) for one in records.history("group", "sums", 1)]
    assert said == [
        ("", "state", "active"), ("", "description", "ü"), ("", "tags", ["a", "b"]), ("", "tags", ["a"]),
        ("total", "description", "x"),
    ]  # fmt: skip
    assert records.history("view") == []
    actions = [(row.action, row.principal) for row in Records(records.database).audits()]
    assert actions == [("register_group", "NORTH__ANN"), *[("change_feature_record", "NORTH__ANN")] * 3]


def test_a_check_sees_all_that_was_said_and_undoes_everything(records: FeatureRecords) -> None:
    seen: list[Change] = []

    def check(changes: Any) -> None:
        seen.extend(changes)
        raise StoreError("no")

    records.change(ANN, "group", "sums", 1, {"state": "draft"})
    with pytest.raises(StoreError, match="no"):
        records.change(ANN, "group", "sums", 1, {"state": "active"}, check=check)
    assert [one.value for one in seen] == ["draft"] == [one.value for one in records.history("group", "sums")]


def test_commits_keep_their_statistics(records: FeatureRecords) -> None:
    statistics = {"total": {"count": 3, "mean": 1.5, "top": [["ü", 2]]}}
    with pytest.raises(StoreError, match="no group"):
        records.put_commit(ANN, "sums", 1, 0, rows=3, sha256="ab", statistics=statistics)
    records.put_definition(ANN, definition())
    assert records.put_commit(ANN, "sums", 1, 1, rows=4, sha256="cd", statistics={})
    assert records.put_commit(ANN, "sums", 1, 0, rows=3, sha256="ab", statistics=statistics, detail={"day": 1})
    assert not records.put_commit(ANN, "sums", 1, 0, rows=3, sha256="ab", statistics=statistics, detail={"day": 1})
    with pytest.raises(StoreError, match="another one"):
        records.put_commit(ANN, "sums", 1, 0, rows=9, sha256="ab", statistics=statistics)
    with pytest.raises(StoreError, match="JSON"):
        records.put_commit(ANN, "sums", 1, 2, rows=1, sha256="ef", statistics={"mean": float("nan")})
    first, second = records.commits("sums", 1)
    assert (first.number, first.rows, first.sha256, first.statistics) == (0, 3, "ab", statistics)
    assert (second.number, second.statistics, first.detail) == (1, {}, {"day": 1})
    assert records.commits("sums", 2) == []
    assert records.check() == []


def test_training_sets_never_change(records: FeatureRecords) -> None:
    more = {"view": "risk", "view_version": 1, "sha256": "aa"}
    assert records.put_training_set(ANN, "autumn", 1, record={"start": 1}, **more)
    assert not records.put_training_set(ANN, "autumn", 1, record={"start": 1}, **more)
    with pytest.raises(StoreError, match="version 2"):
        records.put_training_set(ANN, "autumn", 1, record={"start": 2}, **more)
    (held,) = records.training_sets("autumn")
    assert (held.record, held.sha256, held.principal) == ({"start": 1}, "aa", "NORTH__ANN")
    assert records.training_sets("spring") == []
    assert records.check() == []


def test_a_model_reads_one_view(records: FeatureRecords) -> None:
    for kind in ("group", "view"):
        records.put_definition(ANN, definition(kind=kind))
        records.put_definition(ANN, definition(kind=kind, version=2))
    binding = BindingRecord("m", "f1", "sums", 1, "v1", "team", "", NEVER)
    assert records.bind(ANN, binding, [("sums", 1, "a"), ("sums", 1, "b")])
    assert not records.bind(ANN, binding, [("sums", 1, "a")])
    with pytest.raises(StoreError, match="reads view sums@1"):
        records.bind(ANN, replace(binding, view_version=2), [])
    assert records.bind(ANN, replace(binding, model_fingerprint="f2", view_version=2), [("sums", 2, "a")])
    assert [(one.model_fingerprint, one.view_version) for one in records.bindings()] == [("f1", 1), ("f2", 2)]
    uses = [(one.group, one.version, one.feature, one.model_fingerprint) for one in records.uses()]
    assert uses == [("sums", 1, "a", "f1"), ("sums", 1, "b", "f1"), ("sums", 2, "a", "f2")]
    with pytest.raises(StoreError):
        records.bind(ANN, replace(binding, model="n", view="nowhere"), [])
    assert len(records.bindings()) == 2


def test_drift_is_read_back_as_measured(records: FeatureRecords) -> None:
    rows = [
        DriftRecord("g", "jan", "feb", "a", "psi", 0.3, 0.2, True, {"bins": 10}),
        DriftRecord("g", "jan", "feb", "b", "ks", float("nan"), None, False),
        DriftRecord("h", "jan", "feb", "a", "psi", 0.1, 0.2, False),
    ]
    assert records.drift.add(rows) == 3
    first, second = records.drift.rows("g")
    assert (first.value, first.threshold, first.alert, first.detail) == (0.3, 0.2, True, {"bins": 10})
    assert (second.value, second.threshold, second.alert) == (None, None, False)
    assert [row.feature for row in records.drift.rows(alerts_only=True)] == ["a"]
    assert len(records.drift.rows()) == 3


def test_edges_are_added_once_and_followed_both_ways(records: FeatureRecords) -> None:
    a, b, c, d = (Node("commit", name) for name in "abcd")
    assert records.edges.add([Edge(a, b), Edge(b, c, "x"), Edge(a, b)]) == 2
    assert records.edges.add([Edge(b, c, "y"), Edge(a, d)]) == 1
    assert records.edges.reach(c, "up", 9) == [Edge(a, b), Edge(b, c, "x")]
    assert records.edges.reach(a, "down", 9) == [Edge(a, b), Edge(a, d), Edge(b, c, "x")]
    assert records.edges.reach(a, "down", 2) == [Edge(a, b), Edge(a, d)]
    assert records.edges.reach(d, "up", 9) == [Edge(a, d)]
    assert records.edges.add([]) == 0


@pytest.mark.parametrize("circle", [["aa"], ["ab", "ba"], ["ab", "bc", "ca"]])
def test_nothing_comes_from_itself(records: FeatureRecords, circle: list[str]) -> None:
    edges = [Edge(Node("commit", one[0]), Node("commit", one[1])) for one in circle]
    with pytest.raises(StoreError, match="come from itself"):
        records.edges.add(edges)
    assert records.edges.reach(Node("commit", "a"), "down", 9) == []
    for edge in edges[:-1]:
        assert records.edges.add([edge]) == 1
    with pytest.raises(StoreError, match="come from itself"):
        records.edges.add(edges[-1:])


def test_counters_add_up(records: FeatureRecords) -> None:
    for day in (1, 2, 2):
        records.served.add([ServedRecord("v", 1, day, "online", 5, 1), ServedRecord("v", 1, day, "online", 1, 0)])
    assert [(row.day, row.vectors, row.defaults) for row in records.served.rows()] == [(1, 6, 1), (2, 12, 2)]
    assert [row.day for row in records.served.rows(2, 3)] == [2]
    with pytest.raises(UsageError, match="negative"):
        records.served.add([ServedRecord("v", 1, 1, "online", -1, 0)])


COUNT = """
import sys
from greywater.stores.feature_record_rows import ServedRecord
from greywater.stores.feature_records import FeatureRecords
with FeatureRecords.open(sys.argv[1]) as records:
    for _ in range(15):
        records.served.add([ServedRecord("v", 1, 1, "online", 2, 1)])
"""


def test_no_count_of_another_process_is_lost(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("memory is of one process")
    writers = [subprocess.Popen([sys.executable, "-c", COUNT, url], stderr=subprocess.PIPE) for _ in range(2)]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    with FeatureRecords.open(url) as records:
        assert records.served.rows() == [ServedRecord("v", 1, 1, "online", 60, 30)]


def test_documents_are_found_by_words_and_beginnings(records: FeatureRecords) -> None:
    def document(name: str, words: str, tag: str = "") -> SearchDocument:
        return SearchDocument(
            "group", name, 1, "", {"names": name, "description": words},
            {"names": (name,), "description": tuple(words.split()), "tags": tuple(tag.split())},
        )  # fmt: skip

    with records.database.transaction(writes=True) as connection:
        documents = [document("credit", "score 7d"), document("débit", "score", "漢字"), document("x", "1e5 or and")]
        records.documents.put(connection, documents)
    find = records.documents.find
    assert sorted(one.name for one in find([[("score", False)]])) == ["credit", "débit"]
    assert [one.name for one in find([[("scor", True)], [("7d", False)]])] == ["credit"]
    assert find([[("scor", False)]]) == []
    assert sorted(one.name for one in find([[("7d", False)], [("漢", True)]], every=False)) == ["credit", "débit"]
    assert [one.name for one in find([[("nothing", False), ("1e5", False)]])] == ["x"]
    assert [one.name for one in find([[("and", False)], [("or", False)]])] == ["x"]
    assert len(find([[("score", False)]], most=1)) == 1
    assert find([]) == []
    assert records.documents.known("déb")
    assert not records.documents.known("zz")
    assert records.documents.terms(5, 5) == ["débit", "score"]
    with pytest.raises(UsageError):
        find([[("a' | 'b", False)]])
    with records.database.transaction(writes=True) as connection:
        records.documents.put(connection, [document("credit", "other")])
    assert [one.name for one in find([[("score", False)]])] == ["débit"]
    assert [one.texts["description"] for one in find([[("credit", False)]])] == ["other"]


GROWING = [
    "feature_groups",
    "feature_states",
    "feature_commits",
    "training_sets",
    "feature_edges",
    "feature_drift",
    "audit",
]


@pytest.mark.parametrize("table", GROWING)
def test_what_is_written_can_neither_be_changed_nor_removed(records: FeatureRecords, table: str) -> None:
    records.put_definition(ANN, definition(), state="active")
    records.put_commit(ANN, "sums", 1, 0, rows=3, sha256="ab", statistics={})
    records.put_training_set(ANN, "autumn", 1, view="v", view_version=1, sha256="", record={})
    records.edges.add([Edge(Node("source", "a"), Node("commit", "b"))])
    records.drift.add([DriftRecord("g", "jan", "feb", "a", "psi", 0.3, 0.2, True)])
    column = sa.inspect(records.database.engine).get_columns(table)[1]["name"]
    for act in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(StoreError, match="only grows"), records.database.transaction(writes=True) as connection:
            connection.exec_driver_sql(act)
    with records.database.transaction() as connection:
        assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def test_check_finds_what_was_changed_behind_our_back(records: FeatureRecords) -> None:
    records.put_definition(ANN, definition())
    records.put_commit(ANN, "sums", 1, 0, rows=3, sha256="ab", statistics={})
    records.put_training_set(ANN, "autumn", 1, view="v", view_version=1, sha256="", record={})
    with records.database.transaction(writes=True) as connection:
        for name in ("feature_groups", "feature_commits", "training_sets"):
            if records.database.kind == "postgresql":
                connection.exec_driver_sql(f"ALTER TABLE {name} DISABLE TRIGGER ALL")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {name}_no_update")
        connection.exec_driver_sql("UPDATE feature_groups SET definition = '{}'")
        connection.exec_driver_sql("UPDATE feature_commits SET rows = 4")
        connection.exec_driver_sql("UPDATE training_sets SET record = '[]'")
    found = {finding.where for finding in records.check()}
    assert found == {"group sums@1", "feature_commits sums@1", "training_sets autumn@1"}


def test_everything_is_there_after_opening_again(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("memory forgets")
    with FeatureRecords.open(url) as records:
        records.put_definition(ANN, definition(), state="active")
    with FeatureRecords.open(url) as records:
        assert [one.name for one in records.definitions("group")] == ["sums"]
        assert [one.value for one in records.history()] == ["active"]
