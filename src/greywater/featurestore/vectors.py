"""The values of a view for an entity, now or at a moment: read from the online store, in the view's order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Literal, overload

import numpy as np

from greywater.errors import RefusedTypeError, RefusedValueError, UsageError
from greywater.featurestore.definitions import FeatureGroup, FeatureView, RequestValue, Value
from greywater.featurestore.packing import CHANGE, COMPLETE, EVENT, EVENTS, FLAGS, NEVER
from greywater.featurestore.sections import GroupKey, Section, sections_of
from greywater.stores.feature_ports import Online
from greywater.vocab import Float64Array

__all__ = ["Ages", "Keys", "Moving", "OnlineView", "Vector"]

#: Values in the view's order; None = missing. A time is int microseconds since 1970.
Vector = tuple[Value, ...]
#: Group name to the age of its values in seconds at the moment asked for; None = nothing is known, or it is too old.
Ages = dict[str, float | None]
#: The keys of one entity by name; the value itself where a view has a single key.
Keys = Mapping[str, Value] | str | int
#: The values of a record of windows at a moment: `(fields, record, moment, section) -> values`.
Moving = Callable[[tuple[Any, ...], bytes, int, Section], Sequence[Value]]

#: What a request value of a dtype may be.
KINDS: Final[dict[str, tuple[type, ...]]] = {
    "bool": (bool,), "string": (str,), "float32": (int, float), "float64": (int, float),
}  # fmt: skip


class OnlineView:
    """Reads vectors of one view.

    Thread-safe. A view whose groups share their keys, without strings, windows or limits of age, is read on the
    quickest path: one look-up and one unpacking.

    Parameters
    ----------
    view : FeatureView
        What is read, in which order.
    groups : mapping of (name, version) to FeatureGroup
        At least those of the view.
    online : Online
        Where the records are.
    windows : mapping of (name, version) to Moving, optional
        For each group of window values, what works them out at a moment (`window_records.reader`).

    Raises
    ------
    UsageError
        A group or a feature is not there or is not served online.

    Examples
    --------
    >>> from greywater.featurestore.definitions import FeatureField, ViewFeature
    >>> from greywater.stores.online_memory import MemoryOnline
    >>> score = FeatureField("score", "float64", default=0.5)
    >>> group = FeatureGroup("credit", 1, ("customer",), ("string",), (score,))
    >>> view = FeatureView("risk", 1, (RequestValue("amount", "float64"), ViewFeature("credit", 1, "score")))
    >>> online = OnlineView(view, {("credit", 1): group}, MemoryOnline())
    >>> online.vector({"customer": "nobody yet"}, {"amount": 12})
    (12.0, 0.5)
    """

    def __init__(
        self,
        view: FeatureView,
        groups: Mapping[GroupKey, FeatureGroup],
        online: Online,
        *,
        windows: Mapping[GroupKey, Moving] | None = None,
    ) -> None:
        self.view = view
        self.online = online
        #: Vectors served, for reports of usage: two threads at the very same moment may count as one.
        self.served = 0
        self._windows = dict(windows or {})
        self.sections = sections_of(view, groups, self._windows)
        self._readers = [section.keys.reader() for section in self.sections]
        self._defaults = [_defaults(section) for section in self.sections]
        self._requested = [column for column in view.columns if isinstance(column, RequestValue)]
        self._names = frozenset(column.name for column in self._requested)
        self._absent = tuple(column.default for column in self._requested)
        places = [position for section in self.sections for position in section.positions]
        places += [place for place, column in enumerate(view.columns) if isinstance(column, RequestValue)]
        order = sorted(range(len(places)), key=places.__getitem__)
        self._order = None if order == list(range(len(places))) else order
        self._arrange: Callable[[Any], Any] | None = None
        if self._order is not None:
            self._arrange = itemgetter(*order)
        self._quick = len(self.sections) == 1 and _is_plain(self.sections[0])
        if self._quick:
            (section,) = self.sections
            self._space, self._key = section.space, self._readers[0]
            layout = section.layout
            self._size = layout.structure.size
            self._plain, self._values, self._offset = layout.plain, layout.values_only.unpack_from, layout.offset

    @overload
    def vector(
        self, keys: Keys, request: Mapping[str, Value] | None = None, *, at_us: int | None = None,
        with_age: Literal[False] = False,
    ) -> Vector: ...  # fmt: skip
    @overload
    def vector(
        self, keys: Keys, request: Mapping[str, Value] | None = None, *, at_us: int | None = None,
        with_age: Literal[True],
    ) -> tuple[Vector, Ages]: ...  # fmt: skip
    def vector(
        self,
        keys: Keys,
        request: Mapping[str, Value] | None = None,
        *,
        at_us: int | None = None,
        with_age: bool = False,
    ) -> Vector | tuple[Vector, Ages]:
        """The values of one entity.

        An entity that is not known, or one whose key is None, has the defaults that its features declare. So has a
        value that is older, at the moment asked for, than its group's `ttl_seconds`.

        Parameters
        ----------
        keys : mapping, str or int
            The entity.
        request : mapping, optional
            The values that come with the request; one left out has its default.
        at_us : int, optional
            The moment, microseconds since 1970. None = now, or the event time of the record where that is later.
        with_age : bool
            Whether the ages are wanted too.

        Returns
        -------
        tuple, or (tuple, dict)

        Raises
        ------
        UsageError
            A key or a request value is missing, unknown or of another dtype.
        RefusedValueError
            `at_us` is before the event time of the record: its values then are not known any more.
        StoreError
            The record is of another definition of the view; or the account has more payments than a record holds.
        """
        self.served += 1
        if self._quick and at_us is None and not with_age:
            key = self._key(keys)
            record = None if key is None else self.online.get(self._space, key)
            stored: Vector
            if record is not None and record.startswith(self._plain) and len(record) >= self._size:
                stored = self._values(record, self._offset)
            else:
                stored = self._stored(record)
            if self._arrange is None:
                return stored + self._asked(request) if self._names else stored
            arranged: Vector = self._arrange(stored + self._asked(request))
            return arranged
        stored = ()
        ages: Ages = {}
        for place, section in enumerate(self.sections):
            key = self._readers[place](keys)
            record = None if key is None else self.online.get(section.space, key)
            stored += self._read(place, record, at_us, ages)
        whole = self._arranged(stored + self._asked(request))
        return (whole, self._in_order(ages)) if with_age else whole

    @overload
    def vectors(
        self, keys: Sequence[Keys], request: Sequence[Mapping[str, Value]] | None = None, *,
        at_us: int | None = None, with_age: Literal[False] = False, as_numpy: Literal[False] = False,
    ) -> list[Vector]: ...  # fmt: skip
    @overload
    def vectors(
        self, keys: Sequence[Keys], request: Sequence[Mapping[str, Value]] | None = None, *,
        at_us: int | None = None, with_age: Literal[True], as_numpy: Literal[False] = False,
    ) -> list[tuple[Vector, Ages]]: ...  # fmt: skip
    @overload
    def vectors(
        self, keys: Sequence[Keys], request: Sequence[Mapping[str, Value]] | None = None, *,
        at_us: int | None = None, with_age: bool = False, as_numpy: Literal[True],
    ) -> Float64Array: ...  # fmt: skip
    def vectors(
        self,
        keys: Sequence[Keys],
        request: Sequence[Mapping[str, Value]] | None = None,
        *,
        at_us: int | None = None,
        with_age: bool = False,
        as_numpy: bool = False,
    ) -> list[Vector] | list[tuple[Vector, Ages]] | Float64Array:
        """The values of many entities, in the order asked for, in one read a section.

        Parameters
        ----------
        keys : sequence
            As `vector`, one an entity.
        request : sequence of mappings, optional
            One an entity.
        at_us, with_age
            As `vector`.
        as_numpy : bool
            Give float64[n, columns] instead, NaN = missing; whole numbers beyond 2^53 are rounded.

        Returns
        -------
        list of what `vector` gives, or float64[n, columns]

        Raises
        ------
        RefusedTypeError
            A matrix is wanted of a view with strings.
        UsageError, RefusedValueError, StoreError
            As `vector`.
        """
        if request is not None and len(request) != len(keys):
            raise UsageError(f"{len(request)} requests for {len(keys)} entities", mend="give one an entity, or none")
        if as_numpy and with_age:
            raise UsageError("a matrix has no ages", mend="ask for ages without as_numpy")
        self.served += len(keys)
        asked = [self._asked(one) for one in request] if request is not None else [self._absent] * len(keys)
        records = [self._records(place, keys) for place in range(len(self.sections))]
        if as_numpy:
            return self._matrix(records, asked, at_us, len(keys))
        if self._quick and at_us is None and not with_age:
            return self._quick_vectors(records[0], asked)
        found: list[Vector] = []
        aged: list[tuple[Vector, Ages]] = []
        for row, extra in enumerate(asked):
            stored: Vector = ()
            ages: Ages = {}
            for place in range(len(self.sections)):
                stored += self._read(place, records[place][row], at_us, ages)
            found.append(self._arranged(stored + extra))
            aged.append((found[-1], self._in_order(ages)))
        return aged if with_age else found

    def _quick_vectors(self, records: Sequence[bytes | None], asked: Sequence[Vector]) -> list[Vector]:
        found: list[Vector] | None = self.sections[0].layout.tuples(records)
        if found is None:
            plain, values, offset, size = self._plain, self._values, self._offset, self._size
            found = [
                values(record, offset)
                if record is not None and record.startswith(plain) and len(record) >= size
                else self._stored(record)
                for record in records
            ]
        if self._names:
            found = [stored + extra for stored, extra in zip(found, asked, strict=True)]
        return found if self._arrange is None else [self._arranged(stored) for stored in found]

    def _records(self, place: int, keys: Sequence[Keys]) -> list[bytes | None]:
        wanted = self.sections[place].keys.of_many(keys)
        if None not in wanted:
            return self.online.get_many(self.sections[place].space, wanted)  # type: ignore[arg-type]
        found = iter(self.online.get_many(self.sections[place].space, [key for key in wanted if key is not None]))
        return [None if key is None else next(found) for key in wanted]

    def _read(self, place: int, record: bytes | None, at_us: int | None, ages: Ages) -> Vector:
        """The stored values of one record at a moment, and the age of each of its groups."""
        section = self.sections[place]
        if record is None:
            ages.update(dict.fromkeys(group.name for group in section.groups))
            return self._defaults[place]
        layout = section.layout
        fields = layout.unpack(record, section.space)
        moment = at_us
        if moment is None:
            moment = max(time.time_ns() // 1_000, fields[EVENT])
        elif moment < fields[EVENT]:
            raise RefusedValueError(
                f"the moment {moment} is before the record's last event {fields[EVENT]}",
                where=section.space,
                mend="ask for that moment or a later one; the past is in the offline store",
            )
        if section.moving:
            ages[section.groups[0].name] = (moment - fields[EVENT]) / 1e6
            if moment < fields[CHANGE]:
                return fields[layout.first : -1]
            group = section.groups[0]
            return tuple(self._windows[group.name, group.version](fields, record, moment, section))
        values: Vector = fields[layout.first : -1]
        if fields[FLAGS] != COMPLETE or layout.has_strings:
            values = tuple(layout.values(fields, record))
        for number, group in enumerate(section.groups):
            event = fields[EVENTS + number]
            age = moment - event
            ages[group.name] = None if event == NEVER else age / 1e6
            if group.ttl_seconds and age > group.ttl_seconds * 1_000_000:
                ages[group.name] = None
                pairs = zip(values, layout.stored, strict=True)
                values = tuple(one.field.default if one.group == number else value for value, one in pairs)
        return values

    def _matrix(
        self, records: Sequence[Sequence[bytes | None]], asked: Sequence[Vector], at_us: int | None, n: int
    ) -> Float64Array:
        words = [column.name for column in self._requested if column.dtype == "string"]
        words += [one.field.name for section in self.sections for one in section.layout.stored if one.code == "I"]
        if words:
            raise RefusedTypeError(
                f"{', '.join(words)} cannot be in a matrix of numbers",
                mend="ask without as_numpy, or leave strings out",
            )
        out = np.empty((n, len(self.view.columns)), np.float64)
        for place, section in enumerate(self.sections):
            if _is_plain(section) and at_us is None:
                out[:, section.positions], _ = section.layout.matrix(records[place], section.space)
                continue
            for row, record in enumerate(records[place]):
                values = self._read(place, record, at_us, {})
                out[row, section.positions] = [np.nan if value is None else value for value in values]
        for place, column in enumerate(self.view.columns):
            if isinstance(column, RequestValue):
                at = self._requested.index(column)
                out[:, place] = [np.nan if extra[at] is None else extra[at] for extra in asked]
        return out

    def _asked(self, request: Mapping[str, Value] | None) -> Vector:
        """The values of a request in the view's order."""
        if not request:
            return self._absent
        if not request.keys() <= self._names:
            unknown = ", ".join(sorted(set(request) - self._names))
            raise UsageError(
                f"the view {self.view.name} takes no {unknown} with a request",
                mend=f"give {', '.join(sorted(self._names)) or 'none'}",
            )
        return tuple([_checked(column, request.get(column.name, column.default)) for column in self._requested])

    def _arranged(self, stored: Vector) -> Vector:
        if self._order is None:
            return stored
        return tuple([stored[place] for place in self._order])

    def _in_order(self, ages: Ages) -> Ages:
        return {name: ages[name] for name, _ in self.view.groups}

    def _stored(self, record: bytes | None) -> Vector:
        """The values of a record of the quickest path that has a null in it, or that is none."""
        if record is None:
            return self._defaults[0]
        layout = self.sections[0].layout
        return tuple(layout.values(layout.unpack(record, self._space), record))


def _is_plain(section: Section) -> bool:
    """Whether its values are served as they are stored, whatever the moment."""
    return not (section.moving or section.layout.has_strings or any(group.ttl_seconds for group in section.groups))


def _defaults(section: Section) -> Vector:
    """What an unknown entity has; of windows, what is not defined is NaN as the engine has it."""
    if not section.moving:
        return section.layout.defaults
    return tuple(float("nan") if value is None else value for value in section.layout.defaults)


def _checked(column: RequestValue, value: Value) -> Value:
    kinds = KINDS.get(column.dtype, (int,))
    if value is None:
        return None
    if not isinstance(value, kinds) or (isinstance(value, bool) and column.dtype != "bool"):
        raise UsageError(f"{value!r:.40} is no {column.dtype}", where=f"request value {column.name}")
    return float(value) if column.dtype in ("float32", "float64") else value
