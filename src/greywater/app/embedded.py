"""The main job for a program or a notebook: plain arguments, as the local owner of the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from greywater.app.ingest import IngestRequest
from greywater.app.run import RunOutcome, RunRequest
from greywater.app.run import run as do_the_job
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.vocab import Actor, Progress

__all__ = ["run"]

Place = str | Path


def run(
    *paths: Place,
    store: Place = "greywater-store",
    format: str | None = None,
    mapping: Place | None = None,
    labels: Place | None = None,
    accounts: Place | None = None,
    parties: Place | None = None,
    relationships: Place | None = None,
    seeds: Place | None = None,
    attributes: Place | None = None,
    protected: Sequence[str] = (),
    query: str | None = None,
    high_water: str | None = None,
    fx: Place | None = None,
    budget: str = "20/day",
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> RunOutcome:
    """Record payments, score them, and rank who is worth an investigator's hour.

    Parameters
    ----------
    *paths : path
        Files of payments, folders of them, URLs, `sql:URL` or `delta:FOLDER`; none = score what the store holds.
    store : path
        Folder of the store; made where it is missing.
    format, mapping
        How to read the files; told by their header where left out.
    labels, accounts, parties, relationships, seeds, attributes, fx : path, optional
        What is known beside the payments.
    protected : sequence of str
        Attributes that no model may use.
    query, high_water : str, optional
        For a `sql:` place: its SELECT, and the column of it that only grows.
    budget : str
        "20/day" or "500".
    settings : Settings, optional
        Everything else that can be set.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    RunOutcome
        `alerts` by rank; `verdict.metrics` where there are labels.

    Raises
    ------
    GreywaterError
        With what was found, where, and the mend.
    """
    chosen = (settings or Settings.from_environment()).with_(store=Path(store))
    request = IngestRequest(
        paths=paths,
        format=format,
        mapping=_path(mapping),
        fx=_path(fx),
        labels=_path(labels),
        accounts=_path(accounts),
        parties=_path(parties),
        relationships=_path(relationships),
        seeds=_path(seeds),
        attributes=_path(attributes),
        protected=tuple(protected),
        query=query,
        high_water=high_water,
    )
    return do_the_job(Actor(project=chosen.project), chosen, RunRequest(request, Budget.parse(budget)), progress)


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
