"""Which patterns an alert shows: those its reasons rest on, then those that tell most, and only what is there."""

from __future__ import annotations

from greywater.desk.proof_choice import MOST_PROOFS, PatternChoice
from greywater.desk.reasons import Reason
from tests.features.graph_payments import plan_of

PLAN = plan_of()
FEATURES = PLAN.features
NAMES = [feature.name for feature in FEATURES]
CHOICE = PatternChoice(FEATURES, PLAN)


def reason(*names: str) -> Reason:
    return Reason("said", "theme", names, tuple(1.0 for _ in names), 1.0)


def chosen(values: dict[str, float], *reasons: Reason) -> list[tuple[str, int, tuple[int, ...]]]:
    row = [values.pop(name, float("nan") if "share" in name else 0.0) for name in NAMES]
    assert not values
    return [(each.part.pattern, each.part.windows[0], each.reasons) for each in CHOICE.choose(row, reasons)]


def test_nothing_is_shown_where_the_columns_say_that_there_is_nothing() -> None:
    assert chosen({}, reason("temporal_cycle.shortest.1h", "chain.hops.1h")) == []
    assert chosen({"temporal_cycle.truncated.1h": 1, "chain.hops.1h": 1, "chain.lag.1h": 5.0}) == []


def test_a_reason_brings_its_pattern_over_its_window() -> None:
    there = {"scatter_gather.any.pairs.1m": 1, "scatter_gather.any.pairs.1h": 2, "bipartite.blocks.1h": 1}
    told = [reason("sender.out.degree.1h"), reason("bipartite.blocks.1m"), reason("scatter_gather.ordered.pairs.1h")]
    assert chosen(there, *told) == [("bipartite", 3_600, (1,)), ("scatter_gather", 3_600, (2,))]


def test_a_float_column_brings_its_pattern_too_and_reasons_are_counted_once() -> None:
    there = {"chain.hops.1h": 3, "chain.leak.1h": 0.1}
    assert chosen(there, reason("chain.leak.1h", "chain.hops.1h"), reason("chain.lag.1h")) == [("chain", 3_600, (0, 1))]


def test_unasked_only_what_tells_much_over_the_shortest_window() -> None:
    there = {"temporal_cycle.length_3.1m": 1, "temporal_cycle.length_3.1h": 1, "simple_cycle.length_3.1m": 1}
    there |= {"bipartite.blocks.1h": 4, "gather_scatter.sender.senders.1h": 5, "chain.hops.1h": 3}
    assert chosen(there) == [("temporal_cycle", 60, ())]
    assert chosen({"simple_cycle.length_3.1h": 1, "chain.hops.1h": 4}) == [
        ("simple_cycle", 3_600, ()),
        ("chain", 3_600, ()),
    ]


def test_there_are_never_more_than_a_few() -> None:
    there = {"temporal_cycle.length_3.1h": 1, "scatter_gather.any.pairs.1h": 1, "chain.hops.1h": 9}
    there |= {"bipartite.blocks.1h": 1, "gather_scatter.sender.senders.1h": 5}
    told = [reason("gather_scatter.sender.kept.1h"), reason("bipartite.blocks.1h")]
    found = chosen(there, *told)
    assert [pattern for pattern, *_ in found] == ["gather_scatter", "bipartite", "temporal_cycle"]
    assert len(found) == MOST_PROOFS


def test_cycles_are_searched_up_to_the_shortest_that_there_is() -> None:
    row = [{"temporal_cycle.length_4.1h": 2.0, "temporal_cycle.length_5.1h": 7.0}.get(name, 0.0) for name in NAMES]
    (wanted,) = CHOICE.choose(row, ())
    assert wanted.part.max_length == 4
    row = [{"temporal_cycle.shortest.1h": 3.0}.get(name, 0.0) for name in NAMES]
    assert CHOICE.choose(row, ())[0].part.max_length == 5


def test_the_look_back_is_that_of_what_is_shown() -> None:
    assert CHOICE.look_back == 3_600
    assert PatternChoice(FEATURES, plan_of("fan")).look_back == 0
