"""What a fit comes from, so that it can be repeated: settings, data as they stood, code, libraries."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from greywater._version import __version__
from greywater.app.rule_place import project_rules
from greywater.app.wiring import Project
from greywater.config import Settings
from greywater.errors import StoreDamagedError
from greywater.kernels.compile import kernel_hash
from greywater.stores.ports import Tables
from greywater.stores.prefix import LedgerPrefix, TablesPrefix

__all__ = ["DataVersion", "fit_settings", "fit_versions", "settings_again"]

#: Settings that say where things are or how fast, not what is fitted.
PLACES: Final = frozenset({"store", "project", "records", "threads", "chunk_rows", "sort_memory_mb"})
#: Tables that a fit reads beside the payments.
TABLES: Final = (
    "labels", "accounts", "parties", "relationships", "seeds", "attributes", "attribute_names", "attribute_words",
)  # fmt: skip
LIBRARIES: Final = ("numpy", "lightgbm", "scikit-learn", "torch", "xgboost", "pyod")
#: Rooms that change no model: what is shown, and made-up data.
NOT_FITTED: Final = frozenset({"cli", "desk", "web", "synth"})


@dataclass(frozen=True)
class DataVersion:
    """How much a project held: payments, and rows of each table. Nothing is ever changed, so this says what.

    Parameters
    ----------
    payments : int
    tables : mapping
        Table -> rows, in commit order.
    fingerprint : str
        Of the counts and of the last payment and the last row of each table.
    """

    payments: int
    tables: Mapping[str, int]
    fingerprint: str

    @classmethod
    def of(cls, project: Project) -> Self:
        """What the project holds now."""
        count = project.ledger.next_seq
        last = project.ledger.take(np.array([count - 1], np.int64)).to_pylist()[0] if count else {}
        counted = {name: _last_row(project.tables, name) for name in TABLES}
        held = {name: one for name, one in counted.items() if one[0]}
        marks = [count, _mark(last), {name: [rows, _mark(row)] for name, (rows, row) in held.items()}]
        text = json.dumps(marks, sort_keys=True)
        tables = {name: rows for name, (rows, _) in held.items()}
        return cls(count, tables, hashlib.sha256(text.encode()).hexdigest()[:16])

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """From `to_json`.

        Raises
        ------
        StoreDamagedError
            It is none.
        """
        try:
            tables = {str(name): int(rows) for name, rows in found["tables"].items()}
            return cls(int(found["payments"]), tables, str(found["fingerprint"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreDamagedError(f"the data version cannot be read: {error}", mend="restore a backup") from None

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {"payments": self.payments, "tables": dict(self.tables), "fingerprint": self.fingerprint}

    def of_project(self, project: Project) -> Project:
        """The project with only what it held then, for reading.

        Raises
        ------
        StoreError
            It holds fewer payments.
        """
        ledger = LedgerPrefix(project.ledger, self.payments)
        return replace(project, ledger=ledger, tables=TablesPrefix(project.tables, self.tables))


def fit_settings(settings: Settings) -> dict[str, Any]:
    """The settings that a fit depends on, in JSON types."""
    found: dict[str, Any] = {}
    for one in fields(settings):
        if one.name not in PLACES:
            value = getattr(settings, one.name)
            found[one.name] = list(value) if isinstance(value, tuple) else value
    return found


def settings_again(recorded: Mapping[str, Any], now: Settings) -> Settings:
    """The settings of a recorded fit at the places of today; what was not recorded has its default.

    Examples
    --------
    >>> again = settings_again({"seed": 3, "windows": [3600], "budget": "20/day"}, Settings(project="north", seed=5))
    >>> again.seed, again.windows, again.project, again.features
    (3, (3600,), 'north', 'payments-v2')
    """
    names = {one.name for one in fields(Settings)}
    changes = {name: getattr(now, name) for name in names & PLACES}
    for name, value in recorded.items():
        if name in names - PLACES:
            changes[name] = tuple(value) if isinstance(value, list) else value
    return replace(Settings(), **changes)


def fit_versions(project: Project) -> dict[str, Any]:
    """Versions of the code, the libraries, the rules and the data that a fit of the project begun now is made of."""
    found: dict[str, Any] = {
        "greywater": __version__,
        "kernels": kernel_hash(),
        "python": sys.version.split()[0],
        "code": _code_hash(),
        "libraries": _libraries(),
        "data": DataVersion.of(project).to_json(),
    }
    if project.settings.detector == "hybrid":
        found["rules"] = project_rules(project.settings).fingerprint
    return found


@cache
def _code_hash() -> str:
    """Of the source files that can change a model."""
    home = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        place = path.relative_to(home)
        if place.parts[0] not in NOT_FITTED:
            digest.update(place.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _last_row(tables: Tables, name: str) -> tuple[int, dict[str, Any]]:
    """How many rows a table has, and the last of them."""
    rows, last = 0, None
    batches: Iterable[pa.RecordBatch] = tables.scan(name)
    for batch in batches:
        if batch.num_rows:
            rows, last = rows + batch.num_rows, batch
    return rows, {} if last is None else last.slice(last.num_rows - 1).to_pylist()[0]


def _mark(row: Mapping[str, Any]) -> str:
    """A row's SHA-256; when it was recorded says nothing of what it says."""
    said = {name: str(value) for name, value in row.items() if name != "recorded_time"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
