"""`greywater pipeline`: the example of its page runs, and what is wrong ends with place, mend and the right code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import greywater as gw
from tests.cli.conftest import Said

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pipelines.md"


def example() -> str:
    """The file that docs/pipelines.md shows."""
    found = re.search(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def bank(greywater: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    gw.make_world(tmp_path / "world", accounts=300, payments=1_500, days=30, seed=3)
    world = tmp_path / "world"
    said = greywater("ingest", world / "payments.csv", "--labels", world / "labels.csv", "--store", "bank")
    assert said.code == 0, said.err
    return tmp_path


def test_the_example_of_the_page_runs(greywater: Callable[..., Said], bank: Path) -> None:
    (bank / "monthly.toml").write_text(example())
    said = greywater("pipeline", "check", "monthly.toml")
    assert said.code == 0, said.err
    assert said.out.count("would run") == 7 + 1  # and once in the title

    said = greywater("pipeline", "run", "monthly.toml", "--json", "told.json")
    assert said.code == 0, said.err
    told = json.loads((bank / "told.json").read_text())
    assert [one["state"] for one in told["steps"]] == ["done"] * 7
    assert (bank / "card.md").read_text().startswith("# ")
    for line in ("backfill", "1,500 rows", "3 trials", "average precision", "against no champion"):
        assert line in said.out
    assert "step 5 of 7: train" in said.err

    said = greywater("pipeline", "run", bank / "monthly.toml", "--json", "-")
    assert said.code == 0, said.err
    assert [one["state"] for one in json.loads(said.out)["steps"]] == ["stands"] * 7

    (bank / "monthly.toml").write_text(example().replace("roc_auc = 0.5", "roc_auc = 1.0"))
    said = greywater("pipeline", "run", "monthly.toml")
    assert said.code == 6
    assert "FAILED" in said.out
    assert "below the 1 asked for" in said.err
    assert "step evaluate" in said.err


@pytest.mark.parametrize(
    ("text", "words", "code", "found"),
    [
        ("[pipeline]\nname = 'm'\n[tarin]\n", (), 3, "tarin means nothing here"),
        ("[pipeline]\nname = 'm'\n[evaluate]\n", (), 2, "evaluate needs train"),
        ("[pipeline]\nname = 'm'\n[train]\n", ("--from", "tarin"), 2, "there is no step 'tarin'"),
        ("[pipeline]\nname = 'm'\n[train]\n", ("--from", "train", "--only", "train"), 2, "both given"),
        ("[pipeline]\nname = 'm'\n[train]\n", ("--store", "nowhere"), 4, "there is no project"),
    ],
)
def test_what_is_wrong(
    greywater: Callable[..., Said], tmp_path: Path, text: str, words: tuple[str, ...], code: int, found: str
) -> None:
    (tmp_path / "m.toml").write_text(text)
    for command in ("run", "check"):
        said = greywater("pipeline", command, "m.toml", *words)
        assert said.code == code, said.err
        assert found in said.err
        assert "to mend:" in said.err
        assert said.out == ""


def test_a_file_that_is_not_there(greywater: Callable[..., Said]) -> None:
    said = greywater("pipeline", "run", "gone.toml")
    assert said.code == 3
    assert "the file cannot be read" in said.err


def test_a_dag_is_written(greywater: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "monthly.toml").write_text(example())
    said = greywater("pipeline", "export", "monthly.toml", "--airflow", "dag.py", "--store", "bank", "--json", "-")
    assert said.code == 0, said.err
    page = (tmp_path / "dag.py").read_text()
    compile(page, "dag.py", "exec")
    for step in json.loads(said.out)["steps"]:
        assert f"--only {step} --store {tmp_path / 'bank'}" in page
    assert greywater("pipeline", "export", "monthly.toml", "--airflow", "dag.txt").code == 2
    assert greywater("pipeline", "export", "monthly.toml", "--airflow", "no/dag.py").code == 2
