"""From the offline groups to the online store: the latest row of each entity, in batches, going on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.errors import StoreDamagedError, UsageError
from greywater.featurestore.definitions import FeatureGroup
from greywater.featurestore.pushing import write_rows
from greywater.featurestore.sections import Section
from greywater.featurestore.vectors import OnlineView
from greywater.stores.feature_ports import Offline, Online, SortedRun
from greywater.vocab import Int64Array, Progress

__all__ = ["BATCH_ROWS", "Materialized", "materialize"]

#: Records of one commit.
BATCH_ROWS: Final = 50_000
#: Candidates gathered before only the latest of each entity are kept.
COMPACT_FROM: Final = 2_000_000


@dataclass(frozen=True)
class Materialized:
    """What was done.

    Parameters
    ----------
    written : int
        Records written by this call.
    resumed : int
        Records that an earlier call, cut off, had written already.
    left_out : tuple of str
        Groups of windows: the stream or a backfill of `AccountWindows` writes those, with their payments.
    """

    written: int
    resumed: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Goal:
    """Up to where a group is (or is to be) online: microseconds, and the last commit there was."""

    as_of_us: int
    known_by_us: int
    commit: int

    def covers(self, other: _Goal) -> bool:
        return self.as_of_us >= other.as_of_us and self.known_by_us >= other.known_by_us and self.commit >= other.commit


@dataclass(frozen=True)
class _Latest:
    """The rows to write: run[n], row[n] places, event int64[n]; ordered by run, then row."""

    run: Int64Array
    row: Int64Array
    event: Int64Array


def materialize(
    view: OnlineView,
    offline: Offline,
    as_of_us: int,
    *,
    known_by_us: int | None = None,
    fresh: bool = False,
    batch_rows: int = BATCH_ROWS,
    progress: Progress | None = None,
) -> Materialized:
    """Bring the online records of a view up to a moment.

    For each entity the row with the greatest (event time, commit order) among those of event time <= `as_of_us` that
    were known by `known_by_us` is written. What an earlier call brought and has not changed since is left as it is, and
    so is what `push` brought of a later event time.
    Each batch is one commit with a mark; cut off at any moment, the same call goes on after the last commit.

    One process at a time may materialize a view.

    Parameters
    ----------
    view : OnlineView
        The view, over the online store to write to.
    offline : Offline
        The groups.
    as_of_us : int
        Microseconds since 1970.
    known_by_us : int, optional
        Knowledge time; None = `as_of_us`.
    fresh : bool
        Drop what is online first: after a change of the view, or to go back in time.
    batch_rows : int
        Records of one commit.
    progress : Progress, optional
        A step a group, advanced by records.

    Raises
    ------
    UsageError
        A group does not exist offline, or the records are of a later moment or of another definition.
    StoreError
        A store refuses.
    """
    known_by_us = as_of_us if known_by_us is None else known_by_us
    if batch_rows < 1:
        raise UsageError(f"batches of {batch_rows} records", where="batch_rows", mend="give at least 1")
    written = resumed = 0
    left_out: list[str] = []
    for section in view.sections:
        if section.moving:
            left_out += [group.name for group in section.groups]
            continue
        if fresh:
            view.online.drop(section.space)
        for number in range(len(section.groups)):
            task = _Task(section, number, view.online, offline, batch_rows)
            done = task.run(as_of_us, known_by_us, progress)
            written, resumed = written + done[0], resumed + done[1]
    return Materialized(written, resumed, tuple(left_out))


class _Task:
    """One group of one section."""

    def __init__(self, section: Section, number: int, online: Online, offline: Offline, batch_rows: int) -> None:
        self.section = section
        self.number = number
        self.group: FeatureGroup = section.groups[number]
        self.online = online
        self.offline = offline
        self.batch_rows = batch_rows
        self.name = f"{self.group.name}@{self.group.version}"
        self.anew = False

    def run(self, as_of_us: int, known_by_us: int, progress: Progress | None) -> tuple[int, int]:
        """(written, written already by a call that was cut off)."""
        if self.offline.layout(self.group.name, self.group.version) is None:
            raise UsageError(
                f"the group {self.group.name} version {self.group.version} is not in the offline store",
                where=f"view {self.section.space}",
                mend="write rows to it first",
            )
        commits = self.offline.commits(self.group.name, self.group.version)
        goal = _Goal(as_of_us, known_by_us, commits[-1].number if commits else -1)
        marks = self._marks()
        self.anew = not marks["groups"] and next(self.online.scan(self.section.space), None) is None
        state = marks["groups"].get(self.name, {})
        base = _Goal(*state["base"]) if state.get("base") else None
        tried = _Goal(*state["goal"]) if state.get("goal") else base
        for earlier in (base, tried):
            if earlier is not None and not goal.covers(earlier):
                raise UsageError(
                    f"the records are of {earlier.as_of_us}, known by {earlier.known_by_us}; {as_of_us} and"
                    f" {known_by_us} are asked for",
                    where=self.section.space,
                    mend="give a later moment, or fresh=True to begin anew",
                )
        runs = self.offline.runs(
            self.group.name, self.group.version, stop_us=as_of_us + 1, as_of_commit=goal.commit if commits else None
        )
        latest = _latest(runs, goal, base)
        plan = _plan_words(goal, base, runs)
        begin = int(state["done"]) if state.get("plan") == plan else 0
        if progress is not None:
            progress.step(f"materialize {self.section.space} from {self.name}", len(latest.row))
            progress.advance(begin)
        written = 0
        for rows, event, done in self._batches(runs, latest, begin):
            ended = done == len(latest.row)
            marks["groups"][self.name] = (
                {"base": _listed(goal)}
                if ended
                else {"base": base and _listed(base), "goal": _listed(goal), "plan": plan, "done": done}
            )
            written += self._write(rows, event, marks)
            if progress is not None:
                progress.advance(len(event))
        if begin == len(latest.row):
            marks["groups"][self.name] = {"base": _listed(goal)}
            self.online.put_many(self.section.space, [], mark=json.dumps(marks).encode())
        return written, begin

    def _marks(self) -> dict[str, Any]:
        """What the mark of the space says; refused where the records are of another definition."""
        mark = self.online.mark(self.section.space)
        card = f"{self.section.layout.card:016x}"
        if mark is None:
            return {"card": card, "groups": {}}
        try:
            marks: dict[str, Any] = json.loads(mark)
            found = marks["card"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamagedError(
                "the mark of the online records cannot be read", where=self.section.space, mend="give fresh=True"
            ) from error
        if found != card:
            raise UsageError(
                "the online records are of another definition of the view or of its groups",
                where=self.section.space,
                mend="give fresh=True to begin anew",
            )
        return marks

    def _batches(
        self, runs: Sequence[SortedRun], latest: _Latest, begin: int
    ) -> Iterator[tuple[pa.Table, Int64Array, int]]:
        """Rows of at most `batch_rows`, from the `begin`-th on, with their event times and how many are done then."""
        names = [*self.group.keys, *self._features]
        held, columns = -1, None
        while begin < len(latest.row):
            end = min(begin + self.batch_rows, len(latest.row))
            parts, at = [], begin
            while at < end:
                run = int(latest.run[at])
                stop = min(end, int(np.searchsorted(latest.run, run, side="right")))
                if run != held or columns is None:
                    held, columns = run, runs[run].columns(names)
                parts.append(columns.take(pa.array(latest.row[at:stop])))
                at = stop
            yield pa.concat_tables(parts), latest.event[begin:end], end
            begin = end

    @property
    def _features(self) -> list[str]:
        names = [one.field.name for one in self.section.layout.stored if one.group == self.number]
        return list(dict.fromkeys(names))

    def _write(self, rows: pa.Table, event: Int64Array, marks: Mapping[str, Any]) -> int:
        return write_rows(
            self.section, self.number, self.online, rows, event, mark=json.dumps(marks).encode(), anew=self.anew
        )


def _listed(goal: _Goal) -> list[int]:
    return [goal.as_of_us, goal.known_by_us, goal.commit]


def _plan_words(goal: _Goal, base: _Goal | None, runs: Sequence[SortedRun]) -> str:
    """What the order of the rows to write depends on, as a hash."""
    told = [_listed(goal), base and _listed(base), [[r.rows, r.least_event_us, r.greatest_event_us] for r in runs]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _latest(runs: Sequence[SortedRun], goal: _Goal, base: _Goal | None) -> _Latest:
    """The latest row of each entity, less those that `base` brought already.

    Memory: about 56 bytes an entity, and those of one run.
    """
    pieces: list[np.ndarray] = []
    best = np.empty((6, 0), np.int64)
    waiting = 0
    for number, run in enumerate(runs):
        found = _candidates(run, number, goal)
        pieces.append(found)
        waiting += found.shape[1]
        if waiting > max(COMPACT_FROM, best.shape[1]):
            best, pieces, waiting = _compact([best, *pieces]), [], 0
    high_low_event_commit_run_row = _compact([best, *pieces])
    _, _, event, commit, run_of, row = high_low_event_commit_run_row
    if base is not None:
        fresh = (event > base.as_of_us) | (commit > base.commit)
        fresh |= _known(runs, run_of, row) > base.known_by_us
        event, run_of, row = event[fresh], run_of[fresh], row[fresh]
    order = np.lexsort((row, run_of))
    return _Latest(run_of[order], row[order], event[order])


def _known(runs: Sequence[SortedRun], run_of: Int64Array, row: Int64Array) -> Int64Array:
    known = np.empty(len(row), np.int64)
    for number in np.unique(run_of).tolist():
        of_it = run_of == number
        known[of_it] = runs[number].known_us[row[of_it]]
    return known


def _candidates(run: SortedRun, number: int, goal: _Goal) -> np.ndarray:
    """Of a run, the last row of each entity that counts: int64[6, n] key high and low, event, commit, run, row."""
    rows = np.flatnonzero((run.event_us <= goal.as_of_us) & (run.known_us <= goal.known_by_us))
    commit = run.commit if isinstance(run.commit, np.ndarray) else np.full(run.rows, run.commit, np.int64)
    rows = rows[commit[rows] <= goal.commit]
    if not len(rows):
        return np.empty((6, 0), np.int64)
    high, low = run.key_high[rows], run.key_low[rows]
    last = np.append((high[1:] != high[:-1]) | (low[1:] != low[:-1]), True)
    rows = rows[last]
    return np.stack([high[last], low[last], run.event_us[rows], commit[rows], np.full(len(rows), number), rows])


def _compact(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Only the latest of each entity."""
    filled = [piece for piece in pieces if piece.shape[1]]
    if len(filled) < 2:
        # Of one run there is one row an entity already.
        return filled[0] if filled else np.empty((6, 0), np.int64)
    together = np.concatenate(filled, axis=1)
    order = np.lexsort((together[5], together[3], together[2], together[1], together[0]))
    together = together[:, order]
    last = np.append((together[:2, 1:] != together[:2, :-1]).any(axis=0), True)[: together.shape[1]]
    kept: np.ndarray = together[:, last]
    return kept
