"""Requests, with windows and filters of their own: as the twin says, however the payments are cut."""

from __future__ import annotations

import math
import random
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features import sides
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.features.lifetime import LIFETIME_COLUMNS
from greywater.features.requests import PAYMENT_TYPES, STATISTICS, parse_request
from greywater.pipeline.slices import even_cuts, plan_slices, run_slice, stretch_lifetime
from greywater.vocab import FeatureBlock
from tests.features.payments import as_table, joined, random_payments, run_in_blocks, same_bits
from tests.features.test_engine_properties import CUTS, engine_rows, histories
from tests.features.test_narrow_sets import keep
from tests.naive import DAY_US, Paid
from tests.naive_filtered import naive_request
from tests.pipeline.ledgers import made_ledger

ZONE = "America/New_York"
SHORT = Settings(windows=(3_600, 86_400), day_windows=(2,), allowed_lateness=86_400, timezone=ZONE)
BASE = payments_v1(SHORT, 1)
WINDOWS = ("1s", "90m", "48h", "5d", "30d", "366d")
FILTERS = (
    "", "", "[amount 0..0]", "[amount 1..]", "[amount ..0.99]", "[amount 1..1000000000]", "[channel cash]",
    "[channel transfer]", "[amount 0.5..99999, channel wire, type weekend]",
    *(f"[type {kind}]" for kind in PAYMENT_TYPES),
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> str:
    parts = [draw(st.sampled_from(words)) for words in (("sender", "receiver"), ("out", "in"), STATISTICS, WINDOWS)]
    return ".".join(parts) + draw(st.sampled_from(FILTERS))


def unlike(payments: list[Paid], rows: list[dict[str, Any] | None], set_: FeatureSet) -> list[str]:
    """What of the rows the twin does not say."""
    wrong = []
    for i, row in enumerate(rows):
        for request in set_.asked if row is not None else ():
            found = (row or {})[request.name]
            expected = naive_request(payments, i, request, set_.plan.allowed_lateness, set_.timezone)
            if found != expected and not (math.isnan(found) and math.isnan(expected)):
                wrong.append(f"payment {i}: {request.name} is {found}, the twin says {expected}")
    return wrong


@given(histories(), st.lists(requests(), min_size=1, max_size=6), CUTS, st.booleans(), st.integers(4, 12))
@settings(max_examples=120)
def test_requests_over_any_history_equal_the_twin(
    payments: list[Paid], names: list[str], cuts: list[tuple[str, int]], alone: bool, spare: int
) -> None:
    set_ = BASE.only(names) if alone else BASE.also(names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "SPARE_ENTRIES", spare)
        rows = engine_rows(payments, set_, cuts)
    assert unlike(payments, rows, set_) == []


def some_requests(draw: random.Random, count: int) -> list[str]:
    return [
        f"{draw.choice(('sender', 'receiver'))}.{draw.choice(('out', 'in'))}.{draw.choice(STATISTICS)}"
        f".{draw.choice(WINDOWS)}{draw.choice(FILTERS)}"
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_requests_over_a_busy_history_equal_the_twin(seed: int) -> None:
    draw = random.Random(seed)
    payments = random_payments(seed, 250, accounts=4, span_days=20, late_share=0.3)
    set_ = BASE.only(some_requests(draw, 25))
    rows = engine_rows(payments, set_, [("go", 40), ("restart", 33), ("pack", 50), ("restart", 1)])
    assert unlike(payments, rows, set_) == []


@pytest.mark.parametrize("seed", range(2))
def test_requests_in_slices_and_after_an_absorbed_past_are_the_same(seed: int) -> None:
    ledger, draw = made_ledger(seed, 300, accounts=6, span_days=60, late_share=0.2), random.Random(seed)
    set_ = BASE.also(some_requests(draw, 12))
    whole = joined([Engine(set_, threads=1).process(ledger.table)])
    blocks: list[FeatureBlock] = []
    for one in plan_slices(ledger, set_, even_cuts(0, 300, 4), grain_rows=16).slices:
        lifetime = stretch_lifetime(ledger, 0, one.halo)
        run_slice(ledger, set_, one, lifetime, partial(keep, blocks), block_rows=64)
    assert same_bits(whole, joined(blocks)) == []
    engine = Engine(set_, threads=2)
    engine.absorb(ledger.table.slice(0, 120))
    rest = joined(run_in_blocks(engine, ledger.table, [50]))
    assert same_bits(whole.slice(whole.num_rows - rest.num_rows), rest) == []
    assert set(LIFETIME_COLUMNS) < set(engine.input_columns)


def test_what_others_ask_for_changes_no_value() -> None:
    """The hold of a window is its own: a longer one beside it lets no late payment see more."""
    table = as_table(random_payments(3, 300, accounts=3, span_days=90, late_share=0.5))
    name = "sender.out.count.2d[amount ..5000]"
    alone = joined([Engine(BASE.only([name]), threads=1).process(table)])
    beside = joined([Engine(BASE.also([name, "sender.out.count.366d[amount ..5000]"]), threads=1).process(table)])
    assert same_bits(alone, beside.select([name])) == []


def test_a_request_of_the_sets_own_window_is_that_feature() -> None:
    set_ = BASE.only(["sender.out.count.24h", "receiver.in.sum.48h"])
    assert set_.names == ("sender.out.count.1d", "receiver.in.sum.2d")
    assert set_.requests == ()
    set_ = BASE.only(["sender.out.count.24h", "receiver.in.sum.48h", "receiver.in.sum.49h"])
    assert set_.requests == ("receiver.in.sum.49h",)


def test_requests_come_last_and_travel_as_json() -> None:
    names = ["receiver.in.mean.3h[type night]", "sender.out.count.48h[amount 8500..9999, channel cash]"]
    set_ = payments_v2(SHORT, 1).also(names, base_exponent=0)
    assert set_.names[-2:] == (names[0], "sender.out.count.2d[amount 8500..9999, channel cash]")
    again = FeatureSet.from_json(set_.to_json())
    assert again == set_
    assert again.fingerprint == set_.fingerprint != payments_v2(SHORT, 1).also(names).fingerprint
    assert set_.also(names) == set_
    feature = set_.by_name[names[0]]
    assert (feature.dtype, feature.unit, feature.entity) == ("float64", "minor units", "receiver")
    assert feature.description == "receiver: mean amount received in the last 3h, of the payments with type night"


@pytest.mark.parametrize(
    ("name", "words"),
    [("sender.out.cuont.2d[amount 1..]", "count"), ("pair.times_after", "not one of"), ("a.b.c.4d", "not one of")],
)
def test_what_is_neither_a_feature_nor_a_request_is_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        BASE.also([name])


@pytest.mark.parametrize("exponent", [0, 2, 3])
def test_amounts_are_in_major_units_of_the_base_currency(exponent: int) -> None:
    payments = [Paid(k * 1_000_000, "a", "b", amount, amount) for k, amount in enumerate((9, 10, 99, 1_000, 9_999))]
    set_ = BASE.only(["sender.out.count.1h[amount 1..9.99]"]).also([], base_exponent=exponent)
    request = parse_request(set_.names[0])
    found = Engine(set_, threads=1).process(as_table(payments)).columns.column(0).to_pylist()
    assert found == [naive_request(payments, i, request, 86_400, ZONE, exponent) for i in range(len(payments))]


def test_day_stamped_data_has_no_nights_and_weekends_of_its_own_dates() -> None:
    set_ = payments_v1(SHORT.with_(windows=(86_400,)), DAY_US).only(
        ["sender.out.count.7d[type night]", "sender.out.count.7d[type weekend]"]
    )
    payments = [Paid((19_000 + day) * DAY_US, "a", "b", 5, 5) for day in range(7)]
    columns = Engine(set_, threads=1).process(as_table(payments)).columns
    found = dict(zip(columns.schema.names, columns.columns, strict=True))
    assert found["sender.out.count.7d[type night]"].to_pylist() == [0] * 7
    days = [(19_000 + day + 3) % 7 for day in range(7)]
    expected = [sum(day >= 5 for day in days[: k + 1]) for k in range(7)]
    assert found["sender.out.count.7d[type weekend]"].to_pylist() == expected
