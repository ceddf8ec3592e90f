"""The laws of the model records: in SQLite and in PostgreSQL, the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from greywater.detectors.registry import Kept, Roster
from greywater.errors import DetectorError, GreywaterError, StoreError
from greywater.stores.model_records import ModelRecords
from greywater.stores.model_rows import NewProposal, NewStep
from greywater.vocab import Actor

ANN = Actor("ANN", "north", "data_owner", "key-1")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, new_postgres: Callable[[], str]) -> str | Path:
    return tmp_path / "records.sqlite" if request.param == "sqlite" else new_postgres()


@pytest.fixture
def records(place: str | Path) -> Iterator[ModelRecords]:
    with ModelRecords.open(place) as opened:
        for name in ("a", "b", "c"):
            opened.take(ANN, lambda *now, name=name: Roster(*now).register(Kept(name, "boosted", name, {"x": [1.5]})))
        yield opened


def test_what_is_written_is_read_back(records: ModelRecords) -> None:
    step = records.take(ANN, lambda *now: Roster(*now).promote("a", "fırst \0 one", {"gain": 0.25}))[0]
    assert records.steps("a")[-1] == step
    assert (step.principal, step.why, step.evidence, step.before) == (
        "NORTH__ANN", "fırst \0 one", {"gain": 0.25}, "candidate",
    )  # fmt: skip
    assert [one.state for one in records.models()] == ["champion", "candidate", "candidate"]
    written = records.propose(ANN, NewProposal("b", "a", False, "loses", {"gain": -0.1}))
    assert records.proposals() == [written]
    declined = records.decline(ANN, written.id, "loses")
    assert records.proposals() == [declined]


def test_steps_are_taken_all_or_none(records: ModelRecords) -> None:
    def half(*now: object) -> Sequence[NewStep]:
        return [NewStep("a", "shadow", "shadow"), NewStep("b", "shadow", "shadow", evidence={"x": float("nan")})]

    before = records.steps()
    with pytest.raises(StoreError, match="JSON"):
        records.take(ANN, half)
    assert records.steps() == before
    assert {one.state for one in records.models()} == {"candidate"}


@pytest.mark.parametrize("name", ["model_steps", "model_proposals", "model_decisions"])
def test_what_was_written_stays(records: ModelRecords, name: str) -> None:
    number = records.propose(ANN, NewProposal("b", "", True, "gains", {})).id
    records.decline(ANN, number, "no")
    for act in (f"UPDATE {name} SET why = 'x'", f"DELETE FROM {name}"):
        with pytest.raises(StoreError, match="only grows"), records.database.transaction(writes=True) as connection:
            connection.execute(sa.text(act))


def test_of_two_promotions_at_once_each_sees_what_the_other_did(records: ModelRecords, place: str | Path) -> None:
    for name in ("b", "c"):
        records.take(ANN, lambda *now, name=name: Roster(*now).shadow(name))
    records.take(ANN, lambda *now: Roster(*now).promote("a", "first"))
    together = Barrier(2)

    def promote(name: str) -> str:
        with ModelRecords.open(place) as mine:
            together.wait(30)
            try:
                return mine.take(ANN, lambda *now: Roster(*now).promote(name, "better"))[-1].against
            except GreywaterError as error:
                return str(error)

    with ThreadPoolExecutor(2) as pool:
        against = dict(zip("bc", pool.map(promote, "bc"), strict=True))
    # One took over from a, the other from the one before it; nobody took over from the same champion twice.
    assert sorted(against.values()) in (["a", "b"], ["a", "c"])
    states = {one.name: one.state for one in records.models()}
    assert sorted(states.values()) == ["champion", "retired", "retired"]
    assert Roster(records.models(), records.steps()).previous == next(n for n, old in against.items() if old == "a")


def test_of_two_who_accept_one_proposal_one_is_told(records: ModelRecords, place: str | Path) -> None:
    records.take(ANN, lambda *now: Roster(*now).promote("a", "first"))
    number = records.propose(ANN, NewProposal("b", "a", True, "gains", {})).id
    together = Barrier(2)

    def accept(_: int) -> str:
        with ModelRecords.open(place) as mine:
            together.wait(30)
            try:
                mine.take(ANN, lambda *now: Roster(*now).promote("b", proposal=number))
            except DetectorError as error:
                return error.found
            return ""

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(accept, range(2)))
    assert said[0] == ""
    assert "cannot become" in said[1]
