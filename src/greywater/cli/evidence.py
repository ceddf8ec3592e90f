"""`greywater evidence`: shows which payments formed the patterns of a payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.evidence import EvidenceFound

__all__ = ["evidence"]


def evidence(
    tx_id: Annotated[str, typer.Argument(metavar="TX_ID", help="Id of a recorded payment.")],
    pattern: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A pattern, such as temporal_cycle; may be given again. [default: all]"),
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="How far back, as 6h or 7d. [default: the longest of each]")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Instances of each pattern at most.")] = 10,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show which payments formed the patterns of a payment.

    Looks back from the payment, over what was recorded before it and nothing else, for the rings, chains and
    scatter-gathers that it is part of, and lists their payments, each with its part. The patterns and their
    windows are those of the settings.

    Examples

        greywater evidence T1048576

        greywater evidence T1048576 --pattern temporal_cycle --window 7d --store ./bank --json -
    """
    from greywater.app.evidence import EvidenceRequest
    from greywater.app.evidence import evidence as look
    from greywater.features.graph_parameters import seconds
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    length = None if window is None else seconds(window, "--window")
    request = EvidenceRequest(tx_id, tuple(name.replace("-", "_") for name in pattern or ()), length, limit)
    with Shown() as progress:
        found = look(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(found.to_json(), json)
    if json != "-":
        _show(found)


def _show(found: EvidenceFound) -> None:
    from greywater.desk import wording as say

    row = found.payment
    money = say.money(row.amount, row.currency)
    typer.echo(say.plain(f"{row.tx_id}: {money} from {row.sender} to {row.receiver}, {say.moment_words(row.time_us)}"))
    for proof in found.proofs:
        typer.echo("")
        if not proof.formed:
            typer.echo(f"{proof.text}.")
            continue
        rows = [
            (
                place if first else "",
                each.role,
                say.moment_words(each.row.time_us),
                each.row.sender,
                each.row.receiver,
                say.money(each.row.amount, each.row.currency),
                each.row.tx_id,
            )
            for place, formed in enumerate(proof.formed, 1)
            for first, each in zip([True, *[False] * len(formed.payments)], formed.payments, strict=False)
        ]
        show_rows(proof.text, ("", "part", "when (UTC)", "from", "to", "amount", "payment"), rows)
        for place, formed in enumerate(proof.formed, 1):
            more = f" ({say.count(formed.left_out, 'payment')} not shown)" if formed.left_out else ""
            typer.echo(say.plain(f"{place}: {formed.text}{more}."))
