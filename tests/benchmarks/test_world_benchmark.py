"""The benchmark of large worlds: a world made in a process of its own, and counts read from its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_world
from greywater.synth.large_world import make_large_world
from greywater.synth.presets import world_plan


def test_a_process_of_its_own_says_what_a_world_took(tmp_path: Path) -> None:
    took = bench_world.timed("amlworld", "csv", 20_000, False, tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.glob("HI-Small_*"))
    assert took["disk"] == written
    assert min(took["seconds"], took["cpu"]) > 0
    assert took["peak"] > 50e6
    row = bench_world.speed_row("amlworld, csv", 20_000, took)
    assert row[:2] == ("amlworld, csv", "20,000")


def test_counts_are_read_from_the_file(tmp_path: Path) -> None:
    world = make_large_world(tmp_path, world_plan("hi-small", payments=50_000))
    rows = {str(name): (ours, apart) for name, ours, _, apart in bench_world.counted(world.files["payments"])}
    assert rows["payments"] == ("50,000", "-99.02 %")
    assert float(str(rows["share of Cheque"][0])) == pytest.approx(0.367, abs=0.01)
    assert float(str(rows["share of payments to oneself"][0])) == pytest.approx(0.116, abs=0.01)
