"""What is written down of a training set, so that it can be made again bit for bit: question, sources and hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from greywater.errors import FormatError, UsageError
from greywater.featurestore.bias import BiasReport
from greywater.featurestore.definitions import FeatureView
from greywater.featurestore.label_rows import LabelCounts
from greywater.featurestore.splits import PartReport, Split, split_from_json, split_to_json

__all__ = ["PART", "GroupUse", "TrainingQuery", "TrainingRecord", "moment_us"]

#: Column of a set that says which part a row is of.
PART: Final = "part"
FORMAT: Final = "greywater training set 1"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment_us(moment: datetime | str | int) -> int:
    """Microseconds since 1970 of a moment: a datetime, ISO 8601 text, or such a number; naive times are UTC.

    Examples
    --------
    >>> moment_us("1970-01-02"), moment_us(datetime(1970, 1, 1, 0, 0, 1)), moment_us(7)
    (86400000000, 1000000, 7)
    """
    if isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError as error:
            raise UsageError(f"{moment!r} is no moment", mend="give ISO 8601, say 2024-03-01T00:00:00Z") from error
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class TrainingQuery:
    """What is asked of a training set.

    Parameters
    ----------
    name : str
    version : int
    start, end : datetime, str or int
        Event times [start, end) of the label rows; datetime, ISO 8601 or microseconds since 1970, naive times UTC.
        Kept as microseconds.
    split : Split or None
        How rows are parted; None = one part, "all".
    row_id, time_column : str
        Columns of the label rows: what names a row together with its time, and when it happened.
    label_known : str or None
        Column that says from when on a label was known; None, like a null in it, means `label_delay_days` after the
        event.
    as_known_at : datetime, str, int or None
        A label counts iff it was known at or before this moment; None = now.
    label_delay_days : float
        SEMANTICS (other records): a label without a date is known so long after its payment.
    known_column : str or None
        Column of the label rows with the moment whose knowledge the features may use; None = the event time.
    keep : tuple of str
        Further columns of the label rows that the set keeps (customer, segment...).
    keep_unlabelled : bool
        Rows without a known label stay, with a null label.
    allow_protected : bool
        The project allows protected attributes as inputs.
    as_served : bool
        Features are what the online store would have answered at the moment: an answer older than its group's
        `ttl_seconds` is none, and where there is none the declared default stands; else null.
    slices : tuple of str
        Columns of the label rows by which the record reports how labels are spread (`bias`): protected ones too.

    Raises
    ------
    UsageError
        The end is not after the start, or version < 1.

    Examples
    --------
    >>> TrainingQuery("march", 1, "2024-03-01", "2024-04-01").start
    1709251200000000
    """

    name: str
    version: int
    start: datetime | str | int
    end: datetime | str | int
    split: Split | None = None
    row_id: str = "row_id"
    time_column: str = "event_time"
    label_known: str | None = "known_since"
    as_known_at: datetime | str | int | None = None
    label_delay_days: float = 30.0
    known_column: str | None = None
    keep: tuple[str, ...] = ()
    keep_unlabelled: bool = False
    allow_protected: bool = False
    as_served: bool = True
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for bound in ("start", "end", "as_known_at"):
            if (moment := getattr(self, bound)) is not None:
                object.__setattr__(self, bound, moment_us(moment))
        object.__setattr__(self, "keep", tuple(self.keep))
        object.__setattr__(self, "slices", tuple(self.slices))
        if not self.name or self.version < 1:
            raise UsageError(
                f"training set {self.name!r} version {self.version}", mend="give a name and a version from 1 on"
            )
        if self.start_us >= self.end_us:
            raise UsageError(
                "the end is not after the start", where=f"training set {self.name}", mend="give start < end"
            )

    @property
    def start_us(self) -> int:
        """Least event time, microseconds since 1970."""
        return moment_us(self.start)

    @property
    def end_us(self) -> int:
        """Event times lie before this moment."""
        return moment_us(self.end)

    def at(self, now_us: int) -> TrainingQuery:
        """The query with the moment up to which labels are known filled in."""
        return self if self.as_known_at is not None else replace(self, as_known_at=now_us)


@dataclass(frozen=True)
class GroupUse:
    """Which state of a group was read: all commits up to `commit`, whose hash is `sha256`; -1 = none."""

    name: str
    version: int
    fingerprint: str
    commit: int
    sha256: str


@dataclass(frozen=True)
class TrainingRecord:
    """All that is needed to make a training set again and to know that it is the same.

    Parameters
    ----------
    query : TrainingQuery
        With `as_known_at` filled in.
    view : FeatureView
        As it was.
    groups : tuple of GroupUse
        In the order of the view's first use.
    labels_sha256 : str
        Of the label rows used (selected, sorted, in canonical form; known_since itself is not in it).
    label_counts : LabelCounts
    cuts_us : tuple of int
        Of a split by time, when validation and test begin.
    parts : tuple of PartReport
    rows : int
    columns : tuple of (name, dtype, SHA-256)
        Of the set, in order.
    sha256 : str
        Of the set in canonical form (canonical.py).
    made_us : int
        When it was first made.
    software : str
        Which release made it.
    warnings : tuple of str
        What its reader should know: deprecated features, parts that are empty or have labels of one class only, slices
        without labels or with few.
    bias : BiasReport or None
        How labels are spread over the query's slices.
    """

    query: TrainingQuery
    view: FeatureView
    groups: tuple[GroupUse, ...]
    labels_sha256: str
    label_counts: LabelCounts
    cuts_us: tuple[int, ...]
    parts: tuple[PartReport, ...]
    rows: int
    columns: tuple[tuple[str, str, str], ...]
    sha256: str
    made_us: int
    software: str
    warnings: tuple[str, ...] = field(default=())
    bias: BiasReport | None = None

    @property
    def commits(self) -> dict[tuple[str, int], int]:
        """The commit up to which each group was read."""
        return {(use.name, use.version): use.commit for use in self.groups}

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The view's columns in order."""
        return self.view.names

    def to_json(self) -> str:
        """Canonical JSON."""
        fields = asdict(self)
        fields["query"]["split"] = split_to_json(self.query.split)
        fields["view"] = json.loads(self.view.to_json())
        fields["view_fingerprint"] = self.view.fingerprint
        fields["format"] = FORMAT
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrainingRecord:
        """The record that `to_json` wrote.

        Raises
        ------
        FormatError
            It is not such a record.
        """
        try:
            return cls._read(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FormatError(
                f"this is no record of a training set: {error}", mend="give the JSON that a record was written as"
            ) from error

    @classmethod
    def _read(cls, fields: dict[str, Any]) -> TrainingRecord:
        if fields.pop("format") != FORMAT:
            raise ValueError("another format")
        view = FeatureView.from_json(json.dumps(fields.pop("view")))
        if fields.pop("view_fingerprint") != view.fingerprint:
            raise ValueError("the view does not have the fingerprint it had")
        query = fields.pop("query")
        query |= {"keep": tuple(query["keep"]), "split": split_from_json(query["split"])}
        query["slices"] = tuple(query.get("slices", ()))
        query.setdefault("as_served", False)  # records of before this was asked
        lists: Mapping[str, Any] = {
            "groups": tuple(GroupUse(**use) for use in fields.pop("groups")),
            "parts": tuple(PartReport(**part) for part in fields.pop("parts")),
            "columns": tuple((name, dtype, digest) for name, dtype, digest in fields.pop("columns")),
            "cuts_us": tuple(fields.pop("cuts_us")),
            "warnings": tuple(fields.pop("warnings")),
        }
        spread = fields.pop("bias", None)
        lists = {**lists, "bias": None if spread is None else BiasReport.from_json(json.dumps(spread))}
        counts = LabelCounts(**fields.pop("label_counts"))
        return cls(query=TrainingQuery(**query), view=view, label_counts=counts, **lists, **fields)
