"""What an expression is made of once it is read: a list of nodes, operands before what they are operands of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from greywater.features.expressions.tokens import Place

__all__ = ["KINDS", "Kind", "Literals", "Node", "Value"]

Kind = Literal["whole", "number", "text", "truth", "moment"]
#: Kinds of values and how a message names them. whole = int64, number = float64, moment = microseconds since 1970.
KINDS: Final[dict[Kind, str]] = {
    "whole": "a whole number", "number": "a number", "text": "a text", "truth": "true or false", "moment": "a moment",
}  # fmt: skip
Value = bool | int | float | str
Literals = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A literal, a column, or an operator or function over earlier nodes.

    Nodes stand in one flat tuple, so that nothing that goes through them can run out of stack.

    Parameters
    ----------
    form : {"literal", "column", "operator", "function"}
    name : str
        Sign or word of an operator, name of a function or column.
    place : Place
    operands : tuple of int
        Positions of the operands in the tuple of nodes, each below the node's own and used once.
    values : tuple
        The value of a literal; of `in` the values of its list.
    """

    form: Literal["literal", "column", "operator", "function"]
    name: str
    place: Place
    operands: tuple[int, ...] = ()
    values: Literals = ()
