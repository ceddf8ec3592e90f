"""Which steps a model may take between candidate, shadow, champion and retired, and what each of them asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from greywater.errors import DetectorError
from greywater.stores.model_rows import ModelRecord, NewStep, ProposalRecord, StepRecord

__all__ = ["STATES", "TRANSITIONS", "Kept", "Roster", "Transition"]

#: Where a model can stand, in words.
STATES: Final = MappingProxyType(
    {
        "candidate": "kept, and scores where it is named",
        "shadow": "scores beside the champion; raises nothing",
        "champion": "scores where no model is named; one a project at most",
        "retired": "scores where it is named; a former champion can be restored",
    }
)


@dataclass(frozen=True)
class Transition:
    """A step a model may take: from which states, to which, and whether a person must say why."""

    before: tuple[str, ...]
    after: str
    about: str
    needs_why: bool = False


#: Every legal step. A candidate is promoted without a shadow only where `Roster.promote` says so.
TRANSITIONS: Final = MappingProxyType(
    {
        "register": Transition((), "candidate", "fitted, or brought by its user, and kept"),
        "shadow": Transition(("candidate",), "shadow", "scores beside the champion from now on"),
        "promote": Transition(("shadow", "candidate"), "champion", "scores where no model is named"),
        "replace": Transition(("champion",), "retired", "another model took its place"),
        "retire": Transition(("candidate", "shadow", "champion"), "retired", "put out of use", needs_why=True),
        "restore": Transition(("retired",), "champion", "a former champion scores again"),
    }
)


@dataclass(frozen=True)
class Kept:
    """A model that lies in the project's folder: its name, kind, the digest of its folder, and how it did."""

    name: str
    kind: str
    sha256: str
    evidence: Mapping[str, Any]


class Roster:
    """The models of a project at one moment, and the steps that each may take then.

    Steps are planned here and written by `greywater.stores.model_records.ModelRecords.take`, which calls the plan
    inside its transaction.

    Parameters
    ----------
    models, steps, proposals : sequence
        As `ModelRecords` reads them.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> roster = Roster([ModelRecord("m1", "boosted", "ab", "candidate", datetime.now(UTC))], [])
    >>> [(step.step, step.after) for step in roster.promote("m1", "the first one")]
    [('promote', 'champion')]
    >>> roster.restore()
    Traceback (most recent call last):
    ...
    greywater.errors.DetectorError: no model was champion before. To mend: promote one: greywater models promote MODEL.
    """

    def __init__(
        self,
        models: Sequence[ModelRecord],
        steps: Sequence[StepRecord],
        proposals: Sequence[ProposalRecord] = (),
    ) -> None:
        self._models = {one.name: one for one in models}
        self._steps = tuple(steps)
        self._proposals = tuple(proposals)

    @property
    def champion(self) -> str | None:
        """Name of the champion."""
        return next((one.name for one in self._models.values() if one.state == "champion"), None)

    @property
    def shadows(self) -> tuple[str, ...]:
        """Names of the shadows, in the order in which they were registered."""
        return tuple(one.name for one in self._models.values() if one.state == "shadow")

    @property
    def previous(self) -> str | None:
        """The champion that `restore` puts back: the one before the present one, or the last one where there is none.

        A promotion puts a champion on top of those before it, a restoration takes those above away, so that two
        restorations in a row go two champions back.
        """
        order: list[str] = []
        for step in self._steps:
            if step.step == "restore" and step.model in order:
                del order[order.index(step.model) + 1 :]
            elif step.after == "champion":
                order = [name for name in order if name != step.model] + [step.model]
        former = [name for name in order if self._models[name].state == "retired"]
        return former[-1] if former else None

    def state(self, name: str) -> str | None:
        """Where a model stands; None where it is not registered."""
        return self._models[name].state if name in self._models else None

    def open_proposal(self, model: str, number: int | None = None) -> ProposalRecord | None:
        """The last proposal for a model that nobody decided on, or the one with a number."""
        found = [one for one in self._proposals if one.model == model and one.decision is None]
        if number is not None:
            found = [one for one in found if one.id == number]
        return found[-1] if found else None

    def register(self, kept: Kept, why: str = "") -> tuple[NewStep, ...]:
        """The step that registers a model; none where it is registered already.

        Raises
        ------
        DetectorError
            Another model is registered under its name.
        """
        known = self._models.get(kept.name)
        if known is not None:
            if known.sha256 != kept.sha256:
                raise DetectorError(
                    f"another model is registered as {kept.name!r}", where=kept.name, mend="give it another name"
                )
            return ()
        step = NewStep(
            kept.name, "register", "candidate", why, kept.evidence, kind=kept.kind, sha256=kept.sha256
        )  # fmt: skip
        return (step,)

    def shadow(self, name: str, why: str = "", evidence: Mapping[str, Any] | None = None) -> tuple[NewStep, ...]:
        """The step that lets a candidate score beside the champion."""
        self._require(name, "shadow", why)
        return (NewStep(name, "shadow", "shadow", why, evidence or {}, against=self.champion or ""),)

    def promote(
        self, name: str, why: str = "", evidence: Mapping[str, Any] | None = None, proposal: int | None = None
    ) -> tuple[NewStep, ...]:
        """The steps that make a model champion: the present champion retires, this one takes its place.

        An open proposal for the model, measured against the present champion, is accepted by it and is its evidence.

        Raises
        ------
        DetectorError
            The model may not take this step, a candidate has neither stood as a shadow nor been measured against the
            present champion, or nobody says why.
        """
        self._require(name, "promote", "said elsewhere")
        champion = self.champion or ""
        accepted = self.open_proposal(name, proposal)
        if proposal is not None and accepted is None:
            raise DetectorError(
                f"no open proposal {proposal} is for model {name}", where=name, mend="greywater models list shows them"
            )
        if accepted is not None and accepted.against != champion:
            if proposal is not None:
                raise DetectorError(
                    f"proposal {proposal} was measured against {accepted.against or 'no champion'}, and the champion "
                    f"is {champion or 'none'} now",
                    where=name,
                    mend=f"measure it again: greywater models propose {name}",
                )
            accepted = None
        if self.state(name) == "candidate" and champion and accepted is None:
            raise DetectorError(
                f"model {name} is a candidate: it neither stood beside champion {champion} nor was measured against it",
                where=name,
                mend=f"greywater models shadow {name}, or greywater models propose {name}",
            )
        if accepted is None and not why.strip():
            raise _silent("promote", name)
        if accepted is not None:
            evidence = {**accepted.evidence, "passed": accepted.passed, "proposed": accepted.why}
            why = why or f"proposal {accepted.id}: {accepted.why}"
        last = NewStep(
            name, "promote", "champion", why, evidence or {}, champion, None if accepted is None else accepted.id
        )
        return (*self._vacate(champion, name, "replace"), last)

    def retire(self, name: str, why: str) -> tuple[NewStep, ...]:
        """The step that puts a model out of use."""
        self._require(name, "retire", why)
        return (NewStep(name, "retire", "retired", why),)

    def restore(self, name: str | None = None, why: str = "") -> tuple[NewStep, ...]:
        """The steps that put a former champion back, the previous one where none is named.

        Raises
        ------
        DetectorError
            No model was champion before, or the one named never was.
        """
        chosen = name or self.previous
        if chosen is None:
            raise DetectorError(
                "no model was champion before", mend="promote one: greywater models promote MODEL"
            )  # fmt: skip
        self._require(chosen, "restore", why)
        reigned = [step for step in self._steps if step.model == chosen and step.after == "champion"]
        if not reigned:
            raise DetectorError(
                f"model {chosen} never was champion", where=chosen, mend="name a former champion, or none for the last"
            )
        champion = self.champion or ""
        last = NewStep(
            chosen, "restore", "champion", why or "the previous champion is put back", reigned[-1].evidence, champion
        )
        return (*self._vacate(champion, chosen, "replace"), last)

    def _vacate(self, champion: str, by: str, step: str) -> Iterable[NewStep]:
        if champion:
            yield NewStep(champion, step, "retired", f"{by} takes its place", {}, against=by)

    def _require(self, name: str, step: str, why: str) -> None:
        known, rule = self._models.get(name), TRANSITIONS[step]
        if known is None:
            raise DetectorError(
                f"no model is registered as {name!r}", where=name, mend="greywater models list shows those that are"
            )
        if known.state not in rule.before:
            raise DetectorError(
                f"model {name} is {_a(known.state)} and cannot become {_a(rule.after)} by {step!r}",
                where=name,
                mend=f"only {' or '.join(_a(state) for state in rule.before)} can",
            )
        if rule.needs_why and not why.strip():
            raise _silent(step, name)


def _a(state: str) -> str:
    return state if state == "retired" else "the champion" if state == "champion" else f"a {state}"


def _silent(step: str, name: str) -> DetectorError:
    return DetectorError(f"nobody said why to {step} model {name}", where=name, mend="give --why TEXT")
