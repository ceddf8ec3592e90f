"""Candidates within the budget, and before them those that a mandatory rule demands whatever their rank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from greywater.desk.budget import Budget
from greywater.desk.rollup import Candidate, ScoredPayments, roll_up

__all__ = ["roll_up_with_mandatory"]


def roll_up_with_mandatory(payments: ScoredPayments, budget: Budget, mandatory: NDArray[np.bool_]) -> list[Candidate]:
    """As `roll_up`, but every party of a payment that must be alerted is raised, first and outside the budget.

    Parameters
    ----------
    payments : ScoredPayments
    budget : Budget
        For the others.
    mandatory : bool[n]
        Payments that must raise an alert. A party is raised by its highest-scored one.

    Returns
    -------
    list of Candidate
        The mandatory ones, highest score first, then the others, highest score first; each party once.
    """
    within = roll_up(payments, budget)
    if not mandatory.any():
        return within
    demanded = replace(payments, score=np.where(mandatory, payments.score, np.nan))
    first = roll_up(demanded, Budget(2 * int(mandatory.sum()), per_day=False))
    raised = {(candidate.kind, candidate.entity) for candidate in first}
    return first + [candidate for candidate in within if (candidate.kind, candidate.entity) not in raised]
