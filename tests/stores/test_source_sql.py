"""Queries on SQLite and on a real PostgreSQL: what comes, what comes later, and what never shows a password."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import InputError, UsageError
from greywater.stores import source_sql
from greywater.stores.source_rows import Mark
from greywater.stores.source_sql import SqlSource, cell_text, mark_from_json, mark_to_json
from tests.postgres_server import PASSWORD, PostgresServer


@pytest.fixture
def server(postgres_server: PostgresServer) -> str:
    """The URL as people write it, without the driver."""
    return postgres_server.url.replace("+psycopg", "")


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "bank.db")


def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'bank.db'}"


def take(source: SqlSource, mark: Mark | None) -> tuple[list[dict[str, Any]], Mark | None, tuple[str, ...]]:
    pull = source.pull(mark)
    rows = [row for batch in pull.batches() for row in batch.to_pylist()]
    source.close()
    return rows, pull.mark(), pull.notes


def test_every_value_comes_as_a_csv_file_would_have_it(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE p (n, amount, text, blob, none_)")
    database.execute("INSERT INTO p VALUES (1, 0.285, ' a:b%c', x'636166c3a9', NULL), (2.0, 12, 'é', 'x', 7)")
    database.commit()
    rows, mark, _ = take(SqlSource(sqlite_url(tmp_path), "SELECT * FROM p WHERE text <> ':x %'; "), None)
    assert mark is None
    assert rows == [
        {"n": "1", "amount": "0.285", "text": " a:b%c", "blob": "café", "none_": None},
        {"n": "2", "amount": "12", "text": "é", "blob": "x", "none_": "7"},
    ]


def test_large_numbers_and_broken_text_come_through() -> None:
    assert source_sql._column_text([10**30, 1, None]).to_pylist() == [str(10**30), "1", None]
    assert source_sql._column_text(["ok", "x\ud800", None]).to_pylist() == ["ok", "x?", None]


@pytest.mark.parametrize(
    "value",
    [
        3,
        2.5,
        Decimal("1.10"),
        "2024-01-01",
        datetime(2024, 1, 2, 3, tzinfo=UTC),
        datetime(2024, 1, 2),
        date(2024, 1, 2),
    ],
)
def test_marks_keep_their_kind(value: Any) -> None:
    kept = mark_from_json(mark_to_json(value))
    assert (kept, type(kept)) == (value, type(value))
    assert cell_text(value)


def test_a_mark_of_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="kind bool"):
        mark_to_json(True)


def test_only_newer_rows_come_and_ties_are_neither_lost_nor_doubled(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    database.execute("CREATE TABLE p (day TEXT, what TEXT)")
    query = "SELECT what, day FROM p -- of the bank"
    mark: Mark | None = None
    for batch, wanted in (
        ([("1", "a"), ("2", "b"), ("2", "b")], ["a", "b", "b"]),
        ([("2", "b"), ("2", "c")], ["b", "c"]),
        ([], []),
        ([("2", "c"), ("3", "d"), ("1", "too late")], ["c", "d"]),
        ([("3", "d")], ["d"]),
    ):
        database.executemany("INSERT INTO p VALUES (?, ?)", batch)
        database.commit()
        rows, mark, _ = take(SqlSource(sqlite_url(tmp_path), query, "day"), mark)
        assert [row["what"] for row in rows] == wanted


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("xy")), max_size=9), max_size=5), st.integers(1, 4)
)
def test_whatever_is_added_at_or_after_the_mark_comes_once(
    tmp_path_factory: pytest.TempPathFactory, additions: list[list[tuple[int, str]]], rows_at_a_time: int
) -> None:
    folder = tmp_path_factory.mktemp("sql")
    database = sqlite3.connect(folder / "bank.db")
    database.execute("CREATE TABLE p (n INTEGER, what TEXT)")
    mark: Mark | None = None
    came: Counter[tuple[str, str]] = Counter()
    put: Counter[tuple[str, str]] = Counter()
    greatest = -1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_sql, "ROWS", rows_at_a_time)
        for rows in additions:
            rows = [(max(n, greatest), what) for n, what in rows]
            database.executemany("INSERT INTO p VALUES (?, ?)", rows)
            database.commit()
            put.update((str(n), what) for n, what in rows)
            greatest = max([greatest, *(n for n, _ in rows)])
            found, mark, _ = take(SqlSource(f"sqlite:///{folder / 'bank.db'}", "SELECT * FROM p", "n"), mark)
            came.update((row["n"], row["what"]) for row in found)
            assert came == put
    database.close()


def test_rows_without_a_mark_wait(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE p (n INTEGER, booked TEXT)")
    database.execute("INSERT INTO p VALUES (1, '2024-01-01'), (2, NULL)")
    database.commit()
    rows, mark, notes = take(SqlSource(sqlite_url(tmp_path), "SELECT * FROM p", "booked"), None)
    assert [row["n"] for row in rows] == ["1"]
    assert "1 rows have no booked yet" in notes[0]
    database.execute("UPDATE p SET booked = '2024-01-05' WHERE n = 2")
    database.commit()
    rows, _, notes = take(SqlSource(sqlite_url(tmp_path), "SELECT * FROM p", "booked"), mark)
    assert [row["n"] for row in rows] == ["2"]
    assert notes == ()


def test_nothing_can_be_written(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE p (n INTEGER)")
    database.commit()
    for query in ("DELETE FROM p", "INSERT INTO p VALUES (1)", "SELECT 1) AS x; DELETE FROM p; SELECT (1"):
        with pytest.raises(UsageError):
            take(SqlSource(sqlite_url(tmp_path), query), None)


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / "bank.db").execute("CREATE TABLE p (n INTEGER)")
    with pytest.raises(InputError, match="no such database file"):
        take(SqlSource(f"sqlite:///{tmp_path}/none.db", "SELECT 1"), None)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(UsageError, match="no such table: q"):
        take(SqlSource(sqlite_url(tmp_path), "SELECT * FROM q"), None)
    with pytest.raises(UsageError, match="gives no column 'm'; it gives n"):
        take(SqlSource(sqlite_url(tmp_path), "SELECT * FROM p", "m"), None)
    for address in ("mysql://u:hush@h/d", "not a url hush", "sqlite://", "env:NO_SUCH_VARIABLE", "ftp://u:hush@h/x"):
        with pytest.raises(UsageError) as error:
            SqlSource(address, "SELECT 1")
        assert "hush" not in str(error.value)
    with pytest.raises(UsageError, match="needs a query"):
        SqlSource(sqlite_url(tmp_path), "  ;")
    monkeypatch.setenv("BANK_DB", sqlite_url(tmp_path))
    assert SqlSource("env:BANK_DB", "SELECT 1").key == SqlSource(sqlite_url(tmp_path), "SELECT 1").key


def test_no_name_key_or_message_holds_a_secret() -> None:
    with_secret = SqlSource("postgresql://ada:hush@127.0.0.1:1/core?options=hush", "SELECT 1")
    without = SqlSource("postgresql://bob@127.0.0.1:1/core", "SELECT 1")
    assert with_secret.key == without.key
    assert with_secret.label.startswith("sql_core_")
    with pytest.raises(InputError, match="could not be reached") as error:
        with_secret.pull(None)
    assert "hush" not in str(error.value)
    assert "ada:***@127.0.0.1" in str(error.value)


def test_postgres_gives_what_sqlite_gives(server: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            'CREATE TABLE payments (id serial, amount numeric(12,2), "Booked" timestamptz, day date, ok bool)'
        )
        connection.execute(
            "INSERT INTO payments (amount, \"Booked\", day, ok) SELECT n / 4.0, '2024-01-01T00:00:00+02'::timestamptz"
            " + n * interval '1 minute', '2024-02-01', n % 2 = 0 FROM generate_series(1, 9000) n"
        )
    for column in ("id", "Booked", "amount", "day"):
        source = SqlSource(server, "SELECT * FROM payments WHERE 'x:y%' LIKE 'x:%' AND 1::int = 1;", column)
        rows, mark, _ = take(source, None)
        assert len(rows) == 9_000
        assert (rows[1]["amount"], rows[1]["day"], rows[1]["ok"]) == ("0.50", "2024-02-01", "true")
        assert datetime.fromisoformat(rows[0]["Booked"]) == datetime(2023, 12, 31, 22, 1, tzinfo=UTC)
        again, same, _ = take(source, mark)
        assert again == []
        assert same == mark
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO payments (amount, day, "Booked") SELECT 9, day, "Booked" FROM payments WHERE id = 9000'
        )
    source = SqlSource(server, "SELECT * FROM payments", "Booked")
    first, mark, _ = take(source, None)
    assert len(first) == 9_001
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO payments (amount, day, "Booked") SELECT 8, day, "Booked" FROM payments WHERE id = 9000'
        )
    assert [row["amount"] for row in take(source, mark)[0]] == ["8.00"]


def test_postgres_is_read_only_and_keeps_its_password(server: str) -> None:
    with pytest.raises(UsageError):
        take(SqlSource(server, "WITH gone AS (DELETE FROM pg_am RETURNING 1) SELECT * FROM gone"), None)
    with pytest.raises(UsageError, match="does not exist") as error:
        take(SqlSource(server, "SELECT * FROM nowhere"), None)
    assert PASSWORD not in str(error.value)
    with pytest.raises(InputError, match="password authentication failed") as refused:
        SqlSource(server.replace(PASSWORD, "wrong-word"), "SELECT 1").pull(None)
    assert "wrong-word" not in str(refused.value)


def test_memory_is_bounded_by_a_cursor_on_the_server(server: str) -> None:
    text = "repeat(chr(65 + n % 26), 1500)"
    assert_flat(SqlSource(server, f"SELECT n, {text} AS text FROM generate_series(1, 60000) n", "n"))


def test_memory_is_bounded_on_sqlite(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE p (n INTEGER PRIMARY KEY, text TEXT)")
    database.executemany("INSERT INTO p VALUES (?, ?)", ((n, chr(65 + n % 26) * 1500) for n in range(60_000)))
    database.commit()
    assert_flat(SqlSource(sqlite_url(tmp_path), "SELECT * FROM p", "n"))


def own_memory_mb() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")) >> 10


def assert_flat(source: SqlSource) -> None:
    """90 MB go through; what is held does not grow after the first half of them."""
    rows, held = 0, []
    for batch in source.pull(None).batches():
        assert batch.num_rows <= source_sql.ROWS
        rows += batch.num_rows
        held.append(own_memory_mb() if Path("/proc/self/status").exists() else 0)
    source.close()
    assert rows == 60_000
    early = len(held) // 2
    assert max(held[early:]) - max(held[:early]) < 20, held


def test_order_of_a_seeded_crowd(tmp_path: Path, database: sqlite3.Connection) -> None:
    chance = random.Random(3)
    database.execute("CREATE TABLE p (n INTEGER)")
    database.executemany("INSERT INTO p VALUES (?)", [(chance.randrange(10**6),) for _ in range(25_000)])
    database.commit()
    rows, mark, _ = take(SqlSource(sqlite_url(tmp_path), "SELECT * FROM p", "n"), None)
    numbers = [int(row["n"]) for row in rows]
    assert numbers == sorted(numbers)
    assert mark is not None
    assert mark_from_json(mark) == numbers[-1]
