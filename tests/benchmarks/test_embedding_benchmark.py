"""The contest on planted rings: what is planted, and that who is known is not judged."""

from __future__ import annotations

import numpy as np

from bench_embedding import by_scipy, drawn
from greywater.features.embedding import Projection, project_accounts
from planted_rings import TRUST, distances, planted, projected, trust


def test_rings_are_planted_and_one_member_of_each_is_known() -> None:
    made = planted(3, nodes=500, links=1_500, rings=10, larger=50.0)
    ring = slice(1_500, None)
    assert 40 <= made.member.sum() <= 80
    assert made.member[made.seeds].all()
    assert len(made.seeds) == 10
    after = dict(zip(made.source[ring].tolist(), made.target[ring].tolist(), strict=True))
    for seed in made.seeds.tolist():
        node, steps = after[seed], 1
        while node != seed:
            node, steps = after[node], steps + 1
        assert 4 <= steps <= 8


def test_suspicion_and_distances_both_find_members() -> None:
    made = planted(3, nodes=500, links=1_500, rings=10, larger=50.0)
    others = made.member.copy()
    others[made.seeds] = False
    for direction in TRUST:
        score = trust(made, direction)
        assert score[others].mean() > 3 * score[~made.member].mean()
    near = distances(made, projected(made, (1.0, 1.0, 1.0)))
    assert near[made.seeds, 0].max() < 1e-6
    assert near[others, 0].mean() < near[~made.member, 0].mean()


def test_the_peer_projects_as_ours_does_but_for_its_random_rows() -> None:
    source, target, weight = drawn(400, 6_000, (1.0, 1.0))
    projection = Projection(dimensions=512)
    out, into = by_scipy(source, target, weight, 400, projection)
    ours = project_accounts(source, target, weight, 400, projection)
    for found, theirs in ((ours.out, out), (ours.into, into)):
        there = np.flatnonzero(found.any(axis=1))
        likeness = np.abs(found[there] @ found[there].T - theirs[there] @ theirs[there].T)
        assert likeness.mean() < 0.06
