"""Snapshots on disk: the newest whole one serves, a damaged or foreign one never."""

from __future__ import annotations

from pathlib import Path

import pytest

from greywater.config import Settings
from greywater.features.catalog import payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.pipeline import snapshots
from greywater.pipeline.snapshots import restore_engine, save_snapshot
from tests.features.payments import as_table, joined, random_payments, run_in_blocks, same_bits

SHORT = Settings(windows=(86_400, 3 * 86_400), day_windows=(5,), allowed_lateness=86_400)
SET = payments_v2(SHORT, 1)
TABLE = as_table(random_payments(1, 600, accounts=8))


def engine_at(rows: int, folder: Path) -> list[Path]:
    engine = Engine(SET, threads=1)
    saved = []
    for begin in range(0, rows, 100):
        engine.process(TABLE.slice(begin, 100))
        saved.append(save_snapshot(engine, folder))
    return saved


def goes_on_from(folder: Path, expected_seq: int) -> tuple[str, ...]:
    engine = Engine(SET, threads=1)
    restored = restore_engine(engine, folder, ledger_end=600)
    assert restored.next_seq == engine.next_seq == expected_seq
    rest = run_in_blocks(engine, TABLE, [])
    whole = joined(run_in_blocks(Engine(SET, threads=1), TABLE, []))
    scored = joined(rest)
    assert same_bits(whole.slice(whole.num_rows - scored.num_rows), scored) == []
    return restored.said


def test_the_newest_serves_and_two_are_kept(tmp_path: Path) -> None:
    engine_at(400, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert "restored at payment 400" in goes_on_from(tmp_path, 400)[-1]


def test_a_flipped_bit_sends_it_to_the_one_before(tmp_path: Path) -> None:
    newest = engine_at(400, tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert "not what was written" in goes_on_from(tmp_path, 300)[0]


@pytest.mark.parametrize("left", [0, 5, 200])
def test_a_cut_off_file_is_refused(tmp_path: Path, left: int) -> None:
    for path in engine_at(300, tmp_path)[-2:]:
        path.write_bytes(path.read_bytes()[:left])
    said = goes_on_from(tmp_path, 0)
    assert "replayed from its beginning" in said[-1]


def test_one_of_other_kernels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "kernel_hash", lambda: "another")
    engine_at(200, tmp_path)
    monkeypatch.undo()
    assert "other kernels" in goes_on_from(tmp_path, 0)[0]


def test_one_ahead_of_the_ledger_is_refused(tmp_path: Path) -> None:
    engine_at(200, tmp_path)
    engine = Engine(SET, threads=1)
    restored = restore_engine(engine, tmp_path, ledger_end=150)
    assert restored.next_seq == engine.next_seq == 100


def test_no_snapshot_means_a_replay(tmp_path: Path) -> None:
    assert goes_on_from(tmp_path / "missing", 0) == (
        "no snapshot could be used: the ledger is replayed from its beginning",
    )


def test_one_of_other_features_is_refused(tmp_path: Path) -> None:
    engine_at(200, tmp_path)
    engine = Engine(payments_v1(SHORT, 1), threads=1)
    restored = restore_engine(engine, tmp_path, ledger_end=600)
    assert restored.next_seq == engine.next_seq == 0
    assert "the snapshot is of the features" in restored.said[0]


def test_a_set_without_the_graph_goes_on_from_its_own(tmp_path: Path) -> None:
    set_ = payments_v1(SHORT, 1)
    engine = Engine(set_, threads=1)
    engine.process(TABLE.slice(0, 100))
    save_snapshot(engine, tmp_path)
    fresh = Engine(set_, threads=1)
    assert restore_engine(fresh, tmp_path, ledger_end=600).next_seq == 100
    rest = joined(run_in_blocks(fresh, TABLE, []))
    assert same_bits(joined([engine.process(TABLE.slice(100))]), rest) == []
