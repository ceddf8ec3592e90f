"""The SQLite records: migrations, hashes, partial writes, damage, two writers."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from greywater.errors import StoreAccessError, StoreDamagedError, StoreError, StoreLockedError, UsageError
from greywater.stores import records as records_module
from greywater.stores.record_rows import AlertRecord
from greywater.stores.records import HEAD, Records
from greywater.vocab import Actor

MIGRATIONS = Path(records_module.__file__).parent / "migrations"


@dataclass(frozen=True)
class Raised:
    id: str
    rank: int
    entity: str
    kind: str = "account"
    score: float = 1.0
    raised_at: datetime = datetime(2024, 1, 1, tzinfo=UTC)

    def payload(self) -> dict[str, Any]:
        evidence = [{"tx_id": f"t{self.rank}", "seq": self.rank}]
        return {"id": self.id, "rank": self.rank, "entity": self.entity, "evidence": evidence}


def behind_our_back(path: Path, change: str) -> int:
    """What somebody does who takes the guards away first; returns how many rows were changed."""
    with sqlite3.connect(path) as connection:
        for (guard,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {guard}")
        changed = connection.execute(change).rowcount
    connection.close()
    return changed


def some(path: Path, count: int = 3) -> str:
    with Records.open(path) as records:
        run = records.start_run(Actor(), "run")
        records.raise_alerts(run, [Raised(f"a{rank}", rank, f"E{rank}") for rank in range(1, count + 1)])
    return run


def test_head_is_the_newest_step_on_disk() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD]
    assert [step.revision for step in script.walk_revisions()][-1] == "0001"


def test_the_migrated_schema_has_the_columns_the_adapter_uses(tmp_path: Path) -> None:
    Records.open(tmp_path / "r.sqlite").close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'r.sqlite'}")
    inspector = sa.inspect(engine)
    for table in records_module._META.tables.values():
        assert [column["name"] for column in inspector.get_columns(table.name)] == [c.name for c in table.columns]
    engine.dispose()


def test_opening_again_keeps_everything_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = some(tmp_path / "r.sqlite")
    with Records.open(f"sqlite:{tmp_path / 'r.sqlite'}") as again:
        assert [alert.id for alert in again.alerts(run)] == ["a1", "a2", "a3"]
        assert again.check() == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_every_commit_is_synced_and_references_hold(tmp_path: Path) -> None:
    with Records.open(tmp_path / "r.sqlite") as records, records._engine.connect() as connection:
        asked = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                 ("synchronous", "journal_mode", "foreign_keys")}  # fmt: skip
    assert asked == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


@pytest.mark.parametrize(
    "name", ["odd % name.sqlite", "what?is=this.sqlite", "ü漢.sqlite", "a#b.sqlite", "file:x.sqlite"]
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    run = some(tmp_path / name)
    assert (tmp_path / name).exists()
    with Records.open(tmp_path / name) as records:
        assert len(records.alerts(run)) == 3


def test_a_failed_write_is_rolled_back_whole(tmp_path: Path) -> None:
    """The alerts go in, their evidence fails: neither stays."""
    with Records.open(tmp_path / "r.sqlite") as records:
        run = records.start_run(Actor(), "run")
        with records._engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON alert_evidence WHEN NEW.alert_id = 'a3' "
                "BEGIN SELECT RAISE(ABORT, 'no space'); END"
            )
        with pytest.raises(StoreError):
            records.raise_alerts(run, [Raised(f"a{rank}", rank, f"E{rank}") for rank in range(1, 6)])
        assert records.alerts(run) == []
        with records._engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER full")
        assert records.raise_alerts(run, [Raised(f"a{rank}", rank, f"E{rank}") for rank in range(1, 6)]) == 5
        assert len(records.alerts(run)) == 5


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_records import Raised
from greywater.stores.records import Records
from greywater.vocab import Actor
records = Records.open(Path({path!r}))
for batch in range(100_000):
    run = records.start_run(Actor(), "run")
    records.raise_alerts(run, [Raised(f"{{run}}-{{rank}}", rank, f"E{{rank}}") for rank in range(1, 51)])
    sys.stdout.write(run + "\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("seed", range(30 if os.environ.get("GREYWATER_FULL") == "1" else 2))
def test_a_killed_writer_leaves_whole_runs_only(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "r.sqlite"
    code = WRITER.format(folder=str(Path(__file__).parent), path=str(path))
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip()]
    time.sleep(0.02 + 0.013 * seed)
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    with Records.open(path) as records:
        assert records.check() == []
        held = {run.id: len(records.alerts(run.id)) for run in records.runs()}
    assert set(held.values()) <= {0, 50}
    assert acknowledged
    assert all(held[run] == 50 for run in acknowledged)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE alerts SET payload = replace(payload, 'E2', 'E9') WHERE id = 'a2'", "SHA-256"),
        ("UPDATE alerts SET sha256 = '00' WHERE id = 'a2'", "SHA-256"),
        ("UPDATE alerts SET rank = 77 WHERE id = 'a2'", "rank"),
        ("UPDATE alerts SET entity = 'X' WHERE id = 'a2'", "entity"),
        ("DELETE FROM alert_evidence WHERE alert_id = 'a2'", "evidence"),
        ("UPDATE alert_evidence SET tx_id = 'other' WHERE alert_id = 'a2'", "evidence"),
    ],
)
def test_check_finds_what_was_changed_behind_our_back(tmp_path: Path, change: str, told: str) -> None:
    some(tmp_path / "r.sqlite")
    assert behind_our_back(tmp_path / "r.sqlite", change) == 1
    with Records.open(tmp_path / "r.sqlite") as records:
        (finding,) = records.check()
    assert finding.where == "alert a2"
    assert told in finding.found
    assert finding.mend


def test_check_finds_rows_that_refer_to_nothing(tmp_path: Path) -> None:
    some(tmp_path / "r.sqlite")
    assert behind_our_back(tmp_path / "r.sqlite", "DELETE FROM alerts WHERE id = 'a2'") == 1
    with Records.open(tmp_path / "r.sqlite") as records:
        (finding,) = records.check()
    assert "refer to nothing" in finding.found


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    (tmp_path / "r.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreDamagedError, match="not a database"):
        Records.open(tmp_path / "r.sqlite")
    assert (tmp_path / "r.sqlite").read_bytes().startswith(b"this is not")


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreAccessError, match="To mend"):
        Records.open(tmp_path / "missing" / "r.sqlite")
    with pytest.raises(StoreAccessError):
        Records.open(tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "oracle+x://h/d", "", "http://example.com"])
def test_what_is_no_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="sqlite:FILE"):
        Records.open(url)


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    some(tmp_path / "r.sqlite")
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="another version"):
        Records.open(tmp_path / "r.sqlite")
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM alerts").fetchone() == (3,)
    connection.close()


def test_a_second_writer_waits_then_fails_naming_the_reason(tmp_path: Path) -> None:
    with Records.open(tmp_path / "r.sqlite") as records:
        holder = sqlite3.connect(tmp_path / "r.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with records._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 50")
        with pytest.raises(StoreLockedError, match="another process"):
            records.audit(Actor(), "run", "x", "done")
        assert records.audits() == []
        holder.execute("COMMIT")
        holder.close()
        assert records.audit(Actor(), "run", "x", "done") == 1


def test_several_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from greywater.stores.records import Records; from greywater.vocab import Actor\n"
        f"records = Records.open(Path({str(tmp_path / 'r.sqlite')!r}))\n"
        "for i in range(20): records.audit(Actor(), 'run', str(i), 'done')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    with Records.open(tmp_path / "r.sqlite") as records:
        assert len(records.audits()) == 60


def test_a_killed_migration_leaves_an_empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails halfway leaves no table behind, and the next opening does it whole."""
    from alembic import op

    whole = op.create_index

    def broken(*_: object, **__: object) -> None:
        raise StoreError("the power went")

    monkeypatch.setattr(op, "create_index", broken)
    with pytest.raises(StoreError, match="the power went"):
        Records.open(tmp_path / "r.sqlite")
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    monkeypatch.setattr(op, "create_index", whole)
    assert some(tmp_path / "r.sqlite")


def test_the_records_of_an_alert_survive_as_they_were(tmp_path: Path) -> None:
    run = some(tmp_path / "r.sqlite", 1)
    with Records.open(tmp_path / "r.sqlite") as records:
        (alert,) = records.alerts(run)
    assert isinstance(alert, AlertRecord)
    assert alert.payload == Raised("a1", 1, "E1").payload()
