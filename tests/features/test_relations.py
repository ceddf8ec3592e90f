"""Relations as of a payment: equal to a twin row by row, in any cut; from a project's records to columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.features.relations import FOREVER, RELATION_FEATURES, AccountFact, PairFact, RelationJoin, Seen

NAMES = ["a", "b", "c"]
MOMENTS = st.integers(0, 9)
SEEN = st.builds(
    Seen,
    since=MOMENTS,
    after=st.integers(-1, 8),
    until=MOMENTS | st.just(FOREVER),
    ends=st.lists(st.tuples(MOMENTS, st.integers(-1, 8)), max_size=2).map(tuple),
)
ACCOUNTS = st.lists(
    st.builds(AccountFact, st.sampled_from(NAMES), st.sampled_from(["X", "Y"]), st.booleans(), SEEN), max_size=6
)
PAIRS = st.lists(st.builds(PairFact, st.sampled_from(NAMES), st.sampled_from(NAMES), SEEN), max_size=4)
PAYMENTS = st.lists(st.tuples(MOMENTS, st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12)


def batch(payments: list[tuple[int, str, str]], first: int = 0) -> pa.RecordBatch:
    times, senders, receivers = zip(*payments, strict=True) if payments else ((), (), ())
    columns: dict[str, Any] = {
        "seq": pa.array(range(first, first + len(payments)), pa.int64()),
        "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "sender": pa.array(senders, pa.string()),
        "receiver": pa.array(receivers, pa.string()),
    }
    return pa.record_batch(columns)


def sees(seen: Seen, seq: int, time: int) -> bool:
    ended = any(after < seq and since <= time for since, after in seen.ends)
    return seen.after < seq and seen.since <= time < seen.until and not ended


def twin(accounts: list[AccountFact], pairs: list[PairFact], payments: list[tuple[int, str, str]]) -> list[list[int]]:
    rows = []
    for seq, (time, sender, receiver) in enumerate(payments):
        row = [
            len({f.launderer for f in accounts if f.account == party and f.named == named and sees(f.seen, seq, time)})
            for named in (True, False)
            for party in (sender, receiver)
        ]
        ends = ((sender, receiver), (receiver, sender))
        row.append(int(any((p.first, p.second) in ends and sees(p.seen, seq, time) for p in pairs)))
        rows.append(row)
    return rows


@given(ACCOUNTS, PAIRS, PAYMENTS, st.integers(1, 5))
@settings(deadline=None)
def test_columns_equal_the_twin_in_any_cut(
    accounts: list[AccountFact], pairs: list[PairFact], payments: list[tuple[int, str, str]], size: int
) -> None:
    join = RelationJoin(accounts, pairs)
    wanted = twin(accounts, pairs, payments)
    found: list[list[int]] = []
    for at in range(0, len(payments), size):
        columns = join.columns(batch(payments[at : at + size], at))
        assert all(column.type == pa.int64() for column in columns)
        found += [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]
    assert found == wanted


def test_names_are_declared() -> None:
    assert RelationJoin([], []).names == tuple(feature.name for feature in RELATION_FEATURES)


def test_facts_that_hold_together() -> None:
    one, other = Seen(3, 5, 9, ((4, 1),)), Seen(4, 2)
    assert one.both(other) == Seen(4, 5, 9, ((4, 1),))
