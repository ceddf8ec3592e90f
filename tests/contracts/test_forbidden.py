"""What must not be in the tree: code that runs what it reads, prints, loose ends, machine paths, empty tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.contracts.tree import called, dotted, imports, named, parsed, python_files, tracked

SOURCES = python_files("src")
TESTS = [path for path in python_files("tests") if path.name.startswith("test_")]

#: Modules that run what they read, or that hide what they do.
MODULES_NOT_ALLOWED = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS_NOT_ALLOWED = {"eval", "exec", "compile", "print", "breakpoint", "input"}
ATTRIBUTES_NOT_ALLOWED = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "np.random.seed"}

#: Built from parts, so that this file does not find itself.
PLACES_NOT_ALLOWED = re.compile(
    "|".join(
        [
            r"pypi\.o" + "rg",
            r"files\.python" + "hosted",
            r"deb\.deb" + r"ian\.org",
            r"registry\.npm" + "js",
            r"/wo" + "rk/",
            r"/opt/py" + "pi",
            r"/ro" + "ot/",
            r"/ho" + r"me/[a-z]",
            r"--(extra-)?index" + "-url",
        ]
    )
)
LOOSE_ENDS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")


def test_nothing_read_is_executed_and_nothing_is_printed() -> None:
    found = [f"{named(p)}:{n} imports {m}" for p in SOURCES for n, m in imports(parsed(p)) if m in MODULES_NOT_ALLOWED]
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS_NOT_ALLOWED:
                found.append(f"{named(path)}:{node.lineno} calls {node.func.id}")
            elif isinstance(node, ast.Attribute) and dotted(node) in ATTRIBUTES_NOT_ALLOWED:
                found.append(f"{named(path)}:{node.lineno} uses {dotted(node)}")
            elif isinstance(node, ast.ExceptHandler) and node.type is None:
                found.append(f"{named(path)}:{node.lineno} is a bare except")
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_false(node.value):
                found.append(f"{named(path)}:{node.value.lineno} allows pickle")
    assert not found, "\n".join(found)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_no_machine_and_no_registry_is_named() -> None:
    found = [
        f"{named(path)}:{n}: {line.strip()[:100]}" for path, n, line in _lines() if PLACES_NOT_ALLOWED.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_loose_ends() -> None:
    """Code that is not there yet is not there; it is not promised in a comment."""
    found = [
        f"{named(path)}:{node.lineno} raises NotImplementedError"
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)
    ]
    for path in SOURCES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            comment = line.partition("#")[2]
            if LOOSE_ENDS.search(comment):
                found.append(f"{named(path)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_every_test_asserts_something() -> None:
    silent = []
    for path in TESTS:
        tree = parsed(path)
        bodies = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        asserting = {name for name, node in bodies.items() if _asserts(node)}
        while grown := {n for n, f in bodies.items() if n not in asserting and _calls(f) & asserting}:
            asserting |= grown
        silent += [
            f"{named(path)}:{f.lineno} {n}" for n, f in bodies.items() if n.startswith("test") and n not in asserting
        ]
    assert not silent, "these tests assert nothing:\n" + "\n".join(silent)


def _asserts(function: ast.AST) -> bool:
    """An `assert`, `pytest.raises` or a call of something named `assert...` or imported to check (`check_...`)."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    return any(
        name in {"raises", "warns"} or name.startswith(("assert", "check_", "_assert")) for name in _calls(function)
    )


def _calls(function: ast.AST) -> set[str]:
    return {called(node) for node in ast.walk(function) if isinstance(node, ast.Call)}


def test_tests_are_skipped_only_where_something_is_absent() -> None:
    """No unconditional skip and no expected failure."""
    found = [
        f"{named(path)}:{node.lineno} {dotted(node)}"
        for path in python_files("tests")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and dotted(node) in {"pytest.mark.skip", "pytest.mark.xfail", "pytest.xfail"}
    ]
    assert not found, "\n".join(found)


def _lines() -> list[tuple[Path, int, str]]:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [(path, number, line) for number, line in enumerate(text.splitlines(), 1)]
    return found
