"""A small offline store in memory that keeps the port's promises, one run a day and append; for what reads the port."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, GroupCommit, GroupLayout, SortedRun, microseconds
from greywater.stores.ports import Finding
from greywater.vocab import Int64Array

DAY_US = 86_400_000_000


def hashed(keys: tuple[object, ...]) -> tuple[int, int]:
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True), int.from_bytes(digest[8:16], "big", signed=True)


@dataclass
class Run:
    """One day of one append, sorted."""

    table: pa.Table
    key: Int64Array
    event_us: Int64Array
    known_us: Int64Array
    commit: Int64Array | int

    @property
    def rows(self) -> int:
        return len(self.event_us)

    @property
    def least_event_us(self) -> int:
        return int(self.event_us.min())

    @property
    def greatest_event_us(self) -> int:
        return int(self.event_us.max())

    @property
    def key_high(self) -> Int64Array:
        return self.key[:, 0]

    @property
    def key_low(self) -> Int64Array:
        return self.key[:, 1]

    def columns(self, names: Sequence[str]) -> pa.Table:
        return self.table.select(list(names))


class OfflineDouble:
    """The port Offline over lists."""

    def __init__(self) -> None:
        self.layouts: dict[tuple[str, int], GroupLayout] = {}
        self._runs: dict[tuple[str, int], list[Run]] = {}
        self._commits: dict[tuple[str, int], list[GroupCommit]] = {}

    def create(self, layout: GroupLayout) -> None:
        self.layouts[layout.name, layout.version] = layout
        self._runs.setdefault((layout.name, layout.version), [])
        self._commits.setdefault((layout.name, layout.version), [])

    def layout(self, name: str, version: int) -> GroupLayout | None:
        return self.layouts.get((name, version))

    def versions(self) -> list[tuple[str, int]]:
        return sorted(self.layouts)

    def append(
        self,
        name: str,
        version: int,
        rows: pa.Table,
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        layout, commits = self.layouts[name, version], self._commits[name, version]
        number = len(commits)
        event = microseconds(rows.column(EVENT_TIME))
        key = np.array([hashed(one) for one in zip(*(rows.column(k).to_pylist() for k in layout.keys), strict=True)])
        key = key.reshape(-1, 2).astype(np.int64)
        for day in np.unique(event // DAY_US).tolist():
            places = np.flatnonzero(event // DAY_US == day)
            order = places[np.lexsort((event[places], key[places, 1], key[places, 0]))]
            part = rows.take(pa.array(order))
            run = Run(part, key[order], event[order], microseconds(part.column(KNOWN_TIME)), number)
            self._runs[name, version].append(run)
        commits.append(GroupCommit(number, rows.num_rows, 0, transaction, "", dict(meta or {})))
        return commits[-1]

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        return list(self._commits[name, version])

    def runs(
        self, name: str, version: int, *, start_us: int | None = None, stop_us: int | None = None,
        as_of_commit: int | None = None,
    ) -> list[SortedRun]:  # fmt: skip
        held = [
            run
            for run in self._runs[name, version]
            if (stop_us is None or run.least_event_us < stop_us)
            and (start_us is None or run.greatest_event_us >= start_us)
            and (as_of_commit is None or run.commit <= as_of_commit)
        ]
        return sorted(held, key=lambda run: -run.greatest_event_us)

    def scan(
        self, name: str, version: int, columns: Sequence[str] | None = None, *, start_us: int | None = None,
        stop_us: int | None = None, as_of_commit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        for run in self._runs[name, version]:
            yield from run.table.to_batches()

    def check(self) -> list[Finding]:
        return []


def latest_twin(
    rows: Sequence[tuple[tuple[object, ...], int, int, int, Mapping[str, object]]], as_of: int, known_by: int
) -> dict[tuple[object, ...], tuple[int, Mapping[str, object]]]:
    """Of (keys, event, known, commit, values) the latest of each entity, by the words of the rule."""
    found: dict[tuple[object, ...], tuple[int, int, Mapping[str, object]]] = {}
    for keys, event, known, commit, values in rows:
        if event > as_of or known > known_by:
            continue
        if keys not in found or found[keys][:2] <= (event, commit):
            found[keys] = (event, commit, values)
    return {keys: (event, values) for keys, (event, _, values) in found.items()}
