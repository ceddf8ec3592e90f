"""`greywater synth report` as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.app.test_fidelity import files
from tests.synth.alert_sets import made_alerts


def test_on_the_command_line(greywater: Callable[..., Any], tmp_path: Path) -> None:
    sets = {
        name: files(tmp_path / name, made_alerts(200, 30, seed))
        for name, seed in (("real", 1), ("made", 2), ("holdout", 3))
    }
    said = greywater(
        "synth", "report", *sets["real"], *sets["made"], "--holdout", *sets["holdout"], "--models", "lightgbm",
        "--seeds", 1, "--html", "report.html", "--json", "report.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "closer to train" in said.out
    assert json.loads((tmp_path / "report.json").read_text())["measures"]["privacy"]
    assert "<h1>Fidelity and privacy" in (tmp_path / "report.html").read_text()
    assert greywater("synth", "report", *sets["real"], "missing.csv", "missing.csv").code == 3
    assert greywater("synth", "report", *sets["real"], *sets["made"], "--html", "nowhere/x.html").code == 2
