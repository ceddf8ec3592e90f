"""Studies: what is tried and when it ends, many workers, workers that are killed, and studies that go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greywater.detectors.search_space import Choice, Number, SearchSpace, Whole
from greywater.detectors.steps import StepTold
from greywater.detectors.tuning import StudyPlan, Tuning
from greywater.detectors.tuning_methods import PRUNERS, SAMPLERS, make_pruner, make_sampler
from greywater.detectors.tuning_storage import JOURNAL, RETRIES, open_storage, worker_lock
from greywater.errors import DetectorError, StoreAccessError, UsageError

pytest.importorskip("optuna", reason="trials are made by optuna")

SPACE = SearchSpace("made", {"height": Number(0.0, 1.0), "width": Whole(1, 9), "shape": Choice(("flat", "steep"))})
FAILING = SearchSpace("made", {"height": Number(0.0, 1.0)})

#: Makes trials in a process of its own: steps of a hundredth of a second, and a line for each trial that it begins.
WORKER = """
import json, sys, time
from pathlib import Path
from greywater.detectors.search_space import SearchSpace
from greywater.detectors.tuning import StudyPlan, Tuning
told = json.loads(sys.argv[1])
home = Path(told["home"]) if told["journal"] else told["home"]
plan = StudyPlan("shared", home, SearchSpace.from_json(told["space"]), sampler="random", trials=told["trials"],
                 heartbeat=1, seed=told["seed"])
def evaluate(parameters, tell):
    print("begins", flush=True)
    for step in range(1, told["steps"] + 1):
        time.sleep(0.01)
        tell(step, {"score": parameters["height"] * step})
    return parameters["height"]
print("made", Tuning(plan, told["worker"]).work(evaluate), flush=True)
"""


def hill(parameters: Mapping[str, Any], told: StepTold) -> float:
    """Nine steps towards how high the point is."""
    top = (
        1
        - (parameters["height"] - 0.7) ** 2
        - 0.01 * abs(parameters["width"] - 4)
        - 0.1 * (parameters["shape"] == "flat")
    )
    for step in range(1, 10):
        told(step, {"score": top * step / 9})
    return float(top)


def plan(home: Path | str, **more: Any) -> StudyPlan:
    return StudyPlan("hill", home, **{"space": SPACE, "trials": 12, **more})


def start(home: Path | str, worker: str, trials: int, *, steps: int = 20) -> subprocess.Popen[str]:
    told = {"home": str(home), "journal": isinstance(home, Path), "space": SPACE.to_json(), "trials": trials,
            "worker": worker, "seed": sum(map(ord, worker)), "steps": steps}  # fmt: skip
    command = [sys.executable, "-c", WORKER, json.dumps(told)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def begun(process: subprocess.Popen[str], trials: int) -> None:
    """Wait until it has begun so many trials."""
    assert process.stdout is not None
    for _ in range(trials):
        assert process.stdout.readline() == "begins\n"


def made(process: subprocess.Popen[str]) -> int:
    """How many trials it says it made, when it is done."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return int(said.split("made ")[1])


def test_the_budget_is_spent_and_the_best_found(tmp_path: Path) -> None:
    tuning = Tuning(plan(tmp_path, pruner="none", first={"height": 0.1, "width": 9, "shape": "flat"}), "one")
    assert tuning.work(hill) == 12
    records = tuning.trials()
    assert [record.number for record in records] == list(range(12))
    assert records[0].parameters == {"height": 0.1, "width": 9, "shape": "flat"}
    assert tuning.best().score == max(record.score or 0 for record in records)
    assert {record.steps for record in records} == {9}
    assert all(record.worker == "one" and record.seconds >= 0 for record in records)
    assert tuning.tally().ended == tuning.tally().complete == 12
    assert tuning.work(hill) == 0


def test_the_same_seed_tries_the_same(tmp_path: Path) -> None:
    found = []
    for place, seed in (("a", 3), ("b", 3), ("c", 4)):
        tuning = Tuning(plan(tmp_path / place, seed=seed), place)
        tuning.work(hill)
        found.append([(record.parameters, record.state, record.score) for record in tuning.trials()])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_successive_halving_ends_most_trials_early(tmp_path: Path) -> None:
    every = Tuning(plan(tmp_path / "all", pruner="none", sampler="random", trials=30), "one")
    halved = Tuning(plan(tmp_path / "asha", pruner="asha", sampler="random", trials=30), "one")
    every.work(hill)
    halved.work(hill)
    assert halved.tally().pruned >= 12
    assert sum(record.steps for record in halved.trials()) < 0.7 * sum(record.steps for record in every.trials())
    assert halved.best().score == pytest.approx(every.best().score, abs=0.05)
    pruned = next(record for record in halved.trials() if record.state == "pruned")
    assert list(pruned.curve) == list(range(1, pruned.steps + 1))


def test_what_falls_again_is_judged_by_its_best_step(tmp_path: Path) -> None:
    def falling(parameters: Mapping[str, Any], told: StepTold) -> float:
        for step in range(1, 4):
            told(step, {"score": 1 / step})
        return 1.0

    tuning = Tuning(plan(tmp_path, trials=1), "one")
    tuning.work(falling)
    assert tuning.best().curve == {1: 1.0, 2: 1.0, 3: 1.0}


def test_a_study_goes_on_and_tries_other_points(tmp_path: Path) -> None:
    Tuning(plan(tmp_path, sampler="random", trials=4), "first").work(hill)
    later = Tuning(plan(tmp_path, sampler="random", trials=10), "second")
    assert later.work(hill) == 6
    assert len({json.dumps(record.parameters) for record in later.trials()}) == 10
    assert {record.worker for record in later.trials()} == {"first", "second"}


@pytest.mark.parametrize(
    "change", [{"space": FAILING}, {"facts": {"data": 2}}, {"facts": {}}, {"facts": {"data": 1, "cut": [3, 4]}}]
)
def test_trials_under_other_conditions_do_not_come_together(tmp_path: Path, change: dict[str, Any]) -> None:
    asked = plan(tmp_path, facts={"data": 1}, trials=1)
    Tuning(asked, "one").work(hill)
    Tuning(replace(asked, trials=2, sampler="random", pruner="none"), "two")
    with pytest.raises(DetectorError, match="made with another"):
        Tuning(replace(asked, **change), "three")


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_proposes(name: str, tmp_path: Path) -> None:
    needs = {"cmaes": "cmaes", "gp": "torch", "qmc": "scipy"}
    if name in needs:
        pytest.importorskip(needs[name], reason=f"the sampler {name} needs it")
    space = SearchSpace(
        "made", {"width": Whole(1, 9), "depth": Whole(1, 20, log=True), "shape": Choice(("flat", "steep"))}
    )
    space = (
        space
        if name == "bruteforce"
        else SearchSpace("made", {**space.dimensions, "height": Number(0.1, 1.0, log=True)})
    )
    tuning = Tuning(plan(tmp_path, sampler=name, pruner="none", trials=14, space=space), "one")
    tuning.work(lambda parameters, told: float(parameters["width"]))
    assert tuning.tally().complete == 14
    for record in tuning.trials():
        space.refuse_others(record.parameters)


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_lets_a_study_end(name: str, tmp_path: Path) -> None:
    tuning = Tuning(plan(tmp_path, pruner=name, sampler="random", trials=15), "one")
    tuning.work(hill)
    assert tuning.tally().ended == 15
    assert tuning.tally().complete >= 1
    assert (tuning.tally().pruned == 0) or name != "none"


def test_what_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sampler"):
        make_sampler("genius", SPACE, 7)
    with pytest.raises(UsageError, match="not every value"):
        make_sampler("bruteforce", SPACE, 7)
    with pytest.raises(UsageError, match="no pruner"):
        make_pruner("shears", 1)
    with pytest.raises(UsageError, match="no such database"):
        open_storage("mysql://a/b")
    with pytest.raises(UsageError, match="tune nothing"):
        plan(tmp_path, trials=0)


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL is spoken to through psycopg")
    with pytest.raises(StoreAccessError) as refused:
        open_storage("postgresql://tuner:secret-word@127.0.0.1:1/studies")
    assert "secret-word" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_detector_that_cannot_be_fitted_is_a_trial_that_failed(tmp_path: Path) -> None:
    def failing(parameters: Mapping[str, Any], told: StepTold) -> float:
        if parameters["height"] > 0.3:
            raise DetectorError("the training collapsed", mend="lower the rates")
        return float(parameters["height"])

    tuning = Tuning(plan(tmp_path, space=FAILING, sampler="random"), "one")
    assert tuning.work(failing) == 12
    tally = tuning.tally()
    assert tally.failed >= 1
    assert tally.complete + tally.failed == 12
    assert {record.error for record in tuning.trials() if record.state == "failed"} == {
        "the training collapsed. To mend: lower the rates."
    }
    hopeless = Tuning(plan(tmp_path / "more", space=FAILING, trials=2, first={"height": 0.9}), "one")
    hopeless.work(lambda parameters, told: failing({"height": 0.9}, told))
    with pytest.raises(DetectorError, match="the training collapsed"):
        hopeless.best()


def test_what_is_no_fault_of_the_parameters_ends_the_worker(tmp_path: Path) -> None:
    tuning = Tuning(plan(tmp_path), "one")
    with pytest.raises(OSError, match="unplugged"):
        tuning.work(lambda parameters, told: (_ for _ in ()).throw(OSError("unplugged")))
    assert [record.error for record in tuning.trials()] == ["OSError('unplugged')"]


def test_without_time_a_trial_ends_at_its_next_step(tmp_path: Path) -> None:
    left = iter([True, True, True, False, False])
    tuning = Tuning(plan(tmp_path, trials=None, pruner="none"), "one")
    assert tuning.work(hill, going=lambda: next(left)) == 1
    (record,) = tuning.trials()
    assert (record.state, record.steps) == ("pruned", 3)


def test_a_worker_that_lost_its_parent_leaves_its_trial_to_others(tmp_path: Path) -> None:
    left = iter([True, True, False])
    tuning = Tuning(plan(tmp_path, trials=3, pruner="none"), "orphan")
    with pytest.raises(KeyboardInterrupt):
        tuning.work(hill, alive=lambda: next(left))
    assert tuning.tally().running == 1
    other = Tuning(plan(tmp_path, trials=3, pruner="none"), "other")
    assert other.work(hill) == 3
    assert [record.state for record in other.trials()].count("lost") == 1


def test_an_interrupted_trial_is_given_again_with_its_parameters(tmp_path: Path) -> None:
    def interrupted(parameters: Mapping[str, Any], told: StepTold) -> float:
        raise KeyboardInterrupt

    tuning = Tuning(plan(tmp_path, trials=2, pruner="none"), "one")
    with pytest.raises(KeyboardInterrupt):
        tuning.work(interrupted)
    assert Tuning(plan(tmp_path, trials=2, pruner="none"), "two").work(hill) == 2
    lost, *others = tuning.trials()
    assert lost.state == "lost"
    assert lost.parameters in [record.parameters for record in others]


def test_a_trial_that_kills_its_workers_is_not_given_for_ever(tmp_path: Path) -> None:
    def interrupted(parameters: Mapping[str, Any], told: StepTold) -> float:
        raise KeyboardInterrupt

    for place in range(RETRIES + 2):
        with pytest.raises(KeyboardInterrupt):
            Tuning(plan(tmp_path, trials=1), f"worker{place}").work(interrupted)
    tuning = Tuning(plan(tmp_path, trials=1), "last")
    tuning.work(hill)
    first = tuning.trials()[0].parameters
    assert sum(record.parameters == first for record in tuning.trials()) == RETRIES + 1
    assert tuning.tally().complete == 1


def test_a_living_worker_keeps_its_trial(tmp_path: Path) -> None:
    asked = plan(tmp_path, trials=2, pruner="none")
    done, seen = threading.Event(), threading.Event()

    def slow(parameters: Mapping[str, Any], told: StepTold) -> float:
        seen.set()
        assert done.wait(30)
        return 0.5

    worker = threading.Thread(target=lambda: Tuning(replace(asked, trials=1), "slow").work(slow))
    worker.start()
    assert seen.wait(30)
    other = Tuning(asked, "quick")
    assert other.work(hill, going=iter([True, True, True, *[False] * 9]).__next__) <= 1
    assert other.tally().running == 1
    done.set()
    worker.join(30)
    assert other.tally().running == 0


def test_a_torn_line_at_the_end_of_the_journal_is_cut(tmp_path: Path) -> None:
    Tuning(plan(tmp_path, trials=3), "one").work(hill)
    whole = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(whole + b'{"op_code": 4, "half')
    tuning = Tuning(plan(tmp_path, trials=4), "two")
    assert tuning.work(hill) == 1
    assert (tmp_path / JOURNAL).read_bytes().startswith(whole)


def test_a_journal_study_goes_on_after_a_kill(tmp_path: Path) -> None:
    process = start(tmp_path, "killed", 8)
    begun(process, 3)
    process.kill()
    process.wait()
    before = Tuning(replace(plan(tmp_path), name="shared"), "look").tally()
    assert before.running == 1
    assert made(start(tmp_path, "next", 8)) == 8 - before.ended
    tuning = Tuning(replace(plan(tmp_path), name="shared"), "look")
    assert tuning.tally().ended == 8
    assert tuning.tally().running == 0
    lost = [record for record in tuning.trials() if record.state == "lost"]
    assert len(lost) == 1
    assert sum(record.parameters == lost[0].parameters for record in tuning.trials()) == 2
    assert not list(tmp_path.glob("worker-*.lock"))


def test_two_processes_share_a_journal(tmp_path: Path) -> None:
    both = [start(tmp_path, name, 16) for name in ("left", "right")]
    counts = [made(process) for process in both]
    assert sum(counts) == 16
    assert min(counts) >= 2


def test_two_processes_share_a_postgres_study_and_one_is_killed(
    new_postgres: Callable[[], str],
) -> None:
    url = new_postgres()
    doomed, other = start(url, "doomed", 14), start(url, "other", 14)
    begun(doomed, 2)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait()
    begun(other, 1)
    assert made(other) >= 7
    tuning = Tuning(replace(plan(url, trials=14, heartbeat=1), name="shared"), "look")
    tally = tuning.tally()
    assert (tally.ended, tally.running, tally.waiting) == (14, 0, 0)
    records = tuning.trials()
    lost = [record for record in records if record.state == "lost"]
    assert [record.worker for record in lost] == ["doomed"]
    assert sum(record.parameters == lost[0].parameters for record in records) == 2
    assert {record.worker for record in records if record.state != "lost"} == {"doomed", "other"}


def test_who_watches_a_worker_die_gives_its_trial_at_once(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    process = start(url, "doomed", 4, steps=3_000)
    begun(process, 1)
    process.kill()
    process.wait()
    tuning = Tuning(replace(plan(url, trials=4, heartbeat=3_600), name="shared"), "look")
    assert tuning.tally().running == 1
    assert (tuning.release("doomed"), tuning.release("doomed")) == (1, 0)
    began = time.monotonic()
    assert tuning.work(hill) == 4
    assert time.monotonic() - began < 60


def test_lock_of_a_worker_that_ended_is_free(tmp_path: Path) -> None:
    tuning = Tuning(plan(tmp_path, trials=1), "one")
    tuning.work(hill)
    lock = worker_lock(tmp_path, "one")
    lock.acquire()
    assert lock.held
    lock.release()
