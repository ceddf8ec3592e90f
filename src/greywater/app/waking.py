"""Which alerts an earlier run put to sleep wake now: by new payments, new known launderers, new demands of rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.app.keeping import Scores, kept_runs, read_run
from greywater.app.parties import Parties
from greywater.app.wiring import Project
from greywater.desk.hibernation import HibernationCut
from greywater.desk.ranking import Ranking
from greywater.desk.waking import Awakening, Sign, Sleeper, WakeRule, wake
from greywater.errors import StoreError

__all__ = ["sleepers_in_json", "woken_since"]


def sleepers_in_json(queue: Ranking, moment_us: int) -> list[dict[str, Any]]:
    """What a run keeps of the cases that it put to sleep; `moment_us` is the latest event time that it knew."""
    return [
        {"id": case.id, "accounts": list(case.accounts), "since_us": moment_us}
        for case in queue.at("hibernated", "sampled")
    ]


def woken_since(
    project: Project, scores: Scores, mandatory: NDArray[np.bool_], parties: Parties, cut: HibernationCut | None
) -> tuple[Awakening, ...]:
    """The cases that the project's last kept run put to sleep and that something new wakes.

    Parameters
    ----------
    project : Project
    scores : Scores
        Of the payments on which this run raises its alerts.
    mandatory : bool[n]
        Where a mandatory rule is hit.
    parties : Parties
        Knows whose an account is.
    cut : HibernationCut, optional
        A new payment wakes from this run's line on; None = payments wake nothing.
    """
    sleepers = _sleepers(project)
    if not sleepers:
        return ()
    since = min(sleeper.since_us for sleeper in sleepers)
    seeds = _new_seeds(project, since, parties)
    rule = WakeRule(payment_score=None if cut is None else cut.threshold)
    signs = [*seeds, *_payments(scores, mandatory, since, rule, {a for each in sleepers for a in each.accounts})]
    return wake(sleepers, signs, rule, neighbours=_neighbours(scores, {a for seed in seeds for a in seed.accounts}))


def _sleepers(project: Project) -> list[Sleeper]:
    kept = kept_runs(project.folder)
    if not kept:
        return []
    try:
        said = read_run(project.folder, kept[-1]).facts.get("sleepers", [])
    except StoreError:
        # A run that is damaged is `greywater check`'s to tell; this one does without what slept then.
        return []
    return [Sleeper(str(each["id"]), tuple(each["accounts"]), int(each["since_us"])) for each in said]


def _new_seeds(project: Project, since: int, parties: Parties) -> list[Sign]:
    table = project.tables.read("seeds", ["account", "customer", "known_since"])
    if table is None:
        return []
    times = table["known_since"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(0).to_pylist()
    rows = zip(table["account"].to_pylist(), table["customer"].to_pylist(), times, strict=True)
    return [
        Sign("seed", (account,) if account is not None else parties.accounts_of.get(customer, ()), time,
             account if account is not None else customer)
        for account, customer, time in rows
        if time > since
    ]  # fmt: skip


def _payments(
    scores: Scores, mandatory: NDArray[np.bool_], since: int, rule: WakeRule, asleep: Collection[str]
) -> list[Sign]:
    """Payments of sleepers that are new, and score enough or must be alerted."""
    concerned = np.isin(np.array(scores.accounts, object), list(asleep)) if scores.accounts else np.zeros(0, np.bool_)
    enough = np.zeros(len(scores.seq), np.bool_) if rule.payment_score is None else scores.score >= rule.payment_score
    mine = concerned[scores.sender] | concerned[scores.receiver]
    found: list[Sign] = []
    for place in np.flatnonzero((scores.time_us > since) & mine & (enough | mandatory)).tolist():
        both = (scores.accounts[scores.sender[place]], scores.accounts[scores.receiver[place]])
        time, name = int(scores.time_us[place]), f"number {scores.seq[place]}"
        if mandatory[place]:
            found.append(Sign("rule", both, time, "that demands an alert"))
        else:
            found.append(Sign("payment", both, time, name, float(scores.score[place])))
    return found


def _neighbours(scores: Scores, accounts: Sequence[str] | Collection[str]) -> dict[str, set[str]]:
    """Who dealt with some accounts, in the payments that were scored."""
    wanted = {name: place for place, name in enumerate(scores.accounts) if name in set(accounts)}
    found: dict[str, set[str]] = {}
    for name, code in wanted.items():
        others = np.concatenate([scores.receiver[scores.sender == code], scores.sender[scores.receiver == code]])
        found[name] = {scores.accounts[other] for other in np.unique(others).tolist()}
    return found
