"""A Delta table of someone else's: what each version added, whatever its owner does between two looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from greywater.errors import InputError
from greywater.stores.source_delta import DeltaPull, DeltaSource
from greywater.stores.source_rows import Mark


def rows(first: int, stop: int, **more: Any) -> pa.Table:
    numbers = list(range(first, stop))
    columns = {"n": pa.array(numbers, pa.int64()), "day": [f"2024-01-{1 + n % 3:02} x/y" for n in numbers]}
    return pa.table({**columns, **{name: [value] * len(numbers) for name, value in more.items()}})


def taken(pull: DeltaPull) -> list[int]:
    return [n for batch in pull.batches() for n in batch.column("n").to_pylist()]


def look(path: Path, mark: Mark | None) -> tuple[list[int], Mark | None, str]:
    pull = DeltaSource(path).pull(mark)
    found = taken(pull)
    return sorted(found), pull.mark(), "" if pull.whole_again is None else pull.whole_again.why


@pytest.fixture(params=[[], ["day"]], ids=["whole", "partitioned"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "payments of bank"
    write_deltalake(path, rows(0, 10), partition_by=request.param)
    return path


def test_only_what_was_added_comes(table: Path) -> None:
    found, mark, _ = look(table, None)
    assert found == list(range(10))
    assert look(table, mark) == ([], {"version": 0}, "")
    write_deltalake(table, rows(10, 15), mode="append")
    write_deltalake(table, rows(15, 17), mode="append")
    found, mark, _ = look(table, mark)
    assert (found, mark) == ([10, 11, 12, 13, 14, 15, 16], {"version": 2})


def test_columns_of_partitions_are_there_and_types_are_plain(table: Path) -> None:
    pull = DeltaSource(table).pull(None)
    found = pa.Table.from_batches(list(pull.batches()), schema=pull.schema).sort_by("n")
    assert found.select(["n", "day"]).to_pylist() == rows(0, 10).to_pylist()
    assert not any(pa.types.is_dictionary(field.type) for field in pull.schema)


def test_compaction_adds_nothing_and_hides_nothing(table: Path) -> None:
    _, mark, _ = look(table, None)
    write_deltalake(table, rows(10, 12), mode="append")
    write_deltalake(table, rows(12, 14), mode="append")
    DeltaTable(table).optimize.compact()
    found, after, why = look(table, mark)
    assert (found, why) == ([10, 11, 12, 13], "")
    write_deltalake(table, rows(14, 15), mode="append")
    assert look(table, after)[0] == [14]


def test_rewritten_rows_and_forgotten_commits_mean_the_whole_again(table: Path) -> None:
    _, mark, _ = look(table, None)
    DeltaTable(table).delete("n = 3")
    found, after, why = look(table, mark)
    assert found == [0, 1, 2, *range(4, 10)]
    assert "changed or removed rows" in why
    write_deltalake(table, rows(20, 22), mode="append")
    DeltaTable(table).create_checkpoint()
    write_deltalake(table, rows(22, 23), mode="append")
    assert look(table, after)[0] == [20, 21, 22]
    (table / "_delta_log" / f"{2:020d}.json").unlink()
    found, _, why = look(table, after)
    assert len(found) == 12
    assert "no longer kept" in why


def test_new_columns_are_null_in_older_rows(table: Path) -> None:
    _, mark, _ = look(table, None)
    write_deltalake(table, rows(10, 11), mode="append")
    write_deltalake(table, rows(11, 12, memo="rent"), mode="append", schema_mode="merge")
    pull = DeltaSource(table).pull(mark)
    found = pa.Table.from_batches(list(pull.batches()), schema=pull.schema)
    assert found["memo"].to_pylist() == [None, "rent"]


def test_the_key_is_the_tables_own(table: Path, tmp_path: Path) -> None:
    before = DeltaSource(table)
    moved = table.rename(tmp_path / "elsewhere")
    assert DeltaSource(moved).key == before.key
    write_deltalake(tmp_path / "other", rows(0, 3))
    assert DeltaSource(tmp_path / "other").key != before.key
    assert DeltaSource(moved).label.startswith("delta_elsewhere_")


def test_what_cannot_be_read_is_said(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Delta table"):
        DeltaSource(tmp_path)
    with pytest.raises(InputError, match="read up to version 9 before"):
        DeltaSource(table).pull({"version": 9})
    write_deltalake(table, rows(10, 11), mode="append")
    commit = table / "_delta_log" / f"{1:020d}.json"
    whole = commit.read_bytes()
    source = DeltaSource(table)
    commit.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        source.pull({"version": 0})
    commit.write_bytes(whole)
    next(table.rglob("*.parquet")).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        look(table, None)


@pytest.mark.parametrize(
    ("protocol", "configuration", "told"),
    [
        ({"minReaderVersion": 2, "minWriterVersion": 5}, {"delta.columnMapping.mode": "name"}, "column mapping"),
        (
            {
                "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"],
            },
            {"delta.enableDeletionVectors": "true"}, "deletion vectors",
        ),
        ({"minReaderVersion": 1, "minWriterVersion": 2}, {"delta.columnMapping.mode": "none"}, ""),
    ],
)  # fmt: skip
def test_a_table_that_arrow_would_misread_is_refused(
    tmp_path: Path, protocol: dict[str, Any], configuration: dict[str, str], told: str
) -> None:
    write_deltalake(tmp_path, rows(0, 3))
    commit = tmp_path / "_delta_log" / f"{0:020d}.json"
    actions = []
    for action in map(json.loads, commit.read_text().splitlines()):
        if "protocol" in action:
            action = {"protocol": protocol}
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            for place, one in enumerate(schema["fields"], 1):
                if told == "column mapping":
                    one["metadata"] = {
                        "delta.columnMapping.id": place, "delta.columnMapping.physicalName": f"col-{place}",
                    }  # fmt: skip
            action["metaData"] |= {"schemaString": json.dumps(schema), "configuration": configuration}
        actions.append(json.dumps(action))
    commit.write_text("\n".join(actions) + "\n")
    if told:
        with pytest.raises(InputError, match=told):
            DeltaSource(tmp_path)
    else:
        assert look(tmp_path, None)[0] == [0, 1, 2]
