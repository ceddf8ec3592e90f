"""Weaves everyday and planned payments into one order of time, chunk by chunk, in any chunk size the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.everyday import PaymentColumns, flexible_payments, standing_payments
from greywater.kernels.random_streams import philox, unit
from greywater.synth.everyday import Day, Everyday, empty_columns
from greywater.synth.planned import Planned
from greywater.synth.streams import stream_key
from greywater.vocab import Int64Array

__all__ = ["Chunk", "Piece", "alert_numbers", "pieces", "sort_planned", "woven"]

_SECOND_US: Final = 1_000_000
_HOUR_US: Final = 3_600 * _SECOND_US


@dataclass(frozen=True)
class Piece:
    """A stretch of time, before its payments are made.

    `row` of its first payment in the world; of `day` the standing payments [standing[0], standing[1]) and the flexible
    ones of `hours`: hour, first and last in the hour; planned payments [planned[0], planned[1]). `day` is None behind
    the last one.
    """

    row: int
    day: Day | None
    standing: tuple[int, int]
    hours: tuple[tuple[int, int, int], ...]
    planned: tuple[int, int]

    def __len__(self) -> int:
        flexible = sum(last - first for _, first, last in self.hours)
        return flexible + self.standing[1] - self.standing[0] + self.planned[1] - self.planned[0]


@dataclass(frozen=True)
class Chunk:
    """Payments in order of time.

    `row` of the first in the world, the columns, whether each is laundering, and the `alert` that it belongs to: the
    number of the attempt or, behind these, of the group of look-alikes, -1 of neither. `planned_rows` are the rows in
    the world of the planned payments [planned[0], planned[1]).
    """

    row: int
    columns: PaymentColumns
    laundering: NDArray[np.bool_]
    alert: Int64Array
    planned: tuple[int, int]
    planned_rows: Int64Array

    def __len__(self) -> int:
        return len(self.laundering)


def sort_planned(seed: int, planned: Planned) -> tuple[Planned, Int64Array]:
    """Planned payments in order of time, and the microsecond of each: chance places them inside their seconds."""
    key = np.uint64(stream_key(seed, "microseconds of what is planned"))
    within = [int(unit(philox(key, number, 0, 0, 0)[0]) * _SECOND_US) for number in range(len(planned))]
    time = planned.time * _SECOND_US + np.array(within, dtype=np.int64)
    order = np.argsort(time, kind="stable")
    return planned.take(order), time[order]


def pieces(everyday: Everyday, planned_us: Int64Array, rows: int) -> Iterator[Piece]:
    """Cut the world into stretches of about so many payments, in order."""
    row = done = 0
    for day in _days(everyday):
        standing = 0
        for hours, end in _stretches(day, rows):
            until = int(np.searchsorted(day.standing_time, end))
            planned = int(np.searchsorted(planned_us, end))
            piece = Piece(row, day, (standing, until), hours, (done, planned))
            yield piece
            row, standing, done = row + len(piece), until, planned
    while done < len(planned_us):
        piece = Piece(row, None, (0, 0), (), (done, min(done + rows, len(planned_us))))
        yield piece
        row, done = row + len(piece), piece.planned[1]


def _days(everyday: Everyday) -> Iterator[Day]:
    """The days; the next one is worked out while its forerunner is cut up."""
    with ThreadPoolExecutor(1, thread_name_prefix="days") as ahead:
        following = ahead.submit(everyday.day, 0)
        for number in range(1, everyday.plan.days + 1):
            day = following.result()
            if number < everyday.plan.days:
                following = ahead.submit(everyday.day, number)
            yield day


def _stretches(day: Day, rows: int) -> Iterator[tuple[tuple[tuple[int, int, int], ...], int]]:
    """The flexible payments of a day in stretches of `rows`, each with the moment in which the next one begins."""
    hours: list[tuple[int, int, int]] = []
    room = rows
    for hour, count in enumerate(day.hour_rows.tolist()):
        first = 0
        while first < count:
            last = min(count, first + room)
            hours.append((hour, first, last))
            room -= last - first
            first = last
            if room == 0:
                yield tuple(hours), day.start_us + hour * _HOUR_US + last * _HOUR_US // count
                hours, room = [], rows
    yield tuple(hours), day.start_us + 24 * _HOUR_US


def woven(everyday: Everyday, planned: Planned, planned_us: Int64Array, piece: Piece) -> Chunk:
    """Make the payments of a stretch. Of equal microseconds flexible ones come first, planned ones last."""
    columns = empty_columns(len(piece))
    row = 0
    if piece.day is not None:
        day = piece.day
        before = np.concatenate([[0], np.cumsum(day.hour_rows)])
        for hour, first, last in piece.hours:
            flexible_payments(
                everyday.habits, everyday.keys, day.number, int(before[hour]), day.start_us + hour * _HOUR_US,
                int(day.hour_rows[hour]), first, last, day.flows[hour], columns, row,
            )  # fmt: skip
            row += last - first
        due = slice(*piece.standing)
        standing_payments(
            everyday.habits, everyday.keys, day.number, day.standing_time[due], day.standing_account[due],
            day.standing_kind[due], columns, row,
        )  # fmt: skip
        row += due.stop - due.start
    some = slice(*piece.planned)
    for name in PaymentColumns._fields:
        source = planned_us if name == "time" else getattr(planned, name)
        getattr(columns, name)[row:] = source[some]
    laundering = np.zeros(len(columns.time), np.bool_)
    laundering[row:] = planned.laundering[some]
    alert = np.full(len(laundering), -1, np.int64)
    alert[row:] = alert_numbers(planned, some)
    order = np.argsort(columns.time, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return Chunk(
        row=piece.row,
        columns=PaymentColumns._make(column[order] for column in columns),
        laundering=laundering[order],
        alert=alert[order],
        planned=piece.planned,
        planned_rows=piece.row + place[row:],
    )


def alert_numbers(planned: Planned, some: slice = slice(None)) -> Int64Array:
    """The alert of each of some planned payments: its attempt, or its group behind all attempts, or -1."""
    attempts = int(planned.attempt.max(initial=-1)) + 1
    group = planned.group[some]
    return np.where(planned.attempt[some] >= 0, planned.attempt[some], np.where(group >= 0, group + attempts, -1))
