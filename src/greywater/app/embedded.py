"""The main job and the feature store for a program or a notebook: plain arguments, as the local owner of the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from greywater.app.features import feature_store
from greywater.app.ingest import IngestRequest
from greywater.app.run import RunOutcome, RunRequest
from greywater.app.run import run as do_the_job
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.featurestore.store import FeatureStore
from greywater.vocab import Actor, Progress

__all__ = ["open_features", "run"]

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


@contextmanager
def open_features(
    store: Place = "greywater-store",
    *,
    project: str | None = None,
    online: str = "",
    read_only: bool = False,
    settings: Settings | None = None,
) -> Iterator[FeatureStore]:
    """Open the feature store of a project: groups, views, training sets, online vectors.

    Parameters
    ----------
    store : path
        Folder of the store; made where it is missing.
    project : str, optional
        Which project; None = the setting.
    online : str
        URL of the online store; empty = LMDB in the project's folder.
    read_only : bool
        Ask for leave to read only; nothing can be written then.
    settings : Settings, optional
        Everything else that can be set.

    Yields
    ------
    FeatureStore

    Raises
    ------
    StoreError
        There is no such project, and it is only to be read.

    Examples
    --------
    >>> import tempfile
    >>> from greywater.featurestore.definitions import FeatureField, FeatureGroup
    >>> with tempfile.TemporaryDirectory() as folder, open_features(folder) as features:
    ...     score = FeatureField("score", "float64", default=500.0)
    ...     group = features.create_group(FeatureGroup("credit", 1, ("customer",), ("string",), (score,)))
    ...     [one.name for one in features.registry.groups()]
    ['credit']
    """
    chosen = (settings or Settings.from_environment()).with_(store=Path(store))
    if project is not None:
        chosen = chosen.with_(project=project)
    action = "read_features" if read_only else "write_features"
    actor = Actor(project=chosen.project)
    with feature_store(actor, chosen, action, "opened in Python", online=online, serves=True) as (opened, _):
        yield opened


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
