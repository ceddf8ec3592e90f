"""Every pattern and every graph column is documented, and nothing that is not there."""

from __future__ import annotations

import ast
import doctest
import re
from contextlib import suppress
from pathlib import Path

import pytest

from greywater.config import Settings
from greywater.desk.pattern_examples import EXAMPLES, Example
from greywater.features.feature import Feature
from greywater.features.graph import DEFAULT_CAP, PATTERNS, GraphPlan, PatternPlan, default_graph_plan
from greywater.features.graph_columns import pattern_columns
from greywater.features.windows import window_label
from tests.contracts.tree import ROOT

PAGES = ROOT / "docs" / "patterns"
#: Patterns that are described on the page of another.
SHARED = {"fan_new": "fan"}
DAY_US = 86_400 * 10**6
SECTIONS = ("What it serves", "Definition", "Columns", "Example", "How it is found, and what bounds it", "Sources")
#: What the fine points of every page must speak of.
FINE_POINTS = ("equal times", "late rows", "parallel payments", "self-payments")


def page(pattern: str) -> str:
    path = PAGES / f"{SHARED.get(pattern, pattern)}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def family(feature: Feature) -> str:
    """The name of a column with its role, direction, variant, length and window left open."""
    given = feature.parameters
    parts = feature.name.removesuffix(f".{given['label']}").split(".")
    open_parts = {given.get("role"): "{role}", given.get("direction"): "{direction}", given.get("variant"): "{variant}"}
    parts = [open_parts.get(part, part) for part in parts]
    if "length" in given:
        parts[-1] = parts[-1].replace(str(given["length"]), "{k}")
    return ".".join([*parts, "{w}"])


def documented(text: str) -> dict[str, str]:
    """Columns of a page's table, with their units."""
    return dict(re.findall(r"^\| `([^`]+\{w\})` \| ([^|]+) \| [^|]+ \|$", section(text, "Columns"), re.MULTILINE))


def undocumented(features: tuple[Feature, ...], text: str) -> list[str]:
    """Families of columns that a page's table does not have, or has with another unit."""
    table = documented(text)
    return sorted({family(feature) for feature in features if table.get(family(feature)) != feature.unit})


def columns_of(pattern: str) -> tuple[Feature, ...]:
    plan = default_graph_plan(Settings(), 1)
    return tuple(f for part in plan.patterns if part.pattern == pattern for columns in part.columns for f in columns)


def listed(text: str) -> list[list[tuple[str, str, str, int | None]]]:
    """Every list of payments that the examples of a page begin with."""
    found = []
    for example in doctest.DocTestParser().get_examples(text):
        tree = ast.parse(example.source)
        if isinstance(tree.body[0], ast.Assign) and isinstance(tree.body[0].value, ast.List):
            # A list that is made from another one is not spelled out.
            with suppress(ValueError):
                found.append(ast.literal_eval(tree.body[0].value))
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_has_a_page_with_every_section(pattern: str) -> None:
    text = page(pattern)
    assert text, f"docs/patterns has no page for {pattern}"
    assert f"({pattern}.svg)" in text, f"the page of {pattern} does not show its picture"
    missing = [heading for heading in SECTIONS if not section(text, heading).strip()]
    assert not missing, f"the page of {pattern} does not say {missing}"
    absent = [point for point in FINE_POINTS if not re.search(rf"^\|[^|]*{point}[^|]*\|", text, re.MULTILINE)]
    assert not absent, f"the page of {pattern} does not say what happens to {absent}"
    assert f"kernels/patterns_{SHARED.get(pattern, pattern)}.py" in text
    assert "**cap**" in section(text, "How it is found, and what bounds it")
    assert "<<<" not in text
    assert ">>> " in section(text, "Example")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_column_is_on_the_page_of_its_pattern(pattern: str) -> None:
    missing = undocumented(columns_of(pattern), page(pattern))
    assert not missing, f"the page of {pattern} does not describe {missing}"


def test_the_default_plan_has_no_column_without_a_page() -> None:
    for resolution_us in (1, DAY_US):
        for part in default_graph_plan(Settings(), resolution_us).patterns:
            ints, floats = part.columns
            assert undocumented(ints + floats, page(part.pattern)) == []


@pytest.mark.parametrize("name", sorted({SHARED.get(pattern, pattern) for pattern in PATTERNS}))
def test_no_column_is_documented_that_is_not_there(name: str) -> None:
    here = [pattern for pattern in PATTERNS if SHARED.get(pattern, pattern) == name]
    families = {family(feature) for pattern in here for feature in columns_of(pattern)}
    assert set(documented(page(name))) == families


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_placeholder_stands_for_is_said(pattern: str) -> None:
    """Every variant, role and direction by name, before the table."""
    said = section(page(pattern), "Columns").split("| column |")[0]
    for feature in columns_of(pattern):
        for key in ("role", "direction", "variant"):
            if key in feature.parameters:
                assert f"`{{{key}}}`" in said
                assert f"`{feature.parameters[key]}`" in said
        assert "`{w}`" in said
        assert feature.parameters["label"] in said
        assert "length" not in feature.parameters or "`{k}`" in said


def test_a_column_without_a_line_is_found() -> None:
    """The check itself: one line less, or another unit, and it speaks."""
    text, features = page("chain"), columns_of("chain")
    assert undocumented(features, text) == []
    line = next(line for line in text.splitlines() if line.startswith("| `chain.leak.{w}`"))
    assert undocumented(features, text.replace(line + "\n", "")) == ["chain.leak.{w}"]
    assert undocumented(features, text.replace(line, line.replace("ratio", "seconds"))) == ["chain.leak.{w}"]
    assert undocumented(features, "") == sorted({family(feature) for feature in features})


def test_families_leave_open_what_varies() -> None:
    names = [
        family(feature)
        for pattern in ("gather_scatter", "simple_cycle", "fan_new")
        for feature in pattern_columns(pattern, (3_600,), 2)[0]
    ]
    assert sorted(set(names)) == [
        "fan_new.truncated.{w}",
        "gather_scatter.truncated.{w}",
        "gather_scatter.{role}.receivers.{w}",
        "gather_scatter.{role}.senders.{w}",
        "simple_cycle.length_{k}.{w}",
        "simple_cycle.truncated.{w}",
        "{role}.{direction}.fan_new.{w}",
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_computes_what_its_picture_shows(name: str) -> None:
    example: Example = EXAMPLES[name]
    drawn = [
        (payment.sender, payment.receiver, payment.moment, None if payment.amount is None else payment.amount // 100)
        for payment in example.payments
    ]
    assert drawn in listed(page(example.pattern)), f"no example of the page is the picture {name}"
    assert f"({name}.svg)" in page(example.pattern)


def test_the_index_is_the_plan() -> None:
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip("` "): cells
        for line in text.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 6 and cells[1].startswith("`")
    }
    assert set(rows) == set(PATTERNS)
    by_day = default_graph_plan(Settings(), DAY_US)
    for part in default_graph_plan(Settings(), 1).patterns:
        link, _, shapes, windows, day_windows, columns = rows[part.pattern]
        assert f"({SHARED.get(part.pattern, part.pattern)}.md)" in link
        served = {shape for ints_or_floats in part.columns for f in ints_or_floats for shape in f.typologies}
        assert set(shapes.split(", ")) == served
        assert windows == ", ".join(window_label(window) for window in part.windows)
        days = [window for each in by_day.patterns if each.pattern == part.pattern for window in each.windows]
        assert day_windows == ", ".join(window_label(window) for window in days)
        assert int(columns) == sum(map(len, part.columns))
    costs = section(text, "What a search costs")
    assert all(f"\n| `{pattern}` |" in costs for pattern in PATTERNS)
    assert f"**cap** of visible payments: {DEFAULT_CAP:,} " in costs


def test_the_length_at_which_daily_rings_stop_is_said() -> None:
    plan = default_graph_plan(Settings(), DAY_US)
    longest = {part.windows[-1]: part.max_length for part in plan.patterns if part.pattern == "simple_cycle"}
    said = f"those of 30 d stop at length {longest[30 * 86_400]}"
    assert said in page("simple_cycle")
    assert f"to `max_length` ({PatternPlan('simple_cycle', (1,)).max_length})" in page("simple_cycle")


def test_each_part_of_the_engine_holds_as_long_as_is_said() -> None:
    text = (ROOT / "docs" / "window_semantics.md").read_text(encoding="utf-8")
    settings = Settings()
    graph = default_graph_plan(settings, 1)
    lateness = settings.allowed_lateness // 86_400
    assert (
        f"| graph patterns | {graph.look_back // 86_400} d (new counterparties in 30 d look at the 30 d before) "
        in text
    )
    assert f"| {graph.look_back // 86_400 + lateness} d |" in text
    accounts = max(max(settings.windows) // 86_400, *settings.day_windows)
    assert f"| windows of accounts | {accounts} d | {accounts + lateness} d |" in text
    only = GraphPlan((PatternPlan("chain", (86_400,)),), settings.allowed_lateness)
    assert only.hold_us == (86_400 + settings.allowed_lateness) * 10**6


def test_links_to_the_counting_rules_lead_there() -> None:
    text = (ROOT / "docs" / "window_semantics.md").read_text(encoding="utf-8")
    assert "\n## Counting patterns\n" in text
    assert all("window_semantics.md" in path.read_text(encoding="utf-8") for path in Path(PAGES).glob("*.md"))
