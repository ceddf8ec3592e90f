"""The slow twin of the patterns on small drawn examples whose answers can be read off the drawing."""

from __future__ import annotations

import itertools
import math
import random
import statistics as standard
from dataclasses import dataclass

import pytest
import scipy.stats

from tests.naive import naive_graph_features as exported
from tests.naive_graph import Payment, Row, moments_of, naive_graph_features

SECOND = 1_000_000
HOUR = 3_600
LARGEST = 2**53 - 1


@dataclass(frozen=True)
class Part:
    pattern: str
    windows: tuple[int, ...] = (HOUR,)
    max_length: int = 6
    tolerance_per_mille: int = 200


@dataclass(frozen=True)
class Plan:
    patterns: tuple[Part, ...]
    allowed_lateness: int = HOUR


def pay(second: float, route: str, amount: int | None = 100) -> Payment:
    """`pay(3, "a>b")`: a pays b in second 3."""
    sender, receiver = route.split(">")
    return Payment(int(second * SECOND), sender, receiver, amount)


def drawn(*payments: Payment, pattern: str, lateness: int = HOUR, **how: int) -> list[Row]:
    return naive_graph_features(payments, Plan((Part(pattern, **how),), lateness))  # type: ignore[arg-type]


def last(*payments: Payment, pattern: str, **how: int) -> Row:
    return drawn(*payments, pattern=pattern, **how)[-1]


def some(row: Row, prefix: str) -> Row:
    """The columns of one prefix that are neither 0 nor undefined, by what follows it."""
    return {
        name.removeprefix(prefix).removesuffix(".1h"): value
        for name, value in row.items()
        if name.startswith(prefix) and value != 0 and not math.isnan(value)
    }


def test_the_twin_is_where_all_twins_are() -> None:
    assert exported is naive_graph_features


# ---- what is seen


def degrees(*payments: Payment, **how: int) -> list[int]:
    return [row["sender.out.degree.1h"] for row in drawn(*payments, pattern="fan", **how)]


def test_a_window_is_open_at_its_far_end_and_closed_at_its_near_end() -> None:
    assert degrees(pay(0, "a>b"), pay(HOUR - 1e-6, "a>b"), pay(HOUR, "a>b"), pay(HOUR, "a>b")) == [1, 2, 2, 3]


def test_what_is_recorded_later_or_dated_later_is_not_seen() -> None:
    assert degrees(pay(10, "a>b"), pay(5, "a>b"), pay(7, "a>b")) == [1, 1, 2]


def test_what_is_older_than_everything_held_is_hidden_at_that_very_moment() -> None:
    """Held for the hour of the window and the hour of lateness behind the greatest time so far."""
    seen = [pay(0, "a>b"), pay(1, "a>b"), pay(2 * HOUR, "x>y"), pay(1, "a>b")]
    assert degrees(*seen)[-1] == 2
    assert degrees(*seen, lateness=HOUR + 1)[-1] == 3
    assert degrees(*seen, lateness=HOUR - 1)[-1] == 1


def test_new_counterparties_look_back_twice_and_hold_for_it() -> None:
    seen = [pay(0, "a>b"), pay(1, "a>b"), pay(2 * HOUR, "x>y"), pay(1, "a>b")]
    plan = Plan((Part("fan"), Part("fan_new")))
    assert naive_graph_features(seen, plan)[-1]["sender.out.degree.1h"] == 3


@pytest.mark.parametrize("route", ["a>a", "external:x>a", "a>external:x", "external:x>external:y"])
def test_a_payment_to_oneself_or_with_an_outsider_has_no_pattern(route: str) -> None:
    parts = tuple(Part(name) for name in ("fan", "fan_new", "statistics", "gather_scatter", "chain", "temporal_cycle"))
    row = naive_graph_features([pay(0, "b>a"), pay(0, "a>b"), pay(1, route)], Plan(parts))[-1]
    assert len(row) > 80
    assert all(value == 0 if isinstance(value, int) else math.isnan(value) for value in row.values())


def test_a_payment_to_oneself_is_in_no_list() -> None:
    assert degrees(pay(0, "a>a"), pay(1, "a>b")) == [0, 1]


# ---- fan


def test_fan_counts_payments_and_counterparties_on_four_sides() -> None:
    row = last(
        pay(0, "a>b"), pay(1, "a>c"), pay(1, "a>c"), pay(2, "x>a"), pay(2, "b>y"), pay(3, "x>b"), pay(4, "a>b"),
        pattern="fan",
    )  # fmt: skip
    expected = {
        "sender.out": (4, 2, 0.5),
        "sender.in": (1, 1, 1.0),
        "receiver.out": (1, 1, 1.0),
        "receiver.in": (3, 2, 2 / 3),
    }
    for side, values in expected.items():
        assert tuple(row[f"{side}.{name}.1h"] for name in ("degree", "fan", "fan_ratio")) == values
    assert row["fan.truncated.1h"] == 0
    assert len(row) == 13


def test_the_ratio_of_no_payments_is_not_defined() -> None:
    row = last(pay(0, "a>b"), pattern="fan")
    assert (row["sender.out.fan.1h"], row["sender.in.fan.1h"]) == (1, 0)
    assert math.isnan(row["sender.in.fan_ratio.1h"])


def test_an_outsider_is_a_counterparty() -> None:
    assert last(pay(0, "a>external:x"), pay(1, "a>b"), pattern="fan")["sender.out.fan.1h"] == 2


def test_a_counterparty_is_new_if_the_window_before_does_not_know_it() -> None:
    before = [pay(1, "a>b"), pay(HOUR, "a>c")]
    now = [pay(HOUR + 1, "a>d"), pay(2 * HOUR, "a>b")]
    row = last(*before, *now, pattern="fan_new")
    # at 2 h: (1 h, 2 h] holds d and b, (0 h, 1 h] holds b and c
    assert some(row, "sender.out") == {".fan_new": 1}
    assert some(row, "receiver.in") == {}
    # a moment later the first payment to b is out of both
    later = last(*before, *now, pay(2 * HOUR + 1, "a>b"), pattern="fan_new")
    assert some(later, "sender.out") == {".fan_new": 1}
    assert some(later, "receiver.in") == {".fan_new": 1}


# ---- statistics


@pytest.mark.parametrize("seed", range(20))
def test_statistics_are_those_of_the_textbook(seed: int) -> None:
    draw = random.Random(seed)
    numbers = [draw.randrange(2 ** draw.choice((4, 20, 40))) for _ in range(draw.randint(3, 30))]
    numbers[0] = numbers[1] + 1
    row = moments_of(numbers)
    assert row["sum"] == sum(numbers)
    assert (row["min"], row["max"], row["median"]) == (min(numbers), max(numbers), standard.median(numbers))
    assert row["mean"] == pytest.approx(standard.fmean(numbers), rel=1e-15)
    assert row["variance"] == pytest.approx(float(standard.variance(numbers)), rel=1e-15)
    assert row["skewness"] == pytest.approx(scipy.stats.skew(numbers), rel=1e-9, abs=1e-12)
    assert row["kurtosis"] == pytest.approx(scipy.stats.kurtosis(numbers), rel=1e-9, abs=1e-12)


def test_statistics_of_few_or_equal_numbers_are_not_defined() -> None:
    nothing, one, equal = moments_of([]), moments_of([7]), moments_of([LARGEST] * 3)
    assert nothing["sum"] == 0.0
    assert all(math.isnan(value) for name, value in nothing.items() if name != "sum")
    assert [one[name] for name in ("sum", "mean", "min", "max", "median")] == [7.0] * 5
    assert all(math.isnan(one[name]) for name in ("variance", "skewness", "kurtosis"))
    assert (equal["variance"], equal["mean"]) == (0.0, float(LARGEST))
    assert math.isnan(equal["skewness"])
    assert math.isnan(equal["kurtosis"])


def test_large_amounts_do_not_lose_their_differences() -> None:
    assert moments_of([LARGEST - 2, LARGEST - 1, LARGEST])["variance"] == 1.0
    assert moments_of([LARGEST - 1, LARGEST])["median"] == float(2 * LARGEST - 1) / 2


def test_statistics_of_a_drawn_account() -> None:
    row = last(pay(10, "a>b", 5), pay(4, "a>c", None), pay(12, "a>b", 0), pay(13, "a>b", 16), pattern="statistics")
    amounts = {name: value for name, value in some(row, "sender.out.amount_").items() if not name.endswith("sis")}
    assert amounts.pop("skewness") == pytest.approx(scipy.stats.skew([5, 0, 16]))
    assert amounts == {"count": 3, "sum": 21.0, "mean": 7.0, "max": 16.0, "median": 5.0, "variance": 67.0}
    # by time: 4, 10, 12, 13 although 10 was recorded first
    gaps = {name: value for name, value in some(row, "sender.out.gap_").items() if not name.endswith("sis")}
    assert gaps.pop("skewness") == pytest.approx(scipy.stats.skew([6, 2, 1]))
    assert gaps == {"count": 3, "sum": 9.0, "mean": 3.0, "min": 1.0, "max": 6.0, "median": 2.0, "variance": 7.0}
    assert row["sender.out.gap_kurtosis.1h"] == pytest.approx(scipy.stats.kurtosis([6, 2, 1]))
    assert row["sender.in.amount_sum.1h"] == 0.0
    assert math.isnan(row["sender.in.gap_mean.1h"])
    assert len(row) == 4 * 18 + 1


# ---- scatter-gather

FAN_OUT_AND_IN = (pay(0, "s>x"), pay(1, "s>u"), pay(2, "s>y"), pay(3, "x>v"), pay(4, "y>v"))


def test_scatter_gather_closed_by_its_last_leg() -> None:
    row = last(*FAN_OUT_AND_IN, pay(5, "u>v"), pattern="scatter_gather")
    assert some(row, "scatter_gather.any") == {".pairs": 1, ".largest": 3, ".size_3": 1}
    assert some(row, "scatter_gather.ordered") == {".pairs": 1, ".largest": 3, ".size_3": 1}
    assert some(row, "scatter_gather.first_leg") == {}
    assert len(row) == 25


def test_ordered_scatter_gather_wants_each_middleman_to_receive_before_it_pays() -> None:
    late = (pay(0, "y>v"), pay(1, "s>y"), *FAN_OUT_AND_IN[:2], FAN_OUT_AND_IN[3])
    row = last(*late, pay(5, "u>v"), pattern="scatter_gather")
    assert some(row, "scatter_gather.any") == {".pairs": 1, ".largest": 3, ".size_3": 1}
    assert some(row, "scatter_gather.ordered") == {".pairs": 1, ".largest": 2, ".size_2": 1}


def test_of_equal_times_the_one_recorded_first_precedes() -> None:
    straight = last(pay(1, "s>x"), pay(1, "x>v"), pay(1, "s>u"), pay(1, "u>v"), pattern="scatter_gather")
    crossed = last(pay(1, "x>v"), pay(1, "s>x"), pay(1, "s>u"), pay(1, "u>v"), pattern="scatter_gather")
    assert (straight["scatter_gather.ordered.pairs.1h"], crossed["scatter_gather.ordered.pairs.1h"]) == (1, 0)
    assert (straight["scatter_gather.any.pairs.1h"], crossed["scatter_gather.any.pairs.1h"]) == (1, 1)


def test_a_source_that_reaches_the_sender_only_is_not_counted() -> None:
    assert some(last(pay(0, "s>u"), pay(1, "x>v"), pay(2, "u>v"), pattern="scatter_gather"), "scatter_gather") == {}


def test_scatter_gather_by_its_first_leg() -> None:
    """The gathering has happened already when u pays v: both sinks w and z are reached by way of x and of v."""
    legs = [pay(k, route) for k, route in enumerate(("v>w", "v>z", "u>x", "x>w", "x>z", "y>z", "u>y", "v>t"))]
    row = last(*legs, pay(20, "u>v"), pattern="scatter_gather")
    assert some(row, "scatter_gather.first_leg") == {".pairs": 2, ".largest": 3, ".size_2": 1, ".size_3": 1}
    assert some(row, "scatter_gather.any") == {}


@pytest.mark.parametrize(
    ("size", "name"), [(2, "2"), (4, "4"), (5, "5_6"), (6, "5_6"), (7, "7_10"), (10, "7_10"), (11, "11"), (14, "11")]
)
def test_scatter_gather_by_size(size: int, name: str) -> None:
    others = [pay(k, route) for k in range(size - 1) for route in (f"s>x{k}", f"x{k}>v")]
    row = last(*others, pay(50, "s>u"), pay(60, "u>v"), pattern="scatter_gather")
    assert some(row, "scatter_gather.ordered") == {".pairs": 1, ".largest": size, f".size_{name}": 1}


def test_an_outsider_is_a_source_and_a_sink_but_no_middleman() -> None:
    source = [pay(0, "external:s>u"), pay(1, "external:s>x"), pay(2, "x>v"), pay(3, "u>v")]
    assert last(*source, pattern="scatter_gather")["scatter_gather.ordered.pairs.1h"] == 1
    sink = [pay(0, "v>external:w"), pay(1, "u>x"), pay(2, "x>external:w"), pay(3, "u>v")]
    assert last(*sink, pattern="scatter_gather")["scatter_gather.first_leg.pairs.1h"] == 1
    middle = [pay(0, "s>u"), pay(1, "s>external:x"), pay(2, "external:x>v"), pay(3, "u>v")]
    assert some(last(*middle, pattern="scatter_gather"), "scatter_gather") == {}


# ---- gather-scatter


def test_gather_scatter_through_the_sender() -> None:
    payments = [pay(0, "u>z", 9), pay(1, "a>u", 100), pay(2, "u>x", 40), pay(3, "b>u", None), pay(4, "c>u", 100)]
    row = last(*payments, pay(5, "u>v", 50), pattern="gather_scatter")
    # z was paid before the first came in; a, b, c in; x, v out; 200 in, 90 out
    assert some(row, "gather_scatter.sender") == {".senders": 3, ".receivers": 2, ".kept": 110 / 200}
    assert row["gather_scatter.receiver.senders.1h"] == 0
    assert math.isnan(row["gather_scatter.receiver.kept.1h"])


def test_what_is_paid_at_the_time_of_the_first_counts_if_it_was_recorded_after_it() -> None:
    after = last(pay(1, "a>u"), pay(1, "u>x"), pay(2, "b>u"), pay(3, "u>v"), pattern="gather_scatter")
    ahead = last(pay(1, "u>x"), pay(1, "a>u"), pay(2, "b>u"), pay(3, "u>v"), pattern="gather_scatter")
    assert after["gather_scatter.sender.receivers.1h"] == 2
    assert ahead["gather_scatter.sender.receivers.1h"] == 0


def test_gather_scatter_through_the_receiver_is_in_any_order() -> None:
    row = last(pay(0, "v>x", 5), pay(1, "v>y", 6), pay(2, "a>v", 7), pay(3, "u>v", 3), pattern="gather_scatter")
    assert some(row, "gather_scatter.receiver") == {".senders": 2, ".receivers": 2, ".kept": float(10 - 11) / 10.0}


def test_what_is_kept_of_nothing_is_not_defined() -> None:
    row = last(pay(0, "a>u", 0), pay(1, "b>u", None), pay(2, "u>x", 5), pay(3, "u>v", 5), pattern="gather_scatter")
    assert row["gather_scatter.sender.senders.1h"] == 2
    assert math.isnan(row["gather_scatter.sender.kept.1h"])


# ---- cycles

RING = (pay(0, "v>a", 100), pay(1, "a>b", 90), pay(2, "b>u", 80))


def test_a_ring_closed_in_time() -> None:
    row = last(*RING, pay(4, "u>v", 70), pattern="temporal_cycle")
    assert some(row, "temporal_cycle") == {".length_4": 1, ".shortest": 4, ".share": 0.7, ".duration": 4.0}
    assert len(row) == 5 + 1 + 2 + 1
    assert some(last(*RING, pay(4, "u>v"), pattern="temporal_cycle", max_length=3), "temporal_cycle.l") == {}


def test_a_ring_against_time_is_a_simple_cycle_only() -> None:
    crossed = (pay(1, "v>a"), pay(0, "a>b"), pay(2, "b>u"), pay(4, "u>v"))
    assert some(last(*crossed, pattern="temporal_cycle"), "temporal_cycle.s") == {}
    assert some(last(*crossed, pattern="simple_cycle"), "simple_cycle") == {".length_4": 1}


def test_time_must_not_fall_and_seq_must_rise() -> None:
    """A row that comes late lies earlier in time but later in seq: it goes on from nothing recorded after it."""
    late = (pay(2, "a>u"), pay(1, "v>a"), pay(4, "u>v"))
    assert late[1].time < late[0].time
    assert some(last(*late, pattern="temporal_cycle"), "temporal_cycle.length") == {}
    assert some(last(*late, pattern="simple_cycle"), "simple_cycle.length") == {"_3": 1}
    ties = (pay(1, "v>a"), pay(1, "a>u"), pay(1, "u>v"))
    assert some(last(*ties, pattern="temporal_cycle"), "temporal_cycle.length") == {"_3": 1}
    assert some(last(*ties[1::-1], ties[2], pattern="temporal_cycle"), "temporal_cycle.length") == {}
    closed_late = (pay(1, "v>a"), pay(3, "a>u"), pay(2, "u>v"))
    assert some(last(*closed_late, pattern="temporal_cycle"), "temporal_cycle.length") == {}


def test_parallel_payments_make_one_cycle_and_the_latest_that_fits_is_taken() -> None:
    payments = [pay(0, "v>a", 10), pay(2, "v>a", 40), pay(3, "a>u", 30), pay(4, "v>a", 99), pay(5, "u>v", 20)]
    row = last(*payments, pattern="temporal_cycle")
    assert some(row, "temporal_cycle") == {".length_3": 1, ".shortest": 3, ".share": 0.5, ".duration": 3.0}


def test_a_later_step_that_nothing_leads_to_is_passed_over() -> None:
    """By time the last a>u is the second recorded, but nothing recorded before it leads to it."""
    payments = [pay(5, "a>u", 7), pay(1, "v>a", 10), pay(3, "a>u", 10), pay(6, "u>v", 10)]
    row = last(*payments, pattern="temporal_cycle")
    assert some(row, "temporal_cycle") == {".length_3": 1, ".shortest": 3, ".share": 1.0, ".duration": 5.0}


def test_the_best_cycle_is_the_shortest_then_the_fullest_then_the_latest() -> None:
    long = [pay(0, "v>a"), pay(1, "a>b"), pay(2, "b>u")]
    thin = [pay(3, "v>c", 100), pay(4, "c>u", 10)]
    full = [pay(3.5, "v>d", 100), pay(4, "d>u", 60)]
    later = [pay(3.75, "v>e", 100), pay(4, "e>u", 60)]
    unknown = [pay(4.5, "v>f", None), pay(4.75, "f>u", 60)]
    row = last(*long, *thin, *full, *later, *unknown, pay(5, "u>v", 90), pattern="temporal_cycle")
    assert some(row, "temporal_cycle") == {
        ".length_3": 4,
        ".length_4": 1,
        ".shortest": 3,
        ".share": 0.6,
        ".duration": 1.25,
    }


def test_the_share_of_unknown_amounts_or_of_nothing_is_not_defined() -> None:
    for first, back in ((0, 5), (None, 5), (5, None)):
        row = last(pay(0, "v>u", first), pay(1, "u>v", back), pattern="temporal_cycle")
        assert (row["temporal_cycle.length_2.1h"], row["temporal_cycle.duration.1h"]) == (1, 1.0)
        assert math.isnan(row["temporal_cycle.share.1h"])


def test_simple_cycles_of_a_complete_graph() -> None:
    """Between 5 accounts that all pay each other there are 1, 3, 6, 6 ways back over 0 to 3 of the other three."""
    payments = [pay(k % 7, f"{a}>{b}") for k, (a, b) in enumerate((a, b) for a in "uvxyz" for b in "uvxyz" if a != b)]
    row = last(*payments, *payments, pay(8, "u>v"), pattern="simple_cycle")
    assert some(row, "simple_cycle") == {".length_2": 1, ".length_3": 3, ".length_4": 6, ".length_5": 6}
    assert len(row) == 6


def test_no_cycle_goes_by_way_of_an_outsider() -> None:
    payments = [pay(0, "v>external:x"), pay(1, "external:x>u"), pay(2, "u>v")]
    assert some(last(*payments, pattern="simple_cycle"), "simple_cycle") == {}
    assert some(last(*payments, pattern="temporal_cycle"), "temporal_cycle.shortest") == {}


# ---- chains


def test_a_chain_that_ends_in_the_payment() -> None:
    row = last(pay(0, "a>b", 1000), pay(2, "b>c", 900), pay(6, "c>d", 750), pattern="chain")
    assert some(row, "chain") == {".hops": 3, ".duration": 6.0, ".leak": 0.25, ".lag": 4.0}


def test_a_hop_may_lose_or_gain_a_fifth_of_what_came_in() -> None:
    for amount, hops in ((800, 2), (799, 1), (1200, 2), (1201, 1)):
        assert last(pay(0, "a>b", 1000), pay(1, "b>c", amount), pattern="chain")["chain.hops.1h"] == hops


@pytest.mark.parametrize(("amount", "hops"), [(None, 0), (0, 0), (1, 1)])
def test_a_payment_alone_is_a_chain_of_one_if_money_moves(amount: int | None, hops: int) -> None:
    row = last(pay(0, "a>b", amount and 2), pay(1, "b>c", amount), pattern="chain")
    assert row["chain.hops.1h"] == hops
    assert all(math.isnan(row[f"chain.{name}.1h"]) for name in ("duration", "leak", "lag"))


def test_the_best_chain_is_the_longest_then_the_tightest_then_the_latest() -> None:
    longest = [pay(0, "a>b", 130), pay(1, "b>c", 110), pay(5, "z>c", 100), pay(9, "c>d", 100)]
    assert some(last(*longest, pattern="chain"), "chain") == {
        ".hops": 3,
        ".duration": 9.0,
        ".leak": 30 / 130,
        ".lag": 8.0,
    }
    tightest = [pay(0, "a>c", 105), pay(1, "b>c", 110), pay(9, "c>d", 100)]
    assert some(last(*tightest, pattern="chain"), "chain")[".duration"] == 9.0
    latest = [pay(0, "a>c", 105), pay(1, "b>c", 105), pay(9, "c>d", 100)]
    assert some(last(*latest, pattern="chain"), "chain")[".duration"] == 8.0
    ends = [pay(0, "a>b", 100), pay(1, "b>c", 99), pay(2, "b>c", 98), pay(9, "c>d", 100)]
    assert some(last(*ends, pattern="chain"), "chain")[".lag"] == 7.0


def test_a_chain_visits_no_account_twice_and_never_goes_back_in_time_or_seq() -> None:
    assert last(pay(0, "d>c"), pay(1, "c>d"), pattern="chain")["chain.hops.1h"] == 1
    assert last(pay(0, "b>d"), pay(1, "d>b"), pay(2, "a>b"), pay(3, "b>c"), pattern="chain")["chain.hops.1h"] == 2
    assert last(pay(2, "b>c"), pay(1, "a>b"), pay(3, "c>d"), pattern="chain")["chain.hops.1h"] == 2
    assert last(pay(1, "b>c"), pay(1, "a>b"), pay(1, "c>d"), pattern="chain")["chain.hops.1h"] == 2
    assert last(pay(1, "a>b"), pay(1, "b>c"), pay(1, "c>d"), pattern="chain")["chain.hops.1h"] == 3


def test_a_chain_has_ten_payments_at_most_and_begins_with_an_outsider_at_most() -> None:
    names = [chr(ord("a") + k) for k in range(14)]
    steps = [pay(k, f"{a}>{b}") for k, (a, b) in enumerate(itertools.pairwise(names))]
    rows = drawn(*steps, pattern="chain")
    assert [row["chain.hops.1h"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10]
    outside = [pay(0, "a>external:x"), pay(1, "external:x>c"), pay(2, "c>d")]
    assert last(*outside, pattern="chain")["chain.hops.1h"] == 2


# ---- bipartite


def test_blocks_of_two_payers_and_two_payees() -> None:
    payments = [pay(3, "s>v"), pay(2, "s>d"), pay(1, "u>d"), pay(0, "s>d"), pay(0, "s>e"), pay(4, "u>e"), pay(5, "t>v")]
    rows = drawn(*payments, pay(5, "u>v"), pay(6, "u>v"), pay(7, "t>e"), pattern="bipartite")
    assert [row["bipartite.blocks.1h"] for row in rows] == [0, 0, 0, 0, 0, 1, 0, 2, 2, 2]


def test_a_block_needs_four_accounts() -> None:
    assert last(pay(0, "v>d"), pay(1, "u>d"), pay(2, "u>v"), pattern="bipartite")["bipartite.blocks.1h"] == 0


def test_an_account_outside_the_bank_is_in_no_block() -> None:
    payee = [pay(0, "s>v"), pay(1, "s>external:d"), pay(2, "u>external:d"), pay(3, "u>v")]
    assert last(*payee, pattern="bipartite")["bipartite.blocks.1h"] == 0
    payer = [pay(0, "external:s>v"), pay(1, "external:s>d"), pay(2, "u>d"), pay(3, "u>v")]
    assert last(*payer, pattern="bipartite")["bipartite.blocks.1h"] == 0
