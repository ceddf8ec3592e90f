"""Edges for trust scores: customers joined by relations, accounts joined by payments, each with its weight."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedValueError
from greywater.vocab import Float64Array

__all__ = ["PAYMENT_WEIGHTS", "RELATION_WEIGHTS", "UNKNOWN_SHARE", "payment_edges", "relationship_edges"]

#: How much each kind of relation counts; those of ownership are multiplied by the share held.
RELATION_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "partner": 1.0,
        "shareholder": 1.0,
        "beneficial_owner": 1.0,
        "relative": 0.5,
        "director": 0.15,
        "legal_representative": 0.15,
        "signatory": 0.1,
    }
)

#: Kinds whose weight is multiplied by the share.
_BY_SHARE: Final = ("shareholder", "beneficial_owner")

#: The share of an owner where none is given: the least at which an owner must be named in most registers.
UNKNOWN_SHARE: Final = 0.25

#: What a relation of any other kind counts.
_OTHER: Final = 0.1

#: How payments between two accounts are weighed.
PAYMENT_WEIGHTS: Final = ("amount", "count", "recency", "recent_amount", "rarity")

_DAY_US: Final = 86_400_000_000
_MOMENT: Final = pa.timestamp("us", tz="UTC")


def relationship_edges(
    relationships: pa.Table,
    *,
    weights: Mapping[str, float] | None = None,
    time_us: int | None = None,
    seq: int | None = None,
) -> pa.Table:
    """Edges between customers.

    Parameters
    ----------
    relationships : pyarrow.Table
        RELATIONSHIP_SCHEMA.
    weights : mapping of str to float, optional
        Weight of kinds, in place of `RELATION_WEIGHTS` for those it names.
    time_us : int, optional
        Microseconds since 1970: only relations that were known and in force then. All where left out.
    seq : int, optional
        Only relations that payment `seq` sees (`after_seq` < seq).

    Returns
    -------
    pyarrow.Table
        `source`, `target` text and `weight` float64, in the order given; parallel relations add up. Ownership is
        multiplied by the share, `UNKNOWN_SHARE` where it is not given.

    Raises
    ------
    RefusedValueError
        A weight is negative or not finite.

    Examples
    --------
    >>> from greywater.vocab import RELATIONSHIP_SCHEMA
    >>> row = dict.fromkeys(RELATIONSHIP_SCHEMA.names) | {
    ...     "from_customer": "A", "to_customer": "B", "kind": "shareholder", "share": 0.6, "after_seq": -1}
    >>> relationship_edges(pa.Table.from_pylist([row], RELATIONSHIP_SCHEMA)).to_pylist()
    [{'source': 'A', 'target': 'B', 'weight': 0.6}]
    """
    told = {**RELATION_WEIGHTS, **(weights or {})}
    if any(not np.isfinite(weight) or weight < 0.0 for weight in told.values()):
        raise RefusedValueError("the weight of a relation is negative or not finite", where="weights", mend="use 0 up")
    rows = relationships
    if time_us is not None:
        moment = pa.scalar(time_us, pa.timestamp("us")).cast(_MOMENT)
        known = pc.fill_null(pc.less_equal(rows["known_since"], moment), True)
        begun = pc.fill_null(pc.less_equal(rows["valid_from"], moment), True)
        ended = pc.fill_null(pc.less(rows["valid_to"], moment), False)
        rows = rows.filter(pc.and_(pc.and_(known, begun), pc.invert(ended)))
    if seq is not None:
        rows = rows.filter(pc.less(rows["after_seq"], seq))
    kinds = rows["kind"].to_pylist()
    share = rows["share"].fill_null(UNKNOWN_SHARE).to_pylist()
    weight = [
        told.get(kind, _OTHER) * (held if kind in _BY_SHARE else 1.0) for kind, held in zip(kinds, share, strict=True)
    ]
    return pa.table(
        {"source": rows["from_customer"], "target": rows["to_customer"], "weight": pa.array(weight, pa.float64())}
    )


def payment_edges(
    payments: Any,
    *,
    by: str = "amount",
    half_life_days: float = 90.0,
    now_us: int | None = None,
    both_ways: bool = False,
) -> pa.Table:
    """Edges between accounts, one a pair that paid.

    Parameters
    ----------
    payments : pyarrow.Table or RecordBatch
        `sender`, `receiver`, `event_time` and `base_amount` of TRANSACTION_SCHEMA, in ledger order.
    by : {"amount", "count", "recency", "recent_amount", "rarity"}
        Sum of base amounts; number of payments; each payment counted half for every `half_life_days` of its age; the
        base amounts so weighed; the weight of the pair's latest payment so weighed, divided by the square of how many
        there were, so that whoever is paid once counts more than whoever is paid every month.
    half_life_days : float
        Above 0.
    now_us : int, optional
        Moment from which age is counted, microseconds since 1970; the latest event time where left out. Later payments
        count in full.
    both_ways : bool
        The same edges again from receiver to sender, behind the others: suspicion goes either way at each step.

    Returns
    -------
    pyarrow.Table
        `source`, `target` and `weight` float64, in order of a pair's first payment. Payments to oneself are left out;
        amounts that are not known count nothing.

    Raises
    ------
    RefusedValueError
        There is no such weight, or the half-life is not positive.
    """
    if by not in PAYMENT_WEIGHTS:
        raise RefusedValueError(
            f"payments are not weighed by {by!r}", where="by", mend=f"use one of {', '.join(PAYMENT_WEIGHTS)}"
        )
    if not half_life_days > 0.0:
        raise RefusedValueError("the half-life is not positive", where="half_life_days", mend="give days above 0")
    table = pa.table(payments) if isinstance(payments, pa.RecordBatch) else payments
    table = table.filter(pc.not_equal(table["sender"], table["receiver"]))
    size: Float64Array = np.ones(table.num_rows)
    if by in ("amount", "recent_amount"):
        size = table["base_amount"].fill_null(0).cast(pa.float64(), safe=False).to_numpy()
    if by in ("recency", "recent_amount", "rarity") and table.num_rows:
        times = table["event_time"].cast(pa.int64()).to_numpy()
        now = int(times.max()) if now_us is None else now_us
        size = size * 0.5 ** (np.maximum(now - times, 0) / (half_life_days * _DAY_US))
    columns = {"source": table["sender"], "target": table["receiver"], "weight": pa.array(size, pa.float64())}
    grouped = pa.table(columns).group_by(["source", "target"], use_threads=False)
    if by == "rarity":
        told = grouped.aggregate([("weight", "max"), ("weight", "count")])
        times_paid = told["weight_count"].cast(pa.float64())
        weight = pc.divide(told["weight_max"], pc.multiply(times_paid, times_paid))
    else:
        told = grouped.aggregate([("weight", "sum")])
        weight = told["weight_sum"]
    edges = pa.table({"source": told["source"], "target": told["target"], "weight": weight})
    if not both_ways:
        return edges
    back = pa.table({"source": told["target"], "target": told["source"], "weight": weight})
    return pa.concat_tables([edges, back])
