"""How a view is cut for online reading: one record for each entity and each set of groups that share their keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from greywater.errors import UsageError
from greywater.featurestore.definitions import FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.packing import EntityKeys, RecordLayout, Stored

__all__ = ["GroupKey", "Section", "sections_of"]

#: Name and version of a group.
GroupKey = tuple[str, int]


@dataclass(frozen=True)
class Section:
    """The part of a view that one record holds.

    Parameters
    ----------
    space : str
        Of the online store.
    keys : EntityKeys
        How the record is found.
    layout : RecordLayout
        What is in it.
    positions : tuple of int
        Place in the view of each stored value.
    moving : bool
        Its values are of windows, and change by themselves as time goes on.
    """

    space: str
    keys: EntityKeys
    layout: RecordLayout
    positions: tuple[int, ...]
    moving: bool

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """The groups whose rows it holds."""
        return self.layout.groups


def sections_of(
    view: FeatureView, groups: Mapping[GroupKey, FeatureGroup], moving: Collection[GroupKey] = ()
) -> tuple[Section, ...]:
    """Cut a view.

    Groups that are found by the same columns of a request lie in one record; a group of windows has its own.

    Parameters
    ----------
    view : FeatureView
        What is asked for.
    groups : mapping of (name, version) to FeatureGroup
        At least those of the view.
    moving : collection of (name, version)
        The groups of window values.

    Raises
    ------
    UsageError
        A group or a feature is not there, is not served online, or its keys do not fit.

    Examples
    --------
    >>> from greywater.featurestore.definitions import FeatureField
    >>> group = FeatureGroup("credit", 1, ("customer",), ("string",), (FeatureField("score", "float64"),))
    >>> view = FeatureView("risk", 1, (ViewFeature("credit", 1, "score"),))
    >>> [section.space for section in sections_of(view, {("credit", 1): group})]
    ['risk@1/customer']
    """
    sets: dict[tuple[tuple[str, ...], tuple[str, ...], GroupKey | None], list[FeatureGroup]] = {}
    for key in view.groups:
        group = _found(view, groups, key)
        columns = tuple(view.joins.get(group.name, group.keys))
        if len(columns) != len(group.keys):
            raise UsageError(
                f"the group {group.name} has the keys {', '.join(group.keys)}",
                where=f"view {view.name}",
                mend=f"name {len(group.keys)} columns for it",
            )
        sets.setdefault((columns, group.key_dtypes, key if key in moving else None), []).append(group)
    names = ["+".join(columns) for columns, _, _ in sets]
    sections = []
    for number, ((columns, dtypes, windows), members) in enumerate(sets.items()):
        name = names[number] if names.count(names[number]) == 1 else f"{names[number]}#{number}"
        positions, stored = [], []
        places = {(group.name, group.version): place for place, group in enumerate(members)}
        for position, column in enumerate(view.columns):
            if isinstance(column, ViewFeature) and (column.group, column.version) in places:
                place = places[column.group, column.version]
                positions.append(position)
                stored.append(Stored(place, members[place].by_name[column.feature]))
        layout = RecordLayout(tuple(members), tuple(stored), view.fingerprint)
        space = f"{view.name}@{view.version}/{name}"
        sections.append(Section(space, EntityKeys(columns, dtypes), layout, tuple(positions), windows is not None))
    return tuple(sections)


def _found(view: FeatureView, groups: Mapping[GroupKey, FeatureGroup], key: GroupKey) -> FeatureGroup:
    group = groups.get(key)
    if group is None:
        raise UsageError(f"there is no group {key[0]} version {key[1]}", where=f"view {view.name}")
    for column in view.features:
        if (column.group, column.version) != key:
            continue
        field = group.by_name.get(column.feature)
        if field is None:
            raise UsageError(f"the group {group.name} has no feature {column.feature}", where=f"view {view.name}")
        if not field.online:
            raise UsageError(
                f"the feature {column.feature} of {group.name} is not served online",
                where=f"view {view.name}",
                mend="leave it out, or set its online flag in a new version of the group",
            )
    return group
