"""Label rows for training sets from a project's own records: each payment with what was known of it by a moment."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.parties import read_parties
from greywater.featurestore.training_record import TrainingQuery, moment_us
from greywater.stores.feature_ports import microseconds
from greywater.stores.ports import Ledger, Tables
from greywater.vocab import EXTERNAL_PREFIX, Int64Array

__all__ = ["recorded_label_rows"]

COLUMNS: Final = ("tx_id", "event_time", "sender", "receiver")
MOMENT: Final = pa.timestamp("us", tz="UTC")


def recorded_label_rows(ledger: Ledger, tables: Tables, query: TrainingQuery, label: str) -> pa.Table:
    """One label row a payment between two accounts of the bank whose event time is the query's.

    Of several labels of a payment or an account the one known last by `as_known_at` counts. Where the project labels
    accounts only, a payment is labelled 1 if one of its parties is. A payment without a label is labelled 0, without a
    date: it counts so from `label_delay_days` after it on (SEMANTICS: Other records).

    Parameters
    ----------
    ledger : Ledger
        The payments.
    tables : Tables
        Labels, accounts, parties.
    query : TrainingQuery
        Its times and the names of its columns; without `as_known_at` what is known now counts.
    label : str
        What the column of the labels is called.

    Returns
    -------
    pa.Table
        Row id (the payment's), tx_id, sender, receiver, sender_customer, receiver_customer, the event time, label
        (int64) and known_since.
    """
    by = time.time_ns() // 1000 if query.as_known_at is None else moment_us(query.as_known_at)
    known = _Labels.read(tables, by)
    customers = read_parties(tables).customer_of or {}
    names = pa.array(list(customers), pa.string())
    behind = pa.array(list(customers.values()), pa.string())
    parts = []
    for batch in ledger.scan(list(COLUMNS)):
        rows = _asked(batch, query)
        if not rows.num_rows:
            continue
        value, since = known.of(rows)
        columns = {query.row_id: rows["tx_id"], query.time_column: rows["event_time"]}
        columns |= {name: rows[name] for name in ("tx_id", "sender", "receiver")}
        for party in ("sender", "receiver"):
            columns[f"{party}_customer"] = behind.take(pc.index_in(rows[party], value_set=names))
        columns[label] = pa.array(value)
        if query.label_known:
            columns[query.label_known] = since
        parts.append(pa.table(columns))
    return pa.concat_tables(parts) if parts else _nothing(query, label)


def _asked(batch: pa.RecordBatch, query: TrainingQuery) -> pa.RecordBatch:
    """The payments of the query's time between accounts of the bank."""
    time = microseconds(batch["event_time"])
    inside = (time >= query.start_us) & (time < query.end_us)
    for party in ("sender", "receiver"):
        inside &= ~np.asarray(pc.starts_with(batch[party], EXTERNAL_PREFIX))
    return batch.filter(pa.array(inside))


def _nothing(query: TrainingQuery, label: str) -> pa.Table:
    """No rows, in the columns that there would be."""
    fields = {query.row_id: pa.string(), query.time_column: MOMENT}
    names = ("tx_id", "sender", "receiver", "sender_customer", "receiver_customer")
    fields |= dict.fromkeys(names, pa.string()) | {label: pa.int64()}
    if query.label_known:
        fields[query.label_known] = MOMENT
    return pa.schema(list(fields.items())).empty_table()


class _Labels:
    """The last label of each payment, or of each account, that was known by a moment."""

    def __init__(self, of_payments: pa.Table, of_accounts: pa.Table) -> None:
        self._by_account = not pc.any(pc.equal(of_payments["label"], 1)).as_py() and bool(of_accounts.num_rows)
        self._labels = of_accounts if self._by_account else of_payments
        self._ids = self._labels["id"].combine_chunks()
        self._value = np.append(np.asarray(self._labels["label"], np.int64), 0)
        self._since = np.append(microseconds(self._labels["known_since"]), 0)

    @classmethod
    def read(cls, tables: Tables, known_at: int) -> _Labels:
        """Read the table of labels; `known_at` in microseconds since 1970."""
        empty = pa.schema([("id", pa.string()), ("label", pa.int8()), ("known_since", MOMENT)]).empty_table()
        table = tables.read("labels")
        if table is None:
            return cls(empty, empty)
        known = table.filter(pa.array(microseconds(table["known_since"]) <= known_at))
        return cls(*(_last_of_each(known, key) for key in ("tx_id", "account")))

    def of(self, rows: pa.RecordBatch) -> tuple[Int64Array, pa.Array]:
        """Label of each payment, and since when it was known (null where it has none)."""
        if not self._by_account:
            at = self._places(rows["tx_id"])
            return self._value[at], pa.array(self._since[at], pa.int64(), mask=at == len(self._ids)).cast(MOMENT)
        sides = [self._places(rows[party]) for party in ("sender", "receiver")]
        guilty = [self._value[at] == 1 for at in sides]
        value = (guilty[0] | guilty[1]).astype(np.int64)
        late = np.int64(2**62)
        since = np.minimum(*(np.where(one, self._since[at], late) for one, at in zip(guilty, sides, strict=True)))
        since = np.maximum(since, microseconds(rows["event_time"]))
        return value, pa.array(since, pa.int64(), mask=value == 0).cast(MOMENT)

    def _places(self, names: pa.Array) -> Int64Array:
        """Where each name is among the labelled ones; their number where it is not."""
        found = pc.index_in(names, value_set=self._ids).fill_null(len(self._ids))
        return np.asarray(found, np.int64)


def _last_of_each(labels: pa.Table, key: str) -> pa.Table:
    """The label known last of each id; of two known since the same moment the one recorded later."""
    rows = labels.filter(pc.is_valid(labels[key]))
    rows = pa.table(
        {
            "id": rows[key],
            "label": rows["label"],
            "known_since": rows["known_since"],
            "place": pa.array(np.arange(rows.num_rows)),
        }
    )
    order = [("id", "ascending"), ("known_since", "ascending"), ("place", "ascending")]
    rows = rows.sort_by(order).combine_chunks()
    if not rows.num_rows:
        return rows
    ids = rows["id"]
    last = np.append(np.asarray(pc.not_equal(ids.slice(0, len(ids) - 1), ids.slice(1))), True)
    return rows.filter(pa.array(last))
