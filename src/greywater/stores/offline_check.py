"""What `check` asks of a feature group on disk: every file as written, every row in its place and counted."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from greywater.errors import GreywaterError
from greywater.stores.feature_ports import EVENT_TIME, microseconds
from greywater.stores.offline_files import GroupFile, HashBook, read_file
from greywater.stores.offline_keys import key_hashes
from greywater.stores.offline_rows import COMMIT, DAY_US, KEY_HIGH, KEY_LOW
from greywater.stores.offline_scan import NEEDED, is_sorted
from greywater.stores.offline_table import GroupTable
from greywater.stores.ports import Finding

__all__ = ["check_table"]

RESTORE: Final = "put the folder back from a backup"


def check_table(table: GroupTable) -> list[Finding]:
    """Findings of one group: hashes are computed anew, whatever was verified before."""
    findings = _check_commits(table)
    book = HashBook()
    wanted = pa.schema([field for field in table.schema if field.name in {*table.layout.keys, *NEEDED}])
    for file in table.files:
        try:
            rows = read_file(table.folder, file, wanted, book)
        except GreywaterError as error:
            findings.append(Finding(error.where, error.found, error.mend))
            continue
        wrong = _wrong_rows(table, file, rows)
        if wrong:
            findings.append(Finding(str(table.folder / file.path), wrong, RESTORE))
    return findings


def _check_commits(table: GroupTable) -> list[Finding]:
    """Whether the commits add up to the rows and files that Delta reads."""
    try:
        marks = table.marks()
    except GreywaterError as error:
        return [Finding(error.where, error.found, error.mend)]
    appends = [one for one in marks if one.kind == "append"]
    findings = []
    if [one.mark.get("number") for one in appends] != list(range(table.next_number)):
        findings.append(Finding(str(table.folder), "the appends are not numbered one after another", RESTORE))
    said = sum(int(one.mark.get("rows", 0)) for one in appends)
    if said != table.rows:
        findings.append(Finding(str(table.folder), f"{said} rows were added, {table.rows} can be read", RESTORE))
    named: set[str] = set()
    for one in marks:
        named -= set(one.removes)
        named |= {str(add["path"]) for add in one.adds}
    if named != {file.path for file in table.files}:
        findings.append(Finding(str(table.folder), "the commits name other data files than Delta reads", RESTORE))
    return findings


def _wrong_rows(table: GroupTable, file: GroupFile, rows: pa.Table) -> str:
    """What is wrong with the rows of a data file, or nothing."""
    if not is_sorted(rows):
        return "the rows are not in order"
    if (microseconds(rows[EVENT_TIME]) // DAY_US != file.day).any():
        return "a row belongs to another day"
    commit = rows[COMMIT].to_numpy()
    if commit.min() < file.first_commit or commit.max() > file.last_commit:
        return "a row belongs to another commit"
    high, low = key_hashes([rows[name].combine_chunks() for name in table.layout.keys])
    if not np.array_equal(high, rows[KEY_HIGH].to_numpy()) or not np.array_equal(low, rows[KEY_LOW].to_numpy()):
        return "the hash of a key is not that of its columns"
    return ""
