"""Fits again as a record says: the same settings, seed and data as they stood then; the same model, or it is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from greywater.app.audit import audited
from greywater.app.experiment_book import Experiment, find_run
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.provenance import DataVersion, fit_settings, fit_versions, settings_again
from greywater.app.training import Trained, TrainRequest, fit_recorded
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.errors import StoreError, UsageError
from greywater.stores.run_log import RunLog
from greywater.vocab import Actor, Progress

__all__ = ["Repeated", "repeat"]

#: Commands whose fit can be made again by itself.
REPEATABLE: Final = frozenset({"train", "run"})
#: What must be as it was, and what to do about it.
_MENDS: Final = {
    "data": "name the store in which it was fitted",
    "features": "bring the attributes, relations and rules back that it was fitted with",
    "rules": "bring the project's rules back as they were",
    "code": "install the version that fitted it",
    "kernels": "install the version that fitted it",
    "libraries": "install the versions that fitted it",
}


@dataclass(frozen=True)
class Repeated:
    """A fit that was made again.

    Parameters
    ----------
    original : str
        The run that was repeated.
    trained : Trained
        What it gave.
    same : bool
        Every file of the saved model has the SHA-256 of the original's.
    differing : tuple of str
        Files that have not.
    changed : tuple of str
        What was not as it was: data, features, code, in words.
    """

    original: str
    trained: Trained
    same: bool
    differing: tuple[str, ...]
    changed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater experiments repeat --json`; docs/cli.md describes it."""
        return {
            "original": self.original,
            "run": self.trained.model,
            "same": self.same,
            "differing": list(self.differing),
            "changed": list(self.changed),
        }


def repeat(
    actor: Actor, settings: Settings, run: str, *, anyway: bool = False, progress: Progress | None = None
) -> Repeated:
    """Fit again what a run fitted, on the payments and records that there were then.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store and project; threads and memory of today, everything else as recorded.
    run : str
        Id, the beginning of one, or `last`.
    anyway : bool
        Fit although data, features or code are not as they were.
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        There is no such fit, it cannot be repeated by itself, or something is not as it was.
    """
    told = progress or Silent()
    with audited(settings, actor, "train", f"repeat of {run}") as detail, open_project(settings, actor) as project:
        original = _repeatable(find_run(project, run))
        again = settings_again(original.run.parameters, settings)
        known = DataVersion.from_json(original.run.versions["data"])
        try:
            then = known.of_project(project)
        except StoreError as error:  # fewer payments than then: another store
            raise UsageError(error.found, where=f"run {original.run.id}", mend=_MENDS["data"]) from error
        then = replace(then, settings=again)
        versions = fit_versions(then)
        changed = _changed(original, versions, then)
        if changed and not anyway:
            raise _refusal(original, changed)
        whole = bool(original.run.parameters.get("whole", False))
        tuned = original.run.parameters.get("tuned")
        parameters = {
            "whole": whole, **fit_settings(again), "repeats": original.run.id, **({"tuned": tuned} if tuned else {})
        }  # fmt: skip
        with open_workplace(then, "train", parameters=parameters, versions=versions) as place:
            request = TrainRequest(whole=whole)
            trained = fit_recorded(
                then,
                place,
                request,
                told,
                measured=original.run.command == "train",
                why=f"repeats {original.run.id}",
                tuned=tuned,
            )
            found = _compared(project, original, trained, changed)
            place.summary.update(repeats=original.run.id, same=found.same, changed=list(found.changed))
        detail.update(model=place.run_id, same=found.same)
    return found


def _repeatable(found: Experiment) -> Experiment:
    run = found.run
    if run.command not in REPEATABLE:
        why = f"a run of {run.command!r} is not repeated by itself"
    elif "data" not in run.versions:
        why = "it does not say what data it was fitted on"
    elif found.state != "done":
        why = f"it ended {found.state}" if run.outcome else "it still goes on"
    else:
        return found
    raise UsageError(why, where=f"run {run.id}", mend="name a fit of `greywater train` or `greywater run`")


def _changed(original: Experiment, now: Mapping[str, Any], project: Project) -> list[str]:
    """What is not as it was, by the keys of `_MENDS`."""
    then = original.run.versions
    found = [name for name in ("data", "rules", "code", "kernels") if then.get(name) != now.get(name)]
    libraries = then.get("libraries") or {}
    if any(now["libraries"].get(name) != number for name, number in libraries.items()):
        found.append("libraries")
    features = (original.summary.get("features") or {}).get("fingerprint")
    if project_features(project).features.fingerprint != features:
        found.append("features")
    return found


def _refusal(original: Experiment, changed: list[str]) -> UsageError:
    return UsageError(
        f"not as when it was fitted: {', '.join(changed)}",
        where=f"run {original.run.id}",
        mend=f"{'; '.join(dict.fromkeys(_MENDS[name] for name in changed))}; or give --anyway, and it may differ",
    )


def _compared(project: Project, original: Experiment, trained: Trained, changed: list[str]) -> Repeated:
    log = RunLog(project.records.database)
    first, second = (
        {file.name: file.sha256 for file in log.artefacts([one]) if file.name.startswith("model/")}
        for one in (original.run.id, trained.model)
    )
    differing = tuple(sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)))
    return Repeated(original.run.id, trained, not differing, differing, tuple(changed))
