"""Back-tests and thresholds: counted by hand, equal to an obvious twin, the same draw for anybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.detectors.bootstrap import wilson
from greywater.detectors.rules.back_test import ANY, DAY_US, BackTest, History, HitLog, back_test
from greywater.detectors.rules.rule import Rule, RuleParameter
from greywater.detectors.rules.rule_set import RuleSet
from greywater.detectors.rules.tuning import Tuned, change_record, grid_of, tune, variants
from greywater.errors import UsageError

SENDERS = RuleParameter("senders", 5, "accounts", 2, 100, "who pays in", 5)
SHARE = RuleParameter("share", 0.5, "ratio", 0.0, 1.0, "how much", 0.5)
WINDOW = RuleParameter("window", "24h", "time", "1h", "30d", "how long", "24h")


def rule(name: str, expression: str, about: Any = "sender", **more: Any) -> Rule:
    return Rule(name, 1, name, name, "the test", ("x",), about, "", 2, expression, **more)


RULES = RuleSet(
    (
        rule("many", "count >= 3"),
        rule("large", "amount > 10", "receiver"),
        rule("watched", "amount > 5 and count >= 2", "both", state="shadow"),
        rule("missing", "age > 3"),
    )
)


def logged(rows: pa.Table, cut: int = 3) -> HitLog:
    log = HitLog()
    for at in range(0, rows.num_rows, cut):
        log.add(RULES.evaluate(rows.slice(at, cut)))
    return log


ROWS = pa.table({"count": [3, 3, 1, 4, 2, 2], "amount": [1.0, 20.0, 20.0, None, 6.0, 30.0]})
HISTORY = History(
    np.array([0, 1, DAY_US, DAY_US + 5, 3 * DAY_US, 60 * DAY_US], np.int64),
    np.array([0, 0, 1, 0, 2, 2]),
    np.array([5, 5, 5, 6, 6, 6]),
    np.array([1, 1, 0, 0, 1, 0], np.int64),
)


def test_counted_by_hand() -> None:
    found = back_test(logged(ROWS), HISTORY)
    many, large, watched = found.rules
    assert (many.hits, many.laundering, many.precision, many.recall) == (3, 2, 2 / 3, 2 / 3)
    assert many.precision_interval == wilson(2, 3)
    assert (many.alerts, many.alert_precision) == (2, 0.5)  # account 0 on the first day, and on the second
    assert (large.hits, large.laundering, large.alerts) == (3, 1, 3)
    assert large.known == 5 / 6
    assert (watched.state, watched.hits, watched.alerts) == ("shadow", 3, 6)
    assert found.overlap == {
        "many": {"large": 1, "watched": 1},
        "large": {"many": 1, "watched": 2},
        "watched": {"many": 1, "large": 2},
    }
    assert (many.alone, large.alone, watched.alone) == (2, 1, 1)
    assert found.together.rule == ANY
    assert found.together.hits == 5  # those in shadow do not count
    assert found.off == {"missing": "the data have no age"}
    assert (found.payments, found.laundering, found.base_rate) == (6, 3, 0.5)
    assert many.alerts_a_month == pytest.approx(2 / (60 / 30.4375))
    assert found.earning("many") is False


def test_within_a_stretch_of_time() -> None:
    found = back_test(logged(ROWS), HISTORY, HISTORY.between(DAY_US, 60 * DAY_US))
    assert [measure.hits for measure in found.rules] == [1, 1, 1]
    assert (found.payments, found.laundering) == (3, 1)
    nothing = back_test(logged(ROWS), HISTORY, HISTORY.between(DAY_US * 100, None))
    assert nothing.payments == 0
    assert nothing.together.precision is None


def test_without_labels_there_is_no_precision() -> None:
    history = History(HISTORY.time_us, HISTORY.sender, HISTORY.receiver)
    found = back_test(logged(ROWS), history)
    assert found.rules[0].precision is None
    assert found.rules[0].alert_precision is None
    assert found.base_rate is None
    assert found.earning("many") is None
    assert found.to_json()["rules"][0]["hits"] == 3


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20), st.integers(0, 3), st.booleans()), max_size=40))
@settings(deadline=None)
def test_any_cut_gives_what_the_twin_counts(rows: list[tuple[int, int, int, bool]]) -> None:
    table = pa.table(
        {
            "count": pa.array([row[0] for row in rows], pa.int64()),
            "amount": pa.array([float(row[1]) for row in rows], pa.float64()),
        }
    )
    party = np.array([row[2] for row in rows], np.int64)
    history = History(
        np.arange(len(rows)) * DAY_US // 3, party, party + 10, np.array([row[3] for row in rows], np.int64)
    )
    found: list[BackTest] = [back_test(logged(table, cut), history) for cut in (1, 7, 100)] if rows else []
    for each in found:
        assert each.rules == found[0].rules
        many = each.rules[0]
        hits = [at for at, row in enumerate(rows) if row[0] >= 3]
        assert many.hits == len(hits)
        assert many.laundering == sum(rows[at][3] for at in hits)
        assert many.alerts == len({(rows[at][2], at // 3) for at in hits})


# --------------------------------------------------------------------- tuning


def worked(current: int, guilty: set[int], *, sample: int = 1_000, worth: float = 0.05, n: int = 2_000) -> Tuned:
    """A rule over one column that runs from 0 to 19, 100 payments each; payments of `guilty` columns launder."""
    value = np.arange(n) % 20
    y = np.isin(value, list(guilty)).astype(np.int64)
    tuned_rule = rule("fans", "count >= $senders", parameters=(SENDERS.with_value(current, ""),))
    values = grid_of(tuned_rule.parameters[0], 3, 12, 10)
    hits = [np.flatnonzero(value >= each) for each in values]
    return tune(tuned_rule, "senders", values, hits, lambda drawn: y[drawn], sample=sample, worth=worth)


def test_the_line_goes_down_where_what_lies_below_is_guilty() -> None:
    found = worked(8, {5, 6, 7, 8, 9})
    assert found.recommended == 5
    assert found.hits_then == 1_500
    assert [band.side for band in found.bands] == ["above"] * 5 + ["below"] * 5
    assert [band.value for band in found.bands] == list(range(12, 2, -1))


def test_the_line_goes_up_where_what_lies_above_is_not() -> None:
    assert worked(5, {9, 10, 11}).recommended == 9
    assert worked(5, {9, 10, 11}, worth=0.01).recommended == 5  # a hundred innocents do not prove less than 1 %


def test_the_line_stays_where_the_samples_cannot_tell() -> None:
    found = worked(6, {6, 7}, sample=5)
    assert found.recommended == 6
    assert "no reason to move" in found.why
    unknown = tune(
        rule("fans", "count >= $senders", parameters=(SENDERS,)), "senders", (3, 5, 7),
        [np.arange(30), np.arange(20), np.arange(10)], lambda drawn: np.full(len(drawn), -1),
    )  # fmt: skip
    assert unknown.recommended == 5
    assert "no payment drawn has an outcome" in unknown.why


def test_anybody_draws_the_same_payments() -> None:
    first, again = worked(8, {5}, sample=10), worked(8, {5}, sample=10)
    assert [band.sample for band in first.bands] == [band.sample for band in again.bands]
    assert all(len(band.sample) == 10 for band in first.bands[1:])
    assert all(list(band.sample) == sorted(set(band.sample)) for band in first.bands)
    assert all((np.array(band.sample) % 20 == band.value).all() for band in first.bands[1:])


def test_a_parameter_that_is_looser_when_smaller_and_the_other_way_round() -> None:
    kept = rule("kept", "share <= $share", parameters=(SHARE,))
    value = np.arange(1_000) / 1_000
    values = grid_of(SHARE, 0.3, 0.7, 5)
    y = (value > 0.6).astype(np.int64)
    found = tune(kept, "share", values, [np.flatnonzero(value <= each) for each in values], lambda drawn: y[drawn])
    assert [band.value for band in found.bands] == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert found.recommended == 0.3  # what hits only at 0.5 is innocent, and so is what hits only at 0.4
    with pytest.raises(UsageError, match="neither stricter nor looser"):
        tune(kept, "share", values, [np.arange(at, at + 5) for at in range(5)], lambda drawn: y[drawn])


def test_samples_that_cannot_be_drawn_are_refused() -> None:
    for wrong in ({"seed": -1}, {"sample": 0}, {"worth": float("nan")}):
        with pytest.raises(UsageError, match="--seed"):
            tune(
                rule("fans", "count >= $senders", parameters=(SENDERS,)), "senders", (3, 5, 7),
                [np.arange(30), np.arange(20), np.arange(10)], lambda drawn: np.zeros(len(drawn), np.int64), **wrong,
            )  # fmt: skip


def test_values_that_are_tried() -> None:
    assert grid_of(SENDERS, 3, 9, 3) == (3, 5, 6, 9)
    assert grid_of(SHARE, 0, 1, 3) == (0.0, 0.5, 1.0)
    assert grid_of(WINDOW, "12h", "3d", 6) == ("12h", "24h", "36h", "2d", "60h", "3d")
    for low, high, steps, said in ((5, 5, 3, "empty"), (1, 9, 3, "out of bounds"), (3, 9, 1, "give 2 to 101")):
        with pytest.raises(UsageError, match=said):
            grid_of(SENDERS, low, high, steps)
    tried = variants(rule("fans", "count >= $senders", parameters=(SENDERS,)), "senders", (3, 4))
    assert [each.parameters[0].value for each in tried] == [3, 4]
    assert len({each.id for each in tried}) == 2
    longest = rule(f"{'a' * 55}-bcdefghi", "count >= $senders", parameters=(SENDERS,))
    assert len({each.id for each in variants(longest, "senders", (3, 4))}) == 2


def test_the_change_record_holds_what_an_examiner_asks_for() -> None:
    found = worked(8, {5, 6, 7, 8, 9}, sample=30)
    text = change_record(found, {"made": "2024-01-31", "by": "BANK__ANNA"})
    for wanted in (
        "BANK__ANNA",
        "now            8",
        "recommended    5",
        "seed 7",
        "[rules.fans.parameters]",
        "senders = 5",
    ):
        assert wanted in text
    assert text.count("below") >= 5
    assert "Approved" in text
    assert found.to_json()["bands"][0]["sample"] == len(found.bands[0].sample)
