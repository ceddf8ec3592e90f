"""Check: silent on a sound store, and each kind of damage is found and named."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from greywater.app.check import check
from greywater.errors import AccessDeniedError, StoreError, StoreLockedError
from greywater.featurestore.definitions import FeatureField, FeatureGroup
from greywater.stores.lock import WriterLock
from greywater.stores.open import open_offline
from greywater.stores.project_file import ProjectFile
from greywater.vocab import Actor

ROWS = [[f"t{number}", f"2024-01-{1 + number % 28:02}", "A", "B", "5", "USD", "0", ""] for number in range(150)]


@pytest.fixture
def recorded(desk: Any) -> Any:
    accounts = desk.file("accounts.csv", [("A", "c1")], ("account", "customer"))
    desk.ingest(desk.file("a.csv", ROWS), accounts=accounts)
    return desk


class Watched:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str, total: int | None = None) -> None:
        self.steps.append(name)

    def advance(self, amount: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


def test_a_sound_store(recorded: Any) -> None:
    watched = Watched()
    before = recorded.state()
    result = check(Actor(), recorded.settings, watched)
    assert result.findings == ()
    assert (result.payments, result.files, result.rejected, result.alerts) == (150, 1, 0, 0)
    assert result.records == {
        "labels": 150,
        "accounts": 1,
        "parties": 0,
        "relationships": 0,
        "seeds": 0,
        "attributes": 0,
    }
    assert watched.steps[0] == "verifying payments"
    assert recorded.state() == before


def test_a_flipped_bit_in_a_feature_group(recorded: Any) -> None:
    offline = open_offline(f"delta:{recorded.settings.project_folder}")
    group = FeatureGroup("credit", 1, ("customer",), ("string",), (FeatureField("score", "float64"),))
    offline.create(group.layout)
    moment = pa.array([5, 6], pa.timestamp("us", tz="UTC"))
    rows = {"customer": ["a", "b"], "event_time": moment, "known_time": moment, "score": [0.5, 0.25]}
    offline.append("credit", 1, pa.table(rows))
    assert check(Actor(), recorded.settings).findings == ()
    (part,) = (recorded.settings.project_folder / "groups").rglob("*.parquet")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert any(part.name in finding.where for finding in check(Actor(), recorded.settings).findings)


@pytest.mark.parametrize("table", ["ledger", "labels", "files"])
def test_a_flipped_bit(recorded: Any, table: str) -> None:
    part = next((recorded.settings.project_folder / table).glob("*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 1
    part.write_bytes(content)
    findings = check(Actor(), recorded.settings).findings
    assert any(part.name in finding.where or part.name in finding.found for finding in findings), findings
    assert all(finding.mend for finding in findings)


def test_an_interrupted_recording(desk: Any) -> None:
    class Stopping(Watched):
        def advance(self, amount: int) -> None:
            if self.steps[-1] == "recording":
                raise KeyboardInterrupt

    path = desk.file("a.csv", ROWS)
    with pytest.raises(KeyboardInterrupt):
        desk.ingest(path, progress=Stopping())
    (finding,) = check(Actor(), desk.settings).findings
    assert "a.csv was interrupted after 64 payments" in finding.found
    assert "same greywater ingest command" in finding.mend
    desk.ingest(path)
    assert check(Actor(), desk.settings).findings == ()


def test_interrupted_and_recorded_with_another_file(desk: Any) -> None:
    class Stopping(Watched):
        def advance(self, amount: int) -> None:
            if self.steps[-1] == "recording":
                raise KeyboardInterrupt

    path = desk.file("a.csv", ROWS)
    with pytest.raises(KeyboardInterrupt):
        desk.ingest(path, progress=Stopping())
    other = desk.file("b.csv", [["u1", "2024-02-01", "A", "B", "5", "USD"]])
    result = desk.ingest(path, other)
    assert (result.counts.recorded, result.counts.duplicate) == (87, 64)
    assert check(Actor(), desk.settings).findings == ()


def test_payments_nobody_accounts_for(recorded: Any) -> None:
    folder = recorded.settings.project_folder
    for path in sorted((folder / "files").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "files").rmdir()
    findings = check(Actor(), recorded.settings).findings
    assert any("the files recorded account for 0" in finding.found for finding in findings)


def test_who_and_when(recorded: Any) -> None:
    with pytest.raises(AccessDeniedError):
        check(Actor(role="investigator"), recorded.settings)
    with WriterLock(recorded.settings.project_folder), pytest.raises(StoreLockedError):
        check(Actor(), recorded.settings)
    assert check(Actor(role="auditor"), recorded.settings).findings == ()


def test_no_store(desk: Any) -> None:
    with pytest.raises(StoreError, match="no project"):
        check(Actor(), desk.settings)
    assert not desk.settings.store.exists()


def test_a_damaged_project_file(recorded: Any) -> None:
    (recorded.settings.project_folder / "project.json").write_text('{"layout": 1, "unfinished": 3}')
    (finding,) = check(Actor(), recorded.settings).findings
    assert "project's file cannot be read" in finding.found
    assert ProjectFile().begun("i", ("a",), ("s",), 5).settled(9).unfinished[0].recorded(9) == 4
