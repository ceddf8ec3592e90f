"""Snapshots of the engine on disk: whole or not at all, the last two kept, anything doubtful refused and replayed.

A snapshot file is a short JSON head (next seq, catalog fingerprint, kernel hash, the arrays' names, types and shapes)
and the arrays' bytes; its name carries the SHA-256 of all of it (SEMANTICS: Snapshots of the engine).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.errors import SnapshotError
from greywater.features.engine import Engine, EngineState
from greywater.kernels.compile import kernel_hash
from greywater.stores.durable import make_folder, store_errors, write_file_durably

__all__ = ["Restored", "restore_engine", "save_snapshot"]

MAGIC: Final = b"GREYWATER ENGINE 1\n"
KEPT: Final = 2
_NAME: Final = re.compile(r"engine-(\d{16})-([0-9a-f]{64})\.snapshot")


@dataclass(frozen=True)
class Restored:
    """Where an engine stands after `restore_engine`; `said` tells what was found, a sentence each."""

    next_seq: int
    said: tuple[str, ...]


def save_snapshot(engine: Engine, folder: Path) -> Path:
    """Write the engine's state aside, sync it, rename it, and keep the last two.

    Raises
    ------
    StoreFullError, StoreAccessError
        The file cannot be written; the earlier ones stay.
    """
    content = _pack(engine.snapshot())
    digest = hashlib.sha256(content).hexdigest()
    make_folder(folder)
    path = folder / f"engine-{engine.next_seq:016d}-{digest}.snapshot"
    write_file_durably(path, content)
    with store_errors(folder, "remove old snapshots"):
        for old in _snapshots(folder)[KEPT:]:
            old.unlink(missing_ok=True)
    return path


def restore_engine(engine: Engine, folder: Path, *, ledger_end: int) -> Restored:
    """Bring a fresh engine to the newest snapshot that is whole, fits, and is not ahead of the ledger.

    Where none does, the engine stays fresh: replay the ledger. Never a partial restore.

    Parameters
    ----------
    engine : Engine
        Fresh.
    folder : Path
        Where `save_snapshot` wrote.
    ledger_end : int
        The ledger's next seq.
    """
    said: list[str] = []
    begun = time.perf_counter()
    for path in _snapshots(folder):
        try:
            state = _unpack(path)
            if int(state.meta["next_seq"]) > ledger_end:
                raise SnapshotError("the snapshot is ahead of the ledger", where=path.name)
            engine.restore(state)
        except SnapshotError as error:
            said.append(f"{path.name} was not used: {error.found}")
            continue
        said.append(f"restored at payment {engine.next_seq:,} in {time.perf_counter() - begun:.2f} s")
        return Restored(engine.next_seq, tuple(said))
    said.append("no snapshot could be used: the ledger is replayed from its beginning")
    return Restored(0, tuple(said))


def _snapshots(folder: Path) -> list[Path]:
    """Snapshot files, newest first."""
    found = [path for path in folder.glob("engine-*.snapshot") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def _pack(state: EngineState) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    head = {
        "meta": dict(state.meta),
        "kernels": kernel_hash(),
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()],
    }
    line = json.dumps(head, sort_keys=True).encode() + b"\n"
    return b"".join([MAGIC, line, *(array.tobytes() for array in arrays.values())])


def _unpack(path: Path) -> EngineState:
    with store_errors(path, "read a snapshot of the engine"):
        content = path.read_bytes()
    named = _NAME.fullmatch(path.name)
    if named is None or hashlib.sha256(content).hexdigest() != named[2]:
        raise SnapshotError("its bytes are not what was written", where=path.name)
    if not content.startswith(MAGIC):
        raise SnapshotError("it is of another version", where=path.name)
    end = content.index(b"\n", len(MAGIC))
    head: dict[str, Any] = json.loads(content[len(MAGIC) : end])
    if head["kernels"] != kernel_hash():
        raise SnapshotError("it was written by other kernels", where=path.name)
    arrays: dict[str, np.ndarray] = {}
    place = end + 1
    for name, kind, shape in head["arrays"]:
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(content, dtype, count, place).reshape(shape).copy()
        place += count * dtype.itemsize
    return EngineState(head["meta"], arrays)
