"""Full text over groups, views and features: their names, tags, units, owners and descriptions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from greywater.errors import UsageError
from greywater.featurestore.definitions import FeatureGroup, FeatureView

if TYPE_CHECKING:
    from greywater.stores.feature_record_rows import SearchDocument
    from greywater.stores.feature_records import FeatureRecords

__all__ = ["Hit", "documents_of_group", "documents_of_view", "search", "words_of"]

#: What a match weighs by the field it is in.
WEIGHTS: Final[Mapping[str, float]] = {"names": 10.0, "tags": 6.0, "unit": 3.0, "owner": 3.0, "description": 1.0}
#: What a match weighs by how it matches; a longer beginning of a word comes closer to the whole word.
WHOLE, BEGINNING, MISSPELLED = 1.0, 0.6, 0.4
#: Added where the query is the whole name.
WHOLE_NAME: Final = 20.0
#: What is found weighs by its state.
STATE_WEIGHTS: Final[Mapping[str, float]] = {"active": 1.0, "draft": 0.8, "deprecated": 0.5, "retired": 0.25}
#: Most words of a query that are looked at, characters of a word, and characters of a snippet.
MOST_WORDS, LONGEST_WORD, SNIPPET = 16, 64, 120

#: What is found, in the order in which equally good ones stand.
KINDS: Final = ("group", "view", "feature")

_WORD: Final = re.compile(r"[^\W_]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Hit:
    """Something found.

    Parameters
    ----------
    kind : {"group", "view", "feature"}
    name, version : str, int
        Of the group or the view.
    feature : str
        Empty for a group and a view.
    state : str
    score : float
        The greater the better; comparable within one search only.
    field : str
        Where the best match is: names, tags, unit, owner or description.
    snippet : str
        A piece of that text, at most about 120 characters, "..." where something is left out.
    marks : tuple of (int, int)
        Where in the snippet the words are that were looked for.
    """

    kind: str
    name: str
    version: int
    feature: str
    state: str
    score: float
    field: str
    snippet: str
    marks: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "kind": self.kind, "name": self.name, "version": self.version, "feature": self.feature,
            "state": self.state, "score": round(self.score, 6), "field": self.field, "snippet": self.snippet,
            "marks": [list(mark) for mark in self.marks],
        }  # fmt: skip


def search(
    records: FeatureRecords,
    query: str,
    *,
    most: int = 20,
    kinds: Collection[str] = (),
    all_versions: bool = False,
) -> list[Hit]:
    """Find groups, views and features by words.

    Parameters
    ----------
    records : FeatureRecords
        SQLite (FTS5) or PostgreSQL (tsvector): both give the same answer in the same order.
    query : str
        Words; anything but letters and digits separates them. At most 16 are looked at.
    most : int
        How many to return.
    kinds : collection of {"group", "view", "feature"}
        Only these; empty = all.
    all_versions : bool
        Also older versions of what is found; else the newest version that matches.

    Returns
    -------
    list of Hit
        Best first; equal ones by kind (groups, views, features), name and version.

    Notes
    -----
    - Upper and lower case and accents make no difference; `KycRisk`, `kyc_risk` and `kyc.risk` are the words kyc, risk.
    - Every word of the query also finds words that begin with it (`cred` finds `credit`).
    - A word that begins no word of the store is taken for a misspelling: words within one insertion, deletion,
      replacement or swap of neighbours (two from 8 letters on; none below 4) are looked for instead.
    - What holds all words is found; where nothing does, what holds any.
    - Score: for each word the best of weight of the field (name 10, tag 6, unit and owner 3, description 1) times
      how it matches (whole 1, beginning 0.6 to 1 by its share of the word, misspelled 0.4); the sum, 20 more where the
      query is the name, times the weight of the state (active 1, draft 0.8, deprecated 0.5, retired 0.25).

    Raises
    ------
    UsageError
        The query has no word, or `most` is not positive.

    Examples
    --------
    >>> from greywater.stores.feature_records import FeatureRecords
    >>> from greywater.featurestore.registry import Registry
    >>> from greywater.featurestore.definitions import FeatureField
    >>> from greywater.vocab import Actor
    >>> score = FeatureField("score", "float64", unit="points", description="Creditworthiness, bureau A")
    >>> with FeatureRecords.open("sqlite::memory:") as records:
    ...     credit = FeatureGroup("credit", 1, ("customer",), ("string",), (score,), tags=("risk",))
    ...     _ = Registry(records).register_group(credit, Actor())
    ...     hit = search(records, "buraeu")[0]
    >>> hit.feature, hit.field, [hit.snippet[slice(*mark)] for mark in hit.marks]
    ('score', 'description', ['bureau'])
    """
    words = list(dict.fromkeys(_asked(query)))[:MOST_WORDS]
    if not words or most < 1:
        raise UsageError(
            "there is no word to look for" if most >= 1 else f"{most} results were asked for",
            where="search",
            mend="give letters or digits, and a positive number of results",
        )
    spellings = [_spellings(records, word) for word in words]
    terms = [[(one, one == word) for one in each] for word, each in zip(words, spellings, strict=True)]
    found = records.documents.find(terms) or records.documents.find(terms, every=False)
    hits = [_hit(one, query, words, spellings) for one in found if not kinds or one.kind in kinds]
    if not all_versions:
        newest: dict[tuple[str, str, str], Hit] = {}
        for hit in hits:
            key = (hit.kind, hit.name, hit.feature)
            if key not in newest or hit.version > newest[key].version:
                newest[key] = hit
        hits = list(newest.values())
    hits.sort(key=lambda hit: (-round(hit.score, 9), KINDS.index(hit.kind), hit.name, hit.feature, -hit.version))
    return hits[:most]


def words_of(text: str) -> list[str]:
    """The words of a text as they are looked for: letters and digits, no case, no accents.

    Examples
    --------
    >>> words_of("sender.out.sum.7d of Crédit_KycRisk")
    ['sender', 'out', 'sum', '7d', 'of', 'credit', 'kycrisk', 'kyc', 'risk']
    """
    return [word for _, _, words in _places(unicodedata.normalize("NFC", text)) for word in words]


def _asked(query: str) -> list[str]:
    """The words of a query: of one with humps its humps, so that KycRisk finds kyc_risk."""
    places = _places(unicodedata.normalize("NFC", query))
    return [word for _, _, words in places for word in (words[1:] or words)]


def _places(text: str) -> list[tuple[int, int, list[str]]]:
    """Where each word of a text is, and how it is looked for: whole, and by its humps where it has some."""
    places = []
    for match in _WORD.finditer(text):
        whole = match.group()
        humps = _HUMP.split(whole)
        words = [_plain(one) for one in ([whole, *humps] if len(humps) > 1 else [whole])]
        places.append((match.start(), match.end(), [word for word in words if word]))
    return places


def _plain(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold()).casefold()
    return "".join(letter for letter in plain if letter.isalnum())[:LONGEST_WORD]


def _spellings(records: FeatureRecords, word: str) -> list[str]:
    """The word itself where the store knows one that begins like it, else words one could have meant."""
    if records.documents.known(word):
        return [word]
    allowed = 0 if len(word) < 4 else 1 if len(word) < 8 else 2
    near = [] if not allowed else records.documents.terms(len(word) - allowed, len(word) + allowed)
    return [term for term in near if _distance(word, term, allowed) <= allowed][:20] or [word]


def _distance(first: str, second: str, most: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).

    Examples
    --------
    >>> _distance("bureau", "buraeu", 2), _distance("credit", "debit", 1)
    (1, 2)
    """
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(before) > most:
            return most + 1
    return row[-1]


def _match(spellings: Sequence[str], asked: str, word: str) -> float:
    """How well a word of a text answers a word of the query, 0 to 1."""
    if word == asked:
        return WHOLE
    if asked in spellings and word.startswith(asked):
        return BEGINNING + (WHOLE - BEGINNING) * len(asked) / len(word)
    return MISSPELLED if asked not in spellings and word in spellings else 0.0


def _hit(document: SearchDocument, query: str, words: Sequence[str], spellings: Sequence[Sequence[str]]) -> Hit:
    places = {field: _places(document.texts.get(field, "")) for field in WEIGHTS}
    total, best, best_field = 0.0, 0.0, "names"
    for asked, spelled in zip(words, spellings, strict=True):
        scores = {
            field: WEIGHTS[field] * max((_match(spelled, asked, w) for _, _, each in held for w in each), default=0.0)
            for field, held in places.items()
        }
        field = max(scores, key=lambda name: scores[name])
        total += scores[field]
        if scores[field] > best:
            best, best_field = scores[field], field
    name = document.feature or document.name
    if words_of(query) == words_of(name):
        total += WHOLE_NAME
    state = document.texts.get("state", "active")
    held = [
        (start, stop)
        for start, stop, each in places[best_field]
        if any(_match(s, a, w) for a, s in zip(words, spellings, strict=True) for w in each)
    ]
    snippet, marks = _snippet(document.texts.get(best_field, ""), held)
    return Hit(
        document.kind, document.name, document.version, document.feature, state,
        total * STATE_WEIGHTS.get(state, 1.0), best_field, snippet, marks,
    )  # fmt: skip


def _snippet(text: str, marks: Sequence[tuple[int, int]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A piece of a text around its first mark, cut between words where it can be."""
    if len(text) <= SNIPPET:
        return text, tuple(marks)
    start = max(0, (marks[0][0] if marks else 0) - SNIPPET // 3)
    if start:
        space = text.find(" ", start, start + 20)
        start = space + 1 if 0 <= space < (marks[0][0] if marks else len(text)) else start
    stop = min(len(text), start + SNIPPET)
    space = text.rfind(" ", max(start + SNIPPET // 2, stop - 20), stop)
    stop = space if stop < len(text) and space > 0 else stop
    before, after = "..." if start else "", "..." if stop < len(text) else ""
    shift = len(before) - start
    kept = tuple((left + shift, right + shift) for left, right in marks if left >= start and right <= stop)
    return before + text[start:stop] + after, kept


def _document(
    kind: str, name: str, version: int, feature: str, texts: Mapping[str, str], more: Mapping[str, str]
) -> SearchDocument:  # fmt: skip
    from greywater.stores.feature_record_rows import SearchDocument

    shown = {field: unicodedata.normalize("NFC", text) for field, text in texts.items()}
    return SearchDocument(
        kind, name, version, feature, {**shown, **more},
        {field: tuple(dict.fromkeys(words_of(text))) for field, text in shown.items()},
    )  # fmt: skip


def documents_of_group(group: FeatureGroup, state: str) -> list[SearchDocument]:
    """What search finds of a group: itself, and each of its features (which its tags and owner tell of too)."""
    owner = " ".join(one for one in (group.owner, group.team) if one)
    texts = {
        "names": group.name, "tags": " ".join(group.tags), "unit": "", "owner": owner,
        "description": group.description,
    }  # fmt: skip
    documents = [_document("group", group.name, group.version, "", texts, {"state": state})]
    for feature in group.features:
        texts = {
            "names": feature.name, "tags": " ".join(dict.fromkeys((*feature.tags, *group.tags, group.name))),
            "unit": feature.unit, "owner": owner, "description": feature.description,
        }  # fmt: skip
        held = feature.state if state == "active" else state
        documents.append(_document("feature", group.name, group.version, feature.name, texts, {"state": held}))
    return documents


def documents_of_view(view: FeatureView) -> list[SearchDocument]:
    """What search finds of a view."""
    owner = " ".join(one for one in (view.owner, view.team) if one)
    texts = {
        "names": view.name, "tags": " ".join(view.tags), "unit": "", "owner": owner, "description": view.description,
    }  # fmt: skip
    return [_document("view", view.name, view.version, "", texts, {"state": view.state})]
