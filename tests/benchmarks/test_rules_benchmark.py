"""The peer of the rules benchmark is asked the same: DuckDB finds the same hits, and the figures are printed."""

from __future__ import annotations

import sys

import pytest

from benchmarks import bench_rules


def test_both_find_the_same_hits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_rules", "--rows", "3000"])
    monkeypatch.setattr(bench_rules, "ONE_BY_ONE", 50)
    bench_rules.main()
    said = capsys.readouterr().out
    assert "the same hits as DuckDB: True" in said
    assert "3,000 payments" in said
