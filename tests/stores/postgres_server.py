"""A real PostgreSQL of its own, started on a free port and stopped at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PASSWORD = "s3cret-word"


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is, or None."""
    found = shutil.which(name)
    if found:
        return str(Path(found).resolve())
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) if Path("/usr/lib/postgresql").is_dir() else []
    return str(places[-1]) if places else None


def may_run() -> bool:
    """Whether there is a PostgreSQL, and somebody who may run it: it refuses to run as root."""
    if program("initdb") is None or program("postgres") is None:
        return False
    return os.geteuid() != 0 or any(each.pw_name in ("postgres", "nobody") for each in pwd.getpwall())


def _somebody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    names = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def postgres() -> Iterator[str]:
    """Yields a URL with a password."""
    initdb, server = program("initdb"), program("postgres")
    assert initdb is not None
    assert server is not None
    somebody = _somebody()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if somebody:
            os.chown(folder, somebody["user"], somebody["group"])
        word = folder / "word"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        data = folder / "data"
        options = ["-U", "ada", "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run([initdb, "-D", str(data), *options], check=True, capture_output=True, cwd=folder, **somebody)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
        running = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **somebody
        )
        try:
            _wait(port, running)
            yield f"postgresql://ada:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            running.terminate()
            running.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, running: subprocess.Popen[bytes]) -> None:
    import psycopg

    for _ in range(600):
        assert running.poll() is None, "PostgreSQL ended"
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="ada", password=PASSWORD, dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError("PostgreSQL did not come up")
