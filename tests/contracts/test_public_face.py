"""The public face: about a dozen names, the same in `__all__`, in HOMES and for type checkers."""

from __future__ import annotations

import ast
from importlib import import_module

import pytest

import greywater
from tests.contracts.tree import SOURCE, parsed

MOST_NAMES = 14


def test_all_is_homes_and_the_version() -> None:
    assert sorted(greywater.__all__) == sorted([*greywater.HOMES, "__version__"])
    assert dir(greywater) == sorted(greywater.__all__)
    assert len(greywater.__all__) <= MOST_NAMES


@pytest.mark.parametrize("name", sorted(greywater.HOMES))
def test_every_name_resolves_to_its_home(name: str) -> None:
    here = getattr(greywater, name)
    assert here is getattr(import_module(greywater.HOMES[name]), name)
    assert here.__doc__, f"{name} is public and has no docstring"


def test_type_checkers_see_the_same_names() -> None:
    seen: dict[str, str] = {}
    for node in parsed(SOURCE / "__init__.py").body:
        if isinstance(node, ast.If):
            for inner in node.body:
                if isinstance(inner, ast.ImportFrom):
                    seen |= {alias.asname or alias.name: inner.module or "" for alias in inner.names}
    assert seen == greywater.HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        greywater.nonsense  # noqa: B018
