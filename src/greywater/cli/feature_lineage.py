"""`greywater features bind|lineage|usage` and `greywater parity`: what comes from what, who uses it, if it agrees."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, write_json
from greywater.cli.progress import Shown

__all__ = ["bind", "lineage", "parity", "usage"]


def bind(
    view: Annotated[str, typer.Argument(metavar="VIEW[@VERSION]", help="The view that the model reads.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Id of a kept model, or the name of any other.")],
    fingerprint: Annotated[
        str, typer.Option(metavar="TEXT", help="Tells the model from another of its name; a kept one has its own.")
    ] = "",
    team: Annotated[str, typer.Option(metavar="NAME", help="Whose model it is. [default: the view's team]")] = "",
    training_set: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="The training set that it was trained on.")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Write that a model reads a view, and which training set it comes from.

    What uses which feature, and what an alert of the model comes from, is known from then on.

    Examples

        greywater features bind risk@1 boosted-7 --fingerprint ab12 --team monitoring --training-set autumn
    """
    from greywater.app.features import bind_model
    from greywater.cli.features import named
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    told = bind_model(
        Actor(project=settings.project), settings, named(view), model, fingerprint=fingerprint, team=team,
        training_set=None if training_set is None else named(training_set),
    )  # fmt: skip
    if json is not None:
        write_json({"view": view, "model": model, "fingerprint": told, "training_set": training_set}, json)
    if json != "-":
        typer.echo(f"{model} reads {view}.")


def lineage(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="source, commit, view, training_set, model or alert.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="As lists show it: sums@1#0, autumn@1.")],
    down: Annotated[bool, typer.Option("--down", help="What was made from it, and not what it comes from.")] = False,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show what a thing comes from, or with --down what was made from it.

    Examples

        greywater features lineage training_set autumn@1 --store ./bank

        greywater features lineage commit credit@1#0 --down
    """
    from greywater.app.features import feature_store
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with feature_store(Actor(project=settings.project), settings, "read_features", f"lineage of {name}") as (held, _):
        graph = (held.lineage.downstream if down else held.lineage.upstream)(kind, name)
    if json is not None:
        write_json(graph.to_dict(), json)
    if json != "-":
        rows = [(node.kind, node.name) for node in graph.nodes if (node.kind, node.name) != (kind, name)]
        show_rows(f"{'Made from' if down else 'Sources of'} {kind} {name}", ("kind", "name"), rows)


def usage(
    days: Annotated[float, typer.Option(metavar="DAYS", min=0, help="Days of work that a feature costs.")] = 3.0,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show which models and teams use which feature, how often it is served, and what reuse saved.

    Examples

        greywater features usage --store ./bank
    """
    from greywater.app.features import feature_store
    from greywater.featurestore.usage import Assumptions
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with feature_store(Actor(project=settings.project), settings, "read_features", "usage of features") as (held, _):
        saved = held.usage.return_on_investment(Assumptions(days_a_feature=days))
        used = held.usage.features()
    if json is not None:
        write_json({**saved.to_dict(), "by_feature": [{**asdict(one), "since": str(one.since)} for one in used]}, json)
    if json != "-":
        rows = [
            (f"{one.group}@{one.version}", one.feature, ", ".join(one.models), ", ".join(one.teams), one.vectors)
            for one in used
        ]
        if rows:
            show_rows("Features in use", ("group", "feature", "models", "teams", "served"), rows)
        typer.echo(saved.to_text())


def parity(
    sample: Annotated[int, typer.Option(metavar="N", min=0, help="Vectors to draw; 0 = all.")] = 1_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Which are drawn.")] = 7,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Work out again from the ledger what was served online, and name every value that differs.

    Ends with exit code 5 where a value differs.

    Examples

        greywater parity --sample 1000 --store ./bank
    """
    from greywater.app.parity import ParityRequest, parity_json
    from greywater.app.parity import parity as compare
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with Shown() as progress:
        result = compare(Actor(project=settings.project), settings, ParityRequest(sample, seed), progress)
    if json is not None:
        write_json(parity_json(result), json)
    if json != "-":
        rows = [
            (one.tx_id or one.entity or one.seq, one.feature, str(one.served), str(one.expected))
            for one in result.differences
        ]
        if rows:
            show_rows("Values that differ", ("payment", "feature", "served", "from the ledger"), rows)
        typer.echo(
            f"{result.vectors:,} of {result.served:,} served vectors, {result.values:,} values: "
            f"{len(result.differences):,} differ."
        )
    if result.differences:
        raise typer.Exit(5)
