"""What graph features are worth: average precision and F1 of LightGBM with and without them, and with the peer's.

    scripts/bench graph-value [--quick] [--print-only] [--sets amlsim_medium,...] [--seeds N]

The same trees with the same parameters on every set of columns, learned on the first 60 % of the payments by time,
stopped and given their threshold (best F1) on the next 20 %, judged on the last 20 %. The peer computes in an
environment of its own, 128 payments a call, in which later payments of a call are seen by the earlier ones; it sees
payments from account to account only. Then the rate of features and prediction together. With --quick nothing is
written and the figures mean little.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from feature_matrix import Matrix
from graph_contest import OURS, PEER, Contest, Duel, figures
from graph_measure import timed
from graph_sets import SETS, PaymentSet, data_folder
from greywater.app.split import Split, split_by_time
from greywater.config import Settings
from greywater.detectors.baseline import single_column_baseline
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import at_threshold, average_precision
from greywater.detectors.rows import matrix
from greywater.detectors.trees import read_trees
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine, EngineState
from report import table, write_section

PARAMETERS = BoostedParameters(rounds=300, num_leaves=63, learning_rate=0.05, feature_fraction=0.2)
PATTERNS = ("fan", "statistics", "scatter_gather", "temporal_cycle", "simple_cycle")
#: Sets that the peer takes part in.
WITH_PEER = ("amlsim_medium", "amlgentex_small")
BLOCK = 32_768
BATCHES = (128, 2_048)
RAW, V1, V2 = "raw columns", "features v1", "features v1 and graph features (v2)"
RAW_GRAPH = "raw and all graph features"
LIKE, PEERS = "raw and graph features, the peer's patterns and window", "raw and the peer's features"
SCORED_ROWS = 40_000


@dataclass(frozen=True)
class Judged:
    """One set of columns, measured on the last 20 %, a value for each seed."""

    name: str
    columns: int
    trees: tuple[int, ...]
    precision: tuple[float, ...]
    f1: tuple[float, ...]
    single: str
    model: Path


@dataclass(frozen=True)
class Made:
    """The engine's columns of the scored payments, and the engine's state where the last 20 % begin."""

    matrix: Matrix
    features: FeatureSet
    state: EngineState
    first: int


@dataclass(frozen=True)
class Value:
    """One set of payments and everything its table is made from."""

    contest: Contest
    payments: PaymentSet
    seeds: int
    budget_s: float

    @property
    def inside(self) -> PaymentSet:
        """The payments that are scored: from account to account."""
        return self.payments.rows(self.payments.scored)

    def path(self, name: str) -> Path:
        """A file of this set in the contest's folder."""
        return self.contest.folder / f"{self.payments.name}-{name}"


def made_by_engine(value: Value, split: Split) -> Made:
    """Run the engine with features v2 over all payments, those outside the bank too."""
    payments = value.payments
    features = payments_v2(Settings(), payments.resolution_us)
    scored = np.flatnonzero(payments.scored)
    first = int(scored[split.alerting])
    path = value.path("v2.npy")
    columns = np.lib.format.open_memmap(path, "w+", np.float32, (len(features.names), len(scored)))
    engine, done, state = Engine(features), 0, None
    for begin, end in blocks(first, len(payments)):
        if begin == first:
            state = engine.snapshot()
        block = engine.process(payments.transactions(begin, end))
        count = int(block.scored.sum())
        for place, column in enumerate(block.columns.columns):
            columns[place, done : done + count] = column.to_numpy(zero_copy_only=False)[block.scored]
        done += count
    columns.flush()
    if state is None:
        raise ValueError("there is no payment in the last fifth")
    return Made(Matrix.mapped(path, features.names), features, state, first)


def blocks(cut: int, rows: int) -> Iterator[tuple[int, int]]:
    """Blocks of [0, rows), of which one begins at the cut.

    Examples
    --------
    >>> list(blocks(3, 5))
    [(0, 3), (3, 5)]
    """
    for begin, end in ((0, cut), (cut, rows)):
        for first in range(begin, end, BLOCK):
            yield first, min(first + BLOCK, end)


def job(value: Value, task: str) -> dict[str, Any]:
    """What both contestants are asked to do with the account-to-account payments."""
    folder = value.contest.folder / value.payments.name
    if not folder.is_dir():
        value.contest.save(value.inside.stream(), value.payments.name)
    return {
        "task": task,
        "stream": str(folder),
        "patterns": dict.fromkeys(PATTERNS, value.payments.window),
        "max_length": 10,
        "threads": 1,
        "chunk": 128,
    }


def contested(value: Value, who: str, raw: Matrix) -> Matrix | None:
    """Raw columns beside a contestant's, 128 payments a call; None where it died."""
    path = value.path(f"{who}.npy")
    result = value.contest.run(who, {**job(value, "features"), "out": str(path)})
    if result is None:
        return None
    count = len(np.load(path, mmap_mode="r"))
    names = result["columns"] if who == OURS else [f"the peer's column {k}" for k in range(count)]
    return raw.beside(Matrix.mapped(path, names))


def with_graph(value: Value, raw: Matrix) -> Matrix | None:
    """Raw columns beside all columns of GraphFeatures over its default windows; None where it died."""
    path = value.path("graph.npy")
    by_day = value.payments.resolution_us >= 86_400_000_000
    asked = {**job(value, "features"), "out": str(path), "by_day": by_day, "chunk": BLOCK, "threads": 2}
    del asked["patterns"]
    result = value.contest.run(OURS, asked)
    return None if result is None else raw.beside(Matrix.mapped(path, result["columns"]))


def judged(value: Value, name: str, X: Matrix, split: Split) -> Judged:
    """Fit on the first 60 %, tune on the next 20 %, measure on the last."""
    y = value.inside.label
    tune = slice(split.train, split.validation)
    held = Validation(X.slice(split.train, split.validation), y[tune])
    test, truth = X.slice(split.alerting, split.rows), y[split.alerting : split.rows]
    trees, precision, f1 = [], [], []
    folder = value.path("model-" + "-".join(re.findall(r"\w+", name)))
    for seed in range(7, 7 + value.seeds):
        detector = Boosted(PARAMETERS, seed=seed)
        detector.fit(X.slice(0, split.train), y[: split.train], validation=held)
        score = detector.score(test)
        trees.append(int(detector.card["trees"]))
        precision.append(average_precision(truth, score) or 0.0)
        f1.append(at_threshold(truth, score, detector.threshold.value).f1 or 0.0)
        if seed == 7:
            detector.save(folder)
    best = single_column_baseline(test, truth, directions_from=held).by_average_precision
    single = f"`{best.column}` {best.average_precision:.3f}" if best else ""
    return Judged(name, len(X.names), tuple(trees), tuple(precision), tuple(f1), single, folder / "model.txt")


def engine_rate(value: Value, made: Made, model: Path, chunk: int) -> list[float]:
    """Payments a second of the engine and the trees on the last payments, one thread, in three runs."""
    last = min(made.first + SCORED_ROWS, len(value.payments))
    rows = value.payments.transactions(made.first, last)
    trees = read_trees(model.read_text())
    found = []
    for _ in range(3):
        engine = Engine(made.features, threads=1)
        engine.restore(made.state)

        def call(first: int, end: int, engine: Engine = engine) -> None:
            block = engine.process(rows.slice(first, end - first))
            trees.predict(matrix(block.columns), raw_score=True, num_threads=1)

        found.append(timed(call, 0, rows.num_rows, chunk, value.budget_s).rate)
    return found


def contest_rates(value: Value, models: dict[str, Path], raw: Path, split: Split, chunk: int) -> Duel:
    """Features and prediction of both contestants on the last payments, one thread, in turn."""
    asked = {
        **job(value, "score"),
        "warm": split.alerting,
        "rows": SCORED_ROWS,
        "budget_s": value.budget_s,
        "raw": str(raw),
    }
    return value.contest.duel(asked, own={who: {"model": str(path), "chunk": chunk} for who, path in models.items()})


def arms(value: Value, made: Made, raw: Matrix) -> Iterator[tuple[str, Matrix]]:
    """Every set of columns by name, made when it is asked for."""
    yield RAW, raw
    yield V1, made.matrix.chosen(payments_v1(Settings(), value.payments.resolution_us).names)
    columns = with_graph(value, raw)
    if columns is not None:
        yield RAW_GRAPH, columns
    yield V2, made.matrix
    if value.payments.name in WITH_PEER:
        for name, who in ((LIKE, OURS), (PEERS, PEER)):
            columns = contested(value, who, raw)
            if columns is not None:
                yield name, columns


def measure(value: Value) -> tuple[list[Judged], list[tuple[str, str, list[float]]]]:
    """Everything about one set: what each set of columns detects, and rates from features to score."""
    inside = value.inside
    split = split_by_time(inside.time, labelled=True)
    raw = Matrix.of(inside.raw())
    raw_path = value.path("raw.npy")
    np.save(raw_path, raw.parts[0])
    made = made_by_engine(value, split)
    found = {name: judged(value, name, columns, split) for name, columns in arms(value, made, raw)}
    rates: list[tuple[str, str, list[float]]] = []
    for chunk in BATCHES:
        rates.append((f"ours, {V2}", f"{chunk:,}", engine_rate(value, made, found[V2].model, chunk)))
        if LIKE in found and PEERS in found:
            models = {OURS: found[LIKE].model, PEER: found[PEERS].model}
            duel = contest_rates(value, models, raw_path, split, chunk)
            rates.append((f"ours, {LIKE}", f"{chunk:,}", duel.values(OURS, "rate")))
            rates.append((PEERS, f"{chunk:,}", duel.values(PEER, "rate")))
    return list(found.values()), rates


def report(value: Value, found: list[Judged], rates: list[tuple[str, str, list[float]]]) -> str:
    """Both tables of one set."""
    lines = [
        (each.name, each.columns, figures(each.trees), figures(each.precision, 3), figures(each.f1, 3), each.single)
        for each in found
    ]
    heads = ("columns", "how many", "trees", "average precision", "F1", "best single column, average precision")
    text = table(heads, lines)
    labels = value.inside.label
    text += f"\n\n{len(labels):,} payments scored, {int(labels.sum()):,} of them positive. "
    text += "Medians over the seeds of the trees, all in brackets.\n\n"
    peers = {chunk: median(values) for name, chunk, values in rates if name == PEERS and values}
    rows = [
        (name, chunk, figures(values), f"{median(values) / peers[chunk]:.1f}x" if chunk in peers and values else "")
        for name, chunk, values in rates
    ]
    return text + table(("features and prediction, one thread", "a call", "payments/s", "against the peer"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="which sets, by commas")
    parser.add_argument("--quick", action="store_true", help="a part of each set, one seed; write nothing")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the trees")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    unknown = set(asked.sets.split(",")) - set(SETS)
    if unknown:
        parser.error(f"no such sets: {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    for name in asked.sets.split(","):
        if name != "pump-and-dump" and not data_folder().is_dir():
            print(f"{name}: left out, there is no {data_folder()}")
            continue
        payments = SETS[name]()
        if asked.quick:
            payments = payments.rows(slice(0, 60_000))
        with Contest() as contest:
            value = Value(contest, payments, 1 if asked.quick else asked.seeds, 2.0 if asked.quick else 15.0)
            text = report(value, *measure(value))
        if asked.quick or asked.print_only:
            print(f"## What graph features are worth: {name}\n\n{text}\n")
        else:
            write_section(f"What graph features are worth: {name}", text)


if __name__ == "__main__":
    main()
