"""The slow, obvious twins of expressions, statistics, drift and bias: one value at a time, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: An expression as nested tuples: ("column", name), ("literal", value) or (operator or function, operand, ...).
Tree = tuple[Any, ...]
Row = Mapping[str, Any]


# --------------------------------------------------------------- expressions


def evaluated(tree: Tree, row: Row) -> Any:
    """The value of an expression for one row; None where it is not known."""
    form = tree[0]
    if form == "literal":
        return tree[1]
    if form == "column":
        value = row[tree[1]]
        return None if isinstance(value, float) and math.isnan(value) else value
    if form in ("in", "not in"):
        tested = evaluated(tree[1], row)
        return None if tested is None else (tested in tree[2]) == (form == "in")
    operands = [evaluated(operand, row) for operand in tree[1:]]
    if form in ("is null", "is not null"):
        return (operands[0] is None) == (form == "is null")
    if form in ("and", "or", "not"):
        return _logic(form, operands)
    if form == "between":
        return _logic("and", [_compared(">=", operands[0], operands[1]), _compared("<=", operands[0], operands[2])])
    if form == "coalesce":
        known = next((operand for operand in operands if operand is not None), None)
        return _checked(float(known) if _mixed(tree, row) and known is not None else known)
    if any(operand is None for operand in operands):
        return None
    if form in _COMPARE:
        return _COMPARE[form](*operands)
    return _checked(_ARITHMETIC[form](*operands))


def _mixed(tree: Tree, row: Row) -> bool:
    return any(isinstance(evaluated(operand, row), float) for operand in tree[1:])


def _compared(sign: str, a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else _COMPARE[sign](a, b)


def _logic(word: str, operands: Sequence[bool | None]) -> bool | None:
    if word == "not":
        return None if operands[0] is None else not operands[0]
    decided = word == "or"
    if decided in operands:
        return decided
    return None if None in operands else not decided


def _checked(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value if isinstance(value, (bool, str)) or value is None or -(2**63) <= value < 2**63 else None


def _divide(a: float, b: float) -> float | None:
    return None if b == 0 else float(a) / float(b)


def _remainder(a: Any, b: Any) -> Any:
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return int(math.copysign(1, a)) * (abs(a) % abs(b))
    return None if math.isinf(a) else math.fmod(a, b)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _divide, "%": _remainder,
    "negative": lambda a: -a, "abs": abs, "min": min, "max": max, "length": len,
}  # fmt: skip
