"""The eight shapes as layers: so many payments, the right parties, money passed on after it came and never more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.synth.flow_shapes import Clock, FlowShape, Legs, Pace, draw_legs, draw_shape
from greywater.synth.proportions import HI_SMALL
from greywater.vocab import Float64Array, Int64Array

NAMES = [share.typology for share in HI_SMALL.typologies]
ALWAYS = Clock(np.ones(168))


def as_wanted(
    _sender: Int64Array, _receiver: Int64Array, wanted: Float64Array
) -> tuple[Float64Array, Int64Array, np.ndarray]:
    return wanted, np.rint(wanted).astype(np.int64), np.zeros(len(wanted), np.int8)


def legs_of(shape: FlowShape, seed: int = 1, clock: Clock = ALWAYS) -> Legs:
    pace = Pace(1_000_000, 4 * 86_400, (0.85, 1.0), 100_000.0)
    return draw_legs(np.random.default_rng(seed), shape, pace, clock, as_wanted)


sizes = st.integers(1, 15).map(lambda half: 2 * half)


@given(st.integers(0, 200), st.sampled_from(NAMES), sizes, st.booleans())
def test_a_shape_has_its_payments_and_no_pair_twice_in_a_layer(seed: int, name: str, size: int, linked: bool) -> None:
    shape = draw_shape(np.random.default_rng(seed), name, size, linked=linked)
    links = np.concatenate(shape.layers)
    assert len(links) == size
    assert set(np.unique(links)) == set(range(shape.slots))
    assert (links[:, 0] != links[:, 1]).all()
    for layer in shape.layers:
        assert len(np.unique(layer, axis=0)) == len(layer)
    for before, layer in zip(shape.layers, shape.layers[1:], strict=False):
        assert set(layer[:, 0]) <= set(before[:, 1])


@pytest.mark.parametrize("size", [2, 6, 14])
def test_the_structure_of_each_shape(size: int) -> None:
    def links(name: str, *, linked: bool = True) -> list[list[tuple[int, int]]]:
        shape = draw_shape(np.random.default_rng(5), name, size, linked=linked)
        return [[(a, b) for a, b in layer.tolist()] for layer in shape.layers]

    (out,) = links("fan-out")
    assert {a for a, _ in out} == {0}
    assert len({b for _, b in out}) == size
    (inward,) = links("fan-in")
    assert {b for _, b in inward} == {0}
    gathered, scattered = links("gather-scatter")
    assert {b for _, b in gathered} == {a for a, _ in scattered} == {0}
    given_out, brought = links("scatter-gather")
    assert {a for a, _ in given_out} == {0}
    assert {b for _, b in brought} == {1}
    assert {b for _, b in given_out} == {a for a, _ in brought}
    assert [layer[0] for layer in links("cycle")] == [(k, (k + 1) % size) for k in range(size)]
    assert [layer[0] for layer in links("random")] == [(k, k + 1) for k in range(size)]
    (pairs,) = links("bipartite", linked=False)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == size
    upper, lower = links("stack", linked=False)
    assert [b for _, b in upper] == [a for a, _ in lower]


@pytest.mark.parametrize("size", [8, 14])
def test_linked_layers_hang_together(size: int) -> None:
    """A look-alike of the published form would be separate pairs: here most accounts have two payments or more."""
    for name in ("bipartite", "stack"):
        shape = draw_shape(np.random.default_rng(5), name, size, linked=True)
        _, count = np.unique(np.concatenate(shape.layers), return_counts=True)
        assert (count >= 2).mean() >= 0.5
        apart = draw_shape(np.random.default_rng(5), name, size, linked=False)
        assert apart.slots > shape.slots


@given(st.integers(0, 100), st.sampled_from(NAMES), sizes)
def test_money_is_passed_on_after_it_came_and_never_more(seed: int, name: str, size: int) -> None:
    shape = draw_shape(np.random.default_rng(seed), name, size, linked=True)
    legs = legs_of(shape, seed)
    for number, layer in enumerate(shape.layers[1:], start=1):
        for account in np.unique(layer[:, 0]):
            came = (legs.receiver == account) & (legs.layer == number - 1)
            went = (legs.sender == account) & (legs.layer == number)
            assert legs.time[went].min() >= legs.time[came].max() + 1_800
            assert 0.85 - 1e-9 <= legs.cents[went].sum() / legs.cents[came].sum() <= 1.0 + 1e-9


def test_a_clock_keeps_its_hours() -> None:
    weights = np.zeros(168)
    weights[9:17] = 1.0
    moments = Clock(weights).moments(
        np.random.default_rng(3), np.full(400, 4 * 86_400), np.full(400, 11 * 86_400)
    )  # 5 January 1970, a Monday, and a week on
    assert np.mean((moments // 86_400 == 4) & (moments // 3_600 % 24 >= 9) & (moments // 3_600 % 24 < 17)) > 0.5
    narrow = Clock(np.ones(168)).moments(np.random.default_rng(3), np.array([5, 9]), np.array([5, 2]))
    assert narrow.tolist() == [5, 9]
