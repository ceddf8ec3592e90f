"""How the customers of a large world are tied: families, directors, owners, partners, and rings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.synth.economy import BANK, PERSON, Population
from greywater.synth.laundering import Laundering
from greywater.synth.ledgerfile import time_text
from greywater.synth.lookalikes import LookAlikes
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.streams import stream
from greywater.synth.world_files import number_texts
from greywater.vocab import Float64Array, Int64Array

__all__ = ["TIE_KINDS", "Ties", "tie_columns", "tie_customers"]

TIE_KINDS: Final = ("relative", "director", "beneficial_owner", "shareholder", "signatory", "partner")
_RELATIVE, _DIRECTOR, _OWNER, _SHAREHOLDER, _SIGNATORY, _PARTNER = range(len(TIE_KINDS))
#: Sizes of households and how common they are.
_HOUSEHOLDS: Final = (0.34, 0.32, 0.16, 0.13, 0.05)
_OLDEST: Final = 6_000


@dataclass(frozen=True)
class Ties:
    """Relations by column: customers (places in the population), place in TIE_KINDS, share (NaN none), first day."""

    source: Int64Array
    target: Int64Array
    kind: Int64Array
    share: Float64Array
    since: Int64Array

    def __len__(self) -> int:
        return len(self.source)


def tie_customers(plan: WorldPlan, population: Population, laundering: Laundering, lookalikes: LookAlikes) -> Ties:
    """Relations of everybody, of the rings, and of the everyday groups that look like rings.

    Parameters
    ----------
    plan : WorldPlan
        Its seed and first day.
    population : Population
        Who there is.
    laundering, lookalikes : Laundering, LookAlikes
        Whose rings and groups are tied.

    Returns
    -------
    Ties
        No pair twice by the same kind; of no company more than the whole is held.
    """
    seed = plan.seed
    people = np.flatnonzero(population.entity_kind == PERSON)
    firms = np.flatnonzero((population.entity_kind != PERSON) & (population.entity_kind != BANK))
    rows = [*_families(seed, people), *_companies(seed, people, firms)]
    for ring in laundering.rings:
        members = population.entity[ring.accounts].astype(np.int64)
        rows += _together(stream(seed, "ties of ring", ring.number, ring.currency), population, members, True)
    for group in lookalikes.groups:
        members = population.entity[np.array(group.accounts)].astype(np.int64)
        rows += _together(stream(seed, "ties of group", group.number), population, members, False)
    return _once(plan, rows)


_Rows = list[tuple[Int64Array, Int64Array, int, Any]]


def _families(seed: int, people: Int64Array) -> _Rows:
    rng = stream(seed, "families")
    sizes = rng.choice(np.arange(1, 6), len(people), p=_HOUSEHOLDS)
    home = np.repeat(np.arange(len(sizes)), sizes)[: len(people)]
    who = rng.permutation(people)
    head = who[np.searchsorted(home, home)]
    return [(head[head != who], who[head != who], _RELATIVE, np.nan)]


def _companies(seed: int, people: Int64Array, firms: Int64Array) -> _Rows:
    rng = stream(seed, "who runs companies")
    if not len(people) or not len(firms):
        return []
    insiders = rng.choice(people, (len(firms), 3))
    large, small = np.round(rng.uniform(0.2, 0.6, len(firms)), 2), np.round(rng.uniform(0.05, 0.2, len(firms)), 2)
    second, signs = rng.random(len(firms)) < 0.5, rng.random(len(firms)) < 0.4
    partners = rng.choice(firms, (max(1, len(firms) // 4), 2))
    return [
        (insiders[:, 0], firms, _DIRECTOR, np.nan),
        (insiders[:, 0], firms, _OWNER, large),
        (insiders[second, 1], firms[second], _SHAREHOLDER, small[second]),
        (insiders[signs, 2], firms[signs], _SIGNATORY, np.nan),
        (partners[:, 0], partners[:, 1], _PARTNER, np.nan),
    ]


def _together(rng: np.random.Generator, population: Population, members: Int64Array, ring: bool) -> _Rows:
    """Ties inside a group: about a quarter stay without one, as in life."""
    kind = population.entity_kind[members]
    people, firms = members[kind == PERSON], members[(kind != PERSON) & (kind != BANK)]
    if not len(people):
        return [(firms[:-1], firms[1:], _PARTNER, np.nan)]
    run, kin = rng.random(len(firms)) < 0.6, rng.random(len(people)) < 0.25
    allied = ~kin & (rng.random(len(people)) < 0.35)
    front = np.where(rng.random(len(firms)) < 0.5, people[0], rng.choice(people, len(firms)))
    owned = run & (rng.random(len(firms)) < 0.3) & ring
    return [
        (front[run], firms[run], _DIRECTOR, np.nan),
        (front[owned], firms[owned], _SHAREHOLDER, np.full(int(owned.sum()), 0.1)),
        (np.full(int(kin.sum()), people[0]), people[kin], _RELATIVE, np.nan),
        (np.full(int(allied.sum()), people[0]), people[allied], _PARTNER, np.nan),
    ]


def _once(plan: WorldPlan, rows: _Rows) -> Ties:
    """Each relation once, none to oneself, no company held more than whole, with the day since when it is."""
    source = np.concatenate([np.asarray(one[0], np.int64) for one in rows])
    target = np.concatenate([np.asarray(one[1], np.int64) for one in rows])
    kind = np.concatenate([np.full(len(one[0]), one[2], np.int64) for one in rows])
    share = np.concatenate([np.broadcast_to(np.asarray(one[3], np.float64), len(one[0])) for one in rows])
    _, first = np.unique(np.column_stack([source, target, kind]), axis=0, return_index=True)
    first = np.sort(first[source[first] != target[first]])
    held = np.zeros(int(target.max(initial=0)) + 1)
    kept = []
    for row in first.tolist():
        part = 0.0 if np.isnan(share[row]) else share[row]
        if held[target[row]] + part <= 1.0:
            held[target[row]] += part
            kept.append(row)
    chosen = np.array(kept, dtype=np.int64)
    since = plan.start // DAY_SECONDS - stream(plan.seed, "ages of relations").integers(30, _OLDEST, len(chosen))
    return Ties(source[chosen], target[chosen], kind[chosen], share[chosen], since)


def tie_columns(population: Population, ties: Ties) -> dict[str, Any]:
    """The columns of relationships.csv, in order of the customers."""
    number = population.entity_number
    order = np.lexsort((ties.kind, number[ties.target], number[ties.source]))
    share = [None if np.isnan(one) else f"{one:.2f}" for one in ties.share[order].tolist()]
    return {
        "from_customer": number_texts(number[ties.source[order]]),
        "to_customer": number_texts(number[ties.target[order]]),
        "kind": pa.array([TIE_KINDS[one] for one in ties.kind[order].tolist()]),
        "share": pa.array(share, pa.string()),
        "valid_from": time_text(ties.since[order] * DAY_SECONDS),
    }
