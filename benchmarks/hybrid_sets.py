"""Feature rows of the reference sets for the benchmark of detectors: worked out once by the main job's own code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graph_sets import data_folder
from greywater.app.ingest import IngestRequest, Silent, ingest
from greywater.app.replaying import feature_set, replay_project
from greywater.app.split import Split, split_by_time
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.stores.blocks import FeatureBlocks
from greywater.vocab import Actor

__all__ = ["FILES", "Scored", "scored_set"]

#: The payments of each set, in the data folder.
FILES = {
    "amlsim_medium": "amlsim_medium/transactions.parquet",
    "amlgentex_small": "amlgentex_small/tx_log.parquet",
}


@dataclass(frozen=True)
class Scored:
    """The scored payments of one set: features, labels int64[n], event times in microseconds, cuts by time."""

    name: str
    blocks: FeatureBlocks
    y: np.ndarray
    time_us: np.ndarray
    split: Split


def scored_set(name: str, folder: Path) -> Scored:
    """Record the payments of a set and work out their features in `folder`, or read what lies there already."""
    blocks, rest = folder / name / "blocks", folder / name / "rest.npz"
    if not rest.is_file():
        blocks.mkdir(parents=True, exist_ok=True)
        settings = Settings(store=folder / name / "store")
        ingest(Actor(), settings, IngestRequest((str(data_folder() / FILES[name]),)), Silent())
        with open_project(settings, Actor()) as project:
            features, attributes, _ = feature_set(project)
            made = replay_project(project, features, attributes, blocks, Silent())
        if made.truth is None:
            raise ValueError(f"{name} has no labels")
        np.savez(rest, y=made.truth.y, time=made.replayed.time_us)
    with np.load(rest) as held:
        y, time_us = held["y"], held["time"]
    return Scored(name, FeatureBlocks.open(blocks), y, time_us, split_by_time(time_us, labelled=True))
