"""Reads the tokens of an expression into nodes: a Pratt parser, each sign with its binding power.

V. R. Pratt, "Top down operator precedence", Symposium on Principles of Programming Languages, 1973.
"""

from __future__ import annotations

import math
from typing import Final

from greywater.features.expressions.syntax import Node, Value
from greywater.features.expressions.tokens import Parameters, Place, Token, refused, tokens

__all__ = ["MOST_NESTING", "parse"]

#: Deepest nesting of brackets, calls and prefixes that is read.
MOST_NESTING: Final = 100
_comparisons: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
_not, _compare, _minus = 30, 40, 70
_powers: Final[dict[str, int]] = {
    "or": 10, "and": 20, "is": _compare, "in": _compare, "between": _compare, "not": _compare,
    **dict.fromkeys(_comparisons, _compare), "+": 50, "-": 50, "*": 60, "/": 60, "%": 60,
}  # fmt: skip


def parse(text: str, parameters: Parameters | None = None) -> tuple[Node, ...]:
    """The nodes of an expression, `$name` replaced by the parameter; the last one is the whole of it.

    Raises
    ------
    UsageError
        Where the text is not an expression, nests deeper than MOST_NESTING or is too long.

    Examples
    --------
    >>> [node.name or node.values for node in parse("a + 2 > b")]
    ['a', (2,), '+', 'b', '>']
    """
    return _Parser(text, parameters).whole()


class _Parser:
    def __init__(self, text: str, parameters: Parameters | None) -> None:
        self._tokens = tokens(text, parameters)
        self._token = next(self._tokens)
        self._nodes: list[Node] = []
        self._depth = 0

    def whole(self) -> tuple[Node, ...]:
        if self._ended():
            raise refused("the expression is empty", self._token.place, "write a condition such as score >= 0")
        self._expression(0)
        if not self._ended():
            raise refused(f"{self._token.said} does not go on what stands before it", self._token.place)
        return tuple(self._nodes)

    def _ended(self) -> bool:
        return self._token.kind == "end"

    def _expression(self, least: int) -> int:
        """Read what binds more tightly than `least`; returns the position of its node."""
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise refused(
                f"brackets, calls or signs nested more than {MOST_NESTING} deep",
                self._token.place,
                "take brackets away, or make several rules of it",
            )
        left = self._prefix()
        while (power := self._power()) > least:
            left = self._comparison(left) if power == _compare else self._binary(left, power)
        self._depth -= 1
        return left

    def _power(self) -> int:
        return _powers.get(self._token.text, 0) if self._token.kind in ("sign", "word") else 0

    def _prefix(self) -> int:
        token = self._next()
        if token.kind == "number":
            return self._literal(_number(token, ""), token.place)
        if token.kind == "text":
            return self._literal(token.text, token.place)
        if token.kind == "value":
            return self._literal(token.value, token.place)
        if token.kind == "name":
            return self._call(token) if self._at("(") else self._add(Node("column", token.text, token.place))
        if token.kind == "word" and token.text in ("true", "false"):
            return self._literal(token.text == "true", token.place)
        if token.text == "not":
            return self._operator("not", token.place, self._expression(_not))
        if token.kind == "sign" and token.text in "+-":
            return self._signed(token)
        if token.kind == "sign" and token.text == "(":
            inside = self._expression(0)
            self._close(token)
            return inside
        if token.text == "null" and token.kind == "word":
            raise refused("null is not a value", token.place, "write `x is null` or `x is not null`")
        raise refused(f"a value is wanted, and {token.said} is found", token.place)

    def _signed(self, token: Token) -> int:
        if self._token.kind == "number":
            return self._literal(_number(self._next(), token.text), token.place)
        operand = self._expression(_minus)
        return self._operator("negative" if token.text == "-" else "positive", token.place, operand)

    def _call(self, name: Token) -> int:
        bracket = self._next()
        operands: list[int] = []
        if not self._at(")"):
            operands.append(self._expression(0))
            while self._at(","):
                self._next()
                operands.append(self._expression(0))
        self._close(bracket)
        return self._add(Node("function", name.text.lower(), name.place, tuple(operands)))

    def _binary(self, left: int, power: int) -> int:
        token = self._next()
        return self._operator(token.text, token.place, left, self._expression(power))

    def _comparison(self, left: int) -> int:
        token = self._next()
        prefix = ""
        if token.text == "not":
            if not (self._token.kind == "word" and self._token.text in ("in", "between")):
                raise refused(f"`not {self._token.text}` after a value", token.place, "write `not in` or `not between`")
            prefix, token = "not ", self._next()
        if token.text == "is":
            node = self._is_null(left, token.place)
        elif token.text == "in":
            node = self._add(Node("operator", f"{prefix}in", token.place, (left,), self._list()))
        elif token.text == "between":
            low = self._expression(_compare)
            self._word("and")
            node = self._operator(f"{prefix}between", token.place, left, low, self._expression(_compare))
        else:
            node = self._operator(token.text, token.place, left, self._expression(_compare))
        if self._power() == _compare:
            raise refused(
                f"{self._token.said} after a comparison",
                self._token.place,
                "join comparisons with `and`, or write `x between 1 and 5`",
            )
        return node

    def _is_null(self, left: int, place: Place) -> int:
        negated = self._token.kind == "word" and self._token.text == "not"
        if negated:
            self._next()
        self._word("null")
        return self._operator("is not null" if negated else "is null", place, left)

    def _list(self) -> tuple[Value, ...]:
        if not self._at("("):
            raise refused(f"a list is wanted, and {self._token.said} is found", self._token.place, "write in (1, 2, 3)")
        bracket = self._next()
        values = [self._listed()]
        while self._at(","):
            self._next()
            values.append(self._listed())
        self._close(bracket)
        return tuple(values)

    def _listed(self) -> Value:
        token = self._next()
        if token.kind == "sign" and token.text in "+-" and self._token.kind == "number":
            return _number(self._next(), token.text)
        if token.kind == "number":
            return _number(token, "")
        if token.kind in ("text", "value"):
            return token.text if token.kind == "text" else token.value
        if token.kind == "word" and token.text in ("true", "false"):
            return token.text == "true"
        raise refused(f"{token.said} in the list of `in`", token.place, "list numbers, texts, true or false")

    def _literal(self, value: Value, place: Place) -> int:
        return self._add(Node("literal", "", place, (), (value,)))

    def _operator(self, name: str, place: Place, *operands: int) -> int:
        return self._add(Node("operator", name, place, operands))

    def _add(self, node: Node) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _next(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._tokens)
        return token

    def _at(self, sign: str) -> bool:
        return self._token.kind == "sign" and self._token.text == sign

    def _word(self, word: str) -> None:
        if not (self._token.kind == "word" and self._token.text == word):
            raise refused(f"`{word}` is wanted, and {self._token.said} is found", self._token.place)
        self._next()

    def _close(self, opened: Token) -> None:
        if not self._at(")"):
            raise refused(
                f"`)` is wanted, and {self._token.said} is found; `(` is at {opened.place}", self._token.place
            )
        self._next()


def _number(token: Token, sign: str) -> int | float:
    if token.text.isdigit():
        whole = int(sign + token.text) if len(token.text) <= 40 else 2**64
        if not -(2**63) <= whole < 2**63:
            raise refused(f"{token.said} has more than 64 bits", token.place, "write it as 1e19")
        return whole
    number = float(sign + token.text)
    if math.isinf(number):
        raise refused(f"{token.said} is larger than any number that can be held", token.place)
    return number
