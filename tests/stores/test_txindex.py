"""The index of transaction ids: finds what was committed, grows, and says when it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores import index_runs, txindex
from greywater.stores.txindex import TransactionIndex


def fingerprints(count: int, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, (count, 2), dtype=np.uint64, endpoint=False)


def test_finds_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    keys, contents = fingerprints(1_000), fingerprints(1_000, 1)
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        assert (index.lookup(keys)[0] == -1).all()
        index.stage(keys[:600], contents[:600], 0).commit()
        index.stage(keys[600:], contents[600:], 600).abort()
        assert (index.complete, index.entries) == (600, 600)
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        assert (index.complete, index.entries) == (600, 600)
        shuffled = np.random.default_rng(2).permutation(1_000)
        seqs, found = index.lookup(keys[shuffled])
        assert (seqs == np.where(shuffled < 600, shuffled, -1)).all()
        assert (found[shuffled < 600] == contents[shuffled[shuffled < 600]]).all()
        assert (index.lookup(keys[:600])[0] == np.arange(600)).all()
        twice = np.concatenate([keys[:3], keys[:3], keys[900:901]])
        assert index.lookup(twice)[0].tolist() == [0, 1, 2, 0, 1, 2, -1]


def test_keys_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    keys = fingerprints(50)
    keys[:, 0] = 7
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        index.stage(keys[:25], keys[:25], 0).commit()
        assert index.lookup(keys)[0].tolist() == [*range(25), *[-1] * 25]


def test_the_map_grows(tmp_path: Path) -> None:
    with TransactionIndex(tmp_path / "i", ledger_id="a", map_bytes=1 << 20) as index:
        for round_ in range(8):
            keys = fingerprints(10_000, round_)
            index.stage(keys, keys, round_ * 10_000).commit()
        assert index.entries == 80_000
        assert index.map_bytes > 1 << 20


def test_runs_of_any_size_are_merged_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (txindex, index_runs):
        monkeypatch.setattr(module, "SEGMENT_ROWS", 64)
    monkeypatch.setattr(txindex, "SEGMENTS_PER_STEP", 3)
    sizes = np.random.default_rng(3).integers(1, 400, 40).tolist()
    keys, contents = fingerprints(sum(sizes)), fingerprints(sum(sizes), 1)
    keys[::50, 0] = keys[0, 0]  # some share their first half
    at = 0
    index = TransactionIndex(tmp_path / "i", ledger_id="a")
    for number, size in enumerate(sizes):
        if number % 7 == 0:
            index.close()
            index = TransactionIndex(tmp_path / "i", ledger_id="a")
        assert (index.lookup(keys[at:])[0] == -1).all()
        index.stage(keys[at : at + size], contents[at : at + size], at).commit()
        at += size
        seqs, found = index.lookup(keys)
        assert seqs[:at].tolist() == list(range(at))
        assert (found[:at] == contents[:at]).all()
    assert index.entries == at
    assert len(index._runs) < 12
    assert index.check() == ""
    index.close()


def test_what_an_unfinished_merge_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = fingerprints(300)
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        monkeypatch.setattr(TransactionIndex, "_merge_last", lambda _: None)
        for at in range(0, 300, 100):
            index.stage(keys[at : at + 100], keys[at : at + 100], at).commit()
        with index._begin() as transaction:
            transaction.put(b"\0" * 7 + b"\x09" + b"\0" * 4, b"half a merge", db=index._segments)
    monkeypatch.undo()
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        with index._env.begin(db=index._segments) as transaction:
            assert transaction.stat(index._segments)["entries"] == 3
        index.stage(fingerprints(200, 5), fingerprints(200, 6), 300).commit()
        assert len(index._runs) < 3
        assert index.lookup(keys)[0].tolist() == list(range(300))


def test_a_flipped_bit_is_found_by_check(tmp_path: Path) -> None:
    keys = fingerprints(5_000)
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        index.stage(keys, keys, 0).commit()
        assert index.check() == ""
    path = tmp_path / "i" / "data.mdb"
    content = bytearray(path.read_bytes())
    content[content.index(int(keys[:, 0].max()).to_bytes(8, "little"))] ^= 1
    path.write_bytes(content)
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        assert "is not what was written" in index.check()
        with pytest.raises(StoreDamagedError):
            index.stage(fingerprints(5_000, 1), keys, 5_000).commit()


def test_must_be_filled_in_order(tmp_path: Path) -> None:
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index, pytest.raises(StoreError, match="complete to 0"):
        index.stage(fingerprints(1), fingerprints(1), 5)


def test_an_index_of_another_ledger_is_refused(tmp_path: Path) -> None:
    TransactionIndex(tmp_path / "i", ledger_id="a").close()
    with pytest.raises(StoreDamagedError, match="another ledger"):
        TransactionIndex(tmp_path / "i", ledger_id="b")


@pytest.mark.parametrize("damage", ["cut", "noise", "one page"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    with TransactionIndex(tmp_path / "i", ledger_id="a") as index:
        index.stage(fingerprints(5_000), fingerprints(5_000), 0).commit()
    path = tmp_path / "i" / "data.mdb"
    content = path.read_bytes()
    path.write_bytes(
        {"cut": content[: len(content) // 2], "noise": b"\x5a" * len(content), "one page": content[:4096]}[damage]
    )
    with pytest.raises(StoreDamagedError):
        TransactionIndex(tmp_path / "i", ledger_id="a")
    TransactionIndex.remove(tmp_path / "i")
    TransactionIndex(tmp_path / "i", ledger_id="a").close()
