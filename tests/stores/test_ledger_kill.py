"""A writer killed at any moment loses no acknowledged chunk and records none twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from greywater.stores.delta import DeltaLedger
from greywater.stores.delta_tables import DeltaTables
from greywater.stores.ports import Unsequenced
from greywater.vocab import TRANSACTION_SCHEMA

FULL = os.environ.get("GREYWATER_FULL") == "1"
DAY = 86_400_000_000
NOW = 1_700_000_000_000_000
CHUNK_ROWS = 50
CHUNKS = 6

#: Appends chunks, saying each acknowledged one. Given steps, a copy of the process dies at each of them in a folder
#: of its own (forked before delta-rs starts its threads, so that the imports are paid once).
WRITER = """
import os, sys
from pathlib import Path
import lmdb
from deltalake import DeltaTable
from greywater.stores import durable, delta_checkpoint, delta_log, txindex
sys.path.insert(0, {here!r})
from {module} import DeltaLedger, chunk

folder, chunks, deaths = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
deadly, after = 0, False
steps = 0

def counted(function):
    def step(*arguments, **options):
        global steps
        steps += 1
        mine = steps
        if mine == deadly and not after:
            os._exit(9)
        result = function(*arguments, **options)
        if mine == deadly and after:
            os._exit(9)
        return result
    return step

for name in ("sync_file", "sync_folder", "rename_durably", "write_file_durably", "move_aside"):
    setattr(durable, name, counted(getattr(durable, name)))
os.fsync = counted(os.fsync)
DeltaTable.create_write_transaction = counted(DeltaTable.create_write_transaction)
DeltaTable.create_checkpoint = counted(DeltaTable.create_checkpoint)
DeltaTable.create = staticmethod(counted(DeltaTable.create))
txindex.Staged.commit = counted(txindex.Staged.commit)
txindex.TransactionIndex.stage = counted(txindex.TransactionIndex.stage)
txindex.TransactionIndex._begin = counted(txindex.TransactionIndex._begin)
delta_checkpoint.CHECKPOINT_EVERY = 2

def record(folder):
    print("ready", flush=True)
    ledger = DeltaLedger(folder, max_ahead_us=10**15, max_jump_us=None)
    for number in range(chunks):
        result = ledger.append(chunk(number))
        print(number, result.recorded.num_rows + result.duplicate, flush=True)
    print("steps", steps, flush=True)

if not deaths:
    record(folder)
for death in deaths:
    step, moment = death.split("-")
    child = os.fork()
    if child == 0:
        (folder / death).mkdir()
        sys.stdout = open(folder / death / "said.txt", "w")
        deadly, after = int(step), moment == "after"
        record(folder / death / "store")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, death
"""


def chunk(number: int) -> Unsequenced:
    """Chunk `number`, the same every time; it shares its last five payments with the next one."""
    first = number * (CHUNK_ROWS - 5)
    count = CHUNK_ROWS
    texts = pa.array([f"tx{i}" for i in range(first, first + count)])
    whole = pa.array(range(first, first + count), pa.int64())
    times = pa.array([NOW + i for i in range(first, first + count)], pa.timestamp("us", "UTC"))
    columns: dict[str, pa.Array] = {}
    for field in TRANSACTION_SCHEMA:
        if pa.types.is_timestamp(field.type):
            columns[field.name] = times
        else:
            columns[field.name] = texts if field.type == pa.string() else whole
    del columns["seq"]
    return Unsequenced(pa.table({**columns, "file": texts, "row": whole}))


def script() -> str:
    return WRITER.format(here=str(Path(__file__).parent), module=Path(__file__).stem)


def start(folder: Path, chunks: int, *deaths: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", script(), str(folder), str(chunks), *deaths]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def acknowledged(output: str) -> int:
    lines = [line for line in output.splitlines() if line and line[0].isdigit() and line.endswith(f" {CHUNK_ROWS}")]
    assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
    return len(lines)


def rows_after(chunks: int) -> int:
    return chunks * (CHUNK_ROWS - 5) + 5 if chunks else 0


def check_survival(folder: Path, acked: int, chunks: int) -> None:
    """Everything acknowledged is there once; offering all again completes the ledger as if nothing had happened."""
    with DeltaLedger(folder, max_ahead_us=10**15, max_jump_us=None) as ledger:
        assert ledger.next_seq in {rows_after(acked), rows_after(acked + 1)}
        ids = [tx_id for batch in ledger.scan(["tx_id"]) for tx_id in batch["tx_id"].to_pylist()]
        assert ids == [f"tx{i}" for i in range(ledger.next_seq)]
        for number in range(chunks):
            result = ledger.append(chunk(number))
            assert result.recorded.num_rows + result.duplicate == CHUNK_ROWS
        assert ledger.next_seq == rows_after(chunks)
        seqs = [seq for batch in ledger.scan(["seq"]) for seq in batch["seq"].to_pylist()]
        assert seqs == list(range(rows_after(chunks)))
        ids = [tx_id for batch in ledger.scan(["tx_id"]) for tx_id in batch["tx_id"].to_pylist()]
        assert ids == [f"tx{i}" for i in range(rows_after(chunks))]
        assert ledger.check() == []
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("seed", range(50 if FULL else 3))
def test_a_kill_at_a_random_moment(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    writer = start(tmp_path, 10_000)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(chance.uniform(0.0, 0.6))
    writer.send_signal(signal.SIGKILL)
    output, _ = writer.communicate()
    acked = acknowledged(output)
    check_survival(tmp_path, acked, acked + 2)


def test_death_at_every_step_of_recording(tmp_path: Path) -> None:
    """Counts the durable steps of a whole run, then dies at each of them."""
    chunks = CHUNKS if FULL else 2
    whole = start(tmp_path / "whole", chunks)
    output, errors = whole.communicate(timeout=60)
    assert whole.returncode == 0, errors
    steps = int(output.split("steps ")[1])
    assert steps > 30
    deaths = [f"{step}-{moment}" for step in range(1, steps + 1) for moment in ("before", "after")[: 1 + FULL]]
    writers = start(tmp_path, chunks, *deaths)
    _, errors = writers.communicate(timeout=550)
    assert writers.returncode == 0, errors
    for death in deaths:
        acked = acknowledged((tmp_path / death / "said.txt").read_text())
        check_survival(tmp_path / death / "store", acked, chunks)


def test_tables_survive_a_kill(tmp_path: Path) -> None:
    text = (
        "import sys; from pathlib import Path; import pyarrow as pa; from greywater.stores.delta_tables import *\n"
        "tables = DeltaTables(Path(sys.argv[1])); print('ready', flush=True)\n"
        "for i in range(10000):\n"
        "    tables.append('t', pa.table({'i': [i]}), transaction=str(i)); print(i, flush=True)\n"
    )
    for seed in range(10 if FULL else 1):
        folder = tmp_path / str(seed)
        writer = subprocess.Popen([sys.executable, "-c", text, str(folder)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0.1, 0.5))
        writer.kill()
        output, _ = writer.communicate()
        acked = len(output.split())
        tables = DeltaTables(folder)
        for number in range(acked + 3):
            applied = tables.append("t", pa.table({"i": [number]}), transaction=str(number))
            assert not (applied and number < acked)
        rows = tables.read("t")
        assert rows is not None
        assert rows["i"].to_pylist() == list(range(acked + 3))
        assert tables.check() == []
