"""Windows of an account at any moment, against a slow twin and against the engine's own columns."""

from __future__ import annotations

import hashlib
import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import EngineError, RefusedValueError, SnapshotError
from greywater.features.account_windows import AccountWindows, Held, Taken, WindowReader, held_payments
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine
from greywater.features.windows import WindowPlan
from tests.features.payments import as_table, joined, random_payments, run_in_blocks
from tests.naive import DAY_US, Paid, is_external

PLAN = WindowPlan((3_600, 86_400, 7 * 86_400), (2, 10), 3 * 86_400)
#: Whole days shorter than the sliding windows, and no lateness at all.
ODD = WindowPlan((5 * 86_400, 30 * 86_400), (1, 3), 0)
FAR = 2**62


def twin(plan: WindowPlan, sent: Sequence[Held], received: Sequence[Held], moment: int) -> dict[str, float]:
    """The values at a moment, from the words of the rule."""
    values: dict[str, float] = {}
    for direction, payments in (("out", sent), ("in", received)):
        for label, seconds in zip(plan.labels, plan.seconds, strict=True):
            days = label in {f"{d}d" for d in plan.day_windows}
            inside = [
                one
                for one in payments
                if one[0] <= moment
                and (
                    moment // DAY_US - seconds // 86_400 < one[0] // DAY_US
                    if days
                    else one[0] > moment - seconds * 1_000_000
                )
            ]
            amounts = [one[1] for one in inside if one[1] is not None]
            n, total = len(amounts), sum(amounts)
            spread = n * sum(a * a for a in amounts) - total**2
            name = f"{direction}.{{}}.{label}".format
            values[name("count")] = len(inside)
            values[name("counterparties")] = len({one[2] for one in inside})
            values[name("new_counterparties")] = sum(one[3] for one in inside)
            values[name("sum")] = float(total)
            values[name("mean")] = float(total) / n if n else math.nan
            values[name("std")] = math.sqrt(float(spread) / float(n * (n - 1))) if n > 1 else math.nan
            values[name("min")] = float(min(amounts)) if amounts else math.nan
            values[name("max")] = float(max(amounts)) if amounts else math.nan
    return values


def same(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


held = st.lists(
    st.tuples(
        st.integers(19_000 * DAY_US, 19_012 * DAY_US).map(lambda t: t - t % 900_000_000),
        st.one_of(st.none(), st.integers(0, 2**53 - 1), st.integers(0, 9)),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.mark.parametrize("plan", [PLAN, ODD], ids=["plan", "odd"])
@given(sent=held, received=held, later=st.integers(0, 40 * DAY_US))
def test_any_moment_equals_the_twin_and_nothing_changes_before_the_next_change(
    plan: WindowPlan, sent: list[Held], received: list[Held], later: int
) -> None:
    reader = WindowReader(plan)
    last = max((one[0] for one in sent + received), default=19_000 * DAY_US)
    tail = held_payments(sent, received)
    moment = last + later
    values, change = reader.values_at(tail, moment)
    expected = twin(plan, sent, received, moment)
    assert set(reader.names) == set(expected)
    assert same(values, [expected[name] for name in reader.names])
    assert change > moment
    if change == FAR:
        after = twin(plan, sent, received, moment + 400 * DAY_US)
        assert same([after[name] for name in reader.names], values)
        return
    before, after = (twin(plan, sent, received, change - k) for k in (1, 0))
    assert same([before[name] for name in reader.names], values)
    assert not same([after[name] for name in reader.names], values)
    assert same(reader.values_at(tail, change)[0], [after[name] for name in reader.names])


def engine_values(payments: list[Paid], plan: WindowPlan) -> pa.Table:
    """The engine's columns of all payments that it scores, and their positions."""
    settings = Settings(windows=plan.windows, day_windows=plan.day_windows, allowed_lateness=plan.allowed_lateness)
    return joined(run_in_blocks(Engine(payments_v1(settings, 1), threads=1), as_table(payments), []))


def take_all(plan: WindowPlan, payments: list[Paid], sizes: list[int]) -> list[Taken]:
    state, table, taken = AccountWindows(plan), as_table(payments), []
    for size in [*sizes, len(payments)]:
        part = table.slice(state.next_seq, size)
        if part.num_rows:
            taken.append(state.take(part))
    return taken


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_the_engines_bits(seed: int) -> None:
    payments = random_payments(seed, 140, span_days=20.0)
    engine = engine_values(payments, PLAN)
    rows = pa.concat_tables([taken.rows for taken in take_all(PLAN, payments, [1, 1, 40, 7])])
    at, scored, names = 0, 0, WindowReader(PLAN).names
    columns = {name: rows.column(name).to_numpy() for name in names}
    for payment in payments:
        parties = [("sender", payment.sender), ("receiver", payment.receiver)]
        both = not is_external(payment.sender) and not is_external(payment.receiver)
        for role, account in parties[: 1 if payment.sender == payment.receiver else 2]:
            if is_external(account):
                continue
            assert rows.column("account")[at].as_py() == account
            assert rows.column("event_time").cast(pa.int64())[at].as_py() == payment.time
            if both:
                mine = [columns[name][at] for name in names]
                assert same(mine, [engine.column(f"{role}.{name}")[scored].as_py() for name in names])
            at += 1
        scored += both
    assert (at, scored) == (rows.num_rows, engine.num_rows)
    assert scored > 50


@pytest.mark.parametrize("seed", range(3))
def test_blocks_change_nothing(seed: int) -> None:
    payments = random_payments(seed + 10, 120, span_days=20.0)
    whole = take_all(PLAN, payments, [])[-1]
    cuts = take_all(PLAN, payments, [random.Random(seed).randrange(1, 9) for _ in range(20)])
    together = pa.concat_tables([taken.rows for taken in cuts])
    for name in whole.rows.column_names[3:]:
        assert same(whole.rows.column(name).to_numpy(), together.column(name).to_numpy())
    last = {}
    for taken in cuts:
        last |= records_of(taken)
    # The records of accounts that only older blocks touched differ in nothing a reader can see.
    reader = WindowReader(PLAN)
    moment = max(payment.time for payment in payments) + 3_600_000_000
    for account, (event, tail, _) in records_of(whole).items():
        assert last[account][0] == event
        assert same(reader.values_at(tail, moment)[0], reader.values_at(last[account][1], moment)[0])


def records_of(taken: Taken) -> dict[str, tuple[int, np.ndarray, list[float]]]:
    return {
        account: (
            int(taken.event_us[k]),
            taken.tails[taken.begins[k] : taken.begins[k + 1]],
            taken.counts[k].tolist() + taken.floats[k].tolist(),
        )
        for k, account in enumerate(taken.accounts)
    }


@pytest.mark.parametrize("plan", [PLAN, ODD], ids=["plan", "odd"])
@pytest.mark.parametrize("seed", range(3))
def test_records_equal_the_twin_at_their_event_and_later(plan: WindowPlan, seed: int) -> None:
    payments = random_payments(seed + 20, 100, span_days=15.0, late_share=0.0 if plan is ODD else 0.1)
    state, table, reader = AccountWindows(plan), as_table(payments), WindowReader(plan)
    draw = random.Random(seed)
    met: set[tuple[str, str]] = set()
    sent: dict[str, list[Held]] = {}
    received: dict[str, list[Held]] = {}
    compared = 0
    for k, payment in enumerate(payments):
        pair = (payment.sender, payment.receiver)
        if payment.sender != payment.receiver:
            sent.setdefault(payment.sender, []).append((payment.time, payment.base, payment.receiver, pair not in met))
            received.setdefault(payment.receiver, []).append(
                (payment.time, payment.base, payment.sender, pair not in met)
            )
            met.add(pair)
        horizon = max(one.time for one in payments[: k + 1])
        taken = state.take(table.slice(k, 1))
        for place, account in enumerate(taken.accounts):
            event, tail, values = records_of(taken)[account]
            if account not in sent and account not in received:
                assert event < 0
                continue
            assert event == max(one[0] for one in sent.get(account, []) + received.get(account, []))
            if event < horizon - plan.allowed_lateness * 1_000_000:
                continue
            for moment in (event, event + draw.randrange(20 * DAY_US), int(taken.change_us[place]) % FAR):
                if moment < event:
                    continue
                expected = twin(plan, sent.get(account, []), received.get(account, []), moment)
                found = reader.values_at(tail, moment)[0]
                assert same(found, [expected[name] for name in reader.names]), (k, account, moment)
                if moment < taken.change_us[place]:
                    assert same(values, found)
                compared += 1
    assert compared > 100


def test_an_outsider_has_no_row_and_its_counterparty_has_its_values() -> None:
    payments = [Paid(19_000 * DAY_US + k, "external:x", "a", 100, 100) for k in range(3)]
    (taken,) = take_all(PLAN, payments, [])
    assert taken.accounts == ("a",)
    assert taken.rows.column("account").to_pylist() == ["a"] * 3
    assert taken.rows.column("in.count.1h").to_pylist() == [1, 2, 3]
    assert taken.rows.column("in.counterparties.1h").to_pylist() == [1, 1, 1]
    assert taken.rows.column("in.sum.1h").to_pylist() == [100.0, 200.0, 300.0]
    assert taken.held.tolist() == [3]
    assert taken.rows.column("known_time") == taken.rows.column("event_time")
    table = as_table(payments)
    later = AccountWindows(PLAN).take(table.append_column("known_time", table.column("event_time").cast(pa.int64())))
    assert later.rows.column("known_time").cast(pa.int64()).to_pylist() == [one.time for one in payments]


@pytest.mark.parametrize("cut", [0, 30, 77])
def test_a_snapshot_goes_on_with_the_same_bits(cut: int) -> None:
    payments = random_payments(5, 110, span_days=20.0)
    table, whole = as_table(payments), AccountWindows(PLAN)
    whole.take(table.slice(0, cut))
    state = whole.snapshot()
    expected = whole.take(table.slice(cut))
    again = AccountWindows(PLAN)
    again.restore(state)
    assert again.next_seq == cut
    found = again.take(table.slice(cut))
    assert found.accounts == expected.accounts
    for name in ("event_us", "change_us", "counts", "begins", "tails"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert np.array_equal(found.floats, expected.floats, equal_nan=True)
    with pytest.raises(SnapshotError, match="windows"):
        AccountWindows(ODD).restore(state)


#: Prints the hash of everything that a few payments lead to, from kernels that were not compiled.
NOT_COMPILED = """
import warnings
warnings.simplefilter("ignore")
import numba
assert numba.config.DISABLE_JIT
from tests.features.test_account_windows import fingerprint
print(fingerprint())
"""


def fingerprint() -> str:
    """Of rows, records and values at a later moment."""
    digest = hashlib.sha256()
    reader = WindowReader(PLAN)
    for taken in take_all(PLAN, random_payments(3, 60, span_days=20.0), [20]):
        for part in (taken.counts, taken.floats, taken.tails, taken.change_us):
            digest.update(part.tobytes())
        for name in reader.names:
            digest.update(taken.rows.column(name).to_numpy().tobytes())
        for event, tail, _ in records_of(taken).values():
            digest.update(str(reader.values_at(tail, max(event, 0) + 2 * DAY_US)).encode())
    return digest.hexdigest()


def test_kernels_that_are_not_compiled_give_the_same_bits() -> None:
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", NOT_COMPILED], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fingerprint()


def test_payments_must_follow_on() -> None:
    table = as_table(random_payments(1, 10))
    state: Any = AccountWindows(PLAN)
    with pytest.raises(EngineError, match="follow on"):
        state.take(table.slice(3))
    with pytest.raises(EngineError, match="missing"):
        state.take(table.drop(["base_amount"]))
    assert state.take(table.slice(0, 0)).accounts == ()
    with pytest.raises(RefusedValueError, match="negative"):
        held_payments([(0, -1, "b", True)], [])
