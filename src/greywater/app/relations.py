"""Reads who is related to whom, and to confirmed launderers, from a project's relationships, seeds and accounts."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import pyarrow as pa

from greywater.app.known_launderers import read_known_launderers
from greywater.features.exposure import KnownLaunderers
from greywater.features.relations import ALWAYS, FOREVER, AccountFact, PairFact, RelationJoin, Seen
from greywater.stores.ports import Ledger, Tables

__all__ = ["open_relations"]

_COLUMNS: Final = [
    "from_customer", "to_customer", "kind", "valid_from", "valid_to", "known_since", "after_seq",
]  # fmt: skip


def open_relations(tables: Tables, ledger: Ledger, known: KnownLaunderers | None = None) -> RelationJoin | None:
    """The relations of a project, ready to be joined to payments; None where none is recorded.

    `known` are its known launderers where they are read already.

    A customer is a confirmed launderer while one of its accounts is a known one, or a seed names it. Whose an account
    is counts as recorded: a record that gives it to another customer ends what went before.
    """
    table = tables.read("relationships", _COLUMNS)
    if table is None or not table.num_rows:
        return None
    links, owners = _links(tables)
    launderers = _launderers(tables, read_known_launderers(tables, ledger) if known is None else known, owners)
    facts: list[AccountFact] = []
    pairs: list[PairFact] = []
    rows = zip(
        table["from_customer"].to_pylist(), table["to_customer"].to_pylist(), _moments(table["valid_from"], ALWAYS),
        _moments(table["valid_to"], FOREVER), _moments(table["known_since"], ALWAYS), table["after_seq"].to_pylist(),
        strict=True,
    )  # fmt: skip
    for namer, named, valid_from, valid_to, since, after in rows:
        relation = Seen(max(since, valid_from), after, valid_to)
        for here, there, names in ((namer, named, True), (named, namer, False)):
            for account, link in links.get(here, ()):
                for confirmed in launderers.get(there, ()):
                    facts.append(AccountFact(account, there, names, relation.both(link).both(confirmed)))
        for first, one in links.get(namer, ()):
            for second, other in links.get(named, ()):
                pairs.append(PairFact(first, second, relation.both(one).both(other)))
    return RelationJoin(facts, pairs)


def _links(tables: Tables) -> tuple[dict[str, list[tuple[str, Seen]]], dict[str, list[tuple[str, Seen]]]]:
    """By customer its accounts, by account its customers, and when each was so."""
    table = tables.read("accounts", ["account", "customer", "known_since", "after_seq"])
    links: dict[str, list[tuple[str, Seen]]] = defaultdict(list)
    owners: dict[str, list[tuple[str, Seen]]] = defaultdict(list)
    if table is None:
        return links, owners
    said: dict[str, list[tuple[int, int, str | None]]] = defaultdict(list)
    columns = (_moments(table["known_since"], ALWAYS), table["after_seq"].to_pylist(), table["customer"].to_pylist())
    for account, since, after, customer in zip(table["account"].to_pylist(), *columns, strict=True):
        said[account].append((since, after, customer))
    for account, records in said.items():
        records.sort(key=lambda record: record[0])
        for place, (since, after, customer) in enumerate(records):
            later = tuple((s, a) for s, a, other in records[place + 1 :] if other != customer)
            if customer is not None:
                links[customer].append((account, Seen(since, after, ends=later[:1])))
                owners[account].append((customer, Seen(since, after, ends=later[:1])))
    return links, owners


def _launderers(
    tables: Tables, known: KnownLaunderers, owners: dict[str, list[tuple[str, Seen]]]
) -> dict[str, list[Seen]]:
    """By customer when it was known as a launderer."""
    found: dict[str, list[Seen]] = defaultdict(list)
    seeds = tables.read("seeds", ["customer", "known_since", "after_seq"])
    if seeds is not None:
        dates = _moments(seeds["known_since"], ALWAYS)
        rows = zip(seeds["customer"].to_pylist(), dates, seeds["after_seq"].to_pylist(), strict=True)
        for customer, known_since, after in rows:
            if customer is not None:
                found[customer].append(Seen(known_since, after))
    by_source: dict[tuple[str, int], list[tuple[int, int, bool]]] = defaultdict(list)
    columns = (known.source.tolist(), known.known_since_us.tolist(), known.after_seq.tolist(), known.launderer.tolist())
    for account, source, since, after, launderer in zip(known.account.to_pylist(), *columns, strict=True):
        by_source[account, source].append((since, after, launderer))
    for (account, _), rows_of in by_source.items():
        rows_of.sort(key=lambda row: row[0])
        for place, (since, after, launderer) in enumerate(rows_of):
            cleared = tuple((s, a) for s, a, still in rows_of[place + 1 :] if not still)
            if launderer:
                for customer, link in owners.get(account, ()):
                    found[customer].append(Seen(since, after, ends=cleared[:1]).both(Seen(link.since, link.after)))
    return found


def _moments(column: pa.ChunkedArray, missing: int) -> list[int]:
    """Microseconds since 1970; `missing` where there is no date."""
    moments: list[int] = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(missing).to_pylist()
    return moments
