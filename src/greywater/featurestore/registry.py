"""The register of groups, views and the models that read them: what is in it never changes, what is said of it may."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import FeatureGroup, FeatureView, State
from greywater.featurestore.registry_rules import (
    ALLOWED,
    allowed_change,
    as_definition,
    group_with,
    known_state,
    no_feature,
    proper_words,
    refuse_joins,
    refuse_older,
    refuse_other_words,
    unknown_version,
    view_with,
)
from greywater.featurestore.schema_changes import compare_groups
from greywater.featurestore.search import documents_of_group, documents_of_view
from greywater.vocab import Actor

if TYPE_CHECKING:
    from greywater.stores.feature_record_rows import BindingRecord, Change, Definition, SearchDocument
    from greywater.stores.feature_records import FeatureRecords

__all__ = ["ALLOWED", "Registered", "Registry"]


@dataclass(frozen=True)
class Registered:
    """A version of a group or a view in the register: its state, and who registered it when."""

    kind: str
    name: str
    version: int
    state: State
    fingerprint: str
    principal: str
    at: datetime


class Registry:
    """Groups, views and models of one project.

    Parameters
    ----------
    records : FeatureRecords
        Where it is kept. Every change writes its audit row in the same commit.

    Examples
    --------
    >>> from greywater.featurestore.definitions import FeatureField, ViewFeature
    >>> from greywater.stores.feature_records import FeatureRecords
    >>> with FeatureRecords.open("sqlite::memory:") as records:
    ...     registry, actor = Registry(records), Actor()
    ...     score = FeatureField("score", "float64")
    ...     credit = registry.register_group(FeatureGroup("credit", 1, ("customer",), ("string",), (score,)), actor)
    ...     view = registry.register_view(FeatureView("risk", 1, (ViewFeature("credit", 1, "score"),)), actor)
    ...     registry.bind_model("risk", 1, "boosted-7", actor, model_fingerprint="ab12", team="monitoring")
    ...     registry.set_state("group", "credit", 1, "deprecated", actor)
    ...     registry.state("group", "credit", 1), registry.view("risk").names, registry.bindings()[0].model
    True
    ('deprecated', ('score',), 'boosted-7')
    """

    def __init__(self, records: FeatureRecords) -> None:
        self._records = records

    def register_group(self, group: FeatureGroup, actor: Actor, *, state: State = "active") -> FeatureGroup:
        """Register a version of a group; nothing happens where it is registered just like this.

        Raises
        ------
        StoreError
            The version is registered with another definition, or is older than one that is registered. The mend names
            the next version.
        """
        known_state(state)
        held = self._groups(group.name).get(group.version)
        if held is not None and held.to_json() == group.to_json():
            return held

        def check(versions: Sequence[Definition], changes: Sequence[Change]) -> None:
            same = next((one for one in versions if one.version == group.version), None)
            if same is None:
                refuse_older(group, "group", versions)
            elif all(one.compatible for one in compare_groups(FeatureGroup.from_json(same.text), group)):
                refuse_other_words(group, "group", versions)

        definition = as_definition("group", group)
        documents = documents_of_group(group, state)
        self._records.put_definition(actor, definition, state=state, documents=documents, check=check)
        return self.group(group.name, group.version)

    def extend_group(self, group: FeatureGroup, actor: Actor) -> FeatureGroup:
        """Register what `group` says as the successor of the newest version, where all changes are compatible.

        The version of `group` does not matter: the first becomes 1, a successor the newest + 1; without any
        difference the newest is returned and nothing is registered.

        Raises
        ------
        StoreError
            A change is not compatible (`compare_groups`): the message lists them, the mend names the version to
            register on purpose.
        """
        held = self._groups(group.name)
        if not held:
            return self.register_group(replace(group, version=1), actor)
        newest = held[max(held)]
        changes = compare_groups(newest, replace(group, version=newest.version))
        if not changes:
            return newest
        broken = [change.told for change in changes if not change.compatible]
        following = newest.version + 1
        if broken:
            raise StoreError(
                f"readers of {group.name!r} version {newest.version} cannot go on with these changes: "
                + "; ".join(broken),
                where=f"group {group.name!r}",
                mend=f"register it on purpose as version {following}, and views that read it",
            )
        state = self.state("group", group.name, newest.version)
        return self.register_group(
            replace(group, version=following), actor, state="draft" if state == "draft" else "active"
        )

    def group(self, name: str, version: int | None = None) -> FeatureGroup:
        """One version of a group, with what was said of it later; without a version the newest active one.

        Raises
        ------
        StoreError
            It is not registered, or no version is active.
        """
        held = self._groups(name)
        if version is None:
            version = self._newest_active("group", name, held)
        if version not in held:
            raise unknown_version("group", name, version, held)
        return held[version]

    def groups(self) -> list[FeatureGroup]:
        """All versions of all groups, sorted by name and version."""
        said = self._records.history("group")
        return [group_with(one, said) for one in self._records.definitions("group")]

    def register_view(
        self, view: FeatureView, actor: Actor, *, allow_protected: bool = False
    ) -> FeatureView:  # fmt: skip
        """Register a version of a view; nothing happens where it is registered just like this.

        Parameters
        ----------
        view : FeatureView
        actor : Actor
        allow_protected : bool
            Whether the project allows protected features in views; else they serve fairness reports only.

        Raises
        ------
        UsageError
            A group or a feature is unknown, retired, a draft (unless the view is one), or protected; a join does not
            give all keys of its group; the label is a column of the view.
        StoreError
            The version is registered with another definition, or is older than one that is registered.
        """
        known_state(view.state)
        held = self._views(view.name).get(view.version)
        if held is not None and held.to_json() == view.to_json():
            return held

        def check(versions: Sequence[Definition], changes: Sequence[Change]) -> None:
            same = next((one for one in versions if one.version == view.version), None)
            if same is None:
                refuse_older(view, "view", versions)
            elif same.fingerprint == view.fingerprint and FeatureView.from_json(same.text).label == view.label:
                refuse_other_words(view, "view", versions)

        if held is None:
            self._refuse_view(view, allow_protected)
        definition = as_definition("view", view)
        self._records.put_definition(actor, definition, documents=documents_of_view(view), check=check)
        return self.view(view.name, view.version)

    def view(self, name: str, version: int | None = None) -> FeatureView:
        """One version of a view, with what was said of it later; without a version the newest active one.

        Raises
        ------
        StoreError
            It is not registered, or no version is active.
        """
        held = self._views(name)
        if version is None:
            version = self._newest_active("view", name, held)
        if version not in held:
            raise unknown_version("view", name, version, held)
        return held[version]

    def views(self) -> list[FeatureView]:
        """All versions of all views, sorted by name and version."""
        said = self._records.history("view")
        return [view_with(one, said) for one in self._records.definitions("view")]

    def registered(self) -> list[Registered]:
        """All versions of groups and views with state, fingerprint, who and when."""
        states = {(one.kind, one.name, one.version): one.value for one in self._states(None, None)}
        found = []
        for one in [*self._records.definitions("group"), *self._records.definitions("view")]:
            first = "active" if one.kind == "group" else json.loads(one.text)["state"]
            state = states.get((one.kind, one.name, one.version), first)
            found.append(Registered(one.kind, one.name, one.version, state, one.fingerprint, one.principal, one.at))
        return found

    def state(self, kind: str, name: str, version: int, feature: str = "") -> State:
        """The state of a group, of a view, or of a feature of a group.

        Raises
        ------
        StoreError
            There is no such thing.
        """
        if kind == "view":
            return self.view(name, version).state
        group = self.group(name, version)
        if feature:
            if feature not in group.by_name:
                raise no_feature(group, feature)
            return group.by_name[feature].state
        said = self._states("group", name)
        return next((one.value for one in reversed(said) if one.version == version), "active")

    def set_state(
        self, kind: str, name: str, version: int, state: State, actor: Actor, *, feature: str = ""
    ) -> None:  # fmt: skip
        """Change the state of a group, of a view, or of a feature of a group; the state it has is no change.

        Raises
        ------
        StoreError
            There is no such thing, or its state does not lead to this one (`ALLOWED`).
        UsageError
            There is no such state; a view becomes active that reads what is retired or a draft.
        """
        known_state(state)
        first: State = self._own_state(kind, name, version, feature)
        if kind == "view" and state == "active" and first != "active":
            self._refuse_view(replace(self.view(name, version), state="active"), allow_protected=True)

        def check(changes: Sequence[Change]) -> None:
            said = [one.value for one in changes if one.field == "state" and one.feature == feature]
            thing = f"{kind} {name}@{version}" + (f".{feature}" if feature else "")
            allowed_change(thing, said[-1] if said else first, state)

        if first != state:
            self._change(actor, kind, name, version, {"state": state}, feature, check)

    def describe(
        self, kind: str, name: str, version: int, actor: Actor, *, feature: str = "", **words: str | Sequence[str]
    ) -> int:  # fmt: skip
        """Say other words of a thing: `description`, `owner`, `team`, `tags` (of a feature description and tags).

        Returns
        -------
        int
            How many of them are new. What was said before stays in the history.

        Raises
        ------
        StoreError
            There is no such thing.
        UsageError
            Something else was to be said: the rest of a definition never changes.
        """
        self._own_state(kind, name, version, feature)
        values = proper_words(words, f"{name}@{version}" + (f".{feature}" if feature else ""), feature)
        return self._change(actor, kind, name, version, values, feature, None)

    def history(self, kind: str, name: str, version: int | None = None) -> list[Change]:
        """All that was said of a group, a view (and a group's features) since it was registered, oldest first."""
        return self._records.history(kind, name, version)

    def bind_model(
        self,
        view: str,
        version: int,
        model: str,
        actor: Actor,
        *,
        model_fingerprint: str,
        team: str = "",
        view_fingerprint: str | None = None,
    ) -> bool:
        """Write that a model reads a view; False where that is known already.

        Parameters
        ----------
        view, version : str, int
        model, model_fingerprint : str
            The model's name or id, and what tells it from another of this name.
        team : str
            Whose model it is; empty = the view's team.
        view_fingerprint : str, optional
            The fingerprint that the model was trained with, where it carries one.

        Raises
        ------
        StoreError
            There is no such view, it is retired, its fingerprint is another, or the model reads another view.
        """
        from greywater.stores.feature_record_rows import BindingRecord

        held = self.view(view, version)
        if held.state == "retired":
            raise StoreError(f"view {view}@{version} is retired", mend="bind the model to a view that is not")
        if view_fingerprint is not None and view_fingerprint != held.fingerprint:
            raise StoreError(
                f"the model was trained with view fingerprint {view_fingerprint}, {view}@{version} is "
                f"{held.fingerprint}",
                mend="bind it to the version that it was trained with",
            )
        if not model or not model_fingerprint:
            raise UsageError("a model needs a name and a fingerprint", mend="give both")
        binding = BindingRecord(
            model, model_fingerprint, view, version, held.fingerprint, team or held.team, "", datetime.min
        )
        uses = [(one.group, one.version, one.feature) for one in held.features]
        return self._records.bind(actor, binding, uses)

    def bindings(self, view: str | None = None, version: int | None = None) -> list[BindingRecord]:
        """The models bound to a view, or to any, oldest first."""
        return [
            one
            for one in self._records.bindings()
            if view in (None, one.view) and version in (None, one.view_version)
        ]  # fmt: skip

    def _own_state(self, kind: str, name: str, version: int, feature: str) -> State:
        if kind not in ("group", "view") or (feature and kind != "group"):
            raise UsageError(f"a {kind} has no words or states here", mend="name a group, a view, or a group's feature")
        return self.state(kind, name, version, feature)

    def _change(
        self, actor: Actor, kind: str, name: str, version: int, values: Mapping[str, Any], feature: str,
        check: Callable[[Sequence[Change]], None] | None,
    ) -> int:  # fmt: skip
        definition = self._records.definition("group" if kind == "group" else "view", name, version)

        def documents(changes: Sequence[Change]) -> list[SearchDocument]:
            if definition is None:
                return []
            if kind == "view":
                return documents_of_view(view_with(definition, changes))
            states = [one.value for one in changes if one.field == "state" and not one.feature]
            return documents_of_group(group_with(definition, changes), states[-1] if states else "active")

        return self._records.change(
            actor, kind, name, version, values, feature=feature, documents=documents, check=check
        )

    def _states(self, kind: str | None, name: str | None) -> list[Change]:
        return [one for one in self._records.history(kind, name) if one.field == "state" and not one.feature]

    def _groups(self, name: str) -> dict[int, FeatureGroup]:
        said = self._records.history("group", name)
        return {one.version: group_with(one, said) for one in self._records.definitions("group", name)}

    def _views(self, name: str) -> dict[int, FeatureView]:
        said = self._records.history("view", name)
        return {one.version: view_with(one, said) for one in self._records.definitions("view", name)}

    def _newest_active(self, kind: str, name: str, held: Mapping[Any, Any]) -> int:
        active = [version for version in held if self.state(kind, name, version) == "active"]
        if active:
            return int(max(active))
        if not held:
            raise unknown_version(kind, name, None, ())
        told = ", ".join(f"{version} is {self.state(kind, name, version)}" for version in sorted(held))
        raise StoreError(f"no version of {kind} {name!r} is active: {told}", mend="name a version, or activate one")

    def _refuse_view(self, view: FeatureView, allow_protected: bool) -> None:
        """Raise where a view must not be made of what it names."""
        where = f"view {view.name}@{view.version}"
        groups = {}
        for name, version in view.groups:
            held = self._groups(name)
            if version not in held:
                error = unknown_version("group", name, version, held)
                raise UsageError(error.found, where=where, mend=error.mend)
            groups[name, version] = held[version]
            self._refuse_state(view, f"group {name}@{version}", self.state("group", name, version))
        for column in view.features:
            group = groups[column.group, column.version]
            if column.feature not in group.by_name:
                error = no_feature(group, column.feature)
                raise UsageError(error.found, where=where, mend=error.mend)
            feature = group.by_name[column.feature]
            self._refuse_state(view, f"feature {column.feature!r} of {group.name}@{group.version}", feature.state)
            if feature.protected and not allow_protected:
                raise UsageError(
                    f"feature {column.feature!r} of {group.name}@{group.version} is a protected attribute",
                    where=where,
                    mend="leave it out: it serves fairness reports only, unless the project allows more",
                )
        refuse_joins(view, {name: group for (name, _), group in groups.items()})
        if view.label and view.label in view.names:
            raise UsageError(
                f"the label {view.label!r} is a column of the view", where=where, mend="leave it out of the columns"
            )

    def _refuse_state(self, view: FeatureView, thing: str, state: State) -> None:
        if state == "retired" or (state == "draft" and view.state != "draft"):
            mend = "register the view as a draft" if state == "draft" else "take what came after it, or leave it out"
            raise UsageError(f"{thing} is {state}", where=f"view {view.name}@{view.version}", mend=mend)
