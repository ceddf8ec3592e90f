"""How many alerts the team can look at: so many a day, or so many in all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greywater.errors import UsageError

__all__ = ["Budget"]

_FORM = re.compile(r"\s*([0-9]{1,9})\s*(?:(?:/|per\b)\s*(day))?\s*", re.ASCII | re.IGNORECASE)
_MEND = 'give a whole number above 0, alone ("500": in all) or with "/day" ("20/day": on each day)'


@dataclass(frozen=True)
class Budget:
    """A number of alerts, on each day or in all.

    Parameters
    ----------
    count : int
        Alerts, at least 1.
    per_day : bool
        True: at most `count` new alerts on each UTC day; False: `count` in all.

    Raises
    ------
    UsageError
        `count` is below 1.
    """

    count: int = 20
    per_day: bool = True

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"a budget of {self.count} alerts raises none", where="--budget", mend=_MEND)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `--budget`.

        Parameters
        ----------
        text : str
            `20/day` or `500`.

        Raises
        ------
        UsageError
            Anything else: zero, a negative number, a fraction, another unit.

        Examples
        --------
        >>> Budget.parse("20/day"), Budget.parse("500")
        (Budget(count=20, per_day=True), Budget(count=500, per_day=False))
        >>> print(Budget.parse("20/day"), "and", Budget.parse("500"))
        20/day and 500
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is no budget", where="--budget", mend=_MEND)
        return cls(int(match[1]), match[2] is not None)

    @property
    def words(self) -> str:
        """The budget in words: `20 alerts a day`, `500 alerts in all`."""
        noun = "alert" if self.count == 1 else "alerts"
        return f"{self.count:,} {noun} {'a day' if self.per_day else 'in all'}"

    def __str__(self) -> str:
        return f"{self.count}/day" if self.per_day else str(self.count)
