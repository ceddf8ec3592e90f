"""The use case that compares what was served online with what the project's ledger says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from greywater.app.audit import audited
from greywater.app.known_launderers import known_for
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.catalog import payment_features
from greywater.pipeline.parity import Difference, ParityResult, check_parity
from greywater.vocab import Actor, Progress

__all__ = ["ParityRequest", "parity", "parity_json"]


@dataclass(frozen=True)
class ParityRequest:
    """How many served vectors are drawn, and by which seed; 0 = all."""

    sample: int = 1_000
    seed: int = 7

    def __post_init__(self) -> None:
        if self.sample < 0:
            raise UsageError(f"a sample of {self.sample}", where="--sample", mend="give 0 (all) or more")


def parity(actor: Actor, settings: Settings, request: ParityRequest, progress: Progress | None = None) -> ParityResult:
    """Draw vectors that were served and work each out again from the ledger.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_features`.
    settings : Settings
        Store, project, the set of features and its windows.
    request : ParityRequest
    progress : Progress, optional

    Returns
    -------
    ParityResult
        `differences` is empty where every bit agrees.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project, or its log of served vectors is damaged.
    """
    with (
        audited(settings, actor, "read_features", "parity of served vectors") as detail,
        open_project(settings, actor) as project,
    ):
        features = payment_features(settings, project.file.resolution_us or 1)
        result = check_parity(
            project.ledger, project.tables, features, sample=request.sample or None, seed=request.seed,
            known=known_for(features, project.tables, project.ledger), progress=progress,
        )  # fmt: skip
        detail.update(
            served=result.served, vectors=result.vectors, values=result.values, differences=len(result.differences),
            other_features=result.other_features,
        )  # fmt: skip
    return result


def parity_json(result: ParityResult) -> dict[str, Any]:
    """A result as JSON values; NaN is null."""
    return {
        "served": result.served, "vectors": result.vectors, "values": result.values,
        "other_features": result.other_features, "differences": [_told(one) for one in result.differences],
    }  # fmt: skip


def _told(one: Difference) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in vars(one).items()}
