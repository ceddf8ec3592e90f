"""From candidates to the queue: folded, tied into networks, valued, levelled, put to sleep, cut to the budget."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from greywater.desk.budget import Budget
from greywater.desk.folding import FoldRule, Repeatable, fold
from greywater.desk.hibernation import Chosen, HibernationCut, HibernationPolicy, hibernate
from greywater.desk.levels import LevelCuts, RiskLevel
from greywater.desk.networks import Network, NetworkRule, Tie, join_networks
from greywater.desk.rollup import Candidate
from greywater.desk.value import ValueAssumptions
from greywater.errors import UsageError

__all__ = ["CandidateFacts", "RankedAlert", "Ranking", "RankingPolicy", "rank_alerts"]

DAY_US: Final = 86_400_000_000
#: Without outcomes a "probability" is a share of payments that are less unusual: half of all lie above 0.5.
UNCALIBRATED_STRENGTH: Final = 0.99

Place = Literal["work", "over_budget", "sampled", "hibernated", "folded"]
Kind = Literal["account", "customer", "network"]


@dataclass(frozen=True)
class RankingPolicy:
    """How a queue is made; every part says itself in words.

    Parameters
    ----------
    value : ValueAssumptions
    networks : NetworkRule or None
        None = alerts stay one a party.
    folding : FoldRule or None
        None = it is not known who is alerted, so nothing repeats.
    hibernation : HibernationPolicy
    order : {"value", "score"}
        What comes first: most expected value per hour, or the highest raw score. Without outcomes to calibrate a
        probability with it is always the score.
    levels : LevelCuts
        Without outcomes the cuts by rank are used in its place.
    """

    value: ValueAssumptions = field(default_factory=ValueAssumptions)
    networks: NetworkRule | None = field(default_factory=NetworkRule)
    folding: FoldRule | None = field(default_factory=FoldRule)
    hibernation: HibernationPolicy = field(default_factory=HibernationPolicy)
    order: Literal["value", "score"] = "value"
    levels: LevelCuts = field(default_factory=LevelCuts)

    def network_rule(self, calibrated: bool) -> NetworkRule | None:
        """What ties: without outcomes only the most unusual payments do."""
        if self.networks is None or calibrated:
            return self.networks
        return replace(self.networks, least_strength=max(self.networks.least_strength, UNCALIBRATED_STRENGTH))

    def words(self, base_currency: str = "", *, calibrated: bool = True) -> tuple[str, ...]:
        """Everything that was assumed, a sentence each."""
        said = [*self.value.words(base_currency)] if calibrated else []
        tied = self.network_rule(calibrated)
        if tied is not None:
            said.append(tied.words())
        if self.folding is not None:
            said.append(self.folding.words())
        if calibrated:
            said.append(self.hibernation.words())
        return (*said, *(self.levels if calibrated else LevelCuts.by_rank()).words())


@dataclass(frozen=True)
class CandidateFacts:
    """What the ranking must know of a candidate besides its score.

    Parameters
    ----------
    accounts : tuple of str
        The accounts that are the party; empty = its own name.
    stake : float
        Money at stake in major units of the base currency: the sum of its evidence payments.
    payments : int
        Evidence payments to be read.
    severity : float
        Weight of the typology or rule, 1 = usual.
    behaviour : str
        Key of the fold beside the party; empty folds with nothing.
    mandatory : bool
        A mandatory rule hit it: it neither sleeps nor falls out of the budget.
    """

    accounts: tuple[str, ...] = ()
    stake: float = 0.0
    payments: int = 0
    severity: float = 1.0
    behaviour: str = ""
    mandatory: bool = False


@dataclass(frozen=True)
class RankedAlert:
    """One place in the queue.

    Parameters
    ----------
    rank : int
        From 1 in the order of the queue; alerts asleep follow those awake.
    id : str
        Stable: follows from the kind and the parties.
    kind : {"account", "customer", "network"}
    entity : str
        The party, or the worst one of a network.
    entities, accounts : tuple of str
        All parties with a candidate, worst first; all accounts, sorted.
    candidates : tuple of int
        Positions of what was given, worst first, then what folded into them.
    lead : int
        Position of the worst candidate.
    score, probability : float
        Of the worst candidate. (Several signs of one scheme are no independent evidence: the chance is not raised.)
    level : RiskLevel
    stake : float
        Money at stake, major units: the sum over the parties.
    minutes : float
        Expected.
    value_per_hour : float or None
        None where no probability is known.
    place : {"work", "over_budget", "sampled", "hibernated"}
        What becomes of it now.
    chosen_by : str
        "rank" or "mandatory" for work, "random" or "uncertainty" for the quality sample.
    chance : float
        Weight in the estimate of recall (`Sleep.chance`).
    folded : int
        Repeat alerts that are part of it.
    payments : tuple of int
        Sequence numbers of the payments that tie a network.
    """

    rank: int
    id: str
    kind: Kind
    entity: str
    entities: tuple[str, ...]
    accounts: tuple[str, ...]
    candidates: tuple[int, ...]
    lead: int
    score: float
    probability: float
    level: RiskLevel
    stake: float
    minutes: float
    value_per_hour: float | None
    place: Place
    chosen_by: Chosen
    chance: float
    folded: int
    payments: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The alert's place in JSON types; NaN = None."""
        entry = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        entry["level"] = self.level.name
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in entry.items()
        }


@dataclass(frozen=True)
class Ranking:
    """The queue.

    Parameters
    ----------
    alerts : tuple of RankedAlert
        In the order of the queue.
    cut : HibernationCut or None
        None = nothing sleeps.
    words : tuple of str
        What was assumed.
    folded : mapping of int to int
        Position of a repeat -> position of the first alert it folds into.
    """

    alerts: tuple[RankedAlert, ...]
    cut: HibernationCut | None
    words: tuple[str, ...]
    folded: Mapping[int, int]

    def at(self, *places: Place) -> tuple[RankedAlert, ...]:
        """The alerts at these places, in order."""
        return tuple(alert for alert in self.alerts if alert.place in places)

    @property
    def minutes(self) -> float:
        """Expected minutes of what is to be worked and of the quality sample."""
        return sum(alert.minutes for alert in self.at("work", "sampled"))


def rank_alerts(
    candidates: Sequence[Candidate],
    facts: Sequence[CandidateFacts] | None = None,
    *,
    ties: Sequence[Tie] = (),
    budget: Budget | None = None,
    cut: HibernationCut | None = None,
    policy: RankingPolicy | None = None,
    calibrated: bool = True,
    base_currency: str = "",
) -> Ranking:
    """Make the queue of candidates.

    In this order: repeats on the same behaviour fold; parties tied by evidence payments become one network; each gets
    its level and its expected value per hour; those below the cut sleep, some of them sampled; the rest is cut to the
    budget. Mandatory ones are worked whatever the score and the budget.

    Parameters
    ----------
    candidates : sequence of Candidate
        From `roll_up`, or the alerts of another system; in any order.
    facts : sequence of CandidateFacts, optional
        One a candidate.
    ties : sequence of Tie
        Evidence payments between accounts.
    budget : Budget, optional
        None = everything that is awake is to be worked. A daily one is kept on the day of each alert's own time. The
        quality sample comes on top; its minutes are shown.
    cut : HibernationCut, optional
        From `hibernation_cut` on the scores of later alerts with outcomes; None = nothing sleeps.
    policy : RankingPolicy, optional
    calibrated : bool
        False where no outcome is known: no value, levels by rank, order by score, nothing sleeps, and only ties of
        0.99 or more tie.
    base_currency : str
        Of the money at stake, for the words.

    Returns
    -------
    Ranking
        The same for the same candidates in any order, but for the positions that it names.

    Raises
    ------
    UsageError
        Not one fact a candidate.

    Examples
    --------
    >>> a, b = (Candidate(name, "account", 1.0, p, seq, 0, (seq,)) for name, p, seq in (("A", 0.6, 1), ("B", 0.3, 2)))
    >>> ranking = rank_alerts([a, b], ties=[Tie("A", "B", 0.9, 1)])
    >>> [(alert.kind, alert.entities, alert.level.name) for alert in ranking.alerts]
    [('network', ('A', 'B'), 'critical')]
    """
    policy = policy or RankingPolicy()
    known = _facts(candidates, facts)
    folds = fold(
        [
            Repeatable(
                f"{candidate.seq:020d}",
                f"{candidate.kind}\x1f{candidate.entity}",
                fact.behaviour if policy.folding is not None else "",
                candidate.time_us,
            )
            for candidate, fact in zip(candidates, known, strict=True)
        ],
        policy.folding,
    )
    repeats = {each.first: each.repeats for each in folds}
    parties = [_Party.of(candidates, known, first, repeats[first]) for first in sorted(repeats)]
    groups = _groups(parties, ties, policy.network_rule(calibrated))
    queue = _Queue(parties, groups, policy, calibrated)
    alerts = queue.alerts(budget, cut if calibrated else None)
    return Ranking(
        alerts,
        cut if calibrated else None,
        policy.words(base_currency, calibrated=calibrated),
        {repeat: first for first, others in repeats.items() for repeat in others},
    )


def _facts(candidates: Sequence[Candidate], facts: Sequence[CandidateFacts] | None) -> list[CandidateFacts]:
    given = [CandidateFacts()] * len(candidates) if facts is None else list(facts)
    if len(given) != len(candidates):
        raise UsageError(
            f"{len(given)} facts do not fit {len(candidates)} candidates", where="facts", mend="give one a candidate"
        )
    return given


@dataclass(frozen=True)
class _Party:
    """A first alert with its repeats: the worst of them speaks for all."""

    lead: int
    candidate: Candidate
    facts: CandidateFacts
    members: tuple[int, ...]
    mandatory: bool
    folded: int

    @classmethod
    def of(
        cls, candidates: Sequence[Candidate], facts: Sequence[CandidateFacts], first: int, repeats: Sequence[int]
    ) -> _Party:
        members = sorted((first, *repeats), key=lambda place: _worst_first(candidates[place]))
        lead = members[0]
        return cls(
            lead,
            candidates[lead],
            facts[lead],
            tuple(members),
            any(facts[place].mandatory for place in members),
            len(repeats) + sum(candidates[place].folded for place in members),
        )

    @property
    def accounts(self) -> tuple[str, ...]:
        """Its accounts, or its own name."""
        return self.facts.accounts or (self.candidate.entity,)


def _worst_first(candidate: Candidate) -> tuple[float, int, str, str]:
    score = candidate.score
    return (math.inf if math.isnan(score) else -score, candidate.seq, candidate.kind, candidate.entity)


def _groups(parties: Sequence[_Party], ties: Sequence[Tie], rule: NetworkRule | None) -> list[Network]:
    accounts = [party.accounts for party in parties]
    if rule is None:
        return [Network((place,), tuple(sorted(owned)), ()) for place, owned in enumerate(accounts)]
    return list(join_networks(accounts, ties, rule))


class _Queue:
    """Groups of parties on their way into the queue."""

    def __init__(
        self, parties: Sequence[_Party], groups: Sequence[Network], policy: RankingPolicy, calibrated: bool
    ) -> None:
        self._policy = policy
        self._calibrated = calibrated
        self._groups = list(groups)
        # Worst first inside each group.
        self._members = [
            sorted((parties[place] for place in group.alerts), key=lambda party: _worst_first(party.candidate))
            for group in groups
        ]
        leads = [members[0].candidate for members in self._members]
        self._score = np.array([lead.score for lead in leads], np.float64)
        self._probability = np.array([lead.probability for lead in leads], np.float64)
        self._stake = np.array([sum(p.facts.stake for p in members) for members in self._members], np.float64)
        self._severity = np.array([max(p.facts.severity for p in members) for members in self._members], np.float64)
        payments = [sum(p.facts.payments for p in members) for members in self._members]
        sizes = [len(group.accounts) for group in self._groups]
        self._minutes = policy.value.minutes(np.array(sizes), np.array(payments))
        self._value = policy.value.per_hour(self._probability, self._stake, self._minutes, self._severity)

    def alerts(self, budget: Budget | None, cut: HibernationCut | None) -> tuple[RankedAlert, ...]:
        """The queue."""
        if not self._groups:
            return ()
        ids = [self._id(place) for place in range(len(self._groups))]
        mandatory = np.array([any(p.mandatory for p in members) for members in self._members], np.bool_)
        threshold = cut.threshold if cut is not None else -math.inf
        sleeps = hibernate(ids, self._score, threshold, self._policy.hibernation, mandatory=mandatory)
        by_value = self._policy.order == "value" and self._calibrated
        key = self._value if by_value else self._score
        order = sorted(
            range(len(ids)),
            key=lambda place: (
                sleeps[place].state != "work",
                -key[place] if key[place] == key[place] else math.inf,
                _worst_first(self._members[place][0].candidate),
            ),
        )
        awake = [place for place in order if sleeps[place].state == "work"]
        within = self._within(awake, mandatory, budget)
        levels = self._levels()
        return tuple(
            self._alert(
                rank, place, ids[place], levels[place], sleeps[place].chance,
                sleeps[place].state if sleeps[place].state != "work" else "work" if place in within else "over_budget",
                "mandatory" if mandatory[place] else sleeps[place].chosen_by,
            )
            for rank, place in enumerate(order, 1)
        )  # fmt: skip

    def _levels(self) -> list[RiskLevel]:
        if self._calibrated:
            return self._policy.levels.of(self._probability)
        order = sorted(range(len(self._members)), key=lambda place: _worst_first(self._members[place][0].candidate))
        level_of = dict(zip(order, LevelCuts.by_rank().of(range(len(order))), strict=True))
        return [level_of[place] for place in range(len(order))]

    def _within(self, awake: Sequence[int], mandatory: NDArray[np.bool_], budget: Budget | None) -> Collection[int]:
        """What the budget allows of the alerts awake, best first; mandatory ones always, and they use it up first."""
        if budget is None:
            return set(awake)
        hours = budget.unit == "hours"
        whole = budget.count * (60.0 if hours else 1.0)
        left: dict[int, float] = {}
        chosen: set[int] = set()
        full: set[int] = set()
        for place in sorted(awake, key=lambda one: not mandatory[one]):
            day = self._members[place][0].candidate.time_us // DAY_US if budget.per_day else 0
            cost = float(self._minutes[place]) if hours else 1.0
            room = left.setdefault(day, whole)
            # The first that does not fit ends the day: a lesser one does not slip in before it. One always fits.
            if mandatory[place] or (day not in full and (cost <= room or room == whole)):
                chosen.add(place)
                left[day] = room - cost
            else:
                full.add(day)
        return chosen

    def _id(self, place: int) -> str:
        parties = sorted(
            f"{p.candidate.kind}\x1f{p.candidate.entity}\x1f{p.facts.behaviour}\x1f{p.candidate.seq}"
            for p in self._members[place]
        )
        return hashlib.sha256("\x1e".join(parties).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _alert(
        self, rank: int, place: int, name: str, level: RiskLevel, chance: float, where: Place, chosen_by: Chosen
    ) -> RankedAlert:
        members, group = self._members[place], self._groups[place]
        entities = tuple(dict.fromkeys(party.candidate.entity for party in members))
        return RankedAlert(
            rank=rank,
            id=name,
            kind="network" if len(entities) > 1 else members[0].candidate.kind,
            entity=members[0].candidate.entity,
            entities=entities,
            accounts=group.accounts,
            candidates=tuple(number for party in members for number in party.members),
            lead=members[0].lead,
            score=float(self._score[place]),
            probability=float(self._probability[place]),
            level=level,
            stake=float(self._stake[place]),
            minutes=float(self._minutes[place]),
            value_per_hour=float(self._value[place]) if self._calibrated else None,
            place=where,
            chosen_by=chosen_by,
            chance=chance,
            folded=sum(party.folded for party in members),
            payments=group.payments,
        )
