"""One writer at a time: a lock on a file that names who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from greywater.errors import StoreLockedError
from greywater.stores.durable import make_folder, store_errors

__all__ = ["WriterLock"]

PAUSE: Final = 0.05


class WriterLock:
    """The right to write below a folder, held by one process at a time.

    An advisory `flock` on `<folder>/writer.lock`: the kernel drops it when the holder ends, however it ends, so a
    kill -9 leaves nothing to clean up. The file keeps the last holder's process id, host, command and start.

    Parameters
    ----------
    folder : Path
        What is protected; made where missing.
    wait_seconds : float
        How long entering a `with` block waits for another holder; 0 fails at once.
    name : str
        Name of the lock file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with WriterLock(folder) as lock:
    ...     lock.held
    True
    >>> lock.held
    False
    """

    def __init__(self, folder: Path, *, wait_seconds: float = 0.0, name: str = "writer.lock") -> None:
        self.path = folder / name
        self.wait_seconds = wait_seconds
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._handle is not None

    def acquire(self, wait_seconds: float | None = None) -> None:
        """Take the lock, waiting up to `wait_seconds` for another holder.

        Raises
        ------
        StoreLockedError
            Another writer holds it; the message names that one.
        StoreAccessError
            The lock file cannot be made or opened.
        """
        if self._handle is not None:
            return
        wait = self.wait_seconds if wait_seconds is None else wait_seconds
        make_folder(self.path.parent)
        with store_errors(self.path, "open the lock file"):
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(handle)
                    raise self._locked(wait) from None
                time.sleep(PAUSE)
            except BaseException:
                os.close(handle)
                raise
        self._handle = handle
        self._sign(handle)

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        os.close(handle)

    def holder(self) -> dict[str, Any] | None:
        """Who holds (or last held) the lock: pid, host, command, started; None where nobody ever did."""
        with suppress(OSError, ValueError):
            said = json.loads(self.path.read_text(encoding="utf-8"))
            if isinstance(said, dict):
                return said
        return None

    def _sign(self, handle: int) -> None:
        card = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else "python",
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with suppress(OSError):  # a full disk must not keep a writer from mending the store
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(card).encode(), 0)

    def _locked(self, waited: float) -> StoreLockedError:
        first = self.holder()
        if first is None:
            who = "another process"
        else:
            who = (
                f"process {first.get('pid')} on {first.get('host')} "
                f"({first.get('command')}, since {first.get('started')})"
            )
        after = f" after waiting {waited:g} s" if waited else ""
        return StoreLockedError(
            f"{who} is writing here{after}",
            where=str(self.path),
            mend="wait until it is done, or end it; a killed writer frees the lock by itself",
        )

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
