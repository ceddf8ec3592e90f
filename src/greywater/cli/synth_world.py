"""`greywater synth world`: a large made-up world of payments with laundering in it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, settings_of, show_rows, write_json
from greywater.cli.progress import Shown

__all__ = ["world"]


class Preset(StrEnum):
    """Whose proportions."""

    hi_small = "hi-small"
    li_small = "li-small"


class Form(StrEnum):
    """Whose columns, words and file names."""

    amlworld = "amlworld"
    amlsim = "amlsim"
    own = "own"


class Kind(StrEnum):
    """What the payments are written as."""

    csv = "csv"
    parquet = "parquet"


def world(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the files; made where it is missing.")],
    preset: Annotated[Preset, typer.Option(help="Whose sizes and proportions.")] = Preset.hi_small,
    payments: Annotated[int | None, typer.Option(metavar="N", help="Payments. [default: the preset's]")] = None,
    accounts: Annotated[
        int | None, typer.Option(metavar="N", help="Accounts. [default: in proportion to the payments]")
    ] = None,
    days: Annotated[int | None, typer.Option(metavar="N", help="Days. [default: the preset's]")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same bytes.")] = 7,
    form: Annotated[Form, typer.Option(help="Whose columns, words and file names.")] = Form.amlworld,
    format: Annotated[Kind, typer.Option(help="What the payments are written as.")] = Kind.csv,
    hard: Annotated[
        bool, typer.Option("--hard", help="Laundering that looks like everyday life, and labels that are late.")
    ] = False,
    knob: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Turn a knob of hard mode; may be given again: docs/world.md."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads; the bytes are the same. [default: all cores]")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Make up a large world of payments with laundering in it, in AMLworld's, AMLSim's or our own form.

    Nothing in it is real, and everything in it is known. Payments are streamed, so that any number fits in memory.

    Examples

        greywater synth world made-up

        greywater synth world made-up --preset li-small --payments 1000000 --seed 3

        greywater synth world made-up --payments 2000000 --days 180 --form own --hard --knob drift=0.3

        greywater synth world made-up --payments 100000000 --format parquet
    """
    from greywater.app.world_making import WorldMakingRequest, hard_mode, make_large
    from greywater.errors import UsageError
    from greywater.vocab import Actor

    pairs = [(name, text) for name, _, text in (word.partition("=") for word in knob or ())]
    if pairs and not hard:
        raise UsageError("a knob was turned, but hard mode is off", where="--knob", mend="add --hard")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    settings = settings_of(store, project)
    request = WorldMakingRequest(
        out, preset.value, payments, accounts, days, seed, hard_mode(dict(pairs)) if hard else None, form.value,
        format.value, threads,
    )  # fmt: skip
    with Shown() as progress:
        made = make_large(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(made.to_json(), json)
    if json != "-":
        counts = [
            ("accounts", f"{made.accounts:,}"),
            ("payments", f"{made.payments:,}"),
            ("of these laundering", f"{made.laundering:,}"),
            ("of these in everyday groups that look like it", f"{made.lookalikes:,}"),
            *((f"attempts: {typology}", f"{count:,}") for typology, count in made.attempts.items()),
            *((name, str(path)) for name, path in made.files.items()),
        ]
        show_rows(f"A world of {preset.value}{', hard mode' if hard else ''}, seed {seed}", ("what", ""), counts)
