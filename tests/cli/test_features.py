"""The feature store from the command line, from definitions to a vector and a training set made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greywater.app.embedded_features import open_features
from greywater.app.features import create_features
from greywater.cli.features import named
from greywater.config import Settings
from greywater.errors import AccessDeniedError, UsageError
from greywater.featurestore.splits import split_of
from greywater.stores.lock import WriterLock
from greywater.vocab import Actor

DEFINITIONS = """
[[group]]
name = "credit"
version = 1
keys = { customer = "string" }
description = "what the bureau says of a customer"
owner = "risk"
[[group.features]]
name = "score"
dtype = "float64"
unit = "points"
description = "credit score of the bureau"
default = 500.0
[[group.features]]
name = "open_loans"
dtype = "int64"
[[group.rules]]
kind = "range"
feature = "score"
least = 0
most = 1000
action = "quarantine"

[[view]]
name = "risk"
version = 1
label = "laundering"
columns = ["credit:1/score", { request = "amount", dtype = "float64", default = 0.0 }, "credit:1/open_loans"]
"""
ROWS = """customer,event_time,known_time,score,open_loans
c1,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z,700,1
c1,2024-02-01T00:00:00Z,2024-02-01T00:00:00Z,650,2
c2,2024-01-15T00:00:00Z,2024-03-15T00:00:00Z,300,0
c3,2024-01-15T00:00:00Z,2024-01-15T00:00:00Z,5000,0
"""
GROUP = "[[group]]\nname = 'x'\nversion = 1\nkeys = {a = 'string'}\n"
FEATURE = "[[group.features]]\nname = 'f'\ndtype = 'int64'\n"
LABELS = """row_id,customer,event_time,known_since,laundering,amount
r1,c1,2024-01-20T00:00:00Z,2024-02-20T00:00:00Z,0,10
r2,c1,2024-02-20T00:00:00Z,2024-03-20T00:00:00Z,1,20
r3,c2,2024-02-20T00:00:00Z,2024-03-20T00:00:00Z,0,30
r4,c9,2024-02-21T00:00:00Z,2024-03-20T00:00:00Z,1,40
"""


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command on a store of its own and gives its JSON; exit codes other than 0 are raised as SystemExit."""
    from greywater.cli.main import run

    (tmp_path / "features.toml").write_text(DEFINITIONS)
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "labels.csv").write_text(LABELS)

    def call(*words: str) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run([*words, "--store", str(tmp_path / "store"), "--json", "-"])
        out = capsys.readouterr()
        if ended.value.code:
            raise SystemExit(f"{ended.value.code}: {out.err}")
        return json.loads(out.out)

    return call


def begun(said: Callable[..., Any], tmp_path: Path) -> None:
    assert [one["name"] for one in said("features", "create", str(tmp_path / "features.toml"))] == ["credit", "risk"]
    written = said("features", "write", "credit", str(tmp_path / "rows.csv"))
    assert (written["rows"], written["quarantined"], written["commit"]) == (3, 1, 0)


def test_definitions_are_registered_once_and_found(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    said("features", "create", str(tmp_path / "features.toml"))
    assert [(one["kind"], one["name"], one["state"]) for one in said("features", "list")] == [
        ("group", "credit", "active"), ("view", "risk", "active"),
    ]  # fmt: skip
    assert said("features", "describe", "credit")["commits"][0]["rows"] == 3
    assert said("features", "describe", "risk")["columns"][1]["name"] == "amount"
    assert {one["name"] for one in said("features", "search", "bureau score")} >= {"credit"}


def test_the_same_file_writes_nothing_again(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    again = said("features", "write", "credit", str(tmp_path / "rows.csv"))
    assert (again["rows"], again["commit"]) == (0, None)
    (score,) = [one for one in said("features", "stats", "credit")["features"] if one["name"] == "score"]
    assert (score["rows"], score["least"], score["greatest"]) == (3, 300.0, 700.0)


@pytest.mark.parametrize("action", ["reject", "quarantine", "warn"])
def test_the_same_file_is_not_held_against_its_own_rows(said: Callable[..., Any], tmp_path: Path, action: str) -> None:
    rule = f'[[group.rules]]\nkind = "unique"\naction = "{action}"\n'
    old = '[[group.rules]]\nkind = "freshness"\nmost_seconds = 1\naction = "warn"\n'
    (tmp_path / "features.toml").write_text(DEFINITIONS.replace("[[group.rules]]", rule + old + "[[group.rules]]"))
    begun(said, tmp_path)
    again = said("features", "write", "credit", str(tmp_path / "rows.csv"))
    assert (again["rows"], again["quarantined"], again["commit"], again["warnings"]) == (0, 0, None, [])
    (tmp_path / "same.csv").write_text(ROWS + "c9,2024-01-15T00:00:00Z,2024-01-15T00:00:00Z,1,0\n")
    if action == "reject":
        with pytest.raises(SystemExit, match="earlier row"):
            said("features", "write", "credit", str(tmp_path / "same.csv"))
    else:
        told = said("features", "write", "credit", str(tmp_path / "same.csv"))
        assert (told["rows"], told["quarantined"]) == ((1, 4) if action == "quarantine" else (4, 1))
    with open_features(tmp_path / "store", online="memory:") as store:
        assert store.tables is not None
        aside = store.tables.read("quarantined_features")
    assert aside is not None
    assert aside.num_rows == {"reject": 1, "quarantine": 5, "warn": 2}[action]


def test_rows_set_aside_are_shown_with_their_reason(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    (row,) = said("features", "quarantined", "credit")["rows"]
    assert row["quarantine_rule"]
    assert row["quarantine_reason"]
    assert row["customer"] in (tmp_path / "rows.csv").read_text()
    with open_features(tmp_path / "store", online="memory:") as store:
        assert store.set_aside("credit") == [row]


def test_a_vector_is_served_with_the_values_of_the_request(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    assert said("features", "materialize", "risk")["written"] == 2
    found = said("features", "vector", "risk", "customer=c1", "--request", "amount=950")
    assert found["values"] == {"score": 650.0, "amount": 950.0, "open_loans": 2}
    assert said("features", "vector", "risk", "customer=nobody")["values"]["score"] == 500.0


def test_a_second_materialize_at_once_is_refused(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    folder = Settings(store=tmp_path / "store").project_folder
    with WriterLock(folder, name="materialize.lock"), pytest.raises(SystemExit, match="4: "):
        said("features", "materialize", "risk")
    assert said("features", "materialize", "risk")["written"] == 2


def test_what_is_served_is_counted(tmp_path: Path) -> None:
    (tmp_path / "definitions.toml").write_text(DEFINITIONS)
    settings = Settings(store=tmp_path / "bank")
    create_features(Actor(project=settings.project), settings, tmp_path / "definitions.toml")
    with open_features(tmp_path / "bank", online="memory:") as store:
        view = store.online_view("risk")
        view.vectors([{"customer": name} for name in "abc"])
        view.vector({"customer": "a"})
        assert store.note_served() == 4
        view.vector({"customer": "a"})
    with open_features(tmp_path / "bank", read_only=True, online="memory:") as store:
        assert store.usage.vectors("risk", 1) == 5


def test_a_training_set_knows_what_was_known_and_is_made_again(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    made = said(
        "training-set", "make", "risk", str(tmp_path / "labels.csv"), "--name", "spring", "--from", "2024-01-01",
        "--to", "2024-04-01", "--split", "none", "--out", str(tmp_path / "spring"), "--format", "csv",
    )  # fmt: skip
    rows = [line.split(",") for line in (tmp_path / "spring" / "all.csv").read_text().splitlines()]
    score = rows[0].index("score")
    assert {row[0]: row[score] for row in rows[1:]} == {"r1": "700", "r2": "650", "r3": "500", "r4": "500"}
    (tmp_path / "late.csv").write_text(ROWS.splitlines()[0] + "\nc9,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z,1,1\n")
    said("features", "write", "credit", str(tmp_path / "late.csv"))
    again = said("training-set", "remake", "spring", str(tmp_path / "labels.csv"), "--out", str(tmp_path / "again"))
    assert again["sha256"] == made["sha256"]
    assert [one["name"] for one in said("training-set", "list")] == ["spring"]
    nodes = said("features", "lineage", "training_set", "spring@1")
    assert "credit@1#0" in json.dumps(nodes)
    assert "rows.csv" in json.dumps(nodes)


def test_a_set_that_is_made_already_leaves_no_folder(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    words = ("--name", "spring", "--from", "2024-01-01", "--to", "2024-04-01", "--split", "none", "--slice", "customer")
    made = said("training-set", "make", "risk", str(tmp_path / "labels.csv"), *words, "--out", str(tmp_path / "one"))
    assert "no positive rows where customer is c2" in made["warnings"]
    with pytest.raises(SystemExit, match="made already"):
        said("training-set", "make", "risk", str(tmp_path / "labels.csv"), *words, "--out", str(tmp_path / "two"))
    assert not (tmp_path / "two").exists()


def test_words_of_a_file_are_themselves_and_times_without_a_zone_are_utc(
    said: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "words.toml").write_text(
        """
[[group]]
name = "place"
version = 1
keys = { country = "string", branch = "int64" }
[[group.features]]
name = "code"
dtype = "string"
[[group.features]]
name = "share"
dtype = "float64"
[[view]]
name = "places"
version = 1
label = "y"
columns = ["place:1/code", "place:1/share"]
joins = { place = ["of_country", "of_branch"] }
"""
    )
    said("features", "create", str(tmp_path / "words.toml"))
    (tmp_path / "place.csv").write_text(
        'country,branch,event_time,code,share\nNA,007,2024-01-31,null,\n001,7,2024-01-31 02:00,"",inf\n'
    )
    assert said("features", "write", "place", str(tmp_path / "place.csv"))["rows"] == 2
    assert said("features", "materialize", "places")["written"] == 2
    served = said("features", "vector", "places", "of_country=NA", "of_branch=7")
    assert served["values"] == {"code": "null", "share": None}
    served = said("features", "vector", "places", "of_country=001", "of_branch=7")
    assert served["values"] == {"code": "", "share": "inf"}
    with pytest.raises(SystemExit, match="no key 'branch'"):
        said("features", "vector", "places", "of_country=001", "of_branch=7", "branch=7")
    (tmp_path / "rows_of_labels.csv").write_text(
        "row_id,of_country,of_branch,event_time,y,known_since\n1,001,7,2024-02-01,1,2024-02-02\n"
    )
    made = ("--name", "p", "--from", "2024-01-01", "--to", "2024-04-01", "--split", "none", "--format", "csv")
    said("training-set", "make", "places", str(tmp_path / "rows_of_labels.csv"), *made, "--out", str(tmp_path / "p"))
    assert (tmp_path / "p" / "all.csv").read_text().splitlines()[1].endswith(',1,"",inf')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("customer,event_time,score,open_loans\nc1,soon,1,1\n", "'soon' is no moment"),
        ("customer,event_time,score,open_loans,score\nc1,2024-01-01,1,1,2\n", "two columns are called 'score'"),
        ("customer,event_time,score,open_loans\nc1,2024-01-01,much,1\n", "cannot be read"),
        ("customer,event_time,score\nc1,2024-01-01,1\n", "open_loans are missing"),
    ],
)
def test_rows_that_cannot_be_read_say_why(said: Callable[..., Any], tmp_path: Path, text: str, told: str) -> None:
    begun(said, tmp_path)
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(SystemExit, match=told):
        said("features", "write", "credit", str(tmp_path / "bad.csv"))


def test_protected_attributes_go_into_views_where_the_project_allows_it(tmp_path: Path) -> None:
    (tmp_path / "features.toml").write_text(DEFINITIONS.replace("default = 500.0", "default = 500.0\nprotected = true"))
    settings = Settings(store=tmp_path / "store")
    actor = Actor(project=settings.project)
    with pytest.raises(UsageError, match="protected"):
        create_features(actor, settings, tmp_path / "features.toml")
    create_features(actor, settings.with_(allow_protected=True), tmp_path / "features.toml")


def test_a_model_is_bound_to_its_view_and_its_alerts_lead_back_to_the_file(
    said: Callable[..., Any], tmp_path: Path
) -> None:
    begun(said, tmp_path)
    said(
        "training-set", "make", "risk", str(tmp_path / "labels.csv"), "--name", "spring", "--from", "2024-01-01",
        "--to", "2024-04-01", "--split", "none", "--out", str(tmp_path / "spring"),
    )  # fmt: skip
    words = ("--team", "monitoring", "--training-set", "spring")
    with pytest.raises(SystemExit, match="keeps no model 'boosted-7'"):
        said("features", "bind", "risk", "boosted-7", *words)
    with pytest.raises(SystemExit, match="no training set 'autumn' of view risk@1"):
        said("features", "bind", "risk", "boosted-7", "--fingerprint", "ab12", "--training-set", "autumn")
    assert said("features", "bind", "risk", "boosted-7", "--fingerprint", "ab12", *words)["fingerprint"] == "ab12"
    kept = Settings(store=tmp_path / "store").project_folder / "models" / "hybrid-9"
    kept.mkdir(parents=True)
    (kept / "detector.json").write_text("{}")
    assert len(said("features", "bind", "risk@1", "hybrid-9")["fingerprint"]) == 64
    used = {one["feature"]: one for one in said("features", "usage")["by_feature"]}
    assert (used["score"]["models"], used["score"]["teams"]) == (["boosted-7", "hybrid-9"], ["monitoring"])
    nodes = [one["name"] for one in said("features", "lineage", "model", "boosted-7")["nodes"]]
    assert nodes[0].startswith("rows.csv ")
    assert nodes[1:] == ["credit@1#0", "risk@1", "spring@1", "boosted-7"]


def test_drift_of_an_empty_window_is_refused(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    with pytest.raises(SystemExit, match="is empty"):
        said("features", "drift", "credit", "--reference", "2024-02-01..2024-01-01", "--live", "2024-02-01..2024-03-01")


def test_drift_is_measured_between_two_windows(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    report = said(
        "features", "drift", "credit", "--reference", "2024-01-01..2024-01-31", "--live", "2024-02-01..2024-03-01"
    )
    assert {row["feature"] for row in report["rows"]} == {"score", "open_loans"}


def test_drift_of_what_came_since_a_training_set(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    said(
        "training-set", "make", "risk", str(tmp_path / "labels.csv"), "--name", "spring", "--from", "2024-01-01",
        "--to", "2024-04-01", "--split", "none", "--out", str(tmp_path / "spring"),
    )  # fmt: skip
    later = "".join(f"d{k},2024-06-01T00:00:00Z,2024-06-01T00:00:00Z,{k},1\n" for k in range(200))
    (tmp_path / "later.csv").write_text(ROWS.splitlines()[0] + "\n" + later)
    said("features", "write", "credit", str(tmp_path / "later.csv"))
    words = ("features", "drift", "--training-set", str(tmp_path / "spring"), "--live", "2024-06-01..2024-07-01")
    report = said(*words)
    assert (report["reference"], report["reference_rows"], report["live_rows"]) == ("training set spring@1", 4, 200)
    (moved,) = [row for row in report["rows"] if row["measure"] == "wasserstein" and row["feature"] == "score"]
    assert (moved["alert"], report["left_out"]) == (True, ["amount"])
    with open_features(tmp_path / "store", read_only=True, online="memory:") as store:
        kept = store.records.drift.rows("view:risk@1", alerts_only=True)
    assert ("score", "wasserstein") in {(one.feature, one.measure) for one in kept}
    with pytest.raises(SystemExit, match="not said what is compared"):
        said(*words, "--reference", "2024-06-01..2024-07-01", "credit")
    with pytest.raises(SystemExit, match="not said what is compared"):
        said("features", "drift", "credit", "--live", "2024-06-01..2024-07-01")


def test_what_is_retired_is_refused_for_new_views(said: Callable[..., Any], tmp_path: Path) -> None:
    begun(said, tmp_path)
    said("features", "state", "credit@1", "deprecated")
    said("features", "state", "credit@1", "retired")
    (tmp_path / "second.toml").write_text('[[view]]\nname = "second"\nversion = 1\ncolumns = ["credit:1/score"]\n')
    with pytest.raises(SystemExit, match="retired"):
        said("features", "create", str(tmp_path / "second.toml"))
    assert "days_saved" in json.dumps(said("features", "usage"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("group = 1", "list of tables"),
        ("[[view]]\nname = 'v'\nversion = 1\ncolumns = 'abc'", "columns is no list"),
        ("[[view]]\nname = 'v'\nversion = 1\ncolumns = []\njoins = { credit = 'ab' }", "the join of credit"),
        ("[[group]]\nname = 'x'\nkeys = {a = 'string'}\ntags = 'abc'", "tags is no list"),
        (GROUP + "ttl_seconds = -1\n" + FEATURE, "ttl_seconds is -1"),
        (GROUP + FEATURE + "default = 'much'", "the default 'much' is no int64"),
        (GROUP + FEATURE + "state = 'new'", "no state 'new'"),
        (GROUP + FEATURE + "online = 'maybe'", "online is 'maybe'"),
        (GROUP.replace("1", "'one'") + FEATURE, "version 'one'"),
        ("[[group]]\nname = 'x'", "keys are missing"),
        ("[[group]]\nname = 'x'\nversion = 1\nkeys = {a = 'string'}\nfoo = 1", "foo means nothing"),
        ("[[view]]\nname = 'v'\nversion = 1\ncolumns = ['credit/score']", "names no feature"),
        ("[[view]", "no TOML"),
        ("", "nothing is defined"),
        ("[[group]]\nname = 'x'\nkeys = {a = 'string'}\n[[group.features]]\nname='f'\ndtype='int64'", "version"),
    ],
)
def test_a_definition_that_cannot_be_read_says_where(
    said: Callable[..., Any], tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(SystemExit, match=told):
        said("features", "create", str(tmp_path / "bad.toml"))


def test_who_may_not_write_features_makes_no_project(tmp_path: Path) -> None:
    (tmp_path / "features.toml").write_text(DEFINITIONS)
    settings = Settings(store=tmp_path / "store")
    with pytest.raises(AccessDeniedError):
        create_features(Actor(role="investigator"), settings, tmp_path / "features.toml")
    assert not settings.store.exists()


def test_words_that_name_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="names no version"):
        named("credit@new")
    with pytest.raises(UsageError, match="no split"):
        split_of("weekly:0.1,0.2,0.7", 0)
    with pytest.raises(UsageError, match="three shares"):
        split_of("time:0.5", 0)
