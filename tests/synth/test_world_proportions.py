"""Large worlds beside what was published of AMLworld HI-Small: shares, amounts, and how often accounts pay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from greywater.kernels.everyday import PaymentColumns
from greywater.synth.economy import (
    ACH,
    AMOUNT_UNITS,
    BITCOIN,
    COIN,
    CURRENCIES,
    CURRENCY_SHARES,
    FORMATS,
    REINVESTMENT,
    make_population,
)
from greywater.synth.everyday import FORMAT_SHARES, plan_everyday
from greywater.synth.planned import Planned
from greywater.synth.presets import WorldPlan, world_plan
from greywater.synth.weaving import pieces, sort_planned, woven

#: Share of the published payments by day.
DAYS = (0.2195, 0.1486, 0.0408, 0.0408, 0.0950, 0.0950, 0.0950, 0.0950, 0.1288, 0.0408)


def everyday_columns(plan: WorldPlan) -> PaymentColumns:
    everyday = plan_everyday(plan, make_population(plan), np.zeros(len(FORMATS), np.int64))
    planned = sort_planned(plan.seed, Planned.none())
    chunks = [woven(everyday, *planned, piece).columns for piece in pieces(everyday, planned[1], 1 << 18)]
    return PaymentColumns._make(np.concatenate(columns) for columns in zip(*chunks, strict=True))


def shares(places: NDArray[np.int8], count: int) -> NDArray[np.float64]:
    return np.bincount(places, minlength=count) / len(places)


def amounts(columns: PaymentColumns) -> NDArray[np.float64]:
    return columns.paid / AMOUNT_UNITS[columns.paid_currency]


@pytest.fixture(scope="module")
def tenth() -> PaymentColumns:
    return everyday_columns(world_plan("hi-small", payments=507_834))


def test_formats_currencies_and_days_have_their_published_shares(tenth: PaymentColumns) -> None:
    assert shares(tenth.format, 7) == pytest.approx(FORMAT_SHARES, abs=0.002, rel=0.02)
    assert shares(tenth.paid_currency, 15) == pytest.approx(CURRENCY_SHARES, abs=0.002, rel=0.02)
    day = (tenth.time // 86_400_000_000 - tenth.time.min() // 86_400_000_000).astype(np.int8)
    assert shares(day, 10) == pytest.approx(DAYS, abs=0.002)


def test_amounts_have_their_published_quartiles(tenth: PaymentColumns) -> None:
    assert np.quantile(amounts(tenth), (0.25, 0.5, 0.75)) == pytest.approx((184, 1_415, 12_298), rel=0.03)


def test_payments_to_oneself_are_interest_money_changed_and_bitcoin(tenth: PaymentColumns) -> None:
    own = tenth.sender == tenth.receiver
    assert own.mean() == pytest.approx(0.116, abs=0.002)
    assert set(tenth.format[own].tolist()) == {REINVESTMENT, ACH, COIN}
    changed = tenth.paid_currency != tenth.received_currency
    assert (own & (tenth.format == ACH) == changed).all()
    assert (tenth.paid[~changed] == tenth.received[~changed]).all()
    assert ((tenth.format == COIN) == (tenth.paid_currency == BITCOIN)).all()


@pytest.mark.full
def test_hi_small_is_within_one_hundredth_of_what_was_published() -> None:
    plan = world_plan("hi-small")
    columns = everyday_columns(plan)
    assert len(columns.time) == 5_078_345
    assert shares(columns.format, 7) == pytest.approx(FORMAT_SHARES, rel=0.01)
    assert shares(columns.paid_currency, 15) == pytest.approx(CURRENCY_SHARES, rel=0.01)
    assert np.quantile(amounts(columns), (0.25, 0.5, 0.75, 0.99)) == pytest.approx(
        (184, 1_415, 12_298, 1.35e7), rel=0.01
    )
    assert (columns.sender == columns.receiver).mean() == pytest.approx(0.116, rel=0.01)
    degree = np.bincount(columns.sender, minlength=plan.accounts) + np.bincount(
        columns.receiver, minlength=plan.accounts
    )
    assert np.median(degree) == 6
    assert degree.mean() == pytest.approx(19.7, rel=0.01)
    assert degree.max() == pytest.approx(168_672, rel=0.01)


def test_amounts_of_each_format_are_those_of_real_normal_payments(tenth: PaymentColumns, shared_data: Path) -> None:
    rows = pq.read_table(shared_data / "amlworld_hi_small" / "transactions.parquet").to_pydict()
    normal = np.array(rows["Is Laundering"]) == 0
    real, currency = np.array(rows["Amount Paid"]), np.array(rows["Payment Currency"])
    form = np.array(rows["Payment Format"])
    ours = amounts(tenth)
    for number, name in enumerate(FORMATS):
        for code in (0, BITCOIN) if number == COIN else (0,):
            mine = np.sort(ours[(tenth.format == number) & (tenth.paid_currency == code)])
            theirs = np.sort(real[normal & (form == name) & (currency == CURRENCIES[code])])
            if len(theirs) < 100:
                continue
            apart = np.abs(np.searchsorted(mine, theirs) / len(mine) - np.arange(len(theirs)) / len(theirs)).max()
            assert apart < 0.05 + 1.36 / np.sqrt(len(theirs)), name
