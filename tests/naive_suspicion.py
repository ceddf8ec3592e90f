"""Suspicion as of a payment, the slow obvious way: a dense system of equations for every payment."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from greywater.vocab import EXTERNAL_PREFIX

DAY = 86_400_000_000
Row = tuple[int, str, str, int]
Said = tuple[str, int, int, int, bool]


def naive_suspicion(rows: list[Row], records: list[Said], *, beta: float = 0.85, keep_days: int = 7) -> np.ndarray:
    """Of each payment (time, sender, receiver, amount): what reached its sender and its receiver, float64[2, n]."""
    found = np.zeros((2, len(rows)))
    for i, (_, sender, receiver, _) in enumerate(rows):
        seen = seen_refresh(rows[: i + 1], keep_days=keep_days)
        if seen is None:
            found[:, i] = np.nan
            continue
        day, first = seen
        score = _scores(rows[:first], _known(records, day * DAY, first), beta)
        found[:, i] = score.get(sender, 0.0), score.get(receiver, 0.0)
    return found


def seen_refresh(rows: list[Row], *, keep_days: int) -> tuple[int, int] | None:
    """Day of the refresh that the last of the rows sees, and the first payment it leaves out; None where it is gone."""
    refreshes = _refreshes(rows)
    latest, today = refreshes[-1][0], rows[-1][0] // DAY
    mine = [(day, first) for day, first in refreshes if day <= today]
    kept = [(day, first) for place, (day, first) in enumerate(refreshes)
            if place + 1 == len(refreshes) or refreshes[place + 1][0] > latest - keep_days]  # fmt: skip
    return mine[-1] if mine and mine[-1] in kept else None


def _refreshes(rows: list[Row]) -> list[tuple[int, int]]:
    """Each day that refreshes the scores, and its first payment."""
    found: list[tuple[int, int]] = []
    latest = None
    for place, (time, *_) in enumerate(rows):
        if latest is not None and time // DAY <= latest:
            continue
        latest = time // DAY
        if found:
            day, first = found[-1]
            links = {row[1:3] for row in _inside(rows[:first])}
            enough = len(_inside(rows[first:place])) >= 0.25 * len(links)
            if latest - day < 7 and not enough:
                continue
        found.append((latest, place))
    return found


def _inside(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not any(party.startswith(EXTERNAL_PREFIX) for party in row[1:3])]


def _known(records: list[Said], moment: int, seq: int) -> set[str]:
    latest: dict[tuple[str, int], tuple[int, int, bool]] = {}
    for place, (account, source, since, after, launderer) in enumerate(records):
        if since <= moment and after < seq:
            before = latest.get((account, source))
            if before is None or (since, place) > before[:2]:
                latest[account, source] = (since, place, launderer)
    return {account for (account, _), (_, _, launderer) in latest.items() if launderer}


def _scores(rows: list[Row], seeds: set[str], beta: float) -> dict[str, float]:
    inside = _inside(rows)
    names = sorted({party for row in inside for party in row[1:3]} | seeds)
    number = {name: place for place, name in enumerate(names)}
    share = np.array([float(name in seeds) for name in names])
    total = -share
    paid: dict[tuple[int, int], float] = defaultdict(float)
    for _, sender, receiver, amount in inside:
        paid[number[sender], number[receiver]] += amount
    for turned in (False, True):
        matrix = np.zeros((len(names), len(names)))
        for (source, target), amount in paid.items():
            matrix[(source, target) if turned else (target, source)] += amount
        sums = matrix.sum(axis=0)
        matrix = np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0)
        total = total + np.linalg.solve(np.eye(len(names)) - beta * matrix, share)
    return dict(zip(names, total.tolist(), strict=True))
