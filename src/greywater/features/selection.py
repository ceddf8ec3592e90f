"""What of a feature set an engine works out: sides, windows, rows and state for the columns that somebody named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from greywater.features.calendar import calendar_features
from greywater.features.catalog import PASS_THROUGH, FeatureSet
from greywater.features.counterparty import PAIR_COUNTS, PAIR_DERIVED, PAIR_FLOATS
from greywater.features.feature import Feature
from greywater.features.graph import GraphPlan
from greywater.features.payment import PAYMENT_FEATURES, PAYMENT_INPUTS
from greywater.features.payment_filters import filter_of
from greywater.features.requests import FeatureRequest
from greywater.features.window_selection import SideSelection, select_side
from greywater.features.windows import Direction, WindowPlan
from greywater.kernels.windows import OWN_RATIOS, LookBack

__all__ = ["RECEIVED", "Selection", "selection_of"]

#: What the pass-through share divides by.
RECEIVED: Final = "sender.in.sum.1d"
#: Columns of the transaction table that every engine reads.
ALWAYS_READ: Final = ("seq", "event_time", "sender", "receiver", "base_amount")


@dataclass(frozen=True)
class Selection:
    """What an engine works out for a feature set, part by part, each in the order of the set's columns.

    Parameters
    ----------
    payment, calendar, pair : tuple of bool
        Which features of the payment, the calendar and the pair are named.
    through : bool
        Whether the pass-through share is.
    out, into : SideSelection
    self_look : LookBack
        Windows of self-payments.
    self_counts, self_sums : tuple of int
        Which of those windows have their number, their total named.
    graph : GraphPlan or None
        The patterns and windows that a named graph feature needs.
    graph_features : tuple of Feature
        The named ones.
    requests : tuple of FeatureRequest
        The named ones.
    inputs : tuple of str
        Columns of the transaction table that are read.
    """

    payment: tuple[bool, ...]
    calendar: tuple[bool, ...]
    pair: tuple[bool, ...]
    through: bool
    out: SideSelection
    into: SideSelection
    self_look: LookBack
    self_counts: tuple[int, ...]
    self_sums: tuple[int, ...]
    graph: GraphPlan | None
    graph_features: tuple[Feature, ...]
    requests: tuple[FeatureRequest, ...]
    inputs: tuple[str, ...]

    @property
    def pays_itself(self) -> bool:
        """Whether self-payments are looked at."""
        return bool(self.self_counts or self.self_sums)

    @property
    def meets(self) -> bool:
        """Whether pairs are numbered and their records kept."""
        return self.out.needed or self.into.needed or any(self.pair) or bool(self.requests)


def selection_of(features: FeatureSet) -> Selection:
    """The selection of a set.

    Examples
    --------
    >>> from greywater.config import Settings
    >>> from greywater.features.catalog import payments_v1
    >>> chosen = selection_of(payments_v1(Settings(), 1).only(["sender.out.sum.7d", "calendar.weekend"]))
    >>> chosen.out.windows, chosen.into.needed, chosen.inputs
    (1, False, ('seq', 'event_time', 'sender', 'receiver', 'base_amount'))
    """
    names = frozenset(features.names)
    plan = features.plan
    payment = _named(PAYMENT_FEATURES, names)
    pair = _named(PAIR_COUNTS + PAIR_DERIVED + PAIR_FLOATS, names)
    through = PASS_THROUGH.name in names
    counts, sums = _named(plan.self_counts(), names), _named(plan.self_sums(), names)
    self_windows = [w for w in range(len(plan.labels)) if counts[w] or sums[w]]
    read = {column for want, columns in zip(payment, PAYMENT_INPUTS, strict=True) if want for column in columns}
    for request in features.asked:
        read.update(filter_of(request, features.base_exponent).inputs)
    return Selection(
        payment=payment,
        calendar=_named(calendar_features(features.resolution_us), names),
        pair=pair,
        through=through,
        out=_side(plan, "out", names, frozenset(), needed=any(pair)),
        into=_side(plan, "in", names, frozenset({RECEIVED}) if through else frozenset(), needed=False),
        self_look=_look_back(plan, self_windows, ()),
        self_counts=tuple(place for place, w in enumerate(self_windows) if counts[w]),
        self_sums=tuple(place for place, w in enumerate(self_windows) if sums[w]),
        graph=None if features.graph is None else _graph_plan(features.graph, features.graph_features),
        graph_features=features.graph_features,
        requests=features.asked,
        inputs=(*ALWAYS_READ, *(name for name in _all_inputs() if name in read)),
    )


def _all_inputs() -> list[str]:
    """Columns that only some features of the payment need, each once."""
    return [name for name in dict.fromkeys(sum(PAYMENT_INPUTS, ())) if name not in ALWAYS_READ]


def _named(features: Sequence[Feature], names: Collection[str]) -> tuple[bool, ...]:
    return tuple(feature.name in names for feature in features)


def _side(
    plan: WindowPlan, direction: Direction, names: Collection[str], extra: Collection[str], *, needed: bool
) -> SideSelection:
    wanted = [one for one in plan.counts(direction) + plan.floats(direction) if one.name in names or one.name in extra]
    labels = {one.parameters["label"] for one in wanted if "label" in one.parameters}
    windows = [w for w, label in enumerate(plan.labels) if label in labels]
    kept = [plan.labels[w] for w in windows]
    asked = {one.parameters["label"] for one in wanted if one.parameters["statistic"] in OWN_RATIOS}
    ratios = [kept.index(plan.labels[w]) for w in plan.ratio_windows if plan.labels[w] in asked]
    return select_side(wanted, direction, kept, _look_back(plan, windows, ratios), names, needed=needed)


def _look_back(plan: WindowPlan, windows: Sequence[int], ratios: Sequence[int]) -> LookBack:
    """The plan's windows of these numbers; `ratios` are numbers among them. Held is what the whole plan holds."""
    whole = plan.look_back()
    places = np.array(windows, np.int64)
    lengths, days, holds = (part[places] for part in (whole.lengths, whole.days, whole.holds))
    return LookBack(lengths, days, np.array(ratios, np.int64), whole.hold, holds)


def _graph_plan(plan: GraphPlan, wanted: Sequence[Feature]) -> GraphPlan | None:
    """The patterns and windows of a plan that the wanted features need."""
    seen = {(one.parameters["pattern"], one.parameters["window"]) for one in wanted}
    parts = []
    for part in plan.patterns:
        windows = tuple(window for window in part.windows if (part.pattern, window) in seen)
        if windows:
            parts.append(replace(part, windows=windows))
    return replace(plan, patterns=tuple(parts)) if parts else None
