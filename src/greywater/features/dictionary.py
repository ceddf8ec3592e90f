"""Account ids to dense integer codes, in order of first appearance; no feature ever depends on a code."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.vocab import EXTERNAL_PREFIX

__all__ = ["AccountDictionary"]


class AccountDictionary:
    """Gives every party a code.

    Examples
    --------
    >>> import pyarrow as pa
    >>> names = AccountDictionary()
    >>> names.encode(pa.array(["a", "b", "a", "external:sink"])).tolist()
    [0, 1, 0, 2]
    >>> names.external.tolist()
    [False, False, True]
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._external: list[bool] = []
        self._mask: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, accounts: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """Codes int32[n]; unknown ids get the next ones."""
        if isinstance(accounts, pa.ChunkedArray):
            accounts = accounts.combine_chunks()
            if isinstance(accounts, pa.ChunkedArray):
                accounts = pa.concat_arrays(accounts.chunks)
        encoded = accounts if pa.types.is_dictionary(accounts.type) else pc.dictionary_encode(accounts)
        codes = self._codes
        table = np.empty(len(encoded.dictionary), np.int32)
        for place, name in enumerate(encoded.dictionary.to_pylist()):
            code = codes.get(name)
            if code is None:
                code = codes[name] = len(codes)
                self._external.append(name.startswith(EXTERNAL_PREFIX))
            table[place] = code
        indices: NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
        return table[indices]

    def code(self, account: str) -> int | None:
        """The code of an id, None where it was never met."""
        return self._codes.get(account)

    @property
    def external(self) -> NDArray[np.bool_]:
        """bool[accounts], True for parties outside the bank."""
        if len(self._mask) != len(self._external):
            self._mask = np.array(self._external, np.bool_)
        return self._mask

    @property
    def names(self) -> list[str]:
        """Ids in code order."""
        return list(self._codes)

    @classmethod
    def from_names(cls, names: list[str]) -> AccountDictionary:
        """The dictionary whose `names` these are."""
        dictionary = cls()
        dictionary._codes = {name: code for code, name in enumerate(names)}
        dictionary._external = [name.startswith(EXTERNAL_PREFIX) for name in names]
        return dictionary
