"""Launderers reached in a stated number of hours: the queue with networks and value, beside the queue by score alone.

    scripts/bench ranking [--data FOLDER] [--hours N] [--dry]

One run of the main job on amlgentex_small (window features, 400 alerts on the last 20 %), whose alerts are then ranked
in several ways. The peer is the usual queue: one alert a party, by score. An alert takes the minutes that the settings
assume, in either queue.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from greywater.app.ingest import IngestRequest
from greywater.app.ranking_policy import ranking_policy
from greywater.app.run import RunOutcome, RunRequest, run
from greywater.config import Settings
from greywater.desk.budget import Budget
from greywater.desk.networks import NetworkRule
from greywater.desk.ranking import RankingPolicy
from greywater.desk.rollup import Candidate
from greywater.desk.standing import rank_raised
from greywater.vocab import Actor
from report import table, write_section

DATA = Path(os.environ.get("GREYWATER_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RAISED = 400


def candidates(outcome: RunOutcome) -> list[Candidate]:
    """What the alerts of a run were raised from."""
    found = []
    for alert in outcome.alerts:
        raising = next(row for row in alert.evidence if row.raising)
        kind = "customer" if alert.kind == "customer" else "account"
        seqs = tuple(row.seq for row in alert.evidence)
        found.append(
            Candidate(
                alert.entity, kind, alert.score, alert.probability, raising.seq, raising.time_us, seqs, alert.folded
            )
        )
    return found


def policies(settings: Settings) -> dict[str, RankingPolicy]:
    """The ways of ranking, by name."""
    whole = ranking_policy(settings)
    found = {
        "by score, one alert a party (the peer)": replace(whole, networks=None, order="score"),
        "by value, one alert a party": replace(whole, networks=None),
    }
    for strength in (0.5, 0.2):
        rule = NetworkRule(strength, settings.network_accounts)
        found[f"by value, networks tied from {strength:g}"] = replace(whole, networks=rule)
    return found


def rows_of(outcome: RunOutcome, settings: Settings, hours: int) -> list[list[object]]:
    """A row a way of ranking."""
    assert outcome.verdict is not None
    guilty = outcome.verdict.guilty
    raised_from = candidates(outcome)
    owned = [outcome.parties.accounts(alert.entity, alert.kind) for alert in outcome.alerts]
    rows: list[list[object]] = []
    for name, policy in policies(settings).items():
        begun = time.process_time()
        queue = rank_raised(
            outcome.alerts, raised_from, owned, outcome.fitted.calibrate, base_currency="XXX", policy=policy,
            budget=Budget(hours, False, "hours"),
        )  # fmt: skip
        seconds = time.process_time() - begun
        worked = queue.at("work")
        reached = {entity for alert in worked for entity in alert.entities} & guilty
        largest = max(len(alert.accounts) for alert in queue.alerts)
        rows.append([name, len(queue.alerts), largest, len(worked), len(reached), f"{seconds:.2f}"])
    peer = int(str(rows[0][4])) or 1
    return [[*row, f"{int(str(row[4])) / peer:.2f}x"] for row in rows]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--hours", type=int, default=40)
    parser.add_argument("--dry", action="store_true", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args()
    path = chosen.data / "amlgentex_small" / "tx_log.parquet"
    if not path.exists():
        print(f"{path} not found: give --data")
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(store=Path(folder), features="payments-v1", threads=1)
        outcome = run(Actor(), settings, RunRequest(IngestRequest((path,)), Budget(RAISED, False)))
        rows = rows_of(outcome, settings, chosen.hours)
        guilty = len(outcome.verdict.guilty) if outcome.verdict is not None else 0
    headings = [
        "queue",
        "alerts in it",
        "largest network",
        "worked",
        "launderers reached",
        "CPU-seconds",
        "against the peer",
    ]
    words = (
        f"{RAISED} alerts of one run on amlgentex_small (simulated), {guilty} laundering accounts in its last 20 %, "
        f"{chosen.hours} hours of work at the assumed 30 minutes an alert, 10 a further account, half a minute an "
        "evidence payment."
    )
    text = f"{words}\n\n{table(headings, rows)}"
    print(text)
    if not chosen.dry:
        write_section("Ranking", text)


if __name__ == "__main__":
    main()
