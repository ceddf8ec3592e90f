"""Anomaly detectors side by side: average precision and ROC AUC, trained on unlabelled and on good-only data.

    scripts/bench anomaly [--sets amlsim_medium,...] [--seeds N] [--only NAME,...] [--folder DIR] [--print-only]

Payments: learned from the first 60 %, the setting chosen on the next 20 %, judged once on the last 20 %. Accounts
without times: five fixed folds, of which one judges, and a quarter of the others chooses. No detector sees a label;
"good only" leaves the known launderers of the training slice out. Settings are chosen for each with the first seed.
Means over the seeds (or folds) with Student's 95 % interval. Contestants: benchmarks/anomaly_contest.py.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from scipy.stats import t as student

from anomaly_contest import CONTESTANTS, PAIRS, Contestant
from anomaly_sets import ANOMALY_SETS, Contest, contests
from graph_sets import data_folder
from greywater.detectors.baseline import single_column_baseline
from greywater.detectors.detector import Detector, Validation
from greywater.detectors.metrics import roc_auc
from greywater.errors import DetectorError, ExtraMissingError
from report import table, write_section

TRAINED = ("unlabelled", "good only")


@dataclass
class Found:
    """What came of one contestant on one kind of data: figures, settings chosen, CPU seconds, rows a second."""

    precision: list[float] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    fit: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)

    @property
    def setting(self) -> str:
        """The one that was chosen most often."""
        return max(dict.fromkeys(self.settings), key=self.settings.count)


def weights(contest: Contest, trained: str) -> np.ndarray | None:
    """0 for the known launderers, where they are to be left out."""
    return None if trained == "unlabelled" else 1.0 - contest.y


def chosen(contestant: Contestant, contest: Contest, seed: int, trained: str) -> str:
    """The setting with the best average precision on the rows that choose."""
    if len(contestant.settings) == 1:
        return next(iter(contestant.settings))
    reached = {}
    for name, make in (contestant.trials or contestant.settings).items():
        score = make(seed).fit(contest.X, weight=weights(contest, trained)).score(contest.choose.X)
        reached[name] = contest.choose.average_precision(score)
        print(f"  {contestant.name}, {trained}: {name} {reached[name]:.4f}", flush=True)
    return max(reached, key=lambda name: reached[name])


def measure(detector: Detector, contest: Contest, found: Found) -> None:
    """Measure on the rows that judge."""
    begun = time.process_time()
    score = detector.score(contest.judge.X)
    found.rate.append(len(score) / max(time.process_time() - begun, 1e-9))
    area = roc_auc(contest.judge.y, score)
    found.precision.append(contest.judge.average_precision(score))
    found.area.append(area if area is not None else float("nan"))


def contend(contestant: Contestant, splits: Sequence[Contest], seeds: int, trained: str) -> dict[str, Found]:
    """Every round of one contestant, by the name of the score, of which "" is the detector's own."""
    # Several folds are repetitions enough; one split is repeated with other seeds.
    rounds = [(split, 7) for split in splits] if len(splits) > 1 else [(splits[0], 7 + k) for k in range(seeds)]
    found = {name: Found() for name in ("", *contestant.beside)}
    own = found[""]
    for place, (split, seed) in enumerate(rounds):
        if place == 0 or len(splits) > 1:
            own.settings.append(chosen(contestant, split, seed, trained))
        begun = time.process_time()
        detector = contestant.settings[own.settings[-1]](seed).fit(split.X, weight=weights(split, trained))
        own.fit.append(time.process_time() - begun)
        measure(detector, split, own)
        for name, other in contestant.beside.items():
            measure(other(detector), split, found[name])
        print(f"  {contestant.name}, {trained}: {own.precision[-1]:.4f} {own.area[-1]:.4f}", flush=True)
    return found


def interval(values: Sequence[float]) -> str:
    """The mean and Student's interval."""
    if len(values) < 2:
        return f"{mean(values):.3f}"
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.3f} ± {half:.3f}"


def report(name: str, folder: Path, seeds: int, contestants: Sequence[Contestant]) -> str:
    """The table of one set."""
    splits = list(contests(name, folder))
    rows, missing = [], []
    for contestant in contestants:
        try:
            held = [contend(contestant, splits, seeds, trained) for trained in TRAINED]
        except (ExtraMissingError, DetectorError) as error:
            missing.append(f"{contestant.name} is left out: {error}")
            continue
        for score in held[0]:
            ways = [each[score] for each in held]
            figures = [interval(values) for found in ways for values in (found.precision, found.area)]
            settings = "" if score else " / ".join(dict.fromkeys(found.setting for found in ways))
            spent = "" if score else f"{mean(mean(found.fit) for found in ways):.1f}"
            rate = mean(mean(found.rate) for found in ways)
            rows.append((f"- its {score}" if score else contestant.name, *figures, settings, spent, f"{rate:,.0f}"))
            print(name, rows[-1], flush=True)
    heads = ("", *(f"{trained}: {measure}" for trained in TRAINED for measure in ("average precision", "ROC AUC")),
             "settings chosen", "fit, CPU seconds", "rows/s")  # fmt: skip
    return "\n\n".join([_about(splits, len(splits) if len(splits) > 1 else seeds), table(heads, rows), *missing])


def _about(splits: Sequence[Contest], rounds: int) -> str:
    """What was judged, and what the best single column would reach there."""
    first = splits[0]
    positives = sum(int(split.judge.y.sum()) for split in splits)
    share = np.mean([
        split.judge.y.sum() / (split.judge.y.sum() + (split.judge.y == 0).sum() * split.judge.stands_for)
        for split in splits
    ])  # fmt: skip
    areas = [
        best.by_roc_auc.roc_auc
        for split in splits
        if (best := single_column_baseline(
            split.judge.X, split.judge.y, directions_from=Validation(split.choose.X, split.choose.y)
        )).by_roc_auc
    ]  # fmt: skip
    return (
        f"{len(first.X.names)} columns; judged on {positives:,} bad ones, {share:.2%} of all, and on one of "
        f"{first.judge.stands_for:.1f} good ones; {rounds} {'folds' if len(splits) > 1 else 'seeds'}. A guess has the "
        f"average precision {share:.4f}; the best single column the ROC AUC {mean(areas):.3f}. "
        f"The adversarial detector is the mean of {PAIRS[0]} pair(s)."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(ANOMALY_SETS), help="which sets, by commas")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of everything random, where there are no folds")
    parser.add_argument("--only", help="contestants whose names begin so, by commas, in this order")
    parser.add_argument("--pairs", type=int, default=PAIRS[0], help="of the adversarial detector, averaged")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next time")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    PAIRS[0] = asked.pairs
    unknown = set(asked.sets.split(",")) - set(ANOMALY_SETS)
    if unknown:
        parser.error(f"no such sets: {', '.join(sorted(unknown))}; there are {', '.join(ANOMALY_SETS)}")
    if not data_folder().is_dir():
        print(f"left out, there is no {data_folder()}")
        return
    begins = asked.only.split(",") if asked.only else [""]
    contestants = [each for begin in begins for each in CONTESTANTS if each.name.startswith(begin)]
    with tempfile.TemporaryDirectory(prefix="greywater-bench-") as made:
        for name in asked.sets.split(","):
            text = report(name, asked.folder or Path(made), asked.seeds, contestants)
            if asked.print_only:
                print(f"## Anomaly detectors: {name}\n\n{text}\n", flush=True)
            else:
                write_section(f"Anomaly detectors: {name}", text)


if __name__ == "__main__":
    main()
