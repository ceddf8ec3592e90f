"""One writer at a time, named, and freed by its death."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from greywater.errors import StoreLockedError
from greywater.stores.lock import WriterLock

HOLDER = (
    "import sys, time; from pathlib import Path; from greywater.stores.lock import WriterLock\n"
    "lock = WriterLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); time.sleep(float(sys.argv[2]))"
)


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_the_second_fails_naming_the_first_and_a_kill_frees_it(tmp_path: Path) -> None:
    holder = hold(tmp_path, 60)
    with pytest.raises(StoreLockedError, match=f"process {holder.pid} ") as caught:
        WriterLock(tmp_path).acquire()
    assert caught.value.mend
    holder.kill()
    holder.communicate()
    with WriterLock(tmp_path) as lock:
        held_by = lock.holder()
        assert held_by is not None
        assert held_by["pid"] == os.getpid()


def test_the_second_waits(tmp_path: Path) -> None:
    holder = hold(tmp_path, 0.3)
    started = time.monotonic()
    with WriterLock(tmp_path, wait_seconds=30):
        assert time.monotonic() - started < 30
    holder.communicate()


def test_waiting_ends(tmp_path: Path) -> None:
    with WriterLock(tmp_path), pytest.raises(StoreLockedError, match="after waiting"):
        WriterLock(tmp_path).acquire(0.1)


def test_taking_and_freeing_twice_is_harmless(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "new" / "folder")
    assert lock.holder() is None
    lock.acquire()
    lock.acquire()
    lock.release()
    lock.release()
    assert not lock.held
