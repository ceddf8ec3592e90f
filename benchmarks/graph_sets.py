"""The labelled payments that detection is measured on: those of the data folder, and a made trading graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from greywater.vocab import CHANNELS, EXTERNAL_PREFIX
from streams import Stream
from trading import trades

__all__ = ["SETS", "PaymentSet", "amlgentex", "amlsim", "cardfraud", "data_folder", "pump_and_dump"]

ROOT = Path(__file__).resolve().parents[1]
DAY_US = 86_400_000_000


def data_folder() -> Path:
    """Where the shared data lie."""
    return Path(os.environ.get("GREYWATER_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class PaymentSet:
    """Labelled payments in time order.

    `time` int64[n] microseconds since 1970, `sender` and `receiver` int64[n] (below 0 = outside the bank), `amount`
    int64[n] minor units, `label` int64[n] in {0, 1}, `bank_change` bool[n], `channel` int64[n] a position in CHANNELS,
    `resolution_us` what the times are stamped to, `window` seconds of the one window of the contest with the peer.
    """

    name: str
    time: np.ndarray
    sender: np.ndarray
    receiver: np.ndarray
    amount: np.ndarray
    label: np.ndarray
    bank_change: np.ndarray
    channel: np.ndarray
    resolution_us: int
    window: int

    def __len__(self) -> int:
        return len(self.time)

    @property
    def scored(self) -> np.ndarray:
        """bool[n], True where both parties are the bank's own."""
        return (self.sender >= 0) & (self.receiver >= 0)

    def rows(self, chosen: np.ndarray | slice) -> PaymentSet:
        """Some of the payments, in the same order."""
        columns = ("time", "sender", "receiver", "amount", "label", "bank_change", "channel")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def stream(self) -> Stream:
        """The payments without labels and channels."""
        return Stream(self.name, self.time, self.sender, self.receiver, self.amount, int(self.sender.max()) + 1)

    def raw(self) -> dict[str, np.ndarray]:
        """What stands in the payment itself, without the parties: float32[n] each."""
        day = self.time // DAY_US
        columns = {
            "amount": self.amount,
            "channel": self.channel,
            "bank_change": self.bank_change,
            "weekday": (day + 3) % 7,
            "day_of_month": (day.astype("datetime64[D]") - day.astype("datetime64[D]").astype("datetime64[M]")).astype(
                np.int64
            ),
        }
        if self.resolution_us < DAY_US:
            columns["second_of_day"] = self.time % DAY_US // 1_000_000
        return {name: np.asarray(values, np.float32) for name, values in columns.items()}

    def transactions(self, begin: int, end: int) -> pa.Table:
        """Rows [begin, end) as the engine reads them; seq is the row."""
        part = self.rows(slice(begin, end))
        n = len(part)
        currency = pa.repeat("XXX", n)
        return pa.table(
            {
                "seq": np.arange(begin, end),
                "event_time": pa.array(part.time, pa.timestamp("us", tz="UTC")),
                "sender": _accounts(part.sender),
                "receiver": _accounts(part.receiver),
                "sender_bank": pa.repeat("a", n),
                "receiver_bank": pa.array(np.where(part.bank_change, "b", "a")),
                "amount": part.amount,
                "currency": currency,
                "received_amount": part.amount,
                "received_currency": currency,
                "base_amount": part.amount,
                "channel": pa.array(CHANNELS).take(pa.array(part.channel)),
            }
        )


def _accounts(numbers: np.ndarray) -> pa.Array:
    texts = pa.array(numbers).cast(pa.string())
    if numbers.min(initial=0) >= 0:
        return texts
    return pa.array(np.where(numbers < 0, EXTERNAL_PREFIX, "").astype(object) + np.array(texts.to_pylist(), object))


def _in_order(**columns: np.ndarray | str | int) -> PaymentSet:
    order = np.argsort(columns["time"], kind="stable")  # type: ignore[arg-type]
    made = {name: np.ascontiguousarray(c[order]) if isinstance(c, np.ndarray) else c for name, c in columns.items()}
    return PaymentSet(**made)  # type: ignore[arg-type]


def _channel(name: str, n: int) -> np.ndarray:
    return np.full(n, CHANNELS.index(name))


def _cents(amount: pa.ChunkedArray) -> np.ndarray:
    return np.rint(amount.to_numpy() * 100).astype(np.int64)


def amlsim() -> PaymentSet:
    """AMLSim, stamped to the day; windows of 7 d."""
    rows = pq.read_table(data_folder() / "amlsim_medium" / "transactions.parquet")
    n = rows.num_rows
    return _in_order(
        name="amlsim_medium",
        time=rows["tran_timestamp"].cast(pa.int64()).to_numpy(),
        sender=rows["orig_acct"].to_numpy(),
        receiver=rows["bene_acct"].to_numpy(),
        amount=_cents(rows["base_amt"]),
        label=rows["is_sar"].cast(pa.int64()).to_numpy(),
        bank_change=np.zeros(n, bool),
        channel=_channel("transfer", n),
        resolution_us=DAY_US,
        window=7 * 86_400,
    )


def amlgentex() -> PaymentSet:
    """AMLGentex, stamped to the day, cash and salaries among it; windows of 14 d."""
    rows = pq.read_table(data_folder() / "amlgentex_small" / "tx_log.parquet")
    rows = rows.filter(pa.compute.not_equal(rows["type"], "INITALBALANCE"))
    start = int(np.datetime64("2020-01-01", "us").astype(np.int64))
    cash = rows["type"].to_numpy() == "CASH"
    return _in_order(
        name="amlgentex_small",
        time=start + rows["step"].to_numpy().astype(np.int64) * DAY_US,
        sender=rows["nameOrig"].to_numpy().astype(np.int64),
        receiver=rows["nameDest"].to_numpy().astype(np.int64),
        amount=_cents(rows["amount"]),
        label=rows["isSAR"].to_numpy().astype(np.int64),
        bank_change=rows["bankOrig"].to_numpy() != rows["bankDest"].to_numpy(),
        channel=np.where(cash, CHANNELS.index("cash"), CHANNELS.index("transfer")),
        resolution_us=DAY_US,
        window=14 * 86_400,
    )


def cardfraud() -> PaymentSet:
    """Card payments, customer to terminal, to the second."""
    rows = pq.read_table(data_folder() / "cardfraud" / "transactions.parquet")
    customer, terminal = (rows[name].to_numpy() for name in ("CUSTOMER_ID", "TERMINAL_ID"))
    n = rows.num_rows
    return _in_order(
        name="cardfraud",
        time=rows["TX_DATETIME"].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy(),
        sender=customer,
        receiver=terminal + int(customer.max()) + 1,
        amount=_cents(rows["TX_AMOUNT"]),
        label=rows["TX_FRAUD"].to_numpy().astype(np.int64),
        bank_change=np.zeros(n, bool),
        channel=_channel("card", n),
        resolution_us=1_000_000,
        window=7 * 86_400,
    )


def pump_and_dump() -> PaymentSet:
    """A made trading graph in which pump-and-dumps are planted (benchmarks/trading.py)."""
    made = trades()
    n = len(made.time)
    return _in_order(
        name="pump-and-dump",
        time=made.time,
        sender=made.sender,
        receiver=made.receiver,
        amount=made.amount,
        label=made.label,
        bank_change=np.zeros(n, bool),
        channel=_channel("transfer", n),
        resolution_us=1_000_000,
        window=86_400,
    )


SETS: dict[str, Callable[[], PaymentSet]] = {
    "amlsim_medium": amlsim,
    "amlgentex_small": amlgentex,
    "cardfraud": cardfraud,
    "pump-and-dump": pump_and_dump,
}
