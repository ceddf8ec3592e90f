"""Search: words, beginnings, misspellings, ranking and snippets, the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.registry import Registry
from greywater.featurestore.search import SNIPPET, _distance, search, words_of
from greywater.stores.feature_records import FeatureRecords
from greywater.vocab import Actor

ANN = Actor()
LONG = "Nothing of note at first. " * 20 + "Then the creditworthiness as a bureau sees it. " + "And no more. " * 20

GROUPS = (
    FeatureGroup(
        "credit", 1, ("customer",), ("string",),
        (
            FeatureField("score", "float64", "points", "Creditworthiness from the bureau", ("risk",)),
            FeatureField("KycRisk", "int32", description="What know-your-customer checks found"),
            FeatureField("late", "int64", unit="days", description=LONG),
        ),
        description="From the credit bureau", owner="Ann", team="underwriting", tags=("external",),
    ),
    FeatureGroup(
        "sums", 1, ("account",), ("string",),
        (
            FeatureField("sender.out.sum.7d", "float64", unit="EUR", description="Paid in seven days"),
            FeatureField("sender.out.sum.30d", "float64", unit="EUR", description="Paid in thirty days"),
        ),
        description="Überweisungen je Konto", owner="Zoë", team="monitoring",
    ),
)  # fmt: skip
VIEW = FeatureView("bureau_view", 1, (ViewFeature("credit", 1, "score"),), description="what the model reads")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest) -> Iterator[FeatureRecords]:
    if request.param == "sqlite":
        url = "sqlite::memory:"
    else:
        url = request.getfixturevalue("postgres_server").schema("searched")
    with FeatureRecords.open(url) as opened:
        registry = Registry(opened)
        for group in GROUPS:
            registry.register_group(group, ANN)
        registry.register_view(VIEW, ANN)
        yield opened


def found(records: FeatureRecords, query: str, **more: object) -> list[str]:
    return [hit.feature or hit.name for hit in search(records, query, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("score", ["score"]),
        ("SCORE!", ["score"]),
        ("sender.out.sum.7d", ["sender.out.sum.7d"]),
        ("sum 7d", ["sender.out.sum.7d"]),
        ("sum", ["sender.out.sum.30d", "sender.out.sum.7d", "sums"]),
        ("kyc_risk", ["KycRisk"]),
        ("KycRisk", ["KycRisk"]),
        ("kyc", ["KycRisk"]),
        ("points", ["score"]),
        ("zoe", ["sums", "sender.out.sum.30d", "sender.out.sum.7d"]),
        ("uberweisung", ["sums"]),
        ("bureau", ["bureau_view", "score", "late", "credit"]),
        ("underwriting days", ["late"]),
        ("seven days", ["sender.out.sum.7d"]),
        ("risk", ["KycRisk", "score"]),
    ],
)
def test_what_is_meant_comes_first(records: FeatureRecords, query: str, first: list[str]) -> None:
    hits = found(records, query)
    if query == "bureau":
        assert hits[0] == "bureau_view"
        assert set(hits) == set(first)
    else:
        assert hits[: len(first)] == first


def test_the_name_itself_comes_first(records: FeatureRecords) -> None:
    assert found(records, "credit")[0] == "credit"
    assert set(found(records, "credit")) >= {"credit", "score", "late", "KycRisk"}


@pytest.mark.parametrize(
    ("query", "meant"),
    [("buraeu", "bureau_view"), ("scoer", "score"), ("creditworthyness", "score"), ("overweisungen", "sums")],
)
def test_misspelled_words_are_understood(records: FeatureRecords, query: str, meant: str) -> None:
    assert meant in found(records, query)


def test_words_nobody_knows_find_nothing(records: FeatureRecords) -> None:
    assert found(records, "zzzz") == []
    assert found(records, "xyz") == []
    assert found(records, "漢字") == []


def test_all_words_before_any(records: FeatureRecords) -> None:
    assert found(records, "paid thirty") == ["sender.out.sum.30d"]
    assert set(found(records, "points zzzzzz")) == {"score"}


@pytest.mark.parametrize("query", ["", " ", "!?", "-- ;", '"*'])
def test_no_word_is_a_usage_error(records: FeatureRecords, query: str) -> None:
    with pytest.raises(UsageError, match="no word"):
        search(records, query)
    with pytest.raises(UsageError, match="asked for"):
        search(records, "score", most=0)


@pytest.mark.parametrize(
    "query", ['score" OR names:x', "score'; DROP TABLE audit; --", "NEAR(score)", "score:*&!|", "a" * 9_999]
)
def test_a_query_is_never_a_command(records: FeatureRecords, query: str) -> None:
    search(records, query)
    assert found(records, "score")[0] == "score"


def test_snippets_show_where(records: FeatureRecords) -> None:
    for hit in search(records, "creditworthiness"):
        assert len(hit.snippet) <= SNIPPET + 6
        assert hit.field == "description"
        assert [hit.snippet[slice(*mark)].casefold() for mark in hit.marks] == ["creditworthiness"]
    late = next(hit for hit in search(records, "creditworthiness") if hit.feature == "late")
    assert late.snippet.startswith("...")
    assert late.snippet.endswith("...")


def test_kinds_and_number_can_be_limited(records: FeatureRecords) -> None:
    assert found(records, "bureau", kinds=["view"]) == ["bureau_view"]
    assert found(records, "bureau", most=1) == ["bureau_view"]
    assert search(records, "bureau")[0].to_dict()["kind"] == "view"


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, new_postgres: Callable[[], str]) -> Iterator[FeatureRecords]:
    with FeatureRecords.open("sqlite::memory:" if request.param == "sqlite" else new_postgres()) as opened:
        yield opened


def test_the_index_follows_what_is_said_later(fresh: FeatureRecords) -> None:
    registry = Registry(fresh)
    registry.register_group(GROUPS[0], ANN)
    registry.describe("group", "credit", 1, ANN, description="nothing special", owner="bob")
    registry.describe("group", "credit", 1, ANN, feature="score", description="other", tags=["gold"])
    assert found(fresh, "gold") == ["score"]
    assert "credit" in found(fresh, "special")
    assert "score" not in found(fresh, "creditworthiness")
    assert set(found(fresh, "bob")) == {"credit", "score", "KycRisk", "late"}
    registry.set_state("group", "credit", 1, "deprecated", ANN, feature="score")
    assert [hit.state for hit in search(fresh, "gold")] == ["deprecated"]


def test_the_newest_version_stands_for_all(fresh: FeatureRecords) -> None:
    registry = Registry(fresh)
    for version in (1, 2, 10):
        registry.register_group(replace(GROUPS[0], version=version), ANN)
    assert [hit.version for hit in search(fresh, "points")] == [10]
    assert [hit.version for hit in search(fresh, "points", all_versions=True)] == [10, 2, 1]


def test_states_weigh(fresh: FeatureRecords) -> None:
    registry = Registry(fresh)
    for name, state in (("aa", "retired"), ("bb", "deprecated"), ("cc", "draft"), ("dd", "active")):
        registry.register_group(replace(GROUPS[1], name=name), ANN, state=state)  # type: ignore[arg-type]
    assert [hit.name for hit in search(fresh, "uberweisungen")] == ["dd", "cc", "bb", "aa"]


def slow_distance(first: str, second: str) -> int:
    """Optimal string alignment by its definition."""
    if not first or not second:
        return len(first) + len(second)
    costs = [
        slow_distance(first[:-1], second) + 1,
        slow_distance(first, second[:-1]) + 1,
        slow_distance(first[:-1], second[:-1]) + (first[-1] != second[-1]),
    ]
    if len(first) > 1 and len(second) > 1 and first[-1] == second[-2] and first[-2] == second[-1]:
        costs.append(slow_distance(first[:-2], second[:-2]) + 1)
    return min(costs)


@given(first=st.text("abc", min_size=1, max_size=5), second=st.text("abc", min_size=1, max_size=5))
def test_the_distance_of_two_words_is_that_of_its_definition(first: str, second: str) -> None:
    whole = slow_distance(first, second)
    assert _distance(first, second, 9) == whole
    for most in (1, 2):
        assert (_distance(first, second, most) <= most) is (whole <= most)


@given(text=st.text(max_size=60))
def test_words_are_letters_and_digits_of_any_text(text: str) -> None:
    assert all(word.isalnum() and word == word.casefold() and len(word) <= 64 for word in words_of(text))
