"""The use case that writes a report to a file outside the store."""

from __future__ import annotations

import os
from pathlib import Path

from greywater.app.audit import audited
from greywater.config import Settings
from greywater.desk.report import RunReport, render
from greywater.stores.durable import store_errors
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
    with audited(settings, actor, "export", path.name), store_errors(path, "write the report"):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(render(report), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
