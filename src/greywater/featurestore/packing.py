"""What an online record is made of: a fixed head, the values of a view in its order, null bits, and strings.

All numbers are little-endian::

    card         uint64   first 7 bytes of the fingerprint of what is stored, then the version of this format
    flags        uint32   COMPLETE, MOVING, OVERFULL
    tail         uint32   bytes behind the fixed part
    event        int64    event time of the newest value, microseconds since 1970
    change       int64    the next moment at which a value changes by itself; FAR = never
    events       int64    event time of each group's row, NEVER where there is none yet
    values                float64, int64 (also of times), bool in one byte, of strings the uint32 bytes each has
    null bits             one a value, the first value's in the highest bit; then zeros to a multiple of 8 bytes
    tail                  the strings in UTF-8, or the payments that a window value still needs
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, Value
from greywater.stores.feature_ports import microseconds
from greywater.vocab import Int64Array

__all__ = [
    "COMPLETE",
    "FAR",
    "FORMAT",
    "MOVING",
    "NEVER",
    "OVERFULL",
    "EntityKeys",
    "RecordLayout",
    "Stored",
    "event_times",
]

#: Version of the format; a record of another is refused.
FORMAT: Final = 1
#: Every group has its row and no value is null.
COMPLETE: Final = 1
#: The values are of windows: from `change` on they are worked out anew from the payments in the tail.
MOVING: Final = 2
#: The account has more payments than a record holds: from `change` on only the engine can tell.
OVERFULL: Final = 4
NEVER: Final = -(2**62)
FAR: Final = 2**62
#: Fields before the events of the groups.
CARD, FLAGS, TAIL, EVENT, CHANGE, EVENTS = range(6)
#: Keys longer than this are hashed.
LONG_KEY: Final = 500

CODES: Final = {"float32": "d", "float64": "d", "bool": "?", "string": "I"}


@dataclass(frozen=True)
class EntityKeys:
    """How the keys of an entity become the key of its record.

    One string or number, or several in order; no two entities have the same bytes. What is longer than 500 bytes is
    replaced by its SHA-256.

    Parameters
    ----------
    columns : tuple of str
        Where a request or a row has them.
    dtypes : tuple of str
        "string" or "int64" each.

    Examples
    --------
    >>> EntityKeys(("customer",), ("string",)).of({"customer": "c1"})
    b'kc1'
    >>> EntityKeys(("bank", "number"), ("string", "int64")).of({"bank": "b", "number": 7}).hex()
    '6b00000001628000000000000007'
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]

    def of(self, keys: Mapping[str, Value] | str | int) -> bytes | None:
        """Of one entity; None where a key is null. A single key may be given as it is."""
        try:
            given = [keys[column] for column in self.columns] if isinstance(keys, Mapping) else [keys]
        except KeyError as error:
            raise UsageError(
                f"the key {error.args[0]!r} is not given", where="keys", mend=f"give {', '.join(self.columns)}"
            ) from None
        if len(given) != len(self.columns):
            raise UsageError(f"one value for the keys {', '.join(self.columns)}", mend="give them by name")
        if any(one is None for one in given):
            return None
        return self._joined(given)

    def of_columns(self, rows: pa.Table) -> list[bytes]:
        """Of every row of a table that has the columns."""
        if self.dtypes == ("string",):
            texts = _whole(rows.column(self.columns[0])).cast(pa.binary())
            found: list[bytes] = pc.binary_join_element_wise(b"k", texts, b"").to_pylist()
            longest = pc.max(pc.binary_length(texts)).as_py() or 0
            return found if longest < LONG_KEY else [key if len(key) <= LONG_KEY else _hashed(key) for key in found]
        listed = [rows.column(column).to_pylist() for column in self.columns]
        return [self._joined(given) for given in zip(*listed, strict=True)]

    def of_many(self, entities: Sequence[Mapping[str, Value] | str | int]) -> list[bytes | None]:
        """Of each of several entities."""
        if self.dtypes == ("string",):
            column = self.columns[0]
            try:
                texts: list[Any] = [one if type(one) is str else one[column] for one in entities]  # type: ignore[index]
                # Encoded at once: a call for each would take as long as half the look-up.
                found = ("k" + "\0k".join(texts)).encode().split(b"\0")
                if len(found) == len(texts) and max(map(len, found)) <= LONG_KEY:
                    return found  # type: ignore[return-value]
            except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
                pass
        return [self.of(one) for one in entities]

    def reader(self) -> Callable[[Any], bytes | None]:
        """The quickest form of `of`, for one string key; else `of` itself."""
        if self.dtypes != ("string",):
            return self.of
        column, slow = self.columns[0], self.of

        def read(keys: Any) -> bytes | None:
            text = keys if type(keys) is str else keys.get(column) if type(keys) is dict else None
            if type(text) is str and len(text) < LONG_KEY // 4:
                return b"k" + text.encode("utf-8", "surrogatepass")
            return slow(keys)

        return read

    def _joined(self, given: Sequence[Any]) -> bytes:
        parts, last = [b"k"], len(given) - 1
        for place, (one, dtype) in enumerate(zip(given, self.dtypes, strict=True)):
            one = one.item() if isinstance(one, np.integer) else one
            if dtype == "int64" and isinstance(one, int) and not isinstance(one, bool) and -(2**63) <= one < 2**63:
                parts.append((one + 2**63).to_bytes(8, "big"))
            elif dtype == "string" and isinstance(one, str):
                encoded = one.encode("utf-8", "surrogatepass")
                parts.append(encoded if place == last else len(encoded).to_bytes(4, "big") + encoded)
            else:
                raise UsageError(
                    f"{one!r:.40} is no {dtype}", where=f"key {self.columns[place]}", mend=f"give a {dtype}"
                )
        key = b"".join(parts)
        return key if len(key) <= LONG_KEY else _hashed(key)


def _hashed(key: bytes) -> bytes:
    return b"h" + hashlib.sha256(key).digest()


@dataclass(frozen=True)
class Stored:
    """One stored value: of which of the layout's groups, and the feature."""

    group: int
    field: FeatureField

    @property
    def code(self) -> str:
        """Its letter in the modules struct and numpy."""
        return CODES.get(self.field.dtype, "q")


@dataclass(frozen=True)
class RecordLayout:
    """The records of one view for one kind of entity.

    Parameters
    ----------
    groups : tuple of FeatureGroup
        Whose rows they hold.
    stored : tuple of Stored
        The values, in the view's order.
    fingerprint : str
        Of the view (hexadecimal).
    """

    groups: tuple[FeatureGroup, ...]
    stored: tuple[Stored, ...]
    fingerprint: str

    @cached_property
    def card(self) -> int:
        """What a record of this layout begins with."""
        told = [self.fingerprint, [group.fingerprint for group in self.groups]]
        digest = hashlib.sha256(json.dumps([told, [[one.group, one.field.name] for one in self.stored]]).encode())
        return int.from_bytes(bytes([FORMAT]) + digest.digest()[:7], "little")

    @cached_property
    def _null_bytes(self) -> int:
        """Bytes of the null bits, with the zeros that follow."""
        values = struct.calcsize("<" + "".join(one.code for one in self.stored))
        bits = (len(self.stored) + 7) // 8
        return bits + -(values + bits) % 8

    @cached_property
    def structure(self) -> struct.Struct:
        """The fixed part, as the module struct reads it."""
        codes = "".join(one.code for one in self.stored)
        return struct.Struct(f"<QIIqq{len(self.groups)}q{codes}{self._null_bytes}s")

    @cached_property
    def rows(self) -> np.dtype[Any]:
        """The fixed part, as NumPy reads it."""
        kinds = {"d": "<f8", "q": "<i8", "?": "?", "I": "<u4"}
        fields: list[Any] = [
            ("card", "<u8"), ("flags", "<u4"), ("tail", "<u4"), ("event", "<i8"), ("change", "<i8"),
            ("events", "<i8", (len(self.groups),)),
        ]  # fmt: skip
        fields += [(f"v{place}", kinds[one.code]) for place, one in enumerate(self.stored)]
        return np.dtype([*fields, ("nulls", "u1", (self._null_bytes,))])

    @cached_property
    def plain(self) -> bytes:
        """What a record begins with whose values are all there: they then lie at `offset`, as `values_only` reads."""
        return struct.pack("<QI", self.card, COMPLETE)

    @cached_property
    def values_only(self) -> struct.Struct:
        """The values alone."""
        return struct.Struct("<" + "".join(one.code for one in self.stored))

    @cached_property
    def offset(self) -> int:
        """Bytes before the first value."""
        return struct.calcsize(f"<QIIqq{len(self.groups)}q")

    @cached_property
    def _values_of_each(self) -> struct.Struct:
        codes = "".join(one.code for one in self.stored)
        return struct.Struct(f"<{self.offset}x{codes}{self._null_bytes}x")

    def tuples(self, records: Sequence[bytes | None]) -> list[tuple[Any, ...]] | None:
        """The values of records that are all there, without a null or a string; None where one is not so."""
        whole = self._side_by_side(records)
        return None if whole is None else list(self._values_of_each.iter_unpack(whole))

    def _side_by_side(self, records: Sequence[bytes | None]) -> bytes | None:
        """The records one after another, where all begin as `plain` says; else None."""
        if not records or None in records:
            return None
        size = self.structure.size
        parts = cast("Sequence[bytes]", records)
        if {*map(len, parts)} != {size}:
            return None
        whole = b"".join(parts)
        words = np.frombuffer(whole, "<u8").reshape(len(parts), size // 8)
        # The second word is the flags and the length of the tail.
        return whole if (words[:, 0] == self.card).all() and (words[:, 1] == COMPLETE).all() else None

    @property
    def first(self) -> int:
        """Place of the first value among the fields of `structure`."""
        return EVENTS + len(self.groups)

    @property
    def has_strings(self) -> bool:
        """Whether a value is a string."""
        return any(one.code == "I" for one in self.stored)

    @cached_property
    def defaults(self) -> tuple[Value, ...]:
        """What an unknown entity has."""
        return tuple(one.field.default for one in self.stored)

    def unpack(self, record: bytes, where: str) -> tuple[Any, ...]:
        """The fields of the fixed part.

        Raises
        ------
        StoreError
            The record is of another definition of the view, or of another version of this format.
        """
        if len(record) >= self.structure.size:
            fields = self.structure.unpack_from(record)
            if fields[CARD] == self.card:
                return fields
        raise self.refusal(record, where)

    def refusal(self, record: bytes, where: str) -> StoreError:
        """What is said of a record of another definition."""
        version = record[0] if record else 0
        found = "the online records are of another definition of the view or of its groups"
        if version != FORMAT:
            found = f"the online records are of format {version}, not {FORMAT}"
        return StoreError(found, where=where, mend="materialize the view again from the beginning (fresh=True)")

    def values(self, fields: tuple[Any, ...], record: bytes) -> list[Value]:
        """The stored values of one record; null = None, and defaults where a group has no row."""
        nulls = fields[-1]
        out: list[Value] = []
        at = self.structure.size
        for place, one in enumerate(self.stored):
            value = fields[self.first + place]
            if one.code == "I":
                text = record[at : at + value]
                at += value
                value = text.decode("utf-8", "surrogatepass")
            if fields[EVENTS + one.group] == NEVER:
                value = one.field.default
            elif nulls[place >> 3] & (128 >> (place & 7)):
                value = None
            out.append(value)
        return out

    def pack(
        self, group: int, rows: pa.Table, event_us: Int64Array, before: Sequence[bytes | None] | None = None
    ) -> list[bytes]:
        """Records with new values of one group.

        Parameters
        ----------
        group : int
            Its place in `groups`.
        rows : pa.Table
            The features stored of it, one row a record.
        event_us : int64[n]
            Event time of each row.
        before : sequence of bytes or None, optional
            The records as they are, where other groups have values in them.
        """
        size = self.structure.size
        n = len(event_us)
        fixed = np.zeros(n, self.rows)
        fixed["events"] = NEVER
        nulls = np.zeros((n, len(self.stored)), bool)
        texts: dict[int, list[bytes]] = {}
        known = [place for place, record in enumerate(before or ()) if record is not None]
        if known:
            held = [cast("Sequence[bytes]", before)[place] for place in known]
            fixed[known] = np.frombuffer(b"".join([record[:size] for record in held]), self.rows)
            bits = np.unpackbits(fixed["nulls"], axis=1)
            nulls = bits[:, : len(self.stored)].astype(bool)
        texts = self._old_texts(before, n) if self.has_strings else {}
        for place, one in enumerate(self.stored):
            if one.group != group:
                continue
            column = _whole(rows.column(one.field.name))
            nulls[:, place] = column.is_null().to_numpy(zero_copy_only=False)
            if one.code == "I":
                texts[place] = [(text or "").encode("utf-8", "surrogatepass") for text in column.to_pylist()]
                fixed[f"v{place}"] = [len(text) for text in texts[place]]
            else:
                fixed[f"v{place}"] = _numbers(column)
        fixed["card"], fixed["change"] = self.card, FAR
        fixed["events"][:, group] = event_us
        fixed["event"] = fixed["events"].max(axis=1)
        packed = np.packbits(nulls, axis=1)
        fixed["nulls"][:, : packed.shape[1]] = packed
        complete = ~nulls.any(axis=1) & (fixed["events"] != NEVER).all(axis=1)
        fixed["flags"] = np.where(complete, COMPLETE, 0)
        if not texts:
            whole = fixed.tobytes()
            return [whole[at : at + size] for at in range(0, n * size, size)]
        tails = [b"".join(parts) for parts in zip(*(texts[place] for place in sorted(texts)), strict=True)]
        fixed["tail"] = [len(tail) for tail in tails]
        whole = fixed.tobytes()
        return [whole[at * size : (at + 1) * size] + tail for at, tail in enumerate(tails)]

    def _old_texts(self, before: Sequence[bytes | None] | None, n: int) -> dict[int, list[bytes]]:
        """The strings that records have already, by place; empty where there is none."""
        places = [place for place, one in enumerate(self.stored) if one.code == "I"]
        texts: dict[int, list[bytes]] = {place: [b""] * n for place in places}
        for row, record in enumerate(before or ()):
            if record is None:
                continue
            fields = self.structure.unpack_from(record)
            at = self.structure.size
            for place in places:
                length = fields[self.first + place]
                texts[place][row] = record[at : at + length]
                at += length
        return texts

    def matrix(self, records: Sequence[bytes | None], where: str) -> tuple[np.ndarray, np.ndarray]:
        """Values as float64[n, stored] and the event times int64[n, groups]; null and unknown = NaN or default.

        Raises
        ------
        StoreError
            A record is of another definition.
        """
        whole = self._side_by_side(records) if self._is_float else None
        if whole is not None:
            floats = np.frombuffer(whole, "<f8").reshape(len(records), -1)
            ints, first = floats.view("<i8"), self.offset // 8
            return floats[:, first : first + len(self.stored)], ints[:, first - len(self.groups) : first]
        size = self.structure.size
        out = np.empty((len(records), len(self.stored)), np.float64)
        out[:] = [_as_float(value) for value in self.defaults]
        events = np.full((len(records), len(self.groups)), NEVER, np.int64)
        places = [place for place, record in enumerate(records) if record is not None]
        if not places:
            return out, events
        parts = [record for record in records if record is not None]
        if {*map(len, parts)} != {size}:
            parts = [record[:size] for record in parts]
            if min(map(len, parts)) < size:
                raise self.refusal(min(parts, key=len), where)
        fixed = np.frombuffer(b"".join(parts), self.rows)
        if (fixed["card"] != self.card).any():
            raise self.refusal(parts[int(np.argmax(fixed["card"] != self.card))], where)
        events[places] = fixed["events"]
        nulls = np.unpackbits(fixed["nulls"], axis=1)
        for place, one in enumerate(self.stored):
            column = np.where(nulls[:, place] == 1, np.nan, fixed[f"v{place}"].astype(np.float64))
            absent = fixed["events"][:, one.group] == NEVER
            out[places, place] = np.where(absent, _as_float(one.field.default), column)
        return out, events

    @cached_property
    def _is_float(self) -> bool:
        return all(one.code == "d" for one in self.stored)


def event_times(layout: RecordLayout, group: int, records: Sequence[bytes | None]) -> Int64Array:
    """Event time int64[n] of each record's row of a group, NEVER where there is none."""
    events = np.full(len(records), NEVER, np.int64)
    known = [place for place, record in enumerate(records) if record is not None]
    if known:
        size = layout.structure.size
        whole = b"".join([record[:size] for record in records if record is not None])
        events[known] = np.frombuffer(whole, layout.rows)["events"][:, group]
    return events


def _as_float(value: Value) -> float:
    """A default in a matrix of numbers: missing is NaN, and so is a text."""
    return float("nan") if value is None or isinstance(value, str) else float(value)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _numbers(column: pa.Array) -> np.ndarray:
    """A column's values as NumPy, null = 0."""
    if pa.types.is_timestamp(column.type):
        return microseconds(column.fill_null(pa.scalar(0, pa.int64()).cast(column.type)))
    filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    numbers: np.ndarray = filled.to_numpy(zero_copy_only=False)
    return numbers
