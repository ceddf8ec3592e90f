"""The index of transaction ids: finds what was committed, grows, and says when it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from greywater.errors import StoreDamagedError, StoreError
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
