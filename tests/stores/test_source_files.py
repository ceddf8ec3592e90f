"""Folders and URLs of payments: what is listed, what is fetched, what is said."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greywater.app.ingest_request import Silent
from greywater.errors import ExtraMissingError, InputError, UsageError
from greywater.stores.source_files import (
    RemoteFile,
    fetch,
    files_of_folder,
    local_path,
    remote_files,
    safe_url,
)

NAMES = ("b.csv", "a.parquet", "c.CSV.GZ", "_SUCCESS", "_temporary.csv", ".hidden.csv", "notes.txt", "d.pq")
WANTED = ["a.parquet", "b.csv", "c.CSV.GZ", "d.pq"]


@pytest.fixture
def memory() -> Iterator[str]:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in NAMES:
        system.pipe(f"/bank/in/{name}", name.encode() * 3)
    system.pipe("/bank/in/deeper/x.csv", b"x")
    yield "memory://bank/in"
    system.store.clear()


def test_a_folder_by_name_without_what_is_hidden(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_text(name)
    (tmp_path / "deeper.csv").mkdir()
    assert [path.name for path in files_of_folder(tmp_path)] == WANTED
    with pytest.raises(InputError, match="directory holds no file of payments"):
        files_of_folder(tmp_path / "deeper.csv")
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(UsageError, match="delta:"):
        files_of_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        files_of_folder(tmp_path)


def test_a_folder_behind_a_url(memory: str) -> None:
    found = remote_files(memory)
    assert [file.name for file in found] == WANTED
    assert [file.url for file in found] == [f"{memory}/{name}" for name in WANTED]
    assert remote_files(memory + "/") == found
    (one,) = remote_files(f"{memory}/b.csv")
    assert one == RemoteFile(f"{memory}/b.csv", "b.csv", 15)


class Told(Silent):
    def __init__(self) -> None:
        self.came: list[int] = []
        self.steps: list[tuple[str, int | None]] = []

    def step(self, name: str, total: int | None = None) -> None:
        self.steps.append((name, total))

    def advance(self, amount: int) -> None:
        self.came.append(amount)


def test_a_file_comes_piece_by_piece_with_its_hash(memory: str, tmp_path: Path) -> None:
    import fsspec

    content = os.urandom(3 * 2**20 + 7)
    fsspec.filesystem("memory").pipe("/bank/in/large.csv", content)
    (file,) = remote_files(f"{memory}/large.csv")
    told = Told()
    digest = fetch(file, tmp_path / "deep" / "large.csv", told)
    assert digest == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "deep" / "large.csv").read_bytes() == content
    assert told.steps == [("fetching large.csv", len(content))]
    assert sum(told.came) == len(content)
    assert max(told.came) <= 2**20
    with pytest.raises(InputError, match="bytes and"):
        fetch(RemoteFile(file.url, file.name, 5), tmp_path / "short.csv", told)


def test_file_urls_are_paths() -> None:
    assert local_path("file:///a%20b/c.csv") == Path("/a b/c.csv")
    assert local_path("file://localhost/c.csv") == Path("/c.csv")
    assert local_path("s3://bank/c.csv") is None
    with pytest.raises(UsageError, match="names no machine"):
        local_path("file://elsewhere/c.csv")


def test_what_cannot_be_read_is_said(memory: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        remote_files(f"{memory}/none.csv")
    with pytest.raises(UsageError, match="ftp:// are not read"):
        remote_files("ftp://ada:hush@host/x.csv")
    assert "hush" not in safe_url("ftp://ada:hush@host/x.csv?hush")


def test_a_missing_adapter_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ExtraMissingError, match=r"fsspec is not installed.*greywater\[sources\]"):
        remote_files("memory://x/y.csv")
    monkeypatch.undo()

    def without_s3fs(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", without_s3fs)
    with pytest.raises(ExtraMissingError, match=r"s3fs is not installed.*greywater\[sources\]"):
        remote_files("s3://x/y.csv")
