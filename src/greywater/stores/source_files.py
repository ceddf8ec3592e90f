"""Files of payments elsewhere: folders of them, and URLs that are fetched piece by piece."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from greywater.errors import ExtraMissingError, InputError, UsageError
from greywater.stores.durable import make_folder, store_errors
from greywater.vocab import Progress

__all__ = [
    "ENDINGS",
    "PROTOCOLS",
    "RemoteFile",
    "fetch",
    "files_of_folder",
    "is_url",
    "local_path",
    "remote_files",
    "safe_url",
]

#: What is read of a folder; hidden files and those that begin with _ are left out.
ENDINGS: Final = (".csv", ".csv.gz", ".parquet", ".pq")
PROTOCOLS: Final = ("file", "memory", "s3", "hdfs")
_PIECE: Final = 1 << 20
_url: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.ASCII)


@dataclass(frozen=True)
class RemoteFile:
    """One file behind a URL: the URL without credentials, its base name, its size in bytes where it is known."""

    url: str
    name: str
    size: int | None


def is_url(text: str) -> bool:
    """Whether a word is a URL and no path.

    Examples
    --------
    >>> is_url("s3://bank/2024.parquet"), is_url("bank/2024.parquet"), is_url("C:/x.csv")
    (True, False, False)
    """
    return _url.match(text) is not None


def safe_url(url: str) -> str:
    """The URL without user, password and query.

    Examples
    --------
    >>> safe_url("s3://key:secret@bank/2024.parquet?x=1")
    's3://bank/2024.parquet'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def local_path(url: str) -> Path | None:
    """The path that a `file://` URL names; None for any other.

    Examples
    --------
    >>> local_path("file:///data/a%20b.csv")
    PosixPath('/data/a b.csv')
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise UsageError("a file URL names no machine", where=safe_url(url), mend="write file:///path/to/file")
    return Path(unquote(parts.path))


def files_of_folder(folder: Path) -> list[Path]:
    """The files of payments directly in a folder, by name.

    Raises
    ------
    InputError
        There is none, or the folder may not be read.
    UsageError
        It is a Delta table, whose files are not all of it.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(
            f"the directory cannot be read: {error.strerror}", where=str(folder), mend="check its permissions"
        ) from error
    if (folder / "_delta_log").is_dir():
        raise UsageError(
            "this directory is a Delta table", where=str(folder), mend=f"name it as a table: delta:{folder}"
        )
    return [folder / name for name in _payments_among(names, str(folder))]


def remote_files(url: str) -> list[RemoteFile]:
    """The file that a URL names, or those of the folder it names, by name.

    Raises
    ------
    UsageError
        No adapter for this kind of URL.
    ExtraMissingError
        The adapter is not installed.
    InputError
        There is nothing, or it may not be read.
    """
    shown = safe_url(url)
    with _said(shown):
        system, path = _open(url)
        if not system.isdir(path):
            found = system.info(path)
            return [RemoteFile(url, PurePosixPath(path).name, found.get("size"))]
        inside = {
            PurePosixPath(entry["name"]).name: entry
            for entry in system.ls(path, detail=True)
            if entry["type"] == "file"
        }
    base = url if url.endswith("/") else url + "/"
    return [RemoteFile(base + name, name, inside[name].get("size")) for name in _payments_among(sorted(inside), shown)]


def fetch(file: RemoteFile, target: Path, progress: Progress) -> str:
    """Copy a file to this machine piece by piece.

    Parameters
    ----------
    file : RemoteFile
        From `remote_files`.
    target : Path
        Where to; its folder is made.
    progress : Progress
        Advanced by bytes.

    Returns
    -------
    str
        SHA-256 of the bytes, in hexadecimal.

    Raises
    ------
    InputError
        The file cannot be read, or ended before it was whole.
    StoreFullError, StoreAccessError
        There is no room for it here.
    """
    digest, done = hashlib.sha256(), 0
    make_folder(target.parent)
    progress.step(f"fetching {file.name}", file.size)
    with store_errors(target, "keep a file that is fetched"):
        sink = target.open("wb")
    with sink:
        for piece in _pieces(file.url):
            digest.update(piece)
            done += len(piece)
            with store_errors(target, "keep a file that is fetched"):
                sink.write(piece)
            progress.advance(len(piece))
        with store_errors(target, "keep a file that is fetched"):
            sink.flush()
    if file.size is not None and done != file.size:
        raise InputError(
            f"the file has {file.size} bytes and {done} came",
            where=safe_url(file.url),
            mend="give the same command again; where it is still written, wait until it is whole",
        )
    return digest.hexdigest()


def _pieces(url: str) -> Iterator[bytes]:
    shown = safe_url(url)
    with _said(shown):
        system, path = _open(url)
        stream = system.open(path, "rb")
    try:
        while True:
            with _said(shown):
                piece = stream.read(_PIECE)
            if not piece:
                return
            yield piece
    finally:
        stream.close()


def _open(url: str) -> tuple[Any, str]:
    """The adapter of a URL, and the path in its own terms."""
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"URLs of the kind {protocol}:// are not read",
            where=safe_url(url),
            mend=f"give one of {', '.join(f'{name}://' for name in PROTOCOLS)}",
        )
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise _missing("fsspec", url) from None
    try:
        # what a listing said before may be out of date
        system, path = url_to_fs(url, use_listings_cache=False) if protocol == "s3" else url_to_fs(url)
    except ImportError:
        raise _missing("s3fs" if protocol == "s3" else "libhdfs for pyarrow", url) from None
    return system, path


def _missing(what: str, url: str) -> ExtraMissingError:
    return ExtraMissingError(f"{what} is not installed", where=safe_url(url), mend="pip install 'greywater[sources]'")


@contextmanager
def _said(shown: str) -> Iterator[None]:
    """Turn what an adapter says into one sentence: each has errors of its own kind."""
    try:
        yield
    except (UsageError, InputError):
        raise
    except FileNotFoundError:
        raise InputError("there is no such file", where=shown, mend="check the URL") from None
    except PermissionError:
        raise InputError("the file may not be read", where=shown, mend="check the credentials") from None
    except Exception as error:  # botocore, libhdfs and others share no root
        lines = str(error).strip().splitlines()
        said = lines[0] if lines else type(error).__name__
        raise InputError(
            f"the file cannot be read: {said}", where=shown, mend="check the URL, the network and the credentials"
        ) from error


def _payments_among(names: Sequence[str], where: str) -> list[str]:
    found = [name for name in names if not name.startswith((".", "_")) and name.lower().endswith(ENDINGS)]
    if not found:
        raise InputError(
            "the directory holds no file of payments",
            where=where,
            mend=f"put files there that end in {', '.join(ENDINGS)}",
        )
    return found
