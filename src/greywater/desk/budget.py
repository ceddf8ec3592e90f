"""How much the team can look at: so many alerts, or so many hours of work, a day or in all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from greywater.errors import UsageError

__all__ = ["Budget"]

_FORM = re.compile(r"\s*([0-9]{1,9})\s*(h)?\s*(?:(?:/|per\b)\s*(day))?\s*", re.ASCII | re.IGNORECASE)
_MEND = (
    'give a whole number above 0, alone ("500": in all) or with "/day" ("20/day": on each day), of alerts or, with an '
    '"h", of hours of work ("7h/day")'
)

#: Minutes that an alert is expected to take where nothing more is said (docs/ranking.md).
ALERT_MINUTES = 30.0


@dataclass(frozen=True)
class Budget:
    """A number of alerts or of hours of work, on each day or in all.

    Parameters
    ----------
    count : int
        Alerts or hours, at least 1.
    per_day : bool
        True: at most `count` on each UTC day; False: `count` in all.
    unit : {"alerts", "hours"}
        What is counted.

    Raises
    ------
    UsageError
        `count` is below 1.
    """

    count: int = 20
    per_day: bool = True
    unit: Literal["alerts", "hours"] = "alerts"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"a budget of {self.count} {self.unit} raises none", where="--budget", mend=_MEND)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `--budget`.

        Parameters
        ----------
        text : str
            `20/day` or `500` alerts; `7h/day` or `40h` of work.

        Raises
        ------
        UsageError
            Anything else: zero, a negative number, a fraction, another unit.

        Examples
        --------
        >>> Budget.parse("20/day"), Budget.parse("500")
        (Budget(count=20, per_day=True, unit='alerts'), Budget(count=500, per_day=False, unit='alerts'))
        >>> print(Budget.parse("20/day"), "and", Budget.parse("500"), "and", Budget.parse("7h/day"))
        20/day and 500 and 7h/day
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is no budget", where="--budget", mend=_MEND)
        return cls(int(match[1]), match[3] is not None, "hours" if match[2] else "alerts")

    def alerts(self, minutes: float = ALERT_MINUTES) -> int:
        """How many alerts that is, at least 1, where each takes so many minutes.

        Examples
        --------
        >>> Budget.parse("7h/day").alerts(), Budget.parse("20/day").alerts()
        (14, 20)
        """
        return self.count if self.unit == "alerts" else max(1, int(self.count * 60 / minutes))

    @property
    def words(self) -> str:
        """The budget in words: `20 alerts a day`, `500 alerts in all`, `7 hours of work a day`."""
        noun = self.unit[:-1] if self.count == 1 else self.unit
        noun += " of work" if self.unit == "hours" else ""
        return f"{self.count:,} {noun} {'a day' if self.per_day else 'in all'}"

    def __str__(self) -> str:
        count = f"{self.count}h" if self.unit == "hours" else str(self.count)
        return f"{count}/day" if self.per_day else count
