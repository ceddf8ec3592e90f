"""Made payments for the engine's tests: ties, late rows, self-payments, parallel payments, outsiders, lost rates."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa

from greywater.features.engine import Engine
from greywater.vocab import FeatureBlock
from tests.naive import DAY_US, Paid

CURRENCIES = ("USD", "EUR", "JPY")


def random_payments(
    seed: int, n: int, accounts: int = 6, span_days: float = 40.0, late_share: float = 0.2, grain_us: int = 1
) -> list[Paid]:
    """A random multigraph in arrival order; `late_share` of the rows arrive up to the whole span late."""
    draw = random.Random(seed)
    now = 19_000 * DAY_US + draw.randrange(DAY_US)
    step = int(span_days * DAY_US / max(n, 1))
    names = [f"a{k}" for k in range(accounts)] + ["external:sink"]
    payments = []
    for _ in range(n):
        now += draw.choice((0, 0, step, 2 * step))
        late = draw.random() < late_share
        time = now - (int(draw.random() ** 3 * span_days * DAY_US) if late else 0)
        time -= time % grain_us
        sender = draw.choice(names)
        receiver = sender if draw.random() < 0.08 else draw.choice(names)
        amount = draw.choice((0, 100, 100, 99_999, draw.randrange(10**6), draw.randrange(10**12), 2**53 - 1))
        base = None if draw.random() < 0.07 else amount
        currency = draw.choice(CURRENCIES)
        received = draw.choice((currency, currency, draw.choice(CURRENCIES)))
        payments.append(
            Paid(
                time,
                sender,
                receiver,
                amount,
                base,
                currency,
                received,
                draw.choice((amount, amount // 2)),
                draw.choice(("cash", "wire", "transfer")),
                draw.choice((None, "b1", "b2")),
                draw.choice((None, "b1")),
            )
        )
    return payments


def as_table(payments: list[Paid], first_seq: int = 0) -> pa.Table:
    """The payments as rows of the transaction table."""
    n = len(payments)

    def column(name: str, type_: pa.DataType) -> pa.Array:
        return pa.array([getattr(p, name) for p in payments], type_)

    text, whole = pa.string(), pa.int64()
    return pa.table(
        {
            "seq": pa.array(np.arange(first_seq, first_seq + n), whole),
            "event_time": pa.array([p.time for p in payments], whole).cast(pa.timestamp("us", tz="UTC")),
            "sender": column("sender", text),
            "receiver": column("receiver", text),
            "sender_bank": column("sender_bank", text),
            "receiver_bank": column("receiver_bank", text),
            "amount": column("amount", whole),
            "currency": column("currency", text),
            "received_amount": column("received_amount", whole),
            "received_currency": column("received_currency", text),
            "base_amount": column("base", whole),
            "channel": column("channel", text),
        }
    )


def run_in_blocks(engine: Engine, table: pa.Table, sizes: list[int]) -> list[FeatureBlock]:
    """Process the table in blocks of the given sizes, the last one taking the rest."""
    blocks, begin = [], engine.next_seq
    for size in [*sizes, table.num_rows]:
        part = table.slice(begin, size)
        if part.num_rows:
            blocks.append(engine.process(part))
            begin += part.num_rows
    return blocks


def joined(blocks: list[FeatureBlock]) -> pa.Table:
    """The columns of consecutive blocks, unscored rows left out."""
    tables = [pa.table(block.columns).filter(pa.array(block.scored)) for block in blocks]
    return pa.concat_tables(tables).combine_chunks()


def same_bits(left: pa.Table, right: pa.Table) -> list[str]:
    """Names of the columns that differ in any bit (every NaN counts as the same value)."""
    assert left.column_names == right.column_names
    assert left.num_rows == right.num_rows
    differing = []
    for name in left.column_names:
        a, b = left[name].to_numpy(), right[name].to_numpy()
        equal = (a == b) | (np.isnan(a) & np.isnan(b)) if a.dtype.kind == "f" else a == b
        if not equal.all():
            differing.append(name)
    return differing
