"""Named sets of features; a set has a JSON form and a fingerprint that every model carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.attributes import attribute_features
from greywater.features.calendar import calendar_features
from greywater.features.counterparty import PAIR_COUNTS, PAIR_DERIVED, PAIR_FLOATS
from greywater.features.exposure import ExposurePlan, default_exposure_plan
from greywater.features.feature import Feature
from greywater.features.graph import (
    DAY_WINDOWS,
    PATTERNS,
    GraphPlan,
    default_graph_plan,
    follows_the_day,
    graph_windows,
)
from greywater.features.joined import joined_features
from greywater.features.payment import PAYMENT_FEATURES
from greywater.features.request_features import request_feature
from greywater.features.requests import FeatureRequest, canonical_name, is_request, parse_request
from greywater.features.windows import WindowPlan, window_label

__all__ = ["FeatureSet", "payment_features", "payments_v1", "payments_v2", "payments_v3"]

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
#: Statistics of a graph pattern that the windows give too (degree is their count, fan their counterparties), or that
#: trees cannot tell from one they have: the order of two variances is that of two standard deviations, and a sum or a
#: greatest gap follows from the mean and the number. docs/features.md argues each.
LEFT_OUT: dict[str, frozenset[str]] = {
    "fan": frozenset({"degree", "fan"}),
    "amount": frozenset({"count", "sum", "mean", "min", "max", "variance"}),
    "gap": frozenset({"count", "sum", "min", "max", "skewness", "kurtosis"}),
}


@dataclass(frozen=True)
class FeatureSet:
    """A set of features and everything their values depend on besides the records.

    Parameters
    ----------
    name : str
        Of the set: payments-v1, payments-v2, payments-v3.
    plan : WindowPlan
        Windows of sender and receiver.
    resolution_us : int
        Time resolution of the source in microseconds.
    timezone, country : str
        Of the calendar features.
    graph : GraphPlan, optional
        Patterns in the graph of payments; None = the set has no graph features.
    attributes : tuple of (str, str)
        Name and kind of each attribute of the parties that is joined, in order; they are not the engine's.
    attribute_words : tuple of (str, tuple of str)
        What the codes of text attributes mean, for people; no part of the set's definition.
    chosen : tuple of str, optional
        Names of the features that the set has of all these; None = all of them. Made by `only`.
    exposure : ExposurePlan, optional
        Exposure to known launderers, looked for in the graph; None = the set has no such features.
    requests : tuple of str
        Names of features with a window or a filter of their own, which come after the graph's. Made by `also`.
    base_exponent : int
        Decimals of the base currency, in whose major units requests name amounts.
    joined : tuple of str
        Families of columns that are joined behind the attributes (features/joined.py); they are not the engine's.

    Examples
    --------
    >>> features = payments_v1(Settings(windows=(86400,), day_windows=()), resolution_us=1)
    >>> "sender.out.count.1d" in features.names
    True
    >>> FeatureSet.from_json(features.to_json()).fingerprint == features.fingerprint
    True
    >>> graph = payments_v2(Settings(), resolution_us=1)
    >>> graph.names[: len(payments_v1(Settings(), 1).names)] == payments_v1(Settings(), 1).names
    True
    >>> "chain.hops.3d" in graph.names, "sender.out.degree.1d" in graph.names
    (True, False)
    """

    name: str
    plan: WindowPlan
    resolution_us: int
    timezone: str
    country: str
    graph: GraphPlan | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    attribute_words: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), compare=False)
    chosen: tuple[str, ...] | None = None
    exposure: ExposurePlan | None = None
    requests: tuple[str, ...] = ()
    base_exponent: int = 2
    joined: tuple[str, ...] = ()

    @property
    def of_engine(self) -> FeatureSet:
        """The set without what is joined to payments beside the engine."""
        return replace(self, attributes=(), attribute_words=(), joined=())

    @property
    def features(self) -> tuple[Feature, ...]:
        """The set's features, in the order of a FeatureBlock's columns."""
        if self.chosen is None:
            return self._all
        chosen = frozenset(self.chosen)
        return tuple(feature for feature in self._all if feature.name in chosen)

    @cached_property
    def _all(self) -> tuple[Feature, ...]:
        shared = PAYMENT_FEATURES + calendar_features(self.resolution_us) + PAIR_COUNTS + PAIR_DERIVED + PAIR_FLOATS
        windows = tuple(
            feature for side in ("out", "in") for feature in self.plan.counts(side) + self.plan.floats(side)
        )
        through = (PASS_THROUGH,) if self.has_pass_through else ()
        engine = shared + through + windows + self.plan.self_counts() + self.plan.self_sums() + self._all_of_graph
        if self.exposure is not None:
            engine += self.exposure.features
        engine += tuple(request_feature(parse_request(name)) for name in self.requests)
        beside = attribute_features(self.attributes, dict(self.attribute_words)) + joined_features(self.joined)
        return engine + beside

    def only(self, names: Iterable[str]) -> FeatureSet:
        """The set with these features alone, in the order of this one; their values stay the same bits.

        The engine then works out nothing that none of them needs.

        Parameters
        ----------
        names : iterable of str
            Some of the set's, or requests (features/requests.py), which join it.

        Raises
        ------
        UsageError
            A name is not the set's, or none is given.

        Examples
        --------
        >>> whole = payments_v1(Settings(), resolution_us=1)
        >>> whole.only(["sender.out.sum.7d", "payment.amount"]).names
        ('payment.amount', 'sender.out.sum.7d')
        """
        wanted = {canonical_name(name) for name in names}
        if not wanted:
            raise UsageError("no feature is named", mend="name one")
        whole = self.also(sorted(wanted))
        return replace(whole, chosen=tuple(name for name in whole.names if name in wanted))

    def also(self, names: Iterable[str], *, base_exponent: int | None = None) -> FeatureSet:
        """The set with requests that it lacks besides its own features.

        Parameters
        ----------
        names : iterable of str
            Requests (features/requests.py), in any way to write them; names of the set's own features change nothing.
        base_exponent : int, optional
            Decimals of the base currency; None = as before.

        Raises
        ------
        UsageError
            A name is neither the set's nor a request.

        Examples
        --------
        >>> payments_v1(Settings(), 1).also(["sender.out.count.48h[amount 8500..9999]", "payment.amount"]).requests
        ('sender.out.count.2d[amount 8500..9999]',)
        """
        left = dict.fromkeys(canonical_name(name) for name in names)
        known = frozenset(self.names)
        added = tuple(name for name in left if name not in known)
        left_out = {feature.name for feature in self._all} & set(added)
        for name in added:
            if "[" in name:
                parse_request(name)
            if name in left_out or not is_request(name):
                raise UsageError(
                    f"{name!r} is not one of the features {self.name}",
                    mend="give names that docs/features.md lists, of windows that are set, or requests",
                )
        exponent = self.base_exponent if base_exponent is None else base_exponent
        chosen = None if self.chosen is None else (*self.chosen, *added)
        return replace(self, requests=self.requests + added, base_exponent=exponent, chosen=chosen)

    @property
    def asked(self) -> tuple[FeatureRequest, ...]:
        """The requests among the features, in their order."""
        names = frozenset(self.names)
        return tuple(parse_request(name) for name in self.requests if name in names)

    @property
    def graph_features(self) -> tuple[Feature, ...]:
        """The graph's features that are no doubles of others, in the order of its plan."""
        if self.chosen is None:
            return self._all_of_graph
        chosen = frozenset(self.chosen)
        return tuple(feature for feature in self._all_of_graph if feature.name in chosen)

    @property
    def _all_of_graph(self) -> tuple[Feature, ...]:
        return () if self.graph is None else tuple(feature for feature in self.graph.features if _is_kept(feature))

    @property
    def exposure_features(self) -> tuple[Feature, ...]:
        """The features of exposure, in the order of its plan."""
        every = () if self.exposure is None else self.exposure.features
        return every if self.chosen is None else tuple(feature for feature in every if feature.name in self.chosen)

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
        """The set's definition as canonical JSON; plans, attributes and choice are named only where there are."""
        fields = asdict(self)
        del fields["attribute_words"]
        if not self.attributes:
            del fields["attributes"]
        if self.graph is None:
            del fields["graph"]
        elif not self.graph.least_look_back:
            del fields["graph"]["least_look_back"]
        if self.exposure is None:
            del fields["exposure"]
        else:
            fields["exposure"] = self.exposure.to_fields()
        if self.chosen is None:
            del fields["chosen"]
        if not self.requests:
            del fields["requests"], fields["base_exponent"]
        if not self.joined:
            del fields["joined"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSet:
        """The set that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        plan = fields.pop("plan")
        lengths = {name: tuple(plan[name]) for name in ("windows", "day_windows")}
        graph = fields.pop("graph", None)
        exposure = fields.pop("exposure", None)
        attributes = tuple((name, kind) for name, kind in fields.pop("attributes", ()))
        chosen = fields.pop("chosen", None)
        return cls(
            attributes=attributes,
            chosen=None if chosen is None else tuple(chosen),
            requests=tuple(fields.pop("requests", ())),
            joined=tuple(fields.pop("joined", ())),
            plan=WindowPlan(allowed_lateness=plan["allowed_lateness"], **lengths),
            graph=None if graph is None else GraphPlan.from_fields(graph),
            exposure=None if exposure is None else ExposurePlan.from_fields(exposure),
            **fields,
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the definition and of every column's name, dtype and unit, 16 hex digits."""
        columns = [[f.name, f.dtype, f.unit] for f in self.features]
        return hashlib.sha256((self.to_json() + json.dumps(columns)).encode()).hexdigest()[:16]

    def left_out_words(self, settings: Settings) -> list[str]:
        """What the settings ask for and the data cannot carry, a sentence each."""
        grain = window_label(self.resolution_us // MICROSECOND)
        words = []
        short = [window_label(w) for w in settings.windows if w not in self.plan.windows]
        if short:
            words.append(f"the data is stamped to {grain}, so windows of {', '.join(short)} are left out")
        if self.exposure is not None:
            short = [window_label(w) for w in settings.exposure_windows if w not in self.exposure.windows]
            if short:
                words.append(f"the data is stamped to {grain}, so exposure windows of {', '.join(short)} are left out")
        if self.graph is None:
            return words
        asked = [p for p in PATTERNS if not follows_the_day(p, settings, self.resolution_us)]
        windows = sorted({w for pattern in asked for w in graph_windows(pattern, settings)})
        short = [window_label(w) for w in windows if w * MICROSECOND < self.resolution_us]
        if short:
            words.append(f"the data is stamped to {grain}, so graph windows of {', '.join(short)} are left out")
        if len(asked) < len(PATTERNS):
            days = ", ".join(window_label(w) for w in DAY_WINDOWS if w * MICROSECOND >= self.resolution_us)
            words.append(f"the data is stamped to {grain}, so graph patterns are looked for in windows of {days}")
        return words


def _is_kept(feature: Feature) -> bool:
    """Whether a graph feature tells what the windows do not."""
    facts = feature.parameters
    kind = facts["value"] if facts["pattern"] == "statistics" and "value" in facts else facts["pattern"]
    return facts["statistic"] not in LEFT_OUT.get(kind, ())


def payment_features(settings: Settings, resolution_us: int) -> FeatureSet:
    """The set of features that the setting `features` names.

    Examples
    --------
    >>> payment_features(Settings(), resolution_us=1).name
    'payments-v2'
    """
    sets = {"payments-v1": payments_v1, "payments-v2": payments_v2, "payments-v3": payments_v3}
    return sets[settings.features](settings, resolution_us)


def payments_v3(settings: Settings, resolution_us: int) -> FeatureSet:
    """The features of `payments_v2`, and how near a payment's parties are to known launderers.

    An engine of this set must be told who is known (`Engine.know`).

    Parameters
    ----------
    settings : Settings
        As `payments_v2`, and the windows of exposure.
    resolution_us : int
        Time resolution of the source in microseconds.

    Examples
    --------
    >>> set_ = payments_v3(Settings(), resolution_us=1)
    >>> len(set_.names) - len(payments_v2(Settings(), resolution_us=1).names), set_.names[-1]
    (48, 'receiver.in.exposed_since_last')
    """
    features = payments_v2(settings, resolution_us)
    plan, graph = default_exposure_plan(settings, resolution_us), features.graph
    if graph is not None and graph.look_back < plan.look_back:
        graph = replace(graph, least_look_back=plan.look_back)
    return replace(features, name="payments-v3", graph=graph, exposure=plan)


def payments_v2(settings: Settings, resolution_us: int) -> FeatureSet:
    """The default features of a payment: those of `payments_v1`, and what it does in the graph of payments.

    Graph columns that the windows have under another name are left out (docs/features.md).

    Parameters
    ----------
    settings : Settings
        As `payments_v1`, and the graph's windows, cap, greatest length and tolerance.
    resolution_us : int
        Time resolution of the source in microseconds.
    """
    graph = default_graph_plan(settings, resolution_us)
    return replace(payments_v1(settings, resolution_us), name="payments-v2", graph=graph)


def payments_v1(settings: Settings, resolution_us: int) -> FeatureSet:
    """What the parties of a payment did before, without the graph.

    Windows shorter than the data's time resolution are left out.

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
