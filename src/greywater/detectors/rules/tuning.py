"""Above and below the line: samples on both sides of a threshold, their precision, the threshold they speak for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from greywater.detectors.bootstrap import Interval, wilson
from greywater.detectors.rules.rule import Rule, RuleParameter, Value, size_of
from greywater.errors import UsageError
from greywater.vocab import Int64Array

__all__ = ["Band", "Tuned", "change_record", "grid_of", "tune", "variants"]

#: Grid points that are tried, at most.
MOST_POINTS: Final = 101
#: Characters that the id of a rule keeps in those of its variants.
_STEM: Final = 56
_units: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True)
class Band:
    """Payments that hit at one value of the parameter and no longer at the next stricter one.

    Parameters
    ----------
    value : int, float or str
        The strictest value at which they hit.
    side : {"above", "below"}
        Above the line: they hit today. Below: they would hit if the rule were looser.
    payments : int
        How many there are.
    sample : tuple of int
        Positions of those drawn, increasing.
    judged, laundering : int
        Those drawn that have an outcome, and those of them that are laundering.
    precision, interval
        Of the judged; Wilson's.
    """

    value: Value
    side: Literal["above", "below"]
    payments: int
    sample: tuple[int, ...]
    judged: int
    laundering: int
    precision: float | None
    interval: Interval


@dataclass(frozen=True)
class Tuned:
    """What the samples say of a threshold.

    `bands` go from the strictest to the loosest value; `recommended` is `current` where the samples cannot tell.
    """

    rule: str
    version: int
    parameter: str
    unit: str
    current: Value
    recommended: Value
    why: str
    worth: float
    sampled: int
    seed: int
    bands: tuple[Band, ...]
    hits_now: int
    hits_then: int

    def to_json(self) -> dict[str, Any]:
        """Everything but the positions, in JSON types."""
        told = asdict(self)
        for band in told["bands"]:
            band["sample"] = len(band["sample"])
        return told


def grid_of(parameter: RuleParameter, low: Value, high: Value, steps: int) -> tuple[Value, ...]:
    """Values of a parameter from `low` to `high` in even steps, each once, with the one that is used now among them.

    Raises
    ------
    UsageError
        The range is empty, out of the parameter's bounds, or has too many steps.

    Examples
    --------
    >>> senders = RuleParameter("senders", 5, "accounts", 2, 100, "who pays in", 5)
    >>> grid_of(senders, 3, 9, 4)
    (3, 5, 7, 9)
    """
    if not 2 <= steps <= MOST_POINTS:
        raise UsageError(f"{steps} steps", where="--steps", mend=f"give 2 to {MOST_POINTS}")
    if size_of(low) >= size_of(high):
        raise UsageError(f"the range {low} to {high} is empty", where="--from, --to", mend="let --from be smaller")
    whole = isinstance(parameter.default, int) and parameter.unit != "money"
    points = np.linspace(size_of(low), size_of(high), steps).tolist()
    values: list[Value] = [
        _written(point) if parameter.unit == "time" else round(point) if whole else round(point, 6) for point in points
    ]
    values.append(parameter.value)
    for value in values:
        parameter.with_value(value, f"parameter {parameter.name}")
    by_size = {size_of(value): value for value in values}
    return tuple(by_size[size] for size in sorted(by_size))


def variants(rule: Rule, parameter: str, values: Sequence[Value]) -> tuple[Rule, ...]:
    """The rule with each value of a parameter, under ids of their own."""
    return tuple(
        replace(rule.with_parameters({parameter: value}), id=f"{rule.id[:_STEM].rstrip('-')}-{place}", state="on")
        for place, value in enumerate(values)
    )


def tune(
    rule: Rule,
    parameter: str,
    values: Sequence[Value],
    hits: Sequence[Int64Array],
    outcome: Callable[[Int64Array], Int64Array],
    *,
    sample: int = 100,
    seed: int = 7,
    worth: float = 0.05,
) -> Tuned:
    """Draw from each band between two values, look at the outcomes, and recommend a threshold.

    The line moves only where the interval leaves no doubt: looser while the band just below it is worth looking at
    (its lower bound >= worth); else stricter while the band just above it is not (its upper bound < worth).

    Parameters
    ----------
    rule : Rule
    parameter : str
    values : sequence
        Increasing; the rule's own among them.
    hits : sequence of int64[k]
        Positions of the payments hit at each value.
    outcome : callable
        Of positions int64[m]: 1 laundering, 0 not, -1 not known.
    sample : int
        Payments drawn from each band, at most.
    seed : int
    worth : float
        Precision from which looking is worth it.

    Raises
    ------
    UsageError
        The hits do not move one way with the parameter.
    """
    given = next(each for each in rule.parameters if each.name == parameter)
    if not 0 < worth < 1 or sample < 1 or seed < 0:
        raise UsageError(
            f"worth = {worth}, sample = {sample}, seed = {seed}",
            where="--worth, --sample, --seed",
            mend="give 0 < worth < 1, a sample, and a seed from 0 up",
        )
    order = list(range(len(values)))
    if len(hits[0]) > len(hits[-1]):
        order.reverse()  # a greater value is stricter: begin with the strictest
    bands: list[Band] = []
    seen = np.zeros(0, np.int64)
    side: Literal["above", "below"] = "above"
    for place in order:
        fresh = np.setdiff1d(hits[place], seen, assume_unique=True)
        if len(fresh) + len(seen) != len(hits[place]):
            raise UsageError(
                f"parameter {parameter} makes rule {rule.id} neither stricter nor looser",
                where=f"{values[place]}",
                mend="tune one that does",
            )
        bands.append(_band(values[place], side, fresh, outcome, sample, (seed, place)))
        seen = hits[place]
        if values[place] == given.value:
            side = "below"
    line = next(at for at, band in enumerate(bands) if band.value == given.value)
    chosen, why = _recommended(bands, line, worth)
    sizes = {values[place]: len(hits[place]) for place in order}
    return Tuned(
        rule.id, rule.version, parameter, given.unit, given.value, bands[chosen].value, why, worth, sample, seed,
        tuple(bands), sizes[given.value], sizes[bands[chosen].value],
    )  # fmt: skip


def _band(
    value: Value,
    side: Literal["above", "below"],
    payments: Int64Array,
    outcome: Callable[[Int64Array], Int64Array],
    sample: int,
    seed: tuple[int, int],
) -> Band:
    drawn = payments
    if len(payments) > sample:
        drawn = np.sort(np.random.default_rng(seed).choice(payments, sample, replace=False))
    known = outcome(drawn)
    judged, laundering = int((known >= 0).sum()), int((known == 1).sum())
    return Band(
        value, side, len(payments), tuple(drawn.tolist()), judged, laundering,
        laundering / judged if judged else None, wilson(laundering, judged),
    )  # fmt: skip


def _recommended(bands: Sequence[Band], line: int, worth: float) -> tuple[int, str]:
    """The place of the recommended value among the bands, strictest first, and why."""
    chosen = line
    while chosen + 1 < len(bands) and (bands[chosen + 1].interval.low or 0.0) >= worth:
        chosen += 1
    if chosen > line:
        return chosen, f"what lies just below the line is worth looking at: at least {worth:.1%} of it is laundering"
    while chosen > 0 and (1.0 if (high := bands[chosen].interval.high) is None else high) < worth:
        chosen -= 1
    if chosen < line:
        return chosen, f"what lies just above the line is not worth looking at: less than {worth:.1%} is laundering"
    if all(band.judged == 0 for band in bands):
        return line, "no payment drawn has an outcome yet: have the samples reviewed and give the outcomes"
    return line, "the samples give no reason to move the line: judge more of them for narrower intervals"


def _written(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    whole = max(round(seconds), 1)
    return next(f"{whole // size}{unit}" for unit, size in _units if whole % size == 0)


def change_record(tuned: Tuned, facts: Mapping[str, Any]) -> str:
    """The change record as text for people, facts first: when, by whom, on which data.

    Parameters
    ----------
    tuned : Tuned
    facts : mapping of str to Any
        In the order in which they are shown.
    """
    moved = tuned.recommended != tuned.current
    lines = [
        f"Change record: rule {tuned.rule} (version {tuned.version}), parameter {tuned.parameter} ({tuned.unit})",
        "",
        *(f"{name:<14} {value}" for name, value in facts.items()),
        f"{'now':<14} {tuned.current}",
        f"{'recommended':<14} {tuned.recommended}{'' if moved else ' (no change)'}",
        f"{'because':<14} {tuned.why}",
        f"{'hits':<14} {tuned.hits_now:,} now, {tuned.hits_then:,} then",
        f"{'samples':<14} up to {tuned.sampled} of each band, seed {tuned.seed}; worth looking from {tuned.worth:.1%}",
        "",
        f"{'side':<7}{'value':>14}{'payments':>12}{'judged':>9}{'laundering':>12}{'precision':>11}   interval (95 %)",
    ]
    for band in tuned.bands:
        precision = "-" if band.precision is None else f"{band.precision:.2%}"
        low, high = band.interval.low, band.interval.high
        interval = "-" if low is None or high is None else f"{low:.2%} to {high:.2%}"
        lines.append(
            f"{band.side:<7}{band.value!s:>14}{band.payments:>12,}{band.judged:>9,}{band.laundering:>12,}"
            f"{precision:>11}   {interval}"
        )
    written = f'"{tuned.recommended}"' if isinstance(tuned.recommended, str) else tuned.recommended
    lines += [
        "",
        "Not applied. To apply it, write into the settings of the rules and keep this record:",
        "",
        f"[rules.{tuned.rule}.parameters]",
        f"{tuned.parameter} = {written}",
        "",
        "Decided by: ____________________    Date: ____________________    Approved: yes / no",
    ]
    return "\n".join(lines) + "\n"
