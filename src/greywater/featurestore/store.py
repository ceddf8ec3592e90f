"""The feature store of a project in one place: groups written, views read as of a moment, served, compared, traced."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import FeatureGroup, FeatureView
from greywater.stores.feature_ports import GroupCommit, Offline, Online
from greywater.vocab import Actor, Progress

if TYPE_CHECKING:
    from greywater.featurestore.drift import DriftReport, Thresholds, Window
    from greywater.featurestore.lineage import Lineage
    from greywater.featurestore.materialize import Materialized
    from greywater.featurestore.part_files import FileLayout
    from greywater.featurestore.registry import Registry
    from greywater.featurestore.statistics import GroupStatistics
    from greywater.featurestore.training_record import TrainingQuery
    from greywater.featurestore.training_set import TrainingSet
    from greywater.featurestore.usage import Usage
    from greywater.featurestore.validation import Validated
    from greywater.featurestore.vectors import OnlineView
    from greywater.featurestore.writers import Manifest
    from greywater.stores.feature_records import FeatureRecords
    from greywater.stores.ports import Tables

__all__ = ["FeatureStore", "Written"]

#: Table of the project that keeps the rows set aside, with why.
QUARANTINE: Final = "quarantined_features"


@dataclass(frozen=True)
class Written:
    """What became of rows given to a group.

    Parameters
    ----------
    commit : GroupCommit or None
        None where the transaction was there already, or no row was left to write.
    rows : int
        Rows written.
    quarantined : int
        Rows kept aside with their reason.
    warnings : tuple of str
    """

    commit: GroupCommit | None
    rows: int
    quarantined: int
    warnings: tuple[str, ...]


class FeatureStore:
    """Groups, views, training sets and online vectors of one project.

    Parameters
    ----------
    offline : Offline
        Groups with their whole past.
    records : FeatureRecords
        Definitions, statistics, training sets, lineage, usage.
    actor : Actor
        Who acts; every change writes an audit row.
    online : Online, optional
        Records for serving; without it nothing can be served.
    tables : Tables, optional
        Where rows set aside are kept; without it a group with a rule that quarantines is refused.

    Examples
    --------
    >>> from greywater.featurestore.definitions import FeatureField, ViewFeature
    >>> from greywater.stores.feature_records import FeatureRecords
    >>> from greywater.stores.offline_memory import MemoryOffline
    >>> from greywater.stores.online_memory import MemoryOnline
    >>> store = FeatureStore(MemoryOffline(), FeatureRecords.open("sqlite::memory:"), Actor(), online=MemoryOnline())
    >>> score = FeatureField("score", "float64", default=0.5)
    >>> _ = store.create_group(FeatureGroup("credit", 1, ("customer",), ("string",), (score,)))
    >>> moment = pa.array([1_000_000], pa.timestamp("us", tz="UTC"))
    >>> rows = pa.table({"customer": ["c1"], "event_time": moment, "known_time": moment, "score": [0.9]})
    >>> store.write("credit", rows).rows
    1
    >>> _ = store.create_view(FeatureView("risk", 1, (ViewFeature("credit", 1, "score"),)))
    >>> _ = store.materialize("risk", as_of_us=2_000_000)
    >>> view = store.online_view("risk")
    >>> view.vector({"customer": "c1"}), view.vector({"customer": "c2"})
    ((0.9,), (0.5,))
    """

    def __init__(
        self,
        offline: Offline,
        records: FeatureRecords,
        actor: Actor,
        *,
        online: Online | None = None,
        tables: Tables | None = None,
    ) -> None:
        from greywater.featurestore.lineage import Lineage
        from greywater.featurestore.registry import Registry
        from greywater.featurestore.usage import Usage

        self.offline, self.records, self.actor, self.online, self.tables = offline, records, actor, online, tables
        self.registry: Registry = Registry(records)
        self.lineage: Lineage = Lineage(records)
        self.usage: Usage = Usage(records)
        self._opened: list[OnlineView] = []

    def create_group(self, group: FeatureGroup) -> FeatureGroup:
        """Register a version of a group and make room for its rows; nothing where it is there just like this.

        Raises
        ------
        UsageError
            A rule does not fit the group.
        StoreError
            The version is there and other.
        """
        from greywater.featurestore.validation_rules import read_rules

        read_rules(group)
        if self.tables is None and any(rule.action == "quarantine" for rule in group.rules):
            raise UsageError("a rule sets rows aside, and there is no place for them", where=group.name)
        registered = self.registry.register_group(group, self.actor)
        self.offline.create(registered.layout)
        return registered

    def create_view(self, view: FeatureView, *, allow_protected: bool = False) -> FeatureView:
        """Register a version of a view; see `Registry.register_view`."""
        return self.registry.register_view(view, self.actor, allow_protected=allow_protected)

    def write(
        self,
        name: str,
        rows: pa.Table,
        *,
        version: int | None = None,
        transaction: str | None = None,
        source: str = "",
    ) -> Written:
        """Hold rows against the group's rules, write what is left in one commit, and describe it.

        Parameters
        ----------
        name : str
            A registered group.
        rows : pa.Table
            Keys, event_time, features; known_time where rows were not known at their event time.
        version : int, optional
            None = the newest active one.
        transaction : str, optional
            A second write under the same key does nothing.
        source : str
            Where the rows come from, for the lineage: a file's name and hash, a table.

        Raises
        ------
        RefusedValueError
            A rule that rejects is broken; nothing is written.
        """
        from greywater.featurestore.commit_quality import append_checked

        group = self.registry.group(name, version)
        written = self._written(group, transaction)
        if written is not None:  # its rows are not held against themselves; perhaps it was stopped before it was noted
            self._note(group, written, source)
            return Written(None, 0, 0, ())
        held, commit = append_checked(
            self.offline, group, _with_known_time(rows), time.time_ns() // 1000, transaction=transaction,
            before=lambda found: self._set_aside(group, found, transaction),
        )  # fmt: skip
        noted = commit or self._written(group, transaction)
        if noted is not None:
            self._note(group, noted, source)
        return Written(commit, 0 if commit is None else commit.rows, held.quarantined.num_rows, held.warnings)

    def _written(self, group: FeatureGroup, transaction: str | None) -> GroupCommit | None:
        """The commit of a transaction, if there is one."""
        if transaction is None:
            return None
        commits = self.offline.commits(group.name, group.version)
        return next((one for one in commits if one.transaction == transaction), None)

    def _set_aside(self, group: FeatureGroup, held: Validated, transaction: str | None) -> None:
        if not held.quarantined.num_rows:
            return
        if self.tables is None:
            raise StoreError("rows are to be set aside, and there is no place for them", where=group.name)
        rows = held.quarantined
        kept = pa.table(
            {
                "feature_group": pa.array([f"{group.name}@{group.version}"] * rows.num_rows, pa.string()),
                "row": pa.array([_as_json(row) for row in rows.to_pylist()], pa.string()),
            }
        )
        key = None if transaction is None else f"{group.name}@{group.version}:{transaction}"
        self.tables.append(QUARANTINE, kept, transaction=key)

    def set_aside(self, name: str, version: int | None = None) -> list[dict[str, Any]]:
        """Rows of a group that its rules set aside, in the order of writing.

        Each with its columns, `quarantine_rule`, the first rule that it broke, and `quarantine_reason`. Other versions
        of the group have their own.
        """
        group = self.registry.group(name, version)
        held = None if self.tables is None else self.tables.read(QUARANTINE, ["feature_group", "row"])
        if held is None:
            return []
        mine = held.filter(pc.equal(held["feature_group"], f"{group.name}@{group.version}"))
        return [json.loads(row) for row in mine["row"].to_pylist()]

    def _note(self, group: FeatureGroup, commit: GroupCommit, source: str) -> None:
        """What was written, for the register, and where it came from, for the lineage. Once, however often told."""
        from greywater.featurestore.lineage import commit_name

        self.records.put_commit(
            self.actor, group.name, group.version, commit.number, rows=commit.rows, sha256=commit.sha256,
            statistics={}, detail={"source": source},
        )  # fmt: skip
        if source:
            target = commit_name(group.name, group.version, commit.number)
            self.lineage.add("source", source, "commit", target)

    def statistics(self, name: str, version: int | None = None) -> GroupStatistics | None:
        """Statistics of all commits of a group together; None where nothing was described."""
        from greywater.featurestore.commit_quality import group_statistics

        return group_statistics(self.offline, self.registry.group(name, version)).statistics

    def groups_of(self, view: FeatureView) -> dict[tuple[str, int], FeatureGroup]:
        """The groups that a view reads."""
        return {(name, version): self.registry.group(name, version) for name, version in view.groups}

    def training_set(self, view: FeatureView, labels: pa.Table, query: TrainingQuery) -> TrainingSet:
        """Make a training set as of its label rows' moments, and register it; see `training_set.training_set`."""
        from greywater.featurestore.point_in_time import join_as_of
        from greywater.featurestore.training_set import TrainingSet, assemble

        self._refuse_made(query)
        assembly = assemble(query, view, self.groups_of(view), self.offline, labels, join=join_as_of)
        made = TrainingSet(pa.concat_tables(list(assembly.chunks())), assembly.record())
        self._register(made.record)
        return made

    def write_training_set(
        self, view: FeatureView, labels: pa.Table, query: TrainingQuery, folder: Path, layout: FileLayout | None = None
    ) -> Manifest:
        """The same straight into files, in bounded memory; the folder appears once the set is registered."""
        from greywater.featurestore.point_in_time import join_as_of
        from greywater.featurestore.writers import write_training_set

        self._refuse_made(query)
        return write_training_set(
            query, view, self.groups_of(view), self.offline, labels, folder, layout, join=join_as_of,
            register=self._register,
        )  # fmt: skip

    def remake(self, name: str, labels: pa.Table, *, version: int | None = None) -> TrainingSet:
        """Make a registered training set again, the same bit for bit.

        Raises
        ------
        StoreError
            There is no such set, or a group is not what it was.
        """
        from greywater.featurestore.point_in_time import join_as_of
        from greywater.featurestore.training_record import TrainingRecord
        from greywater.featurestore.training_set import remake

        sets = [one for one in self.records.training_sets(name) if version in (None, one.version)]
        if not sets:
            raise StoreError(
                f"there is no training set {name!r}{'' if version is None else f' version {version}'}",
                mend="see greywater training-set list",
            )
        record = TrainingRecord.from_json(json.dumps(sets[-1].record))
        return remake(record, self.groups_of(record.view), self.offline, labels, join=join_as_of)

    def _refuse_made(self, query: TrainingQuery) -> None:
        """Refuse a version that is registered before the work, not after."""
        made = [one.version for one in self.records.training_sets(query.name)]
        if query.version in made:
            raise StoreError(
                f"training set {query.name!r} version {query.version} is made already",
                mend=f"make it again with remake, or another as version {max(made) + 1}",
            )

    def _register(self, record: Any) -> None:
        from greywater.featurestore.lineage import commit_name, version_name

        query, view = record.query, record.view
        self.records.put_training_set(
            self.actor, query.name, query.version, view=view.name, view_version=view.version, sha256=record.sha256,
            record=json.loads(record.to_json()),
        )  # fmt: skip
        target = version_name(query.name, query.version)
        sources = [
            ("commit", commit_name(use.name, use.version, number), "training_set", target)
            for use in record.groups
            for number in range(use.commit + 1)
        ]
        if sources:
            self.lineage.add_all(sources, how=f"view {version_name(view.name, view.version)}")

    def online_view(self, name: str, version: int | None = None) -> OnlineView:
        """What reads vectors of a view; open it once and keep it."""
        from greywater.featurestore.vectors import OnlineView

        view = self.registry.view(name, version)
        self._opened.append(OnlineView(view, self.groups_of(view), self._online()))
        return self._opened[-1]

    def note_served(self) -> int:
        """Write into the records how many vectors the opened views served since the last time; how many it were.

        `feature_store` and `open_features` call it at their end; a process that serves for long calls it now and then.
        """
        total = 0
        for view in self._opened:
            served, view.served = view.served, 0
            if served:
                self.usage.served(view.view.name, view.view.version, served)
            total += served
        return total

    def materialize(
        self,
        name: str,
        *,
        version: int | None = None,
        as_of_us: int | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
    ) -> Materialized:
        """Bring the online records of a view up to a moment (None = now); see `materialize.materialize`."""
        from greywater.featurestore.materialize import materialize

        moment = time.time_ns() // 1000 if as_of_us is None else as_of_us
        return materialize(self.online_view(name, version), self.offline, moment, fresh=fresh, progress=progress)

    def _online(self) -> Online:
        if self.online is None:
            raise UsageError("there is no online store", mend="name one, such as lmdb:<folder>")
        return self.online

    def drift(
        self,
        name: str,
        reference: Window,
        live: Window,
        *,
        version: int | None = None,
        features: Sequence[str] | None = None,
        thresholds: Thresholds | None = None,
    ) -> DriftReport:
        """Measure how far two windows of a group are apart, and keep what was found."""
        from greywater.featurestore.drift import group_drift

        group = self.registry.group(name, version)
        report = group_drift(self.offline, group, reference, live, features=features, thresholds=thresholds)
        self.records.drift.add(report.records(f"group:{group.name}@{group.version}"))
        return report

    def drift_since(
        self, learned: TrainingSet, live: Window, *, part: str | None = None, thresholds: Thresholds | None = None
    ) -> DriftReport:
        """Measure how far live rows are from a training set (or a part of it), and keep what was found."""
        from greywater.featurestore.drift import view_drift

        query, view = learned.record.query, learned.record.view
        report = view_drift(
            learned.part(part), view, self.groups_of(view), self.offline, live,
            name=f"training set {query.name}@{query.version}", thresholds=thresholds,
        )  # fmt: skip
        self.records.drift.add(report.records(f"view:{view.name}@{view.version}"))
        return report


def _with_known_time(rows: pa.Table) -> pa.Table:
    """Rows without a knowledge time were known when they happened."""
    if "known_time" in rows.column_names or "event_time" not in rows.column_names:
        return rows
    return rows.append_column("known_time", rows["event_time"])


def _as_json(row: Mapping[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False, sort_keys=True)
