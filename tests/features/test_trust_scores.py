"""The scores are those of the definition: hand-worked cases, the dense twin, another library, invariances."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedValueError
from greywater.features.trust_scores import TrustScores, trust_scores
from tests import naive_trust

A, B, C, D, E, G, H = range(7)
WEB = [(A, B), (A, C), (A, D), (B, A), (B, D), (C, A), (D, B), (D, C)]
BEW = [(target, source) for source, target in WEB]
CHAIN = [(A, B), (B, C), (C, D), (D, E)]
TREE = [(A, B), (A, C), (B, D), (B, E), (C, G), (C, H)]
LOOP = [(A, B), (B, C), (C, D), (D, B)]
CYCLE = [(A, B), (B, C), (C, D), (D, A)]
TRAP = [(A, B), (B, C), (C, D), (D, C)]

#: name, links, seeds, beta, LEAK, TELE (None = the same).
CASES = [
    ("web", WEB, [B, D], 0.8, [Fraction(54, 210), Fraction(59, 210), Fraction(38, 210), Fraction(59, 210)], None),
    ("web reversed", BEW, [B, D], 0.8, [Fraction(2, 7), Fraction(159, 490), Fraction(4, 35), Fraction(27, 98)], None),
    ("web, one seed", WEB, [D], 0.8, [Fraction(12, 49), Fraction(10, 49), Fraction(10, 49), Fraction(17, 49)], None),
    ("web, 0.85", WEB, [B, D], 0.85,
     [Fraction(629, 2280), Fraction(911, 3420), Fraction(1309, 6840), Fraction(911, 3420)], None),
    ("pair from A", [(A, B)], [A], 0.8, [Fraction(1, 5), Fraction(4, 25)], [Fraction(5, 9), Fraction(4, 9)]),
    ("pair from B", [(A, B)], [B], 0.8, [0, Fraction(1, 5)], [0, 1]),
    ("chain", CHAIN, [A], 0.8, [Fraction(2, 10) * Fraction(8, 10) ** k for k in range(5)],
     [Fraction(k, 2101) for k in (625, 500, 400, 320, 256)]),
    ("tree", TREE, [A], 0.8, [Fraction(1, 5)] + [Fraction(2, 25)] * 2 + [Fraction(4, 125)] * 4,
     [Fraction(25, 61)] + [Fraction(10, 61)] * 2 + [Fraction(4, 61)] * 4),
    ("loop", LOOP, [A], 0.8, [Fraction(1, 5), Fraction(20, 61), Fraction(16, 61), Fraction(64, 305)], None),
    ("cycle", CYCLE, [A], 0.8, [Fraction(k, 369) for k in (125, 100, 80, 64)], None),
    ("trap", TRAP, [A], 0.8, [Fraction(1, 5), Fraction(4, 25), Fraction(16, 45), Fraction(64, 225)], None),
    ("self-loop", [(A, A), (A, B)], [A], 0.8, [Fraction(1, 3), Fraction(2, 15)], [Fraction(5, 7), Fraction(2, 7)]),
]  # fmt: skip


def scores(links: list[tuple[int, int]], seeds: list[int], nodes: int, **more: object) -> TrustScores:
    source, target = zip(*links, strict=True) if links else ((), ())
    weight = more.pop("weight", None)
    return trust_scores(list(source), list(target), weight, nodes, seeds, tol=1e-13, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "links", "seeds", "beta", "leak", "tele"), CASES, ids=[case[0] for case in CASES])
def test_hand_worked_case(
    name: str,
    links: list[tuple[int, int]],
    seeds: list[int],
    beta: float,
    leak: list[Fraction],
    tele: list[Fraction] | None,
) -> None:
    found = scores(links, seeds, len(leak), beta=beta)
    assert found.additive == pytest.approx([float(value) for value in leak], abs=1e-12)
    assert found.shown == pytest.approx([float(value) for value in tele or leak], abs=1e-12)
    weighted = [(source, target, 1.0) for source, target in links]
    twin = naive_trust.leak(weighted, len(leak), dict.fromkeys(seeds, 1.0), beta)
    assert twin == pytest.approx([float(value) for value in leak], abs=1e-12)


def test_hand_worked_weights() -> None:
    found = trust_scores([A, A], [B, C], np.array([3.0, 1.0]), 3, [A], beta=0.8, tol=1e-13)
    assert found.additive == pytest.approx([0.2, 0.12, 0.04], abs=1e-12)
    assert found.shown == pytest.approx(np.array([0.2, 0.12, 0.04]) / 0.36, abs=1e-12)


def test_hand_worked_iterates() -> None:
    """The first steps of the power method from e_S, by the definition itself."""
    moves = naive_trust.matrix([(source, target, 1.0) for source, target in WEB], 4)
    jump = np.array([0.0, 0.5, 0.0, 0.5])
    state, seen = jump, []
    for _ in range(3):
        state = 0.8 * moves @ state + 0.2 * jump
        seen.append(state)
    assert seen[0] == pytest.approx([0.2, 0.3, 0.2, 0.3])
    assert seen[1] == pytest.approx([0.28, 0.27333, 0.17333, 0.27333], abs=1e-5)
    assert seen[2] == pytest.approx([0.248, 0.284, 0.184, 0.284])
    for _ in range(200):
        state = 0.8 * moves @ state + 0.2 * jump
    assert scores(WEB, [B, D], 4, beta=0.8).additive == pytest.approx(state, abs=1e-12)


def test_both_adds_the_two_directions() -> None:
    along, against = scores(WEB, [D], 4), scores(WEB, [D], 4, direction="in")
    assert scores(WEB, [D], 4, direction="both").additive == pytest.approx(along.additive + against.additive, abs=1e-12)
    assert against.additive == pytest.approx(scores([(t, s) for s, t in WEB], [D], 4).additive, abs=1e-12)


def test_a_long_chain_is_suspect_to_its_end() -> None:
    """Stopped at 1e-8 the scores at the far end may be anything near zero; who is suspect is decided by reach."""
    nodes = 202
    found = trust_scores(np.arange(199), np.arange(1, 200), None, nodes, [0])
    assert found.suspects().tolist() == list(range(1, 200))
    assert not found.reached[200:].any()
    assert found.passes == 0  # no cycle, no iteration


def test_a_farm_lifts_page_rank_and_not_trust() -> None:
    """A thousand accounts that only prop up one: PageRank believes them, TrustRank from two trusted ones does not."""
    honest = [(source, (source * step + 1) % 50) for source in range(50) for step in (1, 3, 7)]
    farm = [(node, 50) for node in range(51, 1051)]
    nodes, target = 1051, 50
    rank = scores(honest + farm, [], nodes).additive
    assert rank.sum() == 0.0
    page_rank = trust_scores(*zip(*(honest + farm), strict=True), None, nodes, None)  # type: ignore[arg-type]
    trust = scores(honest + farm, [0, 1], nodes)
    assert page_rank.shown.argmax() == target
    assert trust.shown[target] == 0.0
    assert not trust.reached[target]


def test_kept_weight_goes_nowhere() -> None:
    found = trust_scores([0], [1], np.array([1.0]), 2, [0], beta=0.8, kept=np.array([3.0, 0.0]), tol=1e-13)
    assert found.additive == pytest.approx([0.2, 0.04])


def graphs() -> st.SearchStrategy[tuple[int, list[tuple[int, int, float]], dict[int, float], float]]:
    nodes = st.integers(1, 9)
    return nodes.flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(
                st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.sampled_from([0.0, 0.5, 1.0, 3.0])),
                max_size=25,
            ),
            st.dictionaries(st.integers(0, n - 1), st.sampled_from([1.0, 2.5]), min_size=1),
            st.sampled_from([0.0, 0.5, 0.85, 0.97]),
        )
    )


@given(graphs())
def test_the_twin_agrees(drawn: tuple[int, list[tuple[int, int, float]], dict[int, float], float]) -> None:
    nodes, links, seeds, beta = drawn
    found = trust_scores(
        [link[0] for link in links],
        [link[1] for link in links],
        np.array([link[2] for link in links]),
        nodes,
        list(seeds),
        list(seeds.values()),
        beta=beta,
        tol=1e-12,
    )
    assert found.additive == pytest.approx(naive_trust.leak(links, nodes, seeds, beta), abs=2e-12)
    assert found.shown == pytest.approx(naive_trust.tele(links, nodes, seeds, beta), abs=4e-12)
    assert set(np.flatnonzero(found.reached).tolist()) == naive_trust.reached(links, list(seeds))
    assert not set(found.suspects().tolist()) & set(seeds)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_another_library_agrees(seed: int, weighted: bool) -> None:
    """networkx.pagerank with personalization and its default dangling rule is TELE."""
    nx = pytest.importorskip("networkx")
    generator = np.random.default_rng(seed)
    nodes, links = 400, 2_500
    source = (300 * generator.random(links) ** 2).astype(np.int32)
    target = generator.integers(0, nodes, links, dtype=np.int32)
    weight = generator.integers(1, 9, links).astype(np.float64) if weighted else None
    seeds = generator.choice(nodes, 12, replace=False)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    for place, (one, two) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        more = 1.0 if weight is None else float(weight[place])
        before = graph.get_edge_data(one, two, {"weight": 0.0})["weight"]
        graph.add_edge(one, two, weight=before + more)
    theirs = nx.pagerank(graph, alpha=0.85, personalization=dict.fromkeys(seeds.tolist(), 1.0), tol=1e-15, max_iter=500)
    ours = trust_scores(source, target, weight, nodes, seeds).shown
    assert np.abs(ours - np.array([theirs[node] for node in range(nodes)])).sum() < 1e-8


@given(st.integers(0, 2**32 - 1))
def test_numbers_of_nodes_do_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    nodes, links = 30, 90
    source, target = generator.integers(0, nodes, (2, links), dtype=np.int32)
    names = generator.permutation(nodes).astype(np.int32)
    one = trust_scores(source, target, None, nodes, [0, 3], tol=1e-12)
    two = trust_scores(names[source], names[target], None, nodes, names[[0, 3]], tol=1e-12)
    assert two.additive[names] == pytest.approx(one.additive, abs=2e-12)


def test_seeds_add_up() -> None:
    generator = np.random.default_rng(11)
    source, target = generator.integers(0, 60, (2, 200), dtype=np.int32)
    each = [trust_scores(source, target, None, 60, [seed], tol=1e-13).additive for seed in (3, 9, 27)]
    together = trust_scores(source, target, None, 60, [3, 9, 27], [1.0, 2.0, 1.0], tol=1e-13).additive
    assert together == pytest.approx(each[0] / 4 + each[1] / 2 + each[2] / 4, abs=1e-12)


def test_the_tolerance_is_kept_and_the_same_bits_come_back() -> None:
    generator = np.random.default_rng(2)
    nodes, links = 3_000, 20_000
    source = (2_000 * generator.random(links) ** 3).astype(np.int32)
    target = generator.integers(0, nodes, links, dtype=np.int32)
    exact = trust_scores(source, target, None, nodes, range(20), tol=1e-14)
    for tol in (1e-4, 1e-8, 1e-11):
        found = trust_scores(source, target, None, nodes, range(20), tol=tol)
        assert np.abs(found.shown - exact.shown).sum() <= tol
        assert np.abs(found.additive - exact.additive).sum() <= min(tol, found.error + 1e-13)
        again = trust_scores(source, target, None, nodes, range(20), tol=tol)
        assert found.additive.tobytes() == again.additive.tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": [5]}, "source is not a node"),
        ({"target": [-1]}, "target is not a node"),
        ({"weight": [np.nan]}, "negative or not finite"),
        ({"weight": [-1.0]}, "negative or not finite"),
        ({"weight": [1.0, 1.0]}, "differ in length"),
        ({"seeds": [2]}, "a seed is not a node"),
        ({"seeds": [0, 0]}, "given twice"),
        ({"seed_weight": [-1.0]}, "weights of seeds"),
        ({"weight": [1e308]}, "too large or too small"),
        ({"weight": [5e-324]}, "too large or too small"),
        ({"tol": 0.0}, "tol 0.0 is not above 0"),
        ({"tol": float("nan")}, "tol nan is not above 0"),
        ({"beta": 1.0}, "does not lie in"),
        ({"direction": "up"}, "no direction 'up'"),
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[str, object], words: str) -> None:
    given_ = {"source": [0], "target": [1], "weight": [1.0], "nodes": 2, "seeds": [0], **change}
    with pytest.raises(RefusedValueError, match=words) as caught:
        trust_scores(**given_)  # type: ignore[arg-type]
    assert caught.value.mend
    assert caught.value.where
