"""The strongest paths from confirmed launderers to a party, over relationships and over its own payments."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.app.parties import Parties
from greywater.desk.reasons_beside import PathStep, SeedPath
from greywater.features.trust import AntiTrustRank
from greywater.stores.ports import Tables
from greywater.vocab import Float64Array

__all__ = ["seed_paths"]

MOST_PATHS: Final = 2
_NEVER: Final = np.iinfo(np.int64).max
_ALWAYS: Final = np.iinfo(np.int64).min


def seed_paths(
    tables: Tables, parties: Parties, payments: pa.Table, entity: str, seq: int, time_us: int
) -> list[SeedPath]:
    """Paths as a payment saw them: seeds, relationships and payments recorded before it and nothing later.

    Each link counts in both directions (`AntiTrustRank` over the links and their reverses). Relationships weigh by
    their share (1 where none is stated), payments by their number.

    Parameters
    ----------
    tables : Tables
        Of the project: relationships.
    parties : Parties
        Customers and seeds.
    payments : pa.Table
        tx_id, sender, receiver of the entity's and its counterparty's payments up to the one that is explained.
    entity : str
        Customer, or account without one.
    seq, time_us : int
        Of the payment that is explained.

    Returns
    -------
    list of SeedPath
        Strongest first, at most two; empty where nothing is known, or the party is itself a seed.
    """
    seeds = {parties.entity(account) for account in parties.seeds_known(seq, time_us)}
    if not seeds or entity in seeds:
        return []
    links = _relations(tables, seq, time_us)
    senders, receivers = payments["sender"].to_pylist(), payments["receiver"].to_pylist()
    for tx_id, sender, receiver in zip(payments["tx_id"].to_pylist(), senders, receivers, strict=True):
        pair = (parties.entity(sender), parties.entity(receiver))
        if pair[0] != pair[1]:
            weight, _ = links.get(pair, (0.0, ""))
            links[pair] = (weight + 1.0, tx_id)
    if not any(entity in pair for pair in links):
        return []
    weights: Float64Array = np.array([weight for weight, _ in links.values()])
    first, second = [one for one, _ in links], [other for _, other in links]
    rank = AntiTrustRank().fit(
        (pa.array(first + second), pa.array(second + first), np.concatenate([weights, weights])), seeds=sorted(seeds)
    )
    whole = rank.attribution(entity)
    found: list[SeedPath] = []
    for path in rank.paths(entity, most=2 * MOST_PATHS):
        nodes = [str(node) for node in path.nodes]
        if len(nodes) > 1 and nodes[0] not in {each.seed for each in found}:
            steps = tuple(
                PathStep(one, other, (links.get((one, other)) or links.get((other, one)) or (0.0, ""))[1])
                for one, other in pairwise(nodes)
            )
            found.append(SeedPath(nodes[0], steps, whole.get(path.nodes[0])))
    return found[:MOST_PATHS]


def _relations(tables: Tables, seq: int, time_us: int) -> dict[tuple[str, str], tuple[float, str]]:
    """Relationships that the payment sees and that hold at its moment: weight and kind by pair."""
    table = tables.read("relationships")
    links: dict[tuple[str, str], tuple[float, str]] = {}
    if table is None:
        return links
    times = {
        name: table[name].cast(pa.int64()).to_pylist() for name in ("known_since", "valid_from", "valid_to")
    }  # fmt: skip
    rows = zip(
        table["from_customer"].to_pylist(), table["to_customer"].to_pylist(), table["kind"].to_pylist(),
        table["share"].to_pylist(), table["after_seq"].to_pylist(), *times.values(), strict=True,
    )  # fmt: skip
    for source, target, kind, share, after, since, begin, end in rows:
        seen = after < seq and (since if since is not None else _ALWAYS) <= time_us
        holds = (begin if begin is not None else _ALWAYS) <= time_us < (end if end is not None else _NEVER)
        if seen and holds and source != target:
            weight, _ = links.get((source, target), (0.0, ""))
            links[source, target] = (weight + (share if share else 1.0), kind)
    return links
