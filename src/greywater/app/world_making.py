"""The use case that makes up a large world of payments with laundering in it, in files of a published form."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.synth.hard_mode import HardMode
from greywater.synth.laundered_world import LaunderedWorld, make_laundered_world
from greywater.synth.presets import world_plan
from greywater.synth.world_files import Form, Kind
from greywater.vocab import Actor, Progress

__all__ = ["WorldMade", "WorldMakingRequest", "hard_mode", "make_large"]


@dataclass(frozen=True)
class WorldMakingRequest:
    """What is to be made.

    Parameters
    ----------
    folder : Path
        Where the files go.
    preset : str
        Whose proportions.
    payments, accounts, days : int, optional
        Sizes of one's own.
    seed : int
        Another seed, another world.
    hard : HardMode, optional
        Hard mode; without it laundering is as published.
    form : {"amlworld", "amlsim", "own"}
    payments_as : {"csv", "parquet"}
    threads : int, optional
        The processor's cores where left out.
    """

    folder: Path
    preset: str = "hi-small"
    payments: int | None = None
    accounts: int | None = None
    days: int | None = None
    seed: int = 7
    hard: HardMode | None = None
    form: Form = "amlworld"
    payments_as: Kind = "csv"
    threads: int | None = None


@dataclass(frozen=True)
class WorldMade:
    """What was made, and where."""

    preset: str
    seed: int
    hard: bool
    accounts: int
    payments: int
    laundering: int
    attempts: dict[str, int]
    lookalikes: int
    files: dict[str, Path] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON types."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return own | {"files": {name: str(path) for name, path in self.files.items()}}


def hard_mode(knobs: Mapping[str, str]) -> HardMode:
    """Hard mode with some knobs turned, each given as text.

    Parameters
    ----------
    knobs : mapping of str to str
        Values by name: numbers, `true` or `false`, and for `kept` two numbers with `..` between them.

    Raises
    ------
    UsageError
        No knob has this name, or the value means nothing.

    Examples
    --------
    >>> hard_mode({"drift": "0.3", "kept": "0.5..0.9"}).kept
    (0.5, 0.9)
    """
    defaults = {one.name: one.default for one in fields(HardMode)}
    turned: dict[str, Any] = {}
    for name, text in knobs.items():
        if name not in defaults:
            raise UsageError(f"no knob is called {name}", where="knob", mend=f"choose one of {', '.join(defaults)}")
        turned[name] = _value(name, text, defaults[name])
    return HardMode(**turned)


def _value(name: str, text: str, default: object) -> Any:
    """The text as what the knob holds."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, tuple):
            low, _, high = text.partition("..")
            return float(low), float(high)
        return int(text) if isinstance(default, int) else float(text)
    except (KeyError, ValueError):
        raise UsageError(f"{text!r} means nothing to {name}", where="knob", mend=f"as in {name}={default}") from None


def make_large(
    actor: Actor, settings: Settings, request: WorldMakingRequest, progress: Progress | None = None
) -> WorldMade:
    """Make up a world and write its files. Nothing of it is recorded.

    Raises
    ------
    UsageError
        A word or number that means nothing, or a world too small to live in.
    AccessDeniedError
        The actor may not export.
    StoreError
        A file cannot be written.
    """
    plan = world_plan(
        request.preset, payments=request.payments, accounts=request.accounts, days=request.days, seed=request.seed
    )
    with audited(settings, actor, "export", request.folder.name) as detail:
        made = make_laundered_world(
            request.folder,
            plan,
            hard=request.hard,
            form=request.form,
            payments_as=request.payments_as,
            threads=request.threads or os.cpu_count() or 1,
            progress=progress or Silent(),
        )
        told = _told(request, made)
        detail.update({"payments": told.payments, "laundering": told.laundering, "form": request.form})
    return told


def _told(request: WorldMakingRequest, made: LaunderedWorld) -> WorldMade:
    world, attempts = made.world, made.laundering.attempts
    return WorldMade(
        preset=request.preset,
        seed=request.seed,
        hard=request.hard is not None,
        accounts=len(world.population),
        payments=world.payments,
        laundering=int(world.planned.laundering.sum()),
        attempts=dict(sorted(Counter(attempt.typology for attempt in attempts).items())),
        lookalikes=int((world.planned.group >= 0).sum()),
        files=made.files,
    )
