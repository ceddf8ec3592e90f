"""What was served is compared bit for bit with the ledger: nothing is told where all agrees, each value where not."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.errors import RefusedValueError, StoreDamagedError
from greywater.features.account_windows import ACCOUNT_COLUMNS, AccountWindows
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.pipeline.parity import SERVED, ServedLog, ServedView, check_parity
from greywater.stores.open import open_tables
from tests.pipeline.ledgers import MadeLedger, made_table
from tests.pipeline.test_slices import SHORT

SETS = {"payments-v1": payments_v1(SHORT, 1), "payments-v2": payments_v2(SHORT, 1)}
N = 160


class Taking(MadeLedger):
    """A ledger whose payments can be taken by number."""

    def take(self, seqs: np.ndarray, columns: Any = None) -> pa.Table:
        return self.table.select(list(columns)).take(pa.array(seqs))


@pytest.fixture(scope="module")
def ledger() -> Any:
    return Taking(made_table(8, N, accounts=7, span_days=60, late_share=0.15))


def view_of(features: FeatureSet, *, fingerprint: str | None = None) -> ServedView:
    columns = tuple((one.name, one.dtype) for one in features.features)
    return ServedView("all", fingerprint or features.fingerprint, columns)


def served(ledger: Any, features: FeatureSet) -> list[list[Any]]:
    """What a stream hands out, a payment at a time."""
    engine = Engine(features, threads=1)
    return [list(engine.process(ledger.table.slice(k, 1)).columns.to_pylist()[0].values()) for k in range(N)]


def window_view(features: FeatureSet) -> ServedView:
    reader = AccountWindows(features.plan).reader
    return ServedView("windows", features.fingerprint, tuple((one.name, one.dtype) for one in reader.features))


def log_moments(ledger: Any, features: FeatureSet, log: ServedLog, wrong: int = -1) -> int:
    """Windows of accounts between payments, as the online records have them; one value wrong where asked for."""
    windows, view, count = AccountWindows(features.plan), window_view(features), 0
    for begin in range(0, N, 40):
        taken = windows.take(ledger.table.select(list(ACCOUNT_COLUMNS)).slice(begin, 40))
        latest = int(taken.event_us.max())
        for place, account in enumerate(taken.accounts):
            moment = latest + 3_600_000_000 * (place + 1)
            tail = taken.tails[taken.begins[place] : taken.begins[place + 1]]
            values, _ = windows.reader.values_at(tail, moment)
            if count == wrong:
                values[0] += 1
            log.moment(view, account, moment, windows.next_seq, values)
            count += 1
    return count


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("sample", [None, 30])
def test_what_a_stream_serves_is_what_the_ledger_says(ledger: Any, name: str, sample: int | None) -> None:
    tables, features = open_tables("memory:"), SETS[name]
    with ServedLog(tables, batch_rows=150) as log:
        for seq, values in enumerate(served(ledger, features)):
            log.payment(view_of(features), seq, values)
    result = check_parity(ledger, tables, features, sample=sample)
    vectors = sample or N
    assert (result.served, result.vectors, result.values) == (N, vectors, vectors * len(features.names))
    assert result.differences == ()


def test_every_wrong_value_is_told_with_its_payment_and_both_values(ledger: Any) -> None:
    tables, features = open_tables("memory:"), SETS["payments-v1"]
    rows = served(ledger, features)
    names = list(features.names)
    amount, count = names.index("payment.amount"), names.index("sender.out.count.1d")
    true = rows[37][amount]
    rows[37][amount] = math.nextafter(true, math.inf)
    rows[90][count] += 1
    rows[91][names.index("pair.since_last")] = -0.0
    with ServedLog(tables) as log:
        for seq in (90, 37, 91, 5):
            log.payment(view_of(features), seq, rows[seq])
    found = check_parity(ledger, tables, features).differences
    assert [(one.seq, one.tx_id, one.feature) for one in found] == [
        (37, "t37", "payment.amount"), (90, "t90", "sender.out.count.1d"), (91, "t91", "pair.since_last"),
    ]  # fmt: skip
    assert (found[0].served, found[0].expected) == (math.nextafter(true, math.inf), true)
    assert found[1].expected == rows[90][count] - 1


def test_windows_served_between_payments_are_compared_too(ledger: Any) -> None:
    features = SETS["payments-v1"]
    tables = open_tables("memory:")
    with ServedLog(tables) as log:
        count = log_moments(ledger, features, log)
        log.moment(window_view(features), "nobody", 10**15, 100, empty_windows(features))
    result = check_parity(ledger, tables, features, sample=None)
    assert (result.vectors, result.differences) == (count + 1, ())
    wrong = open_tables("memory:")
    with ServedLog(wrong) as log:
        log_moments(ledger, features, log, wrong=11)
    (told,) = check_parity(ledger, wrong, features, sample=None).differences
    assert (told.tx_id, told.feature) == (None, "out.count.1h")
    assert told.served == (told.expected or 0) + 1
    assert told.entity is not None
    assert told.moment_us is not None


def empty_windows(features: FeatureSet) -> list[float]:
    """Of an account nobody heard of."""
    from greywater.features.account_windows import WindowReader, held_payments

    values, _ = WindowReader(features.plan).values_at(held_payments([], []), 10**15)
    return values


def test_a_payment_the_ledger_does_not_hold_is_told(ledger: Any) -> None:
    tables, features = open_tables("memory:"), SETS["payments-v1"]
    with ServedLog(tables) as log:
        log.payment(view_of(features), N + 3, served(ledger, features)[0])
    found = check_parity(ledger, tables, features).differences
    assert len(found) == len(features.names)
    assert {(one.seq, one.tx_id, one.expected) for one in found} == {(N + 3, None, None)}


def test_vectors_of_other_features_are_counted_and_a_part_of_a_set_is_compared(ledger: Any) -> None:
    tables, features = open_tables("memory:"), SETS["payments-v1"]
    rows = served(ledger, features)
    part = ServedView("part", features.fingerprint, (("payment.amount", "float64"), ("calendar.hour", "int64")))
    names = list(features.names)
    with ServedLog(tables) as log:
        for seq in range(20):
            log.payment(view_of(features, fingerprint="another"), seq, rows[seq])
            log.payment(part, seq, [rows[seq][names.index(name)] for name, _ in part.columns])
    result = check_parity(ledger, tables, features, sample=None)
    assert (result.served, result.vectors, result.other_features, result.differences) == (40, 20, 20, ())


def test_the_draw_is_the_same_for_a_seed_and_another_for_another(ledger: Any) -> None:
    tables, features = open_tables("memory:"), SETS["payments-v1"]
    view = ServedView("one", features.fingerprint, (("payment.amount", "float64"),))
    with ServedLog(tables) as log:
        for seq in range(N):
            log.payment(view, seq, [-1.0])

    def drawn(seed: int) -> list[int]:
        return [one.seq for one in check_parity(ledger, tables, features, sample=20, seed=seed).differences]

    assert len(drawn(1)) == 20
    assert drawn(1) == drawn(1) != drawn(2)


def test_nothing_served_is_nothing_wrong(ledger: Any) -> None:
    result = check_parity(ledger, open_tables("memory:"), SETS["payments-v1"])
    assert (result.served, result.vectors, result.differences) == (0, 0, ())


def test_a_vector_of_another_shape_is_refused_and_a_torn_one_noticed(ledger: Any) -> None:
    view = ServedView("v", SETS["payments-v1"].fingerprint, (("a", "int64"), ("b", "float64")))
    for values in ([1], [1, 2.0, 3], ["x", 2.0], [1.5, 2.0]):
        with pytest.raises(RefusedValueError, match="does not fit"):
            view.pack(values)  # type: ignore[arg-type]
    with pytest.raises(StoreDamagedError):
        view.unpack(b"123")
    assert math.isnan(view.unpack(view.pack([2**62, None]))[1])
    assert struct.unpack("<q", view.pack([-5, 0.0])[:8]) == (-5,)
    tables = open_tables("memory:")
    with ServedLog(tables) as log:
        log.payment(view, 0, [1, 2.0])
    torn = tables.read(SERVED)
    assert torn is not None
    tables.append(SERVED, torn.set_column(5, torn.schema.field(5), pa.array([b"short"], pa.binary())))
    with pytest.raises(StoreDamagedError, match="nothing says"):
        check_parity(ledger, tables, SETS["payments-v1"], sample=None)
