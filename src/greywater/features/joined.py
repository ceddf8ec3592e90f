"""Columns that are joined to payments beside the engine's: what a join offers, and which families there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

import pyarrow as pa

from greywater.errors import UsageError
from greywater.features.balances import BALANCE_FEATURES
from greywater.features.community import COMMUNITY_FEATURES
from greywater.features.embedding_join import EMBEDDING_FEATURES
from greywater.features.feature import Feature
from greywater.features.leading_digits import LEADING_DIGIT_FEATURES
from greywater.features.peer_deviation import PEER_FEATURES
from greywater.features.relations import RELATION_FEATURES
from greywater.features.sequence import SEQUENCE_FEATURES
from greywater.features.shared_attributes import SHARED_ATTRIBUTE_FEATURES
from greywater.features.suspicion import SUSPICION_FEATURES

__all__ = ["FAMILIES", "PaymentJoin", "joined_features"]

#: The features of each family, in the order in which families follow the attributes.
FAMILIES: Final[Mapping[str, tuple[Feature, ...]]] = MappingProxyType(
    {
        "relations": RELATION_FEATURES,
        "suspicion": SUSPICION_FEATURES,
        "balances": BALANCE_FEATURES,
        "shared_attributes": SHARED_ATTRIBUTE_FEATURES,
        "leading_digits": LEADING_DIGIT_FEATURES,
        "peer_deviation": PEER_FEATURES,
        "community": COMMUNITY_FEATURES,
        "embedding": EMBEDDING_FEATURES,
        "sequence": SEQUENCE_FEATURES,
    }
)


class PaymentJoin(Protocol):
    """Works out columns of payments that come to it in ledger order, in pieces of any size that change no value."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the transaction table that it reads."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        ...

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments (the ledger's columns), n rows each, without nulls."""
        ...


def joined_features(families: tuple[str, ...]) -> tuple[Feature, ...]:
    """The features of families, in order.

    Parameters
    ----------
    families : tuple of str
        Names of FAMILIES in their order, each once.

    Raises
    ------
    UsageError
        There is no such family, or they are in another order.

    Examples
    --------
    >>> [feature.name for feature in joined_features(("suspicion",))]
    ['sender.suspicion', 'receiver.suspicion']
    """
    if tuple(name for name in FAMILIES if name in families) != tuple(families):
        raise UsageError(
            f"{', '.join(families)} are not families of joined columns in their order",
            where="joined",
            mend=f"name some of {', '.join(FAMILIES)}, in this order",
        )
    return tuple(feature for name in families for feature in FAMILIES[name])
