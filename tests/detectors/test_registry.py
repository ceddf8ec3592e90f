"""The registry's rules: which steps are legal, what each asks for, and whom a restoration puts back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.registry import STATES, TRANSITIONS, Kept, Roster
from greywater.errors import DetectorError, StoreError
from greywater.stores.model_records import ModelRecords
from greywater.stores.model_rows import NewProposal, NewStep, StepRecord
from greywater.vocab import Actor

NAMES = ("a", "b", "c")


@pytest.fixture
def records() -> Iterator[ModelRecords]:
    with ModelRecords.open("sqlite::memory:") as opened:
        yield opened


def roster(records: ModelRecords) -> Roster:
    return Roster(records.models(), records.steps(), records.proposals())


def take(records: ModelRecords, verb: str, *given: object) -> list[StepRecord]:
    return records.take(Actor(), lambda *now: getattr(Roster(*now), verb)(*given))


def register(records: ModelRecords, *names: str) -> None:
    for name in names:
        take(records, "register", Kept(name, "boosted", name * 4, {"measures": None}))


def states(records: ModelRecords) -> dict[str, str]:
    return {one.name: one.state for one in records.models()}


def test_every_transition_is_between_states_that_there_are() -> None:
    for rule in TRANSITIONS.values():
        assert {*rule.before, rule.after} <= set(STATES)
        assert rule.about


def test_a_model_goes_all_the_way(records: ModelRecords) -> None:
    register(records, "a", "b")
    take(records, "promote", "a", "the first")
    take(records, "shadow", "b")
    assert states(records) == {"a": "champion", "b": "shadow"}
    steps = take(records, "promote", "b", "better")
    assert [(step.model, step.before, step.after, step.against) for step in steps] == [
        ("a", "champion", "retired", "b"),
        ("b", "shadow", "champion", "a"),
    ]
    assert steps[1].why == "better"
    assert roster(records).previous == "a"
    assert [step.model for step in take(records, "restore")] == ["b", "a"]
    assert states(records) == {"a": "champion", "b": "retired"}


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        ("shadow", "shadow"),
        ("champion", "shadow"),
        ("retired", "shadow"),
        ("champion", "promote"),
        ("retired", "promote"),
        ("retired", "retire"),
        ("candidate", "restore"),
        ("shadow", "restore"),
        ("champion", "restore"),
    ],
)
def test_other_steps_are_refused_and_change_nothing(records: ModelRecords, state: str, verb: str) -> None:
    register(records, "a")
    path = {"candidate": (), "shadow": ("shadow",), "champion": ("promote",), "retired": ("retire",)}[state]
    for step in path:
        take(records, step, "a", "so")
    before = records.steps()
    with pytest.raises(DetectorError, match="cannot become") as raised:
        take(records, verb, "a", "so")
    assert raised.value.mend
    assert records.steps() == before
    assert states(records) == {"a": state}


def test_a_candidate_needs_a_shadow_or_a_proposal_where_there_is_a_champion(records: ModelRecords) -> None:
    register(records, "a", "b")
    take(records, "promote", "a", "the first")
    with pytest.raises(DetectorError, match="neither stood beside champion a"):
        take(records, "promote", "b", "I like it")
    proposal = records.propose(Actor(), NewProposal("b", "a", True, "gains 0.1", {"gain": 0.1}))
    step = take(records, "promote", "b")[-1]
    assert (step.proposal, step.evidence["gain"], step.why) == (proposal.id, 0.1, "proposal 1: gains 0.1")
    decision = records.proposals()[0].decision
    assert decision is not None
    assert decision.outcome == "accepted"
    with pytest.raises(StoreError, match="accepted already"):
        records.decline(Actor(), proposal.id, "too late")


def test_a_proposal_against_another_champion_carries_nothing(records: ModelRecords) -> None:
    register(records, "a", "b", "c")
    take(records, "promote", "a", "the first")
    number = records.propose(Actor(), NewProposal("b", "a", True, "gains", {})).id
    take(records, "shadow", "c")
    take(records, "promote", "c", "better")
    with pytest.raises(DetectorError, match="measured against a, and the champion is c"):
        take(records, "promote", "b", "now", None, number)
    with pytest.raises(DetectorError, match="neither stood"):
        take(records, "promote", "b", "now")
    with pytest.raises(DetectorError, match="no open proposal 7"):
        take(records, "promote", "b", "now", None, 7)
    declined = records.decline(Actor(), number, "overtaken")
    assert declined.decision is not None
    assert declined.decision.why == "overtaken"
    assert roster(records).open_proposal("b") is None
    with pytest.raises(StoreError, match="no proposal '9'"):
        records.decline(Actor(), 9, "x")


@pytest.mark.parametrize("verb", ["promote", "retire"])
def test_somebody_must_say_why(records: ModelRecords, verb: str) -> None:
    register(records, "a")
    with pytest.raises(DetectorError, match="nobody said why"):
        take(records, verb, "a", " ")


def test_names_that_mean_nothing_are_refused(records: ModelRecords) -> None:
    for verb in ("shadow", "promote", "restore"):
        with pytest.raises(DetectorError, match="no model is registered as 'x'"):
            take(records, verb, "x", "so")
    register(records, "a")
    assert take(records, "register", Kept("a", "boosted", "aaaa", {})) == []
    with pytest.raises(DetectorError, match="another model is registered"):
        take(records, "register", Kept("a", "boosted", "other", {}))
    take(records, "retire", "a", "dull")
    with pytest.raises(DetectorError, match="never was champion"):
        take(records, "restore", "a")


def test_two_restorations_go_two_champions_back(records: ModelRecords) -> None:
    register(records, *NAMES)
    take(records, "promote", "a", "first")
    for name in ("b", "c"):
        take(records, "shadow", name)
        take(records, "promote", name, "better")
    take(records, "restore")
    assert roster(records).champion == "b"
    take(records, "restore")
    assert (roster(records).champion, roster(records).previous) == ("a", None)
    with pytest.raises(DetectorError, match="no model was champion before"):
        take(records, "restore")
    take(records, "restore", "c")
    assert (roster(records).champion, roster(records).previous) == ("c", "a")


def test_a_champion_that_was_retired_by_hand_comes_back_first(records: ModelRecords) -> None:
    register(records, "a", "b")
    take(records, "promote", "a", "first")
    take(records, "shadow", "b")
    take(records, "promote", "b", "better")
    take(records, "retire", "b", "withdrawn")
    assert (roster(records).champion, roster(records).previous) == (None, "b")
    assert take(records, "restore")[-1].against == ""


def test_the_database_itself_refuses_a_second_champion(records: ModelRecords) -> None:
    register(records, "a", "b")
    take(records, "promote", "a", "first")
    before = records.steps()
    with pytest.raises(StoreError):
        records.take(Actor(), lambda *now: [NewStep("b", "shadow", "shadow"), NewStep("b", "promote", "champion")])
    assert (states(records), records.steps()) == ({"a": "champion", "b": "candidate"}, before)


@given(
    st.lists(
        st.tuples(st.sampled_from(("shadow", "promote", "retire", "restore", "back")), st.sampled_from(NAMES)),
        max_size=25,
    )
)
def test_whatever_is_asked_there_is_one_champion_at_most(asked: list[tuple[str, str]]) -> None:
    with ModelRecords.open("sqlite::memory:") as records:
        register(records, *NAMES)
        for verb, name in asked:
            try:
                if verb == "back":
                    expected = roster(records).previous
                    assert take(records, "restore")[-1].model == expected
                else:
                    take(records, verb, name, "so")
            except DetectorError:
                continue
        standing = list(states(records).values())
        assert standing.count("champion") <= 1
        last = {step.model: step.after for step in records.steps()}
        assert last == states(records)  # the log says where each stands
        assert roster(records).previous != roster(records).champion or roster(records).champion is None
