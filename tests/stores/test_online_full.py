"""The online store on a disk that fills up, and without permission: an error, and what was acknowledged stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from greywater.errors import StoreFullError
from greywater.stores.online_lmdb import LmdbOnline
from tests.stores.small_disk import disk_of, survives, unwritable

LIMITED = """
import resource, sys
from pathlib import Path
from greywater.errors import StoreError
from greywater.stores.online_lmdb import LmdbOnline
store = LmdbOnline(Path(sys.argv[1]))
store.put_many("s", [(b"a", b"1")], mark=b"1")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    store.put_many("s", [(b"%d" % n, bytes(1_000)) for n in range(2_000)], mark=b"2")
except StoreError as error:
    assert error.mend
else:
    sys.exit("nothing was refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert (dict(store.scan("s")), store.mark("s")) == ({b"a": b"1"}, b"1")
assert store.put_many("s", [(b"%d" % n, bytes(1_000)) for n in range(2_000)], mark=b"2") == 2_000
assert len(dict(store.scan("s"))) == 2_001
print("survived")
"""

REFUSED = """
import os, sys
from pathlib import Path
from greywater.errors import StoreAccessError
from greywater.stores.online_lmdb import LmdbOnline
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for folder in (Path(sys.argv[1]), Path(sys.argv[1]) / "new"):
    try:
        LmdbOnline(folder)
    except StoreAccessError as error:
        assert "refuses" in str(error) and error.mend, error
    else:
        sys.exit("nothing was refused")
print("survived")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(4, tmp_path / "disk") as place:
        yield place


def test_a_disk_that_fills_up_keeps_what_was_acknowledged(small_disk: Path) -> None:
    store = LmdbOnline(small_disk / "online")
    number, mends = 0, []
    while number < 100 and len(mends) < 3:
        try:
            store.put_many("s", [(b"%d" % (number * 100 + k), bytes(1_000)) for k in range(100)], mark=b"%d" % number)
            number += 1
        except StoreFullError as error:
            mends.append(error.mend)
    assert len(mends) == 3
    assert all("make room" in mend for mend in mends)
    assert number > 5
    assert store.mark("s") == b"%d" % (number - 1)
    assert len(dict(store.scan("s"))) == number * 100
    store.close()
    again = LmdbOnline(small_disk / "online")
    assert again.get("s", b"0") == bytes(1_000)
    again.close()


def test_opening_on_a_full_disk_is_an_error_not_a_crash(small_disk: Path) -> None:
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_bsize))
    with pytest.raises(StoreFullError):
        LmdbOnline(small_disk / "online")
    (small_disk / "ballast").unlink()
    store = LmdbOnline(small_disk / "online")
    assert store.put_many("s", [(b"a", b"1")]) == 1
    store.close()


def test_a_file_size_limit(tmp_path: Path) -> None:
    assert survives(LIMITED, tmp_path / "online")


def test_a_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "online"
    LmdbOnline(folder).close()
    with unwritable(folder):
        assert survives(REFUSED, folder)
