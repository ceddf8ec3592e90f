"""Checkpoints of a Delta table's log, written now and then so that a reader need not follow every commit."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deltalake.exceptions import DeltaError

from greywater.errors import StoreError
from greywater.stores import delta_log, durable

__all__ = ["CHECKPOINT_EVERY", "make_checkpoint"]

#: Commits from one checkpoint to the next.
CHECKPOINT_EVERY: Final = 32


def make_checkpoint(delta: Any, folder: Path) -> bool:
    """Write and sync the checkpoint that is due, and remove those before the one before it.

    Failing is harmless: the commits themselves are all there, and it is tried again later.

    Parameters
    ----------
    delta : DeltaTable
        At its newest version.
    folder : Path
        Of the table.

    Returns
    -------
    bool
        Whether one was due and is written.
    """
    version = int(delta.version())
    if version == 0 or version % CHECKPOINT_EVERY:
        return False
    log = folder / delta_log.LOG_FOLDER
    with suppress(OSError, DeltaError, StoreError):
        delta.create_checkpoint()
        durable.sync_file(log / f"{version:020d}.checkpoint.parquet")
        durable.sync_file(log / "_last_checkpoint")
        durable.sync_folder(log)
        for old in range(version - 2 * CHECKPOINT_EVERY, -1, -CHECKPOINT_EVERY):
            path = log / f"{old:020d}.checkpoint.parquet"
            if not path.exists():
                break
            path.unlink()
        return True
    return False
