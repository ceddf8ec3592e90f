"""Whether a detector burdens one group more than another: rates by group, their intervals, the four-fifths rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.detectors.bootstrap import Interval, wilson
from greywater.errors import DetectorError

__all__ = ["FOUR_FIFTHS", "LEAST_MEMBERS", "Fairness", "GroupRates", "measure_fairness"]

#: Ratio of the rates of two groups below which the burden counts as unequal (US Uniform Guidelines, 1978).
FOUR_FIFTHS: Final = 0.8
#: Groups with fewer members are shown, and take no part in the verdict.
LEAST_MEMBERS: Final = 30


@dataclass(frozen=True)
class GroupRates:
    """What befell the members of one group; rates are None where they are not defined, intervals are Wilson's.

    `alert_rate` is over all members, `false_alert_rate` over those that did not launder, `recall` over those that did,
    `precision` over the alerted. The last three are None without labels.
    """

    name: str
    members: int
    alerted: int
    launderers: int | None
    alert_rate: float | None
    alert_rate_interval: Interval
    false_alert_rate: float | None
    false_alert_rate_interval: Interval
    recall: float | None
    recall_interval: Interval
    precision: float | None
    precision_interval: Interval
    counts: bool = True


@dataclass(frozen=True)
class Fairness:
    """The groups of one protected attribute and how far apart they are.

    An alert is a burden, so the worst-off group is the one alerted most. `alert_ratio` and `false_alert_ratio` are the
    lowest rate among the groups over the highest: 1 is equal, below 0.8 breaks the four-fifths rule. The ratio of false
    alerts matters more: it compares only honest members. `recall_gap` is the greatest less the least recall. Ratios are
    None with fewer than two groups of at least 30 members, or where nobody was alerted.
    """

    attribute: str
    groups: tuple[GroupRates, ...]
    alert_ratio: float | None
    false_alert_ratio: float | None
    recall_gap: float | None
    keeps_four_fifths: bool | None


def measure_fairness(
    attribute: str,
    groups: Sequence[str],
    alerted: NDArray[np.bool_],
    launderer: NDArray[np.bool_] | None = None,
    *,
    least_members: int = LEAST_MEMBERS,
    level: float = 0.95,
) -> Fairness:
    """Compare the groups of a protected attribute.

    Parameters
    ----------
    attribute : str
        Its name.
    groups : sequence of str, n
        The group of each party; "" = not known, a group of its own that takes no part in the verdict.
    alerted : bool[n]
        Who got an alert.
    launderer : bool[n], optional
        Who laundered, as far as labels say.
    least_members : int
        Smaller groups take no part in the verdict.
    level : float
        Confidence of the intervals.

    Returns
    -------
    Fairness
        `keeps_four_fifths` judges false alerts where labels are, else alerts; None where nothing can be compared.

    Examples
    --------
    >>> groups = ["north"] * 100 + ["south"] * 100
    >>> alerted = np.array([True] * 20 + [False] * 80 + [True] * 10 + [False] * 90)
    >>> found = measure_fairness("region", groups, alerted)
    >>> found.alert_ratio, found.keeps_four_fifths
    (0.5, False)
    """
    flags = np.asarray(alerted, np.bool_)
    guilty = None if launderer is None else np.asarray(launderer, np.bool_)
    if flags.shape != (len(groups),) or (guilty is not None and guilty.shape != flags.shape):
        raise DetectorError(
            "groups, alerts and labels differ in length", where=attribute, mend="give one of each a party"
        )
    names, code = np.unique(np.array(list(groups), dtype=object).astype(str), return_inverse=True)
    found = [
        _rates(str(name), code == place, flags, guilty, least_members, level)
        for place, name in enumerate(names.tolist())
    ]
    found.sort(key=lambda group: (group.name == "", group.name))
    compared = [group for group in found if group.counts]
    alert_ratio = _ratio([group.alert_rate for group in compared])
    false_ratio = None if guilty is None else _ratio([group.false_alert_rate for group in compared])
    recalls = [group.recall for group in compared if group.recall is not None]
    judged = false_ratio if guilty is not None and false_ratio is not None else alert_ratio
    return Fairness(
        attribute=attribute,
        groups=tuple(found),
        alert_ratio=alert_ratio,
        false_alert_ratio=false_ratio,
        recall_gap=max(recalls) - min(recalls) if len(recalls) > 1 else None,
        keeps_four_fifths=None if judged is None else judged >= FOUR_FIFTHS,
    )


def _rates(
    name: str,
    mine: NDArray[np.bool_],
    alerted: NDArray[np.bool_],
    guilty: NDArray[np.bool_] | None,
    least_members: int,
    level: float,
) -> GroupRates:
    members, hit = int(mine.sum()), int((mine & alerted).sum())
    honest = launderers = caught = wrong = 0
    if guilty is not None:
        launderers = int((mine & guilty).sum())
        honest, caught = members - launderers, int((mine & guilty & alerted).sum())
        wrong = hit - caught
    return GroupRates(
        name=name,
        members=members,
        alerted=hit,
        launderers=None if guilty is None else launderers,
        alert_rate=_share(hit, members),
        alert_rate_interval=wilson(hit, members, level),
        false_alert_rate=_share(wrong, honest),
        false_alert_rate_interval=wilson(wrong, honest, level),
        recall=_share(caught, launderers),
        recall_interval=wilson(caught, launderers, level),
        precision=None if guilty is None else _share(caught, hit),
        precision_interval=wilson(caught, hit if guilty is not None else 0, level),
        counts=bool(name) and members >= least_members,
    )


def _ratio(rates: Sequence[float | None]) -> float | None:
    """The lowest over the highest rate; None with fewer than two, or where all are 0."""
    known = [rate for rate in rates if rate is not None]
    return min(known) / max(known) if len(known) > 1 and max(known) > 0 else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
