"""The functions of expressions: the kinds they take and one vectorised evaluator each; null in, null out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.expressions.operators import compared
from greywater.features.expressions.syntax import Kind
from greywater.features.expressions.values import Values

__all__ = ["FUNCTIONS", "MOST_DIGITS", "Function"]

#: Most decimal digits that `round` keeps.
MOST_DIGITS: Final = 12
_least: Final = np.int64(-(2**63))


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many operands, the kind of its result (None where they do not fit), how it is worked out.

    `digits` tells that the second operand is a literal number of digits.
    """

    fewest: int
    most: int
    kind: Callable[[Sequence[Kind]], Kind | None]
    evaluate: Callable[..., Values]
    wants: str
    digits: bool = False


def _absolute(a: Values) -> Values:
    if a.kind == "whole":
        return Values("whole", np.asarray(np.abs(a.data)), a.known & (a.data != _least))
    return Values("number", np.asarray(np.abs(a.data)))


def _chosen(sign: str, a: Values, b: Values) -> Values:
    """The one of two values that compares as `sign` says; null where one of them is."""
    first = compared(sign, a, b)
    if a.kind == b.kind and a.kind != "number":
        return Values(a.kind, np.asarray(np.where(first.data, a.data, b.data)), first.known)
    chosen = np.where(first.data, a.numbers, b.numbers)
    return Values("number", np.asarray(np.where(first.known, chosen, np.nan)))


def _extreme(sign: str, *operands: Values) -> Values:
    return reduce(partial(_chosen, sign), operands)


def _round(a: Values, digits: Values | None = None) -> Values:
    if a.kind == "whole":
        return a
    return Values("number", np.asarray(np.round(a.data, int(digits.data) if digits is not None else 0)))


def _floor(a: Values) -> Values:
    return a if a.kind == "whole" else Values("number", np.asarray(np.floor(a.data)))


def _ceil(a: Values) -> Values:
    return a if a.kind == "whole" else Values("number", np.asarray(np.ceil(a.data)))


def _length(a: Values) -> Values:
    lengths = pc.utf8_length(a.data)
    if isinstance(lengths, pa.Scalar):
        return Values("whole", np.asarray(lengths.as_py() or 0, np.int64), np.asarray(lengths.is_valid))
    data = lengths.fill_null(0).to_numpy(zero_copy_only=False)
    return Values("whole", np.asarray(data, np.int64), a.there)


def _first_known(a: Values, b: Values) -> Values:
    if a.kind == "text":
        return Values("text", pc.coalesce(a.data, b.data))
    if "number" in (a.kind, b.kind):
        return Values("number", np.asarray(np.where(a.there, a.numbers, b.numbers)))
    return Values(a.kind, np.asarray(np.where(a.known, a.data, b.data)), np.asarray(a.known | b.known))


def _coalesce(*operands: Values) -> Values:
    return reduce(_first_known, operands)


def _number_kind(kinds: Sequence[Kind]) -> Kind | None:
    if not set(kinds) <= {"whole", "number"}:
        return None
    return "number" if "number" in kinds else "whole"


def _first_kind(kinds: Sequence[Kind]) -> Kind | None:
    return _number_kind(kinds[:1])


def _extreme_kind(kinds: Sequence[Kind]) -> Kind | None:
    return "moment" if set(kinds) == {"moment"} else _number_kind(kinds)


def _coalesce_kind(kinds: Sequence[Kind]) -> Kind | None:
    return kinds[0] if len(set(kinds)) == 1 else _number_kind(kinds)


def _length_kind(kinds: Sequence[Kind]) -> Kind | None:
    return "whole" if kinds[0] == "text" else None


_many: Final = 100
FUNCTIONS: Final[Mapping[str, Function]] = {
    "abs": Function(1, 1, _number_kind, _absolute, "a number"),
    "min": Function(2, _many, _extreme_kind, partial(_extreme, "<="), "numbers, or moments"),
    "max": Function(2, _many, _extreme_kind, partial(_extreme, ">="), "numbers, or moments"),
    "round": Function(1, 2, _first_kind, _round, "a number and how many digits to keep", digits=True),
    "floor": Function(1, 1, _number_kind, _floor, "a number"),
    "ceil": Function(1, 1, _number_kind, _ceil, "a number"),
    "length": Function(1, 1, _length_kind, _length, "a text"),
    "coalesce": Function(2, _many, _coalesce_kind, _coalesce, "values of one kind"),
}
