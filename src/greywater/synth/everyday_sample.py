"""A sample of the everyday payments of a large world, spread over its days: what laundering dresses as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from greywater.kernels.everyday import PaymentColumns
from greywater.synth.disguise import EverydaySample
from greywater.synth.economy import FORMATS, Population
from greywater.synth.everyday import Everyday, plan_everyday
from greywater.synth.planned import Planned
from greywater.synth.presets import WorldPlan
from greywater.synth.streams import stream
from greywater.synth.weaving import pieces, woven

__all__ = ["sample_everyday"]

#: Payments made at a time, and about how many are kept of all.
_CHUNK: Final = 65_536
_KEPT: Final = 400_000


def sample_everyday(plan: WorldPlan, population: Population) -> EverydaySample:
    """Make up everyday payments of the world and keep some, evenly over time; of a small world all.

    Parameters
    ----------
    plan : WorldPlan
        How large the world is.
    population : Population
        Who is in it.

    Returns
    -------
    EverydaySample
        As they would be without anything planned: those of the written world differ by what is planned.
    """
    everyday = plan_everyday(plan, population, np.zeros(len(FORMATS), np.int64))
    share = min(1.0, _KEPT / plan.payments)
    rng = stream(plan.seed, "sample of everyday payments")
    parts = []
    for chunk in _some_chunks(everyday, share):
        kept = np.flatnonzero(rng.random(len(chunk.time)) < share * _every(share))
        parts.append([column[kept] for column in chunk])
    time, sender, receiver, paid, _, currency, _, form = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return EverydaySample(time // 1_000_000, sender.astype(np.int64), receiver.astype(np.int64), paid, currency, form)


def _every(share: float) -> int:
    """Of a large world only every so many chunks are made, and more kept of them."""
    return max(1, min(20, int(0.25 / share)))


def _some_chunks(everyday: Everyday, share: float) -> Iterator[PaymentColumns]:
    nothing = Planned.none()
    times = np.empty(0, np.int64)
    for number, piece in enumerate(pieces(everyday, times, _CHUNK)):
        if number % _every(share) == 0:
            yield woven(everyday, nothing, times, piece).columns
