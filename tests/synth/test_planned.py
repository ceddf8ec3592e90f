"""Planned payments as arrays: one value stands for all, parts join, rows are taken."""

from __future__ import annotations

import numpy as np

from greywater.synth.economy import ACH, WIRE
from greywater.synth.planned import Planned


def test_one_value_stands_for_all_and_received_is_as_paid() -> None:
    when, amount = np.array([5, 7]), np.array([100, 250])
    two = Planned.of(time=when, sender=when, receiver=when + 1, paid=amount, paid_currency=3)
    assert two.received.tolist() == [100, 250]
    assert two.received_currency.tolist() == two.paid_currency.tolist() == [3, 3]
    assert two.format.tolist() == [ACH, ACH]
    assert two.laundering.all()
    assert two.attempt.tolist() == [-1, -1]


def test_parts_join_and_rows_are_taken() -> None:
    one = np.array([1])
    dirty = Planned.of(time=one, sender=one, receiver=one, paid=one, paid_currency=0, attempt=4, typology=2)
    alike = Planned.of(time=one, sender=one, receiver=one, paid=one, paid_currency=0, laundering=False, format=WIRE)
    both = Planned.joined([dirty, alike, Planned.none()])
    assert len(both) == 2
    assert both.attempt.tolist() == [4, -1]
    assert both.take(both.laundering).typology.tolist() == [2]
    assert len(Planned.joined([])) == 0
