"""Folds repeat alerts on the same behaviour of the same party into the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from greywater.errors import UsageError

__all__ = ["Fold", "FoldRule", "Repeatable", "fold"]

DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Repeatable:
    """An alert that may repeat an earlier one.

    Parameters
    ----------
    id : str
        Of the alert.
    entity : str
        Account, customer or network it is about.
    behaviour : str
        What it is about: the rule that hit, or the family of its strongest reason. The empty text folds with nothing.
    time_us : int
        When it was raised, microseconds since 1970.
    """

    id: str
    entity: str
    behaviour: str
    time_us: int


@dataclass(frozen=True)
class FoldRule:
    """When an alert repeats another one.

    The key is (entity, behaviour). An alert folds where one of the same key, itself folded or not, came at most `days`
    before, and the first of them at most `longest_days` before: what goes on for longer is looked at again.

    Raises
    ------
    UsageError
        A window below 0, or a longest one that is shorter.
    """

    days: int = 30
    longest_days: int = 90

    def __post_init__(self) -> None:
        if self.days < 0 or self.longest_days < self.days:
            raise UsageError(
                f"repeats within {self.days} days, {self.longest_days} in all, cannot be folded",
                where="fold_days",
                mend="give 0 days or more, and a longest time that is not shorter",
            )

    def words(self) -> str:
        """The rule as a sentence."""
        if not self.days:
            return "repeat alerts are not folded"
        return (
            f"an alert folds into an earlier one on the same party and rule where one came within {self.days} days, "
            f"for {self.longest_days} days at most from the first"
        )


@dataclass(frozen=True)
class Fold:
    """A first alert and those that fold into it, as positions in what was given; repeats by time."""

    first: int
    repeats: tuple[int, ...]


def fold(alerts: Sequence[Repeatable], rule: FoldRule | None = None) -> tuple[Fold, ...]:
    """Fold alerts; every one is in exactly one fold.

    Parameters
    ----------
    alerts : sequence of Repeatable
        In any order; those of one time count in the order of their ids.
    rule : FoldRule, optional

    Returns
    -------
    tuple of Fold
        By the time of the first alert, then its id.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> raised = [Repeatable(f"a{d}", "C1", "structuring", d * day) for d in (0, 20, 45, 80)]
    >>> fold(raised)
    (Fold(first=0, repeats=(1, 2)), Fold(first=3, repeats=()))
    """
    rule = rule or FoldRule()
    order = sorted(range(len(alerts)), key=lambda place: (alerts[place].time_us, alerts[place].id, place))
    folds: list[tuple[int, list[int]]] = []
    open_fold: dict[tuple[str, str], int] = {}
    latest: dict[tuple[str, str], int] = {}
    for place in order:
        alert = alerts[place]
        key = (alert.entity, alert.behaviour)
        number = open_fold.get(key)
        if (
            number is not None
            and rule.days
            and alert.behaviour
            and alert.time_us - latest[key] <= rule.days * DAY_US
            and alert.time_us - alerts[folds[number][0]].time_us <= rule.longest_days * DAY_US
        ):
            folds[number][1].append(place)
        else:
            open_fold[key] = len(folds)
            folds.append((place, []))
        latest[key] = alert.time_us
    return tuple(Fold(first, tuple(repeats)) for first, repeats in folds)
