"""Rows of databases and foreign tables, kept as a file until they are recorded, and how far each source was read."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from greywater.app.file_log import complete_files, file_digest
from greywater.app.wiring import Project
from greywater.errors import StoreDamagedError
from greywater.stores.durable import (
    TEMPORARY_SUFFIX,
    make_folder,
    rename_durably,
    store_error,
    store_errors,
    sync_file,
    write_file_durably,
)
from greywater.stores.sorting import exact_batches
from greywater.stores.source_rows import Mark, RowSource
from greywater.vocab import Progress

__all__ = ["MARKS_SCHEMA", "PULLS", "Pulled", "finish_pull", "pull_rows", "read_mark"]

#: Folder of a project for rows that were fetched and are not recorded whole yet.
PULLS: Final = "pulls"
_ABOUT: Final = "pull.json"
_GROUP_ROWS: Final = 65_536
_MOMENT: Final = pa.timestamp("us", tz="UTC")

#: How far a source was read; of one source the row written last counts.
MARKS_SCHEMA: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("mark", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("recorded_time", _MOMENT, nullable=False),
    ]
)


@dataclass(frozen=True)
class Pulled:
    """Rows of a source that wait to be recorded.

    Parameters
    ----------
    source, name, kind : str
        Key, label and kind of the source.
    sha256 : str
        Of the file of rows; "" where there are none.
    rows, rows_before : int
        Rows of the file, and rows that earlier pulls of the source gave.
    mark : dict or None
        How far the source is read once they are recorded; None where it keeps no mark.
    whole_again : str
        Why rows that were given before come again; "" where they do not.
    notes : tuple of str
        Sentences for the summary.
    """

    source: str
    name: str
    kind: str
    sha256: str
    rows: int
    rows_before: int
    mark: Mark | None
    whole_again: str = ""
    notes: tuple[str, ...] = ()

    def path(self, project: Project) -> Path:
        """The file of rows."""
        return _folder(project, self.source) / self.name


def read_mark(project: Project, source: str) -> tuple[Mark | None, int]:
    """How far a source was read, and how many rows it gave."""
    table = project.tables.read("source_marks", ["source", "mark", "rows"])
    if table is None:
        return None, 0
    for row in reversed(table.to_pylist()):
        if row["source"] == source:
            return msgspec.json.decode(row["mark"]), row["rows"]
    return None, 0


def pull_rows(project: Project, source: RowSource, progress: Progress) -> Pulled:
    """Fetch what a source holds beyond its mark into a file that survives a kill and a power cut.

    Rows whose recording was begun and interrupted are given again as they were fetched, so that no row is lost or
    doubled whatever the source holds by now; what is newer comes with the next command.

    Parameters
    ----------
    project : Project
        Open for writing.
    source : RowSource
        Where the rows are.
    progress : Progress
        Advanced by rows.

    Returns
    -------
    Pulled

    Raises
    ------
    InputError
        The source cannot be read.
    StoreFullError, StoreAccessError
        There is no room for the rows.
    """
    waiting = _waiting(project, source)
    if waiting is not None:
        return waiting
    mark, before = read_mark(project, source.key) if source.resumes else (None, 0)
    folder = _folder(project, source.key)
    with store_errors(folder, "remove rows that were fetched and not recorded"):
        if folder.exists():
            shutil.rmtree(folder)
    progress.step(f"fetching {source.label}")
    pull = source.pull(mark)
    make_folder(folder)
    path = folder / source.label
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    schema = pull.schema.with_metadata({"source": source.key, "rows_before": str(before)})
    rows = 0
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for batch in exact_batches(pull.batches(), pull.schema, _GROUP_ROWS):
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
                rows += batch.num_rows
                progress.advance(batch.num_rows)
    except OSError as error:
        raise store_error(error, temporary, "keep the rows that were fetched") from error
    again = pull.whole_again
    sha256 = ""
    if rows:
        sync_file(temporary)
        rename_durably(temporary, path)
        sha256 = file_digest(path)
    found = Pulled(
        source.key, source.label, source.kind, sha256, rows, before, pull.mark(),
        "" if again is None else again.why, pull.notes,
    )  # fmt: skip
    write_file_durably(folder / _ABOUT, msgspec.json.encode(asdict(found)))
    return found


def finish_pull(project: Project, pulled: Pulled) -> None:
    """Write down how far the source is read, now that its rows are recorded, and remove the file of rows."""
    row: dict[str, Any] = {
        "source": pulled.source,
        "name": pulled.name,
        "kind": pulled.kind,
        "mark": msgspec.json.encode(pulled.mark).decode(),
        "rows": pulled.rows_before + pulled.rows,
        "sha256": pulled.sha256,
        "recorded_time": datetime.now(UTC),
    }
    if pulled.mark is not None and read_mark(project, pulled.source) != (pulled.mark, row["rows"]):
        project.tables.append("source_marks", pa.Table.from_pylist([row], schema=MARKS_SCHEMA))
    with suppress(OSError):
        shutil.rmtree(_folder(project, pulled.source))


def _folder(project: Project, source: str) -> Path:
    return project.folder / PULLS / source[:32]


def _waiting(project: Project, source: RowSource) -> Pulled | None:
    """Rows whose recording was begun; those recorded whole by a command that was killed after it are finished here."""
    about = _folder(project, source.key) / _ABOUT
    with store_errors(about, "read what was fetched"):
        if not about.is_file():
            return None
        content = about.read_bytes()
    try:
        found = msgspec.json.decode(content, type=Pulled)
    except msgspec.MsgspecError as error:
        raise StoreDamagedError(
            f"what was fetched and not recorded cannot be read: {error}", where=str(about), mend=_mend(about)
        ) from None
    if found.sha256 in complete_files(project.tables) or not found.rows:
        finish_pull(project, found)
        return None
    if not any(found.sha256 in entry.shas for entry in project.file.unfinished):
        return None
    path = found.path(project)
    if not path.is_file() or file_digest(path) != found.sha256:
        raise StoreDamagedError(
            "the rows whose recording was begun are not what was fetched", where=str(path), mend=_mend(about)
        )
    return found


def _mend(about: Path) -> str:
    return (
        f"restore the project from a backup, or remove {about.parent} to fetch them again; "
        "payments without ids of their own may then be recorded twice"
    )
