"""The rows of the model records: models, the steps they took, and proposals to promote one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Decision", "ModelRecord", "NewProposal", "NewStep", "ProposalRecord", "StepRecord"]


@dataclass(frozen=True)
class ModelRecord:
    """A model as it stands now. `sha256` is the digest of its folder when it was registered."""

    name: str
    kind: str
    sha256: str
    state: str
    at: datetime


@dataclass(frozen=True)
class NewStep:
    """A step to take.

    Parameters
    ----------
    model, step, after : str
        Which model, what is done (a verb of `greywater.detectors.registry.TRANSITIONS`), the state it comes to.
    why : str
        In words.
    evidence : mapping
        JSON types.
    against : str
        The champion that the model was measured against or takes over from; empty = none.
    proposal : int, optional
        The proposal that the step accepts.
    kind, sha256 : str
        Of a model that is registered by the step.
    """

    model: str
    step: str
    after: str
    why: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    against: str = ""
    proposal: int | None = None
    kind: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class StepRecord:
    """A step that was taken: from which state to which, by whom, when, why, with what evidence."""

    id: int
    model: str
    step: str
    before: str
    after: str
    against: str
    why: str
    evidence: dict[str, Any]
    proposal: int | None
    principal: str
    at: datetime


@dataclass(frozen=True)
class NewProposal:
    """A proposal to write down: to promote `model` over `against` (empty = there is no champion).

    `passed` says whether the evidence meets the policy; `why` says so in words.
    """

    model: str
    against: str
    passed: bool
    why: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What became of a proposal: `accepted` or `declined`, by whom, when, why."""

    outcome: str
    why: str
    principal: str
    at: datetime


@dataclass(frozen=True)
class ProposalRecord:
    """A proposal as it was written down; `decision` is None while it is open."""

    id: int
    model: str
    against: str
    passed: bool
    why: str
    evidence: dict[str, Any]
    principal: str
    at: datetime
    decision: Decision | None = None
