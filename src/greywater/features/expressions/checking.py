"""Gives every node of an expression its kind, against the columns there are; what does not fit is refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from greywater.errors import UsageError
from greywater.features.expressions.functions import FUNCTIONS, MOST_DIGITS
from greywater.features.expressions.operators import OPERATORS
from greywater.features.expressions.syntax import KINDS, Kind, Literals, Node, Value
from greywater.features.expressions.tokens import refused
from greywater.features.expressions.values import kind_of, moment_of

__all__ = ["checked"]

_compare_with_text = frozenset({"=", "!=", "<", "<=", ">", ">=", "between", "not between"})


def checked(nodes: Sequence[Node], columns: Mapping[str, pa.DataType]) -> tuple[tuple[Node, ...], tuple[Kind, ...]]:
    """The nodes, with texts beside moments read as moments, and the kind of each.

    Raises
    ------
    UsageError
        Where a column or function does not exist, or operands are of kinds that do not fit.
    """
    found = list(nodes)
    kinds: list[Kind] = []
    for node in nodes:
        at = len(kinds)
        if node.form == "literal":
            kinds.append(_literal_kind(node.values[0]))
        elif node.form == "column":
            kinds.append(_column_kind(node, columns))
        elif node.form == "function":
            kinds.append(_function_kind(node, found, kinds))
        elif node.name in ("in", "not in"):
            found[at] = replace(node, values=_listed(node, kinds[node.operands[0]]))
            kinds.append("truth")
        else:
            if node.name in _compare_with_text:
                _read_moments(node, found, kinds)
            kinds.append(_operator_kind(node, kinds))
    return tuple(found), tuple(kinds)


def _literal_kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int):
        return "whole"
    return "number" if isinstance(value, float) else "text"


def _column_kind(node: Node, columns: Mapping[str, pa.DataType]) -> Kind:
    dtype = columns.get(node.name)
    if dtype is None:
        close = difflib.get_close_matches(node.name, columns, 1)
        listed = ", ".join(sorted(columns)[:20]) + (", ..." if len(columns) > 20 else "")
        mend = f"perhaps {close[0]!r} is meant" if close else f"there are {listed}" if columns else ""
        raise refused(f"there is no column {node.name[:80]!r}", node.place, mend)
    kind = kind_of(dtype)
    if kind is None:
        raise refused(f"column {node.name!r} is of type {dtype}, which expressions do not read", node.place)
    return kind


def _function_kind(node: Node, nodes: Sequence[Node], kinds: Sequence[Kind]) -> Kind:
    function = FUNCTIONS.get(node.name)
    if function is None:
        raise refused(f"there is no function {node.name[:80]!r}", node.place, f"there are {', '.join(FUNCTIONS)}")
    given = len(node.operands)
    if not function.fewest <= given <= function.most:
        wanted = str(function.fewest) if function.fewest == function.most else f"{function.fewest} to {function.most}"
        raise refused(f"{node.name} is given {given} values; it takes {wanted}", node.place)
    of = [kinds[operand] for operand in node.operands]
    kind = function.kind(of)
    if kind is None:
        raise _does_not_fit(node, of, function.wants)
    if function.digits and given == 2:
        digits = nodes[node.operands[1]]
        known = digits.values[0] if digits.form == "literal" else None
        if isinstance(known, bool) or not isinstance(known, int) or not 0 <= known <= MOST_DIGITS:
            raise refused(f"how many digits {node.name} keeps is not known", digits.place, f"write 0 to {MOST_DIGITS}")
    return kind


def _operator_kind(node: Node, kinds: Sequence[Kind]) -> Kind:
    operator = OPERATORS[node.name]
    of = [kinds[operand] for operand in node.operands]
    kind = operator.kind(of)
    if kind is None:
        raise _does_not_fit(node, of, operator.wants)
    return kind


def _read_moments(node: Node, nodes: list[Node], kinds: list[Kind]) -> None:
    """Where a moment is compared with a literal text, the text is read as a moment."""
    if "moment" not in (kinds[operand] for operand in node.operands):
        return
    for operand in node.operands:
        if nodes[operand].form == "literal" and kinds[operand] == "text":
            nodes[operand] = replace(nodes[operand], values=(_moment(nodes[operand], nodes[operand].values[0]),))
            kinds[operand] = "moment"


def _moment(node: Node, value: Value) -> int:
    moment = moment_of(str(value))
    if moment is None:
        raise refused(
            f"{str(value)[:40]!r} is not a moment", node.place, "write '2024-01-31' or '2024-01-31T12:00:00Z'"
        )
    return moment


def _listed(node: Node, kind: Kind) -> Literals:
    """The values of a list, all of the kind that is looked for."""
    if kind == "moment":
        return tuple(_moment(node, value) for value in node.values)
    for value in node.values:
        of = _literal_kind(value)
        if of != kind and not {of, kind} <= {"whole", "number"}:
            raise refused(f"`in` looks for {KINDS[kind]} and its list has {KINDS[of]}", node.place)
    return node.values


def _does_not_fit(node: Node, kinds: Sequence[Kind], wants: str) -> UsageError:
    said = {"negative": "-", "positive": "+"}.get(node.name, node.name)
    found = " and ".join(KINDS[kind] for kind in kinds)
    return refused(f"`{said}` is given {found}", node.place, f"it takes {wants}")
