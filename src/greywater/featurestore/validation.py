"""Holds rows against the rules of their group before they are written: refused, set aside, or kept with a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import RefusedTypeError, RefusedValueError
from greywater.features.expressions.operators import among, compared
from greywater.features.expressions.values import BoolArray, literal, load
from greywater.featurestore.definitions import FeatureGroup
from greywater.featurestore.distinct_count import hashes_of_numbers, hashes_of_texts
from greywater.featurestore.validation_rules import (
    QUARANTINE_REASON,
    QUARANTINE_RULE,
    ReadRule,
    column_types,
    read_rules,
)
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, microseconds
from greywater.stores.offline_keys import key_column, key_hashes

__all__ = ["Known", "RuleOutcome", "Validated", "check"]

#: Given the keys and event_time of some rows, bool[n]: which of them the group has already.
Known = Callable[[pa.Table], BoolArray]
_shown_rows = 5


@dataclass(frozen=True)
class RuleOutcome:
    """What became of one rule.

    `rows` break it; of `undecided` rows a condition is neither true nor false, because something in it has no value,
    and they pass.
    """

    name: str
    kind: str
    feature: str
    action: str
    broken: str
    rows: int
    undecided: int = 0

    @property
    def sentence(self) -> str:
        """In words."""
        return f"{self.name}: {self.broken}, in {_rows(self.rows)}"


@dataclass(frozen=True)
class Validated:
    """Rows held against the rules of their group.

    Parameters
    ----------
    kept : pa.Table
        The rows to be written, in their order.
    quarantined : pa.Table
        Rows set aside, with the columns `quarantine_rule` (the first rule that they break) and `quarantine_reason`
        (all that is the matter).
    outcomes : tuple of RuleOutcome
        One a rule, in their order.
    """

    kept: pa.Table
    quarantined: pa.Table
    outcomes: tuple[RuleOutcome, ...] = field(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Rules that are broken by rows that are kept, and conditions that could not be decided, in words."""
        broken = [one.sentence for one in self.outcomes if one.action == "warn" and one.rows]
        undecided = [
            f"{one.name}: undecided in {_rows(one.undecided)}, which the rule lets pass"
            for one in self.outcomes
            if one.undecided
        ]
        return (*broken, *undecided)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: counts and what became of each rule."""
        return {
            "kept": self.kept.num_rows,
            "quarantined": self.quarantined.num_rows,
            "rules": [
                {"name": one.name, "kind": one.kind, "feature": one.feature, "action": one.action, "rows": one.rows,
                 "undecided": one.undecided}
                for one in self.outcomes
            ],
        }  # fmt: skip


def check(rows: pa.Table, group: FeatureGroup, now_us: int, *, known: Known | None = None) -> Validated:
    """Hold rows against the rules of their group.

    A value is missing where it is null or NaN; a missing value breaks `not_null` and `null_share` only. A condition
    that is null passes and is counted. `freshness` asks the newest event time of all rows given; `null_share`, where
    it is broken, is broken by the rows without a value. `unique` looks at the rows that no other rule sets aside: of
    rows of one key and event time the first is kept, unless the group has one already.

    Parameters
    ----------
    rows : pa.Table
        Keys, event_time and all features of the group, in any order; known_time where there is one.
    group : FeatureGroup
    now_us : int
        The present moment, microseconds since 1970.
    known : callable, optional
        Tells `unique` which keys and event times the group has already.

    Raises
    ------
    RefusedValueError
        Where a rule whose action is reject is broken; names the rule, and the first rows by number and key hash.
        Also where a key or time is null.
    RefusedTypeError
        Where a column is absent or of another kind than the group declares.
    UsageError
        Where a rule does not fit the group.
    """
    rows = _conformed(rows, group)
    rules = read_rules(group)
    broken, undecided = _row_rules(rows, rules, now_us)
    aside = np.zeros(rows.num_rows, np.bool_)
    for rule, mask in zip(rules, broken, strict=True):
        if rule.rule.action == "quarantine" and mask is not None:
            aside |= mask
    for at, rule in enumerate(rules):
        if rule.rule.kind == "unique":
            broken[at] = _repeated(rows, group, np.flatnonzero(~aside), known)
    masks = [mask if mask is not None else np.zeros(rows.num_rows, np.bool_) for mask in broken]
    outcomes = tuple(
        RuleOutcome(
            rule.name, rule.rule.kind, rule.rule.feature, rule.rule.action, rule.broken, int(mask.sum()),
            undecided.get(rule.position, 0),
        )
        for rule, mask in zip(rules, masks, strict=True)
    )  # fmt: skip
    _refuse(rows, group, outcomes, masks)
    chosen = [at for at, rule in enumerate(rules) if rule.rule.action == "quarantine"]
    kept, quarantined = _parted(rows, [rules[at] for at in chosen], [masks[at] for at in chosen])
    return Validated(kept, quarantined, outcomes)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


# -------------------------------------------------------------------- rules


def _row_rules(rows: pa.Table, rules: Sequence[ReadRule], now_us: int) -> tuple[list[BoolArray | None], dict[int, int]]:
    """For each rule which rows break it (None of `unique`), and by position how many rows are undecided."""
    broken: list[BoolArray | None] = []
    undecided: dict[int, int] = {}
    for rule in rules:
        if rule.rule.kind == "unique":
            broken.append(None)
        elif rule.rule.kind == "freshness":
            broken.append(np.full(rows.num_rows, _stale(rows, rule, now_us)))
        elif rule.expression is not None:
            holds, decided = rule.expression.truth(rows)
            broken.append(decided & ~holds)
            undecided[rule.position] = int(np.count_nonzero(~decided))
        else:
            broken.append(_breaks(rows, rule))
    return broken, undecided


def _stale(rows: pa.Table, rule: ReadRule, now_us: int) -> bool:
    if not rows.num_rows:
        return False
    return now_us - int(microseconds(rows.column(EVENT_TIME)).max()) > float(rule.most or 0) * 1e6


def _breaks(rows: pa.Table, rule: ReadRule) -> BoolArray:
    assert rule.kind is not None
    values = load(rows.column(rule.rule.feature), rule.kind)
    missing = np.broadcast_to(~values.there, (rows.num_rows,))
    if rule.rule.kind == "not_null":
        return missing
    if rule.rule.kind == "null_share":
        allowed = missing.sum() <= float(rule.most or 0) * rows.num_rows
        return np.zeros_like(missing) if allowed else missing
    if rule.rule.kind == "one_of":
        return np.asarray(~among(values, rule.values).data & ~missing)
    found = np.zeros(rows.num_rows, np.bool_)
    for sign, bound in (("<", rule.least), (">", rule.most)):
        if bound is not None:
            kind = "number" if isinstance(bound, float) else rule.kind if rule.kind == "moment" else "whole"
            found |= compared(sign, values, literal(bound, kind)).data
    return found


def _repeated(rows: pa.Table, group: FeatureGroup, left: NDArray[np.int64], known: Known | None) -> BoolArray:
    """Of the rows left, those of a key and event time that an earlier one or the group has."""
    names = [*group.keys, EVENT_TIME]
    some = rows.select(names)
    some = some if len(left) == rows.num_rows else some.take(pa.array(left))
    found = np.zeros(rows.num_rows, np.bool_)
    found[left[_seen_before(some)]] = True
    if known is not None and len(left):
        found[left[known(some)]] = True
    return found


def _seen_before(rows: pa.Table) -> NDArray[np.int64]:
    """The rows that equal an earlier one: only those whose hash is there twice are compared."""
    hashes = np.zeros(rows.num_rows, np.uint64)
    for column in rows.columns:
        hashes = hashes_of_numbers((hashes * np.uint64(3) ^ _hashes(column)).view(np.int64))
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(twice, hashes), len(twice) - 1)
    alike = np.flatnonzero(twice[place] == hashes)
    codes = [_codes(column.take(pa.array(alike))) for column in rows.columns]
    order = np.lexsort(codes[::-1])
    same = np.ones(len(order) - 1, np.bool_)
    for code in codes:
        same &= code[order[1:]] == code[order[:-1]]
    return np.asarray(alike[order[1:][same]])


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    if pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type):
        return hashes_of_numbers(_codes(column))
    return hashes_of_texts(column.cast(pa.large_string()).combine_chunks())


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """int64[n], equal where the values are."""
    if pa.types.is_timestamp(column.type):
        return microseconds(column)
    if not pa.types.is_integer(column.type):
        column = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
        column = column.chunk(0).indices if isinstance(column, pa.ChunkedArray) else column.indices
    return np.asarray(column.to_numpy(), np.int64)


# ------------------------------------------------------- refused, set aside


def _refuse(rows: pa.Table, group: FeatureGroup, outcomes: Sequence[RuleOutcome], masks: Sequence[BoolArray]) -> None:
    refused = [at for at, one in enumerate(outcomes) if one.action == "reject" and one.rows]
    if not refused:
        return
    first = outcomes[refused[0]]
    others = ", ".join(outcomes[at].name for at in refused[1:])
    found = f"{first.rows:,} of {_rows(rows.num_rows)} break {first.name}: {first.broken}"
    found += f"; also broken: {others}" if others else ""
    about = f", feature {first.feature}" if first.feature else ""
    where = f"group {group.name} version {group.version}{about}; {_first_rows(rows, group, masks[refused[0]])}"
    raise RefusedValueError(
        found, where=where, mend="nothing was written; mend these rows, or register the rule with quarantine or warn"
    )


def _first_rows(rows: pa.Table, group: FeatureGroup, mask: BoolArray) -> str:
    """The first offending rows by number from 1 and the hash that the store files their key under."""
    places = np.flatnonzero(mask)[:_shown_rows]
    some = rows.take(pa.array(places))
    keys = [
        key_column(some.column(name), dtype, name) for name, dtype in zip(group.keys, group.key_dtypes, strict=True)
    ]
    hashes = (half.view(np.uint64).tolist() for half in key_hashes(keys))
    shown = [
        f"row {place + 1} (key {high:016x}{low:016x})"
        for place, high, low in zip(places.tolist(), *hashes, strict=True)
    ]
    return f"first: {', '.join(shown)}"


def _parted(rows: pa.Table, rules: Sequence[ReadRule], masks: Sequence[BoolArray]) -> tuple[pa.Table, pa.Table]:
    """The rows that break none of the rules, and the others with rule and reason."""
    aside = np.logical_or.reduce(masks) if masks else np.zeros(rows.num_rows, np.bool_)
    quarantined = rows.filter(pa.array(aside))
    first, reasons = pa.array([], pa.string()), pa.array([], pa.string())
    if quarantined.num_rows:
        packed = np.packbits(np.stack([mask[aside] for mask in masks], axis=1), axis=1)
        width = packed.shape[1]
        coded = pa.Array.from_buffers(pa.binary(width), len(packed), [None, pa.py_buffer(packed.tobytes())])
        coded = coded.dictionary_encode()
        found = [np.unpackbits(np.frombuffer(code, np.uint8))[: len(rules)] for code in coded.dictionary.to_pylist()]
        broken = [[rule for rule, hit in zip(rules, hits, strict=True) if hit] for hits in found]
        first = pa.array([some[0].name for some in broken]).take(coded.indices)
        reasons = pa.array(["; ".join(rule.broken for rule in some) for some in broken]).take(coded.indices)
    for name, column in ((QUARANTINE_RULE, first), (QUARANTINE_REASON, reasons)):
        quarantined = quarantined.append_column(name, column)
    return (rows.filter(pa.array(~aside)) if quarantined.num_rows else rows), quarantined


def _conformed(rows: pa.Table, group: FeatureGroup) -> pa.Table:
    """The rows with the types that the group declares, where that loses nothing."""
    where = f"group {group.name} version {group.version}"
    for name, wanted in column_types(group).items():
        place = rows.schema.get_field_index(name)
        if place < 0:
            if name == KNOWN_TIME:
                continue
            raise RefusedTypeError(
                f"the rows have no single column {name!r}", where=where, mend="give keys, event_time and all features"
            )
        column = rows.column(place)
        if column.type != wanted:
            column = _cast(column, wanted, name, where)
            rows = rows.set_column(place, name, column)
        if column.null_count and name in (*group.keys, EVENT_TIME, KNOWN_TIME):
            row = pc.index(pc.is_null(column), True).as_py() + 1
            raise RefusedValueError(
                f"{name} is null in {_rows(column.null_count)}",
                where=f"{where}; first: row {row}",
                mend="leave them out",
            )
    return rows


def _cast(column: pa.ChunkedArray, wanted: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    """Nulls as anything, whole numbers and timestamps of another width, texts of another kind; nothing else."""
    given = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    alike = (
        given == wanted
        or pa.types.is_null(given)
        or (pa.types.is_integer(given) and pa.types.is_integer(wanted))
        or (pa.types.is_timestamp(given) and pa.types.is_timestamp(wanted))
        or (pa.types.is_large_string(given) and pa.types.is_string(wanted))
    )
    try:
        if alike:
            return column.cast(wanted)
        reason = ""
    except pa.ArrowInvalid as error:
        reason = f", and does not fit: {error}"
    raise RefusedTypeError(
        f"column {name!r} is of type {given}, and the group says {wanted}{reason}",
        where=where,
        mend="convert it, or register another version of the group",
    )
