"""Solves for trust scores to a stated L1 tolerance: exact over head and tail, Krylov-speeded over the core."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.errors import EngineError
from greywater.features.trust_graph import NO_WEIGHTS, TrustGraph
from greywater.kernels import trust_sweeps as kernels
from greywater.vocab import Float64Array

__all__ = ["Solution", "solve"]

#: Directions of one Krylov space; what is held for it is this many vectors of the core.
_DIRECTIONS: Final = 12

#: A Krylov space is left at an estimated change of this part of the change that is allowed, or of the first change:
#: it works in single precision, and the pass that follows it in double precision.
_MARGIN: Final = 0.7
_REDUCTION: Final = 1e-5

#: Within so many times the change that is allowed, plain passes get there as soon.
_NEAR: Final = 8.0

#: Passes after which a solution is given up; plain passes alone need ln(tol) / ln(beta).
_MOST_PASSES: Final = 20_000


@dataclass(frozen=True)
class Solution:
    """How a solution was reached.

    Parameters
    ----------
    passes : int
        Passes over the core.
    error : float
        What the L1 distance to the exact scores is at most.
    """

    passes: int
    error: float


class _Solver:
    """One solution under way: the arrays that its steps share."""

    def __init__(self, graph: TrustGraph, inflow: Float64Array, score: Float64Array, beta: float) -> None:
        self.graph, self.inflow, self.score, self.beta = graph, inflow, score, beta
        self.scale = graph.scale(beta)
        self.first, self.last = graph.core
        self.passed = np.empty(graph.nodes)
        self.basis: Any = None
        self.scratch: Any = None
        self.passes = 0

    def refresh(self, first: int, last: int) -> None:
        """What nodes pass on, from their scores."""
        kernels.scaled(self.score, self.scale, first, last, self.passed)

    def sweep(self, first: int, last: int, change: Float64Array = NO_WEIGHTS) -> float:
        """One pass over a range of nodes; returns the sum of |change|."""
        lists = self.graph.entering
        if len(lists.weight):
            return float(
                kernels.sweep_weighted(
                    lists.start, lists.stop, lists.listed, lists.weight, self.scale, self.inflow, first, last,
                    self.score, self.passed, change,
                )
            )  # fmt: skip
        return float(
            kernels.sweep(
                lists.start, lists.stop, lists.listed, self.scale, self.inflow, first, last,
                self.score, self.passed, change,
            )
        )  # fmt: skip

    def settle_core(self, allowed: float) -> float:
        """Pass over the core until a pass changes it by at most `allowed`; returns that last change."""
        size = self.last - self.first
        if not size:
            return 0.0
        if self.basis is None:
            self.basis = np.empty((_DIRECTIONS + 1, size), np.float32)
            self.scratch = np.zeros(self.graph.nodes, np.float32)
        change = self.basis[0]
        while True:
            moved = self.sweep(self.first, self.last, change)
            self.passes += 1
            if moved <= allowed:
                return moved
            if self.passes >= _MOST_PASSES:
                raise EngineError(
                    f"trust scores did not settle in {_MOST_PASSES} passes",
                    where=f"beta {self.beta:g}",
                    mend="ask for a larger tolerance or a smaller beta",
                )
            if moved > _NEAR * allowed:
                self._krylov(allowed)
                self.refresh(self.first, self.last)

    def _krylov(self, allowed: float) -> None:
        """Add the best correction out of a Krylov space begun by the change in `basis[0]` (GMRES)."""
        basis, most = self.basis, self.basis.shape[0] - 1
        norms, products = np.zeros(2), np.zeros(most + 1)
        kernels.subtract(basis, 0, products, basis[0], norms)
        if norms[0] <= 0.0:
            return
        length = math.sqrt(float(norms[0]))
        enough = max(_MARGIN * allowed, _REDUCTION * float(norms[1]))
        basis[0] *= np.float32(1.0 / length)
        triangle = _Triangle(most, length)
        lists = self.graph.entering
        count = 0
        while count < most:
            direction, out = basis[count], basis[count + 1]
            kernels.krylov_sweep(
                lists.start, lists.stop, lists.listed, lists.weight, self.scale, self.first, self.last,
                direction, self.scratch, out,
            )  # fmt: skip
            self.passes += 1
            kernels.project(basis, count + 1, out, products)
            kernels.subtract(basis, count + 1, products, out, norms)
            height = math.sqrt(float(norms[0]))
            left = triangle.add(products[: count + 1], height)
            count += 1
            if height <= 1e-7 * triangle.size(count - 1) or left * float(norms[1]) / height <= enough:
                break
            out *= np.float32(1.0 / height)
        factors = triangle.factors()
        factors[0] -= length  # the space is that of the scores before the pass, which has added its change already
        kernels.add_combination(basis, count, factors, self.first, self.score)


class _Triangle:
    """The small least-squares problem of GMRES, kept triangular by Givens rotations."""

    def __init__(self, most: int, length: float) -> None:
        self._columns: list[Float64Array] = []
        self._turns: list[tuple[float, float]] = []
        self._right = np.zeros(most + 1)
        self._right[0] = length

    def add(self, products: Float64Array, height: float) -> float:
        """Add a column; returns the length of the residual."""
        count = len(self._columns)
        column = np.append(products, height)
        for row, (cosine, sine) in enumerate(self._turns):
            column[row], column[row + 1] = (
                cosine * column[row] + sine * column[row + 1],
                cosine * column[row + 1] - sine * column[row],
            )
        size = math.hypot(column[count], column[count + 1])
        cosine, sine = (column[count] / size, column[count + 1] / size) if size > 0.0 else (1.0, 0.0)
        column[count], column[count + 1] = size, 0.0
        self._turns.append((cosine, sine))
        self._columns.append(column)
        right = float(self._right[count])
        self._right[count], self._right[count + 1] = cosine * right, -sine * right
        return abs(float(self._right[count + 1]))

    def size(self, count: int) -> float:
        """The largest entry of a column."""
        return float(np.abs(self._columns[count]).max())

    def factors(self) -> Float64Array:
        """What each direction counts for in the correction, float64[columns]."""
        count = len(self._columns)
        factors = np.zeros(count)
        for row in range(count - 1, -1, -1):
            rest = sum(float(self._columns[column][row]) * factors[column] for column in range(row + 1, count))
            pivot = float(self._columns[row][row])
            factors[row] = (float(self._right[row]) - rest) / pivot if pivot != 0.0 else 0.0
        return factors


def solve(graph: TrustGraph, inflow: Float64Array, score: Float64Array, *, beta: float, tol: float) -> Solution:
    """Bring scores to the fixed point score = beta M score + inflow.

    Parameters
    ----------
    graph : TrustGraph
        n nodes.
    inflow : float64[n]
        By new number: (1 - beta) times the weight of a seed, 0 elsewhere.
    score : float64[n]
        By new number: where to begin, zeros for a full solution; updated.
    beta : float
        In [0, 1).
    tol : float
        Largest L1 error, as a part of the sum of the scores: both the additive scores over the weight of the seeds and
        the shown ones, which sum to 1, are nearer to the exact ones than this.

    Returns
    -------
    Solution

    Raises
    ------
    EngineError
        The tolerance cannot be reached.

    Notes
    -----
    A Gauss-Seidel pass that changes the scores by d leaves a residual of at most beta |d|, hence an error of at most
    beta / (1 - beta) |d| (columns of M sum to at most 1). The passes over the core are the steps of GMRES (Saad &
    Schultz 1986) on the Gauss-Seidel fixed point, begun again from a true pass until one changes little enough.
    """
    solver = _Solver(graph, inflow, score, beta)
    bound = beta / (1.0 - beta)
    total = float(inflow.sum()) / (1.0 - beta)
    if total <= 0.0:
        score[:] = 0.0
        return Solution(0, 0.0)
    allowed = 0.5 * tol * max(float(inflow.sum()), float(score.sum())) / max(bound, 1e-300)
    solver.refresh(0, graph.nodes)
    while True:
        solver.sweep(0, solver.first)
        moved = solver.settle_core(allowed)
        solver.sweep(solver.last, graph.nodes)
        if not graph.ordered:
            moved = solver.sweep(0, graph.nodes)
        if moved <= allowed:
            return Solution(solver.passes, bound * moved)
        if solver.passes >= _MOST_PASSES:
            raise EngineError(
                f"trust scores did not settle in {_MOST_PASSES} passes",
                where=f"beta {beta:g}", mend="ask for a larger tolerance or a smaller beta",
            )  # fmt: skip
