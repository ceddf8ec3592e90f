"""What can be tuned of a detector, as data: numbers within bounds, whole numbers, choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from greywater.errors import DetectorError

__all__ = ["Choice", "Dimension", "Number", "SearchSpace", "Value", "Whole"]

Value = bool | int | float | str


@dataclass(frozen=True)
class Number:
    """A number in [low, high]; with `log` drawn by its logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def holds(self, value: Value) -> bool:
        """Whether the value can be drawn."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]; with `log` drawn by its logarithm."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        if not isinstance(self.low, int) or not isinstance(self.high, int):
            raise DetectorError(f"{self.low} to {self.high} are no whole numbers", where="search space", mend=MEND)

    def holds(self, value: Value) -> bool:
        """Whether the value can be drawn."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values or any(not isinstance(each, bool | int | float | str) for each in self.values):
            raise DetectorError(f"one cannot choose among {self.values!r}", where="search space", mend=MEND)

    def holds(self, value: Value) -> bool:
        """Whether the value can be drawn."""
        return any(type(each) is type(value) and each == value for each in self.values)


Dimension = Number | Whole | Choice
KINDS: Final[Mapping[str, type[Dimension]]] = {"number": Number, "whole": Whole, "choice": Choice}
MEND: Final = "see docs/tuning.md for what a search space looks like"


@dataclass(frozen=True)
class SearchSpace:
    """What is tuned of one kind of detector; what is not named keeps its default.

    Parameters
    ----------
    detector : str
        Short name of the kind.
    dimensions : mapping of str to Number, Whole or Choice
        By the parameter's name. Of a hybrid `PART.NAME` is a parameter of a part.
    first_rung : int
        Steps (trees, epochs) before a trial is first compared with others; of no use for what does not learn in steps.

    Examples
    --------
    >>> space = SearchSpace("isolation", {"trees": Whole(50, 200), "tree_rows": Choice((256, 1024))})
    >>> SearchSpace.from_json(space.to_json()) == space
    True
    >>> space.refuse_others({"trees": 100, "tree_rows": 256})
    """

    detector: str
    dimensions: Mapping[str, Dimension]
    first_rung: int = 1

    def __post_init__(self) -> None:
        if not self.dimensions or self.first_rung < 1:
            raise DetectorError(
                "there is nothing to tune" if not self.dimensions else f"no trial learns {self.first_rung} steps",
                where=f"search space of {self.detector}",
                mend=MEND,
            )

    def refuse_others(self, parameters: Mapping[str, Value]) -> None:
        """Raise a DetectorError unless these are values of the space, one for each dimension."""
        odd = sorted(set(parameters) ^ set(self.dimensions))
        odd += [name for name in self.dimensions if name in parameters and not self.holds(name, parameters[name])]
        if odd:
            raise DetectorError(
                f"{odd[0]} = {parameters.get(odd[0])!r} is not in the search space",
                where=f"search space of {self.detector}",
                mend="tune again, or give the space the study was made with",
            )

    def holds(self, name: str, value: Value) -> bool:
        """Whether the value can be drawn for the parameter."""
        return self.dimensions[name].holds(value)

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        names = {made: name for name, made in KINDS.items()}
        return {
            "detector": self.detector,
            "first_rung": self.first_rung,
            "dimensions": {
                name: {"kind": names[type(each)], **{key: _listed(value) for key, value in asdict(each).items()}}
                for name, each in self.dimensions.items()
            },
        }

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """What `to_json` gave.

        Raises
        ------
        DetectorError
            It describes no space.
        """
        try:
            dimensions = {str(name): _dimension(dict(given)) for name, given in document["dimensions"].items()}
            return cls(str(document["detector"]), dimensions, int(document.get("first_rung", 1)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DetectorError(
                f"this describes no search space: {type(error).__name__}: {error}", where="search space", mend=MEND
            ) from error


def _dimension(given: dict[str, Any]) -> Dimension:
    kind = KINDS[given.pop("kind")]
    if kind is Choice:
        return Choice(tuple(given["values"]))
    return kind(**given)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check_bounds(low: float, high: float, log: bool) -> None:
    fine = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (low, high))
    if not fine or not math.isfinite(low) or not math.isfinite(high) or low > high or (log and low <= 0):
        raise DetectorError(f"{low} to {high} are no bounds to draw between", where="search space", mend=MEND)
