"""The world of the demo: half a year in hard mode, small enough for a few minutes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from greywater.synth.hard_mode import HardMode
from greywater.synth.laundered_world import LaunderedWorld, make_laundered_world
from greywater.synth.presets import world_plan
from greywater.vocab import Progress

__all__ = ["DEMO_KNOBS", "make_demo_world"]

#: Fewer look-alikes, shorter attempts and a steadier mix than by default: half a year is little to learn from.
DEMO_KNOBS: Final = HardMode(lookalikes=0.8, days=3.0, mix_drift=0.2)
_PAYMENTS, _ACCOUNTS, _DAYS, _ONE_IN = 240_000, 12_000, 180, 200


def make_demo_world(
    folder: Path | str, *, payments: int = _PAYMENTS, seed: int = 7, progress: Progress | None = None
) -> LaunderedWorld:
    """Make the world of the demo, in our own form.

    Parameters
    ----------
    folder : Path or str
        Made where it does not exist; files of the same names are replaced.
    payments : int
        Another size: accounts and laundering, one payment in 200, follow.
    seed : int
        Another seed, another world.
    progress : Progress, optional
        Told of every chunk.

    Returns
    -------
    LaunderedWorld
        180 days from 1 September 2022.

    Raises
    ------
    UsageError
        Too small a world to live in.
    StoreAccessError, StoreFullError
        A file cannot be written.
    """
    accounts = max(500, _ACCOUNTS * payments // _PAYMENTS)
    plan = world_plan("hi-small", payments=payments, accounts=accounts, days=_DAYS, seed=seed)
    plan = replace(plan, laundering=max(8, payments // _ONE_IN))
    return make_laundered_world(folder, plan, hard=DEMO_KNOBS, form="own", progress=progress)
