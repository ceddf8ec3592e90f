"""Files as blocks of whole UTF-8 lines: gzip, byte order marks, UTF-16 and line ends are dealt with here."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from greywater.errors import FormatError, InputError

__all__ = ["MAX_LINE", "check_gzip", "find_encoding", "is_gzip", "reading", "text_blocks"]

#: A line longer than this is no row of a table.
MAX_LINE: Final = 16 * 2**20
_PIECE: Final = 2**20
_GZIP: Final = b"\x1f\x8b"
_UTF8_MARK: Final = codecs.BOM_UTF8
_FOREIGN: Final = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it with `zstd -d`"),
    b"BZh": ("compressed with bzip2", "unpack it with `bunzip2`"),
    b"\xfd7zXZ\x00": ("compressed with xz", "unpack it with `unxz`"),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet", "save the sheet as CSV"),
    b"%PDF": ("a PDF", "export the payments as CSV"),
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system and the decompressor say about a file into one sentence with a mend."""
    try:
        yield
    except PermissionError as error:
        raise InputError(
            "the file may not be read", where=str(path), mend=f"grant access, for example `chmod u+r {path.name}`"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"the gzip file is cut off or damaged: {error}",
            where=str(path),
            mend="fetch the file again; `gzip -t` tells whether it is whole",
        ) from error
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror or error}", where=str(path), mend="check the disk and the path"
        ) from error


def is_gzip(path: Path) -> bool:
    """Whether the file begins like a gzip file, whatever its name."""
    with reading(path), path.open("rb") as file:
        return file.read(2) == _GZIP


def check_gzip(path: Path) -> None:
    """Unpack the whole file once to nowhere, so that a cut-off one is found before anything is recorded."""
    if not is_gzip(path):
        return
    with reading(path), gzip.open(path, "rb") as file:
        while file.read(_PIECE):
            pass


def find_encoding(path: Path) -> str:
    """The encoding by the byte order mark, or by the zero bytes that UTF-16 has in plain text.

    Raises
    ------
    InputError
        If the file is of another kind altogether: an archive, a spreadsheet.
    FormatError
        If it is UTF-32.
    """
    with reading(path), _open(path) as file:
        head = file.read(512)
    for magic, (what, mend) in _FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"the file is {what}, not a table of text", where=str(path), mend=mend)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise FormatError("the file is UTF-32", where=str(path), mend="convert it: `iconv -f UTF-32 -t UTF-8`")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[0:-1:2], head[1::2]
    if len(head) >= 4 and 2 * odd.count(0) > len(odd) and even.count(0) == 0:
        return "utf-16-le"
    if len(head) >= 4 and 2 * even.count(0) > len(even) and odd.count(0) == 0:
        return "utf-16-be"
    return "utf-8"


def text_blocks(path: Path, *, encoding: str = "", size: int = 8 * 2**20) -> Iterator[bytes]:
    """Yield the text of a file in blocks of about `size` bytes.

    Each block is UTF-8 without a byte order mark and ends with a line feed; every line end (CR LF, CR) is a line feed.
    Bytes that are not UTF-8 pass through: they belong to a row, and the row is set aside later.

    Parameters
    ----------
    path : Path
        Plain or gzip file.
    encoding : str
        Of the text; empty = found by `find_encoding`.
    size : int
        Bytes to read at a time, before decoding.

    Raises
    ------
    InputError
        If the file cannot be read to its end, is not in the encoding, or has a line of more than MAX_LINE bytes.
    """
    encoding = encoding or find_encoding(path)
    recode = codecs.lookup(encoding).name not in ("utf-8", "ascii", "utf-8-sig")
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass" if "16" in encoding else "strict")
    rest = b""
    first = True
    with reading(path), _open(path) as file:
        while True:
            piece = file.read(size)
            last = not piece
            if recode:
                piece = _recode(decoder, piece, last, path)
            if first and (piece or last):
                piece = piece.removeprefix(_UTF8_MARK)
                first = False
            block = rest + piece
            if last:
                if block:
                    yield _unify(block if block.endswith((b"\n", b"\r")) else block + b"\n")
                return
            cut = max(block.rfind(b"\n"), block.rfind(b"\r", 0, -1)) + 1
            if cut:
                yield _unify(block[:cut])
            rest = block[cut:]
            if len(rest) > MAX_LINE:
                raise FormatError(
                    f"a line is longer than {MAX_LINE // 2**20} MB",
                    where=str(path),
                    mend="check that the file is a table of text with one payment a line",
                )


def _open(path: Path) -> io.BufferedIOBase:
    if is_gzip(path):
        return gzip.open(path, "rb")
    return path.open("rb")


def _unify(block: bytes) -> bytes:
    if b"\r" not in block:
        return block
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _recode(decoder: codecs.IncrementalDecoder, piece: bytes, last: bool, path: Path) -> bytes:
    try:
        return decoder.decode(piece, last).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"the text is not {error.encoding}: {error.reason}",
            where=str(path),
            mend="name the encoding in a mapping file, or convert the file to UTF-8 with `iconv`",
        ) from error
