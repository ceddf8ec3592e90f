"""From a project's files to the columns of balances, leading digits, peers and shared attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from greywater.app.joining import project_features
from greywater.app.party_columns import party_columns
from greywater.app.rule_place import RulePlace
from greywater.app.rules import BackTestRequest, check_rules, run_back_test
from greywater.app.wiring import open_project
from greywater.vocab import TRANSACTION_SCHEMA, Actor
from tests.app.conftest import Desk

HEADER = "tx_id,event_time,sender,receiver,amount,currency"
MANY = [(f"p{k}", f"2024-01-01T00:{k:02d}:00Z", f"a{k}", "shop", f"{k + 1}.00", "USD") for k in range(12)]
LATE = [("z", "2024-01-02T00:00:00Z", "a0", "a1", "900.00", "USD")]
ACCOUNTS = "account,customer\na0,A\na1,B\n"
ATTRIBUTES = (
    "customer,known_since,segment,telephone,religion\nA,2023-01-01,retail,0815,none\nB,2023-01-01,retail,0815,none\n"
)


def side(desk: Desk, name: str, text: str) -> Path:
    path = desk.folder / name
    path.write_text(text)
    return path


def columns(desk: Desk, batch_rows: int = 5) -> dict[str, list[Any]]:
    """All columns that the project carries."""
    with open_project(desk.settings, Actor()) as project:
        joins = party_columns(project).values()
        rows = [
            pa.record_batch(
                [column for join in joins for column in join.columns(batch)],
                names=[name for join in joins for name in join.names],
            )
            for batch in project.ledger.scan(TRANSACTION_SCHEMA.names, batch_rows=batch_rows)
        ]
    found: dict[str, list[Any]] = pa.Table.from_batches(rows).to_pydict()
    return found


def test_a_project_of_payments_alone_has_leading_digits_alone(desk: Desk) -> None:
    desk.ingest(desk.file("payments.csv", MANY))
    assert set(columns(desk)) == {"sender.out.benford_chi_square.90d", "receiver.out.benford_chi_square.90d"}


def test_records_bring_the_other_columns(desk: Desk) -> None:
    segments = "".join(f"a{k},2023-01-01,retail\n" for k in range(2, 12))
    desk.ingest(desk.file("payments.csv", MANY), accounts=side(desk, "accounts.csv", ACCOUNTS))
    desk.ingest(attributes=side(desk, "customers.csv", ATTRIBUTES), protected=("religion",))
    desk.ingest(attributes=side(desk, "accounts_too.csv", "account,known_since,segment\n" + segments))
    path = side(desk, "late.csv", f"{HEADER},sender_balance\n" + ",".join(LATE[0]) + ",1000\n")
    desk.ingest(path)
    found = columns(desk)
    assert found["payment.sender_balance_share"][-1] == 0.9
    assert found["pair.shared_attributes"] == [0] * 12 + [1]
    assert found["sender.sharing_customers"] == [1, 1] + [0] * 10 + [1]
    assert found["sender.out.peer_zscore.30d"][-1] > 100
    assert str(columns(desk, 1)) == str(columns(desk, 100))


def test_protected_attributes_are_neither_peers_nor_contacts(desk: Desk) -> None:
    desk.ingest(desk.file("payments.csv", MANY), accounts=side(desk, "accounts.csv", ACCOUNTS))
    desk.ingest(attributes=side(desk, "customers.csv", ATTRIBUTES), protected=("segment", "telephone", "religion"))
    with open_project(desk.settings, Actor()) as project:
        assert set(party_columns(project)) == {"leading_digits"}


def test_the_rules_that_waited_for_them_hit(desk: Desk) -> None:
    names = ("rapid-movement-against-balance", "shared-attributes", "deviation-from-peers")
    segments = "".join(f"a{k},2023-01-01,retail\n" for k in range(2, 12))
    desk.ingest(desk.file("payments.csv", MANY), accounts=side(desk, "accounts.csv", ACCOUNTS))
    off = check_rules(Actor(), desk.settings).off
    assert all("the data have no" in off[name] for name in names)
    assert "leading-digits-against-benford" not in off
    desk.ingest(attributes=side(desk, "customers.csv", ATTRIBUTES))
    desk.ingest(attributes=side(desk, "accounts_too.csv", "account,known_since,segment\n" + segments))
    rows = ("x,2024-01-02T00:00:00Z,a5,a0,20000,USD,", "z,2024-01-02T01:00:00Z,a0,a1,19000,USD,20000")
    desk.ingest(side(desk, "late.csv", "\n".join([f"{HEADER},sender_balance", *rows, ""])))
    assert not set(names) & set(check_rules(Actor(), desk.settings).off)
    found = {one.rule: one.hits for one in run_back_test(Actor(), desk.settings, BackTestRequest(rules=names)).rules}
    assert found == {"rapid-movement-against-balance": 1, "shared-attributes": 1, "deviation-from-peers": 1}


OUTSIDE = """
[[rule]]
id = "large-payment-out-of-the-circle"
version = 1
title = "Large payment out of the circle"
description = "A large payment to someone whom the sender's own circle never dealt with."
source = "the bank"
typologies = ["new_payee"]
about = "sender"
window = ""
severity = 2
expression = "payment.amount >= 50000 and pair.outside_community = 1"
"""


def test_communities_are_worked_out_where_a_rule_names_them(desk: Desk) -> None:
    circle = [(f"p{k}", f"2024-01-01T00:0{k}:00Z", f"a{k}", f"a{(k + 1) % 4}", "600.00", "USD") for k in range(4)]
    later = [("in", "2024-01-02T01:00:00Z", "a0", "a2", "600.00", "USD")]
    later += [("out", "2024-01-02T02:00:00Z", "a0", "b", "600.00", "USD")]
    desk.ingest(desk.file("payments.csv", circle + later))
    with open_project(desk.settings, Actor()) as project:
        assert "community" not in project_features(project).features.joined
    place = RulePlace(side(desk, "circle.toml", OUTSIDE))
    assert "large-payment-out-of-the-circle" not in check_rules(Actor(), desk.settings, place).off
    request = BackTestRequest(place, ("large-payment-out-of-the-circle",))
    assert run_back_test(Actor(), desk.settings, request).rules[0].hits == 5  # the first day knows no circle
