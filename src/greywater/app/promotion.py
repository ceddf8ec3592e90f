"""Measures a model against the champion on payments that neither has seen, and proposes to promote it, or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.model_place import (
    kept_model,
    measures_of,
    model_folder,
    read_roster,
    register_model,
    require_sound,
    rows_words,
    told_time,
)
from greywater.app.models import promote_model
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.run import code_versions
from greywater.app.split import cut_at
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.bootstrap import paired_gain
from greywater.detectors.column_choice import columns_for
from greywater.detectors.loading import load_detector
from greywater.detectors.metrics import measure_payments
from greywater.detectors.row_choice import RowChoice
from greywater.detectors.saved import plain
from greywater.errors import DetectorError, EmptyInputError
from greywater.stores.model_records import ModelRecords
from greywater.stores.model_rows import NewProposal, ProposalRecord
from greywater.vocab import Actor, Float64Array, Int64Array, Progress

__all__ = [
    "Judged",
    "Policy",
    "Proposed",
    "held_out_from",
    "promote_if_allowed",
    "propose",
    "propose_model",
    "shared_rows",
]

DAY_US: Final = 86_400_000_000
#: Share of the payments beyond which days are not held out: the last fifth is, instead.
MOST_HELD_OUT: Final = 0.4
RESAMPLES: Final = 400


@dataclass(frozen=True)
class Policy:
    """What a proposal must show; the settings `promotion_...`."""

    days: int
    least_gain: float
    least_rows: int
    least_positives: int
    automatic: bool

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """That of the settings."""
        names = cls.__dataclass_fields__
        return cls(**{name: getattr(settings, f"promotion_{name}") for name in names})


@dataclass(frozen=True)
class Judged:
    """A detector that is measured: its name, itself, and until when it has seen payments and their labels.

    `seen_until` in microseconds since 1970; None where nobody knows.
    """

    name: str
    detector: Any
    seen_until: int | None

    @classmethod
    def of(cls, project: Project, name: str) -> Judged:
        """A kept model, verified."""
        require_sound(project, name)
        detector = load_detector(model_folder(project, name))
        learned = detector.card.get("learned") or {}
        return cls(name, detector, learned.get("seen_until"))


@dataclass(frozen=True)
class Proposed:
    """A proposal as it was written down, and whether policy had the model promoted by itself."""

    proposal: ProposalRecord
    promoted: bool = False


def propose_model(actor: Actor, settings: Settings, name: str, progress: Progress | None = None) -> Proposed:
    """Measure a kept model against the champion, and write down a proposal to promote it.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`; to `promote_models` too where `promotion_automatic` is set.
    settings : Settings
    name : str
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    DetectorError
        There is no such model, it is the champion itself, or either reads columns that the project has no more.
    EmptyInputError
        There are no labels, or no payment that neither model has seen.
    """
    told = progress or Silent()
    with (
        audited(settings, actor, "train", f"propose {name}") as detail,
        open_project(settings, actor) as project,
        open_workplace(project, "propose", parameters={"model": name}, versions=code_versions()) as place,
    ):
        champion = read_roster(project).champion
        if name == champion:
            raise DetectorError(f"model {name} is the champion", where=name, mend="name another model")
        if read_roster(project).state(name) is None:
            register_model(project, kept_model(project, name).name)
        judged = [Judged.of(project, one) for one in (name, champion) if one is not None]
        made = shared_rows(project, place.folder, judged, told)
        begin, why = held_out_from(made, Policy.of(settings))
        proposal = propose(project, made, judged[0], judged[1] if champion else None, begin, why)
        place.summary.update(model=name, proposal=proposal.id, passed=proposal.passed)
        detail.update(proposal=proposal.id, passed=proposal.passed)
    return Proposed(proposal, promote_if_allowed(actor, settings, proposal))


def shared_rows(project: Project, folder: Path, judged: list[Judged], progress: Progress) -> FeatureRows:
    """Feature rows with the columns of today, and those that the models need beside them."""
    today = project_features(project)
    names = list(dict.fromkeys([*today.features.names, *(one for each in judged for one in each.detector.names)]))
    made = replay_project(project, today.for_columns(names), folder, progress)
    if made.truth is None or not made.rows:
        raise EmptyInputError(
            "there are no labels to measure models by",
            where=str(project.folder),
            mend="record labels: greywater ingest --labels FILE, or greywater retrain --dispositions FILE",
        )
    return made


def held_out_from(made: FeatureRows, policy: Policy) -> tuple[int, str]:
    """The row from which payments are held out, and why there."""
    times = made.replayed.time_us
    last = int(times.max())
    midnight = (last - policy.days * DAY_US) // DAY_US * DAY_US + DAY_US
    begin = int(np.searchsorted(np.maximum.accumulate(times), midnight))
    if begin >= (1 - MOST_HELD_OUT) * made.rows:
        return begin, f"the last {policy.days} days are held out"
    begin = cut_at(times, 0.8) or int(made.rows * 0.8)
    most = f"{MOST_HELD_OUT:.0%}"
    return begin, f"the last {policy.days} days are more than {most} of the payments: the last 20 % are held out"


def propose(
    project: Project, made: FeatureRows, challenger: Judged, champion: Judged | None, begin: int, why: str
) -> ProposalRecord:
    """Measure both on the same payments with the same labels, and write the proposal down.

    Payments from row `begin` on count that lie after everything either model has seen.

    Raises
    ------
    EmptyInputError
        No such payment is left.
    """
    policy = Policy.of(project.settings)
    both = [challenger] if champion is None else [challenger, champion]
    seen = [one.seen_until for one in both if one.seen_until is not None]
    rows = np.arange(begin, made.rows)
    rows = rows[made.replayed.time_us[rows] > max(seen, default=-(2**63))]
    if not len(rows):
        raise EmptyInputError(
            "no payment is left that neither model has seen",
            where=f"payments after {told_time(max(seen))}" if seen else "",
            mend="record newer payments, or fit on older ones: greywater retrain",
        )
    evidence, doubts = _evidence(made, challenger, champion, rows, policy, project.settings.seed)
    evidence |= {"held_out": why, "policy": asdict(policy)}
    passed = not doubts
    said = _said(evidence, champion) + ("" if passed else f"; {', '.join(doubts)}")
    proposal = NewProposal(challenger.name, champion.name if champion else "", passed, said, plain(evidence))
    return ModelRecords(project.records.database).propose(project.actor, proposal)


def promote_if_allowed(actor: Actor, settings: Settings, proposal: ProposalRecord) -> bool:
    """Promote where the policy says that it is done by itself and the proposal meets it; whether it was."""
    if not (settings.promotion_automatic and proposal.passed):
        return False
    promote_model(actor, settings, proposal.model, f"by policy: {proposal.why}", proposal.id)
    return True


def _evidence(
    made: FeatureRows, challenger: Judged, champion: Judged | None, rows: Int64Array, policy: Policy, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """What was measured, and what speaks against the promotion."""
    assert made.truth is not None
    y = made.truth.y[rows]
    after, measured = _measured(made, challenger, rows, y)
    evidence = {"slice": rows_words(made, rows), "measures": measured, "learned": _learned(challenger)}
    doubts = []
    if len(rows) < policy.least_rows:
        doubts.append(f"{len(rows):,} payments are fewer than {policy.least_rows:,}")
    if int(y.sum()) < policy.least_positives:
        doubts.append(f"{int(y.sum()):,} laundering payments are fewer than {policy.least_positives:,}")
    if challenger.seen_until is None:
        doubts.append("what it learned from is not known, so it may have seen these payments")
    if champion is None:
        return evidence, doubts
    before, held = _measured(made, champion, rows, y)
    parties = [np.asarray(side[rows], np.int64) for side in (made.replayed.sender, made.replayed.receiver)]
    interval = paired_gain(y, before, after, parties, resamples=RESAMPLES, seed=seed)
    gain = None
    if measured["average_precision"] is not None and held["average_precision"] is not None:
        gain = measured["average_precision"] - held["average_precision"]
    evidence["champion"] = {"model": champion.name, "measures": held, "learned": _learned(champion)}
    evidence["gain"] = {"average_precision": gain, "low": interval.low, "high": interval.high, "level": interval.level}
    if interval.low is None or interval.low <= policy.least_gain:
        doubts.append(f"the low end of the gain does not exceed {policy.least_gain:g}")
    return evidence, doubts


def _measured(
    made: FeatureRows, judged: Judged, rows: Int64Array, y: Int64Array
) -> tuple[Float64Array, dict[str, Any]]:
    score = judged.detector.score(columns_for(RowChoice(made.blocks, rows), judged.detector.names))
    return score, measures_of(measure_payments(y, score, judged.detector.threshold.value))


def _learned(judged: Judged) -> dict[str, Any] | None:
    found: dict[str, Any] | None = judged.detector.card.get("learned")
    return found


def _said(evidence: dict[str, Any], champion: Judged | None) -> str:
    """The evidence in a sentence."""
    where = evidence["slice"]
    on = (
        f"on {where['payments']:,} payments of {where['from'][:10]} to {where['to'][:10]}, {where['laundering']:,} of "
        "them laundering"
    )
    mine = _figure(evidence["measures"]["average_precision"])
    if champion is None:
        return f"average precision {mine} {on}; there is no champion"
    gain, theirs = evidence["gain"], _figure(evidence["champion"]["measures"]["average_precision"])
    between = f"{_figure(gain['low'])} to {_figure(gain['high'])}"
    return f"average precision {mine} against {theirs} of {champion.name} (gain {between} at 95 %) {on}"


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3g}"
