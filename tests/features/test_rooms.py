"""Memory is used again only when nobody can see it any more."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from greywater.config import Settings
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine
from greywater.features.rooms import Rooms
from tests.features.payments import as_table, joined, random_payments, same_bits

SET = payments_v1(Settings(windows=(86_400,), day_windows=()), 1)


def test_a_room_in_use_is_not_given_again() -> None:
    rooms = Rooms()
    first = rooms.columns(3, 10, np.int64)
    first[:] = 7
    column = pa.array(first[1])
    place = first.ctypes.data
    del first
    second = rooms.columns(3, 10, np.int64)
    second[:] = 9
    assert column.to_pylist() == [7] * 10
    del column
    third = rooms.columns(3, 10, np.float64)
    assert third.ctypes.data == place


def test_kept_slices_of_blocks_keep_their_values() -> None:
    table = as_table(random_payments(2, 600, accounts=6))
    whole = joined([Engine(SET, threads=1).process(table)])
    engine = Engine(SET, threads=1)
    kept = []
    for begin in range(0, 600, 20):
        block = engine.process(table.slice(begin, 20))
        kept.append(pa.table(block.columns.slice(3, 10)).filter(pa.array(block.scored[3:13])))
        del block
    for number, part in enumerate(kept):
        before = int(np.sum(Engine(SET, threads=1).process(table.slice(0, number * 20 + 3)).scored))
        assert same_bits(whole.slice(before, part.num_rows), part) == []
