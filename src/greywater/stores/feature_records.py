"""The feature store's records: groups, views, what was said of them later, commits, training sets, models bound."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa

from greywater.errors import StoreError
from greywater.stores.feature_record_lineage import FeatureEdges
from greywater.stores.feature_record_rows import (
    BINDINGS,
    COMMITS,
    GROUPS,
    STATES,
    TRAINING_SETS,
    USES,
    VIEWS,
    BindingRecord,
    Change,
    CommitRecord,
    Definition,
    Kind,
    SearchDocument,
    TrainingSetRecord,
    UseRecord,
)
from greywater.stores.feature_record_search import FeatureDocuments
from greywater.stores.feature_record_usage import DriftRows, ServedCounters
from greywater.stores.ports import Finding
from greywater.stores.record_database import RecordDatabase
from greywater.stores.record_rows import canonical_json, moment, now_us
from greywater.stores.records import write_audit
from greywater.vocab import Actor

__all__ = ["FeatureRecords"]

_TABLES: Final[dict[str, sa.Table]] = {"group": GROUPS, "view": VIEWS}


class FeatureRecords:
    """What the feature store knows of itself, in the database of the project's records.

    A change and its audit row are one commit. What was written once under a name and a version never changes;
    what is said later of it (state, description, owner, tags) is a row of its own, and all rows stay.

    Parameters
    ----------
    database : RecordDatabase
        For example `Records.database`, so that both share connections.

    Attributes
    ----------
    documents : FeatureDocuments
        The index of search.
    edges : FeatureEdges
        Lineage.
    served : ServedCounters
        How often views were served.
    drift : DriftRows
        What drift measures said.

    Examples
    --------
    >>> with FeatureRecords.open("sqlite::memory:") as records:
    ...     records.put_definition(Actor(), Definition("group", "sums", 1, "f0", "{}", "", moment(0)))
    ...     records.put_definition(Actor(), Definition("group", "sums", 1, "f0", "{}", "", moment(0)))
    ...     [(one.name, one.version) for one in records.definitions("group")]
    True
    False
    [('sums', 1)]
    """

    def __init__(self, database: RecordDatabase) -> None:
        self.database = database
        self.documents = FeatureDocuments(database)
        self.edges = FeatureEdges(database)
        self.served = ServedCounters(database)
        self.drift = DriftRows(database)

    @classmethod
    def open(cls, url: str | Path) -> Self:
        """Open a database of records; see `RecordDatabase.open`."""
        return cls(RecordDatabase.open(url))

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put_definition(
        self,
        actor: Actor,
        definition: Definition,
        *,
        state: str = "",
        documents: Sequence[SearchDocument] = (),
        check: Callable[[Sequence[Definition], Sequence[Change]], None] | None = None,
    ) -> bool:
        """Write a version of a group or a view, once.

        Parameters
        ----------
        actor : Actor
            Who registers it.
        definition : Definition
            `principal` and `at` are set here.
        state : str
            The state it begins in; empty = none is written.
        documents : sequence of SearchDocument
            What search shall find of it.
        check : callable, optional
            Called inside the transaction with the versions of the name that are there and with all that was said of
            them later; raises where this one must not be added.

        Returns
        -------
        bool
            False where this very definition was there already.

        Raises
        ------
        StoreError
            The version is there with another definition.
        """
        held_in = _TABLES[definition.kind]
        with self.database.transaction(writes=True) as connection:
            held = self._definitions(connection, definition.kind, definition.name)
            same = [one for one in held if one.version == definition.version]
            if same and same[0].text == definition.text:
                return False
            if check is not None:
                check(held, self._changes(connection, kind=definition.kind, name=definition.name))
            if same:
                raise StoreError(
                    f"{definition.kind} {definition.name!r} version {definition.version} is registered already, with "
                    "another definition; what was registered once never changes",
                    mend=f"register it as version {max(one.version for one in held) + 1}",
                )
            row = {
                "name": definition.name, "version": definition.version, "fingerprint": definition.fingerprint,
                "definition": definition.text, "sha256": _sha256(definition.text), "principal": actor.principal,
                "at_us": now_us(),
            }  # fmt: skip
            connection.execute(held_in.insert().values(row))
            if state:
                self._say(connection, actor, definition.kind, definition.name, definition.version, "", "state", state)
            self.documents.put(connection, documents)
            told = {"fingerprint": definition.fingerprint} | ({"state": state} if state else {})
            thing = f"{definition.name}@{definition.version}"
            write_audit(connection, actor, f"register_{definition.kind}", thing, "done", told)
        return True

    def definition(self, kind: Kind, name: str, version: int) -> Definition | None:
        """One version, or None where it is not registered."""
        found = [one for one in self.definitions(kind, name) if one.version == version]
        return found[0] if found else None

    def definitions(self, kind: Kind, name: str | None = None) -> list[Definition]:
        """All versions of all groups or views, or of one name, sorted by name and version."""
        with self.database.transaction() as connection:
            return self._definitions(connection, kind, name)

    def _definitions(self, connection: sa.Connection, kind: Kind, name: str | None) -> list[Definition]:
        held_in = _TABLES[kind]
        chosen = held_in.select()
        if name is not None:
            chosen = chosen.where(held_in.c.name == name)
        found = [
            Definition(
                kind, row["name"], row["version"], row["fingerprint"], row["definition"], row["principal"],
                moment(row["at_us"]),
            )
            for row in connection.execute(chosen).mappings()
        ]  # fmt: skip
        return sorted(found, key=lambda one: (one.name, one.version))

    def change(
        self,
        actor: Actor,
        kind: str,
        name: str,
        version: int,
        values: Mapping[str, Any],
        *,
        feature: str = "",
        documents: Callable[[Sequence[Change]], Sequence[SearchDocument]] | None = None,
        check: Callable[[Sequence[Change]], None] | None = None,
    ) -> int:
        """Say something of a thing that is there: fields and values in JSON types, a row each.

        Parameters
        ----------
        documents : callable, optional
            Called with all that was said of the thing, this included; returns what search shall find of it from now on.
        check : callable, optional
            Called inside the transaction with all that was said before; raises where this must not be said.

        Returns
        -------
        int
            How many rows were written: a value that holds already is not said again.
        """
        with self.database.transaction(writes=True) as connection:
            before = self._changes(connection, kind=kind, name=name, version=version)
            if check is not None:
                check(before)
            held = {one.field: one.value for one in before if one.feature == feature}
            new = {field: value for field, value in values.items() if field not in held or held[field] != value}
            for field, value in new.items():
                self._say(connection, actor, kind, name, version, feature, field, value)
            if new:
                if documents is not None:
                    after = self._changes(connection, kind=kind, name=name, version=version)
                    self.documents.put(connection, documents(after))
                thing = f"{kind} {name}@{version}" + (f".{feature}" if feature else "")
                write_audit(connection, actor, "change_feature_record", thing, "done", new)
        return len(new)

    def _say(
        self, connection: sa.Connection, actor: Actor, kind: str, name: str, version: int, feature: str, field: str,
        value: Any,
    ) -> None:  # fmt: skip
        row = {
            "kind": kind, "name": name, "version": version, "feature": feature, "field": field,
            "value": canonical_json(value), "principal": actor.principal, "at_us": now_us(),
        }  # fmt: skip
        connection.execute(STATES.insert().values(row))

    def history(
        self, kind: str | None = None, name: str | None = None, version: int | None = None
    ) -> list[Change]:  # fmt: skip
        """All that was said later, oldest first."""
        with self.database.transaction() as connection:
            return self._changes(connection, kind=kind, name=name, version=version)

    def _changes(self, connection: sa.Connection, **wanted: Any) -> list[Change]:
        chosen = STATES.select().order_by(STATES.c.id)
        for column, value in wanted.items():
            if value is not None:
                chosen = chosen.where(STATES.c[column] == value)
        return [
            Change(
                row["id"], row["kind"], row["name"], row["version"], row["feature"], row["field"],
                json.loads(row["value"]), row["principal"], moment(row["at_us"]),
            )
            for row in connection.execute(chosen).mappings()
        ]  # fmt: skip

    def put_commit(
        self,
        actor: Actor,
        name: str,
        version: int,
        number: int,
        *,
        rows: int,
        sha256: str,
        statistics: Mapping[str, Any],
        detail: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write what an append to a group was, once; False where it is there already, the same.

        Raises
        ------
        StoreError
            The group is not registered, the commit is there and other, or statistics are no JSON (NaN).
        """
        row = {
            "name": name, "version": version, "number": number, "rows": rows, "content_sha256": sha256,
            "statistics": canonical_json(dict(statistics)), "detail": canonical_json(dict(detail or {})),
        }  # fmt: skip
        row["sha256"] = _sha256(canonical_json(row))
        key = (COMMITS.c.name == name) & (COMMITS.c.version == version) & (COMMITS.c.number == number)
        with self.database.transaction(writes=True) as connection:
            if not any(one.version == version for one in self._definitions(connection, "group", name)):
                raise _unknown("group", name, version)
            held = connection.execute(sa.select(COMMITS.c.sha256).where(key)).scalar()
            if held is not None:
                if held != row["sha256"]:
                    raise StoreError(f"commit {number} of {name}@{version} is recorded already, and is another one")
                return False
            connection.execute(COMMITS.insert().values(**row, at_us=now_us()))
            told = {"rows": rows, "sha256": sha256}
            write_audit(connection, actor, "append_features", f"{name}@{version}#{number}", "done", told)
        return True

    def commits(self, name: str, version: int) -> list[CommitRecord]:
        """What was appended to a group, oldest first."""
        key = (COMMITS.c.name == name) & (COMMITS.c.version == version)
        with self.database.transaction() as connection:
            rows = connection.execute(COMMITS.select().where(key).order_by(COMMITS.c.number)).mappings().all()
        return [
            CommitRecord(
                row["name"], row["version"], row["number"], row["rows"], row["content_sha256"],
                json.loads(row["statistics"]), json.loads(row["detail"]), moment(row["at_us"]),
            )
            for row in rows
        ]  # fmt: skip

    def put_training_set(
        self,
        actor: Actor,
        name: str,
        version: int,
        *,
        view: str,
        view_version: int,
        sha256: str,
        record: Mapping[str, Any],
    ) -> bool:
        """Write what a training set is and all it takes to make it again, once; False where it is there, the same.

        Raises
        ------
        StoreError
            This version of the set is there and other; the mend names the next version.
        """
        row = {
            "name": name, "version": version, "view": view, "view_version": view_version, "content_sha256": sha256,
            "record": canonical_json(dict(record)),
        }  # fmt: skip
        row["sha256"] = _sha256(canonical_json(row))
        with self.database.transaction(writes=True) as connection:
            chosen = sa.select(TRAINING_SETS.c.version, TRAINING_SETS.c.sha256).where(TRAINING_SETS.c.name == name)
            held: dict[int, str] = {row[0]: row[1] for row in connection.execute(chosen)}
            if version in held:
                if held[version] != row["sha256"]:
                    found = f"training set {name!r} version {version} is recorded already, and is another one"
                    raise StoreError(found, mend=f"record it as version {max(held) + 1}")
                return False
            connection.execute(TRAINING_SETS.insert().values(**row, principal=actor.principal, at_us=now_us()))
            told = {"view": f"{view}@{view_version}", "sha256": sha256}
            write_audit(connection, actor, "register_training_set", f"{name}@{version}", "done", told)
        return True

    def training_sets(self, name: str | None = None) -> list[TrainingSetRecord]:
        """All training sets, or the versions of one, sorted by name and version."""
        chosen = TRAINING_SETS.select()
        if name is not None:
            chosen = chosen.where(TRAINING_SETS.c.name == name)
        with self.database.transaction() as connection:
            rows = connection.execute(chosen).mappings().all()
        found = [
            TrainingSetRecord(
                row["name"], row["version"], row["view"], row["view_version"], row["content_sha256"],
                json.loads(row["record"]), row["principal"], moment(row["at_us"]),
            )
            for row in rows
        ]  # fmt: skip
        return sorted(found, key=lambda one: (one.name, one.version))

    def bind(self, actor: Actor, binding: BindingRecord, uses: Sequence[tuple[str, int, str]]) -> bool:
        """Write that a model reads a view, and which features of which groups that is; False where it is there.

        Parameters
        ----------
        binding : BindingRecord
            `principal` and `at` are set here.
        uses : sequence of (group, version, feature)

        Raises
        ------
        StoreError
            The model of this fingerprint reads another view.
        """
        row = {
            "model": binding.model, "model_fingerprint": binding.model_fingerprint, "view": binding.view,
            "view_version": binding.view_version, "view_fingerprint": binding.view_fingerprint, "team": binding.team,
        }  # fmt: skip
        key = (BINDINGS.c.model == binding.model) & (BINDINGS.c.model_fingerprint == binding.model_fingerprint)
        written = now_us()
        with self.database.transaction(writes=True) as connection:
            held = connection.execute(BINDINGS.select().where(key)).mappings().first()
            if held is not None:
                if any(held[name] != row[name] for name in ("view", "view_version", "view_fingerprint")):
                    found = f"model {binding.model!r} reads view {held['view']}@{held['view_version']}"
                    raise StoreError(found, mend="bind a model of another fingerprint: one model reads one view")
                return False
            connection.execute(BINDINGS.insert().values(**row, principal=actor.principal, at_us=written))
            rest = {name: value for name, value in row.items() if name != "view_fingerprint"} | {"at_us": written}
            rows = [{"name": group, "version": number, "feature": one, **rest} for group, number, one in uses]
            self.database.insert_new(USES, rows, connection)
            told = {"view": f"{binding.view}@{binding.view_version}", "fingerprint": binding.model_fingerprint}
            write_audit(connection, actor, "bind_model", binding.model, "done", told)
        return True

    def bindings(self) -> list[BindingRecord]:
        """All models that were ever bound, oldest first."""
        chosen = BINDINGS.select().order_by(BINDINGS.c.at_us, BINDINGS.c.model, BINDINGS.c.model_fingerprint)
        with self.database.transaction() as connection:
            rows = connection.execute(chosen).mappings().all()
        return [
            BindingRecord(
                row["model"], row["model_fingerprint"], row["view"], row["view_version"], row["view_fingerprint"],
                row["team"], row["principal"], moment(row["at_us"]),
            )
            for row in rows
        ]  # fmt: skip

    def uses(self) -> list[UseRecord]:
        """Which model reads which feature, sorted by feature, then oldest first."""
        chosen = USES.select().order_by(USES.c.name, USES.c.version, USES.c.feature, USES.c.at_us, USES.c.model)
        with self.database.transaction() as connection:
            rows = connection.execute(chosen).mappings().all()
        return [
            UseRecord(
                row["name"], row["version"], row["feature"], row["model"], row["model_fingerprint"], row["team"],
                row["view"], row["view_version"], moment(row["at_us"]),
            )
            for row in rows
        ]  # fmt: skip

    def check(self) -> list[Finding]:
        """Verify that every definition, commit and training set says what it said when it was written."""
        findings, mend = [], "restore the records from a backup"
        with self.database.transaction() as connection:
            for kind, held_in in _TABLES.items():
                for row in connection.execute(held_in.select()).mappings():
                    if _sha256(row["definition"]) != row["sha256"]:
                        where = f"{kind} {row['name']}@{row['version']}"
                        findings.append(Finding(where, "it is not what was registered: its SHA-256 differs", mend))
            for held_in in (COMMITS, TRAINING_SETS):
                for row in connection.execute(held_in.select()).mappings():
                    kept = {name: row[name] for name in row if name not in ("sha256", "principal", "at_us")}
                    if _sha256(canonical_json(kept)) != row["sha256"]:
                        where = f"{held_in.name} {row['name']}@{row['version']}"
                        findings.append(Finding(where, "it is not what was recorded: its SHA-256 differs", mend))
        return findings


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _unknown(kind: str, name: str, version: int) -> StoreError:
    return StoreError(f"there is no {kind} {name!r} version {version}", mend=f"register the {kind} first")
