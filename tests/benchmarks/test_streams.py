"""Made payments of the benchmarks: the same for the same seed, in order, with what they promise in them."""

from __future__ import annotations

import numpy as np
import pytest

from streams import HUBS, Stream, dense, sparse
from trading import trades

COLUMNS = ("time", "sender", "receiver", "amount")


def hubs(numbers: np.ndarray, accounts: int, many: int = 200) -> set[int]:
    return set(np.argsort(-np.bincount(numbers, minlength=accounts))[:many].tolist())


@pytest.mark.parametrize("make", [sparse, dense])
def test_a_stream_is_the_same_for_the_same_seed(make: object) -> None:
    one, other = (make(20_000, 2.0, accounts=5_000) for _ in range(2))  # type: ignore[operator]
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)
    changed = make(20_000, 2.0, accounts=5_000, seed=2)  # type: ignore[operator]
    assert not np.array_equal(one.sender, changed.sender)


@pytest.mark.parametrize("make", [sparse, dense])
def test_a_stream_is_in_time_order_and_complete(make: object) -> None:
    made: Stream = make(20_000, 2.0, accounts=5_000)  # type: ignore[operator]
    assert len(made) == 20_000
    assert (np.diff(made.time) >= 0).all()
    assert np.ptp(made.time) < 2 * 86_400_000_000
    assert (made.sender != made.receiver).all()
    assert made.amount.min() > 0
    assert min(made.sender.min(), made.receiver.min()) >= 0
    assert max(made.sender.max(), made.receiver.max()) < made.accounts


def test_only_the_dense_stream_has_hubs_that_send_and_receive() -> None:
    shares = {}
    for make in (sparse, dense):
        made = make(200_000, 2.0, accounts=20_000)
        both = hubs(made.sender, made.accounts) & hubs(made.receiver, made.accounts)
        shares[made.name] = len(both) / 200
    assert shares["sparse"] < 0.1
    assert 0.2 < shares["dense"] < 0.5
    assert HUBS < 20_000


def test_amounts_of_a_pump_and_dump_do_not_give_it_away() -> None:
    made, again = (trades(20_000, 10, accounts=3_000, schemes=60) for _ in range(2))
    assert all(np.array_equal(getattr(made, name), getattr(again, name)) for name in (*COLUMNS, "label"))
    planted, honest = (np.log(made.amount[made.label == k]) for k in (1, 0))
    assert len(planted) > 500
    assert abs(np.median(planted) - np.median(honest)) < 0.3
    assert abs(planted.std() - honest.std()) < 0.3
    assert (made.sender != made.receiver).all()


def test_a_pump_and_dump_gathers_before_it_scatters_most_of_it() -> None:
    made = trades(1_000, 10, accounts=3_000, schemes=1)
    part = made.label == 1
    time, sender, receiver, amount = (getattr(made, name)[part] for name in COLUMNS)
    hub = np.bincount(receiver).argmax()
    came, went = receiver == hub, sender == hub
    assert came.sum() >= 5
    assert went.sum() >= 5
    assert (came | went).all()
    assert time[came].max() < time[went].min()
    assert 0.8 < amount[went].sum() / amount[came].sum() < 1.0
