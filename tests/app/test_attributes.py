"""Attributes in a project: recorded once, settled for good, joined into the main job, protected ones kept out of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import greywater as gw
from greywater.app.attributes import open_attributes
from greywater.app.check import check
from greywater.app.ingest import IngestRequest
from greywater.app.joining import JoinedColumns
from greywater.app.run import RunRequest
from greywater.app.run import run as do_the_job
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.desk.reasons import Payment, ReasonWriter
from greywater.errors import FormatError, InputError, UsageError
from greywater.features.attributes import attribute_features
from greywater.formats.attributes import read_attributes
from greywater.vocab import Actor, FeatureBlock

PAYMENTS = [
    ["p1", "2024-01-01", "A", "B", "1", "USD"],
    ["p2", "2024-01-20", "B", "C", "1", "USD"],
    ["p3", "2024-02-05", "C", "A", "1", "USD"],
]
HEADER = ("customer", "account", "known_since", "credit_score", "segment", "sanctioned", "protected:age")
ROWS = [
    ("", "A", "2024-01-02", "612", "retail", "0", "44"),
    ("", "B", "2024-01-19", "", "private", "yes", ""),
    ("", "B", "2024-01-25", "700.5", "retail", "maybe", "31"),
    ("", "", "2024-01-25", "1", "retail", "0", "31"),
    ("", "C", "someday", "1", "retail", "0", "31"),
    ("c1", "", "", "9", "", "", ""),
]


def held(desk: Any, name: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in desk.table(name)]


def test_what_is_recorded(desk: Any) -> None:
    file = desk.file("attributes.csv", ROWS, HEADER)
    result = desk.ingest(desk.file("a.csv", PAYMENTS), attributes=file)
    (outcome,) = result.records
    assert (outcome.table, outcome.rows, outcome.rejected, outcome.undated) == ("attributes", 10, 3, 1)
    assert any("1 values carry no date" in warning for warning in result.warnings)
    assert held(desk, "attribute_names", "name", "kind", "protected") == [
        ("credit_score", "number", False), ("segment", "text", False), ("sanctioned", "flag", False),
        ("age", "number", True),
    ]  # fmt: skip
    assert held(desk, "attribute_words", "name", "code", "word") == [
        ("segment", 0, "retail"),
        ("segment", 1, "private"),
    ]
    assert {(row["row"], row["column"], row["reason"]) for row in desk.table("rejected")} == {
        (3, "sanctioned", "flag_unreadable"), (4, "account", "account_missing"), (5, "known_since", "time_unreadable"),
    }  # fmt: skip
    scores = [row for row in desk.table("attributes") if row["name"] == "credit_score"]
    assert [(row["account"], row["customer"], row["number"], row["after_seq"]) for row in scores] == [
        ("A", None, 612.0, 0), ("B", None, 700.5, 1), (None, "c1", 9.0, 2),
    ]  # fmt: skip
    assert scores[2]["known_since"] == datetime(2024, 2, 5, tzinfo=UTC)
    before = desk.state(), desk.table("attributes")
    assert desk.ingest(attributes=file).records[0].known
    assert (desk.state(), desk.table("attributes")) == before
    assert check(Actor(), desk.settings).findings == ()


def test_kinds_and_codes_are_settled_for_good(desk: Any) -> None:
    columns = ("account", "known_since", "segment", "height")
    desk.ingest(
        desk.file("a.csv", PAYMENTS),
        attributes=desk.file("1.csv", [("A", "2024-01-01", "x", "1.5"), ("B", "2024-01-01", "y", "2")], columns),
    )
    second = desk.file("2.csv", [("A", "2024-01-03", "z", "tall"), ("B", "2024-01-03", "x", "3")], columns)
    (outcome,) = desk.ingest(attributes=second).records
    assert outcome.rejected == 1
    assert held(desk, "attribute_words", "code", "word") == [(0, "x"), (1, "y"), (2, "z")]
    codes = [row["code"] for row in desk.table("attributes") if row["name"] == "segment"]
    assert codes == [0, 1, 2, 0]
    assert desk.table("rejected")[0]["reason"] == "number_unreadable"


def test_protection_stays_once_it_is_given(desk: Any) -> None:
    columns = ("customer", "known_since", "origin", "segment")
    file = desk.file("1.csv", [("c1", "2024-01-01", "north", "a")], columns)
    desk.ingest(attributes=file)
    with open_project(desk.settings, Actor()) as project:
        assert _names(open_attributes(project.tables)) == ["origin", "segment"]
        assert open_attributes(project.tables, "protected") is None
    desk.ingest(attributes=file, protected=("Origin",))
    desk.ingest(attributes=desk.file("2.csv", [("c1", "2024-01-02", "south", "a")], columns))
    with open_project(desk.settings, Actor()) as project:
        assert _names(open_attributes(project.tables)) == ["segment"]
        assert _names(open_attributes(project.tables, "protected")) == ["origin"]
        assert _names(open_attributes(project.tables, "all")) == ["origin", "segment"]
        assert _names(open_attributes(project.tables, "all", only={"origin"})) == ["origin"]
    assert len(desk.table("attributes")) == 4


def _names(join: Any) -> list[str]:
    return [attribute.name for attribute in join.attributes]


def test_what_cannot_be_used_is_said(desk: Any) -> None:
    payments = desk.file("a.csv", PAYMENTS)
    with pytest.raises(UsageError, match="marked as protected where they are given"):
        desk.ingest(payments, protected=("age",))
    file = desk.file("1.csv", [("A", "1")], ("account", "segment"))
    with pytest.raises(UsageError, match="has no attribute 'age'; it has segment"):
        desk.ingest(payments, attributes=file, protected=("age",))
    with pytest.raises(FormatError, match="no attribute in the file"):
        read_attributes(desk.file("2.csv", [("A", "2024-01-01")], ("account", "known_since")))
    with pytest.raises(FormatError, match="needs the column account"):
        read_attributes(desk.file("3.csv", [("A", "2024-01-01")], ("segment", "known_since")))
    with pytest.raises(FormatError, match="no attribute of its own"):
        read_attributes(desk.file("4.csv", [("A", "1", "2")], ("account", "Segment", "segment ")))
    with pytest.raises(InputError):
        read_attributes(desk.folder / "none.csv")
    assert desk.settings.store.exists() is False


def test_columns_go_beside_the_features_block_by_block(desk: Any) -> None:
    desk.ingest(desk.file("a.csv", PAYMENTS), attributes=desk.file("attributes.csv", ROWS, HEADER))
    came: list[FeatureBlock] = []
    with open_project(desk.settings, Actor()) as project:
        join = open_attributes(project.tables)
        assert join is not None
        beside = JoinedColumns([join], came.append)
        for batch in project.ledger.scan(["seq", "event_time", "sender", "receiver"], batch_rows=2):
            beside.watch(batch)
        for begin, rows in ((0, 2), (2, 1)):
            seq = pa.array(range(begin, begin + rows)).to_numpy()
            beside.append(FeatureBlock(seq, pa.record_batch({"x": seq}), seq >= 0))
    found = pa.Table.from_batches([block.columns for block in came]).to_pydict()
    assert found["x"] == [0, 1, 2]
    assert found["sender.attribute.segment"] == [-1, 1, -1]
    assert found["receiver.attribute.credit_score"][2] == 612.0
    assert found["sender.attribute.sanctioned"] == [-1, 1, -1]


def test_reasons_say_words_and_not_codes() -> None:
    kinds = (("segment", "text"), ("sanctioned", "flag"), ("credit_score", "number"))
    catalog = {each.name: each for each in attribute_features(kinds, {"segment": ("retail", "private")})}
    payment = Payment("t", 1, 0, "A", "B", 1, "USD", 1, "USD")
    writer = ReasonWriter(list(catalog), catalog, "USD")
    values = [1.0, 1.0, -3.5, -1.0, -1.0, float("nan")]
    texts = [reason.text for reason in writer.reasons(values, [6, 5, 4, 3, 2, 1], payment, "sender", limit=6)]
    assert texts == [
        "sender: segment as known at the payment: private",
        "sender: sanctioned as known at the payment: yes",
        "sender: credit score as known at the payment: -3.5",
        "receiver: segment as known at the payment: not known",
        "receiver: sanctioned as known at the payment: not known",
        "receiver: credit score as known at the payment: not known",
    ]


@pytest.mark.parametrize("allowed", [False, True])
def test_the_main_job_learns_from_attributes(tmp_path: Path, allowed: bool) -> None:
    gw.make_world(tmp_path / "world", accounts=300, payments=4_000, days=40, seed=3)
    accounts = (tmp_path / "world" / "accounts.csv").read_text().splitlines()
    place = accounts[0].split(",").index("customer")
    customers = sorted({line.split(",")[place] for line in accounts[1:]} - {""})
    path = tmp_path / "attributes.csv"
    lines = [f"{name},2000-01-01,{500 + n},{'abc'[n % 3]},{20 + n % 60}" for n, name in enumerate(customers)]
    path.write_text("\n".join(["customer,known_since,credit_score,segment,protected:age", *lines, ""]))
    settings = Settings(
        store=tmp_path / "store",
        threads=1,
        features="payments-v1",
        windows=(86_400,),
        day_windows=(),
        allow_protected=allowed,
    )
    world = tmp_path / "world"
    request = IngestRequest(
        (world / "payments.csv",), labels=world / "labels.csv", accounts=world / "accounts.csv", attributes=path
    )
    outcome = do_the_job(Actor(), settings, RunRequest(request))
    names = outcome.features.names
    wanted = {f"{role}.attribute.{name}" for role in ("sender", "receiver") for name in ("credit_score", "segment")}
    protected = {"sender.attribute.age", "receiver.attribute.age"}
    assert wanted <= set(names)
    assert set(names) & protected == (protected if allowed else set())
    assert outcome.fitted.kind == "hybrid"
    assert set(outcome.fitted.detector.names) == set(names)
    assert outcome.alerts
