"""Communities as of a payment: the slow obvious way agrees, and the pieces in which payments come change no bit."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.features.community import CommunityJoin
from greywater.vocab import EXTERNAL_PREFIX
from tests import naive_trust
from tests.naive_suspicion import seen_refresh

DAY = 86_400_000_000
SHOP = f"{EXTERNAL_PREFIX}shop"
ACCOUNTS = ["a", "b", "c", "d", "e", SHOP]
Row = tuple[int, str, str]


def through(rows: list[Row], cuts: list[int], *, least: float = 1e-6, keep_days: int = 3) -> np.ndarray:
    join = CommunityJoin(least=least, keep_days=keep_days)
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]
    parts = [join.columns(batch(rows[begin:end], begin)) for begin, end in itertools.pairwise(bounds) if end]
    return np.array([np.concatenate([np.asarray(part[side]) for part in parts]) for side in (0, 1)])


def batch(rows: list[Row], first: int) -> pa.RecordBatch:
    time, sender, receiver = zip(*rows, strict=True)
    moments = pa.array(time, pa.timestamp("us", tz="UTC"))
    seq = np.arange(first, first + len(rows))
    return pa.record_batch({"seq": seq, "event_time": moments, "sender": list(sender), "receiver": list(receiver)})


def slowly(rows: list[Row], place: int, *, keep_days: int = 3) -> float:
    """Trust of one payment's receiver: TrustRank over a dense graph of all payments before its snapshot."""
    _, sender, receiver = rows[place]
    seen = seen_refresh([(*row, 0) for row in rows[: place + 1]], keep_days=keep_days)
    if SHOP in (sender, receiver) or seen is None:
        return np.nan
    before = [row[1:] for row in rows[: seen[1]] if SHOP not in row]
    past = [(ACCOUNTS.index(one), ACCOUNTS.index(two), 1.0) for one, two in before]
    links = past + [(two, one, weight) for one, two, weight in past]
    return float(naive_trust.leak(links, 6, {ACCOUNTS.index(sender): 1.0}, 0.85)[ACCOUNTS.index(receiver)])


payment = st.tuples(st.integers(0, 12 * DAY), st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS))


@settings(max_examples=60, deadline=None)
@given(st.lists(payment, min_size=1, max_size=40), st.lists(st.integers(1, 39)))
def test_it_is_what_the_slow_way_finds_however_it_is_cut(rows: list[Row], cuts: list[int]) -> None:
    rows = sorted(rows[: len(rows) * 3 // 4]) + rows[len(rows) * 3 // 4 :]
    whole = through(rows, [])
    np.testing.assert_array_equal(through(rows, cuts), whole)
    np.testing.assert_array_equal(through(rows, list(range(1, 40))), whole)
    told = [(trust, slowly(rows, place)) for place, trust in enumerate(whole[0]) if rows[place][1] != rows[place][2]]
    np.testing.assert_allclose([one for one, _ in told], [two for _, two in told], atol=2e-4)
    assert (whole[1] == np.where(np.isnan(whole[0]), -1, whole[0] < 1e-6)).all()


def test_a_first_payment_within_the_circle_is_inside_and_one_out_of_it_is_not() -> None:
    circle = [(k, one, two) for k, (one, two) in enumerate(itertools.permutations("abc", 2))]
    rows = [*circle[1:], (DAY + 1, "a", "b"), (DAY + 2, "a", "d"), (DAY + 3, "d", "a"), (DAY + 4, "d", "d")]
    assert through(rows, [], least=1e-3)[1][5:].tolist() == [0, 1, 1, 0]


def test_what_comes_later_on_the_day_changes_nothing() -> None:
    rows = [(1, "a", "b"), (2, "b", "c"), (DAY + 1, "a", "c")]
    later = [*rows, (DAY + 2, "a", "c"), (DAY + 3, "c", "d"), (2 * DAY, "a", "d")]
    assert through(rows, []).tolist() == through(later, [])[:, :3].tolist()
