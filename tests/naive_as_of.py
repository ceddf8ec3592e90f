"""The point-in-time join as the rule says it, row by row: the slow twin of `join_as_of`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def naive_as_of(
    labels: Sequence[Row], rows: Sequence[Row], keys: Sequence[tuple[str, str]], features: Sequence[str],
    known_column: str | None = None, as_of_commit: int | None = None,
) -> list[list[Any]]:  # fmt: skip
    """The features of each label row.

    Parameters
    ----------
    labels : sequence of mapping
        With `event_time` and the label's key columns.
    rows : sequence of mapping
        Feature rows in the order in which they were added, each with its `commit`.
    keys : sequence of (label column, group column)
    features : sequence of str
    """
    answers = []
    for label in labels:
        moment = label["event_time"]
        known = label[known_column] if known_column else moment
        best: Row | None = None
        for row in rows:
            if moment is None or known is None or any(label[mine] is None for mine, _ in keys):
                continue
            if any(label[mine] != row[theirs] for mine, theirs in keys):
                continue
            if as_of_commit is not None and row["commit"] > as_of_commit:
                continue
            if row["event_time"] > moment or row["known_time"] > known:
                continue
            if best is None or (row["event_time"], row["commit"]) >= (best["event_time"], best["commit"]):
                best = row
        answers.append([best[name] if best else None for name in features])
    return answers
