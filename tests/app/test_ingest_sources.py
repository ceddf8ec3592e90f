"""Payments from folders, URLs, databases and Delta tables: once, in order, and again after a kill."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from greywater.app.check import check
from greywater.errors import FormatError, InputError, StoreDamagedError, UsageError
from greywater.vocab import Actor, Counts
from tests.app.test_kill import COMMAND

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3
COLUMNS = ("tx_id", "event_time", "sender", "receiver", "amount", "currency")


def payments(first: int, stop: int, *, ids: bool = True) -> list[list[str]]:
    rows = []
    for number in range(first, stop):
        chance = random.Random(number)
        clock = f"2024-03-{1 + number % 9:02}T{chance.randrange(24):02}:{chance.randrange(60):02}:{number % 60:02}Z"
        row = [f"t{number}", clock, f"A{chance.randrange(9)}", f"B{chance.randrange(9)}", f"{number % 7}.25", "USD"]
        rows.append(row if ids else row[1:])
    return rows


def as_table(rows: list[list[str]]) -> pa.Table:
    return pa.table(dict(zip(COLUMNS[-len(rows[0]) :], map(list, zip(*rows, strict=True)), strict=True)))


class Bank:
    """A database file that grows."""

    def __init__(self, folder: Path, *, ids: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "bank.db"
        self.columns = COLUMNS if ids else COLUMNS[1:]
        self._ids = ids
        with sqlite3.connect(self.path) as database:
            database.execute(f"CREATE TABLE p (booking INTEGER, {', '.join(self.columns)})")

    @property
    def address(self) -> str:
        return f"sql:sqlite:///{self.path}"

    @property
    def query(self) -> str:
        return "SELECT * FROM p"

    def book(self, first: int, stop: int, *, step: int = 3) -> None:
        """Payments booked together share a number of booking."""
        rows = [
            [n // step, *row] for n, row in zip(range(first, stop), payments(first, stop, ids=self._ids), strict=True)
        ]
        with sqlite3.connect(self.path) as database:
            database.executemany(f"INSERT INTO p VALUES ({', '.join('?' * len(rows[0]))})", rows)


def pulls(desk: Any) -> list[Path]:
    folder = desk.settings.project_folder / "pulls"
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def ids(desk: Any) -> list[str]:
    return desk.ledger("tx_id")["tx_id"]  # type: ignore[no-any-return]


def test_a_folder_is_its_files_by_name(desk: Any) -> None:
    folder = desk.folder / "in"
    desk.file("in/2.csv", payments(0, 30), COLUMNS)
    folder.joinpath("1.parquet").parent.mkdir(exist_ok=True)
    pq.write_table(as_table(payments(30, 50)), folder / "1.parquet")
    desk.file("in/_3.csv", payments(50, 60), COLUMNS)
    desk.file("in/.4.csv", payments(50, 60), COLUMNS)
    result = desk.ingest(folder)
    assert [file.name for file in result.files] == ["1.parquet", "2.csv"]
    assert result.counts == Counts(read=50, recorded=50)
    desk.file("in/3.csv", payments(50, 60), COLUMNS)
    again = desk.ingest(f"file://{folder}")
    assert again.counts == Counts(read=60, recorded=10, skipped=50)
    assert check(Actor(), desk.settings).findings == ()


def test_a_database_gives_only_what_is_new(desk: Any) -> None:
    bank = Bank(desk.folder)
    bank.book(0, 100)
    more = {"query": bank.query, "high_water": "booking"}
    assert desk.ingest(bank.address, **more).counts == Counts(read=100, recorded=100)
    assert pulls(desk) == []
    again = desk.ingest(bank.address, **more)
    assert again.counts == Counts()
    assert any("nothing new" in warning for warning in again.warnings)
    bank.book(100, 150)
    later = desk.ingest(bank.address, **more)
    assert later.counts == Counts(read=50, recorded=50)
    assert later.files[0].name.startswith("sql_bank_")
    assert sorted(ids(desk)) == sorted(f"t{n}" for n in range(150))
    assert check(Actor(), desk.settings).findings == ()


def test_payments_of_a_database_without_ids_get_ids_of_their_own(desk: Any) -> None:
    bank = Bank(desk.folder, ids=False)
    same = [1, *payments(0, 1, ids=False)[0]]
    for count in (3, 2):
        with sqlite3.connect(bank.path) as database:
            database.executemany("INSERT INTO p VALUES (?, ?, ?, ?, ?, ?)", [same] * count)
        desk.ingest(bank.address, query=bank.query, high_water="booking")
    assert len(set(ids(desk))) == 5
    with sqlite3.connect(bank.path) as database:
        database.executemany("INSERT INTO p VALUES (?, ?, ?, ?, ?, ?)", [[2, *same[1:]]] * 2)
    assert desk.ingest(bank.address, query=bank.query, high_water="booking").counts == Counts(read=2, recorded=2)
    assert len(set(ids(desk))) == 7


def test_a_whole_query_again_is_skipped_whole_or_told_by_ids(desk: Any) -> None:
    bank = Bank(desk.folder)
    bank.book(0, 20)
    query = bank.query + " ORDER BY booking"
    assert desk.ingest(bank.address, query=query).counts.recorded == 20
    assert desk.ingest(bank.address, query=query).counts == Counts(read=20, skipped=20)
    bank.book(20, 25)
    assert desk.ingest(bank.address, query=query).counts == Counts(read=25, recorded=5, duplicate=20)


def test_rows_that_cannot_be_read_keep_their_place_in_the_source(desk: Any) -> None:
    bank = Bank(desk.folder)
    bank.book(0, 9)
    more = {"query": bank.query, "high_water": "booking"}
    desk.ingest(bank.address, **more)
    with sqlite3.connect(bank.path) as database:
        database.execute("INSERT INTO p VALUES (9, 'bad', '2024-03-01', 'A', 'B', 'much', 'USD')")
    result = desk.ingest(bank.address, **more)
    assert result.counts == Counts(read=1, rejected=1)
    (rejected,) = desk.table("rejected")
    assert (rejected["row"], rejected["column"], rejected["reason"]) == (10, "amount", "amount_text")


def test_sources_of_one_command_are_recorded_in_one_order(desk: Any) -> None:
    whole = payments(0, 90)
    bank = Bank(desk.folder)
    bank.book(0, 30)
    write_deltalake(desk.folder / "table", as_table(whole[30:60]))
    file = desk.file("rest.csv", whole[60:], COLUMNS)
    result = desk.ingest(bank.address, f"delta:{desk.folder / 'table'}", file, query=bank.query, high_water="booking")
    assert result.counts == Counts(read=90, recorded=90)
    assert ids(desk) == [row[0] for row in sorted(whole, key=lambda row: row[1])]


def test_a_delta_table_is_read_on_from_its_version(desk: Any) -> None:
    path = desk.folder / "table"
    write_deltalake(path, as_table(payments(0, 40)))
    assert desk.ingest(f"delta:{path}").counts == Counts(read=40, recorded=40)
    write_deltalake(path, as_table(payments(40, 60)), mode="append")
    DeltaTable(path).optimize.compact()
    assert desk.ingest(f"delta:{path}").counts == Counts(read=20, recorded=20)
    assert desk.ingest(f"delta:{path}").counts == Counts()
    DeltaTable(path).delete("tx_id = 't7'")
    result = desk.ingest(f"delta:{path}")
    assert result.counts == Counts(read=59, duplicate=59)
    assert any("read whole again" in warning for warning in result.warnings)
    assert desk.ingest(f"delta:{path}").counts == Counts()


def test_a_rewritten_delta_table_without_ids_is_refused(desk: Any) -> None:
    path = desk.folder / "table"
    write_deltalake(path, as_table(payments(0, 40, ids=False)))
    assert desk.ingest(f"delta:{path}").counts.recorded == 40
    write_deltalake(path, as_table(payments(40, 44, ids=False)), mode="append")
    assert desk.ingest(f"delta:{path}").counts.recorded == 4
    DeltaTable(path).delete("sender = 'A1'")
    before = desk.state()
    with pytest.raises(InputError, match="no ids by which"):
        desk.ingest(f"delta:{path}")
    assert desk.state() == before


def test_what_cannot_be_used_leaves_nothing(desk: Any) -> None:
    bank = Bank(desk.folder)
    bank.book(0, 3)
    good = desk.file("a.csv", payments(0, 3), COLUMNS)
    with pytest.raises(UsageError, match="needs a query"):
        desk.ingest(good, bank.address)
    with pytest.raises(UsageError, match="query needs a database"):
        desk.ingest(good, query="SELECT 1")
    with pytest.raises(UsageError, match="no column"):
        desk.ingest(good, bank.address, query="SELECT 1 AS one", high_water="two")
    assert not desk.settings.store.exists()
    with pytest.raises(FormatError):
        desk.ingest(good, bank.address, query="SELECT booking FROM p", high_water="booking")
    assert ids(desk) == []
    assert desk.ingest(bank.address, query=bank.query, high_water="booking").counts.recorded == 3


def test_no_password_is_kept_anywhere(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Bank(desk.folder)
    bank.book(0, 3)
    monkeypatch.setenv("BANK_DB", f"sqlite:///{bank.path}?hush=hush")
    desk.ingest("sql:env:BANK_DB", query=bank.query, high_water="booking")
    with pytest.raises(InputError):
        desk.ingest("sql:postgresql://ada:hush@127.0.0.1:1/core", query="SELECT 1")
    for path in desk.settings.store.rglob("*"):
        assert not path.is_file() or b"hush" not in path.read_bytes(), path


def test_an_interrupted_pull_is_recorded_as_it_was_fetched(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Bank(desk.folder, ids=False)
    bank.book(0, 300)
    more = {"query": bank.query, "high_water": "booking"}
    from greywater.app.recording import Recorder

    honest, calls = Recorder.record, []

    def once(self: Recorder, batch: pa.RecordBatch) -> None:
        calls.append(batch.num_rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        honest(self, batch)

    monkeypatch.setattr(Recorder, "record", once)
    with pytest.raises(KeyboardInterrupt):
        desk.ingest(bank.address, **more)
    monkeypatch.undo()
    assert len(ids(desk)) == 128
    assert len(pulls(desk)) == 2
    bank.book(300, 320)
    first = desk.ingest(bank.address, **more)
    assert (first.counts, first.resumed) == (Counts(read=300, recorded=300), 128)
    assert desk.ingest(bank.address, **more).counts == Counts(read=20, recorded=20)
    assert pulls(desk) == []


def test_a_damaged_pull_is_not_recorded(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    test_an_interrupted_pull_is_recorded_as_it_was_fetched(desk, monkeypatch)
    bank = Bank(desk.folder / "other", ids=False)
    bank.book(0, 200)
    more = {"query": bank.query, "high_water": "booking"}
    monkeypatch.setattr("greywater.app.ingest.write_files", _stop)
    with pytest.raises(KeyboardInterrupt):
        desk.ingest(bank.address, **more)
    monkeypatch.undo()
    (rows,) = [path for path in pulls(desk) if path.name != "pull.json"]
    content = bytearray(rows.read_bytes())
    content[len(content) // 2] ^= 1
    rows.write_bytes(content)
    with pytest.raises(StoreDamagedError, match="not what was fetched"):
        desk.ingest(bank.address, **more)


def _stop(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_files_behind_urls_are_fetched_and_known_again(desk: Any) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(as_table(payments(0, 40)), sink)
    system.pipe("/in/1.csv", sink.getvalue().to_pybytes())
    assert desk.ingest("memory://in/1.csv").counts == Counts(read=40, recorded=40)
    system.pipe("/in/2.csv", b",".join(name.encode() for name in COLUMNS) + b"\nt40,2024-03-09,A,B,1,USD\n")
    result = desk.ingest("memory://in")
    assert result.counts == Counts(read=41, recorded=1, skipped=40)
    assert [file.known for file in result.files] == [True, False]
    assert not (desk.settings.project_folder / "spill").exists()
    assert check(Actor(), desk.settings).findings == ()
    with pytest.raises(InputError, match="no such file"):
        desk.ingest("memory://in/none.csv")
    system.store.clear()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of an S3 emulator on a free port."""
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    running = subprocess.Popen(
        command, env={**os.environ, **keys}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert running.poll() is None, "the emulator ended"
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**keys, "AWS_ENDPOINT_URL": url}.items():
                patch.setenv(name, value)
            yield url
    finally:
        running.terminate()
        running.wait(30)


def test_a_bucket_is_read_like_a_folder(desk: Any, s3: str) -> None:
    import s3fs

    system = s3fs.S3FileSystem(endpoint_url=s3)
    system.mkdir("bank")
    for name, rows in (("in/2.csv", payments(20, 40)), ("in/1.csv", payments(0, 20)), ("in/_half.csv", payments(0, 2))):
        system.put(str(desk.file(name, rows, COLUMNS)), f"bank/{name}")
    result = desk.ingest("s3://bank/in/")
    assert [file.name for file in result.files] == ["1.csv", "2.csv"]
    assert result.counts == Counts(read=40, recorded=40)
    system.put(str(desk.file("3.csv", payments(40, 41), COLUMNS)), "bank/in/3.csv")
    assert desk.ingest("s3://bank/in").counts == Counts(read=41, recorded=1, skipped=40)
    assert desk.ingest("s3://bank/in/3.csv").counts == Counts(read=1, skipped=1)
    for place in ("s3://bank/none.csv", "s3://nowhere/in/3.csv"):
        with pytest.raises(InputError, match=r"no such file|cannot be read"):
            desk.ingest(place)


def start(desk: Any, bank: Bank, **more: str) -> subprocess.Popen[bytes]:
    words = ["ingest", bank.address, "--query", bank.query, "--high-water", "booking"]
    command = [sys.executable, "-c", COMMAND, *words, "--store", str(desk.settings.store), "--json", "-"]
    environment = {**os.environ, "GREYWATER_CHUNK_ROWS": "400", "GREYWATER_THREADS": "1", **more}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(desk: Any, bank: Bank) -> dict[str, Any]:
    """The same again, then what was booked since, undisturbed; what the project holds then."""
    more = {"query": bank.query, "high_water": "booking", "chunk_rows": 400}
    desk.ingest(bank.address, **more)
    bank.book(3_000, 3_050)
    desk.ingest(bank.address, **more)
    assert desk.ingest(bank.address, **more).counts == Counts()
    assert check(Actor(), desk.settings).findings == ()
    assert pulls(desk) == []
    held = desk.state()
    names = [column for column in held["ledger"][0] if column not in ("tx_id", "seq")]
    held["ledger"] = [[row[name] for name in names] for row in held["ledger"]]
    return {"ledger": held["ledger"], "rejected": held["rejected"], "unfinished": held["unfinished"]}


def test_killed_at_any_wait_for_the_disk(make_desk: Callable[[str], Any], tmp_path: Path) -> None:
    clean = make_desk("clean")
    bank = Bank(clean.folder, ids=False)
    bank.book(0, 3_000)
    told = tmp_path / "told"
    process = start(clean, bank, TELL=str(told))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    waits = int(told.read_text())
    assert waits > 20
    state = finish(clean, bank)
    assert len(state["ledger"]) == 3_050
    chosen = range(1, waits + 1) if FULL else sorted({random.Random(2).randrange(3, waits - 1), waits - 1})
    for at in chosen:
        desk = make_desk(f"dead{at}")
        bank = Bank(desk.folder, ids=False)
        bank.book(0, 3_000)
        process = start(desk, bank, DIE_AT=str(at))
        _, said = process.communicate(timeout=300)
        assert process.returncode == 137, said.decode()
        assert finish(desk, bank) == state, f"died at wait {at} of {waits}"


def test_killed_at_random_moments(make_desk: Callable[[str], Any]) -> None:
    clean = make_desk("clean")
    bank = Bank(clean.folder, ids=False)
    bank.book(0, 3_000)
    state = finish(clean, bank)
    for seed in range(KILLS):
        chance = random.Random(seed)
        desk = make_desk(f"killed{seed}")
        bank = Bank(desk.folder, ids=False)
        bank.book(0, 3_000)
        goal = chance.choice(["pulls/*/*", "pulls/*/pull.json", "ledger/part-*.parquet"])
        process = start(desk, bank)
        while not list(desk.settings.project_folder.glob(goal)) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert finish(desk, bank) == state, seed
