"""`greywater training-set make|list|remake`: training sets as of their moments, in files, made again bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from greywater.cli.feature_rows import View
from greywater.cli.features import named
from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

__all__ = ["listed", "make", "remake"]

#: Slices that are shown; all of them are in the record.
MOST_SLICES = 40

Labels = Annotated[
    str,
    typer.Argument(metavar="LABELS", help="Label rows: .csv or .parquet, or the word `recorded`: the project's own."),
]
Format = Annotated[str, typer.Option("--format", metavar="NAME", help="csv, tsv, npy, parquet or tfrecord.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make; must not be there.")]


def make(
    view: View,
    labels: Labels,
    out: Out,
    name: Annotated[str, typer.Option(metavar="NAME", help="What the set is called.")],
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="First event time of label rows.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Event times before this.")],
    version: Annotated[int, typer.Option(metavar="N", min=1, help="Version of the set.")] = 1,
    split: Annotated[
        str, typer.Option(metavar="KIND[:SHARES]", help="time:0.6,0.2,0.2, random:..., group=COLUMN:..., or none.")
    ] = "time:0.6,0.2,0.2",
    row_id: Annotated[str, typer.Option(metavar="COLUMN", help="Names a label row.")] = "row_id",
    known: Annotated[
        str | None, typer.Option(metavar="TIME", help="Labels count that were known by then. [default: now]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of random and group splits.")] = 0,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="COLUMN", help="Report labels by this attribute; may be given again."),
    ] = None,
    format: Format = "parquet",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Make a training set: for each label row what was known at its moment, and nothing later.

    The label rows have the columns row_id, event_time, the keys of the view's groups, the view's label, known_since
    (from when on the label was known) and the values that come with a request. With `recorded` instead of a file they
    are the project's payments (tx_id, sender, receiver, sender_customer, receiver_customer) with its own labels.

    Examples

        greywater training-set make risk labels.csv --name autumn --from 2024-01-01 --to 2024-10-01 --out autumn

        greywater training-set make risk recorded --name own --from 2024-01-01 --to 2024-10-01 --out own

        greywater training-set make risk labels.parquet --name g --from 2024-01-01 --to 2024-10-01 --out g \
--split group=customer:0.7,0.1,0.2 --format tfrecord
    """
    from greywater.app.training_sets import make_training_set
    from greywater.featurestore.part_files import FileLayout
    from greywater.featurestore.splits import split_of
    from greywater.featurestore.training_record import TrainingQuery
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    query = TrainingQuery(
        name, version, begin, end, split_of(split, seed), row_id=row_id, as_known_at=known,
        allow_protected=settings.allow_protected, slices=tuple(slices or ()),
    )  # fmt: skip
    layout: Any = FileLayout(format)  # type: ignore[arg-type]
    with Shown():
        record = make_training_set(Actor(project=settings.project), settings, named(view), labels, query, out, layout)
    _show(record, out, json)


def listed(store: Store = None, project: Project = None, json: Json = None) -> None:
    """List the training sets of a project.

    Examples

        greywater training-set list --store ./bank
    """
    from greywater.app.features import feature_store
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with feature_store(Actor(project=settings.project), settings, "read_features", "list of training sets") as (
        held,
        _,
    ):
        told = [
            {
                "name": one.name, "version": one.version, "view": f"{one.view}@{one.view_version}",
                "rows": one.record["rows"], "sha256": one.sha256, "by": one.principal, "at": one.at.isoformat(),
            }
            for one in held.records.training_sets()
        ]  # fmt: skip
    if json is not None:
        write_json(told, json)
    if json != "-":
        heads = ("name", "version", "view", "rows", "sha256", "by", "made")
        show_rows("Training sets", heads, [tuple(one.values()) for one in told])


def remake(
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="A training set that was made.")],
    labels: Labels,
    out: Out,
    format: Format = "parquet",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Make a training set again, and verify that it is the same bit for bit; the folder appears only then.

    Rows that were appended to the groups since do not count, nor do labels that became known since.

    Examples

        greywater training-set remake autumn labels.csv --out again --store ./bank
    """
    from greywater.app.training_sets import remake_training_set
    from greywater.featurestore.part_files import FileLayout
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    layout: Any = FileLayout(format)  # type: ignore[arg-type]
    with Shown():
        record = remake_training_set(Actor(project=settings.project), settings, named(name), labels, out, layout)
    _show(record, out, json)


def _show(record: Any, out: Path, json: str | None) -> None:
    import json as text

    if json is not None:
        write_json(text.loads(record.to_json()), json)
    if json != "-":
        rows = [(part.name, part.rows) for part in record.parts]
        show_rows(f"{record.query.name}@{record.query.version} in {out}", ("part", "rows"), rows)
        if record.bias is not None:
            rates = [
                (one.said, one.rows, one.positives, "" if one.rate is None else f"{one.rate:.4g}")
                for one in record.bias.slices[:MOST_SLICES]
            ]
            show_rows(f"Labels by slice of {len(record.bias.slices)}", ("slice", "rows", "positive", "rate"), rates)
        typer.echo(f"SHA-256 of the rows {record.sha256}.")
    show_warnings(record.warnings)
