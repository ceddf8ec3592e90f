"""Works out the features of every recorded payment of a project, with the labels beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from greywater.app.attributes import AttributeColumns, open_attributes
from greywater.app.known_launderers import known_for
from greywater.app.relations import RelationColumns
from greywater.app.truth import Truth, TruthReader
from greywater.app.wiring import Project
from greywater.config import Settings
from greywater.features.attributes import AttributeJoin
from greywater.features.catalog import FeatureSet, payment_features
from greywater.features.engine import Engine
from greywater.features.relations import RelationJoin
from greywater.kernels.compile import cache_is_cold
from greywater.pipeline.replay import BLOCK_ROWS, Replayed, replay
from greywater.stores.blocks import BlockWriter, FeatureBlocks
from greywater.vocab import FeatureBlock, Progress

__all__ = ["FeatureRows", "feature_set", "replay_project", "replay_through"]


@dataclass(frozen=True)
class FeatureRows:
    """The scored payments of a project: their features on disk, who and when, and what the labels say.

    `truth` is None where no label is recorded, or no payment can be scored.
    """

    features: FeatureSet
    blocks: FeatureBlocks
    replayed: Replayed
    truth: Truth | None

    @property
    def rows(self) -> int:
        """Number of scored payments."""
        return len(self.replayed.seq)


def feature_set(project: Project) -> tuple[FeatureSet, AttributeJoin | None, list[str]]:
    """The set of features that the settings name, the attributes that the project allows, and what was left out."""
    settings: Settings = project.settings
    features = payment_features(settings, project.file.resolution_us or 1)
    left_out = list(features.left_out_words(settings))
    allowed: Literal["open", "all"] = "all" if settings.allow_protected else "open"
    attributes = open_attributes(project.tables, allowed)
    if attributes is not None:
        features = replace(features, attributes=attributes.kinds, attribute_words=attributes.words)
    return features, attributes, left_out


def replay_project(
    project: Project, features: FeatureSet, attributes: AttributeJoin | None, folder: Path, progress: Progress
) -> FeatureRows:
    """Replay the whole ledger through the engine, and write the feature rows into `folder`.

    Parameters
    ----------
    project : Project
        Open for reading.
    features, attributes
        From `feature_set`.
    folder : Path
        Takes the blocks; must exist.
    progress : Progress
        Told how far it is.

    Returns
    -------
    FeatureRows
        Without a row where no payment between two accounts of the bank is recorded.
    """
    with BlockWriter(folder, features.names, fingerprint=features.fingerprint) as writer:
        engine_set = replace(features, attributes=())
        replayed, truth = replay_through(project, engine_set, writer.append, progress, attributes=attributes)
    return FeatureRows(features, FeatureBlocks.open(folder), replayed, truth)


def replay_through(
    project: Project,
    features: FeatureSet,
    sink: Callable[[FeatureBlock], None],
    progress: Progress,
    *,
    attributes: AttributeJoin | None = None,
    relations: RelationJoin | None = None,
    doing: str = "working out features",
) -> tuple[Replayed, Truth | None]:
    """Replay the whole ledger through an engine into `sink`, with columns of parties beside those of the engine.

    Parameters
    ----------
    project : Project
        Open for reading.
    features : FeatureSet
        What the engine works out; without attributes.
    sink : callable
        Takes the blocks: the engine's columns, those of `attributes`, those of `relations`.
    progress : Progress
        Told how far it is.
    attributes, relations : AttributeJoin, RelationJoin, optional
        What is joined to each payment as of its moment.
    doing : str
        What the progress calls it.

    Returns
    -------
    Replayed, Truth or None
        None where no label is recorded, or no payment can be scored.
    """
    if cache_is_cold():
        progress.say("compiling the kernels for this machine: once, a minute or two")
    progress.step(doing, project.ledger.next_seq)
    reader = TruthReader.open(project.tables)
    engine = Engine(features, threads=project.settings.worker_threads)
    known = known_for(features, project.tables, project.ledger)
    if known is not None:
        engine.know(known)
    watching: list[Callable[[pa.RecordBatch], None]] = [reader.watch]
    beside: RelationColumns | AttributeColumns
    if relations is not None:
        beside = RelationColumns(relations, sink)
        sink = beside.append
        watching.append(beside.watch)
    if attributes is not None:
        beside = AttributeColumns(attributes, sink)
        sink = beside.append
        watching.append(beside.watch)

    def watch(batch: pa.RecordBatch) -> None:
        for each in watching:
            each(batch)

    replayed = replay(project.ledger, engine, sink, watch=watch, block_rows=BLOCK_ROWS, progress=progress)
    return replayed, reader.targets(replayed) if reader.labelled and len(replayed.seq) else None
