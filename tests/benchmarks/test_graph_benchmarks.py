"""The arithmetic of the graph benchmarks: rates, medians, ratios, verdicts, and who runs what in which order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_matrix import Matrix
from graph_contest import OURS, PEER, Contest, Duel, figures, verdict
from graph_measure import timed
from streams import sparse


def test_a_duel_compares_medians() -> None:
    duel = Duel(
        ours=({"rate": 30.0}, {"rate": 10.0}, {"rate": 20.0}),
        peer=({"rate": 2.0}, None, {"rate": 4.0}, {"rate": 100.0}),
    )
    assert duel.middle(OURS, "rate") == 20.0
    assert duel.values(PEER, "rate") == [2.0, 4.0, 100.0]
    assert duel.ratio() == 5.0


def test_a_contestant_that_died_has_no_ratio_and_misses_its_bound() -> None:
    duel = Duel(ours=({"rate": 3.0},), peer=(None,))
    assert math.isnan(duel.ratio())
    assert figures(duel.values(PEER, "rate")) == "died"
    assert verdict(duel.ratio(), least=1.0) == "missed"


@pytest.mark.parametrize(
    ("value", "bounds", "said"),
    [
        (10.0, {"least": 10.0}, "holds"),
        (9.99, {"least": 10.0}, "missed"),
        (2.0, {"most": 2.0}, "holds"),
        (2.1, {"most": 2.0}, "missed"),
        (5.0, {}, ""),
        (float("nan"), {"most": 2.0}, "missed"),
    ],
)
def test_a_verdict_is_about_its_bound(value: float, bounds: dict[str, float], said: str) -> None:
    assert verdict(value, **bounds) == said


def test_figures_show_the_median_and_every_value() -> None:
    assert figures([1000.0, 3000.0, 2000.0]) == "2,000 (1,000, 3,000, 2,000)"
    assert figures([0.12345], 3) == "0.123"


def test_timing_counts_rows_and_calls() -> None:
    seen: list[tuple[int, int]] = []
    found = timed(lambda first, last: seen.append((first, last)), 10, 35, 10)
    assert seen == [(10, 20), (20, 30), (30, 35)]
    assert (found.rows, found.calls) == (25, 3)
    assert found.rate == found.rows / found.seconds
    assert 0 <= found.p50_us <= found.p99_us <= found.max_us
    with pytest.raises(ValueError, match="nothing to time"):
        timed(lambda first, last: None, 5, 5, 1)


def test_a_spent_budget_ends_the_timing_after_one_call() -> None:
    found = timed(lambda first, last: None, 0, 1_000, 10, budget_s=-1.0)
    assert (found.rows, found.calls) == (10, 1)


class Scripted(Contest):
    """Answers jobs without running anything."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def run(self, who: str, job: dict[str, Any], *, patience: float = 0) -> dict[str, Any] | None:
        self.asked.append((who, job))
        return {"rows": min(job["rows"], 700), "rate": 1.0}


def test_both_do_the_payments_that_the_peer_had_time_for() -> None:
    with Scripted() as contest:
        job = {"task": "rate", "rows": 1_000, "budget_s": 5.0}
        duel = contest.duel(job, own={OURS: {"chunk": 9}, PEER: {"chunk": 3}}, repeats=3)
    assert [who for who, _ in contest.asked] == [PEER, OURS, OURS, PEER, PEER, OURS]
    assert [asked["rows"] for _, asked in contest.asked] == [1_000, 700, 700, 700, 700, 700]
    assert all(asked["chunk"] == (9 if who == OURS else 3) for who, asked in contest.asked)
    assert contest.asked[0][1]["budget_s"] == 5.0
    assert contest.asked[1][1]["budget_s"] > 60
    assert len(duel.values(OURS, "rate")) == len(duel.values(PEER, "rate")) == 3


def test_a_saved_stream_is_read_back(tmp_path: Path) -> None:
    from graph_measure import load_stream

    made = sparse(500, 1.0, accounts=100)
    with Contest() as contest:
        read = load_stream(contest.save(made, "some"))
    assert all(
        np.array_equal(a, b) for a, b in zip(read, (made.time, made.sender, made.receiver, made.amount), strict=True)
    )


def test_a_matrix_puts_columns_beside_each_other_and_gives_rows() -> None:
    one = Matrix.of({"a": np.arange(5), "b": np.arange(5) * 10})
    both = one.beside(Matrix.of({"c": np.arange(5) + 0.5}))
    part = both.slice(1, 4)
    assert part.rows == 3
    assert [batch.to_pydict() for batch in part.batches(1)] == [{"a": [2, 3], "b": [20, 30], "c": [2.5, 3.5]}]
    assert part.take(np.array([0, 2])).to_pydict() == {"a": [1, 3], "b": [10, 30], "c": [1.5, 3.5]}
    assert part.chosen(["c", "a"]).take(np.array([0])).to_pydict() == {"c": [1.5], "a": [1]}
    with pytest.raises(ValueError, match="do not fit"):
        one.beside(part)


def test_our_side_does_every_job(tmp_path: Path) -> None:
    from ours_graph import TASKS

    job: dict[str, Any] = {
        "patterns": {"fan": 86_400, "temporal_cycle": 86_400}, "max_length": 5, "threads": 1,
        "warm": 3_000, "rows": 500, "budget_s": 60.0, "chunk": 128, "accounts": 500, "hubs": 2, "width": 100,
    }  # fmt: skip
    with Contest() as contest:
        job |= {"stream": contest.save(sparse(4_000, 1.0, accounts=500), "small"), "out": str(tmp_path / "columns.npy")}
        done = {task: TASKS[task](job) for task in ("rate", "features", "whole", "hubs")}
        one = TASKS["rate"]({**job, "chunk": 1})
    assert done["rate"]["rows"] == done["hubs"]["rows"] == one["rows"] == one["calls"] == 500
    assert done["rate"]["calls"] == 4
    assert done["whole"]["rows"] == 4_000
    assert done["whole"]["cut"]["any"] == 0.0
    assert done["whole"]["held"] > 3_000
    assert np.load(tmp_path / "columns.npy").shape == (len(done["features"]["columns"]), 4_000)


def test_hubs_have_the_counterparties_that_the_table_says() -> None:
    from ours_graph import hub_payments

    rows = np.concatenate(list(hub_payments(200_000, accounts=20_000, hubs=5, width=5_000)))
    _, sender, receiver, _ = rows.T
    assert len(rows) == 200_000
    assert (np.diff(rows[:, 0]) >= 0).all()
    assert rows[-1, 0] - rows[0, 0] < 3_600_000_000
    assert (sender != receiver).all()
    for hub in range(5):
        for counterparties in (receiver[sender == hub], sender[receiver == hub]):
            assert 1_800 < len(np.unique(counterparties)) < 2_200
