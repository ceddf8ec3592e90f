"""Mapping files: the examples of the documentation run, and every mistake is named with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.errors import FormatError, InputError
from greywater.formats import mapping
from greywater.formats.detect import open_source
from greywater.formats.mapping import read_mapping
from greywater.formats.times import DAY_US

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```\n\nreads\n\n```csv\n(.*?)```", DOCUMENT, re.DOTALL)
LEAST = """[columns]
event_time = "t"
sender = "a"
receiver = "b"
amount = "x"

[constants]
currency = "EUR"
"""


@pytest.fixture
def opened(tmp_path: Path, read: Any) -> Callable[..., Any]:
    """Read CSV text by TOML text."""

    def run(toml: str, text: str, encoding: str = "utf-8") -> Any:
        (tmp_path / "map.toml").write_text(toml, "utf-8")
        (tmp_path / "data.csv").write_bytes(text.encode(encoding))
        return read(open_source(tmp_path / "data.csv", mapping=tmp_path / "map.toml"))

    return run


def test_the_documentation_has_examples() -> None:
    assert len(EXAMPLES) >= 4
    assert DOCUMENT.count("```toml") == len(EXAMPLES)


def test_bank_export(opened: Callable[..., Any]) -> None:
    found = opened(*EXAMPLES[0], "cp1252")
    first, second = found.payments.to_pylist()
    assert found.rejected.num_rows == 0
    assert first["event_time"] == datetime(2024, 1, 31, 22, 30, tzinfo=UTC)
    assert (first["sender"], first["receiver"], first["sender_bank"]) == ("DEUT:100", "COBA:200", "DEUT")
    assert (first["amount"], first["currency"], first["channel"]) == (123_456, "EUR", "transfer")
    assert (first["tx_id"], first["reference"]) == ("K1", "Miete; Januar")
    assert second["event_time"] == datetime(2024, 7, 1, 10, 0, tzinfo=UTC)
    assert (second["sender"], second["channel"], second["reference"]) == ("DEUT:BARGELD-7", "cash", None)
    assert found.source.resolution_us == 60_000_000


def test_card_payments(opened: Callable[..., Any]) -> None:
    found = opened(*EXAMPLES[1])
    assert found.column("label") == [0, 1]
    assert found.column("typology") == ["0", "2"]
    assert found.column("channel") == ["card", "card"]
    assert found.column("amount") == [5_716, 8_151]
    assert found.source.answer_columns == ("TX_FRAUD", "TX_FRAUD_SCENARIO")
    assert found.source.base_currency == "EUR"


def test_chain_data_in_wei(opened: Callable[..., Any]) -> None:
    found = opened(*EXAMPLES[2])
    assert found.column("amount") == [150_000_000, 123_456_789]
    assert found.rounded == 1
    assert found.column("event_time")[0] == datetime(2022, 9, 1, tzinfo=UTC)
    assert found.column("row") == [1, 2]
    assert all(len(str(tx_id)) == 32 for tx_id in found.column("tx_id"))


def test_minor_units_and_skipped_rows(opened: Callable[..., Any]) -> None:
    found = opened(*EXAMPLES[3])
    assert found.skipped == 1
    assert found.column("row") == [1, 3]
    assert found.column("amount") == [1_050, 700]
    assert found.column("received_amount") == [1_140, 700]
    assert found.column("received_currency") == ["USD", "EUR"]
    assert found.column("receiver") == ["8", "external:0"]
    assert found.column("event_time")[1] == datetime(2020, 2, 1, tzinfo=UTC)
    assert found.source.resolution_us == DAY_US
    assert found.source.answer_columns == ("case_id",)


def test_balances_and_an_overdraft(opened: Callable[..., Any]) -> None:
    found = opened(*EXAMPLES[4])
    assert found.rejected.num_rows == 0
    assert found.column("sender_balance") == [98_050, -12_000, None]
    assert found.column("receiver_balance") == [0, None, 500_000]


def test_every_key_is_documented() -> None:
    keys = DOCUMENT.split("### All keys")[1]
    for section, names in mapping.SECTIONS.items():
        assert f"`{section}`" in keys
        for name in names:
            assert name is None or f"`{name}`" in keys, name


def test_parquet_by_mapping(tmp_path: Path, read: Any) -> None:
    (tmp_path / "map.toml").write_text(LEAST)
    table = pa.table({"t": pa.array([1, 2], pa.timestamp("s")), "a": [1, 2], "b": ["x", "y"], "x": [1.5, 2.25]})
    pq.write_table(table, tmp_path / "data.parquet")
    found = read(open_source(tmp_path / "data.parquet", mapping=tmp_path / "map.toml"))
    assert found.column("amount") == [150, 225]
    assert found.column("sender") == ["1", "2"]
    assert (found.source.format, found.source.total_rows) == ("mapping", 2)


def test_dates_alone_are_day_stamped(opened: Callable[..., Any]) -> None:
    text = "t,a,b,x\n" + "2024-01-31,1,2,3\n" * 100
    assert opened(LEAST, text).source.resolution_us == DAY_US
    assert opened(LEAST + '[time]\nzone = "Asia/Tokyo"\n', text).source.resolution_us == DAY_US
    assert opened(LEAST + '[time]\nresolution = "second"\n', text).source.resolution_us == 1_000_000
    assert opened(LEAST, text + "2024-01-31 00:01,1,2,3\n").source.resolution_us == 1_000_000
    assert opened(LEAST, "t,a,b,x\n2024-01-31,1,2,3\n").source.resolution_us == 1_000_000


def test_false_values_leave_the_rest_unclear(opened: Callable[..., Any]) -> None:
    toml = LEAST.replace("[constants]", 'label = "l"\n\n[constants]') + '[labels]\ntrue = ["SAR"]\nfalse = ["ok"]\n'
    found = opened(toml, "t,a,b,x,l\n" + "".join(f"2024-01-31,1,2,3,{label}\n" for label in ("sar", "OK", "", "?")))
    assert found.column("label") == [1, 0, None]
    assert found.reasons == {4: "label_unreadable"}


@pytest.mark.parametrize(
    ("toml", "line", "words"),
    [
        ("[colums]\n", 1, r"did you mean \[columns\]"),
        (LEAST.replace("sender", "sendr"), 3, "did you mean 'sender'"),
        (LEAST + "colour = 1\n", 9, "no known key"),
        (LEAST.replace('"x"', "5"), 5, "wrong type"),
        (LEAST.replace('amount = "x"\n', ""), 1, "amount is missing"),
        (LEAST.replace('currency = "EUR"', ""), 1, "currency is missing"),
        (LEAST.replace('"EUR"', '"Euro"'), 8, "no currency code"),
        (LEAST.replace('"x"', '"x"\ncurrency = "c"'), 9, "a column and a constant"),
        (LEAST + '[time]\nformat = "%Y-%Q"\n', 10, "unknown part %Q"),
        (LEAST + '[time]\nformat = "%H:%M"\n', 10, "does not name a day"),
        (LEAST + '[time]\nformat = "%Y-%m-%d %I"\n', 10, "does not name an hour"),
        (LEAST + '[time]\nzone = "Mars/Base"\n', 10, "no known time zone"),
        (LEAST + '[time]\norigin = "then"\n', 10, "origin"),
        (LEAST + '[time]\nresolution = "week"\n', 10, "no known resolution"),
        (LEAST + '[amount]\nunit = "cents"\n', 10, "no known unit"),
        (LEAST + "[amount]\ndigits = 99\n", 10, "cannot be used"),
        (LEAST + "[amount]\ndigits = true\n", 10, "wrong type"),
        (LEAST + '[amount]\ndecimal = "comma"\n', 10, "no decimal mark"),
        (LEAST + '[amount]\nthousands = "."\n', 10, "no thousands mark"),
        (LEAST + '[file]\nseparator = "::"\n', 10, "no separator"),
        (LEAST + '[file]\nencoding = "klingon"\n', 10, "no known encoding"),
        (LEAST + '[file]\nencoding = "base64"\n', 10, "no known encoding"),
        (LEAST + "[file]\nheader = [1]\n", 10, "no list of texts"),
        (LEAST + '[channels]\n"SEPA" = "sepa"\n', 10, "no known channel"),
        (LEAST + '[currencies]\n"Euro" = "€"\n', 10, "no currency code"),
        (LEAST + '[source]\nbase_currency = "euro"\n', 10, "no currency code"),
        (LEAST + '[skip]\ncolumn = "t"\n', 9, "column and values"),
        (LEAST + "[parties]\nbank_qualified = true\n", 10, "needs sender_bank"),
        ("columns = 3\n", 1, "is a section"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, toml: str, line: int, words: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(toml, "utf-8")
    with pytest.raises(FormatError, match=words) as caught:
        read_mapping(path)
    assert f"line {line}," in str(caught.value)
    assert caught.value.mend


def test_no_toml_and_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("[columns\n")
    with pytest.raises(FormatError, match=r"not TOML.*line 1"):
        read_mapping(path)
    path.write_bytes(b"# \xff\n")
    with pytest.raises(FormatError, match="not UTF-8"):
        read_mapping(path)


def test_a_column_that_is_not_in_the_file(opened: Callable[..., Any]) -> None:
    with pytest.raises(FormatError, match=r"no column 'b'.*line 4.*the columns are t, a, x"):
        opened(LEAST, "t,a,x\n1,2,3\n")


def test_a_missing_mapping_file(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_source(write("1"), mapping=tmp_path / "map.toml")
