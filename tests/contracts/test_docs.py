"""The documents hang together: every relative link and picture leads somewhere, every decision record has a number."""

from __future__ import annotations

import re

from tests.contracts.tree import ROOT, named, tracked

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{named(path)} -> {target}"
        for path in tracked()
        if path.suffix == ".md"
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_decision_records_are_numbered_without_a_gap() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for record in records:
        assert record.read_text(encoding="utf-8").startswith(f"# {int(record.name[:4])}. ")


def test_the_readme_says_what_a_newcomer_needs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for wanted in ("scripts/run", "scripts/test", "## Who it is for", "## What the numbers mean", "Apache-2.0", ">>> "):
        assert wanted in text, f"README.md does not have {wanted!r}"
