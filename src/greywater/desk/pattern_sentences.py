"""One sentence a graph pattern: what a payment closes, ends or completes, in words with values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from greywater.desk import wording as say
from greywater.desk.sentences import Facts, Theme
from greywater.features.graph import LONGEST_LENGTH, SHORTEST_LENGTH

__all__ = ["PATTERN_WRITERS", "pattern_theme"]

#: Payments of the rings that may be counted.
_LENGTHS: Final = range(SHORTEST_LENGTH, LONGEST_LENGTH + 1)
#: Patterns with one sentence each, whatever the party.
_OF_THE_PAYMENT: Final = frozenset({"temporal_cycle", "simple_cycle", "chain", "bipartite"})


def pattern_theme(name: str) -> Theme | None:
    """What a column of a graph pattern is about; None where the name is none of a pattern.

    Examples
    --------
    >>> pattern_theme("temporal_cycle.length_3.7d")
    Theme(name='temporal_cycle', role=None, direction='', label='7d', window=604800, sizes=False)
    >>> pattern_theme("scatter_gather.first_leg.pairs.6h").name, pattern_theme("fan.truncated.1h").name
    ('scatter_gather_first_leg', 'truncated')
    >>> pattern_theme("gather_scatter.receiver.kept.3d").role
    'receiver'
    """
    parts = name.split(".")
    label = parts[-1]
    window = say.window_seconds(label)
    if window is None:
        return None
    match parts[:-1]:
        case ["fan" | "fan_new" | "statistics" | "scatter_gather" | "gather_scatter" as pattern, "truncated"]:
            return Theme("truncated", label=label, window=window)
        case [pattern, "truncated"] if pattern in _OF_THE_PAYMENT:
            return Theme("truncated", label=label, window=window)
        case ["scatter_gather", "first_leg", _]:
            return Theme("scatter_gather_first_leg", label=label, window=window)
        case ["scatter_gather", "any" | "ordered", _]:
            return Theme("scatter_gather", label=label, window=window)
        case ["gather_scatter", "sender" | "receiver" as role, _]:
            return Theme("gather_scatter", "sender" if role == "sender" else "receiver", "", label, window)
        case [pattern, _] if pattern in _OF_THE_PAYMENT:
            return Theme(pattern, label=label, window=window)
        case ["sender" | "receiver" as role, "out" | "in" as direction, "gap_mean" | "gap_median" | "gap_variance"]:
            return Theme("rhythm", "sender" if role == "sender" else "receiver", direction, label, window)
    return None


def _known(value: float) -> bool:
    return math.isfinite(value)


def _within(theme: Theme) -> str:
    """The windows of patterns slide, whatever their length."""
    return say.within(theme.window) if theme.window is not None else ""


def _scatter_gather(facts: Facts, theme: Theme) -> str | None:
    """this payment is the last leg of 2 scatter-gathers in 3 days, the largest through 5 accounts, 1 in time order."""
    pairs = facts.value(f"scatter_gather.any.pairs.{theme.label}")
    ordered = facts.value(f"scatter_gather.ordered.pairs.{theme.label}")
    text = _legs(facts, theme, "any", "the last leg")
    if text is None or not pairs > 0 or not _known(ordered):
        return text
    if ordered == 0:
        return f"{text}, not in time order"
    return f"{text}, in time order" if ordered >= pairs else f"{text}, {round(ordered):,} of them in time order"


def _first_leg(facts: Facts, theme: Theme) -> str | None:
    """this payment is a first leg of 1 scatter-gather in 3 days, through 4 accounts."""
    return _legs(facts, theme, "first_leg", "a first leg")


def _legs(facts: Facts, theme: Theme, variant: str, leg: str) -> str | None:
    pairs = facts.value(f"scatter_gather.{variant}.pairs.{theme.label}")
    largest = facts.value(f"scatter_gather.{variant}.largest.{theme.label}")
    if not _known(pairs):
        return None
    if pairs == 0:
        return f"this payment is {leg} of no scatter-gather {_within(theme)}"
    text = f"this payment is {leg} of {say.count(pairs, 'scatter-gather')} {_within(theme)}"
    if largest > 0:
        text += f", {'the largest ' if pairs > 1 else ''}through {say.count(largest, 'account')}"
    return text


def _gather_scatter(facts: Facts, theme: Theme) -> str | None:
    """gathered money from 5 accounts and paid 6 in 3 days, keeping 4 % of it."""
    if theme.role is None:
        return None
    stem = f"gather_scatter.{theme.role}"
    senders, receivers, kept = (
        facts.value(f"{stem}.{name}.{theme.label}") for name in ("senders", "receivers", "kept")
    )
    who = facts.subject(theme.role)
    if not (_known(senders) and _known(receivers)):
        return None
    if senders == 0 or receivers == 0:
        return f"{who}did not both gather money from several accounts and pay several {_within(theme)}"
    text = f"{who}gathered money from {say.count(senders, 'account')} and paid {round(receivers):,} {_within(theme)}"
    if not _known(kept):
        return text
    if kept < -0.005:
        return f"{text}, paying out {say.times(1 - kept)} what came in"
    return f"{text}, keeping {say.share(kept)} of it" if kept > 0 else f"{text}, keeping nothing"


def _rings(facts: Facts, theme: Theme) -> tuple[float, int]:
    """How many rings, NaN where that is not known, and payments of the shortest."""
    named = {length: facts.value(f"{theme.name}.length_{length}.{theme.label}") for length in _LENGTHS}
    counts = {length: number for length, number in named.items() if _known(number)}
    if not counts:
        return math.nan, 0
    return math.fsum(counts.values()), min((length for length, number in counts.items() if number > 0), default=0)


def _temporal_cycle(facts: Facts, theme: Theme) -> str | None:
    """this payment closes 3 rings in time order in 7 days; the shortest has 3 payments, took 5 h, 92 % came round."""
    text = _cycle(facts, theme, "in time order")
    took = facts.value(f"temporal_cycle.duration.{theme.label}")
    share = facts.value(f"temporal_cycle.share.{theme.label}")
    if text is None or not _known(took):
        return text
    text += f", took {say.duration(took)}" if took > 0 else ", all at the same time"
    return f"{text}, {say.share(share)} of the amount came round" if 0 <= share <= 1 else text


def _simple_cycle(facts: Facts, theme: Theme) -> str | None:
    """this payment closes 5 rings, in any order of time, in 7 days; the shortest has 3 payments."""
    return _cycle(facts, theme, "in any order of time")


def _cycle(facts: Facts, theme: Theme, order: str) -> str | None:
    rings, shortest = _rings(facts, theme)
    if not _known(rings):
        return None
    if rings == 0:
        return f"this payment closes no ring of payments {order} {_within(theme)}"
    text = f"this payment closes {say.count(rings, 'ring')} of payments {order} {_within(theme)}"
    return f"{text}; {'the shortest' if rings > 1 else 'it'} has {say.count(shortest, 'payment')}"


def _chain(facts: Facts, theme: Theme) -> str | None:
    """this payment ends a chain of 4 payments of much the same amount in 3 days, over 28 h, losing 5 % on the way."""
    hops, took, leak, lag = (facts.value(f"chain.{name}.{theme.label}") for name in ("hops", "duration", "leak", "lag"))
    if not _known(hops):
        return None
    if hops < 2:
        return f"this payment passes on no payment of much the same amount that came in {_within(theme)}"
    text = f"this payment ends a chain of {say.count(hops, 'payment')} of much the same amount {_within(theme)}"
    if took > 0:
        text += f", over {say.duration(took)}"
    if abs(leak) >= 0.0005:
        text += f", {'losing' if leak > 0 else 'gaining'} {say.share(abs(leak))} on the way"
    if _known(lag) and lag < took:
        text += (
            f"; the one before it came {say.duration(lag)} earlier" if lag > 0 else "; the one before it came at once"
        )
    return text


def _bipartite(facts: Facts, theme: Theme) -> str | None:
    """this payment completes 4 blocks of two payers who both paid the same two payees in 3 days."""
    blocks = facts.value(f"bipartite.blocks.{theme.label}")
    if not _known(blocks):
        return None
    shape = "two payers who both paid the same two payees"
    if blocks == 0:
        return f"this payment completes no block of {shape} {_within(theme)}"
    return f"this payment completes {say.count(blocks, 'block')} of {shape} {_within(theme)}"


def _rhythm(facts: Facts, theme: Theme) -> str | None:
    """sent its payments in 7 days half of the time within 3 minutes of the one before, 2 h on average."""
    if theme.role is None:
        return None
    stem = f"{theme.role}.{theme.direction}"
    median, mean = facts.value(f"{stem}.gap_median.{theme.label}"), facts.value(f"{stem}.gap_mean.{theme.label}")
    who, verb = facts.subject(theme.role), "sent" if theme.direction == "out" else "received"
    gap = median if _known(median) else mean
    if not _known(gap):
        return f"{who}{verb} fewer than two payments {_within(theme)}"
    usual = "half of the time" if _known(median) else "on average"
    apart = f"{say.duration(gap)} or less after" if gap > 0 else "at the same time as"
    text = f"{who}{verb} payments {_within(theme)} {usual} {apart} the one before"
    return f"{text}, {say.duration(mean)} on average" if _known(median) and _known(mean) and mean > 0 else text


def _truncated(facts: Facts, theme: Theme) -> str | None:
    """there are more payments around this one in 30 days than the search for patterns looks at."""
    tail = f".truncated.{theme.label}"
    flags = [value for name, value in facts.values.items() if name.endswith(tail)]
    if not flags:
        return None
    if max(flags) == 0:
        return f"the search for patterns saw every payment around this one {_within(theme)}"
    return f"there are more payments around this one {_within(theme)} than the search for patterns looks at"


#: Theme name -> its sentence; each returns None where the row does not hold what the sentence needs.
PATTERN_WRITERS: Final[Mapping[str, Callable[[Facts, Theme], str | None]]] = {
    "scatter_gather": _scatter_gather,
    "scatter_gather_first_leg": _first_leg,
    "gather_scatter": _gather_scatter,
    "temporal_cycle": _temporal_cycle,
    "simple_cycle": _simple_cycle,
    "chain": _chain,
    "bipartite": _bipartite,
    "rhythm": _rhythm,
    "truncated": _truncated,
}
