"""An offline store in memory that keeps what was appended as it came, and can fail at a chosen append."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from greywater.stores.feature_ports import GroupCommit, GroupLayout


class Kept:
    """As much of the port Offline as the drivers use."""

    def __init__(self, fail_at: int = -1) -> None:
        self.layouts: dict[tuple[str, int], GroupLayout] = {}
        self.rows: dict[tuple[str, int], list[pa.Table]] = {}
        self.made: dict[tuple[str, int], list[GroupCommit]] = {}
        self.fail_at = fail_at

    def create(self, layout: GroupLayout) -> None:
        self.layouts.setdefault((layout.name, layout.version), layout)

    def layout(self, name: str, version: int) -> GroupLayout | None:
        return self.layouts.get((name, version))

    def versions(self) -> list[tuple[str, int]]:
        return sorted(self.layouts)

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        return list(self.made.get((name, version), []))

    def append(
        self,
        name: str,
        version: int,
        rows: pa.Table,
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        made = self.made.setdefault((name, version), [])
        if transaction is not None and transaction in {commit.transaction for commit in made}:
            return None
        if self.fail_at == len(made):
            raise OSError("the machine stopped")
        layout = self.layouts[name, version]
        assert rows.column_names == [*layout.keys, "event_time", "known_time", *layout.features.names]
        assert [rows.schema.field(one.name).type for one in layout.features] == [one.type for one in layout.features]
        self.rows.setdefault((name, version), []).append(rows)
        made.append(GroupCommit(len(made), rows.num_rows, 0, transaction, "", dict(meta or {})))
        return made[-1]

    def adopt(self, name: str, version: int, files: Any, *, transaction: Any = None, meta: Any = None) -> Any:
        rows = pa.concat_tables([pq.read_table(path) for path in files])
        return self.append(name, version, rows, transaction=transaction, meta=meta)

    def table(self, name: str, version: int = 1) -> pa.Table:
        """All rows, by event time and id."""
        whole = pa.concat_tables(self.rows[name, version])
        return whole.sort_by([("event_time", "ascending"), ("tx_id", "ascending")]).combine_chunks()
