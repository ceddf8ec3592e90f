"""Online vectors: load and read, embedded and from a server, against SQLite and Feast; window values at a moment."""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numba
import numpy as np
import pyarrow as pa

from greywater.config import Settings
from greywater.features.account_windows import AccountWindows, held_payments
from greywater.features.windows import WindowPlan
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.materialize import materialize
from greywater.featurestore.vectors import OnlineView
from greywater.featurestore.window_records import WindowWriter, window_group, window_reader
from greywater.stores.feature_ports import GroupCommit, GroupLayout
from greywater.stores.open import open_online
from greywater.vocab import Int64Array
from report import table, write_section
from valkey_server import running_server, server_program

FEATURES = 10
#: Rounds of single calls, of which the quietest counts.
ROUNDS = 10
GROUP = FeatureGroup(
    "one", 1, ("customer",), ("string",), tuple(FeatureField(f"f{k}", "float64") for k in range(FEATURES))
)
VIEW = FeatureView("one", 1, tuple(ViewFeature("one", 1, f"f{k}") for k in range(FEATURES)))
DAY = 86_400_000_000
START = 19_000 * DAY


class OneRun:
    """A group with one row an entity, as an offline store would give it: sorted by hash, columns in memory."""

    def __init__(self, entities: int) -> None:
        generator = np.random.default_rng(1)
        self.rows = entities
        self.key: Int64Array = np.sort(generator.integers(-(2**62), 2**62, (entities, 2)), axis=0)
        self.event_us = self.known_us = np.full(entities, START)
        self.commit = 0
        self.least_event_us = self.greatest_event_us = START
        names = [f"customer-{number:08d}" for number in generator.permutation(entities)]
        values = {f"f{k}": generator.random(entities) for k in range(FEATURES)}
        self.table = pa.table({"customer": names, **values})

    @property
    def key_high(self) -> Int64Array:
        return self.key[:, 0]

    @property
    def key_low(self) -> Int64Array:
        return self.key[:, 1]

    def columns(self, names: Sequence[str]) -> pa.Table:
        return self.table.select(list(names))


class OneGroup:
    """What `materialize` asks of an offline store, over one run."""

    def __init__(self, run: OneRun) -> None:
        self.run = run

    def layout(self, name: str, version: int) -> GroupLayout:
        return GROUP.layout

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        return [GroupCommit(0, self.run.rows, 0, None, "")]

    def runs(self, name: str, version: int, **bounds: Any) -> list[OneRun]:
        return [self.run]


def microseconds(ask: Callable[[Any], Any], questions: Sequence[Any]) -> float:
    """Median of the wall times of single calls, in the quietest of some rounds: the host takes its share of others.

    Each question is made anew just before it is asked, as a request that was just parsed.
    """
    medians = []
    for first in range(ROUNDS):
        times = []
        for question in questions[first::ROUNDS]:
            fresh = json.loads(json.dumps(question))
            begun = time.perf_counter()
            ask(fresh)
            times.append(time.perf_counter() - begun)
        medians.append(median(times))
    return min(medians) * 1e6


def questions(entities: int, reads: int) -> tuple[list[Any], list[Any]]:
    draw = random.Random(2)
    keys = [{"customer": f"customer-{draw.randrange(entities):08d}"} for _ in range(reads)]
    return keys, [[draw.choice(keys) for _ in range(100)] for _ in range(reads // 10)]


def ours(url: str, run: OneRun, reads: int) -> list[float]:
    """[rows per CPU second, us of one, us of 100, us of 100 as a matrix]."""
    view = OnlineView(VIEW, {("one", 1): GROUP}, open_online(url))
    begun = time.process_time()
    materialize(view, OneGroup(run), START)  # type: ignore[arg-type]
    loaded = time.process_time() - begun
    one, hundred = questions(run.rows, reads)
    first = run.table.slice(0, 1).to_pylist()[0]
    assert view.vector(first["customer"]) == tuple(first[f"f{k}"] for k in range(FEATURES))
    figures = [
        run.rows / loaded,
        microseconds(view.vector, one),
        microseconds(view.vectors, hundred),
        microseconds(lambda keys: view.vectors(keys, as_numpy=True), hundred),
    ]
    view.online.close()
    return figures


def in_sqlite(folder: Path, run: OneRun, reads: int) -> list[float]:
    """One table, one row an entity, in the same batches and as durable."""
    base = sqlite3.connect(folder / "peer.db")
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = FULL")
    names = ", ".join(f"f{k}" for k in range(FEATURES))
    reals = ", ".join(f"f{k} REAL" for k in range(FEATURES))
    base.execute(f"CREATE TABLE one (customer TEXT PRIMARY KEY, {reals}) WITHOUT ROWID")
    begun = time.process_time()
    for batch in run.table.to_batches(max_chunksize=50_000):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        with base:
            base.executemany(f"INSERT OR REPLACE INTO one VALUES (?{', ?' * FEATURES})", rows)
    loaded = time.process_time() - begun
    single = f"SELECT {names} FROM one WHERE customer = ?"
    many = f"SELECT customer, {names} FROM one WHERE customer IN ({', '.join('?' * 100)})"

    def read_many(keys: list[dict[str, str]]) -> list[Any]:
        wanted = [key["customer"] for key in keys]
        found = {row[0]: row[1:] for row in base.execute(many, wanted)}
        return [found.get(key) for key in wanted]

    one, hundred = questions(run.rows, reads)
    figures = [
        run.rows / loaded,
        microseconds(lambda key: base.execute(single, (key["customer"],)).fetchone(), one),
        microseconds(read_many, hundred),
    ]
    base.close()
    return figures


def in_feast(folder: Path, entities: int, reads: int) -> list[float] | None:
    """Feast's SDK over its local online store (SQLite), in its own environment; None where there is none."""
    python = os.environ.get("GREYWATER_FEAST_PYTHON")
    if not python:
        return None
    script = Path(__file__).with_name("peer_feast_online.py")
    words = [python, str(script), str(entities), str(FEATURES), str(reads), str(folder)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return [told["load"], told["one"], told["hundred"]]


def windows(payments: int) -> list[tuple[str, str]]:
    """What window values cost: taking payments in, and recomputing a record at a moment."""
    settings = Settings()
    plan = WindowPlan(settings.windows, settings.day_windows, settings.allowed_lateness)
    group = window_group(plan)
    key = (group.name, group.version)
    names = [feature.name for feature in group.features][:: len(group.features) // FEATURES][:FEATURES]
    view = FeatureView("w", 1, tuple(ViewFeature(*key, name) for name in names))
    online = OnlineView(view, {key: group}, open_online("memory:"), windows={key: window_reader(plan)})
    draw = np.random.default_rng(3)
    stream = pa.table(
        {
            "seq": np.arange(payments),
            "event_time": pa.array(START + np.arange(payments) * 1_000_000).cast(pa.timestamp("us", tz="UTC")),
            "sender": draw.integers(0, payments // 50, payments).astype(str),
            "receiver": draw.integers(0, payments // 50, payments).astype(str),
            "base_amount": draw.integers(1, 10**6, payments),
        }
    )
    state, writer = AccountWindows(plan), WindowWriter(online, plan)
    state.take(stream.slice(0, 1_000))
    begun = time.process_time()
    for at in range(1_000, payments, 20_000):
        writer.write(state.take(stream.slice(at, 20_000)))
    taken = (payments - 1_000) / (time.process_time() - begun)
    lines = [("payments/s of CPU through AccountWindows, records and offline rows made", f"{taken:,.0f}")]
    last = START + payments * 1_000_000
    entities = [str(k) for k in range(0, payments // 50, 7)][:2_000]
    (section,) = online.sections
    records = online.online.get_many(section.space, [b"k" + one.encode() for one in entities])
    events = [section.layout.unpack(record or b"", section.space)[3] for record in records]
    stored = microseconds(
        lambda asked: online.vector(asked[0], at_us=asked[1]), list(zip(entities, events, strict=True))
    )
    lines.append(("us, one entity, values as stored", f"{stored:.1f}"))
    later = microseconds(lambda account: online.vector(account, at_us=last + 40 * DAY), entities)
    lines.append(("us, one entity, worked out anew at a later moment (about 100 payments held)", f"{later:.1f}"))
    held: list[Any] = [(START + k * 6_000_000_000, k, k % 97, k < 97) for k in range(2_048)]
    tail = held_payments(held, held)
    record = online.online.get(section.space, b"k0")
    assert record is not None
    full = record[: section.layout.structure.size] + tail.tobytes()
    online.online.put_many(section.space, [(b"kfull", full)])
    moments = [last + 10 * DAY + k for k in range(500)]
    most = microseconds(lambda moment: online.vector("full", at_us=moment), moments)
    lines.append(("us, the same of 4,096 payments held", f"{most:.1f}"))
    return lines


@numba.njit  # type: ignore[misc]
def _walk(after: Int64Array, steps: int) -> int:
    place = 0
    for _ in range(steps):
        place = after[place]
    return place


def memory_latency(megabytes: int = 32, steps: int = 500_000) -> float:
    """Nanoseconds for one read that depends on the one before, at random over so much memory: what look-ups are."""
    lines = np.random.default_rng(1).permutation(megabytes * 2**20 // 64) * 8
    after = np.zeros(len(lines) * 8, np.int64)
    after[lines] = np.roll(lines, -1)
    _walk(after, 1)
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        _walk(after, steps)
        rounds.append((time.perf_counter() - begun) / steps)
    return min(rounds) * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--reads", type=int, default=10_000)
    parser.add_argument("--feast-entities", type=int, default=10_000)
    parser.add_argument("--payments", type=int, default=200_000)
    given = parser.parse_args()
    begun_at = os.getloadavg()[0]
    run = OneRun(given.entities)
    lines: list[Sequence[object]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = [("memory", "memory:"), ("LMDB, synced", f"lmdb:{folder / 'lmdb'}")]
        if server_program() is not None:
            (folder / "server").mkdir()
            always = ("--appendonly", "yes", "--appendfsync", "always")
            port = stack.enter_context(running_server(folder / "server", *always))
            stores.append(("Valkey over loopback, synced", f"valkey://127.0.0.1:{port}/0"))
        figures = {name: ours(url, run, given.reads) for name, url in stores}
        figures["SQLite, one row an entity, synced"] = in_sqlite(folder, run, given.reads)
        (folder / "feast").mkdir()
        feast = in_feast(folder / "feast", given.feast_entities, max(given.reads // 20, 100))
        if feast is not None:
            figures[f"Feast's SDK, SQLite, {given.feast_entities:,} entities"] = feast
    best = figures["LMDB, synced"]
    for name, (load, one, hundred, *rest) in figures.items():
        ratio = "" if name in dict(stores) else f"{load / best[0]:.3f}x load, {one / best[1]:.1f}x and "
        ratio += "" if name in dict(stores) else f"{hundred / best[2]:.1f}x the time"
        matrix = f"{rest[0]:.0f}" if rest else ""
        lines.append((name, f"{load:,.0f}", f"{one:.1f}", f"{hundred:.0f}", matrix, ratio))
    load_average = f"Load average {begun_at:.0f} when it began, {os.getloadavg()[0]:.0f} when it ended."
    head = ("store", "rows/s of CPU loaded", "us, 1 entity", "us, 100", "us, 100 as a matrix", "against LMDB")
    text = f"{given.entities:,} entities of {FEATURES} float64 features, keys at random, medians of single calls in "
    text += f"the quietest of {ROUNDS} rounds. "
    text += f"{load_average} A read from memory that depends on the one before, at random over 32 MB, took "
    text += f"{memory_latency():.0f} ns, and {memory_latency(1):.0f} ns over 1 MB.\n\n"
    text += table(head, lines) + "\n\nWindow values of an account:\n\n"
    text += table(("what", ""), windows(given.payments))
    write_section("Online vectors", text)


if __name__ == "__main__":
    main()
