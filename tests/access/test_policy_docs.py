"""The table in docs/alerts.md is the policy."""

from __future__ import annotations

from pathlib import Path

from greywater.access.policy import POLICY, ROLES

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"


def test_the_page_says_what_the_policy_says() -> None:
    rows = [line.strip("| \n").split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    header = next(index for index, row in enumerate(rows) if row[0].strip() == "action")
    roles = [cell.strip() for cell in rows[header][1:]]
    assert tuple(roles) == ROLES
    told: dict[str, frozenset[str]] = {}
    for row in rows[header + 2 :]:
        ticked = frozenset(role for role, cell in zip(roles, row[1:] + [""] * len(roles), strict=False) if "✓" in cell)
        told |= dict.fromkeys((action.strip() for action in row[0].split(",")), ticked)
    assert told == POLICY
