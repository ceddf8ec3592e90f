"""Asks whether the actor may, and writes down that it was done, refused or failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greywater.access.policy import require
from greywater.config import Settings
from greywater.errors import AccessDeniedError, GreywaterError, StoreDamagedError, StoreError
from greywater.stores.open import open_records
from greywater.stores.project_file import ProjectFile
from greywater.vocab import Actor

__all__ = ["audited"]

log = logging.getLogger("greywater.audit")


@contextmanager
def audited(settings: Settings, actor: Actor, action: str, object: str) -> Iterator[dict[str, Any]]:
    """Let the actor pass or refuse, and write one audit row when the use case ends, however it ends.

    Parameters
    ----------
    settings : Settings
        Store and project.
    actor : Actor
        Who asks.
    action : str
        One of `greywater.access.policy.ACTIONS`.
    object : str
        What it is done to: names of files, not of people.

    Yields
    ------
    dict
        Detail in JSON types, filled by the use case and written with the row.

    Raises
    ------
    AccessDeniedError
        The role may not do this, or the actor belongs to another project.

    Notes
    -----
    Where the project does not exist (nothing was ever recorded) there is nothing to write to. If the row of something
    done cannot be written the caller is told; beside a failure a second one is only logged.
    """
    detail: dict[str, Any] = {}
    try:
        _require_project(settings, actor)
        require(actor, action)
        yield detail
    except AccessDeniedError as error:
        _write_beside(settings, actor, action, object, "refused", {"error": error.found})
        raise
    except GreywaterError as error:
        _write_beside(settings, actor, action, object, "failed", {**detail, "error": type(error).__name__})
        raise
    except (Exception, KeyboardInterrupt) as error:
        _write_beside(settings, actor, action, object, "failed", {**detail, "error": type(error).__name__})
        raise
    _write(settings, actor, action, object, "done", detail)


def _require_project(settings: Settings, actor: Actor) -> None:
    if actor.project != settings.project:
        raise AccessDeniedError(
            f"{actor.principal} is no member of project {settings.project!r}",
            where=f"project {settings.project!r}",
            mend=f"act as a member of {settings.project!r}, or name the project {actor.project!r}",
        )


def _write_beside(
    settings: Settings, actor: Actor, action: str, object: str, outcome: str, detail: dict[str, Any]
) -> None:
    try:
        _write(settings, actor, action, object, outcome, detail)
    except (StoreError, OSError) as error:
        log.warning(
            "audit row not written", extra={"action": action, "outcome": outcome, "error": type(error).__name__}
        )


def _write(settings: Settings, actor: Actor, action: str, object: str, outcome: str, detail: dict[str, Any]) -> None:
    folder = settings.project_folder
    try:
        if ProjectFile.load(folder) is None:
            return
    except StoreDamagedError:  # its records may be sound, and who looked at a damaged store is worth a row
        log.info("project file damaged", extra={"action": action})
    with open_records(settings.records, folder=folder, project=settings.project) as records:
        records.audit(actor, action, object, outcome, detail)
