"""The benchmark of online vectors measures what it says, on a few entities."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_online import OneRun, in_feast, in_sqlite, ours, questions


def test_every_store_is_loaded_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OneRun(200)
    for url in ("memory:", f"lmdb:{tmp_path / 'online'}"):
        figures = ours(url, run, 100)
        assert len(figures) == 4
        assert min(figures) > 0
    assert min(in_sqlite(tmp_path, run, 100)) > 0
    monkeypatch.delenv("GREYWATER_FEAST_PYTHON", raising=False)
    assert in_feast(tmp_path, 10, 10) is None


def test_questions_are_the_same_each_time() -> None:
    one, hundred = questions(50, 100)
    assert (one, hundred) == questions(50, 100)
    assert len(one) == 100
    assert {len(keys) for keys in hundred} == {100}
