"""A Spark standalone master and its workers on loopback, each a process group that the test owns."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SparkCluster:
    """Starts on entry, is gone on exit."""

    def __init__(self, folder: Path, workers: int) -> None:
        pyspark = pytest.importorskip("pyspark")
        self._home = Path(pyspark.__file__).parent
        self._folder = folder
        self._count = workers
        self.master = f"spark://127.0.0.1:{free_port()}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> SparkCluster:
        port = self.master.rsplit(":", 1)[1]
        common = ["--host", "127.0.0.1", "--webui-port", str(free_port())]
        self._start("master", "org.apache.spark.deploy.master.Master", [*common, "--port", port])
        self._wait(self._listens)
        for number in range(self._count):
            place = ["--host", "127.0.0.1", "--webui-port", str(free_port()), "--cores", "1", "--memory", "600m"]
            place += ["--work-dir", str(self._folder / f"work-{number}"), self.master]
            self.workers.append(self._start(f"worker-{number}", "org.apache.spark.deploy.worker.Worker", place))
        self._wait(lambda: self._log("master").count("Registering worker") >= self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            self.kill(process)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End one of ours with everything it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self, name: str, main: str, words: list[str]) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "SPARK_HOME": str(self._home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "192m",
            "SPARK_LOCAL_DIRS": str(self._folder / "local"),
        }
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(self._home / "bin" / "spark-class"), main, *words],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(self.master.rsplit(":", 1)[1])), 1):
            return True
        return False

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _wait(self, until: object, seconds: float = 120.0) -> None:
        assert callable(until)
        end = time.monotonic() + seconds
        while not until():
            dead = [process.args for process in self._processes if process.poll() is not None]
            assert not dead, dead
            assert time.monotonic() < end, self._log("master")
            time.sleep(0.1)
