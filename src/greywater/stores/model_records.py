"""The models of a project in its database of records: where each stands, every step it took, what was proposed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa

from greywater.errors import StoreError
from greywater.stores.model_rows import Decision, ModelRecord, NewProposal, NewStep, ProposalRecord, StepRecord
from greywater.stores.record_database import RecordDatabase, table
from greywater.stores.record_rows import canonical_json, moment, now_us, unknown
from greywater.vocab import Actor

__all__ = ["ModelRecords", "Plan"]

_META: Final = sa.MetaData()
_MODELS: Final = table(_META, "models", name=str, kind=str, sha256=str, state=str, at_us=int)
_STEPS: Final = table(
    _META, "model_steps", id=int, model=str, step=str, before=str, after=str, against=str, why=str, evidence=str,
    proposal=int, principal=str, at_us=int,
)  # fmt: skip
_PROPOSALS: Final = table(
    _META, "model_proposals", id=int, model=str, against=str, passed=int, why=str, evidence=str, principal=str,
    at_us=int,
)  # fmt: skip
_DECISIONS: Final = table(_META, "model_decisions", proposal=int, outcome=str, why=str, principal=str, at_us=int)

#: Told the models, the steps and the proposals of this moment, in order; answers with the steps to take.
Plan = Callable[[Sequence[ModelRecord], Sequence[StepRecord], Sequence[ProposalRecord]], Sequence[NewStep]]


class ModelRecords:
    """What is written down of a project's models.

    Steps, proposals and decisions only grow. Steps that belong together are one commit, decided on what was there when
    the commit began; the database itself refuses a second champion.

    Parameters
    ----------
    database : RecordDatabase
        For example `Records.database`, so that both share connections.

    Examples
    --------
    >>> with ModelRecords.open("sqlite::memory:") as records:
    ...     first = NewStep("m1", "register", "candidate", kind="boosted", sha256="ab")
    ...     steps = records.take(Actor(), lambda models, steps, proposals: [first])
    ...     [(one.name, one.state) for one in records.models()], steps[0].principal
    ([('m1', 'candidate')], 'DEFAULT__LOCAL')
    """

    def __init__(self, database: RecordDatabase) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str | Path) -> Self:
        """Open a database of records; see `RecordDatabase.open`."""
        return cls(RecordDatabase.open(url))

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def models(self) -> list[ModelRecord]:
        """All models, in the order in which they were registered."""
        with self.database.transaction() as connection:
            return _models(connection)

    def steps(self, model: str | None = None) -> list[StepRecord]:
        """All steps, or those of one model, oldest first."""
        with self.database.transaction() as connection:
            return [one for one in _steps(connection) if model is None or one.model == model]

    def proposals(self) -> list[ProposalRecord]:
        """All proposals with what became of them, oldest first."""
        with self.database.transaction() as connection:
            return _proposals(connection)

    def take(self, actor: Actor, plan: Plan) -> list[StepRecord]:
        """Take the steps that `plan` answers with, all or none.

        Parameters
        ----------
        actor : Actor
            Who takes them.
        plan : Plan
            Called inside the transaction, which no other writer enters; raises where a step is not allowed.

        Returns
        -------
        list of StepRecord
            Those taken.

        Raises
        ------
        StoreError
            A model to be registered is there already, another is not there, or there would be two champions.
        """
        with self.database.transaction(writes=True) as connection:
            models = _models(connection)
            steps = plan(models, _steps(connection), _proposals(connection))
            state = {one.name: one.state for one in models}
            taken = []
            for step in steps:
                taken.append(_take(connection, actor, step, state))
                state[step.model] = step.after
        return taken

    def propose(self, actor: Actor, proposal: NewProposal) -> ProposalRecord:
        """Write down a proposal."""
        row = {
            "model": proposal.model, "against": proposal.against, "passed": int(proposal.passed), "why": proposal.why,
            "evidence": canonical_json(dict(proposal.evidence)), "principal": actor.principal, "at_us": now_us(),
        }  # fmt: skip
        with self.database.transaction(writes=True) as connection:
            number = connection.execute(_PROPOSALS.insert().values(row).returning(_PROPOSALS.c.id)).scalar_one()
            return next(one for one in _proposals(connection) if one.id == number)

    def decline(self, actor: Actor, proposal: int, why: str) -> ProposalRecord:
        """Write down that a proposal was declined.

        Raises
        ------
        StoreError
            There is no such proposal, or it was decided already.
        """
        with self.database.transaction(writes=True) as connection:
            _decide(connection, actor, proposal, "declined", why)
            return next(one for one in _proposals(connection) if one.id == proposal)


def _models(connection: sa.Connection) -> list[ModelRecord]:
    rows = connection.execute(_MODELS.select().order_by(_MODELS.c.at_us, _MODELS.c.name)).mappings()
    return [
        ModelRecord(row["name"], row["kind"], row["sha256"], row["state"], moment(row["at_us"])) for row in rows
    ]  # fmt: skip


def _steps(connection: sa.Connection) -> list[StepRecord]:
    rows = connection.execute(_STEPS.select().order_by(_STEPS.c.id)).mappings()
    return [StepRecord(**_read(row)) for row in rows]


def _proposals(connection: sa.Connection) -> list[ProposalRecord]:
    decided = {
        row["proposal"]: Decision(row["outcome"], row["why"], row["principal"], moment(row["at_us"]))
        for row in connection.execute(_DECISIONS.select()).mappings()
    }
    rows = connection.execute(_PROPOSALS.select().order_by(_PROPOSALS.c.id)).mappings()
    return [
        ProposalRecord(**_read(row) | {"passed": bool(row["passed"])}, decision=decided.get(row["id"])) for row in rows
    ]  # fmt: skip


def _read(row: Any) -> dict[str, Any]:
    found = {name: value for name, value in row.items() if name != "at_us"}
    return found | {"evidence": json.loads(row["evidence"]), "at": moment(row["at_us"])}


def _take(connection: sa.Connection, actor: Actor, step: NewStep, state: dict[str, str]) -> StepRecord:
    """Write one step, the model's new state, and that its proposal is accepted."""
    before, now = state.get(step.model, ""), now_us()
    if not before:
        row = {"name": step.model, "kind": step.kind, "sha256": step.sha256, "state": step.after, "at_us": now}
        connection.execute(_MODELS.insert().values(row))
    else:
        connection.execute(_MODELS.update().where(_MODELS.c.name == step.model).values(state=step.after))
    if step.proposal is not None:
        _decide(connection, actor, step.proposal, "accepted", step.why)
    written = {
        "model": step.model, "step": step.step, "before": before, "after": step.after, "against": step.against,
        "why": step.why, "evidence": canonical_json(dict(step.evidence)), "proposal": step.proposal,
        "principal": actor.principal, "at_us": now,
    }  # fmt: skip
    number = connection.execute(_STEPS.insert().values(written).returning(_STEPS.c.id)).scalar_one()
    return StepRecord(**_read(written) | {"id": int(number)})


def _decide(connection: sa.Connection, actor: Actor, proposal: int, outcome: str, why: str) -> None:
    known = next((one for one in _proposals(connection) if one.id == proposal), None)
    if known is None:
        raise unknown("proposal", str(proposal))
    if known.decision is not None:
        raise StoreError(
            f"proposal {proposal} was {known.decision.outcome} already, by {known.decision.principal}",
            mend="look at it: greywater models show MODEL",
        )
    row = {"proposal": proposal, "outcome": outcome, "why": why, "principal": actor.principal, "at_us": now_us()}
    connection.execute(_DECISIONS.insert().values(row))
