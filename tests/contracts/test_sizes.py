"""Sizes and names: short files, short functions, small classes, rooms named after what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contracts.tree import named, parsed, python_files, room, tracked

MOST_LINES_IN_A_FILE = 500
MOST_LINES_IN_A_FUNCTION = 60
MOST_LINES_IN_A_KERNEL = 120
MOST_PUBLIC_METHODS = 15
NAMES_THAT_SAY_NOTHING = {"utils", "util", "misc", "core", "common", "helpers", "helper"}

EVERY_FILE = python_files("src", "tests", "benchmarks")
HAND_WRITTEN = {".py", ".js", ".css", ".sh", ".html"}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without docstring and parameters (the options of a command are its documentation)."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or function.lineno) - body[0].lineno + 1 if body else 0


def test_files_are_short() -> None:
    long = {
        named(path): lines
        for path in tracked()
        if path.suffix in HAND_WRITTEN and (lines := len(path.read_bytes().splitlines())) > MOST_LINES_IN_A_FILE
    }
    assert not long, f"more than {MOST_LINES_IN_A_FILE} lines: {long}"


def test_functions_are_short() -> None:
    long = [
        f"{named(path)}:{function.lineno} {function.name} has {length(function)} lines"
        for path in EVERY_FILE
        for function in functions(path)
        if length(function) > (MOST_LINES_IN_A_KERNEL if "kernels/" in named(path) else MOST_LINES_IN_A_FUNCTION)
    ]
    assert not long, "\n".join(long)


def test_classes_are_small() -> None:
    large = []
    for path in python_files("src"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                methods = [f for f in node.body if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)]
                public = {method.name for method in methods if not method.name.startswith("_")}
                if len(public) > MOST_PUBLIC_METHODS:
                    large.append(f"{named(path)}:{node.lineno} {node.name} has {len(public)} public methods")
    assert not large, "\n".join(large)


def test_modules_are_named_after_what_they_hold() -> None:
    vague = [
        named(path)
        for path in EVERY_FILE
        if NAMES_THAT_SAY_NOTHING & {part.removesuffix(".py").strip("_") for part in named(path).split("/")}
    ]
    assert not vague, f"name these after what they hold: {vague}"


def test_every_file_says_its_purpose_first() -> None:
    """The first line of every file with code in it is a docstring of one sentence."""
    silent = [
        named(path)
        for path in EVERY_FILE
        if path.stat().st_size and not path.read_text(encoding="utf-8").lstrip("r").startswith('"""')
    ]
    assert not silent, f"no docstring on the first line of {silent}"


def test_every_room_says_its_purpose() -> None:
    silent = [room(path) for path in python_files("src") if not (ast.get_docstring(parsed(path)) or "").strip()]
    assert not silent, f"no docstring in {silent}"
