"""Runs greywater's GraphFeatures on one job: a JSON file in, a JSON file out.

    python benchmarks/ours_graph.py JOB.json RESULT.json

The jobs are those of `peer_graph.py`; `chunk` 1 uses `push`, the path of a single payment. Two tasks are ours alone:

whole     the whole stream from an empty graph in blocks; what it held at the end, and the share of rows the cap cut
hubs      random payments inside one window, made block by block, among them hubs with very many counterparties

Kernels are compiled, and every call made once, on a few payments before anything is timed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graph_measure import ColumnFile, load_stream, timed
from greywater import GraphFeatures

#: Payments that every call is tried on first, more than the block from which threads are used.
TRIED = 2_048
BLOCK = 32_768
DAY_US = 86_400 * 1_000_000
WINDOW_US = DAY_US // 24
#: Share of the payments made around hubs that have one on a side.
HUB_SHARE = 1 / 8


def transformer(job: dict[str, Any]) -> GraphFeatures:
    """The transformer of a job. Without patterns in it: all of them, over the default windows."""
    settings: dict[str, Any] = {f"{name}_windows": [seconds] for name, seconds in job.get("patterns", {}).items()}
    if settings:
        settings |= {"patterns": list(job["patterns"]), "max_length": job["max_length"]}
    if "cap" in job:
        settings["cap"] = job["cap"]
    unit: Literal["D", "us"] = "D" if job.get("by_day") else "us"
    return GraphFeatures(**settings, time_unit=unit, amount_decimals=0, n_threads=job["threads"])


def payments(job: dict[str, Any]) -> np.ndarray:
    """The stream as our arrays: time in microseconds (`by_day`: in days), sender, receiver, amount; int64[n, 4]."""
    time_us, *others = load_stream(job["stream"])
    return np.column_stack([time_us // DAY_US if job.get("by_day") else time_us, *others])


def tried(job: dict[str, Any], rows: np.ndarray) -> None:
    """Load every compiled kernel the job needs."""
    graph = transformer(job)
    graph.fit(rows[:TRIED])
    graph.transform(rows[:TRIED])
    graph.partial_fit(rows[:64])
    for row in rows[:64].tolist():
        graph.push(row)


def started(job: dict[str, Any], rows: np.ndarray) -> GraphFeatures:
    """The transformer with the first payments of the job in its graph."""
    tried(job, rows)
    graph = transformer(job)
    graph.fit(rows[: job["warm"]])
    return graph


def rate(job: dict[str, Any]) -> dict[str, Any]:
    rows = payments(job)
    graph = started(job, rows)
    begin, end = job["warm"], min(job["warm"] + job["rows"], len(rows))
    call: Callable[[int, int], Any]
    if job["chunk"] == 1:
        single = [tuple(row) for row in rows[begin:end].tolist()]

        def call(first: int, last: int) -> Any:
            return graph.push(single[first - begin])

    else:

        def call(first: int, last: int) -> Any:
            return graph.transform(rows[first:last])

    return timed(call, begin, end, job["chunk"], job["budget_s"]).as_json()


def features(job: dict[str, Any]) -> dict[str, Any]:
    rows = payments(job)
    tried(job, rows)
    graph = transformer(job)
    kept = ColumnFile(job["out"], len(rows), np.float32)

    def take(first: int, last: int) -> None:
        kept.write(first, np.asarray(advanced(graph, rows, first, last)))

    result = timed(take, 0, len(rows), job["chunk"])
    return {**result.as_json(), "columns": list(map(str, graph.get_feature_names_out()))}


def score(job: dict[str, Any]) -> dict[str, Any]:
    from greywater.detectors.trees import read_trees

    rows = payments(job)
    raw = np.ascontiguousarray(np.load(job["raw"]).T)
    model = read_trees(Path(job["model"]).read_text())
    graph = started(job, rows)
    begin, end = job["warm"], min(job["warm"] + job["rows"], len(rows))

    def call(first: int, last: int) -> None:
        made = np.asarray(graph.transform(rows[first:last]))
        model.predict(np.hstack([raw[first:last], made]), raw_score=True, num_threads=job["threads"])

    return timed(call, begin, end, job["chunk"], job["budget_s"]).as_json()


def whole(job: dict[str, Any]) -> dict[str, Any]:
    rows = payments(job)
    tried(job, rows)
    graph = transformer(job)
    cut = Cuts(graph)
    result = timed(lambda first, last: cut.add(advanced(graph, rows, first, last)), 0, len(rows), BLOCK)
    return {**result.as_json(), "cut": cut.shares(), **held(graph)}


def hubs(job: dict[str, Any]) -> dict[str, Any]:
    sizes = {name: job[name] for name in ("accounts", "hubs", "width")}
    tried(job, next(hub_payments(TRIED, **sizes)))
    graph = transformer(job)
    cut = Cuts(graph)
    started_at, done = time.perf_counter(), 0
    for rows in hub_payments(job["rows"], **sizes):
        cut.add(advanced(graph, rows, 0, len(rows), empty=done == 0))
        done += len(rows)
    return {
        "rows": done,
        "wall_s": time.perf_counter() - started_at,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cut": cut.shares(),
        **held(graph),
    }


def advanced(graph: GraphFeatures, rows: np.ndarray, first: int, last: int, *, empty: bool | None = None) -> Any:
    """The columns of rows [first, last), on an empty graph for the first rows of a stream."""
    if first == 0 if empty is None else empty:
        return graph.fit_transform(rows[first:last])
    return graph.transform(rows[first:last])


class Cuts:
    """Counts the rows in which the cap cut the search for a pattern, in any of its windows."""

    def __init__(self, graph: GraphFeatures) -> None:
        self._graph = graph
        self._rows = 0
        self._cut: dict[str, int] = {}

    def add(self, columns: Any) -> None:
        """Take a block of transformed rows in."""
        values = np.asarray(columns)
        self._rows += len(values)
        marks: dict[str, np.ndarray] = {}
        for place, name in enumerate(map(str, self._graph.get_feature_names_out())):
            pattern, _, rest = name.partition(".")
            if rest.startswith("truncated."):
                marks[pattern] = marks.get(pattern, False) | (values[:, place] != 0)
        for pattern, mark in marks.items():
            self._cut[pattern] = self._cut.get(pattern, 0) + int(mark.sum())
        if marks:
            self._cut["any"] = self._cut.get("any", 0) + int(np.any(list(marks.values()), axis=0).sum())

    def shares(self) -> dict[str, float]:
        """Share of the rows a pattern, and of any."""
        return {pattern: count / self._rows for pattern, count in self._cut.items()}


def held(graph: GraphFeatures) -> dict[str, Any]:
    """What the graph holds at the end."""
    foot = graph.footprint.graph
    return {"held": foot.held, "accounts": foot.vertices, "bytes_per_held": foot.bytes_per_held_payment}


def hub_payments(rows: int, *, accounts: int, hubs: int, width: int, seed: int = 5) -> Iterator[np.ndarray]:
    """Payments in time order inside one hour, in blocks int64[n, 4].

    One payment in eight has a hub on one side, as often paying as paid; its counterparty is one of `width` accounts
    that are its own neighbourhood. All else is drawn evenly from all accounts.

    Parameters
    ----------
    accounts : int
        Accounts in all; the hubs are the first of them.
    hubs, width : int
        How many hubs, and how many counterparties each can have.
    """
    draw = np.random.default_rng(seed)
    start = 19_000 * DAY_US
    for begin in range(0, rows, BLOCK):
        n = min(BLOCK, rows - begin)
        one, other = draw.integers(0, accounts, n), draw.integers(0, accounts, n)
        hub = draw.random(n) < HUB_SHARE
        which = draw.integers(0, hubs, n)
        near = hubs + (which * (accounts // (hubs + 1)) + draw.integers(0, width, n)) % (accounts - hubs)
        one, other = np.where(hub, which, one), np.where(hub, near, other)
        paying = draw.random(n) < 0.5
        sender, receiver = np.where(paying, one, other), np.where(paying, other, one)
        receiver = np.where(receiver == sender, (sender + 1) % accounts, receiver)
        time_us = start + (begin + np.arange(n)) * WINDOW_US // rows
        yield np.column_stack([time_us, sender, receiver, np.exp(draw.normal(9.0, 1.5, n)).astype(np.int64) + 1])


TASKS = {"rate": rate, "features": features, "score": score, "whole": whole, "hubs": hubs}

if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(TASKS[asked["task"]](asked)))
