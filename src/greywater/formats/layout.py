"""What a reader has to know of a source: which column says what, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from greywater.formats.money import AmountRule
from greywater.formats.times import SECOND_US, TimeRule

__all__ = [
    "FALSE_WORDS",
    "TRUE_WORDS",
    "Column",
    "LabelRule",
    "Layout",
    "PartyRule",
    "Places",
    "TypologyByKey",
    "TypologySource",
]

TRUE_WORDS = frozenset({"1", "true", "yes", "y", "t"})
FALSE_WORDS = frozenset({"0", "false", "no", "n", "f"})


@dataclass(frozen=True)
class Column:
    """Where a value comes from: a column of the source, or one constant for all rows; neither = there is none."""

    name: str = ""
    constant: str | None = None

    def __bool__(self) -> bool:
        return bool(self.name) or self.constant is not None


@dataclass(frozen=True)
class PartyRule:
    """How accounts and banks are written.

    Parameters
    ----------
    bank_qualified : bool
        Accounts are told apart by bank only: the id becomes `<bank>:<account>`.
    strip_bank_zeros : bool
        Leading zeros of a bank are dropped (`0012` = `12`).
    external_prefixes, external_values : tuple of str
        Ids that begin with, or are, one of these are outside the bank: the id becomes `external:<id>`.
    """

    bank_qualified: bool = False
    strip_bank_zeros: bool = False
    external_prefixes: tuple[str, ...] = ()
    external_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelRule:
    """Which texts of the label column mean laundering; compared without regard to case.

    An empty `false` means every other text is 0; a blank is always unknown.
    """

    true: frozenset[str] = TRUE_WORDS
    false: frozenset[str] = FALSE_WORDS


class TypologySource(Protocol):
    """Where the typology of a laundering payment is found, if not in a column of its own."""

    @property
    def column(self) -> str:
        """A column of the source that is the key; empty where the payment itself is."""
        ...

    def find(self, payments: pa.Table, keys: Sequence[str | None]) -> list[str | None]:
        """The typology of each payment; `payments` has PARSED_SCHEMA, all labels are 1."""
        ...


@dataclass(frozen=True)
class TypologyByKey:
    """Typologies by the value of a column, taken from a sibling file."""

    column: str
    names: Mapping[str, str]

    def find(self, payments: pa.Table, keys: Sequence[str | None]) -> list[str | None]:
        """The typology of each key, None where the sibling file has none.

        Examples
        --------
        >>> TypologyByKey("alert", {"7": "cycle"}).find(pa.table({}), ["7", "8", None])
        ['cycle', None, None]
        """
        return [None if key is None else self.names.get(key) for key in keys]


@dataclass(frozen=True)
class Places:
    """Where each value of a payment comes from; the names are those of PARSED_SCHEMA."""

    event_time: Column
    sender: Column
    receiver: Column
    amount: Column
    currency: Column
    tx_id: Column = Column()
    sender_bank: Column = Column()
    receiver_bank: Column = Column()
    received_amount: Column = Column()
    received_currency: Column = Column()
    channel: Column = Column()
    reference: Column = Column()
    sender_balance: Column = Column()
    receiver_balance: Column = Column()
    label: Column = Column()
    typology: Column = Column()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns named, each once."""
        return tuple(dict.fromkeys(place.name for place in vars(self).values() if place.name))


@dataclass(frozen=True)
class Layout:
    """A source's columns and spelling, from which `payments.assemble` makes payments.

    `currencies` and `channels` map the source's names to codes; a currency that is not in a non-empty map is taken
    as it is where it looks like a code. `answers` are the columns that give the answer away.
    """

    format: str
    places: Places
    time: TimeRule = field(default_factory=TimeRule)
    money: AmountRule = field(default_factory=AmountRule)
    party: PartyRule = field(default_factory=PartyRule)
    labels: LabelRule = field(default_factory=LabelRule)
    currencies: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    skip_column: str = ""
    skip_values: frozenset[str] = frozenset()
    typologies: TypologySource | None = None
    base_currency: str = ""
    resolution_us: int = SECOND_US
    answers: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the source that is read, each once."""
        extra = [self.skip_column, "" if self.typologies is None else self.typologies.column]
        return tuple(dict.fromkeys([*self.places.names, *(name for name in extra if name)]))
