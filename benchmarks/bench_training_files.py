"""Training sets as files: rows a CPU-second of each format, and its ratio to the tool one would use instead.

    scripts/bench training-files [--quick]

A ratio above 1 means that ours does more rows a CPU-second than the peer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import crc32c
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from tfrecord import TFRecordWriter as PeerWriter
from tfrecord.reader import tfrecord_loader

sys.path.insert(0, str(Path(__file__).resolve().parent))
from greywater.featurestore.part_files import FileLayout, PartFiles, read_part_file
from greywater.kernels.crc32c import TABLES, crc32c_of
from report import table, write_section

FEATURES = 20


def rows(count: int) -> pa.Table:
    """An id, a time, a label and 20 float64 features."""
    chance = np.random.default_rng(7)
    columns = {
        "tx_id": pa.array([f"tx{number:012d}" for number in range(count)]),
        "event_time": pa.array(chance.integers(0, 10**15, count), pa.timestamp("us", tz="UTC")),
        "laundering": pa.array(chance.integers(0, 2, count), pa.int8()),
    }
    columns |= {f"feature.{k}": pa.array(np.exp(chance.normal(size=count) * 5)) for k in range(FEATURES)}
    return pa.table(columns)


def seconds(act: Callable[[], object], repeats: int = 3) -> float:
    """CPU seconds of the best of some runs."""
    took = []
    for _ in range(repeats):
        began = time.process_time()
        act()
        took.append(time.process_time() - began)
    return min(took)


def write_ours(folder: Path, data: pa.Table, kind: str) -> None:
    """One part in one file."""
    features = tuple(data.column_names[3:])
    part = PartFiles(folder, "ours", data.schema, features, FileLayout(kind))  # type: ignore[arg-type]
    part.write(data)
    part.close()


def write_peer_tfrecord(path: Path, data: pa.Table) -> None:
    """The peer takes a dict a row."""
    kinds = {"tx_id": "byte", "event_time": "int", "laundering": "int"}
    columns = [
        (name, kinds.get(name, "float"), data[name].to_pylist()) for name in data.column_names if name != "event_time"
    ]
    columns.append(("event_time", "int", data["event_time"].cast(pa.int64()).to_pylist()))
    writer = PeerWriter(str(path))
    for at in range(data.num_rows):
        writer.write({
            name: (value[at].encode() if kind == "byte" else value[at], kind) for name, kind, value in columns
        })  # fmt: skip
    writer.close()


def measure(folder: Path, count: int) -> list[list[str]]:
    """One line a format and direction."""
    data = rows(count)
    few = data.slice(0, max(count // 20, 100))
    folder.joinpath("peer").mkdir()
    peer = folder / "peer"
    frame = data.to_pandas()
    matrix = np.column_stack([data[name].to_numpy() for name in data.column_names[3:]])
    writers: dict[str, tuple[str, Callable[[], object], int]] = {
        "csv": ("pandas to_csv", lambda: frame.to_csv(peer / "x.csv", index=False), count),
        "npy": ("numpy save, matrix only", lambda: np.save(peer / "x.npy", matrix), count),
        "parquet": ("pyarrow write_table", lambda: pa.parquet.write_table(data, peer / "x.parquet"), count),
        "tfrecord": ("tfrecord", lambda: write_peer_tfrecord(peer / "x.tfrecord", few), few.num_rows),
    }
    readers: dict[str, tuple[str, Callable[[], object], int]] = {
        "csv": ("pyarrow read_csv", lambda: pa.csv.read_csv(folder / "ours.csv"), count),
        "tfrecord": ("tfrecord", lambda: list(tfrecord_loader(str(peer / "x.tfrecord"), None)), few.num_rows),
    }
    lines = []
    for kind, (name, act, done) in writers.items():
        ours, theirs = count / seconds(lambda kind=kind: write_ours(folder, data, kind)), done / seconds(act, 2)
        lines.append([f"write {kind}", f"{ours:,.0f}", name, f"{theirs:,.0f}", f"{ours / theirs:.2f}"])
    for kind, (name, act, done) in readers.items():
        path, layout = folder / f"ours.{kind}", FileLayout(kind)  # type: ignore[arg-type]
        if kind == "tfrecord":
            write_ours(folder, few, kind)
        size = few.num_rows if kind == "tfrecord" else count
        ours = size / seconds(lambda path=path, layout=layout: read_part_file(path, data.schema, layout), 2)
        theirs = done / seconds(act, 2)
        lines.append([f"read {kind}", f"{ours:,.0f}", name, f"{theirs:,.0f}", f"{ours / theirs:.2f}"])
    return lines


def checksum(megabytes: int) -> str:
    """Speed of the check that TFRecord asks for."""
    octets = np.random.default_rng(1).integers(0, 256, megabytes << 20).astype(np.uint8)
    expected = crc32c.crc32c(octets.tobytes())
    if crc32c_of(octets, 0, len(octets), TABLES) != expected:
        raise SystemExit("the checks differ")
    ours = len(octets) / 1e6 / seconds(lambda: crc32c_of(octets, 0, len(octets), TABLES))
    theirs = len(octets) / 1e6 / seconds(lambda: crc32c.crc32c(octets))
    return f"CRC-32C: {ours:,.0f} MB a CPU-second, of the package crc32c (processor instructions) {theirs:,.0f}."


def main() -> None:
    """Measure, and write the section unless `--quick`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small set, writing nothing")
    quick = parser.parse_args().quick
    count = 5_000 if quick else 200_000
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder), count)
    text = table(["what", "rows a CPU-second", "peer", "peer's", "ratio"], lines)
    head = (
        f"{count:,} rows of an id, a time, a label and {FEATURES} float64 features. pandas writes null and NaN alike, "
        "and numpy only the matrix; ours writes the other columns beside it."
    )
    text = f"{head}\n\n{text}\n\n{checksum(4 if quick else 64)}"
    if quick:
        print(text)
    else:
        write_section("Files of training sets", text)


if __name__ == "__main__":
    main()
