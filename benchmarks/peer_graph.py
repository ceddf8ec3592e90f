"""Runs the peer, snapml's GraphFeaturePreprocessor, on one job: a JSON file in, a JSON file out.

    python benchmarks/peer_graph.py JOB.json RESULT.json

Runs in an environment of its own, which `scripts/bench` makes, and uses nothing of the peer but its documented Python
interface. A job names a saved stream, the patterns with their windows in seconds, and a task:

rate      append `warm` payments, then time the next ones chunk by chunk within a budget of seconds
features  the columns of every payment, chunk by chunk from an empty graph, saved as float64[columns, payments]
score     append `warm` payments, then time features and LightGBM's prediction together
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from snapml import GraphFeaturePreprocessor

from graph_measure import ColumnFile, load_stream, timed

MICROSECOND = 1_000_000
#: Edge id, source, target, timestamp (seconds), amount: what comes first in every row that the peer returns.
GIVEN, TIMESTAMP, AMOUNT = 5, 3, 4
BINS = [2, 3, 4, 5, 6, 7, 8, 9, 10]
#: Mean to kurtosis; with fan, degree and their ratio (0, 1, 2) where those are asked for too.
STATISTICS = [3, 4, 5, 6, 7, 8, 9, 10]
#: Our name of a pattern -> the peer's names.
NAMES = {
    "fan": ("fan", "degree"),
    "statistics": ("vertex_stats",),
    "scatter_gather": ("scatter-gather",),
    "temporal_cycle": ("temp-cycle",),
    "simple_cycle": ("lc-cycle",),
}


def parameters(job: dict[str, Any]) -> dict[str, Any]:
    """The peer's parameters for a job."""
    windows: dict[str, int] = job["patterns"]
    chosen: dict[str, Any] = {
        "num_threads": job["threads"],
        "time_window": max(windows.values()),
        "max_no_edges": -1,
        "lc-cycle_len": job["max_length"],
        "vertex_stats_cols": [TIMESTAMP, AMOUNT],
        "vertex_stats_feats": ([0, 1, 2] if "fan" in windows else []) + STATISTICS,
    }
    for pattern, names in NAMES.items():
        for name in names:
            chosen[name] = pattern in windows
            chosen[f"{name}_tw"] = windows.get(pattern, 1)
            if name != "vertex_stats":
                chosen[f"{name}_bins"] = BINS
    return chosen


def edges(job: dict[str, Any]) -> np.ndarray:
    """The stream as the peer wants it, float64[n, 5]; time starts at 0."""
    time_us, sender, receiver, amount = load_stream(job["stream"])
    seconds = (time_us - time_us[0]) // MICROSECOND
    return np.column_stack([np.arange(len(seconds)), sender, receiver, seconds, amount]).astype(np.float64)


def started(job: dict[str, Any], rows: np.ndarray) -> GraphFeaturePreprocessor:
    """The peer with the first payments of the job in its graph."""
    peer = GraphFeaturePreprocessor()
    peer.set_params(parameters(job))
    if job["warm"]:
        peer.fit(rows[: job["warm"]])
    return peer


def rate(job: dict[str, Any]) -> dict[str, Any]:
    rows = edges(job)
    peer = started(job, rows)
    begin, end = job["warm"], min(job["warm"] + job["rows"], len(rows))
    result = timed(lambda first, last: peer.transform(rows[first:last]), begin, end, job["chunk"], job["budget_s"])
    return result.as_json()


def features(job: dict[str, Any]) -> dict[str, Any]:
    rows = edges(job)
    peer = started({**job, "warm": 0}, rows)
    kept = ColumnFile(job["out"], len(rows), np.float64)

    def take(first: int, last: int) -> None:
        kept.write(first, peer.transform(rows[first:last])[:, GIVEN:])

    return timed(take, 0, len(rows), job["chunk"]).as_json()


def score(job: dict[str, Any]) -> dict[str, Any]:
    import lightgbm

    rows = edges(job)
    raw = np.ascontiguousarray(np.load(job["raw"]).T)
    model = lightgbm.Booster(model_file=job["model"])
    peer = started(job, rows)
    begin, end = job["warm"], min(job["warm"] + job["rows"], len(rows))

    def call(first: int, last: int) -> None:
        made = peer.transform(rows[first:last])[:, GIVEN:]
        model.predict(np.hstack([raw[first:last], made]), raw_score=True, num_threads=job["threads"])

    return timed(call, begin, end, job["chunk"], job["budget_s"]).as_json()


TASKS = {"rate": rate, "features": features, "score": score}

if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(TASKS[asked["task"]](asked)))
