"""All rules as one list of steps, so that what several of them ask is worked out once; block by block, or one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.detectors.rules.compiling import Compiled
from greywater.errors import RefusedTypeError
from greywater.features.expressions.functions import FUNCTIONS
from greywater.features.expressions.operators import OPERATORS, among
from greywater.features.expressions.scalar import RowFunction, for_one_row
from greywater.features.expressions.syntax import KINDS, Kind, Node
from greywater.features.expressions.values import Values, kind_of, literal, load

__all__ = ["BLOCK_ROWS", "BoolMatrix", "Program"]

BoolMatrix = NDArray[np.bool_]
#: Rows worked on at a time, so that what is held between steps stays in the cache.
BLOCK_ROWS: Final = 8_192


@dataclass(frozen=True)
class Program:
    """Rules over columns, merged.

    Parameters
    ----------
    nodes : tuple of Node
        Steps, operands first; equal steps of different rules are one.
    kinds : tuple of Kind
    roots : tuple of int
        The step that gives each rule's answer.
    functions : tuple of callable
        Each rule for one row, given the values of `columns`.
    columns : tuple of str
        Columns that are read, each once.
    """

    nodes: tuple[Node, ...]
    kinds: tuple[Kind, ...]
    roots: tuple[int, ...]
    functions: tuple[RowFunction, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rules: Sequence[Compiled]) -> Program:
        """Merge compiled rules."""
        nodes: list[Node] = []
        kinds: list[Kind] = []
        known: dict[Any, int] = {}
        roots = []
        for rule in rules:
            places: list[int] = []
            for node, kind in zip(rule.nodes, rule.kinds, strict=True):
                operands = tuple(places[each] for each in node.operands)
                values = tuple((type(value), value) for value in node.values)
                key = (node.form, node.name, operands, values, kind)
                if key not in known:
                    known[key] = len(nodes)
                    nodes.append(replace(node, operands=operands))
                    kinds.append(kind)
                places.append(known[key])
            roots.append(places[-1])
        columns = tuple(dict.fromkeys(node.name for node in nodes if node.form == "column"))
        positions = {name: at for at, name in enumerate(columns)}
        functions = tuple(for_one_row(rule.nodes, rule.kinds, positions) for rule in rules)
        return cls(tuple(nodes), tuple(kinds), tuple(roots), functions, columns)

    def evaluate(self, rows: pa.Table | pa.RecordBatch) -> tuple[BoolMatrix, BoolMatrix]:
        """Where each rule holds, and where it is known whether it does: two bool[n, rules], column by column.

        Raises
        ------
        RefusedTypeError
            The rows lack a column, or one is of another kind than it was.
        """
        count = rows.num_rows
        holds = np.zeros((count, len(self.roots)), np.bool_, order="F")
        known = np.zeros((count, len(self.roots)), np.bool_, order="F")
        if not self.roots:
            return holds, known
        kinds = {node.name: kind for node, kind in zip(self.nodes, self.kinds, strict=True) if node.form == "column"}
        loaded = {name: _column(rows, name, kind) for name, kind in kinds.items()}
        literals = {
            at: literal(node.values[0], self.kinds[at]) for at, node in enumerate(self.nodes) if node.form == "literal"
        }
        uses = Counter(each for node in self.nodes for each in node.operands) + Counter(self.roots)
        with np.errstate(all="ignore"):
            for begin in range(0, count, BLOCK_ROWS):
                stop = min(begin + BLOCK_ROWS, count)
                block = {name: _cut(values, begin, stop) for name, values in loaded.items()}
                found = self._steps(block, literals, uses)
                for place, root in enumerate(self.roots):
                    values = found[root]
                    holds[begin:stop, place] = values.data & values.known
                    known[begin:stop, place] = values.known
        return holds, known

    def one(self, row: Sequence[Any]) -> list[bool | None]:
        """Each rule for one row, given the values of `columns` (None or NaN = not known)."""
        return [function(row) for function in self.functions]

    def _steps(
        self, columns: Mapping[str, Values], literals: Mapping[int, Values], uses: Mapping[int, int]
    ) -> dict[int, Values]:
        """What is left at the end: the answers of the rules; the rest is let go of after its last use."""
        held: dict[int, Values] = {}
        left = dict(uses)
        for at, node in enumerate(self.nodes):
            if node.form == "literal":
                held[at] = literals[at]
                continue
            if node.form == "column":
                held[at] = columns[node.name]
                continue
            operands = [held[each] for each in node.operands]
            for each in node.operands:
                left[each] -= 1
                if not left[each]:
                    held.pop(each, None)
            held[at] = _worked(node, operands)
        return held


def _worked(node: Node, operands: Sequence[Values]) -> Values:
    if node.form == "function":
        return FUNCTIONS[node.name].evaluate(*operands)
    if node.name in ("in", "not in"):
        found = among(operands[0], node.values)
        return found if node.name == "in" else OPERATORS["not"].evaluate(found)
    return OPERATORS[node.name].evaluate(*operands)


def _column(rows: pa.Table | pa.RecordBatch, name: str, kind: Kind) -> Values:
    place = rows.schema.get_field_index(name)
    found = kind_of(rows.schema.field(place).type) if place >= 0 else None
    if found != kind:
        raise RefusedTypeError(
            f"the rows have no single column {name!r} that is {KINDS[kind]}",
            mend="give rows of the columns that the rules were bound to",
        )
    column = rows.column(place)
    if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1:
        column = column.chunk(0)
    return load(column, kind)


def _cut(values: Values, begin: int, stop: int) -> Values:
    if values.kind == "text":
        return Values("text", values.data.slice(begin, stop - begin))
    data = values.data[begin:stop]
    if values.kind == "number":
        return Values("number", data, np.asarray(~np.isnan(data)))
    return Values(values.kind, data, values.known[begin:stop] if values.known.ndim else values.known)
