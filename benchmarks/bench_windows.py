"""Window features: payments a second of our engine, and of DuckDB and polars doing a part of the same work.

    scripts/bench windows [--rows N]

The peers compute only what they can: in SQL and in polars a count, sum, mean, deviation, least and greatest over the
sender's outgoing payments of one window, without distinct counterparties, without the receiver, without the incoming
side. SQL's RANGE ... CURRENT ROW and polars' rolling also count later payments of the same timestamp, which leaks the
future; ours do not. Rates are of input payments; "columns" tells how much of the work was done.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from greywater.config import Settings
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine
from report import table, write_section

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GREYWATER_DATA", ROOT.parent / "shared" / "data"))
DAY_US = 86_400_000_000
BLOCK = 32_768


def amlsim(rows: int) -> tuple[pa.Table, int]:
    """The first `rows` payments of the AMLSim set, and its time resolution."""
    source = pq.read_table(DATA / "amlsim_medium" / "transactions.parquet").slice(0, rows)
    cents = np.rint(source["base_amt"].to_numpy() * 100).astype(np.int64)
    return payments(source["tran_timestamp"], source["orig_acct"], source["bene_acct"], cents), DAY_US


def made(rows: int) -> tuple[pa.Table, int]:
    """Random payments of 100,000 accounts over 60 days, to the second, activity by Zipf's law (0.6)."""
    draw = np.random.default_rng(7)
    weight = 1.0 / np.arange(1, 100_001) ** 0.6
    sender, receiver = (draw.choice(100_000, rows, p=weight / weight.sum()) for _ in range(2))
    seconds = np.sort(draw.integers(0, 60 * 86_400, rows)) + 1_700_000_000
    time_column = pa.array(seconds * 1_000_000, pa.timestamp("us", tz="UTC"))
    return payments(time_column, pa.array(sender), pa.array(receiver), draw.integers(1, 10**7, rows)), 1_000_000


def payments(moment: pa.Array, sender: pa.Array, receiver: pa.Array, cents: np.ndarray) -> pa.Table:
    n = len(cents)
    return pa.table(
        {
            "seq": np.arange(n),
            "event_time": moment,
            "sender": sender.cast(pa.string()),
            "receiver": receiver.cast(pa.string()),
            "sender_bank": pa.nulls(n, pa.string()),
            "receiver_bank": pa.nulls(n, pa.string()),
            "amount": cents,
            "currency": pa.repeat("USD", n),
            "received_amount": cents,
            "received_currency": pa.repeat("USD", n),
            "base_amount": cents,
            "channel": pa.repeat("transfer", n),
        }
    )


def seconds_of(work: Callable[[], None], times: int = 3) -> float:
    """Median wall seconds, after one run that is not counted."""
    work()
    found = []
    for _ in range(times):
        gc.collect()
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return median(found)


def ours(data: pa.Table, resolution: int, threads: int, settings: Settings) -> tuple[float, float, Engine]:
    """Seconds of the window kernels alone, of the whole engine, and the engine at its end."""
    set_ = payments_v1(settings, resolution)
    spent: list[float] = []
    last: list[Engine] = []

    def work() -> None:
        engine = Timed(set_, threads=threads)
        for begin in range(0, data.num_rows, BLOCK):
            engine.process(data.slice(begin, BLOCK))
        spent.append(engine.windows)
        last[:] = [engine]

    whole = seconds_of(work)
    return median(spent[1:]), whole, last[0]


class Timed(Engine):
    """Notes what the two sides of the windows take, from the start of the first to the end of the last."""

    windows = 0.0

    def _run_sides(self, *arguments: object) -> object:  # type: ignore[override]
        begun = time.perf_counter()
        result = super()._run_sides(*arguments)  # type: ignore[arg-type]
        self.windows += time.perf_counter() - begun
        return result


def in_duckdb(data: pa.Table, days: int) -> float:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.register("given", data.select(["seq", "sender", "event_time", "base_amount"]))
        connection.execute("CREATE TABLE paid AS SELECT * FROM given")
        query = f"""
            SELECT count(*) OVER w, sum(base_amount) OVER w, avg(base_amount) OVER w, stddev_samp(base_amount) OVER w,
                   min(base_amount) OVER w, max(base_amount) OVER w
            FROM paid WINDOW w AS (PARTITION BY sender ORDER BY event_time
                RANGE BETWEEN INTERVAL '{days} days' PRECEDING AND CURRENT ROW)"""
        return seconds_of(lambda: keep(connection.sql(query).to_arrow_table()))


def in_polars(data: pa.Table, days: int) -> float:
    frame = pl.from_arrow(data.select(["seq", "sender", "event_time", "base_amount"])).sort("sender", "event_time")
    amount = pl.col("base_amount")
    over = [amount.count(), amount.sum(), amount.mean(), amount.std(), amount.min(), amount.max()]
    named = [each.alias(f"c{place}") for place, each in enumerate(over)]
    return seconds_of(lambda: keep(frame.rolling("event_time", period=f"{days}d", group_by="sender").agg(named)))


def keep(_: object) -> None:
    """The result is made and thrown away."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_113_279)
    rows = parser.parse_args().rows
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
    lines, held = [], []
    sources = {"AMLSim, day stamps": amlsim, "made up, 100,000 accounts, to the second": made}
    for name, load in sources.items():
        if load is amlsim and not DATA.is_dir():
            print(f"{name}: left out, there is no {DATA}")
            continue
        data, resolution = load(rows)
        n = data.num_rows
        rates: dict[str, float] = {}
        for threads in (2, 1):
            kernel, whole, engine = ours(data, resolution, threads, Settings())
            label = f"ours, windows alone, {threads} thread{'s' if threads > 1 else ''}"
            rates[label] = n / kernel
            windows = len(engine.features.plan.labels)
            columns = len(engine.features.plan.counts("out") + engine.features.plan.floats("out")) * 2
            lines.append((name, label, columns, windows, f"{n / kernel:,.0f}", ""))
            lines.append(
                (
                    name,
                    label.replace("windows alone", "whole engine"),
                    len(engine.features.names),
                    windows,
                    f"{n / whole:,.0f}",
                    "",
                )
            )
        engine.pack()
        foot = engine.footprint
        held.append(
            (
                name,
                f"{foot.held:,}",
                f"{foot.bytes_per_held_payment:.0f}",
                f"{foot.accounts:,}",
                f"{foot.pairs:,}",
                f"{foot.lifetime_bytes / 1e6:.0f} MB",
            )
        )
        best = rates["ours, windows alone, 2 threads"]
        for peer, run in (
            ("DuckDB, 1 window, 1 side, 2 threads", in_duckdb),
            ("polars, 1 window, 1 side, 2 threads", in_polars),
        ):
            rate = n / run(data, 7)
            lines.append(
                (name, peer, 6, 1, f"{rate:,.0f}", f"{best / rate:.2f}x the payments with {columns // 6}x the columns")
            )
        del data
    text = table(("payments", "who", "columns", "windows", "payments/s", "ours against it"), lines)
    text += "\n\nWhat the engine holds at the end:\n\n"
    text += table(("payments", "held", "bytes per held payment", "accounts", "pairs", "records kept for ever"), held)
    write_section("Windows", text)


if __name__ == "__main__":
    main()
