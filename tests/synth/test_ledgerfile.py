"""Tables of the made-up world on disk: exact text, and a clear word where a file cannot be written."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import StoreAccessError, StoreFullError
from greywater.synth.ledgerfile import decimal_text, named_troubles, time_text, write_json, write_pieces, write_table
from greywater.vocab import MAX_AMOUNT


@given(st.lists(st.integers(0, MAX_AMOUNT), max_size=20))
def test_amounts_keep_every_cent(minor: list[int]) -> None:
    texts = decimal_text(np.array(minor, dtype=np.int64)).to_pylist()
    assert [Fraction(text) * 100 for text in texts] == minor
    assert all(text.split(".")[1].isdigit() and len(text.split(".")[1]) == 2 for text in texts)


def test_times() -> None:
    assert time_text(np.array([1_704_067_200, -1]), missing=-1).to_pylist() == ["2024-01-01T00:00:00Z", None]


def test_csv_and_parquet(tmp_path: Path) -> None:
    columns = {"a": pa.array(["x", None]), "b": pa.array(["1.50", "2.00"])}
    write_table(tmp_path / "t.csv", columns)
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\nx,1.50\n,2.00\n"
    write_table(tmp_path / "t.parquet", columns)
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"a": ["x", None], "b": ["1.50", "2.00"]}


def test_json_is_read_back(tmp_path: Path) -> None:
    content = {"world": {"seed": 7}, "attempts": [{"id": 0}, {"id": 1}], "none": []}
    write_json(tmp_path / "t.json", content)
    assert json.loads((tmp_path / "t.json").read_text()) == content


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "t.csv"
    with pytest.raises(StoreAccessError, match="cannot be written"):
        write_table(path, {"a": pa.array(["x"])})
    with pytest.raises(StoreAccessError, match="cannot be written"):
        write_json(path, {})


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, MemoryError])
def test_a_file_that_is_never_whole_leaves_what_was_there(tmp_path: Path, trouble: type[BaseException]) -> None:
    def pieces() -> Iterator[dict[str, Any]]:
        yield {"a": pa.array(["new"])}
        raise trouble

    path = tmp_path / "t.csv"
    for before in (None, "a\nold\n"):
        if before is not None:
            path.write_text(before)
        with pytest.raises(trouble):
            write_pieces(path, pieces())
        assert [one.name for one in tmp_path.iterdir()] == ([] if before is None else ["t.csv"])
    assert path.read_text() == "a\nold\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room(tmp_path: Path, code: int) -> None:
    with pytest.raises(StoreFullError, match="no room for the file"), named_troubles(tmp_path):
        raise OSError(code, "full")


def test_trouble_without_a_reason_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(StoreAccessError, match="cannot be written: pyarrow says so"), named_troubles(tmp_path):
        raise OSError("pyarrow says so")
