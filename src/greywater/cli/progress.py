"""Shows how far a long step has come: bars on a terminal, an occasional line elsewhere, always on standard error."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

__all__ = ["Shown"]

#: Seconds before anything is drawn: what is over by then needs no bar.
PATIENCE: Final = 2.0
#: Seconds between lines where there is no terminal.
PAUSE: Final = 10.0
#: Seconds between two looks at whether a line is due, at the least.
LEAST: Final = 1.0


class Shown:
    """Draws progress while it is entered; implements `greywater.vocab.Progress`.

    Parameters
    ----------
    console : Console, optional
        Where to draw; standard error where left out.

    Examples
    --------
    >>> with Shown() as progress:
    ...     progress.step("reading a.csv", 10)
    ...     progress.advance(10)
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._bars: Progress | None = None
        self._timer: threading.Timer | None = None
        self._over = threading.Event()
        self._still: threading.Thread | None = None
        self._task: TaskID | None = None
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._step_begun = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[come]}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._timer = threading.Timer(PATIENCE, self._bars.start)
            self._timer.daemon = True
            self._timer.start()
        else:
            self._still = threading.Thread(target=self._tell_that_it_goes_on, daemon=True)
            self._still.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._still is not None:
            self._still.join()
        if self._bars is not None:
            self._bars.stop()

    def step(self, name: str, total: int | None = None) -> None:
        """A new step begins."""
        self._name, self._total, self._done, self._step_begun = name, total, 0, time.monotonic()
        if self._bars is None:
            self._line_when_due(PATIENCE)
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total, come="")

    def advance(self, amount: int) -> None:
        """The current step came further."""
        self._done += amount
        if self._bars is None:
            self._line_when_due(PAUSE)
        elif self._task is not None:
            self._bars.update(self._task, advance=amount, come=self._come())

    def say(self, text: str) -> None:
        """A sentence, at once."""
        self._console.print(Text(text))

    def _tell_that_it_goes_on(self) -> None:
        """A line now and then where a step tells nothing for long, as while kernels are compiled."""
        while not self._over.wait(max(PAUSE, LEAST)):
            if self._name:
                self._line_when_due(PAUSE)

    def _line_when_due(self, pause: float) -> None:
        now = time.monotonic()
        if now - self._last_line >= pause:
            self._last_line = now
            come = self._come()
            words = f"{self._name}: {come}" if come else f"{self._name} ..."
            gone = now - self._step_begun
            self._console.print(Text(f"{words} {gone:.0f} s" if gone >= PAUSE > 0 else words))

    def _come(self) -> str:
        if not self._done:
            return ""
        if not self._total:
            return f"{self._done:,}"
        return f"{self._done:,} of {self._total:,} ({100 * self._done // self._total} %)"
