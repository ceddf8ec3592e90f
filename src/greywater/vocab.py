"""The frozen domain types every floor speaks: schemas, currencies, channels, tables, actors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = [
    "ACCOUNT_SCHEMA",
    "ATTRIBUTE_NAME_SCHEMA",
    "ATTRIBUTE_SCHEMA",
    "ATTRIBUTE_WORD_SCHEMA",
    "BALANCES",
    "CHANNELS",
    "CURRENCIES",
    "CURRENCY_EXPONENTS",
    "DEFAULT_EXPONENT",
    "EXTERNAL_PREFIX",
    "LABEL_SCHEMA",
    "MAX_AMOUNT",
    "PARSED_SCHEMA",
    "PARTY_SCHEMA",
    "RATE_SCHEMA",
    "REJECTED_SCHEMA",
    "RELATIONSHIP_SCHEMA",
    "SEED_SCHEMA",
    "TRANSACTION_SCHEMA",
    "Actor",
    "Counts",
    "FeatureBlock",
    "Float64Array",
    "Int64Array",
    "ParsedChunk",
    "Progress",
    "TrainingTable",
    "currency_exponent",
]

type_us_utc: Final = pa.timestamp("us", tz="UTC")

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]

#: Largest amount in minor units that a float64 holds exactly (SEMANTICS: Numbers).
MAX_AMOUNT: Final = 2**53 - 1

#: Columns of the transaction table that a source may lack, and that ledgers of earlier versions lack.
BALANCES: Final = ("sender_balance", "receiver_balance")

#: Parties outside the bank: recorded, counted by their counterparties, no windows, not scored.
EXTERNAL_PREFIX: Final = "external:"

#: How money moved. The position in this tuple is the integer code of the feature `payment.channel`.
CHANNELS: Final = (
    "other",
    "card",
    "cash",
    "wire",
    "ach",
    "cheque",
    "crypto",
    "reinvestment",
    "transfer",
    "app",
    "credit_card",
    "debit_card",
    "direct_debit",
    "salary",
)

#: Currencies. The position in this tuple is the integer code of the features `payment.currency` and
#: `payment.received_currency`; a currency that is not here has the code -1.
CURRENCIES: Final = (
    "XXX", "USD", "EUR", "GBP", "JPY", "CNY", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF",
    "RON", "BGN", "ISK", "TRY", "RUB", "UAH", "ILS", "SAR", "AED", "QAR", "KWD", "BHD", "OMR", "JOD", "EGP", "ZAR",
    "NGN", "KES", "GHS", "MAD", "TND", "INR", "PKR", "BDT", "LKR", "IDR", "MYR", "SGD", "THB", "PHP", "VND", "KRW",
    "TWD", "HKD", "MXN", "BRL", "ARS", "CLP", "COP", "PEN", "UYU", "BTC", "ETH", "USDT", "USDC",
)  # fmt: skip

#: ISO 4217 exponents that are not 2, and the units of account of the crypto sources.
CURRENCY_EXPONENTS: Final = {
    "BHD": 3, "BIF": 0, "CLF": 4, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0,
    "KMF": 0, "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0,
    "UYW": 4, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0, "BTC": 8, "ETH": 8, "USDT": 6, "USDC": 6,
}  # fmt: skip
DEFAULT_EXPONENT: Final = 2


def currency_exponent(currency: str) -> int:
    """Number of decimal digits between the major and the minor unit of `currency`.

    Examples
    --------
    >>> currency_exponent("JPY"), currency_exponent("USD"), currency_exponent("BTC")
    (0, 2, 8)
    """
    return CURRENCY_EXPONENTS.get(currency, DEFAULT_EXPONENT)


#: One recorded payment (DESIGN: Transaction table). Labels never live here. A balance is what was on the account just
#: before the payment, the sender's in minor units of `currency`, the receiver's of `received_currency`.
TRANSACTION_SCHEMA: Final = pa.schema(
    [
        pa.field("tx_id", pa.string(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("event_time", type_us_utc, nullable=False),
        pa.field("recorded_time", type_us_utc, nullable=False),
        pa.field("sender", pa.string(), nullable=False),
        pa.field("receiver", pa.string(), nullable=False),
        pa.field("sender_bank", pa.string()),
        pa.field("receiver_bank", pa.string()),
        pa.field("amount", pa.int64(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("received_amount", pa.int64(), nullable=False),
        pa.field("received_currency", pa.string(), nullable=False),
        pa.field("base_amount", pa.int64()),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("reference", pa.string()),
        pa.field("sender_balance", pa.int64()),
        pa.field("receiver_balance", pa.int64()),
    ]
)

#: What a format reader yields: a payment before it has a place in the ledger. `row` is the 1-based
#: data row of the file; `label` (1 laundering, 0 not, null unknown) and `typology` leave for the labels table.
PARSED_SCHEMA: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("tx_id", pa.string(), nullable=False),
        pa.field("event_time", type_us_utc, nullable=False),
        pa.field("sender", pa.string(), nullable=False),
        pa.field("receiver", pa.string(), nullable=False),
        pa.field("sender_bank", pa.string()),
        pa.field("receiver_bank", pa.string()),
        pa.field("amount", pa.int64(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("received_amount", pa.int64(), nullable=False),
        pa.field("received_currency", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("reference", pa.string()),
        pa.field("sender_balance", pa.int64()),
        pa.field("receiver_balance", pa.int64()),
        pa.field("label", pa.int8()),
        pa.field("typology", pa.string()),
    ]
)

#: A row that could not be recorded, kept with its reason.
REJECTED_SCHEMA: Final = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("column", pa.string(), nullable=False),
        pa.field("value", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
    ]
)

#: What came to be known of a payment or an account. One of tx_id and account is set.
LABEL_SCHEMA: Final = pa.schema(
    [
        pa.field("tx_id", pa.string()),
        pa.field("account", pa.string()),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("typology", pa.string()),
        pa.field("known_since", type_us_utc, nullable=False),
        pa.field("after_seq", pa.int64(), nullable=False),
    ]
)
ACCOUNT_SCHEMA: Final = pa.schema(
    [
        pa.field("account", pa.string(), nullable=False),
        pa.field("customer", pa.string()),
        pa.field("bank", pa.string()),
        pa.field("opened", type_us_utc),
        pa.field("known_since", type_us_utc),
        pa.field("after_seq", pa.int64(), nullable=False),
    ]
)
PARTY_SCHEMA: Final = pa.schema(
    [
        pa.field("customer", pa.string(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("country", pa.string()),
        pa.field("known_since", type_us_utc),
        pa.field("after_seq", pa.int64(), nullable=False),
    ]
)
RELATIONSHIP_SCHEMA: Final = pa.schema(
    [
        pa.field("from_customer", pa.string(), nullable=False),
        pa.field("to_customer", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("share", pa.float64()),
        pa.field("valid_from", type_us_utc),
        pa.field("valid_to", type_us_utc),
        pa.field("known_since", type_us_utc),
        pa.field("after_seq", pa.int64(), nullable=False),
    ]
)
SEED_SCHEMA: Final = pa.schema(
    [
        pa.field("account", pa.string()),
        pa.field("customer", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("known_since", type_us_utc),
        pa.field("after_seq", pa.int64(), nullable=False),
    ]
)
#: What is known of an account or a customer beside its payments, one value a row: `number` of numbers, `code` of flags
#: (0, 1) and of texts, whose words are in a table of their own. One of account and customer is set.
ATTRIBUTE_SCHEMA: Final = pa.schema(
    [
        pa.field("account", pa.string()),
        pa.field("customer", pa.string()),
        pa.field("name", pa.string(), nullable=False),
        pa.field("number", pa.float64()),
        pa.field("code", pa.int64()),
        pa.field("known_since", type_us_utc, nullable=False),
        pa.field("after_seq", pa.int64(), nullable=False),
    ]
)
#: The kind of an attribute (number, text, flag), settled once, and whether it is protected; once marked it stays so.
ATTRIBUTE_NAME_SCHEMA: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("protected", pa.bool_(), nullable=False),
    ]
)
#: What each code of a text attribute means; a code is given once and never changes.
ATTRIBUTE_WORD_SCHEMA: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("code", pa.int64(), nullable=False),
        pa.field("word", pa.string(), nullable=False),
    ]
)
RATE_SCHEMA: Final = pa.schema(
    [
        pa.field("date", pa.date32(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("rate", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class ParsedChunk:
    """Some rows of a file, read: good ones, bad ones, and ones that are no payments.

    `payments` has PARSED_SCHEMA, `rejected` has REJECTED_SCHEMA; `skipped` counts rows that are no
    payments (opening balances), `rounded` amounts with more decimals than the currency has,
    `naive` times that carried no zone and were read as UTC where others in the file carried one.
    """

    payments: pa.Table
    rejected: pa.Table
    skipped: int = 0
    rounded: int = 0
    naive: int = 0


@dataclass(frozen=True)
class Counts:
    """What became of the rows read: read = recorded + duplicate + rejected + skipped."""

    read: int = 0
    recorded: int = 0
    duplicate: int = 0
    rejected: int = 0
    skipped: int = 0
    rounded: int = 0
    without_rate: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class FeatureBlock:
    """What was known of consecutive payments at their moment.

    `seq` int64[n]; `columns` an Arrow RecordBatch of n rows, one int64 or float64 column a feature,
    NaN = not defined; `scored` bool[n], False where a party is outside the bank (the values are then NaN or 0).
    """

    seq: Int64Array
    columns: pa.RecordBatch
    scored: NDArray[np.bool_]


class TrainingTable(Protocol):
    """Feature rows a detector reads in batches, so that nothing holds the whole matrix in float64."""

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in order."""
        ...

    @property
    def rows(self) -> int:
        """Number of rows."""
        ...

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) in order, a few ten thousand at a time."""
        ...

    def take(self, rows: Int64Array) -> pa.Table:
        """The named rows (strictly increasing positions) as one table."""
        ...


@dataclass(frozen=True)
class Actor:
    """Who acts, in which project, with which role. The embedded default is DEFAULT__LOCAL, owner."""

    user: str = "LOCAL"
    project: str = "default"
    role: str = "data_owner"
    credential: str = "embedded"

    @property
    def principal(self) -> str:
        """PROJECT__USER, the identity of a user inside one project."""
        return f"{self.project.upper()}__{self.user}"


class Progress(Protocol):
    """Receives how far a long step has come; the command line draws it, a program may ignore it."""

    def step(self, name: str, total: int | None = None) -> None:
        """A new step begins; `total` in its own units, None where it is not known."""
        ...

    def advance(self, amount: int) -> None:
        """The current step came `amount` further."""
        ...

    def say(self, text: str) -> None:
        """A sentence for the person who waits."""
        ...
