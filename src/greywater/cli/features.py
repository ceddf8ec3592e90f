"""`greywater features create|list|describe|search|state|write|quarantined`: groups, views, and rows into them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.featurestore.definitions import FeatureGroup, FeatureView
    from greywater.featurestore.store import FeatureStore

__all__ = ["create", "describe", "listed", "named", "quarantined", "search", "state", "write"]

#: Rows set aside that are shown; --json has all.
SHOWN_ROWS = 50

Name = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="A group or a view; the newest active version.")]


def named(text: str) -> tuple[str, int | None]:
    """A name and the version behind its @, if any.

    Examples
    --------
    >>> named("credit@2"), named("credit")
    (('credit', 2), ('credit', None))
    """
    from greywater.errors import UsageError

    name, sign, version = text.partition("@")
    if sign and not version.isdecimal():
        raise UsageError(f"{text!r} names no version", mend="write name@1")
    return name, int(version) if sign else None


def create(
    path: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="TOML file of groups and views.")],
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Register the groups and views of a TOML file.

    A version that is registered never changes: the same file again does nothing, another definition needs another
    version. docs/feature_store.md shows a whole file.

    Examples

        greywater features create features.toml --store ./bank
    """
    from greywater.app.features import create_features
    from greywater.featurestore.definitions import FeatureGroup
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    made = create_features(Actor(project=settings.project), settings, path)
    told = [
        {"kind": "group" if isinstance(one, FeatureGroup) else "view", "name": one.name, "version": one.version}
        for one in made
    ]
    if json is not None:
        write_json(told, json)
    if json != "-":
        show_rows("Registered", ("kind", "name", "version"), [tuple(one.values()) for one in told])


def listed(store: Store = None, project: Project = None, json: Json = None) -> None:
    """List the groups and views of a project, with their states.

    Examples

        greywater features list --store ./bank
    """
    from greywater.app.features import feature_store
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with feature_store(Actor(project=settings.project), settings, "read_features", "list of features") as (held, _):
        told = [
            {
                "kind": one.kind, "name": one.name, "version": one.version, "state": one.state,
                "fingerprint": one.fingerprint, "by": one.principal, "at": one.at.isoformat(),
            }
            for one in held.registry.registered()
        ]  # fmt: skip
    if json is not None:
        write_json(told, json)
    if json != "-":
        heads = ("kind", "name", "version", "state", "fingerprint", "by", "registered")
        show_rows("Groups and views", heads, [tuple(one.values()) for one in told])


def describe(name: Name, store: Store = None, project: Project = None, json: Json = None) -> None:
    """Show what a group or a view is: its keys, its columns, its rules, its commits.

    Examples

        greywater features describe credit --store ./bank

        greywater features describe risk@2 --json -
    """
    from greywater.app.features import feature_store
    from greywater.featurestore.definitions import FeatureGroup, ViewFeature
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    word, version = named(name)
    with feature_store(Actor(project=settings.project), settings, "read_features", f"description of {name}") as found:
        held = found[0]
        one = _found(held, word, version)
        is_group = isinstance(one, FeatureGroup)
        commits = held.offline.commits(one.name, one.version) if is_group else []
    told: dict[str, Any] = {"kind": "group" if is_group else "view", **asdict(one)}
    told["fingerprint"] = one.fingerprint
    told["commits"] = [{"number": each.number, "rows": each.rows, "sha256": each.sha256} for each in commits]
    if json is not None:
        write_json(told, json)
    if json == "-":
        return
    typer.echo(f"{told['kind']} {one.name}@{one.version}: {one.description or 'no description'}")
    if isinstance(one, FeatureGroup):
        typer.echo(f"keys {', '.join(one.keys)}; {sum(each.rows for each in commits):,} rows in {len(commits)} commits")
        rows = [(each.name, each.dtype, each.unit, each.state, each.description) for each in one.features]
        show_rows("Features", ("name", "dtype", "unit", "state", "description"), rows)
    else:
        shown = [
            (column.name, f"{column.group}@{column.version}" if isinstance(column, ViewFeature) else "the request")
            for column in one.columns
        ]
        show_rows("Columns", ("name", "from"), shown)


def _found(store: FeatureStore, name: str, version: int | None) -> FeatureGroup | FeatureView:
    """The group of that name, else the view."""
    from greywater.errors import StoreError

    if any(group.name == name for group in store.registry.groups()):
        return store.registry.group(name, version)
    try:
        return store.registry.view(name, version)
    except StoreError:
        raise StoreError(f"there is no group and no view {name!r}", mend="see greywater features list") from None


def search(
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Words of names, descriptions, tags, owners, units.")],
    most: Annotated[int, typer.Option(metavar="N", min=1, help="Show so many at most.")] = 20,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Find groups, views and features by words.

    Examples

        greywater features search "credit score" --store ./bank
    """
    from greywater.app.features import feature_store
    from greywater.featurestore.search import search as look
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with feature_store(Actor(project=settings.project), settings, "read_features", "search of features") as (held, _):
        hits = look(held.records, words, most=most)
    told = [hit.to_dict() for hit in hits]
    if json is not None:
        write_json(told, json)
    if json != "-":
        shown = [(one["kind"], one["name"], one["version"], one["snippet"]) for one in told]
        show_rows(f"Found for {words}", ("kind", "name", "version", "where"), shown)


def state(
    name: Name,
    to: Annotated[str, typer.Argument(metavar="STATE", help="draft, active, deprecated or retired.")],
    kind: Annotated[str, typer.Option(metavar="KIND", help="group or view.")] = "group",
    feature: Annotated[str, typer.Option(metavar="NAME", help="Only this feature of the group.")] = "",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Say that a group, a view or a feature is active, deprecated or retired.

    What is retired is refused for new views and training sets; sets made before can still be made again.

    Examples

        greywater features state credit@1 deprecated --store ./bank

        greywater features state credit@1 retired --feature score
    """
    from greywater.app.features import feature_store
    from greywater.errors import UsageError
    from greywater.featurestore.definitions import STATES
    from greywater.vocab import Actor

    word, version = named(name)
    if version is None or kind not in ("group", "view"):
        raise UsageError(
            "a state is of one version of a group or a view", mend="write name@1, and --kind view of a view"
        )
    wanted = next((one for one in STATES if one == to), None)
    if wanted is None:
        raise UsageError(f"there is no state {to!r}", where="STATE", mend=f"give one of {', '.join(STATES)}")
    settings = settings_of(store, project)
    actor = Actor(project=settings.project)
    with feature_store(actor, settings, "write_features", f"state of {name}") as (held, detail):
        held.registry.set_state(kind, word, version, wanted, actor, feature=feature)
        detail.update(state=to, feature=feature)
    told = {"kind": kind, "name": word, "version": version, "feature": feature, "state": to}
    if json is not None:
        write_json(told, json)
    if json != "-":
        typer.echo(f"{kind} {name}{' ' + feature if feature else ''} is {to}.")


def write(
    group: Annotated[str, typer.Argument(metavar="GROUP[@VERSION]", help="A registered group.")],
    path: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="Rows: .csv or .parquet.")],
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Write rows into a group: checked by its rules, described, in one commit; the same file again writes nothing.

    Examples

        greywater features write credit scores.csv --store ./bank
    """
    from greywater.app.features import write_features
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    name, version = named(group)
    with Shown():
        written = write_features(Actor(project=settings.project), settings, name, path, version=version)
    told = {
        "group": name, "rows": written.rows, "quarantined": written.quarantined, "warnings": list(written.warnings),
        "commit": None if written.commit is None else written.commit.number,
    }  # fmt: skip
    if json is not None:
        write_json(told, json)
    if json != "-":
        place = "nothing new" if written.commit is None else f"commit {written.commit.number}"
        typer.echo(f"{name}: {written.rows:,} rows written ({place}), {written.quarantined:,} set aside.")
    show_warnings(written.warnings)


def quarantined(name: Name, store: Store = None, project: Project = None, json: Json = None) -> None:
    """Show the rows of a group that its rules set aside, each with the rule it broke and why.

    Examples

        greywater features quarantined credit --store ./bank

        greywater features quarantined credit --store ./bank --json aside.json
    """
    from greywater.app.features import feature_store
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    word, version = named(name)
    with feature_store(
        Actor(project=settings.project), settings, "read_features", f"rows set aside of {name}"
    ) as found:
        group = found[0].registry.group(word, version)
        rows = found[0].set_aside(word, version)
    if json is not None:
        write_json({"group": group.name, "version": group.version, "rows": rows}, json)
    if json == "-":
        return
    if not rows:
        typer.echo(f"No row of {group.name}@{group.version} was set aside.")
        return
    shown = [
        (", ".join(str(row.get(key)) for key in group.keys), row.get("quarantine_rule"), row.get("quarantine_reason"))
        for row in rows[:SHOWN_ROWS]
    ]
    show_rows(f"{len(rows):,} rows of {group.name}@{group.version} set aside", ("entity", "rule", "why"), shown)
    if len(rows) > SHOWN_ROWS:
        typer.echo(f"and {len(rows) - SHOWN_ROWS:,} more: --json FILE writes all")
