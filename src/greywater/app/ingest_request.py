"""What is to be recorded, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from greywater.app.file_log import FileOutcome
from greywater.app.recording import Rejection
from greywater.app.side_records import SideOutcome
from greywater.app.sources import Place
from greywater.app.wiring import Project
from greywater.vocab import Counts

__all__ = ["IngestRequest", "IngestResult", "Silent"]


@dataclass(frozen=True)
class IngestRequest:
    """What to record.

    Parameters
    ----------
    paths : tuple of (str or Path)
        Payments, in the order that decides among those of equal time: files, folders of files, `file://`, `s3://`,
        `hdfs://` and `memory://` URLs, `sql:URL` with `query`, `delta:FOLDER`.
    format : str, optional
        Name of a known format; detected from each header where left out.
    mapping : Path, optional
        TOML file that says what the columns of the files mean.
    order : {"time", "file"}
        "time": seq follows (event time, position of the file, row). "file": seq follows (position of the file, row).
    fx : Path, optional
        Dated rates to the base currency.
    labels, accounts, parties, relationships, seeds, attributes : Path, optional
        Files of side records.
    protected : tuple of str
        Attributes that only fairness reports may use, besides those that the file's header marks.
    query : str, optional
        The SELECT whose rows a `sql:` place gives.
    high_water : str, optional
        Column of the query that only grows; a later ingest takes only what lies beyond the greatest value taken.
    allow_jump : bool
        Let event time jump beyond `max_jump_days`.
    wait : float
        Seconds to wait for another writer.
    """

    paths: tuple[Place, ...]
    format: str | None = None
    mapping: Path | None = None
    order: Literal["time", "file"] = "time"
    fx: Path | None = None
    labels: Path | None = None
    accounts: Path | None = None
    parties: Path | None = None
    relationships: Path | None = None
    seeds: Path | None = None
    attributes: Path | None = None
    protected: tuple[str, ...] = ()
    query: str | None = None
    high_water: str | None = None
    allow_jump: bool = False
    wait: float = 0.0


@dataclass(frozen=True)
class IngestResult:
    """What became of what was to be recorded.

    Parameters
    ----------
    counts : Counts
        read = recorded + duplicate + rejected + skipped. `recorded` includes what an interrupted attempt of the same
        ingest had recorded.
    files : tuple of FileOutcome
        In the order of the arguments.
    records : tuple of SideOutcome
        Files of side records.
    first_seq, next_seq : int
        The payments of this ingest lie in [first_seq, next_seq); the ledger ends at next_seq.
    resolution_us : int
        Time resolution of the project in microseconds.
    base_currency : str
        Currency the windows are counted in.
    rates_name : str
        Table of rates that was used, "" where none was.
    warnings : tuple of str
        Sentences for the person who reads the summary.
    has_labels : bool
        Whether the project holds any label.
    mended : tuple of str
        What was found broken on opening and mended.
    rejections : tuple of Rejection
        Rows of the payment files that were set aside, one entry a reason.
    resumed : int
        Payments among `counts.recorded` that an interrupted attempt had recorded.
    """

    counts: Counts
    files: tuple[FileOutcome, ...]
    records: tuple[SideOutcome, ...]
    first_seq: int
    next_seq: int
    resolution_us: int
    base_currency: str
    rates_name: str
    warnings: tuple[str, ...]
    has_labels: bool
    mended: tuple[str, ...]
    rejections: tuple[Rejection, ...] = ()
    resumed: int = 0

    @classmethod
    def of_project(cls, project: Project) -> IngestResult:
        """What a project holds, where nothing is to be recorded."""
        file, end = project.file, project.ledger.next_seq
        labelled = any(batch.num_rows for batch in project.tables.scan("labels", ["label"]))
        return cls(
            Counts(), (), (), end, end, file.resolution_us, file.base_currency, file.rates, (), labelled, project.mended
        )


class Silent:
    """A Progress that nobody watches."""

    def step(self, name: str, total: int | None = None) -> None:
        """Say nothing."""

    def advance(self, amount: int) -> None:
        """Say nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""
