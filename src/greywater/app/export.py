"""The use case that writes a report to a file outside the store."""

from __future__ import annotations

from pathlib import Path

from greywater.app.audit import audited
from greywater.config import Settings
from greywater.desk.report import RunReport, render
from greywater.stores.durable import write_whole_text
from greywater.vocab import Actor

__all__ = ["write_report"]


def write_report(actor: Actor, settings: Settings, report: RunReport, path: Path) -> None:
    """Write the report as one HTML file, which then holds all of it or what it held before.

    Raises
    ------
    AccessDeniedError
        The actor may not export.
    StoreFullError, StoreAccessError
        The file cannot be written.
    """
    with audited(settings, actor, "export", path.name):
        write_whole_text(path, render(report), "write the report")
