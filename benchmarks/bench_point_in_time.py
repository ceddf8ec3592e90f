"""The point-in-time join: label rows a CPU-second of ours, DuckDB's ASOF JOIN, polars' join_asof and Feast.

    scripts/bench point-in-time [--rows N] [--labels N] [--feast-rows N] [--folder FOLDER]

One group of 10 float64 features is written by the store, a commit a day for 30 days, for one string entity in fifty
rows. All but Feast read the very files that the store wrote; each contender runs in a process of its own, on one
thread, and is charged for reading them. Ours also asks for the knowledge time of each row, which the others do not.
The hashing of the files, which ours does once a file, is reported beside it. Feast reads a Parquet file of its own, and
smaller sets, because of the time it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.point_in_time import join_as_of
from greywater.stores.open import open_offline
from report import table, write_section

DAY_US = 86_400_000_000
BEGIN_US = 19_700 * DAY_US
DAYS, TIMES = 30, 3
FEATURES = tuple(f"f{number}" for number in range(10))
GROUP = FeatureGroup("credit", 1, ("customer",), ("string",), tuple(FeatureField(name, "float64") for name in FEATURES))
VIEW = FeatureView("risk", 1, tuple(ViewFeature("credit", 1, name) for name in FEATURES))
MOMENT = pa.timestamp("us", tz="UTC")


def moments(draw: np.random.Generator, count: int, first: int, days: int) -> pa.Array:
    return pa.array(BEGIN_US + draw.integers(first * DAY_US, (first + days) * DAY_US, count), MOMENT)


def write_group(folder: Path, rows: int, labels: int) -> float:
    """Write the group through the store and the labels beside it; CPU-seconds of the store's part."""
    draw = np.random.default_rng(7)
    names = pa.array([f"C{number:09d}" for number in range(max(rows // 50, 1))])
    offline = open_offline(f"delta:{folder / 'store'}")
    offline.create(GROUP.layout)
    spent = 0.0
    for day in range(DAYS):
        count = rows // DAYS
        event = moments(draw, count, day, 1)
        who = names.take(pa.array(draw.integers(0, len(names), count)))
        values = {name: draw.random(count) for name in FEATURES}
        given = pa.table({"customer": who, "event_time": event, "known_time": event, **values})
        begun = time.process_time()
        offline.append("credit", 1, given)
        spent += time.process_time() - begun
    who = names.take(pa.array(draw.integers(0, len(names), labels)))
    asked = pa.table({"row": np.arange(labels), "customer": who, "event_time": moments(draw, labels, 0, DAYS)})
    pq.write_table(asked, folder / "labels.parquet")
    return spent


def ours(folder: Path, labels: pa.Table) -> tuple[Callable[[], pa.Table], dict[str, float]]:
    offline: Any = open_offline(f"delta:{folder / 'store'}", read_only=True)
    begun = time.process_time()
    size = offline.verify("credit", 1)
    told = {"hashing": time.process_time() - begun, "megabytes": size / 1e6}
    groups = {("credit", 1): GROUP}
    join_as_of(labels.slice(0, 1_000), VIEW, groups, offline)  # the kernels are compiled, or loaded
    return lambda: join_as_of(labels, VIEW, groups, offline), told


def in_duckdb(folder: Path, labels: pa.Table) -> tuple[Callable[[], pa.Table], dict[str, float]]:
    import duckdb

    files = open_offline(f"delta:{folder / 'store'}", read_only=True).file_uris("credit", 1)  # type: ignore[attr-defined]
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.register("labels", labels)
    query = f"""
        SELECT l.row, {", ".join(FEATURES)} FROM labels l ASOF LEFT JOIN read_parquet({files}) f
        ON l.customer = f.customer AND l.event_time >= f.event_time"""
    return lambda: connection.sql(query).to_arrow_table(), {}


def in_polars(folder: Path, labels: pa.Table) -> tuple[Callable[[], pa.Table], dict[str, float]]:
    import polars as pl

    files = open_offline(f"delta:{folder / 'store'}", read_only=True).file_uris("credit", 1)  # type: ignore[attr-defined]

    def work() -> pa.Table:
        features = pl.scan_parquet(files).select("customer", "event_time", *FEATURES).sort("event_time").collect()
        asked = pl.from_arrow(labels).sort("event_time")
        joined = asked.join_asof(features, on="event_time", by="customer", strategy="backward")
        return joined.to_arrow()

    return work, {}


CONTENDERS = {"ours": ours, "DuckDB ASOF JOIN": in_duckdb, "polars join_asof": in_polars}


def peak_megabytes() -> float:
    """The most memory this process held; what the one that started it held is not counted."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def contend(name: str, folder: Path) -> dict[str, Any]:
    """One contender, in this process: the least CPU-seconds of some runs, and what its answer adds up to."""
    labels = pq.read_table(folder / "labels.parquet").combine_chunks()
    work, told = CONTENDERS[name](folder, labels)
    best = float("inf")
    result = None
    for _ in range(TIMES):
        result = None
        begun = time.process_time()
        result = work()
        best = min(best, time.process_time() - begun)
    assert result is not None
    sums = [pc.sum(result[feature]).as_py() for feature in FEATURES]
    peak = peak_megabytes()
    answered = labels.num_rows - result[FEATURES[0]].null_count
    return {**told, "seconds": best, "peak": peak, "answered": answered, "sum": sum(sums)}


def apart(command: list[str], **more: str) -> dict[str, Any]:
    """Run a contender in a process of its own; what it says in its last line."""
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def measure(folder: Path, rows: int, labels: int, feast_rows: int) -> str:
    """The text of the section."""
    written = write_group(folder, rows, labels)
    found = {
        name: apart([sys.executable, __file__, "--only", name, "--folder", str(folder)], POLARS_MAX_THREADS="1")
        for name in CONTENDERS
    }
    first = found["ours"]
    for name, one in found.items():
        if one["answered"] != first["answered"] or abs(one["sum"] - first["sum"]) > 1e-6 * abs(first["sum"]):
            raise SystemExit(f"{name} gives another answer: {one} against {first}")
    rate = labels / first["seconds"]
    lines = [
        (name, f"{labels:,}", f"{rows:,}", f"{one['seconds']:.2f}", f"{labels / one['seconds']:,.0f}",
         f"{one['peak']:,.0f} MB", "" if one is first else f"{rate / (labels / one['seconds']):.1f}x")
        for name, one in found.items()
    ]  # fmt: skip
    python = os.environ.get("GREYWATER_FEAST_PYTHON")
    if python and feast_rows:
        asked = feast_rows // 5
        script = Path(__file__).with_name("peer_feast_join.py")
        one = apart([python, str(script), str(feast_rows), str(asked)])
        lines.append(
            (f"Feast {one['version']}, file store", f"{asked:,}", f"{feast_rows:,}", f"{one['seconds']:.2f}",
             f"{asked / one['seconds']:,.0f}", f"{one['peak']:,.0f} MB", f"{rate / (asked / one['seconds']):.1f}x")
        )  # fmt: skip
    heads = ("who", "label rows", "feature rows", "CPU s", "label rows/CPU-s", "peak memory", "ours against it")
    text = table(heads, lines)
    return (
        f"{text}\n\nOf ours, verifying the SHA-256 of {first['megabytes']:,.0f} MB took {first['hashing']:.2f} CPU-s"
        f" more, once a file; writing the group took {written:.1f} CPU-s ({rows / written:,.0f} rows/CPU-s). "
        "Contenders give the same answers (count and sums of all features); Feast is run on a set of its own."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--feast-rows", type=int, default=250_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(contend(given.only, given.folder)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        write_section("Point-in-time join", measure(Path(folder), given.rows, given.labels, given.feast_rows))


if __name__ == "__main__":
    main()
