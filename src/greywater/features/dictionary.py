"""Account ids to dense integer codes, in order of first appearance; no feature ever depends on a code."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import EngineError
from greywater.kernels import names as name_kernels
from greywater.vocab import EXTERNAL_PREFIX

__all__ = ["AccountDictionary"]

PREFIX = np.frombuffer(EXTERNAL_PREFIX.encode(), np.uint8)
#: Slots for each name at least.
SLOTS_A_NAME = 2


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
        self._table = name_kernels.empty_names(1 << 11, 1 << 10, 1 << 14)

    def __len__(self) -> int:
        return int(self._table.size[0])

    def encode(self, accounts: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """Codes int32[n]; unknown ids get the next ones.

        Raises
        ------
        EngineError
            If a party is missing.
        """
        chunks = accounts.chunks if isinstance(accounts, pa.ChunkedArray) else [accounts]
        parts = [self._encode(chunk) for chunk in chunks]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int32), *parts])

    def _encode(self, accounts: pa.Array) -> NDArray[np.int32]:
        if accounts.null_count:
            raise EngineError("a payment lacks its sender or receiver", mend="give rows of the transaction table")
        if pa.types.is_dictionary(accounts.type):
            indices: NDArray[np.int32] = accounts.indices.to_numpy(zero_copy_only=False)
            codes: NDArray[np.int32] = self._encode(accounts.dictionary)[indices]
            return codes
        texts = accounts if pa.types.is_string(accounts.type) else accounts.cast(pa.string())
        n = len(texts)
        if n == 0:
            return np.zeros(0, np.int32)
        buffers: list[Any] = texts.buffers()
        offsets = np.frombuffer(buffers[1], np.int32)[texts.offset : texts.offset + n + 1]
        text = np.frombuffer(buffers[2] or b"", np.uint8)
        # To the kernel arrays that can and that cannot be written are of different types.
        offsets.flags.writeable = text.flags.writeable = False
        self._reserve(n, int(offsets[-1]) - int(offsets[0]))
        found = np.empty(n, np.int32)
        name_kernels.encode(self._table, offsets, text, PREFIX, np.empty(n, np.int64), found)
        return found

    def _reserve(self, names: int, text: int) -> None:
        """Room for so many more names with so many bytes."""
        table = self._table
        known = len(self)
        wanted, length = known + names, int(table.ends[known]) + text
        if wanted * SLOTS_A_NAME > len(table.slots):
            fresh = name_kernels.empty_names(1 << (wanted * SLOTS_A_NAME).bit_length(), 0, 0)
            name_kernels.note_slots(table.slots, fresh.slots)
            table = table._replace(slots=fresh.slots)
        if wanted > len(table.marked):
            more = max(wanted, len(table.marked) * 3 // 2) - len(table.marked)
            table = table._replace(
                ends=np.concatenate([table.ends, np.zeros(more, np.int64)]),
                marked=np.concatenate([table.marked, np.zeros(more, np.uint8)]),
            )
        if length > len(table.text):
            more = max(length, len(table.text) * 3 // 2) - len(table.text)
            table = table._replace(text=np.concatenate([table.text, np.zeros(more, np.uint8)]))
        self._table = table

    def code(self, account: str) -> int | None:
        """The code of an id, None where it was never met."""
        text = np.frombuffer(account.encode(errors="surrogatepass"), np.uint8)
        code = name_kernels.find(self._table, text)
        return int(code) if code >= 0 else None

    @property
    def external(self) -> NDArray[np.bool_]:
        """bool[accounts], True for parties outside the bank."""
        marked: NDArray[np.bool_] = self._table.marked[: len(self)].view(np.bool_)
        return marked

    @property
    def names(self) -> list[str]:
        """Ids in code order."""
        data, begin, names = self._table.text.tobytes(), 0, []
        for end in self._table.ends[1 : len(self) + 1].tolist():
            names.append(data[begin:end].decode())
            begin = end
        return names

    def arrays(self) -> dict[str, np.ndarray]:
        """The names as plain arrays: `bytes` uint8 of all of them one after the other, `ends` int64[accounts]."""
        ends = self._table.ends[1 : len(self) + 1]
        return {"bytes": self._table.text[: int(self._table.ends[len(self)])], "ends": ends}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> AccountDictionary:
        """The dictionary whose `arrays` these are."""
        dictionary = cls()
        ends = np.asarray(arrays["ends"], np.int64)
        text = np.ascontiguousarray(arrays["bytes"], np.uint8)
        # In parts whose places fit into an int32.
        cuts = [0, *(np.flatnonzero(np.diff(ends >> 30, prepend=0)).tolist()), len(ends)]
        for first, last in pairwise(cuts):
            begin = int(ends[first - 1]) if first else 0
            offsets = np.concatenate([[begin], ends[first:last]]) - begin
            buffers = [
                None,
                pa.py_buffer(offsets.astype(np.int32)),
                pa.py_buffer(text[begin : int(offsets[-1]) + begin]),
            ]
            dictionary._encode(pa.Array.from_buffers(pa.string(), last - first, buffers))
        return dictionary

    @classmethod
    def from_names(cls, names: list[str]) -> AccountDictionary:
        """The dictionary whose `names` these are."""
        dictionary = cls()
        dictionary.encode(pa.chunked_array([names], pa.string()))
        return dictionary
