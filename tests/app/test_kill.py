"""Killed at any moment and given again, an ingest leaves the ledger and the tables of one clean run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greywater.app.check import check
from greywater.vocab import Actor

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3
PAYMENTS = 8_000
CHUNK_ROWS = 800

#: Runs the command; with DIE_AT=k the process ends, as by a power cut, at the k-th wait for the disk.
COMMAND = """
import os, sys
at, count, fsync = int(os.environ.get("DIE_AT", "0")), 0, os.fsync
def counted(handle):
    global count
    count += 1
    if count == at:
        os._exit(137)
    fsync(handle)
os.fsync = counted
from greywater.cli.main import run
try:
    run()
finally:
    if "TELL" in os.environ:
        open(os.environ["TELL"], "w").write(str(count))
"""


def write(desk: Any, count: int) -> tuple[Path, Path, Path]:
    """Payments out of order with labels, repeats, conflicts and bad rows; labels and accounts beside."""
    chance = random.Random(5)
    rows = []
    for number in range(count):
        second = chance.randrange(86_400)
        time_text = (
            f"2024-03-{1 + chance.randrange(20):02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
        )
        label = "" if number % 3 else str(int(number % 60 == 0))
        cents = chance.randrange(10**6)
        rows.append(
            [
                f"t{number}",
                time_text,
                f"A{chance.randrange(99)}",
                f"B{chance.randrange(99)}",
                f"{cents / 100}",
                "USD",
                label,
            ]
        )
    rows += [list(rows[chance.randrange(count)]) for _ in range(count // 50)]
    for entry in rows[:: count // 20]:
        rows.append([entry[0], "2024-03-25", *entry[2:]])
    for place in range(0, count, count // 15):
        rows.insert(place, [f"x{place}", "2024-03-01", "A", "B", "much", "USD"])
    payments = desk.file("a.csv", rows)
    labels = desk.file(
        "labels.csv", [(f"t{n}", "1", "cycle") for n in range(0, count, 400)], ("tx_id", "label", "typology")
    )
    accounts = desk.file("accounts.csv", [(f"A{n}", f"c{n}") for n in range(99)], ("account", "customer"))
    return payments, labels, accounts


def start(desk: Any, files: tuple[Path, Path, Path], **more: str) -> subprocess.Popen[bytes]:
    """The command, in a process of its own."""
    environment = {**os.environ, "GREYWATER_CHUNK_ROWS": str(CHUNK_ROWS), "GREYWATER_THREADS": "1", **more}
    payments, labels, accounts = map(str, files)
    words = ["ingest", payments, "--labels", labels, "--accounts", accounts, "--store", str(desk.settings.store)]
    command = [sys.executable, "-c", COMMAND, *words, "--json", "-"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(desk: Any, files: tuple[Path, Path, Path]) -> dict[str, Any]:
    """The same again, undisturbed; what the project holds then."""
    payments, labels, accounts = files
    desk.ingest(payments, labels=labels, accounts=accounts, chunk_rows=CHUNK_ROWS)
    assert check(Actor(), desk.settings).findings == ()
    held: dict[str, Any] = desk.state()
    return held


def parts(desk: Any) -> int:
    """Data files of the ledger."""
    return len(list((desk.settings.project_folder / "ledger").glob("part-*.parquet")))


def test_killed_at_random_moments(make_desk: Callable[[str], Any]) -> None:
    clean = make_desk("clean")
    state = finish(clean, write(clean, PAYMENTS))
    assert len(state["ledger"]) == PAYMENTS
    assert state["rejected"]
    assert state["labels"]
    chunks = parts(clean)
    assert chunks > 8
    for seed in range(KILLS):
        chance = random.Random(seed)
        desk = make_desk(f"killed{seed}")
        files = write(desk, PAYMENTS)
        goal = chance.randrange(chunks)
        process = start(desk, files)
        while parts(desk) < goal and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            assert goal >= chunks - 3, "the command ended before it could be killed"
        assert finish(desk, files) == state, seed


def test_dead_at_any_wait_for_the_disk(make_desk: Callable[[str], Any], tmp_path: Path) -> None:
    count = 2_500
    whole = make_desk("whole")
    told = tmp_path / "told"
    process = start(whole, write(whole, count), TELL=str(told))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    state, waits = whole.state(), int(told.read_text())
    assert len(state["ledger"]) == count
    assert waits > 20
    chosen = range(1, waits + 1) if FULL else sorted({*random.Random(1).sample(range(1, waits - 1), 2), waits - 1})
    for at in chosen:
        desk = make_desk(f"dead{at}")
        files = write(desk, count)
        process = start(desk, files, DIE_AT=str(at))
        _, said = process.communicate(timeout=300)
        assert process.returncode == 137, said.decode()
        assert finish(desk, files) == state, f"died at wait {at} of {waits}"
