"""The SynthAML benchmark, its studies, and the fidelity report, on files of our own example at the published size.

    scripts/bench synthaml [--parts NAME ...] [--alerts N] [--seeds N] [--slow-seeds N] [--study-seeds N]
                           [--files ALERTS TRANSACTIONS] [--print-only]

Each part writes its own section, so that they can be run apart. The published files are not part of this repository:
the figures are of the built-in example of greywater.synth.alertbook unless --files names others.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from greywater.app.alert_benchmark import OURS, PUBLISHED, BenchmarkRequest, bench_synthaml, our_ranking
from greywater.app.alert_set import AlertSet, quarter_cut, read_alert_set
from greywater.app.fidelity import FidelityRequest, measure_fidelity
from greywater.app.ingest import Silent
from greywater.config import Settings
from greywater.desk.alert_benchmark_page import percent_of
from greywater.detectors.alert_models import ALERT_MODELS, QUICK_MODELS, contest, one_thread_of_algebra
from greywater.features.alert_bags import BAG_FEATURES, bag_features
from greywater.synth import alertbook
from greywater.vocab import Actor
from report import table, write_section

PARTS = ("models", "imbalance", "drift", "interpretability", "fidelity")
NAMES = {
    "models": "The SynthAML benchmark",
    "imbalance": "SynthAML: rarer reports",
    "drift": "SynthAML: concept drift",
    "interpretability": "SynthAML: what columns are worth",
    "fidelity": "Made-up alerts: fidelity and privacy",
}
COLUMNS = 5


def drawn(alerts: int) -> AlertSet:
    """The example's alerts as `read_alert_set` has them, without millions of rows written and read."""
    blocks = list(alertbook.example(7).sample(alerts, 0))
    values = [
        bag_features(len(each.day), each.alert.astype(np.int64), each.cell.astype(np.int64), each.size)
        for each in blocks
    ]
    day = np.concatenate([each.day for each in blocks])
    ids = np.concatenate([each.first + np.arange(len(each.day)) for each in blocks]).astype(str)
    order = np.lexsort((ids, day))
    y = np.concatenate([each.reported for each in blocks]).astype(np.int64)
    moment = (day + 1) * 86_400_000_000 - 1
    return AlertSet(BAG_FEATURES, np.concatenate(values)[order], y[order], moment[order], ())


def models(found: AlertSet, settings: Settings, seeds: int, slow_seeds: int) -> str:
    """Every model beside the published one, the quick ones first; those that take a minute a fit over fewer seeds."""
    cut = quarter_cut(found.moment_us, "2021-01-01")
    train, test = found.rows(0, cut), found.rows(cut)
    rows: list[tuple[float, tuple[Any, ...]]] = []
    with one_thread_of_algebra():
        ours = our_ranking(settings, found, cut, seeds, Silent())
        rows.append((ours.mean or 0, (OURS, percent_of(ours.to_json()), seeds, "–")))
        for name in sorted(ALERT_MODELS, key=lambda name: name not in QUICK_MODELS):
            count = seeds if name in QUICK_MODELS else slow_seeds
            spread = contest(train, test, models=[name], seeds=count, threads=settings.worker_threads)[name]
            rows.append((spread.mean or 0, (ALERT_MODELS[name], percent_of(spread.to_json()), count, PUBLISHED[name])))
            print(rows[-1], flush=True)
    headings = ("model", "ROC AUC here, percent (sd)", "seeds", "published, on the published files, ten seeds")
    return (
        f"{cut:,} alerts of 2020 to learn from ({int(train.y.sum()):,} reported), {len(test.y):,} of 2021 to measure "
        f"({int(test.y.sum()):,}).\n\n{table(headings, [row for _, row in sorted(rows, key=lambda each: -each[0])])}"
    )


def imbalance(found: Mapping[str, Any]) -> str:
    """A row a model and rate, a column a remedy."""
    at: dict[tuple[str, float], dict[str, str]] = {}
    for cell in found["imbalance"]:
        at.setdefault((cell["model"], cell["rate"]), {"reported": str(cell["reported"])})[cell["remedy"]] = percent_of(
            cell["auc"]
        )
    remedies = list(next(iter(at.values())))
    rows = [(model, f"{100 * rate:g} %", *cells.values()) for (model, rate), cells in at.items()]
    return table(("model", "rate", *remedies), rows)


def drift(found: Mapping[str, Any]) -> str:
    """Upkeep by quarter, and each model learned from the first quarter by quarters since."""
    points = found["drift"]["upkeep"]
    measured = list(dict.fromkeys(point["measured"] for point in points))
    at = {(point["model"], point["upkeep"], point["measured"]): point for point in points}
    kinds = list(dict.fromkeys((point["model"], point["upkeep"]) for point in points))
    rows = [(*kind, *(percent_of(at[(*kind, when)]["auc"]) for when in measured)) for kind in kinds]
    cells: dict[str, dict[int, list[float]]] = {}
    quarters = [found["drift"]["quarters"][0]["learned"], *measured]
    for cell in found["drift"]["quarters"]:
        ahead = quarters.index(cell["measured"]) - quarters.index(cell["learned"])
        if cell["auc"]["mean"] is not None:
            cells.setdefault(cell["model"], {}).setdefault(ahead, []).append(cell["auc"]["mean"])
    ahead_rows = [
        (model, *(f"{100 * sum(each[step]) / len(each[step]):.2f}" for step in sorted(each)))
        for model, each in cells.items()
    ]
    steps = sorted(next(iter(cells.values())))
    return (
        table(("model", "upkeep", *measured), rows)
        + "\n\nLearned from one quarter, mean over all pairs so many quarters apart:\n\n"
        + table(("model", *(f"{step} ahead" for step in steps)), ahead_rows)
    )


def interpretability(found: Mapping[str, Any]) -> str:
    """The first columns of each model, and how far the three ways agree."""
    rows = []
    for each in found["interpretability"]:
        first = ", ".join(f"{one['column']} {100 * one['permutation']:.2f}" for one in each["columns"][:COLUMNS])
        agreement = ["–" if value is None else f"{value:.2f}" for value in each["agreement"].values()]
        rows.append((each["model"], first, *agreement))
    headings = ("model", "first columns, ROC AUC points lost", "permutation, Shapley", "permutation, surrogate",
                "Shapley, surrogate")  # fmt: skip
    return table(headings, rows)


def fidelity(folder: Path, settings: Settings, alerts: int, seeds: int) -> str:
    """The faithful mode fitted on half of a book, held against that half and the other."""
    source = alertbook.example(7)
    for name, seed in (("real", 1), ("holdout", 2)):
        source.write(folder / name, alerts // 2, seed, form="parquet")
    sides = {name: pair(folder / name) for name in ("real", "holdout")}
    begun = time.perf_counter()
    book = alertbook.fit(*sides["real"])
    book.write(folder / "made", alerts // 2, 3, form="parquet")
    made = time.perf_counter() - begun
    begun = time.perf_counter()
    request = FidelityRequest(sides["real"], pair(folder / "made"), sides["holdout"], seeds=seeds)
    found = measure_fidelity(Actor(), settings, request).to_json()
    spent = time.perf_counter() - begun
    rows = [
        (part, one["name"], *("–" if one[key] is None else f"{one[key]:.4f}" for key in ("value", "ideal", "line")),
         {None: "–", True: "yes", False: "no"}[one["fine"]])
        for part, measures in found["measures"].items()
        for one in measures
    ]  # fmt: skip
    useful = [(one["model"], percent_of(one["train_real"]), percent_of(one["train_made"])) for one in found["models"]]
    words = (
        f"{alerts // 2:,} alerts ({found['counts']['real']['transactions']:,} transactions) of the example stand for "
        f"real ones, {alerts // 2:,} others of it for the holdout; `alertbook.fit` in faithful mode made as many in "
        f"{made:.0f} s (fit and writing), the report took {spent:.0f} s wall. {seeds} seed(s) for each model."
    )
    return "\n\n".join((
        words, table(("part", "measure", "found", "ideal", "line", "kept"), rows),
        "ROC AUC on the holdout, percent (sd):", table(("model", "trained on real", "trained on made"), useful),
    ))  # fmt: skip


def pair(folder: Path) -> tuple[Path, Path]:
    """The two files of a folder."""
    return folder / "synthetic_alerts.parquet", folder / "synthetic_transactions.parquet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slow-seeds", type=int, help="of SVM and MLP; as --seeds where left out")
    parser.add_argument("--study-seeds", type=int, default=3)
    parser.add_argument("--files", nargs=2, type=Path)
    parser.add_argument("--print-only", action="store_true")
    asked = parser.parse_args()
    threads = min(2, os.cpu_count() or 1)
    shown = {"imbalance": imbalance, "drift": drift, "interpretability": interpretability}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(store=folder / "store", threads=threads)
        files = asked.files
        if files is None and set(asked.parts) - {"models", "fidelity"}:
            alertbook.example(7).write(folder / "whole", asked.alerts, 0, form="parquet")
            files = pair(folder / "whole")
        for part in asked.parts:
            begun, load = time.process_time(), os.getloadavg()[0]
            what = "given files" if asked.files else "our own example (seed 7), not the published files"
            if part == "models":
                text = f"Of {what}. " + models(
                    read_alert_set(*files) if files else drawn(asked.alerts),
                    settings,
                    asked.seeds,
                    asked.slow_seeds or asked.seeds,
                )
            elif part == "fidelity":
                text = fidelity(folder, settings, asked.alerts, asked.study_seeds)
            else:
                request = BenchmarkRequest(*files, parts=(part,), seeds=asked.study_seeds)
                found = bench_synthaml(Actor(), settings, request).to_json()
                text = (
                    f"{found['train']['alerts']:,} alerts of 2020 to learn from ({found['train']['reported']:,} "
                    f"reported), {found['test']['alerts']:,} of 2021 to measure ({found['test']['reported']:,}), of "
                    f"{what}; {asked.study_seeds} seeds.\n\n{shown[part](found)}"
                )
                text += "".join(f"\n\nNote: {note}." for note in found["notes"])
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            spent = time.process_time() - begun
            text += f"\n\n{spent:,.0f} CPU-seconds, {most:.1f} GB at most so far; load average {load:.0f} at the start."
            if asked.print_only:
                print(f"## {NAMES[part]}\n\n{text}\n")
            else:
                write_section(NAMES[part], text)


if __name__ == "__main__":
    main()
