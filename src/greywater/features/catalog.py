"""Named sets of features; a set has a JSON form and a fingerprint that every model carries."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.calendar import calendar_features
from greywater.features.counterparty import PAIR_COUNTS, PAIR_DERIVED, PAIR_FLOATS
from greywater.features.feature import Feature
from greywater.features.payment import PAYMENT_FEATURES
from greywater.features.windows import WindowPlan, window_label

__all__ = ["FeatureSet", "payments_v1"]

MICROSECOND = 1_000_000

PASS_THROUGH = Feature(
    name="sender.pass_through.1d",
    entity="sender",
    dtype="float64",
    unit="ratio",
    description="sender: share of what came in during the last day that goes out with this payment",
    family="window",
    typologies=("gather-scatter", "stack", "cycle", "random"),
    parameters={"role": "sender", "statistic": "pass_through", "window": 86_400, "label": "1d"},
)


@dataclass(frozen=True)
class FeatureSet:
    """A set of features and everything their values depend on besides the records.

    Examples
    --------
    >>> features = payments_v1(Settings(windows=(86400,), day_windows=()), resolution_us=1)
    >>> "sender.out.count.1d" in features.names
    True
    >>> FeatureSet.from_json(features.to_json()).fingerprint == features.fingerprint
    True
    """

    name: str
    plan: WindowPlan
    resolution_us: int
    timezone: str
    country: str

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features, in the order of a FeatureBlock's columns."""
        shared = PAYMENT_FEATURES + calendar_features(self.resolution_us) + PAIR_COUNTS + PAIR_DERIVED + PAIR_FLOATS
        windows = tuple(
            feature for side in ("out", "in") for feature in self.plan.counts(side) + self.plan.floats(side)
        )
        through = (PASS_THROUGH,) if self.has_pass_through else ()
        return shared + through + windows + self.plan.self_counts() + self.plan.self_sums()

    @property
    def has_pass_through(self) -> bool:
        """True where the windows hold the last day."""
        return 86_400 in self.plan.windows

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def by_name(self) -> dict[str, Feature]:
        """Features by name."""
        return {feature.name: feature for feature in self.features}

    def to_json(self) -> str:
        """The set's definition as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSet:
        """The set that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        plan = fields.pop("plan")
        lengths = {name: tuple(plan[name]) for name in ("windows", "day_windows")}
        return cls(plan=WindowPlan(allowed_lateness=plan["allowed_lateness"], **lengths), **fields)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the definition and of every column's name, dtype and unit, 16 hex digits."""
        columns = [[f.name, f.dtype, f.unit] for f in self.features]
        return hashlib.sha256((self.to_json() + json.dumps(columns)).encode()).hexdigest()[:16]

    def left_out_words(self, settings: Settings) -> list[str]:
        """What the settings ask for and the data cannot carry, a sentence each."""
        short = [window_label(w) for w in settings.windows if w not in self.plan.windows]
        if not short:
            return []
        grain = window_label(self.resolution_us // MICROSECOND)
        return [f"the data is stamped to {grain}, so windows of {', '.join(short)} are left out"]


def payments_v1(settings: Settings, resolution_us: int) -> FeatureSet:
    """The default features of a payment. Windows shorter than the data's time resolution are left out.

    Parameters
    ----------
    settings : Settings
        Windows, lateness, time zone, country.
    resolution_us : int
        Time resolution of the source in microseconds.
    """
    windows = tuple(w for w in settings.windows if w * MICROSECOND >= resolution_us)
    if not windows and not settings.day_windows:
        raise UsageError(
            "every window is shorter than the time resolution of the data",
            where=f"windows = {settings.windows}, resolution = {resolution_us / MICROSECOND:g} s",
            mend="set a longer window",
        )
    return FeatureSet(
        name="payments-v1",
        plan=WindowPlan(windows, settings.day_windows, settings.allowed_lateness),
        resolution_us=resolution_us,
        timezone=settings.timezone,
        country=settings.country,
    )
