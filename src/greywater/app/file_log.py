"""Which payment files were recorded whole: the table `files`, one row a file, written last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from greywater.errors import InputError
from greywater.stores.ports import Tables
from greywater.vocab import Counts

__all__ = ["FILES_SCHEMA", "FileOutcome", "complete_files", "file_digest", "file_rows", "write_files"]

_MOMENT: Final = pa.timestamp("us", tz="UTC")
_PIECE: Final = 1 << 20

#: A payment file that was recorded whole, and what became of its rows.
FILES_SCHEMA: Final = pa.schema(
    [
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("recorded", pa.int64(), nullable=False),
        pa.field("duplicate", pa.int64(), nullable=False),
        pa.field("rejected", pa.int64(), nullable=False),
        pa.field("refused", pa.int64(), nullable=False),
        pa.field("skipped", pa.int64(), nullable=False),
        pa.field("rounded", pa.int64(), nullable=False),
        pa.field("without_rate", pa.int64(), nullable=False),
        pa.field("first_seq", pa.int64(), nullable=False),
        pa.field("next_seq", pa.int64(), nullable=False),
        pa.field("resolution_us", pa.int64(), nullable=False),
        pa.field("ingest", pa.string(), nullable=False),
        pa.field("recorded_time", _MOMENT, nullable=False),
    ]
)


@dataclass(frozen=True)
class FileOutcome:
    """What became of one payment file.

    Parameters
    ----------
    name : str
        Base name.
    format : str
        Known format it was read as.
    sha256 : str
        Of its bytes, in hexadecimal.
    counts : Counts
        What became of its rows; all of them are `skipped` where the file had been recorded before.
    first_seq, next_seq : int
        Its payments lie in [first_seq, next_seq).
    refused : int
        Rows among the rejected ones that could be read and the ledger refused.
    known : bool
        True where the same bytes had been recorded whole before, under whatever name.
    """

    name: str
    format: str
    sha256: str
    counts: Counts
    first_seq: int
    next_seq: int
    refused: int = 0
    known: bool = False


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal, read a piece at a time.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", where=str(path), mend="check its name and its permissions"
        ) from error
    return digest.hexdigest()


def complete_files(tables: Tables) -> dict[str, dict[str, Any]]:
    """The files recorded whole, by SHA-256; of a file that was read again, what was said last."""
    return {row["sha256"]: row for row in file_rows(tables)}


def file_rows(tables: Tables) -> list[dict[str, Any]]:
    """Every row of the table, in commit order."""
    table = tables.read("files")
    return [] if table is None else table.to_pylist()


def write_files(tables: Tables, outcomes: list[FileOutcome], *, ingest: str, resolutions: dict[str, int]) -> None:
    """Mark files as recorded whole, in one commit.

    Parameters
    ----------
    tables : Tables
        Of the project.
    outcomes : list of FileOutcome
        Of one ingest.
    ingest : str
        Its digest; a second write under the same one does nothing.
    resolutions : dict
        SHA-256 -> time resolution in microseconds.
    """
    now = datetime.now(UTC)
    rows = [
        {
            "sha256": outcome.sha256,
            "name": outcome.name,
            "format": outcome.format,
            "rows": outcome.counts.read,
            "recorded": outcome.counts.recorded,
            "duplicate": outcome.counts.duplicate,
            "rejected": outcome.counts.rejected,
            "refused": outcome.refused,
            "skipped": outcome.counts.skipped,
            "rounded": outcome.counts.rounded,
            "without_rate": outcome.counts.without_rate,
            "first_seq": outcome.first_seq,
            "next_seq": outcome.next_seq,
            "resolution_us": resolutions[outcome.sha256],
            "ingest": ingest,
            "recorded_time": now,
        }
        for outcome in outcomes
    ]
    if rows:
        tables.append("files", pa.Table.from_pylist(rows, schema=FILES_SCHEMA), transaction=f"{ingest}/files")
