"""Two small tables of SynthAML's form with a label signal, made up for tests."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

COLUMNS = ("AlertID", "Timestamp", "Entry", "Type", "Size")
ENTRIES = ("Credit", "Debit")
KINDS = ("Card", "Cash", "International", "Wire")


def alert_files(folder: Path, alerts: int = 400, seed: int = 3, shift: float = 1.5) -> tuple[Path, Path]:
    """Alerts from 2020-01-01 to 2021-12-31; wires of reported ones are larger by `shift`, and they hold more cash."""
    draw = np.random.default_rng(seed)
    book, rows = [], []
    for number in range(alerts):
        day = datetime(2020, 1, 1) + timedelta(days=int(number * 730 / alerts))
        reported = draw.random() < 0.25
        book.append((number, f"{day:%Y-%m-%d}", "Report" if reported else "Dismiss"))
        weights = np.array([0.4, 0.3 if reported else 0.1, 0.1, 0.4])
        for _ in range(int(draw.integers(6, 20))):
            kind = int(draw.choice(4, p=weights / weights.sum()))
            size = draw.normal(kind / 4, 0.6) + (shift if reported and kind == 3 else 0.0)
            moment = day - timedelta(seconds=float(draw.integers(60, 5_000_000)))
            entry = ENTRIES[int(draw.random() < 0.4)]
            rows.append((number, f"{moment:%Y-%m-%d %H:%M:%S}", entry, KINDS[kind], f"{size:.6f}"))
    folder.mkdir(parents=True, exist_ok=True)
    return (
        write(folder / "synthetic_alerts.csv", ("AlertID", "Date", "Outcome"), book),
        write(folder / "synthetic_transactions.csv", COLUMNS, rows),
    )


def write(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> Path:
    """One CSV file."""
    with path.open("w", newline="") as target:
        csv.writer(target).writerows([columns, *rows])
    return path
