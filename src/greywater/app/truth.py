"""What the labels of a project say: which payments and accounts were laundering, and of which typology."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.stores.ports import Tables
from greywater.vocab import Int64Array

__all__ = ["Scored", "Truth", "TruthReader"]

COLUMNS = ["tx_id", "account", "label", "typology", "known_since"]


class Scored(Protocol):
    """Scored payments in ledger order: those of a replay, or those that a run kept."""

    @property
    def seq(self) -> Int64Array:
        """Sequence numbers, int64[n], increasing."""
        ...

    @property
    def time_us(self) -> Int64Array:
        """Event times int64[n], microseconds since 1970."""
        ...

    @property
    def sender(self) -> np.ndarray:
        """Positions int32[n] in `accounts`."""
        ...

    @property
    def receiver(self) -> np.ndarray:
        """Positions int32[n] in `accounts`."""
        ...

    @property
    def accounts(self) -> Sequence[str]:
        """Ids of the accounts."""
        ...


@dataclass(frozen=True)
class Truth:
    """The targets of the scored payments.

    y int64[n] in {0, 1}; typology of each laundering payment by position. A payment without a label counts as
    not laundering; with account labels only, every payment of a labelled account is a target.
    """

    y: Int64Array
    typology: dict[int, str]
    by_account: bool


@dataclass
class TruthReader:
    """Reads the positive labels, then notices their payments as they pass by in a replay."""

    labelled: bool = False
    _payments: dict[str, str] = field(default_factory=dict)
    _accounts: dict[str, str] = field(default_factory=dict)
    _ids: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    _seen: list[tuple[Int64Array, Int64Array]] = field(default_factory=list)

    @classmethod
    def open(cls, tables: Tables, known_by: int | None = None) -> TruthReader:
        """Read the project's labels; of several labels of one payment the one known last counts.

        With `known_by`, microseconds since 1970, only labels that were known then.
        """
        reader = cls()
        ones = []
        for batch in _known(tables, known_by):
            reader.labelled = reader.labelled or batch.num_rows > 0
            ones.append(batch.filter(pc.equal(batch.column("label"), 1)))
        if any(batch.num_rows for batch in ones):
            found = pa.Table.from_batches(ones)
            reader._payments.update(_still_guilty(found, "tx_id", tables, known_by))
            reader._accounts.update(_still_guilty(found, "account", tables, known_by))
            reader._ids = pa.array(list(reader._payments), pa.string())
        return reader

    def watch(self, batch: pa.RecordBatch) -> None:
        """Notice the laundering payments of a batch of the ledger."""
        if not len(self._ids):
            return
        places = pc.index_in(batch.column("tx_id"), self._ids)
        hits = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
        if len(hits):
            seq = batch.column("seq").to_numpy()[hits]
            self._seen.append((seq, places.take(pa.array(hits)).to_numpy(zero_copy_only=False).astype(np.int64)))

    def targets(self, replayed: Scored) -> Truth:
        """The targets of the scored payments, after the whole ledger was watched."""
        y = np.zeros(len(replayed.seq), np.int64)
        typology: dict[int, str] = {}
        names = list(self._payments.values())
        for seq, places in self._seen:
            position = np.searchsorted(replayed.seq, seq)
            inside = position < len(y)
            inside[inside] = replayed.seq[position[inside]] == seq[inside]
            y[position[inside]] = 1
            for at, place in zip(position[inside].tolist(), places[inside].tolist(), strict=True):
                if names[place]:
                    typology[at] = names[place]
        if self._payments or not self._accounts:
            return Truth(y, typology, by_account=False)
        guilty = np.array([name in self._accounts for name in replayed.accounts], np.bool_)
        y = (guilty[replayed.sender] | guilty[replayed.receiver]).astype(np.int64)
        for at in np.flatnonzero(y).tolist():
            for code in (replayed.sender[at], replayed.receiver[at]):
                name = self._accounts.get(replayed.accounts[code])
                if name:
                    typology[at] = name
        return Truth(y, typology, by_account=True)


def _known(tables: Tables, known_by: int | None) -> Iterator[pa.RecordBatch]:
    """The labels, or those that were known by a moment."""
    for batch in tables.scan("labels", COLUMNS):
        if known_by is None:
            yield batch
        else:
            yield batch.filter(pc.less_equal(batch.column("known_since").cast(pa.int64()), known_by))


def _still_guilty(found: pa.Table, key: str, tables: Tables, known_by: int | None) -> dict[str, str]:
    """Typology by id of what is labelled 1 and was not cleared later."""
    rows = found.filter(pc.is_valid(found[key]))
    if not rows.num_rows:
        return {}
    latest: dict[str, tuple[int, str | None]] = {}
    times = rows["known_since"].cast(pa.int64()).to_pylist()
    for name, since, typology in zip(rows[key].to_pylist(), times, rows["typology"].to_pylist(), strict=True):
        if name not in latest or since >= latest[name][0]:
            latest[name] = (since, typology or latest.get(name, (0, None))[1])
    ids = pa.array(list(latest), pa.string())
    for batch in _known(tables, known_by):
        cleared = pc.and_(pc.equal(batch.column("label"), 0), pc.is_in(batch.column(key), ids))
        part = batch.filter(cleared)
        since_column = part.column("known_since").cast(pa.int64()).to_pylist()
        for name, since in zip(part.column(key).to_pylist(), since_column, strict=True):
            if name in latest and since > latest[name][0]:
                del latest[name]
    return {name: typology or "" for name, (_, typology) in latest.items()}
