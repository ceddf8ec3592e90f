"""What a file or a machine can do wrong, through the command line: a clear message, a mend, no half-written store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HEADER = "tx_id,event_time,sender,receiver,amount,currency\n"
GOOD = "t1,2024-01-01T10:00:00Z,A,B,10.00,USD\n"
COMMAND = [sys.executable, "-m", "greywater.cli.main"]


def recorded(greywater: Callable[..., Any], code: int = 0, *words: str) -> dict[str, Any]:
    """Ingest bad.csv and return its JSON; the store must be sound afterwards."""
    said = greywater("ingest", "bad.csv", "--json", "-", *words)
    assert said.code == code, said.err
    result: dict[str, Any] = json.loads(said.out)
    counts = result["counts"]
    assert counts["read"] == sum(counts[name] for name in ("recorded", "duplicate", "rejected", "skipped"))
    checked = greywater("check")
    assert checked.code == 0, checked.err
    return result


def refused(said: Any, code: int, *words: str) -> None:
    """The command failed with this code, one block that holds these words and a mend, and no traceback."""
    assert said.code == code, said.err
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "  to mend: " in said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"", 3, "empty"),
        (HEADER.encode(), 3, "no row"),
        (b"colour,weight\nred,3\n", 3, "no known format"),
        (b"\x00\x01\x02\x03" * 40, 3, ""),
        (b"PAR1" + b"\x00" * 50, 3, ""),
    ],
    ids=["empty", "header only", "wrong columns", "binary", "no Parquet"],
)
def test_files_that_are_no_payments(
    greywater: Callable[..., Any], tmp_path: Path, content: bytes, code: int, word: str
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    refused(greywater("ingest", "bad.csv"), code, word, "bad.csv")
    assert not (tmp_path / "greywater-store").exists()


def test_a_truncated_parquet(greywater: Callable[..., Any], tmp_path: Path) -> None:
    table = pa.table({name: ["1"] * 500 for name in HEADER.strip().split(",")})
    pq.write_table(table, tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    refused(greywater("ingest", "cut.parquet"), 3, "cut.parquet")
    assert not (tmp_path / "greywater-store").exists()


def test_a_truncated_gzip_leaves_an_empty_project(greywater: Callable[..., Any], tmp_path: Path) -> None:
    import gzip

    lines = "".join(f"t{n},2024-01-01T10:00:00Z,A{n % 97},B{n * 7919 % 1013},{n}.5,USD\n" for n in range(40_000))
    whole = gzip.compress((HEADER + lines).encode())
    (tmp_path / "bad.csv.gz").write_bytes(whole[: len(whole) // 2])
    refused(greywater("ingest", "bad.csv.gz"), 3, "bad.csv.gz")
    if (tmp_path / "greywater-store").exists():
        assert "0 payments" in greywater("check").out
    (tmp_path / "bad.csv.gz").write_bytes(whole)
    assert greywater("ingest", "bad.csv.gz").code == 0
    assert "40,000 payments" in greywater("check").out


def test_a_directory(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refused(greywater("ingest", "folder"), 3, "directory")
    refused(greywater("ingest", "--labels", "folder"), 3, "folder")
    (tmp_path / "file").write_text("")
    (tmp_path / "good.csv").write_text(HEADER + GOOD)
    refused(greywater("ingest", "good.csv", "--store", "file"), 2, "not a folder")
    assert not (tmp_path / "greywater-store").exists()


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("t2,2024-01-01T10:00:00Z,A,B,ten,USD", "amount", "amount_text"),
        ("t2,2024-01-01T10:00:00Z,A,B,NaN,USD", "amount", "amount_not_finite"),
        ("t2,2024-01-01T10:00:00Z,A,B,,USD", "amount", "amount_missing"),
        ("t2,2024-01-01T10:00:00Z,A,B,-5,USD", "amount", "amount_negative"),
        ("t2,2024-01-01T10:00:00Z,A,B,1e18,USD", "amount", "amount_too_large"),
        ("t2,2024-01-01T10:00:00Z,,B,5,USD", "sender", "party_missing"),
        ("t2,2024-01-01T10:00:00Z,A,,5,USD", "receiver", "party_missing"),
        ("t2,31.12.2024,A,B,5,USD", "event_time", "time_unreadable"),
        ("t2,2099-01-01T10:00:00Z,A,B,5,USD", "event_time", "future_time"),
        ("t1,2024-01-01T10:00:00Z,A,B,11.00,USD", "tx_id", "conflict"),
    ],
)
def test_rows_that_are_set_aside(
    greywater: Callable[..., Any], tmp_path: Path, row: str, column: str, reason: str
) -> None:
    (tmp_path / "bad.csv").write_text(HEADER + GOOD + row + "\n")
    result = recorded(greywater)
    assert (result["counts"]["recorded"], result["counts"]["rejected"]) == (1, 1)
    (rejection,) = result["rejections"]
    assert (rejection["file"], rejection["row"], rejection["column"]) == ("bad.csv", 2, column)
    assert rejection["reason"] == reason
    assert "To mend: " in rejection["message"]


def test_nothing_but_bad_rows(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(HEADER + "t2,2024-01-01T10:00:00Z,A,B,ten,USD\n")
    assert recorded(greywater, 3)["counts"]["rejected"] == 1


def test_zero_is_a_payment(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(HEADER + GOOD + "t2,2024-01-01T10:00:00Z,A,B,0,USD\n")
    assert recorded(greywater)["counts"]["recorded"] == 2


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + (HEADER + GOOD).encode(),
        (HEADER + GOOD).replace("\n", "\r\n").encode(),
        (HEADER + GOOD).encode("utf-16"),
        (HEADER + GOOD).rstrip("\n").encode(),
    ],
    ids=["BOM", "CRLF", "UTF-16", "no last newline"],
)
def test_spellings_that_are_read(greywater: Callable[..., Any], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    assert recorded(greywater)["counts"]["recorded"] == 1


def test_mixed_time_zones(greywater: Callable[..., Any], tmp_path: Path) -> None:
    rows = [
        "t1,2024-01-01T10:00:00,A,B,1,USD",
        "t2,2024-01-01T11:30:00+02:00,A,B,1,USD",
        "t3,2024-01-01T09:00Z,A,B,1,USD",
    ]
    (tmp_path / "bad.csv").write_text(HEADER + "\n".join(rows) + "\n")
    result = recorded(greywater)
    assert result["counts"]["recorded"] == 3
    assert any("no zone" in warning for warning in result["warnings"])


def test_the_same_id_with_other_content_in_another_file(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(HEADER + GOOD)
    assert greywater("ingest", "good.csv").code == 0
    (tmp_path / "bad.csv").write_text(HEADER + GOOD.replace("10.00", "10.01"))
    result = recorded(greywater, 3)
    assert result["rejections"][0]["reason"] == "conflict"
    assert "number 0" in result["rejections"][0]["message"]


def test_two_at_once(tmp_path: Path) -> None:
    rows = "".join(f"t{n},2024-01-01T00:00:00Z,A,B,1,USD\n" for n in range(8_000))
    (tmp_path / "a.csv").write_text(HEADER + rows)
    (tmp_path / "b.csv").write_text(HEADER + rows.replace("t", "u"))
    environment = {**os.environ, "GREYWATER_CHUNK_ROWS": "20"}
    first = subprocess.Popen([*COMMAND, "ingest", "a.csv"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    lock = tmp_path / "greywater-store/projects/default/writer.lock"
    ledger = lock.parent / "ledger"
    while first.poll() is None and not list(ledger.glob("part-*")):
        time.sleep(0.01)
    second = [*COMMAND, "ingest", "b.csv"]
    at_once = subprocess.run(second, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert first.poll() is None, "the first ended too early for this test"
    assert at_once.returncode == 4
    assert f"process {first.pid}" in at_once.stderr
    assert "to mend" in at_once.stderr
    waiting = [*second, "--wait", "120"]
    patient = subprocess.run(waiting, cwd=tmp_path, capture_output=True, text=True)
    assert patient.returncode == 0, patient.stderr
    assert first.wait() == 0
    checked = subprocess.run([*COMMAND, "check"], cwd=tmp_path, capture_output=True, text=True)
    assert "16,000 payments of 2 files" in checked.stdout


UNPRIVILEGED = """
import os, sys
from greywater.cli.main import run
# Everything is imported while the interpreter's own folders may still be read.
try:
    run(["ingest", "warm.csv", "--store", "warm"])
except SystemExit as end:
    assert not end.code
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
run(sys.argv[1:])
"""


def unprivileged(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as somebody who is not root."""
    (tmp_path / "warm.csv").write_text(HEADER + GOOD)
    command = [sys.executable, "-c", UNPRIVILEGED, *words]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)


@pytest.fixture
def reachable(tmp_path: Path) -> Path:
    """A folder that somebody who is not root can reach."""
    for folder in [tmp_path, *list(tmp_path.parents)[:3]]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    return tmp_path


def test_no_permission_to_read(reachable: Path) -> None:
    secret = reachable / "secret.csv"
    secret.write_text(HEADER + GOOD)
    secret.chmod(0)
    said = unprivileged(reachable, "ingest", "secret.csv", "--store", "/nowhere/store")
    assert said.returncode == 3, said.stderr
    assert "error: " in said.stderr
    assert "secret.csv" in said.stderr
    assert "to mend" in said.stderr
    assert "Traceback" not in said.stderr


def test_no_permission_to_write(reachable: Path) -> None:
    good = reachable / "good.csv"
    good.write_text(HEADER + GOOD)
    good.chmod(0o644)
    closed = reachable / "closed"
    closed.mkdir(mode=0o555)
    said = unprivileged(reachable, "ingest", "good.csv", "--store", str(closed / "store"))
    assert said.returncode == 4, said.stderr
    assert "refuses" in said.stderr
    assert "to mend" in said.stderr
    assert list(closed.iterdir()) == []


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from greywater.cli.main import run
run(sys.argv[2:])
"""


@pytest.mark.parametrize("limit", [200, 200_000])
def test_files_that_may_not_grow(greywater: Callable[..., Any], tmp_path: Path, limit: int) -> None:
    rows = "".join(f"t{n},2024-01-{1 + n * 31 % 28:02}T00:00:00Z,A{n},B{n * 7},{n}.25,USD\n" for n in range(30_000))
    (tmp_path / "bad.csv").write_text(HEADER + rows)
    command = [sys.executable, "-c", FULL_DISK, str(limit), "ingest", "bad.csv"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 4, said.stderr
    assert "to mend" in said.stderr
    assert "Traceback" not in said.stderr
    assert not list((tmp_path / "greywater-store").glob("projects/*/spill/*"))
    assert recorded(greywater)["counts"]["recorded"] == 30_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 1 MB, where the machine lets us mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root; files that may not grow are tested beside")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize(("count", "ballast"), [(2_000, 1_000), (20_000, 200)])
def test_a_full_disk(greywater: Callable[..., Any], tmp_path: Path, small_disk: Path, count: int, ballast: int) -> None:
    rows = "".join(f"t{n},2024-01-01T00:00:00Z,A{n},B{n * 7},{n}.25,USD\n" for n in range(count))
    (tmp_path / "bad.csv").write_text(HEADER + rows)
    (small_disk / "ballast").write_bytes(b"x" * (ballast * 1024))
    store = small_disk / "store"
    command = [*COMMAND, "ingest", "bad.csv", "--store", str(store)]
    environment = {**os.environ, "GREYWATER_CHUNK_ROWS": "500"}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.returncode == 4, said.stderr + said.stdout
    assert "no room left" in said.stderr
    assert "to mend" in said.stderr
    assert "Traceback" not in said.stderr
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert greywater("ingest", "bad.csv", "--store", store).code == 0
    checked = greywater("check", "--store", store)
    assert checked.code == 0, checked.err
    assert f"{count:,} payments" in checked.out
