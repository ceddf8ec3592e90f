"""Which format a file is in, told by its columns; the door of the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from greywater.errors import FormatError, UsageError
from greywater.formats import amlgentex, amlsim, amlworld, ethereum, native
from greywater.formats.layout import Layout
from greywater.formats.mapping import read_mapping
from greywater.formats.resolution import day_stamped
from greywater.formats.source import Source, check_file
from greywater.formats.tabular import Table, open_table
from greywater.formats.text import shown_columns
from greywater.formats.times import DAY_US

__all__ = ["FORMATS", "open_source"]


@dataclass(frozen=True)
class _Known:
    """A format that is told by its columns: alternatives for each column it needs."""

    needs: tuple[tuple[str, ...], ...]
    layout: Callable[[Table | None, Sequence[str]], Layout]
    any_case: bool = False

    def missing(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The needed columns that are not there."""
        found = {name.lower() if self.any_case else name for name in columns}
        return tuple(names[0] for names in self.needs if not found.intersection(names))


def _exactly(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in names)


_KNOWN: Final = {
    "amlworld": _Known(_exactly(amlworld.REQUIRED), amlworld.layout),
    "amlsim": _Known(_exactly(amlsim.REQUIRED), amlsim.layout),
    "amlgentex": _Known(_exactly(amlgentex.REQUIRED), amlgentex.layout),
    "native": _Known(_exactly(native.REQUIRED), native.layout),
    "ethereum": _Known(tuple(ethereum.SPELLINGS.values()), ethereum.layout, any_case=True),
}

#: Names that `--format` takes; "mapping" needs a mapping file.
FORMATS: Final[tuple[str, ...]] = (*_KNOWN, "mapping")


def open_source(path: Path, *, format: str | None = None, mapping: Path | None = None) -> Source:
    """Open a file of payments.

    Parameters
    ----------
    path : Path
        CSV, gzip CSV or Parquet.
    format : str, optional
        One of FORMATS; left out, it is told by the columns.
    mapping : Path, optional
        A mapping file (TOML) that says which column is what; see docs/formats.md.

    Returns
    -------
    Source

    Raises
    ------
    UsageError
        If `format` is no known name, or does not go with `mapping`.
    InputError
        If the file is not there, is a directory, may not be read or is cut off.
    FormatError
        If the columns are those of no known format, or not those of the format named.
    EmptyInputError
        If there are no rows.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"{format!r} is no known format", where="--format", mend=f"give one of {', '.join(FORMATS)}")
    if mapping is None and format == "mapping":
        raise UsageError("the format 'mapping' needs a mapping file", where="--format", mend="add --mapping FILE")
    if mapping is not None and format not in (None, "mapping"):
        raise UsageError(
            f"a mapping file and the format {format!r} exclude each other", where="--mapping", mend="leave one out"
        )
    check_file(path)
    if mapping is not None:
        check_file(mapping)
        plan = read_mapping(mapping)
        table = open_table(path, delimiter=plan.separator, encoding=plan.encoding, header=plan.header)
        layout = plan.layout(table)
        resolution = None if plan.resolution_stated else day_stamped(table, layout)
    else:
        table = open_table(path)
        known = _KNOWN[_choose(table, format)]
        layout = known.layout(table, table.columns)
        resolution = day_stamped(table, layout) if layout.format in ("native", "ethereum") else None
    return Source(table, replace(layout, resolution_us=DAY_US) if resolution else layout)


def _choose(table: Table, format: str | None) -> str:
    if format is not None:
        missing = _KNOWN[format].missing(table.columns)
        if not missing:
            return format
        raise FormatError(
            f"the columns {', '.join(missing)} of the format {format} are missing; "
            f"found are {shown_columns(table.columns)}",
            where=str(table.path),
            mend="give another format, or say in a mapping file (--mapping) which column is what",
        )
    lacking = {name: known.missing(table.columns) for name, known in _KNOWN.items()}
    for name, missing in lacking.items():
        if not missing:
            return name
    order = sorted(lacking, key=lambda name: len(lacking[name]) / len(_KNOWN[name].needs))
    tried = "; ".join(f"{name} lacks {', '.join(lacking[name])}" for name in order)
    raise FormatError(
        f"the columns {shown_columns(table.columns)} are those of no known format: {tried}",
        where=str(table.path),
        mend="say in a mapping file (--mapping FILE, see docs/formats.md) which column is what",
    )
