"""The smallest change of what an account did that would have kept a payment below the line, by score calls alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np

from greywater.desk import wording as say
from greywater.desk.reasons import theme_of
from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.vocab import Float64Array, Int64Array

__all__ = ["ACTIONABLE", "Change", "Counterfactual", "Lever", "counterfactual", "levers_of"]

Score = Callable[[Float64Array], Float64Array]
Way = Literal["less", "more"]

#: Themes (greywater.desk.reasons) that an account's holder could have acted on, and the way that is less suspicious.
#: Not among them: who somebody is (history, attributes, exposure), and when a day falls in the calendar.
ACTIONABLE: Final[Mapping[str, Way]] = {
    "flow": "less",
    "amount": "less",
    "tempo": "more",
    "self": "less",
    "pass_through": "less",
    "scatter_gather": "less",
    "scatter_gather_first_leg": "less",
    "gather_scatter": "less",
    "temporal_cycle": "less",
    "simple_cycle": "less",
    "chain": "less",
    "bipartite": "less",
}
#: How far towards the usual a lever may be moved; a finer step is looked for at the end.
STEPS: Final = (0.25, 0.5, 0.75, 1.0)
FINE: Final = 0.05
#: Rows scored for one payment at most.
MOST_CALLS: Final = 4_000
#: Levers of which all pairs are tried.
MOST_PAIRED: Final = 24
#: Columns that a change in words names: first numbers of payments and parties, then money, then the rest.
MOST_NAMED: Final = 2
_FIRST: Final = {"payments": 0, "accounts": 0, "cycles": 0, "blocks": 0, "pairs": 0, "minor units": 1}
_UNITLESS: Final = frozenset({"code", "flag"})


@dataclass(frozen=True)
class Lever:
    """Columns that move together: one theme of one party, such as all windows of what a sender sent.

    `columns` int64[k] are moved towards the usual values, `less` or `more`; a column that is usual already, or beyond,
    stays as it is.
    """

    name: str
    columns: Int64Array
    way: Way


@dataclass(frozen=True)
class Change:
    """One column, from what it was to what it would have been, and the lever it belongs to."""

    feature: str
    before: float
    after: float
    lever: str


@dataclass(frozen=True)
class Counterfactual:
    """What would have kept a payment below the line.

    Parameters
    ----------
    found : bool
        False: no change was found that brings the score below the line; `changes` then is the one that came nearest.
    changes : tuple of Change
        Every column that changes, by lever.
    levers : mapping of str to float
        How far each lever is moved towards the usual, in (0, 1].
    score, after, line : float
        The score as it was, with the changes, and the line it had to fall below.
    calls : int
        Rows that were scored.
    text : tuple of str
        The changes in words, one a lever.
    """

    found: bool
    changes: tuple[Change, ...]
    levers: Mapping[str, float]
    score: float
    after: float
    line: float
    calls: int
    text: tuple[str, ...]


def levers_of(names: Sequence[str]) -> tuple[Lever, ...]:
    """The levers that a set of columns has, by ACTIONABLE; one a theme, party and direction.

    Examples
    --------
    >>> [lever.name for lever in levers_of(["sender.out.sum.1d", "sender.out.count.7d", "sender.age", "pair.first"])]
    ['flow sender out']
    """
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for place, name in enumerate(names):
        theme = theme_of(name)
        if theme.name in ACTIONABLE:
            grouped.setdefault((theme.name, theme.role or "", theme.direction), []).append(place)
    return tuple(
        Lever(" ".join(part for part in key if part), np.array(columns, np.int64), ACTIONABLE[key[0]])
        for key, columns in grouped.items()
    )


def counterfactual(
    score: Score,
    row: Float64Array,
    usual: Float64Array,
    names: Sequence[str],
    line: float,
    *,
    levers: Sequence[Lever] | None = None,
    catalog: Mapping[str, Feature] | None = None,
    currency: str = "",
    most_calls: int = MOST_CALLS,
) -> Counterfactual:
    """Look for the smallest change that brings a score below a line.

    A lever moves all its columns the same share of the way from their values to the usual ones (counts to whole
    numbers), only in its own direction: windows shrink together, so the changed row stays one that could have been.
    First each lever alone, then all pairs, then greedily the lever that lowers the score most, part of the way where
    that is lower than all of it; the fewest levers win, of equals the one moved least. At the end each is moved back as
    far as the line allows, in steps of 5 %, the last one added first. The same row gives the same answer; at most
    `most_calls` rows are scored.

    Parameters
    ----------
    score : callable
        float64[k, columns] -> float64[k], higher = more suspicious: any detector's score.
    row : float64[columns]
        The payment's feature row, NaN = not defined (never changed).
    usual : float64[columns]
        What is usual, for example the peers' medians; NaN = nothing is (never changed).
    names : sequence of str
        The columns.
    line : float
        The score must fall below it.
    levers : sequence of Lever, optional
        `levers_of(names)` where left out.
    catalog : mapping of str to Feature, optional
        For the words, and for which columns are whole numbers.
    currency : str
        Of amounts, for the words.
    most_calls : int
        Bound on the rows scored.

    Returns
    -------
    Counterfactual

    Raises
    ------
    UsageError
        The lengths do not fit.

    Examples
    --------
    >>> names = ["sender.out.count.1d", "sender.age"]
    >>> found = counterfactual(lambda X: X[:, 0] - X[:, 1], np.array([9.0, 0.0]), np.array([1.0, 400.0]), names, 5.0)
    >>> found.found, [(change.feature, change.before, change.after) for change in found.changes]
    (True, [('sender.out.count.1d', 9.0, 4.0)])
    """
    before, aim = np.asarray(row, np.float64), np.asarray(usual, np.float64)
    if before.shape != (len(names),) or aim.shape != before.shape:
        raise UsageError(
            f"{len(before)} values and {len(aim)} usual ones for {len(names)} columns", where="counterfactual",
            mend="give one of each a column",
        )  # fmt: skip
    whole = np.array(
        [_is_whole(name, (catalog or {}).get(name), before[at]) for at, name in enumerate(names)], np.bool_
    )
    chosen = [lever for lever in (levers_of(names) if levers is None else levers) if _moves(lever, before, aim)]
    search = _Search(score, before, aim, whole, chosen, line, most_calls - 1)
    moved = search.smallest()
    after = search.row_of(moved)
    changes = _changes(names, before, after, [chosen[place] for place in moved])
    reached = search.value(after)
    return Counterfactual(
        found=reached < line,
        changes=changes,
        levers={chosen[place].name: share for place, share in moved.items()},
        score=search.start,
        after=reached,
        line=line,
        calls=search.calls,
        text=_in_words(changes, catalog or {}, currency, before, usual=aim, names=names),
    )


class _Search:
    """The search for one row; `moved` maps places of levers to how far each is moved."""

    def __init__(
        self,
        score: Score,
        before: Float64Array,
        aim: Float64Array,
        whole: np.ndarray,
        levers: Sequence[Lever],
        line: float,
        most_calls: int,
    ) -> None:
        self._score, self._before, self._aim, self._whole = score, before, aim, whole
        self._levers, self._line, self._most = levers, line, most_calls
        self.calls = 0
        self.start = self.value(before)

    def smallest(self) -> dict[int, float]:
        """Which levers, and how far."""
        if self.start < self._line or not self._levers:
            return {}
        singles = [{place: step} for place in range(len(self._levers)) for step in STEPS]
        scores = self._scores(singles)
        found = self._best(singles, scores)
        if found is None:
            found = self._pairs(scores)
        if found is None:
            found = self._greedy()
        return self._moved_back(found)

    def value(self, row: Float64Array) -> float:
        """The score of one row."""
        self.calls += 1
        return float(self._score(row[None, :])[0])

    def row_of(self, moved: Mapping[int, float]) -> Float64Array:
        """The row with some levers moved."""
        row = self._before.copy()
        for place, share in moved.items():
            lever = self._levers[place]
            columns = lever.columns
            now, aim = self._before[columns], self._aim[columns]
            goes = (aim < now) if lever.way == "less" else (aim > now)
            to = now + share * (aim - now)
            # A whole number that is to fall is rounded down, so that every step is one.
            rounded = np.floor(to + 1e-9) if lever.way == "less" else np.ceil(to - 1e-9)
            to = np.where(self._whole[columns], np.where(share >= 1, np.rint(aim), rounded), to)
            row[columns] = np.where(goes & np.isfinite(now) & np.isfinite(aim), to, now)
        return row

    def _scores(self, moves: Sequence[Mapping[int, float]]) -> Float64Array:
        """Scores of rows with levers moved; +inf for those beyond the bound of calls."""
        found = np.full(len(moves), math.inf)
        asked = moves[: max(self._most - self.calls, 0)]
        if asked:
            self.calls += len(asked)
            found[: len(asked)] = self._score(np.stack([self.row_of(each) for each in asked]))
        return found

    def _best(self, moves: Sequence[dict[int, float]], scores: Float64Array) -> dict[int, float] | None:
        """Of the moves that reach the line the one that moves least; of equals the lowest score, then the first."""
        good = np.flatnonzero(scores < self._line).tolist()
        if not good:
            return None
        return moves[min(good, key=lambda at: (sum(moves[at].values()), float(scores[at]), at))]

    def _pairs(self, singles: Float64Array) -> dict[int, float] | None:
        """The best pair, both moved all the way, among the levers that help most alone."""
        alone = singles.reshape(len(self._levers), len(STEPS))[:, -1]
        helpful = sorted(np.argsort(alone, kind="stable")[:MOST_PAIRED].tolist())
        pairs = [{one: 1.0, other: 1.0} for one, other in combinations(helpful, 2)]
        return self._best(pairs, self._scores(pairs))

    def _greedy(self) -> dict[int, float]:
        """Each time the lever that lowers the score most, all the way; where none does, part of the way."""
        moved: dict[int, float] = {}
        now, steps = self.start, [STEPS[-1]]
        while now >= self._line:
            places = range(len(self._levers))
            tries = [moved | {place: step} for place in places for step in steps if moved.get(place) != step]
            scores = self._scores(tries)
            if len(tries) and scores.min() < now:
                moved, now = tries[int(np.argmin(scores))], float(scores.min())
            elif len(steps) == len(STEPS):
                break
            else:
                steps = list(STEPS)
        return moved

    def _moved_back(self, moved: dict[int, float]) -> dict[int, float]:
        """Each lever moved no further than the line needs, the last one added first."""
        if not moved or self._scores([moved])[0] >= self._line:
            return moved
        for place in reversed(list(moved)):
            steps = [round(step * FINE, 10) for step in range(round(moved[place] / FINE))]
            tries = [{**moved, place: step} for step in steps]
            good = np.flatnonzero(self._scores(tries) < self._line)
            if len(good):
                moved[place] = steps[int(good[0])]
        return {place: share for place, share in moved.items() if share > 0}


def _moves(lever: Lever, before: Float64Array, aim: Float64Array) -> bool:
    """Whether a lever would change anything at all."""
    now, to = before[lever.columns], aim[lever.columns]
    with np.errstate(invalid="ignore"):
        return bool(np.any(to < now) if lever.way == "less" else np.any(to > now))


def _is_whole(name: str, feature: Feature | None, value: float) -> bool:
    """Whether a column is a whole number: by its declaration, or else by its name and value."""
    if feature is not None:
        return feature.dtype == "int64"
    return "count" in name and float(value).is_integer()


def _changes(
    names: Sequence[str], before: Float64Array, after: Float64Array, levers: Sequence[Lever]
) -> tuple[Change, ...]:
    return tuple(
        Change(names[column], float(before[column]), float(after[column]), lever.name)
        for lever in levers
        for column in lever.columns.tolist()
        if before[column] != after[column] and not math.isnan(before[column])
    )


def _in_words(
    changes: Sequence[Change],
    catalog: Mapping[str, Feature],
    currency: str,
    before: Float64Array,
    *,
    usual: Float64Array,
    names: Sequence[str],
) -> tuple[str, ...]:
    """One sentence a lever: numbers and money first, of each the columns furthest from what is usual."""
    place = {name: at for at, name in enumerate(names)}
    by_lever: dict[str, list[Change]] = {}
    for change in changes:
        feature = catalog.get(change.feature)
        if feature is None or feature.unit not in _UNITLESS:
            by_lever.setdefault(change.lever, []).append(change)
    said = []
    for each in by_lever.values():
        far = sorted(
            each,
            key=lambda change: (
                _FIRST.get(catalog[change.feature].unit if change.feature in catalog else "", 2),
                -abs(before[place[change.feature]] - change.after) / (abs(usual[place[change.feature]]) + 1.0),
            ),
        )
        told = [_worded(change, catalog.get(change.feature), currency) for change in far[:MOST_NAMED]]
        more = f", and {say.count(len(far) - MOST_NAMED, 'value')} that go with them" if len(far) > MOST_NAMED else ""
        said.append("; ".join(told) + more)
    return tuple(said)


def _worded(change: Change, feature: Feature | None, currency: str) -> str:
    name = feature.description.rstrip(".") if feature is not None else change.feature
    unit = feature.unit if feature is not None else ""
    before, after = (_value(each, unit, currency) for each in (change.before, change.after))
    return f"{name}: {after} instead of {before}"


def _value(value: float, unit: str, currency: str) -> str:
    match unit:
        case "minor units":
            return say.money(value, currency)
        case "seconds":
            return say.duration(value)
        case _:
            return say.number(value)
