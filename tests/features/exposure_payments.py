"""Made facts for the tests of exposure, and a graph that is followed without an engine around it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

import numpy as np

from greywater.features.exposure import ExposurePlan, KnownLaunderers
from greywater.features.exposure_columns import ExposureColumns
from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_state import GraphState
from greywater.kernels.temporal_graph import KEEP_IN, KEEP_OUT
from tests.features.graph_payments import HOUR_US, LATENESS, MINUTE_US, Columns
from tests.naive_exposure import Fact, naive_exposure
from tests.naive_graph import Payment, is_outside

WINDOWS = (600, 3_600)
#: More visits than any search on the graphs of these tests makes.
PLAN = ExposurePlan(WINDOWS, 100_000, 3)
HOLD_US = (WINDOWS[-1] + LATENESS) * 1_000_000


def random_facts(seed: int, payments: Sequence[Payment], many: int, *, names: Sequence[str] = ()) -> list[Fact]:
    """Facts of a few accounts, in order of recording: dated before, at and after they were recorded, some of them
    clearing the account again."""
    draw = random.Random(seed)
    names = names or sorted({name for payment in payments for name in (payment.sender, payment.receiver)})
    facts: list[Fact] = []
    after = -1
    for _ in range(many):
        after = draw.choice(
            (after, after, draw.randrange(after, len(payments)) if after < len(payments) - 1 else after)
        )
        at = payments[max(after, 0)].time
        since = at + draw.choice((-3 * HOUR_US, -MINUTE_US, 0, 0, 1, MINUTE_US, HOUR_US))
        facts.append((draw.choice(names), draw.randrange(2), since, after, draw.random() < 0.8))
    return facts


def graph_plan(windows: tuple[int, ...] = WINDOWS) -> GraphPlan:
    """One cheap pattern; the graph holds what exposure looks back over."""
    return GraphPlan((PatternPlan("fan", (60,)),), LATENESS, windows[-1])


class Followed:
    """A graph and the exposure that follows it; names are codes in order of appearance."""

    def __init__(self, plan: ExposurePlan, facts: Sequence[Fact] | None, *, threads: int = 1) -> None:
        self.plan = plan
        self.codes: dict[str, int] = {}
        self.graph = GraphState(graph_plan(plan.windows), threads=threads)
        self.exposure = ExposureColumns(plan)
        self.graph.follow(self.exposure.take)
        if facts is not None:
            self.know(facts)

    def know(self, facts: Sequence[Fact]) -> None:
        self.exposure.know(self._encode(fact[0] for fact in facts), KnownLaunderers.of(facts), self.graph.next_number)

    def _encode(self, names: Iterable[str]) -> np.ndarray:
        return np.array([self.codes.setdefault(name, len(self.codes)) for name in names], np.int64)

    def process(self, payments: Sequence[Payment], *, columns: bool = True) -> Columns:
        senders = self._encode(payment.sender for payment in payments)
        receivers = self._encode(payment.receiver for payment in payments)
        outside = np.array([is_outside(name) for name in self.codes], np.bool_)
        keep = np.where(outside[senders], 0, KEEP_OUT) + np.where(outside[receivers], 0, KEEP_IN)
        wanted = ~(outside[senders] | outside[receivers])
        self.exposure.begin(self.graph.next_number, wanted, outside, columns=columns)
        time = np.array([payment.time for payment in payments], np.int64)
        amount = np.array([-1 if payment.amount is None else payment.amount for payment in payments], np.int64)
        self.graph.append(senders, receivers, time, amount, keep.astype(np.uint8))
        names = [feature.name for feature in self.plan.features]
        return dict(zip(names, (column.copy() for column in self.exposure.columns()), strict=True))

    def restarted(self) -> Followed:
        """Another one that goes on from this one's snapshot."""
        other = Followed(self.plan, None)
        other.codes = dict(self.codes)
        other.graph.restore(self.graph.snapshot())
        meta, arrays = self.exposure.snapshot(len(self.codes))
        other.exposure.restore({"exposure": meta}, {name: array.copy() for name, array in arrays.items()})
        return other


def run(
    payments: Sequence[Payment],
    facts: Sequence[Fact],
    plan: ExposurePlan = PLAN,
    sizes: Iterable[int] = (),
    *,
    restart: bool = False,
) -> Columns:
    """Every column of the payments, taken in blocks of the given sizes and the rest at once."""
    followed, parts, begin = Followed(plan, facts), [], 0
    for size in [*sizes, len(payments)]:
        if begin >= len(payments):
            break
        parts.append(followed.process(payments[begin : begin + size]))
        begin += size
        followed = followed.restarted() if restart else followed
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def twin_differences(
    payments: Sequence[Payment], facts: Sequence[Fact], found: Columns, plan: ExposurePlan = PLAN
) -> list[str]:
    """Where columns are not what the slow twin says."""
    wrong = []
    hold = (plan.look_back + LATENESS) * 1_000_000
    for i, expected in enumerate(naive_exposure(payments, facts, plan, hold)):
        assert not expected or set(expected) == set(found)
        for name, value in expected.items():
            got = found[name][i].item()
            if got != value and not (math.isnan(value) and math.isnan(got)):
                wrong.append(f"payment {i} of {len(payments)}: {name} is {got}, the twin says {value}")
    return wrong
