"""Killed at any moment and started again, a backfill leaves the rows of one clean run, each once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.features.catalog import payments_v1
from greywater.pipeline.backfill import covered, payment_group
from greywater.stores.open import open_offline
from tests.pipeline.ledgers import made_ledger
from tests.pipeline.test_backfill import assert_same, expected_rows
from tests.pipeline.test_slices import SHORT

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3
PAYMENTS, CHUNK_ROWS, SEED = 240, 40, 3

#: Works a few payments out so that the kernels are loaded, then forks a child for each life of a backfill. The child
#: ends, as by a power cut, at a given wait for the disk; the last one of a folder lives. No store was opened before a
#: fork: Delta's threads would not be in the child.
PROGRAM = """
import json, os, random, sys
from pathlib import Path
from greywater.features.engine import Engine
from greywater.pipeline.backfill import backfill, settle_group
from greywater.stores.open import open_offline
from tests.pipeline.ledgers import made_ledger
from tests.pipeline.test_backfill_kill import CHUNK_ROWS, FEATURES, PAYMENTS, SEED

root, kills = Path(sys.argv[1]), int(sys.argv[2])
ledger = made_ledger(SEED, PAYMENTS, accounts=6, span_days=30)
Engine(FEATURES, threads=1).process(ledger.table)

def life(folder, die_at):
    told = root / "count"
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count, fsync = 0, os.fsync
    def counted(handle):
        nonlocal count
        count += 1
        if count == die_at:
            os._exit(137)
        fsync(handle)
    os.fsync = counted
    status = 1
    try:
        offline = open_offline(f"delta:{folder}")
        backfill(ledger, FEATURES, offline, settle_group(offline, FEATURES), chunk_rows=CHUNK_ROWS)
        told.write_text(str(count))
        status = 0
    finally:
        os._exit(status)

assert life(root / "clean", 0) == 0
waits, lives = int((root / "count").read_text()), []
for seed in range(kills):
    chance = random.Random(seed)
    ends = [life(root / str(seed), chance.randrange(1, waits + 1)) for _ in range(2)]
    lives.append([*ends, life(root / str(seed), 0)])
print(json.dumps({"waits": waits, "lives": lives}))
"""
FEATURES = payments_v1(SHORT, 1)


@pytest.mark.slow
def test_killed_at_any_moment_a_rerun_completes(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), str(KILLS)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["waits"] > PAYMENTS // CHUNK_ROWS
    assert all(lives[-1] == 0 and set(lives[:-1]) <= {0, 137} for lives in told["lives"])
    assert any(137 in lives for lives in told["lives"])
    ledger = made_ledger(SEED, PAYMENTS, accounts=6, span_days=30)
    expected, group = expected_rows(ledger, FEATURES), payment_group(FEATURES)
    for name in ["clean", *map(str, range(KILLS))]:
        offline = open_offline(f"delta:{tmp_path / name}")
        rows = pa.Table.from_batches(list(offline.scan(group.name, 1))).drop_columns(["commit"])
        assert_same(rows.sort_by([("event_time", "ascending"), ("tx_id", "ascending")]), expected)
        assert covered(offline.commits(group.name, 1), FEATURES.fingerprint) == [(0, PAYMENTS)]
        assert offline.check() == []
