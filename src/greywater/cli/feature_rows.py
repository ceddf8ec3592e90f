"""`greywater features stats|drift|backfill|materialize|vector`: the rows of groups, described, compared and served."""

from __future__ import annotations

import json as text
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from greywater.cli.features import named
from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

__all__ = ["backfill", "drift", "materialize", "stats", "vector"]

Group = Annotated[str, typer.Argument(metavar="GROUP[@VERSION]", help="A registered group.")]
View = Annotated[str, typer.Argument(metavar="VIEW[@VERSION]", help="A registered view.")]
OnlineUrl = Annotated[
    str, typer.Option("--online", metavar="URL", help="lmdb:DIR or valkey://HOST:PORT/DB. [default: in the project]")
]


def stats(group: Group, store: Store = None, project: Project = None, json: Json = None) -> None:
    """Show count, missing values, least, greatest, mean and deviation of every feature of a group.

    Examples

        greywater features stats credit --store ./bank
    """
    from greywater.app.features import feature_store
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    name, version = named(group)
    with feature_store(Actor(project=settings.project), settings, "read_features", f"statistics of {name}") as found:
        statistics = found[0].statistics(name, version)
    if json is not None:
        write_json({} if statistics is None else text.loads(statistics.to_json()), json)
    if json == "-":
        return
    if statistics is None:
        typer.echo(f"{name} has no rows that were described.")
        return
    rows = [
        (one.name, one.rows, one.missing, _short(one.least), _short(one.greatest), _short(one.mean),
         _short(one.deviation))
        for one in statistics.features
    ]  # fmt: skip
    show_rows(f"{group}", ("feature", "rows", "missing", "least", "greatest", "mean", "deviation"), rows)


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def drift(
    live: Annotated[str, typer.Option(metavar="FROM..TO", help="Event times that are compared.")],
    group: Annotated[str | None, typer.Argument(metavar="GROUP[@VERSION]", help="A registered group.")] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="FROM..TO", help="Event times that are compared with.")
    ] = None,
    training_set: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Compare the groups of its view with this training set.")
    ] = None,
    feature: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these; may be given again.")] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Measure how far the features of two windows of time are apart, and say where it is too far.

    Examples

        greywater features drift credit --reference 2024-01-01..2024-04-01 --live 2024-04-01..2024-05-01

        greywater features drift --training-set autumn --live 2024-11-01..2024-12-01
    """
    from greywater.app.features import feature_store
    from greywater.errors import UsageError
    from greywater.featurestore.writers import read_training_set
    from greywater.vocab import Actor

    if (training_set is None) != (group is not None and reference is not None) or (training_set and (group or feature)):
        raise UsageError("it is not said what is compared", mend="give GROUP and --reference, or --training-set alone")
    settings = settings_of(store, project)
    actor = Actor(project=settings.project)
    subject = group or str(training_set)
    with Shown(), feature_store(actor, settings, "write_features", f"drift of {subject}") as (held, detail):
        if training_set is not None:
            report = held.drift_since(read_training_set(training_set), _window(live, "--live"))
        else:
            name, version = named(subject)
            windows = _window(reference or "", "--reference"), _window(live, "--live")
            report = held.drift(name, *windows, version=version, features=feature)
        detail.update(alerts=len(report.alerts))
    if json is not None:
        write_json(text.loads(report.to_json()), json)
    if json != "-":
        rows = [
            (row.feature, row.measure, _short(row.value), _short(row.threshold), "yes" if row.alert else "")
            for row in report.rows
        ]
        show_rows(
            f"{subject}: {report.reference} against {live}", ("feature", "measure", "value", "limit", "drifted"), rows
        )
    sizes = ((report.reference, report.reference_rows), (live, report.live_rows))
    show_warnings([f"{subject} has no row in {window}: nothing is measured" for window, size in sizes if not size])


def _window(words: str, option: str) -> Any:
    from greywater.errors import UsageError
    from greywater.featurestore.drift import Window
    from greywater.featurestore.training_record import moment_us

    begin, dots, end = words.partition("..")
    if not dots:
        raise UsageError(f"{words!r} is no window of time", where=option, mend="write 2024-01-01..2024-04-01")
    window = Window(moment_us(begin), moment_us(end))
    if window.start_us >= window.stop_us:
        raise UsageError(f"the window {words!r} is empty", where=option, mend="write the earlier moment first")
    return window


def backfill(
    begin: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First event time.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Event times before this.")] = None,
    engine: Annotated[str, typer.Option(metavar="local|spark", help="Here, or on a Spark cluster.")] = "local",
    master: Annotated[
        str, typer.Option(metavar="URL", help="Of the cluster: spark://host:port, local[4].")
    ] = "local[*]",
    slices: Annotated[int, typer.Option(metavar="N", min=0, help="Tasks on the cluster; 0 = four a core.")] = 0,
    known_time: Annotated[
        str, typer.Option(metavar="event_time|recorded_time", help="From when on a row counts as known.")
    ] = "event_time",
    features: Annotated[
        str | None, typer.Option(metavar="NAMES|VIEW", help="Only these features, or those that a view needs.")
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Keep with each commit what its values are like.")
    ] = False,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Write what was known of every recorded payment at its moment into the group of payment features.

    Payments whose rows are there are left alone: stopped at any moment, the same command goes on. Chosen features get a
    group of their own, and nothing that none of them needs is worked out.

    Examples

        greywater features backfill --store ./bank

        greywater features backfill --features payment.amount,sender.out.sum.7d

        greywater features backfill --from 2024-01-01 --to 2024-02-01 --engine spark --master spark://10.0.0.1:7077
    """
    from datetime import datetime

    from greywater.app.backfill import BackfillRequest, features_named
    from greywater.app.backfill import backfill as fill
    from greywater.errors import UsageError
    from greywater.vocab import Actor

    def moment(words: str | None, option: str) -> datetime | None:
        try:
            return None if words is None else datetime.fromisoformat(words)
        except ValueError:
            raise UsageError(f"{words!r} is no date", where=option, mend="write 2024-01-31") from None

    settings = settings_of(store, project)
    actor = Actor(project=settings.project)
    request: Any = {
        "engine": engine, "master": master, "slices": slices, "known_time": known_time,
        "statistics": statistics,
    }  # fmt: skip
    if features is not None:
        request["features"] = features_named(actor, settings, features)
    asked = BackfillRequest(begin=moment(begin, "--from"), end=moment(end, "--to"), **request)
    with Shown() as progress:
        result = fill(actor, settings, asked, progress)
    if json is not None:
        write_json(result.to_json(), json)
    if json != "-":
        done = result.done
        typer.echo(
            f"{result.group.name}@{result.group.version}: {done.rows:,} rows of {done.payments:,} payments in "
            f"{done.commits} commits, {done.present:,} payments were there; {result.seconds:.1f} s."
        )


def materialize(
    view: View,
    as_of: Annotated[str | None, typer.Option(metavar="TIME", help="Bring up to this moment. [default: now]")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop what is online first.")] = False,
    online: OnlineUrl = "",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Bring the online records of a view up to date from its groups.

    Examples

        greywater features materialize risk --store ./bank

        greywater features materialize risk --online valkey://127.0.0.1:6379/0
    """
    from greywater.app.features import materialize_features
    from greywater.featurestore.training_record import moment_us
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    name, version = named(view)
    actor, moment = Actor(project=settings.project), None if as_of is None else moment_us(as_of)
    with Shown() as progress:
        done = materialize_features(
            actor, settings, name, version=version, as_of_us=moment, fresh=fresh, online=online, progress=progress
        )
    told = {"view": name, "written": done.written, "resumed": done.resumed, "left_out": list(done.left_out)}
    if json is not None:
        write_json(told, json)
    if json != "-":
        typer.echo(f"{view}: {done.written:,} records written.")


def vector(
    view: View,
    key: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="The entity's keys.")],
    request: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A value of the request; may be given again.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The moment asked for. [default: now]")] = None,
    online: OnlineUrl = "",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show the vector of one entity as it is served online, with the age of its values.

    Examples

        greywater features vector risk customer=C-17 --request amount=950 --store ./bank
    """
    from greywater.app.features import feature_store
    from greywater.errors import UsageError
    from greywater.featurestore.training_record import moment_us
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    name, version = named(view)
    with feature_store(
        Actor(project=settings.project), settings, "read_features", f"vector of {view}", online=online, serves=True
    ) as (held, _):
        reader = held.online_view(name, version)
        kinds = {
            name: dtype
            for section in reader.sections
            for name, dtype in zip(section.keys.columns, section.keys.dtypes, strict=True)
        }
        keys = _typed(key, kinds, "NAME=VALUE")
        if strange := sorted(set(keys) - set(kinds)):
            raise UsageError(f"the view has no key {strange[0]!r}", where="NAME=VALUE", mend=f"give {', '.join(kinds)}")
        wanted = {c.name: c.dtype for c in reader.view.columns if not hasattr(c, "group")}
        moment = None if at is None else moment_us(at)
        values, ages = reader.vector(keys, _typed(request or [], wanted, "--request"), at_us=moment, with_age=True)
        names = reader.view.names
    told: dict[str, Any] = {"view": name, "values": {}, "ages": dict(ages)}
    if json is not None:
        told["values"] = {name: _finite(value) for name, value in zip(names, values, strict=True)}
        write_json(told, json)
    if json != "-":
        show_rows(view, ("feature", "value"), [(k, str(v)) for k, v in zip(names, values, strict=True)])


def _finite(value: Any) -> Any:
    """JSON has no NaN, which is null, and no infinity, which is a text."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _typed(pairs: list[str], kinds: dict[str, str], where: str) -> dict[str, Any]:
    """NAME=VALUE words in the dtypes that they are declared with."""
    from greywater.errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        kind = kinds.get(name, "string")
        try:
            if not sign:
                raise ValueError
            if kind == "bool":
                found[name] = {"true": True, "false": False}[value.lower()]
            else:
                found[name] = int(value) if "int" in kind else float(value) if "float" in kind else value
        except (ValueError, KeyError):
            raise UsageError(f"{pair!r} cannot be read", where=where, mend=f"write {name}=VALUE, a {kind}") from None
    return found
