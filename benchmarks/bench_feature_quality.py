"""Statistics, rules and drift of features: values a CPU-second of ours, and of pandas and SciPy doing the same or less.

    scripts/bench feature-quality [--rows N]

pandas gives count, missing, least, greatest, mean, deviation, seven quantiles, different values and the ten most
frequent; ours gives the same and a histogram, magnitudes and what is needed to merge. SciPy gives the Kolmogorov-
Smirnov and the Wasserstein statistic of two windows; ours the same and PSI and Jensen-Shannon. Rules have no peer here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import ks_2samp, wasserstein_distance

sys.path.insert(0, str(Path(__file__).parent))
from greywater.featurestore.definitions import FeatureField, FeatureGroup, ValidationRule
from greywater.featurestore.drift import drift
from greywater.featurestore.statistics import describe, merge
from greywater.featurestore.validation import check
from report import table, write_section

PROBABILITIES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
RULES = (
    ValidationRule("range", "amount", {"least": 0, "most": 1e12}, "quarantine"),
    ValidationRule("not_null", "count", {}, "quarantine"),
    ValidationRule("one_of", "segment", {"values": ["retail", "private"]}, "quarantine"),
    ValidationRule("expression", "", {"text": "amount / (count + 1) < 1e9 and (flag or gappy is null or gappy > -6)"}),
    ValidationRule("unique", "", {}, "quarantine"),
)


def made(rows: int, seed: int) -> pa.Table:
    """Features of the usual kinds."""
    draw = np.random.default_rng(seed)
    customers = draw.integers(0, 10**9, rows)
    return pa.table(
        {
            "customer": pa.array([f"C{number:09d}" for number in customers.tolist()]),
            "event_time": pa.array(np.arange(rows) * 1_000 + 1_700_000_000_000_000, pa.timestamp("us", tz="UTC")),
            "amount": np.round(draw.lognormal(5, 2, rows), 2),
            "score": draw.normal(size=rows),
            "gappy": pa.array(draw.normal(size=rows), mask=draw.random(rows) < 0.2),
            "count": draw.poisson(3, rows),
            "number": draw.integers(-(2**62), 2**62, rows),
            "flag": draw.random(rows) < 0.1,
            "segment": pa.array(["retail", "private", "firm"]).take(pa.array(draw.integers(0, 3, rows))),
        }
    )


def cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of one run, the median of some."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return median(taken)


def described_by_pandas(column: pd.Series) -> object:
    """What pandas has of the same figures."""
    figures: list[object] = [column.count(), column.isna().sum(), column.nunique(), column.min(), column.max()]
    if column.dtype.kind in "if":
        figures += [column.mean(), column.std(), column.quantile(PROBABILITIES)]
    if column.dtype.kind in "ib" or column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        figures.append(column.value_counts().head(10))
    return figures


def statistics_rows(rows: pa.Table) -> list[list[object]]:
    found = []
    ours_total = peer_total = 0.0
    names = [name for name in rows.column_names if name != "event_time"]
    for name in names:
        column = rows.column(name).to_pandas()
        ours = cpu_seconds(lambda name=name: describe(rows, [name]))
        peer = cpu_seconds(lambda column=column: described_by_pandas(column))
        ours_total, peer_total = ours_total + ours, peer_total + peer
        found.append([f"{name} ({rows.schema.field(name).type})", *rate(rows.num_rows, ours, peer)])
    return [*found, ["all", *rate(rows.num_rows * len(names), ours_total, peer_total)]]


def rate(values: int, ours: float, peer: float) -> list[str]:
    return [f"{values / ours / 1e6:.1f} M", f"{values / peer / 1e6:.1f} M", f"{peer / ours:.1f}x"]


def drift_row(first: pa.Table, second: pa.Table) -> list[object]:
    names = ["amount", "score", "number"]
    windows = [(first.column(name).to_numpy(), second.column(name).to_numpy()) for name in names]
    ours = cpu_seconds(lambda: drift(first, second, names))
    peer = cpu_seconds(lambda: [(ks_2samp(*pair, method="asymp"), wasserstein_distance(*pair)) for pair in windows])
    return ["drift of three numbers, both windows", *rate(2 * len(names) * first.num_rows, ours, peer)]


def main() -> None:
    """Measure, print and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--print-only", action="store_true", help="write nothing into docs/benchmarks.md")
    options = arguments.parse_args()
    rows, later = made(options.rows, 1), made(options.rows, 2)
    features = tuple(
        FeatureField(name, {"double": "float64", "int64": "int64", "bool": "bool", "string": "string"}[str(kind)])
        for name, kind in zip(rows.schema.names[2:], rows.schema.types[2:], strict=True)
    )
    group = FeatureGroup("made", 1, ("customer",), ("string",), features, rules=RULES)
    checked = cpu_seconds(lambda: check(rows, group, 1_800_000_000_000_000))
    parts = [describe(rows.slice(at * 1_000, 1_000)) for at in range(100)]
    merged = cpu_seconds(lambda: merge(parts))
    lines = [
        table(
            ["what", "ours, values a CPU-second", "peer", "ours against it"],
            [*statistics_rows(rows), drift_row(rows, later)],
        ),
        f"Peers: pandas {pd.__version__} for the statistics of {options.rows:,} rows, SciPy for drift.",
        f"Five rules over {options.rows:,} rows: {options.rows / checked / 1e6:.2f} M rows a CPU-second.",
        f"Merging the statistics of 100 commits of {len(parts[0].features)} columns: {merged:.2f} CPU-seconds; "
        f"one commit's JSON has {len(parts[0].to_json()):,} characters.",
    ]
    text = "\n\n".join(lines)
    if options.print_only:
        print(text)
    else:
        write_section("Feature quality", text)


if __name__ == "__main__":
    main()
