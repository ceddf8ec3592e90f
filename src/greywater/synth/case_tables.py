"""The tables beside the payments of a large world in our own form: truth, labels, alerts, outcomes, seeds, rates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.synth.economy import CODES, USD_RATES, Population
from greywater.synth.large_world import LargeWorld
from greywater.synth.laundering import Laundering
from greywater.synth.ledgerfile import time_text
from greywater.synth.lookalikes import LookAlikes
from greywater.synth.monitoring import RULES, SEED_REASONS, Alerts, Seeds, Watched
from greywater.synth.planned import PHASES, TYPOLOGIES, Planned
from greywater.synth.presets import WorldPlan
from greywater.synth.world_files import id_digits, number_texts
from greywater.vocab import Int64Array

__all__ = [
    "alert_columns",
    "label_columns",
    "outcome_columns",
    "rate_columns",
    "seed_columns",
    "truth_columns",
    "world_truth",
]


def _ids(plan: WorldPlan, rows: Int64Array) -> pa.Array:
    """Ids of payments by row of the payments file."""
    return pa.array(np.char.mod(f"T%0{id_digits(plan)}d", rows + 1).tolist(), pa.string())


def _words(places: NDArray[Any], words: tuple[str, ...]) -> pa.Array:
    """Words by place, null at -1."""
    return pa.array([words[place] if place >= 0 else None for place in places.tolist()], pa.string())


def _numbers(values: Int64Array) -> pa.Array:
    """Whole numbers, null at -1."""
    return pa.array(values, pa.int64(), mask=values < 0)


def truth_columns(plan: WorldPlan, laundering: Laundering, lookalikes: LookAlikes, rows: Int64Array) -> dict[str, Any]:
    """What really happened, which no bank knows: attempt, typology and phase of every laundering payment, and the group
    of every payment of a look-alike."""
    both = Planned.joined([laundering.payments, lookalikes.payments])
    order = np.argsort(rows, kind="stable")
    return {
        "tx_id": _ids(plan, rows[order]),
        "laundering": pa.array(both.laundering[order].astype(np.int8)),
        "attempt": _numbers(both.attempt[order]),
        "typology": _words(both.typology[order], TYPOLOGIES),
        "phase": _words(both.phase[order], PHASES),
        "group": _numbers(both.group[order]),
    }


def label_columns(plan: WorldPlan, laundering: Laundering, rows: Int64Array, watched: Watched | None) -> dict[str, Any]:
    """Labels: in hard mode those that alerts led to, otherwise of all laundering."""
    if watched is None:
        mine = rows[: len(laundering.payments)]
        order = np.argsort(mine, kind="stable")
        return {
            "tx_id": _ids(plan, mine[order]),
            "label": pa.array(np.ones(len(mine), np.int8)),
            "typology": _words(laundering.payments.typology[order], TYPOLOGIES),
        }
    labels = watched.labels
    order = np.argsort(rows[labels.row], kind="stable")
    return {
        "tx_id": _ids(plan, rows[labels.row[order]]),
        "label": pa.array(labels.label[order]),
        "typology": _words(labels.typology[order], TYPOLOGIES),
        "known_since": time_text(labels.known_since[order]),
    }


def _alert_ids(alerts: Alerts) -> pa.Array:
    digits = max(6, len(str(len(alerts))))
    return pa.array([f"M{number:0{digits}d}" for number in range(1, len(alerts) + 1)], pa.string())


def alert_columns(population: Population, alerts: Alerts) -> dict[str, Any]:
    """Alerts as another monitoring system writes them."""
    return {
        "alert_id": _alert_ids(alerts),
        "customer": number_texts(population.entity_number[alerts.customer]),
        "date": time_text(alerts.time),
        "scenario": _words(alerts.rule, RULES),
    }


def outcome_columns(alerts: Alerts) -> dict[str, Any]:
    """What became of each alert, and when."""
    return {
        "alert_id": _alert_ids(alerts),
        "outcome": pa.array(np.where(alerts.reported, "reported", "dismissed").tolist(), pa.string()),
        "decided": time_text(alerts.decided),
    }


def seed_columns(population: Population, seeds: Seeds) -> dict[str, Any]:
    """Confirmed launderers: an account, or a whole customer."""
    accounts = number_texts(population.number[seeds.account]).to_pylist()
    customers = number_texts(population.entity_number[seeds.customer]).to_pylist()
    whole = seeds.whole.tolist()
    return {
        "account": pa.array([None if all_ else one for one, all_ in zip(accounts, whole, strict=True)], pa.string()),
        "customer": pa.array([one if all_ else None for one, all_ in zip(customers, whole, strict=True)], pa.string()),
        "reason": _words(seeds.reason, SEED_REASONS),
        "known_since": time_text(seeds.known_since),
    }


def rate_columns(plan: WorldPlan) -> dict[str, Any]:
    """Dollars for one unit of each currency, the same all the time."""
    day = datetime.fromtimestamp(plan.start, UTC).strftime("%Y-%m-%d")
    others = [place for place in range(len(CODES)) if CODES[place] != "USD"]
    return {
        "date": [day] * len(others),
        "currency": [CODES[place] for place in others],
        "rate": [f"{1.0 / USD_RATES[place]:.8f}" for place in others],
    }


def world_truth(world: LargeWorld, laundering: Laundering, lookalikes: LookAlikes) -> dict[str, Any]:
    """What attempts.json says."""
    population = world.population

    def accounts(places: Any) -> list[str]:
        names: list[str] = number_texts(population.number[np.array(places, dtype=np.int64)]).to_pylist()
        return names

    return {
        "world": {"payments": world.payments, "accounts": len(population), "seed": world.plan.seed},
        "rings": [
            {"ring": ring.number, "accounts": accounts(ring.accounts)} for ring in laundering.rings
        ],
        "attempts": [
            {
                "id": attempt.number, "typology": attempt.typology, "ring": attempt.ring,
                "start": _moment(attempt.start), "end": _moment(attempt.end), "accounts": accounts(attempt.accounts),
            }
            for attempt in laundering.attempts
        ],
        "lookalikes": [
            {
                "id": group.number, "name": group.name, "shape": group.shape, "start": _moment(group.start),
                "end": _moment(group.end), "accounts": accounts(group.accounts),
            }
            for group in lookalikes.groups
        ],
    }  # fmt: skip


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
