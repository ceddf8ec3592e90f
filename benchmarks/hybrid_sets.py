"""Feature rows of the reference sets for the benchmark of detectors: worked out once by the main job's own code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graph_sets import data_folder
from greywater.app.ingest import IngestRequest, Silent, ingest
from greywater.app.joining import project_features
from greywater.app.replaying import replay_project, replay_through
from greywater.app.rule_place import project_rules
from greywater.app.split import Split, split_by_time
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.stores.blocks import FeatureBlocks
from greywater.vocab import Actor, FeatureBlock

__all__ = ["CARDS", "FILES", "RuleQueue", "Scored", "Sides", "rule_queue", "scored_set"]

#: The payments of each set, in the data folder.
FILES = {
    "amlsim_medium": "amlsim_medium/transactions.parquet",
    "amlgentex_small": "amlgentex_small/tx_log.parquet",
}

#: Card payments, which are fraud and not laundering: only where anomalies are looked for.
CARDS = "cardfraud"


@dataclass(frozen=True)
class Sides:
    """Who paid whom in the scored payments.

    sender, receiver int32[n] numbered from 0 to `accounts` - 1; amount int64[n] in minor units of the base currency, 0
    where it is not known.
    """

    sender: np.ndarray
    receiver: np.ndarray
    amount: np.ndarray
    accounts: int


@dataclass(frozen=True)
class Scored:
    """The scored payments of one set: features, labels int64[n], event times in microseconds, cuts by time, parties."""

    name: str
    blocks: FeatureBlocks
    y: np.ndarray
    time_us: np.ndarray
    split: Split
    sides: Sides


@dataclass(frozen=True)
class RuleQueue:
    """What the shipped rules alone say of the scored payments: severity float64[n], and how many could be evaluated."""

    severity: np.ndarray
    active: int
    rules: int


def scored_set(name: str, folder: Path) -> Scored:
    """Record the payments of a set and work out their features in `folder`, or read what lies there already."""
    blocks, kept = folder / name / "blocks", folder / name / "payments.npz"
    if not kept.is_file():
        blocks.mkdir(parents=True, exist_ok=True)
        settings = _settings(name, folder)
        payments = _cards(folder / name) if name == CARDS else data_folder() / FILES[name]
        ingest(Actor(), settings, IngestRequest((str(payments),)), Silent())
        with open_project(settings, Actor()) as project:
            made = replay_project(project, project_features(project), blocks, Silent())
            amount = _amounts(project, made.replayed.seq)
        if made.truth is None:
            raise ValueError(f"{name} has no labels")
        told = made.replayed
        np.savez(
            kept, y=made.truth.y, time=told.time_us, sender=told.sender, receiver=told.receiver, amount=amount,
            accounts=len(told.accounts),
        )  # fmt: skip
    with np.load(kept) as held:
        y, time_us = held["y"], held["time"]
        sides = Sides(held["sender"], held["receiver"], held["amount"], int(held["accounts"]))
    return Scored(name, FeatureBlocks.open(blocks), y, time_us, split_by_time(time_us, labelled=True), sides)


def rule_queue(name: str, folder: Path) -> RuleQueue:
    """All shipped rules over a set that `scored_set` has recorded, with the windows and filters that they name."""
    kept = folder / name / "rules.npz"
    if not kept.is_file():
        settings = _settings(name, folder)
        with open_project(settings, Actor()) as project:
            rules = project_rules(settings)
            made = project_features(project, rules)
            kinds = [(each.name, pa.type_for_alias(each.dtype)) for each in made.features.features]
            bound = rules.bind(pa.schema(kinds))
            every = made.features.of_engine
            needed = every.only([each for each in every.names if each in bound.columns])
            parts: list[np.ndarray] = []

            def sink(block: FeatureBlock) -> None:
                parts.append(bound.evaluate(block.columns.filter(pa.array(block.scored))).score)

            replay_through(project, needed, sink, Silent(), joins=made.joins)
        np.savez(kept, severity=np.concatenate(parts), active=len(bound.active), rules=len(bound.rules))
    with np.load(kept) as held:
        return RuleQueue(held["severity"], int(held["active"]), int(held["rules"]))


def _cards(folder: Path) -> Path:
    """The card payments in the native format; customers and terminals are numbered alike and get a letter each."""
    rows = pq.read_table(data_folder() / CARDS / "transactions.parquet")

    def party(letter: str, column: str) -> pa.Array:
        return pc.binary_join_element_wise(pa.scalar(letter), pc.cast(rows[column], pa.string()), "")

    columns = {
        "tx_id": pc.cast(rows["TRANSACTION_ID"], pa.string()),
        "event_time": rows["TX_DATETIME"],
        "sender": party("C", "CUSTOMER_ID"),
        "receiver": party("T", "TERMINAL_ID"),
        "amount": rows["TX_AMOUNT"],
        "currency": pa.array(["EUR"] * rows.num_rows),
        "channel": pa.array(["card"] * rows.num_rows),
        "label": rows["TX_FRAUD"],
    }
    written = folder / "payments.parquet"
    pq.write_table(pa.table(columns), written)
    return written


def _settings(name: str, folder: Path) -> Settings:
    return Settings(store=folder / name / "store")


def _amounts(project: Project, seq: np.ndarray) -> np.ndarray:
    """Base amount of each payment, int64[n]."""
    parts = [
        batch.column("base_amount").fill_null(0).to_numpy()[np.isin(batch.column("seq").to_numpy(), seq)]
        for batch in project.ledger.scan(["seq", "base_amount"])
    ]
    return np.concatenate(parts)
