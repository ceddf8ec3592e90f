"""Window features: what sender and receiver sent and received in the last hour, day, ... year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.features.window_labels import window_label
from greywater.kernels.windows import COUNTS, FLOATS, OWN_RATIOS, LookBack

__all__ = ["Direction", "WindowPlan", "window_label"]

MICROSECOND = 1_000_000
DAY = 86_400

Role = Literal["sender", "receiver"]
Direction = Literal["out", "in"]

UNITS = {"count": "payments", "counterparties": "accounts", "new_counterparties": "accounts"}
WORDS = {
    "count": "number of payments {verb}",
    "counterparties": "number of different accounts {verb_with}",
    "new_counterparties": "number of accounts {verb_with} for the first time ever",
    "sum": "total {verb}",
    "mean": "mean amount {verb}",
    "std": "standard deviation of the amounts {verb}",
    "min": "smallest amount {verb}",
    "max": "largest amount {verb}",
}
RATIO_WORDS = {
    "amount_to_mean": "this amount divided by the mean of the account's own earlier amounts {verb}",
    "amount_to_max": "this amount divided by the largest of the account's own earlier amounts {verb}",
    "amount_zscore": "standard deviations of this amount from the mean of the account's own earlier amounts {verb}",
}
TYPOLOGIES: dict[tuple[str, str], tuple[str, ...]] = {
    ("out", "counterparties"): ("fan-out", "scatter-gather", "gather-scatter"),
    ("out", "new_counterparties"): ("fan-out", "scatter-gather"),
    ("out", "count"): ("fan-out", "gather-scatter"),
    ("in", "counterparties"): ("fan-in", "scatter-gather", "gather-scatter"),
    ("in", "new_counterparties"): ("fan-in", "scatter-gather"),
    ("in", "count"): ("fan-in", "gather-scatter"),
    ("out", "sum"): ("gather-scatter", "stack", "cycle"),
    ("in", "sum"): ("gather-scatter", "stack", "cycle"),
}


@dataclass(frozen=True)
class WindowPlan:
    """Which windows are computed, and where each feature lies in the kernel's output.

    Parameters
    ----------
    windows : tuple of int
        Sliding windows in seconds, increasing.
    day_windows : tuple of int
        Windows over whole UTC days, in days, increasing.
    allowed_lateness : int
        Seconds.
    """

    windows: tuple[int, ...]
    day_windows: tuple[int, ...]
    allowed_lateness: int

    def __post_init__(self) -> None:
        if not self.windows and not self.day_windows:
            raise UsageError(
                "no window is left to compute", where="windows", mend="give a window that the data can resolve"
            )
        if len(set(self.labels)) < len(self.labels):
            raise UsageError(
                "a sliding window and a window over whole days have the same name",
                where=f"windows = {self.windows}, day_windows = {self.day_windows}",
                mend="leave one of the two out",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the windows in kernel order."""
        return tuple([window_label(w) for w in self.windows] + [f"{d}d" for d in self.day_windows])

    @property
    def seconds(self) -> tuple[int, ...]:
        """Lengths in seconds in kernel order."""
        return self.windows + tuple(d * DAY for d in self.day_windows)

    @property
    def _windows(self) -> list[tuple[str, int]]:
        return list(zip(self.labels, self.seconds, strict=True))

    @property
    def hold_us(self) -> int:
        """Microseconds behind H that are held: the longest look-back and the allowed lateness."""
        return (max(self.seconds) + self.allowed_lateness) * MICROSECOND

    @property
    def ratio_windows(self) -> tuple[int, ...]:
        """Indices of the windows that an amount is compared with: the longest sliding one, the first of whole days."""
        chosen = [len(self.windows) - 1] if self.windows else []
        if self.day_windows:
            chosen.append(len(self.windows))
        return tuple(chosen)

    def look_back(self) -> LookBack:
        """The kernel's form of this plan."""
        lengths = [w * MICROSECOND for w in self.windows] + list(self.day_windows)
        days = [0] * len(self.windows) + [1] * len(self.day_windows)
        return LookBack(
            np.array(lengths, np.int64),
            np.array(days, np.int64),
            np.array(self.ratio_windows, np.int64),
            np.array([self.hold_us], np.int64),
            np.full(len(lengths), self.hold_us, np.int64),
        )

    def counts(self, direction: Direction) -> tuple[Feature, ...]:
        """The int64 features of a side, in the kernel's row order."""
        rows: list[Feature] = []
        for role in _views(direction):
            for name in COUNTS:
                rows += [_feature(role, direction, name, *window, UNITS[name]) for window in self._windows]
            rows.append(_lifetime(role, direction))
        return tuple(rows)

    def floats(self, direction: Direction) -> tuple[Feature, ...]:
        """The float64 features of a side, in the kernel's row order."""
        rows: list[Feature] = []
        views = _views(direction)
        for role in views:
            for name in FLOATS:
                rows += [_feature(role, direction, name, *window, "minor units") for window in self._windows]
            rows.append(_since_last(role, direction))
        for window in self.ratio_windows:
            label, seconds = self.labels[window], self.seconds[window]
            rows += [_feature(views[0], direction, name, label, seconds, "ratio") for name in OWN_RATIOS]
        return tuple(rows)

    def self_counts(self) -> tuple[Feature, ...]:
        """int64 features of the sender's payments to itself."""
        return tuple(_self_feature("count", label, s) for label, s in zip(self.labels, self.seconds, strict=True))

    def self_sums(self) -> tuple[Feature, ...]:
        """float64 features of the sender's payments to itself."""
        return tuple(_self_feature("sum", label, s) for label, s in zip(self.labels, self.seconds, strict=True))


def _views(direction: Direction) -> tuple[Role, Role]:
    """Whose list a payment joins on this side, then the other party."""
    return ("sender", "receiver") if direction == "out" else ("receiver", "sender")


def _feature(role: Role, direction: Direction, statistic: str, label: str, seconds: int, unit: str) -> Feature:
    verb = "sent" if direction == "out" else "received"
    words = {**WORDS, **RATIO_WORDS}[statistic].format(
        verb=verb, verb_with="paid" if direction == "out" else "paying it"
    )
    return Feature(
        name=f"{role}.{direction}.{statistic}.{label}",
        entity=role,
        dtype="int64" if statistic in COUNTS else "float64",
        unit=unit,
        description=f"{role}: {words} in the last {label}",
        family="window",
        typologies=TYPOLOGIES.get((direction, statistic), ()),
        parameters={"role": role, "direction": direction, "statistic": statistic, "window": seconds, "label": label},
    )


def _lifetime(role: Role, direction: Direction) -> Feature:
    verb = "sent" if direction == "out" else "received"
    return Feature(
        name=f"{role}.{direction}.lifetime_count",
        entity=role,
        dtype="int64",
        unit="payments",
        description=f"{role}: payments {verb} ever before this one",
        family="window",
        parameters={"role": role, "direction": direction, "statistic": "lifetime_count"},
    )


def _since_last(role: Role, direction: Direction) -> Feature:
    verb = "sent" if direction == "out" else "received"
    return Feature(
        name=f"{role}.{direction}.since_last",
        entity=role,
        dtype="float64",
        unit="seconds",
        description=f"{role}: time since the last payment {verb} before this one",
        family="window",
        parameters={"role": role, "direction": direction, "statistic": "since_last"},
    )


def _self_feature(statistic: str, label: str, seconds: int) -> Feature:
    words = "number" if statistic == "count" else "total"
    return Feature(
        name=f"sender.self.{statistic}.{label}",
        entity="sender",
        dtype="int64" if statistic == "count" else "float64",
        unit="payments" if statistic == "count" else "minor units",
        description=f"sender: {words} of payments to itself in the last {label}",
        family="window",
        parameters={"role": "sender", "direction": "self", "statistic": statistic, "window": seconds, "label": label},
    )
