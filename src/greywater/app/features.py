"""The use cases of the feature store: each opens the project's feature store for an actor, and writes its audit row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from greywater.app.audit import audited
from greywater.app.table_files import read_table_file
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.saved import DESCRIPTION
from greywater.errors import FormatError, StoreError, UsageError
from greywater.featurestore.definition_files import read_definitions
from greywater.featurestore.definitions import DTYPES, FeatureGroup, FeatureView
from greywater.featurestore.lineage import version_name
from greywater.featurestore.materialize import Materialized
from greywater.featurestore.store import FeatureStore, Written
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.lock import WriterLock
from greywater.stores.open import open_offline, open_online, open_tables
from greywater.stores.part_reader import file_sha256
from greywater.stores.project_file import ProjectFile
from greywater.vocab import Actor, Progress

__all__ = [
    "ONLINE", "bind_model", "create_features", "feature_store", "materialize_features", "read_rows", "write_features",
]  # fmt: skip

#: Folder of a project that holds its online records, unless another store is named.
ONLINE: Final = "online"
#: Folder of a project that holds its models.
MODELS: Final = "models"
#: Held while online records are written: a view has one writer at a time.
LOCK: Final = "materialize.lock"
MOMENT: Final = pa.timestamp("us", tz="UTC")


@contextmanager
def feature_store(
    actor: Actor, settings: Settings, action: str, object: str, *, online: str = "", serves: bool = False
) -> Iterator[tuple[FeatureStore, dict[str, Any]]]:
    """Open the feature store of the project that the settings name.

    Parameters
    ----------
    actor : Actor
        Must be allowed to do `action`.
    settings : Settings
        Store and project.
    action : str
        `read_features`, or `write_features` where anything is changed.
    object : str
        What it is done to, for the audit.
    online : str
        URL of the online store; empty = LMDB in the project's folder.
    serves : bool
        Whether the online store is needed.

    Yields
    ------
    FeatureStore
    dict
        Detail of the audit row.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project.
    """
    reads = action == "read_features"
    with ExitStack() as stack:
        detail = stack.enter_context(audited(settings, actor, action, object))
        if not reads and ProjectFile.load(settings.project_folder) is None:
            with open_project(settings, actor, write=True):
                pass  # a project may begin with features, before any payment
        project = stack.enter_context(open_project(settings, actor))
        offline = open_offline(f"delta:{project.folder}", read_only=reads)
        served = None
        if serves:
            served = open_online(online or f"lmdb:{project.folder / ONLINE}")
            stack.callback(served.close)
        tables = open_tables(f"delta:{project.folder}", read_only=reads)
        records = FeatureRecords(project.records.database)
        store = FeatureStore(offline, records, actor, online=served, tables=tables)
        yield store, detail
        store.note_served()


def create_features(actor: Actor, settings: Settings, path: Path) -> list[FeatureGroup | FeatureView]:
    """Register the groups and views of a TOML file; what is registered already stays as it is.

    Views may hold protected attributes where the setting `allow_protected` says so.
    """
    definitions = read_definitions(path)
    with feature_store(actor, settings, "write_features", f"definitions in {path.name}") as (store, detail):
        for one in definitions:
            if isinstance(one, FeatureGroup):
                store.create_group(one)
            else:
                store.create_view(one, allow_protected=settings.allow_protected)
        detail.update(groups=sum(isinstance(one, FeatureGroup) for one in definitions), all=len(definitions))
    return definitions


def write_features(actor: Actor, settings: Settings, name: str, path: Path, *, version: int | None = None) -> Written:
    """Write the rows of a CSV or Parquet file into a group, once: the same file again writes nothing."""
    with feature_store(actor, settings, "write_features", f"rows of {path.name} into {name}") as (store, detail):
        group = store.registry.group(name, version)
        rows, digest = read_rows(path, group), file_sha256(path)
        written = store.write(
            group.name, rows, version=group.version, transaction=f"file-{digest}", source=f"{path.name} {digest[:16]}"
        )
        detail.update(rows=written.rows, quarantined=written.quarantined)
    return written


def materialize_features(
    actor: Actor,
    settings: Settings,
    name: str,
    *,
    version: int | None = None,
    as_of_us: int | None = None,
    fresh: bool = False,
    online: str = "",
    wait: float = 0.0,
    progress: Progress | None = None,
) -> Materialized:
    """Bring the online records of a view up to a moment, one at a time in a project.

    Parameters and errors as of `FeatureStore.materialize`; StoreLockedError where another is at work after `wait` s.
    """
    with (
        feature_store(actor, settings, "write_features", f"materialize {name}", online=online, serves=True) as found,
        WriterLock(settings.project_folder, wait_seconds=wait, name=LOCK),
    ):
        store, detail = found
        done = store.materialize(name, version=version, as_of_us=as_of_us, fresh=fresh, progress=progress)
        detail.update(written=done.written)
    return done


def bind_model(
    actor: Actor,
    settings: Settings,
    view: tuple[str, int | None],
    model: str,
    *,
    fingerprint: str = "",
    team: str = "",
    training_set: tuple[str, int | None] | None = None,
) -> str:
    """Write that a model reads a view, and what it was trained on: usage and lineage show it from then on.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `write_features`.
    settings : Settings
        Store and project.
    view : (str, int or None)
        Name and version; None = the newest active one.
    model : str
        Id of a model that the project keeps, or the name of any other.
    fingerprint : str
        What tells the model from another of its name; empty = of a kept model the SHA-256 of its description.
    team : str
        Whose model it is; empty = the view's team.
    training_set : (str, int or None), optional
        The training set of that view it was trained on; None as version = the newest.

    Returns
    -------
    str
        The fingerprint.

    Raises
    ------
    UsageError
        The model is not one of the project and no fingerprint is given.
    StoreError
        There is no such view or set, the set is of another view, or the model reads another one.
    """
    kept = settings.project_folder / MODELS / Path(model).name / DESCRIPTION
    if not fingerprint and Path(model).name == model and kept.is_file():
        fingerprint = file_sha256(kept)
    if not fingerprint:
        raise UsageError(
            f"the project keeps no model {model!r}", where="MODEL", mend="name a kept one, or give its fingerprint"
        )
    with feature_store(actor, settings, "write_features", f"model {model} of view {view[0]}") as (store, detail):
        read = store.registry.view(*view)
        edges = [("view", version_name(read.name, read.version), "model", model)]
        if training_set is not None:
            name, version = training_set
            sets = [one for one in store.records.training_sets(name) if version in (None, one.version)]
            if not sets or (sets[-1].view, sets[-1].view_version) != (read.name, read.version):
                raise StoreError(
                    f"there is no training set {name!r} of view {read.name}@{read.version}",
                    mend="see greywater training-set list",
                )
            edges.append(("training_set", version_name(sets[-1].name, sets[-1].version), "model", model))
        store.registry.bind_model(read.name, read.version, model, actor, model_fingerprint=fingerprint, team=team)
        store.lineage.add_all(edges, how="bound")
        detail.update(view=f"{read.name}@{read.version}", fingerprint=fingerprint)
    return fingerprint


def read_rows(path: Path, group: FeatureGroup) -> pa.Table:
    """Rows of a group from a CSV or Parquet file, in the group's types.

    Raises
    ------
    FormatError
        The file cannot be read, or a column is missing or holds something else.
    """
    wanted = {name: DTYPES[dtype] for name, dtype in zip(group.keys, group.key_dtypes, strict=True)}
    wanted |= {EVENT_TIME: MOMENT, KNOWN_TIME: MOMENT}
    wanted |= {feature.name: DTYPES[feature.dtype] for feature in group.features}
    rows = read_table_file(path, wanted)
    missing = [name for name in wanted if name not in rows.column_names and name != KNOWN_TIME]
    if missing:
        raise FormatError(
            f"the columns {', '.join(missing)} are missing", where=str(path), mend=f"give {', '.join(wanted)}"
        )
    names = [name for name in wanted if name in rows.column_names]
    try:
        return pa.table({name: rows[name].cast(wanted[name]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FormatError(f"a column does not fit its type: {error}", where=str(path), mend="mend the file") from None
