"""Guilt by association as a detector: one row has the bits of many, and columns that are missing are said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.association import COLUMNS, Association
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.rule_part import RulePart
from greywater.detectors.rules.rule_set import RuleSet
from greywater.errors import DetectorError
from greywater.features.relations import FOREVER, AccountFact, RelationJoin, Seen
from greywater.features.trust import AntiTrustRank
from greywater.stores.blocks import TableRows

VALUE = st.one_of(st.floats(0, 3), st.just(float("nan")), st.just(float("inf")), st.just(float("-inf")))


def rows_of(pairs: list[tuple[float, float]]) -> TableRows:
    sender, receiver = (np.array(column) for column in zip(*pairs, strict=True))
    return TableRows(pa.table({"other": np.zeros(len(pairs)), COLUMNS[0]: sender, COLUMNS[1]: receiver}))


@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=20))
def test_one_row_has_the_bits_of_many(pairs: list[tuple[float, float]]) -> None:
    rows = rows_of(pairs)
    detector = Association().fit(rows_of([(0.0, 0.5), (0.1, 0.0)]))
    scores = detector.score(rows)
    assert np.isfinite(scores).all()
    one = [detector.score_row(np.array([0.0, *pair])) for pair in pairs]
    assert one == scores.tolist()


def test_the_more_suspicious_party_counts_and_explains() -> None:
    detector = Association().fit(rows_of([(0.0, 0.5), (0.1, 0.0)]))
    rows = rows_of([(0.2, 0.7), (float("nan"), 0.1), (float("nan"), float("nan"))])
    assert detector.score(rows).tolist() == [0.7, 0.1, 0.0]
    assert detector.explain(rows).tolist()[0] == [0.0, 0.0, 0.7, 0.0]


def test_without_suspicion_it_says_what_to_record() -> None:
    with pytest.raises(DetectorError, match=r"lacks the columns sender\.suspicion"):
        Association().fit(TableRows(pa.table({"other": [1.0]})))


@pytest.mark.parametrize(("confirmed", "sought", "seen_by"), [("B", "A", "rules"), ("A", "B", "trust")])
def test_the_hybrid_finds_whom_the_rule_misses_and_whom_the_rank_misses(
    confirmed: str, sought: str, seen_by: str
) -> None:
    """A names B as related person. B confirmed: the shipped rule hits A. A confirmed: the rank finds B."""
    names = ["A", "B", *(f"c{k}" for k in range(200))]
    ever = Seen(-1, -1, FOREVER)
    relations = RelationJoin([AccountFact("A", "B", True, ever)] if confirmed == "B" else [], [])
    rank = AntiTrustRank().fit((["A"], ["B"]), [confirmed])
    suspicion = dict(zip(rank.ranking()["node"].to_pylist(), rank.ranking()["score"].to_pylist(), strict=True))
    payments = pa.record_batch(
        {
            "seq": np.arange(len(names)), "event_time": pa.array(range(len(names)), pa.timestamp("us", tz="UTC")),
            "sender": names, "receiver": ["shop"] * len(names),
        }
    )  # fmt: skip
    columns = dict(zip(relations.names, relations.columns(payments), strict=True))
    columns |= {COLUMNS[0]: [suspicion.get(name, 0.0) for name in names], COLUMNS[1]: [0.0] * len(names)}
    rows = TableRows(pa.table(columns))
    parts = {"rules": RulePart(RuleSet.load().only(["has-related-launderer"])), "trust": Association()}
    hybrid = Hybrid(parts).fit(rows)
    found = {name: names[int(np.argmax(part.score(rows)))] for name, part in hybrid.parts.items() if
             np.ptp(part.score(rows)) > 0}  # fmt: skip
    assert found == {seen_by: sought}
    assert names[int(np.argmax(hybrid.score(rows)))] == sought
    assert int((hybrid.score(rows) == hybrid.score(rows).max()).sum()) == 1
