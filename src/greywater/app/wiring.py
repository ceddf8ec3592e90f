"""Builds everything a use case needs from the settings: the stores of one project, locked where it writes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from greywater.config import Settings
from greywater.errors import StoreError, UsageError
from greywater.stores.durable import make_folder, store_errors
from greywater.stores.lock import WriterLock
from greywater.stores.open import open_ledger, open_records, open_tables
from greywater.stores.ports import Ledger, Tables
from greywater.stores.project_file import ProjectFile
from greywater.stores.records import Records
from greywater.vocab import Actor

__all__ = ["SPILL", "Project", "open_project"]

#: Folder of a project for rows on their way; emptied whenever a writer opens the project.
SPILL: Final = "spill"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True)
class Project:
    """The stores of one project.

    Parameters
    ----------
    settings : Settings
        What it was opened with.
    actor : Actor
        Who opened it.
    folder : Path
        `<store>/projects/<project>`.
    ledger : Ledger
        The payments.
    tables : Tables
        Labels, accounts, parties, relationships, seeds, rejected rows, files.
    records : Records
        Runs, alerts, audit.
    file : ProjectFile
        What was settled when the project was opened.
    """

    settings: Settings
    actor: Actor
    folder: Path
    ledger: Ledger
    tables: Tables
    records: Records
    file: ProjectFile

    @property
    def mended(self) -> tuple[str, ...]:
        """What was found broken so far and put right, a sentence each; a table is opened when it is first used."""
        found: tuple[str, ...] = ()
        for store in (self.ledger, self.tables):
            found += tuple(getattr(store, "mended", ()))
        return found


@contextmanager
def open_project(
    settings: Settings, actor: Actor, *, write: bool = False, wait: float = 0.0, allow_jump: bool = False
) -> Iterator[Project]:
    """Open the stores of the project that the settings name, and close them at the end.

    Parameters
    ----------
    settings : Settings
        Store and project.
    actor : Actor
        Who opens it; access is checked by the use case.
    write : bool
        Take the writer's lock, make what is missing, mend what a crash left. Without it the project must exist.
    wait : float
        Seconds to wait for another writer.
    allow_jump : bool
        Let event time jump beyond `max_jump_days`.

    Yields
    ------
    Project

    Raises
    ------
    UsageError
        The project's name cannot be a folder.
    StoreError
        There is no such project, or a newer version of Greywater wrote it.
    StoreLockedError
        Another writer is at work.
    StoreDamagedError
        A file is not what was written and cannot be mended without loss.
    """
    folder = _folder(settings)
    known = ProjectFile.load(folder)
    if known is None and not write:
        raise StoreError(
            f"there is no project {settings.project!r} in the store",
            where=str(settings.store),
            mend="record payments first: greywater ingest PATH --store DIR, or name the right --store and --project",
        )
    with ExitStack() as stack:
        if write:
            make_folder(folder)
            stack.enter_context(WriterLock(folder, wait_seconds=wait))
            known = ProjectFile.load(folder)
            with store_errors(folder / SPILL, "remove what an interrupted ingest left"):
                if (folder / SPILL).exists():
                    shutil.rmtree(folder / SPILL)
        ledger = open_ledger(
            f"delta:{folder}",
            max_ahead_us=settings.max_ahead * _SECOND_US,
            max_jump_us=None if allow_jump else settings.max_jump_days * _DAY_US,
            read_only=not write,
            wait_seconds=wait,
        )
        stack.callback(getattr(ledger, "close", _nothing))
        tables = open_tables(f"delta:{folder}", read_only=not write)
        file = known or ProjectFile()
        if write and known is None:
            file.save(folder)
        records = stack.enter_context(open_records(settings.records, folder=folder, project=settings.project))
        yield Project(settings, actor, folder, ledger, tables, records, file)


def _nothing() -> None:
    """What closing means for a store that holds nothing open."""


def _folder(settings: Settings) -> Path:
    if not _NAME.fullmatch(settings.project):
        raise UsageError(
            f"{settings.project!r} cannot be the name of a project",
            where="--project",
            mend="use up to 63 letters, digits, - and _, beginning with a letter or digit",
        )
    if settings.store.exists() and not settings.store.is_dir():
        raise UsageError("the store is not a folder", where=str(settings.store), mend="name a folder with --store")
    return settings.project_folder
