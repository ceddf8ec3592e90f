"""Label rows from the project's records: against the definition, one payment at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from greywater.app.recorded_labels import recorded_label_rows
from greywater.featurestore.training_record import TrainingQuery
from greywater.stores.memory import MemoryTables
from greywater.vocab import LABEL_SCHEMA

MOMENT = pa.timestamp("us", tz="UTC")
ACCOUNTS = ("A", "B", "C", "external:X")


@dataclass(frozen=True)
class Payments:
    """A ledger of (event time, sender, receiver), read in batches of three."""

    given: list[tuple[int, str, str]]

    def scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for first in range(0, len(self.given), 3):
            part = self.given[first : first + 3]
            every = {
                "tx_id": pa.array([f"t{first + k}" for k in range(len(part))]),
                "event_time": pa.array([one[0] for one in part], pa.int64()).cast(MOMENT),
                "sender": pa.array([one[1] for one in part]),
                "receiver": pa.array([one[2] for one in part]),
            }
            yield pa.record_batch([every[name] for name in columns], names=columns)


def recorded(labels: list[tuple[str | None, str | None, int, int]]) -> MemoryTables:
    tables = MemoryTables()
    columns: list[list[Any]] = [list(column) for column in zip(*labels, strict=True)] or [[], [], [], []]
    rows = {
        "tx_id": columns[0], "account": columns[1], "label": columns[2], "typology": [None] * len(labels),
        "known_since": pa.array(columns[3], pa.int64()).cast(MOMENT), "after_seq": [0] * len(labels),
    }  # fmt: skip
    tables.append("labels", pa.table(rows, schema=LABEL_SCHEMA))
    return tables


def last(labels: list[tuple[str | None, str | None, int, int]], key: int, name: str, known: int) -> Any:
    """Label and moment of the one known last, None where there is none."""
    own = [(since, value) for *names, value, since in labels if names[key] == name and since <= known]
    return max(own, key=lambda one: one[0], default=None) if len({s for s, _ in own}) == len(own) else _later(own)


def _later(own: list[tuple[int, int]]) -> tuple[int, int]:
    greatest = max(since for since, _ in own)
    return [one for one in own if one[0] == greatest][-1]


PARTY = st.sampled_from(ACCOUNTS)
PAYMENTS = st.lists(st.tuples(st.integers(0, 20), PARTY, PARTY), max_size=12)
OF_PAYMENT = st.tuples(st.integers(0, 12).map(lambda k: f"t{k}"), st.none(), st.integers(0, 1), st.integers(0, 30))
OF_ACCOUNT = st.tuples(st.none(), st.sampled_from(ACCOUNTS), st.integers(0, 1), st.integers(0, 30))


@given(payments=PAYMENTS, labels=st.lists(OF_PAYMENT | OF_ACCOUNT, max_size=10), known=st.integers(0, 30))
def test_every_payment_has_what_was_known_of_it(
    payments: list[tuple[int, str, str]], labels: list[tuple[str | None, str | None, int, int]], known: int
) -> None:
    query = TrainingQuery("q", 1, 2, 15, as_known_at=known)
    rows = recorded_label_rows(Payments(payments), recorded(labels), query, "laundering")  # type: ignore[arg-type]
    by_payment = [last(labels, 0, f"t{k}", known) for k in range(13)]
    accounts = {name: last(labels, 1, name, known) for name in ACCOUNTS}
    by_account = not any(one is not None and one[1] for one in by_payment) and any(accounts.values())
    expected = []
    for k, (time, sender, receiver) in enumerate(payments):
        if not 2 <= time < 15 or "external:X" in (sender, receiver):
            continue
        if by_account:
            guilty = [accounts[name][0] for name in (sender, receiver) if accounts[name] and accounts[name][1]]
            found = (1, max(min(guilty), time)) if guilty else (0, None)
        else:
            found = (by_payment[k][1], by_payment[k][0]) if by_payment[k] else (0, None)
        expected.append((f"t{k}", time, sender, *found))
    since = rows["known_since"].cast(pa.int64()).to_pylist()
    times = rows["event_time"].cast(pa.int64()).to_pylist()
    told = zip(
        rows["row_id"].to_pylist(),
        times,
        rows["sender"].to_pylist(),
        rows["laundering"].to_pylist(),
        since,
        strict=True,
    )
    assert list(told) == expected


def test_customers_of_the_parties_are_keys_too() -> None:
    tables = recorded([])
    tables.append("accounts", pa.table({"account": ["A", "B"], "customer": ["c1", None]}))
    tables.append("parties", pa.table({"customer": ["c1"]}))
    query = TrainingQuery("q", 1, 0, 10, as_known_at=30, row_id="tx_id")
    rows = recorded_label_rows(Payments([(5, "A", "B")]), tables, query, "laundering")  # type: ignore[arg-type]
    assert rows.select(["sender_customer", "receiver_customer"]).to_pylist() == [
        {"sender_customer": "c1", "receiver_customer": None}
    ]
    nothing = recorded_label_rows(Payments([]), tables, query, "laundering")  # type: ignore[arg-type]
    assert nothing.schema.equals(rows.schema)
