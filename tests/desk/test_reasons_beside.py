"""Peers, citations, rules and paths beside the reasons: against sorting and counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.evidence import Around
from greywater.desk.peers import LEAST_PEERS, LEVELS, PeerGroups, Standing, standing_words
from greywater.desk.reasons import Reason
from greywater.desk.reasons_beside import (
    PathStep,
    RuleHit,
    SeedPath,
    rule_reason,
    seed_reason,
    with_payments,
    with_peers,
)
from greywater.desk.recorded import Recorded
from greywater.errors import DetectorError, StoreDamagedError
from greywater.features.feature import Feature
from tests.desk.proofs import proof_of, ring

NAMES = ["sender.out.count.1d", "receiver.in.sum.1d", "payment.amount"]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(-1, 31))
def test_a_standing_never_says_more_than_is_so(values: list[int], value: int) -> None:
    rows = np.array(values, np.float64)[:, None]
    groups = PeerGroups.of(NAMES[:1], {"sender": (rows, [""] * len(values))})
    found = groups.standing(NAMES[0], float(value), "sender", "")
    assert found is not None
    assert found.more_than <= np.mean(rows < value) + 0.5 / len(values) + 1e-9
    assert found.less_than <= np.mean(rows > value) + 0.5 / len(values) + 1e-9
    assert found.median in values
    assert found.peers == len(values)


def test_small_segments_and_other_roles_are_compared_with_everybody() -> None:
    rows = np.arange(3.0 * 120).reshape(120, 3)
    segments = ["retail"] * LEAST_PEERS + ["rare"] * (LEAST_PEERS - 1) + [""] * (121 - 2 * LEAST_PEERS)
    groups = PeerGroups.of(NAMES, {"sender": (rows, segments), "receiver": (rows[:40], ["retail"] * 40)})
    assert groups.groups == (("sender", ""), ("sender", "retail"), ("receiver", ""), ("receiver", "retail"))
    own, rare = (groups.standing(NAMES[0], 60.0, "sender", each) for each in ("retail", "rare"))
    assert own is not None
    assert rare is not None
    assert (own.segment, own.peers) == ("retail", LEAST_PEERS)
    assert (rare.segment, rare.peers) == ("", 120)
    amount = groups.standing(NAMES[2], 5.0, "receiver", "retail")
    assert amount is not None
    assert amount.peers == 40
    assert groups.standing(NAMES[0], float("nan"), "sender", "") is None
    assert groups.standing("unknown", 1.0, "sender", "") is None


def test_columns_that_no_peer_has_say_nothing_and_medians_follow_the_roles() -> None:
    rows = np.column_stack([np.arange(50.0), np.full(50, np.nan), np.arange(50.0)])
    groups = PeerGroups.of(NAMES, {"sender": (rows, ["a"] * 50), "receiver": (rows + 100, ["b"] * 50)})
    assert groups.standing(NAMES[1], 1.0, "sender", "a") is None
    medians = groups.medians("receiver", {"sender": "a", "receiver": "b"})
    assert medians[0] < 50
    assert np.isnan(medians[1])
    assert medians[2] > 100


def test_groups_are_read_as_they_were_written_and_damage_is_refused() -> None:
    groups = PeerGroups.of(NAMES, {"sender": (np.random.default_rng(0).normal(size=(40, 3)), ["é|x"] * 40)})
    again = PeerGroups.from_bytes(groups.to_bytes())
    assert (again.names, again.groups, again.peers) == (groups.names, groups.groups, groups.peers)
    assert np.array_equal(again.quantiles, groups.quantiles)
    with pytest.raises(StoreDamagedError):
        PeerGroups.from_bytes(b"nothing")
    with pytest.raises(DetectorError):
        PeerGroups(NAMES, [("sender", "")], [1], np.zeros((1, 2, len(LEVELS))))
    empty = PeerGroups.from_bytes(PeerGroups.of(NAMES, {}).to_bytes())
    assert empty.standing(NAMES[0], 1.0, "sender", "") is None


def test_standings_in_words() -> None:
    money = Feature("x", "sender", "float64", "minor units", "total it sent.", "window")
    low = Standing("firms", 1_200, 500.0, 90_000.0, 0.0, 0.9)
    assert standing_words(low, money, "x", "USD") == (
        "total it sent is 5.00 USD, less than 90% of its 1,200 peers (firms), whose median is 900.00 USD"
    )
    usual = Standing("", 30, 2.0, 2.0, 0.0, 0.0)
    assert "as usual among its 30 peers, whose median is 2" in standing_words(usual, None, "x", "")


def test_a_reason_tells_its_most_telling_column_and_flags_nothing_else() -> None:
    rows = np.tile(np.arange(100.0)[:, None], (1, 3))
    groups = PeerGroups.of(NAMES, {"sender": (rows, [""] * 100), "receiver": (rows, [""] * 100)})
    flag = Feature(NAMES[0], "sender", "int64", "flag", "flag", "window")
    reasons = [
        Reason("r1", "flow", (NAMES[1], NAMES[0]), (60.0, 99.5), 1.0),
        Reason("r2", "flow", (NAMES[1],), (50.0,), 0.5),
        Reason("r3", "flow", (NAMES[0],), (None,), 0.5),
    ]
    told = with_peers(reasons, groups, {"sender": "", "receiver": ""}, "sender", {}, "USD")
    assert told[0].peers.startswith("sender.out.count.1d is")
    assert told[1].peers == told[2].peers == ""
    flagged = with_peers(reasons, groups, {}, "sender", {NAMES[0]: flag}, "USD")
    assert flagged[0].peers == ""
    assert [reason.text for reason in told] == ["r1", "r2", "r3"]


def payments() -> pa.Table:
    times = [0, 3_600, 7_200, 10_800, 90_000]
    return pa.table(
        {
            "tx_id": [f"t{place}" for place in range(5)],
            "seq": [0, 1, 2, 3, 4],
            "event_time": pa.array([second * 1_000_000 for second in times], pa.timestamp("us", tz="UTC")),
            "sender": ["A", "A", "C", "A", "A"],
            "receiver": ["B", "C", "A", "D", "E"],
            "amount": [1] * 5, "currency": ["USD"] * 5, "base_amount": [1] * 5, "channel": ["wire"] * 5,
        }
    )  # fmt: skip


def test_reasons_cite_the_payments_they_speak_of_and_never_later_ones() -> None:
    out = Reason("sent", "flow", (), (), 1.0, window=86_400, role="sender", direction="out")
    came = Reason("got", "flow", (), (), 1.0, window=86_400, role="sender", direction="in")
    how = Reason("paid by wire", "how", (), (), 1.0)
    told = with_payments([out, came, how], Around(Recorded(payments()), 3), most=2)
    assert [(reason.payments, reason.more_payments) for reason in told] == [
        (("t3", "t1"), 1),
        (("t2",), 0),
        (("t3",), 0),
    ]
    assert told[0].cited == "sent [t3, t1 and 1 more]"


def test_a_reason_behind_which_a_pattern_stands_cites_its_payments() -> None:
    proof = replace(proof_of(ring(1_000, 900), "temporal_cycle"), reasons=(1,))
    reasons = [Reason("closes a ring", "temporal_cycle", (), (), 1.0), Reason("and again", "chain", (), (), 0.5)]
    told = with_payments(reasons, Around(Recorded(payments()), 3), proofs=[proof])
    assert told[0].payments == ("t3",)
    assert told[1].payments == tuple(each.row.tx_id for each in proof.formed[0].payments)[:5]
    assert len(told[1].payments) > 1


def test_rules_and_paths_are_reasons_too() -> None:
    hit = rule_reason(RuleHit("R1", "Many senders", {"n": 14.0}, 3.0, tuple(f"t{i}" for i in range(8))))
    assert hit.text == "rule R1 hit: Many senders (n = 14)"
    assert (len(hit.payments), hit.more_payments, hit.contribution, hit.theme) == (5, 3, 3.0, "rule")
    path = seed_reason(SeedPath("S", (PathStep("S", "A", "t9"),)))
    assert path.text == "1 step from the confirmed launderer S: S to A (t9)"
    assert path.payments == ("t9",)
