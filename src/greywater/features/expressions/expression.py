"""A condition or a formula over columns: read from text, checked against a schema, worked out for all rows at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from greywater.errors import RefusedTypeError, UsageError
from greywater.features.expressions.checking import checked
from greywater.features.expressions.functions import FUNCTIONS
from greywater.features.expressions.operators import OPERATORS, among
from greywater.features.expressions.parser import parse
from greywater.features.expressions.syntax import KINDS, Kind, Node
from greywater.features.expressions.tokens import Parameters
from greywater.features.expressions.values import BoolArray, Values, as_arrow, kind_of, literal, load

__all__ = ["Expression"]


@dataclass(frozen=True)
class Expression:
    """An expression over columns.

    Examples
    --------
    >>> schema = pa.schema([("score", pa.float64()), ("segment", pa.string())])
    >>> rule = Expression.parse("score between 0 and 1000 and segment in ('retail', 'private')", schema)
    >>> rule.kind, rule.columns
    ('truth', ('score', 'segment'))
    >>> rows = pa.table({"score": [700.0, 2000.0, None, None], "segment": ["retail", None, "retail", "other"]})
    >>> rule.evaluate(rows).to_pylist()
    [True, False, None, False]
    """

    text: str
    nodes: tuple[Node, ...]
    kinds: tuple[Kind, ...]

    @classmethod
    def parse(
        cls,
        text: str,
        columns: pa.Schema | Mapping[str, pa.DataType],
        *,
        where: str = "",
        parameters: Parameters | None = None,
    ) -> Expression:
        """Read and check an expression.

        Parameters
        ----------
        text : str
        columns : pa.Schema or mapping of str to pa.DataType
            The columns that there will be.
        where : str
            What the expression belongs to, for messages.
        parameters : mapping of str to Parameter, optional
            What stands for `$name` in it.

        Raises
        ------
        UsageError
            Naming line and column of what cannot be read or does not fit.
        """
        named = {field.name: field.type for field in columns} if isinstance(columns, pa.Schema) else columns
        try:
            nodes, kinds = checked(parse(text, parameters), named)
        except UsageError as error:
            place = ", ".join(part for part in (where, error.where) if part)
            raise UsageError(error.found, where=place, mend=error.mend) from None
        return cls(text, nodes, kinds)

    @property
    def kind(self) -> Kind:
        """What the result is."""
        return self.kinds[-1]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, each once, in order of first use."""
        return tuple(dict.fromkeys(node.name for node in self.nodes if node.form == "column"))

    def evaluate(self, rows: pa.Table | pa.RecordBatch) -> pa.Array:
        """The value of every row: int64, float64, string, bool or timestamp[us, UTC]; null where it is not known."""
        return as_arrow(self._values(rows), rows.num_rows)

    def truth(self, rows: pa.Table | pa.RecordBatch) -> tuple[BoolArray, BoolArray]:
        """Of a condition, two bool[n]: where it holds, and where it is known whether it holds.

        Raises
        ------
        UsageError
            Where the expression is not a condition.
        """
        if self.kind != "truth":
            raise UsageError(f"the expression gives {KINDS[self.kind]}, not true or false", where=self.text[:80])
        values = self._values(rows)
        shape = (rows.num_rows,)
        return np.broadcast_to(values.data & values.known, shape), np.broadcast_to(values.known, shape)

    def _values(self, rows: pa.Table | pa.RecordBatch) -> Values:
        """Every node in turn; each is let go of by the one that uses it."""
        held: dict[int, Values] = {}
        loaded: dict[str, Values] = {}
        with np.errstate(all="ignore"):
            for at, node in enumerate(self.nodes):
                operands = [held.pop(operand) for operand in node.operands]
                if node.form == "literal":
                    held[at] = literal(node.values[0], self.kinds[at])
                elif node.form == "column":
                    if node.name not in loaded:
                        loaded[node.name] = _column(rows, node.name, self.kinds[at])
                    held[at] = loaded[node.name]
                elif node.form == "function":
                    held[at] = FUNCTIONS[node.name].evaluate(*operands)
                elif node.name in ("in", "not in"):
                    held[at] = among(operands[0], node.values)
                    if node.name == "not in":
                        held[at] = OPERATORS["not"].evaluate(held[at])
                else:
                    held[at] = OPERATORS[node.name].evaluate(*operands)
        return held.pop(len(self.nodes) - 1)


def _column(rows: pa.Table | pa.RecordBatch, name: str, kind: Kind) -> Values:
    place = rows.schema.get_field_index(name)
    if place < 0:
        raise RefusedTypeError(
            f"the rows have no single column {name!r}", mend="give the columns it was checked against"
        )
    column = rows.column(place)
    if kind_of(column.type) != kind:
        raise RefusedTypeError(
            f"column {name!r} is of type {column.type}, not {KINDS[kind]} as it was when the expression was checked",
            mend="give rows of the schema it was checked against",
        )
    return load(column, kind)
