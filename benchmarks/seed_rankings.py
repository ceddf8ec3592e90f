"""Accounts ranked from a few known launderers: ways in which suspicion spreads over payments, and their measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from greywater.detectors.metrics import average_precision, roc_auc
from greywater.features.trust_edges import payment_edges
from greywater.features.trust_payments import payment_links
from greywater.features.trust_scores import seed_weights, trust_vectors
from greywater.features.trust_vector import TrustVector
from hybrid_sets import Sides

__all__ = [
    "DEFAULT",
    "MIXED",
    "RARE",
    "WAYS",
    "Measures",
    "Spread",
    "Way",
    "best_payment",
    "fused",
    "looks",
    "measured",
]

TOL = 1e-8


@dataclass(frozen=True)
class Way:
    """How suspicion spreads.

    `direction` is one of `trust_scores`, or "both ways": edges that lead either way at each step. `weight` is one of
    `payment_edges`, or "payments": the payments themselves are the nodes, and an account has the score of all of its
    own. A `relative` score is divided by the score without seeds, so that being paid by many is no suspicion;
    `background` is the part of the seeds' weight that is spread over all accounts alike.
    """

    direction: str = "out"
    weight: str = "amount"
    beta: float = 0.85
    relative: bool = False
    background: float = 0.0

    @property
    def words(self) -> str:
        """The way in a few words."""
        told = f"{self.direction}, by {self.weight}, beta {self.beta:g}"
        told += ", divided by PageRank" if self.relative else ""
        return told + (f", {self.background:.0%} background" if self.background else "")


#: The estimator's and `payment_edges`' own.
DEFAULT = Way()
#: Pairs that seldom pay each other, lately, either way.
RARE = Way("both ways", "rarity", 0.95)
#: The same, half of the weight on all accounts alike.
MIXED = Way("both ways", "rarity", 0.95, background=0.5)
#: What is tried.
WAYS = (
    DEFAULT, Way("in"), Way("both"), Way("both ways"),
    Way("out", "count"), Way("in", "count"), Way("both", "count"), Way("both ways", "count"),
    Way("both", "recency"), Way("both", "count", 0.5), Way("both ways", "count", 0.95),
    Way("both", "count", relative=True), Way("both ways", "count", relative=True),
    Way("out", "rarity"), Way("in", "rarity"), Way("both", "rarity"), Way("both ways", "rarity", 0.5),
    Way("both ways", "rarity"), RARE, Way("both ways", "rarity", 0.95, relative=True),
    MIXED, Way("out", "payments"), Way("both", "payments"),
)  # fmt: skip


class Spread:
    """Suspicion over payments in ledger order, in one way; the graph is built once for any number of seeds."""

    def __init__(self, way: Way, sides: Sides, time_us: np.ndarray) -> None:
        self.way, self._sides = way, sides
        self._vectors = _over_payments(way, sides, time_us) if way.weight == "payments" else _over(way, sides, time_us)
        self._without: np.ndarray | None = None

    def score(self, seeds: np.ndarray | None) -> np.ndarray:
        """Score of each account, float64[accounts], from seeds int64[k]; None: without any."""
        if seeds is None or not (self.way.relative or self.way.background):
            return self._solved(seeds)
        if self._without is None:
            self._without = self._solved(None)
        if self.way.relative:
            return self._solved(seeds) / self._without
        part = self.way.background
        return (1.0 - part) * self._solved(seeds) + part * self._without

    def _solved(self, seeds: np.ndarray | None) -> np.ndarray:
        sides = self._sides
        nodes = self._vectors[0].graph.nodes
        if self.way.weight == "payments" and seeds is not None:
            known = np.isin(np.arange(sides.accounts), seeds)
            seeds = np.flatnonzero(known[sides.sender] | known[sides.receiver])
        weights, found = seed_weights(seeds, None, nodes), np.zeros(nodes)
        for vector in self._vectors:
            vector.score[:] = 0.0
            vector.inflow[:] = (1.0 - self.way.beta) * vector.graph.internal(weights)
            vector.solve(TOL)
            found += vector.graph.external(vector.score)
        if self.way.weight != "payments":
            return found
        sent = np.bincount(sides.sender, found, sides.accounts)
        return sent + np.bincount(sides.receiver, found, sides.accounts)


def _over(way: Way, sides: Sides, time_us: np.ndarray) -> list[TrustVector]:
    payments = pa.table(
        {
            "sender": sides.sender,
            "receiver": sides.receiver,
            "event_time": pa.array(time_us, pa.timestamp("us", tz="UTC")),
            "base_amount": sides.amount,
        }
    )
    edges = payment_edges(payments, by=way.weight, both_ways=way.direction == "both ways")
    source, target, weight = (edges[name].to_numpy() for name in ("source", "target", "weight"))
    direction = "out" if way.direction == "both ways" else way.direction
    return trust_vectors(source, target, weight, sides.accounts, beta=way.beta, direction=direction)


def _over_payments(way: Way, sides: Sides, time_us: np.ndarray) -> list[TrustVector]:
    links = payment_links(sides.sender, sides.receiver, time_us, sides.amount)
    return trust_vectors(
        links.source, links.target, links.weight, len(time_us), beta=way.beta, direction=way.direction, kept=links.kept
    )


@dataclass(frozen=True)
class Measures:
    """How well accounts are ranked. `at_100` is the precision at 100, expected where equal scores are drawn by lot."""

    average_precision: float
    at_100: float
    roc_auc: float


def measured(truth: np.ndarray, score: np.ndarray) -> Measures:
    """Measures of score float64[n] against truth in {0, 1}, int64[n]."""
    most = min(100, len(score))
    line = np.sort(score)[-most]
    above, tied = score > line, score == line
    share = (most - above.sum()) / tied.sum()
    caught = truth[above].sum() + share * truth[tied].sum()
    return Measures(average_precision(truth, score) or 0.0, float(caught / most), roc_auc(truth, score) or float("nan"))


def looks(truth: np.ndarray, score: np.ndarray, wanted: int) -> int | None:
    """How many of n are looked at, highest score first, until `wanted` positives are reached; None: never.

    Among equal scores, drawn by lot, k of p positives in t are expected within k (t + 1) / (p + 1).

    Examples
    --------
    >>> looks(np.array([1, 0, 1, 0]), np.array([4.0, 3.0, 2.0, 1.0]), 2)
    3
    """
    seen = reached = 0
    for value in np.unique(score)[::-1]:
        tied = score == value
        positives, size = int(truth[tied].sum()), int(tied.sum())
        if reached + positives >= wanted:
            return int(np.ceil(seen + (wanted - reached) * (size + 1) / (positives + 1)))
        seen, reached = seen + size, reached + positives
    return None


def best_payment(sides: Sides, rows: slice, score: np.ndarray) -> np.ndarray:
    """Highest score of each account's payments among some rows, float64[accounts], -inf where it has none."""
    best = np.full(sides.accounts, -np.inf)
    np.maximum.at(best, sides.sender[rows], score)
    np.maximum.at(best, sides.receiver[rows], score)
    return best


def fused(*scores: np.ndarray) -> np.ndarray:
    """Reciprocal rank fusion of scores float64[n], as the hybrid does without labels: the sum of 61 / (60 + place)."""
    whole = np.zeros(len(scores[0]))
    for score in scores:
        above = len(score) - np.searchsorted(np.sort(score), score, side="right")
        whole += 61.0 / (61.0 + above)
    return whole
