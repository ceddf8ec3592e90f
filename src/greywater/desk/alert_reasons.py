"""Says in words why an alert of another system stands where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from greywater.desk.wording import count, duration, money, number, share, times, window_seconds
from greywater.features.feature import Feature
from greywater.vocab import Float64Array

__all__ = ["MOST_REASONS", "AlertReasons"]

MOST_REASONS: Final = 4
#: A value between these shares of the alerts is nothing special, and no comparison is made.
USUAL: Final = (0.35, 0.65)


@dataclass(frozen=True)
class AlertReasons:
    """Writes reasons from what pushed an alert up.

    Parameters
    ----------
    features : sequence of Feature
        The columns.
    reference : float64[n, features]
        The alerts that a value is compared with.
    currency : str
        Base currency of the amounts.
    """

    features: Sequence[Feature]
    reference: Float64Array
    currency: str = ""

    def reasons(self, values: Float64Array, pushes: Float64Array) -> tuple[str, ...]:
        """At most MOST_REASONS sentences, strongest first.

        Columns about the same thing over different windows are added up and give one sentence, over the window that
        pushed hardest. What pushes down says nothing.

        Parameters
        ----------
        values : float64[features]
            Of the alert.
        pushes : float64[features]
            How much each column pushed it up (a detector's contributions, without the base value).
        """
        groups: dict[str, list[int]] = {}
        for place, feature in enumerate(self.features):
            if np.isfinite(pushes[place]):
                groups.setdefault(topic(feature), []).append(place)
        strength = {name: float(np.sum(pushes[places])) for name, places in groups.items()}
        best = sorted((name for name in groups if strength[name] > 0), key=lambda name: (-strength[name], name))
        said = []
        for name in best[:MOST_REASONS]:
            place = max(groups[name], key=lambda each: (float(pushes[each]), -each))
            said.append(self.sentence(place, float(values[place])))
        return tuple(said)

    def sentence(self, place: int, value: float) -> str:
        """One column's value in words, and how it compares."""
        feature = self.features[place]
        text = f"{feature.description}: {_value(feature, value, self.currency)}"
        if np.isnan(value):
            return text
        column = self.reference[:, place]
        known = column[~np.isnan(column)]
        if not len(known):
            return text
        below, above = float(np.mean(known < value)), float(np.mean(known > value))
        if below >= USUAL[1]:
            return f"{text}, more than {share(below)} of the alerts"
        if above >= USUAL[1]:
            return f"{text}, less than {share(above)} of the alerts"
        return text


def topic(feature: Feature) -> str:
    """What a column is about: its name without the window.

    Examples
    --------
    >>> topic(Feature("out.sum.7d", "sender", "float64", "minor units", "total sent", "window"))
    'out.sum'
    """
    return ".".join(part for part in feature.name.split(".") if window_seconds(part) is None)


def _value(feature: Feature, value: float, currency: str) -> str:
    if np.isnan(value):
        return "none"
    if feature.unit == "minor units":
        return money(value, currency)
    if feature.unit == "seconds":
        return duration(value)
    if feature.unit == "ratio":
        return times(value) if ".pace." in feature.name else share(value)
    nouns = {"payments": "payment", "accounts": "account", "alerts": "alert", "rules": "rule"}
    return count(value, nouns[feature.unit]) if feature.unit in nouns else number(value)
