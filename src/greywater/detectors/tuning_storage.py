"""Where trials are written down: a journal file on one machine, a PostgreSQL that many machines share."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from greywater.detectors.tuning_methods import load_optuna, quiet
from greywater.errors import ExtraMissingError, StoreAccessError, StoreLockedError, UsageError
from greywater.stores.durable import make_folder, store_errors
from greywater.stores.lock import WriterLock

__all__ = ["JOURNAL", "open_storage", "release_trials", "retry", "try_database", "worker_ended", "worker_lock"]

JOURNAL: Final = "journal.log"
#: How often a trial whose worker died is given again before it is left failed.
RETRIES: Final = 3
#: Machines that make the tables of one database at the same moment: all but one are refused, and try again.
ATTEMPTS: Final = 5
SERVERS: Final = ("postgresql://", "postgres://", "postgresql+psycopg://")


def open_storage(home: Path | str, heartbeat: float = 30.0) -> Any:
    """Open the trials of studies.

    Parameters
    ----------
    home : Path or str
        A folder, which is made and holds a journal file; or `postgresql://USER@HOST:PORT/DATABASE`, which many machines
        may share (extra `[postgres]`).
    heartbeat : float
        In a database: seconds between two signs of life of a running trial. One that gave none for three times as long
        is taken for dead, and given again. Beside a journal file a lock says who is alive.

    Raises
    ------
    UsageError
        The URL names no PostgreSQL.
    StoreAccessError
        The database or the file cannot be opened.
    ExtraMissingError
        Optuna or psycopg is not installed.
    """
    optuna = load_optuna()
    if isinstance(home, Path):
        make_folder(home)
        path = home / JOURNAL
        with store_errors(path, "open the trials"):
            _cut_torn_line(path)
            backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_KernelLock(path))
            return optuna.storages.JournalStorage(backend)
    scheme, _, rest = home.partition("://")
    if not home.startswith(SERVERS):
        raise UsageError(
            "trials can be shared in no such database", where="--study", mend="give postgresql://USER@HOST/DATABASE"
        )
    shown = f"{scheme}://{rest.rpartition('@')[2]}"
    for attempt in range(ATTEMPTS):
        try:
            with quiet():
                return optuna.storages.RDBStorage(
                    f"postgresql+psycopg://{rest}",
                    engine_kwargs={"pool_pre_ping": True, "pool_size": 1, "max_overflow": 8},
                    heartbeat_interval=max(1, round(heartbeat)),
                    grace_period=max(2, round(3 * heartbeat)),
                    heartbeat_stale_trial_callback=retry,
                )
        except ImportError as error:
            raise ExtraMissingError(
                "PostgreSQL needs psycopg", where="--study", mend="pip install 'greywater[postgres]'"
            ) from error
        except Exception as error:  # whatever the driver, SQLAlchemy or Optuna call it
            if attempt + 1 == ATTEMPTS or _refused(error):
                raise StoreAccessError(
                    f"the shared study cannot be opened: {type(error).__name__}",
                    where=shown,
                    mend="see that the server is there, that you may write, and that the password is in ~/.pgpass",
                ) from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


def try_database(url: str) -> None:
    """Raise what `open_storage` raises where a database cannot be opened, and leave no connection behind."""
    storage = open_storage(url)
    storage.remove_session()
    storage.engine.dispose()


def retry(study: Any, trial: Any) -> None:
    """Give a trial whose worker died again, with the same parameters, at most RETRIES times."""
    with quiet():
        load_optuna().storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, trial)


def release_trials(study: Any, worker: str) -> int:
    """Fail the trials that a dead worker left running, and give them again; returns how many."""
    optuna = load_optuna()
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    released = 0
    for trial in running:
        if trial.user_attrs.get("worker") != worker:
            continue
        with suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):  # another one was quicker
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            retry(study, trial)
            released += 1
    return released


def worker_lock(folder: Path, worker: str) -> WriterLock:
    """The lock that a worker holds for as long as it lives; the kernel drops it however that ends."""
    return WriterLock(folder, name=f"worker-{worker}.lock")


def worker_ended(folder: Path, worker: str) -> bool:
    """Whether nobody holds the lock of a worker any more; what is left of it is removed."""
    lock = worker_lock(folder, worker)
    try:
        lock.acquire()
    except StoreLockedError:
        return False
    lock.path.unlink(missing_ok=True)
    lock.release()
    return True


def _refused(error: Exception) -> bool:
    """Whether trying again is of no use: the server is not there or lets nobody in."""
    text = str(error).lower()
    return any(word in text for word in ("connection failed", "could not connect", "refused", "authentication"))


def _cut_torn_line(path: Path) -> None:
    """Cut what a machine that went down left of its last line: nothing behind it could be read."""
    if not path.is_file():
        return
    with path.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        content = stream.read()
        if content and not content.endswith(b"\n"):
            stream.truncate(content.rfind(b"\n") + 1)


class _KernelLock:
    """An exclusive `flock` on the journal, which goes with its holder; Optuna's own outlives a kill by 30 s."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def acquire(self) -> bool:
        """Wait for the file."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let others have it."""
        os.close(self._handle)
