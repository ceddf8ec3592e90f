"""Made multigraphs for the tests of the graph features: rings, ties, late rows, parallel payments, lost amounts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from greywater.features.graph import GraphPlan, PatternPlan
from greywater.vocab import Int64Array
from tests.naive_graph import Payment

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
LARGEST = 2**53 - 1
#: Every pattern over a short and a long window, so short that a hundred payments leave and enter them.
SHORT_WINDOWS = (60, 3_600)
LATENESS = 1_800
PATTERNS = (
    "fan", "fan_new", "statistics", "scatter_gather", "gather_scatter", "temporal_cycle", "simple_cycle", "chain",
    "bipartite",
)  # fmt: skip
LARGE_CAP = 2**31 - 1
AMOUNTS: dict[str, tuple[int | None, ...]] = {
    "alike": (1_000, 1_000, 1_000, 950, 900, 1_100, 1_200, 800, 799, None, 0),
    "wild": (0, 0, 1, 2, 100, 10**6, 10**12, LARGEST - 1, LARGEST, LARGEST, None, None),
    "huge": (LARGEST, LARGEST - 1, LARGEST - 2, LARGEST - 10**15),
}


def plan_of(
    *patterns: str,
    windows: tuple[int, ...] = SHORT_WINDOWS,
    cap: int = LARGE_CAP,
    max_length: int = 5,
    tolerance_per_mille: int = 200,
    lateness: int = LATENESS,
) -> GraphPlan:
    """A plan of the named patterns (all of them where none is named), alike in all else."""
    parts = [PatternPlan(name, windows, cap, max_length, tolerance_per_mille) for name in patterns or PATTERNS]
    return GraphPlan(tuple(parts), lateness)


def random_graph(
    seed: int,
    n: int,
    accounts: int,
    *,
    amounts: str = "alike",
    late_share: float = 0.15,
    pause_us: int = MINUTE_US,
    follow: float = 0.0,
    outside: float = 0.0,
) -> list[Payment]:
    """A random multigraph in arrival order.

    A third of the payments come at the time of the one before; `late_share` of them come late, some of them later than
    any plan allows. With `follow` the sender is somebody lately paid, so that few payments make long chains and rings;
    `outside` is the share of payments with an account outside the bank.
    """
    draw = random.Random(seed)
    names = [f"a{k}" for k in range(accounts)]
    now = draw.choice((0, -HOUR_US, 19_000 * 24 * HOUR_US))
    payments: list[Payment] = []
    for _ in range(n):
        now += draw.choice((0, 0, 1, pause_us // 2, pause_us, draw.randrange(2 * pause_us)))
        now += draw.choice((60_000_000, HOUR_US, HOUR_US - 1, 3 * HOUR_US)) if draw.random() < 0.03 else 0
        late = draw.random() < late_share
        back = draw.choice((1, pause_us, 20 * pause_us, LATENESS * 10**6, LATENESS * 10**6 + 1, HOUR_US, 3 * HOUR_US))
        lately = [payment.receiver for payment in payments[-6:]]
        sender = draw.choice(lately) if lately and draw.random() < follow else draw.choice(names)
        receiver = sender if draw.random() < 0.05 else draw.choice(names)
        if draw.random() < outside:
            external = draw.choice(("external:x", "external:y"))
            sender, receiver = draw.choice(((external, receiver), (sender, external), (external, "external:y")))
        payments.append(Payment(now - (back if late else 0), sender, receiver, draw.choice(AMOUNTS[amounts])))
    return payments


def as_arrays(payments: Sequence[Payment], seed: int = 0) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Sender ids, receiver ids, times and amounts (-1 where not known); ids are scattered over all 64 bits."""
    draw = random.Random(seed)
    names = sorted({name for payment in payments for name in (payment.sender, payment.receiver)})
    ids = dict(zip(names, (draw.randrange(-(2**63), 2**63) for _ in names), strict=True))
    columns = (
        [ids[payment.sender] for payment in payments],
        [ids[payment.receiver] for payment in payments],
        [payment.time for payment in payments],
        [-1 if payment.amount is None else payment.amount for payment in payments],
    )
    senders, receivers, times, known = (np.array(column, np.int64) for column in columns)
    return senders, receivers, times, known
