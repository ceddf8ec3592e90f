"""What the Delta ledger finds and mends on opening, what it refuses, and what its check finds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from greywater.errors import StoreDamagedError, StoreError, StoreLockedError
from greywater.stores import admission, delta, delta_checkpoint, delta_parts, fingerprints
from greywater.stores.delta import DeltaLedger
from greywater.stores.delta_tables import DeltaTables
from greywater.stores.fingerprints import CONTENT_COLUMNS
from greywater.stores.part_reader import file_sha256
from greywater.stores.ports import Unsequenced
from greywater.vocab import BALANCES, TRANSACTION_SCHEMA

NOW = 1_700_000_000_000_000


def chunk(first: int, count: int = 10) -> Unsequenced:
    texts = pa.array([f"tx{i}" for i in range(first, first + count)])
    whole = pa.array(range(first, first + count), pa.int64())
    times = pa.array([NOW + i for i in range(first, first + count)], pa.timestamp("us", "UTC"))
    columns: dict[str, pa.Array] = {}
    for field in TRANSACTION_SCHEMA:
        if pa.types.is_timestamp(field.type):
            columns[field.name] = times
        else:
            columns[field.name] = texts if field.type == pa.string() else whole
    del columns["seq"]
    return Unsequenced(pa.table({**columns, "file": texts.dictionary_encode(), "row": whole}))


def opened(folder: Path, *, read_only: bool = False) -> DeltaLedger:
    return DeltaLedger(folder, max_ahead_us=10**15, max_jump_us=None, read_only=read_only)


def filled(folder: Path, chunks: int = 3) -> None:
    with opened(folder) as ledger:
        for number in range(chunks):
            ledger.append(chunk(number * 10))


def commit(folder: Path, version: int, table: str = "ledger") -> Path:
    return folder / table / "_delta_log" / f"{version:020d}.json"


def parts(folder: Path, table: str = "ledger") -> list[Path]:
    return sorted((folder / table).glob("part-*.parquet"))


def test_files_say_their_first_row_and_their_hash(tmp_path: Path) -> None:
    filled(tmp_path)
    for number, path in enumerate(parts(tmp_path)):
        assert path.name == f"part-{number * 10:016d}-{file_sha256(path)}.parquet"
    with opened(tmp_path, read_only=True) as ledger:
        assert ledger.file_uris() == [str(path) for path in parts(tmp_path)]
        query = "select count(*), min(seq), max(event_time) is not null from read_parquet(?)"
        assert duckdb.connect().execute(query, [ledger.file_uris()]).fetchone() == (30, 0, True)
    table = DeltaTable(str(tmp_path / "ledger"))
    assert table.transaction_version("greywater.ledger") == 30
    actions = pa.table(table.get_add_actions(flatten=True))
    assert sorted(actions["max.seq"].to_pylist()) == [9, 19, 29]
    assert max(pa.table({"t": actions["max.event_time"]})["t"].cast(pa.int64()).to_pylist()) == NOW + 29


@pytest.mark.parametrize(
    "break_it",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: text[: text.index(b"\n")],
        lambda text: text[: text.rindex(b"\n")],
        lambda text: bytes(len(text)),
        lambda text: b"not json",
        lambda text: text.replace(b'"add"', b'"a\xff\xfe"'),
    ],
    ids=["zero bytes", "half", "first line", "without the last line", "zeros", "words", "bad utf-8"],
)
def test_a_broken_last_commit_is_mended(tmp_path: Path, break_it: Callable[[bytes], bytes]) -> None:
    filled(tmp_path)
    path = commit(tmp_path, 3)
    path.write_bytes(break_it(path.read_bytes()))
    with pytest.raises(StoreDamagedError, match="empty or cut off"):
        opened(tmp_path, read_only=True)
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 30
        assert any("registered again" in said for said in ledger.mended)
        assert (tmp_path / "mended" / path.name).exists()
        assert ledger.append(chunk(0, 35)).duplicate == 30
        assert ledger.check() == []
        assert ledger.horizon == NOW + 34
    with opened(tmp_path) as ledger:
        assert ledger.mended == ()
        assert ledger.next_seq == 35


def test_delta_alone_would_have_lost_the_rows(tmp_path: Path) -> None:
    filled(tmp_path)
    commit(tmp_path, 3).write_bytes(b"")
    assert len(DeltaTable(str(tmp_path / "ledger")).file_uris()) == 2


def test_a_broken_first_commit_of_an_empty_ledger_is_made_again(tmp_path: Path) -> None:
    opened(tmp_path).close()
    commit(tmp_path, 0).write_bytes(b"")
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 0
        assert ledger.append(chunk(0)).recorded.num_rows == 10


def test_a_broken_commit_whose_data_is_broken_too_is_not_hidden(tmp_path: Path) -> None:
    filled(tmp_path)
    commit(tmp_path, 3).write_bytes(b"")
    parts(tmp_path)[2].write_bytes(parts(tmp_path)[2].read_bytes()[:-9])
    with pytest.raises(StoreDamagedError, match="payments 20 to 29 were recorded"):
        opened(tmp_path)


def test_a_lost_last_commit_is_found_by_the_index(tmp_path: Path) -> None:
    filled(tmp_path)
    commit(tmp_path, 3).unlink()
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 30
        assert any("commit was missing" in said for said in ledger.mended)


@pytest.mark.parametrize("harm", ["empty", "gone"])
def test_a_broken_commit_in_the_middle_is_damage(tmp_path: Path, harm: str) -> None:
    filled(tmp_path)
    if harm == "empty":
        commit(tmp_path, 2).write_bytes(b"")
    else:
        commit(tmp_path, 2).unlink()
    for read_only in (False, True):
        with pytest.raises(StoreDamagedError) as caught:
            opened(tmp_path, read_only=read_only)
        assert "backup" in caught.value.mend
    commit(tmp_path, 1).write_bytes(b"")
    with pytest.raises(StoreDamagedError):
        opened(tmp_path)


def test_what_was_never_committed_is_moved_aside(tmp_path: Path) -> None:
    filled(tmp_path)
    orphan = tmp_path / "ledger" / f"part-{30:016d}-{'ab' * 32}.parquet"
    orphan.write_bytes(b"half")
    unfinished = tmp_path / "ledger" / "part-1.parquet.tmp"
    staged = tmp_path / "ledger" / "_delta_log" / "00000000000000000004.json#1"
    for path in (unfinished, staged):
        path.write_bytes(b"x")
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 30
        assert len(ledger.mended) == 3
        assert not any(path.exists() for path in (orphan, unfinished, staged))
        assert (tmp_path / "mended" / orphan.name).read_bytes() == b"half"
        assert ledger.check() == []


def test_checkpoints_are_made_and_only_spare_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_checkpoint, "CHECKPOINT_EVERY", 3)
    filled(tmp_path, 13)
    log = tmp_path / "ledger" / "_delta_log"
    points = sorted(path.name for path in log.glob("*.checkpoint.parquet"))
    assert points == [f"{version:020d}.checkpoint.parquet" for version in (9, 12)]
    (log / points[1]).write_bytes(b"PAR1")
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 130
        assert any("checkpoint" in said for said in ledger.mended)
        assert ledger.check() == []
        ledger.append(chunk(130))
    (log / "_last_checkpoint").write_text(json.dumps({"version": 77, "size": 1}))
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 140
    with opened(tmp_path) as ledger:
        assert ledger.append(chunk(140)).recorded.num_rows == 10


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_found(tmp_path: Path, where: float) -> None:
    filled(tmp_path)
    path = parts(tmp_path)[1]
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 4
    path.write_bytes(content)
    with opened(tmp_path) as ledger:
        (finding,) = ledger.check()
        assert finding.where == str(path)
        assert "SHA-256" in finding.found
        assert finding.mend


def test_missing_and_foreign_files_are_found(tmp_path: Path) -> None:
    filled(tmp_path)
    parts(tmp_path)[0].unlink()
    with opened(tmp_path) as ledger:
        (finding,) = ledger.check()
        assert "missing" in finding.found
        with pytest.raises(StoreDamagedError, match="missing"):
            list(ledger.scan())
    filled(tmp_path / "other")
    DeltaTable(str(tmp_path / "other" / "ledger")).optimize.compact()
    with pytest.raises(StoreDamagedError, match="not written by Greywater"):
        opened(tmp_path / "other")


def test_a_missing_or_damaged_index_is_made_again(tmp_path: Path) -> None:
    filled(tmp_path)
    data = tmp_path / "tx_index" / "data.mdb"
    for harm in (
        data.unlink,
        lambda: data.write_bytes(b"x" * 50_000),
        lambda: data.write_bytes(data.read_bytes()[:9_000]),
    ):
        harm()
        with opened(tmp_path) as ledger:
            assert ledger.append(chunk(0, 30)).duplicate == 30
            assert ledger.check() == []


def test_an_index_that_lags_is_completed(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    before = (tmp_path / "tx_index" / "data.mdb").read_bytes()
    filled_more = opened(tmp_path)
    filled_more.append(chunk(10))
    filled_more.close()
    (tmp_path / "tx_index" / "data.mdb").write_bytes(before)
    with opened(tmp_path) as ledger:
        assert ledger.append(chunk(0, 20)).duplicate == 20


def test_one_writer_at_a_time_but_readers_beside_it(tmp_path: Path) -> None:
    with opened(tmp_path) as writer:
        writer.append(chunk(0))
        with pytest.raises(StoreLockedError):
            opened(tmp_path)
        with opened(tmp_path, read_only=True) as reader:
            writer.append(chunk(10))
            assert (reader.next_seq, writer.next_seq) == (10, 20)
            assert reader.check() == []
            with pytest.raises(StoreError, match="reading only"):
                reader.append(chunk(20))
    opened(tmp_path).close()
    with pytest.raises(StoreError, match="no table yet"):
        opened(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_closed_ledger_records_nothing(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.append(chunk(0))


def test_another_writer_behind_the_back_is_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.append(chunk(0))
        table = delta_parts.PartTable(
            tmp_path / "ledger", TRANSACTION_SCHEMA, application="greywater.ledger", aside=tmp_path / "mended"
        )
        rows = next(ledger.scan())
        encoded = table.encode(pa.Table.from_batches([rows]), {"horizon": NOW})
        table.store(encoded)
        table.register(encoded)
        with pytest.raises(StoreError):
            ledger.append(chunk(50))
        assert ledger.append(chunk(50)).recorded["seq"].to_pylist() == list(range(20, 30))


def earlier(folder: Path, chunks: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A ledger as versions that knew no balances wrote it."""
    fields = pa.schema([field for field in TRANSACTION_SCHEMA if field.name not in BALANCES])
    content = tuple(name for name in CONTENT_COLUMNS if name not in BALANCES)
    with monkeypatch.context() as patched:
        for name, value, modules in (
            ("TRANSACTION_SCHEMA", fields, (delta, admission)),
            ("CONTENT_COLUMNS", content, (delta, fingerprints)),
            ("BALANCES", (), (admission, fingerprints)),
        ):
            for module in modules:
                patched.setattr(module, name, value)
        with opened(folder) as ledger:
            for number in range(chunks):
                ledger.append(chunk(number * 10))
    return list(range(10 * chunks))


def test_a_ledger_of_an_earlier_version_is_read_and_takes_balances_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = earlier(tmp_path, 2, monkeypatch)
    assert "sender_balance" not in str(pq.read_schema(parts(tmp_path)[0]))
    with opened(tmp_path, read_only=True) as ledger:
        assert ledger.take(np.array(numbers))["sender_balance"].null_count == 20
        assert ledger.check() == []
        assert len(list((tmp_path / "ledger" / "_delta_log").glob("*.json"))) == 3, "a reader changes nothing"
    with opened(tmp_path) as ledger:
        assert ledger.mended == ()
        plain = Unsequenced(chunk(0, 20).payments.drop(BALANCES))
        assert ledger.append(plain).duplicate == 20
        known = ledger.append(chunk(0, 30))
        assert known.rejected["reason"].to_pylist() == ["conflict"] * 20, "what had no balance is not what has one"
        assert known.recorded["receiver_balance"].to_pylist() == list(range(20, 30))
        assert ledger.check() == []
    with opened(tmp_path) as ledger:
        assert ledger.mended == ()
        (batch,) = ledger.scan(["sender_balance"])
        assert batch["sender_balance"].to_pylist() == [None] * 20 + list(range(20, 30))
    assert DeltaTable(str(tmp_path / "ledger")).version() == 4, "the columns were added once"
    query = "select count(sender_balance), count(*) from read_parquet(?, union_by_name = true)"
    with opened(tmp_path, read_only=True) as ledger:
        assert duckdb.connect().execute(query, [ledger.file_uris()]).fetchone() == (10, 30)


def test_a_broken_last_commit_of_an_earlier_version_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(tmp_path, 2, monkeypatch)
    commit(tmp_path, 2).write_bytes(b"")
    with opened(tmp_path) as ledger:
        assert ledger.next_seq == 20
        assert any("registered again" in said for said in ledger.mended)
        assert ledger.append(Unsequenced(chunk(0, 25).payments.drop(BALANCES))).duplicate == 20
        assert ledger.check() == []


def test_memory_is_flat_in_the_number_of_chunks(tmp_path: Path) -> None:
    """Counts what Python and Arrow hold; the pages of the index that the system caches are not the program's."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_delta import opened, chunk\n"
        "def held():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('RssAnon'))\n"
        "ledger = opened(Path(sys.argv[1])); at = []\n"
        "for number in range(30):\n"
        "    ledger.append(chunk(number * 4000, 4000)); at.append(held())\n"
        "print(max(at[20:]) - max(at[5:10]))"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    grown = int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert grown < 24_000  # kB; 15 chunks of rows would be 6 MB of ids alone, held thrice over


def test_tables_mend_as_the_ledger_does(tmp_path: Path) -> None:
    rows = pa.table({"a": pa.array([1, 2], pa.int64())})
    DeltaTables(tmp_path).append("t", rows, transaction="one", meta={"x": 1})
    DeltaTables(tmp_path).append("t", rows, transaction="two", meta={"x": 2})
    commit(tmp_path, 2, "t").write_bytes(b"")
    tables = DeltaTables(tmp_path)
    assert tables.append("t", rows, transaction="two") is False
    assert tables.read("t").num_rows == 4  # type: ignore[union-attr]
    assert [entry["meta"] for entry in tables.history("t")] == [{"x": 1}, {"x": 2}]
    assert any("registered again" in said for said in tables.mended)
    content = bytearray(parts(tmp_path, "t")[0].read_bytes())
    content[10] ^= 1
    parts(tmp_path, "t")[0].write_bytes(content)
    (finding,) = tables.check()
    assert "SHA-256" in finding.found
    commit(tmp_path, 1, "t").write_bytes(b"")
    (finding,) = DeltaTables(tmp_path).check()
    assert "cannot be read" in finding.found


def test_a_table_cut_off_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    commit(tmp_path, 0, "t").write_bytes(b"")
    assert DeltaTables(tmp_path).read("t") is None
    commit(tmp_path, 0, "t").write_bytes(b"")
    assert DeltaTables(tmp_path).append("t", pa.table({"a": [1]}))
    assert DeltaTables(tmp_path).names() == ["t"]
    with pytest.raises(StoreError, match="reading only"):
        DeltaTables(tmp_path, read_only=True).append("t", pa.table({"a": [1]}))
    assert DeltaTables(tmp_path, read_only=True).read("t").num_rows == 1  # type: ignore[union-attr]


def test_two_writers_of_one_table_take_turns(tmp_path: Path) -> None:
    one, two = DeltaTables(tmp_path), DeltaTables(tmp_path)
    for number in range(4):
        (one, two)[number % 2].append("t", pa.table({"a": [number]}), transaction=str(number))
    assert one.append("t", pa.table({"a": [9]}), transaction="3") is False
    for tables in (one, two):
        assert tables.read("t")["a"].to_pylist() == [0, 1, 2, 3]  # type: ignore[index]
