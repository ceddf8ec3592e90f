"""The use case that fits again with fewer and with later labels, and says what becomes of the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.split import split_by_time
from greywater.app.wiring import open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.boosted import Boosted
from greywater.detectors.experiments import DELAYS, SHARES, ExperimentPoint, Labelled, class_imbalance, label_delay
from greywater.detectors.saved import plain
from greywater.errors import EmptyInputError
from greywater.vocab import Actor, Progress

__all__ = ["Experiments", "experiment"]


@dataclass(frozen=True)
class Experiments:
    """What came of each setting on the last slice, which is never changed.

    `rarer`: a share of the laundering is kept, the rest left out; `unfound`: the rest is called honest; `late`: labels
    are known so many days after their payments.
    """

    rarer: tuple[ExperimentPoint, ...]
    unfound: tuple[ExperimentPoint, ...]
    late: tuple[ExperimentPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """As `experiments` in `greywater evaluate --json`."""
        return plain(asdict(self))  # type: ignore[no-any-return]


def experiment(
    actor: Actor,
    settings: Settings,
    progress: Progress | None = None,
    *,
    shares: Sequence[float] = SHARES,
    days: Sequence[float] = DELAYS,
) -> Experiments:
    """Work out the features of the project anew, and fit boosted trees with ever fewer and ever later labels.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store, project, features, seed.
    progress : Progress, optional
        Told how far it is.
    shares, days : sequences of float
        As for `greywater.detectors.experiments`.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    EmptyInputError
        There are no labels, or no laundering in the slice that is learned from.
    """
    told = progress or Silent()
    with (
        audited(settings, actor, "train", "experiments") as detail,
        open_project(settings, actor) as project,
        open_workplace(
            project, "experiment", parameters={"shares": list(shares), "days": list(days)}, versions={}
        ) as place,
    ):
        detail["run"] = place.run_id
        made = replay_project(project, project_features(project), place.folder, told)
        train, validation, test = _slices(made)

        def make() -> Boosted:
            return Boosted(seed=settings.seed, threads=settings.worker_threads)

        found = Experiments(
            rarer=class_imbalance(make, train, validation, test, shares=shares, seed=settings.seed, progress=told),
            unfound=class_imbalance(
                make, train, validation, test, shares=shares, others="called honest", seed=settings.seed, progress=told
            ),
            late=label_delay(make, train, validation, test, days=days, progress=told),
        )
        place.summary.update(settings=len(found.rarer) + len(found.unfound) + len(found.late))
    return found


def _slices(made: FeatureRows) -> tuple[Labelled, Labelled, Labelled]:
    """The three slices by time: to learn from, to tune on, to measure on."""
    truth = made.truth
    if truth is None:
        raise EmptyInputError(
            "there are no labels to experiment with", where="labels", mend="record labels: greywater ingest --labels"
        )
    split = split_by_time(made.replayed.time_us, labelled=True)
    if not truth.y[: split.train].any():
        raise EmptyInputError(
            "the first 60 % of the payments hold no laundering", where="labels", mend="record earlier labels"
        )
    bounds = ((0, split.train), (split.train, split.validation), (split.validation, split.rows))
    learn, tune, judge = (
        Labelled(made.blocks.slice(low, high), truth.y[low:high], made.replayed.time_us[low:high])
        for low, high in bounds
    )
    return learn, tune, judge
