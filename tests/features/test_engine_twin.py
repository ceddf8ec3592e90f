"""The engine against its slow twin: every feature of every payment, to the last bit."""

from __future__ import annotations

import math

import pytest

from greywater.config import Settings
from greywater.features.catalog import FeatureSet, payments_v1
from greywater.features.engine import Engine
from tests.features.payments import as_table, random_payments
from tests.naive import DAY_US, naive_features

SHORT = Settings(windows=(3_600, 86_400, 3 * 86_400), day_windows=(5, 9), allowed_lateness=2 * 86_400)


def differences(seed: int, set_: FeatureSet, n: int, **how: float) -> list[str]:
    payments = random_payments(seed, n, **how)  # type: ignore[arg-type]
    block = Engine(set_, threads=1).process(as_table(payments))
    found = block.columns.to_pylist()
    wrong = []
    for i, expected in enumerate(naive_features(payments, set_)):
        if not block.scored[i]:
            continue
        assert set(expected) == set(found[i])
        for name, value in expected.items():
            got = found[i][name]
            same = got == value or (isinstance(value, float) and math.isnan(value) and math.isnan(got))
            if not same:
                wrong.append(f"payment {i}: {name} is {got}, the twin says {value}")
    return wrong


@pytest.mark.parametrize("seed", range(12))
def test_engine_equals_its_twin_on_random_payments(seed: int) -> None:
    assert differences(seed, payments_v1(SHORT, 1), 160, accounts=5, span_days=30) == []


@pytest.mark.parametrize("seed", range(6))
def test_engine_equals_its_twin_when_everything_arrives_shuffled(seed: int) -> None:
    assert differences(100 + seed, payments_v1(SHORT, 1), 140, accounts=3, span_days=25, late_share=0.9) == []


@pytest.mark.parametrize("seed", range(6))
def test_engine_equals_its_twin_on_day_stamps(seed: int) -> None:
    set_ = payments_v1(SHORT, DAY_US)
    assert "sender.out.count.1h" not in set_.names
    assert differences(200 + seed, set_, 160, accounts=4, span_days=30, grain_us=DAY_US) == []


def test_engine_equals_its_twin_with_the_default_windows_zone_and_country() -> None:
    set_ = payments_v1(Settings(timezone="America/New_York", country="DE-BY"), 1)
    assert differences(7, set_, 150, accounts=3, span_days=900, late_share=0.3) == []


def test_engine_equals_its_twin_on_two_accounts_that_never_stop() -> None:
    assert differences(11, payments_v1(SHORT, 1), 200, accounts=2, span_days=4, late_share=0.5) == []
