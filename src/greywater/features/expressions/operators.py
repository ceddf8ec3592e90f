"""One vectorised evaluator an operator, and the kinds it takes; null is as in SQL.

What is not known stays not known: arithmetic and comparisons with it give null, `and`, `or` and `not` follow the logic
of three values (false and null = false, true or null = true). NaN is null. Whole numbers are exact: a result outside
64 bits is null, never wrapped. Division gives a number; by zero it gives null. Whole numbers and numbers compare
exactly, not by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.features.expressions.syntax import Kind, Literals
from greywater.features.expressions.values import BoolArray, Values

__all__ = ["OPERATORS", "Operator", "among", "compared"]

Kinds = Sequence[Kind]
_least: Final = np.int64(-(2**63))
_numeric: Final = frozenset({"whole", "number"})


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator: the kind of its result (None where the operands do not fit), and how it is worked out."""

    kind: Callable[[Kinds], Kind | None]
    evaluate: Callable[..., Values]
    wants: str


# ---------------------------------------------------------------- arithmetic


def _wraps(operation: np.ufunc, a: Any, b: Any, result: Any) -> BoolArray:
    """True where int64 `result` is not the exact result."""
    if operation is np.add:
        return np.asarray(((a ^ result) & (b ^ result)) < 0)
    if operation is np.subtract:
        return np.asarray(((a ^ b) & (a ^ result)) < 0)
    largest = max(_magnitude(a), 1) * max(_magnitude(b), 1)
    if largest < 2**63:
        return np.asarray(False)
    by = np.where(a == 0, np.int64(1), a)
    wrong = (result // by != b) & (a != 0)
    return np.asarray(wrong | ((a == -1) & (b == _least)) | ((b == -1) & (a == _least)))


def _magnitude(data: Any) -> int:
    return max(abs(int(data.min())), abs(int(data.max()))) if data.size else 0


def _arithmetic(operation: np.ufunc, a: Values, b: Values) -> Values:
    if a.kind == b.kind == "moment":
        apart = _arithmetic(np.subtract, Values("whole", a.data, a.known), Values("whole", b.data, b.known))
        return Values("number", apart.numbers / 1e6)
    if a.kind == b.kind == "whole":
        result = np.asarray(operation(a.data, b.data))
        return Values("whole", result, a.known & b.known & ~_wraps(operation, a.data, b.data, result))
    return Values("number", np.asarray(operation(a.numbers, b.numbers)))


def _divide(a: Values, b: Values) -> Values:
    by = b.numbers
    return Values("number", np.asarray(np.divide(a.numbers, np.where(by == 0, np.nan, by))))


def _remainder(a: Values, b: Values) -> Values:
    """The sign is that of the dividend, as in SQL."""
    if a.kind == b.kind == "whole":
        by = np.where((b.data == 0) | (b.data == -1), np.int64(1), b.data)
        return Values("whole", np.asarray(np.fmod(a.data, by)), a.known & b.known & (b.data != 0))
    by = b.numbers
    return Values("number", np.asarray(np.fmod(a.numbers, np.where(by == 0, np.nan, by))))


def _negative(a: Values) -> Values:
    if a.kind == "whole":
        return Values("whole", np.asarray(np.negative(a.data)), a.known & (a.data != _least))
    return Values("number", np.asarray(np.negative(a.data)))


def _same(a: Values) -> Values:
    return a


# --------------------------------------------------------------- comparisons

_of_order: Final[Mapping[str, Callable[[NDArray[np.int8]], Any]]] = {
    "=": lambda order: order == 0, "!=": lambda order: order != 0, "<": lambda order: order < 0,
    "<=": lambda order: order <= 0, ">": lambda order: order > 0, ">=": lambda order: order >= 0,
}  # fmt: skip
_ufuncs: Final[Mapping[str, np.ufunc]] = {
    "=": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_of_text: Final = {
    "=": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
}  # fmt: skip
_turned: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def _whole_against_number(whole: Any, number: Any) -> NDArray[np.int8]:
    """-1, 0 or 1 as the whole number is below, equal to or above the number, exactly; rubbish where it is NaN.

    Rounding keeps order, so where the rounded whole number differs from the number, its side is right; where it is
    equal, the number is itself a whole number and the two are compared as such.
    """
    rounded = np.asarray(whole, np.float64)
    ties = (rounded == number) & (number < 2.0**63)
    as_whole = np.where(ties, number, 0.0).astype(np.int64)
    exactly = np.where(whole < as_whole, -1, np.where(whole > as_whole, 1, 0))
    roughly = np.where(rounded > number, 1, -1)
    return np.asarray(np.where(ties, exactly, roughly), np.int8)


def compared(sign: str, a: Values, b: Values) -> Values:
    """`a sign b` for two values of kinds that compare."""
    if a.kind == "text":
        result = pc.call_function(_of_text[sign], [a.data, b.data])
        if isinstance(result, pa.Scalar):
            return Values("truth", np.asarray(bool(result.as_py())), np.asarray(result.is_valid))
        known = np.asarray(result.is_valid().to_numpy(zero_copy_only=False))
        return Values("truth", np.asarray(result.fill_null(False).to_numpy(zero_copy_only=False)), known)
    if a.kind == "whole" and b.kind == "number":
        result = _of_order[sign](_whole_against_number(a.data, b.data))
    elif a.kind == "number" and b.kind == "whole":
        result = _of_order[_turned[sign]](_whole_against_number(b.data, a.data))
    else:
        result = _ufuncs[sign](a.data, b.data)
        if a.kind == "number" and sign != "!=":  # a comparison with NaN is false
            return Values("truth", np.asarray(result), _together(a.there, b.there))
    known = _together(a.there, b.there)
    return Values("truth", np.asarray(result if _all(known) else result & known), known)


def _all(known: BoolArray) -> bool:
    """True where one True stands for all rows."""
    return not known.ndim and bool(known)


def _together(a: BoolArray, b: BoolArray) -> BoolArray:
    """`a & b` without work where one of them is True for all rows."""
    if _all(b):
        return a
    return b if _all(a) else np.asarray(a & b)


def _between(a: Values, low: Values, high: Values) -> Values:
    return _and(compared(">=", a, low), compared("<=", a, high))


def among(a: Values, values: Literals) -> Values:
    """Whether each value is one of some literals; null where there is no value."""
    known = a.there
    if a.kind == "text":
        found = pc.is_in(a.data, value_set=pa.array(values, pa.string()))
        data = np.asarray(found.as_py() if isinstance(found, pa.Scalar) else found.to_numpy(zero_copy_only=False))
    elif a.kind == "number":
        exact = [float(value) for value in values if float(value) == value]
        data = np.isin(a.data, np.array(exact, np.float64))
    elif a.kind == "truth":
        data = np.isin(a.data, np.array(values, np.bool_))
    else:
        exact_wholes = [int(value) for value in values if int(value) == value and -(2**63) <= value < 2**63]
        data = np.isin(a.data, np.array(exact_wholes, np.int64))
    return Values("truth", np.asarray(data & known), known)


def _is_null(a: Values) -> Values:
    return Values("truth", np.asarray(~a.there))


def _is_not_null(a: Values) -> Values:
    return Values("truth", np.asarray(a.there))


# --------------------------------------------------------------------- logic


def _and(a: Values, b: Values) -> Values:
    data = np.asarray(a.data & b.data)
    if _all(a.known) and _all(b.known):
        return Values("truth", data)
    # `known > data` is "known, and false".
    return Values("truth", data, np.asarray((a.known & b.known) | (a.known > a.data) | (b.known > b.data)))


def _or(a: Values, b: Values) -> Values:
    data = np.asarray(a.data | b.data)
    if _all(a.known) and _all(b.known):
        return Values("truth", data)
    return Values("truth", data, np.asarray((a.known & b.known) | data))


def _not(a: Values) -> Values:
    return Values("truth", np.asarray(~a.data & a.known), a.known)


def _then_not(evaluate: Callable[..., Values]) -> Callable[..., Values]:
    return lambda *operands: _not(evaluate(*operands))


# --------------------------------------------------------------------- kinds


def _numbers_kind(kinds: Kinds) -> Kind | None:
    if not set(kinds) <= _numeric:
        return None
    return "number" if "number" in kinds else "whole"


def _minus_kind(kinds: Kinds) -> Kind | None:
    return "number" if set(kinds) == {"moment"} else _numbers_kind(kinds)


def _number_kind(kinds: Kinds) -> Kind | None:
    return "number" if set(kinds) <= _numeric else None


def _equal_kind(kinds: Kinds) -> Kind | None:
    return "truth" if len(set(kinds)) == 1 or set(kinds) <= _numeric else None


def _order_kind(kinds: Kinds) -> Kind | None:
    return None if "truth" in kinds else _equal_kind(kinds)


def _truth_kind(kinds: Kinds) -> Kind | None:
    return "truth" if set(kinds) == {"truth"} else None


def _any_kind(kinds: Kinds) -> Kind | None:
    return "truth"


_alike: Final = "two numbers, two texts or two moments"
OPERATORS: Final[Mapping[str, Operator]] = {
    "+": Operator(_numbers_kind, partial(_arithmetic, np.add), "numbers"),
    "-": Operator(_minus_kind, partial(_arithmetic, np.subtract), "numbers, or two moments (seconds between them)"),
    "*": Operator(_numbers_kind, partial(_arithmetic, np.multiply), "numbers"),
    "/": Operator(_number_kind, _divide, "numbers"),
    "%": Operator(_numbers_kind, _remainder, "numbers"),
    "negative": Operator(_numbers_kind, _negative, "a number"),
    "positive": Operator(_numbers_kind, _same, "a number"),
    **{sign: Operator(_equal_kind, partial(compared, sign), _alike) for sign in ("=", "!=")},
    **{sign: Operator(_order_kind, partial(compared, sign), _alike) for sign in ("<", "<=", ">", ">=")},
    "between": Operator(_order_kind, _between, "numbers, texts or moments"),
    "not between": Operator(_order_kind, _then_not(_between), "numbers, texts or moments"),
    "is null": Operator(_any_kind, _is_null, "any value"),
    "is not null": Operator(_any_kind, _is_not_null, "any value"),
    "and": Operator(_truth_kind, _and, "conditions"),
    "or": Operator(_truth_kind, _or, "conditions"),
    "not": Operator(_truth_kind, _not, "a condition"),
}
