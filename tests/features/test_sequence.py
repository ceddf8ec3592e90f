"""The last payments of both parties: equal to their twin, the same bits in any cut, after a restart and uncompiled."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import EngineError
from greywater.features.sequence import (
    SEQUENCE_FEATURES,
    SEQUENCE_KINDS,
    SEQUENCE_LENGTH,
    SequenceJoin,
    sequence_columns,
)
from greywater.vocab import CHANNELS
from tests.features.payments import as_table, random_payments
from tests.naive import DAY_US, Paid
from tests.naive_sequence import naive_sequences

START = 19_700 * DAY_US
WIDTH = len(SEQUENCE_FEATURES)
MADE = st.builds(
    random_payments,
    seed=st.integers(0, 10**6),
    n=st.integers(0, 120),
    accounts=st.integers(2, 8),
    span_days=st.sampled_from([1.0, 120.0, 900.0]),
    late_share=st.sampled_from([0.0, 0.1, 0.5]),
    grain_us=st.sampled_from([1, DAY_US]),
)
CUTS = st.lists(st.integers(1, 40), max_size=8)


def batch(payments: list[Paid]) -> pa.RecordBatch:
    return as_table(payments).combine_chunks().to_batches()[0]


def in_pieces(table: pa.Table, cuts: list[int], *, restart: bool = False) -> np.ndarray:
    """All columns, the payments in pieces of these sizes; perhaps a new join after each of them."""
    join, begin, parts = SequenceJoin(), 0, [np.zeros((0, WIDTH))]
    for size in [*cuts, table.num_rows + 1]:
        for piece in table.slice(begin, size).combine_chunks().to_batches():
            parts.append(np.column_stack([column.to_numpy() for column in join.columns(piece)]))
        begin += size
        if restart:
            held = join.arrays()
            join = SequenceJoin()
            join.load(held)
    return np.concatenate(parts)


def seen(payments: list[Paid], role: str, row: int = -1) -> list[tuple[float, float, int]]:
    """Amount, gap and kind of each payment in a sequence."""
    join = SequenceJoin()
    found = dict(zip(join.names, join.columns(batch(payments)), strict=True))
    party = "sender" if role == "sender" else "receiver"
    rows = [tuple(found[name][row].as_py() for name in names) for names in sequence_columns(party)]
    kept = [each for each in rows if each[2] >= 0]
    assert all(math.isnan(amount) and math.isnan(gap) for amount, gap, _ in rows[len(kept) :])
    return kept


@given(payments=MADE, cuts=CUTS)
@settings(deadline=None, max_examples=40)
def test_columns_equal_the_twin_and_each_other_in_any_cut(payments: list[Paid], cuts: list[int]) -> None:
    table = as_table(payments)
    whole = in_pieces(table, [])
    np.testing.assert_array_equal(whole, np.array(naive_sequences(payments)).reshape(len(payments), WIDTH))
    np.testing.assert_array_equal(in_pieces(table, cuts), whole)
    np.testing.assert_array_equal(in_pieces(table, cuts, restart=True), whole)


def test_one_by_one_is_the_same_and_the_future_changes_nothing() -> None:
    table = as_table(random_payments(11, 240, accounts=4, span_days=500, late_share=0.3))
    whole = in_pieces(table, [])
    assert np.isfinite(whole[:, 3 * SEQUENCE_LENGTH - 3]).any(), "a sequence is full"
    np.testing.assert_array_equal(in_pieces(table, [1] * 240), whole)
    np.testing.assert_array_equal(in_pieces(table.slice(0, 150), []), whole[:150])


def test_who_the_accounts_are_and_who_came_before_them_changes_nothing() -> None:
    payments = random_payments(5, 150, accounts=6)
    strangers = [Paid(min(p.time for p in payments), f"z{k}", f"y{k}", 5, 5) for k in range(40)]
    names = {f"a{k}": f"q{9 - k}" for k in range(6)} | {"external:sink": "external:a"}
    renamed = [replace(p, sender=names[p.sender], receiver=names[p.receiver]) for p in payments]
    whole = in_pieces(as_table(payments), [])
    np.testing.assert_array_equal(in_pieces(as_table(renamed), []), whole)
    np.testing.assert_array_equal(in_pieces(as_table([*strangers, *payments]), [])[40:], whole)


def test_a_sequence_says_how_much_how_long_after_and_how() -> None:
    payments = [
        Paid(START, "a", "b", 7, 700, channel="cash"),
        Paid(START + 10_000_000, "b", "a", 3, 300, channel="wire"),
        Paid(START + 10_500_000, "c", "b", 1, 100, channel="cash"),
        Paid(START + 11_000_000, "a", "b", 2, None, channel="pigeon"),
    ]
    cash, wire, unknown = (4 * CHANNELS.index("cash"), 4 * CHANNELS.index("wire"), 4 * len(CHANNELS))
    ours, theirs = seen(payments, "sender"), seen(payments, "receiver")
    assert [kind for _, _, kind in ours] == [unknown + 2, wire + 1, cash + 3]
    assert [kind for _, _, kind in theirs] == [unknown, cash + 1, wire + 3, cash + 1]
    assert [gap for _, gap, _ in ours[:-1]] == [1.0, 10.0]
    assert math.isnan(ours[-1][1])
    assert math.isnan(ours[0][0]), "an amount without a rate"
    assert [amount for amount, _, _ in theirs[1:]] == [100.0, 300.0, 700.0]
    assert unknown + 4 == SEQUENCE_KINDS


def test_the_last_32_recorded_count_and_hidden_ones_of_them_make_no_room_for_older_ones() -> None:
    row = [Paid(START + k * 1_000_000, "a", f"b{k}", k + 1, k + 1) for k in range(40)]
    assert [amount for amount, _, _ in seen(row, "sender")] == [float(k) for k in range(40, 8, -1)]
    late = Paid(START + 34_500_000, "a", "c", 99, 99)
    assert [amount for amount, _, _ in seen([*row, late], "sender")] == [99.0, *map(float, range(35, 9, -1))]
    after = Paid(START + 60_000_000, "a", "c", 50, 50)
    last, sent = seen([*row, late, after], "sender"), 4 * CHANNELS.index("transfer") + 2
    assert last[:3] == [(50.0, 25.5, sent), (99.0, 0.0, sent + 1), (40.0, 1.0, sent + 1)], "a gap is never below zero"
    assert len(last) == SEQUENCE_LENGTH


@pytest.mark.parametrize(("days", "length"), [(371, 2), (372, 1)])
def test_what_is_older_than_a_year_and_the_lateness_is_not_seen(days: int, length: int) -> None:
    old, new = Paid(START, "a", "b", 1, 1), Paid(START + days * DAY_US, "a", "b", 2, 2)
    assert len(seen([old, new], "sender")) == length
    ahead = replace(new, sender="x", receiver="y")
    assert len(seen([old, ahead, replace(old, base=5)], "sender")) == length, "a late payment always sees itself"


def test_payments_to_oneself_and_outsiders() -> None:
    shop = "external:shop"
    payments = [Paid(START, "a", shop, 1, 1), Paid(START, "a", "a", 2, 2), Paid(START, shop, "b", 3, 3)]
    assert [amount for amount, _, _ in seen(payments, "sender", 1)] == [1.0], "one to oneself is not in its own"
    assert [amount for amount, _, _ in seen(payments, "receiver", 1)] == [1.0]
    assert seen(payments, "receiver", 0) == seen(payments, "sender", 2) == []
    assert [amount for amount, _, _ in seen(payments, "receiver", 2)] == [3.0]


def test_names_are_declared() -> None:
    both = [*sequence_columns("sender"), *sequence_columns("receiver")]
    names = tuple(name for place in both for name in place)
    assert names == SequenceJoin().names == tuple(feature.name for feature in SEQUENCE_FEATURES)
    assert len(both) == 2 * SEQUENCE_LENGTH
    types = [column.type for column in SequenceJoin().columns(batch(random_payments(1, 3)))]
    assert [str(type_).replace("double", "float64") for type_ in types] == [f.dtype for f in SEQUENCE_FEATURES]


def test_a_payment_that_is_missing_or_out_of_order_is_refused() -> None:
    join, payments = SequenceJoin(), batch(random_payments(1, 10))
    join.columns(payments.slice(0, 4))
    with pytest.raises(EngineError, match="follow on"):
        join.columns(payments.slice(5))
    assert join.columns(payments.slice(4))[0].to_pylist()[0] is not None


#: Prints the hash of all columns, from kernels that were not compiled.
NOT_COMPILED = """
import warnings
warnings.simplefilter("ignore")
import numba
assert numba.config.DISABLE_JIT
from tests.features.test_sequence import fingerprint
print(fingerprint())
"""


def fingerprint() -> str:
    found = in_pieces(as_table(random_payments(3, 200, accounts=4, span_days=500.0)), [50, 1])
    return hashlib.sha256(found.tobytes()).hexdigest()


def test_kernels_that_are_not_compiled_give_the_same_bits() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", NOT_COMPILED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == fingerprint()
