"""Embeddings of accounts: what they cost beside scipy, who finds planted rings, what they add to trees on real columns.

    scripts/bench embedding [--graphs N] [--seeds N] [--folder DIR] [--parts speed,rings,detection] [--print-only]

Speed is CPU time of one thread, the best of three rounds. --folder keeps the features of amlgentex_small for the next
time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from graph_sets import data_folder
from greywater.app.known_launderers import read_known_launderers
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.boosted import Boosted
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision
from greywater.features.embedding import Projection, RunningVectors, project_accounts
from greywater.features.embedding_join import EMBEDDING_FEATURES, EmbeddingJoin
from greywater.features.suspicion import SUSPICION_FEATURES
from greywater.features.walk_embedding import walk_graph
from greywater.stores.blocks import TableRows
from greywater.vocab import EXTERNAL_PREFIX, Actor
from hybrid_sets import scored_set
from planted_rings import EMBEDDINGS, LARGER, contest
from report import table, write_section

SET = "amlgentex_small"
ROUNDS = 3
SHAPES = {"uniform": (1.0, 1.0), "power law": (3.0, 2.5)}
SIZES = ((100_000, 1_000_000), (1_000_000, 10_000_000))
WALKS = ((1.0, 1.0), (4.0, 0.5), (0.5, 2.0))


def drawn(nodes: int, links: int, shape: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Links whose ends are drawn by a power of uniform numbers, and weights; 35 % of the nodes send nothing."""
    generator = np.random.default_rng(1)
    senders, receivers = (generator.permutation(nodes).astype(np.int32) for _ in range(2))
    source = senders[(0.65 * nodes * generator.random(links) ** shape[0]).astype(np.int64)]
    target = receivers[(nodes * generator.random(links) ** shape[1]).astype(np.int64)]
    return source, target, generator.random(links) + 0.01


def spent(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """The least CPU seconds of some rounds."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def by_scipy(source: np.ndarray, target: np.ndarray, weight: np.ndarray, nodes: int, projection: Projection) -> Any:
    """The same projection by sparse matrices times dense ones, float32."""
    rows = np.random.default_rng(7).integers(-1, 2, (nodes, projection.dimensions)).astype(np.float32)
    sides = []
    for ends in ((source, target), (target, source)):
        matrix = sparse.csr_matrix((weight.astype(np.float32), ends), shape=(nodes, nodes))
        sums = np.asarray(matrix.sum(axis=1)).ravel()
        matrix = sparse.diags_array(1.0 / np.maximum(sums, 1e-30)).astype(np.float32).tocsr() @ matrix
        total, before = np.zeros_like(rows), rows
        for scale in projection.steps:
            before = matrix @ before
            size = np.sqrt(np.einsum("nd,nd->n", before, before))
            total += before * (scale / np.maximum(size, 1e-30))[:, None]
        size = np.sqrt(np.einsum("nd,nd->n", total, total))
        sides.append(total / np.maximum(size, 1e-30)[:, None])
    return sides


def speed() -> str:
    """What projections, updates and walks cost."""
    projection = Projection()
    small = drawn(1_000, 5_000, (1.0, 1.0))
    project_accounts(*small, 1_000, projection)
    rows = []
    for nodes, links in SIZES:
        for name, shape in SHAPES.items():
            given = (*drawn(nodes, links, shape), nodes, projection)
            ours = spent(lambda given=given: project_accounts(*given))  # type: ignore[misc]
            theirs = spent(lambda given=given: by_scipy(*given), 1)  # type: ignore[misc]
            words = f"{name}, {nodes:,} accounts, {links:,} links"
            rows.append((words, f"{links / ours / 1e6:.2f}", f"{links / theirs / 1e6:.2f}", f"{theirs / ours:.1f}x"))
            print(rows[-1], flush=True)
    nodes, links = SIZES[0]
    source, target, weight = drawn(nodes, links, SHAPES["uniform"])
    running = RunningVectors(source, target, weight, nodes, projection)
    part = slice(0, 200_000)
    running.absorb(source[:10], target[:10], weight[:10])
    absorbed = 200_000 / spent(lambda: running.absorb(source[part], target[part], weight[part]))
    graph = walk_graph(source, target, weight, nodes)
    begin = np.arange(nodes, dtype=np.int32)
    graph.walk(begin[:10], 40)
    walked = []
    for p, q in WALKS:
        seconds = spent(lambda p=p, q=q: graph.walk(begin, 40, p=p, q=q))  # type: ignore[misc]
        walked.append((f"p = {p:g}, q = {q:g}", f"{39 * nodes / seconds / 1e6:.1f}"))
    return (
        f"Load average {os.getloadavg()[0]:.0f}. FastRP: {projection.dimensions} dimensions a side, both sides, "
        f"{len(projection.steps)} steps, lists made from the links in it (bound 2 million links a second). The peer is "
        f"scipy {__import__('scipy').__version__}, sparse float32 matrices times dense ones.\n\n"
        + table(("graph", "ours, million links/s", "scipy", "ours against it"), rows)
        + f"\n\nPayments that update vectors as they arrive: {absorbed / 1e6:.2f} million a second.\n\n"
        + f"Walks of 40 accounts, uniform, {nodes:,} accounts, {links:,} links both ways (bound 5 million steps a "
        "second):\n\n" + table(("walks", "million steps/s"), walked)
    )


def rings(graphs: int) -> str:
    """Who finds planted rings: means over graphs, and how many times better the best of Anti-TrustRank is."""
    found: dict[str, list[float]] = {}
    for seed in range(1, graphs + 1):
        for name, value in contest(seed).items():
            found.setdefault(name, []).append(value)
        print("graph", seed, flush=True)
    middle = {name: mean(values) for name, values in found.items()}
    best = max(value for name, value in middle.items() if name.startswith("alone: Anti-TrustRank"))
    trees = middle["trees: the three of Anti-TrustRank"]
    rows = []
    for name, values in found.items():
        against = trees if name.startswith("trees") else best
        spread = f"{min(values):.4f} to {max(values):.4f}"
        rows.append((name, f"{middle[name]:.4f}", spread, f"{against / middle[name]:.1f}x"))
    alone = max(middle[f"alone: {name}, nearest seed"] for name in EMBEDDINGS)
    return (
        "20,000 accounts, 120,000 payments at random; besides, 100 rings of 4 to 8 of these accounts, whose payments "
        f"carry {LARGER:g} times as much. One of each ring is known; {graphs} graphs. Average precision of finding the "
        "others, seeds left out: of a column by itself, and of trees on one half of the accounts, judged on the other. "
        "Last column: the best of Anti-TrustRank alone, or trees over its three, over this. The best Anti-TrustRank "
        f"alone is {best / alone:.1f} times the best distance to a seed.\n\n"
        + table(("what", "average precision", "least to most", "Anti-TrustRank over it"), rows)
    )


def joined_columns(folder: Path) -> tuple[np.ndarray, float]:
    """The columns of an EmbeddingJoin of the scored payments of the set, float64[8, n], and CPU seconds."""
    with open_project(Settings(store=folder / SET / "store"), Actor()) as project:
        join = EmbeddingJoin(read_known_launderers(project.tables, project.ledger))
        parts, seconds = [], 0.0
        for batch in project.ledger.scan(list(join.reads)):
            begun = time.process_time()
            columns = join.columns(batch)
            seconds += time.process_time() - begun
            ends = [batch.column(role).cast(pa.string()) for role in ("sender", "receiver")]
            outside = [pa.compute.starts_with(end, EXTERNAL_PREFIX).to_numpy(zero_copy_only=False) for end in ends]
            parts.append(np.array([column.to_numpy() for column in columns])[:, ~(outside[0] | outside[1])])
    return np.concatenate(parts, axis=1), seconds


def detection(folder: Path, seeds: int) -> str:
    """What the distances add to boosted trees on amlgentex_small."""
    scored = scored_set(SET, folder)
    columns, seconds = joined_columns(folder)
    whole = pa.Table.from_batches(list(scored.blocks.batches()))
    names = [feature.name for feature in EMBEDDING_FEATURES]
    bare = whole.drop_columns([feature.name for feature in SUSPICION_FEATURES])

    def with_(base: pa.Table, wanted: Sequence[str]) -> pa.Table:
        for name in wanted:
            base = base.append_column(name, pa.array(columns[names.index(name)]))
        return base

    cases = {
        "all columns of a run, with Anti-TrustRank": whole,
        "the same and the eight distances": with_(whole, names),
        "without Anti-TrustRank": bare,
        "without Anti-TrustRank, with the eight distances": with_(bare, names),
    }
    split, truth = scored.split, scored.y[scored.split.validation :]
    found: dict[str, list[float]] = {name: [] for name in cases}
    for seed in range(7, 7 + seeds):
        for name, rows in cases.items():
            held = TableRows(rows)
            tune = Validation(held.slice(split.train, split.validation), scored.y[split.train : split.validation])
            fitted = Boosted(seed=seed, threads=1).fit(
                held.slice(0, split.train), scored.y[: split.train], validation=tune
            )
            found[name].append(average_precision(truth, fitted.score(held.slice(split.validation))) or 0.0)
            print(SET, seed, name, round(found[name][-1], 4), flush=True)
    first = found["all columns of a run, with Anti-TrustRank"]
    lines = [
        (
            name, f"{mean(values):.3f}", f"{median(values):.3f}", f"{min(values):.3f} to {max(values):.3f}",
            "" if values is first else f"{sum(one > two for one, two in zip(values, first, strict=True))} of {seeds}",
        )
        for name, values in found.items()
    ]  # fmt: skip
    single = [
        (name, f"{average_precision(truth, -np.nan_to_num(column, nan=2.5)):.4f}",
         f"{average_precision(truth, np.nan_to_num(column, nan=-1.0)):.4f}")
        for name, column in zip(names, columns[:, split.validation :], strict=True)
    ]  # fmt: skip
    return (
        f"{split.rows:,} payments scored, {int(truth.sum())} laundering in the last 20 %, {seeds} seeds of boosted "
        "trees that learn on the first 60 % and are stopped on the next 20 %. The join took "
        f"{seconds:.1f} CPU seconds for 100 days.\n\n"
        + table(("trees on", "average precision, mean", "median", "least to most", "seeds above the first"), lines)
        + f"\n\nEach distance by itself on the last 20 % (chance {truth.mean():.4f}):\n\n"
        + table(("column", "near first", "far first"), single)
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="speed,rings,detection", help="which parts, by commas")
    parser.add_argument("--graphs", type=int, default=3, help="graphs with planted rings")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the trees")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next time")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="greywater-bench-") as made:
        parts: dict[str, tuple[str, Callable[[], str]]] = {
            "speed": ("Embeddings: speed", speed),
            "rings": ("Embeddings: planted rings", lambda: rings(asked.graphs)),
            "detection": (f"Embeddings: {SET}", lambda: detection(asked.folder or Path(made), asked.seeds)),
        }
        unknown = set(asked.parts.split(",")) - set(parts)
        if unknown:
            parser.error(f"no such parts: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
        for part in asked.parts.split(","):
            name, work = parts[part]
            if part == "detection" and not data_folder().is_dir():
                print(f"{part}: left out, there is no {data_folder()}")
            elif asked.print_only:
                print(f"## {name}\n\n{work()}\n")
            else:
                write_section(name, work())


if __name__ == "__main__":
    main()
