"""Side records: own columns, the simulators' files, and every bad row set aside with its reason."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import EmptyInputError, FormatError, InputError
from greywater.formats.records import (
    LABELS_READ_SCHEMA,
    RecordsRead,
    read_accounts,
    read_labels,
    read_parties,
    read_relationships,
    read_seeds,
)
from greywater.vocab import ACCOUNT_SCHEMA, PARTY_SCHEMA, REJECTED_SCHEMA, RELATIONSHIP_SCHEMA, SEED_SCHEMA

FULL = os.environ.get("GREYWATER_FULL") == "1"
DATA = Path(os.environ.get("GREYWATER_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

needs_amlsim = pytest.mark.skipif(not (DATA / "amlsim_medium").is_dir(), reason=f"no amlsim_medium in {DATA}")
needs_amlgentex = pytest.mark.skipif(not (DATA / "amlgentex_small").is_dir(), reason=f"no amlgentex_small in {DATA}")


def written(folder: Path, text: str, name: str = "side.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def columns(read: RecordsRead, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(read.rows[name].to_pylist() for name in names), strict=True))


def reasons(read: RecordsRead) -> list[tuple[int, str, str]]:
    assert read.rejected.schema == REJECTED_SCHEMA
    return list(zip(*(read.rejected[name].to_pylist() for name in ("row", "column", "reason")), strict=True))


def test_labels_of_payments_and_accounts(tmp_path: Path) -> None:
    read = read_labels(
        written(
            tmp_path,
            "tx_id,account,label,typology,known_since\n"
            "T1,,1,Scatter_Gather,2024-01-05\n"
            "T2,A9,no,fan_in,\n"
            ",A1,YES,,2024-01-05T10:00:00+02:00\n"
            "T3,,maybe,,\n"
            ",,1,,\n"
            "T4,,1,,last week\n"
            "T5,,,,\n",
        )
    )
    assert read.rows.schema == LABELS_READ_SCHEMA
    assert columns(read, "tx_id", "account", "label", "typology") == [
        ("T1", None, 1, "scatter-gather"),
        ("T2", None, 0, None),
        (None, "A1", 1, None),
    ]
    known = [None if moment is None else moment.isoformat() for moment in read.rows["known_since"].to_pylist()]
    assert known == ["2024-01-05T00:00:00+00:00", None, "2024-01-05T08:00:00+00:00"]
    assert read.rows["after_seq"].to_pylist() == [-1, -1, -1]
    assert reasons(read) == [
        (4, "label", "label_unreadable"),
        (5, "tx_id", "tx_id_missing"),
        (6, "known_since", "time_unreadable"),
        (7, "label", "label_unreadable"),
    ]
    assert "side.csv, row 4" in read.rejected["message"][0].as_py()
    assert "To mend: write 1 for laundering" in read.rejected["message"][0].as_py()


@settings(max_examples=400 if FULL else 60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.text("ABC019 é,\"'\n", max_size=6),
            st.sampled_from(["0", "1", "true", "No", "y", "x", "", "1.0", "2"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_row_is_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    table = pa.table({"tx_id": [tx_id for tx_id, _ in rows], "label": [label for _, label in rows]})
    path = tmp_path_factory.mktemp("labels") / "labels.parquet"
    pq.write_table(table, path)
    read = read_labels(path)
    assert read.rows.num_rows + read.rejected.num_rows == len(rows)
    good = [tx_id.strip() for tx_id, label in rows if tx_id.strip() and label not in {"x", "", "2"}]
    assert read.rows["tx_id"].to_pylist() == good


def test_accounts_own_columns_conflicts_and_repeats(tmp_path: Path) -> None:
    read = read_accounts(
        written(
            tmp_path,
            "Account;Customer;Bank;Opened\nA1;C1;B;2020-02-03\nA2;;;\nA1;C1;B;2020-02-03\nA1;C2;B;2020-02-03\n;C3;;\nA3;C3;;0\n",
        )
    )
    assert read.rows.schema == ACCOUNT_SCHEMA
    assert columns(read, "account", "customer", "bank") == [("A1", "C1", "B"), ("A2", None, None)]
    assert read.rows["opened"][0].as_py().date().isoformat() == "2020-02-03"
    assert read.repeated == 1
    assert reasons(read) == [
        (4, "Account", "conflict"),
        (5, "Account", "account_missing"),
        (6, "Opened", "time_unreadable"),
    ]


def test_accounts_of_amlworld_are_qualified_by_bank(tmp_path: Path) -> None:
    text = (
        "Bank Name,Bank ID,Account Number,Entity ID,Entity Name\n"
        "Bank One,0010,8000EBD30,E1,Corporation #1\n"
        "Bank One,10,8000EBD31,E1,Corporation #1\n"
        "Bank Zero,000,8000EBD32,E2,Sole Proprietorship #2\n"
        "Bank None,,8000EBD33,E3,Individual #3\n"
    )
    accounts = read_accounts(written(tmp_path, text, "HI-Small_accounts.csv"))
    assert columns(accounts, "account", "customer", "bank") == [
        ("10:8000EBD30", "E1", "10"),
        ("10:8000EBD31", "E1", "10"),
        ("0:8000EBD32", "E2", "0"),
    ]
    assert reasons(accounts) == [(4, "Bank ID", "bank_missing")]
    parties = read_parties(written(tmp_path, text, "HI-Small_accounts.csv"))
    assert columns(parties, "customer", "name", "kind") == [
        ("E1", "Corporation #1", "company"),
        ("E2", "Sole Proprietorship #2", "sole_proprietorship"),
        ("E3", "Individual #3", "person"),
    ]
    assert parties.repeated == 1


def test_parties_own_columns(tmp_path: Path) -> None:
    text = "customer,name,kind,country\nC1,Ada Abel,Individual,us\nC2,Oak Ltd,Company,\nC2,Elm Ltd,company,\n,x,,\n"
    read = read_parties(written(tmp_path, text))
    assert read.rows.schema == PARTY_SCHEMA
    assert columns(read, "customer", "name", "kind", "country") == [
        ("C1", "Ada Abel", "person", "US"),
        ("C2", "Oak Ltd", "company", None),
    ]
    assert reasons(read) == [(3, "customer", "conflict"), (4, "customer", "customer_missing")]


def test_relationships_shares_and_dates(tmp_path: Path) -> None:
    read = read_relationships(
        written(
            tmp_path,
            "from_customer,to_customer,kind,share,valid_from,valid_to\n"
            "C1,C2,Beneficial Owner,25%,2020-01-01,\n"
            "C1,C3,shareholder,0.4,2020-01-01,2021-01-01\n"
            "C1,C4,relative,,,\n"
            "C1,C5,shareholder,1.01,,\n"
            "C1,C5,shareholder,101 %,,\n"
            "C1,C5,shareholder,-0.1,,\n"
            "C1,C5,shareholder,nan,,\n"
            "C1,C5,partner,,2021-01-02,2021-01-01\n"
            "C1,,partner,,,\n"
            ",C1,partner,,,\n"
            "C1,C2,,,,\n"
            "C1,C1,partner,,,\n"
            'C1,C5,shareholder,"0,5",,\n',
        )
    )
    assert read.rows.schema == RELATIONSHIP_SCHEMA
    assert columns(read, "from_customer", "to_customer", "kind", "share") == [
        ("C1", "C2", "beneficial_owner", 0.25),
        ("C1", "C3", "shareholder", 0.4),
        ("C1", "C4", "relative", None),
    ]
    assert reasons(read) == [
        (4, "share", "share_out_of_range"),
        (5, "share", "share_out_of_range"),
        (6, "share", "share_out_of_range"),
        (7, "share", "share_out_of_range"),
        (8, "valid_to", "ends_before_it_begins"),
        (9, "to_customer", "to_customer_missing"),
        (10, "from_customer", "from_customer_missing"),
        (11, "kind", "kind_missing"),
        (12, "to_customer", "self_relation"),
        (13, "share", "share_out_of_range"),
    ]


def test_seeds(tmp_path: Path) -> None:
    read = read_seeds(written(tmp_path, "account,customer,reason,known_since\nA1,,convicted,2024-03-01\n,C2,,\n,,x,\n"))
    assert read.rows.schema == SEED_SCHEMA
    assert columns(read, "account", "customer", "reason") == [("A1", None, "convicted"), (None, "C2", None)]
    assert reasons(read) == [(3, "account", "account_missing")]


def test_gzip_utf16_and_tabs(tmp_path: Path) -> None:
    text = "account\treason\nÄ1\tüber\n"
    zipped, wide = tmp_path / "seeds.csv.gz", tmp_path / "seeds.tsv"
    zipped.write_bytes(gzip.compress(text.encode()))
    wide.write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    for path in (zipped, wide):
        assert columns(read_seeds(path), "account", "reason") == [("Ä1", "über")]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(EmptyInputError, match="leave the file out"):
        read_seeds(written(tmp_path, ""))
    with pytest.raises(EmptyInputError, match="no rows"):
        read_seeds(written(tmp_path, "account,reason\n"))
    with pytest.raises(FormatError, match="needs the column label; found tx_id, outcome"):
        read_labels(written(tmp_path, "tx_id,outcome\n1,1\n"))
    with pytest.raises(FormatError, match="name the columns like this: account: account or"):
        read_accounts(written(tmp_path, "number,owner\n1,1\n"))
    with pytest.raises(FormatError, match="to_customer and kind"):
        read_relationships(written(tmp_path, "from,weight\n1,1\n"))
    with pytest.raises(InputError, match="no such file"):
        read_parties(tmp_path / "parties.csv")
    with pytest.raises(InputError, match="directory"):
        read_parties(tmp_path)


@needs_amlsim
def test_amlsim_files() -> None:
    folder = DATA / "amlsim_medium"
    accounts = read_accounts(folder / "accounts.parquet")
    assert accounts.rows.num_rows == 12_043
    assert accounts.rejected.num_rows == 0
    assert columns(accounts, "account", "customer", "bank", "opened")[1] == ("1", "C_1", "bank", None)
    assert columns(read_parties(folder / "accounts.parquet"), "customer", "name", "kind", "country")[0] == (
        "C_0",
        "Steven Collins",
        "person",
        "US",
    )
    transactions = read_labels(folder / "alert_transactions.parquet")
    assert sum(transactions.rows["label"].to_pylist()) == 1_467
    assert transactions.rows.num_rows == 1_796
    alerts = read_labels(folder / "alert_accounts.parquet")
    assert alerts.rows["tx_id"].null_count == alerts.rows.num_rows == 1_986
    assert sum(alerts.rows["label"].to_pylist()) == 1_604
    sar = read_labels(folder / "sar_accounts.parquet")
    assert sum(sar.rows["label"].to_pylist()) == 1_537
    assert sar.rows["known_since"].null_count == 1_910
    assert set(sar.rows["typology"].to_pylist()) == {
        None, "cycle", "fan-in", "fan-out", "gather-scatter", "scatter-gather",
    }  # fmt: skip


@needs_amlgentex
def test_amlgentex_files() -> None:
    folder = DATA / "amlgentex_small"
    accounts = read_accounts(folder / "accounts.parquet")
    assert columns(accounts, "account", "customer", "bank")[0] == ("0", "C_0", "bank_a")
    assert accounts.rows.num_rows == 10_000
    models = read_labels(folder / "alert_models.parquet")
    assert models.rows.num_rows == 617
    assert set(models.rows["label"].to_pylist()) == {1}
    assert len(set(models.rows["typology"].to_pylist())) == 7


@needs_amlsim
def test_what_gives_laundering_away_is_not_carried() -> None:
    for folder in ("amlsim_medium", "amlgentex_small"):
        path = DATA / folder / "accounts.parquet"
        for reader in (read_accounts, read_parties):
            assert not {name.lower() for name in reader(path).rows.column_names} & {"prior_sar_count", "is_sar"}
