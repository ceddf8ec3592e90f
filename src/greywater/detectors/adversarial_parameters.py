"""How the adversarial pair is trained, and what it scores by."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from greywater.detectors.adversarial_training import TrainingPlan
from greywater.detectors.refiner import ScoreBy
from greywater.detectors.scaling import Method
from greywater.errors import DetectorError

__all__ = ["AdversarialParameters"]

Labels = Literal["none", "good", "push"]


@dataclass(frozen=True)
class AdversarialParameters:
    """How the pair is trained and what it scores by.

    Parameters
    ----------
    sample_rows : int
        Payments learned from, taken evenly along the slice by the seed.
    scaling : {"quantile", "standard"}
        How columns are brought to one scale (docs/outliers.md): by their ranks, or by logarithms, mean and deviation.
    alike : float
        Columns whose correlation with one kept before reaches this are left out; 1 keeps all.
    labels : {"none", "good", "push"}
        What labels are for, where there are some: nothing; known launderers are not learned from; or they are also
        pushed away.
    score_by : {"reconstruction", "features", "both", "discriminator"}
        What makes the score (docs/adversarial.md). The discriminator alone is there to be compared with.
    far : float
        Weight of how far out a row lies itself: of the mean of the squares of all its scaled columns, those left out
        as alike too.
    members : int
        Pairs trained from different seeds, whose scores are averaged.
    blind_epochs : int
        Epochs where no label says when to stop: whoever learns for longer learns what contaminates, too.
    restarts : int
        How often a training that collapsed is begun again, more slowly, before it fails.
    hidden, code : int
        Width of the refiner's outer layers, and of the narrow one between them.
    epochs, epoch_rows, passes, patience, batch, rate, discriminator_rate, masked, noise, adversarial, \
    matching, push, trim
        As `TrainingPlan`.
    """

    sample_rows: int = 200_000
    scaling: Method = "quantile"
    alike: float = 0.9
    labels: Labels = "push"
    score_by: ScoreBy = "reconstruction"
    far: float = 0.0
    members: int = 3
    blind_epochs: int = 4
    restarts: int = 2
    hidden: int = 128
    code: int = 16
    epochs: int = TrainingPlan.epochs
    epoch_rows: int = TrainingPlan.epoch_rows
    passes: int = TrainingPlan.passes
    patience: int = TrainingPlan.patience
    batch: int = TrainingPlan.batch
    rate: float = TrainingPlan.rate
    discriminator_rate: float = TrainingPlan.discriminator_rate
    masked: float = TrainingPlan.masked
    noise: float = TrainingPlan.noise
    adversarial: float = TrainingPlan.adversarial
    matching: float = TrainingPlan.matching
    push: float = TrainingPlan.push
    trim: float = TrainingPlan.trim

    def __post_init__(self) -> None:
        whole = (
            "sample_rows",
            "members",
            "hidden",
            "code",
            "epochs",
            "blind_epochs",
            "epoch_rows",
            "passes",
            "patience",
        )
        bad = [name for name in whole if getattr(self, name) < 1]
        bad += [] if self.batch >= 2 else ["batch"]
        bad += [name for name in ("rate", "discriminator_rate") if not 0 < getattr(self, name) < 1]
        bad += [
            name
            for name in ("restarts", "noise", "adversarial", "matching", "push", "far")
            if not getattr(self, name) >= 0
        ]
        bad += [name for name in ("masked", "trim") if not 0 <= getattr(self, name) < 1]
        bad += [] if 0 < self.alike <= 1 else ["alike"]
        bad += [] if self.labels in get_args(Labels) else ["labels"]
        bad += [] if self.scaling in get_args(Method) else ["scaling"]
        bad += [] if self.score_by in get_args(ScoreBy) else ["score_by"]
        if bad:
            raise DetectorError(
                f"{bad[0]} = {getattr(self, bad[0])!r} cannot be used",
                where="AdversarialParameters",
                mend="see its docstring",
            )

    def plan(self, slower: int = 0, *, blind: bool = False) -> TrainingPlan:
        """How one pair is trained, `blind` without labels; rates are halved as often as it is to go slower."""
        chosen = {one.name: getattr(self, one.name) for one in fields(TrainingPlan)}
        chosen["epochs"] = min(self.epochs, self.blind_epochs) if blind else self.epochs
        for name in ("rate", "discriminator_rate"):
            chosen[name] *= 0.5**slower
        return TrainingPlan(**chosen)
