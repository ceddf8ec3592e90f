"""Measures what `import greywater` and `greywater --help` cost: seconds, and the large libraries they bring in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

#: Libraries that neither may bring in.
LARGE = ("numba", "torch", "pyspark", "lightgbm", "sklearn", "duckdb", "polars", "sqlalchemy", "litestar")

STATEMENTS = {
    "import greywater": "import greywater",
    "greywater --help": (
        "import contextlib, io\n"
        "sys.argv = ['greywater', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    from greywater.cli.main import run\n"
        "    run()"
    ),
}

REPORT = "import json\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


@dataclass(frozen=True)
class Cost:
    """What one statement costs in a fresh interpreter: wall time in seconds, start of Python included."""

    seconds: float
    modules: frozenset[str]

    @property
    def large(self) -> list[str]:
        """The large libraries it brought in."""
        return sorted(self.modules & set(LARGE))


def measure(what: str, times: int = 1) -> Cost:
    """The best of some runs of one of STATEMENTS, each in a fresh interpreter."""
    best = float("inf")
    modules: list[str] = []
    for _ in range(times):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", f"import sys\n{STATEMENTS[what]}\n{REPORT}"],
            capture_output=True,
            text=True,
            check=True,
        )
        best = min(best, time.perf_counter() - begun)
        modules = json.loads(done.stdout.splitlines()[-1])
    return Cost(best, frozenset(modules))


if __name__ == "__main__":
    for statement in STATEMENTS:
        cost = measure(statement, times=5)
        print(f"{statement}: {cost.seconds:.3f} s, best of 5 (aim: below 0.5 s)")
