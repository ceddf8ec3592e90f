"""A pipeline as a TOML file: read and checked whole before anything runs, with errors that name the place."""

from __future__ import annotations

import hashlib
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from greywater.app.pipeline_tables import (
    NEEDS,
    STEPS,
    PipelineTable,
    ScheduleTable,
    StepTable,
    TrainTable,
    TuneTable,
)
from greywater.config import Settings
from greywater.errors import FormatError, UsageError

__all__ = ["OUTSIDE", "Pipeline", "file_digests", "read_pipeline", "step_named"]

#: Settings that say where and how fast, and change no result: they are given outside of the file.
OUTSIDE: Final = frozenset({"store", "project", "records", "threads", "chunk_rows", "sort_memory_mb"})
_PLACE: Final = re.compile(r"(?P<said>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as its file declares it.

    Parameters
    ----------
    path : Path
        The file; paths in it are from its folder.
    name : str
    store, project
        None = as the command or the environment says.
    settings : dict
        Settings of `[settings]`, in their types.
    steps : dict of str to StepTable
        In the order in which they run.
    schedule : ScheduleTable
    """

    path: Path
    name: str
    store: Path | None
    project: str | None
    steps: dict[str, StepTable]
    settings: dict[str, Any] = field(default_factory=dict)
    schedule: ScheduleTable = field(default_factory=ScheduleTable)

    def settled(self, settings: Settings, store: Path | None = None, project: str | None = None) -> Settings:
        """Settings for its steps: those given, then the file's, then store and project of the command.

        Raises
        ------
        UsageError
            The settings contradict each other.
        """
        try:
            within = settings.with_(store=self.store, project=self.project, **self.settings)
        except UsageError as error:
            raise UsageError(error.found, where=f"{self.path}, [settings]", mend=error.mend) from None
        return within.with_(store=store, project=project)

    def beside(self, path: str) -> Path:
        """A path of the file, from the file's folder."""
        return self.path.absolute().parent / Path(path).expanduser()

    def step(self, word: str, option: str) -> str:
        """One of its steps by name.

        Raises
        ------
        UsageError
            It has no such step.
        """
        name = step_named(word, option)
        if name not in self.steps:
            raise UsageError(
                f"the pipeline {self.name!r} has no step {name!r}", where=option,
                mend=f"give one of {', '.join(self.steps)}, or add [{name}] to {self.path}",
            )  # fmt: skip
        return name


def step_named(word: str, option: str) -> str:
    """The step that a word names; `training-set` is as good as `training_set`.

    Examples
    --------
    >>> step_named("training-set", "--from")
    'training_set'
    """
    name = word.strip().lower().replace("-", "_")
    if name not in STEPS:
        raise UsageError(f"there is no step {word!r}", where=option, mend=f"give one of {', '.join(STEPS)}")
    return name


def read_pipeline(path: Path) -> Pipeline:
    """Read a pipeline, and refuse what could not be run before any of it runs.

    Parameters
    ----------
    path : Path
        A TOML file: `[pipeline]` with a name, one table a step in the order in which they run, and if wanted
        `[settings]` and `[schedule]`.

    Raises
    ------
    FormatError
        The file is no TOML, or has words or values that mean nothing; the message names the table.
    UsageError
        A step needs another one that is not there, steps stand in another order, or a table contradicts itself.

    Examples
    --------
    >>> place = getfixture("tmp_path") / "monthly.toml"
    >>> _ = place.write_text('[pipeline]\\nname = "monthly"\\n[backfill]\\n[train]\\ndetector = "boosted"\\n')
    >>> pipeline = read_pipeline(place)
    >>> pipeline.name, list(pipeline.steps), pipeline.steps["train"].detector
    ('monthly', ['backfill', 'train'], 'boosted')
    """
    tables = _tables(path)
    head = _converted(tables.pop("pipeline", None), PipelineTable, path, "pipeline")
    schedule = _converted(tables.pop("schedule", {}), ScheduleTable, path, "schedule")
    settings = _settings(tables.pop("settings", {}), path)
    unknown = [name for name in tables if name not in STEPS]
    if unknown:
        raise FormatError(
            f"{', '.join(unknown)} means nothing here", where=str(path),
            mend=f"use [pipeline], [settings], [schedule] and the steps {', '.join(STEPS)}",
        )  # fmt: skip
    steps = {name: _converted(table, STEPS[name], path, name) for name, table in tables.items()}
    _refuse_order(list(steps), path)
    _share_detector(steps, path)
    train = steps.get("train")
    judging = [name for name in ("evaluate", "propose") if name in steps]
    if isinstance(train, TrainTable) and train.whole and judging:
        raise UsageError(
            "a model that learned from everything has nothing left to be judged on", where=f"{path}, [train]",
            mend=f"leave out whole = true, or {' and '.join(judging)}",
        )  # fmt: skip
    store = None if head.store is None else path.absolute().parent / Path(head.store).expanduser()
    pipeline = Pipeline(path, head.name, store, head.project, steps, settings, schedule)
    pipeline.settled(Settings())
    _refuse_missing_files(pipeline)
    return pipeline


def _tables(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(
            f"the file cannot be read: {error.strerror}", where=str(path), mend="name a TOML file"
        ) from None
    except UnicodeDecodeError:
        raise FormatError("the file is not UTF-8 text", where=str(path), mend="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"this is no TOML: {error}", where=str(path), mend="mend that line") from None
    return {name: _without_moments(value) for name, value in found.items()}


def _without_moments(value: Any) -> Any:
    """Dates and times of TOML as texts: each table says itself what it takes."""
    if isinstance(value, dict):
        return {name: _without_moments(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_moments(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _converted(table: Any, kind: Any, path: Path, name: str) -> Any:
    """A table in its type; what is wrong is told with its place."""
    where = f"{path}, [{name}]"
    if table is None:
        raise FormatError(f"the table [{name}] is missing", where=str(path), mend=f'write [{name}] and name = "..."')
    if isinstance(table, list):
        raise FormatError(f"{name} is a list of tables", where=where, mend=f"write [{name}] once")
    try:
        return msgspec.convert(table, kind)
    except UsageError as error:
        at = f", {error.where}" if error.where else ""
        raise UsageError(error.found, where=where + at, mend=error.mend) from None
    except msgspec.ValidationError as error:
        match = _PLACE.fullmatch(str(error))
        said, at = (match["said"], match["path"] or "") if match else (str(error), "")
        words = [one.encode_name for one in msgspec.structs.fields(kind)]
        raise FormatError(
            said[:1].lower() + said[1:], where=where + (f", {at.lstrip('.')}" if at else ""),
            mend=f"use {', '.join(words)}" if "field" in said else "docs/pipelines.md says what each word takes",
        ) from None  # fmt: skip


def _settings(table: Any, path: Path) -> dict[str, Any]:
    where = f"{path}, [settings]"
    if not isinstance(table, dict):
        raise FormatError("settings is no table", where=where, mend="write [settings]")
    kinds = {name: kind for name, kind in typing.get_type_hints(Settings).items() if name not in OUTSIDE}
    found = {}
    for name, value in table.items():
        if name not in kinds:
            mend = "give store and project in [pipeline], others by GREYWATER_*" if name in OUTSIDE else ""
            raise FormatError(f"there is no setting {name!r} here", where=where, mend=mend or "see docs/settings.md")
        try:
            found[name] = msgspec.convert(value, kinds[name])
        except msgspec.ValidationError as error:
            said = str(error)
            raise FormatError(
                f"{name}: {said[:1].lower()}{said[1:]}", where=where, mend="see docs/settings.md"
            ) from None
    return found


def _refuse_order(steps: list[str], path: Path) -> None:
    if not steps:
        raise UsageError(
            "no step is declared", where=str(path), mend=f"write [backfill], [train]...: {', '.join(STEPS)}"
        )
    order = [name for name in STEPS if name in steps]
    if order != steps:
        raise UsageError(
            f"the steps stand as {', '.join(steps)}",
            where=str(path),
            mend=f"write them as they run: {', '.join(order)}",
        )
    for name in steps:
        for needed in NEEDS.get(name, ()):
            if needed not in steps:
                raise UsageError(
                    f"{name} needs {needed}, which is missing",
                    where=f"{path}, [{name}]",
                    mend=f"write [{needed}] before",
                )


def _share_detector(steps: dict[str, StepTable], path: Path) -> None:
    """What is tuned is what is trained, whichever of the two tables names it."""
    tables = [table for name in ("tune", "train") if isinstance(table := steps.get(name), TuneTable | TrainTable)]
    named = {table.detector for table in tables if table.detector is not None}
    if len(named) > 1:
        raise UsageError(
            "one detector is tuned and another trained", where=f"{path}, [tune], [train]", mend="name it in one of them"
        )
    for name in ("tune", "train"):
        table = steps.get(name)
        if named and isinstance(table, TuneTable | TrainTable):
            steps[name] = msgspec.structs.replace(table, detector=next(iter(named)))


def _refuse_missing_files(pipeline: Pipeline) -> None:
    for name, table in pipeline.steps.items():
        for word, given in table.files().items():
            if not pipeline.beside(given).is_file():
                raise UsageError(
                    f"{word} names no file", where=f"{pipeline.path}, [{name}], {given}",
                    mend="name a file that is there; paths are from the folder of the pipeline",
                )  # fmt: skip


def file_digests(pipeline: Pipeline, table: StepTable) -> Mapping[str, str]:
    """SHA-256 of the files that a step reads, by the word that names them."""
    return {
        word: hashlib.sha256(pipeline.beside(given).read_bytes()).hexdigest() for word, given in table.files().items()
    }
