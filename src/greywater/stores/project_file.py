"""What is settled once for a project: layout, base currency, time resolution, and which ingests were begun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from greywater._version import __version__
from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.durable import make_folder, store_errors, write_file_durably

__all__ = ["LAYOUT", "ProjectFile", "Unfinished"]

#: Number of the store layout this version writes; raised when an older version could misread it.
LAYOUT: Final = 1
NAME: Final = "project.json"


@dataclass(frozen=True)
class Unfinished:
    """An ingest that was begun and has not been completed.

    Parameters
    ----------
    ingest : str
        Digest of what was to be ingested.
    files : tuple of str
        Names of the payment files, for the person who has to start it again.
    shas : tuple of str
        SHA-256 of each.
    spans : tuple of (int, int)
        Ranges [first, stop) of seq that its interrupted attempts recorded, in order.
    open_from : int or None
        First seq of the attempt that may still run, or was killed; None where its end is known.
    """

    ingest: str
    files: tuple[str, ...]
    shas: tuple[str, ...]
    spans: tuple[tuple[int, int], ...] = ()
    open_from: int | None = None

    def closed(self, next_seq: int) -> Unfinished:
        """The same with the open attempt ended at `next_seq`."""
        if self.open_from is None:
            return self
        span = ((self.open_from, next_seq),) if next_seq > self.open_from else ()
        return replace(self, spans=self.spans + span, open_from=None)

    def recorded(self, next_seq: int) -> int:
        """How many payments its attempts recorded, where the ledger ends at `next_seq`."""
        return sum(stop - first for first, stop in self.closed(next_seq).spans)


@dataclass(frozen=True)
class ProjectFile:
    """The file `project.json` of a project.

    Parameters
    ----------
    layout : int
        Number of the store layout.
    greywater : str
        Version that wrote the file last.
    base_currency : str
        Currency the windows are counted in, settled at the first ingest; "" before.
    resolution_us : int
        Time resolution in microseconds, the coarsest of the sources; 0 before the first ingest.
    rates : str
        Name of the table of rates that was used last; "" where none was needed.
    unfinished : tuple of Unfinished
        Ingests that were begun and not completed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> ProjectFile(base_currency="EUR").save(folder)
    >>> ProjectFile.load(folder).base_currency
    'EUR'
    """

    layout: int = LAYOUT
    greywater: str = __version__
    base_currency: str = ""
    resolution_us: int = 0
    rates: str = ""
    unfinished: tuple[Unfinished, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> ProjectFile | None:
        """What the project's file says, or None where there is no such file.

        Raises
        ------
        StoreError
            A newer version of Greywater wrote it.
        StoreDamagedError
            It is not what any version writes.
        """
        path = folder / NAME
        with store_errors(path, "read the project's file"):
            if not path.exists():
                return None
            content = path.read_bytes()
        try:
            said = msgspec.json.decode(content)
            layout = said["layout"] if isinstance(said, dict) else None
            if isinstance(layout, int) and layout > LAYOUT:
                raise StoreError(
                    f"the store has layout {layout}, written by Greywater {said.get('greywater')}; "
                    f"this is Greywater {__version__}, which knows layouts up to {LAYOUT}",
                    where=str(path),
                    mend="use that version or a newer one; nothing was changed",
                )
            return msgspec.convert(said, cls)
        except (msgspec.MsgspecError, KeyError) as error:
            raise StoreDamagedError(
                f"the project's file cannot be read: {error}",
                where=str(path),
                mend="restore it from a backup of the store",
            ) from None

    def save(self, folder: Path) -> None:
        """Write the file so that after a power cut the old or the new one is there, whole.

        Raises
        ------
        StoreFullError, StoreAccessError, StoreError
            The file could not be written; the one before is untouched.
        """
        make_folder(folder)
        content = msgspec.json.format(
            msgspec.json.encode(replace(self, layout=LAYOUT, greywater=__version__)), indent=2
        )
        write_file_durably(folder / NAME, content + b"\n")

    def settled(self, next_seq: int) -> ProjectFile:
        """The same with killed attempts closed at `next_seq`, and those that recorded nothing left out.

        Only the holder of the writer's lock may ask for it: for everybody else an open attempt may be alive.
        """
        closed = (entry.closed(next_seq) for entry in self.unfinished)
        return replace(self, unfinished=tuple(entry for entry in closed if entry.spans))

    def begun(self, ingest: str, files: tuple[str, ...], shas: tuple[str, ...], next_seq: int) -> ProjectFile:
        """The same after an ingest has begun at `next_seq`."""
        before = self.settled(next_seq)
        others = tuple(entry for entry in before.unfinished if entry.ingest != ingest)
        return replace(before, unfinished=(*others, Unfinished(ingest, files, shas, before.spans(ingest), next_seq)))

    def counting_in(self, base_currency: str, resolution_us: int, rates: str) -> ProjectFile:
        """The same with what payments are counted in; the name of rates used before stays where none is used now."""
        return replace(self, base_currency=base_currency, resolution_us=resolution_us, rates=rates or self.rates)

    def completed(self, ingest: str) -> ProjectFile:
        """The same after an ingest has been completed."""
        return replace(self, unfinished=tuple(entry for entry in self.unfinished if entry.ingest != ingest))

    def spans(self, ingest: str) -> tuple[tuple[int, int], ...]:
        """Ranges [first, stop) of seq that interrupted attempts of an ingest recorded."""
        return next((entry.spans for entry in self.unfinished if entry.ingest == ingest), ())
