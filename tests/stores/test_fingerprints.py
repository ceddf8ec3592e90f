"""The array form of SipHash agrees with a plain one, and content is told apart field by field."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from greywater.stores.fingerprints import content_fingerprints, id_fingerprints, siphash128
from greywater.vocab import BALANCES, TRANSACTION_SCHEMA
from tests import naive_siphash

KEY = bytes(range(16))


def naive(text: bytes, key: bytes) -> bytes:
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 0xFF])
    words = [int.from_bytes(padded[at : at + 8], "little") for at in range(0, len(padded), 8)]
    return b"".join(half.to_bytes(8, "little") for half in naive_siphash.siphash128(words, key))


def test_the_published_vectors() -> None:
    texts = pa.array(["", "\x00", "\x00\x01"])
    found = [row.astype("<u8").tobytes().hex() for row in siphash128(texts, KEY)]
    assert found[0] == "a3817f04ba25a8e66df67214c7550293"
    assert found[1] == "da87c1d86b99af44347659119b22fc45"
    assert naive(b"\x00\x01", KEY).hex() == found[2]


@given(st.lists(st.text(max_size=60), max_size=30), st.binary(min_size=16, max_size=16), st.integers(0, 5))
def test_agrees_with_the_plain_form(texts: list[str], key: bytes, skip: int) -> None:
    array = pa.array(texts, pa.string()).slice(skip)
    found = [row.astype("<u8").tobytes() for row in siphash128(array, key)]
    assert found == [naive(text.encode(), key) for text in texts[skip:]]


def test_long_texts_and_nulls_have_values_of_their_own() -> None:
    texts = ["a" * size for size in (0, 1, 510, 511, 512, 513, 5_000, 100_000)] + ["b" + "a" * 99_999]
    hashes = siphash128(pa.array([*texts, None, "null"]), KEY)
    assert len({row.tobytes() for row in hashes}) == len(texts) + 2


def test_more_rows_than_one_step_takes() -> None:
    texts = pa.array([str(i) for i in range(40_000)])
    hashes = id_fingerprints(texts, KEY)
    assert len({row.tobytes() for row in hashes}) == 40_000
    chunked = pa.chunked_array([texts.slice(0, 7), texts.slice(7)])
    assert (id_fingerprints(chunked, KEY) == hashes).all()


def test_fields_cannot_be_swapped_for_each_other() -> None:
    def row(**changes: object) -> bytes:
        values: dict[str, object] = {}
        for field in TRANSACTION_SCHEMA:
            values[field.name] = "x" if field.type == pa.string() else 1
        columns = {
            name: pa.array([value], TRANSACTION_SCHEMA.field(name).type)
            for name, value in {**values, **changes}.items()
        }
        return content_fingerprints(pa.table(columns), KEY).tobytes()

    variants = [row(), row(sender="y"), row(receiver="y"), row(sender="y", receiver="y"), row(amount=2)]
    variants += [row(received_amount=2), row(event_time=2), row(reference=None), row(reference=""), row(channel="y")]
    variants += [row(sender_balance=2), row(receiver_balance=2), row(sender_balance=None), row(receiver_balance=None)]
    assert len(set(variants)) == len(variants)
    assert row(seq=5, base_amount=None, recorded_time=9, tx_id="other") == row()


def test_payments_without_balances_keep_the_fingerprints_of_earlier_versions() -> None:
    plain: dict[str, pa.Array] = {}
    for field in TRANSACTION_SCHEMA:
        value = None if field.name in BALANCES else "x" if field.type == pa.string() else 1
        plain[field.name] = pa.array([value, value], field.type)
    found = content_fingerprints(pa.table(plain), KEY)
    assert found[0].astype("<u8").tobytes().hex() == "76eaf25a3fa9236ea8d61496104b5093"
    one = content_fingerprints(pa.table(plain | {"sender_balance": pa.array([None, 7], pa.int64())}), KEY)
    assert (one[0] == found[0]).all()
    assert (one[1] != found[1]).any()
