"""The knobs of hard mode: what makes laundering hard to tell from everyday life, and its labels hard to trust."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from greywater.errors import UsageError

__all__ = ["QUARTER_DAYS", "HardMode"]

QUARTER_DAYS: Final = 91
#: Knobs that are shares.
_SHARES: Final = ("familiar", "mix_drift", "alerted", "overlooked", "mistaken", "misnamed")
#: Knobs that are counted out one by one, and the most they can be.
_MOST: Final = {"lookalikes": 1_000, "false_alerts": 1_000, "smallest": 100}


@dataclass(frozen=True)
class HardMode:
    """What hard mode does, each knob with its own meaning; the values given here are the defaults.

    Parameters
    ----------
    disguised : bool
        Laundering takes amounts, formats, hours and accounts from everyday payments. Without it they are those of the
        published worlds, where amount and format alone tell much.
    lookalikes : float
        Payments of everyday groups with the shapes of laundering, for each laundering payment.
    familiar : float
        Share of the typed payments whose parties have paid each other before, honestly.
    kept : (float, float)
        Least and greatest share of what came in that a launderer passes on; everyday groups pass on 45 to 100 %.
    days : float
        Longest duration of one layer of an attempt.
    smallest : int
        Fewest payments of an attempt of a typology, cycles at least three.
    drift : float
        How much behaviour changes from quarter to quarter: launderers get slower, keep back more, and deal their
        payments out over smaller attempts. 0: not at all; 0.2: by a fifth a quarter.
    mix_drift : float
        How much the mix of typologies changes over the world. 0: not at all; 1: fans first, layered shapes last.
    alerted : float
        Share of the launderers of an attempt that the monitoring of the day alerts.
    false_alerts : float
        Alerts on honest customers for each alert on a launderer; a third of them are people of look-alike groups.
    label_delay_days : float
        Median days from alert to decision; labels are known from the decision on.
    overlooked : float
        Share of the alerts on launderers that are dismissed: their payments are called honest.
    mistaken : float
        Share of the alerts on people of look-alike groups that are reported: their payments are called laundering.
    misnamed : float
        Share of the labels with a wrong typology.

    Examples
    --------
    >>> HardMode(drift=0.0).drift
    0.0
    """

    disguised: bool = True
    lookalikes: float = 1.5
    familiar: float = 0.5
    kept: tuple[float, float] = (0.8, 1.0)
    days: float = 4.0
    smallest: int = 4
    drift: float = 0.1
    mix_drift: float = 0.3
    alerted: float = 0.7
    false_alerts: float = 5.0
    label_delay_days: float = 12.0
    overlooked: float = 0.1
    mistaken: float = 0.04
    misnamed: float = 0.05

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if any(not 0 <= number < float("inf") for number in numbers):
                raise UsageError(
                    f"{value} is below zero or no number", where=field.name, mend="give a number from 0 on"
                )
            if field.name in _SHARES and value > 1:
                raise UsageError(f"{value} is no share", where=field.name, mend="give a number from 0 to 1")
            most = _MOST.get(field.name)
            if most is not None and value > most:
                raise UsageError(f"{value} is too much", where=field.name, mend=f"give a number from 0 to {most}")
        if not 0 < self.kept[0] <= self.kept[1] <= 1:
            raise UsageError(
                f"{self.kept} is no range of shares", where="kept", mend="give two shares, the lower first"
            )
