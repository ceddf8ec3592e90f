"""A pipeline's file: what is read, and what is refused before anything runs, with place and mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from greywater.app.pipeline_file import Pipeline, read_pipeline
from greywater.app.pipeline_tables import STEPS
from greywater.config import Settings
from greywater.errors import FormatError, GreywaterError, UsageError

HEAD = '[pipeline]\nname = "monthly"\n'


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Pipeline]:
    def read(text: str) -> Pipeline:
        path = tmp_path / "monthly.toml"
        path.write_text(text)
        return read_pipeline(path)

    return read


def test_all_steps_with_their_defaults(read: Callable[[str], Pipeline]) -> None:
    pipeline = read(HEAD + "".join(f"[{step}]\n" for step in STEPS))
    assert list(pipeline.steps) == list(STEPS)
    assert pipeline.schedule.cron == "@daily"
    assert pipeline.steps["backfill"].parameters()["known_time"] == "event_time"
    settings = Settings(store=Path("elsewhere"))
    assert pipeline.settled(settings) == settings


def test_the_command_wins_over_the_file_and_the_file_over_the_environment(
    read: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    pipeline = read(
        '[pipeline]\nname = "m"\nstore = "bank"\nproject = "p"\n[settings]\nseed = 3\nwindows = [60, 120]\n'
        "cost_missed = 5\n[train]\n"
    )
    settled = pipeline.settled(Settings.from_environment({"GREYWATER_SEED": "9", "GREYWATER_STORE": "other"}))
    assert (settled.store, settled.project, settled.seed) == (tmp_path / "bank", "p", 3)
    assert (settled.windows, settled.cost_missed) == ((60, 120), 5.0)
    assert pipeline.settled(Settings(), Path("here"), "q").store == Path("here")
    assert pipeline.settled(Settings(), None, "q").project == "q"


def test_what_is_tuned_is_what_is_trained(read: Callable[[str], Pipeline]) -> None:
    for text in ("[tune]\ndetector = 'pca'\n[train]\n", "[tune]\n[train]\ndetector = 'pca'\n"):
        steps = read(HEAD + text).steps
        assert {steps[name].parameters()["detector"] for name in steps} == {"pca"}


def test_dates_may_be_dates_of_toml(read: Callable[[str], Pipeline]) -> None:
    pipeline = read(HEAD + "[schedule]\nstart = 2024-03-01\n[backfill]\nfrom = 2024-01-01\nto = 2024-02-01T12:00:00Z\n")
    assert pipeline.schedule.start == "2024-03-01"
    assert pipeline.steps["backfill"].parameters()["from"] == "2024-01-01"


@pytest.mark.parametrize(
    ("text", "kind", "found", "where"),
    [
        ("[train\n", FormatError, "no TOML", "monthly.toml"),
        ("[train]\n", FormatError, "[pipeline] is missing", "monthly.toml"),
        ("[pipeline]\n[train]\n", FormatError, "required field `name`", "[pipeline]"),
        ('[pipeline]\nname = "No"\n[train]\n', UsageError, "cannot be the name", "[pipeline], name"),
        (HEAD, UsageError, "no step is declared", "monthly.toml"),
        (HEAD + "[tarin]\n", FormatError, "tarin means nothing", "monthly.toml"),
        (HEAD + "[[train]]\n", FormatError, "list of tables", "[train]"),
        (HEAD + "[train]\nwhole_thing = true\n", FormatError, "`whole_thing`", "[train]"),
        (HEAD + '[train]\nwhole = "yes"\n', FormatError, "expected `bool`", "[train], whole"),
        (HEAD + '[train]\ndetector = "magic"\n', UsageError, "no detector is named 'magic'", "[train], detector"),
        (HEAD + "[train]\n[backfill]\n", UsageError, "the steps stand as train, backfill", "monthly.toml"),
        (HEAD + "[evaluate]\n", UsageError, "evaluate needs train", "[evaluate]"),
        (HEAD + "[validate]\n[train]\n", UsageError, "validate needs backfill", "[validate]"),
        (HEAD + "[train]\nwhole = true\n[evaluate]\n", UsageError, "nothing left to be judged", "[train]"),
        (HEAD + "[tune]\n[train]\nwhole = true\n[propose]\n", UsageError, "nothing left to be judged", "[train]"),
        (HEAD + "[train]\n[tune]\n", UsageError, "the steps stand as train, tune", "monthly.toml"),
        (HEAD + "[tune]\ntrials = 0\n[train]\n", UsageError, "trials is 0", "[tune], trials"),
        (HEAD + "[tune]\nmoney = 3\n[train]\n", UsageError, "needs a price", "[tune], money"),
        (
            HEAD + "[tune]\ndetector = 'pca'\n[train]\ndetector = 'knn'\n", UsageError, "another trained",
            "[tune], [train]",
        ),
        (HEAD + "[train]\n[evaluate]\nbudget = '0/day'\n", UsageError, "budget", "[evaluate], budget"),
        (HEAD + "[train]\n[evaluate.least]\nluck = 0.5\n", UsageError, "luck = 0.5", "[evaluate], least"),
        (HEAD + "[train]\n[evaluate]\nresamples = 0\n", UsageError, "0 resamples", "[evaluate], resamples"),
        (HEAD + "[backfill]\nfrom = 'soon'\n", UsageError, "'soon' is no date", "[backfill], from"),
        (HEAD + "[backfill]\nfrom = 2024-02-01\nto = 2024-01-01\n", UsageError, "range is empty", "[backfill]"),
        (HEAD + "[backfill]\nengine = 'abacus'\n", FormatError, "abacus", "[backfill], engine"),
        (HEAD + "[backfill]\n[[validate.rules]]\nkind = 'odd'\n", FormatError, "odd", "[validate], rules[0].kind"),
        (HEAD + "[backfill]\n[training_set]\nsplit = 'weekly'\n", UsageError, "no split", "[training_set]"),
        (HEAD + "[backfill]\n[training_set]\nlabels = 'gone.csv'\n", UsageError, "no file", "[training_set], gone.csv"),
        (
            HEAD + "[backfill]\n[training_set]\nview = 'v'\ncolumns = ['a.b']\n", UsageError, "columns would make one",
            "[training_set], view, columns",
        ),
        (
            HEAD + "[backfill]\n[validate.drift]\nreference = '2024-01-01'\nlive = '2024-01-01..2024-02-01'\n",
            UsageError, "no window of time", "[validate], reference",
        ),
        (HEAD + "[schedule]\ncron = 'now'\n[train]\n", UsageError, "no schedule", "[schedule], cron"),
        (HEAD + "[settings]\nsede = 3\n[train]\n", FormatError, "no setting 'sede'", "[settings]"),
        (HEAD + "[settings]\nstore = 'x'\n[train]\n", FormatError, "no setting 'store'", "[settings]"),
        (HEAD + "[settings]\nseed = 'x'\n[train]\n", FormatError, "seed: expected `int`", "[settings]"),
        (HEAD + "[settings]\nfeatures = 'all'\n[train]\n", UsageError, "no set of features", "[settings]"),
    ],
)  # fmt: skip
def test_refused_with_place_and_mend(
    read: Callable[[str], Pipeline], text: str, kind: type[GreywaterError], found: str, where: str
) -> None:
    with pytest.raises(kind) as refused:
        read(text)
    assert found in refused.value.found
    assert where in refused.value.where
    assert refused.value.mend


def test_a_step_that_is_not_there(read: Callable[[str], Pipeline]) -> None:
    pipeline = read(HEAD + "[backfill]\n[training_set]\n")
    assert pipeline.step("Training-Set", "--from") == "training_set"
    with pytest.raises(UsageError, match="has no step 'train'"):
        pipeline.step("train", "--from")
    with pytest.raises(UsageError, match="there is no step 'tarin'"):
        pipeline.step("tarin", "--only")
