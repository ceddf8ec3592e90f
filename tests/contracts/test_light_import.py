"""`import greywater` and `greywater --help` bring in nothing large and cost little."""

from __future__ import annotations

import pytest

from tests.contracts.light_import import LARGE, STATEMENTS, measure

#: Far above the aim of half a second (scripts/check prints the figure): a busy machine must not fail this.
MOST_SECONDS = 5.0


@pytest.mark.parametrize("statement", sorted(STATEMENTS))
def test_nothing_large_is_imported(statement: str) -> None:
    cost = measure(statement)
    assert "greywater" in cost.modules
    assert not cost.large, f"{statement} imports {cost.large}; none of {LARGE} may be"
    assert cost.seconds < MOST_SECONDS


def test_the_package_alone_needs_only_the_standard_library() -> None:
    assert not measure("import greywater").modules & {"numpy", "pyarrow", "msgspec", "typer", "rich"}
