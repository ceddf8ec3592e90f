"""Window values served online are exact at every moment, between payments too."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from greywater.errors import RefusedValueError, StoreError, UsageError
from greywater.features.account_windows import AccountWindows, Held
from greywater.features.windows import WindowPlan
from greywater.featurestore import window_records
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, RequestValue, ViewFeature
from greywater.featurestore.vectors import OnlineView
from greywater.featurestore.window_records import WindowWriter, window_group, window_reader
from greywater.stores.feature_ports import Online
from greywater.stores.online_memory import MemoryOnline
from tests.features.payments import as_table, random_payments
from tests.features.test_account_windows import PLAN, same, twin
from tests.naive import DAY_US, Paid, is_external

HOUR = 3_600_000_000
GROUP = window_group(PLAN)
KEY = (GROUP.name, GROUP.version)
ALL = FeatureView("all", 1, tuple(ViewFeature(*KEY, field.name) for field in GROUP.features))


def opened(engine: AccountWindows | None = None, online: Online | None = None) -> OnlineView:
    return OnlineView(ALL, {KEY: GROUP}, online or MemoryOnline(), windows={KEY: window_reader(PLAN, engine)})


def histories(payments: list[Paid]) -> dict[str, tuple[list[Held], list[Held]]]:
    """What each account sent and received, in order."""
    held: dict[str, tuple[list[Held], list[Held]]] = {}
    met: set[tuple[str, str]] = set()
    for one in payments:
        pair = (one.sender, one.receiver)
        for side, (account, other) in enumerate((pair, pair[::-1])):
            sides = held.setdefault(account, ([], []))
            if one.sender != one.receiver:
                sides[side].append((one.time, one.base, other, pair not in met))
        met.add(pair)
    return {account: sides for account, sides in held.items() if not is_external(account) and any(sides)}


@pytest.mark.parametrize("seed", range(3))
def test_served_values_equal_the_twin_at_payments_and_between_them(seed: int) -> None:
    payments = random_payments(seed + 40, 90, span_days=15.0, late_share=0.05)
    state, table, view = AccountWindows(PLAN), as_table(payments), opened()
    writer = WindowWriter(view, PLAN)
    draw = random.Random(seed)
    assert writer.next_seq == 0
    while state.next_seq < len(payments):
        assert writer.write(state.take(table.slice(state.next_seq, draw.randrange(1, 30)))) > 0
    assert writer.next_seq == len(payments)
    horizon = max(one.time for one in payments)
    compared = 0
    for account, (sent, received) in histories(payments).items():
        last = max(one[0] for one in sent + received)
        assert last > horizon - PLAN.allowed_lateness * 1_000_000
        for moment in (last, last + 1, *(last + draw.randrange(12 * DAY_US) for _ in range(6))):
            found = view.vector(account, at_us=moment)
            expected = twin(PLAN, sent, received, moment)
            assert same(found, [expected[name] for name in ALL.names]), (account, moment)  # type: ignore[arg-type]
            compared += 1
        with pytest.raises(RefusedValueError, match="before the record"):
            view.vector(account, at_us=last - 1)
    assert compared > 20
    nobody = view.vector("nobody", at_us=horizon)
    assert same(nobody, [twin(PLAN, [], [], horizon)[name] for name in ALL.names])  # type: ignore[arg-type]


def paid(times: list[int]) -> list[Paid]:
    return [Paid(time, "a", "b", 100 + k, 100 + k) for k, time in enumerate(times)]


def test_a_view_picks_its_columns_and_merges_request_values_and_other_groups() -> None:
    credit = FeatureGroup("credit", 1, ("account",), ("string",), (FeatureField("score", "float64", default=0.5),))
    columns = (
        ViewFeature(*KEY, "out.max.1h"), RequestValue("amount", "int64"), ViewFeature("credit", 1, "score"),
        ViewFeature(*KEY, "out.count.1d", "sent"), ViewFeature(*KEY, "in.mean.1h"),
    )  # fmt: skip
    groups: Any = {KEY: GROUP, ("credit", 1): credit}
    view = OnlineView(FeatureView("m", 1, columns), groups, MemoryOnline(), windows={KEY: window_reader(PLAN)})
    start = 19_000 * DAY_US
    WindowWriter(view, PLAN).write(AccountWindows(PLAN).take(as_table(paid([start, start + HOUR // 2]))))
    assert view.vector("a", {"amount": 7}, at_us=start + HOUR // 2)[:4] == (101.0, 7, 0.5, 2)
    late = view.vector({"account": "a"}, {"amount": 7}, at_us=start + 2 * HOUR)
    assert late[1:4] == (7, 0.5, 2)
    assert math.isnan(late[0])  # type: ignore[arg-type]
    (aged,) = view.vectors(["a"], at_us=start + 2 * HOUR, with_age=True)
    assert aged[1] == {"account_windows": 5_400.0, "credit": None}
    matrix = view.vectors(["a", "nobody"], at_us=start + HOUR, as_numpy=True)
    assert np.array_equal(matrix, [[101, np.nan, 0.5, 2, np.nan], [np.nan, np.nan, 0.5, 0, np.nan]], equal_nan=True)
    # Long after the last payment: now.
    assert view.vector("a")[3] == 0


def test_an_account_with_too_many_payments_is_served_until_a_value_changes_then_named() -> None:
    start = 19_000 * DAY_US
    view = opened()
    taken = AccountWindows(PLAN).take(as_table(paid([start + k for k in range(9)])))
    assert WindowWriter(view, PLAN, most_held=8).write(taken) == 2
    place = ALL.names.index("out.count.1h")
    assert view.vector("a", at_us=start + 8)[place] == 9
    assert view.vector("a", at_us=start + HOUR - 1)[place] == 9
    for ask in (lambda: view.vector("a", at_us=start + HOUR), lambda: view.vectors(["b", "a"], at_us=start + HOUR)):
        with pytest.raises(StoreError, match="engine process"):
            ask()
    with pytest.raises(StoreError, match="engine process"):
        opened(AccountWindows(PLAN), view.online).vector("a", at_us=start + HOUR)
    again = opened()
    assert WindowWriter(again, PLAN, most_held=9).write(taken) == 2
    assert again.vector("a", at_us=start + HOUR)[place] == 8


def test_the_engine_answers_for_accounts_of_which_a_record_holds_too_little() -> None:
    start = 19_000 * DAY_US
    engine = AccountWindows(PLAN)
    taken = engine.take(as_table(random_payments(3, 80)))
    view = opened(engine)
    WindowWriter(view, PLAN, most_held=0).write(taken)
    moments = [int(taken.event_us.max()) + step for step in (0, HOUR // 3, HOUR, 100 * DAY_US)]
    expected = opened()
    WindowWriter(expected, PLAN).write(taken)
    for moment in moments:
        asked = [*taken.accounts, "nobody"]
        assert np.array_equal(
            view.vectors(asked, at_us=moment, as_numpy=True),
            expected.vectors(asked, at_us=moment, as_numpy=True),
            equal_nan=True,
        )
    assert engine.values_at("nobody", start) is None
    with pytest.raises(RefusedValueError, match="before the account's last payment"):
        engine.values_at(taken.accounts[0], 0)


def test_taken_again_a_block_writes_the_same_records() -> None:
    table = as_table(random_payments(7, 60))
    view = opened()
    writer = WindowWriter(view, PLAN)
    state = AccountWindows(PLAN)
    writer.write(state.take(table.slice(0, 40)))
    before = state.snapshot()
    writer.write(state.take(table.slice(40)))
    held = dict(view.online.scan("all@1/account"))
    again = AccountWindows(PLAN)
    again.restore(before)
    writer.write(again.take(table.slice(40)))
    assert dict(view.online.scan("all@1/account")) == held
    assert writer.write(again.take(table.slice(60))) == 0
    assert writer.next_seq == 60


def test_many_records_are_written_in_several_commits_and_the_mark_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = opened()
    commits: list[tuple[int, bytes | None]] = []
    whole = view.online.put_many

    def counted(space: str, items: Any, *, mark: bytes | None = None) -> int:
        commits.append((len(items), mark))
        return whole(space, items, mark=mark)

    monkeypatch.setattr(view.online, "put_many", counted)
    taken = AccountWindows(PLAN).take(as_table(random_payments(7, 60)))
    for name, value in (("BATCH", 2), ("BATCH_BYTES", 1)):
        monkeypatch.setattr(window_records, name, value)
        commits.clear()
        assert WindowWriter(view, PLAN).write(taken) == 6
        assert [size for size, _ in commits] == ([2, 2, 2] if name == "BATCH" else [1] * 6)
        assert [mark for _, mark in commits] == [None] * (len(commits) - 1) + [(60).to_bytes(8, "big")]


def test_a_view_without_these_windows_is_refused() -> None:
    other = WindowPlan((60,), (), 0)
    with pytest.raises(UsageError, match="not those of the plan"):
        WindowWriter(opened(), other)
    plain = OnlineView(ALL, {KEY: GROUP}, MemoryOnline())
    with pytest.raises(UsageError, match="none at all"):
        WindowWriter(plain, PLAN)
