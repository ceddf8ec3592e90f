"""Writes the page on which fits are laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from greywater.app.audit import audited
from greywater.app.experiment_book import Choice, Comparison, show_experiments
from greywater.config import Settings
from greywater.desk.experiment_page import experiment_page
from greywater.stores.durable import write_whole_text
from greywater.vocab import Actor

__all__ = ["write_experiment_page"]


def write_experiment_page(
    actor: Actor, settings: Settings, path: Path, runs: Sequence[str] = (), choice: Choice | None = None
) -> Comparison:
    """Write fits side by side as one HTML file that needs no network.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_records` and to `export`.
    settings : Settings
        Store and project.
    path : Path
        The file.
    runs : sequence of str
        Ids or beginnings of ids, in the order of their colours; those of `choice` where left out.
    choice : Choice, optional

    Returns
    -------
    Comparison
        What is on the page.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        No fit is named so.
    StoreError
        The file cannot be written.
    """
    with audited(settings, actor, "export", path.name) as detail:
        found = show_experiments(actor, settings, runs, choice)
        detail["runs"] = len(found.experiments)
        began = [one.run.started_at for one in found.experiments]
        span = f", {min(began):%Y-%m-%d %H:%M} to {max(began):%Y-%m-%d %H:%M} UTC" if began else ""
        many = "run" if len(began) == 1 else "runs"
        told = f"Project {settings.project}, {len(began)} {many}{span}."
        page = experiment_page(found.to_json(whole=True), title="Experiments", subtitle=told)
        write_whole_text(path, page, "write the page of experiments")
    return found
