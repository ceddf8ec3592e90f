"""Side records: when each is known, what repeats, what is set aside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


PAYMENTS = [
    ["p1", "2024-01-01", "A", "B", "1", "USD", "0", ""],
    ["p2", "2024-01-20", "B", "C", "1", "USD", "1", "fan_in"],
    ["p3", "2024-02-05", "C", "A", "1", "USD", "", ""],
    ["p4", "2024-03-15", "A", "C", "1", "USD", "0", ""],
]


def test_labels_that_come_with_the_payments(desk: Any) -> None:
    result = desk.ingest(desk.file("a.csv", PAYMENTS))
    labels = desk.table("labels")
    assert result.has_labels
    assert [(entry["tx_id"], entry["label"], entry["typology"]) for entry in labels] == [
        ("p1", 0, None),
        ("p2", 1, "fan_in"),
        ("p4", 0, None),
    ]
    assert [entry["known_since"] for entry in labels] == [
        day("2024-01-01") + timedelta(30),
        day("2024-01-20") + timedelta(30),
        day("2024-03-15") + timedelta(30),
    ]
    assert [entry["after_seq"] for entry in labels] == [1, 2, 3]


def test_the_delay_is_a_setting(desk: Any) -> None:
    desk.ingest(desk.file("a.csv", PAYMENTS), label_delay_days=5)
    assert [entry["after_seq"] for entry in desk.table("labels")] == [0, 1, 3]


def test_labels_in_order_of_files(desk: Any) -> None:
    desk.ingest(desk.file("a.csv", PAYMENTS[::-1]), order="file")
    labels = {entry["tx_id"]: entry["after_seq"] for entry in desk.table("labels")}
    assert labels == {"p4": 3, "p2": -1, "p1": -1}


def test_labels_of_a_later_file_count_over_the_whole_ledger(desk: Any) -> None:
    desk.ingest(desk.file("a.csv", PAYMENTS[1:]))
    desk.ingest(desk.file("b.csv", PAYMENTS[:1]))
    assert {entry["tx_id"]: entry["after_seq"] for entry in desk.table("labels")}["p1"] == 0
    desk.ingest(desk.file("c.csv", [["p5", "2024-04-01", "A", "C", "1", "USD", "0", ""]]))
    assert {entry["tx_id"]: entry["after_seq"] for entry in desk.table("labels")}["p5"] == 4


def test_a_file_of_labels(desk: Any) -> None:
    payments = desk.file("a.csv", [entry[:6] for entry in PAYMENTS])
    columns = ("tx_id", "account", "label", "typology", "known_since")
    rows = [
        ("p1", "", "1", "cycle", "2024-01-25"),
        ("p2", "", "0", "", ""),
        ("", "B", "1", "", ""),
        ("p9", "", "1", "", ""),
        ("p3", "", "maybe", "", ""),
    ]
    result = desk.ingest(payments, labels=desk.file("labels.csv", rows, columns))
    labels = desk.table("labels")
    assert [(entry["known_since"], entry["after_seq"]) for entry in labels] == [
        (day("2024-01-25"), 1),
        (day("2024-01-20") + timedelta(30), 2),
        (day("2024-01-20") + timedelta(30), 2),
        (day("2024-03-15") + timedelta(30), 3),
    ]
    (outcome,) = result.records
    assert (outcome.rows, outcome.rejected, outcome.unmatched) == (4, 1, 1)
    assert any("1 labels name a payment" in warning for warning in result.warnings)
    assert [entry["row"] for entry in desk.table("rejected")] == [5]
    again = desk.ingest(labels=desk.folder / "labels.csv")
    assert again.records[0].known
    assert desk.table("labels") == labels


def test_labels_may_come_later_in_another_file(desk: Any) -> None:
    desk.ingest(desk.file("a.csv", [entry[:6] for entry in PAYMENTS]))
    assert desk.table("labels") == []
    result = desk.ingest(desk.file("b.csv", PAYMENTS))
    assert result.counts.duplicate == 4
    assert [entry["tx_id"] for entry in desk.table("labels")] == ["p1", "p2", "p4"]
    desk.ingest(desk.file("c.csv", [*PAYMENTS, ["p5", "2024-03-16", "A", "C", "1", "USD", "1", ""]]))
    assert [entry["tx_id"] for entry in desk.table("labels")] == ["p1", "p2", "p4", "p5"]


def test_standing_data_and_dated_data(desk: Any) -> None:
    payments = desk.file("a.csv", PAYMENTS)
    accounts = desk.file(
        "accounts.csv", [("A", "c1", "2024-01-21"), ("B", "c2", "")], ("account", "customer", "opened")
    )
    parties = desk.file("parties.csv", [("c1", "Ada", "person")], ("customer", "name", "kind"))
    ties = desk.file(
        "ties.csv",
        [("c1", "c2", "partner", "0.5", "2024-02-05"), ("c2", "c1", "director", "", "")],
        ("from_customer", "to_customer", "kind", "share", "valid_from"),
    )
    seeds = desk.file(
        "seeds.csv", [("A", "known", "2024-01-01"), ("C", "known", "")], ("account", "reason", "known_since")
    )
    result = desk.ingest(payments, accounts=accounts, parties=parties, relationships=ties, seeds=seeds)
    known = {
        name: [(entry["known_since"], entry["after_seq"]) for entry in desk.table(name)]
        for name in ("accounts", "parties", "relationships", "seeds")
    }
    assert known == {
        "accounts": [(day("2024-01-21"), 1), (None, -1)],
        "parties": [(None, -1)],
        "relationships": [(day("2024-02-05"), 2), (None, -1)],
        "seeds": [(day("2024-01-01"), 0), (day("2024-03-15"), 3)],
    }
    assert [outcome.table for outcome in result.records] == ["accounts", "parties", "relationships", "seeds"]
    assert any("1 seeds carry no date" in warning for warning in result.warnings)


def test_before_any_payment(desk: Any) -> None:
    accounts = desk.file("accounts.csv", [("A", "c1", "2024-01-21")], ("account", "customer", "opened"))
    result = desk.ingest(accounts=accounts)
    assert result.counts.read == 0
    assert [entry["after_seq"] for entry in desk.table("accounts")] == [-1]
