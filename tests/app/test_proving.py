"""Patterns behind alerts: found in what the payment saw, few, once a payment, and none without the graph."""

from __future__ import annotations

import numpy as np
import pytest

from greywater.app.proving import Prover, best_seqs, in_words, shown_seqs
from greywater.config import Settings
from greywater.desk.evidence import evidence_rows
from greywater.desk.reasons import Reason
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.stores.memory import MemoryLedger
from greywater.vocab import Float64Array
from tests.naive_graph import Payment
from tests.pipeline.test_look_back import ledger_of

HOUR = 3_600 * 10**6
SETTINGS = Settings(windows=(86_400,), day_windows=())
SET = payments_v2(SETTINGS, 1)
#: A ring of four, a scatter-gather of three, a payment of nobody in particular.
PAYMENTS = [
    Payment(0, "a", "b", 1_000), Payment(HOUR, "b", "c", 990), Payment(2 * HOUR, "x", "y", 7),
    Payment(3 * HOUR, "c", "d", 985), Payment(4 * HOUR, "d", "a", 980),
    *(Payment((5 + k) * HOUR, "s", f"m{k}", 500) for k in range(3)),
    *(Payment((9 + k) * HOUR, f"m{k}", "t", 490) for k in range(3)),
]  # fmt: skip


def values_of(ledger: MemoryLedger, features: FeatureSet) -> Float64Array:
    """Feature rows of all payments."""
    engine = Engine(features, threads=1)
    blocks = [engine.process(batch).columns for batch in ledger.scan()]
    return np.concatenate([np.column_stack([np.asarray(c, np.float64) for c in block.columns]) for block in blocks])


@pytest.fixture(scope="module")
def ledger() -> MemoryLedger:
    return ledger_of(PAYMENTS)


def test_a_ring_is_found_with_its_payments_and_put_in_words(ledger: MemoryLedger) -> None:
    values = values_of(ledger, SET)
    prover = Prover(ledger, SET, np.array([4, 10]))
    reasons = (
        Reason("new", "history", ("pair.is_new",), (1.0,), 2.0),
        Reason("on", "x", ("chain.lag.3d",), (1.0,), 1.0),
    )
    findings = prover.find(4, values[4], reasons)
    assert [(evidence.pattern, resting) for evidence, resting in findings] == [("chain", (1,)), ("temporal_cycle", ())]
    assert best_seqs(findings) == [1, 3, 4, 0]
    rows = evidence_rows(ledger.take(np.array(shown_seqs(findings))), -1)
    chain, ring = in_words(findings, rows, 4)
    assert ring.text == "1 cycle in time order, of 4 payments, in 24 h"
    assert [each.row.raising for each in ring.formed[0].payments] == [False, False, False, True]
    assert (chain.reasons, ring.reasons) == ((1,), ())
    assert chain.formed[0].text == "Passed on from b in 3 payments within 3 h; 1 % stayed on the way"


def test_a_scatter_gather_is_found_at_its_last_leg_only(ledger: MemoryLedger) -> None:
    values = values_of(ledger, SET)
    prover = Prover(ledger, SET, np.array([2, 10]))
    assert prover.find(2, values[2], ()) == []
    ((evidence, _),) = prover.find(10, values[10], ())
    assert (evidence.pattern, evidence.window) == ("scatter_gather", 6 * 3_600)
    assert evidence.columns["scatter_gather.any.largest.6h"] == 2


def test_the_ledger_is_read_once_and_not_at_all_where_nothing_is_there(
    ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans: list[int] = []
    scan = ledger.scan
    monkeypatch.setattr(ledger, "scan", lambda *a, **more: (scans.append(1), scan(*a, **more))[1])
    values = values_of(ledger, SET)
    scans.clear()
    prover = Prover(ledger, SET, np.array([2, 4, 10]))
    assert prover.find(2, values[2], ()) == []
    assert scans == []
    first = prover.find(4, values[4], ())
    assert prover.find(4, values[4], ()) is first
    prover.find(10, values[10], ())
    assert len(scans) == 2


def test_without_the_graph_nothing_is_looked_for(ledger: MemoryLedger) -> None:
    features = payments_v1(SETTINGS, 1)
    prover = Prover(ledger, features, np.array([4]))
    assert prover.find(4, values_of(ledger, features)[4], ()) == []
