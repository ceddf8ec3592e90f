"""A small disk, a program that must survive, and a folder that nobody may write to: for tests of refusals."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def survives(script: str, *arguments: Path | str) -> bool:
    """Run a program in a process of its own; True where it says at its end that it survived."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    sys.stderr.write(done.stderr)
    return done.stdout.endswith("survived\n")


@contextmanager
def disk_of(megabytes: int, place: Path) -> Iterator[Path]:
    """A disk of so many megabytes in memory, mounted at a new folder; needs root."""
    place.mkdir()
    system = ctypes.CDLL(None, use_errno=True)
    options = f"size={megabytes}m".encode()
    if os.getuid() != 0 or system.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, options) != 0:
        pytest.skip("a small disk can only be mounted by root; the file-size limit test covers the same refusals")
    yield place
    system.umount2(str(place).encode(), 2)


@contextmanager
def unwritable(folder: Path) -> Iterator[Path]:
    """A folder that everyone may read and nobody may write to."""
    for place in (folder.parent, *folder.parent.parents):
        if place.owner() == "root" and os.getuid() == 0 and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o055)
        if place.name.startswith("pytest-of"):
            break
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
