"""The project's file: what it keeps, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import StoreAccessError, StoreDamagedError, StoreError
from greywater.stores.project_file import LAYOUT, ProjectFile, Unfinished

SPAN = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12))
UNFINISHED = st.builds(
    Unfinished,
    ingest=st.text(max_size=20),
    files=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    shas=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    spans=st.lists(SPAN, max_size=3).map(tuple),
    open_from=st.none() | st.integers(0, 10**12),
)


@given(base=st.text(max_size=5), resolution=st.integers(0, 10**15), unfinished=st.lists(UNFINISHED, max_size=3))
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, base: str, resolution: int, unfinished: list[Unfinished]
) -> None:
    folder = tmp_path_factory.mktemp("project")
    file = ProjectFile(base_currency=base, resolution_us=resolution, unfinished=tuple(unfinished))
    file.save(folder)
    assert ProjectFile.load(folder) == file


def test_there_may_be_none(tmp_path: Path) -> None:
    assert ProjectFile.load(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"layout": 1, "resolution_us": "day"}', "\x00" * 90])
def test_what_no_version_writes(tmp_path: Path, content: str) -> None:
    (tmp_path / "project.json").write_text(content)
    with pytest.raises(StoreDamagedError, match="cannot be read"):
        ProjectFile.load(tmp_path)


def test_a_newer_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "project.json").write_text(json.dumps({"layout": LAYOUT + 1, "greywater": "9.9", "strange": [1]}))
    with pytest.raises(StoreError, match=r"written by Greywater 9\.9") as caught:
        ProjectFile.load(tmp_path)
    assert "newer" in caught.value.mend


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises((StoreAccessError, StoreError)):
        ProjectFile().save(tmp_path / "taken" / "below")


def test_attempts_are_kept_until_the_ingest_is_complete() -> None:
    file = ProjectFile().begun("one", ("a.csv",), ("s1",), 0)
    assert file.unfinished[0].open_from == 0
    assert file.unfinished[0].recorded(7) == 7
    file = file.begun("two", ("b.csv",), ("s2",), 7)
    assert [(entry.ingest, entry.spans, entry.open_from) for entry in file.unfinished] == [
        ("one", ((0, 7),), None),
        ("two", (), 7),
    ]
    file = file.begun("one", ("a.csv",), ("s1",), 9)
    assert file.spans("one") == ((0, 7),)
    assert file.spans("two") == ((7, 9),)
    file = file.completed("one")
    assert [entry.ingest for entry in file.unfinished] == ["two"]
    assert file.completed("two").unfinished == ()


def test_attempts_that_recorded_nothing_leave_no_trace() -> None:
    file = ProjectFile().begun("one", ("a.csv",), ("s1",), 5).begun("two", ("b.csv",), ("s2",), 5)
    assert [entry.ingest for entry in file.unfinished] == ["two"]


def test_rates_used_before_stay_named() -> None:
    file = ProjectFile().counting_in("EUR", 1, "rates.csv").counting_in("EUR", 60, "")
    assert (file.base_currency, file.resolution_us, file.rates) == ("EUR", 60, "rates.csv")
