"""The slow, obvious twin of cycles and chains: every vertex sequence, every assignment of payments to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

NAN = math.nan
CHAIN_LENGTH = 10

Row = dict[str, Any]
Path = tuple[Any, ...]


def vertex_sequences(pairs: set[tuple[str, str]], begun: tuple[str, ...], end: str, most: int) -> Iterator[Path]:
    """Every sequence of at most `most` different accounts that goes on from `begun` to `end` along the pairs."""
    if begun[-1] == end:
        yield begun
        return
    if len(begun) == most:
        return
    for payer, payee in sorted(pairs):
        if payer == begun[-1] and payee not in begun:
            yield from vertex_sequences(pairs, (*begun, payee), end, most)


def assignments(sequence: Sequence[str], past: Sequence[Any], begun: Path = ()) -> Iterator[Path]:
    """Every choice of a payment a step of the sequence in which time never falls and seq rises."""
    if len(begun) == len(sequence) - 1:
        yield begun
        return
    step = (sequence[len(begun)], sequence[len(begun) + 1])
    for payment in past:
        if (payment.sender, payment.receiver) == step and (not begun or follows(payment, begun[-1])):
            yield from assignments(sequence, past, (*begun, payment))


def follows(later: Any, earlier: Any) -> bool:
    """May money that moved with the earlier payment move on with the later one?"""
    return bool(later.time >= earlier.time and later.seq > earlier.seq)


def backward(path: Path) -> list[tuple[int, int]]:
    """Places of the payments from the last to the first."""
    return [payment.place for payment in reversed(path)]


def seconds_between(first: Any, last: Any) -> float:
    return float(last.time - first.time) / 1e6


def _cycles(this: Any, past: Sequence[Any], max_length: int) -> list[Path]:
    pairs = {(payment.sender, payment.receiver) for payment in past}
    return list(vertex_sequences(pairs, (this.receiver,), this.sender, max_length))


def _by_length(prefix: str, sequences: Sequence[Path], max_length: int) -> Row:
    return {f"{prefix}.length_{k}": sum(len(s) == k for s in sequences) for k in range(2, max_length + 1)}


def simple_cycle(this: Any, past: Sequence[Any], max_length: int) -> Row:
    return _by_length("simple_cycle", _cycles(this, past, max_length), max_length)


def temporal_cycle(this: Any, past: Sequence[Any], max_length: int) -> Row:
    taken: dict[Path, Path] = {}
    for sequence in _cycles(this, past, max_length):
        feasible = list(assignments(sequence, past))
        if feasible:
            taken[sequence] = (*max(feasible, key=backward), this)
    row = _by_length("temporal_cycle", list(taken), max_length)
    row |= {"temporal_cycle.shortest": 0, "temporal_cycle.share": NAN, "temporal_cycle.duration": NAN}
    if taken:
        best = max(taken.values(), key=_rank_of_cycle)
        row["temporal_cycle.shortest"] = len(best)
        row["temporal_cycle.share"] = share_of(best)
        row["temporal_cycle.duration"] = seconds_between(best[0], this)
    return row


def _rank_of_cycle(cycle: Path) -> tuple[int, float, tuple[int, int]]:
    share = share_of(cycle)
    return -len(cycle), -1.0 if math.isnan(share) else share, cycle[0].place


def share_of(cycle: Path) -> float:
    """What comes round of what set out."""
    amounts = [payment.amount for payment in cycle]
    if None in amounts or amounts[0] == 0:
        return NAN
    return float(min(amounts)) / float(amounts[0])


def chain(this: Any, past: Sequence[Any], tolerance_per_mille: int) -> Row:
    row: Row = {"chain.hops": 0, "chain.duration": NAN, "chain.leak": NAN, "chain.lag": NAN}
    if this.amount is None or this.amount <= 0:
        return row
    best = max(chains((this,), past, tolerance_per_mille), key=_rank_of_chain)
    row["chain.hops"] = len(best)
    if len(best) >= 2:
        row["chain.duration"] = seconds_between(best[0], this)
        row["chain.leak"] = leak_of(best)
        row["chain.lag"] = seconds_between(best[-2], this)
    return row


def chains(tail: Path, past: Sequence[Any], tolerance_per_mille: int) -> Iterator[Path]:
    """Every chain that ends in the tail, the tail among them."""
    yield tail
    if len(tail) == CHAIN_LENGTH:
        return
    accounts = {account for payment in tail for account in (payment.sender, payment.receiver)}
    for payment in past:
        if (
            payment.receiver == tail[0].sender
            and payment.sender not in accounts
            and follows(tail[0], payment)
            and payment.amount is not None
            and payment.amount > 0
            and abs(tail[0].amount - payment.amount) * 1000 <= tolerance_per_mille * payment.amount
        ):
            yield from chains((payment, *tail), past, tolerance_per_mille)


def leak_of(path: Path) -> float:
    """What was lost on the way, of what set out."""
    return float(path[0].amount - path[-1].amount) / float(path[0].amount)


def _rank_of_chain(path: Path) -> tuple[int, float, tuple[int, int], list[tuple[int, int]]]:
    return len(path), -leak_of(path), path[0].place, backward(path)
