"""`greywater ablate`: what each family of features, layer or part of a detector is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, settings_of, show_rows, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.ablating import Ablation
    from greywater.detectors.bootstrap import Interval

__all__ = ["ablate"]


def ablate(
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="hybrid, boosted, adversarial... [default: the setting]")
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="families, layers or parts; may be given several times. [default: all]"),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Fits of each variant.")] = 5,
    tuned: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Use the detector and parameters that a study found best.")
    ] = None,
    resamples: Annotated[int, typer.Option(metavar="N", min=1, help="Resamples of the intervals by parties.")] = 200,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Fit a detector without one of its pieces after another, and say what is lost on later payments.

    Learns from the first 60 % of the payments and is judged on the next 20 %; the last 20 % are not looked at. The loss
    is shown with two intervals: over seeds (other draws), and over parties drawn again (other payments).

    Examples

        greywater ablate --detector hybrid --drop parts --store ./bank

        greywater ablate --detector adversarial --drop layers --seeds 3 --json -
    """
    from greywater.app.ablating import AblateRequest, ablate_detector
    from greywater.vocab import Actor

    settings = settings_of(store, project).with_(detector=detector)
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    with Shown() as progress:
        request = AblateRequest(tuple(drop or ()), seeds, tuned, resamples)
        found = ablate_detector(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(found.to_json(), json)
    if json != "-":
        _show(found)


def _show(found: Ablation) -> None:
    rows = [
        (
            f"{each.kind} {each.without}",
            each.columns,
            "" if each.score is None else f"{each.score:.4f}",
            each.why if each.loss is None else f"{each.loss:+.4f}",
            _interval(each.by_seeds),
            _interval(each.by_parties),
        )
        for each in found.without
    ]
    whole = "" if found.whole.score is None else f"{found.whole.score:.4f}"
    seeds = "1 seed" if found.seeds == 1 else f"mean of {found.seeds} seeds"
    title = f"{found.detector}: average precision {whole} on the validation slice, {seeds}"
    show_rows(title, ("without", "columns", "average precision", "loss", "over seeds", "over parties"), rows)


def _interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "not defined"
    return f"{interval.low:+.4f} to {interval.high:+.4f}"
