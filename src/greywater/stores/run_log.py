"""What runs leave beside their record: measures step by step, files by their SHA-256, tags."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from greywater.errors import StoreError, UsageError
from greywater.stores.ports import Finding
from greywater.stores.record_database import RecordDatabase, table
from greywater.stores.record_rows import moment, now_us
from greywater.stores.records import write_audit
from greywater.vocab import Actor

__all__ = ["ArtefactRecord", "RunLog", "StepRecord"]

_META: Final = sa.MetaData()
_STEPS: Final = table(_META, "run_steps", run_id=str, series=str, name=str, step=int, value=float, at_us=int)
_ARTEFACTS: Final = table(_META, "run_artefacts", run_id=str, name=str, path=str, bytes=int, sha256=str, at_us=int)
_TAGS: Final = table(_META, "run_tags", run_id=str, tag=str, principal=str, at_us=int)
LONGEST_TAG: Final = 100


@dataclass(frozen=True)
class StepRecord:
    """A measure after a step of a fit.

    Parameters
    ----------
    run_id : str
        Which fit.
    series : str
        Which part of the detector tells, empty where there is one only.
    name : str
        The measure.
    step : int
        From 1.
    value : float or None
        None where it is not defined.
    at_us : int
        When, microseconds since 1970; 0 = now.
    """

    run_id: str
    series: str
    name: str
    step: int
    value: float | None
    at_us: int = 0

    @property
    def at(self) -> datetime:
        """When it was told, in UTC."""
        return moment(self.at_us)


@dataclass(frozen=True)
class ArtefactRecord:
    """A file that a run left; `path` is relative to the project's folder."""

    run_id: str
    name: str
    path: str
    bytes: int
    sha256: str


class RunLog:
    """Steps, files and tags of runs, in the database of the project's records; what was written once stays.

    Parameters
    ----------
    database : RecordDatabase
        For example `Records.database`.

    Examples
    --------
    >>> from greywater.stores.records import Records
    >>> with Records.open("sqlite::memory:") as records:
    ...     log, run = RunLog(records.database), records.start_run(Actor(), "train")
    ...     log.add_steps([StepRecord(run, "boosted", "score", step, step / 10) for step in (1, 2)])
    ...     [(one.step, one.value) for one in log.steps([run])]
    [(1, 0.1), (2, 0.2)]
    """

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database

    def add_steps(self, steps: Iterable[StepRecord]) -> None:
        """Write measures in one commit; a value that is not finite is kept as not defined.

        Raises
        ------
        StoreError
            There is no such run, or a measure of that step was written before.
        """
        now = now_us()
        rows = [
            {
                "run_id": one.run_id, "series": one.series, "name": one.name, "step": one.step,
                "value": None if one.value is None or not math.isfinite(one.value) else float(one.value),
                "at_us": one.at_us or now,
            }
            for one in steps
        ]  # fmt: skip
        self._add(_STEPS, rows, "a measure of this step was written before")

    def steps(self, runs: Sequence[str]) -> list[StepRecord]:
        """The measures of some runs, by run, series, measure and step."""
        order = (_STEPS.c.run_id, _STEPS.c.series, _STEPS.c.name, _STEPS.c.step)
        chosen = _STEPS.select().where(_STEPS.c.run_id.in_(runs)).order_by(*order)
        with self._database.transaction() as connection:
            return [StepRecord(**row) for row in connection.execute(chosen).mappings()]

    def add_artefacts(self, artefacts: Iterable[ArtefactRecord]) -> None:
        """Write which files a run left, in one commit.

        Raises
        ------
        StoreError
            There is no such run, or it left a file of that name before.
        """
        now = now_us()
        rows = [
            {
                "run_id": one.run_id, "name": one.name, "path": one.path, "bytes": one.bytes, "sha256": one.sha256,
                "at_us": now,
            }
            for one in artefacts
        ]  # fmt: skip
        self._add(_ARTEFACTS, rows, "the run left a file of that name before")

    def artefacts(self, runs: Sequence[str] | None = None) -> list[ArtefactRecord]:
        """The files of some runs, or of all, by run and name."""
        columns = [_ARTEFACTS.c[name] for name in ("run_id", "name", "path", "bytes", "sha256")]
        chosen = sa.select(*columns).order_by(_ARTEFACTS.c.run_id, _ARTEFACTS.c.name)
        if runs is not None:
            chosen = chosen.where(_ARTEFACTS.c.run_id.in_(runs))
        with self._database.transaction() as connection:
            return [ArtefactRecord(**row) for row in connection.execute(chosen).mappings()]

    def check(self, folder: Path) -> list[Finding]:
        """Files in the project's folder that are not what was written, or gone."""
        findings = []
        for one in self.artefacts():
            try:
                same = hashlib.sha256((folder / one.path).read_bytes()).hexdigest() == one.sha256
                found = "" if same else "the file is not what run {} left: its SHA-256 differs"
            except OSError as error:
                found = f"the file that run {{}} left cannot be read: {error.strerror}"
            if found:
                findings.append(Finding(str(folder / one.path), found.format(one.run_id), "bring it back from a copy"))
        return findings

    def tag(self, actor: Actor, run_id: str, tags: Sequence[str]) -> int:
        """Put tags on a run, with an audit row in the same commit; returns how many it did not have.

        Raises
        ------
        UsageError
            A tag is empty, too long or holds a comma or a line break.
        StoreError
            There is no such run.
        """
        for tag in tags:
            if not tag.strip() or len(tag) > LONGEST_TAG or any(letter in tag for letter in ",\n\r\0"):
                raise UsageError(
                    f"{tag[:LONGEST_TAG]!r} cannot be a tag",
                    where="--tag",
                    mend=f"give up to {LONGEST_TAG} letters, no comma and no line break",
                )
        now = now_us()
        rows: list[dict[str, Any]] = [
            {"run_id": run_id, "tag": tag.strip(), "principal": actor.principal, "at_us": now}
            for tag in dict.fromkeys(tags)
        ]
        if not rows:
            return 0
        try:
            with self._database.transaction(writes=True) as connection:
                added = self._database.insert_new(_TAGS, rows, connection)
                write_audit(connection, actor, "train", f"tags of run {run_id}", "done", {"tags": list(tags)})
        except StoreError as error:
            raise _said(error, "") from error.__cause__
        return added

    def tags(self) -> dict[str, tuple[str, ...]]:
        """The tags of every run that has any, sorted."""
        chosen = sa.select(_TAGS.c.run_id, _TAGS.c.tag).order_by(_TAGS.c.run_id, _TAGS.c.tag)
        found: dict[str, list[str]] = {}
        with self._database.transaction() as connection:
            for run_id, tag in connection.execute(chosen):
                found.setdefault(run_id, []).append(tag)
        return {run_id: tuple(sorted(held)) for run_id, held in found.items()}

    def _add(self, into: sa.Table, rows: list[dict[str, Any]], twice: str) -> None:
        if not rows:
            return
        try:
            with self._database.transaction(writes=True) as connection:
                connection.execute(into.insert(), rows)
        except StoreError as error:
            raise _said(error, twice) from error.__cause__


def _said(error: StoreError, twice: str) -> StoreError:
    """What a broken rule of the tables means in words."""
    if not isinstance(error.__cause__, sa.exc.IntegrityError):
        return error
    if "foreign" in str(error.__cause__.orig).lower() or not twice:
        return StoreError("there is no such run", mend="look at the list of runs of this project")
    return StoreError(twice, mend="begin a new run")
