"""Slices of the ledger that can be worked out apart: each with what its payments see before it, to the same bits.

A slice is a contiguous range of payments [start, stop). Its halo are the payments [halo, start) before it: no payment
before `halo` is in a window of one of its payments. What the engine keeps for ever of those is a `Lifetime`, made of
the stretches between one halo's begin and the next (pass 1, each on its own) and merged in the order of the slices;
pass 2 takes the halo in and works out the slice (SEMANTICS: Slices).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.errors import UsageError
from greywater.features.catalog import FeatureSet
from greywater.features.engine import Engine
from greywater.features.exposure import KnownLaunderers
from greywater.features.lifetime import LIFETIME_COLUMNS, Lifetime, begin_engine, lifetime_of, merge_lifetimes
from greywater.stores.feature_ports import microseconds
from greywater.stores.ports import Ledger
from greywater.vocab import FeatureBlock, Int64Array

__all__ = [
    "GRAIN_ROWS", "LookBack", "Slice", "SlicePlan", "engine_at", "even_cuts", "look_backs", "past_of", "plan_slices",
    "range_of_times", "run_slice", "stretch_lifetime",
]  # fmt: skip

MICROSECOND: Final = 1_000_000
#: A halo begins at a multiple of so many payments.
GRAIN_ROWS: Final = 65_536
#: Payments read at a time where only their parties and times are wanted.
LIFETIME_ROWS: Final = 262_144
FAR: Final = 2**62


@dataclass(frozen=True)
class LookBack:
    """How far back a payment sees: `window_us` behind its own event time, `hold_us` behind the greatest so far."""

    window_us: int
    hold_us: int


@dataclass(frozen=True)
class Slice:
    """A range of payments that is worked out apart.

    Parameters
    ----------
    number : int
        Its place among the slices of the plan.
    start, stop : int
        The payments [start, stop).
    halo : int
        Payments [halo, start) are taken in before.
    halo_horizon : int or None
        Greatest event time before `halo`, microseconds since 1970; None where `halo` is 0.
    """

    number: int
    start: int
    stop: int
    halo: int
    halo_horizon: int | None

    @property
    def payments(self) -> int:
        """Payments worked out."""
        return self.stop - self.start

    @property
    def taken_in(self) -> int:
        """Payments of the halo."""
        return self.start - self.halo


@dataclass(frozen=True)
class SlicePlan:
    """Slices in ledger order, and the stretches of payments of which their lifetimes are made: from one halo's begin to
    the next, the first from payment 0."""

    slices: tuple[Slice, ...]
    stretches: tuple[tuple[int, int], ...] = ()

    def before(self, one: Slice) -> int:
        """How many of the stretches lie before a slice's halo: its lifetime is merged of the first so many."""
        return sum(stop <= one.halo for _, stop in self.stretches)


def look_backs(features: FeatureSet) -> tuple[LookBack, ...]:
    """How far back the windows see, and the graph where the set has one.

    Examples
    --------
    >>> from greywater.config import Settings
    >>> from greywater.features.catalog import payments_v1
    >>> look_backs(payments_v1(Settings(windows=(60,), day_windows=(), allowed_lateness=40), 1))
    (LookBack(window_us=60000000, hold_us=100000000),)
    """
    plan = features.plan
    backs = [LookBack(max(plan.seconds) * MICROSECOND, plan.hold_us)]
    if features.graph is not None:
        backs.append(LookBack(features.graph.look_back * MICROSECOND, features.graph.hold_us))
    for request in features.asked:
        length = request.window * MICROSECOND
        backs.append(LookBack(length, length + plan.allowed_lateness * MICROSECOND))
    return tuple(backs)


def even_cuts(start: int, stop: int, slices: int) -> list[int]:
    """Ends of so many slices of nearly equal size, `start` and `stop` included; fewer where there are fewer payments.

    Examples
    --------
    >>> even_cuts(0, 10, 3), even_cuts(0, 2, 4)
    ([0, 3, 6, 10], [0, 1, 2])
    """
    wanted = max(1, min(slices, stop - start))
    return [start + (stop - start) * k // wanted for k in range(wanted + 1)]


def plan_slices(
    ledger: Ledger, features: FeatureSet, cuts: Sequence[int], *, grain_rows: int = GRAIN_ROWS
) -> SlicePlan:
    """Find the halo of each slice, by one pass over the event times.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    features : FeatureSet
        What will be worked out: how far its windows see.
    cuts : sequence of int
        Rising; slice k is [cuts[k], cuts[k + 1]).
    grain_rows : int
        Halos begin at a multiple of this many payments. Changes no value.

    Raises
    ------
    UsageError
        The cuts do not rise, or lie outside the ledger.
    """
    _check_cuts(cuts, ledger.next_seq)
    backs = look_backs(features)
    bounds = np.full(len(cuts) - 1, FAR, np.int64)
    latest: list[int] = []
    horizons: list[int | None] = []
    horizon: int | None = None
    begin = 0
    for batch in ledger.scan(["event_time"], stop=cuts[-1], batch_rows=grain_rows):
        time = microseconds(batch.column("event_time"))
        horizons.append(horizon)
        latest.append(int(time.max()))
        running = np.maximum.accumulate(time)
        running = running if horizon is None else np.maximum(running, horizon)
        horizon = int(running[-1])
        if begin + len(time) > cuts[0]:
            bound = np.min([np.maximum(time - back.window_us, running - back.hold_us) for back in backs], axis=0)
            _lower(bounds, bound, cuts, begin)
        begin += len(time)
    slices = []
    reached = np.maximum.accumulate(np.array(latest or [0], np.int64))
    for number, (start, stop) in enumerate(pairwise(cuts)):
        grain = min(int(np.searchsorted(reached, bounds[number], side="right")), start // grain_rows)
        slices.append(Slice(number, start, stop, grain * grain_rows, horizons[grain] if grain else None))
    ends = sorted({0, *(one.halo for one in slices)})
    return SlicePlan(tuple(slices), tuple(pairwise(ends)))


def _check_cuts(cuts: Sequence[int], next_seq: int) -> None:
    rising = len(cuts) > 1 and all(low < high for low, high in pairwise(cuts))
    if not rising or cuts[0] < 0 or cuts[-1] > next_seq:
        raise UsageError(
            f"slices cannot be cut at {list(cuts)[:8]}",
            where=f"payments 0 to {next_seq}",
            mend="give rising numbers of payments that the ledger holds",
        )


def _lower(bounds: Int64Array, bound: Int64Array, cuts: Sequence[int], begin: int) -> None:
    """Take the bounds of a batch that begins at `begin` into those of the slices it lies in."""
    for number, (start, stop) in enumerate(pairwise(cuts)):
        part = bound[max(start - begin, 0) : max(stop - begin, 0)]
        if len(part):
            bounds[number] = min(int(bounds[number]), int(part.min()))


def stretch_lifetime(ledger: Ledger, start: int, stop: int) -> Lifetime:
    """Pass 1: the lifetime of the payments [start, stop)."""
    if start >= stop:
        return merge_lifetimes([])
    return lifetime_of(ledger.scan(list(LIFETIME_COLUMNS), start=start, stop=stop, batch_rows=LIFETIME_ROWS))


def run_slice(
    ledger: Ledger,
    features: FeatureSet,
    one: Slice,
    lifetime: Lifetime,
    sink: Callable[[pa.RecordBatch, FeatureBlock], None],
    *,
    columns: Sequence[str] = (),
    block_rows: int = 32_768,
    threads: int = 1,
    known: KnownLaunderers | None = None,
) -> None:
    """Pass 2: work out one slice.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    features : FeatureSet
        What to work out.
    one : Slice
        From `plan_slices`.
    lifetime : Lifetime
        Merged of the stretches up to its halo.
    sink : callable
        Takes each batch of payments and its FeatureBlock, in order.
    columns : sequence of str
        Columns of the transaction table that the batches carry besides what the engine reads.
    block_rows, threads : int
        Change no value.
    known : KnownLaunderers, optional
        Needed where the features hold exposure.
    """
    engine = Engine(features, threads=threads)
    begin_engine(engine, lifetime, next_seq=one.halo, horizon=one.halo_horizon)
    _tell(engine, known)
    _absorb(ledger, engine, one.start, block_rows)
    wanted = list(dict.fromkeys([*engine.input_columns, *columns]))
    for batch in ledger.scan(wanted, start=one.start, stop=one.stop, batch_rows=block_rows):
        sink(batch, engine.process(batch))


def past_of(ledger: Ledger, features: FeatureSet, start: int, stop: int) -> tuple[Slice, Lifetime]:
    """The slice [start, stop) and its lifetime, where there is only one slice."""
    plan = plan_slices(ledger, features, [start, stop])
    return plan.slices[0], merge_lifetimes([stretch_lifetime(ledger, *stretch) for stretch in plan.stretches])


def engine_at(
    ledger: Ledger,
    features: FeatureSet,
    start: int,
    stop: int,
    *,
    threads: int = 1,
    known: KnownLaunderers | None = None,
) -> Engine:
    """An engine that stands before payment `start` and is good for the payments [start, stop).

    Parameters
    ----------
    ledger : Ledger
        The payments.
    features : FeatureSet
        What to work out.
    start, stop : int
        A range of payments that the ledger holds.
    threads : int
        Of the engine.
    known : KnownLaunderers, optional
        Needed where the features hold exposure.
    """
    engine = Engine(features, threads=threads)
    one, lifetime = past_of(ledger, features, start, stop)
    begin_engine(engine, lifetime, next_seq=one.halo, horizon=one.halo_horizon)
    _tell(engine, known)
    _absorb(ledger, engine, start, 32_768)
    return engine


def _tell(engine: Engine, known: KnownLaunderers | None) -> None:
    if known is not None and engine.features.exposure is not None:
        engine.know(known)


def _absorb(ledger: Ledger, engine: Engine, stop: int, block_rows: int) -> None:
    if engine.next_seq >= stop:
        return
    for batch in ledger.scan(list(engine.input_columns), start=engine.next_seq, stop=stop, batch_rows=block_rows):
        engine.absorb(batch)


def range_of_times(ledger: Ledger, from_us: int | None, to_us: int | None) -> tuple[int, int]:
    """The least range of payments [start, stop) that holds every payment with an event time in [from, to).

    Parameters
    ----------
    ledger : Ledger
        The payments.
    from_us, to_us : int or None
        Microseconds since 1970; None = open.

    Returns
    -------
    start, stop : int
        Equal where there is no such payment. Late payments among them lie in the range whatever their time.
    """
    if from_us is None and to_us is None:
        return 0, ledger.next_seq
    low, high = (-FAR if from_us is None else from_us), (FAR if to_us is None else to_us)
    first, last = -1, -1
    for begin, time in _times(ledger.scan(["event_time"], batch_rows=LIFETIME_ROWS)):
        inside = np.flatnonzero((time >= low) & (time < high))
        if len(inside):
            first = begin + int(inside[0]) if first < 0 else first
            last = begin + int(inside[-1])
    return (first, last + 1) if first >= 0 else (0, 0)


def _times(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Int64Array]]:
    begin = 0
    for batch in batches:
        yield begin, microseconds(batch.column("event_time"))
        begin += batch.num_rows
