"""All patterns of a plan for a block of payments: one call, so that a thread comes and goes once a block."""

from __future__ import annotations

from typing import Any

from greywater.kernels.compile import Int, kernel
from greywater.kernels.patterns_bipartite import bipartite
from greywater.kernels.patterns_chain import chain
from greywater.kernels.patterns_fan import fan, fan_new
from greywater.kernels.patterns_gather_scatter import gather_scatter
from greywater.kernels.patterns_scatter_gather import scatter_gather
from greywater.kernels.patterns_simple_cycle import simple_cycle
from greywater.kernels.patterns_statistics import statistics
from greywater.kernels.patterns_temporal_cycle import temporal_cycle
from greywater.kernels.temporal_graph import Arrivals, Graph, Scratch
from greywater.vocab import Int64Array

__all__ = ["KINDS", "compute"]

#: Names of the patterns in the order of their kind numbers.
KINDS = (
    "fan", "fan_new", "statistics", "scatter_gather", "gather_scatter", "temporal_cycle", "simple_cycle", "chain",
    "bipartite",
)  # fmt: skip
FAN, FAN_NEW, STATISTICS, SCATTER_GATHER, GATHER_SCATTER, TEMPORAL_CYCLE, SIMPLE_CYCLE, CHAIN, BIPARTITE = range(9)
KIND, FIRST_WINDOW, WINDOWS, CAP, INTS, FLOATS, PARAMETER = range(7)
#: Payments whose columns are cleared and filled together.
ROWS = 64


@kernel
def compute(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, plan: Int64Array, windows: Int64Array, scratch: Scratch,
    ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Fill the columns of payments begin..end, which the graph must hold already.

    Parameters
    ----------
    plan : int64[P, 8]
        A row a pattern: kind, first window, number of windows, cap, first row of `ints`, first row of `floats`,
        parameter (longest cycle, or a chain's tolerance per mille).
    windows : int64[*]
        Microseconds.
    ints : int64[Ci, n]
        Counts and flags, laid out as each pattern says.
    floats : float64[Cf, n]
        Measures, NaN = not defined.
    """
    # A pattern alone has the columns of all rows in the cache anyway, and asks for memory ahead without a break.
    rows = ROWS if plan.shape[0] > 1 else end - begin
    for start in range(begin, end, max(rows, 1)):
        _compute_rows(graph, arrivals, start, min(start + rows, end), plan, windows, scratch, ints, floats)


@kernel
def _compute_rows(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, plan: Int64Array, windows: Int64Array, scratch: Scratch,
    ints: Any, floats: Any,
) -> None:  # fmt: skip
    """All patterns for a few payments: their columns are still in the cache when they are filled."""
    for p in range(plan.shape[0]):
        kind, cap, parameter = plan[p, KIND], plan[p, CAP], plan[p, PARAMETER]
        first = plan[p, FIRST_WINDOW]
        spans = windows[first : first + plan[p, WINDOWS]]
        counts, measures = ints[plan[p, INTS] :], floats[plan[p, FLOATS] :]
        if kind == FAN:
            fan(graph, arrivals, begin, end, spans, cap, scratch, counts, measures)
        elif kind == FAN_NEW:
            fan_new(graph, arrivals, begin, end, spans, cap, scratch, counts)
        elif kind == STATISTICS:
            statistics(graph, arrivals, begin, end, spans, cap, scratch, counts, measures)
        elif kind == SCATTER_GATHER:
            scatter_gather(graph, arrivals, begin, end, spans, cap, scratch, counts)
        elif kind == GATHER_SCATTER:
            gather_scatter(graph, arrivals, begin, end, spans, cap, scratch, counts, measures)
        elif kind == TEMPORAL_CYCLE:
            temporal_cycle(graph, arrivals, begin, end, spans, cap, parameter, scratch, counts, measures)
        elif kind == SIMPLE_CYCLE:
            simple_cycle(graph, arrivals, begin, end, spans, cap, parameter, scratch, counts)
        elif kind == CHAIN:
            chain(graph, arrivals, begin, end, spans, cap, parameter, scratch, counts, measures)
        elif kind == BIPARTITE:
            bipartite(graph, arrivals, begin, end, spans, cap, scratch, counts)
