"""Detectors that learn in steps tell after each one how they do, and stop where they are told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, Self, runtime_checkable

__all__ = ["StepTold", "Stepwise", "TellsSteps"]

#: Told the number of a step, from 1, and what was measured after it, by name; says whether to go on. "score" is always
#: among the measures: higher = better, on the validation slice, or on rows held out where there is none.
StepTold = Callable[[int, Mapping[str, float]], bool]


@runtime_checkable
class Stepwise(Protocol):
    """A detector that learns in steps (trees, epochs), with curves to draw and trials to end early."""

    def on_step(self, told: StepTold | None) -> Self:
        """Tell `told` after each step of later fits; None = nobody."""
        ...


class TellsSteps:
    """What a stepwise detector holds: whom it tells.

    Examples
    --------
    >>> detector, seen = TellsSteps().on_step(lambda step, measures: step < 2), []
    >>> [detector.tell(step, {"score": 0.5}) for step in (1, 2)]
    [True, False]
    """

    _told: StepTold | None = None

    def on_step(self, told: StepTold | None) -> Self:
        """Tell `told` after each step of later fits; None = nobody."""
        self._told = told
        return self

    def tell(self, step: int, measures: Mapping[str, float]) -> bool:
        """Tell of a step; False = stop now, and keep the best so far."""
        return self._told is None or self._told(step, measures)
