"""Reads the fits that a project has written down: listed, looked at one by one, laid side by side."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from greywater.app.audit import audited
from greywater.app.fit_notes import CURVES
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.stores.record_rows import RunRecord
from greywater.stores.run_log import ArtefactRecord, RunLog, StepRecord
from greywater.vocab import Actor

__all__ = [
    "Choice", "Comparison", "Experiment", "compare_experiments", "find_run", "list_experiments", "show_experiments",
    "tag_experiment",
]  # fmt: skip

#: Commands that fit, whatever their records hold.
FITS: Final = frozenset({"train", "run", "tune", "trial"})
STATES: Final = ("running", "done", "stopped", "failed")
#: What `where` compares by.
_COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, "=": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_CONDITION: Final = re.compile(r"\s*([\w.-]+)\s*(>=|<=|!=|=|>|<)\s*(.+?)\s*")


@dataclass(frozen=True)
class Choice:
    """Which fits, and in which order.

    Parameters
    ----------
    kind, state, detector, parent : str, optional
        Only those of this command, in this state, of this detector, or that are a part of this run.
    tags : sequence of str
        Only those that have all of them.
    where : sequence of str
        Conditions on measures and parameters, such as `average_precision>=0.2` or `detector=boosted`; all must hold.
    sort : str, optional
        A measure or parameter, highest first; the newest first where left out. Those without it come last.
    lowest : bool
        The lowest first.
    last : int, optional
        At most so many, after sorting.
    """

    kind: str | None = None
    state: str | None = None
    detector: str | None = None
    parent: str | None = None
    tags: Sequence[str] = ()
    where: Sequence[str] = ()
    sort: str | None = None
    lowest: bool = False
    last: int | None = None

    def __post_init__(self) -> None:
        if self.state not in (None, *STATES):
            raise UsageError(f"no fit is ever {self.state!r}", where="--state", mend=f"give one of {', '.join(STATES)}")


@dataclass(frozen=True)
class Experiment:
    """A fit as the records have it; `steps`, `files` and `curves` only where it is shown."""

    run: RunRecord
    tags: tuple[str, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    files: tuple[ArtefactRecord, ...] = ()
    #: Points of its precision-recall curve and spread of its scores; empty where there are none.
    curves: Mapping[str, Any] = field(default_factory=dict)
    #: Files that are not what was written.
    damaged: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`running`, `done`, `stopped` or `failed`."""
        return self.run.outcome or "running"

    @property
    def summary(self) -> dict[str, Any]:
        """What was noted at its end."""
        return self.run.summary or {}

    @property
    def detector(self) -> str:
        """What it fitted."""
        return str(self.summary.get("detector") or self.run.parameters.get("detector") or "")

    @property
    def metrics(self) -> dict[str, float | None]:
        """Its final measures by name."""
        return dict(self.summary.get("metrics") or {})

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was given, and what its detector made of it, by dotted names."""
        own = self.summary.get("detector_parameters") or {}
        return _flat({**self.run.parameters, **({"detector_parameters": own} if own else {})})

    @property
    def origin(self) -> dict[str, Any]:
        """Data, features, code and libraries by dotted names."""
        features = {"features": self.summary["features"]} if self.summary.get("features") else {}
        return _flat({**self.run.versions, **features})

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it goes on."""
        ended = self.run.finished_at
        return None if ended is None else round((ended - self.run.started_at).total_seconds(), 3)

    @property
    def series(self) -> list[dict[str, Any]]:
        """The measures step by step: `series`, `name`, `steps`, `values`."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for one in self.steps:
            held = found.setdefault(
                (one.series, one.name), {"series": one.series, "name": one.name, "steps": [], "values": []}
            )
            held["steps"].append(one.step)
            held["values"].append(one.value)
        return list(found.values())

    def value(self, name: str) -> Any:
        """A measure, a parameter or a fact of it; None where it has none of that name."""
        facts = {"detector": self.detector, "state": self.state, "kind": self.run.command, "seconds": self.seconds}
        for held in (self.metrics, facts, self.parameters, self.origin):
            if held.get(name) is not None:
                return held[name]
        return None

    def to_json(self, *, whole: bool = False) -> dict[str, Any]:
        """As `greywater experiments list --json` has it; `whole` as `show` does."""
        found: dict[str, Any] = {
            "run": self.run.id, "kind": self.run.command, "state": self.state, "detector": self.detector,
            "started_at": self.run.started_at.isoformat(), "seconds": self.seconds, "principal": self.run.principal,
            "parent": self.run.parent, "tags": list(self.tags), "metrics": self.metrics,
        }  # fmt: skip
        if whole:
            names = ("name", "path", "bytes", "sha256")
            found |= {
                "parameters": self.parameters, "origin": self.origin, "series": self.series, "curves": self.curves,
                "files": [{name: getattr(one, name) for name in names} for one in self.files],
                "damaged": list(self.damaged), "error": self.summary.get("error"),
            }  # fmt: skip
        return found


@dataclass(frozen=True)
class Comparison:
    """Fits side by side."""

    experiments: tuple[Experiment, ...]

    def rows(self, of: str) -> list[tuple[str, list[Any], bool]]:
        """Name, value of each fit, and whether they differ: of `parameters`, `origin` or `metrics`."""
        held = [getattr(one, of) for one in self.experiments]
        names = list(dict.fromkeys(name for each in held for name in each))
        rows = [(name, [each.get(name) for each in held]) for name in names]
        return [(name, values, any(value != values[0] for value in values)) for name, values in rows]

    def to_json(self, *, whole: bool = False) -> dict[str, Any]:
        """The result of `greywater experiments compare --json`; docs/cli.md describes it."""
        found: dict[str, Any] = {"runs": [one.to_json(whole=whole) for one in self.experiments]}
        for of in ("metrics", "parameters", "origin"):
            found[of] = [
                {"name": name, "values": values, "differs": differs} for name, values, differs in self.rows(of)
            ]
        return found


def list_experiments(actor: Actor, settings: Settings, choice: Choice | None = None) -> list[Experiment]:
    """The fits that were written down, without their steps.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_records`.
    settings : Settings
        Store and project.
    choice : Choice, optional
        All, the newest first, where left out.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        A condition cannot be read.
    """
    with audited(settings, actor, "read_records", "experiments"), open_project(settings, actor) as project:
        return _chosen(project, choice or Choice())


def show_experiments(
    actor: Actor, settings: Settings, runs: Sequence[str] = (), choice: Choice | None = None
) -> Comparison:
    """Fits with their steps, curves and files.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_records`.
    settings : Settings
        Store and project.
    runs : sequence of str
        Ids, or the beginnings of ids; `last` is the newest.
    choice : Choice, optional
        Where no run is named.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        No fit, or more than one, is named so.
    """
    with audited(settings, actor, "read_records", "experiments"), open_project(settings, actor) as project:
        if runs:
            known = _chosen(project, Choice())
            found = [_named(known, name) for name in runs]
        else:
            found = _chosen(project, choice or Choice())
        return Comparison(tuple(_with_traces(project, found)))


def compare_experiments(actor: Actor, settings: Settings, runs: Sequence[str]) -> Comparison:
    """Several fits side by side; as `show_experiments`.

    Raises
    ------
    UsageError
        Fewer than two are named.
    """
    if len(set(runs)) < 2:
        raise UsageError(
            "fewer than two runs are named", where="greywater experiments compare", mend="name two runs or more"
        )
    return show_experiments(actor, settings, runs)


def tag_experiment(actor: Actor, settings: Settings, run: str, tags: Sequence[str]) -> Experiment:
    """Put tags on a fit.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store and project.
    run : str
        Id, the beginning of one, or `last`.
    tags : sequence of str

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        There is no such fit, or one of these cannot be a tag.
    """
    with audited(settings, actor, "train", f"tags of {run}"), open_project(settings, actor) as project:
        found = find_run(project, run)
        RunLog(project.records.database).tag(actor, found.run.id, tags)
        return find_run(project, found.run.id)


def find_run(project: Project, name: str) -> Experiment:
    """The fit of this id, of this beginning of one, or the newest (`last`).

    Raises
    ------
    UsageError
        There is none, or more than one.
    """
    return _named(_chosen(project, Choice()), name)


def _named(known: Sequence[Experiment], name: str) -> Experiment:
    fits = [one for one in known if one.run.id == name] or [one for one in known if one.run.id.startswith(name)]
    if name == "last" and known:
        return known[0]
    if len(fits) != 1:
        found = f"{len(fits)} runs begin with {name!r}" if fits else f"no fit is named {name!r}"
        raise UsageError(found, mend="see which there are: greywater experiments list")
    return fits[0]


def _chosen(project: Project, choice: Choice) -> list[Experiment]:
    tags = RunLog(project.records.database).tags()
    found = [Experiment(run, tags.get(run.id, ())) for run in project.records.runs() if _is_fit(run)]
    conditions = [_condition(text, found) for text in choice.where]
    wanted = (("kind", choice.kind), ("state", choice.state), ("detector", choice.detector))
    found = [
        one
        for one in reversed(found)
        if all(value is None or one.value(name) == value for name, value in wanted)
        and (choice.parent is None or (one.run.parent or "").startswith(choice.parent))
        and set(choice.tags) <= set(one.tags)
        and all(holds(one) for holds in conditions)
    ]
    if choice.sort is not None:
        found = _sorted(found, choice.sort, choice.lowest)
    return found[: choice.last]


def _no_such_name(name: str, where: str, known: Sequence[Experiment]) -> UsageError:
    names = sorted({each for one in known for each in one.metrics})
    mend = f"name one of {', '.join(names[:12])}, or a parameter" if names else f"leave {where} out"
    return UsageError(f"no fit has a measure or parameter {name!r}", where=where, mend=mend)


def _is_fit(run: RunRecord) -> bool:
    return run.command in FITS or run.parent is not None or "metrics" in (run.summary or {})


def _sorted(found: list[Experiment], name: str, lowest: bool) -> list[Experiment]:
    known = [one for one in found if one.value(name) is not None]
    if found and not known:
        raise _no_such_name(name, "--sort", found)

    def key(one: Experiment) -> tuple[bool, Any]:
        value = one.value(name)
        return (True, float(value)) if isinstance(value, (int, float)) else (False, str(value))

    return sorted(known, key=key, reverse=not lowest) + [one for one in found if one.value(name) is None]


def _condition(text: str, known: Sequence[Experiment]) -> Callable[[Experiment], bool]:
    """Whether a fit keeps a condition such as `recall>=0.5`, on what at least one of those known has."""
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise UsageError(
            f"the condition {text!r} cannot be read",
            where="--where",
            mend="write it as recall>=0.5 or detector=boosted",
        )
    name, compared, wanted = parts.groups()
    if known and all(one.value(name) is None for one in known):
        raise _no_such_name(name, "--where", known)

    def holds(one: Experiment) -> bool:
        value = one.value(name)
        if value is None:
            return False
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return _COMPARED[compared](float(value), float(wanted))
            except ValueError:
                return False
        return _COMPARED[compared](str(value).lower(), wanted.lower())

    return holds


def _with_traces(project: Project, found: Sequence[Experiment]) -> list[Experiment]:
    log = RunLog(project.records.database)
    ids = [one.run.id for one in found]
    steps: dict[str, list[StepRecord]] = {}
    for step in log.steps(ids):
        steps.setdefault(step.run_id, []).append(step)
    files: dict[str, list[ArtefactRecord]] = {}
    for file in log.artefacts(ids):
        files.setdefault(file.run_id, []).append(file)
    told = []
    for one in found:
        mine = files.get(one.run.id, [])
        curves: Mapping[str, Any] = {}
        damaged = []
        for file in mine:
            content = _content(project.folder / file.path)
            if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
                damaged.append(file.name)
            elif file.name == CURVES:
                curves = json.loads(content)
        traces = tuple(steps.get(one.run.id, ()))
        told.append(Experiment(one.run, one.tags, traces, tuple(mine), curves, tuple(damaged)))
    return told


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values by dotted names; lists as they are.

    Examples
    --------
    >>> _flat({"a": {"b": 1, "c": {"d": [2]}}, "e": None})
    {'a.b': 1, 'a.c.d': [2], 'e': None}
    """
    found: dict[str, Any] = {}
    for name, held in value.items():
        if isinstance(held, Mapping):
            found |= _flat(held, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = held
    return found
