"""The use case that records payments and what is known beside them, once, in order, and again after a kill."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from greywater.app.audit import audited
from greywater.app.file_log import FileOutcome, complete_files, file_digest, write_files
from greywater.app.ingest_request import IngestRequest, IngestResult, Silent
from greywater.app.recording import Recorder, Rejection, write_labels, write_rejected
from greywater.app.settling import Settled, early_base, settle
from greywater.app.side_records import SideOutcome, SideRecords, read_side_records, record_side_records
from greywater.app.sources import Gathered, Places, shown_name
from greywater.app.spill import PaymentSpill, RowSpill
from greywater.app.wiring import SPILL, Project, open_project
from greywater.config import Settings
from greywater.errors import InputError, UsageError
from greywater.formats.rates import Rates
from greywater.formats.source import Source
from greywater.stores.project_file import ProjectFile
from greywater.vocab import REJECTED_SCHEMA, Actor, Counts, Progress

__all__ = ["FileOutcome", "IngestRequest", "IngestResult", "Silent", "ingest"]

log = logging.getLogger("greywater.ingest")
#: ISO 4217 for "no currency".
_NO_CURRENCY: Final = "XXX"
_SIDES: Final = ("labels", "accounts", "parties", "relationships", "seeds", "attributes")


def ingest(actor: Actor, settings: Settings, request: IngestRequest, progress: Progress | None = None) -> IngestResult:
    """Record payments and side records in the project that the settings name.

    Parameters
    ----------
    actor : Actor
        Who asks; must be allowed to `ingest`.
    settings : Settings
        Store, project and limits.
    request : IngestRequest
        What to record.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    IngestResult

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        There is nothing to record, or the currencies and settings do not fit.
    InputError
        A file cannot be read; nothing was written then.
    StoreError
        The store is locked, full, damaged or refused; what was acknowledged is safe, and the same command goes on
        where it stopped.

    Notes
    -----
    SEMANTICS: Order at recording, Identity, Numbers, Other records. Every file is read whole before a payment is
    recorded. Killed at any moment and started again, it leaves the ledger and the tables of one clean run.
    """
    told = progress or Silent()
    names = ", ".join(shown_name(place) for place in request.paths) or "side records"
    with audited(settings, actor, "ingest", names) as detail:
        if request.order not in ("time", "file"):
            raise UsageError(f"there is no order {request.order!r}", where="--order", mend="give time or file")
        sides = {table: getattr(request, table) for table in _SIDES}
        if not request.paths and not any(sides.values()):
            raise UsageError(
                "there is nothing to record", mend="name a file of payments, or give --labels and the like"
            )
        places = Places(
            request.paths,
            format=request.format,
            mapping=request.mapping,
            query=request.query,
            high_water=request.high_water,
        )
        records = read_side_records(sides, protected=request.protected)
        rates = _early_rates(settings, request, places.local)
        with open_project(settings, actor, write=True, wait=request.wait, allow_jump=request.allow_jump) as project:
            for sentence in project.mended:
                told.say(sentence)
            try:
                result = _Ingest(project, places.gather(project, told), rates, request, told).result(records)
            finally:
                shutil.rmtree(project.folder / SPILL, ignore_errors=True)
        detail.update(
            counts={name: getattr(result.counts, name) for name in Counts.__dataclass_fields__},
            files=[outcome.sha256 for outcome in result.files],
            next_seq=result.next_seq,
        )
    log.info("ingested", extra={"recorded": result.counts.recorded, "rejected": result.counts.rejected})
    return result


def _early_rates(settings: Settings, request: IngestRequest, sources: Sequence[Source]) -> Rates | None:
    """The table of rates, read before anything is written; for no currency where the base cannot be told by then."""
    held = ProjectFile.load(settings.project_folder)
    base = early_base(settings, held.base_currency if held else "", sources)
    if request.fx is None:
        return None
    return Rates.read(request.fx, base or _NO_CURRENCY)


class _Ingest:
    """One ingest on its way."""

    def __init__(
        self,
        project: Project,
        gathered: Gathered,
        rates: Rates | None,
        request: IngestRequest,
        progress: Progress,
    ) -> None:
        sources = gathered.sources
        self._project = project
        self._gathered = gathered
        self._sources = sources
        self._rates = rates
        self._request = request
        self._progress = progress
        self._warnings: list[str] = list(gathered.notes)
        self._state = _state(source.path for source in sources)
        self._shas = [source.sha256() for source in sources]
        self._complete = complete_files(project.tables)
        self._fresh = [
            place for place, sha in enumerate(self._shas) if self._to_read(place) and sha not in self._shas[:place]
        ]
        self._again = any(self._shas[place] in self._complete for place in self._fresh)
        self._id = self._digest()
        self._rejections: list[Rejection] = []
        self._parsed: dict[int, Counts] = {}

    def result(self, records: Sequence[SideRecords]) -> IngestResult:
        """Do it."""
        project, ledger = self._project, self._project.ledger
        held = project.file if ledger.next_seq else None
        settled = Settled(project.file.base_currency, project.file.resolution_us)
        outcomes: dict[int, FileOutcome] = {}
        file, first_seq, resumed = project.file, ledger.next_seq, 0
        if self._fresh:
            folder = project.folder / SPILL / self._id[:16]
            with PaymentSpill(folder / "payments.arrow") as spill, _rejected(folder) as unreadable:
                self._read(spill, unreadable)
                settled = self._settle(held, spill)
                file = self._begin(settled)
                recorder = self._record(spill, settled, folder, file.spans(self._id))
                self._write_beside(recorder, unreadable)
                first_seq = min([first_seq, *(first for first, _ in file.spans(self._id))])
                outcomes, resumed = self._outcomes(recorder, first_seq), recorder.resumed
        done = tuple(self._record_side(each) for each in records)
        if self._fresh:
            resolutions = {self._shas[place]: self._sources[place].resolution_us for place in self._fresh}
            write_files(project.tables, list(outcomes.values()), ingest=self._id, resolutions=resolutions)
            file.completed(self._id).save(project.folder)
        elif (tidy := self._tidy()) != project.file:
            tidy.save(project.folder)
        self._gathered.finish(project)
        return self._summary(outcomes, done, settled, first_seq, resumed)

    def _to_read(self, place: int) -> bool:
        """Whether a file has to be read: its bytes are new, or rows of it were refused that `allow_jump` lets pass."""
        row, source = self._complete.get(self._shas[place]), self._sources[place]
        if row is not None:
            return self._request.allow_jump and row["refused"] > 0 and row["name"] == source.name
        for entry in self._project.file.unfinished:
            names = [name for name, sha in zip(entry.files, entry.shas, strict=True) if sha == self._shas[place]]
            if names and source.name not in names and not source.layout.places.tx_id:
                raise InputError(
                    f"the recording of this file was begun under the name {names[0]} and not completed; "
                    "its payments have no ids of their own, and got theirs from that name",
                    where=str(source.path),
                    mend=f"name it {names[0]} again and give the command once more",
                )
        return True

    def _digest(self) -> str:
        """Names the ingest by what is to be recorded and how, so that a second attempt is known as one."""
        request = self._request
        what = {
            "files": [self._shas[place] for place in self._fresh],
            "order": request.order,
            "format": request.format,
            "mapping": file_digest(request.mapping) if request.mapping else None,
            "fx": file_digest(request.fx) if request.fx else None,
            "again": self._again,
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def _read(self, spill: PaymentSpill, unreadable: RowSpill) -> None:
        """Read every file whole before the first payment is recorded."""
        for place in self._fresh:
            source = self._sources[place]
            self._progress.step(f"reading {source.name}", source.total_rows)
            counts, naive = Counts(), 0
            for chunk in source.chunks(self._project.settings.chunk_rows):
                spill.take(chunk.payments, place)
                unreadable.append(chunk.rejected)
                refused = chunk.rejected.num_rows
                rows = chunk.payments.num_rows + refused + chunk.skipped
                counts += Counts(read=rows, rejected=refused, skipped=chunk.skipped, rounded=chunk.rounded)
                naive += chunk.naive
                self._progress.advance(rows)
            self._parsed[place] = counts
            if naive:
                self._warnings.append(
                    f"{source.name}: {naive} times carried no zone, others did: they were read as UTC"
                )
        if _state(source.path for source in self._sources) != self._state:
            raise InputError(
                "a file changed while it was read; nothing was recorded",
                where=", ".join(source.name for source in self._sources),
                mend="wait until it is written whole, then give the same command again",
            )

    def _settle(self, held: ProjectFile | None, spill: PaymentSpill) -> Settled:
        return settle(
            self._project.settings,
            held,
            self._sources,
            frozenset(spill.currencies),
            self._request.fx,
            self._rates,
            self._warnings,
        )

    def _tidy(self) -> ProjectFile:
        """The project's file without ingests that were completed just before they were killed."""
        file = self._project.file
        for ingest in {row["ingest"] for row in self._complete.values()}:
            file = file.completed(ingest)
        return file

    def _begin(self, settled: Settled) -> ProjectFile:
        """Write down that this ingest begins, and what is settled, before its first payment is recorded."""
        names = tuple(self._sources[place].name for place in self._fresh)
        project, file = self._project, self._tidy()
        shas = tuple(self._shas[place] for place in self._fresh)
        file = file.begun(self._id, names, shas, project.ledger.next_seq)
        file = file.counting_in(settled.base_currency, settled.resolution_us, settled.rates_name)
        file.save(project.folder)
        return file

    def _record(
        self, spill: PaymentSpill, settled: Settled, folder: Path, spans: tuple[tuple[int, int], ...]
    ) -> Recorder:
        settings = self._project.settings
        names = [source.name for source in self._sources]
        recorder = Recorder(self._project, names, settled, folder, spans)
        batches = spill.batches(settings.chunk_rows)
        if self._request.order == "time" and not spill.in_order:
            self._progress.step("sorting by time", None)
            batches = spill.ordered(
                ["event_time", "file", "row"],
                folder=folder / "sort",
                memory_mb=settings.sort_memory_mb,
                threads=settings.worker_threads,
                batch_rows=settings.chunk_rows,
            )
        first = next(batches, None)
        self._progress.step("recording", spill.rows)
        while first is not None:
            recorder.record(first)
            self._progress.advance(first.num_rows)
            first = next(batches, None)
        return recorder

    def _write_beside(self, recorder: Recorder, unreadable: RowSpill) -> None:
        """Rejected rows and labels of the files, under the name of this ingest."""
        project = self._project
        piece_rows = 2 * project.settings.chunk_rows
        for kind, spill in (("unreadable", unreadable), ("refused", recorder.rejected)):
            self._rejections += write_rejected(
                project.tables, spill, ingest=self._id, kind=kind, piece_rows=piece_rows, again=self._again
            )
        if recorder.labels.rows:
            self._progress.step("recording labels", recorder.labels.rows)
            write_labels(project, recorder, ingest=self._id, piece_rows=piece_rows, progress=self._progress)

    def _outcomes(self, recorder: Recorder, first_seq: int) -> dict[int, FileOutcome]:
        next_seq = self._project.ledger.next_seq
        return {
            place: FileOutcome(
                name=self._sources[place].name,
                format=self._sources[place].format,
                sha256=self._shas[place],
                counts=recorder.counts(place, self._parsed[place]),
                first_seq=first_seq,
                next_seq=next_seq,
                refused=recorder.refused(place),
            )
            for place in self._fresh
        }

    def _record_side(self, records: SideRecords) -> SideOutcome:
        self._progress.step(f"recording {records.table}", records.rows.num_rows)
        outcome = record_side_records(self._project, records)
        self._progress.advance(records.rows.num_rows)
        name = outcome.name
        if outcome.known:
            self._warnings.append(f"{name}: recorded before, nothing was added to {outcome.table}")
        if outcome.rejected:
            self._warnings.append(f"{name}: {outcome.rejected} rows could not be used; they are in the rejected rows")
        if outcome.unmatched:
            strange = "seeds name nobody that the project knows"
            words = strange if outcome.table == "seeds" else "labels name a payment or account that is not recorded"
            self._warnings.append(f"{name}: {outcome.unmatched} {words}")
        if outcome.undated:
            what = "seeds" if outcome.table == "seeds" else "values"
            self._warnings.append(f"{name}: {outcome.undated} {what} carry no date: they count as known from now on")
        return outcome

    def _known_outcome(self, place: int, outcomes: dict[int, FileOutcome]) -> FileOutcome:
        """A file whose bytes were recorded before, in an earlier ingest or under another name in this one."""
        sha, source = self._shas[place], self._sources[place]
        row: dict[str, Any] | None = self._complete.get(sha)
        if row is not None:
            rows, first_seq, next_seq = row["rows"], row["first_seq"], row["next_seq"]
        else:
            twin = outcomes[self._shas.index(sha)]
            rows, first_seq, next_seq = twin.counts.read, twin.first_seq, twin.next_seq
        self._warnings.append(f"{source.name}: recorded whole before, its {rows} rows were skipped")
        counts = Counts(read=rows, skipped=rows)
        return FileOutcome(source.name, source.format, sha, counts, first_seq, next_seq, known=True)

    def _summary(
        self,
        outcomes: dict[int, FileOutcome],
        records: tuple[SideOutcome, ...],
        settled: Settled,
        first_seq: int,
        resumed: int,
    ) -> IngestResult:
        project = self._project
        files = tuple(
            outcomes[place] if place in outcomes else self._known_outcome(place, outcomes)
            for place in range(len(self._sources))
        )
        counts = sum((file.counts for file in files), Counts())
        if counts.without_rate:
            self._warnings.append(
                f"{counts.without_rate} payments have no rate to {settled.base_currency}: sums of money skip them; "
                "give --fx FILE when you record them into a new project"
            )
        if resumed:
            self._warnings.append(f"{resumed} of the payments were found recorded by an interrupted attempt")
        return IngestResult(
            counts=counts,
            files=files,
            records=records,
            first_seq=first_seq,
            next_seq=project.ledger.next_seq,
            resolution_us=settled.resolution_us,
            base_currency=settled.base_currency,
            rates_name=settled.rates_name or project.file.rates,
            warnings=tuple(self._warnings),
            has_labels=any(batch.num_rows for batch in project.tables.scan("labels", ["label"])),
            mended=project.mended,
            rejections=tuple(self._rejections),
            resumed=resumed,
        )


def _rejected(folder: Path) -> RowSpill:
    return RowSpill(folder / "unreadable.arrow", REJECTED_SCHEMA)


def _state(paths: Iterable[Path]) -> list[tuple[int, int]]:
    """Size and time of the last change of each file."""
    found = [path.stat() for path in paths]
    return [(each.st_size, each.st_mtime_ns) for each in found]
