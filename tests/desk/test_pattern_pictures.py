"""The pictures of the patterns: true, up to date, accessible, and nothing in them covers anything else."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from greywater.desk.pattern_examples import EXAMPLES, Example
from greywater.desk.pattern_pictures import LETTER, NAMES, RADIUS, WIDTH, main, pattern_picture
from greywater.features.graph import PATTERNS, GraphPlan, PatternPlan
from greywater.features.graph_state import GraphState
from tests.contracts.tree import ROOT

FOLDER = ROOT / "docs" / "patterns"
SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


def told_by_the_graph(example: Example) -> dict[str, float]:
    """Every column of an example's last payment, worked out from its payments."""
    accounts = sorted({name for payment in example.payments for name in (payment.sender, payment.receiver)})
    plan = GraphPlan((PatternPlan(example.pattern, example.windows),), allowed_lateness=0)
    ints, floats = GraphState(plan, threads=1).process(
        np.array([accounts.index(payment.sender) for payment in example.payments]),
        np.array([accounts.index(payment.receiver) for payment in example.payments]),
        np.array([payment.minutes * 60_000_000 for payment in example.payments]),
        np.array([-1 if payment.amount is None else payment.amount for payment in example.payments]),
    )
    return dict(zip(plan.names, [*ints[:, -1].tolist(), *floats[:, -1].tolist()], strict=True))


def parsed(name: str) -> ET.Element:
    return ET.fromstring(pattern_picture(name))


def circles(svg: ET.Element) -> list[tuple[float, float, float]]:
    return [tuple(float(each.get(key, 0)) for key in ("cx", "cy", "r")) for each in svg.iter(f"{SVG}circle")]  # type: ignore[misc]


def labels(svg: ET.Element) -> list[Box]:
    found = []
    for each in svg.iter(f"{SVG}rect"):
        if each.get("class") == "mask":
            x, y, width, height = (float(each.get(key, 0)) for key in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def parts(svg: ET.Element) -> list[Box]:
    """Boxes of the small words beside accounts."""
    found = []
    for each in svg.iter(f"{SVG}text"):
        if "part" in (each.get("class") or ""):
            x, y, half = float(each.get("x", 0)), float(each.get("y", 0)), LETTER * 0.9 * len(each.text or "") / 2
            found.append((x - half, y - 6, x + half, y + 6))
    return found


def arrows(svg: ET.Element) -> list[list[tuple[float, float]]]:
    """Points along every arrow."""
    found = []
    for each in svg.iter(f"{SVG}path"):
        curve = re.fullmatch(r"M(\S+) (\S+)Q(\S+) (\S+) (\S+) (\S+)", each.get("d") or "")
        if curve:
            x1, y1, cx, cy, x2, y2 = map(float, curve.groups())
            steps = [step / 40 for step in range(41)]
            found.append(
                [
                    (
                        (1 - t) ** 2 * x1 + 2 * t * (1 - t) * cx + t * t * x2,
                        (1 - t) ** 2 * y1 + 2 * t * (1 - t) * cy + t * t * y2,
                    )
                    for t in steps
                ]
            )
    return found


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def covers(circle: tuple[float, float, float], box: Box) -> bool:
    x, y = min(max(circle[0], box[0]), box[2]), min(max(circle[1], box[1]), box[3])
    return (x - circle[0]) ** 2 + (y - circle[1]) ** 2 < circle[2] ** 2


def test_every_pattern_has_a_picture() -> None:
    assert {example.pattern for example in EXAMPLES.values()} == set(PATTERNS)
    assert set(PATTERNS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_picture_says_is_what_the_graph_says(name: str) -> None:
    example = EXAMPLES[name]
    columns = told_by_the_graph(example)
    assert {told.column: columns[told.column] for told in example.told} == {
        told.column: pytest.approx(told.value, rel=1e-4) for told in example.told
    }
    assert (example.payments[-1].sender, example.payments[-1].receiver) == ("u", "v")
    assert bool(example.dashed) == any(not payment.counted for payment in example.payments)


@pytest.mark.parametrize("name", NAMES)
def test_leaving_dashed_payments_out_changes_nothing_that_is_told(name: str) -> None:
    example = EXAMPLES[name]
    counted = tuple(payment for payment in example.payments if payment.counted)
    fewer = told_by_the_graph(Example(**{**vars(example), "payments": counted}))
    columns = told_by_the_graph(example)
    assert all(columns[told.column] == fewer[told.column] for told in example.told)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_picture_is_what_the_code_draws(name: str) -> None:
    committed = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert committed == pattern_picture(name), "run: python -m greywater.desk.pattern_pictures docs/patterns"


def test_no_other_picture_is_committed() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_those_who_hear_a_picture_are_told_the_same(name: str) -> None:
    svg, example = parsed(name), EXAMPLES[name]
    title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == example.title
    assert all(told.column in (description.text or "") for told in example.told)
    assert svg.get("role") == "img"
    written = " ".join("".join(each.itertext()) for each in svg.iter(f"{SVG}text"))
    assert all(payment.at in written for payment in example.payments)
    assert all(account.name in written for account in example.accounts)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_covers_anything_else(name: str) -> None:
    svg = parsed(name)
    words = labels(svg) + (parts(svg) if EXAMPLES[name].accounts else [])
    assert len(labels(svg)) == len(EXAMPLES[name].payments)
    assert not [pair for pair in combinations(words, 2) if overlap(*pair)]
    assert not [(circle, box) for circle in circles(svg) for box in words if covers(circle, box)]
    assert len(arrows(svg)) == (len(EXAMPLES[name].payments) if EXAMPLES[name].accounts else 0)
    for points in arrows(svg):
        through = [c for c in circles(svg) for x, y in points if (x - c[0]) ** 2 + (y - c[1]) ** 2 < (RADIUS - 1) ** 2]
        assert not through
        assert not [(x, y) for x, y in points for box in parts(svg) if box[0] < x < box[2] and box[1] < y < box[3]]


@pytest.mark.parametrize("name", NAMES)
def test_a_label_lies_on_its_own_arrow_only(name: str) -> None:
    svg = parsed(name)
    for points, own in zip(arrows(svg), labels(svg), strict=False):
        others = [box for box in labels(svg) if box != own]
        assert any(own[0] < x < own[2] and own[1] < y < own[3] for x, y in points)
        assert not [(x, y) for x, y in points for box in others if box[0] < x < box[2] and box[1] < y < box[3]]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_at_the_edge(name: str) -> None:
    svg = parsed(name)
    height = float(svg.get("height", 0))
    for box in labels(svg) + parts(svg):
        assert box[0] >= 4
        assert box[2] <= WIDTH - 4
        assert box[1] >= 4
        assert box[3] <= height - 4
    for text in svg.iter(f"{SVG}text"):
        pieces = list(text.iter(f"{SVG}tspan"))
        starts = [float(piece.get("x", 0)) for piece in pieces] + [float(WIDTH - 4)]
        for piece, start, end in zip(pieces, starts, starts[1:], strict=False):
            assert start + 7.3 * len(piece.text or "") <= end
        if not pieces and text.get("class") is None:
            assert float(text.get("x", 0)) + LETTER * len(text.text or "") <= WIDTH - 4


def test_the_command_writes_every_picture(tmp_path: Path) -> None:
    assert main([str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {f"{name}.svg" for name in NAMES}
    command = [sys.executable, "-m", "greywater.desk.pattern_pictures", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b""
    assert (tmp_path / "chain.svg").read_text(encoding="utf-8") == pattern_picture("chain")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_needs_nothing_from_elsewhere(name: str) -> None:
    text = pattern_picture(name)
    assert len(text.encode()) < 12_000
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in text
    assert "prefers-color-scheme:dark" in text
