"""The estimator: seeds and edges come and go, previews hold, every score is attributed and shown its paths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import greywater as gw
from greywater.errors import RefusedTypeError, RefusedValueError, UsageError
from greywater.features.trust import AntiTrustRank
from tests import naive_trust

Links = list[tuple[int, int, float]]

PAIR = pa.table({"source": ["A"], "target": ["B"]})


def frame(links: Links) -> pa.Table:
    source, target, weight = zip(*links, strict=True) if links else ((), (), ())
    return pa.table(
        {
            "source": pa.array(source, pa.int64()),
            "target": pa.array(target, pa.int64()),
            "weight": pa.array(weight, pa.float64()),
        }
    )


def check_scores(rank: AntiTrustRank, links: Links, seeds: dict[int, float], within: float = 1e-9) -> None:
    """The estimator's scores are those of the twin over nodes 0 to 11, whatever order the nodes came in."""
    expected = naive_trust.leak(links, 12, seeds, rank.beta)
    if rank.direction == "in":
        expected = naive_trust.leak([(t, s, w) for s, t, w in links], 12, seeds, rank.beta)
    found = np.zeros(12)
    found[rank.nodes_.astype(int)] = rank.additive_
    assert np.abs(found - expected).sum() < within


def random_links(generator: np.random.Generator, count: int) -> Links:
    return [
        (int(generator.integers(0, 9)), int(generator.integers(0, 12)), float(generator.integers(1, 4)))
        for _ in range(count)
    ]


def test_the_public_face() -> None:
    assert gw.AntiTrustRank is AntiTrustRank


def test_a_rule_and_the_rank_see_different_people() -> None:
    """A -> B. The rule "a related person of mine is a launderer" hits A when B is; the rank finds B when A is."""
    related_to = {"A": ["B"]}

    def rule(launderers: set[str]) -> set[str]:
        return {one for one, others in related_to.items() if launderers & set(others)} - launderers

    def rank(launderers: set[str]) -> set[str]:
        return set(AntiTrustRank().fit(PAIR, sorted(launderers)).ranking()["node"].to_pylist())

    assert (rule({"B"}), rank({"B"})) == ({"A"}, set())
    assert (rule({"A"}), rank({"A"})) == (set(), {"B"})
    assert rule({"B"}) | rank({"B"}) == {"A"}
    assert rule({"A"}) | rank({"A"}) == {"B"}
    backward = AntiTrustRank(direction="in").fit(PAIR, ["B"])
    assert backward.ranking()["node"].to_pylist() == ["A"]
    assert backward.paths("A")[0].reverse


@pytest.mark.parametrize(
    "edges",
    [
        pa.table({"source": [7, 7, 9], "target": [9, 11, 13], "weight": [3.0, 1.0, 1.0]}),
        pd.DataFrame({"from": [7, 7, 9], "to": [9, 11, 13], "weight": [3.0, 1.0, 1.0]}),
        ([7, 7, 9], [9, 11, 13], [3.0, 1.0, 1.0]),
        np.array([[7, 9, 3], [7, 11, 1], [9, 13, 1]]),
    ],
    ids=["arrow", "pandas", "arrays", "matrix"],
)
def test_edges_come_in_many_forms(edges: Any) -> None:
    rank = AntiTrustRank(beta=0.8).fit(edges, [7])
    assert rank.nodes_.tolist() == [7, 9, 11, 13]
    assert rank.additive_ == pytest.approx([0.2, 0.12, 0.04, 0.096])
    assert rank.scores_.sum() == pytest.approx(1.0)
    assert rank.ranking()["node"].to_pylist() == [9, 13, 11]
    assert rank.ranking(1).to_pylist() == [{"rank": 1, "node": 9, "score": pytest.approx(0.12 / 0.456)}]


def test_a_weight_column_is_named() -> None:
    edges = pd.DataFrame({"payer": ["a", "a"], "payee": ["b", "c"], "amount": [1, 3]})
    rank = AntiTrustRank(weight="amount").fit(edges, ["a"])
    assert rank.ranking()["node"].to_pylist() == ["c", "b"]
    with pytest.raises(RefusedValueError, match="no column 'count'"):
        AntiTrustRank(weight="count").fit(edges, ["a"])


def test_every_node_alike_is_page_rank() -> None:
    rank = AntiTrustRank().fit((["a", "b", "c"], ["b", "c", "b"]))
    assert rank.scores_.sum() == pytest.approx(1.0)
    assert rank.ranking(1)["node"].to_pylist() == ["b"]
    assert rank.seeds_ == {}
    with pytest.raises(UsageError, match="every node is a seed"):
        rank.add_seeds(["a"])
    rank.add_edges((["d"], ["a"]))
    again = AntiTrustRank().fit((["a", "b", "c", "d"], ["b", "c", "b", "a"]))
    assert rank.additive_ == pytest.approx(again.additive_[[again.nodes_.tolist().index(n) for n in rank.nodes_]])


@given(st.integers(0, 2**32 - 1), st.sampled_from(["out", "in"]))
def test_changes_lead_where_a_fresh_fit_does(seed: int, direction: str) -> None:
    generator = np.random.default_rng(seed)
    links, seeds = random_links(generator, 20), {0: 1.0, 1: 2.5}
    links += [(node, node, 1.0) for node in (0, 1)]
    rank = AntiTrustRank(direction=direction, tol=1e-11, preview_tol=1e-6).fit(frame(links), seeds)
    check_scores(rank, links, seeds)
    for _ in range(4):
        known = [int(node) for node in rank.nodes_]
        what = generator.integers(0, 4)
        if what == 0:
            fresh = {int(generator.choice(known)): float(generator.integers(1, 4))}
            rank.add_seeds(fresh)
            seeds |= fresh
        elif what == 1 and len(seeds) > 1:
            gone = int(generator.choice(list(seeds)))
            rank.remove_seeds([gone])
            del seeds[gone]
        elif what == 2 and links:
            gone = {links[int(place)][:2] for place in generator.integers(0, len(links), 3)}
            rank.remove_edges(frame([(*pair, 1.0) for pair in sorted(gone)]), exact=bool(generator.integers(0, 2)))
            links = [link for link in links if link[:2] not in gone]
        else:
            more = random_links(generator, int(generator.integers(1, 6)))
            rank.add_edges(frame(more), exact=bool(generator.integers(0, 2)))
            links += more
        check_scores(rank, links, seeds, 1e-5)
        assert rank.seeds_ == seeds
    rank.add_edges(frame([]))
    check_scores(rank, links, seeds)
    reached = naive_trust.reached(links if direction == "out" else [(t, s, w) for s, t, w in links], list(seeds))
    assert set(rank.ranking()["node"].to_pylist()) == reached - set(seeds)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["out", "in", "both"]))
def test_edges_go_as_if_they_had_never_been(seed: int, direction: str) -> None:
    generator = np.random.default_rng(seed)
    links = list(dict.fromkeys(link[:2] for link in random_links(generator, 25)))
    weights = generator.random(len(links)) + 0.1
    table = frame([(*pair, float(weight)) for pair, weight in zip(links, weights, strict=True)])
    gone = generator.random(len(links)) < generator.choice([0.3, 1.0])
    rank = AntiTrustRank(direction=direction, tol=1e-12).fit(table, [0, 3])
    rank.remove_edges(table.filter(pa.array(gone)))
    fresh = AntiTrustRank(direction=direction, tol=1e-12).fit(table.filter(pa.array(~gone)), [0, 3])
    scores = dict(zip(fresh.nodes_.tolist(), fresh.additive_.tolist(), strict=True))
    assert rank.additive_ == pytest.approx([scores.get(node, 0.0) for node in rank.nodes_.tolist()], abs=1e-10)
    assert set(rank.ranking()["node"].to_pylist()) == set(fresh.ranking()["node"].to_pylist())
    rank.add_edges(table.filter(pa.array(gone)))
    again = AntiTrustRank(direction=direction, tol=1e-12).fit(table, [0, 3])
    scores = dict(zip(again.nodes_.tolist(), again.additive_.tolist(), strict=True))
    assert rank.additive_ == pytest.approx([scores[node] for node in rank.nodes_.tolist()], abs=1e-10)


def test_what_is_refused_changes_nothing() -> None:
    rank = AntiTrustRank().fit(PAIR, ["A"])
    for call in (
        lambda: rank.add_edges((["A", "C"], ["B", "D"], [1.0, -1.0])),
        lambda: rank.remove_edges((["A", "B"], ["B", "A"])),
        lambda: rank.remove_edges((["A", "A"], ["B", "X"])),
    ):
        with pytest.raises(RefusedValueError):
            call()
    assert rank.nodes_.tolist() == ["A", "B"]
    assert rank.add_edges((["A"], ["C"])).ranking()["node"].to_pylist() == ["B", "C"]


def test_a_graph_that_begins_empty_takes_ids_of_either_kind() -> None:
    rank = AntiTrustRank().fit(([], []), [7])
    assert rank.add_edges(([7], [9])).ranking()["node"].to_pylist() == [9]


def test_a_preview_changes_nothing_and_is_near() -> None:
    generator = np.random.default_rng(4)
    nodes, count = 5_000, 40_000
    edges = (
        (3_000 * generator.random(count) ** 2).astype(int),
        (nodes * generator.random(count) ** 2).astype(int),
    )
    chosen = generator.choice(3_000, 101, replace=False).tolist()
    rank = AntiTrustRank().fit(edges, chosen[:100])
    before = rank.additive_.tobytes()
    preview = rank.preview(add=[chosen[100]], remove=[chosen[0]], top=200)
    assert rank.additive_.tobytes() == before
    rank.add_seeds([chosen[100]]).remove_seeds([chosen[0]])
    exact = rank.ranking(200)
    assert len(set(preview["node"].to_pylist()) & set(exact["node"].to_pylist())) >= 198
    assert preview["score"].to_numpy()[:20] == pytest.approx(exact["score"].to_numpy()[:20], rel=1e-3)
    fresh = AntiTrustRank().fit(edges, chosen[1:])
    assert np.abs(fresh.additive_ - rank.additive_).sum() < 2e-8


def test_many_edges_order_the_nodes_anew() -> None:
    generator = np.random.default_rng(9)
    first, more = random_links(generator, 30), random_links(generator, 30)
    rank = AntiTrustRank(tol=1e-12).fit(frame([*first, (0, 1, 1.0)]), [0])
    rank.add_edges(frame(more))
    check_scores(rank, [*first, (0, 1, 1.0), *more], {0: 1.0})
    assert all(vector.graph.ordered for vector in rank._vectors)


@given(st.integers(0, 2**32 - 1))
def test_attribution_is_the_vector_of_each_seed(seed: int) -> None:
    generator = np.random.default_rng(seed)
    links, seeds = [*random_links(generator, 25), (0, 1, 1.0), (2, 3, 1.0)], {0: 1.0, 2: 3.0}
    rank = AntiTrustRank(tol=1e-13).fit(frame(links), seeds)
    each = {one: naive_trust.leak(links, 12, {one: 1.0}, 0.85) * weight for one, weight in seeds.items()}
    for node in rank.nodes_.astype(int).tolist():
        whole = sum(float(vector[node]) for vector in each.values())
        expected = {one: float(vector[node]) / whole for one, vector in each.items() if vector[node] > 0.0}
        assert rank.attribution(node) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_paths_are_the_strongest(seed: int) -> None:
    generator = np.random.default_rng(seed)
    links, seeds = [*random_links(generator, 12), (0, 1, 1.0), (2, 3, 1.0)], {0: 1.0, 2: 3.0}
    rank = AntiTrustRank(tol=1e-13).fit(frame(links), seeds)
    scores = naive_trust.leak(links, 12, seeds, 0.85)
    for node in rank.nodes_.astype(int).tolist():
        expected = naive_trust.strongest_paths(links, 12, seeds, 0.85, node)[:3]
        found = rank.paths(node)
        assert [path.share * scores[node] for path in found] == pytest.approx([each[0] for each in expected])
        for path in found:
            assert path.nodes[0] in seeds
            assert path.nodes[-1] == node


def test_a_path_names_the_people() -> None:
    edges = (["seed", "seed", "mule", "mule"], ["mule", "shop", "boss", "shop"])
    rank = AntiTrustRank().fit(edges, ["seed"])
    assert rank.paths("boss")[0].nodes == ("seed", "mule", "boss")
    assert rank.paths("boss")[0].share == pytest.approx(1.0)
    assert [path.nodes for path in rank.paths("shop")] == [("seed", "shop"), ("seed", "mule", "shop")]
    assert rank.attribution("boss") == {"seed": pytest.approx(1.0)}


def test_both_directions_are_explained_together() -> None:
    edges = (["a", "b", "c"], ["b", "c", "a"])
    rank = AntiTrustRank(direction="both", tol=1e-12).fit(edges, {"a": 2.0, "c": 1.0})
    assert rank.additive_.sum() == pytest.approx(2.0)
    assert sum(rank.attribution("b").values()) == pytest.approx(1.0)
    assert {path.reverse for path in rank.paths("b", 4)} == {False, True}
    before = rank.additive_.copy()
    rank.remove_seeds(["c"]).add_seeds({"c": 1.0})
    assert rank.additive_ == pytest.approx(before)
    assert rank.preview(remove=["c"])["node"].to_pylist()[0] in {"b", "c"}


def test_a_seed_without_edges_is_a_node() -> None:
    rank = AntiTrustRank().fit(PAIR, ["Z"])
    assert rank.nodes_.tolist() == ["A", "B", "Z"]
    assert rank.ranking().num_rows == 0
    assert rank.attribution("A") == {}
    assert rank.paths("A") == []


def test_the_ranking_holds_who_is_reached_and_no_one_else() -> None:
    chain = (list(range(200)), list(range(1, 201)))
    rank = AntiTrustRank(tol=1e-4).fit((chain[0] + [500], chain[1] + [501]), [0])
    assert rank.ranking()["node"].to_pylist() == list(range(1, 201))
    assert rank.ranking(3)["rank"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda rank: rank.add_seeds(["X"]), RefusedValueError, "'X' is no node"),
        (lambda rank: rank.remove_seeds(["B"]), RefusedValueError, "'B' is no seed"),
        (lambda rank: rank.add_seeds(["B", "B"]), RefusedValueError, "given twice"),
        (lambda rank: rank.add_seeds({"B": -1.0}), RefusedValueError, "weights of seeds"),
        (lambda rank: rank.attribution("X"), RefusedValueError, "'X' is no node"),
        (lambda rank: rank.add_edges(([1], [2])), RefusedTypeError, "ids are of type int64"),
        (lambda rank: rank.add_edges((["A"], ["B"], [-1.0])), RefusedValueError, "negative or not finite"),
        (lambda rank: rank.add_edges((["A"], ["B"], [1e300])), RefusedValueError, "too large or too small"),
        (lambda rank: rank.remove_edges((["B"], ["A"])), RefusedValueError, "no edge 'B' -> 'A'"),
        (lambda rank: rank.remove_edges((["A"], ["X"])), RefusedValueError, "no edge 'A' -> 'X'"),
        (lambda rank: AntiTrustRank(tol=0.0).fit(PAIR), RefusedValueError, "tol 0.0 is not above 0"),
        (lambda rank: AntiTrustRank(preview_tol=np.nan).fit(PAIR), RefusedValueError, "preview_tol nan"),
        (lambda rank: AntiTrustRank().fit((np.array([2**64 - 1], np.uint64), [1])), RefusedValueError, "63 bits"),
        (lambda rank: AntiTrustRank().scores_, UsageError, "no scores yet"),
        (lambda rank: AntiTrustRank().fit("edges"), RefusedTypeError, "edges are of type str"),
        (lambda rank: AntiTrustRank().fit(([1.5], [2.0])), RefusedTypeError, "ids are of type double"),
        (lambda rank: AntiTrustRank().fit((["A", None], ["B", "C"])), RefusedValueError, "an id is missing"),
        (lambda rank: AntiTrustRank().fit((["A"], ["B", "C"])), RefusedValueError, "differ in length"),
        (lambda rank: AntiTrustRank(beta=-0.1).fit(PAIR), RefusedValueError, "does not lie in"),
    ],
)
def test_what_cannot_be_used_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(AntiTrustRank().fit(PAIR, ["A"]))
