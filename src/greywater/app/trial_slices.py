"""The two slices that trials are fitted and judged on, worked out once and read by every process from files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.app.replaying import FeatureRows
from greywater.app.rule_place import words_of
from greywater.app.split import Split, split_by_time
from greywater.app.truth import TruthReader
from greywater.app.wiring import Project
from greywater.detectors.detector import Validation
from greywater.errors import EmptyInputError
from greywater.stores.blocks import FeatureBlocks
from greywater.stores.durable import store_errors
from greywater.vocab import Int64Array

__all__ = ["TrialSlices", "facts_of", "keep_slices", "read_slices", "refuse_unlabelled"]

ARRAYS: Final = "slices.npz"
WORDS: Final = "words.json"


@dataclass(frozen=True)
class TrialSlices:
    """What a trial learns from, and the later slice that it is judged on. The last slice is not among them.

    `y` and `time_us` int64[rows of X]; `words` say what the codes of text attributes mean, by column.
    """

    X: FeatureBlocks
    y: Int64Array
    time_us: Int64Array
    validation: Validation
    words: dict[str, tuple[str, ...]]


def refuse_unlabelled(project: Project) -> None:
    """Raise an EmptyInputError where a project has no labels to judge by, before features are worked out."""
    if not TruthReader.open(project.tables).labelled:
        raise _no_labels()


def keep_slices(made: FeatureRows, folder: Path) -> Split:
    """Write beside the blocks in `folder` what `read_slices` needs; the labels of the last slice are not written.

    Raises
    ------
    EmptyInputError
        There are no labels, or the second slice does not hold both laundering and honest payments to judge by.
    """
    if made.truth is None:
        raise _no_labels()
    split = split_by_time(made.replayed.time_us, labelled=True)
    y = np.asarray(made.truth.y[: split.validation], np.int64)
    judged = y[split.train :]
    if not split.train or not 0 < int(judged.sum()) < len(judged):
        raise EmptyInputError(
            f"of the {len(judged):,} payments that trials are judged on, {int(judged.sum()):,} are laundering",
            where="labels",
            mend="record more payments and labels: trials are judged on the fourth fifth of the payments by time",
        )
    time_us = np.asarray(made.replayed.time_us[: split.train], np.int64)
    with store_errors(folder, "keep the slices"):
        np.savez(folder / ARRAYS, y=y, time_us=time_us)
        (folder / WORDS).write_text(json.dumps(words_of(made.features)), encoding="utf-8")
    return split


def read_slices(folder: Path) -> TrialSlices:
    """What `keep_slices` kept."""
    with store_errors(folder, "read the slices"):
        with np.load(folder / ARRAYS) as held:
            y, time_us = held["y"], held["time_us"]
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
    blocks, cut = FeatureBlocks.open(folder), len(time_us)
    later = Validation(blocks.slice(cut, len(y)), y[cut:])
    return TrialSlices(
        blocks.slice(0, cut), y[:cut], time_us, later, {name: tuple(each) for name, each in words.items()}
    )


def _no_labels() -> EmptyInputError:
    return EmptyInputError(
        "there are no labels to judge trials by", where="labels", mend="record labels: greywater ingest --labels"
    )


def facts_of(made: FeatureRows, split: Split, next_seq: int) -> dict[str, Any]:
    """What trials must have in common to be compared: the data, the columns, the labels, the cuts; in JSON types."""
    y = made.truth.y[: split.validation] if made.truth is not None else np.zeros(0, np.int64)
    return {
        "data": next_seq,
        "columns": made.features.fingerprint,
        "labels": hashlib.sha256(np.ascontiguousarray(y, np.int64).tobytes()).hexdigest()[:16],
        "cut": [split.train, split.validation],
    }
