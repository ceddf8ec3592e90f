"""A disk that fills up, a file-size limit and a folder without permission, for real."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greywater.errors import StoreAccessError, StoreFullError
from greywater.stores.delta import DeltaLedger
from tests.stores.small_disk import disk_of, survives, unwritable

HERE = str(Path(__file__).parent)
LIMITED = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_delta import chunk, opened
from greywater.errors import StoreFullError

folder = Path(sys.argv[1])
ledger = opened(folder)
ledger.append(chunk(0, 100))
full = 0
for limit in (100, 2_000, 6_000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        ledger.append(chunk(100, 5_000))
    except StoreFullError:
        full += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert full >= 3, full
result = ledger.append(chunk(0, 5_100))
assert result.recorded.num_rows + result.duplicate == 5_100
assert ledger.check() == [], ledger.check()
assert ledger.next_seq == 5_100
assert not list(folder.rglob("*.tmp"))
print("survived")
"""

REFUSED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_delta import chunk, opened
from greywater.errors import StoreAccessError
from greywater.stores.delta_tables import DeltaTables
import pyarrow as pa, pyarrow.parquet, pyarrow.dataset

folder = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for attempt in (
    lambda: opened(folder),
    lambda: opened(folder / "new"),
    lambda: DeltaTables(folder).append("t", pa.table({"a": [1]})),
):
    try:
        attempt()
    except StoreAccessError as error:
        assert "refuses" in str(error) and error.mend, error
    else:
        sys.exit("nothing was refused")
with opened(folder, read_only=True) as ledger:
    assert ledger.next_seq == 10 and ledger.check() == []
    assert sum(batch.num_rows for batch in ledger.scan()) == 10
print("survived")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(6, tmp_path / "disk") as place:
        yield place


def test_a_disk_that_fills_up_keeps_what_was_acknowledged(small_disk: Path) -> None:
    sys.path.insert(0, HERE)
    try:
        from test_delta import chunk
    finally:
        sys.path.remove(HERE)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4_500_000))
    folder = small_disk / "store"
    ledger = DeltaLedger(folder, max_ahead_us=10**15, max_jump_us=None)
    mends: list[str] = []
    number = 0
    while number < 40 and len(mends) < 3:
        try:
            ledger.append(chunk(number * 2_000, 2_000))
            number += 1
        except StoreFullError as error:
            mends.append(error.mend)
    assert len(mends) == 3
    assert all("make room" in mend for mend in mends)
    assert number > 0
    assert ledger.next_seq == number * 2_000
    ballast.unlink()
    result = ledger.append(chunk(number * 2_000, 2_000))
    assert result.recorded.num_rows + result.duplicate == 2_000
    assert ledger.next_seq == (number + 1) * 2_000
    assert ledger.append(chunk(0, 2_000)).duplicate == 2_000
    assert ledger.check() == []
    assert not list(folder.rglob("*.tmp"))
    ledger.close()


def test_opening_on_a_full_disk_is_an_error_not_a_crash(small_disk: Path) -> None:
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_bsize))
    with pytest.raises(StoreFullError):
        DeltaLedger(small_disk / "store", max_ahead_us=0, max_jump_us=None)
    (small_disk / "ballast").unlink()
    with DeltaLedger(small_disk / "store", max_ahead_us=0, max_jump_us=None) as ledger:
        assert ledger.next_seq == 0


def test_a_file_size_limit(tmp_path: Path) -> None:
    assert survives(LIMITED, tmp_path / "store", HERE)


def test_a_folder_without_permission(tmp_path: Path) -> None:
    sys.path.insert(0, HERE)
    try:
        from test_delta import filled
    finally:
        sys.path.remove(HERE)
    folder = tmp_path / "store"
    filled(folder, 1)
    with unwritable(folder):
        assert survives(REFUSED, folder, HERE)


def test_the_errors_are_of_the_tree() -> None:
    assert StoreFullError.exit_code == StoreAccessError.exit_code == 4
