"""Tables as CSV and TSV that lose nothing: RFC 4180 quoting, null apart from "", floats to the last bit.

Fields are separated by a comma (CSV) or a tab (TSV), records end in CR LF, the first names the columns. A field is
quoted where it holds the separator, a quote, CR or LF, where it begins or ends with a blank, and where it is the empty
string; a quote inside is doubled. A null is an empty field without quotes. Floats are the shortest decimals that read
back as the same bits; `nan`, `inf` and `-inf` are written so. Timestamps are ISO 8601 in UTC with six digits of the
second (2024-03-01T12:00:00.000000Z), dates 2024-03-01, bools true and false. The text is UTF-8 without a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import FormatError, RefusedTypeError

__all__ = ["DelimitedWriter", "read_delimited"]

ROWS: Final = 65_536  # rows rendered at a time
BLOCK: Final = 16 << 20  # bytes read at a time; a record has to fit
TEXT: Final = pa.large_string()


class DelimitedWriter:
    """Writes tables into an open file; the first line names the columns.

    Parameters
    ----------
    file : binary file
        Open for writing; it stays the caller's to close.
    names : sequence of str
        At least two columns.
    delimiter : {",", tab}

    Raises
    ------
    RefusedTypeError
        There is only one column: its nulls could not be told from no record.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> writer = DelimitedWriter(file, ["a", "b"])
    >>> writer.write(pa.table({"a": ["x,y", "", None], "b": [0.1, float("nan"), None]}))
    >>> file.getvalue()
    b'a,b\\r\\n"x,y",0.1\\r\\n"",nan\\r\\n,\\r\\n'
    """

    def __init__(self, file: BinaryIO, names: Sequence[str], *, delimiter: str = ",") -> None:
        if len(names) < 2:
            raise RefusedTypeError("one column cannot be told from empty lines", mend="write two columns or more")
        self._file, self._delimiter = file, delimiter
        header = _quoted(pa.array(list(names), TEXT), delimiter).to_pylist()
        file.write(delimiter.join(header).encode() + b"\r\n")

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table."""
        for start in range(0, table.num_rows, ROWS):
            part = table.slice(start, ROWS)
            fields = [self._rendered(_whole(column)) for column in part.columns]
            fields[-1] = _joined(fields[-1], pa.scalar("\r\n", TEXT), between="")
            self._file.write(_octets(_joined(*fields, between=self._delimiter)))

    def _rendered(self, column: pa.Array) -> pa.Array:
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _quoted(column.cast(TEXT), self._delimiter)
        if pa.types.is_timestamp(kind):
            return pc.replace_substring(column.cast(TEXT), " ", "T", max_replacements=1)
        return column.cast(TEXT)


def read_delimited(path: Path, schema: pa.Schema, *, delimiter: str = ",") -> pa.Table:
    """Read back what DelimitedWriter wrote, in the dtypes of `schema`.

    Raises
    ------
    FormatError
        The columns are others, or a field cannot be read as its dtype.
    """
    import pyarrow.csv as arrow_csv

    kinds = {field.name: field.type for field in schema}
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=BLOCK),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, double_quote=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=kinds, null_values=[""], true_values=["true"], false_values=["false"],
                strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        raise FormatError(f"this is not a file of the set: {error}", where=str(path), mend="write it again") from error
    if table.schema.names != schema.names:
        raise FormatError(
            f"columns {', '.join(table.schema.names)} instead of {', '.join(schema.names)}", where=str(path)
        )
    return table.cast(schema)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], column.type)])


def _quoted(column: pa.Array, delimiter: str) -> pa.Array:
    """Each text in quotes where it needs them; nulls stay null."""
    needs = pc.or_(
        pc.match_substring_regex(column, f'["\r\n{delimiter}]|^[ \t]|[ \t]$'), pc.equal(pc.binary_length(column), 0)
    )
    if not pc.any(needs).as_py():
        return column
    quote = pa.scalar('"', TEXT)
    return pc.if_else(needs, _joined(quote, pc.replace_substring(column, '"', '""'), quote, between=""), column)


def _joined(*pieces: pa.Array | pa.Scalar, between: str) -> pa.Array:
    """The pieces of each row behind each other; null counts as nothing."""
    return pc.binary_join_element_wise(*pieces, pa.scalar(between, TEXT), null_handling="replace", null_replacement="")


def _octets(lines: pa.Array) -> memoryview:
    _, offsets, data = lines.buffers()
    if data is None:
        return memoryview(b"")
    bounds = memoryview(offsets).cast("q")
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]
