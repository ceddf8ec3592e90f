"""Drives the engine over the ledger, block by block, in memory that does not grow with the number of payments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from greywater.features.engine import INPUT_COLUMNS, Engine, Footprint
from greywater.stores.ports import Ledger
from greywater.vocab import FeatureBlock, Int64Array, Progress

__all__ = ["BLOCK_ROWS", "Replayed", "replay"]

#: Payments per block: 32,768 rows of 570 columns are 149 MB.
BLOCK_ROWS = 32_768


@dataclass(frozen=True)
class Replayed:
    """The scored payments of a replay, in ledger order; 24 bytes each.

    seq, time_us int64[n]; sender, receiver int32[n] positions in `accounts`; `payments` counts those that are not
    scored (a party outside the bank) too.
    """

    seq: Int64Array
    time_us: Int64Array
    sender: np.ndarray
    receiver: np.ndarray
    accounts: tuple[str, ...]
    payments: int
    footprint: Footprint


def replay(
    ledger: Ledger,
    engine: Engine,
    sink: Callable[[FeatureBlock], None],
    *,
    watch: Callable[[pa.RecordBatch], None] | None = None,
    watched: Sequence[str] = (),
    block_rows: int = BLOCK_ROWS,
    progress: Progress | None = None,
) -> Replayed:
    """Work out the features of every payment from where the engine stands to the ledger's end.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    engine : Engine
        Fresh, or restored from a snapshot.
    sink : callable
        Takes each FeatureBlock, in order, on one other thread while the next block is computed.
    watch : callable, optional
        Sees each batch of payments (`seq` and `tx_id` are among its columns) before its block is computed.
    watched : sequence of str
        Further columns of the transaction table that it is to see.
    block_rows : int
        Payments a block. Changes no value.
    progress : Progress, optional
        Advanced by payments.

    Raises
    ------
    EngineError
        If the ledger is not dense.
    """
    columns = list(dict.fromkeys([*INPUT_COLUMNS, "tx_id", *watched]))
    parts: list[tuple[Int64Array, Int64Array, np.ndarray, np.ndarray]] = []
    payments = 0
    pending: Future[None] | None = None
    with ThreadPoolExecutor(1, "greywater-sink") as pool:
        for batch in ledger.scan(columns, start=engine.next_seq, batch_rows=block_rows):
            if watch is not None:
                watch(batch)
            block = engine.process(batch)
            if pending is not None:
                pending.result()
            pending = pool.submit(sink, block)
            parts.append(_parties(engine, batch, block))
            payments += batch.num_rows
            if progress is not None:
                progress.advance(batch.num_rows)
        if pending is not None:
            pending.result()
    whole = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else _nothing()
    return Replayed(
        seq=whole[0],
        time_us=whole[1],
        sender=whole[2],
        receiver=whole[3],
        accounts=tuple(engine.accounts.names),
        payments=payments,
        footprint=engine.footprint,
    )


def _parties(
    engine: Engine, batch: pa.RecordBatch, block: FeatureBlock
) -> tuple[Int64Array, Int64Array, np.ndarray, np.ndarray]:
    scored = block.scored
    time = batch.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    sender = engine.accounts.encode(batch.column("sender"))
    receiver = engine.accounts.encode(batch.column("receiver"))
    return block.seq[scored], np.asarray(time, np.int64)[scored], sender[scored], receiver[scored]


def _nothing() -> list[np.ndarray]:
    return [np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)]
