"""GraphFeatures.evidence: by id or by place, in names or numbers, the same for a live stream as for its payments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from greywater.errors import EngineError, RefusedTypeError, RefusedValueError, UsageError
from greywater.features.evidence import Evidence
from greywater.features.transformer import GraphFeatures
from tests.features.evidence_views import evidence_of_last, unlike_columns
from tests.features.graph_payments import plan_of, random_graph

RING = [(0, "a", "b", 50.0), (60, "b", "c", 50.0), (120, "c", "a", 40.0)]


def rings(**more: Any) -> GraphFeatures:
    return GraphFeatures(patterns=["temporal_cycle"], temporal_cycle_windows="1h", **more)


def told(evidence: Evidence) -> list[tuple[Any, Any, Any]]:
    return [(each.tx_id, each.sender, each.number) for each in evidence.instances[0].payments]


def test_accounts_have_their_names_and_ids_that_are_numbers_come_back() -> None:
    features = rings(id_column=4)
    for number, row in enumerate(RING):
        features.push((*row, 100 + number))
    evidence = features.evidence(102, "temporal_cycle")
    assert told(evidence) == [(100, "a", 0), (101, "b", 1), (102, "c", 2)]
    assert (evidence.tx_id, evidence.number, evidence.window) == (102, 2, 3_600)
    assert features.evidence(np.int64(102), "temporal_cycle", "1h") == evidence


def test_of_ids_that_are_text_only_the_asked_one_is_known() -> None:
    features = rings(id_column=4)
    for number, row in enumerate(RING):
        features.push((*row, f"t{number}"))
    assert told(features.evidence("t2", "temporal_cycle", 3_600)) == [(None, "a", 0), (None, "b", 1), ("t2", "c", 2)]


def test_without_ids_the_place_names_a_payment() -> None:
    features = rings()
    features.fit(np.array([[0, 7, 2**40, 50.0], [60, 2**40, -3, 50.0], [120, -3, 7, 40.0]]))
    assert told(features.evidence(2, "temporal_cycle")) == [(None, 7, 0), (None, 2**40, 1), (None, -3, 2)]


def test_a_repeated_id_is_its_first_payment() -> None:
    features = rings(id_column=4)
    for row, number in zip([*RING, RING[0], (130, "x", "y", 1.0)], (1, 2, 3, 1, 9), strict=True):
        features.push((*row, number))
    assert told(features.evidence(3, "temporal_cycle")) == [(1, "a", 0), (2, "b", 1), (3, "c", 2)]
    assert features.evidence(9, "temporal_cycle").number == 3


def test_who_is_not_there_is_said() -> None:
    features = rings(id_column=4, allowed_lateness=0)
    for number, row in enumerate(RING):
        features.push((*row, f"t{number}"))
    with pytest.raises(RefusedValueError, match="no payment of id 'nobody'"):
        features.evidence("nobody", "temporal_cycle")
    with pytest.raises(RefusedTypeError, match="ids are text"):
        features.evidence(2, "temporal_cycle")
    with pytest.raises(UsageError, match="chain"):
        features.evidence("t2", "chain")
    with pytest.raises(UsageError, match="1h"):
        features.evidence("t2", "temporal_cycle", "2h")
    features.push((9_999, "p", "q", 1.0, "late"))
    with pytest.raises(EngineError, match="is not held"):
        features.evidence("t2", "temporal_cycle")
    with pytest.raises(RefusedTypeError, match="how many were taken in"):
        rings().fit(np.array([[0, 7, 8, 1.0]])).evidence("t0", "temporal_cycle")
    with pytest.raises(RefusedValueError, match="64 bits"):
        rings(id_column=4).fit(np.array([[0, 7, 8, 1.0, 3]])).evidence(2**70, "temporal_cycle")


def test_the_evidence_has_the_values_that_were_given_out() -> None:
    payments = random_graph(6, 70, 8, follow=0.6, late_share=0.0)
    features = GraphFeatures(patterns=["chain", "temporal_cycle"], time_unit="us", amount_decimals=0,
                             chain_windows="1h", temporal_cycle_windows="1h", max_length=5,
                             unknown_amounts="keep")  # fmt: skip
    told_of = 0
    for k, payment in enumerate(payments):
        values = features.push((payment.time, payment.sender, payment.receiver, payment.amount))
        names = features.get_feature_names_out()
        columns = {name: np.full(k + 1, value) for name, value in zip(names, values.tolist(), strict=True)}
        if payment.sender == payment.receiver:
            continue
        for pattern in ("chain", "temporal_cycle"):
            evidence = features.evidence(k, pattern, limit=1_000)
            assert unlike_columns(evidence, columns) == []
            whole = evidence_of_last(payments[: k + 1], plan_of(pattern), pattern, 3_600, limit=1_000)
            told_of += evidence.found
            assert repr([i.measures for i in evidence.instances]) == repr([i.measures for i in whole.instances])
    assert told_of > 40


def test_a_restored_stream_says_the_same() -> None:
    features = rings(id_column=4)
    for number, row in enumerate(RING):
        features.push((*row, number))
    again = rings(id_column=4).restore(features.snapshot())
    assert again.evidence(2, "temporal_cycle") == features.evidence(2, "temporal_cycle")
