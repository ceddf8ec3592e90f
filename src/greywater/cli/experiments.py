"""`greywater experiments`: fits that were written down, listed, shown, compared, tagged, exported, repeated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import messages, require_writable, settings_of, show_rows, write_json

if TYPE_CHECKING:
    from greywater.app.experiment_book import Choice, Comparison, Experiment

__all__ = ["choice_of", "compare", "listed", "page", "show", "tag"]

#: Measures shown in a list.
SHOWN = ("average_precision", "roc_auc", "recall", "score")
#: What trials have instead of the first of them.
JUDGED = "validation.average_precision"

Kind = Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this command: train, run, trial...")]
State = Annotated[str | None, typer.Option(metavar="NAME", help="Only running, done, stopped or failed ones.")]
Detector = Annotated[str | None, typer.Option(metavar="NAME", help="Only those that fitted this detector.")]
PartOf = Annotated[str | None, typer.Option("--part-of", metavar="RUN", help="Only the trials of this study.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only those that have it; may be repeated.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="CONDITION", help="Such as recall>=0.5 or seed=7; may be given several times."),
]
Sort = Annotated[
    str | None, typer.Option(metavar="NAME", help="By a measure or parameter, highest first. [default: newest first]")
]
Lowest = Annotated[bool, typer.Option("--lowest", help="Lowest first.")]
Last = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N, after sorting. [default: all]")]
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, beginnings of ids, or `last`.")]


def listed(
    kind: Kind = None,
    state: State = None,
    detector: Detector = None,
    part_of: PartOf = None,
    tag: Tags = None,
    where: Where = None,
    sort: Sort = None,
    lowest: Lowest = False,
    last: Last = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """List the fits that were written down.

    Examples

        greywater experiments list --sort average_precision --last 10

        greywater experiments list --tag wide --where "recall>=0.5" --json -
    """
    from greywater.app.experiment_book import list_experiments
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    choice = choice_of(kind, state, detector, part_of, tag, where, sort, lowest, last)
    found = list_experiments(Actor(project=settings.project), settings, choice)
    if json is not None:
        write_json([one.to_json() for one in found], json)
    if json != "-":
        _show_list(found, sort)


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id, the beginning of one, or `last`.")],
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show one fit: what it was given, how it did, what it left.

    Examples

        greywater experiments show last

        greywater experiments show 20240229T120000-00000000 --json -
    """
    from greywater.app.experiment_book import show_experiments
    from greywater.desk.experiment_page import value_words
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    (found,) = show_experiments(Actor(project=settings.project), settings, [run]).experiments
    if json is not None:
        write_json(found.to_json(whole=True), json)
    if json == "-":
        return
    _show_list([found], None)
    if found.summary.get("error"):
        typer.echo(f"It ended with: {found.summary['error']}")
    for title, held in (
        ("Measures", found.metrics), ("Given", found.parameters), ("Made from", found.origin),
    ):  # fmt: skip
        if held:
            show_rows(title, ("", ""), [(name, value_words(value)) for name, value in held.items()])
    steps = [
        (one["series"] or "–", one["name"], len(one["steps"]), value_words(one["values"][-1])) for one in found.series
    ]
    if steps:
        show_rows("Step by step", ("part", "measure", "steps told", "at the last"), steps)
    if found.files:
        marks = dict.fromkeys(found.damaged, "not what was written")
        rows = [(file.name, file.bytes, file.sha256[:16], marks.get(file.name, "")) for file in found.files]
        show_rows("Files", ("file", "bytes", "SHA-256", ""), rows)


def compare(runs: Runs, store: Store = None, project: Project = None, json: Json = None) -> None:
    """Lay fits side by side: their measures, and in what they differ.

    Examples

        greywater experiments compare 20240229T120000-00000000 last
    """
    from greywater.app.experiment_book import compare_experiments
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    found = compare_experiments(Actor(project=settings.project), settings, runs)
    if json is not None:
        write_json(found.to_json(), json)
    if json != "-":
        _show_comparison(found)


def page(
    out: Annotated[Path, typer.Argument(metavar="OUT.html", readable=False, help="The page.")],
    run: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="These, in this order. [default: all that are chosen below]")
    ] = None,
    kind: Kind = None,
    state: State = None,
    detector: Detector = None,
    part_of: PartOf = None,
    tag: Tags = None,
    where: Where = None,
    sort: Sort = None,
    lowest: Lowest = False,
    last: Last = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Write fits side by side as one HTML page: curves over each other, what differs marked.

    Examples

        greywater experiments page experiments.html

        greywater experiments page trials.html --kind trial --sort score --last 8
    """
    from greywater.app.experiment_page import write_experiment_page
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    require_writable(out, "the page")
    choice = choice_of(kind, state, detector, part_of, tag, where, sort, lowest, last)
    found = write_experiment_page(Actor(project=settings.project), settings, out, run or (), choice)
    if json is not None:
        write_json(found.to_json(whole=True), json)
    messages().print(f"written: {out}")


def tag(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id, the beginning of one, or `last`.")],
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="What to find it by.")],
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Put tags on a fit, for finding it again. A tag stays.

    Examples

        greywater experiments tag last baseline "before the new rules"
    """
    from greywater.app.experiment_book import tag_experiment
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    found = tag_experiment(Actor(project=settings.project), settings, run, tags)
    if json is not None:
        write_json(found.to_json(), json)
    if json != "-":
        typer.echo(f"{found.run.id}: {', '.join(found.tags)}")


def choice_of(
    kind: str | None,
    state: str | None,
    detector: str | None,
    part_of: str | None,
    tags: list[str] | None,
    where: list[str] | None,
    sort: str | None,
    lowest: bool,
    last: int | None,
) -> Choice:
    """What the options of choice say."""
    from greywater.app.experiment_book import Choice

    return Choice(kind, state, detector, part_of, tags or (), where or (), sort, lowest, last)


def _show_list(found: list[Experiment], sort: str | None) -> None:
    from greywater.desk.experiment_page import value_words

    names = [name for name in SHOWN if any(name in one.metrics for one in found)]
    if any(JUDGED in one.metrics and SHOWN[0] not in one.metrics for one in found):
        names.append(JUDGED)
    names += [sort] if sort is not None and sort not in names else []
    rows = [
        (
            one.run.id, one.run.command, one.detector, one.state,
            *(value_words(one.value(name)) for name in names),
            "–" if one.seconds is None else f"{one.seconds:.1f} s", ", ".join(one.tags),
        )
        for one in found
    ]  # fmt: skip
    headings = ("run", "what", "detector", "state", *(name.replace("_", " ") for name in names), "took", "tags")
    many = "1 fit" if len(found) == 1 else f"{len(found)} fits"
    show_rows(many, headings, rows)


def _show_comparison(found: Comparison) -> None:
    from greywater.desk.experiment_page import value_words

    def table(title: str, rows: list[tuple[str, list[Any], bool]]) -> None:
        if rows:
            heads = ("", *(one.run.id for one in found.experiments))
            show_rows(title, heads, [(name, *map(value_words, values)) for name, values, _ in rows])

    table("Measures", found.rows("metrics"))
    for of, title in (("parameters", "Given, where it differs"), ("origin", "Made from, where it differs")):
        rows = [row for row in found.rows(of) if row[2]]
        if rows:
            table(title, rows)
        else:
            typer.echo(f"{title}: nothing.")
