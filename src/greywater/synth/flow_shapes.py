"""The eight shapes as layers of payments between slots, and the payments of one attempt: who, when, how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Float64Array, Int64Array

__all__ = ["Clock", "Dress", "FlowShape", "Legs", "Pace", "draw_legs", "draw_shape"]

DAY: Final = 86_400
HOUR: Final = 3_600
#: Least time between receiving and passing on, in seconds.
LEAST_REST: Final = HOUR // 2
#: From senders, receivers (slots) and US cents wanted to US cents, smallest units paid and format.
Dress = Callable[[Int64Array, Int64Array, Float64Array], tuple[Float64Array, Int64Array, NDArray[np.int8]]]
#: Moments that a payment chooses among, so that its hour and weekday are as common as those of others.
_CANDIDATES: Final = 16


@dataclass(frozen=True)
class FlowShape:
    """Who pays whom, layer by layer.

    Parameters
    ----------
    slots : int
        Accounts that take part.
    layers : tuple of int64[k, 2]
        Sender and receiver by slot of each payment of the layer. Who sends in a later layer has received before.
    """

    slots: int
    layers: tuple[Int64Array, ...]

    @property
    def sources(self) -> Int64Array:
        """Slots that send in the first layer."""
        return np.unique(self.layers[0][:, 0])

    @property
    def sinks(self) -> Int64Array:
        """Slots where money stays: those that receive in the last layer."""
        return np.unique(self.layers[-1][:, 1])

    @property
    def hubs(self) -> Int64Array:
        """Slots with three or more payments."""
        ends, count = np.unique(np.concatenate(self.layers), return_counts=True)
        return ends[count > 2]


@dataclass(frozen=True)
class Clock:
    """Weights of the hours of the week, 168, Monday at 0 first; payments choose their moments by them."""

    weights: Float64Array

    def moments(self, rng: np.random.Generator, earliest: Int64Array, latest: Int64Array) -> Int64Array:
        """One moment in [earliest, latest] for each row, seconds since 1970; earliest where latest is before it."""
        room = np.maximum(latest - earliest, 0) + 1
        shape = (len(earliest), _CANDIDATES)
        found = earliest[:, None] + (rng.random(shape) * room[:, None]).astype(np.int64)
        # 1 January 1970 was a Thursday.
        weight = self.weights[(found // HOUR + 3 * 24) % 168]
        key = rng.random(shape) ** (1.0 / np.maximum(weight, 1e-9))
        return np.take_along_axis(found, key.argmax(axis=1)[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class Pace:
    """When and how money moves.

    Parameters
    ----------
    start : int
        Seconds since 1970.
    seconds : int
        For all layers together.
    kept : (float, float)
        Least and greatest share of what came in that goes on.
    amount : float
        A typical payment of the first layer, US cents.
    spread : float
        Standard deviation of the logarithm of the payments of the first layer about it.
    """

    start: int
    seconds: int
    kept: tuple[float, float]
    amount: float
    spread: float = 0.25


@dataclass(frozen=True)
class Legs:
    """Payments of one attempt by column: slots, seconds since 1970, US cents, smallest units, format, layer."""

    sender: Int64Array
    receiver: Int64Array
    time: Int64Array
    cents: Float64Array
    paid: Int64Array
    format: NDArray[np.int8]
    layer: Int64Array

    def __len__(self) -> int:
        return len(self.time)


def draw_shape(rng: np.random.Generator, typology: str, payments: int, *, linked: bool) -> FlowShape:
    """A shape of so many payments.

    Parameters
    ----------
    rng : np.random.Generator
        Where chance comes from.
    typology : str
        One of the eight.
    payments : int
        At least 1; of scatter-gather and stack at least 2, of cycle and gather-scatter too.
    linked : bool
        Bipartite and stack tie their accounts together, as the names say. The published files hold them as separate
        payments and separate pairs of payments.

    Examples
    --------
    >>> shape = draw_shape(np.random.default_rng(1), "cycle", 3, linked=True)
    >>> [layer.tolist() for layer in shape.layers]
    [[[0, 1]], [[1, 2]], [[2, 0]]]
    """
    if typology == "fan-out":
        return _of([(0, one) for one in range(1, payments + 1)])
    if typology == "fan-in":
        return _of([(one, 0) for one in range(1, payments + 1)])
    if typology == "gather-scatter":
        inward = int(np.clip(round(payments * rng.uniform(0.35, 0.65)), 1, payments - 1))
        gathered = [(one, 0) for one in range(1, inward + 1)]
        return _of(gathered, [(0, one) for one in range(inward + 1, payments + 1)])
    if typology == "scatter-gather":
        halfway = range(2, 2 + payments // 2)
        return _of([(0, one) for one in halfway], [(one, 1) for one in halfway])
    if typology == "cycle":
        return _of(*[[(hop, (hop + 1) % payments)] for hop in range(payments)])
    if typology == "random":
        return _of(*[[(hop, hop + 1)] for hop in range(payments)])
    if typology == "bipartite":
        return _of(_lattice(rng, payments, 0) if linked else [(2 * k, 2 * k + 1) for k in range(payments)])
    if linked:
        upper = _lattice(rng, payments - payments // 2, 0)
        middle = sorted({receiver for _, receiver in upper})
        return _of(upper, _below(rng, middle, max(payments // 2, len(middle))))
    chains = range(payments // 2)
    return _of([(3 * k, 3 * k + 1) for k in chains], [(3 * k + 1, 3 * k + 2) for k in chains])


def _of(*layers: list[tuple[int, int]]) -> FlowShape:
    arrays = tuple(np.array(layer, dtype=np.int64).reshape(-1, 2) for layer in layers)
    return FlowShape(int(max(layer.max() for layer in arrays)) + 1, arrays)


def _lattice(rng: np.random.Generator, payments: int, first: int) -> list[tuple[int, int]]:
    """So many different links between two rows of accounts, every account with at least one, most with two."""
    senders = max(1, min(payments, round(np.sqrt(payments) * rng.uniform(0.7, 1.2))))
    receivers = max(1, -(-payments // max(1, senders - (payments > 3))))
    receivers = min(max(receivers, -(-payments // senders)), payments)
    every = [(a, b) for a in range(senders) for b in range(receivers)]
    ring = [(k % senders, k % receivers) for k in range(max(senders, receivers))]
    chosen = list(dict.fromkeys(ring))[:payments]
    rest = [every[place] for place in rng.permutation(len(every)).tolist() if every[place] not in set(chosen)]
    chosen += rest[: payments - len(chosen)]
    return [(first + a, first + senders + b) for a, b in chosen]


def _below(rng: np.random.Generator, middle: list[int], payments: int) -> list[tuple[int, int]]:
    """Links from every account of the middle layer to a layer below it."""
    count = max(-(-payments // len(middle)), round(len(middle) * rng.uniform(0.5, 1.1)))
    first = max(middle) + 1
    links = [(one, first + place % count) for place, one in enumerate(middle)]
    free = [(one, first + b) for one in middle for b in range(count) if (one, first + b) not in set(links)]
    links += [free[place] for place in rng.permutation(len(free)).tolist()[: max(0, payments - len(links))]]
    used = sorted({receiver for _, receiver in links})
    return [(one, first + used.index(receiver)) for one, receiver in links]


def draw_legs(rng: np.random.Generator, shape: FlowShape, pace: Pace, clock: Clock, dress: Dress) -> Legs:
    """The payments of one attempt.

    Whoever passes money on does so after the last of it came, at least half an hour later, and wants to pass on `kept`
    of it. The last layer of a cycle brings the money back.

    Parameters
    ----------
    rng : np.random.Generator
        Where chance comes from.
    shape : FlowShape
        Who pays whom.
    pace : Pace
        When it begins, how long it takes, how much.
    clock : Clock
        Chooses moments.
    dress : callable
        Chooses the amounts really paid, near those wanted, and the formats.

    Returns
    -------
    Legs
        In the order of the layers; one layer in order of time.
    """
    room = pace.seconds // len(shape.layers)
    came = np.zeros(shape.slots)
    last = np.full(shape.slots, pace.start, dtype=np.int64)
    parts: list[list[np.ndarray]] = []
    for number, layer in enumerate(shape.layers):
        sender, receiver = layer[:, 0], layer[:, 1]
        if number == 0:
            wanted = pace.amount * rng.lognormal(0.0, pace.spread, len(layer))
            earliest = np.full(len(layer), pace.start, dtype=np.int64)
        else:
            wanted = _onward(rng, sender, came, pace.kept)
            earliest = last[sender] + LEAST_REST
        latest = np.maximum(pace.start + (number + 1) * room, earliest + HOUR)
        time = clock.moments(rng, earliest, latest)
        cents, paid, form = dress(sender, receiver, wanted)
        came[receiver] = 0.0
        np.add.at(came, receiver, cents)
        np.maximum.at(last, receiver, time)
        columns: tuple[np.ndarray, ...] = (sender, receiver, time, cents, paid, form, np.full(len(layer), number))
        order = np.argsort(time, kind="stable")
        parts.append([column[order] for column in columns])
    return Legs(*(np.concatenate([part[place] for part in parts]) for place in range(7)))


def _onward(
    rng: np.random.Generator, sender: Int64Array, came: Float64Array, kept: tuple[float, float]
) -> Float64Array:
    """What each sender passes on, cut into its payments."""
    weight = rng.gamma(6.0, 1.0, len(sender))
    total = np.zeros(len(came))
    np.add.at(total, sender, weight)
    share = rng.uniform(*kept, len(came))
    amount: Float64Array = came[sender] * share[sender] * weight / total[sender]
    return amount
