"""What detectors are worth together: average precision of each part and of the hybrid, splits by time.

    scripts/bench hybrid [--sets amlsim_medium,...] [--seeds N] [--folder DIR] [--print-only]

The parts of the main job learn on the first 60 % of the payments and are stopped on the earlier half of the next 20 %;
the second level learns on the later half; all are judged on the last 20 %. Beside them: boosted trees stopped on the
whole of the 20 %, with directions, and on XGBoost; a small boosted second level; and raw-column LightGBM as the peer.
Features are worked out once by the main job's own code; --folder keeps them for the next time. Times are CPU seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from graph_sets import data_folder
from greywater.app.part_makers import PartContext, make_parts
from greywater.config import Settings
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.metrics import average_precision
from greywater.detectors.xgboosted import XGBoosted
from greywater.stores.blocks import TableRows
from hybrid_sets import FILES, Scored, scored_set
from report import table, write_section

#: What stands in the payment itself: what the peer is given.
RAW = ("payment.", "calendar.")
ROWS = 300


def raw_columns(scored: Scored) -> TableRows:
    """The columns of the payments themselves, without any look back."""
    names = [name for name in scored.blocks.names if name.startswith(RAW)]
    places = [scored.blocks.names.index(name) for name in names]
    batches = [
        pa.RecordBatch.from_arrays([batch.column(place) for place in places], names=names)
        for batch in scored.blocks.batches()
    ]
    return TableRows(pa.Table.from_batches(batches))


def slices(scored: Scored, rows: TableRows | None = None) -> tuple[object, Validation, object]:
    """Training rows, validation, test rows."""
    held, split = rows if rows is not None else scored.blocks, scored.split
    tune = Validation(held.slice(split.train, split.validation), scored.y[split.train : split.validation])
    return held.slice(0, split.train), tune, held.slice(split.validation)


def small_boosted(hybrid: Hybrid, scored: Scored) -> float:
    """A second level of four-leaf trees over the same scores, on the same rows."""
    _, tune, test = slices(scored)
    half = tune.X.rows // 2
    said = hybrid.part_scores(tune.X.slice(half))
    told = np.asarray(tune.y)[half:]

    def rows(scores: object) -> TableRows:
        return TableRows(pa.table({name: scores.of(name) for name in scores.names}))

    parameters = BoostedParameters(
        rounds_without_validation=60, num_leaves=4, min_data_in_leaf=200, feature_fraction=1.0, max_negatives=0
    )
    second = Boosted(parameters, threads=1).fit(rows(said), told)
    truth = scored.y[scored.split.validation :]
    return average_precision(truth, second.score(rows(hybrid.part_scores(test)))) or 0.0


def measured(scored: Scored, seed: int, others: bool) -> Iterator[tuple[str, float, float]]:
    """(name, average precision on the last 20 %, CPU seconds) of every part, the hybrid, and what stands beside."""
    train, tune, test = slices(scored)
    y, truth = scored.y[: scored.split.train], scored.y[scored.split.validation :]
    begun = time.process_time()
    hybrid = Hybrid(make_parts(PartContext(Settings(seed=seed), scored.blocks.names)))
    hybrid.fit(train, y, validation=tune)
    spent = time.process_time() - begun
    said = hybrid.part_scores(test)
    for name in said.names:
        yield f"part: {name}", average_precision(truth, said.of(name)) or 0.0, 0.0
    yield "**hybrid**", average_precision(truth, hybrid.score(test)) or 0.0, spent
    yield "a small boosted second level instead", small_boosted(hybrid, scored), 0.0
    bound = BoostedParameters(monotone=True)
    alone = {"boosted alone, stopped on all 20 %": Boosted(seed=seed)}
    if others:
        alone |= {"boosted alone, with directions": Boosted(bound, seed=seed), "XGBoost alone": XGBoosted(seed=seed)}
    for name, detector in alone.items():
        begun = time.process_time()
        detector.fit(train, y, validation=tune)
        spent = time.process_time() - begun
        yield name, average_precision(truth, detector.score(test)) or 0.0, spent
    raw_train, raw_tune, raw_test = slices(scored, raw_columns(scored))
    peer = Boosted(seed=seed).fit(raw_train, y, validation=raw_tune)
    yield "peer: LightGBM on raw columns", average_precision(truth, peer.score(raw_test)) or 0.0, 0.0
    yield from one_payment(hybrid, test)


def one_payment(hybrid: Hybrid, test: object) -> Iterator[tuple[str, float, float]]:
    """Microseconds of CPU for one payment, the best of five rounds over ROWS payments."""
    taken = test.take(np.arange(min(ROWS, test.rows)))
    rows = np.column_stack([np.asarray(column.to_numpy(), np.float64) for column in taken.columns])
    asked = {name: part.score_row for name, part in hybrid.parts.items() if hasattr(part, "score_row")}
    for name, ask in {**asked, "hybrid": hybrid.score_row}.items():
        ask(rows[0])
        rounds = []
        for _ in range(5):
            begun = time.process_time()
            for row in rows:
                ask(row)
            rounds.append((time.process_time() - begun) / len(rows))
        yield f"one payment, {name}, µs", min(rounds) * 1e6, 0.0


def report(scored: Scored, seeds: int, others: bool) -> str:
    """The table of one set; medians over the seeds."""
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(7, 7 + seeds):
        for name, value, spent in measured(scored, seed, others):
            print(scored.name, seed, name, round(value, 4), round(spent, 1), flush=True)
            found.setdefault(name, []).append((value, spent))
    middle = {name: (median(v for v, _ in each), median(s for _, s in each)) for name, each in found.items()}
    peer = middle["peer: LightGBM on raw columns"][0]
    rows = [
        (name, f"{value:.1f}" if "µs" in name else f"{value:.3f}",
         "" if "µs" in name or not peer else f"{value / peer:.1f}x", f"{spent:.0f}" if spent else "")
        for name, (value, spent) in middle.items()
    ]  # fmt: skip
    positives = int(scored.y[scored.split.validation :].sum())
    text = f"{scored.split.rows:,} payments scored, {positives} laundering in the last 20 %, {seeds} seed(s).\n\n"
    heads = ("", "average precision", "against the peer", "fit, CPU seconds")
    return text + table(heads, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(FILES), help="which sets, by commas")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of everything random")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next time")
    parser.add_argument("--others", action="store_true", help="XGBoost and monotone trees too: twice the time")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    unknown = set(asked.sets.split(",")) - set(FILES)
    if unknown:
        parser.error(f"no such sets: {', '.join(sorted(unknown))}; there are {', '.join(FILES)}")
    with tempfile.TemporaryDirectory(prefix="greywater-bench-") as made:
        for name in asked.sets.split(","):
            if not data_folder().is_dir():
                print(f"{name}: left out, there is no {data_folder()}")
                continue
            text = report(scored_set(name, asked.folder or Path(made)), asked.seeds, asked.others)
            if asked.print_only:
                print(f"## What detectors are worth together: {name}\n\n{text}\n")
            else:
                write_section(f"What detectors are worth together: {name}", text)


if __name__ == "__main__":
    main()
