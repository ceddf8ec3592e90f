"""Laundering at one payment in 100,000: alerts for each launderer caught, by trees, adversarial, trust and hybrid.

    scripts/bench rare [--payments N] [--one-in N] [--windows SECONDS ...] [--folder DIR] [--print-only]

A large made-up world in hard mode. The first 60 % of the payments teach, the next 20 % stop and combine, the last fifth
is alerted. Of the honest payments of the first 80 % one in 50 is drawn and weighs 50. An alert is an account that sent
payments in the last fifth, ranked by its highest score; a case is an account that laundered in it. Launderers known to
Anti-TrustRank are those who laundered in an earlier fifth, so its figures, and the hybrid's, are those of a bank that
found everybody by then. The figures at one in ten times as many are extrapolated: as many honest accounts, a tenth of
the cases, each as hard to find.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from greywater.config import Settings
from greywater.detectors.adversarial import Adversarial
from greywater.detectors.adversarial_parameters import AdversarialParameters
from greywater.detectors.association import Association
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine
from greywater.features.suspicion import SUSPICION_FEATURES
from greywater.features.trust_scores import trust_scores
from greywater.stores.blocks import TableRows
from greywater.synth.hard_mode import HardMode
from greywater.synth.laundered_world import LaunderedWorld, make_laundered_world
from greywater.synth.presets import world_plan
from report import table, write_section

DAY = 86_400
BLOCK = 32_768
#: One in so many honest payments teaches, and weighs as many.
KEPT_ONE_IN = 50
FIFTHS = 5
#: Shares of the cases that are to be caught.
RECALLS = (0.1, 0.25, 0.5)
#: Rows that the adversarial detector learns from.
ADVERSARIAL_ROWS = 60_000
SUSPICION = [feature.name for feature in SUSPICION_FEATURES]


@dataclass(frozen=True)
class Sides:
    """Who paid whom: numbers int32[n] of sender and receiver, base amounts int64[n] in cents, what is laundering."""

    sender: np.ndarray
    receiver: np.ndarray
    cents: np.ndarray
    laundering: np.ndarray
    accounts: int


@dataclass(frozen=True)
class Rows:
    """Rows that teach or are alerted: columns, label, weight, and the payment each of them is."""

    X: TableRows
    y: np.ndarray
    weight: np.ndarray
    payment: np.ndarray


def blocks(world: LaunderedWorld) -> Iterator[pa.Table]:
    """The payments as the engine reads them, in order of time, money in cents of the base currency."""
    rates = pa_csv.read_csv(world.files["rates"])
    first = rates.filter(pc.equal(rates["date"], rates["date"][0]))
    rate = dict(zip(first["currency"].to_pylist(), first["rate"].to_pylist(), strict=True)) | {"USD": 1.0}
    begin = 0
    for batch in pq.ParquetFile(world.files["payments"]).iter_batches(BLOCK):
        rows = pa.Table.from_batches([batch])
        words = pc.cast(rows["currency"], pa.string()).combine_chunks().dictionary_encode()
        factor = np.array([rate[word] for word in words.dictionary.to_pylist()])[words.indices.to_numpy()]
        amount = rows["amount"].cast(pa.float64()).to_numpy()
        received = rows["received_amount"].cast(pa.float64()).to_numpy()
        cents = np.rint(100 * amount * factor).astype(np.int64)
        yield pa.table(
            {
                "seq": np.arange(begin, begin + len(rows)),
                "event_time": rows["event_time"].cast(pa.timestamp("us", tz="UTC")),
                "sender": rows["sender"],
                "receiver": rows["receiver"],
                "sender_bank": rows["sender_bank"].cast(pa.string()),
                "receiver_bank": rows["receiver_bank"].cast(pa.string()),
                "amount": np.rint(100 * amount).astype(np.int64),
                "currency": words.cast(pa.string()),
                "received_amount": np.rint(100 * received).astype(np.int64),
                "received_currency": rows["received_currency"].cast(pa.string()),
                "base_amount": cents,
                "channel": rows["channel"].cast(pa.string()),
            }
        ).combine_chunks()
        begin += len(rows)


def looked_back(
    world: LaunderedWorld, laundering: np.ndarray, settings: Settings
) -> tuple[Sides, dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Features of the payments that are kept: sampled ones of the first 80 %, all of the last fifth, as float32."""
    engine = Engine(payments_v1(settings, 1_000), threads=settings.worker_threads)
    n, names = (
        len(laundering),
        {f"{number:09X}": at for at, number in enumerate(world.world.population.number.tolist())},
    )
    kept = laundering | (np.random.default_rng(7).random(n) < 1 / KEPT_ONE_IN)
    kept[fifths_of(n)[-2] :] = True
    encoded = pa.array(list(names))
    sides: list[tuple[np.ndarray, ...]] = []
    parts: list[np.ndarray] = []
    columns: tuple[str, ...] = ()
    told = time.perf_counter()
    for number, block in enumerate(blocks(world)):
        begin, end = block["seq"][0].as_py(), block["seq"][0].as_py() + len(block)
        ends = [pc.index_in(block[side].combine_chunks(), encoded).to_numpy() for side in ("sender", "receiver")]
        sides.append((*(each.astype(np.int32) for each in ends), block["base_amount"].to_numpy()))
        made = engine.process(block).columns
        columns = tuple(made.schema.names)
        chosen = np.flatnonzero(kept[begin:end])
        if len(chosen):
            taken = made.take(pa.array(chosen))
            parts.append(np.column_stack([column.to_numpy(zero_copy_only=False).astype(np.float32)
                                          for column in taken.columns]))  # fmt: skip
        if number % 100 == 99:
            print(f"{end:,} payments, {end / (time.perf_counter() - told):,.0f} a second", flush=True)
    whole = [np.concatenate(each) for each in zip(*sides, strict=True)]
    found = Sides(whole[0], whole[1], whole[2], laundering, len(names))
    places = np.flatnonzero(kept)
    values = np.concatenate(parts)
    cuts = np.searchsorted(places, [int(0.6 * n), fifths_of(n)[-2]])
    pieces = zip(np.split(places, cuts), np.split(values, cuts), strict=True)
    return found, dict(zip(("train", "tune", "test"), pieces, strict=True)), columns


def fifths_of(n: int) -> list[int]:
    """Where each fifth ends."""
    return [n * fifth // FIFTHS for fifth in range(1, FIFTHS + 1)]


def suspicion(sides: Sides) -> np.ndarray:
    """Anti-TrustRank float32[fifths, accounts] at the beginning of each fifth, from those who laundered before it."""
    found = np.zeros((FIFTHS, sides.accounts), np.float32)
    for fifth, end in enumerate(fifths_of(len(sides.sender))[:-1], start=1):
        seeds = np.unique(
            np.concatenate([side[:end][sides.laundering[:end]] for side in (sides.sender, sides.receiver)])
        )
        if len(seeds):
            real = np.flatnonzero(sides.sender[:end] != sides.receiver[:end])
            found[fifth] = trust_scores(
                sides.sender[real], sides.receiver[real], sides.cents[real].astype(np.float64), sides.accounts,
                seeds.astype(np.int32), direction="both", tol=1e-6,
            ).additive  # fmt: skip
    return found


def as_rows(part: tuple[np.ndarray, np.ndarray], names: tuple[str, ...], sides: Sides, trust: np.ndarray) -> Rows:
    """A slice as a training table, with the suspicion of both parties as of the beginning of its fifth."""
    place, values = part
    fifth = np.searchsorted(fifths_of(len(sides.sender)), place, side="right")
    arrays = [pa.array(np.ascontiguousarray(column)) for column in values.T]
    arrays += [pa.array(trust[fifth, side[place]]) for side in (sides.sender, sides.receiver)]
    y = sides.laundering[place].astype(np.int64)
    return Rows(TableRows(pa.table(arrays, names=[*names, *SUSPICION])), y, np.where(y == 1, 1.0, KEPT_ONE_IN), place)


def alerts_needed(score: np.ndarray, rows: Rows, sides: Sides) -> tuple[list[float | None], int, int]:
    """Alerts for each case caught at each of RECALLS, and how many cases and accounts there are."""
    sender = sides.sender[rows.payment]
    best = np.full(sides.accounts, -np.inf)
    np.maximum.at(best, sender, score)
    seen = np.unique(sender)
    guilty = np.isin(seen, np.unique(sender[rows.y == 1]))
    order = np.argsort(-best[seen], kind="stable")
    found = np.flatnonzero(guilty[order]) + 1
    cases = len(found)
    needed: list[float | None] = []
    for recall in RECALLS:
        wanted = max(1, int(np.ceil(recall * cases)))
        needed.append(float(found[wanted - 1]) / wanted if cases else None)
    return needed, cases, len(seen)


def scored(rows: Mapping[str, Rows], settings: Settings) -> tuple[dict[str, np.ndarray], str]:
    """Scores of the last fifth by each detector, and how the hybrid was combined."""
    train, tune, test = (rows[name] for name in ("train", "tune", "test"))
    trees = BoostedParameters(max_negatives=0, max_validation_negatives=0)
    learned = AdversarialParameters(sample_rows=ADVERSARIAL_ROWS, members=1)
    hybrid = Hybrid(
        {
            "boosted": Boosted(trees, seed=settings.seed, threads=settings.worker_threads),
            "trust": Association(),
            "adversarial": Adversarial(learned, seed=settings.seed),
        }
    )
    hybrid.fit(train.X, train.y, weight=train.weight, validation=Validation(tune.X, tune.y))
    parts = hybrid.part_scores(test.X)
    found = {name: parts.of(name) for name in parts.names}
    return {**found, "hybrid": hybrid.score(test.X)}, str(hybrid.card.get("combination", hybrid.card.get("notes")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=20_000_000)
    parser.add_argument("--one-in", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--windows", type=int, nargs="*", default=[DAY, 7 * DAY])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--print-only", action="store_true")
    asked = parser.parse_args()
    settings = Settings(windows=tuple(asked.windows), day_windows=(), threads=min(2, os.cpu_count() or 1))
    spent: dict[str, float] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        plan = replace(
            world_plan("hi-small", payments=asked.payments, days=asked.days),
            laundering=asked.payments // asked.one_in,
        )
        world = make_laundered_world(
            asked.folder or Path(name), plan, hard=HardMode(), form="own", payments_as="parquet",
            threads=settings.worker_threads,
        )  # fmt: skip
        spent["making the world"] = time.perf_counter() - begun
        laundering = np.zeros(world.world.payments, np.bool_)
        laundering[world.rows[: len(world.laundering.payments)]] = True
        begun = time.perf_counter()
        sides, parts, names = looked_back(world, laundering, settings)
        spent["features"] = time.perf_counter() - begun
    begun = time.perf_counter()
    trust = suspicion(sides)
    spent["Anti-TrustRank"] = time.perf_counter() - begun
    begun = time.perf_counter()
    rows = {key: as_rows(part, names, sides, trust) for key, part in parts.items()}
    found, how = scored(rows, settings)
    spent["learning and scoring"] = time.perf_counter() - begun
    text = report(asked, sides, rows, found, how, spent, load)
    if asked.print_only:
        print(text)
    else:
        write_section("Laundering at one in 100,000", text)


def report(
    asked: argparse.Namespace, sides: Sides, rows: Mapping[str, Rows], found: Mapping[str, np.ndarray], how: str,
    spent: Mapping[str, float], load: float,
) -> str:  # fmt: skip
    """The table and what it rests on."""
    lines = []
    cases = accounts = 0
    for name, score in found.items():
        needed, cases, accounts = alerts_needed(score, rows["test"], sides)
        rarer = [None if each is None else 1 + 10 * (each - 1) for each in needed]
        lines.append((name, *("–" if each is None else f"{each:,.1f}" for each in (*needed, *rarer))))
    at = [f"{recall:.0%} caught" for recall in RECALLS]
    headings = ("", *at, *(f"{words}, extrapolated to 1 in {10 * asked.one_in:,}" for words in at))
    taught = {name: (len(rows[name].y), int(rows[name].y.sum())) for name in ("train", "tune")}
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    words = (
        f"Alerts for each case caught. {len(sides.sender):,} payments of {sides.accounts:,} accounts over {asked.days} "
        f"days in hard mode, {int(sides.laundering.sum()):,} laundering; windows of "
        f"{' and '.join(f'{each // DAY} d' for each in asked.windows)}. Learned from {taught['train'][0]:,} payments "
        f"({taught['train'][1]} laundering), stopped and combined on {taught['tune'][0]:,} ({taught['tune'][1]}), one "
        f"honest payment in {KEPT_ONE_IN}; alerted on the last fifth: {len(rows['test'].y):,} payments of "
        f"{accounts:,} sending accounts, {cases} of which launder. Truth stands for labels. A random order needs "
        f"{accounts / max(cases, 1):,.0f} alerts a case."
    )
    told = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in spent.items())
    return (
        f"{words}\n\n{table(headings, lines)}\n\nThe extrapolated columns were not measured. Hybrid: {how}. Wall time: "
        f"{told}; {most:.1f} GB at most; load average {load:.0f} when it began."
    )


if __name__ == "__main__":
    main()
