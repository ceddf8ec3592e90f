"""Sequences of the last payments: payments a second, bytes an account, one payment at a time.

    scripts/bench sequence [--rows N] [--print-only]

Speed is CPU time of one thread, the best of three rounds.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graph_sets import data_folder
from greywater.features.sequence import SEQUENCE_FEATURES, SequenceJoin
from report import table, write_section

BLOCK = 32_768
ROUNDS = 3
SINGLE = 3_000


def amlsim(rows: int) -> pa.Table:
    """The first payments of amlsim_medium in order of time, as a SequenceJoin reads them."""
    source = pq.read_table(data_folder() / "amlsim_medium" / "transactions.parquet")
    source = source.take(np.argsort(source["tran_timestamp"].cast(pa.int64()).to_numpy(), kind="stable")).slice(0, rows)
    columns = {
        "seq": pa.array(np.arange(source.num_rows)),
        "event_time": source["tran_timestamp"],
        "sender": pc.cast(source["orig_acct"], pa.string()),
        "receiver": pc.cast(source["bene_acct"], pa.string()),
        "base_amount": pa.array(np.rint(source["base_amt"].to_numpy() * 100).astype(np.int64)),
        "channel": pa.repeat("transfer", source.num_rows),
    }
    return pa.table(columns).combine_chunks()


def spent(payments: pa.Table, rows: int) -> tuple[float, list[float], SequenceJoin]:
    """CPU seconds of all payments, wall seconds of each piece of so many rows, and the join that took them in."""
    join, walls, begin = SequenceJoin(), [], time.process_time()
    for piece in payments.to_batches(max_chunksize=rows):
        before = time.perf_counter()
        join.columns(piece)
        walls.append(time.perf_counter() - before)
    return time.process_time() - begin, walls, join


def held(join: SequenceJoin) -> dict[str, int]:
    """Bytes of what is carried, by the first part of its name."""
    found: dict[str, int] = {}
    for name, array in join.arrays().items():
        part = name.partition(".")[0] if "." in name else "rings"
        found[part] = found.get(part, 0) + array.nbytes
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--print-only", action="store_true")
    asked = parser.parse_args()
    payments = amlsim(asked.rows)
    spent(payments.slice(0, 1_000), BLOCK)
    load = os.getloadavg()[0]
    rounds = [spent(payments, BLOCK) for _ in range(ROUNDS)]
    single = spent(payments.slice(0, SINGLE), 1)[1]
    join, accounts = rounds[0][2], len(rounds[0][2].arrays()["written"])
    rate = payments.num_rows / min(seconds for seconds, _, _ in rounds)
    rows = [
        ("payments", f"{payments.num_rows:,}"),
        ("columns of each", len(SEQUENCE_FEATURES)),
        ("payments a CPU-second, in blocks", f"{rate:,.0f}"),
        ("us, one payment alone, the quickest tenth and the median", " and ".join(
            f"{1e6 * float(np.quantile(single, share)):,.0f}" for share in (0.1, 0.5))),
        *((f"bytes of the arrays for each of {accounts:,} accounts: {part}", f"{size / accounts:,.0f}")
          for part, size in held(join).items()),
    ]  # fmt: skip
    text = table(("amlsim_medium", ""), rows) + f"\n\nLoad average {load:.0f} when it began."
    if asked.print_only:
        print(text)
    else:
        write_section("Sequences of payments", text)


if __name__ == "__main__":
    main()
