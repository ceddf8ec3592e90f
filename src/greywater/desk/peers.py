"""How a value compares with those of the same segment: median and percentile of the peers, in words."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from greywater.desk import wording as say
from greywater.detectors.saved import pack_arrays, unpack_arrays
from greywater.errors import DetectorError, StoreDamagedError
from greywater.features.feature import Feature
from greywater.vocab import Float64Array

__all__ = ["LEVELS", "PeerGroups", "Standing", "standing_words"]

Role = Literal["sender", "receiver"]

#: Shares of the peers at whose values a group is remembered.
LEVELS: Final = (
    0.0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0,
)  # fmt: skip
#: Segments with fewer peers than this are compared with all parties instead.
LEAST_PEERS: Final = 30
#: Segments told apart, the largest first.
MOST_SEGMENTS: Final = 12
EVERYBODY: Final = ""


@dataclass(frozen=True)
class Standing:
    """Where a value stands among the peers that have one.

    `more_than` and `less_than` are shares of the peers it is certainly above and below, by the remembered levels;
    `segment` is empty where all parties are the peers.
    """

    segment: str
    peers: int
    value: float
    median: float
    more_than: float
    less_than: float

    @property
    def telling(self) -> float:
        """How far out it is: the larger of the two shares."""
        return max(self.more_than, self.less_than)


class PeerGroups:
    """What is usual in each segment, for senders and for receivers: quantiles of every column.

    One row a party: its last payment of the slice that was learned from, so that the busy do not outvote the others
    and nothing later is known.

    Parameters
    ----------
    names : sequence of str
        The columns.
    groups : sequence of (role, segment)
    peers : sequence of int
        Parties of each group.
    quantiles : float64[groups, columns, levels]
        Values at LEVELS, NaN where no peer has one.

    Examples
    --------
    >>> rows = np.arange(101.0)[:, None]
    >>> groups = PeerGroups.of(["sender.out.count.1d"], {"sender": (rows, ["retail"] * 101)})
    >>> found = groups.standing("sender.out.count.1d", 96.0, "sender", "retail")
    >>> found.segment, found.peers, found.median, found.more_than
    ('retail', 101, 50.0, 0.95)
    """

    def __init__(
        self,
        names: Sequence[str],
        groups: Sequence[tuple[str, str]],
        peers: Sequence[int],
        quantiles: Float64Array,
    ) -> None:
        self.names = tuple(names)
        self.groups = tuple(groups)
        self.peers = tuple(peers)
        self.quantiles = quantiles
        if quantiles.shape != (len(self.groups), len(self.names), len(LEVELS)) or len(peers) != len(self.groups):
            raise DetectorError(f"quantiles of shape {quantiles.shape} do not fit", where="peers", mend="learn again")
        self._column = {name: place for place, name in enumerate(self.names)}
        self._group = {group: place for place, group in enumerate(self.groups)}
        self._marks: dict[tuple[int, int], list[float]] = {}

    @classmethod
    def of(cls, names: Sequence[str], rows: Mapping[Role, tuple[Float64Array, Sequence[str]]]) -> PeerGroups:
        """Learn from one row a party.

        Parameters
        ----------
        names : sequence of str
            The columns.
        rows : mapping of role to (float64[k, columns], segments)
            The last row of each party in that role, and its segment ("" = none).
        """
        groups: list[tuple[str, str]] = []
        peers: list[int] = []
        quantiles: list[Float64Array] = []
        for role, (values, segments) in rows.items():
            member = np.array(list(segments), dtype=object)
            sizes = Counter(segments)
            named = sorted((-size, name) for name, size in sizes.items() if name and size >= LEAST_PEERS)
            for segment in [EVERYBODY, *(name for _, name in named[:MOST_SEGMENTS])]:
                mine = values if segment == EVERYBODY else values[member == segment]
                if len(mine):
                    groups.append((role, segment))
                    peers.append(len(mine))
                    quantiles.append(_quantiles(mine))
        stacked = np.stack(quantiles) if quantiles else np.empty((0, len(names), len(LEVELS)))
        return cls(names, groups, peers, stacked)

    def standing(self, name: str, value: float, role: Role, segment: str) -> Standing | None:
        """Where a value stands; None where it or the peers' values are not defined, or there are no peers.

        Parameters
        ----------
        name : str
            A column; one that names a party is compared with that role's rows, whatever `role` says.
        value : float
        role : {"sender", "receiver"}
            Of the party that is compared.
        segment : str
            Its own; one without enough peers is compared with everybody.
        """
        column = self._column.get(name)
        first = name.split(".", 1)[0]
        side = first if first in ("sender", "receiver") else role
        known = segment if (side, segment) in self._group else EVERYBODY
        place = self._group.get((side, known))
        if column is None or place is None or not math.isfinite(value):
            return None
        marks = self._defined(place, column)
        if not marks:
            return None
        above, below = bisect_left(marks, value) - 1, bisect_right(marks, value)
        return Standing(
            segment=known,
            peers=self.peers[place],
            value=value,
            median=marks[LEVELS.index(0.5)],
            more_than=LEVELS[above] if above >= 0 else 0.0,
            less_than=1 - LEVELS[below] if below < len(LEVELS) else 0.0,
        )

    def _defined(self, group: int, column: int) -> list[float]:
        """The values at LEVELS; none where one of them is not defined."""
        marks = self._marks.get((group, column))
        if marks is None:
            found = self.quantiles[group, column]
            marks = self._marks[group, column] = found.tolist() if np.isfinite(found).all() else []
        return marks

    def medians(self, side: Role, segments: Mapping[Role, str]) -> Float64Array:
        """The peers' medians float64[columns], NaN where no peer has a value.

        A column that names a party is compared with that role's rows, the others with those of `side`.
        """
        found = np.full(len(self.names), np.nan)
        for column, name in enumerate(self.names):
            first = name.split(".", 1)[0]
            role: Role = "sender" if first == "sender" else "receiver" if first == "receiver" else side
            segment = segments.get(role, EVERYBODY)
            place = self._group.get((role, segment), self._group.get((role, EVERYBODY)))
            if place is not None:
                found[column] = self.quantiles[place, column, LEVELS.index(0.5)]
        return found

    def to_bytes(self) -> bytes:
        """As one npz file of plain arrays."""
        return pack_arrays(
            {
                "names": np.array(self.names, dtype=np.str_),
                "groups": np.array([f"{role}\x1f{segment}" for role, segment in self.groups], dtype=np.str_),
                "peers": np.array(self.peers, np.int64),
                "quantiles": self.quantiles,
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> PeerGroups:
        """What `to_bytes` wrote.

        Raises
        ------
        StoreDamagedError
            It is not that.
        """
        try:
            arrays = unpack_arrays(content)
            groups = [(role, segment) for role, _, segment in (str(g).partition("\x1f") for g in arrays["groups"])]
            names = [str(name) for name in arrays["names"]]
            return cls(names, groups, [int(n) for n in arrays["peers"]], np.asarray(arrays["quantiles"], np.float64))
        except (DetectorError, KeyError, ValueError) as error:
            raise StoreDamagedError(f"the peer groups cannot be read: {error}", mend="run again") from error


def standing_words(standing: Standing, feature: Feature | None, name: str, currency: str) -> str:
    """One sentence: the value, the peers' median, and how many of them it exceeds or stays below.

    Examples
    --------
    >>> standing_words(Standing("retail", 812, 14.0, 2.0, 0.99, 0.0), None, "sender.out.count.1d", "USD")
    'sender.out.count.1d is 14, more than 99% of its 812 peers (retail), whose median is 2'
    """
    unit = feature.unit if feature is not None else ""
    told = feature.description.rstrip(".") if feature is not None else name
    value, median = (_worded(each, unit, currency) for each in (standing.value, standing.median))
    whose = f"its {standing.peers:,} peers" + (f" ({standing.segment})" if standing.segment else "")
    if standing.telling <= 0:
        place = f"as usual among {whose}"
    elif standing.more_than >= standing.less_than:
        place = f"more than {_percent(standing.more_than)} of {whose}"
    else:
        place = f"less than {_percent(standing.less_than)} of {whose}"
    return f"{told} is {value}, {place}, whose median is {median}"


def _quantiles(rows: Float64Array) -> Float64Array:
    """Values float64[columns, levels] at LEVELS, each one that a peer has; NaN where no peer has one."""
    found = np.full((rows.shape[1], len(LEVELS)), np.nan)
    ordered = np.sort(rows, axis=0)  # NaN last
    known = np.count_nonzero(~np.isnan(ordered), axis=0)
    for column in np.flatnonzero(known).tolist():
        places = np.round(np.array(LEVELS) * (known[column] - 1)).astype(np.int64)
        found[column] = ordered[places, column]
    return found


def _worded(value: float, unit: str, currency: str) -> str:
    match unit:
        case "minor units":
            return say.money(value, currency)
        case "seconds":
            return say.duration(value)
        case _:
            return say.number(value)


def _percent(share: float) -> str:
    return "all" if share >= 1 else f"{100 * share:.1f}".rstrip("0").rstrip(".") + "%"
