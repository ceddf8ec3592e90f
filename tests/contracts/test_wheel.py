"""The wheel holds the package whole and nothing else, and the lock is plain and covers what is declared."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.contracts.tree import ROOT, SOURCE, tracked

LOCK_LINE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*==[0-9][A-Za-z0-9.]*$")


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    package = {name for name in held if ".dist-info/" not in name}
    assert package == {path.relative_to(SOURCE.parent).as_posix() for path in tracked() if SOURCE in path.parents}
    assert "greywater/py.typed" in package
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not [name for name in held if re.search(r"(^|/)(tests?|benchmarks?|docs|scripts)/", name)]


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    odd = [line for line in lines if not LOCK_LINE.match(line)]
    assert not odd, f"the lock is name==version and nothing else: {odd}"
    assert lines == sorted(lines)
    return dict(line.split("==") for line in lines)


def test_the_lock_is_plain_and_covers_every_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0].lower() for line in declared} - {"greywater"}
    assert names <= set(locked()), f"not in requirements.lock: {sorted(names - set(locked()))}"
    assert locked()["torch"] == "2.13.0"


def test_all_names_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(re.findall(r"[a-z]+", everything.partition("[")[2])) == set(extras) - {"all", "dev"}


def test_the_scripts_are_executable() -> None:
    for name in ("scripts/run", "scripts/test", "scripts/check", "scripts/bench", ".ci/run"):
        path = ROOT / name
        assert path.stat().st_mode & 0o111, f"{name} is not executable"
        assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
