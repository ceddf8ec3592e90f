"""The adversarial detector: how fast it is, few labels, a typology that no label has shown, and sequences.

    scripts/bench adversarial [--parts speed,labels,typology,sequence] [--sets amlsim_medium,...] [--seeds N]
                              [--folder DIR] [--print-only]

All but the speed on the last 20 % of the payments, split by time, all laundering and a sample of the honest payments,
each of which stands for those left out. Settings are those that the validation slices chose in `scripts/bench anomaly`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from anomaly_contest import ADVERSARIAL
from anomaly_sets import ANOMALY_SETS, contests
from bench_anomaly import interval
from graph_sets import data_folder
from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.boosted import Boosted
from greywater.detectors.combination import Combination, CombinationParameters
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid, HybridParameters
from greywater.detectors.isolation import Isolation
from greywater.detectors.metrics import roc_auc
from greywater.detectors.part_scores import PartScores
from greywater.detectors.row_choice import RowChoice
from greywater.detectors.trees import sampled_average_precision
from greywater.features.sequence import sequence_columns
from greywater.stores.blocks import TableRows
from hybrid_sets import FILES, scored_set
from report import table, write_section
from unseen_sets import Part, part_of, sequences_of, typologies

#: What the validation slices chose, by set: a name of ADVERSARIAL.
CHOSEN = {
    "amlsim_medium": "standard scale, code 32, trim 20 %, far 1",
    "amlgentex_small": "standard scale, code 32, trim 20 %",
    "cardfraud": "half masked, far 1",
    "ethereum_accounts": "code 4, 10 epochs",
}
#: Alerts a day at which a hybrid with the detector is compared with one without.
BUDGETS = (20, 5, 2)
DAY_US = 86_400_000_000
LEARN, TUNE, JUDGE = 60_000, 20_000, 20_000
THREADS = 2


def adversarial(name: str, seed: int, **more: object) -> Adversarial:
    """With the setting chosen for a set."""
    return Adversarial(AdversarialParameters(**(ADVERSARIAL[CHOSEN[name]] | more)), seed=seed, threads=THREADS)  # type: ignore[arg-type]


# ---- speed


def speed() -> str:
    """Training on 200,000 rows of 60 columns to its early stop, and scoring."""
    draw = np.random.default_rng(1)
    rows = 200_000
    cause = draw.normal(size=(rows, 12)) @ draw.normal(size=(12, 60)) + 0.5 * draw.normal(size=(rows, 60))
    X = TableRows(pa.table({f"c{place}": cause[:, place] for place in range(60)}))
    held = TableRows(pa.table({f"c{place}": cause[:20_000, place][::-1] for place in range(60)}))
    begun, spent = time.perf_counter(), time.process_time()
    made = Adversarial(seed=7, threads=THREADS).fit(X, validation=Validation(held, np.zeros(20_000, np.int64)))
    wall, cpu = time.perf_counter() - begun, time.process_time() - spent
    epochs = "/".join(str(each["epochs"]) for each in made.card["training"])
    found = [
        (
            "train 200,000 rows x 60 columns to the early stop",
            f"{wall:.0f} s ({cpu:.0f} CPU s; epochs {epochs})",
            "<= 300 s",
        )
    ]
    matrix = np.ascontiguousarray(cause)
    found.append(("score rows, 3 pairs", f"{_rate(lambda: made._score(matrix), rows):,.0f} rows/s", ">= 400,000"))
    found.append(("score one row", f"{_one(made.score_row, matrix):.0f} us", "<= 100 us"))
    names = [name for role in ("sender", "receiver") for place in sequence_columns(role) for name in place]
    many = 20_000
    high = (np.arange(len(names)) // 3 + draw.integers(0, 2, many)[:, None]) % 2
    columns = {
        name: 8.0 + 2 * high[:, place] if name.endswith("kind") else np.exp(5 + 3 * high[:, place])
        for place, name in enumerate(names)
    }
    short = AdversarialParameters(epochs=2, sample_rows=4_096, hidden=32, batch=128, rate=2e-3)
    sequences = AdversarialSequence(short, seed=7, threads=THREADS).fit(TableRows(pa.table(columns)))
    matrix = np.column_stack(list(columns.values())).astype(np.float64)
    found.append(
        (
            "sequences, K = 32, of both parties, 3 pairs",
            f"{_rate(lambda: sequences._score(matrix), many):,.0f} rows/s",
            ">= 30,000",
        )
    )
    found.append(("one row of sequences", f"{_one(sequences.score_row, matrix):.0f} us", "<= 1,000 us"))
    return f"{THREADS} threads; best of 5 rounds.\n\n" + table(("", "measured", "wanted"), found)


def _rate(score: Callable[[], object], rows: int) -> float:
    score()
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        score()
        taken.append(time.perf_counter() - begun)
    return rows / min(taken)


def _one(score: Callable[[np.ndarray], float], matrix: np.ndarray) -> float:
    """Microseconds for one row, the best of five rounds of 200."""
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        for row in matrix[:200]:
            score(row)
        taken.append((time.perf_counter() - begun) / 200)
    return min(taken) * 1e6


# ---- few labels


def few_labels(names: Sequence[str], folder: Path, seeds: int) -> str:
    """With 1 % of the labels, or 20 launderers, beside the same without any, and beside trees with the same labels."""
    rows = []
    for name in names:
        found: dict[str, list[tuple[float, float]]] = {}
        rounds = [(split, 7 + k) for k, split in enumerate(contests(name, folder))]
        rounds = rounds if len(rounds) > 1 else [(rounds[0][0], 7 + k) for k in range(seeds)]
        for split, seed in rounds:
            guilty = np.flatnonzero(split.y == 1)
            few = np.random.default_rng(seed).choice(
                guilty, min(len(guilty), max(20, len(guilty) // 100)), replace=False
            )
            y = np.zeros(len(split.y), np.int64)
            y[few] = 1
            makers = {
                "no label": (adversarial(name, seed, labels="none"), None),
                "few labels": (adversarial(name, seed, labels="push"), y),
                "boosted trees, the same labels": (Boosted(seed=seed, threads=THREADS), y),
            }
            for called, (detector, labels) in makers.items():
                score = detector.fit(split.X, labels).score(split.judge.X)
                reached = split.judge.average_precision(score), roc_auc(split.judge.y, score) or 0.0
                found.setdefault(called, []).append(reached)
                print(name, seed, called, *(round(value, 4) for value in reached), flush=True)
        for called, each in found.items():
            rows.append((name, called, *(interval([one[place] for one in each]) for place in range(2))))
    return table(("set", "", "average precision", "ROC AUC"), rows)


# ---- a typology held out


def held_out(name: str, folder: Path, seeds: int) -> str:
    """Each typology in turn left out of what is learned from: how much of it the hybrid finds with and without."""
    scored = scored_set(name, folder)
    known = typologies(scored, folder)
    split = scored.split
    bounds = ((0, split.train, LEARN), (split.train, split.validation, TUNE), (split.validation, split.rows, JUDGE))
    learn, tune, judge = (part_of(scored, known, *bound) for bound in bounds)
    days = (scored.time_us[-1] - scored.time_us[split.validation]) / DAY_US
    rows = []
    for typology in sorted(set(judge.typology) - {""}):
        counts = np.zeros((seeds, len(BUDGETS), 2))
        precision = np.zeros((seeds, 2))
        for place in range(seeds):
            for way, score in enumerate(_with_and_without(name, typology, learn, tune, judge, seed=7 + place)):
                precision[place, way] = sampled_average_precision(judge.y, score, judge.stands_for)
                for budget, each in enumerate(BUDGETS):
                    counts[place, budget, way] = _caught(judge, score, typology, each * days)
            print(name, typology, 7 + place, counts[place].tolist(), precision[place].round(3).tolist(), flush=True)
        there = int((judge.typology == typology).sum())
        middle = counts.mean(axis=0)
        rows.append(
            (typology, there, *(f"{without:.1f} / {within:.1f}" for without, within in middle),
             " / ".join(f"{value:.3f}" for value in precision.mean(axis=0)))
        )  # fmt: skip
        rows[-1] = (*rows[-1], middle)  # type: ignore[assignment]
    total = np.sum([row[-1] for row in rows], axis=0)
    rows = [row[:-1] for row in rows]
    rows.append(("all together", sum(row[1] for row in rows), *(f"{a:.1f} / {b:.1f}" for a, b in total), ""))
    heads = ("typology held out", "its payments", *(f"{each} a day" for each in BUDGETS), "average precision, all")
    return f"{days:.0f} days; without / with, means of {seeds} seeds.\n\n" + table(heads, rows)


def _with_and_without(
    name: str, typology: str, learn: Part, tune: Part, judge: Part, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the judged rows by a hybrid without the detector, and with it, over the same parts."""
    X, y, _ = _without(learn, typology)
    later, truth, _ = _without(tune, typology)
    parts = {
        "boosted": Boosted(seed=seed, threads=THREADS), "isolation": Isolation(seed=seed, threads=THREADS),
        "adversarial": adversarial(name, seed),
    }  # fmt: skip
    hybrid = Hybrid(parts).fit(X, y, validation=Validation(later, truth))
    said = hybrid.part_scores(judge.X)
    half = later.rows // 2
    chosen: CombinationParameters = HybridParameters().combination()
    reference = hybrid.part_scores(RowChoice(later, np.arange(half, later.rows)))
    fewer = [place for place, each in enumerate(said.names) if each != "adversarial"]

    def only(scores: PartScores) -> PartScores:
        return PartScores(tuple(scores.names[place] for place in fewer), scores.values[:, fewer])

    without = Combination.fit(
        only(reference), truth[half:], chosen, positives=int(y.sum() + truth.sum()), learned=["boosted"]
    )
    return without.score(only(said)), hybrid.score(judge.X)


def _without(part: Part, typology: str) -> tuple[RowChoice, np.ndarray, np.ndarray]:
    kept = np.flatnonzero(part.typology != typology)
    return RowChoice(part.X, kept), part.y[kept], kept


def _caught(judge: Part, score: np.ndarray, typology: str, budget: float) -> int:
    """Payments of the typology among the highest scores that a budget pays for."""
    order = np.argsort(-score, kind="stable")
    top = order[np.cumsum(judge.weight[order]) <= budget]
    return int((judge.typology[top] == typology).sum())


# ---- sequences


def sequences(name: str, folder: Path, seeds: int) -> str:
    """The detector over columns, over sequences, and the mean of their ranks, without any label."""
    scored = scored_set(name, folder)
    known = typologies(scored, folder)
    split = scored.split
    learn = part_of(scored, known, 0, split.train, LEARN)
    judge = part_of(scored, known, split.validation, split.rows, JUDGE)
    own, later = sequences_of(scored, folder, (learn.rows, judge.rows))
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(7, 7 + seeds):
        columns = adversarial(name, seed, labels="none").fit(learn.X).score(judge.X)
        chosen = replace(AdversarialSequence.parameters, labels="none")
        ordered = AdversarialSequence(chosen, seed=seed, threads=THREADS).fit(own).score(later)
        both = _ranks(columns) + _ranks(ordered)
        for called, score in (("columns", columns), ("sequences", ordered), ("both", both)):
            reached = sampled_average_precision(judge.y, score, judge.stands_for), roc_auc(judge.y, score) or 0.0
            found.setdefault(called, []).append(reached)
            print(name, seed, called, *(round(value, 4) for value in reached), flush=True)
    rows = [(called, *(interval([one[k] for one in each]) for k in range(2))) for called, each in found.items()]
    return table(("", "average precision", "ROC AUC"), rows)


def _ranks(score: np.ndarray) -> np.ndarray:
    """How far up each score is: minus the logarithm of the share above it."""
    place = np.argsort(np.argsort(score, kind="stable"), kind="stable")
    return -np.log(1 - (place + 0.5) / len(score))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="speed,labels,typology,sequence", help="which parts, by commas")
    parser.add_argument("--sets", default=",".join(ANOMALY_SETS), help="which sets, by commas")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of everything random")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next time")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    names = [name for name in asked.sets.split(",") if name in ANOMALY_SETS]

    def told(title: str, text: str) -> None:
        if asked.print_only:
            print(f"## {title}\n\n{text}\n", flush=True)
        else:
            write_section(title, text)

    with tempfile.TemporaryDirectory(prefix="greywater-bench-") as made:
        folder = asked.folder or Path(made)
        for part in asked.parts.split(","):
            if part == "speed":
                told("The adversarial detector's speed", speed())
                continue
            if not data_folder().is_dir():
                print(f"{part}: left out, there is no {data_folder()}")
            elif part == "labels":
                told("The adversarial detector with few labels", few_labels(names, folder, asked.seeds))
            elif part == "typology":
                for name in [each for each in names if each in FILES]:
                    told(f"A typology that no label has shown: {name}", held_out(name, folder, asked.seeds))
            elif part == "sequence":
                for name in [each for each in names if each in FILES]:
                    told(f"Sequences: {name}", sequences(name, folder, asked.seeds))
            else:
                parser.error(f"there is no part {part!r}")


if __name__ == "__main__":
    main()
