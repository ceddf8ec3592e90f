"""What a command names as payments (files, folders, URLs, queries, tables) as files on this machine, opened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from greywater.app.pulls import Pulled, finish_pull, pull_rows
from greywater.app.wiring import SPILL, Project
from greywater.errors import InputError, UsageError
from greywater.formats.detect import open_source
from greywater.formats.source import Source
from greywater.stores.source_files import (
    RemoteFile,
    fetch,
    files_of_folder,
    is_url,
    local_path,
    remote_files,
    safe_url,
)
from greywater.stores.source_rows import RowSource
from greywater.vocab import Progress

__all__ = ["Gathered", "Place", "Places", "shown_name"]

#: A path, a URL, `sql:...` or `delta:...`.
Place = str | Path


def shown_name(place: Place) -> str:
    """What a place is called in logs and in the audit: never with a password.

    Examples
    --------
    >>> shown_name("sql:postgresql://ada:secret@db/core"), shown_name("s3://k:secret@bank/x.csv"), shown_name("a/b.csv")
    ('sql', 's3://bank/x.csv', 'b.csv')
    """
    if isinstance(place, str):
        if place.startswith("sql:"):
            return "sql"
        if is_url(place):
            return safe_url(place)
    return Path(place).name


@dataclass(frozen=True)
class Gathered:
    """Files of payments on this machine, in the order of the command.

    Parameters
    ----------
    sources : tuple of Source
        Opened.
    pulled : tuple of Pulled
        Rows that databases and tables gave, to be finished when all is recorded.
    notes : tuple of str
        Sentences for the summary.
    """

    sources: tuple[Source, ...]
    pulled: tuple[Pulled, ...] = ()
    notes: tuple[str, ...] = ()

    def finish(self, project: Project) -> None:
        """Write down how far each database and table is read: everything is recorded."""
        for pulled in self.pulled:
            finish_pull(project, pulled)


@dataclass
class _Found:
    sources: list[Source] = field(default_factory=list)
    pulled: list[Pulled] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Places:
    """What a command names, looked at before anything is written: files are opened, URLs listed, databases named.

    Parameters
    ----------
    places : sequence of str or Path
        In the order that decides among payments of equal time.
    format : str, optional
        As for `open_source`.
    mapping : Path, optional
        As for `open_source`.
    query, high_water : str
        For `sql:` places.

    Raises
    ------
    UsageError, InputError, ExtraMissingError
        A place cannot be read as named; nothing was written.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        format: str | None = None,
        mapping: Path | None = None,
        query: str | None = None,
        high_water: str | None = None,
    ) -> None:
        self._format = format
        self._mapping = mapping
        self._query = query or ""
        self._high_water = high_water or ""
        self._items: list[Source | RemoteFile | RowSource] = []
        for place in places:
            self._items += self._look(place)
        if (query or high_water) and not any(getattr(item, "kind", "") == "sql" for item in self._items):
            raise UsageError(
                "a query needs a database", where="--query", mend="name one: sql:sqlite:///FILE or sql:env:NAME"
            )

    @property
    def local(self) -> list[Source]:
        """The files that were on this machine already."""
        return [item for item in self._items if isinstance(item, Source)]

    def gather(self, project: Project, progress: Progress) -> Gathered:
        """Bring everything to this machine.

        Parameters
        ----------
        project : Project
            Open for writing.
        progress : Progress
            Told how far it is.

        Raises
        ------
        InputError
            Something cannot be read; nothing was recorded.
        StoreFullError, StoreAccessError
            There is no room for it.
        """
        found = _Found()
        with ExitStack() as stack:
            for item in self._items:
                if not isinstance(item, Source | RemoteFile):
                    stack.callback(item.close)
            for number, item in enumerate(self._items):
                if isinstance(item, Source):
                    found.sources.append(item)
                elif isinstance(item, RemoteFile):
                    target = project.folder / SPILL / "fetched" / str(number) / item.name
                    sha256 = fetch(item, target, progress)
                    found.sources.append(replace(self._open(target), given_sha256=sha256))
                else:
                    self._pull(project, item, progress, found)
        return Gathered(tuple(found.sources), tuple(found.pulled), tuple(found.notes))

    def _look(self, place: Place) -> list[Source | RemoteFile | RowSource]:
        if isinstance(place, str):
            if place.startswith("sql:"):
                from greywater.stores.source_sql import SqlSource

                database = SqlSource(place.removeprefix("sql:"), self._query, self._high_water)
                database.pull(None)  # reached and understood before anything is written
                database.close()
                return [database]
            if place.startswith("delta:"):
                from greywater.stores.source_delta import DeltaSource

                return [DeltaSource(Path(place.removeprefix("delta:")))]
            if is_url(place):
                path = local_path(place)
                if path is None:
                    return list(remote_files(place))
                place = path
        path = Path(place)
        paths = files_of_folder(path) if path.is_dir() else [path]
        return [self._open(each) for each in paths]

    def _open(self, path: Path) -> Source:
        return open_source(path, format=self._format, mapping=self._mapping)

    def _pull(self, project: Project, rows: RowSource, progress: Progress, found: _Found) -> None:
        if any(earlier.source == rows.key for earlier in found.pulled):
            found.notes.append(f"{rows.label}: named twice, read once")
            return
        pulled = pull_rows(project, rows, progress)
        found.pulled.append(pulled)
        found.notes += pulled.notes
        if not pulled.rows:
            found.notes.append(f"{pulled.name}: nothing new")
            return
        opened = self._open(pulled.path(project))
        source = replace(opened, table=replace(opened.table, rows_before=pulled.rows_before))
        if not source.layout.places.tx_id:
            self._without_ids(pulled, rows, found)
        elif pulled.whole_again:
            found.notes.append(f"{pulled.name}: {pulled.whole_again}, so it was read whole again")
        found.sources.append(source)

    def _without_ids(self, pulled: Pulled, rows: RowSource, found: _Found) -> None:
        """Payments that cannot be told apart from those recorded before."""
        if pulled.whole_again:
            raise InputError(
                f"{pulled.whole_again}, and the payments have no ids by which those recorded before could be told",
                where=pulled.name,
                mend="name a column of ids in a mapping file (--mapping), and record it into a new project",
            )
        if not rows.resumes:
            found.notes.append(
                f"{pulled.name}: its payments have no ids; another run may record them twice "
                "unless --high-water COLUMN is given"
            )
