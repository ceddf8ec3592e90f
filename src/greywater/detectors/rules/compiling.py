"""From the text of a rule to nodes that are checked against columns; what does not fit is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from greywater.detectors.rules.columns import OTHER_COLUMNS, nearest, type_of_column
from greywater.detectors.rules.rule import Origin, Rule
from greywater.errors import UsageError
from greywater.features.expressions.checking import checked
from greywater.features.expressions.parser import parse
from greywater.features.expressions.scalar import for_one_row
from greywater.features.expressions.syntax import KINDS, Kind, Node
from greywater.features.expressions.tokens import Parameters, Place, refused
from greywater.features.requests import canonical_name
from greywater.vocab import CHANNELS, CURRENCIES

__all__ = ["Compiled", "Words", "check_rule", "columns_of", "compiled"]

#: Names in an expression that stand for a code: `channel.cash`, `currency.EUR`.
CODES: Final = {
    **{f"channel.{name}": code for code, name in enumerate(CHANNELS)},
    **{f"currency.{name}": code for code, name in enumerate(CURRENCIES)},
}
#: What the codes of text attributes mean, by column; None where every text is taken for one of them.
Words = Mapping[str, Sequence[str] | None]

_comparisons: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "between", "not between"})
_exactly: Final = 2**53


@dataclass(frozen=True)
class Compiled:
    """Nodes, operands first, and the kind of each; the last one is a condition."""

    nodes: tuple[Node, ...]
    kinds: tuple[Kind, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, each once, in order of first use."""
        return tuple(dict.fromkeys(node.name for node in self.nodes if node.form == "column"))


def columns_of(rule: Rule, exponent: int = 2) -> tuple[str, ...]:
    """The columns that a rule reads with the values its parameters have, each once.

    Raises
    ------
    UsageError
        The expression cannot be read; with file, line and column.
    """
    nodes = [node for text, origin in _texts(rule) for node in _read(rule, text, origin, rule.standing_in(exponent))]
    return tuple(dict.fromkeys(node.name for node in nodes if node.form == "column"))


def compiled(
    rule: Rule, columns: Mapping[str, pa.DataType], *, exponent: int = 2, words: Words | None = None
) -> Compiled:
    """A rule over columns that are there.

    Parameters
    ----------
    rule : Rule
    columns : mapping of str to pa.DataType
    exponent : int
        Decimals of the base currency.
    words : mapping of str to sequence of str, optional
        What the codes of text attributes mean: compared with a text, such a column is compared with its code.

    Raises
    ------
    UsageError
        Something cannot be read, does not exist or does not fit; with file, line and column.
    """
    parts = [_part(rule, text, origin, columns, exponent, words or {}) for text, origin in _texts(rule)]
    if not any(part.columns for part in parts):
        raise UsageError("the expression reads no column", where=_placed(rule, rule.origin, ""), mend="name a feature")
    nodes: list[Node] = []
    kinds: list[Kind] = []
    roots = []
    for part in parts:
        nodes += [replace(node, operands=tuple(each + len(kinds) for each in node.operands)) for node in part.nodes]
        kinds += part.kinds
        roots.append(len(kinds) - 1)
    if len(roots) == 2:
        nodes.append(Node("operator", "and", nodes[-1].place, (roots[0], roots[1])))
        kinds.append("truth")
    return Compiled(tuple(nodes), tuple(kinds))


def check_rule(rule: Rule, catalog: Mapping[str, pa.DataType], *, exponent: int = 2) -> None:
    """Refuse a rule that could never be evaluated, whatever columns the data bring.

    Parameters
    ----------
    rule : Rule
    catalog : mapping of str to pa.DataType
        Columns of the largest set of features.
    exponent : int
        Decimals of the base currency.

    Raises
    ------
    UsageError
        A feature that nothing makes (with the nearest names), kinds that do not fit, a division by a constant that is
        zero, a parameter that is not used; with file, line and column.
    """
    known = {}
    for name in columns_of(rule, exponent):
        dtype = type_of_column(name, catalog)
        if dtype is not None:
            known[name] = dtype
    for text, origin in _texts(rule):
        for node in _read(rule, text, origin, rule.standing_in(exponent)):
            if node.form == "column" and node.name not in known:
                close = nearest(node.name, [*catalog, *OTHER_COLUMNS, *CODES])
                mend = f"perhaps {close} is meant" if close else "docs/features.md and docs/rules.md list the columns"
                error = refused(f"there is no feature {node.name[:80]!r}", node.place, mend)
                raise _at(rule, origin, error)
    any_word = dict.fromkeys(name for name in known if ".attribute." in name)
    compiled(rule, known, exponent=exponent, words=any_word)
    text = "\n".join([rule.expression, rule.segment, rule.window])
    for parameter in rule.parameters:
        if not re.search(rf"\${parameter.name}\b", text):
            raise UsageError(
                f"parameter {parameter.name} is not used",
                where=rule.where,
                mend=f"write ${parameter.name} or leave it out",
            )


def _texts(rule: Rule) -> list[tuple[str, Origin]]:
    texts = [(rule.expression, rule.origin)]
    if rule.segment.strip():
        texts.insert(0, (rule.segment, rule.segment_origin))
    return texts


def _read(rule: Rule, text: str, origin: Origin, parameters: Parameters) -> tuple[Node, ...]:
    try:
        nodes = parse(text, parameters)
    except UsageError as error:
        raise _at(rule, origin, error) from None
    return tuple(_named(node) for node in nodes)


def _named(node: Node) -> Node:
    if node.form != "column":
        return node
    if node.name in CODES:
        return Node("literal", "", node.place, (), (CODES[node.name],))
    return replace(node, name=canonical_name(node.name))


def _part(
    rule: Rule, text: str, origin: Origin, columns: Mapping[str, pa.DataType], exponent: int, words: Words
) -> Compiled:
    nodes = _read(rule, text, origin, rule.standing_in(exponent))
    try:
        nodes, kinds = checked(_coded(nodes, words), columns)
        nodes, kinds = checked(_alike(nodes, kinds), columns)
        if kinds[-1] != "truth":
            raise refused(f"the expression gives {KINDS[kinds[-1]]}, not true or false", Place(1, 1), "compare it")
        _refuse_division_by_zero(nodes, kinds)
    except UsageError as error:
        raise _at(rule, origin, error) from None
    return Compiled(nodes, kinds)


def _coded(nodes: Sequence[Node], words: Words) -> tuple[Node, ...]:
    """Texts beside a text attribute as the codes of its words."""
    found = list(nodes)
    for at, node in enumerate(nodes):
        columns = [nodes[each].name for each in node.operands if nodes[each].form == "column"]
        if len(columns) != 1 or columns[0] not in words or node.name not in ("=", "!=", "in", "not in"):
            continue
        known = words[columns[0]]
        for each in node.operands:
            if nodes[each].form == "literal" and isinstance(nodes[each].values[0], str):
                found[each] = replace(nodes[each], values=(_code(nodes[each], nodes[each].values[0], known),))
        if node.name in ("in", "not in"):
            codes = tuple(_code(node, value, known) if isinstance(value, str) else value for value in node.values)
            found[at] = replace(node, values=codes)
    return tuple(found)


def _code(node: Node, word: object, known: Sequence[str] | None) -> int:
    if known is None:
        return 0
    if word not in known:
        close = nearest(str(word), known)
        mend = f"perhaps {close} is meant" if close else f"there are {', '.join(list(known)[:10])}"
        raise refused(f"no party has {str(word)[:40]!r}", node.place, mend)
    return list(known).index(str(word))


def _alike(nodes: Sequence[Node], kinds: Sequence[Kind]) -> tuple[Node, ...]:
    """Literals of the kind they are compared with, where that is the same value: comparing unlike kinds is slower."""
    found = list(nodes)
    for node in nodes:
        if node.form != "operator" or node.name not in _comparisons:
            continue
        others = {kinds[each] for each in node.operands if nodes[each].form != "literal"}
        for each in node.operands:
            value = nodes[each].values[0] if nodes[each].form == "literal" else None
            if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _exactly:
                continue
            if others == {"number"} and isinstance(value, int):
                found[each] = replace(nodes[each], values=(float(value),))
            elif others == {"whole"} and isinstance(value, float) and value.is_integer():
                found[each] = replace(nodes[each], values=(int(value),))
    return tuple(found)


def _refuse_division_by_zero(nodes: Sequence[Node], kinds: Sequence[Kind]) -> None:
    constants: dict[int, Any] = {}
    for at, node in enumerate(nodes):
        if node.form == "literal":
            constants[at] = node.values[0]
        elif node.form != "column" and all(each in constants for each in node.operands):
            if any(constants[each] is None for each in node.operands):
                constants[at] = None
                continue
            literals = [Node("literal", "", node.place, (), (constants[each],)) for each in node.operands]
            whole = [*literals, replace(node, operands=tuple(range(len(literals))))]
            constants[at] = for_one_row(whole, [*(kinds[each] for each in node.operands), kinds[at]], {})([])
        if node.name in ("/", "%") and node.form == "operator" and constants.get(node.operands[1], 1) == 0:
            raise refused("this divides by zero", node.place, "divide by something else")


def _at(rule: Rule, origin: Origin, error: UsageError) -> UsageError:
    mend = error.mend or "write a condition such as sender.out.count.1d >= 5"
    return UsageError(error.found, where=_placed(rule, origin, error.where), mend=mend)


def _placed(rule: Rule, origin: Origin, where: str) -> str:
    """A place in the expression as a place in its file."""
    match = re.fullmatch(r"line (\d+), column (\d+)", where)
    if not origin.line or match is None:
        return ", ".join(part for part in (rule.where, where) if part)
    line, column = int(match[1]), int(match[2])
    return f"{rule.where}, line {origin.line + line - 1}, column {column + (origin.column - 1 if line == 1 else 0)}"
