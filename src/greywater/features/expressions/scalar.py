"""The value of an expression for one row, in plain Python: what many rows at once give, without their overhead."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from greywater.features.expressions.syntax import Kind, Node

__all__ = ["RowFunction", "for_one_row"]

#: Takes the values of a row's columns by position; None is null.
RowFunction = Callable[[Sequence[Any]], Any]

#: Deepest tree whose nodes call each other; one that is deeper is worked out node by node.
DEEPEST: Final = 200
_compare: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def for_one_row(nodes: Sequence[Node], kinds: Sequence[Kind], positions: Mapping[str, int]) -> RowFunction:
    """A function of one row that gives what `Expression.evaluate` gives for it.

    Parameters
    ----------
    nodes, kinds
        As `checking.checked` gave them: every operand before what it is an operand of.
    positions : mapping of str to int
        Where in a row the value of each column stands: int, float, str, bool, int microseconds of a moment, or None.

    Returns
    -------
    callable
        None where the value is not known.
    """
    depth: list[int] = []
    for node in nodes:
        depth.append(1 + max((depth[operand] for operand in node.operands), default=0))
    if depth[-1] > DEEPEST:
        return _node_by_node(nodes, kinds, positions)
    made: list[RowFunction] = []
    for at, node in enumerate(nodes):
        if node.form == "literal":
            made.append(_constant(node.values[0]))
        elif node.form == "column":
            made.append(_column(positions[node.name]))
        else:
            made.append(_shaped(node, nodes, kinds, at, made, positions))
    return made[-1]


def _shaped(
    node: Node,
    nodes: Sequence[Node],
    kinds: Sequence[Kind],
    at: int,
    made: Sequence[RowFunction],
    positions: Mapping[str, int],
) -> RowFunction:
    """A function that calls those of its operands, the frequent shapes by the shortest way."""
    operands = [made[operand] for operand in node.operands]
    if node.name in ("and", "or") and node.form == "operator":
        chain = tuple(made[place] for place in _chained(at, node.name, nodes))
        return _all_of(chain) if node.name == "and" else _any_of(chain)
    if node.name in _compare and node.form == "operator":
        left, right = (nodes[operand] for operand in node.operands)
        if left.form == "column" and right.form == "literal":
            return _column_against(positions[left.name], _compare[node.name], right.values[0])
        return _against(_compare[node.name], *operands)
    work = _work(node, [kinds[operand] for operand in node.operands], kinds[at])
    if len(operands) == 1:
        only = operands[0]
        return lambda row: work(only(row))
    return lambda row: work(*(operand(row) for operand in operands))


def _node_by_node(nodes: Sequence[Node], kinds: Sequence[Kind], positions: Mapping[str, int]) -> RowFunction:
    steps: list[tuple[RowFunction | None, Callable[..., Any], tuple[int, ...]]] = []
    for at, node in enumerate(nodes):
        if node.form in ("literal", "column"):
            leaf = _constant(node.values[0]) if node.form == "literal" else _column(positions[node.name])
            steps.append((leaf, _nothing, ()))
        else:
            steps.append((None, _work(node, [kinds[operand] for operand in node.operands], kinds[at]), node.operands))

    def evaluate(row: Sequence[Any]) -> Any:
        held: list[Any] = []
        for leaf, work, operands in steps:
            held.append(leaf(row) if leaf is not None else work(*(held[operand] for operand in operands)))
        return held[-1]

    return evaluate


def _nothing() -> None:
    return None


def _constant(value: Any) -> RowFunction:
    return lambda row: value


def _column(place: int) -> RowFunction:
    def value(row: Sequence[Any]) -> Any:
        found = row[place]
        return found if found == found else None

    return value


def _column_against(place: int, compare: Callable[[Any, Any], bool], limit: Any) -> RowFunction:
    def holds(row: Sequence[Any]) -> bool | None:
        found = row[place]
        return compare(found, limit) if found is not None and found == found else None

    return holds


def _against(compare: Callable[[Any, Any], bool], left: RowFunction, right: RowFunction) -> RowFunction:
    def holds(row: Sequence[Any]) -> bool | None:
        a = left(row)
        if a is None:
            return None
        b = right(row)
        return None if b is None else compare(a, b)

    return holds


def _chained(at: int, word: str, nodes: Sequence[Node]) -> list[int]:
    """The operands of `a and b and c`, in order, as if `and` took any number."""
    found, waiting = [], [at]
    while waiting:
        place = waiting.pop()
        if nodes[place].form == "operator" and nodes[place].name == word:
            waiting += reversed(nodes[place].operands)
        else:
            found.append(place)
    return found


def _all_of(conditions: Sequence[RowFunction]) -> RowFunction:
    def holds(row: Sequence[Any]) -> bool | None:
        result: bool | None = True
        for condition in conditions:
            found = condition(row)
            if found is False:
                return False
            if found is None:
                result = None
        return result

    return holds


def _any_of(conditions: Sequence[RowFunction]) -> RowFunction:
    def holds(row: Sequence[Any]) -> bool | None:
        result: bool | None = False
        for condition in conditions:
            found = condition(row)
            if found is True:
                return True
            if found is None:
                result = None
        return result

    return holds


# ------------------------------------------------- what each operator and function does with values


def _work(node: Node, operands: Sequence[Kind], kind: Kind) -> Callable[..., Any]:
    name = node.name
    if node.form == "function":
        return _functions(name, operands, kind)
    if name in ("in", "not in"):
        return _among(frozenset(node.values), name == "in")
    if name in _logic:
        return _logic[name]
    if name in _compare:
        return _unless_null(_compare[name])
    if name in ("between", "not between"):
        return _between if name == "between" else lambda a, low, high: _not(_between(a, low, high))
    moments = operands[0] == "moment"
    return _unless_null(_moments_apart if moments else _arithmetic[name] if kind == "number" else _wholes[name])


def _unless_null(work: Callable[..., Any]) -> Callable[..., Any]:
    """Null where an operand is null, where the result is NaN, or a whole number outside 64 bits."""

    def value(*operands: Any) -> Any:
        if None in operands:
            return None
        return _held(work(*operands))

    return value


def _held(found: Any) -> Any:
    if found is None or found != found:
        return None
    return None if type(found) is int and not -(2**63) <= found < 2**63 else found


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def _not(a: bool | None) -> bool | None:
    return None if a is None else not a


def _between(a: Any, low: Any, high: Any) -> bool | None:
    above = None if a is None or low is None else a >= low
    below = None if a is None or high is None else a <= high
    return _and(above, below)


def _among(values: frozenset[Any], wanted: bool) -> Callable[[Any], bool | None]:
    return lambda a: None if a is None else (a in values) == wanted


def _is_null(a: Any) -> bool:
    return a is None


def _is_not_null(a: Any) -> bool:
    return a is not None


_logic: Final[Mapping[str, Callable[..., Any]]] = {
    "and": _and, "or": _or, "not": _not, "is null": _is_null, "is not null": _is_not_null,
}  # fmt: skip


def _divided(a: float, b: float) -> float | None:
    return None if b == 0 else float(np.divide(float(a), float(b)))


def _remainder(a: float, b: float) -> float | None:
    return None if b == 0 else float(np.fmod(float(a), float(b)))


def _whole_remainder(a: int, b: int) -> int | None:
    """The sign is that of the dividend."""
    if b == 0:
        return None
    return abs(a) % abs(b) * (1 if a >= 0 else -1)


def _moments_apart(a: int, b: int) -> float | None:
    apart = _held(a - b)
    return None if apart is None else apart / 1e6


_wholes: Final[Mapping[str, Callable[..., Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "%": _whole_remainder,
    "negative": operator.neg, "positive": operator.pos,
}  # fmt: skip
_arithmetic: Final[Mapping[str, Callable[..., Any]]] = {
    "+": lambda a, b: float(a) + float(b), "-": lambda a, b: float(a) - float(b),
    "*": lambda a, b: float(a) * float(b), "/": _divided, "%": _remainder,
    "negative": operator.neg, "positive": operator.pos,
}  # fmt: skip


def _functions(name: str, operands: Sequence[Kind], kind: Kind) -> Callable[..., Any]:
    as_number = kind == "number" and any(operand != "number" for operand in operands)
    if name in ("min", "max"):
        first = operator.le if name == "min" else operator.ge

        def extreme(*found: Any) -> Any:
            best = found[0]
            for other in found[1:]:
                best = best if first(best, other) else other
            return float(best) if as_number else best

        return _unless_null(extreme)
    if name == "coalesce":

        def known(*found: Any) -> Any:
            value = next((each for each in found if each is not None), None)
            return float(value) if as_number and value is not None else value

        return known
    if name == "length":
        return lambda text: None if text is None else len(text)
    return _unless_null(_of_one[name] if kind == "number" else _of_one_whole[name])


_of_one: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "floor": lambda a: float(math.floor(a)) if math.isfinite(a) else a,
    "ceil": lambda a: float(math.ceil(a)) if math.isfinite(a) else a,
    "round": lambda a, digits=0: float(np.round(a, digits)),
}
_of_one_whole: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs, "floor": lambda a: a, "ceil": lambda a: a, "round": lambda a, digits=0: a,
}  # fmt: skip
