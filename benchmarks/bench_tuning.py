"""What ending hopeless trials early saves, and what a trial costs where it is written down.

    scripts/bench tuning [--set NAME] [--rows N] [--columns K] [--trials N] [--replays N] [--folder DIR]
        [--studies DIR] [--print-only]

Boosted trees on all laundering and a sample of the other payments of one reference set, on every k-th column, learned
from the first 60 % of the payments and judged on the next 20 %; the last 20 % are not read. A pool of random trials is
trained in full, and its curves are kept. Replayed: 40 of the pool in full against asynchronous successive halving over
the pool in another order, many times, through the same pruner. Live: the same against studies that really end their
trials. Cost is in rounds of boosting and in processor seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graph_sets import data_folder
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision
from greywater.detectors.steps import StepTold
from greywater.detectors.tunable import make_detector, search_space_of
from greywater.detectors.tuning import StudyPlan, TrialRecord, Tuning
from greywater.detectors.tuning_methods import load_optuna, make_pruner, quiet
from greywater.detectors.tuning_storage import open_storage
from greywater.stores.blocks import TableRows
from hybrid_sets import Scored, scored_set
from report import table, write_section

#: Random trials in full that are to be matched.
FULL = 40
#: Reports of a trial where the storage is measured, and trials.
REPORTS = 10
OVERHEAD_TRIALS = 100


@dataclass(frozen=True)
class Slices:
    """What a trial learns from and is judged on, in memory."""

    X: TableRows
    y: np.ndarray
    time_us: np.ndarray
    validation: Validation

    @classmethod
    def of(cls, scored: Scored, rows: int, columns: int) -> Slices:
        """All laundering, other payments evenly so that about `rows` are learned from; every so many columns one."""
        names = list(scored.blocks.names[::columns])
        every = max(1, scored.split.train // rows)
        kept = np.flatnonzero((scored.y == 1) | (np.arange(len(scored.y)) % every == 0))
        learn = kept[kept < scored.split.train]
        judge = kept[(kept >= scored.split.train) & (kept < scored.split.validation)]
        later = Validation(TableRows(scored.blocks.take(judge).select(names)), scored.y[judge])
        return cls(TableRows(scored.blocks.take(learn).select(names)), scored.y[learn], scored.time_us[learn], later)

    def evaluate(self, parameters: Mapping[str, Any], told: StepTold) -> float:
        """Average precision of boosted trees on the later slice."""
        detector: Any = make_detector("boosted", parameters, seed=7, threads=1)
        detector.on_step(told).fit(self.X, self.y, self.time_us, validation=self.validation)
        return average_precision(self.validation.y, detector.score(self.validation.X)) or 0.0


@dataclass(frozen=True)
class Spent:
    """What it took until a score was reached: trials, rounds, processor seconds; and whether it was."""

    trials: int
    rounds: int
    seconds: float
    reached: bool


def spent(records: Sequence[TrialRecord], target: float) -> Spent:
    """In the order of the trials, until one that was completed reaches the target."""
    rounds, seconds = 0, 0.0
    for place, record in enumerate(records, 1):
        rounds, seconds = rounds + record.steps, seconds + record.seconds
        if record.state == "complete" and (record.score or 0.0) >= target:
            return Spent(place, rounds, seconds, True)
    return Spent(len(records), rounds, seconds, False)


def best_of(records: Sequence[TrialRecord]) -> float:
    return max(record.score or 0.0 for record in records if record.state == "complete")


def replayed(pool: Sequence[TrialRecord], order: np.ndarray) -> tuple[float, int]:
    """Best score and rounds of successive halving over trials whose curves are known."""
    optuna = load_optuna()
    study = optuna.create_study(direction="maximize", pruner=make_pruner("asha", search_space_of("boosted").first_rung))
    best, rounds = 0.0, 0
    for place in order:
        record, trial, step = pool[place], study.ask(), 0
        for step, score in record.curve.items():
            trial.report(score, step)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, record.score)
            best = max(best, record.score or 0.0)
        rounds += step
    return best, rounds


def compare_replays(pool: Sequence[TrialRecord], replays: int) -> tuple[str, ...]:
    """Many draws of 40 of the pool in full, and of 40 of the pool that compete."""
    draw = np.random.default_rng(7)
    shares, apart = [], []
    for _ in range(replays):
        full = [pool[place] for place in draw.permutation(len(pool))[:FULL]]
        best, rounds = replayed(pool, draw.permutation(len(pool))[:FULL])
        apart.append(best - best_of(full))
        shares.append(rounds / sum(record.steps for record in full))
    low, middle, high = np.quantile(shares, [0.1, 0.5, 0.9])
    return (
        f"replayed {replays} times", f"{np.mean(np.array(apart) >= 0):.0%}, {np.mean(apart):+.4f} in the mean",
        str(FULL), f"{middle:.0%} ({low:.0%} to {high:.0%})", "",
    )  # fmt: skip


def live(slices: Slices, full: Sequence[TrialRecord], sampler: str, folder: Path, trials: int) -> list[tuple[str, ...]]:
    """A study that really ends its trials, until it reaches the best of the full ones."""
    plan = StudyPlan(sampler, folder, search_space_of("boosted"), sampler, "asha", trials, seed=11)
    target = best_of(full)
    tuning = Tuning(plan, sampler)
    tuning.work(slices.evaluate, going=lambda: not spent(tuning.trials(), target).reached)
    records = tuning.trials()
    rounds, seconds = sum(each.steps for each in full), sum(each.seconds for each in full)
    rows = []
    for near in (1.0, 0.99):
        halved = spent(records, near * target)
        rows.append(
            (
                f"live, {sampler}, {near:.0%} of the best", "yes" if halved.reached else f"no: {best_of(records):.4f}",
                str(halved.trials), f"{halved.rounds / rounds:.0%}", f"{halved.seconds / seconds:.0%}",
            )
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def overhead(folder: Path) -> str:
    """Milliseconds a trial with six parameters takes where each storage writes it down."""
    optuna = load_optuna()
    with quiet():
        storages: dict[str, Callable[[], Any]] = {
            "in memory": optuna.storages.InMemoryStorage,
            "journal file": lambda: open_storage(folder / "journal"),
            "SQLite": lambda: optuna.storages.RDBStorage(f"sqlite:///{folder / 'trials.sqlite'}"),
        }
        rows = []
        for name, made in storages.items():
            study = optuna.create_study(storage=made(), sampler=optuna.samplers.RandomSampler(7))
            begun = time.perf_counter()
            for _ in range(OVERHEAD_TRIALS):
                trial = study.ask()
                for place in range(6):
                    trial.suggest_float(f"p{place}", 0, 1)
                for step in range(REPORTS):
                    trial.report(float(step), step)
                study.tell(trial, 1.0)
            rows.append((name, (time.perf_counter() - begun) / OVERHEAD_TRIALS * 1_000))
    journal = dict(rows)["journal file"]
    return table(
        ("storage", "ms a trial", "against the journal"),
        [(name, f"{each:.1f}", f"{each / journal:.1f}x") for name, each in rows],
    )


def report(name: str, folder: Path, studies: Path, sizes: tuple[int, int], trials: int, replays: int) -> str:
    slices = Slices.of(scored_set(name, folder), *sizes)
    about = (
        f"{name}: boosted trees on {slices.X.rows:,} payments ({int(slices.y.sum())} laundering) x "
        f"{len(slices.X.names)} columns, judged on {slices.validation.X.rows:,} ({int(slices.validation.y.sum())})"
    )
    print(about, flush=True)
    plan = StudyPlan("pool", studies / "pool", search_space_of("boosted"), "random", "none", trials, seed=7)
    tuning = Tuning(plan, "pool")
    tuning.work(slices.evaluate)
    pool = tuning.trials()
    full = pool[:FULL]
    cost = f"{sum(each.steps for each in full):,} rounds, {sum(each.seconds for each in full):.0f} CPU seconds"
    print(f"pool: {[round(each.score or 0, 4) for each in pool]}", flush=True)
    found = [compare_replays(pool, replays)]
    for row in found:
        print(row, flush=True)
    found += [row for sampler in ("random", "tpe") for row in live(slices, full, sampler, studies / sampler, FULL)]
    stored = overhead(studies)
    heads = ("successive halving", "reached", "trials", "rounds, of those in full", "CPU seconds, of those in full")
    return "\n\n".join(
        [
            f"{about}. {FULL} random trials in full: best average precision {best_of(full):.4f}, {cost}.",
            table(heads, found),
            f"Replayed: {FULL} random trials in full against {FULL} that compete, both drawn anew from a pool of "
            f"{len(pool)} trained in full; in how many draws the competing ones reach the best of the others, and "
            "the median of the rounds with the tenth and ninetieth percentile. By luck alone, two draws in full would "
            f"do so in more than half. Live: one study a sampler, another seed, {FULL} trials at most, until the best "
            f"of the {FULL} in full is reached.",
            f"A trial of six parameters and {REPORTS} reports, written down ({OVERHEAD_TRIALS} trials, one process):",
            stored,
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="amlgentex_small", help="which reference set")
    parser.add_argument("--rows", type=int, default=6_000, help="payments learned from, about")
    parser.add_argument("--columns", type=int, default=4, help="every so many columns one is taken")
    parser.add_argument("--trials", type=int, default=60, help="random trials trained in full")
    parser.add_argument("--replays", type=int, default=200, help="orders of the pool that are replayed")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next time")
    parser.add_argument("--studies", type=Path, help="where trials are kept: a pool that is there is not trained again")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    if not data_folder().is_dir():
        print(f"left out, there is no {data_folder()}")
        return
    with tempfile.TemporaryDirectory(prefix="greywater-bench-") as made:
        text = report(
            asked.set,
            asked.folder or Path(made),
            asked.studies or Path(made) / "studies",
            (asked.rows, asked.columns),
            asked.trials,
            asked.replays,
        )
    if asked.print_only:
        print(f"## Tuning\n\n{text}\n", flush=True)
    else:
        write_section("Tuning", text)


if __name__ == "__main__":
    main()
