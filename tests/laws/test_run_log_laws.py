"""The laws of what runs leave beside their record: in SQLite and in PostgreSQL, the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greywater.errors import StoreError
from greywater.stores.records import Records
from greywater.stores.run_log import ArtefactRecord, RunLog, StepRecord
from greywater.vocab import Actor


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path, new_postgres: Callable[[], str]) -> Iterator[Records]:
    url = {"memory": "sqlite::memory:", "sqlite": str(f"sqlite:{tmp_path / 'records.sqlite'}")}.get(request.param)
    with Records.open(url or new_postgres()) as opened:
        yield opened


def test_steps_come_back_in_order_and_stay(records: Records) -> None:
    log, first, second = RunLog(records.database), *(records.start_run(Actor(), "train") for _ in range(2))
    log.add_steps([StepRecord(first, "b", "score", step, value) for step, value in ((10, 0.5), (2, math.nan))])
    log.add_steps([StepRecord(second, "a", "loss", 1, 2.5, at_us=7), StepRecord(first, "a", "ü\0%", 1, -1e300)])
    log.add_steps([])
    told = [(one.run_id, one.series, one.name, one.step, one.value) for one in log.steps([first])]
    assert told == [(first, "a", "ü\0%", 1, -1e300), (first, "b", "score", 2, None), (first, "b", "score", 10, 0.5)]
    assert {one.run_id for one in log.steps([first, second])} == {first, second}
    assert log.steps([second])[0].at.year == 1970
    assert log.steps([]) == []
    twice = [StepRecord(second, "a", "loss", 2, 1.0), StepRecord(second, "a", "loss", 1, 9.0)]
    with pytest.raises(StoreError, match="written before"):
        log.add_steps(twice)
    with pytest.raises(StoreError, match="no such run"):
        log.add_steps([StepRecord("nobody", "", "score", 1, 1.0)])
    assert len(log.steps([second])) == 1


def test_files_and_tags_are_written_once(records: Records) -> None:
    log, run = RunLog(records.database), records.start_run(Actor(), "train")
    file = ArtefactRecord(run, "model.txt", "models/x/model.txt", 3, "ab" * 32)
    log.add_artefacts([file])
    assert log.artefacts([run]) == log.artefacts() == [file]
    with pytest.raises(StoreError, match="file of that name"):
        log.add_artefacts([file])
    assert log.tag(Actor(), run, ["best", "a b"]) == 2
    assert log.tag(Actor(), run, ["best"]) == 0
    assert log.tags() == {run: ("a b", "best")}
    assert [row.object for row in records.audits()] == [f"tags of run {run}"] * 2
    with pytest.raises(StoreError, match="no such run"):
        log.tag(Actor(), "nobody", ["best"])


@pytest.mark.parametrize("name", ["run_steps", "run_artefacts", "run_tags"])
def test_nothing_is_changed_or_taken_away(records: Records, name: str) -> None:
    log, run = RunLog(records.database), records.start_run(Actor(), "train")
    log.add_steps([StepRecord(run, "", "score", 1, 1.0)])
    log.add_artefacts([ArtefactRecord(run, "a", "a", 1, "ab")])
    log.tag(Actor(), run, ["best"])
    for act in (f"DELETE FROM {name}", f"UPDATE {name} SET run_id = 'x'"):
        with pytest.raises(StoreError, match="only grows"), records.database.transaction(writes=True) as connection:
            connection.exec_driver_sql(act)
