"""Lineage: from the source file to the alert and back, over a real chain of records."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.lineage import KINDS, Lineage, commit_name, version_name
from greywater.featurestore.registry import Registry
from greywater.stores.feature_records import FeatureRecords
from greywater.vocab import Actor

ANN = Actor()


@pytest.fixture
def records() -> Iterator[FeatureRecords]:
    with FeatureRecords.open("sqlite::memory:") as opened:
        yield opened


def source_name(path: Path) -> str:
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


@pytest.fixture
def chain(records: FeatureRecords, tmp_path: Path) -> Lineage:
    """Two files, two commits of a group, a view, a training set, a model, three alerts; and a third commit unused."""
    registry, lineage = Registry(records), Lineage(records)
    registry.register_group(FeatureGroup("sums", 1, ("account",), ("string",), (FeatureField("total", "int64"),)), ANN)
    registry.register_view(FeatureView("risk", 1, (ViewFeature("sums", 1, "total"),)), ANN)
    for number, name in enumerate(("may.csv", "june.csv", "july.csv")):
        path = tmp_path / name
        path.write_text(f"payments of {name}\n")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        records.put_commit(ANN, "sums", 1, number, rows=1, sha256=digest, statistics={})
        lineage.add("source", source_name(path), "commit", commit_name("sums", 1, number), how="backfill")
    records.put_training_set(
        ANN, "spring", 1, view="risk", view_version=1, sha256="ab", record={"as_of": {"sums@1": 1}}
    )
    spring = version_name("spring", 1)
    lineage.add_all([("commit", commit_name("sums", 1, number), "training_set", spring) for number in (0, 1)])
    lineage.add("view", version_name("risk", 1), "training_set", spring)
    registry.bind_model("risk", 1, "boosted", ANN, model_fingerprint="f1")
    lineage.add("training_set", spring, "model", "boosted f1")
    lineage.add_all([("model", "boosted f1", "alert", f"a{number}") for number in range(3)], how="run 1")
    return lineage


def test_an_alert_knows_the_files_it_rests_on(chain: Lineage, tmp_path: Path) -> None:
    graph = chain.upstream("alert", "a1")
    assert graph.of_kind("source") == tuple(sorted(source_name(tmp_path / name) for name in ("may.csv", "june.csv")))
    assert graph.of_kind("commit") == ("sums@1#0", "sums@1#1")
    assert graph.of_kind("view") == ("risk@1",)
    assert graph.of_kind("training_set") == ("spring@1",)
    assert graph.of_kind("model") == ("boosted f1",)
    assert graph.of_kind("alert") == ("a1",)
    assert not graph.truncated


def test_a_file_knows_what_was_made_of_it(chain: Lineage, tmp_path: Path) -> None:
    graph = chain.downstream("source", source_name(tmp_path / "may.csv"))
    assert graph.of_kind("alert") == ("a0", "a1", "a2")
    assert graph.of_kind("commit") == ("sums@1#0",)
    assert chain.downstream("source", source_name(tmp_path / "july.csv")).of_kind("alert") == ()
    assert chain.upstream("source", source_name(tmp_path / "may.csv")).edges == ()
    assert chain.downstream("model", "nobody knows").nodes[0].name == "nobody knows"


def test_the_graph_is_cut_where_it_is_said_so(chain: Lineage) -> None:
    graph = chain.downstream("model", "boosted f1", most=2)
    assert graph.truncated
    assert graph.of_kind("alert") == ("a0", "a1")


def test_the_graph_as_json(chain: Lineage) -> None:
    graph = chain.upstream("model", "boosted f1")
    told = json.loads(graph.to_json())
    assert told == graph.to_dict()
    assert told["nodes"][told["start"]] == {"kind": "model", "name": "boosted f1"}
    pairs = {(told["nodes"][one["source"]]["kind"], told["nodes"][one["target"]]["kind"]) for one in told["edges"]}
    assert pairs == {
        ("source", "commit"), ("commit", "training_set"), ("view", "training_set"), ("training_set", "model"),
    }  # fmt: skip


def test_the_picture_holds_every_node_once(chain: Lineage) -> None:
    chain.add("model", "boosted f1", "alert", '<script>&"' + "x" * 50)
    graph = chain.upstream("alert", '<script>&"' + "x" * 50)
    root = ElementTree.fromstring(graph.to_svg())
    space = "{http://www.w3.org/2000/svg}"
    titles = [one.findtext(f"{space}title") for one in root.iter(f"{space}g")]
    assert sorted(map(str, titles)) == sorted(node.name for node in graph.nodes)
    assert len(list(root.iter(f"{space}path"))) == len(graph.edges)


def test_wrong_kinds_names_and_circles_are_refused(chain: Lineage) -> None:
    with pytest.raises(UsageError, match="no kind"):
        chain.add("file", "a", "commit", "b")
    with pytest.raises(UsageError, match="without a name"):
        chain.add("source", "", "commit", "b")
    with pytest.raises(StoreError, match="come from itself"):
        chain.add("alert", "a1", "commit", "sums@1#0")
    assert not chain.add("model", "boosted f1", "alert", "a1")


EXAMPLES = itertools.count()
edges = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1]), max_size=16)


@given(pairs=edges, start=st.integers(0, 7))
def test_reach_is_that_of_a_plain_walk(records: FeatureRecords, pairs: list[tuple[int, int]], start: int) -> None:
    lineage, own = Lineage(records), next(EXAMPLES)
    assert lineage.add_all([("commit", f"{own}.{a}", "commit", f"{own}.{b}") for a, b in pairs]) == len(set(pairs))
    down, up = lineage.downstream("commit", f"{own}.{start}"), lineage.upstream("commit", f"{own}.{start}")
    for graph, steps in ((down, set(pairs)), (up, {(b, a) for a, b in pairs})):
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            todo += [b for a, b in steps if a == here and b not in seen]
            seen |= {b for a, b in steps if a == here}
        assert {int(node.name.partition(".")[2]) for node in graph.nodes} == seen
        assert len(graph.edges) == len({pair for pair in steps if pair[0] in seen})


def test_kinds_are_in_the_order_of_making() -> None:
    assert KINDS == ("source", "commit", "view", "training_set", "model", "alert")
