"""The index of groups, views and features by their words: FTS5 in SQLite, tsvector in PostgreSQL, one answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from greywater.errors import UsageError
from greywater.stores.feature_record_rows import DOCUMENT_FIELDS, DOCUMENTS, TERMS, SearchDocument
from greywater.stores.record_database import RecordDatabase
from greywater.stores.record_rows import canonical_json

__all__ = ["LONGEST_WORD", "FeatureDocuments", "Term"]

#: A word to look for, and whether it may go on.
Term = tuple[str, bool]

#: Characters of the longest word that is looked for.
LONGEST_WORD: Final = 64
#: What a word weighs by its field when the database cuts a long list (bm25; PostgreSQL's labels A to D).
_WEIGHTS: Final = "10.0, 6.0, 3.0, 3.0, 1.0"
_LABELS: Final = {"names": "A", "tags": "B", "unit": "C", "owner": "C", "description": "D"}
_MOST_WORDS: Final = 8_000


class FeatureDocuments:
    """What search looks through.

    Examples
    --------
    >>> with RecordDatabase.open("sqlite::memory:") as database:
    ...     documents = FeatureDocuments(database)
    ...     with database.transaction(writes=True) as connection:
    ...         sums = SearchDocument("group", "sums", 1, "", {"names": "sums"}, {"names": ("sums",)})
    ...         documents.put(connection, [sums])
    ...     [one.name for one in documents.find([[("su", True)]])], documents.terms(3, 5)
    (['sums'], ['sums'])
    """

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database

    def put(self, connection: sa.Connection, documents: Sequence[SearchDocument]) -> None:
        """Write documents, or write them anew, in the transaction that changes what they tell of."""
        for document in documents:
            key = {
                "kind": document.kind, "name": document.name, "version": document.version, "feature": document.feature,
            }  # fmt: skip
            same = sa.and_(*(DOCUMENTS.c[column] == value for column, value in key.items()))
            texts = canonical_json(dict(document.texts))
            number = connection.execute(sa.select(DOCUMENTS.c.id).where(same)).scalar()
            if number is None:
                added = DOCUMENTS.insert().values(texts=texts, **key).returning(DOCUMENTS.c.id)
                number = connection.execute(added).scalar_one()
            else:
                connection.execute(DOCUMENTS.update().where(same).values(texts=texts))
            self._index(connection, int(number), document)
            terms = {word for words in document.words.values() for word in words}
            self._database.insert_new(TERMS, [{"term": term} for term in sorted(terms)], connection)

    def _index(self, connection: sa.Connection, number: int, document: SearchDocument) -> None:
        words = {
            name: [_proper(word) for word in document.words.get(name, ())[:_MOST_WORDS]] for name in DOCUMENT_FIELDS
        }
        if self._database.kind == "postgresql":
            vector = [
                f"'{word}':{place}{_LABELS[name]}"
                for name in DOCUMENT_FIELDS
                for place, word in enumerate(words[name], 1)
            ]
            update = sa.text("UPDATE feature_documents SET words = CAST(:words AS tsvector) WHERE id = :id")
            connection.execute(update, {"words": " ".join(vector), "id": number})
            return
        connection.execute(sa.text("DELETE FROM feature_search WHERE rowid = :id"), {"id": number})
        columns = ", ".join(DOCUMENT_FIELDS)
        values = ", ".join(f":{name}" for name in DOCUMENT_FIELDS)
        insert = sa.text(f"INSERT INTO feature_search (rowid, {columns}) VALUES (:id, {values})")
        connection.execute(insert, {"id": number, **{name: " ".join(each) for name, each in words.items()}})

    def terms(self, shortest: int, longest: int) -> list[str]:
        """All words of the index with so many characters, sorted."""
        size = sa.func.length(TERMS.c.term)
        chosen = sa.select(TERMS.c.term).where(size >= shortest, size <= longest)
        with self._database.transaction() as connection:
            return sorted(connection.execute(chosen).scalars())

    def known(self, word: str) -> bool:
        """Whether a word of the index begins like this."""
        after = word + "\U0010ffff"
        chosen = sa.select(TERMS.c.term).where(TERMS.c.term >= word, TERMS.c.term < after).limit(1)
        if self._database.kind == "postgresql":
            chosen = sa.select(TERMS.c.term).where(sa.func.starts_with(TERMS.c.term, word)).limit(1)
        with self._database.transaction() as connection:
            return connection.execute(chosen).first() is not None

    def find(
        self, words: Sequence[Sequence[Term]], *, every: bool = True, most: int = 1_000
    ) -> list[SearchDocument]:  # fmt: skip
        """Documents that hold one spelling of every word (or, with `every` False, of any).

        Parameters
        ----------
        words : sequence of sequence of (str, bool)
            For each word its spellings: letters and digits, and whether the word may go on behind them.
        most : int
            Beyond so many the database's own ranking cuts.
        """
        if not words:
            return []
        postgresql = self._database.kind == "postgresql"
        spelled = [" | ".join(_spelling(term, postgresql) for term in spellings) for spellings in words]
        if postgresql:
            query = (" & " if every else " | ").join(f"( {one} )" for one in spelled)
            text = (
                "SELECT id, kind, name, version, feature, texts FROM feature_documents, "
                "CAST(:query AS tsquery) AS asked WHERE words @@ asked "
                "ORDER BY ts_rank(words, asked) DESC, id LIMIT :most"
            )
        else:
            query = (" AND " if every else " OR ").join(f"({one.replace(' | ', ' OR ')})" for one in spelled)
            text = (
                "SELECT id, kind, name, version, feature, texts FROM feature_search "
                "JOIN feature_documents ON id = feature_search.rowid WHERE feature_search MATCH :query "
                f"ORDER BY bm25(feature_search, {_WEIGHTS}), id LIMIT :most"
            )
        with self._database.transaction() as connection:
            asked = sa.text(text).columns(*DOCUMENTS.columns)
            rows = connection.execute(asked, {"query": query, "most": most}).mappings().all()
        return [
            SearchDocument(row["kind"], row["name"], row["version"], row["feature"], json.loads(row["texts"]))
            for row in rows
        ]


def _proper(word: str) -> str:
    """The word, which must be nothing but letters and digits to stand in a query."""
    if not word.isalnum() or len(word) > LONGEST_WORD:
        raise UsageError(f"{word[:80]!r} is no word to look for", mend=f"give up to {LONGEST_WORD} letters and digits")
    return word


def _spelling(term: Term, postgresql: bool) -> str:
    word, goes_on = _proper(term[0]), term[1]
    if postgresql:
        return f"'{word}'" + (":*" if goes_on else "")
    return f'"{word}"' + ("*" if goes_on else "")
