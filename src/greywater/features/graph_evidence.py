"""Which payments formed the patterns of a payment: the search over what it saw when it came."""

from __future__ import annotations

import math
from typing import Final

from greywater.errors import UsageError
from greywater.features.evidence import Evidence, Finding
from greywater.features.evidence_fans import fans, new_counterparties
from greywater.features.evidence_legs import blocks, gather_scatters, scatter_gathers
from greywater.features.evidence_rings import chains, simple_cycles, temporal_cycles
from greywater.features.graph import PATTERNS, GraphPlan, PatternPlan
from greywater.features.payment_view import PaymentView
from greywater.features.windows import window_label

__all__ = ["DEFAULT_LIMIT", "DEFAULT_VISITS", "PATTERNS_WITH_EVIDENCE", "find_evidence", "part_of"]

#: Instances given where nothing else is asked for.
DEFAULT_LIMIT: Final = 10
#: Visits to payments that a search for evidence makes at most: about a second's work.
DEFAULT_VISITS: Final = 100_000
PATTERNS_WITH_EVIDENCE: Final = tuple(name for name in PATTERNS if name != "statistics")
MICROSECOND: Final = 1_000_000


def part_of(plan: GraphPlan, pattern: str, window: int | None = None) -> PatternPlan:
    """The part of a plan that looks for a pattern over a window, reduced to this window.

    Parameters
    ----------
    plan : GraphPlan
        What the features are.
    pattern : str
        One of PATTERNS_WITH_EVIDENCE.
    window : int, optional
        Seconds; one of the plan's. None = the longest.

    Raises
    ------
    UsageError
        If the pattern has no evidence, is unknown, or the plan does not look for it over this window.

    Examples
    --------
    >>> plan = GraphPlan((PatternPlan("chain", (3_600, 86_400)),), allowed_lateness=0)
    >>> part_of(plan, "chain").windows
    (86400,)
    """
    if pattern == "statistics":
        raise UsageError(
            "statistics are measures of an account's payments, no pattern that payments form",
            where="pattern",
            mend="ask for fan: it lists the payments that they are made from",
        )
    parts = [part for part in plan.patterns if part.pattern == pattern]
    planned = sorted(each for part in parts for each in part.windows)
    if not planned:
        there = dict.fromkeys(part.pattern for part in plan.patterns if part.pattern != "statistics")
        raise UsageError(
            f"{pattern!r} is no pattern that is looked for", where="pattern", mend=f"give one of {', '.join(there)}"
        )
    chosen = planned[-1] if window is None else window
    for part in parts:
        if chosen in part.windows:
            return PatternPlan(pattern, (chosen,), part.cap, part.max_length, part.tolerance_per_mille)
    raise UsageError(
        f"{pattern} is not looked for over {window_label(chosen) if chosen > 0 else chosen}",
        where="window",
        mend=f"give one of {', '.join(map(window_label, planned))}",
    )


def find_evidence(
    view: PaymentView, part: PatternPlan, *, limit: int = DEFAULT_LIMIT, visits: int = DEFAULT_VISITS
) -> Evidence:
    """The payments that form a pattern of payment i, best instances first.

    Parameters
    ----------
    view : PaymentView
        Payment i and what it sees in `part.look_back` seconds.
    part : PatternPlan
        From `part_of`: one pattern and one window. Its cap is the columns' and is not used here.
    limit : int
        Instances listed at most.
    visits : int
        Visits to payments at most. Where this cuts, `capped` says so.

    Returns
    -------
    Evidence
        With the numbers that the view has for accounts, and no ids of payments.

    Raises
    ------
    UsageError
        If limit or visits is below 1, or the pattern has no evidence.

    Notes
    -----
    A function of what i sees, so the same however much later it is asked. Where neither this search nor that of the
    columns was cut, `columns` are the values of the feature columns of i.
    """
    for name, value in (("limit", limit), ("visits", visits)):
        if value < 1:
            raise UsageError(f"{name} = {value} cannot be used", where=name, mend="give 1 or more")
    window = part.windows[0]
    label = window_label(window)
    finding = Finding([], 0, _nothing(part), capped=False) if view.is_alone else _search(view, part, limit, visits)
    instances = tuple(found.instance() for found in finding.best)
    return Evidence(
        number=view.this.number,
        tx_id=None,
        pattern=part.pattern,
        window=window,
        instances=instances,
        found=finding.found,
        columns={f"{name}.{label}": value for name, value in finding.columns.items()},
        truncated=finding.capped or finding.found > len(instances) or any(each.left_out for each in instances),
        capped=finding.capped,
    )


def _nothing(part: PatternPlan) -> dict[str, float]:
    """The columns of a payment that is in no pattern."""
    ints, floats = part.columns
    names = [
        (feature.name.rpartition(".")[0], value) for side, value in ((ints, 0), (floats, math.nan)) for feature in side
    ]
    return {name: value for name, value in names if name != f"{part.pattern}.truncated"}


def _search(view: PaymentView, part: PatternPlan, limit: int, visits: int) -> Finding:
    window_us = part.windows[0] * MICROSECOND
    match part.pattern:
        case "fan":
            return fans(view, visits, window_us, limit)
        case "fan_new":
            return new_counterparties(view, visits, window_us, limit)
        case "scatter_gather":
            return scatter_gathers(view, visits, limit)
        case "gather_scatter":
            return gather_scatters(view, visits, limit)
        case "temporal_cycle":
            return temporal_cycles(view, visits, part.max_length, limit)
        case "simple_cycle":
            return simple_cycles(view, visits, part.max_length, limit)
        case "chain":
            return chains(view, visits, part.tolerance_per_mille, limit)
        case "bipartite":
            return blocks(view, visits, limit)
    raise UsageError(
        f"{part.pattern} has no evidence", where="pattern", mend=f"give one of {', '.join(PATTERNS_WITH_EVIDENCE)}"
    )
