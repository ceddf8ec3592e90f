"""Columns that rules read and the engine's sets of features do not make: what they are, and what they are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from greywater.errors import UsageError
from greywater.features.requests import parse_request

__all__ = ["OTHER_COLUMNS", "OtherColumn", "nearest", "type_of_column"]


@dataclass(frozen=True)
class OtherColumn:
    """A column by name, with its Arrow type, its meaning and what it is made of."""

    name: str
    dtype: pa.DataType
    meaning: str
    made_of: str


def _both(name: str, dtype: pa.DataType, meaning: str, made_of: str) -> tuple[OtherColumn, OtherColumn]:
    sender, receiver = (
        OtherColumn(f"{party}.{name}", dtype, meaning.format(party=party), made_of) for party in ("sender", "receiver")
    )
    return sender, receiver


_listed: Final = (
    OtherColumn(
        "payment.sender_balance_share", pa.float64(), "amount divided by the sender's balance before it", "balances"
    ),
    OtherColumn(
        "payment.receiver_balance_share", pa.float64(), "what arrived divided by the receiver's balance before it",
        "balances",
    ),
    OtherColumn("payment.sender_balance", pa.float64(), "the sender's balance before it, minor units", "balances"),
    OtherColumn("payment.receiver_balance", pa.float64(), "the receiver's balance before it, minor units", "balances"),
    OtherColumn(
        "pair.shared_attributes", pa.int64(), "addresses, telephones, devices... that both parties have", "attributes"
    ),
    *_both(
        "sharing_customers", pa.int64(),
        "other customers with an address, a telephone, a device of the {party}'s", "attributes",
    ),
    OtherColumn(
        "pair.related", pa.int64(), "1 where the customers behind the parties are related", "relationships"
    ),
    OtherColumn(
        "pair.community_trust", pa.float64(), "TrustRank of the receiver with the sender as the only trusted one",
        "payments",
    ),
    OtherColumn(
        "pair.outside_community", pa.int64(), "1 where the receiver lies outside the sender's own community", "payments"
    ),
    *_both(
        "related_launderers", pa.int64(), "confirmed launderers that the {party}'s customer names as related persons",
        "relationships and confirmed launderers",
    ),
    *_both(
        "related_by_launderers", pa.int64(), "confirmed launderers that name the {party}'s customer as related person",
        "relationships and confirmed launderers",
    ),
    *_both(
        "out.benford_chi_square.90d", pa.float64(),
        "chi-square of the {party}'s leading digits against Benford's law over the amounts sent in the last 90d",
        "payments",
    ),
    *_both(
        "out.peer_zscore.30d", pa.float64(),
        "standard deviations of the {party}'s total sent in the last 30d from its peer group's", "payments, segments",
    ),
)  # fmt: skip
_exposed: Final = {
    "distance": (pa.int64(), "payments between the {party} and the nearest confirmed launderer, 4 = none within 3"),
    "accounts": (pa.int64(), "confirmed launderers that the {party} exchanged money with"),
    "count": (pa.int64(), "payments of the {party} with confirmed launderers"),
    "sum": (pa.float64(), "money of the {party} from or to confirmed launderers, minor units"),
    "share": (pa.float64(), "share of the {party}'s money that was from or to confirmed launderers"),
    **{
        f"accounts_{hops}": (pa.int64(), f"confirmed launderers {hops} payments from the {{party}}") for hops in (2, 3)
    },
    **{
        f"count_{hops}": (pa.int64(), f"payments with confirmed launderers {hops} payments from the {{party}}")
        for hops in (2, 3)
    },
    **{
        f"flow_{hops}": (
            pa.float64(), f"money, minor units, that can have moved to or from confirmed launderers {hops} payments "
            "from the {party}",
        )
        for hops in (2, 3)
    },
}  # fmt: skip
_exposure: Final = (
    *_both("known_launderer", pa.int64(), "1 where the {party} is a confirmed launderer", "labels, seeds"),
    *(
        column
        for direction in ("in", "out")
        for window in ("7d", "30d")
        for statistic, (dtype, meaning) in _exposed.items()
        for column in _both(f"{direction}.exposed_{statistic}.{window}", dtype, meaning, "labels, seeds, payments")
    ),
)
#: Columns by name.
OTHER_COLUMNS: Final[Mapping[str, OtherColumn]] = {column.name: column for column in (*_listed, *_exposure)}


def type_of_column(name: str, catalog: Mapping[str, pa.DataType]) -> pa.DataType | None:
    """The type that a column will have, from the catalog, a request or the table above; None where it is unknown.

    Attributes of the parties are numbers until the data say otherwise.

    Examples
    --------
    >>> type_of_column("sender.out.count.48h[channel cash]", {})
    DataType(int64)
    >>> type_of_column("sender.out.cuont.48h", {}) is None
    True
    """
    if name in catalog:
        return catalog[name]
    if name in OTHER_COLUMNS:
        return OTHER_COLUMNS[name].dtype
    if name.startswith(("sender.attribute.", "receiver.attribute.")):
        return pa.float64()
    try:
        request = parse_request(name)
    except UsageError:
        return None
    return pa.int64() if request.statistic in ("count", "counterparties") else pa.float64()


def nearest(name: str, known: Iterable[str], most: int = 3) -> str:
    """The names most like one, for a message; empty where none is like it.

    Examples
    --------
    >>> nearest("sender.out.cuont.1d", ["sender.out.count.1d", "sender.age"])
    "'sender.out.count.1d'"
    """
    close = difflib.get_close_matches(name, list(known), most)
    return " or ".join(repr(each) for each in close)
