"""One frozen Settings, read once: defaults, then the store's settings, then the environment, then arguments."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from greywater.errors import UsageError

__all__ = ["Settings"]

DAY = 86_400
#: Names of the sets of features (features/catalog.py).
FEATURE_SETS = ("payments-v1", "payments-v2", "payments-v3")

#: Detectors that the main job can use (app/fitting.py); after the fifth the classic ones (detectors/outlier_kinds.py).
DETECTORS = (
    "hybrid", "boosted", "isolation", "adversarial", "adversarial_sequence", "pca", "kmeans", "ocsvm", "kde", "knn",
    "ecod", "copod", "autoencoder", "deepsvdd", "alad", "so_gaal", "anogan",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Times are in seconds unless the name says otherwise.

    Each setting may be given as an environment variable `GREYWATER_<NAME>`.

    Examples
    --------
    >>> Settings().allowed_lateness
    604800
    >>> Settings().windows[0]
    3600
    """

    store: Path = Path("greywater-store")
    project: str = "default"
    #: Where runs, alerts, audit and the feature store's register are: empty = SQLite in the project's folder, or
    #: postgresql://USER@HOST:PORT/DATABASE, where each project has a schema; keep the password in ~/.pgpass.
    records: str = field(default="", repr=False)
    #: Sliding windows of the payment features.
    windows: tuple[int, ...] = (3_600, 6 * 3_600, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY)
    #: Windows over whole UTC days, in days.
    day_windows: tuple[int, ...] = (90, 365)
    #: Named set of payment features that the main job works out: "payments-v2", "payments-v1" without the graph, or
    #: "payments-v3" with exposure to known launderers.
    features: str = "payments-v2"
    #: Windows of the graph patterns. On data stamped to the day, those left as they are become 7, 14 and 30 days.
    graph_fan_windows: tuple[int, ...] = (3_600, DAY, 7 * DAY, 30 * DAY)
    graph_statistics_windows: tuple[int, ...] = (3_600, DAY, 7 * DAY, 30 * DAY)
    graph_scatter_gather_windows: tuple[int, ...] = (6 * 3_600, 3 * DAY)
    graph_gather_scatter_windows: tuple[int, ...] = (6 * 3_600, 3 * DAY)
    graph_temporal_cycle_windows: tuple[int, ...] = (DAY, 7 * DAY)
    graph_simple_cycle_windows: tuple[int, ...] = (DAY, 7 * DAY)
    graph_chain_windows: tuple[int, ...] = (3 * DAY,)
    graph_bipartite_windows: tuple[int, ...] = (6 * 3_600, 3 * DAY)
    #: Windows of the exposure to known launderers (payments-v3).
    exposure_windows: tuple[int, ...] = (7 * DAY, 30 * DAY)
    #: Up to how many payments away its accounts, payments and flow are counted: 1, 2 or 3.
    exposure_hops: int = 1
    #: Visits to visible payments that the search for one pattern in one window may make for one payment.
    graph_cap: int = 50_000
    #: Payments of the longest cycle looked for.
    graph_max_length: int = 10
    #: Share by which a hop of a chain may differ from the one before, in whole thousandths.
    graph_tolerance: float = 0.2
    #: How far behind the latest event time a payment may be and still not count as late.
    allowed_lateness: int = 7 * DAY
    #: How far after its recorded time a payment may be dated.
    max_ahead: int = DAY
    #: Largest jump of event time beyond the latest one, in days; `allow_jump` lifts it.
    max_jump_days: int = 366
    #: A label without a date is known this many days after its payment.
    label_delay_days: int = 30
    #: Time zone of the calendar features (IANA name).
    timezone: str = "UTC"
    #: Country of the public holidays (ISO 3166 code), optionally with a subdivision: "DE" or "DE-BY".
    country: str = "US"
    #: Currency the windows are counted in; empty = the format's own.
    base_currency: str = ""
    #: Join distances in an embedding of the graph of payments, also where no rule names one.
    embedding: bool = False
    #: Join the last payments of both parties as sequences, also where neither a rule nor the detector asks for them.
    sequence: bool = False
    #: Let protected attributes (age, origin...) into models; without it they serve fairness reports only.
    allow_protected: bool = False
    #: Rows per recorded chunk.
    chunk_rows: int = 131_072
    #: Memory the sort on disk may use, in MB.
    sort_memory_mb: int = 512
    #: Threads; 0 = as many as the machine has.
    threads: int = 0
    #: Seed of everything random.
    seed: int = 7
    #: What judges: "hybrid" (all parts under a second level), "boosted" (trees, or a forest without labels),
    #: "isolation" (a forest, whatever the labels) or one of the classic anomaly detectors, such as "pca".
    detector: str = "hybrid"
    #: Make the adversarial anomaly detector a part of the hybrid (extra `[deep]`).
    deep: bool = False
    #: Let columns push one way only where the field knows which (docs/boosted.md).
    monotone: bool = False
    #: What the threshold is chosen by on the validation slice: "f1", or "cost" from the two costs below.
    threshold_by: str = "f1"
    #: Cost of a laundering payment that was not alerted, and of an alert that was wasted (same unit).
    cost_missed: float = 100.0
    cost_wasted: float = 1.0
    #: Share of the reported alerts that hibernation keeps awake.
    recall_floor: float = 0.99
    #: Share of the alerts asleep that is looked at all the same, and the part of it chosen by uncertainty.
    quality_sample: float = 0.05
    uncertainty_share: float = 0.2
    #: Days within which a repeat alert on the same party and rule folds into the one before.
    fold_days: int = 30
    #: Probability from which an evidence payment ties accounts into a network, and the accounts of the largest one.
    network_strength: float = 0.5
    network_accounts: int = 50
    #: Minutes that an alert is expected to take, and what each further account and each evidence payment adds.
    alert_minutes: float = 30.0
    account_minutes: float = 10.0
    payment_minutes: float = 0.5
    #: Money at stake, in major units of the base currency, at which it begins to count.
    stake_unit: float = 10000.0

    #: What a proposal to promote a model must show: the days held out, the least gain in average precision that the low
    #: end of its interval must exceed, the least payments and laundering payments held out.
    promotion_days: int = 60
    promotion_least_gain: float = 0.0
    promotion_least_rows: int = 1000
    promotion_least_positives: int = 20
    #: Promote by itself what shows that.
    promotion_automatic: bool = False

    def __post_init__(self) -> None:
        for name in (
            "windows",
            "exposure_windows",
            *(one.name for one in fields(self) if one.name.startswith("graph_")),
        ):
            given = getattr(self, name)
            if isinstance(given, tuple) and (any(w <= 0 for w in given) or sorted(set(given)) != list(given)):
                raise UsageError(f"{name} must be positive, increasing seconds", where=f"{name} = {given}")
        if self.features not in FEATURE_SETS:
            raise UsageError(
                f"no set of features is named {self.features!r}",
                where="features",
                mend=f"give one of {', '.join(FEATURE_SETS)}",
            )
        if any(d <= 0 for d in self.day_windows) or sorted(set(self.day_windows)) != list(self.day_windows):
            raise UsageError("day_windows must be positive, increasing days", where=f"day_windows = {self.day_windows}")
        if self.detector not in DETECTORS:
            raise UsageError(
                f"no detector is named {self.detector!r}", where="detector", mend=f"give one of {', '.join(DETECTORS)}"
            )
        if self.threshold_by not in ("f1", "cost"):
            raise UsageError(
                f"a threshold cannot be chosen by {self.threshold_by!r}",
                where="threshold_by",
                mend='give "f1" or "cost"',
            )
        if self.chunk_rows < 1:
            raise UsageError("chunk_rows must be at least 1", where=f"chunk_rows = {self.chunk_rows}")

    def with_(self, **changes: Any) -> Settings:
        """A copy with some settings changed; None means unchanged."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    @classmethod
    def from_environment(cls, environment: dict[str, str] | None = None) -> Settings:
        """Defaults overlaid by GREYWATER_* variables.

        Examples
        --------
        >>> Settings.from_environment({"GREYWATER_SEED": "3"}).seed
        3
        """
        environment = dict(os.environ) if environment is None else environment
        changes: dict[str, Any] = {}
        for one in fields(cls):
            name = f"GREYWATER_{one.name.upper()}"
            if name in environment:
                changes[one.name] = _parse(name, environment[name], one.default)
        return replace(cls(), **changes)

    @property
    def project_folder(self) -> Path:
        """Where everything of the project lies: `<store>/projects/<project>`."""
        return self.store / "projects" / self.project

    @property
    def worker_threads(self) -> int:
        """Threads to use, resolved."""
        return self.threads or os.cpu_count() or 1


def _parse(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            return tuple(int(part) for part in text.split(",") if part.strip())
        if isinstance(default, Path):
            return Path(text)
        if isinstance(default, bool):
            return text.lower() in {"1", "true", "yes"}
        return type(default)(text)
    except ValueError:
        kind = "whole numbers separated by commas" if isinstance(default, tuple) else type(default).__name__
        raise UsageError(f"{text!r} cannot be read", where=name, mend=f"give {kind}") from None
