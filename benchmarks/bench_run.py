"""The main job as a process: wall time, CPU time and memory of `greywater run` with everything it does by default.

    scripts/bench run [--sets amlsim_medium,amlgentex_small]

The kernels are compiled before. Measures of detection stand beside the times, so that a quicker run cannot be a poorer
one unseen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from graph_sets import data_folder
from hybrid_sets import FILES
from report import table, write_section


def measured(payments: Path, store: Path) -> tuple[float, float, float, dict[str, float]]:
    """Wall seconds, CPU seconds, largest memory in GB, and the measures of one run in a process of its own."""
    out = store / "run.json"
    command = [sys.executable, "-m", "greywater", "run", str(payments), "--store", str(store), "--json", "-"]
    begun = time.perf_counter()
    with out.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"greywater run ended with {process.returncode}")
    told = json.loads(out.read_text("utf-8"))
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, told["metrics"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(FILES), help="which sets, by commas")
    asked = parser.parse_args(arguments)
    rows = []
    for name in asked.sets.split(","):
        with tempfile.TemporaryDirectory(prefix="greywater-bench-") as folder:
            wall, spent, memory, measures = measured(data_folder() / FILES[name], Path(folder))
        precision, best = measures["average_precision"], measures["f1"]
        rows.append((name, f"{wall:.1f}", f"{spent:.1f}", f"{memory:.2f}", f"{precision:.3f}", f"{best:.3f}"))
    heads = ("set", "wall, seconds", "CPU, seconds", "memory, GB", "average precision", "F1")
    note = "`greywater run` on the payments with every default: recording, features, all detectors, alerts, report.\n\n"
    write_section("The main job", note + table(heads, rows))


if __name__ == "__main__":
    main()
