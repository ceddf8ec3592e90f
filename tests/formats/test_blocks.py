"""Blocks: the same lines whatever the encoding, the line ends, the packing and the size of a read."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import FormatError, InputError
from greywater.formats import blocks
from greywater.formats.blocks import check_gzip, find_encoding, text_blocks

LINES = ["a,b", "käse,1", "東京,2", "", "x,😀"]


def joined(path: Path, size: int = 8, encoding: str = "") -> str:
    pieces = list(text_blocks(path, encoding=encoding, size=size))
    assert all(piece.endswith(b"\n") for piece in pieces)
    return b"".join(pieces).decode("utf-8")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
@pytest.mark.parametrize("size", [3, 7, 64, 10_000])
@pytest.mark.parametrize("packed", [False, True])
def test_every_encoding_and_line_end(
    tmp_path: Path, end: str, encoding: str, mark: bytes, size: int, packed: bool
) -> None:
    path = tmp_path / "a.csv"
    data = mark + (end.join(LINES) + end).encode(encoding)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert joined(path, size) == "\n".join(LINES) + "\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("time,from,to\n1,2,3\n".encode(encoding))
    assert find_encoding(path) == encoding
    assert joined(path) == "time,from,to\n1,2,3\n"


@given(st.text(alphabet="a,\r\n", max_size=60), st.integers(1, 20))
def test_any_mixture_of_line_ends(tmp_path: Path, text: str, size: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert joined(path, size) == (expected if not expected or expected.endswith("\n") else expected + "\n")


def test_a_named_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Größe,1\n".encode("cp1252"))
    assert joined(path, encoding="cp1252") == "Größe,1\n"
    path.write_bytes(b"\x81,1\n")
    with pytest.raises(FormatError, match="iconv"):
        joined(path, encoding="cp1252")


def test_bytes_that_are_no_utf8_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"caf\xe9,1\n")
    assert b"".join(text_blocks(path)) == b"caf\xe9,1\n"


def test_utf16_cut_inside_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(codecs.BOM_UTF16_LE + "a,b\n".encode("utf-16-le") + b"x")
    with pytest.raises(FormatError, match="utf-16"):
        joined(path)


def test_utf32_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\n".encode("utf-32"))
    with pytest.raises(FormatError, match="iconv -f UTF-32"):
        find_encoding(path)


@pytest.mark.parametrize(
    ("magic", "mend"), [(b"PK\x03\x04", "save the sheet"), (b"BZh9", "bunzip2"), (b"\x28\xb5\x2f\xfd", "zstd -d")]
)
def test_other_kinds_of_file(tmp_path: Path, magic: bytes, mend: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(magic + b"rest")
    with pytest.raises(InputError, match=mend):
        find_encoding(path)


def test_a_cut_off_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    packed = gzip.compress("\n".join(str(i * 7919) for i in range(10_000)).encode())
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="cut off or damaged"):
        check_gzip(path)
    with pytest.raises(InputError, match="cut off or damaged"):
        joined(path, 1_000)


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    packed = bytearray(gzip.compress(b"a,b\n" * 1_000))
    packed[-6] ^= 255
    path.write_bytes(packed)
    with pytest.raises(InputError, match="cut off or damaged"):
        check_gzip(path)


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_LINE", 1_000)
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 5_000)
    with pytest.raises(FormatError, match="a line is longer"):
        joined(path, 100)
