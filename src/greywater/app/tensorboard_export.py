"""Hands fits to TensorBoard: one folder of event files a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from greywater.app.audit import audited
from greywater.app.experiment_book import Choice, Experiment, show_experiments
from greywater.config import Settings
from greywater.formats.tensorboard import Scalar, Words, encode_events
from greywater.stores.durable import make_folder, write_file_durably
from greywater.vocab import Actor

__all__ = ["export_tensorboard"]


def export_tensorboard(
    actor: Actor, settings: Settings, folder: Path, runs: Sequence[str] = (), choice: Choice | None = None
) -> list[Path]:
    """Write event files: `FOLDER/RUN/events.out.tfevents.…`, the same bytes for the same run.

    Measures by step are scalars `PART/MEASURE`; those at the end scalars `final/MEASURE`; parameters and origin are
    texts.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_records` and to `export`.
    settings : Settings
        Store and project.
    folder : Path
        Made where missing; files of earlier exports of the same runs are replaced.
    runs : sequence of str
        Ids or beginnings of ids; those of `choice` where left out.
    choice : Choice, optional

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        No fit is named so.
    StoreError
        A file cannot be written.
    """
    with audited(settings, actor, "export", folder.name) as detail:
        found = show_experiments(actor, settings, runs, choice).experiments
        detail["runs"] = len(found)
        written = []
        for one in found:
            began = one.run.started_at.timestamp()
            path = folder / one.run.id / f"events.out.tfevents.{int(began)}.greywater"
            make_folder(path.parent)
            write_file_durably(path, encode_events(_events(one), began))
            written.append(path)
    return written


def _events(one: Experiment) -> list[Scalar | Words]:
    began = one.run.started_at.timestamp()
    ended = began if one.run.finished_at is None else one.run.finished_at.timestamp()
    events: list[Scalar | Words] = [
        Words(name, _table(held), began) for name, held in (("parameters", one.parameters), ("origin", one.origin))
    ]
    events += [
        Scalar(f"{step.series}/{step.name}".strip("/"), step.step, step.value, step.at_us / 1e6)
        for step in sorted(one.steps, key=lambda step: (step.at_us, step.step))
        if step.value is not None
    ]
    last = max((step.step for step in one.steps), default=0)
    events += [Scalar(f"final/{name}", last, value, ended) for name, value in one.metrics.items() if value is not None]
    return events


def _table(held: dict[str, object]) -> str:
    """A Markdown table."""
    rows = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in held.items()]
    return "\n".join(["| name | value |", "|---|---|", *rows])
