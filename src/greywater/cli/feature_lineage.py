"""`greywater features lineage|usage` and `greywater parity`: where things come from, who uses them, if they agree."""

from __future__ import annotations

from typing import Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, write_json
from greywater.cli.progress import Shown

__all__ = ["lineage", "parity", "usage"]


def lineage(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="source, commit, training_set, model or alert.")],
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
    if json is not None:
        write_json(saved.to_dict(), json)
    if json != "-":
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
