"""The sort on disk: right, stable under threads, exact in its batches, bounded in its memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import StoreAccessError
from greywater.stores.sorting import sorted_batches

SCHEMA = pa.schema(
    [
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("file", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("sender", pa.string()),
    ]
)


def payments(times: list[int], files: list[int]) -> pa.Table:
    rows = list(range(len(times)))
    names = [None if row % 7 == 3 else f"account {row} \N{SNOWMAN}" for row in rows]
    return pa.table([pa.array(times, pa.int64()).cast(SCHEMA.types[0]), files, rows, names], schema=SCHEMA)


def reader(table: pa.Table, batch_rows: int) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=batch_rows)))


@settings(max_examples=25, deadline=None)
@given(
    times=st.lists(st.integers(-(10**15), 10**15) | st.integers(0, 3), max_size=60),
    batch_rows=st.integers(1, 20),
    threads=st.integers(1, 2),
)
def test_order_is_time_then_file_then_row(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], batch_rows: int, threads: int
) -> None:
    folder = tmp_path_factory.mktemp("sort") / "spill"
    table = payments(times, [row % 3 for row in range(len(times))])
    keys = ["event_time", "file", "row"]
    batches = list(
        sorted_batches(reader(table, 7), keys, folder=folder, memory_mb=128, threads=threads, batch_rows=batch_rows)
    )
    expected = table.sort_by([(key, "ascending") for key in keys])
    assert pa.Table.from_batches(batches, schema=SCHEMA).equals(expected)
    assert all(batch.num_rows == batch_rows for batch in batches[:-1])
    assert all(batch.schema == SCHEMA for batch in batches)
    assert not folder.exists()


def test_stopping_early_leaves_nothing(tmp_path: Path) -> None:
    table = payments(list(range(5_000))[::-1], [0] * 5_000)
    batches = sorted_batches(
        reader(table, 1_000), ["event_time"], folder=tmp_path / "spill", memory_mb=128, batch_rows=10
    )
    assert next(batches)["row"].to_pylist() == list(range(4_999, 4_989, -1))
    batches.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "spill").exists()


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreAccessError, match="cannot be made"):
        list(sorted_batches(payments([1], [0]).to_reader(), ["row"], folder=tmp_path / "taken", memory_mb=64))


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from greywater.stores.sorting import sorted_batches
rows, folder = int(sys.argv[1]), Path(sys.argv[2])
random = np.random.default_rng(3)
schema = pa.schema([("t", pa.int64()), ("row", pa.int64())] + [(f"a{i}", pa.int64()) for i in range(10)])
def batches():
    for start in range(0, rows, 65_536):
        size = min(65_536, rows - start)
        columns = [pa.array(random.integers(0, 10**9, size)), pa.array(np.arange(start, start + size))]
        columns += [pa.array(random.integers(0, 10**15, size)) for _ in range(10)]
        yield pa.record_batch(columns, schema=schema)
seen, last = 0, -1
source = pa.RecordBatchReader.from_batches(schema, batches())
for batch in sorted_batches(source, ["t", "row"], folder=folder, memory_mb=128, batch_rows=32_768):
    times = batch["t"].to_numpy()
    assert times[0] >= last and (np.diff(times) >= 0).all()
    last = times[-1]
    seen += batch.num_rows
print(seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_stays_bounded(tmp_path: Path) -> None:
    peaks = []
    for rows in (1_000_000, 3_000_000):
        command = [sys.executable, "-c", MEASURE, str(rows), str(tmp_path / "spill")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert len(done.stdout.split()) == 2, done.stdout
        seen, peak = done.stdout.split()
        assert int(seen) == rows
        peaks.append(int(peak))
    raw_megabytes = 3_000_000 * 12 * 8 / 2**20
    assert peaks[1] - peaks[0] < 100 < raw_megabytes, peaks


FULL = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from greywater.errors import StoreFullError
from greywater.stores.sorting import sorted_batches
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
random = np.random.default_rng(3)
schema = pa.schema([(f"a{i}", pa.int64()) for i in range(12)])
batches = (
    pa.record_batch([pa.array(random.integers(0, 10**15, 65_536)) for _ in range(12)], schema=schema) for _ in range(40)
)
try:
    for _ in sorted_batches(
        pa.RecordBatchReader.from_batches(schema, batches), ["a0"], folder=Path(sys.argv[1]), memory_mb=64
    ):
        pass
except StoreFullError as error:
    print("full:", error.mend)
"""


def test_no_room_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "spill")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("full: free some space"), done.stdout + done.stderr
    assert not (tmp_path / "spill").exists()
