"""Made-up alerts of another system: payments, alerts and outcomes that the payments partly explain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

EPOCH = datetime(2023, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """Rows for CSV files: payments (tx_id, event_time, sender, receiver, amount, currency), alerts, outcomes."""

    payments: list[tuple[str, str, str, str, str, str]]
    alerts: list[tuple[str, str, str, str]]
    outcomes: list[tuple[str, str, str]]


def made(seed: int = 5, customers: int = 60, alerts: int = 360, days: int = 360, *, told: bool = True) -> Made:
    """Every customer pays a little; those of most reported alerts, and of few others, pass large sums on before.

    With `told` False it is those of most dismissed alerts.
    """
    draw = np.random.default_rng(seed)
    rows: list[tuple[float, str, str, float]] = []
    for customer in range(customers):
        for _ in range(25):
            partner = f"P{draw.integers(40)}"
            rows.append((float(draw.random() * days), f"C{customer}", partner, float(draw.integers(10, 500))))
            rows.append((float(draw.random() * days), partner, f"C{customer}", float(draw.integers(10, 500))))
    raised, outcomes = [], []
    moments = np.sort(draw.random(alerts) * (days - 30) + 30)
    for number, day in enumerate(moments.tolist()):
        customer = int(draw.integers(customers))
        rule = f"R{draw.integers(4)}"
        guilty = draw.random() < (0.35 if rule == "R0" else 0.12)
        if draw.random() < (0.85 if guilty == told else 0.08):
            for _ in range(3):
                amount = float(draw.integers(3_000, 9_900))
                before = day - float(draw.random() * 4) - 1
                rows.append((before, f"F{draw.integers(500)}", f"C{customer}", amount))
                rows.append((before + 0.3, f"C{customer}", f"G{draw.integers(500)}", amount * 0.97))
        raised.append((f"al{number}", f"C{customer}", _day(day), rule))
        outcomes.append((f"al{number}", "SAR filed" if guilty else "Dismissed", _day(day + 20)))
    rows.sort()
    payments = [
        (f"t{n}", (EPOCH + timedelta(days=day)).isoformat(), sender, receiver, f"{amount:.2f}", "EUR")
        for n, (day, sender, receiver, amount) in enumerate(rows)
    ]
    return Made(payments, raised, outcomes)


def _day(day: float) -> str:
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"


PAYMENT_COLUMNS = ("tx_id", "event_time", "sender", "receiver", "amount", "currency")
ALERT_COLUMNS = ("alert_id", "customer", "date", "rule")
OUTCOME_COLUMNS = ("alert_id", "outcome", "decided")
