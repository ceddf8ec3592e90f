"""A file of payments, ready to be read: what it is, how far its times resolve, and its payments chunk by chunk."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from greywater.errors import InputError
from greywater.formats.blocks import reading
from greywater.formats.layout import Layout
from greywater.formats.payments import assemble
from greywater.formats.tabular import Table
from greywater.vocab import ParsedChunk

__all__ = ["Source", "check_file"]


@dataclass(frozen=True)
class Source:
    """One file of payments and how to read it.

    Made by `detect.open_source`.

    Parameters
    ----------
    table : Table
        The file and its columns.
    layout : Layout
        Which column says what.
    given_sha256 : str
        SHA-256 of the bytes in hex where it is known already, else "".
    """

    table: Table
    layout: Layout
    given_sha256: str = ""

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.table.path

    @property
    def name(self) -> str:
        """Base name of the file; part of the ids that are made for payments without one."""
        return self.table.path.name

    @property
    def format(self) -> str:
        """Name of the format: one of `detect.FORMATS`."""
        return self.layout.format

    @property
    def resolution_us(self) -> int:
        """Microseconds between two times that the source can tell apart; a day is 86,400,000,000."""
        return self.layout.resolution_us

    @property
    def base_currency(self) -> str:
        """The format's own currency for windows; empty where it has none of its own."""
        return self.layout.base_currency

    @property
    def answer_columns(self) -> tuple[str, ...]:
        """Columns of the source that give the answer away; they are labels and never features."""
        return self.layout.answers

    @property
    def total_rows(self) -> int | None:
        """Rows in the file where that is known without reading it (Parquet)."""
        return self.table.total_rows

    def sha256(self) -> str:
        """SHA-256 of the file's bytes in hex; read once, in pieces of 1 MB."""
        return self.given_sha256 or self._sha256

    @cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256()
        with reading(self.path), self.path.open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
        return digest.hexdigest()

    def chunks(self, rows: int = 131_072) -> Iterator[ParsedChunk]:
        """Yield the payments of the file in file order, about `rows` rows at a time.

        Every row of the file ends in exactly one of payments, rejected and skipped, whatever `rows` is. Where zoned and
        naive times are mixed, naive ones that came before the first zoned one are counted in the chunk of that one.

        Raises
        ------
        InputError
            If the file cannot be read to its end.
        """
        naive = 0
        zoned = False
        for raw in self.table.chunks(self.layout.columns, rows):
            assembled = assemble(self.layout, raw, self.name)
            naive += assembled.naive
            zoned = zoned or assembled.zoned > 0
            yield replace(assembled.chunk, naive=naive if zoned else 0)
            if zoned:
                naive = 0


def check_file(path: Path) -> None:
    """Raise InputError unless `path` is a file; the message names similar files nearby."""
    with reading(path):
        if path.is_file():
            return
        if path.is_dir():
            mend = f"give one file of it{_examples(path)}"
            raise InputError("this is a directory, not a file of payments", where=str(path), mend=mend)
        if path.exists():
            raise InputError("this is no regular file", where=str(path), mend="write the payments to a file first")
        names = [near.name for near in path.parent.iterdir()] if path.parent.is_dir() else []
    if not names:
        missing = "its folder does not exist either" if not path.parent.is_dir() else "its folder is empty"
        raise InputError(f"there is no such file, and {missing}", where=str(path), mend="check the path")
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    mend = "did you mean " + " or ".join(close) + "?" if close else f"check the path{_examples(path.parent)}"
    raise InputError("there is no such file", where=str(path), mend=mend)


def _examples(folder: Path) -> str:
    endings = (".csv", ".csv.gz", ".parquet")
    names = sorted(near.name for near in folder.iterdir() if near.name.lower().endswith(endings))
    return f", for example {', '.join(names[:3])}" if names else ""
