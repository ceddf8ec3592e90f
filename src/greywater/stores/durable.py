"""The few steps by which a file reaches the disk for good, and what the operating system's refusals mean."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from greywater.errors import StoreAccessError, StoreError, StoreFullError

__all__ = [
    "TEMPORARY_SUFFIX",
    "error_number",
    "make_folder",
    "move_aside",
    "rename_durably",
    "store_error",
    "store_errors",
    "sync_file",
    "sync_folder",
    "write_file_durably",
    "write_whole_text",
]

#: Files that end so are never read, and are removed when a store is opened for writing.
TEMPORARY_SUFFIX: Final = ".tmp"

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

# How delta-rs and Arrow name the operating system's error inside a message.
errno_in_text: Final = re.compile(r"(?:os error|\[?[Ee]rrno)[ :]*(\d+)")


def error_number(error: BaseException) -> int | None:
    """The operating system's number inside an error of Python, Arrow, delta-rs or LMDB, or None.

    Examples
    --------
    >>> error_number(OSError(28, "No space left on device"))
    28
    >>> error_number(ValueError("Generic LocalFileSystem error: No space left on device (os error 28)"))
    28
    >>> error_number(ValueError("something else")) is None
    True
    """
    number = getattr(error, "errno", None) or getattr(error, "code", None)
    if isinstance(number, int) and number > 0:
        return number
    text = str(error)
    match = errno_in_text.search(text)
    if match:
        return int(match.group(1))
    for number in (*FULL, *REFUSED):
        if os.strerror(number) in text:
            return number
    return None


def store_error(error: BaseException, where: Path | str, doing: str) -> StoreError:
    """The error of Greywater's tree that says the same as `error`.

    Parameters
    ----------
    error : BaseException
        What Python, Arrow, delta-rs or LMDB raised.
    where : Path or str
        The file or folder concerned.
    doing : str
        What was going on, as a verb phrase: "write a data file".

    Returns
    -------
    StoreError
        StoreFullError where the disk (or the quota) has no room, StoreAccessError where the operating system
        refuses, else a plain StoreError.

    Examples
    --------
    >>> type(store_error(OSError(28, "No space left on device"), "a/b", "write")).__name__
    'StoreFullError'
    """
    number = error_number(error)
    if number in FULL:
        return StoreFullError(
            f"there is no room left on the disk to {doing}",
            where=str(where),
            mend="make room on that disk and give the same command again; what was acknowledged before is safe",
        )
    if number in REFUSED:
        return StoreAccessError(
            f"the operating system refuses to {doing}: {os.strerror(number or errno.EACCES)}",
            where=str(where),
            mend="give this user the right to read and write that folder, or name another one with --store",
        )
    return StoreError(
        f"could not {doing}: {str(error) or type(error).__name__}",
        where=str(where),
        mend="look at that disk (cable, mount, file system errors), then give the same command again",
    )


@contextmanager
def store_errors(where: Path | str, doing: str) -> Iterator[None]:
    """Turn the operating system's errors into those of the tree, for what happens inside."""
    try:
        yield
    except OSError as error:
        raise store_error(error, where, doing) from error


def sync_file(path: Path) -> None:
    """Wait until the bytes of a file are on the disk (fsync).

    Raises
    ------
    StoreError
        Where the file cannot be opened or the disk reports an error.
    """
    with store_errors(path, "sync a file"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk (fsync of the folder)."""
    with store_errors(path, "sync a folder"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def rename_durably(source: Path, target: Path) -> None:
    """Rename within one file system, replacing the target, and sync the folder of the target."""
    with store_errors(target, "rename a file"):
        source.replace(target)
    sync_folder(target.parent)


def write_file_durably(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file so that after a power cut it is there complete, or not at all.

    The bytes go to `<name>.tmp` beside it, are synced, and only then get their name; then the folder is synced.

    Raises
    ------
    StoreFullError, StoreAccessError, StoreError
        Nothing is left behind then.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with store_errors(path, "write a file"):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
            sync_file(temporary)
        rename_durably(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, and sync their names."""
    missing = []
    place = path
    while not place.exists():
        missing.append(place)
        place = place.parent
    with store_errors(path, "make a folder"):
        path.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def move_aside(path: Path, folder: Path) -> Path:
    """Move a file into `folder` under its own name, numbered where that is taken; returns where it went.

    Both folders are synced, so that a file moved aside does not come back after a power cut.
    """
    make_folder(folder)
    target = folder / path.name
    count = 1
    while target.exists():
        count += 1
        target = folder / f"{path.name}.{count}"
    rename_durably(path, target)
    sync_folder(path.parent)
    return target


def write_whole_text(path: Path, text: str, doing: str) -> None:
    """Write a text file that then holds all of it or what it held before; not synced.

    What is no regular file of its own (a link, a pipe, a device such as /dev/stdout) is written through, never
    replaced.

    Raises
    ------
    StoreFullError, StoreAccessError, StoreError
        The file cannot be written.
    """
    with store_errors(path, doing):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            with path.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
