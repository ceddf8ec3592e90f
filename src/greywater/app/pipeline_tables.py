"""What may stand in a pipeline's file: one frozen table a step, with its defaults and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from greywater.config import DETECTORS
from greywater.desk.budget import Budget
from greywater.errors import GreywaterError, UsageError
from greywater.featurestore.splits import split_of
from greywater.featurestore.training_record import moment_us

__all__ = [
    "NEEDS",
    "STEPS",
    "BackfillTable",
    "DriftTable",
    "EvaluateTable",
    "PipelineTable",
    "ProposeTable",
    "RuleTable",
    "ScheduleTable",
    "StepTable",
    "TrainTable",
    "TrainingSetTable",
    "TuneTable",
    "ValidateTable",
]  # fmt: skip

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VIEW: Final = re.compile(r"[^@]+(@[0-9]+)?")
_CRON: Final = re.compile(r"@(hourly|daily|weekly|monthly|yearly)|\S+( \S+){4}")
#: Measures that a line can be drawn for in `least` of [evaluate].
MEASURES: Final = (
    "average_precision", "roc_auc", "precision", "recall", "f1", "f2", "precision_at_budget", "recall_at_budget",
)  # fmt: skip


def _moment(words: str | None, name: str) -> int | None:
    """Microseconds since 1970 of a date or a moment; None of None."""
    try:
        return None if words is None else moment_us(words)
    except (GreywaterError, ValueError):
        raise UsageError(f"{words!r} is no date", where=name, mend="write 2024-01-31 or 2024-01-31T12:00:00Z") from None


def _refuse_detector(name: str | None) -> None:
    if name is not None and name not in DETECTORS:
        raise UsageError(f"no detector is named {name!r}", where="detector", mend=f"give one of {', '.join(DETECTORS)}")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown words are refused."""


class StepTable(_Table, frozen=True):
    """What every step has."""

    def parameters(self) -> dict[str, Any]:
        """All that was given or is the default, in JSON types."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def files(self) -> dict[str, str]:
        """Files that the step reads, by the word that names them."""
        return {}


class PipelineTable(_Table, frozen=True):
    """`[pipeline]`: its name, and which project it works on."""

    name: str
    store: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot be the name of a pipeline", where="name",
                mend="use lower-case letters, digits, - and _, beginning with a letter",
            )  # fmt: skip


class ScheduleTable(_Table, frozen=True):
    """`[schedule]`: when another scheduler runs it, for `greywater pipeline export`."""

    cron: str = "@daily"
    start: str = "2024-01-01"
    retries: int = 2
    retry_minutes: float = 5.0
    command: str = "greywater"

    def __post_init__(self) -> None:
        if not _CRON.fullmatch(self.cron):
            raise UsageError(
                f"{self.cron!r} is no schedule", where="cron", mend='write "@daily" or five fields such as "0 3 1 * *"'
            )
        _moment(self.start, "start")
        if not 0 <= self.retries <= 100 or not 0 <= self.retry_minutes <= 10_080:
            raise UsageError(
                "retries cannot be so many or so late", where="retries", mend="give 0 to 100, up to a week"
            )


class BackfillTable(StepTable, frozen=True):
    """`[backfill]`: the payments' features, written into their group."""

    begin: str | None = msgspec.field(name="from", default=None)
    end: str | None = msgspec.field(name="to", default=None)
    engine: Literal["local", "spark"] = "local"
    master: str = "local[*]"
    slices: int = 0
    known_time: Literal["event_time", "recorded_time"] = "event_time"
    features: tuple[str, ...] = ()
    statistics: bool = False

    def __post_init__(self) -> None:
        begin, end = _moment(self.begin, "from"), _moment(self.end, "to")
        if begin is not None and end is not None and begin >= end:
            raise UsageError("the time range is empty", where="from, to", mend="let from be before to")
        if self.slices < 0:
            raise UsageError(f"{self.slices} slices", where="slices", mend="give 0 or more")


class RuleTable(_Table, frozen=True):
    """`[[validate.rules]]`: what is asked of the rows, as of a group's rules."""

    kind: Literal["range", "not_null", "null_share", "unique", "freshness", "one_of", "expression"]
    feature: str = ""
    action: Literal["reject", "warn"] = "reject"
    least: int | float | str | None = None
    most: int | float | str | None = None
    values: tuple[int | float | str | bool, ...] | None = None
    most_seconds: float | None = None
    text: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Its parameters: what is beside kind, feature and action."""
        words = ("least", "most", "values", "most_seconds", "text")
        return {name: getattr(self, name) for name in words if getattr(self, name) is not None}


class DriftTable(_Table, frozen=True):
    """`[validate.drift]`: two windows of event time, FROM..TO, that are compared."""

    reference: str
    live: str
    features: tuple[str, ...] = ()
    action: Literal["reject", "warn"] = "warn"

    def __post_init__(self) -> None:
        for name in ("reference", "live"):
            begin, dots, end = getattr(self, name).partition("..")
            if not dots or (_moment(begin, name) or 0) >= (_moment(end, name) or 0):
                raise UsageError(
                    f"{getattr(self, name)!r} is no window of time", where=name, mend='write "2024-01-01..2024-04-01"'
                )


class ValidateTable(StepTable, frozen=True):
    """`[validate]`: what the backfilled rows must be like before anything learns from them."""

    least_rows: int = 1
    rules: tuple[RuleTable, ...] = ()
    drift: DriftTable | None = None

    def __post_init__(self) -> None:
        if self.least_rows < 0:
            raise UsageError(f"least_rows is {self.least_rows}", where="least_rows", mend="give 0 or more")


class TrainingSetTable(StepTable, frozen=True):
    """`[training_set]`: label rows with what was known at their moments, in files."""

    view: str | None = None
    columns: tuple[str, ...] = ()
    labels: str = "recorded"
    begin: str = msgspec.field(name="from", default="1970-01-01")
    end: str | None = msgspec.field(name="to", default=None)
    known: str | None = None
    split: str = "time:0.6,0.2,0.2"
    row_id: str = "row_id"
    slices: tuple[str, ...] = ()
    format: Literal["csv", "tsv", "npy", "parquet", "tfrecord"] = "parquet"
    out: str | None = None

    def __post_init__(self) -> None:
        begin, end = _moment(self.begin, "from"), _moment(self.end, "to")
        _moment(self.known, "known")
        if begin is not None and end is not None and begin >= end:
            raise UsageError("the time range is empty", where="from, to", mend="let from be before to")
        if self.view is not None and not _VIEW.fullmatch(self.view):
            raise UsageError(f"{self.view!r} names no view", where="view", mend='write "risk" or "risk@1"')
        if self.view is not None and self.columns:
            raise UsageError(
                "view names a view that is registered, and columns would make one", where="view, columns",
                mend="give one of them",
            )  # fmt: skip
        split_of(self.split, 0)

    def files(self) -> dict[str, str]:
        """The label rows, where they are not the project's own."""
        return {} if self.labels == "recorded" else {"labels": self.labels}


class TuneTable(StepTable, frozen=True):
    """`[tune]`: trials of the detector that is trained then, the best of them used for it."""

    detector: str | None = None
    trials: int | None = None
    minutes: float | None = None
    money: float | None = None
    per_hour: float | None = None
    sampler: str = "tpe"
    pruner: str = "asha"
    workers: int | None = None
    space: str | None = None

    def __post_init__(self) -> None:
        _refuse_detector(self.detector)
        for name in ("trials", "minutes", "money", "per_hour", "workers"):
            given = getattr(self, name)
            if given is not None and not 0 < given < float("inf"):
                raise UsageError(f"{name} is {given:g}", where=name, mend="give a number above 0")
        if (self.money is None) != (self.per_hour is None):
            raise UsageError("a budget of money needs a price", where="money, per_hour", mend="give both")

    def files(self) -> dict[str, str]:
        """The search space, where it is not the detector's own."""
        return {} if self.space is None else {"space": self.space}


class TrainTable(StepTable, frozen=True):
    """`[train]`: the detector that is fitted."""

    detector: str | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        _refuse_detector(self.detector)


class EvaluateTable(StepTable, frozen=True):
    """`[evaluate]`: how good the fitted model is on payments it has not seen, and how good it must be."""

    resamples: int = 200
    budget: str = "20/day"
    least: dict[str, float] = {}
    card: str | None = None
    report: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.resamples <= 100_000:
            raise UsageError(f"{self.resamples} resamples cannot be drawn", where="resamples", mend="give 1 to 100,000")
        try:
            Budget.parse(self.budget)
        except UsageError as error:
            raise UsageError(error.found, where="budget", mend=error.mend) from None
        for name, line in self.least.items():
            if name not in MEASURES or not 0.0 <= line <= 1.0:
                raise UsageError(
                    f"{name} = {line:g} is no line for a measure", where="least",
                    mend=f"give 0 to 1 for {', '.join(MEASURES)}",
                )  # fmt: skip


class ProposeTable(StepTable, frozen=True):
    """`[propose]`: the fitted model measured against the champion, and a proposal to promote it."""

    must_pass: bool = False


#: The steps in the order in which they run.
STEPS: Final[Mapping[str, type[StepTable]]] = MappingProxyType(
    {
        "backfill": BackfillTable,
        "validate": ValidateTable,
        "training_set": TrainingSetTable,
        "tune": TuneTable,
        "train": TrainTable,
        "evaluate": EvaluateTable,
        "propose": ProposeTable,
    }
)
#: What a step takes from earlier ones: without them it cannot run.
NEEDS: Final = MappingProxyType(
    {"validate": ("backfill",), "training_set": ("backfill",), "evaluate": ("train",), "propose": ("train",)}
)
