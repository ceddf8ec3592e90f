"""The feature store for a program or a notebook, without the rest of the house: as the local owner of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greywater.app.features import feature_store
from greywater.config import Settings
from greywater.featurestore.store import FeatureStore
from greywater.vocab import Actor

__all__ = ["open_features"]

Place = str | Path


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
