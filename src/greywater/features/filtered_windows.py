"""Windows that requests ask for: each direction and filter has a side of its own, with the windows asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.features.payment_filters import PaymentFilter, filter_of
from greywater.features.request_features import request_feature
from greywater.features.requests import FeatureRequest
from greywater.features.rooms import Rooms
from greywater.features.side_columns import run_side
from greywater.features.sides import Side
from greywater.features.window_labels import window_label
from greywater.features.window_selection import SideSelection, select_side
from greywater.features.windows import Direction
from greywater.kernels.windows import LookBack, PairColumns, Payments

__all__ = ["PREFIX", "FilteredWindows"]

#: Before the number of a side in the names of a snapshot's arrays.
PREFIX: Final = "request"
MICROSECOND: Final = 1_000_000


@dataclass(frozen=True)
class _Group:
    """The requests of one direction and filter, and what their side works out."""

    direction: Direction
    passing: PaymentFilter
    selection: SideSelection


class FilteredWindows:
    """Works requests out.

    A payment that a filter does not let through is not in the lists of that filter's side; its parties are asked about
    all the same, as they are at a payment to oneself. So every rule of the windows holds for these too. Each window is
    held as long as it and the allowed lateness are together, whatever else is asked for.

    Parameters
    ----------
    requests : sequence of FeatureRequest
        Each once.
    allowed_lateness : int
        Seconds.
    base_exponent : int
        Decimals of the base currency.
    timezone : str
        Of nights and weekends.
    resolution_us : int
        Time resolution of the source.
    """

    def __init__(
        self,
        requests: Sequence[FeatureRequest],
        *,
        allowed_lateness: int,
        base_exponent: int,
        timezone: str,
        resolution_us: int,
    ) -> None:
        self._timezone, self._resolution = timezone, resolution_us
        asked: dict[tuple[Direction, PaymentFilter], list[FeatureRequest]] = {}
        for request in requests:
            asked.setdefault((request.direction, filter_of(request, base_exponent)), []).append(request)
        self._groups = [_Group(*key, _selection(members, key[0], allowed_lateness)) for key, members in asked.items()]
        self._sides = [Side(group.selection.windows, group.selection.kept) for group in self._groups]
        self._rooms = Rooms()
        self._order = [request.name for request in requests]

    @property
    def sides(self) -> dict[str, Side]:
        """The sides, by the name that their arrays have in a snapshot."""
        return {f"{PREFIX}{number}": side for number, side in enumerate(self._sides)}

    def pack(self, horizon: int) -> None:
        """Free what no window can see any more, the latest event time so far being `horizon`."""
        for group, side in zip(self._groups, self._sides, strict=True):
            side.pack(horizon - int(group.selection.look.hold[0]), spare=True)

    def run(
        self,
        rows: pa.Table,
        payments: Mapping[str, Payments],
        idle: PairColumns,
        sizes: tuple[int, int],
        *,
        written: bool = True,
    ) -> list[np.ndarray]:
        """Take a block in.

        Parameters
        ----------
        rows : pa.Table
            The block, with what the filters look at.
        payments : mapping of str to Payments
            The block as the sides "out" and "in" take it.
        idle : PairColumns
            Without a late pair.
        sizes : (int, int)
            Accounts and pairs met so far.
        written : bool
            False: nothing is worked out.

        Returns
        -------
        list of int64[n] and float64[n]
            In the order of the requests; empty where nothing is written.
        """
        found: dict[str, np.ndarray] = {}
        masks: dict[PaymentFilter, np.ndarray] = {}
        for group, side in zip(self._groups, self._sides, strict=True):
            block = payments[group.direction]
            if group.passing not in masks:
                masks[group.passing] = group.passing.passes(
                    rows, block.time, block.amount, self._timezone, self._resolution
                )
            pair = np.where(masks[group.passing], block.pair, -1).astype(np.int32)
            side.reserve(*sizes)
            chosen = group.selection if written else group.selection.unwritten
            columns = run_side(side, self._rooms, chosen, block._replace(pair=pair), idle)
            if written:
                found |= _finished(dict(zip(chosen.names, columns, strict=True)))
        return [found[name] for name in self._order] if written else []


def _finished(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns with totals of no payment as NaN; each total has its count beside it."""
    for name, column in columns.items():
        if ".sum." in name:
            columns[name] = np.where(columns[name.replace(".sum.", ".count.", 1)] > 0, column, np.nan)
    return columns


def _selection(members: Sequence[FeatureRequest], direction: Direction, allowed_lateness: int) -> SideSelection:
    seconds = sorted({request.window for request in members})
    holds = np.array([(window + allowed_lateness) * MICROSECOND for window in seconds], np.int64)
    look = LookBack(
        np.array(seconds, np.int64) * MICROSECOND,
        np.zeros(len(seconds), np.int64),
        np.zeros(0, np.int64),
        holds[-1:].copy(),
        holds,
    )
    counted = [replace(request, statistic="count") for request in members if request.statistic == "sum"]
    wanted = dict.fromkeys([*members, *counted])
    features = [request_feature(request) for request in wanted]
    labels = [window_label(window) for window in seconds]
    return select_side(features, direction, labels, look, [request.name for request in members], needed=True)
