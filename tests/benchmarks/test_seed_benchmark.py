"""The tables on a few known launderers: who is ranked, what is counted, and that nothing later feeds a ranking."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench_seeds
import hybrid_sets
from bench_seeds import queue
from graph_sets import data_folder
from greywater.app.split import split_by_time
from greywater.stores.blocks import TableRows
from hybrid_sets import RuleQueue, Scored, Sides, rule_queue, scored_set
from seed_contest import Contest, Moment, launderers, moments
from seed_rankings import DEFAULT, MIXED, RARE, WAYS, Spread, Way, best_payment, fused, looks, measured

DAY = 86_400_000_000


def made(rows: int = 3_000, accounts: int = 120, seed: int = 3) -> Scored:
    """Random payments over 100 days; accounts 0 to 9 launder among themselves all the time, by amounts of their own."""
    draw = np.random.default_rng(seed)
    dirty = draw.random(rows) < 0.06
    sender = np.where(dirty, draw.integers(0, 10, rows), draw.integers(0, accounts, rows)).astype(np.int32)
    receiver = np.where(dirty, (sender + draw.integers(1, 10, rows)) % 10, draw.integers(0, accounts, rows))
    amount = np.where(dirty, draw.integers(9_000, 9_999, rows), draw.integers(1, 50_000, rows))
    time_us = np.sort(draw.integers(0, 100, rows)) * DAY
    columns = {"payment.amount": amount.astype(np.float64), "noise": draw.random(rows)}
    return Scored(
        "made", TableRows(pa.table(columns)), dirty.astype(np.int64), time_us,
        split_by_time(time_us, labelled=True), Sides(sender, receiver.astype(np.int32), amount, accounts),
    )  # type: ignore[arg-type]  # fmt: skip


def test_who_pays_seldom_is_nearer_than_who_pays_every_month() -> None:
    # 0 is the seed; it pays 1 once and 2 every month, 3 pays 1 once. Of accounts nobody reaches there is no suspicion.
    sides = Sides(
        np.array([0, *[0] * 12, 3, 4], np.int32), np.array([1, *[2] * 12, 1, 5], np.int32), np.full(15, 100), accounts=6
    )
    time_us = np.arange(15) * DAY
    seeds = np.array([0])
    rare = Spread(RARE, sides, time_us).score(seeds)
    assert rare[1] > rare[3] > rare[2] > 0.0
    assert rare[4] == rare[5] == 0.0
    by_count = Spread(Way("out", "count"), sides, time_us).score(seeds)
    assert by_count[2] > by_count[1]
    assert by_count[3] == 0.0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.words)
def test_no_way_reads_payments_after_the_moment(way: Way) -> None:
    scored = made()
    begin = scored.split.validation
    contest, seeds = Contest(scored), np.array([0, 1])
    before = contest.spread(way, begin).score(seeds)
    later = scored.sides.receiver.copy()
    later[begin:] = 7
    changed = Scored(
        "made", scored.blocks, scored.y, scored.time_us, scored.split,
        Sides(scored.sides.sender, later, scored.sides.amount, scored.sides.accounts),
    )  # fmt: skip
    assert np.array_equal(before, Contest(changed).spread(way, begin).score(seeds))
    assert not np.array_equal(
        contest.spread(way, len(later)).score(seeds), Contest(changed).spread(way, len(later)).score(seeds)
    )


def test_background_is_linear_and_no_seeds_are_pagerank() -> None:
    scored = made()
    seeds = np.array([2, 5])
    plain, half = (Spread(way, scored.sides, scored.time_us) for way in (RARE, MIXED))
    assert np.allclose(half.score(seeds), 0.5 * plain.score(seeds) + 0.5 * plain.score(None))


def test_seeds_are_launderers_known_by_then_and_are_not_ranked() -> None:
    scored = made()
    contest = Contest(scored)
    start, *_, end = moments(scored)
    assert (start.known, start.paid) == (scored.split.validation,) * 2
    assert (end.known, end.paid) == (scored.split.rows,) * 2
    seeds = contest.seeds(start, 0.2, 4)
    assert len(seeds) == 2
    assert set(seeds.tolist()) <= set(launderers(scored, slice(0, start.known)).tolist())
    assert not set(seeds.tolist()) & set(contest.others(seeds).tolist())
    assert np.array_equal(seeds, contest.seeds(start, 0.2, 4))
    early = contest.seeds(Moment("", 40, 40), 1.0, 1)
    assert set(early.tolist()) == set(launderers(scored, slice(0, 40)).tolist()) < set(range(10))
    assert not set(contest.newcomers().tolist()) & set(range(10))


def test_the_day_by_day_score_is_the_highest_of_the_days_on_which_one_is_there() -> None:
    scored = made(rows=400)
    contest, seeds = Contest(scored), np.array([0])
    daily = contest.daily(DEFAULT, [seeds])[0]
    day = scored.time_us // DAY
    expected = np.full(scored.sides.accounts, -np.inf)
    for each in np.unique(day[contest.last]):
        stop = int(np.searchsorted(day, each, side="right"))
        score = contest.spread(DEFAULT, stop).score(seeds)
        for row in np.flatnonzero(day == each):
            for account in (scored.sides.sender[row], scored.sides.receiver[row]):
                expected[account] = max(expected[account], score[account])
    assert np.array_equal(daily, expected)


def test_an_account_has_the_score_of_its_best_payment() -> None:
    sides = Sides(np.array([0, 1, 1], np.int32), np.array([1, 2, 0], np.int32), np.ones(3, np.int64), accounts=4)
    assert best_payment(sides, slice(0, 3), np.array([0.5, 0.9, 0.1])).tolist() == [0.5, 0.9, 0.9, -np.inf]


def test_equal_scores_are_drawn_by_lot() -> None:
    truth = np.array([1, 0, 0, 0] * 50)
    found = measured(truth, np.zeros(200))
    assert found.average_precision == found.at_100 == 0.25
    assert found.roc_auc == 0.5
    assert looks(truth, np.zeros(200), 50) == np.ceil(50 * 201 / 51)
    assert looks(truth, np.zeros(200), 51) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.data())
def test_looks_are_what_orders_drawn_by_lot_take(truth: list[bool], data: st.DataObject) -> None:
    values = [data.draw(st.integers(0, 1)) for _ in truth]
    wanted = data.draw(st.integers(1, len(truth)))
    taken = []
    for order in itertools.permutations(range(len(truth))):
        if any(values[a] < values[b] for a, b in itertools.pairwise(order)):
            continue
        reached = np.cumsum([truth[place] for place in order])
        taken.append(int(np.searchsorted(reached, wanted)) + 1)
    answer = looks(np.array(truth, np.int64), np.array(values, np.float64), wanted)
    if sum(truth) < wanted:
        assert answer is None
    else:
        assert answer == int(np.ceil(round(np.mean(taken), 9)))


def test_fused_prefers_what_both_rank_high() -> None:
    score = fused(np.array([3.0, 2.0, 1.0]), np.array([1.0, 3.0, 2.0]))
    assert score.argmax() == 1
    assert fused(np.array([5.0]), np.array([1.0])).tolist() == [2.0]


def test_alerts_saved_are_counted_at_equal_recall() -> None:
    scored = made()
    last = slice(scored.split.validation, scored.split.rows)
    severity = np.ones(scored.split.rows)
    text = queue(scored, RuleQueue(severity, active=3, rules=4), scored.y[last].astype(np.float64))
    active = len(Contest(scored).active)
    assert "3 of 4 shipped rules" in text
    # The rules hit everybody alike; the perfect order needs the ten alone.
    assert f"| 10 | {active:,} | {int(np.ceil(10 * (active + 1) / 11))} | 10 | {1 - 10 / active:.1%} |" in text


@pytest.mark.slow
def test_a_set_is_recorded_with_its_parties_and_read_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = data_folder() / hybrid_sets.FILES["amlsim_medium"]
    if not source.is_file():
        pytest.skip(f"there is no {source}")
    part = pq.read_table(source).slice(0, 1_500)
    (tmp_path / "amlsim_medium").mkdir()
    pq.write_table(part, tmp_path / hybrid_sets.FILES["amlsim_medium"])
    monkeypatch.setattr(hybrid_sets, "data_folder", lambda: tmp_path)
    first = scored_set("amlsim_medium", tmp_path / "kept")
    found = rule_queue("amlsim_medium", tmp_path / "kept")
    assert first.blocks.rows == len(first.y) == len(first.sides.sender) == len(found.severity)
    assert int(first.y.sum()) == int(part["is_sar"].cast(pa.int64()).to_numpy().sum()) > 0
    paid = sorted((part["base_amt"].to_numpy() * 100).round().astype(np.int64).tolist())
    assert sorted(first.sides.amount.tolist()) == paid
    accounts = np.unique(np.append(part["orig_acct"].to_numpy(), part["bene_acct"].to_numpy()))
    assert first.sides.accounts >= len(accounts) == len(np.unique(np.append(first.sides.sender, first.sides.receiver)))
    assert 0 < found.active <= found.rules
    monkeypatch.setattr(hybrid_sets, "ingest", None)  # nothing is recorded again
    again = scored_set("amlsim_medium", tmp_path / "kept")
    assert np.array_equal(first.y, again.y)
    assert np.array_equal(found.severity, rule_queue("amlsim_medium", tmp_path / "kept").severity)


@pytest.mark.slow
def test_the_whole_report_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_seeds, "WAYS", (DEFAULT, RARE))
    scored = made()
    rules = RuleQueue(np.zeros(scored.split.rows), active=0, rules=1)
    written = dict(bench_seeds.sections(scored, rules, draws=2, parts=bench_seeds.PARTS))
    few, late, saved = written.values()
    assert all(title.endswith(": made") for title in written)
    assert few.count("\n| isolation forest | ") == 4
    assert "| 90 days | part: boosted | 0 | not possible" in late
    assert "| 95% of all launderers | 10 | never | never |" in saved
    assert "the rules reach |" not in saved
