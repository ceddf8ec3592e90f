"""Ended at any moment and run again, appends leave what one clean run leaves; many writers at once lose nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from greywater.stores.open import open_offline
from tests.stores.offline_writer import rows, write

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3
APPENDS = 14
ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, writer: int = 0, appends: int = APPENDS, **more: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), **more}
    command = [sys.executable, "-m", "tests.stores.offline_writer", str(folder), str(writer), str(appends)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def held(store: Any) -> list[dict[str, Any]]:
    """All rows, in an order of their own."""
    found = pa.Table.from_batches(list(store.scan("credit", 1)))
    columns = [(name, "ascending") for name in ("commit", "customer", "event_time", "score")]
    return found.sort_by(columns).to_pylist()


def clean(folder: Path) -> list[dict[str, Any]]:
    store = open_offline(f"delta:{folder}")
    write(store, 0, APPENDS)
    assert store.check() == []
    return held(store)


def settled(folder: Path) -> list[dict[str, Any]]:
    """What is there after the same run again, by a reader that changes nothing as well."""
    seen = open_offline(f"delta:{folder}")
    if seen.versions():
        acknowledged = {one.transaction for one in seen.commits("credit", 1)}
        assert acknowledged == {f"0.{number}" for number in range(len(acknowledged))}
        assert len(held(seen)) == 30 * len(acknowledged) if acknowledged else True
        assert seen.check() == []
    store = open_offline(f"delta:{folder}")
    write(store, 0, APPENDS)
    assert store.check() == []
    assert held(open_offline(f"delta:{folder}", read_only=True)) == held(store)
    return held(store)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    whole = clean(tmp_path / "clean")
    assert len(whole) == 30 * APPENDS
    for seed in range(KILLS):
        chance = random.Random(seed)
        folder = tmp_path / f"killed{seed}"
        process = start(folder)
        goal, log = chance.randrange(APPENDS), folder / "groups" / "credit_v1" / "_delta_log"
        while len(list(log.glob("*.json"))) < goal and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert settled(folder) == whole, seed


def test_dead_at_any_wait_for_the_disk(tmp_path: Path) -> None:
    whole = clean(tmp_path / "clean")
    told = tmp_path / "told"
    process = start(tmp_path / "whole", TELL=str(told))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    waits = int(told.read_text())
    assert waits > 100
    count = 50 if FULL else 3
    for at in sorted({*random.Random(1).sample(range(1, waits - 1), count - 1), waits - 1}):
        process = start(tmp_path / f"dead{at}", DIE_AT=str(at))
        _, said = process.communicate(timeout=300)
        assert process.returncode == 137, said.decode()
        assert settled(tmp_path / f"dead{at}") == whole, f"died at wait {at} of {waits}"


def test_eight_writers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    appends = 4
    processes = [start(tmp_path / "p", writer, appends) for writer in range(8)]
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()
    store = open_offline(f"delta:{tmp_path / 'p'}")
    assert store.check() == []
    commits = store.commits("credit", 1)
    assert [one.number for one in commits] == list(range(8 * appends))
    assert sorted(str(one.transaction) for one in commits) == sorted(
        f"{w}.{n}" for w in range(8) for n in range(appends)
    )
    found = sorted((row["writer"], row["score"]) for row in held(store))
    wanted = [
        (writer, score)
        for writer in range(8)
        for number in range(appends)
        for score in rows(writer, number)["score"].to_pylist()
    ]
    assert found == sorted(wanted)
