"""Payments that somebody planned, laundering and its everyday look-alikes, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.economy import ACH
from greywater.vocab import Int64Array

__all__ = ["PHASES", "TYPOLOGIES", "Planned"]

#: The eight shapes; laundering outside of any attempt has the typology -1.
TYPOLOGIES: Final = (
    "fan-out",
    "fan-in",
    "gather-scatter",
    "scatter-gather",
    "cycle",
    "random",
    "bipartite",
    "stack",
)
PHASES: Final = ("placement", "layering", "integration")


@dataclass(frozen=True)
class Planned:
    """Planned payments by column; all arrays have one length.

    `time` in seconds since 1970; `sender` and `receiver` are places in the population; `paid` and `received` whole
    amounts in the smallest units that the files know (hundredths; of Bitcoin millionths), in the currencies
    `paid_currency` and `received_currency` (places in CURRENCIES); `format` a place in FORMATS. `laundering` tells
    laundering from a look-alike. `attempt` numbers the attempts from 0, `group` the look-alikes, -1 none; `typology`
    is a place in TYPOLOGIES and `phase` one in PHASES, -1 none.
    """

    time: Int64Array
    sender: Int64Array
    receiver: Int64Array
    paid: Int64Array
    received: Int64Array
    paid_currency: NDArray[np.int8]
    received_currency: NDArray[np.int8]
    format: NDArray[np.int8]
    laundering: NDArray[np.bool_]
    attempt: Int64Array
    group: Int64Array
    typology: NDArray[np.int8]
    phase: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def of(
        cls,
        *,
        time: Int64Array,
        sender: Int64Array,
        receiver: Int64Array,
        paid: Int64Array,
        paid_currency: Any,
        received: Int64Array | None = None,
        received_currency: Any = None,
        format: Any = ACH,
        laundering: Any = True,
        attempt: Any = -1,
        group: Any = -1,
        typology: Any = -1,
        phase: Any = -1,
    ) -> Planned:
        """Payments of which much is alike: one value stands for all; received is as paid where nothing is given."""
        rows = len(time)

        def column(values: Any, kind: type[np.generic]) -> NDArray[Any]:
            return np.ascontiguousarray(np.broadcast_to(np.asarray(values, kind), rows))

        same_currency = paid_currency if received_currency is None else received_currency
        return cls(
            time=column(time, np.int64),
            sender=column(sender, np.int64),
            receiver=column(receiver, np.int64),
            paid=column(paid, np.int64),
            received=column(paid if received is None else received, np.int64),
            paid_currency=column(paid_currency, np.int8),
            received_currency=column(same_currency, np.int8),
            format=column(format, np.int8),
            laundering=column(laundering, np.bool_),
            attempt=column(attempt, np.int64),
            group=column(group, np.int64),
            typology=column(typology, np.int8),
            phase=column(phase, np.int8),
        )

    @classmethod
    def none(cls) -> Planned:
        """No payments at all."""
        nothing = np.empty(0, np.int64)
        return cls.of(time=nothing, sender=nothing, receiver=nothing, paid=nothing, paid_currency=0)

    @classmethod
    def joined(cls, parts: list[Planned]) -> Planned:
        """The parts one after another."""
        if not parts:
            return cls.none()
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Planned:
        """The payments at these places, or where true."""
        return Planned(**{f.name: getattr(self, f.name)[rows] for f in fields(Planned)})
