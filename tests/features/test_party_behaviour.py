"""Leading digits and peers as of a payment: equal to their twins, the same bits in any cut and after a restart."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import EngineError
from greywater.features import leading_digits, peer_deviation, sent_payments
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine
from greywater.features.leading_digits import LEADING_DIGIT_FEATURES, LeadingDigitJoin
from greywater.features.peer_deviation import PEER_FEATURES, PeerJoin
from greywater.features.sent_payments import SentPayments, Window
from greywater.vocab import Int64Array
from tests.features.payments import as_table, random_payments
from tests.naive import DAY_US, Paid
from tests.naive_parties import naive_benford, naive_peers

LEAST = 2
START = 19_700 * DAY_US
MADE = st.builds(
    random_payments,
    seed=st.integers(0, 10**6),
    n=st.integers(0, 60),
    accounts=st.integers(2, 8),
    span_days=st.sampled_from([20.0, 120.0, 400.0]),
    late_share=st.sampled_from([0.0, 0.1, 0.5]),
    grain_us=st.sampled_from([1, DAY_US]),
)
CUTS = st.lists(st.integers(1, 30), max_size=8)


def segment(account: str, seq: int) -> int:
    """Of three segments, which change now and then; -1 is not known."""
    return (int(account[1:]) + seq // 20) % 3 - 1 if account.startswith("a") else 1


def segments(seq: Int64Array, time_us: Int64Array, accounts: pa.Array) -> Int64Array:
    """The same of many."""
    return np.array([segment(a, s) for a, s in zip(accounts.to_pylist(), seq.tolist(), strict=True)], np.int64)


MAKERS: dict[str, Callable[[], Any]] = {"digits": LeadingDigitJoin, "peers": lambda: PeerJoin(segments)}


def twin(name: str, payments: list[Paid]) -> np.ndarray:
    rows = naive_benford(payments, LEAST) if name == "digits" else naive_peers(payments, segment, LEAST)
    return np.array(rows).reshape(len(payments), 2)


def in_pieces(make: Callable[[], Any], table: pa.Table, cuts: list[int], *, restart: bool = False) -> np.ndarray:
    """Both columns, the payments in pieces of these sizes; perhaps a new join after each of them."""
    join, begin, parts = make(), 0, []
    for size in [*cuts, table.num_rows + 1]:
        piece = table.slice(begin, size).combine_chunks()
        for batch in piece.to_batches():
            parts.append(np.column_stack([column.to_numpy() for column in join.columns(batch)]))
        begin += size
        if restart:
            held = {name: array.copy() for name, array in join.arrays().items()}
            join = make()
            join.load(held)
    return np.concatenate([np.zeros((0, 2)), *parts])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few payments say something, and what waits is filed early."""
    monkeypatch.setattr(leading_digits, "LEAST_PAYMENTS", LEAST)
    monkeypatch.setattr(peer_deviation, "LEAST_PEERS", LEAST)
    monkeypatch.setattr(sent_payments, "WAITING", 5)


@pytest.mark.parametrize("name", MAKERS)
@given(payments=MADE, cuts=CUTS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_equal_the_twin_and_each_other_in_any_cut(
    name: str, payments: list[Paid], cuts: list[int], few: None
) -> None:
    table = as_table(payments)
    whole = in_pieces(MAKERS[name], table, [])
    np.testing.assert_allclose(whole, twin(name, payments), rtol=1e-9 if name == "peers" else 0, atol=0)
    np.testing.assert_array_equal(in_pieces(MAKERS[name], table, cuts), whole)
    np.testing.assert_array_equal(in_pieces(MAKERS[name], table, cuts, restart=True), whole)


@pytest.mark.parametrize("name", MAKERS)
def test_one_by_one_is_the_same_and_the_future_changes_nothing(name: str, few: None) -> None:
    payments = random_payments(11, 150, accounts=5, span_days=150, late_share=0.3)
    table = as_table(payments)
    whole = in_pieces(MAKERS[name], table, [])
    assert np.isfinite(whole).sum() > 50
    np.testing.assert_array_equal(in_pieces(MAKERS[name], table, [1] * 150), whole)
    np.testing.assert_array_equal(in_pieces(MAKERS[name], table.slice(0, 90), []), whole[:90])


@pytest.mark.parametrize("name", MAKERS)
def test_a_payment_that_is_missing_or_out_of_order_is_refused(name: str) -> None:
    join = MAKERS[name]()
    table = as_table(random_payments(1, 10))
    join.columns(table.slice(0, 4).combine_chunks().to_batches()[0])
    with pytest.raises(EngineError, match="follow on"):
        join.columns(table.slice(5).combine_chunks().to_batches()[0])


def test_the_windows_are_those_of_the_engine() -> None:
    draw, payments = random.Random(5), []
    for k in range(600):
        time = START + k * DAY_US // 3 - draw.randrange(6 * DAY_US)
        sender, receiver = draw.choices(["a", "b", "c", "external:x"], k=2)
        base = draw.choice([None, 0, 7, draw.randrange(10**12), 2**53 - 1])
        payments.append(Paid(time, sender, receiver, 1, base))
    (batch,) = as_table(payments).combine_chunks().to_batches()
    base = batch.column("base_amount")
    roles: tuple[sent_payments.Role, ...] = ("sender", "receiver")
    names = [f"{role}.out.{what}" for role in roles for what in ("count.90d", "sum.30d")]
    block = Engine(payments_v1(Settings(), resolution_us=1).only(names), threads=1).process(batch)
    days = SentPayments(Window(90 * DAY_US, by_day=True)).take(batch, np.ones(600, np.int64), np.ones(600, np.bool_))
    known = base.is_valid().to_numpy(zero_copy_only=False)
    month = SentPayments(Window(30 * DAY_US)).take(batch, base.fill_null(0).to_numpy(), known)
    for role in roles:
        count, total = (block.columns[f"{role}.out.{what}"].to_numpy() for what in ("count.90d", "sum.30d"))
        np.testing.assert_array_equal(days.sums(role, days.value)[block.scored], count[block.scored])
        found = np.array([float(total) for total in peer_deviation.exact_totals(month, role)])
        np.testing.assert_array_equal(found[block.scored], total[block.scored])


def test_names_are_declared() -> None:
    assert LeadingDigitJoin().names == tuple(feature.name for feature in LEADING_DIGIT_FEATURES)
    assert PeerJoin(segments).names == tuple(feature.name for feature in PEER_FEATURES)


def sent(amounts: list[int], base: int = 0) -> pa.RecordBatch:
    paid = [Paid(base + k, "a1", "a2", amount, amount) for k, amount in enumerate(amounts)]
    return as_table(paid).combine_chunks().to_batches()[0]


def test_digits_as_benford_says_are_far_below_the_line_and_equal_ones_far_above() -> None:
    growing = [round(100 * 1.05**k) for k in range(200)]
    benign, invented = (
        LeadingDigitJoin().columns(sent(amounts))[0].to_pylist() for amounts in (growing, [9_500] * 200)
    )
    assert all(math.isnan(value) for value in benign[:49])
    assert benign[-1] < 15.5 < invented[49]
    assert invented[-1] > 1_000


def test_what_is_older_than_90_days_is_left_out() -> None:
    join = LeadingDigitJoin()
    early, late = [Paid(k, "a1", "a2", 9_500, 9_500) for k in range(60)], Paid(90 * DAY_US, "a1", "a2", 100, 100)
    rows = as_table([*early, late, Paid(89 * DAY_US, "a1", "a2", 100, 100)]).combine_chunks().to_batches()[0]
    found = join.columns(rows)[0].to_pylist()
    assert math.isnan(found[60])
    assert found[61] > 15.5, "a payment that comes a day late sees the past of its own moment"


def test_peers_do_not_hold_the_party_itself_and_totals_may_be_of_any_size() -> None:
    most = 2**53 - 1
    totals = [most * k for k in range(1, 12)]
    paid = [Paid(k, f"a{k}", "external:shop", most, most) for k in range(11) for _ in range(k + 1)]
    rows = as_table([*paid, Paid(99, "a0", "external:shop", most, most)]).combine_chunks().to_batches()[0]
    join = PeerJoin(lambda seq, time_us, accounts: np.zeros(len(accounts), np.int64))
    found = join.columns(rows)[0][-1].as_py()
    others = [total for total in totals if total != most]
    mean = sum(others) / len(others)
    spread = math.sqrt(sum((total - mean) ** 2 for total in others) / (len(others) - 1))
    assert found == pytest.approx((2 * most - mean) / spread, rel=1e-12)
    held = PeerJoin(segments)
    held.load(join.arrays())
    assert held._groups == join._groups
