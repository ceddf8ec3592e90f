"""Ingest's own memory does not grow with the number of payments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SIZES = (500_000, 2_000_000) if os.environ.get("GREYWATER_FULL") == "1" else (40_000, 160_000)
CHUNK_ROWS = 16_384
SORT_MEMORY_MB = 128

#: Records a file and tells the most memory of its own that the process held: pages of files mapped into memory
#: (the index of ids, libraries) belong to the system's cache and are given back when somebody needs room.
MEASURE = """
import json, sys, threading, time
from pathlib import Path
from greywater.app.ingest import IngestRequest, ingest
from greywater.config import Settings
from greywater.vocab import Actor
peak, done = 0, False
def watch():
    global peak
    while not done:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                peak = max(peak, int(line.split()[1]) >> 10)
        time.sleep(0.005)
thread = threading.Thread(target=watch)
thread.start()
settings = Settings(store=Path(sys.argv[2]), chunk_rows=int(sys.argv[3]), sort_memory_mb=int(sys.argv[4]), threads=1)
result = ingest(Actor(), settings, IngestRequest((Path(sys.argv[1]),)))
done = True
thread.join()
print(json.dumps({"recorded": result.counts.recorded, "peak_mb": peak}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("in_order", [True, False], ids=["in order of time", "in no order"])
def test_memory_is_flat(tmp_path: Path, in_order: bool) -> None:
    peaks = {}
    for size in SIZES:
        path = tmp_path / f"{size}.csv"
        with path.open("w") as file:
            file.write("tx_id,event_time,sender,receiver,amount,currency,label\n")
            for number in range(size):
                second = (number if in_order else number * 7919 % size) % (30 * 86_400)
                day, rest = 1 + second // 86_400, second % 86_400
                time = f"2024-01-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"
                file.write(f"t{number},{time},A{number % 9973},B{number % 99991},{number % 977}.25,USD,0\n")
        words = [str(path), str(tmp_path / f"store{size}"), str(CHUNK_ROWS), str(SORT_MEMORY_MB)]
        command = [sys.executable, "-c", MEASURE, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        measured = json.loads(done.stdout)
        assert measured["recorded"] == size
        peaks[size] = measured["peak_mb"]
    small, large = (peaks[size] for size in SIZES)
    # The sort may take its bound, and the index of ids 48 bytes an id while it merges two of its runs; a row held
    # in memory would take four times as much, and several copies of it more.
    allowed = 40 + (0 if in_order else SORT_MEMORY_MB // 2) + ((SIZES[1] - SIZES[0]) * 48 >> 20)
    assert large - small < allowed, peaks
