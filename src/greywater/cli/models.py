"""`greywater models ...`: which models there are, where each stands, and the steps between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, settings_of, show_rows, write_json

if TYPE_CHECKING:
    from greywater.app.models import ModelShown
    from greywater.stores.model_rows import ProposalRecord, StepRecord

__all__ = ["add", "decline", "export", "listed", "promote", "restore", "retire", "shadow", "show"]

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, as `greywater models list` shows it.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; kept with the step.")]


def listed(store: Store = None, project: Project = None, json: Json = None) -> None:
    """List the models of a project, where each stands and how it did.

    Examples

        greywater models list --store ./bank
    """
    from greywater.app.models import list_models
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    found = list_models(Actor(project=settings.project), settings)
    if json is not None:
        told = {"champion": found.champion, "previous": found.previous}
        write_json(told | {"models": [model.to_json() for model in found.models]}, json)
    if json == "-":
        return
    rows = [(model.name, model.kind, _state(model), *_measured(model), _open(model)) for model in found.models]
    headings = ("model", "kind", "state", "average precision", "measured on payments of", "proposal")
    show_rows("1 model" if len(rows) == 1 else f"{len(rows):,} models", headings, rows)
    if found.champion is None:
        typer.echo("There is no champion: greywater score takes the newest that was fitted here.")
    if found.previous is not None:
        typer.echo(f"greywater models restore would put {found.previous} back.")


def show(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="[default: the champion]")] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show a model: every step it took, by whom, when, why and on what evidence, and what was proposed.

    Examples

        greywater models show

        greywater models show 20240229T120000-00000000 --json -
    """
    from greywater.app.models import show_model
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    found = show_model(Actor(project=settings.project), settings, model)
    if json is not None:
        write_json(found.to_json(), json)
    if json == "-":
        return
    typer.echo(f"{found.name} ({found.kind}): {_state(found)}")
    rows = [(f"{step.at:%Y-%m-%d %H:%M}", step.step, step.after, step.principal, step.why) for step in found.steps]
    show_rows("Steps", ("when", "step", "to", "who", "why"), rows)
    evidence = found.steps[-1].evidence if found.steps else {}
    for name, value in (evidence.get("measures") or {}).items():
        typer.echo(f"  {name}: {_figure(value)}")
    for proposal in found.proposals:
        state = "open" if proposal.decision is None else f"{proposal.decision.outcome}: {proposal.decision.why}"
        typer.echo(f"Proposal {proposal.id}, against {proposal.against or 'no champion'}: {proposal.why} ({state})")


def shadow(model: Model, why: Why = "", store: Store = None, project: Project = None, json: Json = None) -> None:
    """Let a candidate score beside the champion. It raises nothing.

    Examples

        greywater models shadow 20240229T120000-00000000
    """
    from greywater.app.models import shadow_model
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    _said(shadow_model(Actor(project=settings.project), settings, model, why), json)


def promote(
    model: Model,
    why: Why = "",
    proposal: Annotated[
        int | None, typer.Option(metavar="N", help="The proposal to accept. [default: the last open one]")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Make a model the champion. The present one retires and can be restored.

    A shadow may be promoted with --why; a candidate where a proposal measured it against the present champion, or where
    there is no champion.

    Examples

        greywater models promote 20240229T120000-00000000 --why "finds 12 % more at the same budget"

        greywater models promote 20240401T030000-00000000 --proposal 3
    """
    from greywater.app.models import promote_model
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    _said(promote_model(Actor(project=settings.project), settings, model, why, proposal), json)


def retire(model: Model, why: Why = "", store: Store = None, project: Project = None, json: Json = None) -> None:
    """Put a model out of use.

    Examples

        greywater models retire 20240229T120000-00000000 --why "learned from labels that were withdrawn"
    """
    from greywater.app.models import retire_model
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    _said(retire_model(Actor(project=settings.project), settings, model, why), json)


def restore(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A former champion. [default: the previous one]")
    ] = None,
    why: Why = "",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Put the previous champion back.

    Examples

        greywater models restore

        greywater models restore 20240229T120000-00000000 --why "the new one misses structuring"
    """
    from greywater.app.models import restore_model
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    _said(restore_model(Actor(project=settings.project), settings, model, why), json)


def decline(
    proposal: Annotated[int, typer.Argument(metavar="N", help="Number of the proposal.")],
    why: Why = "",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Decline a proposal, and say why.

    Examples

        greywater models decline 3 --why "too few cases in March"
    """
    from greywater.app.models import decline_proposal, proposal_json
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    declined = decline_proposal(Actor(project=settings.project), settings, proposal, why)
    if json is not None:
        write_json(proposal_json(declined), json)
    if json != "-":
        typer.echo(f"Proposal {declined.id} to promote {declined.model} is declined: {why}")


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="An ONNX file.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the model is called. [default: the file's name]")
    ] = None,
    columns: Annotated[
        str,
        typer.Option(metavar="NAMES|FILE", help="Columns of its input in order: a,b,c or a file with one a line."),
    ] = "",
    output: Annotated[str, typer.Option(metavar="NAME", help="Which output is the score.")] = "",
    lower: Annotated[
        bool, typer.Option("--lower-is-more-suspicious", help="A lower output is more suspicious.")
    ] = False,
    trained_until: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last day that it learned from; not known where left out.")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Register a model that was fitted elsewhere, an ONNX file, as a candidate.

    It is calibrated on the project's own payments: ranks, or where there are labels a sigmoid and a threshold.

    Examples

        greywater models add trees.onnx --name vendor-7 --trained-until 2024-03-31

        greywater models add linear.onnx --columns sender.out.sum.7d,receiver.in.count.1d --output probabilities
    """
    from greywater.app.brought import AddRequest, add_model
    from greywater.cli.progress import Shown
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    request = AddRequest(file, name, columns, output, lower, trained_until)
    with Shown() as progress:
        added = add_model(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(added.to_json(), json)
    if json == "-":
        return
    typer.echo(f"{added.model}: a candidate that reads {len(added.columns):,} columns (SHA-256 {added.sha256[:16]}).")
    measures = added.evidence["measures"]
    if measures is not None:
        typer.echo(
            f"On {added.evidence['slice']['from'][:10]} to {added.evidence['slice']['to'][:10]}: average "
            f"precision {_figure(measures['average_precision'])}."
        )
    for note in added.notes:
        typer.echo(f"note: {note}")


def export(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="[default: as greywater score takes]")] = None,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="FILE", readable=False, help="Write this file.")
    ] = None,
    part: Annotated[str, typer.Option(metavar="NAME", help="Of a hybrid: which of its parts.")] = "",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Write a model as an ONNX file, and say how exact it is.

    Boosted trees, isolation forests and the adversarial network can be written; of a hybrid, such parts of it.

    Examples

        greywater models export 20240229T120000-00000000 --onnx trees.onnx

        greywater models export --part boosted --onnx trees.onnx
    """
    from greywater.app.brought import export_model
    from greywater.errors import UsageError
    from greywater.vocab import Actor

    if onnx is None:
        raise UsageError("no file is named", where="--onnx", mend="name one: --onnx trees.onnx")
    settings = settings_of(store, project)
    require_writable(onnx, "the model")
    written = export_model(Actor(project=settings.project), settings, model, onnx, part)
    if json is not None:
        write_json(written.to_json(), json)
    if json == "-":
        return
    made = written.exported
    typer.echo(f"{onnx}: model {written.model}, {made.note}. SHA-256 {written.sha256}.")
    if made.compared:
        typer.echo(
            f"On {made.compared:,} rows on and beside its thresholds the scores differ by at most "
            f"{made.largest:.2g} of their spread; {made.flipped:,} flags differ."
        )


def _said(steps: Sequence[StepRecord], json: str | None) -> None:
    from greywater.app.models import step_json

    if json is not None:
        write_json([step_json(step) for step in steps], json)
    if json != "-":
        for step in steps:
            typer.echo(f"{step.model}: {step.before or 'kept'} -> {step.after} ({step.why or step.step})")


def _state(model: ModelShown) -> str:
    state = model.state if model.registered is not None else f"{model.state}, not registered"
    return state if model.kept else f"{state}, its folder is gone"


def _measured(model: ModelShown) -> tuple[str, str]:
    """The last average precision that was measured, and when the payments were."""
    said: list[StepRecord | ProposalRecord] = [*model.steps, *model.proposals]
    for one in sorted(said, key=lambda each: each.at, reverse=True):
        measures, where = one.evidence.get("measures"), one.evidence.get("slice") or {}
        if measures:
            return _figure(measures.get("average_precision")), f"{_day(where, 'from')} to {_day(where, 'to')}"
    return "not measured", ""


def _day(where: dict[str, Any], edge: str) -> str:
    return str(where.get(edge) or "")[:10]


def _open(model: ModelShown) -> str:
    found = [one for one in model.proposals if one.decision is None]
    return f"{found[-1].id}, {'meets' if found[-1].passed else 'does not meet'} the policy" if found else ""


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"
