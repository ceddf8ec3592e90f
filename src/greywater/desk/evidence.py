"""The payments that prove an alert: the one that raised it and those its reasons speak of, none later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.desk.reasons import Reason
from greywater.desk.recorded import EvidenceRow, Recorded
from greywater.desk.sentences import Payment, Role
from greywater.vocab import Int64Array

__all__ = [
    "MOST_EVIDENCE",
    "MOST_FORMED",
    "Around",
    "EvidenceRow",
    "choose_evidence",
    "evidence_rows",
    "payment_at",
]

MOST_EVIDENCE: Final = 25
#: Of these, payments that formed a pattern.
MOST_FORMED: Final = 15
DAY: Final = 86_400
_SECOND: Final = 1_000_000
#: Looked back over where no reason names a window.
_FALLBACK: Final = 30 * DAY

BoolArray = NDArray[np.bool_]


class Around:
    """The payments that an alert may speak of, seen from the one that raised it.

    Parameters
    ----------
    recorded : Recorded
        Payments of the entity and, for reasons about the other party, of that party.
    raising_seq : int
        The payment that raised the alert; one of them.
    places : int64[n], optional
        Places in `recorded` of the payments that count, each once, that of the raising payment among them; all of
        them where left out.

    Raises
    ------
    UsageError
        The raising payment is not there.
    """

    def __init__(self, recorded: Recorded, raising_seq: int, places: Int64Array | None = None) -> None:
        self.recorded = recorded
        self.places = np.arange(len(recorded)) if places is None else places
        self.raising_seq, self.raising = raising_seq, recorded.place(raising_seq)
        self.seq, self.time_us = recorded.seq[self.places], recorded.time_us[self.places]
        self._spoken_of: dict[tuple[str, Role | None, str, int | None, bool], BoolArray] = {}

    def spoken_of(self, reason: Reason) -> BoolArray:
        """Which of the payments a reason is about, whenever they were recorded, bool[n].

        Those inside its window `(t - w, t]` (or its whole UTC days), of the party on its side of the raising payment,
        in its direction; of a reason about the pair the payments between the two.
        """
        about = "pair" if reason.theme == "pair" else ""
        key = (about, reason.role, reason.direction, reason.window, reason.whole_days)
        if key not in self._spoken_of:
            self._spoken_of[key] = self._look(*key)
        return self._spoken_of[key]

    def cited(self, reason: Reason, most: int) -> tuple[tuple[str, ...], int]:
        """Ids of the payments that a reason speaks of, latest recorded first, at most so many; and how many there are.

        None recorded after the raising payment is among them; that one itself stands in where there is none.
        """
        rows = np.flatnonzero(self.spoken_of(reason) & self._earlier)
        if not len(rows):
            return self.recorded.tx_ids(np.array([self.raising])), 1
        latest = rows[np.argsort(-self.seq[rows], kind="stable")[:most]]
        return self.recorded.tx_ids(self.places[latest]), len(rows)

    def choose(
        self, reasons: Iterable[Reason], *, formed: Sequence[int] = (), limit: int = MOST_EVIDENCE
    ) -> tuple[EvidenceRow, ...]:
        """The evidence of one alert, as `choose_evidence` says."""
        recorded = self.recorded
        named = np.zeros(len(self.places), dtype=bool)
        for reason in reasons:
            named |= self.spoken_of(reason)
        # What was recorded later may not decide whether a reason names anything.
        if not (named & self._earlier).any():
            named = self._of_both_sides & self._inside(_FALLBACK, whole_days=False)
        before = (self.seq < self.raising_seq) & (self.time_us <= recorded.time_us[self.raising])
        chosen = self.places[named & before]
        score = recorded.score[chosen]
        score = np.where(np.isnan(score), -np.inf, score)
        best = np.lexsort((-recorded.seq[chosen], -recorded.base_amount[chosen], -score))
        with_it = np.array([seq for seq in dict.fromkeys(formed) if seq != self.raising_seq][:MOST_FORMED], np.int64)
        places = [self.raising, *recorded.places(with_it).tolist(), *chosen[best[:limit]].tolist()]
        kept = list(dict.fromkeys(places))[: max(limit, 1)]
        return tuple(recorded.evidence(place, raising=place == self.raising) for place in kept)

    def _look(self, about: str, role: Role | None, direction: str, window: int | None, whole_days: bool) -> BoolArray:
        sides = self._sides
        if about == "pair":
            there = sides["sender"][0] & sides["receiver"][1]
            return there | (sides["receiver"][0] & sides["sender"][1])
        if window is None or role is None:
            return np.zeros(len(self.places), dtype=bool)
        sent, received = sides[role]
        inside = self._inside(window, whole_days=whole_days)
        match direction:
            case "out":
                return inside & sent & ~received
            case "in":
                return inside & received & ~sent
            case "self":
                return inside & sent & received
        return inside & (sent | received)

    def _inside(self, window: int, *, whole_days: bool) -> BoolArray:
        """The window of the raising payment, looking back over event time."""
        now = int(self.recorded.time_us[self.raising])
        if whole_days:
            first_day = now // (DAY * _SECOND) - window // DAY + 1
            return np.asarray(self.time_us >= first_day * DAY * _SECOND, dtype=bool)
        return np.asarray(self.time_us > now - window * _SECOND, dtype=bool)

    @cached_property
    def _sides(self) -> dict[Role, tuple[BoolArray, BoolArray]]:
        """Which payments the sender of the raising payment sent and received, and its receiver likewise."""
        recorded = self.recorded
        sender, receiver = recorded.sender[self.places], recorded.receiver[self.places]
        parties: dict[Role, int] = {
            "sender": int(recorded.sender[self.raising]), "receiver": int(recorded.receiver[self.raising]),
        }  # fmt: skip
        return {role: (sender == code, receiver == code) for role, code in parties.items()}

    @cached_property
    def _earlier(self) -> BoolArray:
        return np.asarray(self.seq <= self.raising_seq, dtype=bool)

    @property
    def _of_both_sides(self) -> BoolArray:
        (one, two), (three, four) = self._sides.values()
        return one | two | three | four


def choose_evidence(
    payments: pa.Table,
    raising_seq: int,
    reasons: Iterable[Reason],
    *,
    formed: Sequence[int] = (),
    limit: int = MOST_EVIDENCE,
) -> tuple[EvidenceRow, ...]:
    """Choose the evidence of one alert.

    First the payment that raised it. Then those with which it formed a pattern, in the order given. Then the payments
    that a reason speaks of: inside its window
    `(t - w, t]` (or its whole UTC days), of the party on its side of the raising payment, in its
    direction; a reason about the pair speaks of the earlier payments between the two. They are ordered by score
    (unscored last), then by amount in the base currency, then by the later seq. Where no reason names a window, the
    last 30 days of both sides of the raising payment stand in. Payments recorded after the raising one are
    never chosen.

    Parameters
    ----------
    payments : pyarrow.Table
        As for `Recorded`: payments of the entity and, for reasons about the other party, of that party.
    raising_seq : int
        The payment that raised the alert; one of `payments`.
    reasons : iterable of Reason
        What the alert says.
    formed : sequence of int
        Seqs of the payments that formed a pattern with the raising one, the most telling first, all among `payments`;
        at most MOST_FORMED are taken.
    limit : int
        Most rows.

    Returns
    -------
    tuple of EvidenceRow
        The raising payment, then best first.

    Raises
    ------
    UsageError
        The raising payment, or one of `formed`, is not among `payments`.
    """
    return Around(Recorded(payments), raising_seq).choose(reasons, formed=formed, limit=limit)


def evidence_rows(payments: pa.Table, raising_seq: int) -> dict[int, EvidenceRow]:
    """Read payments as rows of evidence, by seq; `payments` as for `Recorded`."""
    recorded = Recorded(payments)
    return {
        seq: recorded.evidence(place, raising=seq == raising_seq) for place, seq in enumerate(recorded.seq.tolist())
    }


def payment_at(payments: pa.Table, seq: int) -> Payment:
    """Read one payment of a table of recorded payments.

    Raises
    ------
    UsageError
        It is not there.
    """
    recorded = Recorded(payments)
    return recorded.payment(recorded.place(seq))
