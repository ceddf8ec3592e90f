"""The sets of the benchmark of anomaly detectors: rows to learn from, to choose settings by, and to be judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from graph_sets import data_folder
from greywater.detectors.rows import drawn_evenly, sample_negatives
from greywater.detectors.trees import sampled_average_precision
from greywater.stores.blocks import TableRows
from hybrid_sets import CARDS, FILES, scored_set

__all__ = ["ANOMALY_SETS", "Contest", "Judged", "contests"]

ETHEREUM = "ethereum_accounts"
ANOMALY_SETS = (*FILES, CARDS, ETHEREUM)

#: Payments of the training slice that detectors draw their samples from, and honest ones that they are judged on: all
#: laundering is judged, and each honest payment stands for the ones left out.
POOL, CHOOSING, JUDGING = 65_536, 5_000, 10_000
FOLDS = 5


@dataclass(frozen=True)
class Judged:
    """Rows that scores are measured on: labels int64[n], and how many honest rows each honest one stands for."""

    X: TableRows
    y: np.ndarray
    stands_for: float

    def average_precision(self, score: np.ndarray) -> float:
        """As if all honest rows had been scored."""
        return sampled_average_precision(self.y, score, self.stands_for)


@dataclass(frozen=True)
class Contest:
    """One split of a set: X and y to learn from, `choose` to choose settings by, `judge` to be judged on."""

    X: TableRows
    y: np.ndarray
    choose: Judged
    judge: Judged


def contests(name: str, folder: Path) -> Iterator[Contest]:
    """The one split by time of a set of payments, or the five fixed folds of a set without times."""
    if name == ETHEREUM:
        yield from _folds()
        return
    scored = scored_set(name, folder)
    cuts = (0, scored.split.train, scored.split.validation, scored.split.rows)
    train, later, last = ((scored.blocks.slice(low, high), scored.y[low:high]) for low, high in pairwise(cuts))
    places = drawn_evenly(len(train[1]), POOL, seed=1)
    chosen = TableRows(train[0].take(places))
    yield Contest(chosen, train[1][places], _sampled(*later, CHOOSING), _sampled(*last, JUDGING))


def _sampled(rows: object, y: np.ndarray, most: int) -> Judged:
    places, stands_for = sample_negatives(y, most, seed=1)
    return Judged(TableRows(rows.take(places)), y[places], stands_for)


def _folds() -> Iterator[Contest]:
    """Each fifth judges once; of the rest one quarter chooses and three learn."""
    path = data_folder() / ETHEREUM / "transaction_dataset.csv.gz"
    table = pa_csv.read_csv(path)
    y = table["FLAG"].to_numpy().astype(np.int64)
    numbers = [
        name for name in table.schema.names
        if name not in ("", "Index", "FLAG") and not pa.types.is_string(table.schema.field(name).type)
    ]  # fmt: skip
    columns = {name: table[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in dict.fromkeys(numbers)}
    whole = pa.table(columns)
    fold = np.random.default_rng(1).permutation(len(y)) % FOLDS
    for held in range(FOLDS):
        rest = np.flatnonzero(fold != held)
        choosing = np.arange(len(rest)) % 4 == 0
        learn, choose, judge = rest[~choosing], rest[choosing], np.flatnonzero(fold == held)
        yield Contest(
            TableRows(whole.take(pa.array(learn))), y[learn],
            Judged(TableRows(whole.take(pa.array(choose))), y[choose], 1.0),
            Judged(TableRows(whole.take(pa.array(judge))), y[judge], 1.0),
        )  # fmt: skip
