"""What an hour of work on an alert is expected to bring, from assumptions that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from greywater.errors import UsageError
from greywater.vocab import Float64Array

__all__ = ["ValueAssumptions"]


@dataclass(frozen=True)
class ValueAssumptions:
    """How much a case weighs and how long an alert takes.

    expected value per hour = probability x severity x (1 + log10(1 + stake / stake_unit)) / hours

    A case with nothing at stake weighs its severity; ten times the money adds about one more. So money moves an alert
    up without drowning the chance that there is a case at all. The unit is cases (of severity 1, nothing at stake) an
    hour.

    Parameters
    ----------
    stake_unit : float
        Money at stake, in major units of the base currency, at which it begins to count.
    alert_minutes : float
        Minutes that any alert takes (the industry's figure is 30 to 45).
    account_minutes : float
        Minutes that each further account adds.
    payment_minutes : float
        Minutes that each evidence payment adds.
    most_minutes : float
        No alert is expected to take longer.

    Raises
    ------
    UsageError
        A unit or a time that is not above 0, or a share of it below 0.

    Examples
    --------
    >>> assumed = ValueAssumptions()
    >>> minutes = assumed.minutes(np.array([1, 3]), np.array([0, 20]))
    >>> minutes.tolist()
    [30.0, 60.0]
    >>> assumed.per_hour(np.array([0.5, 0.5]), np.array([0.0, 90_000.0]), minutes).tolist()
    [1.0, 1.0]
    """

    stake_unit: float = 10_000.0
    alert_minutes: float = 30.0
    account_minutes: float = 10.0
    payment_minutes: float = 0.5
    most_minutes: float = 240.0

    def __post_init__(self) -> None:
        positive = ("stake_unit", "alert_minutes", "most_minutes")
        for name in (*positive, "account_minutes", "payment_minutes"):
            given = getattr(self, name)
            if not np.isfinite(given) or given < 0 or (name in positive and given == 0):
                raise UsageError(
                    f"{name} = {given} cannot be assumed", where=name, mend="give a finite number of at least 0"
                )

    def minutes(self, accounts: Any, payments: Any) -> Float64Array:
        """Expected minutes float64[n] of alerts of so many accounts and evidence payments, int64[n] each."""
        further = np.maximum(np.asarray(accounts, np.float64) - 1, 0)
        asked = self.alert_minutes + self.account_minutes * further
        result: Float64Array = np.minimum(
            asked + self.payment_minutes * np.asarray(payments, np.float64), max(self.most_minutes, self.alert_minutes)
        )
        return result

    def weight(self, stake: Any, severity: Any = 1.0) -> Float64Array:
        """What a case weighs, float64[n]; stake in major units of the base currency, NaN or below 0 counts as none."""
        known = np.nan_to_num(np.asarray(stake, np.float64), nan=0.0, posinf=np.finfo(np.float64).max)
        result: Float64Array = np.asarray(severity, np.float64) * (
            1 + np.log10(1 + np.maximum(known, 0) / self.stake_unit)
        )
        return result

    def per_hour(self, probability: Any, stake: Any, minutes: Any, severity: Any = 1.0) -> Float64Array:
        """Expected value per hour float64[n]."""
        result: Float64Array = (
            np.asarray(probability, np.float64) * self.weight(stake, severity) * 60 / np.asarray(minutes, np.float64)
        )
        return result

    def words(self, base_currency: str = "") -> tuple[str, ...]:
        """The assumptions, a sentence each, to be shown beside what rests on them."""
        unit = f"{self.stake_unit:,.0f} {base_currency}".rstrip()
        return (
            "value per hour = probability x severity x (1 + log10(1 + money at stake / "
            f"{unit})) / expected hours: the unit is a case with nothing at stake",
            f"an alert takes {self.alert_minutes:g} minutes, {self.account_minutes:g} more for each further account, "
            f"{self.payment_minutes:g} more for each evidence payment, {self.most_minutes:g} at most",
        )
