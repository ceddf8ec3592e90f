"""Payments of a database: the rows of a query, streamed as text, read on from a high-water mark."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from greywater.errors import ExtraMissingError, InputError, UsageError
from greywater.formats.tabular import number_repeated
from greywater.stores.source_rows import Mark, WholeAgain

__all__ = ["SqlPull", "SqlSource", "cell_text", "mark_from_json", "mark_to_json"]

#: Rows taken from the database at a time.
ROWS: Final = 4_000
BACKENDS: Final = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
_colon: Final = re.compile(r"(?<![:\w\\]):(?=\w)")
_not_in_a_name: Final = re.compile(r"[^A-Za-z0-9_-]+")
_SEPARATOR: Final = "\x1f"
_NOTHING: Final = "\x00"


class SqlSource:
    """A query on a database of someone else's; nothing is ever written there.

    Parameters
    ----------
    address : str
        `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`, or `env:NAME` for a variable of the
        environment that holds one.
    query : str
        One SELECT.
    high_water : str
        Column of the query's result that only grows as rows are added (a serial number, a time of booking). With it
        each pull takes only rows the ones before did not take. "" = each pull takes everything.

    Raises
    ------
    UsageError
        The address or the query cannot be used as given.
    InputError
        The SQLite file is not there.
    ExtraMissingError
        The driver is not installed.

    Notes
    -----
    Passwords are in no message, name, key or mark. Rows without a high-water value are not taken until they have one.

    Examples
    --------
    >>> SqlSource("postgresql://ada:secret@db.bank/core", "SELECT 1", "").address
    'postgresql://ada:***@db.bank/core'
    """

    kind = "sql"

    def __init__(self, address: str, query: str, high_water: str = "") -> None:
        self._url = _read_url(address)
        self.query = query.strip().rstrip(";").strip()
        self.high_water = high_water
        if not self.query:
            raise UsageError(
                "a database needs a query", where=f"sql:{self.address}", mend='add --query "SELECT ... FROM ..."'
            )

    @property
    def address(self) -> str:
        """The URL with the password hidden and without options."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    @property
    def key(self) -> str:
        """SHA-256 of where the rows come from: kind of database, host, port, name, query, high-water column."""
        url = self._url
        database = str(Path(url.database).resolve()) if _is_sqlite(url) and url.database else url.database
        where = [url.get_backend_name(), url.host, url.port, database, self.query, self.high_water]
        return hashlib.sha256(json.dumps(where).encode()).hexdigest()

    @property
    def label(self) -> str:
        """`sql_<database>_<first digits of the key>`."""
        name = Path(self._url.database or "database").stem
        return f"sql_{_not_in_a_name.sub('_', name)[:40]}_{self.key[:8]}"

    @property
    def resumes(self) -> bool:
        """True with a high-water column."""
        return bool(self.high_water)

    @cached_property
    def _engine(self) -> sa.Engine:
        url = self._url.set(drivername=BACKENDS[self._url.get_backend_name()])
        if _is_sqlite(url):
            path = Path(url.database or "")
            if not path.is_file():
                raise InputError("there is no such database file", where=f"sql:{self.address}", mend="check the path")
            url = url.set(database=path.resolve().as_uri(), query={"mode": "ro", "uri": "true"})
        try:
            return sa.create_engine(url, poolclass=sa.pool.NullPool)
        except ModuleNotFoundError as error:
            raise ExtraMissingError(
                f"the driver {error.name} is not installed",
                where=f"sql:{self.address}",
                mend="pip install 'greywater[postgres]'",
            ) from None

    def pull(self, mark: Mark | None) -> SqlPull:
        """Begin to read the rows beyond a mark.

        Raises
        ------
        InputError
            The database cannot be reached.
        UsageError
            It refuses the query, or the high-water column is not among the query's.
        """
        return SqlPull(self, self._engine, mark if self.resumes else None)

    def close(self) -> None:
        """Drop the connections."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @contextmanager
    def said(self, doing: str) -> Iterator[None]:
        """Turn what the driver says into one sentence without secrets."""
        try:
            yield
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or type(error).__name__).strip() or type(error).__name__
            if self._url.password:
                said = said.replace(str(self._url.password), "***")
            found = f"the database could not {doing}: {said.splitlines()[0]}"
            where = f"sql:{self.address}"
            unreachable = isinstance(error, DBAPIError) and (error.connection_invalidated or doing == "be reached")
            if unreachable:
                raise InputError(found, where=where, mend="check the address, the network and the password") from None
            raise UsageError(found, where=where, mend="try the query in the database's own client") from None


class SqlPull:
    """Rows of a query on their way; made by `SqlSource.pull`. Every value comes as text, as in a CSV file."""

    def __init__(self, source: SqlSource, engine: sa.Engine, mark: Mark | None) -> None:
        self._source = source
        self._engine = engine
        self._before = mark
        self._after = mark
        self._columns = self._names()
        self.schema = pa.schema([pa.field(name, pa.string()) for name in self._columns])
        self.whole_again: WholeAgain | None = None
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the rows."""
        return tuple(self._notes)

    def mark(self) -> Mark | None:
        """The greatest high-water value taken, with digests of the rows that have it."""
        return self._after

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order of the high-water column where there is one."""
        source = self._source
        with source.said("be reached"), self._connection() as connection:
            with source.said("answer the query"):
                result = connection.execute(self._statement(), self._parameters())
                rows: Iterator[Sequence[Any]] = iter(result.partitions(ROWS))
            follow = _HighWater(self._columns.index(source.high_water), self._before) if source.resumes else None
            while True:
                with source.said("go on with the query"):
                    part = next(rows, None)
                if part is None:
                    break
                texts = [_column_text(list(values)) for values in zip(*part, strict=True)]
                if follow is not None:
                    texts = follow.fresh(part, texts)
                if len(texts[0]):
                    yield pa.RecordBatch.from_arrays(texts, schema=self.schema)
            if follow is not None:
                self._after = follow.mark()
                self._note_nulls(connection)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        options: dict[str, Any] = {"stream_results": True, "max_row_buffer": ROWS}
        if self._engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._engine.connect() as connection:
            yield connection.execution_options(**options)

    def _names(self) -> tuple[str, ...]:
        with self._source.said("be reached"), self._connection() as connection, self._source.said("read the query"):
            statement = sa.text(f"SELECT * FROM ({_literal(self._source.query)}\n) AS greywater_rows WHERE 1 = 0")
            result = connection.execute(statement)
            names = number_repeated([description[0] for description in result.cursor.description])
        if self._source.high_water and self._source.high_water not in names:
            raise UsageError(
                f"the query gives no column {self._source.high_water!r}; it gives {', '.join(names)[:300]}",
                where="--high-water",
                mend="name one of them, or add it to the query",
            )
        return names

    def _inside(self) -> str:
        return f"({_literal(self._source.query)}\n) AS greywater_rows"

    def _high_water(self) -> str:
        return _literal(self._engine.dialect.identifier_preparer.quote(self._source.high_water))

    def _statement(self) -> sa.TextClause:
        if not self._source.resumes:
            return sa.text(_literal(self._source.query))
        column = self._high_water()
        if self._before is None:
            return sa.text(f"SELECT * FROM {self._inside()} WHERE {column} IS NOT NULL ORDER BY {column}")
        value = mark_from_json(self._before)
        kind: sa.types.TypeEngine[Any] | None = None
        if isinstance(value, datetime):
            kind = sa.DateTime(timezone=value.tzinfo is not None)
        statement = sa.text(f"SELECT * FROM {self._inside()} WHERE {column} >= :greywater_mark ORDER BY {column}")
        return statement.bindparams(sa.bindparam("greywater_mark", type_=kind))

    def _parameters(self) -> dict[str, Any]:
        return {} if self._before is None else {"greywater_mark": mark_from_json(self._before)}

    def _note_nulls(self, connection: sa.Connection) -> None:
        """Say at the first pull how many rows wait for a high-water value."""
        if self._before is not None:
            return
        with self._source.said("count rows"):
            count = connection.execute(
                sa.text(f"SELECT COUNT(*) FROM {self._inside()} WHERE {self._high_water()} IS NULL")
            ).scalar_one()
        if count:
            self._notes.append(
                f"{self._source.label}: {count} rows have no {self._source.high_water} yet; they are taken once they do"
            )


class _HighWater:
    """Leaves out rows that the pull before took, and remembers those at the greatest value of this one.

    Rows come in ascending order. Those equal to the mark may have been taken before or added since: each is known by a
    digest of all its values, and of equal rows as many are left out as were taken.
    """

    def __init__(self, place: int, mark: Mark | None) -> None:
        self._place = place
        self._mark = mark
        self._floor = None if mark is None else mark_from_json(mark)
        self._taken = Counter(_digests_of(mark)) if mark is not None else Counter()
        self._greatest: Any = None
        self._there: list[bytes] = []

    def fresh(self, rows: Sequence[Any], texts: list[pa.Array]) -> list[pa.Array]:
        """The columns without the rows that were taken before."""
        values = [row[self._place] for row in rows]
        if self._greatest is None:
            mark_to_json(values[0])  # before all of it is fetched for nothing
        keep = [True] * len(values)
        last = values[-1]
        if self._greatest is None or last != self._greatest:
            self._greatest, self._there = last, []
        for number, value in enumerate(values):
            at_floor = self._mark is not None and value == self._floor
            if not at_floor and value != last:
                continue
            digest = _digest([column[number].as_py() for column in texts])
            if value == last:
                self._there.append(digest)
            if at_floor and self._taken[digest] > 0:
                self._taken[digest] -= 1
                keep[number] = False
        if all(keep):
            return texts
        return [column.filter(pa.array(keep)) for column in texts]

    def mark(self) -> Mark | None:
        """How far it is read now."""
        if self._greatest is None:
            return self._mark
        joined = base64.b64encode(b"".join(sorted(self._there))).decode("ascii")
        return {**mark_to_json(self._greatest), "taken": joined}


def mark_to_json(value: Any) -> Mark:
    """A high-water value in JSON types.

    Raises
    ------
    UsageError
        Values of this kind have no order that can be kept.

    Examples
    --------
    >>> mark_from_json(mark_to_json(Decimal("1.50"))), mark_from_json(mark_to_json(7))
    (Decimal('1.50'), 7)
    """
    for name, (kind, write, _) in _MARKS.items():
        if type(value) is kind:
            return {"type": name, "value": write(value)}
    raise UsageError(
        f"a high-water column cannot hold values of the kind {type(value).__name__}",
        where="--high-water",
        mend="name a column of numbers, text, dates or times",
    )


def mark_from_json(mark: Mark) -> Any:
    """The high-water value that `mark_to_json` wrote."""
    return _MARKS[mark["type"]][2](mark["value"])


_MARKS: Final[dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]]] = {
    "integer": (int, str, int),
    "float": (float, repr, float),
    "decimal": (Decimal, str, Decimal),
    "text": (str, str, str),
    "time": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
}


def cell_text(value: Any) -> str | None:
    """One value of a database as text, the way a CSV file would have it.

    Examples
    --------
    >>> cell_text(Decimal("1E+3")), cell_text(12.0), cell_text(True), cell_text(datetime(2024, 1, 31, 9, 5))
    ('1000', '12', 'true', '2024-01-31T09:05:00')
    """
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f") if value.is_finite() else str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 2.0**53 else repr(value)
        case datetime() | date():
            return value.isoformat()
        case bytes() | memoryview():
            return bytes(value).decode("utf-8", "backslashreplace")
        case _:
            return str(value)


def _column_text(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int}:
        with suppress(OverflowError, pa.ArrowInvalid):
            return pa.array(values, pa.int64()).cast(pa.string())
    texts = values if kinds <= {str} else [cell_text(value) for value in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([_sound(text) for text in texts], pa.string())


def _sound(text: str | None) -> str | None:
    """Text that can be written as UTF-8: a lone surrogate becomes a question mark."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def _digest(texts: Sequence[str | None]) -> bytes:
    joined = _SEPARATOR.join(_NOTHING if text is None else text for text in texts)
    return hashlib.blake2b(joined.encode("utf-8"), digest_size=16).digest()


def _digests_of(mark: Mark) -> list[bytes]:
    joined = base64.b64decode(mark["taken"])
    return [joined[place : place + 16] for place in range(0, len(joined), 16)]


def _literal(text: str) -> str:
    """SQL in which a colon is a colon, whatever SQLAlchemy would take for a parameter."""
    return _colon.sub(r"\\:", text)


def _read_url(address: str) -> sa.URL:
    if address.startswith("env:"):
        name = address[4:]
        if not os.environ.get(name):
            raise UsageError(
                f"the variable {name} is not set", where="sql:env:", mend=f"export {name}=postgresql://... first"
            )
        address = os.environ[name]
    mend = "give sql:sqlite:///FILE, sql:postgresql://USER@HOST/DATABASE, or sql:env:NAME"
    try:
        url = sa.make_url(address)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):  # their messages may hold the whole address
        raise UsageError("the address of the database cannot be read", where="sql:", mend=mend) from None
    if backend not in BACKENDS:
        raise UsageError(f"databases of the kind {backend!r} are not read", where="sql:", mend=mend)
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError("a SQLite address names a file", where="sql:", mend=mend)
    return url


def _is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"
