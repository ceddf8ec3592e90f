"""Embeddings the slow obvious way: random rows by whole numbers, dense matrices, and one solution for every payment."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from greywater.vocab import EXTERNAL_PREFIX
from tests.naive_suspicion import Said, _known

DAY = 86_400_000_000
WORD = 2**64
Row = tuple[int, str, str, int]
Link = tuple[int, int, float]


def mixed(word: int) -> int:
    """The finaliser of splitmix64."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


def random_row(seed: int, node: int, dimensions: int, sparsity: float) -> np.ndarray:
    """+1 and -1 by 1 / (2 sparsity) each, else 0."""
    step = 0x9E3779B97F4A7C15
    word, row = mixed((seed + (node + 1) * step) % WORD), np.zeros(dimensions)
    for place in range(dimensions):
        word = (word + step) % WORD
        drawn = (mixed(word) >> 11) / 2**53
        row[place] = -1.0 if drawn < 0.5 / sparsity else 1.0 if drawn < 1.0 / sparsity else 0.0
    return row


def naive_vectors(
    links: list[Link], nodes: int, dimensions: int, steps: tuple[float, ...], *, sparsity: float = 3.0, seed: int = 7
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the side out and of the side in, float64[n, d]; zero rows where there is nothing."""
    paid = np.zeros((nodes, nodes))
    for source, target, weight in links:
        if source != target:
            paid[source, target] += weight
    rows = np.array([random_row(seed, node, dimensions, sparsity) for node in range(nodes)]).reshape(nodes, dimensions)
    sides = []
    for matrix in (paid, paid.T):
        sums = matrix.sum(axis=1, keepdims=True)
        share = np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0.0)
        total, before = np.zeros_like(rows), rows
        for length in steps:
            before = share @ before
            total += length * unit(before)
        sides.append(unit(total))
    return sides[0], sides[1]


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of next to nothing become zero."""
    size = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.divide(rows, size, out=np.zeros_like(rows), where=size > 1e-9)


def distance(one: np.ndarray, two: np.ndarray) -> float:
    """1 - cosine, NaN where a row is zero."""
    size = float(np.sqrt((one @ one) * (two @ two)))
    return float(np.clip(1.0 - one @ two / size, 0.0, 2.0)) if size > 0.0 else float("nan")


def naive_distances(
    rows: list[Row], records: list[Said], dimensions: int, steps: tuple[float, ...], half_life: float | None
) -> np.ndarray:
    """Of each payment (time, sender, receiver, amount) the columns of an EmbeddingJoin, float64[8, n]."""
    found = np.full((8, len(rows)), np.nan)
    for i, (time, sender, receiver, _) in enumerate(rows):
        today = max(row[0] // DAY for row in rows[: i + 1])
        first = next(place for place, row in enumerate(rows) if row[0] // DAY == today)
        out, into = _solution(rows[:first], today, dimensions, steps, half_life)
        zero = np.zeros(dimensions)
        ends = [(out.get(party, zero), into.get(party, zero)) for party in (sender, receiver)]
        (a, b), (c, d) = ends
        found[:4, i] = distance(a, c), distance(b, d), distance(a, d), distance(b, c)
        seen = _known(records, min(time // DAY, today) * DAY, first)
        rows_of_known = [unit(np.concatenate([out[each], into[each]])[None])[0] for each in sorted(seen) if each in out]
        rows_of_known = [row for row in rows_of_known if row.any()]
        for side, halves in enumerate(ends):
            own = np.concatenate(halves)
            if rows_of_known and own.any():
                found[4 + 2 * side, i] = min(distance(own, row) for row in rows_of_known)
                found[5 + 2 * side, i] = distance(own, np.sum(rows_of_known, axis=0))
    return found


def _solution(
    rows: list[Row], today: int, dimensions: int, steps: tuple[float, ...], half_life: float | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Both sides of every party met, by name."""
    numbers: dict[str, int] = {}
    paid: dict[tuple[int, int], float] = defaultdict(float)
    for time, sender, receiver, amount in rows:
        one, two = (numbers.setdefault(party, len(numbers)) for party in (sender, receiver))
        age = today - time // DAY
        if not any(party.startswith(EXTERNAL_PREFIX) for party in (sender, receiver)):
            old = half_life is not None and age > 32 * half_life
            paid[one, two] += 0.0 if old else amount * 2.0 ** (-age / (half_life or np.inf))
    links = [(one, two, weight) for (one, two), weight in paid.items() if weight > 0.0]
    out, into = naive_vectors(links, len(numbers), dimensions, steps)
    return {name: out[at] for name, at in numbers.items()}, {name: into[at] for name, at in numbers.items()}


def step_chances(links: list[Link], before: int, node: int, p: float, q: float) -> dict[int, float]:
    """Where a second-order walk goes from a node that it came to from `before`, over links both ways."""
    near: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for source, target, weight in links:
        if source != target:
            near[source][target] += weight
            near[target][source] += weight
    chances = {
        after: weight * (1.0 / p if after == before else 1.0 if after in near[before] else 1.0 / q)
        for after, weight in near[node].items()
    }
    return {after: chance / sum(chances.values()) for after, chance in chances.items()}
