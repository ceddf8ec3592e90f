"""How fast a backfill fills a group, here and over Spark, in payments a CPU second, against DuckDB's windows."""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))
from bench_windows import made
from greywater.config import Settings
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.features.lifetime import lifetime_of
from greywater.pipeline.backfill import backfill, chunk_rows_of, settle_group
from greywater.stores.open import open_offline
from report import table, write_section

BLOCK = 32_768


class Given:
    """A ledger whose payments lie in memory, so that recording them is not part of the figures."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    @property
    def next_seq(self) -> int:
        return int(self.rows.num_rows)

    def scan(
        self, columns: Sequence[str] | None = None, *, start: int = 0, stop: int | None = None, batch_rows: int = BLOCK
    ) -> Iterator[pa.RecordBatch]:
        whole = self.rows.select(list(columns or self.rows.column_names))
        end = self.next_seq if stop is None else stop
        for begin in range(start, end, batch_rows):
            yield whole.slice(begin, min(batch_rows, end - begin)).combine_chunks().to_batches()[0]


def payments(rows: int, per_day: int) -> pa.Table:
    """As `bench_windows.made`, so many a day, with ids and the time at which each was recorded."""
    data, _ = made(rows)
    given = data["event_time"].cast(pa.int64()).to_numpy()
    moment = given.min() + (given - given.min()) * rows // (60 * per_day)
    data = data.set_column(1, "event_time", pa.array(moment).cast(pa.timestamp("us", tz="UTC")))
    ids = pa.array(np.char.mod("p%09d", np.arange(rows)))
    data = data.append_column("tx_id", ids).append_column("recorded_time", data["event_time"])
    return data.append_column("reference", pa.nulls(rows, pa.string()))


def few_of(whole: FeatureSet) -> FeatureSet:
    """What a handful of rules and a small model name: four statistics, three windows, the day and the pair."""
    windows = [
        f"{side}.{statistic}.{label}"
        for side in ("sender.out", "receiver.in")
        for statistic in ("count", "sum", "mean", "counterparties")
        for label in ("1d", "7d", "30d")
    ]
    return whole.only([*windows, *(name for name in whole.names if name.startswith(("calendar.", "pair.")))])


def spent(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds, seconds on the clock, and the result."""
    gc.collect()
    cpu, begun = time.process_time(), time.perf_counter()
    result = work()
    return time.process_time() - cpu, time.perf_counter() - begun, result


def engine_alone(data: pa.Table, features: FeatureSet, *, absorb: bool = False) -> Engine:
    engine = Engine(features, threads=1)
    for batch in Given(data).scan():
        if absorb:
            engine.absorb(batch)
        else:
            engine.process(batch)
    return engine


def filled(data: pa.Table, features: FeatureSet, folder: Path, *, statistics: bool = False) -> int:
    """Bytes of the group's files."""
    offline = open_offline(f"delta:{folder}")
    ledger: Any = Given(data)
    done = backfill(ledger, features, offline, settle_group(offline, features), statistics=statistics)
    assert done.payments == data.num_rows
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def in_duckdb(data: pa.Table, folder: Path) -> None:
    """Six columns of one window of one side, written as Parquet."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("given", data.select(["tx_id", "sender", "event_time", "base_amount"]))
        connection.execute(f"""COPY (
            SELECT tx_id, event_time, count(*) OVER w, sum(base_amount) OVER w, avg(base_amount) OVER w,
                   stddev_samp(base_amount) OVER w, min(base_amount) OVER w, max(base_amount) OVER w
            FROM given WINDOW w AS (PARTITION BY sender ORDER BY event_time
                RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW)
            ) TO '{folder / "peer.parquet"}' (FORMAT parquet)""")


def over_spark(data: pa.Table, features: FeatureSet, folder: Path, slices: int) -> list[tuple[object, ...]]:
    """Start of a session on this machine, and the same backfill through it."""
    from greywater.pipeline.cluster import backfill_on_cluster, open_session, source_of
    from greywater.stores.open import open_ledger
    from greywater.stores.ports import Unsequenced

    n = data.num_rows
    offered = data.drop_columns(["seq"]).append_column("file", pa.repeat("made", n))
    offered = offered.append_column("row", pa.array(np.arange(1, n + 1)))
    ledger: Any = open_ledger(f"delta:{folder / 'recorded'}", max_ahead_us=0, max_jump_us=None)
    for begin in range(0, n, 131_072):
        ledger.append(Unsequenced(offered.slice(begin, 131_072)))
    ledger.close()
    source = source_of(f"delta:{folder / 'recorded'}", features, folder / "aside")
    offline: Any = open_offline(f"delta:{folder / 'spark'}")
    group = settle_group(offline, features)
    lines: list[tuple[object, ...]] = []
    begun = time.perf_counter()
    with open_session("local[2,8]", options={"spark.driver.memory": "1g", "spark.driver.host": "127.0.0.1"}) as session:
        session.range(0, 2, 1, 2).count()
        lines.append(
            ("Spark, local[2]: start of the session and a first count", "", "", f"{time.perf_counter() - begun:.1f} s")
        )
        begun = time.perf_counter()
        backfill_on_cluster(session, source, features, offline, group, slices=slices)
        took = time.perf_counter() - begun
    lines.append(
        (
            f"Spark, local[2], {slices} slices, payments-v1, one commit",
            f"{n / took:,.0f} on the clock",
            "",
            f"{took:.1f} s",
        )
    )
    return lines


@dataclass(frozen=True)
class Lines:
    """The rows of the table: each a rate of so many payments, and its ratio to the peer's."""

    peer_seconds: float
    peer_payments: int
    rows: list[tuple[object, ...]]

    def add(self, what: str, work: Callable[[], Any], payments: int, *, compared: bool = True) -> tuple[float, Any]:
        """Do the work and note payments a CPU second; seconds on the clock and the result are returned."""
        cpu, clock, result = spent(work)
        ratio = self.peer_seconds / self.peer_payments * payments / cpu
        self.rows.append((what, f"{payments / cpu:,.0f}", f"{ratio:.2f}" if compared else "", ""))
        return clock, result

    def beside(self, said: str) -> None:
        """Say something beside the last line."""
        self.rows[-1] = (*self.rows[-1][:-1], said)


def measured(data: pa.Table, some: pa.Table, folder: Path, thin: pa.Table) -> tuple[Lines, Engine]:
    """The table, and the engine of payments-v1 after all of its payments."""
    v1, v2 = payments_v1(Settings(), 1), payments_v2(Settings(), 1)
    chosen = few_of(v1)
    n, few = data.num_rows, some.num_rows
    engine_alone(some.slice(0, 2_000), v2)
    filled(some.slice(0, 2_000), v1, folder / "warm")
    peer, _, _ = spent(lambda: in_duckdb(data, folder))
    lines = Lines(peer, n, [("DuckDB, 1 window, 1 side, 6 columns, to Parquet", f"{n / peer:,.0f}", "1", "")])
    all_columns = f"the engine alone, payments-v1, {len(v1.names)} columns"
    _, engine = lines.add(all_columns, lambda: engine_alone(data, v1), n)
    lines.add("a halo taken in, payments-v1", lambda: engine_alone(data, v1, absorb=True), n)
    parties = ["sender", "receiver", "event_time"]
    _, lifetime = lines.add("lifetimes (pass 1)", lambda: lifetime_of(Given(data).scan(parties)), n)
    lines.beside(f"{lifetime.nbytes / 1e6:.0f} MB")
    clock, size = lines.add("backfill, payments-v1, durable in the store", lambda: filled(data, v1, folder / "v1"), n)
    lines.beside(f"{size / n:,.0f} bytes a row")
    lines.rows.append(("the same on the clock", f"{n / clock:,.0f}", "", ""))
    described = "the same, and every commit described by statistics"
    lines.add(described, lambda: filled(data, v1, folder / "described", statistics=True), n)
    lines.add(f"the engine alone, {len(chosen.names)} chosen columns", lambda: engine_alone(data, chosen), n)
    durable = "backfill of the chosen columns, durable in the store"
    _, size = lines.add(durable, lambda: filled(data, chosen, folder / "few"), n)
    lines.beside(f"{size / n:,.0f} bytes a row")
    sparse = "backfill, payments-v1, where a day has 2,000 payments"
    lines.add(sparse, lambda: filled(thin, v1, folder / "thin"), few, compared=False)
    graph = f"the engine alone, payments-v2, {len(v2.names)} columns"
    lines.add(graph, lambda: engine_alone(some, v2), few, compared=False)
    lines.add("a halo taken in, payments-v2", lambda: engine_alone(some, v2, absorb=True), few, compared=False)
    stored = "backfill, payments-v2, durable in the store"
    lines.add(stored, lambda: filled(some, v2, folder / "v2"), few, compared=False)
    return lines, engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--per-day", type=int, default=100_000)
    parser.add_argument("--graph-rows", type=int, default=100_000)
    parser.add_argument("--spark-rows", type=int, default=0, help="also over Spark, with so many payments")
    words = parser.parse_args()
    data, v1 = payments(words.rows, words.per_day), payments_v1(Settings(), 1)
    with tempfile.TemporaryDirectory() as name:
        some, thin = data.slice(0, words.graph_rows), payments(words.graph_rows, 2_000)
        lines, engine = measured(data, some, Path(name), thin)
    text = table(("what", "payments a CPU second", "against DuckDB", "besides"), lines.rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    text += f"\n\n{words.rows:,} made payments of 100,000 accounts, {words.per_day:,} a day ({words.graph_rows:,} for "
    text += f"the graph); commits of {chunk_rows_of(v1):,}; "
    text += f"{engine.footprint.bytes_per_held_payment:.0f} bytes a held payment; "
    text += f"peak {peak:.1f} GB, the payments included."
    write_section("Backfill", text)
    if words.spark_rows:
        with tempfile.TemporaryDirectory() as name:
            rows = over_spark(data.slice(0, words.spark_rows), v1, Path(name), 4)
        text = table(("what", "payments a second", "", "it took"), rows)
        write_section("Backfill over Spark", text + f"\n\n{words.spark_rows:,} of the payments above, both passes.")


if __name__ == "__main__":
    main()
