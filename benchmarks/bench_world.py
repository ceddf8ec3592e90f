"""Large made-up worlds: payments a second, memory, disk, and how near they are to what was published.

    scripts/bench world [--payments N] [--print-only]

Each world is made in a process of its own, after a tiny one that loads the compiled kernels. Speed is wall time from
the call to the last file; memory is the process's peak. Files are removed after.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv

from greywater.synth.economy import CURRENCIES, CURRENCY_SHARES, FORMATS
from greywater.synth.everyday import FORMAT_SHARES
from greywater.synth.hard_mode import HardMode
from greywater.synth.laundered_world import make_laundered_world
from greywater.synth.presets import PRESETS, world_plan
from greywater.synth.world import make_world
from report import table, write_section

#: Form, file, hard mode: what is timed at the published size.
MADE = (
    ("amlworld", "csv", False),
    ("amlworld", "parquet", False),
    ("amlsim", "csv", False),
    ("own", "csv", False),
    ("own", "parquet", True),
)
#: Quartiles and 99th percentile of the published amounts, self-payments, payments of an account: median, mean, most.
PUBLISHED_AMOUNTS = (184.0, 1_415.0, 12_298.0, 1.35e7)
PUBLISHED_SELF, PUBLISHED_DEGREES = 0.116, (6.0, 19.7, 168_672.0)
PEER_PAYMENTS = 200_000


def child(form: str, kind: str, payments: int, hard: bool, folder: Path) -> None:
    """Make one world, and say what it took."""
    chosen = HardMode() if hard else None
    make_laundered_world(folder / "tiny", world_plan(payments=20_000), hard=chosen, form=form, payments_as=kind)
    begin, spent = time.perf_counter(), time.process_time()
    made = make_laundered_world(folder, world_plan(payments=payments), hard=chosen, form=form, payments_as=kind)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    disk = sum(path.stat().st_size for path in made.files.values())
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "disk": disk}))


def timed(form: str, kind: str, payments: int, hard: bool, folder: Path) -> dict[str, float]:
    """What a process of its own says of one world."""
    words = [sys.executable, __file__, "--child", form, kind, str(payments), str(int(hard)), str(folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().split("\n")[-1])


def speed_row(name: str, payments: int, took: dict[str, float]) -> tuple[object, ...]:
    """One line of the table of speeds."""
    rate, by_cpu = payments / took["seconds"], payments / took["cpu"]
    return (
        name, f"{payments:,}", f"{took['seconds']:.1f}", f"{rate:,.0f}", f"{by_cpu:,.0f}", f"{took['peak'] / 1e6:,.0f}",
        f"{took['disk'] / 1e6:,.0f}",
    )  # fmt: skip


def counted(path: Path) -> list[tuple[object, ...]]:
    """How near a file of the published size and form is to the published counts."""
    names = ["time", "from", "sender", "to", "receiver", "received", "into", "paid", "currency", "format", "dirty"]
    read = pa_csv.ReadOptions(column_names=names, skip_rows=1)
    columns = ["time", "sender", "receiver", "paid", "currency", "format", "dirty"]
    convert = pa_csv.ConvertOptions(include_columns=columns, auto_dict_encode=True, column_types={"time": "string"})
    rows = pa_csv.read_csv(path, read_options=read, convert_options=convert).combine_chunks()
    total, published = rows.num_rows, PRESETS["hi-small"]
    found: list[tuple[str, float, float]] = [
        ("payments", total, published.payments),
        ("laundering payments", int(np.sum(rows["dirty"].to_numpy())), published.laundering),
    ]
    for column, words, shares in (("format", FORMATS, FORMAT_SHARES), ("currency", CURRENCIES, CURRENCY_SHARES)):
        counts = {one["values"]: one["counts"] for one in rows[column].value_counts().to_pylist()}
        found += [(f"share of {word}", counts[word] / total, share) for word, share in zip(words, shares, strict=True)]
    amounts = np.quantile(rows["paid"].to_numpy(), (0.25, 0.5, 0.75, 0.99))
    found += list(zip(("lower quartile", "median", "upper quartile", "99th percentile"), amounts, PUBLISHED_AMOUNTS,
                      strict=True))  # fmt: skip
    both = np.concatenate([rows["sender"].cast("string").to_numpy(), rows["receiver"].cast("string").to_numpy()])
    found.append(("share of payments to oneself", float((both[:total] == both[total:]).mean()), PUBLISHED_SELF))
    degrees = np.zeros(published.accounts)
    used = np.unique(both, return_counts=True)[1]
    degrees[: len(used)] = used
    measures = (float(np.median(degrees)), float(degrees.mean()), float(degrees.max()))
    for name, ours, theirs in zip(("median", "mean", "most"), measures, PUBLISHED_DEGREES, strict=True):
        found.append((f"payments of an account, {name}", ours, theirs))
    return [(name, f"{ours:,.4g}" if ours < 1 else f"{ours:,.0f}" if ours > 100 else f"{ours:,.1f}",
             f"{theirs:,.4g}" if theirs < 1 else f"{theirs:,.0f}" if theirs > 100 else f"{theirs:,.1f}",
             f"{100 * (ours / theirs - 1):+.2f} %") for name, ours, theirs in found]  # fmt: skip


def peer(folder: Path) -> tuple[object, ...]:
    """The small world of the tests, which holds everything at once."""
    begin, spent = time.perf_counter(), time.process_time()
    made = make_world(folder, payments=PEER_PAYMENTS)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
    took = {"seconds": seconds, "cpu": cpu, "peak": 0.0}
    row = speed_row("the small world of synth/world.py", PEER_PAYMENTS,
                    took | {"disk": sum(path.stat().st_size for path in made.files.values())})  # fmt: skip
    return (*row[:5], "", row[6])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        form, kind, payments, hard, folder = sys.argv[2:]
        child(form, kind, int(payments), hard == "1", Path(folder))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=100_000_000)
    parser.add_argument("--print-only", action="store_true")
    asked = parser.parse_args()
    load, size, rows = os.getloadavg()[0], PRESETS["hi-small"].payments, []
    room = Path(tempfile.mkdtemp(prefix="world-"))
    try:
        for place, (form, kind, hard) in enumerate(MADE):
            took = timed(form, kind, size, hard, room / str(place))
            rows.append(speed_row(f"{form}, {kind}{', hard mode' if hard else ''}", size, took))
        if asked.payments:
            took = timed("amlworld", "parquet", asked.payments, False, room / "large")
            rows.append(speed_row("amlworld, parquet", asked.payments, took))
            shutil.rmtree(room / "large")
        rows.append(peer(room / "peer"))
        counts = counted(room / "0" / "HI-Small_Trans.csv")
    finally:
        shutil.rmtree(room)
    heads = ("world", "payments", "seconds", "payments/s", "payments/CPU-second", "peak MB", "MB on disk")
    text = f"{table(heads, rows)}\n\nTwo threads that make payments; load average {load:.0f} when it began, "
    text += f"{os.getloadavg()[0]:.0f} when it ended. The published simulators were not run here.\n\n"
    text += "HI-Small as made (seed 7) beside what was published:\n\n"
    text += table(("what", "made", "published", "apart"), counts)
    if asked.print_only:
        print(text)
    else:
        write_section("Large worlds", text)


if __name__ == "__main__":
    main()
