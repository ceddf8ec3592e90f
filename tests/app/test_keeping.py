"""What a run keeps: read as written, damage found, nothing where the writing was cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from greywater.app.keeping import RUNS, KeptRun, Scores, check_kept, keep_run, kept_runs, read_run
from greywater.errors import StoreDamagedError, StoreError


class Scored:
    seq = np.arange(10, 16)
    time_us = np.arange(6) * 1_000_000
    sender = np.array([0, 1, 4, 2, 0, 3], np.int32)
    receiver = np.array([1, 2, 3, 0, 4, 4], np.int32)
    accounts = ("a", "b", "é", "external:x", "e")


def scores() -> Scores:
    return Scores.of(Scored(), 2, np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.01, 0.02, 0.03, 0.04]))


def test_scores_hold_the_slice_and_its_accounts_only() -> None:
    kept = scores()
    assert kept.seq.tolist() == [12, 13, 14, 15]
    assert [kept.accounts[code] for code in kept.sender.tolist()] == ["e", "é", "a", "external:x"]
    assert [kept.accounts[code] for code in kept.receiver.tolist()] == ["external:x", "a", "e", "e"]
    assert "b" not in kept.accounts


def test_a_run_is_read_as_it_was_kept(tmp_path: Path) -> None:
    alerted = pa.table({"seq": [12, 14], "x": [1.5, float("nan")], "n": [1, 2]})
    keep_run(tmp_path, KeptRun("r1", {"threshold": float("inf"), "budget": "5/day"}, scores(), alerted, None, b"peers"))
    found = read_run(tmp_path, "r1")
    assert found.facts["threshold"] is None
    assert found.facts["budget"] == "5/day"
    assert (found.peers, found.typical) == (b"peers", None)
    assert found.alerted is not None
    assert found.alerted.schema == alerted.schema
    assert np.isnan(found.alerted["x"][1].as_py())
    for name in ("seq", "time_us", "sender", "receiver", "score", "probability"):
        assert np.array_equal(getattr(found.scores, name), getattr(scores(), name)), name
    assert found.scores.accounts == scores().accounts
    assert check_kept(tmp_path) == []


def test_an_empty_slice_is_kept_too(tmp_path: Path) -> None:
    keep_run(tmp_path, KeptRun("r1", {}, Scores.of(Scored(), 6, np.zeros(0), np.zeros(0))))
    assert len(read_run(tmp_path, "r1").scores.seq) == 0


def test_runs_are_listed_oldest_first_and_only_whole_ones(tmp_path: Path) -> None:
    assert kept_runs(tmp_path) == []
    for name in ("20240102T000000-b", "20240101T000000-a"):
        keep_run(tmp_path, KeptRun(name, {}, scores()))
    (tmp_path / RUNS / "20240103T000000-c").mkdir()
    assert kept_runs(tmp_path) == ["20240101T000000-a", "20240102T000000-b"]
    with pytest.raises(StoreError, match="20240103T000000-c"):
        read_run(tmp_path, "20240103T000000-c")
    with pytest.raises(StoreError):
        read_run(tmp_path, "../runs/20240101T000000-a")


@pytest.mark.parametrize("name", ["scores.arrow", "run.json"])
def test_damage_is_found(tmp_path: Path, name: str) -> None:
    folder = keep_run(tmp_path, KeptRun("r1", {}, scores()))
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(StoreDamagedError):
        read_run(tmp_path, "r1")
    assert len(check_kept(tmp_path)) == 1
    path.unlink()
    with pytest.raises(StoreError):
        read_run(tmp_path, "r1")
