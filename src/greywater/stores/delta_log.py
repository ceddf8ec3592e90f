"""The commit log of a Delta table as files: what a commit of ours holds, and mending the end of the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from greywater.errors import StoreDamagedError
from greywater.stores import durable

__all__ = [
    "LOG_FOLDER",
    "MARK",
    "Commit",
    "broken_commits",
    "check_versions",
    "commit_path",
    "drop_bad_checkpoints",
    "part_of_name",
    "read_commit",
    "remove_temporaries",
    "versions",
]

LOG_FOLDER: Final = "_delta_log"
#: Name under which a commit of ours carries its own description in the commit info.
MARK: Final = "greywater"

commit_name: Final = re.compile(r"(\d{20})\.json")
checkpoint_name: Final = re.compile(r"(\d{20})\.checkpoint(?:\..+)?\.parquet")
temporary_name: Final = re.compile(r".*\.tmp|.*#\d+|_commit_.*\.json\.tmp")
part_name: Final = re.compile(r"part-(\d{16})-([0-9a-f]{64})\.parquet")


@dataclass(frozen=True)
class Commit:
    """One commit, read: names of the files it adds and removes, application transactions, and our own mark."""

    version: int
    adds: tuple[str, ...]
    removes: tuple[str, ...]
    transactions: dict[str, int]
    mark: dict[str, Any] | None


def commit_path(folder: Path, version: int) -> Path:
    """Where the commit of that version lies."""
    return folder / LOG_FOLDER / f"{version:020d}.json"


def part_of_name(name: str) -> tuple[int, str] | None:
    """First row and SHA-256 that a data file's name states, or None where it is no data file of ours.

    Examples
    --------
    >>> part_of_name("part-0000000000000042-" + "ab" * 32 + ".parquet")[0]
    42
    >>> part_of_name("part-00001.snappy.parquet") is None
    True
    """
    match = part_name.fullmatch(name)
    return (int(match.group(1)), match.group(2)) if match else None


def versions(folder: Path) -> list[int]:
    """The versions whose commit files exist, ascending."""
    log = folder / LOG_FOLDER
    if not log.is_dir():
        return []
    with durable.store_errors(log, "list the commits"):
        return sorted(int(match.group(1)) for path in log.iterdir() if (match := commit_name.fullmatch(path.name)))


def check_versions(folder: Path, found: list[int]) -> None:
    """Raise StoreDamagedError where a commit file is missing."""
    for expected, version in enumerate(found):
        if version != expected:
            raise StoreDamagedError(
                f"commit {expected} is missing although commit {version} is there",
                where=str(commit_path(folder, expected)),
                mend="put that file back from a backup; rows recorded by it are not readable without it",
            )


def read_commit(folder: Path, version: int) -> Commit | None:
    """Read one commit file; None where it is empty, cut off or no JSON.

    A commit cut off between two lines parses; it is found by what must be there: a first commit has the schema, and
    one of ours names a data file and its application transaction.
    """
    path = commit_path(folder, version)
    with durable.store_errors(path, "read a commit"):
        content = path.read_bytes()
    adds: list[str] = []
    removes: list[str] = []
    transactions: dict[str, int] = {}
    info: dict[str, Any] | None = None
    schema = False
    try:
        for line in content.decode("utf-8").splitlines():
            if not line.strip():
                continue
            action = json.loads(line)
            if "add" in action:
                adds.append(str(action["add"]["path"]))
            elif "remove" in action:
                removes.append(str(action["remove"]["path"]))
            elif "txn" in action:
                transactions[str(action["txn"]["appId"])] = int(action["txn"]["version"])
            elif "commitInfo" in action:
                info = dict(action["commitInfo"])
            elif "metaData" in action:
                schema = True
    except (ValueError, KeyError, TypeError):
        return None
    if version == 0 and not schema:
        return None
    mark = info.get(MARK) if info is not None else None
    if isinstance(mark, str):
        try:
            mark = json.loads(mark)
        except ValueError:
            return None
    if mark is not None and (not adds or not transactions):
        return None
    if info is None and not adds and not removes and not schema:
        return None
    return Commit(version, tuple(adds), tuple(removes), transactions, mark if isinstance(mark, dict) else None)


def broken_commits(folder: Path, found: Iterable[int]) -> list[int]:
    """Those of the given versions whose commit files cannot be read."""
    return [version for version in found if read_commit(folder, version) is None]


def remove_temporaries(folder: Path) -> list[str]:
    """Remove what a writer left that ended in the middle of writing; returns the names."""
    gone = []
    for place in (folder, folder / LOG_FOLDER):
        if not place.is_dir():
            continue
        with durable.store_errors(place, "remove unfinished files"):
            for path in sorted(place.iterdir()):
                if path.is_file() and temporary_name.fullmatch(path.name):
                    path.unlink()
                    gone.append(path.name)
    return gone


def drop_bad_checkpoints(folder: Path, last: int, aside: Path) -> list[str]:
    """Move aside checkpoints that cannot be read or go past the last commit, and a pointer to one that is not there.

    Checkpoints only spare reading old commits. Greywater never deletes commits, so nothing is lost with them.
    """
    log = folder / LOG_FOLDER
    moved = []
    good: set[int] = set()
    for path in sorted(log.iterdir()):
        match = checkpoint_name.fullmatch(path.name)
        if not match:
            continue
        version = int(match.group(1))
        if version > last or not _readable(path):
            durable.move_aside(path, aside)
            moved.append(path.name)
        else:
            good.add(version)
    pointer = log / "_last_checkpoint"
    if pointer.exists():
        try:
            named = int(json.loads(pointer.read_bytes())["version"])
        except (ValueError, KeyError, TypeError):
            named = -1
        if named not in good:
            durable.move_aside(pointer, aside)
            moved.append(pointer.name)
    return moved


def _readable(path: Path) -> bool:
    try:
        for batch in pq.ParquetFile(path).iter_batches():
            batch.validate()
    except (OSError, pa.ArrowException):
        return False
    return True
