"""What the records hold of a pipeline: one run a step, with the inputs it rested on and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np

from greywater._version import __version__
from greywater.app.pipeline_file import OUTSIDE
from greywater.app.side_records import SIDE_TABLES
from greywater.app.wiring import Project
from greywater.config import Settings
from greywater.errors import StoreError
from greywater.kernels.compile import kernel_hash
from greywater.stores.record_rows import RunRecord, canonical_json
from greywater.stores.records import Records
from greywater.vocab import Actor

__all__ = ["COMMAND", "StepInputs", "StepRecord", "begin_step", "data_state", "end_abandoned", "end_step", "steps_done"]

#: What runs of steps are called in the records.
COMMAND: Final = "pipeline step"


@dataclass(frozen=True)
class StepInputs:
    """All that a step rests on; two with one fingerprint come to the same.

    Parameters
    ----------
    step : str
    parameters : mapping
        Of its table in the file.
    files : mapping
        SHA-256 of the files it reads.
    settings : mapping
        All settings that change results.
    data : mapping
        How far the ledger and the other records had come.
    code : mapping
        Versions of Greywater and of its kernels.
    before : str
        Id of the record of the step before; "" = none.
    """

    step: str
    parameters: Mapping[str, Any]
    files: Mapping[str, str]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    code: Mapping[str, str]
    before: str

    @classmethod
    def of(
        cls,
        step: str,
        parameters: Mapping[str, Any],
        files: Mapping[str, str],
        settings: Settings,
        data: Mapping[str, Any],
        before: str,
    ) -> StepInputs:
        """Those of a step now."""
        kept = {name: value for name, value in asdict(settings).items() if name not in OUTSIDE}
        code = {"greywater": __version__, "kernels": kernel_hash()}
        return cls(step, _plain(parameters), dict(files), _plain(kept), dict(data), code, before)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all."""
        return hashlib.sha256(canonical_json(asdict(self)).encode()).hexdigest()

    def differs(self, was: Mapping[str, Any]) -> str:
        """What is not as it was, in words; "" = all is.

        Examples
        --------
        >>> now = StepInputs("train", {"whole": True}, {}, {"seed": 7}, {"payments": 5}, {}, "")
        >>> now.differs(asdict(now)), now.differs(asdict(now) | {"parameters": {"whole": False}, "data": {}})
        ('', 'other parameters: whole; other data: payments')
        """
        told = []
        for name in ("parameters", "files", "settings", "data", "code"):
            mine, theirs = dict(getattr(self, name)), dict(was.get(name) or {})
            words = sorted(word for word in {*mine, *theirs} if mine.get(word) != theirs.get(word))
            if words:
                told.append(f"other {name}: {', '.join(words)}")
        if not told and was.get("before") != self.before:
            told.append("the step before ran again")
        return "; ".join(told)


@dataclass(frozen=True)
class StepRecord:
    """One execution of a step, as it was recorded."""

    id: str
    step: str
    fingerprint: str
    inputs: dict[str, Any]
    outcome: str | None
    started_at: datetime
    finished_at: datetime | None
    output: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def seconds(self) -> float:
        """It took."""
        return 0.0 if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


def data_state(project: Project) -> dict[str, Any]:
    """How far the records of a project have come: they only grow, so the counts and both ends tell.

    Returns
    -------
    dict
        `payments`, `first` and `last` payment, `horizon`, and the rows of each table beside the payments.
    """
    count = project.ledger.next_seq
    ends = np.array([0, count - 1] if count else [], np.int64)
    ids = project.ledger.take(ends, ["tx_id"])["tx_id"].to_pylist() if count else ["", ""]
    found: dict[str, Any] = {
        "payments": count, "first": ids[0], "last": ids[-1], "horizon": project.ledger.horizon,
    }  # fmt: skip
    for name, (schema, _, _) in SIDE_TABLES.items():
        found[name] = sum(batch.num_rows for batch in project.tables.scan(name, schema.names[:1]))
    return found


def steps_done(records: Records, pipeline: str) -> dict[str, StepRecord]:
    """The last finished record of each step of a pipeline."""
    found = {}
    for one in _of_pipeline(records, pipeline):
        if one.outcome == "done":
            found[str(one.parameters["step"])] = _read(one)
    return found


def begin_step(records: Records, actor: Actor, pipeline: str, inputs: StepInputs) -> str:
    """Write that a step begins; returns the record's id."""
    kept = {"pipeline": pipeline, "step": inputs.step, "fingerprint": inputs.fingerprint, "inputs": asdict(inputs)}
    return records.start_run(actor, COMMAND, parameters=kept, versions=inputs.code)


def end_step(records: Records, run_id: str, outcome: str, summary: Mapping[str, Any]) -> None:
    """Write how it ended: `done` with its output, or `failed` with the error."""
    records.finish_run(run_id, outcome, summary)


def end_abandoned(records: Records, pipeline: str) -> list[str]:
    """Write down steps that a killed process left as failed; only for who holds the pipeline's lock."""
    left = [one for one in _of_pipeline(records, pipeline) if one.finished_at is None]
    for one in left:
        with suppress(StoreError):
            records.finish_run(one.id, "failed", {"error": "the process ended before the step did"})
    return [str(one.parameters["step"]) for one in left]


def _of_pipeline(records: Records, pipeline: str) -> list[RunRecord]:
    return [one for one in records.runs() if one.command == COMMAND and one.parameters.get("pipeline") == pipeline]


def _read(one: RunRecord) -> StepRecord:
    said = one.summary or {}
    return StepRecord(
        one.id, str(one.parameters["step"]), str(one.parameters["fingerprint"]), dict(one.parameters["inputs"]),
        one.outcome, one.started_at, one.finished_at, dict(said.get("output") or {}), str(said.get("error") or ""),
    )  # fmt: skip


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As they come back from JSON."""
    found: dict[str, Any] = json.loads(canonical_json(dict(values)))
    return found
