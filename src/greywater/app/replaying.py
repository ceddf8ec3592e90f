"""Works out the features of every recorded payment of a project, with the labels beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from greywater.app.joining import JoinedColumns, ProjectFeatures
from greywater.app.known_launderers import known_for
from greywater.app.truth import Truth, TruthReader
from greywater.app.wiring import Project
from greywater.features.catalog import FeatureSet
from greywater.features.engine import Engine
from greywater.features.joined import PaymentJoin
from greywater.kernels.compile import cache_is_cold
from greywater.pipeline.replay import BLOCK_ROWS, Replayed, replay
from greywater.stores.blocks import BlockWriter, FeatureBlocks
from greywater.vocab import FeatureBlock, Progress

__all__ = ["FeatureRows", "replay_project", "replay_through"]


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


def replay_project(project: Project, made: ProjectFeatures, folder: Path, progress: Progress) -> FeatureRows:
    """Replay the whole ledger through the engine, and write the feature rows into `folder`.

    Parameters
    ----------
    project : Project
        Open for reading.
    made : ProjectFeatures
        From `project_features`.
    folder : Path
        Takes the blocks; must exist.
    progress : Progress
        Told how far it is.

    Returns
    -------
    FeatureRows
        Without a row where no payment between two accounts of the bank is recorded.
    """
    features = made.features
    with BlockWriter(folder, features.names, fingerprint=features.fingerprint) as writer:
        replayed, truth = replay_through(project, features.of_engine, writer.append, progress, joins=made.joins)
    return FeatureRows(features, FeatureBlocks.open(folder), replayed, truth)


def replay_through(
    project: Project,
    features: FeatureSet,
    sink: Callable[[FeatureBlock], None],
    progress: Progress,
    *,
    joins: Sequence[PaymentJoin] = (),
    doing: str = "working out features",
) -> tuple[Replayed, Truth | None]:
    """Replay the whole ledger through an engine into `sink`, with columns of parties beside those of the engine.

    Parameters
    ----------
    project : Project
        Open for reading.
    features : FeatureSet
        What the engine works out; without what is joined.
    sink : callable
        Takes the blocks: the engine's columns, then those of the joins.
    progress : Progress
        Told how far it is.
    joins : sequence of PaymentJoin
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
    if joins:
        beside = JoinedColumns(joins, sink)
        sink = beside.append
        watching.append(beside.watch)

    def watch(batch: pa.RecordBatch) -> None:
        for each in watching:
            each(batch)

    watched = [name for join in joins for name in join.reads]
    replayed = replay(
        project.ledger, engine, sink, watch=watch, watched=watched, block_rows=BLOCK_ROWS, progress=progress
    )
    return replayed, reader.targets(replayed) if reader.labelled and len(replayed.seq) else None
