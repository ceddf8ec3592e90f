"""Right among as many payments as can be looked at, against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.side_by_side import DAY_US, precision_of_highest
from greywater.errors import DetectorError

PAYMENT = st.tuples(st.integers(0, 1), st.integers(0, 3).map(float), st.integers(0, 4 * DAY_US))


@given(st.lists(PAYMENT, min_size=1, max_size=30), st.integers(1, 5), st.booleans())
def test_the_highest_of_each_day_count(payments: list[tuple[int, float, int]], count: int, per_day: bool) -> None:
    y, score, time = (np.array(column) for column in zip(*payments, strict=True))
    days: dict[int, list[tuple[float, int, int]]] = {}
    for place, (bad, value, moment) in enumerate(payments):
        days.setdefault(moment // DAY_US if per_day else 0, []).append((-value, place, bad))
    taken = [bad for rows in days.values() for _, _, bad in sorted(rows)[:count]]
    found = precision_of_highest(y, score, time, count, per_day=per_day)
    assert found == pytest.approx(sum(taken) / len(taken))


def test_no_payments_have_no_precision_and_no_count_is_refused() -> None:
    none = np.zeros(0, np.int64)
    assert precision_of_highest(none, none.astype(float), none, 5, per_day=True) is None
    with pytest.raises(DetectorError, match="0 of 0"):
        precision_of_highest(none, none.astype(float), none, 0, per_day=True)
