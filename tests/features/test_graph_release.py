"""Numbers of accounts are given out again only when no payment that is held names the account."""

from __future__ import annotations

import numpy as np

from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_state import GraphState

HOUR_US = 3_600_000_000
PAYER = 1
OF_THE_SENDER, OF_BOTH = 1, 3


def pay(state: GraphState, senders: list[int], receivers: list[int], time: int, lists: int) -> dict[str, int]:
    """The counts of the last payment."""
    n = len(senders)
    ids = np.array(senders, np.int64), np.array(receivers, np.int64)
    keep, skip = np.full(n, lists, np.uint8), np.full(n, lists != OF_BOTH, np.uint8)
    ints, _ = state.process(*ids, np.full(n, time), np.full(n, 5), keep, skip)
    return dict(zip((feature.name for feature in state.plan.int_features), ints[:, -1].tolist(), strict=True))


def test_an_account_outside_the_bank_keeps_its_number_while_a_payment_names_it() -> None:
    """It has no list of its own; a newcomer with its number would be taken for it."""
    state = GraphState(GraphPlan((PatternPlan("fan", (3_600,)),), 0), threads=1)
    for begin in range(1_000_000, 1_002_000, 100):
        pay(state, list(range(begin, begin + 50)), list(range(begin + 50, begin + 100)), 0, OF_BOTH)
    outside = list(range(10, 40))
    pay(state, [PAYER] * 30, outside, 3 * HOUR_US, OF_THE_SENDER)
    paid, vertices = 30, state.footprint.vertices
    while paid < 3_000:
        before, vertices = vertices, state.footprint.vertices
        counts = pay(state, [PAYER] * 50, list(range(2_000_000 + paid, 2_000_050 + paid)), 3 * HOUR_US, OF_BOTH)
        paid += 50
        assert counts["sender.out.degree.1h"] == paid
        assert counts["sender.out.fan.1h"] == paid
        if vertices < before:
            return
    raise AssertionError("no number was ever taken back")
