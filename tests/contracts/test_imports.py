"""What may be imported where: the floors, the homes of the large libraries, declared dependencies only."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.contracts.tree import ROOT, imports, named, parsed, python_files, room

#: A library and the only places that import it (regular expressions on the path inside src/greywater).
HOMES_OF_LIBRARIES = {
    "numba": r"kernels/",
    "llvmlite": r"kernels/",
    "duckdb": r"stores/",
    "deltalake": r"stores/",
    "lmdb": r"stores/",
    "pyspark": r"stores/|pipeline/cluster",
    "pysail": r"stores/",
    "valkey": r"stores/",
    "redis": r"stores/",
    "confluent_kafka": r"stores/",
    "sqlalchemy": r"stores/",
    "alembic": r"stores/",
    "psycopg": r"stores/",
    "fsspec": r"stores/",
    "s3fs": r"stores/",
    "torch": r"detectors/adversarial",
    "lightgbm": r"detectors/",
    "sklearn": r"detectors/|features/transformer",
    "xgboost": r"detectors/",
    "pyod": r"detectors/",
    "optuna": r"detectors/",
    "onnx": r"detectors/onnx",
    "onnxruntime": r"detectors/onnx",
    "litestar": r"web/",
    "uvicorn": r"web/|cli/",
    "jinja2": r"web/",
    "typer": r"cli/",
    "click": r"cli/",
    "rich": r"cli/",
}

#: Where the import name is not the distribution's name.
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "confluent_kafka": "confluent-kafka",
    "argon2": "argon2-cffi",
    "click": "typer",
    "llvmlite": "numba",
    "scipy": "scikit-learn",
    "threadpoolctl": "scikit-learn",
    "mlflow": "mlflow-skinny",
}

SOURCES = python_files("src")


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    return {re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0].lower() for line in wanted}


def test_every_large_library_stays_in_its_room() -> None:
    strays = [
        f"{named(path)}:{line} imports {name}; only {home} may"
        for path in SOURCES
        for line, name in imports(parsed(path))
        if (home := HOMES_OF_LIBRARIES.get(name.split(".")[0])) and not re.match(home, room(path))
    ]
    assert not strays, "\n".join(strays)


def test_only_declared_dependencies_are_imported() -> None:
    known = declared()
    strays = [
        f"{named(path)}:{line} imports {name}, which pyproject.toml does not declare"
        for path in SOURCES
        for line, name in imports(parsed(path))
        if not name.startswith(".")
        and (top := name.split(".")[0]) not in sys.stdlib_module_names | {"greywater"}
        and DISTRIBUTIONS.get(top, top).replace("_", "-").lower() not in known
    ]
    assert not strays, "\n".join(strays)


def test_no_room_goes_through_the_public_face() -> None:
    """`from greywater import x` inside the package would hide which floor is meant."""
    strays = [
        f"{named(path)}:{line} imports the public face"
        for path in SOURCES
        for line, name in imports(parsed(path))
        if name == "greywater"
    ]
    assert not strays, "\n".join(strays)


def test_imports_are_absolute() -> None:
    strays = [f"{named(p)}:{line}" for p in SOURCES for line, name in imports(parsed(p)) if name.startswith(".")]
    assert not strays, f"relative imports at {strays}"


@pytest.mark.slow
def test_the_floors_hold() -> None:
    """The contracts of [tool.importlinter] in pyproject.toml, as `lint-imports` reads them."""
    code = "from importlinter.cli import lint_imports_command as command; command(['--no-cache', '--no-logo'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
