"""Why a payment raised an alert: its contributions, merged by theme, as up to five short sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from greywater.desk import wording as say
from greywater.desk.pattern_sentences import PATTERN_WRITERS, pattern_theme
from greywater.desk.sentences import WRITERS, Facts, Payment, Role, Theme
from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.vocab import Float64Array, Int64Array

__all__ = ["MOST_REASONS", "Payment", "Reason", "ReasonWriter", "theme_of"]

MOST_REASONS: Final = 5
#: Columns that a reason names.
MOST_COLUMNS: Final = 12

_FLOW: Final = frozenset({"count", "sum", "counterparties", "new_counterparties", "fan_ratio", "fan_new"})
_SIZE: Final = frozenset({"mean", "std", "min", "max", "amount_median", "amount_skewness", "amount_kurtosis"})
#: Share of a theme's push from which the single amounts are told.
_SIZES_MATTER: Final = 0.25
_OWN: Final = frozenset({"amount_to_mean", "amount_to_max", "amount_zscore"})
_HOW: Final = frozenset(
    {"channel", "currency", "received_currency", "currency_change", "cross_bank", "received_to_paid"}
)


@dataclass(frozen=True)
class Reason:
    """One sentence and what it rests on.

    Parameters
    ----------
    text : str
        For the investigator, about the alert's entity unless it names another party.
    theme : str
        What it is about: "flow", "amount", "tempo", "rhythm", "history", "self", "pass_through", "pair", "how",
        "when", "late", "exposure" (to known launderers), "suspicion" (that reaches it from them), a graph pattern
        ("scatter_gather", "scatter_gather_first_leg", "gather_scatter", "temporal_cycle", "simple_cycle", "chain",
        "bipartite", "truncated"), or the name of a feature that has no theme.
    features : tuple of str
        The columns that push, strongest first, at most twelve.
    values : tuple of (float or None)
        Their values, None = not defined.
    contribution : float
        Sum over the theme's columns, in units of the raw score; above 0 pushes towards an alert.
    window : int or None
        Seconds looked back over.
    whole_days : bool
        True: the window is counted by whole UTC days.
    role : {"sender", "receiver"} or None
        Whose behaviour, as a side of the raising payment.
    direction : {"out", "in", "self", ""}
        Which of that party's payments.
    payments : tuple of str
        Ids of payments it speaks of, latest first.
    more_payments : int
        How many it speaks of besides.
    peers : str
        How its most telling column compares with the party's segment; empty = nothing worth saying.
    """

    text: str
    theme: str
    features: tuple[str, ...]
    values: tuple[float | None, ...]
    contribution: float
    window: int | None = None
    whole_days: bool = False
    role: Role | None = None
    direction: str = ""
    payments: tuple[str, ...] = ()
    more_payments: int = 0
    peers: str = ""

    @property
    def cited(self) -> str:
        """The sentence with the payments it speaks of, and how the peers do.

        Examples
        --------
        >>> Reason("sent 9 payments", "flow", (), (), 1.0, payments=("T8", "T5"), more_payments=7).cited
        'sent 9 payments [T8, T5 and 7 more]'
        """
        more = f" and {self.more_payments:,} more" if self.more_payments else ""
        text = self.text + (f" [{', '.join(self.payments)}{more}]" if self.payments else "")
        return text + (f"; {self.peers}" if self.peers else "")


def theme_of(name: str) -> Theme:
    """What a feature is about, read from its name; a name of its own kind is a theme of its own.

    Examples
    --------
    >>> theme_of("sender.out.count.7d")
    Theme(name='flow', role='sender', direction='out', label='7d', window=604800, sizes=False)
    >>> theme_of("payment.cross_bank").name, theme_of("graph.cycles.30d").name
    ('how', 'graph.cycles.30d')
    >>> theme_of("chain.hops.3d").name, theme_of("sender.out.fan_new.7d").name
    ('chain', 'flow')
    """
    pattern = pattern_theme(name)
    if pattern is not None:
        return pattern
    parts = name.split(".")
    first, last = parts[0], parts[-1]
    if first == "pair":
        return Theme("pair")
    if first == "calendar":
        return Theme("when")
    if first == "payment":
        return Theme("amount") if last in ("amount", "round_amount") else _theme_of_payment(name, last)
    if first in ("sender", "receiver"):
        role: Role = "sender" if first == "sender" else "receiver"
        return _theme_of_party(name, role, parts[1:])
    return Theme(name)


def _theme_of_payment(name: str, last: str) -> Theme:
    if last in _HOW:
        return Theme("how")
    return Theme("late") if last == "late" else Theme(name)


def _theme_of_party(name: str, role: Role, parts: list[str]) -> Theme:
    """The theme of `{role}.{parts...}`."""
    window = say.window_seconds(parts[-1]) if parts else None
    match parts:
        case ["age"] | ["out" | "in", "lifetime_count"] | ["lifetime_count"]:
            return Theme("history", role)
        case ["out" | "in" as direction, "since_last"]:
            return Theme("tempo", role, direction)
        case ["pass_through", label] if window is not None and role == "sender":
            return Theme("pass_through", role, "in", label, window)
        case ["suspicion"]:
            return Theme("suspicion", role)
        case ["self", "count" | "sum", label] if window is not None:
            return Theme("self", role, "self", label, window)
        case ["out" | "in" as direction, statistic, label] if window is not None:
            if statistic in _FLOW or statistic in _SIZE:
                return Theme("flow", role, direction, label, window, sizes=statistic in _SIZE)
            if statistic in _OWN:
                return Theme("amount", role)
            if statistic.startswith("exposed_"):
                return Theme("exposure", role, direction, label, window)
    return Theme(name)


class ReasonWriter:
    """Words the contributions of a detector that was given these features.

    Parameters
    ----------
    names : sequence of str
        The features, in the order of the values and contributions.
    catalog : mapping of str to Feature
        Their declarations; a feature that has no theme is worded by its description.
    base_currency : str
        Currency of the windows' amounts; `XXX` or empty where there is none.
    day_windows : tuple of int
        The windows counted over whole UTC days, in days.

    Examples
    --------
    >>> names = ["sender.out.count.1d", "sender.out.counterparties.1d", "sender.out.new_counterparties.1d"]
    >>> writer = ReasonWriter(names, {}, "USD")
    >>> payment = Payment("t1", 7, 0, "A", "B", 950_000, "USD", 950_000, "USD")
    >>> [reason.text for reason in writer.reasons([14, 14, 14], [0.5, 0.2, 1.0], payment, "sender")]
    ['sent 14 payments to 14 new payees in 24 h']
    """

    def __init__(
        self,
        names: Sequence[str],
        catalog: Mapping[str, Feature],
        base_currency: str,
        *,
        day_windows: tuple[int, ...] = (90, 365),
    ) -> None:
        self.names = tuple(names)
        self._catalog = catalog
        self._currency = base_currency
        self._day_windows = day_windows
        self._themes = tuple(theme_of(name) for name in self.names)
        labels = {name.rpartition(".")[2] for name in self.names}
        windows = ((label, seconds) for label in labels if (seconds := say.window_seconds(label)) is not None)
        self._windows = tuple(sorted(windows, key=lambda window: (window[1], window[0])))
        self._groups = {side: _numbered(self._themes, side) for side in ("sender", "receiver")}
        #: The window of each column's theme, and whether it is about single amounts.
        self._window_of = [(theme.window or 0, theme.label) for theme in self._themes]
        self._sizes = [theme.sizes for theme in self._themes]

    def reasons(
        self,
        values: Sequence[float] | Float64Array,
        contributions: Sequence[float] | Float64Array,
        payment: Payment,
        side: Role,
        *,
        limit: int = MOST_REASONS,
    ) -> tuple[Reason, ...]:
        """Word one payment for the party on one side of it.

        Columns of one theme (the same party, direction and kind, over all windows) are added up and give one
        sentence, over the window whose columns push hardest. Themes that push away from an alert say nothing;
        where none pushes towards one, the one that pushes least away speaks, so that no alert is without a reason.

        Parameters
        ----------
        values : float[features]
            The payment's feature row, NaN = not defined.
        contributions : float[features] or float[features + 1]
            From `Detector.explain`; a last base value is ignored.
        payment : Payment
            The payment itself.
        side : {"sender", "receiver"}
            The entity's place in the payment.
        limit : int
            Most sentences.

        Returns
        -------
        tuple of Reason
            Strongest first, at least one.

        Raises
        ------
        UsageError
            The lengths do not fit the names.
        """
        row = np.asarray(values, np.float64).tolist()
        pushes = np.asarray(contributions, np.float64).tolist()
        if len(row) != len(self.names) or len(pushes) not in (len(row), len(row) + 1):
            raise UsageError(
                f"{len(row)} values and {len(pushes)} contributions for {len(self.names)} features",
                where="reasons",
                mend="give one value and one contribution a feature, with or without the base value",
            )
        by_name = dict(zip(self.names, row, strict=True))
        facts = Facts(by_name, payment, side, self._currency, self._day_windows, self._windows)
        chosen: list[Reason] = []
        told: set[str] = set()
        for total, columns in self._ranked(pushes, side):
            if len(chosen) == limit or (total <= 0 and chosen):
                break
            reason = self._word(facts, columns.tolist(), pushes, total)
            if reason.text not in told:
                told.add(reason.text)
                chosen.append(reason)
        return tuple(chosen) or (self._plain(facts),)

    def _ranked(self, pushes: list[float], side: Role) -> Iterator[tuple[float, Int64Array]]:
        """What the columns of each theme, party and direction push together, the strongest first; of equals the first.

        Columns that do not push are left out.
        """
        given, groups = np.array(pushes[: len(self.names)]), self._groups[side]
        pushing = np.isfinite(given) & (given != 0)
        totals = np.bincount(groups, weights=np.where(pushing, given, 0.0))
        columns = np.flatnonzero(pushing)
        first = np.full(len(totals), len(given))
        first[groups[columns[::-1]]] = columns[::-1]  # of several columns of one group the first is written last
        numbers = np.flatnonzero(first < len(given))
        for number in numbers[np.lexsort((first[numbers], -totals[numbers]))].tolist():
            yield float(totals[number]), columns[groups[columns] == number]

    def _word(self, facts: Facts, columns: list[int], pushes: list[float], total: float) -> Reason:
        """The sentence of one theme, over its strongest window."""
        by_push = sorted(columns, key=pushes.__getitem__, reverse=True)  # of equals the first
        theme = self._strongest_window(columns, pushes)
        if theme.name == "amount":
            theme = replace(theme, role=theme.role or facts.side)
        writer = WRITERS.get(theme.name) or PATTERN_WRITERS.get(theme.name)
        text = writer(facts, theme) if writer else None
        pushing = [column for column in by_push if pushes[column] > 0] or by_push[:1]
        names = tuple(self.names[column] for column in pushing[:MOST_COLUMNS])
        return Reason(
            text=text or self._described(facts, names[0]),
            theme=theme.name,
            features=names,
            values=tuple(_defined(facts.value(name)) for name in names),
            contribution=total,
            window=theme.window,
            whole_days=_by_whole_days(facts, theme),
            role=theme.role,
            direction=theme.direction,
        )

    def _strongest_window(self, columns: list[int], pushes: list[float]) -> Theme:
        """The theme with the window whose columns push hardest together; of equals the shortest."""
        push: dict[tuple[int, str], float] = {}
        for column in columns:
            key = self._window_of[column]
            push[key] = push.get(key, 0.0) + pushes[column]
        window, label = min(push, key=lambda key: (-push[key], key))
        sizes = math.fsum([pushes[column] for column in columns if self._sizes[column]])
        told = sizes > 0 and sizes >= _SIZES_MATTER * math.fsum(push.values())
        theme = self._themes[columns[0]]
        return Theme(theme.name, theme.role, theme.direction, label, window or None, told)

    def _described(self, facts: Facts, name: str) -> str:
        """Word a feature that has no theme by its declaration, or else by its name."""
        feature = self._catalog.get(name)
        value = facts.value(name)
        if feature is None:
            return f"{name.replace('_', ' ')} is {say.number(value)}"
        told = _attribute(value, feature) or _with_unit(value, feature.unit, self._currency)
        return f"{feature.description.rstrip('.')}: {told}"

    def _plain(self, facts: Facts) -> Reason:
        """What is said where nothing contributes: the payment itself."""
        payment = facts.payment
        verb, other = ("sent", "to") if facts.side == "sender" else ("received", "from")
        text = f"{verb} {say.money(payment.amount, payment.currency)} {other} {facts.other}"
        return Reason(text, "payment", (), (), 0.0, role=facts.side)


def _numbered(themes: Sequence[Theme], side: Role) -> Int64Array:
    """A number for each theme, party and direction; the amount is about the entity where it names no party."""
    numbers: dict[tuple[str, Role | None, str], int] = {}
    keys = [
        ("amount", side, "") if (theme.name, theme.role, theme.direction) == ("amount", None, "")
        else (theme.name, theme.role, theme.direction)
        for theme in themes
    ]  # fmt: skip
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _by_whole_days(facts: Facts, theme: Theme) -> bool:
    """Whether the reason's window is counted by whole UTC days; those of patterns never are."""
    return theme.window is not None and theme.name not in PATTERN_WRITERS and facts.whole_days(theme.window)


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _attribute(value: float, feature: Feature) -> str | None:
    """A value of an attribute that is no plain number: what its code means, or that nothing is known."""
    if feature.family != "attribute":
        return None
    if not math.isfinite(value) or (value < 0 and feature.dtype == "int64"):
        return "not known"
    words = feature.parameters.get("words", ())
    return str(words[int(value)]) if 0 <= value < len(words) else None


def _with_unit(value: float, unit: str, currency: str) -> str:
    """A value in words, by the unit of its feature."""
    if not math.isfinite(value):
        return "not defined"
    match unit:
        case "minor units":
            return say.money(value, currency)
        case "seconds":
            return say.duration(value)
        case "flag":
            return "yes" if value else "no"
        case "payments" | "accounts" | "cycles" | "blocks" | "pairs" | "gaps":
            return say.count(value, unit.removesuffix("s"))
        case _:
            return say.number(value)
