"""Runs two contestants in turn, each in a process of its own, and works out medians, ratios and verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

import numpy as np

from streams import Stream

__all__ = ["OURS", "PEER", "Contest", "Duel", "figures", "peer_python", "verdict"]

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
OURS, PEER = "ours", "the peer"
PROGRAMS = {OURS: HERE / "ours_graph.py", PEER: HERE / "peer_graph.py"}
#: Longest that one job may take, seconds.
PATIENCE = 1_800


def peer_python() -> Path:
    """The interpreter of the peer's environment; scripts/bench makes it and names it."""
    python = Path(os.environ.get("GREYWATER_PEER_PYTHON", ROOT / ".venv" / "peer-graph" / "bin" / "python"))
    if not python.is_file():
        sys.exit(f"there is no {python}: run this through scripts/bench, which makes the peer's environment")
    return python


@dataclass(frozen=True)
class Duel:
    """The results of one job, run in turn by both; a result is what the job wrote, or None where it died."""

    ours: tuple[dict[str, Any] | None, ...]
    peer: tuple[dict[str, Any] | None, ...]

    def values(self, who: str, figure: str) -> list[float]:
        """One figure of every run that came to an end."""
        return [run[figure] for run in (self.ours if who == OURS else self.peer) if run is not None]

    def middle(self, who: str, figure: str) -> float:
        """Median of a figure over the runs; NaN where none came to an end."""
        found = self.values(who, figure)
        return median(found) if found else float("nan")

    def ratio(self, figure: str = "rate") -> float:
        """Our median over the peer's: how many times faster, for a rate."""
        return self.middle(OURS, figure) / self.middle(PEER, figure)


def figures(values: Sequence[float], digits: int = 0) -> str:
    """The median, and all values where there are several."""
    if not values:
        return "died"
    text = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return text
    return f"{text} ({', '.join(f'{value:,.{digits}f}' for value in values)})"


def verdict(value: float, *, least: float | None = None, most: float | None = None) -> str:
    """What became of a bound.

    Examples
    --------
    >>> verdict(12.0, least=10.0), verdict(3.0, most=2.0), verdict(1.0), verdict(float("nan"), least=1.0)
    ('holds', 'missed', '', 'missed')
    """
    if least is None and most is None:
        return ""
    above = least is None or value >= least
    below = most is None or value <= most
    return "holds" if above and below else "missed"


class Contest:
    """A temporary folder with saved streams, and the two programs that read them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="greywater-bench-")
        self.folder = Path(self._folder.name)
        self._jobs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def save(self, stream: Stream, name: str) -> str:
        """Write a stream into a folder of this name, and give its path."""
        folder = self.folder / name
        folder.mkdir()
        for column in ("time", "sender", "receiver", "amount"):
            np.save(folder / f"{column}.npy", np.asarray(getattr(stream, column), np.int64))
        return str(folder)

    def run(self, who: str, job: dict[str, Any], *, patience: float = PATIENCE) -> dict[str, Any] | None:
        """What the job wrote; None where the program died or took too long, which is said on standard error."""
        self._jobs += 1
        asked, answer = (self.folder / f"{kind}-{self._jobs}.json" for kind in ("job", "result"))
        asked.write_text(json.dumps(job))
        python = sys.executable if who == OURS else str(peer_python())
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        try:
            done = subprocess.run(
                [python, str(PROGRAMS[who]), str(asked), str(answer)], env=environment, timeout=patience, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{who}: {job['task']} took more than {patience:,.0f} s", file=sys.stderr)
            return None
        if done.returncode or not answer.is_file():
            print(f"{who}: {job['task']} ended with {done.returncode}", file=sys.stderr)
            return None
        result: dict[str, Any] = json.loads(answer.read_text())
        return result

    def duel(self, job: dict[str, Any], *, own: dict[str, dict[str, Any]], repeats: int = 3) -> Duel:
        """The job run by both in turn, over the same payments.

        The peer's first run goes as far as the budget of seconds lets it; those payments are what every later run of
        both does, whatever it takes. Who begins changes from repeat to repeat.

        Parameters
        ----------
        own : dict
            What each contestant's job says besides: the rows a call (`chunk`), its model.
        """
        results: dict[str, list[dict[str, Any] | None]] = {OURS: [], PEER: []}
        asked = dict(job)
        for repeat in range(repeats):
            for who in (PEER, OURS) if repeat % 2 == 0 else (OURS, PEER):
                result = self.run(who, {**asked, **own[who]})
                results[who].append(result)
                if repeat == 0 and who == PEER and result is not None:
                    asked |= {"rows": result["rows"], "budget_s": PATIENCE}
        return Duel(tuple(results[OURS]), tuple(results[PEER]))
