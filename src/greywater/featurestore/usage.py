"""Who uses which feature, how often it is served, and what it saved that it did not have to be made again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from greywater.errors import UsageError

if TYPE_CHECKING:
    from greywater.stores.feature_record_rows import UseRecord
    from greywater.stores.feature_records import FeatureRecords

__all__ = ["Assumptions", "FeatureUsage", "ReturnOnInvestment", "Usage"]

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Assumptions:
    """What the return on investment rests on; every one is shown with the result and may be given otherwise.

    Parameters
    ----------
    feature_share : float
        Share of the effort of a model that goes into its features, 0 < share <= 1. 0.8 is what practitioners say, not
        a measurement.
    days_a_feature : float
        Working days to define, build, test and document one feature.
    reuse_share : float
        What it takes to find, understand and check a feature that is there, as a share of building it, 0 to 1.
    cost_a_day : float
        Cost of a working day.
    currency : str
        Of that cost.
    """

    feature_share: float = 0.8
    days_a_feature: float = 3.0
    reuse_share: float = 0.1
    cost_a_day: float = 600.0
    currency: str = "EUR"

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "currency" and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{one.name} is {value}", where="assumptions", mend="give a number from 0")
        if not 0 < self.feature_share <= 1 or self.reuse_share > 1:
            raise UsageError(
                f"feature_share is {self.feature_share}, reuse_share is {self.reuse_share}",
                where="assumptions",
                mend="give shares between 0 and 1, feature_share above 0",
            )


@dataclass(frozen=True)
class FeatureUsage:
    """Who uses one feature. `vectors` are those served of all views that hold it; `since` is its first use."""

    group: str
    version: int
    feature: str
    models: tuple[str, ...]
    teams: tuple[str, ...]
    views: tuple[str, ...]
    vectors: int
    since: datetime


@dataclass(frozen=True)
class ReturnOnInvestment:
    """What reuse saved, with the assumptions it rests on.

    Parameters
    ----------
    assumptions : Assumptions
    models, teams : int
        That use any feature.
    features : int
        Different features in use: each was built once.
    uses : int
        Features of models, counted once a model: what would have been built without a store.
    days_without, days_with, days_saved : float
        Working days for features if every model built its own; with the store; the difference.
    money_saved : float
        `days_saved` at `cost_a_day`.
    effort_saved : float
        `days_saved` as a share of the whole effort of the models without a store, features being `feature_share` of it.
    """

    assumptions: Assumptions
    models: int
    teams: int
    features: int
    uses: int
    days_without: float
    days_with: float
    days_saved: float
    money_saved: float
    effort_saved: float

    @property
    def reuses(self) -> int:
        """Uses of a feature beyond its first."""
        return self.uses - self.features

    def to_dict(self) -> dict[str, Any]:
        """In JSON types."""
        return {**asdict(self), "reuses": self.reuses}

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def to_text(self) -> str:
        """A page for people: the figures, then what they rest on."""
        said = self.assumptions
        lines = [
            f"{self.features} features serve {self.models} models of {self.teams} teams in {self.uses} uses; "
            f"{self.reuses} of these are reuse.",
            f"Without a store: {self.uses} x {said.days_a_feature:g} days = {self.days_without:,.1f} days.",
            f"With the store: {self.features} x {said.days_a_feature:g} days + {self.reuses} x "
            f"{said.days_a_feature * said.reuse_share:g} days = {self.days_with:,.1f} days.",
            f"Saved: {self.days_saved:,.1f} days, {self.money_saved:,.0f} {said.currency}, "
            f"{self.effort_saved:.1%} of the whole effort of these models.",
            "",
            "Assumed, not measured (change them to what holds for you):",
            f"- features are {said.feature_share:.0%} of the effort of a model (feature_share)",
            f"- a feature costs {said.days_a_feature:g} working days (days_a_feature)",
            f"- to reuse one costs {said.reuse_share:.0%} of building it (reuse_share)",
            f"- a working day costs {said.cost_a_day:,.0f} {said.currency} (cost_a_day, currency)",
        ]
        return "\n".join(lines) + "\n"


class Usage:
    """Who uses the features of a project.

    Parameters
    ----------
    records : FeatureRecords

    Examples
    --------
    >>> from greywater.stores.feature_records import FeatureRecords
    >>> with FeatureRecords.open("sqlite::memory:") as records:
    ...     usage = Usage(records)
    ...     usage.served("risk", 1, 100, at=datetime(2024, 5, 1, tzinfo=UTC))
    ...     usage.served("risk", 1, 20, at=datetime(2024, 5, 1, tzinfo=UTC), defaults=3)
    ...     usage.vectors("risk", 1), usage.features(), usage.return_on_investment().days_saved
    (120, [], 0.0)
    """

    def __init__(self, records: FeatureRecords) -> None:
        self._records = records

    def served(
        self, view: str, version: int, vectors: int = 1, *, how: str = "online", defaults: int = 0,
        at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Count vectors of a view that were served; safe from many processes at once.

        Parameters
        ----------
        vectors : int
            How many: collect some before counting, a call is a commit.
        how : str
            For example online, training, backfill.
        defaults : int
            How many of them were of unknown entities and fell back on defaults.
        at : datetime, optional
            When, with a time zone; default now. Counted by UTC day.

        Raises
        ------
        UsageError
            The time has no zone, or a count is negative.
        """
        from greywater.stores.feature_record_rows import ServedRecord

        self._records.served.add([ServedRecord(view, version, _day(at or datetime.now(UTC)), how, vectors, defaults)])

    def vectors(
        self, view: str, version: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> int:  # fmt: skip
        """Vectors of a view served on the UTC days of [since, until)."""
        return self._served(since, until).get((view, version), 0)

    def features(self, *, since: datetime | None = None, until: datetime | None = None) -> list[FeatureUsage]:
        """All features that models use, most used first, with the vectors served on the UTC days of [since, until)."""
        served = self._served(since, until)
        grouped: dict[tuple[str, int, str], list[UseRecord]] = {}
        for use in self._records.uses():
            grouped.setdefault((use.group, use.version, use.feature), []).append(use)
        found = []
        for (group, version, feature), uses in grouped.items():
            views = sorted({(use.view, use.view_version) for use in uses})
            found.append(
                FeatureUsage(
                    group, version, feature, _sorted(use.model for use in uses),
                    _sorted(use.team for use in uses), tuple(f"{name}@{number}" for name, number in views),
                    sum(served.get(view, 0) for view in views), min(use.at for use in uses),
                )
            )  # fmt: skip
        return sorted(found, key=lambda one: (-len(one.models), -one.vectors, one.group, one.version, one.feature))

    def return_on_investment(self, assumptions: Assumptions | None = None) -> ReturnOnInvestment:
        """What reuse saved; a model's use of a feature counts once, whatever fingerprints and versions there were.

        Parameters
        ----------
        assumptions : Assumptions, optional
            Default: `Assumptions()`.

        Examples
        --------
        >>> from greywater.stores.feature_records import FeatureRecords
        >>> with FeatureRecords.open("sqlite::memory:") as records:
        ...     print(Usage(records).return_on_investment(Assumptions(days_a_feature=2)).to_text().splitlines()[1])
        Without a store: 0 x 2 days = 0.0 days.
        """
        said = assumptions or Assumptions()
        records = self._records.uses()
        pairs = {(use.group, use.feature, use.model) for use in records}
        features = {(group, feature) for group, feature, _ in pairs}
        without = len(pairs) * said.days_a_feature
        held = (len(features) + (len(pairs) - len(features)) * said.reuse_share) * said.days_a_feature
        saved = without - held
        return ReturnOnInvestment(
            said, len({use.model for use in records}), len({use.team for use in records if use.team}), len(features),
            len(pairs), without, held, saved, saved * said.cost_a_day,
            saved / (without / said.feature_share) if without else 0.0,
        )  # fmt: skip

    def _served(self, since: datetime | None, until: datetime | None) -> dict[tuple[str, int], int]:
        days = [None if moment is None else _day(moment) for moment in (since, until)]
        served: dict[tuple[str, int], int] = {}
        for row in self._records.served.rows(*days):
            served[row.view, row.view_version] = served.get((row.view, row.view_version), 0) + row.vectors
        return served


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text}))


def _day(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise UsageError(f"the time {moment.isoformat()} has no time zone", mend="give times in UTC")
    return (moment - _EPOCH) // _DAY
