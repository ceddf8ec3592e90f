"""Codes of account names, by a table of bytes, against a Python dictionary."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import EngineError
from greywater.features.dictionary import AccountDictionary
from greywater.vocab import EXTERNAL_PREFIX

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    st.sampled_from(["", "a", "a\0", "\0", "\0" * 8, "\0" * 9, "12345678", "123456789", "external", "external:"]),
    st.text("ab", max_size=3).map(lambda rest: EXTERNAL_PREFIX + rest),
)


@given(st.lists(st.lists(NAMES, max_size=40), max_size=6), st.booleans())
def test_codes_are_those_of_a_dictionary_in_order_of_first_appearance(blocks: list[list[str]], restart: bool) -> None:
    twin: dict[str, int] = {}
    names = AccountDictionary()
    for block in blocks:
        expected = [twin.setdefault(name, len(twin)) for name in block]
        padded = pa.array(["padding", *block, "padding"]).slice(1, len(block))
        assert names.encode(padded).tolist() == expected
        if restart:
            names = AccountDictionary.from_arrays({key: array.copy() for key, array in names.arrays().items()})
    assert names.names == list(twin)
    assert len(names) == len(twin)
    assert names.external.tolist() == [name.startswith(EXTERNAL_PREFIX) for name in twin]
    assert [names.code(name) for name in twin] == list(range(len(twin)))
    assert names.code("a name nobody has") is None
    assert AccountDictionary.from_names(list(twin)).names == list(twin)


def test_many_names_in_many_forms_have_one_code_each() -> None:
    texts = [f"account-{number % 5_000}" for number in range(20_000)]
    names = AccountDictionary()
    codes = names.encode(pa.array(texts))
    assert codes.tolist() == [number % 5_000 for number in range(20_000)]
    forms = [
        pa.chunked_array([texts[:7], [], texts[7:]]),
        pa.array(texts).dictionary_encode(),
        pa.array(texts, pa.large_string()),
        pa.array(texts, pa.string_view()),
    ]
    for form in forms:
        assert np.array_equal(names.encode(form), codes)
    assert len(names) == 5_000


def test_nothing_has_no_code_and_a_missing_party_is_refused() -> None:
    names = AccountDictionary()
    assert names.encode(pa.array([], pa.string())).tolist() == []
    assert names.encode(pa.chunked_array([], pa.string())).tolist() == []
    with pytest.raises(EngineError, match="sender or receiver"):
        names.encode(pa.array(["a", None]))
    assert len(names) == 0
