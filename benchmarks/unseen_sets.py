"""Payments of the reference sets with their typologies and their parties' sequences, for the adversarial benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.rows import sample_negatives
from greywater.features.sequence import SequenceJoin
from greywater.stores.blocks import TableRows
from greywater.vocab import EXTERNAL_PREFIX, Actor
from hybrid_sets import Scored

__all__ = ["Part", "part_of", "sequences_of", "typologies"]


@dataclass(frozen=True)
class Part:
    """Rows of one slice: all laundering and a sample of the honest payments, each standing for `stands_for`.

    `rows` int64[n] are positions among the scored payments, `y` and `typology` what is known of them.
    """

    X: TableRows
    rows: np.ndarray
    y: np.ndarray
    typology: np.ndarray
    stands_for: float

    @property
    def weight(self) -> np.ndarray:
        """How many payments each row stands for, float64[n]."""
        return np.where(self.y == 1, 1.0, self.stands_for)


def part_of(scored: Scored, typology: np.ndarray, low: int, high: int, honest: int) -> Part:
    """Rows of the scored payments [low, high), at most so many honest ones."""
    rows, stands_for = sample_negatives(scored.y[low:high], honest, seed=1)
    rows = rows + low
    return Part(TableRows(scored.blocks.take(rows)), rows, scored.y[rows], typology[rows], stands_for)


def typologies(scored: Scored, folder: Path) -> np.ndarray:
    """The typology of each scored payment, "" of honest ones."""
    with open_project(Settings(store=folder / scored.name / "store"), Actor()) as project:
        known = {
            name: typology or "unknown"
            for batch in project.tables.scan("labels", ["tx_id", "label", "typology"])
            for name, label, typology in zip(*(batch[column].to_pylist() for column in batch.schema.names), strict=True)
            if label == 1
        }
        found = [
            known.get(name, "")
            for batch in project.ledger.scan(["tx_id", "sender", "receiver"])
            for name in batch["tx_id"].filter(_inside(batch)).to_pylist()
        ]
    names = np.array(found)
    if not np.array_equal(names != "", scored.y == 1):
        raise ValueError(f"{scored.name}: typologies and labels differ")
    return names


def sequences_of(scored: Scored, folder: Path, wanted: Sequence[np.ndarray]) -> list[TableRows]:
    """The sequence columns of chosen scored payments (increasing positions), one table for each choice."""
    join, at = SequenceJoin(), 0
    kept: list[list[pa.Table]] = [[] for _ in wanted]
    with open_project(Settings(store=folder / scored.name / "store"), Actor()) as project:
        for batch in project.ledger.scan(list(dict.fromkeys(["seq", *join.reads, "sender", "receiver"]))):
            columns = pa.table(dict(zip(join.names, join.columns(batch), strict=True)))
            inside = columns.filter(_inside(batch))
            for rows, tables in zip(wanted, kept, strict=True):
                low, high = np.searchsorted(rows, [at, at + inside.num_rows])
                tables.append(inside.take(pa.array(rows[low:high] - at)))
            at += inside.num_rows
    return [TableRows(pa.concat_tables(tables).combine_chunks()) for tables in kept]


def _inside(batch: pa.RecordBatch) -> pa.Array:
    """Where both parties are accounts of the bank: those payments are scored."""
    outside = [pc.starts_with(batch[party], EXTERNAL_PREFIX) for party in ("sender", "receiver")]
    return pc.invert(pc.or_(*outside))
