"""The relational database under the records: opened by URL, brought up to date, commits durable, one error tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa

from greywater.errors import (
    ExtraMissingError,
    GreywaterError,
    StoreAccessError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    UsageError,
)
from greywater.stores.ports import Finding

__all__ = ["HEAD", "ExactText", "RecordDatabase", "table"]

#: The newest step in migrations/versions.
HEAD: Final = "0004"
#: How long a writer waits for another before it gives up.
_WAIT_SECONDS: Final = 30
#: First half of the PostgreSQL advisory lock that writers take; the second half is the schema's.
_LOCK: Final = 0x47524557
_MARK: Final = "\x1a"


class ExactText(sa.types.TypeDecorator[str]):
    """Any text, the same in every database.

    PostgreSQL has no U+0000 in its texts: there it is written as U+001A "0" (and U+001A as U+001A "1"), which keeps
    different texts different and is undone when they are read. A lone surrogate is no text anywhere: StoreError.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """As the database holds it."""
        if value is None:
            return None
        try:
            value.encode()
        except UnicodeEncodeError:
            raise StoreError("a record holds half a character (a lone surrogate)", mend="give valid text") from None
        if dialect.name == "postgresql" and ("\0" in value or _MARK in value):
            return value.replace(_MARK, _MARK + "1").replace("\0", _MARK + "0")
        return value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """As it was given."""
        if value is not None and dialect.name == "postgresql" and _MARK in value:
            return value.replace(_MARK + "0", "\0").replace(_MARK + "1", _MARK)
        return value


def table(meta: sa.MetaData, called: str, /, **columns: Any) -> sa.Table:
    """A table as the adapter reads and writes it; the migrations say how it is made.

    Examples
    --------
    >>> [str(column.type) for column in table(sa.MetaData(), "t", a=str, b=int, c=float).columns]
    ['TEXT', 'BIGINT', 'DOUBLE']
    """
    kinds: dict[type, Any] = {str: ExactText(), int: sa.BigInteger(), float: sa.Double()}
    return sa.Table(called, meta, *(sa.Column(column, kinds[kind]) for column, kind in columns.items()))


def _access(text: str, where: str) -> StoreAccessError:
    mend = "see that the folder or the server exists and that you may write there"
    return StoreAccessError(f"the records cannot be opened or written: {text}", where=where, mend=mend)


def _told_by_postgresql(state: str | None, text: str, where: str) -> GreywaterError | None:
    """The error that a PostgreSQL condition is (SQLSTATE, appendix A of its manual)."""
    if state is None:
        return None
    if state in ("55P03", "40001", "40P01"):
        return StoreLockedError("another process is writing the records", where=where, mend="wait, then try again")
    if state == "53100":
        return StoreFullError("the disk has no room for the records", where=where, mend="free some, then try again")
    if state.startswith("XX"):
        return StoreDamagedError(f"the records are damaged: {text}", where=where, mend="restore a backup")
    if state[:2] in ("08", "28", "3D", "3F", "57", "53") or state in ("42501", "25006"):
        return _access(text, where)
    return None


def told(error: sa.exc.StatementError, where: str) -> GreywaterError:
    """The error of the tree that a database error is."""
    if isinstance(error.orig, GreywaterError):
        return error.orig
    text = str(error.orig).partition("\n")[0]
    lower = str(error.orig).lower()
    found = _told_by_postgresql(getattr(error.orig, "sqlstate", None), text, where)
    if found is not None:
        return found
    if "locked" in lower or "busy" in lower:
        return StoreLockedError(
            "another process is writing the records", where=where, mend="wait for it, then try again"
        )
    if "disk is full" in lower or "no space" in lower:
        return StoreFullError(
            "the disk has no room for the records", where=where, mend="free some space, then try again"
        )
    if "unable to open" in lower or "readonly" in lower or "read-only" in lower or "permission" in lower:
        return _access(text, where)
    if "connection" in lower or "could not translate host" in lower or "failed to resolve" in lower:
        return _access(text, where)
    if "not a database" in lower or "malformed" in lower or "disk i/o" in lower:
        return StoreDamagedError(f"the records are damaged: {text}", where=where, mend="restore the file from a backup")
    return StoreError(f"the records cannot be read or written: {text}", where=where, mend="run greywater check")


def _url(url: str | Path) -> sa.URL:
    """Read a URL; a path, or `sqlite:path`, is a SQLite file; PostgreSQL is spoken to through psycopg."""
    if isinstance(url, Path):
        return sa.URL.create("sqlite", database=str(url))
    if url.startswith("sqlite:") and not url.startswith("sqlite://"):
        return sa.URL.create("sqlite", database=url.removeprefix("sqlite:"))
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise UsageError("this is no URL of a records store", mend='give "sqlite:FILE" or a path') from None
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: sa.URL, schema: str) -> sa.Engine:
    where = url.render_as_string(hide_password=True)
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError(
            "no such database can be used", where=where, mend='give "sqlite:FILE" or postgresql://USER@HOST/DATABASE'
        )
    try:
        if url.get_backend_name() == "postgresql":
            engine = sa.create_engine(url, pool_pre_ping=True)
            _prepare_postgresql(engine, schema)
            return engine
        memory = url.database in (None, "", ":memory:")
        engine = sa.create_engine(url, poolclass=sa.pool.StaticPool) if memory else sa.create_engine(url)
    except ImportError as error:
        if url.get_backend_name() == "postgresql":
            raise ExtraMissingError(
                "PostgreSQL needs psycopg", where=where, mend="pip install 'greywater[postgres]'"
            ) from None
        raise UsageError(f"no such database can be used: {error}", where=where, mend='give "sqlite:FILE"') from None
    except sa.exc.ArgumentError as error:
        raise UsageError(f"no such database can be used: {error}", where=where, mend='give "sqlite:FILE"') from None
    _prepare_sqlite(engine)
    return engine


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Every commit is synced, references hold, a writer waits for another, transactions begin where we say."""

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        waiting = f"busy_timeout = {_WAIT_SECONDS * 1000}"
        for pragma in (waiting, "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        mode = "IMMEDIATE" if connection.get_execution_options().get("writes") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {mode}")


def _prepare_postgresql(engine: sa.Engine, schema: str) -> None:
    """The same there: commits wait for the log on disk, one writer a schema at a time, a read sees one moment."""

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        (commits,) = connection.execute("SHOW synchronous_commit").fetchone()
        if commits not in ("on", "remote_apply"):
            connection.execute("SET synchronous_commit = on")
        connection.execute(f"SET lock_timeout = '{_WAIT_SECONDS}s'")
        connection.execute("SET client_min_messages = warning")
        if schema:
            connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", (schema,))
        connection.autocommit = False

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("writes"):
            lock = f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(current_schema()))"
            connection.exec_driver_sql(lock)
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


class RecordDatabase:
    """The database of one project's records.

    Every transaction commits durably or leaves nothing behind; a writer waits for another up to 30 s, so what a
    writing transaction reads is what it changes.

    Examples
    --------
    >>> with RecordDatabase.open("sqlite::memory:") as database, database.transaction() as connection:
    ...     database.kind, connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    ('sqlite', '0004')
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.where = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url: str | Path, *, schema: str = "") -> Self:
        """Open, and bring the schema to the newest step.

        Parameters
        ----------
        url : str or Path
            A path or `sqlite:FILE`; `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` (extra `[postgres]`), where
            `?options=-csearch_path%3DSCHEMA` names a schema other than the user's.
        schema : str
            In PostgreSQL: the schema to use, made where it is missing. A SQLite file has one only.

        Raises
        ------
        UsageError
            This is no URL, or names a kind of database that cannot be used.
        ExtraMissingError
            PostgreSQL is asked for and psycopg is not installed.
        StoreError
            The database cannot be opened, is none, or was written by a newer version.
        """
        database = cls(_engine(_url(url), schema))
        try:
            if schema and database.kind == "postgresql":
                database._make_schema(schema)
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[sa.Connection]:
        """One transaction: committed at the end of the block, undone where it raises.

        Raises
        ------
        StoreError
            Whatever the database says, in the terms of the error tree.
        """
        try:
            with self.engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except sa.exc.StatementError as error:
            raise told(error, self.where) from error

    def insert_new(self, into: sa.Table, rows: list[dict[str, Any]], connection: sa.Connection) -> int:
        """Insert the rows whose keys are not there yet; returns how many were."""
        if not rows:
            return 0
        from sqlalchemy.dialects import postgresql, sqlite

        insert = postgresql.insert if self.kind == "postgresql" else sqlite.insert
        added = insert(into).on_conflict_do_nothing().returning(into.c[0])
        return len(connection.execute(added, rows).all())

    def check(self) -> list[Finding]:
        """Ask the database whether it is sound and keeps what it acknowledges."""
        findings = []
        with self.transaction() as connection:
            if self.kind == "postgresql":
                for setting in ("fsync", "full_page_writes"):
                    if connection.exec_driver_sql(f"SHOW {setting}").scalar() != "on":
                        mend = f"set {setting} = on in postgresql.conf"
                        findings.append(Finding(self.where, f"the server runs with {setting} off", mend))
                return findings
            said = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if said != ["ok"]:
            findings.append(Finding(self.where, f"the database is damaged: {said[0]}", "restore a backup"))
        if broken:
            mend = "restore records.sqlite from a backup"
            findings.append(Finding(self.where, f"{len(broken)} rows refer to nothing", mend))
        return findings

    def _make_schema(self, schema: str) -> None:
        name = self.engine.dialect.identifier_preparer.quote_identifier(schema)
        known = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
        with self.transaction() as connection:
            if connection.execute(known, {"name": schema}).first() is not None:
                return
        with self.transaction(writes=True) as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK}, 0)")
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name}")

    def _migrate(self) -> None:
        with self.transaction() as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            step = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if known else None
        if step == HEAD:
            return
        import logging

        from alembic import command
        from alembic.config import Config
        from alembic.util.exc import CommandError

        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        try:
            with self.transaction(writes=True) as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            found = f"the records were written by another version of Greywater: {error}"
            raise StoreError(found, where=self.where, mend="use the newest version of Greywater") from None
        self._sync_folder()

    def _sync_folder(self) -> None:
        database = self.engine.url.database
        if self.kind == "sqlite" and database and Path(database).exists():
            folder = os.open(Path(database).resolve().parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
