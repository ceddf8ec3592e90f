"""Alert books: time and memory for the published size, what each mode keeps of a set with a signal, SDV beside us.

    scripts/bench alertbook [--alerts N] [--sdv FOLDER] [--peer-alerts N,N] [--print-only]

Each fit and draw runs in a process of its own, so its memory is its own. SDV is no dependency: `pip install --target
FOLDER sdv ...` puts it in a folder of its own; without `--sdv` it is not measured, and the page says so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lightgbm as lgb
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from greywater.synth import alertbook
from greywater.synth.alertbook_tables import AlertTables, read_tables
from report import table, write_section
from tests.synth.alert_sets import NEW_YEAR_2021, alert_features, kolmogorov_smirnov, made_alerts

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("synthetic_alerts.parquet", "synthetic_transactions.parquet")
WAYS: dict[str, dict[str, Any]] = {
    "faithful": {"mode": "faithful"},
    "hma1": {"mode": "hma1"},
    "hma1, library's categories": {"mode": "hma1", "categories": "library"},
}
QUALITY_ALERTS, QUALITY_ROWS = 20_000, 200


def child(way: str, source: Path, target: Path, alerts: int) -> None:
    """Fit to two Parquet files, draw as many alerts and write them; print seconds and memory."""
    begin = time.perf_counter()
    tables = read_tables(*(source / name for name in NAMES))
    read = time.perf_counter()
    book = alertbook.fit(tables, **WAYS[way])
    del tables
    fitted = time.perf_counter()
    written = book.write(target, alerts, 1, form="parquet")
    told = {
        "read": read - begin, "fit": fitted - read, "draw": time.perf_counter() - fitted,
        "rows": written.transaction_count, "alerts": written.alert_count,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cpu": time.process_time(), "bytes": written.transactions.stat().st_size,
    }  # fmt: skip
    print(json.dumps(told))


def measured(way: str, source: Path, target: Path, alerts: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--child", way, str(source), str(target), str(alerts)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def line(name: str, told: dict[str, float], rows: float) -> tuple[object, ...]:
    whole = told.get("read", 0.0) + told["fit"] + told.get("draw", told.get("sample", 0.0))
    return (
        name, f"{told['alerts']:,}", f"{told['rows'] / 1e6:,.2f} M", f"{told['read']:.1f}" if "read" in told else "",
        f"{told['fit']:.1f}", f"{told.get('draw', told.get('sample', 0.0)):.1f}", f"{whole:.1f}", f"{told['cpu']:.1f}",
        f"{1e6 * told['cpu'] / rows:,.2f}", f"{told['memory'] / 2**30:.2f}",
    )  # fmt: skip


HEADS = ("", "alerts", "rows", "read, s", "fit, s", "draw and write, s", "all, s", "CPU, s", "CPU us a row", "peak GiB")


def cut(source: Path, target: Path, alerts: int, rows: int) -> None:
    """The first alerts of two files and at most so many rows of each."""
    target.mkdir()
    first = pq.read_table(source / NAMES[0]).slice(0, alerts)
    pq.write_table(first, target / NAMES[0])
    held = pq.read_table(source / NAMES[1], filters=[("AlertID", "<=", alerts)]).combine_chunks()
    ids = held["AlertID"].to_numpy()
    place = np.arange(len(ids)) - np.searchsorted(ids, ids)
    pq.write_table(held.filter(pc.less(place, rows)), target / NAMES[1])


def beside_sdv(folder: Path, source: Path, sizes: list[int], rows: int, work: Path) -> str:
    """Fit and draw of the same tables by SDV and by us."""
    lines = []
    for alerts in sizes:
        small = work / f"small{alerts}"
        cut(source, small, alerts, rows)
        words = [sys.executable, str(ROOT / "benchmarks" / "peer_sdv.py"), *(str(small / name) for name in NAMES)]
        done = subprocess.run(
            [*words, str(alerts), str(rows), str(work / "sdv.parquet")], check=True, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )  # fmt: skip
        peer = json.loads(done.stdout.splitlines()[-1])
        lines.append(line(f"SDV {peer['version']} HMA", peer, peer["rows"]))
        told = measured("hma1", small, work / "small_out", alerts)
        lines.append(line("hma1", told, told["rows"]))
    return table(HEADS, lines)


def drawn(book: alertbook.AlertBook, alerts: int) -> AlertTables:
    return read_tables(*book.tables(alerts, 5))


def areas(train: AlertTables, test: AlertTables) -> list[float]:
    """ROC AUC on alerts of 2021 of models fitted to alerts of 2020: logistic regression and LightGBM."""
    first, second = train.day < NEW_YEAR_2021, test.day >= NEW_YEAR_2021
    features, held_out = alert_features(train)[first], alert_features(test)[second]
    models = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
        lgb.LGBMClassifier(verbose=-1, random_state=0),
    )
    found = []
    for model in models:
        model.fit(features, train.reported[first])
        found.append(float(roc_auc_score(test.reported[second], model.predict_proba(held_out)[:, 1])))
    return found


def nearer(train: AlertTables, holdout: AlertTables, made: AlertTables, alerts: int = 4_000) -> float:
    """Share of made alerts that are nearer to the data than to the hold-out, by the 56 features."""
    features = [alert_features(one) for one in (train, holdout, made)]
    scaler = StandardScaler().fit(np.vstack(features[:2]))
    real, other, mine = (scaler.transform(one) for one in features)
    near = [NearestNeighbors(n_neighbors=1).fit(one).kneighbors(mine[:alerts])[0][:, 0] for one in (real, other)]
    return float((near[0] < near[1]).mean())


def shares(tables: AlertTables) -> list[str]:
    count = np.bincount(tables.cell, minlength=8) / len(tables.cell)
    size = tables.size[tables.cell == 1]
    inside = size[(size > np.quantile(size, 0.05)) & (size < np.quantile(size, 0.95))]
    spike = np.unique(inside, return_counts=True)[1].max() / len(size)
    return [f"{100 * one:.1f} %" for one in (count[1] + count[5], count[4], count[7], spike)]


def quality(alerts: int, rows: int) -> str:
    data, holdout = (made_alerts(alerts, rows, seed, signal=2.0) for seed in (1, 2))
    real = areas(data, holdout)
    lines: list[tuple[object, ...]] = [("the data", "", "", *(f"{one:.3f}" for one in real), "", "", *shares(data))]
    for name, switches in WAYS.items():
        made = drawn(alertbook.fit(data, **switches), alerts)
        gaps = [
            [kolmogorov_smirnov(made.size[made.cell % 4 == kind], one.size[one.cell % 4 == kind]) for kind in range(4)]
            for one in (data, holdout)
        ]
        own = areas(made, holdout)
        lines.append(
            (
                name, *(f"{max(gap):.3f}" for gap in gaps), *(f"{one:.3f}" for one in own),
                f"{min(mine / theirs for mine, theirs in zip(own, real, strict=True)):.3f}",
                f"{nearer(data, holdout, made):.3f}", *shares(made),
            )
        )  # fmt: skip
    heads = (
        "", "KS of size, worst type: data", "hold-out", "AUC, logistic regression", "AUC, LightGBM",
        "least share of the data's AUC", "nearer to the data", "cash", "card debit", "wire debit",
        "commonest cash credit",
    )  # fmt: skip
    return table(heads, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--sdv", type=Path)
    parser.add_argument("--peer-alerts", default="100,200,400")
    parser.add_argument("--peer-rows", type=int, default=400)
    parser.add_argument("--print-only", action="store_true")
    parser.add_argument("--child", nargs=4)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]), Path(asked.child[2]), int(asked.child[3]))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        alertbook.example(7).write(work, asked.alerts, 1, form="parquet")
        lines = []
        for way in ("faithful", "hma1"):
            told = measured(way, work, work / "out", asked.alerts)
            lines.append(line(way, told, told["rows"]))
        text = f"Fitted to files of the built-in example, in a process of its own.\n\n{table(HEADS, lines)}\n\n"
        if asked.sdv is None:
            text += "SDV was not measured in this run.\n\n"
        else:
            sizes = [int(one) for one in asked.peer_alerts.split(",")]
            beside = beside_sdv(asked.sdv, work, sizes, asked.peer_rows, work)
            text += f"The first alerts of these files, at most {asked.peer_rows} rows of each:\n\n{beside}\n\n"
    text += (
        f"A made set of {QUALITY_ALERTS:,} alerts of about {QUALITY_ROWS} rows whose outcome depends on wires, cash "
        f"and sizes; a hold-out made the same way.\n\n{quality(QUALITY_ALERTS, QUALITY_ROWS)}"
        f"\n\nLoad average {load:.0f} when it began, on {os.cpu_count()} cores: CPU seconds say more than seconds."
    )
    if asked.print_only:
        print(text)
    else:
        write_section("Alert books", text)


if __name__ == "__main__":
    main()
