"""Counters of what was served, and the rows that drift leaves: written as it happens, from any number of processes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from greywater.errors import UsageError
from greywater.stores.feature_record_rows import DRIFT, SERVED, DriftRecord, ServedRecord
from greywater.stores.record_database import RecordDatabase
from greywater.stores.record_rows import canonical_json, moment, now_us

__all__ = ["DriftRows", "ServedCounters"]


class ServedCounters:
    """How many vectors of which view were served on which day.

    Examples
    --------
    >>> with RecordDatabase.open("sqlite::memory:") as database:
    ...     served = ServedCounters(database)
    ...     for _ in range(2):
    ...         served.add([ServedRecord("risk", 1, 19_000, "online", 10, 1)])
    ...     served.rows()[0].vectors
    20
    """

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database

    def add(self, counts: Iterable[ServedRecord]) -> None:
        """Add to the counters in one commit; no count of another process is lost.

        Raises
        ------
        UsageError
            A count is negative: counters only grow.
        """
        rows: list[dict[str, Any]] = [
            {
                "view": one.view, "view_version": one.view_version, "day": one.day, "how": one.how,
                "vectors": one.vectors, "defaults": one.defaults,
            }
            for one in counts
        ]  # fmt: skip
        if any(row["vectors"] < 0 or row["defaults"] < 0 for row in rows):
            raise UsageError("a count of served vectors is negative", mend="count up from 0")
        if not rows:
            return
        insert: Any = (postgresql if self._database.kind == "postgresql" else sqlite).insert(SERVED)
        added = insert.on_conflict_do_update(
            index_elements=["view", "view_version", "day", "how"],
            set_={name: SERVED.c[name] + insert.excluded[name] for name in ("vectors", "defaults")},
        )
        with self._database.transaction(writes=True) as connection:
            for row in rows:
                connection.execute(added, row)

    def rows(self, since_day: int | None = None, until_day: int | None = None) -> list[ServedRecord]:
        """The counters of the days [since, until), days since 1970 in UTC, sorted."""
        chosen = SERVED.select().order_by(SERVED.c.view, SERVED.c.view_version, SERVED.c.day, SERVED.c.how)
        if since_day is not None:
            chosen = chosen.where(SERVED.c.day >= since_day)
        if until_day is not None:
            chosen = chosen.where(SERVED.c.day < until_day)
        with self._database.transaction() as connection:
            return [ServedRecord(**row) for row in connection.execute(chosen).mappings()]


class DriftRows:
    """What measures of drift said, for ever.

    Examples
    --------
    >>> with RecordDatabase.open("sqlite::memory:") as database:
    ...     drift = DriftRows(database)
    ...     drift.add([DriftRecord("group:credit@1", "2024-01", "2024-02", "score", "psi", 0.31, 0.2, True)])
    ...     [(row.feature, row.value, row.alert) for row in drift.rows("group:credit@1", alerts_only=True)]
    1
    [('score', 0.31, True)]
    """

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database

    def add(self, rows: Iterable[DriftRecord]) -> int:
        """Write rows in one commit; a value that is not finite is kept as not defined. Returns how many."""
        written = now_us()
        values = [
            {
                "subject": row.subject, "reference": row.reference, "live": row.live, "feature": row.feature,
                "measure": row.measure, "value": _finite(row.value), "threshold": _finite(row.threshold),
                "alert": int(row.alert), "detail": canonical_json(dict(row.detail)), "at_us": written,
            }
            for row in rows
        ]  # fmt: skip
        if values:
            with self._database.transaction(writes=True) as connection:
                connection.execute(DRIFT.insert(), values)
        return len(values)

    def rows(self, subject: str | None = None, *, alerts_only: bool = False) -> list[DriftRecord]:
        """What was written, oldest first; of one subject, or of all."""
        chosen = DRIFT.select().order_by(DRIFT.c.id)
        if subject is not None:
            chosen = chosen.where(DRIFT.c.subject == subject)
        if alerts_only:
            chosen = chosen.where(DRIFT.c.alert == 1)
        with self._database.transaction() as connection:
            rows = connection.execute(chosen).mappings().all()
        return [
            DriftRecord(
                subject=row["subject"], reference=row["reference"], live=row["live"], feature=row["feature"],
                measure=row["measure"], value=row["value"], threshold=row["threshold"], alert=bool(row["alert"]),
                detail=json.loads(row["detail"]), at=moment(row["at_us"]), id=row["id"],
            )
            for row in rows
        ]  # fmt: skip


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
