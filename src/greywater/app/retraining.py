"""Fits a detector anew on all but the latest payments, and proposes it where it beats the champion."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from greywater.app.audit import audited
from greywater.app.dispositions import Dispositions, record_dispositions
from greywater.app.fit_notes import note_fitted, note_judged
from greywater.app.fitting import Fitted, fit_detector
from greywater.app.ingest import Silent
from greywater.app.model_place import MODELS, learned_slice, read_roster, register_model
from greywater.app.models import proposal_json
from greywater.app.promotion import Judged, Policy, held_out_from, promote_if_allowed, propose, shared_rows
from greywater.app.provenance import fit_settings, fit_versions
from greywater.app.replaying import FeatureRows
from greywater.app.rule_place import words_of
from greywater.app.split import Split, cut_at
from greywater.app.tracing import note_run
from greywater.app.truth import Truth, TruthReader
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import Workplace, open_workplace
from greywater.config import Settings
from greywater.errors import EmptyInputError
from greywater.stores.model_rows import ProposalRecord
from greywater.vocab import Actor, Progress

__all__ = ["RetrainRequest", "Retrained", "retrain"]


@dataclass(frozen=True)
class RetrainRequest:
    """What to learn from.

    Parameters
    ----------
    dispositions : Path, optional
        Closed alerts to record first: labels and confirmed launderers.
    as_known : bool
        Learn only from labels that were known when the held-out payments begin.
    """

    dispositions: Path | None = None
    as_known: bool = False


@dataclass(frozen=True)
class Retrained:
    """A model that was fitted anew, the proposal to promote it, and whether policy had it promoted by itself."""

    model: str
    fitted: Fitted
    proposal: ProposalRecord
    promoted: bool
    dispositions: Dispositions | None

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater retrain --json`."""
        return {
            "model": self.model,
            "detector": {"kind": self.fitted.kind, "name": self.fitted.name, "why": self.fitted.why},
            "proposal": proposal_json(self.proposal),
            "promoted": self.promoted,
            "dispositions": None if self.dispositions is None else asdict(self.dispositions),
        }


def retrain(
    actor: Actor, settings: Settings, request: RetrainRequest | None = None, progress: Progress | None = None
) -> Retrained:
    """Fit the detector that the settings name on all but the latest payments, and measure it against the champion.

    The latest `promotion_days` are held out: no payment of them and no label of such a payment is learned from. Of the
    payments before, the first three quarters are learned from and the rest is tuned on. The model is kept as a
    candidate, and a proposal to promote it is written down with its evidence; nothing is promoted unless
    `promotion_automatic` is set and the proposal meets the policy.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`; to `ingest` too where dispositions are given, and to `promote_models` where
        promotion is automatic.
    settings : Settings
    request : RetrainRequest, optional
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    EmptyInputError
        There are no labels, too few payments, or none that neither model has seen.
    InputError
        The file of dispositions cannot be read.
    """
    asked, told = request or RetrainRequest(), progress or Silent()
    recorded = None if asked.dispositions is None else record_dispositions(actor, settings, asked.dispositions)
    parameters = {"as_known": asked.as_known, **fit_settings(settings)}
    with (
        audited(settings, actor, "train", "retrain") as detail,
        open_project(settings, actor) as project,
        open_workplace(project, "retrain", parameters=parameters, versions=fit_versions(project)) as place,
    ):
        name = read_roster(project).champion
        champion = None if name is None else Judged.of(project, name)
        made = shared_rows(project, place.folder, [] if champion is None else [champion], told)
        begin, why = held_out_from(made, Policy.of(settings))
        fitted = _fit(project, place, made, begin, asked, told)
        seen = fitted.detector.card["learned"]["seen_until"]
        proposal = propose(project, made, Judged(place.run_id, fitted.detector, seen), champion, begin, why)
        note_judged(place.fit, made.replayed.seq[:0].astype(float), None, proposal.evidence["measures"])
        place.summary.update(detector=fitted.kind, payments=made.rows, proposal=proposal.id)
        detail.update(model=place.run_id, proposal=proposal.id, passed=proposal.passed)
    promoted = promote_if_allowed(actor, settings, proposal)
    return Retrained(place.run_id, fitted, proposal, promoted, recorded)


def _fit(
    project: Project, place: Workplace, made: FeatureRows, begin: int, request: RetrainRequest, progress: Progress
) -> Fitted:
    """The detector fitted on the rows before `begin`, kept and registered."""
    times = made.replayed.time_us
    train = cut_at(times[:begin], 0.75)
    if not train:
        raise EmptyInputError(
            "there are too few payments before those that are held out", mend="record more: greywater ingest PATH"
        )
    known = _known_by(project, made, int(times[begin]))
    learned_from = replace(made, truth=known if request.as_known else made.truth)
    split = Split(train=train, validation=begin, alerting=begin, rows=made.rows)
    fitted = fit_detector(
        made.blocks, made.replayed, learned_from.truth, split, project.settings, progress, words_of(made.features),
        place.fit.series,
    )  # fmt: skip
    assert made.truth is not None
    late = int(((made.truth.y == 1) & (known.y == 0))[:begin].sum())
    learned = learned_slice(learned_from, split) | {"labels_known_later": 0 if request.as_known else late}
    fitted.detector.annotate({"data_version": project.ledger.next_seq, "learned": learned})
    folder = project.folder / MODELS / place.run_id
    fitted.detector.save(folder)
    note_fitted(place.fit, fitted, learned_from, split, folder)
    note_run(project, place.run_id, ())
    register_model(project, place.run_id, {"learned": learned}, why="fitted by greywater retrain")
    return fitted


def _known_by(project: Project, made: FeatureRows, moment: int) -> Truth:
    """The targets as far as their labels were known by a moment."""
    reader = TruthReader.open(project.tables, known_by=moment)
    for batch in project.ledger.scan(["seq", "tx_id"]):
        reader.watch(batch)
    return reader.targets(made.replayed)
