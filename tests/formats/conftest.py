"""Fixtures of the format tests: files made from lines, and all chunks of a source in one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from greywater.formats.source import Source
from greywater.vocab import PARSED_SCHEMA, REJECTED_SCHEMA

NATIVE = "tx_id,event_time,sender,receiver,amount,currency"


class Read:
    """All chunks of a source in one."""

    def __init__(self, source: Source, rows: int = 131_072) -> None:
        chunks = list(source.chunks(rows))
        self.source = source
        self.payments = pa.concat_tables([chunk.payments for chunk in chunks] or [PARSED_SCHEMA.empty_table()])
        self.rejected = pa.concat_tables([chunk.rejected for chunk in chunks] or [REJECTED_SCHEMA.empty_table()])
        self.skipped = sum(chunk.skipped for chunk in chunks)
        self.rounded = sum(chunk.rounded for chunk in chunks)
        self.naive = sum(chunk.naive for chunk in chunks)
        assert self.payments.schema == PARSED_SCHEMA
        assert self.rejected.schema == REJECTED_SCHEMA
        self.payments.validate(full=True)

    @property
    def reasons(self) -> dict[int, str]:
        """Row -> reason."""
        return dict(zip(self.rejected["row"].to_pylist(), self.rejected["reason"].to_pylist(), strict=True))

    def column(self, name: str) -> list[object]:
        """A column of the payments."""
        return self.payments[name].to_pylist()


@pytest.fixture
def read() -> type[Read]:
    return Read


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of payments from lines."""

    def make(*lines: str, name: str = "payments.csv", header: str = NATIVE, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(("\n".join([header, *lines]) + "\n").encode(encoding))
        return path

    return make
