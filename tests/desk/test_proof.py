"""Patterns in words: one sentence each, payments with their parts, nothing said that was not found."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from greywater.desk.proof import MOST_SHOWN, TITLES, Proof
from greywater.features.graph_evidence import PATTERNS_WITH_EVIDENCE
from tests.desk.proofs import proof_of, ring, scatter_gather
from tests.naive_graph import Payment

MINUTE = 60_000_000


def said(proof: Proof) -> tuple[str, str]:
    return proof.text, proof.formed[0].text


def test_every_pattern_has_a_title() -> None:
    assert set(TITLES) == set(PATTERNS_WITH_EVIDENCE)


def test_cycles() -> None:
    assert said(proof_of(ring(1_000, 900, 800), "temporal_cycle")) == (
        "1 cycle in time order in 1 h",
        "3 payments lead from a back to it within 2 minutes; 80 % of the amount comes round",
    )
    assert said(proof_of(ring(1_000, None, 800), "temporal_cycle"))[1] == (
        "3 payments lead from a back to it within 2 minutes"
    )
    payments = ring(1_000, 900, 800)
    backward = [Payment(-payment.time, payment.sender, payment.receiver, payment.amount) for payment in payments[:2]]
    assert said(proof_of([*backward, payments[2]], "simple_cycle")) == (
        "1 cycle, in any order in 1 h",
        "3 accounts pay each other in a ring with a, all within 3 minutes; the smallest payment is 80 % of the largest",
    )


def test_where_only_the_shortest_were_looked_for_their_length_is_said() -> None:
    payments = [*ring(1_000, 900, 800)[:2], Payment(90_000_000, "a", "d", 5), Payment(91_000_000, "d", "c", 5)]
    payments.append(ring(1_000, 900, 800)[2])
    assert proof_of(payments, "temporal_cycle", longest=3).text == "2 cycles in time order, of 3 payments each, in 1 h"
    assert proof_of(payments, "temporal_cycle", longest=4).text == "2 cycles in time order in 1 h"
    assert proof_of(payments, "temporal_cycle", limit=1).text == "2 cycles in time order in 1 h, the best one shown"
    assert proof_of(ring(5, 5), "temporal_cycle", longest=2).text == "1 cycle in time order, of 2 payments, in 1 h"


def test_scatter_gather() -> None:
    assert said(proof_of(scatter_gather(4), "scatter_gather")) == (
        "1 scatter-gather in 1 h",
        "source reaches sink through 4 middlemen, each paid before paying, within 30 minutes",
    )
    late = [Payment(2_000_000_000, payment.sender, payment.receiver, 1) for payment in scatter_gather(3)[:1]]
    first_leg = [*scatter_gather(3)[1:], *late]
    assert said(proof_of(first_leg, "scatter_gather"))[1] == (
        "source reaches sink through 3 middlemen, 2 of them paid before paying, within 33 minutes"
    )


def test_gather_scatter() -> None:
    into = [Payment(k * MINUTE, f"in{k}", "hub", 1_000) for k in range(3)]
    out = [Payment((10 + k) * MINUTE, "hub", f"out{k}", 1_400) for k in range(2)]
    assert said(proof_of([*into, *out], "gather_scatter")) == (
        "1 gather-scatter in 1 h",
        "hub was paid by 3 accounts and paid 2 accounts within 11 minutes; 7 % of what came in stayed",
    )
    out = [Payment((10 + k) * MINUTE, "hub", f"out{k}", 2_400) for k in range(2)]
    assert said(proof_of([*into, *out], "gather_scatter"))[1].endswith("; more went out than came in")
    unknown = [Payment(each.time, each.sender, each.receiver, None) for each in (*into, *out)]
    assert said(proof_of(unknown, "gather_scatter"))[1].endswith("within 11 minutes")


@pytest.mark.parametrize(
    ("amounts", "end"),
    [
        ((1_000, 950, 900), "; 10 % stayed on the way"),
        ((1_000, 1_050, 1_100), "; 10 % was added on the way"),
        ((1_000, 1_000, 1_000), ", all of it"),
    ],
)
def test_chains(amounts: tuple[int, ...], end: str) -> None:
    payments = [Payment(k * MINUTE, "abcd"[k], "abcd"[k + 1], amount) for k, amount in enumerate(amounts)]
    assert said(proof_of(payments, "chain")) == (
        "1 chain of payments in 1 h",
        "Passed on from a in 3 payments within 2 minutes" + end,
    )


def test_blocks_and_fans() -> None:
    payments = [Payment(k * MINUTE, *pair, 5) for k, pair in enumerate(["sv", "sd", "ud", "uv"])]  # type: ignore[call-arg, misc]
    assert said(proof_of(payments, "bipartite")) == ("1 2x2 block in 1 h", "u and s each paid v and d within 3 minutes")
    fans = proof_of(payments, "fan")
    assert [formed.text for formed in fans.formed] == [
        "u paid 2 accounts in 2 payments",
        "v was paid by 2 accounts in 2 payments",
    ]
    assert proof_of(payments, "fan_new").formed[0].text.endswith("all new since the window before")


def test_nothing_found_and_a_cut_search_are_said() -> None:
    nothing = proof_of([Payment(0, "a", "b", 1)], "temporal_cycle")
    assert (nothing.text, nothing.formed, nothing.seqs) == ("No cycles in time order in 1 h", (), ())
    cut = proof_of(scatter_gather(6), "scatter_gather", visits=9)
    assert cut.capped
    assert cut.text.startswith("At least 1 scatter-gather")


def test_the_payments_shown_are_bounded_and_what_is_left_out_is_counted() -> None:
    (formed,) = proof_of(scatter_gather(20), "scatter_gather").formed
    assert (len(formed.payments), formed.left_out) == (MOST_SHOWN, 40 - MOST_SHOWN)
    named = {party for each in formed.payments for party in (each.row.sender, each.row.receiver)}
    assert {account for account, _ in formed.accounts} == named


def test_the_payload_is_json_and_the_short_form_names_the_payments() -> None:
    proof = proof_of(ring(1_000, None, 800), "temporal_cycle")
    payload = proof.payload()
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    assert set(payload) == set(Proof.__dataclass_fields__)
    assert payload["reasons"] == [0, 2]
    assert payload["formed"][0]["measures"]["share"] is None
    assert proof.to_json() == {
        "pattern": "temporal_cycle", "window": 3_600, "found": 1, "text": "1 cycle in time order in 1 h",
        "payments": [
            {"role": "hop 1", "tx_id": "t0"},
            {"role": "hop 2", "tx_id": "t1"},
            {"role": "closing payment", "tx_id": "t2"},
        ],
    }  # fmt: skip
    rows = [each.row for each in proof.formed[0].payments]
    assert all(a.receiver == b.sender for a, b in pairwise(rows))
    assert proof.seqs == (0, 1, 2)
