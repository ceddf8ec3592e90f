"""Numbers for accounts that are named by text, taken back when nothing of the account can be seen any more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from greywater.vocab import Int64Array

__all__ = ["AccountNames"]

#: Names taken in before it is first looked which of them are still needed.
SPARE_NAMES = 1_024


class AccountNames:
    """Gives every account name in use a number of its own; no feature depends on which.

    Examples
    --------
    >>> import pyarrow as pa
    >>> names = AccountNames()
    >>> sender, receiver = names.encode(pa.array(["a", "b"]), pa.array(["b", "c"]), np.array([10, 20]))
    >>> sender.tolist(), receiver.tolist()
    ([0, 1], [1, 2])
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._latest = np.empty(SPARE_NAMES, np.int64)
        self._spare: list[int] = []
        self._kept = 0

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def bytes(self) -> int:
        """Bytes held besides the text of the names: the dictionary's slots, numbers and latest times."""
        return self._numbers.__sizeof__() + self._latest.nbytes + 32 * len(self._numbers)

    @property
    def by_number(self) -> dict[int, str]:
        """The names in use, by number."""
        return {number: name for name, number in self._numbers.items()}

    def encode(self, senders: pa.Array, receivers: pa.Array, time: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Numbers int64[n] of both parties; unknown names get one.

        Parameters
        ----------
        senders, receivers : pyarrow.Array of text, no nulls
        time : int64[n]
            Event times of the payments.
        """
        encoded = pa.concat_arrays([senders, receivers]).dictionary_encode()
        different = encoded.dictionary.to_pylist()
        numbers = np.fromiter((self._number(name) for name in different), np.int64, len(different))
        each: Int64Array = numbers[encoded.indices.to_numpy(zero_copy_only=False)]
        np.maximum.at(self._latest, each, np.concatenate([time, time]))
        return each[: len(time)], each[len(time) :]

    def number(self, name: str, time: int) -> int:
        """The number of one party of a payment."""
        number = self._number(name)
        if self._latest[number] < time:
            self._latest[number] = time
        return number

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._spare.pop() if self._spare else len(self._numbers)
            self._numbers[name] = number
            if number >= len(self._latest):
                self._latest = np.concatenate([self._latest, np.empty(len(self._latest), np.int64)])
            self._latest[number] = -(2**63)
        return number

    def release(self, bound: int) -> None:
        """Forget the accounts whose payments all lie at or before a time that no payment will ever see again.

        Looks only when the names have doubled since the last look.
        """
        if len(self._numbers) < 2 * self._kept + SPARE_NAMES:
            return
        gone = [(name, number) for name, number in self._numbers.items() if self._latest[number] <= bound]
        for name, number in gone:
            del self._numbers[name]
            self._spare.append(number)
        if len(gone) > len(self._numbers):
            self._numbers = dict(self._numbers)
        self._kept = len(self._numbers)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything held, as arrays."""
        encoded = [name.encode(errors="surrogatepass") for name in self._numbers]
        numbers = np.fromiter(self._numbers.values(), np.int64, len(self._numbers))
        return {
            "bytes": np.frombuffer(b"".join(encoded), np.uint8).copy(),
            "ends": np.cumsum([len(part) for part in encoded], dtype=np.int64),
            "numbers": numbers,
            "latest": self._latest[numbers],
            "spare": np.array(self._spare, np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> AccountNames:
        """The names whose `arrays` these are."""
        names = cls()
        data, begin = arrays["bytes"].tobytes(), 0
        for end, number in zip(arrays["ends"].tolist(), arrays["numbers"].tolist(), strict=True):
            names._numbers[data[begin:end].decode(errors="surrogatepass")] = number
            begin = end
        names._spare = arrays["spare"].tolist()
        highest = len(names._numbers) + len(names._spare)
        names._latest = np.full(max(highest, SPARE_NAMES), -(2**63), np.int64)
        names._latest[arrays["numbers"]] = arrays["latest"]
        names._kept = len(names)
        return names
