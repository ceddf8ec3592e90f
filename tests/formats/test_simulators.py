"""AMLworld, AMLSim and AMLGentex: small files of their shape, and the shared data sets in full."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from greywater.errors import FormatError, InputError, RefusedValueError
from greywater.formats.detect import open_source
from greywater.formats.patterns import Attempt, pattern_lines, read_patterns
from greywater.formats.times import DAY_US

WORLD = (
    "Timestamp,From Bank,Account,To Bank,Account,Amount Received,Receiving Currency,"
    "Amount Paid,Payment Currency,Payment Format,Is Laundering"
)
WORLD_ROWS = (
    "2022/09/01 00:20,010,8000EBD30,00,8000F5340,3697.34,US Dollar,3697.34,US Dollar,Reinvestment,0",
    "2022/09/01 00:06,021174,800737690,012,80011F990,2848.96,Euro,398111.5,Yen,ACH,1",
    "2022/09/01 00:07,021174,800737690,012,80011F990,0.01,Bitcoin,500,Dong,ACH,1",
    "2022/09/01 00:08,021174,800737690,012,80011F990,1,Euro,1,Euro,Barter,1",
)
PATTERNS = (
    "BEGIN LAUNDERING ATTEMPT - FAN-OUT:  Max 16-degree Fan-Out\n"
    "2022/09/01 00:06,021174,800737690,0012,80011F990,2848.96,Euro,398111.50,Yen,ACH,1\n"
    "END LAUNDERING ATTEMPT - FAN-OUT\n\n"
    "BEGIN LAUNDERING ATTEMPT - STACK\n"
    "END LAUNDERING ATTEMPT - STACK\n"
)
SIM = "tran_id,orig_acct,bene_acct,tx_type,base_amt,tran_timestamp,is_sar,alert_id"
GENTEX = "step,type,amount,nameOrig,nameDest,bankOrig,bankDest,isSAR,patternID,modelType"


def test_amlworld(write: Callable[..., Path], read: Any) -> None:
    path = write(*WORLD_ROWS, name="HI-Small_Trans.csv", header=WORLD)
    (path.parent / "HI-Small_Patterns.txt").write_text(PATTERNS)
    (path.parent / "LI-Small_Patterns.txt").write_text("not to be read")
    found = read(open_source(path))
    first, second, last = found.payments.to_pylist()
    assert (first["sender"], first["receiver"]) == ("10:8000EBD30", "0:8000F5340")
    assert (first["sender_bank"], first["receiver_bank"]) == ("10", "0")
    assert (first["amount"], first["currency"], first["channel"]) == (369_734, "USD", "reinvestment")
    assert (first["label"], first["typology"]) == (0, None)
    assert first["event_time"] == datetime(2022, 9, 1, 0, 20, tzinfo=UTC)
    assert (second["amount"], second["currency"]) == (398_112, "JPY")
    assert (second["received_amount"], second["received_currency"]) == (284_896, "EUR")
    assert (second["label"], second["typology"]) == (1, "fan-out")
    assert (last["channel"], last["typology"]) == ("other", None)
    assert found.reasons == {3: "currency_unknown"}
    assert found.rounded == 1
    source = found.source
    assert (source.format, source.base_currency, source.resolution_us) == ("amlworld", "USD", 60_000_000)
    assert source.answer_columns == ("Is Laundering",)
    assert source.total_rows is None


def test_amlworld_takes_every_patterns_file_where_none_has_its_name(write: Callable[..., Path], read: Any) -> None:
    path = write(*WORLD_ROWS, header=WORLD)
    (path.parent / "HI-Small_Patterns.txt.gz").write_bytes(gzip.compress(PATTERNS.encode()))
    assert read(open_source(path)).column("typology") == [None, "fan-out", None]


def test_amlworld_without_labels(write: Callable[..., Path], read: Any) -> None:
    rows = [row.rpartition(",")[0] for row in WORLD_ROWS[:2]]
    path = write(*rows, header=WORLD.rpartition(",")[0])
    assert read(open_source(path)).column("label") == [None, None]


def test_amlworld_without_bank(write: Callable[..., Path], read: Any) -> None:
    found = read(open_source(write(WORLD_ROWS[0].replace("010", ""), header=WORLD)))
    assert found.reasons == {1: "party_missing"}
    assert found.rejected["column"].to_pylist() == ["From Bank"]


def test_patterns(tmp_path: Path) -> None:
    path = tmp_path / "X_Patterns.txt"
    path.write_text(PATTERNS)
    first, second = read_patterns(path)
    assert (first.typology, first.remark, len(first.payments)) == ("fan-out", "Max 16-degree Fan-Out", 1)
    assert first.payments[0][1:3] == ("021174", "800737690")
    assert (second.typology, second.remark, second.payments) == ("stack", "", ())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("2022/09/01 00:06,1,2\n", 1),
        ("END LAUNDERING ATTEMPT - STACK\n", 1),
        ("BEGIN LAUNDERING ATTEMPT - STACK\nBEGIN LAUNDERING ATTEMPT - STACK\n", 2),
        ("BEGIN LAUNDERING ATTEMPT - STACK\n1,2,3\n", 2),
        ("BEGIN LAUNDERING ATTEMPT - STACK\n", 1),
    ],
)
def test_damaged_patterns(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "X_Patterns.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=f"line {line}"):
        read_patterns(path)


def test_amlsim(write: Callable[..., Path], read: Any) -> None:
    alerts = "alert_id,alert_type,is_sar,tran_id"
    write("9,fan_in,True,2", "8,cycle,False,3", name="alert_transactions.csv", header=alerts)
    path = write(
        "1,10,20,TRANSFER,660.95,2017-01-01T00:00:00Z,False,-1",
        "2,10,20,CASH_IN,1,2017-01-02T00:00:00Z,True,9",
        "3,10,20,ODD,1,2017-01-02T00:00:00Z,False,8",
        name="transactions.csv",
        header=SIM,
    )
    found = read(open_source(path))
    assert found.column("tx_id") == ["1", "2", "3"]
    assert found.column("label") == [0, 1, 0]
    assert found.column("typology") == [None, "fan-in", None]
    assert found.column("channel") == ["transfer", "cash", "other"]
    assert found.column("amount") == [66_095, 100, 100]
    assert found.naive == 0
    source = found.source
    assert (source.format, source.base_currency, source.resolution_us) == ("amlsim", "USD", DAY_US)
    assert {"is_sar", "alert_id", "prior_sar_count"} <= set(source.answer_columns)


def test_amlsim_with_a_sibling_of_other_columns(write: Callable[..., Path]) -> None:
    write("1", name="alert_transactions.csv", header="id")
    path = write("1,10,20,TRANSFER,1,2017-01-01,True,1", name="transactions.csv", header=SIM)
    with pytest.raises(FormatError, match=r"tran_id, alert_type, is_sar are missing.*alert_transactions\.csv"):
        open_source(path)
    (path.parent / "alert_transactions.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"alert_transactions\.parquet"):
        open_source(path)


def test_amlgentex(write: Callable[..., Path], read: Any) -> None:
    path = write(
        "0,INITALBALANCE,90004.35,-2,1329,source,bank_a,0,-1,0",
        "1,TRANSFER,715.7918200657007,6877,-1,bank_a,sink,0,-1,0",
        "31,CASH,0.005,5,6,bank_a,bank_b,1,28336,2",
        name="tx_log.csv",
        header=GENTEX,
    )
    found = read(open_source(path))
    assert (found.skipped, found.rounded) == (1, 2)
    assert found.column("row") == [2, 3]
    assert found.column("receiver") == ["external:-1", "6"]
    assert found.column("sender_bank") == ["bank_a", "bank_a"]
    assert found.column("amount") == [71_579, 0]
    assert found.column("channel") == ["transfer", "cash"]
    assert found.column("event_time") == [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)]
    assert found.column("typology") == [None, "fan-in"]
    assert (found.source.base_currency, found.source.resolution_us) == ("XXX", DAY_US)
    assert set(found.source.answer_columns) == {"isSAR", "patternID", "modelType"}


def test_balances_of_amlgentex(write: Callable[..., Path], read: Any) -> None:
    path = write(
        "1,TRANSFER,715.79,6877,5,bank_a,bank_b,0,-1,0,1000.005,284.215,0.5,716.29",
        "1,TRANSFER,1,6877,5,bank_a,bank_b,0,-1,0,,,,",
        header=f"{GENTEX},oldbalanceOrig,newbalanceOrig,oldbalanceDest,newbalanceDest",
    )
    found = read(open_source(path))
    assert found.source.format == "amlgentex"
    assert found.column("sender_balance") == [100_000, None]
    assert found.column("receiver_balance") == [50, None]


def test_all_of_amlsim_medium(shared_data: Path) -> None:
    source = open_source(shared_data / "amlsim_medium" / "transactions.parquet")
    rows = labels = typologies = others = 0
    for chunk in source.chunks():
        rows += chunk.payments.num_rows
        labels += pc.sum(chunk.payments["label"]).as_py()
        typologies += chunk.payments.num_rows - chunk.payments["typology"].null_count
        others += chunk.rejected.num_rows + chunk.skipped + chunk.rounded + chunk.naive
    assert (source.format, source.total_rows) == ("amlsim", 1_113_279)
    assert (rows, labels, typologies, others) == (1_113_279, 1_467, 1_467, 0)


def test_all_of_amlgentex_small(shared_data: Path) -> None:
    folder = shared_data / "amlgentex_small"
    source = open_source(folder / "tx_log.parquet")
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for chunk in source.chunks():
        payments = chunk.payments
        counts += Counter(rows=payments.num_rows, rejected=chunk.rejected.num_rows, skipped=chunk.skipped)
        counts["labels"] += pc.sum(payments["label"]).as_py()
        outside = pc.or_(
            pc.starts_with(payments["sender"], "external:"), pc.starts_with(payments["receiver"], "external:")
        )
        counts["inside"] += payments.num_rows - pc.sum(outside).as_py()
        kinds.update(payments["typology"].drop_null().to_pylist())
    assert counts == Counter(rows=668_984, skipped=10_000, labels=884, inside=111_377)
    log = pq.read_table(folder / "tx_log.parquet", columns=["isSAR", "patternID"])
    models = pq.read_table(folder / "alert_models.parquet").to_pylist()
    offset = len(pc.unique(pq.read_table(folder / "normal_models.parquet")["modelID"]))
    typology = {model["modelID"] + offset: model["type"].replace("_", "-") for model in models}
    patterns = log.filter(pc.equal(log["isSAR"], 1))["patternID"].to_pylist()
    assert kinds == Counter(typology[pattern] for pattern in patterns)


def test_all_of_amlworld_hi_small(shared_data: Path, read: Any) -> None:
    found = read(open_source(shared_data / "amlworld_hi_small" / "transactions.parquet"))
    assert (found.payments.num_rows, found.rejected.num_rows, found.skipped) == (15_531, 0, 0)
    assert sum(found.column("label")) == 5_177
    kinds = Counter(name for name in found.column("typology") if name)
    assert sum(kinds.values()) == 3_209
    attempts = read_patterns(shared_data / "amlworld_hi_small" / "HI-Small_Patterns.txt.gz")
    assert kinds == Counter(attempt.typology for attempt in attempts for _ in attempt.payments)
    assert len(set(found.column("tx_id"))) == 15_531


@pytest.mark.parametrize(
    ("name", "attempts"),
    [
        ("amlworld_hi_small/HI-Small_Patterns.txt.gz", 370),
        ("amlworld_patterns/LI-Small_Patterns.txt.gz", 117),
        ("amlworld_patterns/HI-Medium_Patterns.txt.gz", 2_756),
    ],
)
def test_published_patterns(shared_data: Path, name: str, attempts: int) -> None:
    found = read_patterns(shared_data / name)
    assert len(found) == attempts
    assert all(attempt.payments for attempt in found)
    assert {attempt.typology for attempt in found} <= {
        "fan-out", "fan-in", "cycle", "random", "bipartite", "stack", "scatter-gather", "gather-scatter"
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "amlworld_hi_small/HI-Small_Patterns.txt.gz",
        "amlworld_patterns/LI-Small_Patterns.txt.gz",
        "amlworld_patterns/HI-Medium_Patterns.txt.gz",
    ],
)
def test_published_patterns_are_written_back_to_the_byte(shared_data: Path, name: str) -> None:
    path = shared_data / name
    written = "".join(pattern_lines(read_patterns(path)))
    assert written.encode() == gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("fields", [("a",) * 10, ("a",) * 10 + ("b,c",), ("a",) * 10 + ("b\n",)])
def test_payments_that_would_not_be_read_back_are_not_written(fields: tuple[str, ...]) -> None:
    with pytest.raises(RefusedValueError, match="attempt 1"):
        list(pattern_lines([Attempt("cycle", "", (fields,))]))
