"""Files reach the disk whole or not at all, and the system's refusals become errors with a mend."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from greywater.errors import StoreAccessError, StoreError, StoreFullError
from greywater.stores import durable


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    durable.write_file_durably(path, b"one")
    durable.write_file_durably(path, memoryview(b"two"))
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EFBIG, StoreFullError),
        (errno.EACCES, StoreAccessError),
        (errno.EROFS, StoreAccessError),
        (errno.EIO, StoreError),
    ],
)
def test_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, number: int, kind: type[StoreError]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), fail)
    with pytest.raises(kind) as caught:
        durable.write_file_durably(tmp_path / "a", b"one")
    assert type(caught.value) is kind
    assert caught.value.mend
    assert caught.value.where
    assert list(tmp_path.iterdir()) == []


def test_moving_aside_keeps_every_version(tmp_path: Path) -> None:
    for content in (b"1", b"2", b"3"):
        (tmp_path / "x").write_bytes(content)
        durable.move_aside(tmp_path / "x", tmp_path / "aside" / "deep")
    kept = sorted((tmp_path / "aside" / "deep").iterdir())
    assert [path.name for path in kept] == ["x", "x.2", "x.3"]
    assert [path.read_bytes() for path in kept] == [b"1", b"2", b"3"]


def test_errors_of_other_libraries_are_understood() -> None:
    full = durable.store_error(ValueError("Generic error: No space left on device (os error 28)"), "p", "commit")
    assert type(full) is StoreFullError
    refused = durable.store_error(ValueError("mdb_env_open: Permission denied"), "p", "open")
    assert type(refused) is StoreAccessError
    other = durable.store_error(ValueError("odd"), "p", "open")
    assert type(other) is StoreError
    assert "odd" in str(other)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StoreError):
        durable.make_folder(tmp_path / "a" / "b")


def test_a_whole_text_replaces_a_file_and_writes_through_what_is_none(tmp_path: Path) -> None:
    plain, link, pipe = tmp_path / "plain", tmp_path / "link", tmp_path / "pipe"
    plain.write_text("before")
    durable.write_whole_text(plain, "after", "write")
    assert plain.read_text() == "after"
    link.symlink_to(plain)
    durable.write_whole_text(link, "through", "write")
    assert link.is_symlink()
    assert plain.read_text() == "through"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    durable.write_whole_text(pipe, "piped", "write")
    assert os.read(reader, 100) == b"piped"
    os.close(reader)
    assert not pipe.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "plain"]
