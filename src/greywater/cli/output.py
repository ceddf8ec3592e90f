"""What a person or a program reads: tables, JSON, and errors as one block on standard error."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from greywater.errors import GreywaterError

if TYPE_CHECKING:
    from greywater.config import Settings

__all__ = [
    "messages",
    "require_writable",
    "results",
    "settings_of",
    "show_error",
    "show_rows",
    "show_warnings",
    "write_json",
]

#: Exit code after Ctrl-C, as shells count it: 128 + SIGINT.
INTERRUPTED: Final = 130
STORE_TROUBLE: Final = 4
#: Words of more letters are cut in their middle in a table; the JSON holds them whole.
LONGEST_WORD: Final = 80


def messages() -> Console:
    """Where people are spoken to: standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def results() -> Console:
    """Where answers go: standard output."""
    return Console(highlight=False, soft_wrap=True)


def settings_of(store: Path | None = None, project: str | None = None, base_currency: str | None = None) -> Settings:
    """Defaults, then GREYWATER_* variables, then the options of the command."""
    from greywater.config import Settings

    return Settings.from_environment().with_(store=store, project=project, base_currency=base_currency)


def show_error(error: BaseException) -> int:
    """Say in one block what was found, where, and how to mend it.

    Parameters
    ----------
    error : BaseException
        What stopped the command.

    Returns
    -------
    int
        The exit code.
    """
    code, found, where, mend = _told(error)
    from greywater.desk.wording import plain

    found, where, mend = (plain(text, keep="\n") for text in (found, where, mend))
    lines = [Text("error: ", "bold red") + Text(found, "bold")]
    if where:
        lines.append(Text("  where:   ", "dim") + Text(where))
    if mend:
        lines.append(Text("  to mend: ", "dim") + Text(mend))
    console = messages()
    for line in lines:
        console.print(line)
    return code


def _told(error: BaseException) -> tuple[int, str, str, str]:
    if isinstance(error, GreywaterError):
        return error.exit_code, error.found, error.where, error.mend
    if isinstance(error, KeyboardInterrupt):
        mend = "give the same command again: it goes on where it stopped and records nothing twice"
        return INTERRUPTED, "stopped on request; every payment that was acknowledged is safe", "", mend
    if isinstance(error, MemoryError):
        return 1, "the machine has no memory left", "", "close other programs, or lower GREYWATER_CHUNK_ROWS"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        mend = "make room and give the same command again; what was acknowledged is safe"
        return STORE_TROUBLE, "there is no room left on the disk", str(error.filename or ""), mend
    if isinstance(error, PermissionError):
        mend = "give this user the right to read and write there"
        return STORE_TROUBLE, f"the operating system refuses: {error.strerror}", str(error.filename or ""), mend
    mend = "give the command again with --debug and report what it shows; the store is checked by: greywater check"
    return 1, f"something unexpected happened: {type(error).__name__}: {error}", "", mend


def show_warnings(warnings: Sequence[str]) -> None:
    """Sentences for the person who reads the summary, on standard error."""
    from greywater.desk.wording import plain

    console = messages()
    for warning in warnings:
        console.print(Text("note: ", "yellow") + Text(plain(warning, keep="\n")))


def show_rows(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output; numbers stand to the right, with thousands marked."""
    from greywater.desk.wording import plain

    numeric = [bool(rows) and all(isinstance(row[place], int) for row in rows) for place in range(len(headings))]
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading, number in zip(headings, numeric, strict=True):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        cells = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row]
        table.add_row(*(Text(plain(cell, LONGEST_WORD)) for cell in cells))
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table)


def require_writable(path: Path | None, what: str) -> None:
    """Refuse a file that cannot be written before the work is done, not after.

    Raises
    ------
    UsageError
        Its folder does not exist or may not be written in, or it is a folder itself.
    """
    if path is None:
        return
    from greywater.errors import UsageError

    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise UsageError(f"{what} cannot be written there", where=str(path), mend="name a file in a folder that exists")
    written = path if path.exists() and not path.is_file() else folder  # a pipe or device is written through
    if not os.access(written, os.W_OK):
        raise UsageError(
            f"{what} cannot be written there", where=str(path), mend="name a file in a folder that you may write in"
        )


def write_json(value: Any, target: str) -> None:
    """Write JSON to standard output (`-`) or to a file, which then holds all of it or what it held before.

    Parameters
    ----------
    value : Any
        JSON types only; NaN is refused.
    target : str
        `-` or the path of a file.

    Raises
    ------
    StoreFullError, StoreAccessError, StoreError
        The file cannot be written.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    if target == "-":
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        return
    from greywater.stores.durable import write_whole_text

    write_whole_text(Path(target), text + "\n", "write the JSON file")
