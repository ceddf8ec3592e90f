"""The use cases of the model registry: which models there are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from greywater.app.audit import audited
from greywater.app.model_place import kept_model, kept_names, read_roster, register_model, require_sound
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.detectors.registry import Roster
from greywater.errors import DetectorError, UsageError
from greywater.stores.model_records import ModelRecords
from greywater.stores.model_rows import ModelRecord, NewStep, ProposalRecord, StepRecord
from greywater.vocab import Actor

__all__ = [
    "ModelShown", "Models", "decline_proposal", "list_models", "promote_model", "proposal_json", "restore_model",
    "retire_model", "shadow_model", "show_model", "step_json",
]  # fmt: skip

UNREGISTERED: Final = "kept before models were registered"


@dataclass(frozen=True)
class ModelShown:
    """A model with everything that is written down of it.

    `registered` is None for one that lies in the project's folder and took no step yet; `kept` is False where the
    folder of a registered one is gone.
    """

    name: str
    kind: str
    state: str
    registered: ModelRecord | None
    kept: bool
    steps: tuple[StepRecord, ...]
    proposals: tuple[ProposalRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """As one entry of `greywater models list --json`, and `greywater models show --json`."""
        return {
            "model": self.name,
            "kind": self.kind,
            "state": self.state,
            "sha256": None if self.registered is None else self.registered.sha256,
            "registered_at": None if self.registered is None else self.registered.at.isoformat(),
            "kept": self.kept,
            "steps": [step_json(step) for step in self.steps],
            "proposals": [proposal_json(one) for one in self.proposals],
        }


@dataclass(frozen=True)
class Models:
    """The models of a project, and the champion that `restore` would put back."""

    models: tuple[ModelShown, ...]
    champion: str | None
    previous: str | None


def step_json(step: StepRecord) -> dict[str, Any]:
    """A step in JSON types."""
    return _dated(asdict(step))


def proposal_json(proposal: ProposalRecord) -> dict[str, Any]:
    """A proposal in JSON types."""
    found = _dated(asdict(proposal))
    found["decision"] = None if proposal.decision is None else _dated(asdict(proposal.decision))
    return found


def list_models(actor: Actor, settings: Settings) -> Models:
    """The models of a project, registered or only kept, in the order of their registration.

    Raises
    ------
    AccessDeniedError
        The actor may not `read_records`.
    """
    with audited(settings, actor, "read_records", "models"), open_project(settings, actor) as project:
        roster = read_roster(project)
        return Models(_shown(project), roster.champion, roster.previous)


def show_model(actor: Actor, settings: Settings, name: str | None = None) -> ModelShown:
    """One model, the champion where none is named.

    Raises
    ------
    DetectorError
        There is no such model, or no champion.
    """
    with audited(settings, actor, "read_records", "models"), open_project(settings, actor) as project:
        chosen = name or read_roster(project).champion
        if chosen is None:
            raise DetectorError("there is no champion", mend="name a model: greywater models list shows them")
        found = next((one for one in _shown(project) if one.name == chosen), None)
        if found is None:
            raise DetectorError(f"no model is named {chosen!r}", mend="greywater models list shows them")
        return found


def shadow_model(actor: Actor, settings: Settings, name: str, why: str = "") -> list[StepRecord]:
    """Let a candidate score beside the champion. The actor must be allowed to `train`."""
    with _stepping(actor, settings, "train", f"shadow {name}", name) as project:
        kept = _registered_evidence(project, name)
        return _take(project, lambda roster: roster.shadow(name, why, kept))


def promote_model(
    actor: Actor, settings: Settings, name: str, why: str = "", proposal: int | None = None
) -> list[StepRecord]:
    """Make a model the champion; the present one retires. The actor must be allowed to `promote_models`.

    Parameters
    ----------
    actor : Actor
    settings : Settings
    name : str
    why : str
        Needed unless a proposal is accepted.
    proposal : int, optional
        The number of the proposal that is accepted; the last open one for the model where left out.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    DetectorError
        The step is not legal (`greywater.detectors.registry`), or the model's files are not what was registered.
    """
    with _stepping(actor, settings, "promote_models", f"promote {name}", name) as project:
        kept = _registered_evidence(project, name)
        return _take(project, lambda roster: roster.promote(name, why, kept, proposal))


def retire_model(actor: Actor, settings: Settings, name: str, why: str) -> list[StepRecord]:
    """Put a model out of use. The actor must be allowed to `promote_models`."""
    with audited(settings, actor, "promote_models", f"retire {name}"), open_project(settings, actor) as project:
        if read_roster(project).state(name) is None and name in kept_names(project):
            register_model(project, name, why=UNREGISTERED)
        return _take(project, lambda roster: roster.retire(name, why))


def restore_model(actor: Actor, settings: Settings, name: str | None = None, why: str = "") -> list[StepRecord]:
    """Put a former champion back, the previous one where none is named. The actor must be allowed to `promote_models`.

    Raises
    ------
    DetectorError
        There is none, it never was champion, or its files are not what was registered.
    """
    with audited(settings, actor, "promote_models", "restore a champion") as detail:
        with open_project(settings, actor) as project:
            chosen = name or read_roster(project).previous
            if chosen is not None:
                require_sound(project, chosen)
            taken = _take(project, lambda roster: roster.restore(chosen, why))
        detail.update(model=taken[-1].model)
    return taken


def decline_proposal(actor: Actor, settings: Settings, number: int, why: str) -> ProposalRecord:
    """Write down that a proposal is declined, and why. The actor must be allowed to `promote_models`."""
    if not why.strip():
        raise UsageError("nobody said why the proposal is declined", where="--why", mend="give --why TEXT")
    with (
        audited(settings, actor, "promote_models", f"decline proposal {number}"),
        open_project(settings, actor) as project,
    ):
        return ModelRecords(project.records.database).decline(actor, number, why)


@contextmanager
def _stepping(actor: Actor, settings: Settings, action: str, said: str, name: str) -> Iterator[Project]:
    """The project, once the actor may and the model is registered and sound."""
    with audited(settings, actor, action, said), open_project(settings, actor) as project:
        if read_roster(project).state(name) is None:
            register_model(project, name, why=UNREGISTERED)
        require_sound(project, name)
        yield project


def _registered_evidence(project: Project, name: str) -> dict[str, Any]:
    """What was measured when the model was registered."""
    steps = ModelRecords(project.records.database).steps(name)
    return next((step.evidence for step in steps if step.step == "register"), {})


def _take(project: Project, plan: Callable[[Roster], Sequence[NewStep]]) -> list[StepRecord]:
    return ModelRecords(project.records.database).take(project.actor, lambda *now: plan(Roster(*now)))


def _shown(project: Project) -> tuple[ModelShown, ...]:
    records = ModelRecords(project.records.database)
    registered, steps, proposals = records.models(), records.steps(), records.proposals()
    kept = kept_names(project)
    found = [
        ModelShown(
            one.name, one.kind, one.state, one, one.name in kept,
            tuple(step for step in steps if step.model == one.name),
            tuple(proposal for proposal in proposals if proposal.model == one.name),
        )
        for one in registered
    ]  # fmt: skip
    names = {one.name for one in registered}
    loose = [
        ModelShown(name, kept_model(project, name).kind, "candidate", None, True, (), ())
        for name in kept
        if name not in names
    ]
    return (*loose, *found)


def _dated(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"at": fields["at"].isoformat()}
