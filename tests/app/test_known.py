"""From which payment on a record is known: the streaming answer against the definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from greywater.app.known import UNKNOWN, Horizons, accounts_last_paid, expected_ids, payments_dated

MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Recorded:
    """A ledger of given event times, read in small batches."""

    times: list[int]
    step: int = 3

    @property
    def next_seq(self) -> int:
        return len(self.times)

    def scan(
        self, columns: list[str], *, start: int = 0, stop: int | None = None, batch_rows: int = 0
    ) -> Iterator[pa.RecordBatch]:
        count = len(self.times)
        every = {
            "event_time": pa.array(self.times, pa.int64()).cast(MOMENT),
            "tx_id": pa.array([f"t{seq}" for seq in range(count)], pa.string()),
            "sender": pa.array([f"A{seq % 4}" for seq in range(count)], pa.string()),
            "receiver": pa.array([f"A{(seq + 1) % 5}" for seq in range(count)], pa.string()),
        }
        for first in range(start, count if stop is None else stop, self.step):
            size = min(self.step, (count if stop is None else stop) - first)
            yield pa.record_batch([every[name].slice(first, size) for name in columns], names=list(columns))


def naive(times: list[int], moment: int) -> int:
    """The greatest s with H(s) <= moment."""
    return max((seq for seq in range(len(times)) if max(times[: seq + 1]) <= moment), default=-1)


TIMES = st.lists(st.integers(0, 40), max_size=25)


@given(times=TIMES, moments=st.lists(st.integers(-2, 45), max_size=25), cut=st.integers(0, 25), step=st.integers(1, 7))
def test_after_seq_is_the_greatest_that_was_recorded_by_then(
    times: list[int], moments: list[int], cut: int, step: int
) -> None:
    moments = sorted(moments)
    horizons = Horizons(Recorded(times, step))  # type: ignore[arg-type]
    asked = np.array(moments, dtype=np.int64)
    answers = [*horizons.after_seq(asked[:cut]).tolist(), *horizons.after_seq(asked[cut:]).tolist()]
    assert answers == [naive(times, moment) for moment in moments]


@given(times=TIMES, moments=st.lists(st.integers(0, 45), max_size=25), start=st.integers(1, 25))
def test_it_may_begin_late(times: list[int], moments: list[int], start: int) -> None:
    start = min(start, len(times))
    horizon = max(times[:start], default=None)
    asked = np.array(sorted(moment for moment in moments if horizon is None or moment >= horizon), dtype=np.int64)
    answers = Horizons(Recorded(times), start=start, horizon=horizon).after_seq(asked)  # type: ignore[arg-type]
    assert answers.tolist() == [naive(times, moment) for moment in asked.tolist()]


@given(times=TIMES, wanted=st.lists(st.integers(0, 30) | st.none(), max_size=12))
def test_payments_are_dated(times: list[int], wanted: list[int | None]) -> None:
    names = pa.array([None if number is None else f"t{number}" for number in wanted], pa.string())
    found = payments_dated(Recorded(times), names).tolist()  # type: ignore[arg-type]
    assert found == [UNKNOWN if n is None or n >= len(times) else times[n] for n in wanted]


@given(times=TIMES, wanted=st.lists(st.integers(0, 6) | st.none(), max_size=12))
def test_accounts_are_dated_by_their_last_payment(times: list[int], wanted: list[int | None]) -> None:
    names = pa.array([None if number is None else f"A{number}" for number in wanted], pa.string())
    found = accounts_last_paid(Recorded(times), names).tolist()  # type: ignore[arg-type]
    expected = [
        UNKNOWN
        if n is None
        else max((time for seq, time in enumerate(times) if n in (seq % 4, (seq + 1) % 5)), default=UNKNOWN)
        for n in wanted
    ]
    assert found == expected


def test_expected_ids_come_in_order() -> None:
    ledger = Recorded(list(range(12)))
    ids = [name for batch in expected_ids(ledger, ((1, 5), (9, 11))) for name in batch.to_pylist()]  # type: ignore[arg-type]
    assert ids == ["t1", "t2", "t3", "t4", "t9", "t10"]
