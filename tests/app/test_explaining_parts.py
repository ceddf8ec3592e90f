"""What stands beside an explanation: rules that hit with their values, paths to launderers known then; experiments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.app.parties import Parties, Seed
from greywater.app.peer_groups import Segments
from greywater.app.rule_hits import packaged_rules, rule_hits
from greywater.app.seed_paths import seed_paths
from greywater.config import Settings
from greywater.desk.reasons_beside import rule_reason, seed_reason
from greywater.features.catalog import payments_v1
from greywater.vocab import RELATIONSHIP_SCHEMA

DAY = 86_400_000_000
SEQ, NOW = 100, 50 * DAY


@dataclass
class Tables:
    """Tables in memory, for reading alone."""

    held: dict[str, pa.Table] = field(default_factory=dict)

    def read(self, name: str, columns: Any = None) -> pa.Table | None:
        table = self.held.get(name)
        return table if table is None or columns is None else table.select(columns)


def parties(seeds: dict[str, Seed]) -> Parties:
    customer_of = {f"{name}1": name for name in "ABCDS"}
    return Parties(customer_of, {name: (account,) for account, name in customer_of.items()}, seeds, 5)


def relations(*rows: tuple[str, str, str, int, int | None]) -> Tables:
    moment = pa.timestamp("us", tz="UTC")
    columns = {
        "from_customer": [row[0] for row in rows],
        "to_customer": [row[1] for row in rows],
        "kind": [row[2] for row in rows],
        "share": pa.array([None] * len(rows), pa.float64()),
        "valid_from": pa.nulls(len(rows), moment),
        "valid_to": pa.array([row[4] for row in rows], moment),
        "known_since": pa.array([0] * len(rows), moment),
        "after_seq": [row[3] for row in rows],
    }
    return Tables({"relationships": pa.table(columns, schema=RELATIONSHIP_SCHEMA)})


def payments(*rows: tuple[str, str, str]) -> pa.Table:
    names = ("tx_id", "sender", "receiver")
    return pa.table({name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)})


KNOWN = {"S1": Seed(DAY, 3)}


def test_a_path_over_a_relation_and_a_payment_names_both() -> None:
    tables = relations(("S", "B", "director", 5, None))
    (path,) = seed_paths(tables, parties(KNOWN), payments(("t9", "A1", "B1")), "A", SEQ, NOW)
    assert seed_reason(path).text.startswith("2 steps from the confirmed launderer S: S to B (director), B to A (t9)")
    assert path.share == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("tables", "seeds"),
    [
        (relations(("S", "A", "partner", SEQ, None)), KNOWN),
        (relations(("S", "A", "partner", 5, 49 * DAY)), KNOWN),
        (relations(("S", "A", "partner", 5, None)), {"S1": Seed(51 * DAY, 3)}),
        (relations(("S", "A", "partner", 5, None)), {"S1": Seed(DAY, SEQ)}),
        (relations(("S", "A", "partner", 5, None)), {}),
        (relations(("S", "A", "partner", 5, None)), KNOWN | {"A1": Seed(DAY, 3)}),
        (relations(("S", "B", "partner", 5, None)), KNOWN),
        (Tables(), KNOWN),
    ],
    ids=["recorded later", "over", "known later", "seed recorded later", "no seed", "itself", "not linked", "nothing"],
)
def test_what_the_payment_did_not_see_leads_nowhere(tables: Tables, seeds: dict[str, Seed]) -> None:
    assert seed_paths(tables, parties(seeds), payments(), "A", SEQ, NOW) == []


def test_a_rule_tells_the_values_it_was_judged_on() -> None:
    rules = packaged_rules("USD").only(["burst"])
    features = payments_v1(Settings(), resolution_us=1)
    names = [name for name in features.names if name in rules.columns]
    assert len(names) == len(rules.columns)
    quiet, busy = dict.fromkeys(names, 0.0), dict.fromkeys(names, 1e9)
    table = pa.Table.from_pylist([quiet, busy])
    none, hits = rule_hits(rules, table, features)
    assert none == []
    assert [hit.rule for hit in hits] == ["burst"]
    reason = rule_reason(hits[0])
    assert reason.text.startswith("rule burst hit: Many payments within hours (")
    assert set(reason.features) == set(names)


def test_without_segments_everybody_is_a_peer() -> None:
    segments = Segments.open(Tables(), parties({}))  # type: ignore[arg-type]
    assert segments.at(np.array([1]), np.array([1]), ["A1"]) == [""]
    kinds = Tables({"parties": pa.table({"customer": ["A", "B"], "kind": ["person", None]})})
    told = Segments.open(kinds, parties({})).at(np.zeros(3, np.int64), np.zeros(3, np.int64), ["A1", "B1", "x"])  # type: ignore[arg-type]
    assert told == ["person", "", ""]
