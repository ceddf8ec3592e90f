"""Tunes a detector: trials of many processes in one study, hopeless ones ended early, those of the dead given again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from greywater.detectors.search_space import Choice, Number, SearchSpace, Value
from greywater.detectors.steps import StepTold
from greywater.detectors.tuning_methods import load_optuna, make_pruner, make_sampler, quiet
from greywater.detectors.tuning_storage import open_storage, release_trials, worker_ended, worker_lock
from greywater.errors import DetectorError, UsageError

__all__ = ["Evaluate", "StudyPlan", "Tally", "TrialEndedError", "TrialRecord", "Tuning"]

#: Fits a detector with these parameters, telling of each step, and returns its score on the later slice: higher =
#: better. What it tells may raise a TrialEndedError, which it lets pass.
Evaluate = Callable[[Mapping[str, Value], StepTold], float]

#: What is kept with a study, so that only trials that can be compared come together.
FACTS: Final = "greywater"
#: Seconds between two looks at whether there is something to do.
PAUSE: Final = 0.2
#: Seconds after which a trial whose worker has not even given its name counts as left by a dead one.
NAMELESS: Final = 10.0


@dataclass(frozen=True)
class StudyPlan:
    """One study.

    Parameters
    ----------
    name : str
        A study of the same name at the same place goes on.
    home : Path or str
        As for `open_storage`.
    space : SearchSpace
        What is tuned.
    sampler, pruner : str
        By name (greywater.detectors.tuning_methods).
    trials : int, optional
        Trials of the study, those of earlier and other sessions among them; None: no end of them.
    seed : int
        Of the sampler. With one worker the same seed gives the same trials.
    first : mapping of str to value
        What is tried first, usually the defaults.
    facts : mapping
        In JSON types; trials made under others cannot be compared with these, and are refused: data, columns, cuts.
    heartbeat : float
        As for `open_storage`.
    """

    name: str
    home: Path | str
    space: SearchSpace
    sampler: str = "tpe"
    pruner: str = "asha"
    trials: int | None = None
    seed: int = 7
    first: Mapping[str, Value] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    heartbeat: float = 30.0

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise UsageError(f"{self.trials} trials tune nothing", where="--trials", mend="give at least 1")


@dataclass(frozen=True)
class TrialRecord:
    """What came of one trial.

    `state`: "complete", "pruned" (ended early), "failed" (the detector could not be fitted: `error`), "running",
    "waiting", or "lost" (its worker died; it was given again). `score` is the one at its end; where it was ended early
    the best until then, as in `curve`, by steps: a detector keeps its best step. `steps` were learned in `seconds` of
    processor time.
    """

    number: int
    state: str
    parameters: dict[str, Value]
    score: float | None
    steps: int
    seconds: float
    worker: str | None
    error: str | None = None
    curve: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """How far a study is: trials that count against its budget, and those on their way."""

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def ended(self) -> int:
        """Trials that are spent."""
        return self.complete + self.pruned + self.failed


class _WithdrawnError(Exception):
    """Another worker has taken the last place in the budget."""


class TrialEndedError(Exception):
    """The trial under way is to end: others did better after as many steps, or there is no time left."""


class _Left(BaseException):
    """The worker is to end at once; its trial stays running, and is given again when the study goes on."""


class Tuning:
    """A study, opened; each process that works on it opens it for itself.

    Parameters
    ----------
    plan : StudyPlan
    worker : str
        Name of this worker, unlike that of any other.

    Raises
    ------
    DetectorError
        The study of that name was made with another space or on other data.
    UsageError
        There is no sampler, pruner or place of that name.
    StoreError
        The study cannot be opened.
    ExtraMissingError
        There is no Optuna.

    Examples
    --------
    >>> import tempfile
    >>> from greywater.detectors.search_space import Whole
    >>> space = SearchSpace("isolation", {"trees": Whole(1, 100)})
    >>> plan = StudyPlan("example", Path(tempfile.mkdtemp()), space, sampler="random", trials=5, first={"trees": 3})
    >>> tuning = Tuning(plan, "alone")
    >>> tuning.work(lambda parameters, told: -abs(float(parameters["trees"]) - 3))
    5
    >>> tuning.best().parameters
    {'trees': 3}
    """

    def __init__(self, plan: StudyPlan, worker: str) -> None:
        self.plan = plan
        self.worker = worker
        self._optuna = load_optuna()
        self._states = self._optuna.trial.TrialState
        storage = open_storage(plan.home, plan.heartbeat)
        with quiet():
            self._study = self._optuna.create_study(
                study_name=plan.name,
                storage=storage,
                direction="maximize",
                load_if_exists=True,
                pruner=make_pruner(plan.pruner, plan.space.first_rung),
            )
        self._refuse_other_facts()
        # Drawn anew from where the study stands: a sampler that goes on would else repeat itself.
        stands = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = make_sampler(plan.sampler, plan.space, plan.seed + 1_000 * stands)
        if not stands and plan.first:
            self._study.enqueue_trial(dict(plan.first), skip_if_exists=True)

    def work(
        self, evaluate: Evaluate, going: Callable[[], bool] = lambda: True, alive: Callable[[], bool] = lambda: True
    ) -> int:
        """Make trials until the budget is spent, waiting for those of others that may yet have to be given again.

        Parameters
        ----------
        evaluate : callable
        going : callable
            Says whether there is time left; a trial that is under way when there is none is ended at its next step.
        alive : callable
            Says whether whoever started this worker still lives; where not, it ends at once, and the trial under way
            is given again when the study goes on.

        Returns
        -------
        int
            Trials made here.

        Raises
        ------
        Exception
            What `evaluate` raises, save a DetectorError, which is written down with the trial.
        KeyboardInterrupt
            It was asked to end, or whoever started it is gone.
        """
        made = 0
        folder = self.plan.home if isinstance(self.plan.home, Path) else None
        lock = None if folder is None else worker_lock(folder, self.worker)
        if lock is not None:
            lock.acquire()
        try:
            while going() and alive():
                self._release_dead()
                now = self.tally()
                if self.plan.trials is not None and now.ended >= self.plan.trials:
                    break
                live = now.ended + now.running + now.waiting
                if now.waiting or self.plan.trials is None or live < self.plan.trials:
                    made += self._one(evaluate, going, alive)
                else:
                    time.sleep(PAUSE)
        finally:
            if lock is not None:
                lock.path.unlink(missing_ok=True)
                lock.release()
        return made

    def tally(self) -> Tally:
        """How far the study is."""
        states = [record.state for record in self.trials(curves=False)]
        return Tally(*(states.count(name) for name in ("complete", "pruned", "failed", "running", "waiting")))

    def trials(self, *, curves: bool = True) -> list[TrialRecord]:
        """What came of every trial, those of other workers and sessions among them, in order of their numbers."""
        return [_record(trial, curves) for trial in self._study.get_trials(deepcopy=False)]

    def best(self) -> TrialRecord:
        """The trial with the highest score of those that were not ended early.

        Raises
        ------
        DetectorError
            No trial was completed.
        """
        complete = [record for record in self.trials() if record.state == "complete"]
        if not complete:
            errors = [record.error for record in self.trials() if record.error]
            raise DetectorError(
                f"no trial of the study {self.plan.name!r} was completed" + (f": {errors[-1]}" if errors else ""),
                where="tuning",
                mend="give it more trials or more time",
            )
        return max(complete, key=lambda record: (-math.inf if record.score is None else record.score, -record.number))

    def release(self, worker: str) -> int:
        """Give again what a worker that is known to be dead left running; returns how many trials."""
        with quiet():
            return int(release_trials(self._study, worker))

    def note(self, name: str, value: Any) -> None:
        """Keep something of a session with the study, in JSON types."""
        self._study.set_user_attr(name, value)

    def notes(self) -> dict[str, Any]:
        """What sessions kept with the study."""
        return {name: value for name, value in self._study.user_attrs.items() if name != FACTS}

    def _refuse_other_facts(self) -> None:
        facts = {"space": self.plan.space.to_json(), **self.plan.facts}
        known = self._study.user_attrs.get(FACTS)
        if known is None:
            self._study.set_user_attr(FACTS, facts)
            return
        other = sorted(name for name in {*facts, *known} if facts.get(name) != known.get(name))
        if other:
            raise DetectorError(
                f"the study {self.plan.name!r} was made with another {' and another '.join(other)}",
                where="tuning",
                mend="give another --name: trials made under other conditions cannot be compared",
            )

    def _release_dead(self) -> None:
        """Give again the trials of workers on this machine that died; a database has signs of life instead."""
        home = self.plan.home if isinstance(self.plan.home, Path) else None
        patience = NAMELESS if home is not None else max(NAMELESS, 3 * self.plan.heartbeat)
        with quiet():
            if home is None:
                self._optuna.storages.fail_stale_trials(self._study)
            for trial in self._study.get_trials(deepcopy=False, states=(self._states.RUNNING,)):
                worker = trial.user_attrs.get("worker")
                if worker is None and time.time() - trial.datetime_start.timestamp() > patience:
                    with suppress(ValueError, self._optuna.exceptions.UpdateFinishedTrialError):
                        self._study.tell(trial.number, state=self._states.FAIL)
                elif worker not in (None, self.worker) and home is not None and worker_ended(home, worker):
                    release_trials(self._study, worker)

    def _one(self, evaluate: Evaluate, going: Callable[[], bool], alive: Callable[[], bool]) -> int:
        """One trial; 0 where another worker took the last place."""
        ran = _Run(self, evaluate, going, alive)
        with quiet():
            try:
                self._study.optimize(ran, n_trials=1, catch=(_WithdrawnError, DetectorError))
            except self._optuna.exceptions.UpdateFinishedTrialError:
                return 0  # it was taken for dead while the machine slept, and another worker has it
            except _Left as left:
                raise KeyboardInterrupt from left
        return int(not ran.withdrawn)

    def show_life(self, trial: Any) -> None:
        """Give the first sign of life before the name: a trial with a name is found when its worker dies."""
        if not isinstance(self.plan.home, Path):
            self._study._storage.record_heartbeat(trial._trial_id)

    def has_place(self, trial: Any) -> bool:
        """Whether a trial that has just begun is within the budget: numbers are given once, so all agree."""
        if self.plan.trials is None:
            return True
        before = self._study.get_trials(deepcopy=False)[: trial.number]
        return sum(_record(each, curves=False).state != "lost" for each in before) < self.plan.trials


class _Run:
    """One trial under way, as Optuna calls it."""

    def __init__(
        self, tuning: Tuning, evaluate: Evaluate, going: Callable[[], bool], alive: Callable[[], bool]
    ) -> None:
        self._tuning, self._evaluate, self._going, self._alive = tuning, evaluate, going, alive
        self._pruned = load_optuna().TrialPruned
        self.withdrawn = False

    def __call__(self, trial: Any) -> float:
        self._tuning.show_life(trial)
        trial.set_user_attr("worker", self._tuning.worker)
        if not self._tuning.has_place(trial):
            self.withdrawn = True
            raise _WithdrawnError
        parameters = {name: _suggest(trial, name, each) for name, each in self._tuning.plan.space.dimensions.items()}
        reached, best, begun = 0, -math.inf, time.process_time()

        def told(step: int, measures: Mapping[str, float]) -> bool:
            nonlocal reached, best
            reached, best = max(reached, step), max(best, float(measures["score"]))
            trial.report(best, step)
            if not self._alive():
                raise _Left
            if not self._going():
                trial.set_user_attr("out_of_time", True)
                raise TrialEndedError
            if trial.should_prune():
                raise TrialEndedError
            return True

        try:
            return self._evaluate(parameters, told)
        except TrialEndedError:
            raise self._pruned from None
        except KeyboardInterrupt:
            raise _Left from None
        except Exception as error:
            trial.set_user_attr("error", str(error) if isinstance(error, DetectorError) else repr(error))
            raise
        finally:
            trial.set_user_attr("steps", reached)
            trial.set_user_attr("seconds", time.process_time() - begun)


def _suggest(trial: Any, name: str, dimension: Any) -> Value:
    if isinstance(dimension, Choice):
        value: Value = trial.suggest_categorical(name, list(dimension.values))
    elif isinstance(dimension, Number):
        value = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    else:
        value = trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return value


def _record(trial: Any, curves: bool) -> TrialRecord:
    error = trial.user_attrs.get("error")
    state = {"FAIL": "lost" if error is None else "failed"}.get(trial.state.name, trial.state.name.lower())
    last = trial.intermediate_values.get(trial.last_step)
    return TrialRecord(
        number=trial.number,
        state=state,
        parameters=dict(trial.params),
        score=trial.values[0] if trial.values else last,
        steps=int(trial.user_attrs.get("steps", 0)),
        seconds=float(trial.user_attrs.get("seconds", 0.0)),
        worker=trial.user_attrs.get("worker"),
        error=error,
        curve=dict(sorted(trial.intermediate_values.items())) if curves else {},
    )
