"""Feature blocks on disk: what was written comes back bit for bit, in pieces, and damage is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import StoreAccessError, StoreDamagedError, StoreError
from greywater.stores import blocks as blocks_module
from greywater.stores.blocks import BlockWriter, FeatureBlocks, TableRows
from greywater.vocab import FeatureBlock, TrainingTable

NAMES = ("sender.out.count.1d", "sender.out.mean.1d", "payment.amount")


def make_block(start: int, rows: int, scored_share: float = 1.0) -> FeatureBlock:
    rng = np.random.default_rng(start + rows)
    mean = rng.lognormal(3, 2, rows)
    mean[rng.random(rows) < 0.3] = np.nan
    columns = pa.RecordBatch.from_pydict(
        {NAMES[0]: rng.integers(0, 2**53, rows), NAMES[1]: mean, NAMES[2]: rng.random(rows)}
    )
    return FeatureBlock(np.arange(start, start + rows), columns, rng.random(rows) < scored_share)


def write(folder: Path, blocks: list[FeatureBlock], fingerprint: str = "f") -> FeatureBlocks:
    with BlockWriter(folder, NAMES, fingerprint=fingerprint) as writer:
        for block in blocks:
            writer.append(block)
    return FeatureBlocks.open(folder)


def expected(blocks: list[FeatureBlock]) -> pa.Table:
    parts = [block.columns.filter(pa.array(block.scored)) for block in blocks]
    return pa.Table.from_batches(parts, schema=blocks[0].columns.schema).combine_chunks()


def same_bits(left: pa.Table, right: pa.Table) -> bool:
    if left.schema != right.schema or left.num_rows != right.num_rows:
        return False
    return all(
        a.to_numpy().tobytes() == b.to_numpy().tobytes() for a, b in zip(left.columns, right.columns, strict=True)
    )


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "PIECE_ROWS", 7)


def test_rows_come_back_bit_for_bit_and_only_the_scored_ones(tmp_path: Path, small_pieces: None) -> None:
    made = [make_block(0, 20, 0.7), make_block(20, 1), make_block(30, 14, 0.5), make_block(60, 9, 0.0)]
    opened = write(tmp_path, made)
    assert opened.names == NAMES
    assert opened.fingerprint == "f"
    assert opened.seq.tolist() == np.concatenate([b.seq[b.scored] for b in made]).tolist()
    assert opened.rows == len(opened.seq)
    batches = list(opened.batches())
    assert max(batch.num_rows for batch in batches) <= 7
    assert same_bits(pa.Table.from_batches(batches), expected(made))
    assert opened.schema.types == [pa.int64(), pa.float64(), pa.float64()]


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    cuts=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_slices_batches_and_take_agree_with_the_table(
    sizes: list[int], share: float, cuts: tuple[float, float, float, float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = [make_block(sum(sizes[:i]), size, share) for i, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "PIECE_ROWS", 7)
        opened = write(tmp_path_factory.mktemp("blocks"), made)
        table = expected(made)
        low, high = sorted(int(cut * table.num_rows) for cut in cuts[:2])
        view, part = opened.slice(low, high), table.slice(low, high - low)
        assert view.rows == part.num_rows
        assert view.seq.tolist() == opened.seq[low:high].tolist()
        first, last = sorted(int(cut * view.rows) for cut in cuts[2:])
        read = pa.Table.from_batches(list(view.batches(first, last)), schema=view.schema)
        assert same_bits(read.combine_chunks(), part.slice(first, last - first).combine_chunks())
        rows = np.flatnonzero(np.random.default_rng(1).random(view.rows) < 0.3)
        assert same_bits(view.take(rows).combine_chunks(), part.take(pa.array(rows)).combine_chunks())
        assert same_bits(TableRows(part).take(rows).combine_chunks(), part.take(pa.array(rows)).combine_chunks())


def test_an_empty_set_opens_empty(tmp_path: Path) -> None:
    opened = write(tmp_path, [])
    assert opened.rows == 0
    assert opened.names == NAMES
    assert list(opened.batches()) == []
    assert opened.take(np.empty(0, np.int64)).num_rows == 0


def test_the_manifest_says_what_lies_there(tmp_path: Path) -> None:
    write(tmp_path, [make_block(5, 4), make_block(9, 3)], fingerprint="abc")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["fingerprint"] == "abc"
    assert manifest["rows"] == 7
    assert [(f["first_seq"], f["last_seq"], f["rows"]) for f in manifest["files"]] == [(5, 8, 4), (9, 11, 3)]
    assert all(len(f["sha256"]) == 64 for f in manifest["files"])
    assert not list(tmp_path.glob("*.part"))


def test_a_new_set_replaces_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, [make_block(0, 4), make_block(4, 4), make_block(8, 4)])
    opened = write(tmp_path, [make_block(0, 2)])
    assert opened.rows == 2
    assert len(list(tmp_path.glob("block-*"))) == 1


def test_a_set_that_was_cut_off_does_not_open(tmp_path: Path) -> None:
    def cut_off() -> None:
        with BlockWriter(tmp_path, NAMES, fingerprint="f") as writer:
            writer.append(make_block(0, 4))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    with pytest.raises(StoreDamagedError, match="no finished set"):
        FeatureBlocks.open(tmp_path)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    write(tmp_path, [make_block(0, 4)])
    path = tmp_path / "block-000000.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match="not what was written"):
        FeatureBlocks.open(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, [make_block(0, 4)])
    (tmp_path / "block-000000.arrow").unlink()
    with pytest.raises(StoreDamagedError, match="missing"):
        FeatureBlocks.open(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(rows=9),
        lambda m: m.update(version=99),
        lambda m: m.pop("columns"),
        lambda m: m["columns"][0].update(type="string"),
        lambda m: m["files"][0].update(file="../block-000000.arrow"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path, change: object) -> None:
    write(tmp_path, [make_block(0, 4)])
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)  # type: ignore[operator]
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreDamagedError, match="manifest"):
        FeatureBlocks.open(tmp_path)


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [make_block(0, 4)])
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreDamagedError, match="cannot be read"):
        FeatureBlocks.open(tmp_path)


def test_blocks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    good = make_block(0, 4)
    other = pa.RecordBatch.from_pydict({"other": [1.0] * 4})
    text = pa.RecordBatch.from_arrays([pa.array(["a"] * 4), *good.columns.columns[1:]], names=list(NAMES))
    null = pa.RecordBatch.from_arrays([pa.array([1, None, 2, 3]), *good.columns.columns[1:]], names=list(NAMES))
    retyped = pa.RecordBatch.from_arrays([pa.array([0.5] * 4), *good.columns.columns[1:]], names=list(NAMES))
    with BlockWriter(tmp_path, NAMES, fingerprint="f") as writer:
        for columns, match in ((other, "announced"), (text, "int64 or float64"), (null, "null")):
            with pytest.raises(StoreError, match=match):
                writer.append(FeatureBlock(good.seq, columns, good.scored))
        with pytest.raises(StoreError, match="length"):
            writer.append(FeatureBlock(good.seq[:2], good.columns, good.scored))
        writer.append(good)
        with pytest.raises(StoreError, match="does not increase"):
            writer.append(good)
        with pytest.raises(StoreError, match="type"):
            writer.append(FeatureBlock(good.seq + 10, retyped, good.scored))
    with pytest.raises(StoreError, match="closed"):
        writer.append(make_block(50, 2))
    assert FeatureBlocks.open(tmp_path).rows == 4


@pytest.mark.parametrize("names", [("a", "a"), ("seq", "b")])
def test_names_must_be_unique_and_not_seq(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(StoreError, match="names"):
        BlockWriter(tmp_path, names, fingerprint="f")


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as raised:
        BlockWriter(tmp_path / "file" / "blocks", NAMES, fingerprint="f")
    assert str(tmp_path) in raised.value.where
    with pytest.raises(StoreAccessError):
        raise blocks_module._store_error(PermissionError(13, "denied"), tmp_path)


@pytest.mark.parametrize("rows", [[1, 0], [0, 0], [-1], [4]])
def test_take_wants_increasing_positions_within_the_table(tmp_path: Path, rows: list[int]) -> None:
    made = make_block(0, 4)
    tables: list[TrainingTable] = [write(tmp_path, [made]), TableRows(pa.Table.from_batches([made.columns]))]
    for table in tables:
        with pytest.raises(StoreError, match="positions"):
            table.take(np.array(rows))
        with pytest.raises(StoreError, match="do not lie"):
            list(table.batches(2, 9))
