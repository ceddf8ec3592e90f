"""Edges of relations and of payments: what weighs more, what was known when, and where the money of a payment goes."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedValueError
from greywater.features.trust import AntiTrustRank
from greywater.features.trust_edges import RELATION_WEIGHTS, payment_edges, relationship_edges
from greywater.features.trust_payments import payment_links, payment_scores
from greywater.vocab import RELATIONSHIP_SCHEMA, TRANSACTION_SCHEMA
from tests.naive_trust import rare_pairs

DAY = 86_400_000_000


def relations(*rows: tuple[str, str, str, float | None], **more: object) -> pa.Table:
    empty = dict.fromkeys(RELATIONSHIP_SCHEMA.names) | {"after_seq": -1} | more
    names = ("from_customer", "to_customer", "kind", "share")
    return pa.Table.from_pylist([empty | dict(zip(names, row, strict=True)) for row in rows], RELATIONSHIP_SCHEMA)


def payments(*rows: tuple[str, str, float, int | None]) -> pa.Table:
    """Sender, receiver, day, amount."""
    table = pa.table(
        {
            "sender": pa.array([row[0] for row in rows], pa.string()),
            "receiver": pa.array([row[1] for row in rows], pa.string()),
            "event_time": pa.array([int(row[2] * DAY) for row in rows], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "base_amount": pa.array([row[3] for row in rows], pa.int64()),
        }
    )
    assert set(table.column_names) <= set(TRANSACTION_SCHEMA.names)
    return table


def test_owners_and_partners_count_more_than_those_who_sign() -> None:
    table = relations(
        ("A", "partner", "partner", None),
        ("A", "share", "shareholder", 0.6),
        ("A", "owner", "beneficial_owner", 0.25),
        ("A", "unknown", "shareholder", None),
        ("A", "representative", "legal_representative", None),
        ("A", "signatory", "signatory", None),
        ("A", "stranger", "neighbour", None),
    )
    weights = {row["target"]: row["weight"] for row in relationship_edges(table).to_pylist()}
    assert weights["partner"] > weights["share"] == 0.6 > weights["owner"] == weights["unknown"] == 0.25
    assert weights["owner"] > weights["representative"] > weights["signatory"] == weights["stranger"] > 0.0
    ranked = AntiTrustRank().fit(relationship_edges(table), ["A"]).ranking()["node"].to_pylist()
    assert ranked[:3] == ["partner", "share", "owner"]
    assert ranked[4] == "representative"
    assert min(RELATION_WEIGHTS[kind] for kind in ("partner", "shareholder", "beneficial_owner")) == 1.0


@given(st.floats(0.01, 0.99))
def test_more_share_means_more_suspicion(share: float) -> None:
    table = relations(("A", "B", "shareholder", share), ("A", "C", "shareholder", share / 2))
    rank = AntiTrustRank().fit(relationship_edges(table), ["A"])
    assert rank.ranking()["node"].to_pylist() == ["B", "C"]


def test_kinds_may_be_weighed_otherwise() -> None:
    table = relations(("A", "B", "signatory", None), ("A", "C", "partner", None))
    assert relationship_edges(table, weights={"signatory": 2.0})["weight"].to_pylist() == [2.0, 1.0]
    with pytest.raises(RefusedValueError, match="negative or not finite"):
        relationship_edges(table, weights={"signatory": -1.0})


def test_only_what_was_known_and_in_force() -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    late, early = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    at = int(moment.timestamp() * 1e6)
    row = ("A", "B", "partner", None)
    for more, seen in (
        ({}, True),
        ({"known_since": early, "valid_from": early, "valid_to": late}, True),
        ({"known_since": late}, False),
        ({"valid_from": late}, False),
        ({"valid_to": early}, False),
        ({"after_seq": 7}, False),
    ):
        assert relationship_edges(relations(row, **more), time_us=at, seq=7).num_rows == int(seen), more
        assert relationship_edges(relations(row, **more)).num_rows == 1


def test_accounts_are_joined_by_what_they_paid() -> None:
    table = payments(
        ("a", "b", 0, 100), ("a", "c", 90, 30), ("a", "a", 90, 500), ("a", "b", 90, 50), ("a", "d", 90, None)
    )
    found = {by: payment_edges(table, by=by)["weight"].to_pylist() for by in ("amount", "count", "recency")}
    assert found == {"amount": [150.0, 30.0, 0.0], "count": [2.0, 1.0, 1.0], "recency": [1.5, 1.0, 1.0]}
    assert payment_edges(table, by="recent_amount")["weight"].to_pylist() == [100.0, 30.0, 0.0]
    assert payment_edges(table)["target"].to_pylist() == ["b", "c", "d"]
    assert payment_edges(table, by="recency", now_us=0)["weight"].to_pylist() == [2.0, 1.0, 1.0]
    rank = AntiTrustRank().fit(payment_edges(table), ["a"])
    assert rank.ranking()["node"].to_pylist() == ["b", "c"]
    assert payment_edges(table.slice(0, 0)).num_rows == 0
    for wrong in ({"by": "age"}, {"half_life_days": 0.0}):
        with pytest.raises(RefusedValueError):
            payment_edges(table, **wrong)  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd"), st.integers(0, 400)), max_size=20),
    st.integers(0, 400),
    st.floats(1.0, 200.0),
)
def test_rare_pairs_are_weighed_as_the_slow_twin_says(
    rows: list[tuple[str, str, int]], now: int, half_life: float
) -> None:
    table = payments(*((payer, payee, day, 7) for payer, payee, day in rows))
    given_now = {"now_us": now * DAY, "half_life_days": half_life}
    edges = payment_edges(table, by="rarity", **given_now).to_pylist()  # type: ignore[arg-type]
    expected = rare_pairs(rows, now, half_life)
    assert [(edge["source"], edge["target"]) for edge in edges] == list(expected)
    assert [edge["weight"] for edge in edges] == pytest.approx(list(expected.values()))
    twice = payment_edges(table, by="rarity", both_ways=True, **given_now)  # type: ignore[arg-type]
    back = [{**edge, "source": edge["target"], "target": edge["source"]} for edge in edges]
    assert twice.to_pylist() == edges + back


def test_a_mule_paid_once_is_nearer_than_the_landlord_and_a_payer_is_found_too() -> None:
    table = payments(
        *(("launderer", "landlord", 30 * month, 80_000) for month in range(12)),
        ("launderer", "mule", 350, 9_500),
        ("launderer", "old friend", 5, 9_500),
        ("payer", "launderer", 350, 9_500),
        ("stranger", "landlord", 350, 80_000),
    )
    rank = AntiTrustRank(beta=0.95).fit(payment_edges(table, by="rarity", both_ways=True), ["launderer"])
    ranked = rank.ranking()["node"].to_pylist()
    assert set(ranked[:2]) == {"mule", "payer"}
    assert ranked.index("old friend") < ranked.index("landlord")
    by_amount = AntiTrustRank().fit(payment_edges(table), ["launderer"]).ranking()["node"].to_pylist()
    assert by_amount == ["landlord", "mule", "old friend"]


def naive_links(
    sender: list[int], receiver: list[int], time: list[int], amount: list[int], window: int
) -> dict[tuple[int, int], float]:
    """Every pair of payments, one by one."""
    return {
        (i, j): min(amount[j], amount[i]) / amount[i]
        for i in range(len(sender))
        for j in range(i + 1, len(sender))
        if sender[j] == receiver[i] and time[i] <= time[j] <= time[i] + window and amount[i] > 0 and amount[j] > 0
    }


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 9), st.integers(0, 5)), max_size=25),
    st.integers(1, 6),
)
def test_links_of_payments_are_all_pairs_that_fit(rows: list[tuple[int, int, int, int]], window: int) -> None:
    sender, receiver, time, amount = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    found = payment_links(sender, receiver, np.array(time, np.int64), np.array(amount, np.int64), window_us=window)
    expected = naive_links(sender, receiver, time, amount, window)
    pairs = zip(found.source.tolist(), found.target.tolist(), strict=True)
    assert dict(zip(pairs, found.weight.tolist(), strict=True)) == pytest.approx(expected)
    for payment in range(len(rows)):
        carried = sum(share for (one, _), share in expected.items() if one == payment)
        assert found.kept[payment] == pytest.approx(max(1.0 - carried, 0.0) if amount[payment] else 0.0)
    few = payment_links(
        sender, receiver, np.array(time, np.int64), np.array(amount, np.int64), window_us=window, most=1
    )
    for payment in range(len(rows)):
        mine = sorted((time[j], j) for i, j in expected if i == payment)
        assert few.target[few.source == payment].tolist() == [j for _, j in mine[:1]]
        assert few.cut[payment] == (len(mine) > 1)


def test_the_legs_of_a_smurfing_case_rank_above_normal_payments() -> None:
    """50,000 to one account, on in legs below 10,000: to mules, and to more of them through a middleman, slowly.

    No account pays more than 10,000 in 14 days, so the textbook rule sees nothing but the payment that was flagged.
    """
    generator = np.random.default_rng(1)
    hour = 24.0 / 24
    rows: list[tuple[int, int, float, int, str]] = [(0, 1, 30.0, 50_000_00, "flagged")]
    rows += [(1, 10 + leg, 31 + 15 * leg, 9_000_00 + leg, "leg") for leg in range(3)]
    rows += [(1, 20, 31 + 15 * 3, 9_500_00, "to the middleman")]
    rows += [(20, 21 + leg, 78 + hour * leg, 4_500_00, "leg through the middleman") for leg in range(2)]
    for _ in range(400):
        one, two = generator.choice(np.arange(30, 80), 2, replace=False)
        rows.append(
            (int(one), int(two), float(generator.random() * 90), int(generator.integers(10_00, 9_000_00)), "normal")
        )
    for leg in range(3):  # the mules live, too
        rows.append((10 + leg, 40 + leg, 88.0, 300_00, "normal"))
    rows.sort(key=lambda row: row[2])
    sender, receiver, day, amount, kind = (np.array(column) for column in zip(*rows, strict=True))
    time = (day * DAY).astype(np.int64)

    def rule_of_14_days() -> set[str]:
        """More than 10,000 in 14 days."""
        hit = set()
        for place in range(len(rows)):
            past = (sender == sender[place]) & (time > time[place] - 14 * DAY) & (time <= time[place])
            if amount[past & (np.arange(len(rows)) <= place)].sum() > 10_000_00:
                hit.add(str(kind[place]))
        return hit - {"normal"}

    assert rule_of_14_days() == {"flagged"}
    links = payment_links(sender, receiver, time, amount, window_us=60 * DAY)
    scores = payment_scores(links, np.flatnonzero(kind == "flagged"), tol=1e-12)
    dirty = np.isin(kind, ["leg", "to the middleman", "leg through the middleman"])
    assert scores.additive[dirty].min() > scores.additive[kind == "normal"].max()
    assert scores.suspects(6).tolist() == sorted(
        np.flatnonzero(dirty).tolist(), key=lambda place: (-scores.additive[place], place)
    )
    assert scores.passes == 0


def test_what_cannot_be_linked_is_refused() -> None:
    one = np.array([1])
    for wrong in (
        {"sender": [0, 1]},
        {"sender": [-1]},
        {"window_us": 0},
        {"most": 0},
    ):
        given_ = {"sender": [0], "receiver": [1], "time": one, "amount": one, **wrong}
        with pytest.raises(RefusedValueError):
            payment_links(**given_)  # type: ignore[arg-type]
