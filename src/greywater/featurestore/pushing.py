"""Rows of a group straight into the online store, as a stream has them; an older row never replaces a newer one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import UsageError
from greywater.featurestore.packing import event_times
from greywater.featurestore.sections import GroupKey, Section
from greywater.featurestore.vectors import OnlineView
from greywater.stores.feature_ports import EVENT_TIME, Online, microseconds
from greywater.vocab import Int64Array

__all__ = ["push", "write_rows"]


def push(view: OnlineView, group: GroupKey, rows: pa.Table) -> int:
    """Write the newest row of each entity, where it is not older than what is online.

    Each record section is one commit. `materialize` later leaves a pushed row that is newer than what it finds. One
    process at a time may push to a view or materialize it.

    Parameters
    ----------
    view : OnlineView
        The view.
    group : (str, int)
        Name and version of a group of the view, not one of windows.
    rows : pa.Table
        Its keys, event_time and the features that the view has of it; of rows with equal times the last one counts.

    Returns
    -------
    int
        Records written.

    Raises
    ------
    UsageError
        The view has no such group, or a column is missing.
    StoreError
        The store refuses, or holds records of another definition.

    Examples
    --------
    >>> from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
    >>> from greywater.stores.online_memory import MemoryOnline
    >>> credit = FeatureGroup("credit", 1, ("customer",), ("string",), (FeatureField("score", "float64"),))
    >>> view = FeatureView("risk", 1, (ViewFeature("credit", 1, "score"),))
    >>> online = OnlineView(view, {("credit", 1): credit}, MemoryOnline())
    >>> times = pa.array([20, 10]).cast(pa.timestamp("us", tz="UTC"))
    >>> push(online, ("credit", 1), pa.table({"customer": ["c", "c"], "event_time": times, "score": [2.0, 1.0]}))
    1
    >>> online.vector("c")
    (2.0,)
    """
    written = 0
    found = False
    for section in view.sections:
        for number, member in enumerate(section.groups):
            if (member.name, member.version) != group or section.moving:
                continue
            found = True
            wanted = [
                *member.keys,
                EVENT_TIME,
                *(one.field.name for one in section.layout.stored if one.group == number),
            ]
            missing = [name for name in wanted if name not in rows.column_names]
            if missing:
                raise UsageError(f"the columns {', '.join(missing)} are missing", where=f"rows of {member.name}")
            event = microseconds(rows.column(EVENT_TIME))
            newest = _newest(rows.select(list(member.keys)), event)
            part = rows.select(list(dict.fromkeys(wanted))).take(pa.array(newest))
            written += write_rows(section, number, view.online, part, event[newest])
    if not found:
        raise UsageError(
            f"the view {view.view.name} takes no rows of {group[0]} version {group[1]}",
            mend="push to a group of the view; window values are written by a WindowWriter",
        )
    return written


def write_rows(
    section: Section,
    number: int,
    online: Online,
    rows: pa.Table,
    event_us: Int64Array,
    *,
    mark: bytes | None = None,
    anew: bool = False,
) -> int:
    """Write one row an entity of the section's group `number`, in one commit.

    Parameters
    ----------
    rows : pa.Table
        Keys and features.
    event_us : int64[n]
        Event times.
    mark : bytes, optional
        As for `Online.put_many`.
    anew : bool
        Nothing is online yet: nothing is read first.
    """
    found = section.keys.of_columns(rows.select(list(section.groups[number].keys)).rename_columns(section.keys.columns))
    # In the order of their keys they lie side by side in a store that keeps them sorted.
    encoded = pa.array(found, pa.binary())
    order = pc.sort_indices(encoded)
    keys: list[bytes] = encoded.take(order).to_pylist()
    rows, event_us = rows.take(order), event_us[order.to_numpy()]
    before: list[bytes | None] | None = None
    if len(section.groups) > 1 or not anew:
        before = online.get_many(section.space, keys)
        for record in before:
            if record is not None:
                section.layout.unpack(record, section.space)
        newer = np.flatnonzero(event_times(section.layout, number, before) <= event_us)
        if len(newer) < len(keys):
            rows, event_us = rows.take(pa.array(newer)), event_us[newer]
            keys, before = [keys[place] for place in newer], [before[place] for place in newer]
    records = section.layout.pack(number, rows, event_us, before)
    return online.put_many(section.space, zip(keys, records, strict=True), mark=mark)


def _newest(keys: pa.Table, event_us: Int64Array) -> Int64Array:
    """Places of the newest row of each entity; of equal times the last."""
    best: dict[tuple[object, ...], int] = {}
    for place, entity in enumerate(zip(*(column.to_pylist() for column in keys.columns), strict=True)):
        held = best.get(entity)
        if held is None or event_us[held] <= event_us[place]:
            best[entity] = place
    return np.array(sorted(best.values()), np.int64)
