"""Loads entities into Feast's local online store and reads them through its SDK; prints what it took as JSON.

Runs in an environment of its own that has feast: `peer_feast_online.py ENTITIES FEATURES READS FOLDER`.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

SETTINGS = """project: bench
registry: registry.db
provider: local
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""


def made(entities: int, features: int) -> pd.DataFrame:
    values = np.random.default_rng(1).random((entities, features))
    frame = pd.DataFrame(values, columns=[f"f{k}" for k in range(features)])
    frame["customer"] = [f"customer-{number:08d}" for number in range(entities)]
    frame["event_timestamp"] = datetime.now(UTC) - timedelta(hours=1)
    return frame


def microseconds(ask: Any, questions: list[Any]) -> float:
    """Median of the wall times of single calls."""
    times = []
    for question in questions:
        begun = time.perf_counter()
        ask(question)
        times.append(time.perf_counter() - begun)
    return median(times) * 1e6


def main() -> None:
    entities, features, reads, folder = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    (folder / "feature_store.yaml").write_text(SETTINGS)
    frame = made(entities, features)
    path = folder / "features.parquet"
    frame.to_parquet(path)
    store = FeatureStore(str(folder))
    customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
    source = FileSource(path=str(path), timestamp_field="event_timestamp")
    fields = [Field(name=f"f{k}", dtype=Float64) for k in range(features)]
    view = FeatureView(name="one", entities=[customer], schema=fields, source=source, ttl=timedelta(days=1))
    store.apply([customer, view])
    begun = time.process_time()
    store.materialize(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC))
    loaded = time.process_time() - begun
    names = [f"one:f{k}" for k in range(features)]
    draw = np.random.default_rng(2)
    one = [[{"customer": f"customer-{n:08d}"}] for n in draw.integers(0, entities, reads)]
    hundred = [[{"customer": f"customer-{n:08d}"} for n in draw.integers(0, entities, 100)] for _ in range(reads // 10)]

    def read(rows: list[dict[str, str]]) -> Any:
        return store.get_online_features(features=names, entity_rows=rows).to_dict()

    found = read(one[0])
    expected = frame[frame["customer"] == one[0][0]["customer"]]["f0"].iloc[0]
    assert found["f0"] == [expected], (found, expected)
    told = {"load": entities / loaded, "one": microseconds(read, one), "hundred": microseconds(read, hundred)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
