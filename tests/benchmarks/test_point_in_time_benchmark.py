"""The benchmark of the point-in-time join runs, and its contenders agree on the answer."""

from __future__ import annotations

from pathlib import Path

from bench_point_in_time import measure


def test_the_contenders_agree(tmp_path: Path) -> None:
    text = measure(tmp_path, 3_000, 500, feast_rows=0)
    for name in ("ours", "DuckDB ASOF JOIN", "polars join_asof"):
        assert f"| {name} | 500 | 3,000 |" in text
    assert "Feast" in text
