"""Who is known from which payment on, read from a project's records, against the rule tried out payment by payment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.app.known_launderers import read_known_launderers
from greywater.app.wiring import open_project
from greywater.features.exposure import KnownLaunderers
from greywater.stores.open import open_tables
from greywater.stores.ports import Tables
from greywater.vocab import ACCOUNT_SCHEMA, LABEL_SCHEMA, SEED_SCHEMA, Actor
from tests.app.conftest import Desk
from tests.naive_exposure import is_known


class Payments:
    """A ledger of a few payments, a millisecond apart."""

    def __init__(self, *ways: str) -> None:
        self.next_seq = len(ways)
        self._rows = [way.split(">") for way in ways]

    def scan(self, columns: list[str], **_: Any) -> list[pa.RecordBatch]:
        rows = [{"seq": k, "tx_id": f"t{k}", "sender": s, "receiver": r} for k, (s, r) in enumerate(self._rows)]
        return [pa.RecordBatch.from_pylist(rows)]


def tables_of(**given: list[dict[str, Any]]) -> Tables:
    tables = open_tables("memory:")
    for name, schema in (("labels", LABEL_SCHEMA), ("seeds", SEED_SCHEMA), ("accounts", ACCOUNT_SCHEMA)):
        if given.get(name):
            tables.append(name, pa.Table.from_pylist(given[name], schema=schema))
    return tables


def at(since: int | None, after: int) -> dict[str, Any]:
    moment = None if since is None else datetime.fromtimestamp(since / 1_000_000, UTC)
    return {"known_since": moment, "after_seq": after}


def facts_of(known: KnownLaunderers) -> list[tuple[str, int, int, int, bool]]:
    columns = (known.account.to_pylist(), known.source, known.known_since_us, known.after_seq, known.launderer)
    return [(a, int(s), int(t), int(f), bool(b)) for a, s, t, f, b in zip(*columns, strict=True)]


def found(tables: Tables, payments: Payments | None = None) -> list[tuple[str, int, int, int, bool]]:
    return facts_of(read_known_launderers(tables, payments or Payments("a>b")))  # type: ignore[arg-type]


def seen(facts: list[tuple[str, int, int, int, bool]], account: str, moments: list[tuple[int, int]]) -> list[bool]:
    """Is the account known to payments of these (seq, time)?"""
    return [is_known(facts, account, seq, time) for seq, time in moments]


def test_nobody_is_known_where_nothing_is_recorded() -> None:
    assert found(tables_of()) == []


def test_seeds_and_labels_of_accounts_count_from_when_they_say() -> None:
    tables = tables_of(
        seeds=[{"account": "a", **at(50, 3)}],
        labels=[{"account": "b", "label": 1, **at(70, 5)}, {"account": "c", "label": 0, **at(10, 0)}],
    )
    facts = found(tables)
    assert seen(facts, "a", [(3, 60), (4, 49), (4, 50)]) == [False, False, True]
    assert seen(facts, "b", [(5, 99), (6, 69), (6, 70)]) == [False, False, True]
    assert seen(facts, "c", [(9, 99)]) == [False]


def test_both_parties_of_a_payment_labelled_laundering_are_known_but_not_before_it() -> None:
    payments = Payments("a>b", "c>d", "e>external:f")
    labels = [{"tx_id": f"t{k}", "label": int(k != 1), **at(20, -1)} for k in range(3)]
    facts = found(tables_of(labels=labels), payments)
    assert {fact[0] for fact in facts} == {"a", "b", "e"}
    assert seen(facts, "e", [(2, 30), (3, 30)]) == [False, True]
    assert seen(facts, "a", [(0, 30), (1, 30)]) == [False, True]


def test_a_later_label_clears_what_a_label_said_and_not_what_a_seed_said() -> None:
    labels = [{"account": name, "label": label, **at(since, after)}
              for name in ("a", "b") for label, since, after in ((0, 60, 6), (1, 50, 5))]  # fmt: skip
    facts = found(tables_of(labels=labels, seeds=[{"account": "b", **at(40, 4)}]))
    moments = [(6, 59), (7, 59), (7, 60)]
    assert seen(facts, "a", moments) == [True, True, False]
    assert seen(facts, "b", moments) == [True, True, True]


def test_a_customer_s_accounts_are_known_together() -> None:
    stays = [("a", "C", None, -1), ("b", "C", 80, 8), ("z", "Z", None, -1)]
    accounts = [{"account": name, "customer": customer, **at(since, after)} for name, customer, since, after in stays]
    facts = found(tables_of(accounts=accounts, seeds=[{"account": "a", **at(50, 3)}]))
    assert seen(facts, "a", [(4, 50)]) == [True]
    assert seen(facts, "b", [(4, 50), (8, 90), (9, 79), (9, 80)]) == [False, False, False, True]
    assert seen(facts, "z", [(99, 999)]) == [False]
    by_customer = found(tables_of(accounts=accounts, seeds=[{"customer": "C", **at(50, 3)}]))
    assert seen(by_customer, "a", [(3, 50), (4, 50)]) == [False, True]
    assert seen(by_customer, "b", [(9, 79), (9, 80)]) == [False, True]


@pytest.mark.parametrize("seed_at", [(50, 3), (90, 9), (150, 15)])
def test_an_account_that_goes_over_to_another_customer_leaves_its_customer_s_past_behind(
    seed_at: tuple[int, int],
) -> None:
    stays = [("a", "C", None, -1), ("b", "C", None, -1), ("b", "D", 100, 10), ("b", "C", 200, 20)]
    accounts = [{"account": n, "customer": c, **at(since, after)} for n, c, since, after in stays]
    facts = found(tables_of(accounts=accounts, seeds=[{"account": "a", **at(*seed_at)}]))
    for seq in range(25):
        for time in range(0, 260, 10):
            guilty = seed_at[1] < seq and seed_at[0] <= time
            links = [(s or 0, c) for n, c, s, after in stays if n == "b" and after < seq and (s is None or s <= time)]
            assert is_known(facts, "b", seq, time) == (guilty and max(links)[1] == "C"), (seq, time)


def test_only_rows_that_add_something_are_kept() -> None:
    payments = Payments(*["a>b"] * 50)
    labels = [{"tx_id": f"t{k}", "label": 1, **at(100 + k, 50)} for k in range(50)]
    facts = found(tables_of(labels=labels), payments)
    assert sorted((account, since) for account, _, since, _, _ in facts) == [("a", 100), ("b", 100)]


def test_what_is_recorded_later_leaves_the_earlier_rows_as_they_are() -> None:
    payments = Payments("a>b", "b>c", "c>a")
    early = [{"tx_id": "t0", "label": 1, **at(10, 0)}]
    late = [{"tx_id": "t1", "label": 1, **at(20, 2)}]
    first = found(tables_of(labels=early), payments)
    both = found(tables_of(labels=early + late), payments)
    assert set(first) <= set(both)


def test_a_project_s_own_records_are_read(desk: Desk) -> None:
    rows = [(f"t{k}", f"2024-01-{1 + k:02d}", "ABC"[k % 3], "BCD"[k % 3], 100, "USD", int(k == 1)) for k in range(9)]
    path: Path = desk.file("payments.csv", rows)
    seeds = desk.file("seeds.csv", [("D", "2024-01-04", "case")], ("account", "known_since", "reason"))
    desk.ingest(path, seeds=seeds)
    with open_project(desk.settings, Actor()) as project:
        facts = facts_of(read_known_launderers(project.tables, project.ledger))
    day = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**6
    by_account = {account: (since, after) for account, _, since, after, _ in facts}
    assert by_account["D"] == (day + 3 * 86_400 * 10**6, 3)
    assert set(by_account) == {"B", "C", "D"}
    assert by_account["B"] == (day + 31 * 86_400 * 10**6, 8)
    assert np.all([fact[4] for fact in facts])
