"""Sources: every row accounted for, whole-file trouble named with its mend."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import EmptyInputError, FormatError, InputError, UsageError
from greywater.formats.detect import FORMATS, open_source
from greywater.formats.source import Source

GOOD = "1,2024-01-31 10:00,A,B,12.50,EUR"
HEADER = "tx_id,event_time,sender,receiver,amount,currency"

FIELD = st.one_of(
    st.sampled_from(["", "1", "12.5", "-3", "nan", "1e18", "x", "2024-01-31", "2024-01-31T10:00Z", "EUR", "usd", '"']),
    st.text(alphabet='a1.,"é ', max_size=6),
)
ROW = st.one_of(st.just(GOOD), st.lists(FIELD, min_size=1, max_size=8).map(",".join))


def outcome(source: Source, rows: int) -> dict[str, Any]:
    chunks = list(source.chunks(rows))
    payments = pa.concat_tables([chunk.payments for chunk in chunks]).to_pylist() if chunks else []
    rejected = pa.concat_tables([chunk.rejected for chunk in chunks]).to_pylist() if chunks else []
    return {
        "payments": payments,
        "rejected": sorted(rejected, key=lambda row: row["row"]),
        "skipped": sum(chunk.skipped for chunk in chunks),
        "rounded": sum(chunk.rounded for chunk in chunks),
        "naive": sum(chunk.naive for chunk in chunks),
    }


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 40))
def test_every_row_ends_in_one_place(tmp_path: Path, lines: list[str], rows: int) -> None:
    path = tmp_path / "wild.csv"
    path.write_bytes("\n".join([HEADER, GOOD, *lines]).encode("utf-8"))
    source = open_source(path)
    found = outcome(source, rows)
    numbers = [row["row"] for row in found["payments"]] + [row["row"] for row in found["rejected"]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    if not any('"' in line for line in lines):
        assert len(numbers) == 1 + sum(line != "" for line in lines)
    assert found == outcome(source, 131_072)
    assert all(row["file"] == "wild.csv" and row["reason"] and "To mend" in row["message"] for row in found["rejected"])


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=20), st.integers(1, 10))
def test_any_bytes_are_read_or_refused(tmp_path: Path, lines: list[bytes], rows: int) -> None:
    path = tmp_path / "bytes.csv"
    path.write_bytes(b"\n".join([HEADER.encode(), GOOD.encode(), *lines]))
    found = outcome(open_source(path), rows)
    numbers = sorted([row["row"] for row in found["payments"]] + [row["row"] for row in found["rejected"]])
    assert numbers == list(range(1, len(numbers) + 1))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "event_time": st.none() | st.integers(-(2**60), 2**60),
                "sender": st.none() | st.text(max_size=4),
                "receiver": st.text(max_size=4),
                "amount": st.none() | st.floats(),
                "currency": st.none() | st.sampled_from(["EUR", "JPY", "eur", "?", ""]),
            }
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 12),
)
def test_every_parquet_row_ends_in_one_place(tmp_path: Path, records: list[dict[str, Any]], rows: int) -> None:
    path = tmp_path / "wild.parquet"
    schema = pa.schema(
        {
            "event_time": pa.timestamp("us"),
            "sender": pa.string(),
            "receiver": pa.large_string(),
            "amount": pa.float64(),
            "currency": pa.string(),
        }
    )
    pq.write_table(pa.Table.from_pylist(records, schema=schema), path)
    source = open_source(path, format="native")
    found = outcome(source, rows)
    numbers = sorted([row["row"] for row in found["payments"]] + [row["row"] for row in found["rejected"]])
    assert numbers == list(range(1, len(records) + 1))
    assert found == outcome(source, 131_072)
    assert source.total_rows == len(records)


def test_the_reasons_of_bad_rows(write: Callable[..., Path], read: Any) -> None:
    path = write(
        "1,2024-01-31 10:00,A,B,12.50,EUR",
        "2,2024-01-31 10:00,A,B,ten,EUR",
        "3,2024-01-31 10:00,A,B,NaN,EUR",
        "4,2024-01-31 10:00,A,B,-1,EUR",
        "5,2024-01-31 10:00,A,B,1000000000000000000,EUR",
        "6,2024-01-31 10:00,A,,1,EUR",
        "7,2024-01-31 10:00,  ,B,1,EUR",
        "8,soon,A,B,1,EUR",
        "9,,A,B,1,EUR",
        "10,1812-01-01,A,B,1,EUR",
        "11,2024-01-31 10:00,A,B,1,Taler",
        "12,2024-01-31 10:00,A,B,1,",
        "13,2024-01-31 10:00,A,B,1",
        "14,2024-01-31 10:00,A,B,1,EUR,more",
        ",2024-01-31 10:00,A,B,1,EUR",
        "16,2024-01-31 10:00,A,B,0,EUR",
        "17,2024-01-31 10:00,A,A,,EUR",
    )
    found = read(open_source(path))
    assert found.reasons == {
        2: "amount_text",
        3: "amount_not_finite",
        4: "amount_negative",
        5: "amount_too_large",
        6: "party_missing",
        7: "party_missing",
        8: "time_unreadable",
        9: "time_missing",
        10: "time_out_of_range",
        11: "currency_unknown",
        12: "currency_missing",
        13: "fields",
        14: "fields",
        15: "id_missing",
        17: "amount_missing",
    }
    assert found.column("row") == [1, 16]
    second = found.rejected.slice(0, 1).to_pylist()[0]
    assert second["column"] == "amount"
    assert second["value"] == "ten"
    assert second["message"] == (
        "the amount is not a number: 'ten' in column 'amount' (payments.csv, row 2). To mend: write digits and one "
        "decimal point, or name the decimal comma and the thousands mark in a mapping file."
    )


def test_bytes_that_are_no_utf8_set_their_row_aside(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{HEADER}\n{GOOD}\n2,2024-01-31,Caf".encode() + b"\xe9,B,1,EUR\n" + GOOD.encode() + b"\n")
    found = read(open_source(path))
    assert found.reasons == {2: "encoding"}
    assert found.rejected["column"].to_pylist() == ["sender"]
    assert found.column("row") == [1, 3]


def test_wild_values_are_shortened(write: Callable[..., Path], read: Any) -> None:
    found = read(open_source(write(GOOD, "2,2024-01-31,A,B," + "9" * 5_000 + "x,EUR")))
    assert len(found.rejected["value"].to_pylist()[0]) == 200


def test_mixed_zones_are_counted_wherever_they_stand(write: Callable[..., Path], read: Any) -> None:
    naive = [f"{i},2024-01-31 10:00,A,B,1,EUR" for i in range(10)]
    zoned = ["10,2024-01-31T10:00+01:00,A,B,1,EUR"]
    for lines in (naive + zoned, zoned + naive):
        for rows in (1, 3, 1_000):
            assert read(open_source(write(*lines)), rows).naive == 10
    assert read(open_source(write(*naive))).naive == 0
    assert read(open_source(write(*zoned))).naive == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.decode().encode("utf-16"),
        gzip.compress,
        lambda text: text.rstrip(b"\n"),
        lambda text: b"\n \n" + text + b"\n\n",
        lambda text: b'"' + text.replace(b",", b'","').replace(b"\n", b'"\n"')[:-1],
    ],
)
def test_the_same_payments_in_every_dress(
    write: Callable[..., Path], read: Any, change: Callable[[bytes], bytes]
) -> None:
    path = write(GOOD, GOOD.replace("A", "Müller"))
    plain = read(open_source(path)).payments
    path.write_bytes(change(path.read_bytes()))
    dressed = read(open_source(path))
    assert dressed.payments == plain
    assert dressed.rejected.num_rows == 0


def test_sha256(write: Callable[..., Path]) -> None:
    path = write(GOOD)
    source = open_source(path)
    assert source.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.name, source.path, source.format) == ("payments.csv", path, "native")


def test_chunks_are_no_larger_than_asked(write: Callable[..., Path]) -> None:
    source = open_source(write(*[GOOD] * 100))
    sizes = [chunk.payments.num_rows for chunk in source.chunks(7)]
    assert sum(sizes) == 100
    assert max(sizes) == 7


def test_empty_and_header_only(tmp_path: Path) -> None:
    for number, data in enumerate([b"", b"\n\n", b"\xef\xbb\xbf", HEADER.encode(), HEADER.encode() + b"\n \n"]):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(data)
        with pytest.raises(EmptyInputError, match="To mend"):
            open_source(path)
    path = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(EmptyInputError, match="no rows"):
        open_source(path)


def test_wrong_columns_say_what_is_missing_for_each_format(write: Callable[..., Path]) -> None:
    path = write("1,2", header="tran_id,orig_acct")
    with pytest.raises(FormatError) as caught:
        open_source(path)
    message = str(caught.value)
    assert "amlsim lacks bene_acct, tx_type, base_amt, tran_timestamp" in message
    assert all(name in message for name in FORMATS if name != "mapping")
    assert "--mapping" in message
    with pytest.raises(FormatError, match="bene_acct"):
        open_source(path, format="amlsim")


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"a": list(range(1_000))}), whole)
    data = whole.read_bytes()
    for length in (4, 100, len(data) - 1):
        cut = tmp_path / "cut.parquet"
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match="cut off or damaged"):
            open_source(cut)
    text = tmp_path / "text.parquet"
    text.write_text(HEADER)
    with pytest.raises(InputError, match="Parquet"):
        open_source(text)


def test_damage_inside_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    names = HEADER.split(",")
    rows = [GOOD.split(",")] * 1_000
    table = pa.table({name: [row[i] + str(n) for n, row in enumerate(rows)] for i, name in enumerate(names)})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:2_000] = bytes(1_996)
    path.write_bytes(data)
    with pytest.raises(InputError, match="cut off or damaged"):
        list(open_source(path).chunks())


def test_a_truncated_gzip_file_yields_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    packed = gzip.compress(
        "\n".join([HEADER, *(f"{i},2024-01-31,A{i * 7919},B,1,EUR" for i in range(50_000))]).encode()
    )
    path.write_bytes(packed[:-20])
    source = open_source(path, format="native")
    with pytest.raises(InputError, match="gzip -t"):
        next(source.chunks(10))


def test_directory_missing_file_and_neighbours(tmp_path: Path, write: Callable[..., Path]) -> None:
    write(GOOD, name="payments.csv")
    with pytest.raises(InputError, match=r"directory.*payments\.csv"):
        open_source(tmp_path)
    with pytest.raises(InputError, match=r"did you mean payments\.csv\?"):
        open_source(tmp_path / "payment.csv")
    with pytest.raises(InputError, match="check the path"):
        open_source(tmp_path / "zzz")
    with pytest.raises(InputError, match="its folder does not exist"):
        open_source(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(InputError, match="no regular file"):
        open_source(Path("/dev/null"))


def test_no_permission(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(GOOD)

    def refuse(self: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="chmod"):
        open_source(path)


def test_words_that_do_not_go_together(write: Callable[..., Path]) -> None:
    path = write(GOOD)
    with pytest.raises(UsageError, match="no known format"):
        open_source(path, format="swift")
    with pytest.raises(UsageError, match="--mapping FILE"):
        open_source(path, format="mapping")
    with pytest.raises(UsageError, match="exclude each other"):
        open_source(path, format="native", mapping=path)


def test_nested_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {name: ["x"] for name in HEADER.split(",")} | {"sender": [["x"]]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(FormatError, match="column 'sender' has the type list"):
        list(open_source(path).chunks())


def test_header_separators_are_found(tmp_path: Path, read: Any) -> None:
    for separator in ";\t|":
        path = tmp_path / "a.csv"
        path.write_text(f"{HEADER}\n{GOOD}\n".replace(",", separator))
        assert read(open_source(path)).payments.num_rows == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    most = {}
    for rows in (50_000, 400_000):
        numbers = pa.array(range(rows))
        columns = {"tx_id": numbers, "event_time": numbers.cast(pa.timestamp("s")), "sender": numbers}
        table = pa.table(columns | {"receiver": numbers, "amount": numbers, "currency": pa.repeat("EUR", rows)})
        path = tmp_path / f"{rows}.{kind}"
        if kind == "csv":
            pa_csv.write_csv(table, path)
        else:
            pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
        del numbers, columns, table
        source = open_source(path)
        before = pa.total_allocated_bytes()
        most[rows] = max(pa.total_allocated_bytes() - before for _ in source.chunks(4_096))
    assert most[400_000] < 1.5 * most[50_000] + 2**20
