"""Made multigraphs for the tests of the graph features: rings, ties, late rows, parallel payments, lost amounts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_state import GraphState
from tests.naive_graph import Payment, is_outside, naive_graph_features

Columns = dict[str, np.ndarray]

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
#: More visits than any search on the graphs below makes.
LARGE_CAP = 100_000
AMOUNTS: dict[str, tuple[int | None, ...]] = {
    "alike": (1_000, 1_000, 1_000, 950, 900, 1_100, 1_200, 800, 799, None, 0),
    "wild": (0, 0, 1, 2, 100, 10**6, 10**12, LARGEST - 1, LARGEST, LARGEST, None, None),
    "huge": (LARGEST, LARGEST - 1, LARGEST - 2, LARGEST - 10**15),
}


class Arrays(NamedTuple):
    """What a GraphState takes in."""

    senders: np.ndarray
    receivers: np.ndarray
    time: np.ndarray
    amount: np.ndarray
    keep: np.ndarray
    skip: np.ndarray


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


def as_arrays(payments: Sequence[Payment], seed: int = 0) -> Arrays:
    """What a GraphState takes in; ids are scattered over all 64 bits, lists of outsiders are not kept."""
    draw = random.Random(seed)
    names = sorted({name for payment in payments for name in (payment.sender, payment.receiver)})
    ids = dict(zip(names, (draw.randrange(-(2**63), 2**63) for _ in names), strict=True))

    def column(values: Iterable[int], dtype: type = np.int64) -> Any:
        return np.array(list(values), dtype)

    outside = [(is_outside(payment.sender), is_outside(payment.receiver)) for payment in payments]
    return Arrays(
        column(ids[payment.sender] for payment in payments),
        column(ids[payment.receiver] for payment in payments),
        column(payment.time for payment in payments),
        column(-1 if payment.amount is None else payment.amount for payment in payments),
        column(((not sender) + 2 * (not receiver) for sender, receiver in outside), np.uint8),
        column((sender or receiver for sender, receiver in outside), np.uint8),
    )


def run(
    plan: GraphPlan,
    payments: Sequence[Payment],
    sizes: Iterable[int] = (),
    *,
    threads: int = 1,
    restart: bool = False,
    seed: int = 0,
) -> Columns:
    """Every column of the payments, taken in blocks of the given sizes and the rest at once."""
    arrays = as_arrays(payments, seed)
    state = GraphState(plan, threads=threads)
    parts, begin = [], 0
    for size in [*sizes, len(payments)]:
        if begin >= len(payments):
            break
        parts.append(state.process(*(column[begin : begin + size] for column in arrays)))
        begin += size
        if restart:
            held = state.snapshot()
            state = GraphState(plan, threads=threads)
            state.restore(held)
    ints, floats = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    named = [feature.name for feature in plan.int_features], [feature.name for feature in plan.float_features]
    return dict(zip(named[0], ints, strict=True)) | dict(zip(named[1], floats, strict=True))


def same_bits(left: Columns, right: Columns) -> list[str]:
    """Names of the columns that differ in any bit (every NaN counts as the same value)."""
    assert list(left) == list(right)
    return [
        name for name in left if not np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f")
    ]


def twin_differences(plan: GraphPlan, payments: Sequence[Payment], found: Columns) -> list[str]:
    """Where columns are not what the slow twin says."""
    wrong = []
    for i, expected in enumerate(naive_graph_features(payments, plan)):
        assert set(expected) == set(found)
        for name, value in expected.items():
            got = found[name][i].item()
            if got != value and not (math.isnan(value) and math.isnan(got)):
                wrong.append(f"payment {i} of {len(payments)}: {name} is {got}, the twin says {value}")
    return wrong
