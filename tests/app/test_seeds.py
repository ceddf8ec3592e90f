"""Seeds are imported and read only by who may, and every import is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greywater.app.seeds import import_seeds, list_seeds
from greywater.errors import AccessDeniedError
from greywater.stores.open import open_records
from greywater.vocab import Actor

PAYMENT = [["p1", "2024-01-01", "A", "B", "1", "USD", "0", ""]]


def test_access_and_audit(desk: Any, tmp_path: Path) -> None:
    desk.ingest(desk.file("a.csv", PAYMENT))
    settings = desk.settings
    path = tmp_path / "seeds.csv"
    path.write_text("account,known_since\nA,2024-01-01\n")
    for role in ("investigator", "administrator", "auditor"):
        with pytest.raises(AccessDeniedError):
            import_seeds(Actor(role=role), settings, path)
    with pytest.raises(AccessDeniedError):
        list_seeds(Actor(role="investigator"), settings)
    assert list_seeds(Actor(role="auditor"), settings) == []
    outcome = import_seeds(Actor(), settings, path)
    assert (outcome.rows, outcome.known) == (1, False)
    (row,) = list_seeds(Actor(), settings)
    assert (row.account, row.customer, row.after_seq) == ("A", None, 0)
    with open_records(settings.records, folder=settings.project_folder, project=settings.project) as records:
        rows = [(each.action, each.object, each.outcome) for each in records.audits()]
    assert ("ingest", "seeds of seeds.csv", "done") in rows
    assert ("ingest", "seeds of seeds.csv", "refused") in rows
    assert ("read_labels", "seeds", "done") in rows
