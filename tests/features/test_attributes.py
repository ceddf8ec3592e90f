"""Attributes joined as of the payment: against a slow twin, one by one, in any blocks, after a restart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.attributes import Attribute, AttributeJoin, attribute_features
from greywater.features.catalog import FeatureSet, payments_v1
from greywater.vocab import ACCOUNT_SCHEMA, ATTRIBUTE_SCHEMA

ATTRIBUTES = (Attribute("score", "number"), Attribute("segment", "text", ("a", "b", "c")), Attribute("pep", "flag"))
MOMENT = pa.timestamp("us", tz="UTC")
ACCOUNTS = ("A", "B", "C")
CUSTOMERS = ("x", "y")

record = st.tuples(
    st.one_of(st.tuples(st.sampled_from(ACCOUNTS), st.none()), st.tuples(st.none(), st.sampled_from(CUSTOMERS))),
    st.sampled_from(ATTRIBUTES),
    st.integers(0, 2),
    st.integers(0, 9),
    st.integers(-1, 12),
)
owner = st.tuples(
    st.sampled_from(ACCOUNTS),
    st.sampled_from([*CUSTOMERS, None]),
    st.one_of(st.none(), st.integers(0, 9)),
    st.integers(-1, 12),
)
payment = st.tuples(st.integers(0, 9), st.sampled_from([*ACCOUNTS, "external:1"]), st.sampled_from(ACCOUNTS))


def table(records: list[Any]) -> pa.Table:
    rows = [
        {
            "account": who[0],
            "customer": who[1],
            "name": attribute.name,
            "number": value / 2 if attribute.kind == "number" else None,
            "code": None if attribute.kind == "number" else value if attribute.kind == "text" else value % 2,
            "known_since": since,
            "after_seq": after,
        }
        for who, attribute, value, since, after in records
    ]
    return pa.Table.from_pylist(rows, schema=ATTRIBUTE_SCHEMA)


def account_table(owners: list[Any]) -> pa.Table:
    rows = [
        {"account": account, "customer": customer, "known_since": since, "after_seq": after}
        for account, customer, since, after in owners
    ]
    return pa.Table.from_pylist([{"bank": None, "opened": None, **row} for row in rows], schema=ACCOUNT_SCHEMA)


def block(payments: list[Any], begin: int = 0) -> pa.RecordBatch:
    times, senders, receivers = map(list, zip(*payments, strict=True))
    return pa.record_batch(
        {
            "seq": pa.array(range(begin, begin + len(times)), pa.int64()),
            "event_time": pa.array(times, MOMENT),
            "sender": pa.array(senders, pa.string()),
            "receiver": pa.array(receivers, pa.string()),
        }
    )


def naive(records: list[Any], owners: list[Any], payments: list[Any]) -> list[list[float]]:
    """One payment, one party, one attribute at a time, straight from the rule."""
    found = []
    for place in (1, 2):
        for attribute in ATTRIBUTES:
            column = []
            for seq, entry in enumerate(payments):
                time, account = entry[0], entry[place]
                customer, latest = None, None
                for order, (held, name, since, after) in enumerate(owners):
                    key = (-math.inf if since is None else since, order)
                    if held == account and after < seq and key[0] <= time and (latest is None or key > latest):
                        customer, latest = name, key
                value, best = (math.nan if attribute.kind == "number" else -1), None
                for order, (who, of, given_value, since, after) in enumerate(records):
                    mine = who[0] == account if who[0] is not None else who[1] == customer
                    if (
                        of is attribute
                        and mine
                        and after < seq
                        and since <= time
                        and (best is None or (since, order) > best)
                    ):
                        best = (since, order)
                        kind = attribute.kind
                        value = (
                            given_value / 2 if kind == "number" else given_value % 2 if kind == "flag" else given_value
                        )
                column.append(value)
            found.append(column)
    return found


def values(columns: list[pa.Array]) -> list[list[Any]]:
    return [["nan" if value != value else value for value in column.to_pylist()] for column in columns]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(record, max_size=25), st.lists(owner, max_size=8), st.lists(payment, min_size=1, max_size=13),
    st.integers(1, 13),
)  # fmt: skip
def test_as_the_rule_says_in_any_blocks_and_after_a_restart(
    records: list[Any], owners: list[Any], payments: list[Any], cut: int
) -> None:
    join = AttributeJoin(ATTRIBUTES, table(records), account_table(owners))
    whole = values(join.columns(block(payments)))
    assert whole == values([pa.array(column) for column in naive(records, owners, payments)])
    one_by_one = [values(join.columns(block([each], seq))) for seq, each in enumerate(payments)]
    assert [[part[c][0] for part in one_by_one] for c in range(len(whole))] == whole
    parts = [values(join.columns(block(payments[:cut])))]
    if payments[cut:]:
        restarted = AttributeJoin(ATTRIBUTES, table(records), account_table(owners))
        parts.append(values(restarted.columns(block(payments[cut:], cut))))
    assert [[value for part in parts for value in part[c]] for c in range(len(whole))] == whole


def test_what_is_recorded_later_changes_nothing_seen_before() -> None:
    early = [(("A", None), ATTRIBUTES[0], 2, 3, -1)]
    payments = [(t, "A", "B") for t in range(8)]
    before = values(AttributeJoin(ATTRIBUTES, table(early)).columns(block(payments)))
    late = [*early, (("A", None), ATTRIBUTES[0], 1, 4, 5)]
    after = values(AttributeJoin(ATTRIBUTES, table(late)).columns(block(payments)))
    assert [column[:6] for column in after] == [column[:6] for column in before]
    assert after[0][6:] == [0.5, 0.5]


def test_without_records_everything_is_unknown() -> None:
    join = AttributeJoin(ATTRIBUTES, table([]), None)
    found = join.columns(block([(1, "A", "B")]))
    assert [str(column.type) for column in found] == ["double", "int64", "int64"] * 2
    assert values(found) == [["nan"], [-1], [-1]] * 2


def test_values_of_one_attribute_are_keys_of_peer_groups() -> None:
    join = AttributeJoin(
        ATTRIBUTES, table([((None, "x"), ATTRIBUTES[1], 2, 0, -1)]), account_table([("A", "x", None, -1)])
    )
    keys = join.values("segment", np.array([0, 1]), np.array([5, 5]), pa.array(["A", "B"]))
    assert keys.tolist() == [2, -1]
    with pytest.raises(UsageError, match="no attribute 'age'"):
        join.values("age", np.array([0]), np.array([5]), pa.array(["A"]))


def test_a_set_of_features_names_its_attributes() -> None:
    plain = payments_v1(Settings(), 1)
    join = AttributeJoin(ATTRIBUTES, table([]))
    from dataclasses import replace

    wide = replace(plain, attributes=join.kinds)
    assert wide.names == (*plain.names, *join.names)
    assert wide.fingerprint != plain.fingerprint
    assert FeatureSet.from_json(wide.to_json()) == wide
    assert "attributes" not in plain.to_json()
    assert [feature.dtype for feature in attribute_features(join.kinds)] == ["float64", "int64", "int64"] * 2


def test_many_records_and_payments_against_the_twin() -> None:
    chance = np.random.default_rng(4)
    records = [
        (
            (f"A{chance.integers(40)}", None) if chance.random() < 0.5 else (None, f"c{chance.integers(20)}"),
            ATTRIBUTES[chance.integers(3)],
            int(chance.integers(3)),
            int(chance.integers(300)),
            int(chance.integers(-1, 400)),
        )
        for _ in range(300)
    ]
    owners = [(f"A{n}", f"c{n % 20}", None if n % 3 else int(chance.integers(300)), -1) for n in range(40)]
    payments = [(int(t), f"A{chance.integers(45)}", f"A{chance.integers(45)}") for t in chance.integers(0, 300, 400)]
    join = AttributeJoin(ATTRIBUTES, table(records), account_table(owners))
    assert values(join.columns(block(payments))) == values([pa.array(c) for c in naive(records, owners, payments)])
