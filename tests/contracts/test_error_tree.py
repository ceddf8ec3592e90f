"""The tree drawn at the head of errors.py is the tree of the classes, and docs/errors.md has every one of them."""

from __future__ import annotations

import inspect
import re

from greywater import errors
from tests.contracts.tree import ROOT

LINE = re.compile(r"^(?P<branch>[ │├└─]*)(?P<name>\w+Error)\s+(?:exit code )?(?P<code>\d+)")


def drawn() -> dict[str, tuple[str, int]]:
    """Name -> (name of the parent, exit code), read from the picture."""
    found: dict[str, tuple[str, int]] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["branch"])
            above = [entry for entry in above if entry[0] < depth]
            found[match["name"]] = (above[-1][1] if above else "Exception", int(match["code"]))
            above.append((depth, match["name"]))
    return found


def classes() -> dict[str, type[errors.GreywaterError]]:
    return {
        name: thing
        for name, thing in inspect.getmembers(errors, inspect.isclass)
        if issubclass(thing, errors.GreywaterError) and thing.__module__ == errors.__name__
    }


def test_the_picture_is_the_tree() -> None:
    assert drawn() == {name: (kind.__bases__[0].__name__, kind.exit_code) for name, kind in classes().items()}


def test_every_error_is_documented_with_its_exit_code() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = {row[0]: int(row[1]) for row in re.findall(r"^\| `(\w+Error)` \| (\d+) \|", text, flags=re.MULTILINE)}
    assert rows == {name: kind.exit_code for name, kind in classes().items()}


def test_a_message_says_what_where_and_how_to_mend() -> None:
    error = errors.FormatError("no column is named amount", where="a.csv, row 1", mend="name it in a mapping file")
    assert str(error) == "no column is named amount (a.csv, row 1). To mend: name it in a mapping file."
    assert (error.found, error.where, error.mend, error.exit_code) == (
        "no column is named amount",
        "a.csv, row 1",
        "name it in a mapping file",
        3,
    )
