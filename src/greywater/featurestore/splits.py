"""How the rows of a training set are parted into train, validation and test: by time, at random, or by group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import EmptyInputError, UsageError
from greywater.stores.feature_ports import microseconds
from greywater.stores.fingerprints import siphash128
from greywater.vocab import Int64Array

__all__ = [
    "LEFT_OUT", "PARTS", "WHOLE", "GroupSplit", "PartReport", "RandomSplit", "Split", "TimeSplit", "assign_parts",
    "report_parts", "split_from_json", "split_of", "split_to_json",
]  # fmt: skip

Int8Array = NDArray[np.int8]

#: Names of the parts; the code of a part is its place here.
PARTS: Final = ("train", "validation", "test")
#: Name of the only part of a set that is not split.
WHOLE: Final = "all"
#: Code of rows that lie in the gap between two parts, and the name they are reported under.
LEFT_OUT: Final = -1
LEFT_OUT_NAME: Final = "left_out"

MICROSECONDS_A_DAY: Final = 86_400_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MOST_CLASSES: Final = 20


@dataclass(frozen=True)
class TimeSplit:
    """Earlier rows train, later ones validate, the latest test.

    Parameters
    ----------
    train, validation, test : float
        Shares of the count of rows, 1 in all. Each cut is moved back to the start of its timestamp (SEMANTICS:
        Evaluation), so that no moment lies on both sides.
    moments : tuple of datetime
        Instead of shares: when test begins, or when validation and when test begin. Naive times are UTC.
    purge_days : float
        Rows of an earlier part less than so many days before a later part begins are left out.

    Examples
    --------
    >>> TimeSplit(0.7, 0.0, 0.3).purge_days
    0.0
    """

    train: float = 0.6
    validation: float = 0.2
    test: float = 0.2
    moments: tuple[datetime, ...] = ()
    purge_days: float = 0.0

    def __post_init__(self) -> None:
        _check_shares(self.train, self.validation, self.test)
        at = tuple(_utc(moment) for moment in self.moments)
        if len(at) > 2 or list(at) != sorted(set(at)):
            raise UsageError("moments are one or two, ascending", mend="give when validation and when test begin")
        if not 0 <= self.purge_days < 36_525:
            raise UsageError(f"a gap of {self.purge_days} days", mend="give days from 0 on")
        object.__setattr__(self, "moments", at)


@dataclass(frozen=True)
class RandomSplit:
    """Rows fall by a keyed hash of their id: whatever the order of rows, and whatever rows are added later.

    Parameters
    ----------
    train, validation, test : float
        Shares, 1 in all; of a large set each part has about its share.
    seed : int
    by : str
        Column whose values are hashed; empty = the row ids of the set.
    stratify : str
        Column whose every value is parted alike: then each part has its share of each value to the row, and a row's
        part depends on the other rows.
    """

    train: float = 0.6
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    by: str = ""
    stratify: str = ""

    def __post_init__(self) -> None:
        _check_shares(self.train, self.validation, self.test)


@dataclass(frozen=True)
class GroupSplit:
    """All rows of a group (a customer, say) fall on one side, by a keyed hash of the group.

    Parameters
    ----------
    column : str
        Names the group of a row; rows without one (null) are one group.
    train, validation, test : float
        Shares of the groups, 1 in all; about, and a part with large groups has more rows.
    seed : int
    """

    column: str
    train: float = 0.6
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_shares(self.train, self.validation, self.test)
        if not self.column:
            raise UsageError("a split by group needs the group's column", mend="give the column, say 'customer'")


Split = TimeSplit | RandomSplit | GroupSplit
KINDS: Final[dict[str, type[Any]]] = {"time": TimeSplit, "random": RandomSplit, "group": GroupSplit}


@dataclass(frozen=True)
class PartReport:
    """What one part of a set holds.

    Parameters
    ----------
    name : str
        One of PARTS, "all" for a set that is not split, "left_out" for the rows in a gap.
    rows : int
    first_us, last_us : int or None
        Least and greatest event time, microseconds since 1970; None without rows.
    labelled : int
        Rows with a label.
    classes : mapping of str to int
        Rows per label, by the label's text; empty where there are more than 20 labels.
    label_rate : float or None
        Share of 1 (or true) among labelled rows, where all labels are 0 or 1.
    """

    name: str
    rows: int
    first_us: int | None
    last_us: int | None
    labelled: int
    classes: Mapping[str, int]
    label_rate: float | None


def assign_parts(split: Split | None, rows: pa.Table, *, row_id: str, time_column: str) -> tuple[Int8Array, list[int]]:
    """Which part each row is of.

    Parameters
    ----------
    split : Split or None
        None: all rows are of part 0.
    rows : pa.Table
        n rows with the columns that the split names.
    row_id, time_column : str
        Columns of the row ids and event times; neither has nulls.

    Returns
    -------
    parts : int8[n]
        Place in PARTS, or LEFT_OUT.
    cuts : list of int
        Of a split by time, when validation and when test begin, microseconds since 1970; a part without a share at
        the end has none.

    Raises
    ------
    EmptyInputError
        There is no row, or none is left for training.
    UsageError
        A column is missing.

    Examples
    --------
    >>> rows = pa.table({"id": [1, 2, 3, 4, 5], "event_time": pa.array([1, 2, 2, 4, 5], pa.timestamp("us", "UTC"))})
    >>> parts, cuts = assign_parts(TimeSplit(0.4, 0.2, 0.4), rows, row_id="id", time_column="event_time")
    >>> parts.tolist(), cuts
    ([0, 1, 1, 2, 2], [2, 4])
    """
    if rows.num_rows == 0:
        raise EmptyInputError("no row is left to make a training set of", mend="look at start, end and known_since")
    cuts: list[int] = []
    if split is None:
        return np.zeros(rows.num_rows, np.int8), cuts
    if isinstance(split, TimeSplit):
        parts, cuts = _by_time(split, microseconds(rows[time_column]))
    elif isinstance(split, GroupSplit):
        parts = _by_threshold(split, _hashes(rows, split.column, split.seed, "group"))
    else:
        hashes = _hashes(rows, split.by or row_id, split.seed, "row")
        parts = _by_stratum(split, hashes, rows) if split.stratify else _by_threshold(split, hashes)
    if not (parts == 0).any():
        raise EmptyInputError(
            f"none of {rows.num_rows} rows is left for part train",
            mend="give train a larger share, a later moment or a smaller gap",
        )
    return parts, cuts


def report_parts(
    parts: Int8Array, event_us: Int64Array, labels: pa.ChunkedArray | None, *, whole: bool
) -> list[PartReport]:
    """Count the rows, bounds and labels of each part.

    Parameters
    ----------
    parts : int8[n]
        From `assign_parts`.
    event_us : int64[n]
        Event times.
    labels : pa.ChunkedArray or None
        n labels.
    whole : bool
        The set is not split: there is one part, "all".
    """
    names = {0: WHOLE} if whole else dict(enumerate(PARTS))
    if (parts == LEFT_OUT).any():
        names[LEFT_OUT] = LEFT_OUT_NAME
    return [_report(name, np.flatnonzero(parts == code), event_us, labels) for code, name in names.items()]


def split_to_json(split: Split | None) -> dict[str, Any] | None:
    """Plain values for JSON.

    Examples
    --------
    >>> split_to_json(GroupSplit("customer"))["kind"]
    'group'
    """
    if split is None:
        return None
    kind = next(name for name, one in KINDS.items() if isinstance(split, one))
    fields = {"kind": kind, **asdict(split)}
    if isinstance(split, TimeSplit):
        fields["moments"] = [moment.isoformat() for moment in split.moments]
    return fields


def split_from_json(fields: Mapping[str, Any] | None) -> Split | None:
    """The split that `split_to_json` wrote."""
    if fields is None:
        return None
    given = dict(fields)
    kind = given.pop("kind", None)
    if kind not in KINDS:
        raise UsageError(f"no kind of split {kind!r}", mend=f"give one of {', '.join(KINDS)}")
    if kind == "time":
        given["moments"] = tuple(datetime.fromisoformat(moment) for moment in given.get("moments", ()))
    made: Split = KINDS[kind](**given)
    return made


def _check_shares(*shares: float) -> None:
    if min(shares) < 0 or shares[0] == 0 or abs(sum(shares) - 1) > 1e-9:
        raise UsageError(
            f"shares {', '.join(str(share) for share in shares)}",
            mend="give train, validation and test shares from 0 on, train more than 0, that sum to 1",
        )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _bounds(split: Split) -> tuple[Fraction, Fraction]:
    """Shares before validation and before test, as the decimals that were given."""
    train = Fraction(str(split.train))
    last = Fraction(1) if split.test == 0 else train + Fraction(str(split.validation))
    return train, last


def _by_time(split: TimeSplit, event_us: Int64Array) -> tuple[Int8Array, list[int]]:
    if split.moments:
        cuts = [(moment - EPOCH) // timedelta(microseconds=1) for moment in split.moments]
        cuts = cuts * 2 if len(cuts) == 1 else cuts
    else:
        ordered = np.sort(event_us)
        places = [int(len(ordered) * share) for share in _bounds(split)]
        cuts = [int(ordered[place]) for place in places if place < len(ordered)]
    parts = np.zeros(len(event_us), np.int8)
    for cut in cuts:
        parts += event_us >= cut
    gap = round(split.purge_days * MICROSECONDS_A_DAY)
    for cut in cuts:
        parts[(event_us < cut) & (event_us >= cut - gap)] = LEFT_OUT
    return parts, cuts


def _hashes(rows: pa.Table, column: str, seed: int, use: str) -> Int64Array:
    """62 bits of the keyed hash of each value's text."""
    if column not in rows.column_names:
        raise UsageError(f"no column {column!r} to split by", mend="add it to the label rows, or name another")
    texts = rows[column].combine_chunks().cast(pa.string())
    whole = texts if isinstance(texts, pa.Array) else pa.concat_arrays(texts.chunks)
    key = hashlib.blake2b(f"greywater split by {use}, seed {seed}".encode(), digest_size=16).digest()
    return (siphash128(whole, key)[:, 0] >> np.uint64(2)).astype(np.int64)


def _by_threshold(split: RandomSplit | GroupSplit, hashes: Int64Array) -> Int8Array:
    first, second = (int(bound * (1 << 62)) for bound in _bounds(split))
    return ((hashes >= first).astype(np.int8) + (hashes >= second)).astype(np.int8)


def _by_stratum(split: RandomSplit, hashes: Int64Array, rows: pa.Table) -> Int8Array:
    """Of each value, the least hashes train; a cut is moved back to the start of its hash."""
    if split.stratify not in rows.column_names:
        raise UsageError(f"no column {split.stratify!r} to stratify by", mend="add it to the label rows")
    coded = rows[split.stratify].combine_chunks().dictionary_encode(null_encoding="encode")
    whole = coded if isinstance(coded, pa.Array) else coded.combine_chunks()
    codes = np.asarray(whole.indices)
    parts = np.zeros(len(hashes), np.int8)
    order = np.lexsort((hashes, codes))
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    for members in np.split(order, edges):
        ordered = hashes[members]
        for share in _bounds(split):
            place = int(len(ordered) * share + Fraction(1, 2))
            if place < len(ordered):
                parts[members[np.searchsorted(ordered, ordered[place]) :]] += 1
    return parts


def _report(name: str, members: Int64Array, event_us: Int64Array, labels: pa.ChunkedArray | None) -> PartReport:
    times = event_us[members]
    first, last = (int(times.min()), int(times.max())) if len(times) else (None, None)
    classes: dict[str, int] = {}
    labelled, rate = 0, None
    if labels is not None:
        counted = pc.value_counts(labels.take(pa.array(members)).drop_null()).to_pylist()
        labelled = sum(one["counts"] for one in counted)
        by_value = {one["values"]: one["counts"] for one in counted}
        if labelled and set(by_value) <= {0, 1}:
            rate = by_value.get(1, 0) / labelled
        if len(by_value) <= MOST_CLASSES:
            classes = {str(value): count for value, count in sorted(by_value.items())}
    return PartReport(name, len(members), first, last, labelled, classes, rate)


def split_of(words: str, seed: int) -> Split | None:
    """The split that words name, as `--split` of the command line takes them.

    Raises
    ------
    UsageError
        There is no such split, or its shares are not three.

    Examples
    --------
    >>> split_of("time:0.7,0.1,0.2", 0).train, split_of("group=customer", 3).column, split_of("none", 0)
    (0.7, 'customer', None)
    """
    kind, _, given = words.partition(":")
    kind, _, column = kind.partition("=")
    mend = "write time:0.6,0.2,0.2, random:0.6,0.2,0.2, group=COLUMN:0.6,0.2,0.2 or none"
    try:
        shares = [float(share) for share in given.split(",")] if given else [0.6, 0.2, 0.2]
        train, validation, test = shares
    except ValueError:
        raise UsageError(f"{words!r} has no three shares", where="--split", mend=mend) from None
    if kind == "time":
        return TimeSplit(train, validation, test)
    if kind == "random":
        return RandomSplit(train, validation, test, seed, stratify=column)
    if kind == "group":
        return GroupSplit(column, train, validation, test, seed)
    if kind == "none":
        return None
    raise UsageError(f"there is no split {words!r}", where="--split", mend=mend)
