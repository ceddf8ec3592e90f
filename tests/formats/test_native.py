"""Native files and Ethereum edge lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.formats.detect import open_source
from greywater.formats.times import DAY_US

FULL = (
    "tx_id,event_time,sender,receiver,sender_bank,receiver_bank,amount,currency,"
    "received_amount,received_currency,channel,reference,label,typology,sender_balance,receiver_balance"
)


def test_all_columns(write: Callable[..., Path], read: Any) -> None:
    path = write(
        "t1,2024-01-31T10:00:00Z,A,B,b1,b2,12.50,EUR,13.60,USD,Wire,rent,1,cycle,13.005,-7",
        "t2,2024-01-31T10:00:00Z,A,external:9,,,12,JPY,,,credit card,,,,,0",
        "t3,2024-01-31T10:00:00Z,A,B,,,12,EUR,11.999,,,,no,,,",
        "t4,2024-01-31T10:00:00Z,A,B,,,12,EUR,,USD,,,no,,,",
        "t5,2024-01-31T10:00:00Z,A,B,,,12,EUR,-3,USD,,,no,,,",
        "t6,2024-01-31T10:00:00Z,A,B,,,12,EUR,,eur,pigeon,,perhaps,,,",
        "t7,2024-01-31T10:00:00Z,A,B,,,12,EUR,,,,,,,much,1",
        "t8,2024-01-31T10:00:00Z,A,B,,,12,EUR,,,,,,,1,inf",
        "t9,2024-01-31T10:00:00Z,A,B,,,12,EUR,,,,,,,1e15,1",
        header=FULL,
    )
    found = read(open_source(path))
    first, second, third = found.payments.to_pylist()
    assert first == {
        "row": 1,
        "tx_id": "t1",
        "event_time": datetime(2024, 1, 31, 10, tzinfo=UTC),
        "sender": "A",
        "receiver": "B",
        "sender_bank": "b1",
        "receiver_bank": "b2",
        "amount": 1_250,
        "currency": "EUR",
        "received_amount": 1_360,
        "received_currency": "USD",
        "channel": "wire",
        "reference": "rent",
        "sender_balance": 1_300,
        "receiver_balance": -700,
        "label": 1,
        "typology": "cycle",
    }
    assert (second["amount"], second["received_amount"], second["received_currency"]) == (12, 12, "JPY")
    assert (second["channel"], second["label"], second["typology"]) == ("credit_card", None, None)
    assert (second["sender_bank"], second["receiver"]) == (None, "external:9")
    assert (third["received_amount"], third["received_currency"], third["label"]) == (1_200, "EUR", 0)
    assert (second["sender_balance"], second["receiver_balance"], third["sender_balance"]) == (None, 0, None)
    balances = {7: "balance_text", 8: "balance_not_finite", 9: "balance_too_large"}
    assert found.reasons == {4: "amount_missing", 5: "amount_negative", 6: "label_unreadable", **balances}
    columns = ["received_amount", "received_amount", "label", "sender_balance", "receiver_balance", "sender_balance"]
    assert found.rejected["column"].to_pylist() == columns
    assert found.rounded == 1


def test_numbers_and_times_of_parquet(tmp_path: Path, read: Any) -> None:
    table = pa.table(
        {
            "event_time": pa.array([1, 2], pa.timestamp("ns", tz="Europe/Berlin")),
            "sender": pa.array([1.0, 2.0]),
            "receiver": pa.array([1, None], pa.int64()),
            "amount": [0.285, 1.0],
            "currency": pa.array(["EUR", "EUR"]).dictionary_encode(),
            "label": [True, False],
            "sender_balance": [math.nan, 1.0],
            "receiver_balance": pa.array([7, None], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(open_source(tmp_path / "a.parquet"))
    assert found.column("sender") == ["1"]
    assert found.column("amount") == [28]
    assert found.column("label") == [1]
    assert (found.column("sender_balance"), found.column("receiver_balance")) == ([None], [700])
    assert found.reasons == {2: "party_missing"}


def test_ids_are_the_hash_that_is_documented(write: Callable[..., Path], read: Any) -> None:
    path = write("2024-01-31,A,Bü,12.50,EUR", header="event_time,sender,receiver,amount,currency", name="x.csv")
    found = read(open_source(path))
    text = "\x1f".join(["x.csv", "1", "1706659200000000", "A", "Bü", "", "", "1250", "EUR", "1250", "EUR", "other", ""])
    assert found.column("tx_id") == [sha256(text.encode()).hexdigest()[:32]]


def test_ids_do_not_depend_on_chunks_or_bad_rows(write: Callable[..., Path], read: Any) -> None:
    lines = ["2024-01-31,A,B,1,EUR", "bad,A,B,1,EUR", "2024-01-31,A,B,1,EUR"] * 50
    source = open_source(write(*lines, header="event_time,sender,receiver,amount,currency"))
    whole = read(source)
    assert len(set(whole.column("tx_id"))) == 100
    for rows in (1, 7, 64):
        assert read(source, rows).payments == whole.payments


def test_day_stamps(write: Callable[..., Path]) -> None:
    rows = [f"{i},2024-01-31,A,B,1,EUR" for i in range(100)]
    assert open_source(write(*rows)).resolution_us == DAY_US
    assert open_source(write(*rows[:99])).resolution_us == 1_000_000


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("from,to,amount,timestamp", "0xA,0xB,1.234567890123456789,1661990400"),
        ("From,To,Value,Timestamp", "0xA,0xB,1.234567890123456789,2022-09-01 00:00:00 UTC"),
        ("hash,from_address,to_address,value,block_timestamp", "0xH,0xA,0xB,1.234567890123456789,2022-09-01"),
    ],
)
def test_ethereum(write: Callable[..., Path], read: Any, header: str, row: str) -> None:
    found = read(open_source(write(row, header=header)))
    payment = found.payments.to_pylist()[0]
    assert (payment["sender"], payment["receiver"]) == ("0xA", "0xB")
    assert (payment["amount"], payment["currency"], payment["channel"]) == (123_456_789, "ETH", "crypto")
    assert payment["event_time"] == datetime(2022, 9, 1, tzinfo=UTC)
    assert payment["reference"] == ("0xH" if "hash" in header else None)
    assert found.rounded == 1
    assert (found.source.format, found.source.base_currency) == ("ethereum", "ETH")


def test_ethereum_parquet_without_receiver(tmp_path: Path, read: Any) -> None:
    table = pa.table(
        {"from": ["0xA", "0xA"], "to": ["0xB", None], "value": [1.5, 2.0], "timestamp": [1_661_990_400] * 2}
    )
    pq.write_table(table, tmp_path / "edges.parquet")
    found = read(open_source(tmp_path / "edges.parquet"))
    assert found.column("amount") == [150_000_000]
    assert found.reasons == {2: "party_missing"}
