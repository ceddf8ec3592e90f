"""How the settings say that a queue is made."""

from __future__ import annotations

from typing import Literal

from greywater.config import Settings
from greywater.desk.folding import FoldRule
from greywater.desk.hibernation import HibernationPolicy
from greywater.desk.networks import NetworkRule
from greywater.desk.ranking import RankingPolicy
from greywater.desk.value import ValueAssumptions

__all__ = ["ranking_policy"]


def ranking_policy(settings: Settings, order: Literal["value", "score"] = "value") -> RankingPolicy:
    """The policy that the settings describe.

    Parameters
    ----------
    settings : Settings
        Assumptions on value and work, networks, folding, recall floor, quality sample, seed.
    order : {"value", "score"}
        What comes first.

    Raises
    ------
    UsageError
        A setting that cannot be used.

    Examples
    --------
    >>> ranking_policy(Settings(recall_floor=0.95)).hibernation.floor
    0.95
    """
    return RankingPolicy(
        value=ValueAssumptions(
            stake_unit=settings.stake_unit,
            alert_minutes=settings.alert_minutes,
            account_minutes=settings.account_minutes,
            payment_minutes=settings.payment_minutes,
        ),
        networks=NetworkRule(settings.network_strength, settings.network_accounts),
        folding=FoldRule(settings.fold_days, 3 * settings.fold_days),
        hibernation=HibernationPolicy(
            floor=settings.recall_floor,
            sample=settings.quality_sample,
            uncertainty=settings.uncertainty_share,
            seed=settings.seed,
        ),
        order=order,
    )
