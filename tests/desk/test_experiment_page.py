"""The page of experiments: every run, its colour, what differs, and nothing that a run could smuggle in."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.experiment_page import experiment_page, value_words
from greywater.desk.experiment_pictures import (
    COLOURS,
    Line,
    axis_of,
    plot,
    precision_recall_svg,
    score_lines,
    score_svg,
)

SCORES = {"edges": [0.0, 1.0, 2.0], "others": [0.75, 0.25], "laundering": [0.0, 1.0]}


def run(name: str, **more: Any) -> dict[str, Any]:
    return {
        "run": name, "kind": "train", "state": "done", "detector": "boosted", "started_at": "2024-02-29T12:00:00+00:00",
        "seconds": 3.0, "principal": "DEFAULT__LOCAL", "parent": None, "tags": [], "metrics": {}, "series": [],
        "curves": {}, "files": [], "damaged": [], "error": None, **more,
    }  # fmt: skip


def page(*runs: dict[str, Any], parameters: list[dict[str, Any]] | None = None) -> str:
    return experiment_page({"runs": runs, "parameters": parameters or [], "origin": [], "metrics": []})


def row(name: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "values": list(values), "differs": len({str(value) for value in values}) > 1}


def test_what_differs_is_marked_and_what_stands_alone_is_folded_away() -> None:
    found = page(
        run("a"), run("b"), run("c"),
        parameters=[row("seed", 7, 7, 8), row("rate", 1, 2, 3), row("own", None, 5, None), row("same", 1, 1, 1)],
    )  # fmt: skip
    table = found.split("What they were given</h2>")[1]
    assert '<tr class=differs><th scope="row">seed<td>7<td>7<td class=other>8' in table
    assert '<tr class=differs><th scope="row">rate<td>1<td>2<td>3' in table
    assert table.index("rate") < table.index("1 parameter that only one run has") < table.index("own")
    assert table.index("1 parameter in which they do not differ") < table.rindex("same")


def test_the_best_measure_is_marked_the_least_of_a_loss() -> None:
    found = page(
        run("a", metrics={"roc_auc": 0.5, "loss": 2.0}),
        run("b", metrics={"roc_auc": 0.75, "loss": 3.0}),
        run("c", metrics={}, state="failed", error="DetectorError", seconds=None),
    )
    assert '<td class="n best">0.750' in found
    assert '<td class="n best">2.000' in found
    assert found.count("best") == 2 + found.split("<body>")[0].count("best")
    assert '<td class="state failed">failed <small>DetectorError</small>' in found


def test_more_runs_than_colours_are_drawn_pale() -> None:
    series = [{"series": "", "name": "score", "steps": [1, 2], "values": [0.1, None]}]
    runs = [run(f"r-{n:02}", series=series) for n in range(COLOURS + 3)]
    found = page(*runs)
    assert "3 others" in found
    assert found.count('class="mark pale"') == 3
    assert all(one["run"] in found for one in runs)


def test_what_a_run_says_is_never_markup() -> None:
    bad = "<script>x</script>\"'&"
    series = [{"series": bad, "name": bad, "steps": [1, 2], "values": [0.1, 0.2]}]
    curves = {"precision_recall": [[0, 1], [1, 0.5]], "scores": SCORES}
    found = page(
        run(bad, tags=[bad], metrics={bad: 1.0}, series=series, curves=curves, detector=bad, kind=bad, state=bad,
            files=[{"name": bad, "path": bad, "bytes": 1, "sha256": "ab"}], damaged=[bad]),
        parameters=[row(bad, bad)],
    )  # fmt: skip
    assert "<script" not in found
    assert "http" not in found.split("<body>")[1]
    assert "\"'" not in re.sub(r"<style>.*</style>", "", found)


def test_without_a_run_the_page_says_so() -> None:
    assert "No fit has been written down" in page()


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=20), st.booleans())
def test_any_points_give_a_picture_or_nothing(points: list[tuple[float, float]], pale: bool) -> None:
    known = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) < 1e200]
    kept = [point for point in points if point in known or not all(map(math.isfinite, point))]
    x, y = axis_of([x for x, _ in known], "x"), axis_of([y for _, y in known], "y")
    svg = plot([Line("a<b", kept, None if pale else 3)], x, y, "told")
    assert bool(svg) is bool(known)
    if svg:
        numbers = [float(n) for n in re.findall(r"[ML ]?(-?\d+\.\d)", " ".join(ET.fromstring(svg).itertext()))]
        assert "nan" not in svg
        assert "inf" not in svg
        assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize("values", [[], [0.0], [5.0, 5.0], [-1e-9, 1e-9], [1e12, 2e12], [-3.0, 7.5]])
def test_an_axis_holds_its_values_and_a_few_round_ticks(values: list[float]) -> None:
    axis = axis_of(values, "x")
    assert all(axis.low <= value <= axis.high for value in values)
    assert 2 <= len(axis.ticks) <= 8
    assert all(axis.low - 1e-9 <= at <= axis.high + 1e-9 for at, _ in axis.ticks)


def test_pictures_stand_alone() -> None:
    for svg in (precision_recall_svg([(0.5, 1.0), (1.0, 0.25)]), score_svg(SCORES)):
        drawn = ET.fromstring(svg)
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert drawn.find("{http://www.w3.org/2000/svg}path") is not None
    lines, x, _ = score_lines({**SCORES, "laundering": []})
    assert ([line.name for line in lines], x.low, x.high) == (["other payments"], 0.0, 2.0)


def test_values_are_told_in_few_words() -> None:
    assert [value_words(value) for value in (0.0, 12345.678, [], [0.5, None], {"a": 1})] == [
        "0", "1.235e+04", "none", "0.5, –", '{"a": 1}',
    ]  # fmt: skip
