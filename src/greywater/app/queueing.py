"""Makes the queue of a run's alerts: repeats folded, networks tied, valued, levelled, and those that may sleep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.app.fitting import Fitted
from greywater.app.judging import Judged, part_guilty, party_scores
from greywater.app.parties import Parties
from greywater.app.ranking_policy import ranking_policy
from greywater.app.split import Split
from greywater.app.truth import Truth
from greywater.config import Settings
from greywater.desk.alerts import Alert
from greywater.desk.hibernation import HibernationCut, hibernation_cut
from greywater.desk.ranking import Ranking
from greywater.desk.rollup import Candidate
from greywater.desk.standing import rank_raised
from greywater.pipeline.replay import Replayed
from greywater.stores.blocks import FeatureBlocks

__all__ = ["later_cut", "make_queue", "queue_in_json"]


def later_cut(
    fitted: Fitted,
    blocks: FeatureBlocks,
    replayed: Replayed,
    truth: Truth | None,
    split: Split,
    parties: Parties,
    settings: Settings,
) -> HibernationCut | None:
    """The score below which alerts may sleep, by the later half of the slice that the detector was tuned on.

    There a party counts as reported where it laundered, and has the score of its best payment.

    Returns
    -------
    HibernationCut or None
        None where no launderer is known there: then nothing sleeps.
    """
    middle = (split.train + split.validation) // 2
    if truth is None or split.validation <= middle:
        return None
    end = split.validation
    earlier = replace(
        replayed,
        seq=replayed.seq[:end],
        time_us=replayed.time_us[:end],
        sender=replayed.sender[:end],
        receiver=replayed.receiver[:end],
    )
    score = fitted.later_scores(blocks.slice(middle, end))
    judged = Judged(earlier, middle, score, score, fitted.threshold, [], parties, (1.0, 1.0))
    names, best = party_scores(judged)
    guilty = part_guilty(judged, replace(truth, y=truth.y[:end])).first_dirty
    y = np.array([name in guilty for name in names], np.int64)
    return hibernation_cut(y, best, settings.recall_floor) if y.any() else None


def make_queue(
    alerts: Sequence[Alert],
    candidates: Sequence[Candidate],
    mandatory: NDArray[np.int64],
    parties: Parties,
    fitted: Fitted,
    cut: HibernationCut | None,
    settings: Settings,
    *,
    labelled: bool,
    base_currency: str,
) -> Ranking:
    """The queue of raised alerts.

    Parameters
    ----------
    alerts, candidates : sequences
        What was raised, and what each was raised from.
    mandatory : int64[k]
        Seqs of the payments that demand an alert.
    parties : Parties
    fitted : Fitted
        Its calibration says how strong a payment ties.
    cut : HibernationCut, optional
        From `later_cut`.
    settings : Settings
        Assumptions on work, networks, folding, hibernation.
    labelled : bool
        False: a probability is only a rank, and nothing is valued by it.
    base_currency : str
    """
    demanded = set(mandatory.tolist())
    return rank_raised(
        alerts,
        candidates,
        [parties.accounts(candidate.entity, candidate.kind) for candidate in candidates],
        fitted.calibrate,
        mandatory=frozenset(place for place, each in enumerate(candidates) if each.seq in demanded),
        base_currency=base_currency,
        cut=cut,
        policy=ranking_policy(settings),
        calibrated=labelled,
    )


def queue_in_json(queue: Ranking, alerts: Sequence[Alert]) -> dict[str, Any]:
    """As `queue` in `greywater run --json`."""
    return {
        "assumptions": list(queue.words),
        "hibernation": None if queue.cut is None else queue.cut.to_json(),
        "minutes": queue.minutes,
        "cases": [
            {**case.to_json(), "alerts": [alerts[place].id for place in case.candidates]} for case in queue.alerts
        ],
    }
