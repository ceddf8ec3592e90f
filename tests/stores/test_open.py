"""A URL names an adapter, or the error says which ones there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from greywater.errors import UsageError
from greywater.stores.delta import DeltaLedger
from greywater.stores.delta_tables import DeltaTables
from greywater.stores.memory import MemoryLedger, MemoryTables
from greywater.stores.open import open_ledger, open_tables


def test_urls_name_adapters(tmp_path: Path) -> None:
    ledger = open_ledger(f"delta:{tmp_path}", max_ahead_us=0, max_jump_us=None)
    assert isinstance(ledger, DeltaLedger)
    assert ledger.folder == tmp_path
    ledger.close()
    assert isinstance(open_ledger("memory:", max_ahead_us=0, max_jump_us=None), MemoryLedger)
    assert isinstance(open_tables(f"delta:{tmp_path}"), DeltaTables)
    assert isinstance(open_tables("memory:"), MemoryTables)


@pytest.mark.parametrize("url", ["", "delta", "delta:", "memory", "memory:x", "sqlite:a", "/a/b"])
def test_other_urls_are_errors(url: str) -> None:
    for attempt in (lambda: open_ledger(url, max_ahead_us=0, max_jump_us=None), lambda: open_tables(url)):
        with pytest.raises(UsageError, match="delta:<folder> or memory:"):
            attempt()
