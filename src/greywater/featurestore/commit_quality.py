"""Writes rows held against the rules of their group, and keeps with each commit what its values were like."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.featurestore.definitions import FeatureGroup
from greywater.featurestore.distinct_count import hashes_of_numbers
from greywater.featurestore.statistics import GroupStatistics, describe, merge
from greywater.featurestore.validation import Known, Validated, check
from greywater.stores.feature_ports import EVENT_TIME, GroupCommit, Offline, microseconds
from greywater.stores.offline_keys import key_column, key_hashes
from greywater.vocab import Int64Array

__all__ = [
    "RULES",
    "STATISTICS",
    "GroupSummary",
    "append_checked",
    "commit_meta",
    "described",
    "group_statistics",
    "held_by",
]

#: What a commit's meta holds: its statistics (JSON, deflated, base64) and what became of the rules.
STATISTICS, RULES = "statistics", "rules"


@dataclass(frozen=True)
class GroupSummary:
    """The statistics of some commits of a group together.

    `statistics` is None where no commit has any; `without` counts commits that were written without statistics.
    """

    statistics: GroupStatistics | None
    commits: int
    without: int


def commit_meta(found: Validated, group: FeatureGroup) -> dict[str, Any]:
    """What to give `Offline.append` as meta beside the rows kept."""
    return {**described(found.kept, group), RULES: found.as_dict()}


def described(rows: pa.Table, group: FeatureGroup) -> dict[str, str]:
    """The part of a commit's meta that says what the values of its rows are like."""
    statistics = describe(rows, [feature.name for feature in group.features])
    return {STATISTICS: base64.b64encode(zlib.compress(statistics.to_json().encode())).decode()}


def statistics_of(meta: Mapping[str, Any]) -> GroupStatistics | None:
    """The statistics that a commit's meta holds, or None."""
    packed = meta.get(STATISTICS)
    return GroupStatistics.from_json(zlib.decompress(base64.b64decode(packed)).decode()) if packed else None


def append_checked(
    offline: Offline,
    group: FeatureGroup,
    rows: pa.Table,
    now_us: int,
    *,
    transaction: str | None = None,
    before: Callable[[Validated], None] | None = None,
) -> tuple[Validated, GroupCommit | None]:
    """Hold rows against the rules of their group and write those that are kept, with their statistics.

    The rows set aside are in what is returned; to keep them is the caller's, who may do so `before` the others are
    written. `unique` asks the store which rows it
    has; two writers at the same moment do not see each other's.

    Returns
    -------
    Validated, GroupCommit or None
        None where nothing was kept, or the transaction was written before.

    Raises
    ------
    RefusedValueError
        Where a rule whose action is reject is broken; nothing is written.
    """
    asks = any(rule.kind == "unique" for rule in group.rules)
    found = check(rows, group, now_us, known=held_by(offline, group) if asks else None)
    if before is not None:
        before(found)
    if not found.kept.num_rows:
        return found, None
    meta = commit_meta(found, group)
    return found, offline.append(group.name, group.version, found.kept, transaction=transaction, meta=meta)


def group_statistics(offline: Offline, group: FeatureGroup, *, first: int = 0, last: int | None = None) -> GroupSummary:
    """The statistics of a group's commits numbered from `first` to `last`, merged without reading a row."""
    commits = [
        commit
        for commit in offline.commits(group.name, group.version)
        if commit.number >= first and (last is None or commit.number <= last)
    ]
    parts = [part for commit in commits if (part := statistics_of(commit.meta)) is not None]
    return GroupSummary(merge(parts) if parts else None, len(commits), len(commits) - len(parts))


def held_by(offline: Offline, group: FeatureGroup) -> Known:
    """What `unique` asks: which keys and event times the group has already.

    Reads the keys of the group's rows between the least and the greatest event time asked for.
    """

    def known(rows: pa.Table) -> np.ndarray[tuple[Any, ...], np.dtype[np.bool_]]:
        found = np.zeros(rows.num_rows, np.bool_)
        if not rows.num_rows or offline.layout(group.name, group.version) is None:
            return found
        asked = _identities(rows, group)
        times = asked[2]
        columns = [*group.keys, EVENT_TIME]
        window = {"start_us": int(times.min()), "stop_us": int(times.max()) + 1}
        order = np.argsort(_mixed(asked))
        ordered = _mixed(asked)[order]
        for batch in offline.scan(group.name, group.version, columns, **window):
            held = _identities(pa.Table.from_batches([batch]), group)
            mixed = _mixed(held)
            for at in np.flatnonzero(np.isin(mixed, ordered)).tolist():
                low, high = (np.searchsorted(ordered, mixed[at], side=side) for side in ("left", "right"))
                for row in order[low:high].tolist():
                    found[row] |= all(mine[row] == theirs[at] for mine, theirs in zip(asked, held, strict=True))
        return found

    return known


Identities = tuple[Int64Array, Int64Array, Int64Array]


def _identities(rows: pa.Table, group: FeatureGroup) -> Identities:
    """High and low half of the key's hash, and the event time."""
    keys = [
        key_column(rows.column(name), dtype, name) for name, dtype in zip(group.keys, group.key_dtypes, strict=True)
    ]
    high, low = key_hashes(keys)
    return high, low, microseconds(rows.column(EVENT_TIME))


def _mixed(identities: Identities) -> np.ndarray[tuple[Any, ...], np.dtype[np.uint64]]:
    high, _, times = identities
    return hashes_of_numbers(times) ^ high.view(np.uint64)
