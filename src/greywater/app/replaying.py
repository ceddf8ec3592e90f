"""Works out the features of every recorded payment of a project, with the labels beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from greywater.app.attributes import AttributeColumns, open_attributes
from greywater.app.known_launderers import known_for
from greywater.app.truth import Truth, TruthReader
from greywater.app.wiring import Project
from greywater.config import Settings
from greywater.features.attributes import AttributeJoin
from greywater.features.catalog import FeatureSet, payment_features
from greywater.features.engine import Engine
from greywater.kernels.compile import cache_is_cold
from greywater.pipeline.replay import BLOCK_ROWS, Replayed, replay
from greywater.stores.blocks import BlockWriter, FeatureBlocks
from greywater.vocab import Progress

__all__ = ["FeatureRows", "feature_set", "replay_project"]


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
    if cache_is_cold():
        progress.say("compiling the kernels for this machine: once, a minute or two")
    progress.step("working out features", project.ledger.next_seq)
    reader = TruthReader.open(project.tables)
    engine = Engine(replace(features, attributes=()), threads=project.settings.worker_threads)
    known = known_for(features, project.tables, project.ledger)
    if known is not None:
        engine.know(known)
    with BlockWriter(folder, features.names, fingerprint=features.fingerprint) as writer:
        beside = AttributeColumns(attributes, writer.append) if attributes is not None else None

        def watch(batch: pa.RecordBatch) -> None:
            reader.watch(batch)
            if beside is not None:
                beside.watch(batch)

        replayed = replay(
            project.ledger,
            engine,
            writer.append if beside is None else beside.append,
            watch=watch,
            block_rows=BLOCK_ROWS,
            progress=progress,
        )
    truth = reader.targets(replayed) if reader.labelled and len(replayed.seq) else None
    return FeatureRows(features, FeatureBlocks.open(folder), replayed, truth)
