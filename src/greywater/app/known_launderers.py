"""Reads who is a known launderer, and from which payment on, from a project's seeds, labels and accounts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.catalog import FeatureSet
from greywater.features.exposure import KnownLaunderers
from greywater.stores.ports import Ledger, Tables
from greywater.vocab import EXTERNAL_PREFIX

__all__ = ["known_for", "read_known_launderers"]

#: Known from the start.
ALWAYS: Final = int(np.iinfo(np.int64).min)
#: Sources besides payments, whose source is their seq.
FROM_LABELS, FROM_SEEDS = -1, -2
BATCH_ROWS: Final = 524_288
LABEL_COLUMNS: Final = ["tx_id", "account", "label", "known_since", "after_seq"]

Row = tuple[str, int, int, int, bool]


class _Said(NamedTuple):
    """A record, seen by payments later than `after` and not earlier than `since`."""

    since: int
    after: int
    launderer: bool


@dataclass(frozen=True)
class _Link:
    """An account is a customer's from `begin` on, until a record says that it is another one's."""

    account: str
    begin: _Said
    end: _Said | None


#: What was said of an account or customer by one source, in order.
_Group = tuple[str, int, list[_Said]]


def known_for(features: FeatureSet, tables: Tables, ledger: Ledger) -> KnownLaunderers | None:
    """What an engine of these features must be told; None where they hold no exposure."""
    return None if features.exposure is None else read_known_launderers(tables, ledger)


def read_known_launderers(tables: Tables, ledger: Ledger) -> KnownLaunderers:
    """Everything the project's records say about known launderers.

    Parameters
    ----------
    tables : Tables
        Of the project: seeds, labels, accounts.
    ledger : Ledger
        The payments; read once where payments are labelled.

    Returns
    -------
    KnownLaunderers
        For an engine, at any moment of a replay.

    Notes
    -----
    A launderer is an account that a seed or a label names, each party of the bank in a payment that is labelled
    laundering, and every account of a customer that a seed names or one of whose accounts is one. A label is known when
    its record says, a label of a payment not before that payment. A later label that says otherwise clears what the one
    before said, not what a seed says. An account that goes over to another customer takes its own past along only.
    """
    accounts = [*_labelled_accounts(tables), *_labelled_parties(tables, ledger)]
    seeded, customers = _seeds(tables)
    accounts += seeded
    rows: list[Row] = []
    for account, source, said in accounts:
        rows += [(account, source, *one) for one in said]
    rows += _through_customers(accounts, customers, _links(tables))
    return KnownLaunderers.of(_needed(rows))


def _seeds(tables: Tables) -> tuple[list[_Group], list[_Group]]:
    """Seeds that name accounts, and seeds that name customers."""
    table = tables.read("seeds")
    found: tuple[list[_Group], list[_Group]] = [], []
    if table is not None:
        since, after = _since(table["known_since"]), table["after_seq"].to_pylist()
        rows = zip(table["account"].to_pylist(), table["customer"].to_pylist(), since, after, strict=True)
        for account, customer, known_since, after_seq in rows:
            said = [_Said(known_since, after_seq, True)]
            if account is not None:
                found[0].append((account, FROM_SEEDS, said))
            elif customer is not None:
                found[1].append((customer, FROM_SEEDS, said))
    return found


def _labelled_accounts(tables: Tables) -> Iterator[_Group]:
    for account, said in _labels_of(tables, "account").items():
        yield account, FROM_LABELS, said


def _labelled_parties(tables: Tables, ledger: Ledger) -> Iterator[_Group]:
    """The bank's own parties of payments that were labelled laundering, from when both label and payment are known."""
    labels = _labels_of(tables, "tx_id")
    if not labels:
        return
    ids = pa.array(list(labels), pa.string())
    for batch in ledger.scan(["seq", "tx_id", "sender", "receiver"], batch_rows=BATCH_ROWS):
        found = batch.filter(pc.is_in(batch.column("tx_id"), ids)).to_pydict()
        rows = zip(found["seq"], found["tx_id"], found["sender"], found["receiver"], strict=True)
        for seq, tx_id, sender, receiver in rows:
            said = [_Said(one.since, max(one.after, seq), one.launderer) for one in labels[tx_id]]
            for party in {sender, receiver}:
                if not party.startswith(EXTERNAL_PREFIX):
                    yield party, seq, said


def _labels_of(tables: Tables, key: str) -> dict[str, list[_Said]]:
    """Labels by id, of all that were ever labelled laundering, in order of time and then of recording."""
    named = [
        batch.column(key).filter(pc.equal(batch.column("label"), 1)) for batch in tables.scan("labels", [key, "label"])
    ]
    ids = pc.unique(pa.chunked_array(named, pa.string()).cast(pa.string())).drop_null() if named else pa.array([])
    said: dict[str, list[_Said]] = defaultdict(list)
    if not len(ids):
        return said
    for batch in tables.scan("labels", LABEL_COLUMNS):
        part = batch.filter(pc.is_in(batch.column(key), ids))
        columns = (part.column(key).to_pylist(), _since(part.column("known_since")))
        rows = zip(*columns, part.column("after_seq").to_pylist(), part.column("label").to_pylist(), strict=True)
        for name, since, after, label in rows:
            said[name].append(_Said(since, after, label == 1))
    return {name: sorted(rows, key=lambda one: one.since) for name, rows in said.items()}


def _links(tables: Tables) -> dict[str, list[_Link]]:
    """By customer the accounts that are or were its own."""
    table = tables.read("accounts", ["account", "customer", "known_since", "after_seq"])
    links: dict[str, list[_Link]] = defaultdict(list)
    if table is None:
        return links
    since, after = _since(table["known_since"]), table["after_seq"].to_pylist()
    rows = zip(table["account"].to_pylist(), table["customer"].to_pylist(), since, after, strict=True)
    given = sorted(((a, s, f, c) for a, c, s, f in rows if a is not None), key=lambda row: (row[0], row[1]))
    for account, records in groupby(given, key=lambda row: row[0]):
        stays: list[tuple[str | None, _Said]] = []
        for _, known_since, after_seq, customer in records:
            if not stays or stays[-1][0] != customer:
                stays.append((customer, _Said(known_since, after_seq, True)))
        for place, (customer, begin) in enumerate(stays):
            if customer is not None:
                end = stays[place + 1][1] if place + 1 < len(stays) else None
                links[customer].append(_Link(account, begin, end))
    return links


def _through_customers(
    accounts: Iterable[_Group], customers: Iterable[_Group], links: dict[str, list[_Link]]
) -> Iterator[Row]:
    """What is known of each account because of its customer: a seed, or another account of the customer."""
    for customer, source, said in customers:
        for link in links.get(customer, ()):
            yield from _carried(link.account, (source, customer), said, (link,))
    shared = {customer: held for customer, held in links.items() if len({link.account for link in held}) > 1}
    of_account: dict[str, list[tuple[str, _Link]]] = defaultdict(list)
    for customer, held in shared.items():
        for link in held:
            of_account[link.account].append((customer, link))
    for account, source, said in accounts:
        for customer, own in of_account.get(account, ()):
            for link in shared[customer]:
                if link.account != account:
                    yield from _carried(link.account, (source, account, customer), said, (own, link))


def _carried(account: str, source: tuple[int | str, ...], said: list[_Said], links: tuple[_Link, ...]) -> Iterator[Row]:
    """What was said elsewhere, as it holds for an account while all links do."""
    begins = [link.begin for link in links]
    number = _number((*source, account, *(part for begin in begins for part in begin[:2])))
    for one in said:
        since = max(one.since, *(begin.since for begin in begins))
        after = max(one.after, *(begin.after for begin in begins))
        yield account, number, since, after, one.launderer
        for link in links:
            if one.launderer and link.end is not None:
                yield account, number, max(since, link.end.since), link.end.after, False


def _number(source: tuple[int | str, ...]) -> int:
    """A number for a source; the same whatever else is known."""
    digest = hashlib.sha256("\0".join(map(str, source)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _needed(rows: list[Row]) -> list[Row]:
    """The rows without those that add nothing: of sources that never clear, only what no other row is known before."""
    clearing = {(account, source) for account, source, _, _, launderer in rows if not launderer}
    kept = [row for row in rows if row[:2] in clearing]
    plain = sorted((row for row in rows if row[:2] not in clearing), key=lambda row: (row[0], row[2], row[3]))
    for _, of_account in groupby(plain, key=lambda row: row[0]):
        earliest: int | None = None
        for row in of_account:
            if earliest is None or row[3] < earliest:
                earliest = row[3]
                kept.append(row)
    return kept


def _since(column: pa.Array | pa.ChunkedArray) -> list[int]:
    """Microseconds since 1970, ALWAYS where there is no date."""
    moments: list[int] = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(ALWAYS).to_pylist()
    return moments
