"""The hash of a key tuple is SipHash-2-4-128 of its typed words, for ever the same."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.stores.offline_keys import key_hashes
from tests.naive_siphash import MASK, siphash128

#: Computed once by OpenSSL's SIPHASH (size:16); files on disk are sorted by such numbers.
FIXED = {
    ("alice",): (5396616020047828029, 1781292156203189100),
    ("",): (-197484309096459793, 1690553946512228516),
    ("a",): (6886916360535991729, -891210855375138975),
    ("12345678",): (-2364241810767261545, 2935152233309612948),
    ("123456789",): (-7139190110652344156, -8679683268205719813),
    (7,): (5890089503524436009, -670410826588791736),
    (-1,): (4772196099506279661, 8884406624387150349),
    ("a", "b"): (-1318657325630135804, 7292978069811828076),
    ("ab", ""): (6798710624527608081, 4968822515509947285),
    ("a", 5): (-570784596312316895, 5779915893842634854),
    (5, "ü€" * 20): (-308349040186813444, -5857064628161473190),
}


def words_of(keys: tuple[Any, ...]) -> list[int]:
    words = []
    for key in keys:
        if isinstance(key, int):
            words += [0x69, key & MASK]
        else:
            text = key.encode()
            words.append((len(text) << 8) | 0x73)
            words += [int.from_bytes(text[at : at + 8], "little") for at in range(0, len(text), 8)]
    return words


def naive(keys: tuple[Any, ...]) -> tuple[int, ...]:
    words = words_of(keys)
    found = siphash128([*words, (8 * len(words) & 0xFF) << 56], b"greywater entity")
    return tuple(value - 2**64 if value >> 63 else value for value in found)


def hashed(*columns: pa.Array) -> list[tuple[int, int]]:
    high, low = key_hashes(columns)
    return list(zip(high.tolist(), low.tolist(), strict=True))


@pytest.mark.parametrize("keys", FIXED, ids=repr)
def test_the_hash_never_changes(keys: tuple[Any, ...]) -> None:
    assert hashed(*(pa.array([key]) for key in keys)) == [FIXED[keys]]
    assert naive(keys) == FIXED[keys]


def test_openssl_says_the_same() -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl")
    message = b"".join(word.to_bytes(8, "little") for word in words_of(("alice", 7)))
    command = [program, "mac", "-macopt", f"hexkey:{b'greywater entity'.hex()}", "-macopt", "size:16"]
    done = subprocess.run([*command, "-in", "/dev/stdin", "SIPHASH"], input=message, capture_output=True)
    if done.returncode:
        pytest.skip("this openssl has no SIPHASH")
    digest = bytes.fromhex(done.stdout.decode().strip())
    wanted = tuple(int.from_bytes(digest[at : at + 8], "little", signed=True) for at in (0, 8))
    assert hashed(pa.array(["alice"]), pa.array([7])) == [wanted]


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1))), st.integers(0, 3))
def test_every_kind_of_column_has_the_same_hash(pairs: list[tuple[str, int]], skip: int) -> None:
    text = pa.array([one[0] for one in pairs], pa.string())
    number = pa.array([one[1] for one in pairs], pa.int64())
    wanted = [naive(one) for one in pairs]
    assert hashed(text, number) == wanted
    assert hashed(text.cast(pa.large_string()), number) == wanted
    assert hashed(text.slice(skip), number.slice(skip)) == wanted[skip:]


def test_blocks_change_nothing() -> None:
    names = pa.array([f"customer {number}" for number in range(20_000)])
    whole = hashed(names)
    assert len(set(whole)) == 20_000
    assert whole[9_000:9_010] == hashed(names.slice(9_000, 10))
    assert np.abs(np.mean([one[0] > 0 for one in whole]) - 0.5) < 0.02
