"""Ingest: order, identity, counts, refusals, and what is settled once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.app.ingest import IngestRequest, IngestResult, ingest
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import AccessDeniedError, InputError, StoreError, StoreLockedError, UsageError
from greywater.stores.lock import WriterLock
from greywater.stores.project_file import LAYOUT, ProjectFile
from greywater.vocab import Actor, Counts


def adds_up(counts: Counts) -> bool:
    return counts.read == counts.recorded + counts.duplicate + counts.rejected + counts.skipped


def row(number: int, time: str, amount: str = "10", currency: str = "USD", **more: str) -> list[str]:
    return [f"t{number}", time, more.get("sender", "A"), more.get("receiver", "B"), amount, currency]


def test_seq_follows_time_then_file_then_row(desk: Any) -> None:
    first = desk.file("z.csv", [row(1, "2024-01-03"), row(2, "2024-01-01"), row(3, "2024-01-02")])
    second = desk.file("a.csv", [row(4, "2024-01-01"), row(5, "2024-01-03"), row(6, "2023-12-31")])
    result = desk.ingest(first, second)
    assert desk.ledger("tx_id")["tx_id"] == ["t6", "t2", "t4", "t3", "t1", "t5"]
    assert desk.ledger("seq")["seq"] == list(range(6))
    assert (result.first_seq, result.next_seq) == (0, 6)
    assert [file.counts.recorded for file in result.files] == [3, 3]


def test_order_of_files_may_be_kept(desk: Any) -> None:
    first = desk.file("z.csv", [row(1, "2024-01-03"), row(2, "2024-01-01")])
    second = desk.file("a.csv", [row(3, "2024-01-02")])
    desk.ingest(first, second, order="file")
    assert desk.ledger("tx_id")["tx_id"] == ["t1", "t2", "t3"]


def test_a_later_command_continues(desk: Any) -> None:
    desk.ingest(desk.file("b.csv", [row(1, "2024-02-01")]))
    result = desk.ingest(desk.file("a.csv", [row(2, "2024-01-01")]))
    assert desk.ledger("tx_id")["tx_id"] == ["t1", "t2"]
    assert (result.first_seq, result.next_seq) == (1, 2)


def test_sort_is_over_many_chunks(desk: Any) -> None:
    times = [(7 * number) % 500 for number in range(500)]
    rows = [row(number, f"2024-01-01T00:{time // 60:02}:{time % 60:02}Z") for number, time in enumerate(times)]
    result = desk.ingest(desk.file("a.csv", rows), chunk_rows=50)
    expected = [f"t{number}" for _, number in sorted(zip(times, range(500), strict=True))]
    assert desk.ledger("tx_id")["tx_id"] == expected
    assert result.counts == Counts(read=500, recorded=500)


def test_again_renamed_and_in_another_file(desk: Any) -> None:
    rows = [row(number, "2024-01-01", label="0") for number in range(5)]
    path = desk.file("a.csv", rows)
    desk.ingest(path)
    before = desk.state()
    again = desk.ingest(path)
    assert again.counts == Counts(read=5, skipped=5)
    assert again.files[0].known
    renamed = path.rename(path.with_name("b.csv"))
    assert desk.ingest(renamed).counts == Counts(read=5, skipped=5)
    assert desk.state() == before
    other = desk.ingest(desk.file("c.csv", [*rows, row(5, "2024-01-02")]))
    assert other.counts == Counts(read=6, recorded=1, duplicate=5)
    assert desk.ledger("tx_id")["tx_id"] == [f"t{number}" for number in range(6)]


def test_one_file_named_twice(desk: Any) -> None:
    path = desk.file("a.csv", [row(1, "2024-01-01")])
    twin = path.with_name("twin.csv")
    shutil.copy(path, twin)
    result = desk.ingest(path, path, twin)
    assert result.counts == Counts(read=3, recorded=1, skipped=2)
    assert [file.known for file in result.files] == [False, True, True]


def test_files_without_ids(desk: Any) -> None:
    columns = ("event_time", "sender", "receiver", "amount", "currency")
    rows = [("2024-01-01", "A", "B", "5", "USD")] * 3
    path = desk.file("a.csv", rows, columns)
    assert desk.ingest(path).counts.recorded == 3
    assert desk.ingest(path.rename(path.with_name("b.csv"))).counts.skipped == 3
    assert len(set(desk.ledger("tx_id")["tx_id"])) == 3


def test_same_id_other_content(desk: Any) -> None:
    desk.ingest(desk.file("a.csv", [row(1, "2024-01-01", "10")]))
    result = desk.ingest(desk.file("b.csv", [row(1, "2024-01-01", "11"), row(2, "2024-01-02")]))
    assert result.counts == Counts(read=2, recorded=1, rejected=1)
    assert desk.ledger("amount")["amount"] == [1000, 1000]
    (rejected,) = desk.table("rejected")
    assert (rejected["file"], rejected["row"], rejected["column"], rejected["reason"]) == (
        "b.csv",
        1,
        "tx_id",
        "conflict",
    )
    assert result.rejections[0].reason == "conflict"
    assert result.rejections[0].count == 1


def test_rejected_rows_say_where_and_why(desk: Any) -> None:
    rows = [row(1, "2024-01-01", "ten"), row(2, "2024-01-01"), row(3, "2024-01-01", "-4"), row(4, "2099-01-01")]
    result = desk.ingest(desk.file("a.csv", rows))
    assert result.counts == Counts(read=4, recorded=1, rejected=3)
    found = {(entry["row"], entry["column"], entry["reason"]) for entry in desk.table("rejected")}
    assert found == {(1, "amount", "amount_text"), (3, "amount", "amount_negative"), (4, "event_time", "future_time")}
    assert {rejection.reason: rejection.count for rejection in result.rejections} == {
        "amount_text": 1,
        "amount_negative": 1,
        "future_time": 1,
    }


WORD = st.sampled_from(["A", "B", "C", "", "external:9"])
ROW = st.tuples(
    st.integers(0, 30),
    st.sampled_from(["2024-01-01", "2024-01-02T10:00:00Z", "2023-06-01", "1.1.2024", "2095-01-01", ""]),
    WORD,
    WORD,
    st.sampled_from(["10", "0", "-1", "1e18", "x", "nan", "0.005", "12.34"]),
)


@settings(max_examples=8)
@given(
    files=st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3),
    order=st.sampled_from(["time", "file"]),
)
def test_every_row_is_accounted_for(
    make_desk: Callable[[str], Any], files: list[list[tuple[Any, ...]]], order: str
) -> None:
    """One store over all examples: what was recorded in one is known in the next."""
    desk = make_desk("one")
    paths = []
    for place, rows in enumerate(files):
        path = desk.file(f"{place}.csv", [(f"t{number}", *rest, "USD") for number, *rest in rows])
        paths.append(path)
    held = len(desk.ledger("seq")["seq"]) if desk.settings.store.exists() else 0
    result = desk.ingest(*paths, order=order)
    assert adds_up(result.counts)
    assert result.counts.read == sum(map(len, files))
    assert all(
        adds_up(file.counts) and file.counts.read == len(rows) for file, rows in zip(result.files, files, strict=True)
    )
    seqs = desk.ledger("seq")["seq"]
    assert seqs == list(range(held + result.counts.recorded))
    assert sum(entry["recorded"] for entry in desk.table("files")) == len(seqs)


def test_long_jump_is_refused_until_it_is_allowed(desk: Any) -> None:
    path = desk.file("a.csv", [row(1, "2020-01-01"), row(2, "2021-06-01"), row(3, "2021-06-02")])
    first = desk.ingest(path)
    assert first.counts == Counts(read=3, recorded=1, rejected=2)
    assert {entry["reason"] for entry in desk.table("rejected")} == {"time_jump"}
    assert desk.ingest(path).counts == Counts(read=3, skipped=3)
    again = desk.ingest(path, allow_jump=True)
    assert again.counts == Counts(read=3, recorded=2, duplicate=1)
    assert desk.ledger("tx_id")["tx_id"] == ["t1", "t2", "t3"]
    assert desk.ingest(path, allow_jump=True).counts == Counts(read=3, skipped=3)
    assert sum(entry["recorded"] for entry in desk.table("files")) == 3


def test_nothing_is_made_where_a_file_cannot_be_opened(desk: Any) -> None:
    good = desk.file("a.csv", [row(1, "2024-01-01")])
    with pytest.raises(InputError, match="no such file"):
        desk.ingest(good, desk.folder / "missing.csv")
    with pytest.raises(InputError):
        desk.ingest(good, labels=desk.folder / "missing.csv")
    with pytest.raises(InputError):
        desk.ingest(good, fx=desk.folder / "missing.csv")
    with pytest.raises(UsageError, match="nothing to record"):
        desk.ingest()
    with pytest.raises(UsageError, match="no order"):
        desk.ingest(good, order="size")
    assert not desk.settings.store.exists()


class Meddling:
    """A Progress that does something when a step has come so far."""

    def __init__(self, step: str, act: Callable[[], None], after: int = 1) -> None:
        self.wanted, self.act, self.left, self.name = step, act, after, ""

    def step(self, name: str, total: int | None = None) -> None:
        self.name = name

    def advance(self, amount: int) -> None:
        if self.name.startswith(self.wanted):
            self.left -= 1
            if self.left == 0:
                self.act()

    def say(self, text: str) -> None:
        pass


def stop() -> None:
    raise KeyboardInterrupt


def test_a_file_that_changes_while_it_is_read(desk: Any) -> None:
    path = desk.file("a.csv", [row(number, "2024-01-01") for number in range(200)])

    def append() -> None:
        with path.open("a") as file:
            file.write("t900,2024-01-02,A,B,1,USD,,\n")

    with pytest.raises(InputError, match="changed while it was read"):
        desk.ingest(path, progress=Meddling("reading", append))
    assert desk.ledger("tx_id")["tx_id"] == []
    assert desk.ingest(path).counts.recorded == 201


def labelled(count: int) -> list[list[str]]:
    """Payments out of order, with labels, a repeated row, a conflict and unreadable rows."""
    rows = []
    for number in range(count):
        minute = (number * 37) % count
        time = f"2024-01-{1 + minute // 60:02}T00:{minute % 60:02}:00Z"
        label = str(int(number % 9 == 0))
        rows.append([f"t{number}", time, f"A{number % 7}", f"B{number % 5}", f"{number}.50", "USD", label, ""])
    rows.insert(count // 2, list(rows[3]))
    rows.insert(count // 3, [*rows[5][:4], "999999", *rows[5][5:]])
    rows.insert(7, ["bad", "2024-01-01", "A", "B", "x", "USD", "", ""])
    return rows


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("reading", 2),
        ("recording", 1),
        ("recording", 5),
        ("recording labels", 1),
        ("recording acc", 1),
    ],
)
def test_interrupted_and_given_again(make_desk: Callable[[str], Any], step: str, after: int) -> None:
    clean, broken = make_desk("clean"), make_desk("broken")
    outcomes = []
    for desk in (clean, broken):
        payments = desk.file("a.csv", labelled(300))
        accounts = desk.file("accounts.csv", [["A1", "c1"], ["A2", "c2"]], ("account", "customer"))
        if desk is broken:
            with pytest.raises(KeyboardInterrupt):
                desk.ingest(payments, accounts=accounts, progress=Meddling(step, stop, after))
            assert not (desk.settings.project_folder / "spill").exists()
        outcomes.append(desk.ingest(payments, accounts=accounts))
    assert broken.state() == clean.state()
    assert outcomes[1].counts == outcomes[0].counts
    assert adds_up(outcomes[0].counts)
    assert outcomes[0].counts.duplicate == 1
    assert outcomes[0].counts.rejected == 2
    if step == "recording" and after < 5:
        assert after * 64 - 3 <= outcomes[1].resumed <= after * 64
    else:
        assert outcomes[1].resumed == (0 if step == "reading" else 300)
    assert len(broken.state()["labels"]) == 300


def test_other_files_between_the_attempts(make_desk: Callable[[str], Any]) -> None:
    desk = make_desk("one")
    payments = desk.file("a.csv", labelled(300))
    with pytest.raises(KeyboardInterrupt):
        desk.ingest(payments, progress=Meddling("recording", stop, 2))
    other = desk.ingest(desk.file("b.csv", [row(9_000, "2024-01-09"), row(9_001, "2024-01-09")]))
    assert other.counts.recorded == 2
    result = desk.ingest(payments)
    assert 125 <= result.resumed <= 128
    assert result.counts.recorded == 300
    files = {entry["name"]: entry["recorded"] for entry in desk.table("files")}
    assert files == {"a.csv": 300, "b.csv": 2}
    assert desk.state()["unfinished"] == ()


def test_begun_under_another_name_without_ids(desk: Any) -> None:
    columns = ("event_time", "sender", "receiver", "amount", "currency")
    path = desk.file("a.csv", [("2024-01-01", "A", "B", str(number), "USD") for number in range(200)], columns)
    with pytest.raises(KeyboardInterrupt):
        desk.ingest(path, progress=Meddling("recording", stop))
    renamed = path.rename(path.with_name("b.csv"))
    with pytest.raises(InputError, match=r"begun under the name a\.csv"):
        desk.ingest(renamed)
    result = desk.ingest(renamed.rename(path))
    assert (result.counts.recorded, result.resumed) == (200, 64)


def test_two_writers(desk: Any) -> None:
    path = desk.file("a.csv", [row(1, "2024-01-01")])
    with WriterLock(desk.settings.project_folder), pytest.raises(StoreLockedError, match="is writing here"):
        desk.ingest(path)
    assert desk.ingest(path, wait=5.0).counts.recorded == 1


def test_who_may(desk: Any) -> None:
    path = desk.file("a.csv", [row(1, "2024-01-01")])
    request = IngestRequest((path,))
    with pytest.raises(AccessDeniedError):
        ingest(Actor(role="auditor"), desk.settings, request)
    assert not desk.settings.store.exists()
    desk.ingest(path)
    with pytest.raises(AccessDeniedError):
        ingest(Actor(role="auditor"), desk.settings, request)
    with pytest.raises(AccessDeniedError, match="no member"):
        ingest(Actor(project="other"), desk.settings, request)
    with pytest.raises(InputError):
        desk.ingest(desk.folder / "none.csv")
    with open_project(desk.settings, Actor()) as project:
        audits = [(audit.action, audit.object, audit.outcome) for audit in project.records.audits()]
    assert audits == [
        ("ingest", "a.csv", "done"),
        ("ingest", "a.csv", "refused"),
        ("ingest", "a.csv", "refused"),
        ("ingest", "none.csv", "failed"),
    ]


def test_a_newer_store_is_refused(desk: Any) -> None:
    path = desk.file("a.csv", [row(1, "2024-01-01")])
    desk.ingest(path)
    file = desk.settings.project_folder / "project.json"
    text = file.read_text()
    file.write_text(text.replace(f'"layout": {LAYOUT}', f'"layout": {LAYOUT + 1}'))
    with pytest.raises(StoreError, match="layout") as caught:
        desk.ingest(path)
    assert "newer" in caught.value.mend
    file.write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        desk.ingest(path)


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "x" * 64, "-a"])
def test_names_of_projects(desk: Any, name: str) -> None:
    settings = replace(desk.settings, project=name)
    with pytest.raises(UsageError, match="name of a project"), open_project(settings, Actor(project=name), write=True):
        pass
    assert not desk.settings.store.exists()


def test_reading_needs_a_project(desk: Any) -> None:
    with pytest.raises(StoreError, match="no project"), open_project(desk.settings, Actor()):
        pass
    assert not desk.settings.store.exists()


def test_base_amounts_by_dated_rates(desk: Any) -> None:
    rates = desk.file(
        "fx.csv", [("2024-01-01", "EUR", "1.1"), ("2024-01-03", "EUR", "1.2")], ("date", "currency", "rate")
    )
    rows = [
        row(1, "2023-12-31", "10", "EUR"),
        row(2, "2024-01-02", "10", "EUR"),
        row(3, "2024-01-03", "10", "EUR"),
        row(4, "2024-01-03", "10", "USD"),
        row(5, "2024-01-03", "10", "JPY"),
    ]
    result = desk.ingest(desk.file("a.csv", rows), fx=rates, base_currency="USD")
    assert desk.ledger("base_amount")["base_amount"] == [None, 1100, 1200, 1000, None]
    assert result.counts.without_rate == 2
    assert (result.base_currency, result.rates_name) == ("USD", "fx.csv")
    assert any("2 payments have no rate" in warning for warning in result.warnings)


def test_base_currency_is_settled_once(desk: Any) -> None:
    euros = desk.file("a.csv", [row(1, "2024-01-01", "10", "EUR")])
    assert desk.ingest(euros).base_currency == "EUR"
    dollars = desk.file("b.csv", [row(2, "2024-01-01", "10", "USD")])
    with pytest.raises(UsageError, match="cannot change"):
        desk.ingest(dollars, base_currency="USD")
    result = desk.ingest(dollars)
    assert result.base_currency == "EUR"
    assert result.counts.without_rate == 1
    columns = ("tran_id", "orig_acct", "bene_acct", "tx_type", "base_amt", "tran_timestamp", "is_sar", "alert_id")
    amlsim = desk.file("c.csv", [("7", "1", "2", "TRANSFER", "5.0", "2024-01-05T00:00:00Z", "false", "-1")], columns)
    with pytest.raises(UsageError, match="counts in USD"):
        desk.ingest(amlsim)
    rates = desk.file("fx.csv", [("2024-01-01", "USD", "0.9")], ("date", "currency", "rate"))
    assert desk.ingest(amlsim, fx=rates).counts.recorded == 1
    assert desk.ledger("base_amount")["base_amount"] == [1000, None, 450]


@pytest.mark.parametrize("code", ["dollar bills", "$", "U"])
def test_no_currency_code(desk: Any, code: str) -> None:
    with pytest.raises(UsageError, match="no currency code"):
        desk.ingest(desk.file("a.csv", [row(1, "2024-01-01")]), base_currency=code)
    assert not desk.settings.store.exists()
    assert desk.ingest(desk.file("a.csv", [row(1, "2024-01-01")]), base_currency="usd").base_currency == "USD"


def test_several_currencies_need_a_choice(desk: Any) -> None:
    path = desk.file("a.csv", [row(1, "2024-01-01", "10", "EUR"), row(2, "2024-01-01", "10", "USD")])
    with pytest.raises(UsageError, match="which of them to count in"):
        desk.ingest(path)
    assert desk.ledger("tx_id")["tx_id"] == []
    assert desk.ingest(path, base_currency="EUR").counts == Counts(read=2, recorded=2, without_rate=1)


def test_demo_rates_serve_amlworld_only(desk: Any) -> None:
    columns = (
        "Timestamp", "From Bank", "Account", "To Bank", "Account.1", "Amount Received", "Receiving Currency",
        "Amount Paid", "Payment Currency", "Payment Format", "Is Laundering",
    )  # fmt: skip
    line = ("2022/09/01 00:20", "10", "8000EBD30", "10", "8000EBD31", "10.00", "Euro", "10.00", "Euro", "Wire", "0")
    world = desk.file("HI_Trans.csv", [line], columns)
    own = desk.file("a.csv", [row(1, "2022-09-01", "10", "EUR"), row(2, "2022-09-01", "10", "USD")])
    result = desk.ingest(world, own)
    assert "AMLworld" in result.rates_name
    assert any("no market rates" in warning for warning in result.warnings)
    assert sorted(desk.ledger("base_amount")["base_amount"], key=str) == [1000, 1000, None]
    assert result.counts.without_rate == 1


def test_the_coarser_resolution_is_kept(desk: Any) -> None:
    fine = desk.ingest(desk.file("a.csv", [row(1, "2024-01-01T10:00:01Z")]))
    columns = ("tran_id", "orig_acct", "bene_acct", "tx_type", "base_amt", "tran_timestamp", "is_sar", "alert_id")
    amlsim = desk.file("c.csv", [("7", "1", "2", "TRANSFER", "5.0", "2024-01-05T00:00:00Z", "false", "-1")], columns)
    coarse = desk.ingest(amlsim)
    assert fine.resolution_us < coarse.resolution_us == 86_400_000_000
    assert any("kept 1 d" in warning for warning in coarse.warnings)
    again = desk.ingest(desk.file("b.csv", [row(2, "2024-01-06T10:00:01Z")]))
    assert again.resolution_us == 86_400_000_000
    stored = ProjectFile.load(desk.settings.project_folder)
    assert stored is not None
    assert stored.resolution_us == 86_400_000_000


def test_only_unreadable_rows(desk: Any) -> None:
    result = desk.ingest(desk.file("a.csv", [row(1, "2024-01-01", "x")]))
    assert result.counts == Counts(read=1, rejected=1)
    assert desk.ingest(desk.file("b.csv", [row(2, "2024-01-01", "1", "CHF")])).base_currency == "CHF"


def test_recorded_time_is_now(desk: Any) -> None:
    before = datetime.now(UTC)
    desk.ingest(desk.file("a.csv", [row(1, "2024-01-01")]))
    (recorded,) = desk.ledger("recorded_time")["recorded_time"]
    assert before <= recorded <= datetime.now(UTC)


def test_mixed_zones_are_counted(desk: Any) -> None:
    rows = [row(1, "2024-01-01T00:00:00"), row(2, "2024-01-01T03:00:00+02:00"), row(3, "2024-01-01T02:00:00Z")]
    result = desk.ingest(desk.file("a.csv", rows))
    assert desk.ledger("tx_id")["tx_id"] == ["t1", "t2", "t3"]
    assert any("1 times carried no zone" in warning for warning in result.warnings)


def test_mapping_and_format_are_passed_on(desk: Any) -> None:
    with pytest.raises(UsageError, match="no known format"):
        desk.ingest(desk.file("a.csv", [row(1, "2024-01-01")]), format="nonsense")


@pytest.mark.parametrize(
    ("file", "recorded", "skipped", "dirty"),
    [
        ("amlsim_medium/transactions.parquet", 1_113_279, 0, 1_467),
        pytest.param("amlgentex_small/tx_log.parquet", 668_984, 10_000, 884, marks=pytest.mark.full),
        ("amlworld_hi_small/transactions.parquet", 15_531, 0, 5_177),
    ],
)
def test_reference_data(tmp_path: Path, shared_data: Path, file: str, recorded: int, skipped: int, dirty: int) -> None:
    settings = Settings(store=tmp_path / "store")
    result: IngestResult = ingest(Actor(), settings, IngestRequest((shared_data / file,)))
    assert (result.counts.recorded, result.counts.skipped, result.counts.rejected) == (recorded, skipped, 0)
    assert adds_up(result.counts)
    assert result.has_labels
    with open_project(settings, Actor()) as project:
        total = sum(batch.column(0).to_numpy().sum() for batch in project.tables.scan("labels", ["label"]))
    assert total == dirty
