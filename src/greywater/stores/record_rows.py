"""The rows of the records store: runs, alerts as they were frozen, the audit; and their one JSON text."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from greywater.errors import StoreError
from greywater.stores.ports import Finding

__all__ = [
    "AlertRecord",
    "AuditRecord",
    "Raisable",
    "RunRecord",
    "alert_findings",
    "already_frozen",
    "canonical_json",
    "freeze",
    "moment",
    "new_run_id",
    "now_us",
    "unknown",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Raisable(Protocol):
    """What can be raised: an alert that says who, how bad, when, and everything else in its payload."""

    @property
    def id(self) -> str:
        """Unique for ever."""
        ...

    @property
    def rank(self) -> int:
        """Place in the queue of its run, from 1."""
        ...

    @property
    def entity(self) -> str:
        """Account or customer."""
        ...

    @property
    def kind(self) -> str:
        """`account` or `customer`."""
        ...

    @property
    def score(self) -> float:
        """Score of the payment that raised it."""
        ...

    @property
    def raised_at(self) -> datetime:
        """When, with a time zone."""
        ...

    def payload(self) -> dict[str, Any]:
        """Everything the alert says, in JSON types; `evidence` is a list of objects with `tx_id` and `seq`."""
        ...


@dataclass(frozen=True)
class RunRecord:
    """One execution of a use case. `outcome` is None while it runs (or was killed); a trial's `parent` is its study."""

    id: str
    project: str
    principal: str
    command: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    parameters: dict[str, Any]
    versions: dict[str, Any]
    summary: dict[str, Any] | None
    parent: str | None = None


@dataclass(frozen=True)
class AlertRecord:
    """An alert as it was frozen. `payload_json` is the canonical text whose SHA-256 is `sha256`."""

    id: str
    run_id: str
    rank: int
    entity: str
    kind: str
    score: float
    raised_at: datetime
    written_at: datetime
    payload_json: str
    sha256: str
    evidence: tuple[tuple[str, int], ...]

    @property
    def payload(self) -> dict[str, Any]:
        """Everything the alert says."""
        return dict(json.loads(self.payload_json))


@dataclass(frozen=True)
class AuditRecord:
    """Who did what to which thing, with which credential, and how it ended."""

    id: int
    at: datetime
    principal: str
    role: str
    credential: str
    action: str
    object: str
    outcome: str
    detail: dict[str, Any]


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, no NaN.

    Raises
    ------
    StoreError
        The value holds something that JSON does not have (NaN, an infinity, a date, a lone surrogate).

    Examples
    --------
    >>> canonical_json({"b": 1.5, "a": ["ü", None]})
    '{"a":["ü",null],"b":1.5}'
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"a record cannot be written as JSON: {error}", mend="use JSON types and finite numbers"
        ) from None
    return text


def _microseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise StoreError(f"the time {moment.isoformat()} has no time zone", mend="give times in UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    """Turn microseconds since 1970 into a time in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def now_us() -> int:
    """This moment, microseconds since 1970."""
    return _microseconds(datetime.now(UTC))


def new_run_id() -> str:
    """Make a run's id: when it began, and eight random hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def freeze(run_id: str, alerts: Sequence[Raisable]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the tables alerts and alert_evidence for `alerts`."""
    written, rows, evidence = now_us(), [], []
    for alert in alerts:
        payload = alert.payload()
        text = canonical_json(payload)
        rows.append(
            {
                "id": alert.id, "run_id": run_id, "rank": alert.rank, "entity": alert.entity, "kind": alert.kind,
                "score": alert.score, "raised_us": _microseconds(alert.raised_at), "written_us": written,
                "payload": text, "sha256": hashlib.sha256(text.encode()).hexdigest(),
            }
        )  # fmt: skip
        for position, payment in enumerate(payload.get("evidence", ())):
            evidence.append(
                {"alert_id": alert.id, "position": position, "tx_id": payment["tx_id"], "seq": payment["seq"]}
            )
    return rows, evidence


def alert_findings(record: AlertRecord) -> list[Finding]:
    """What is wrong with one stored alert."""
    where, mend = f"alert {record.id}", "restore records.sqlite from a backup"
    if hashlib.sha256(record.payload_json.encode()).hexdigest() != record.sha256:
        return [Finding(where, "what the alert says is not what was raised: its SHA-256 differs", mend)]
    payload = record.payload
    told = tuple((payment["tx_id"], payment["seq"]) for payment in payload.get("evidence", ()))
    findings = []
    if told != record.evidence:
        findings.append(Finding(where, "the evidence rows are not those the alert names", mend))
    row = {"id": record.id, "rank": record.rank, "entity": record.entity, "kind": record.kind, "score": record.score}
    wrong = [name for name, value in row.items() if name in payload and payload[name] != value]
    if wrong:
        findings.append(Finding(where, f"the columns {', '.join(wrong)} are not what the alert says", mend))
    return findings


def unknown(what: str, key: str) -> StoreError:
    """Make the error of a run or an alert that is not there."""
    return StoreError(f"there is no {what} {key!r}", mend=f"look at the list of {what}s of this project")


def already_frozen(run_id: str) -> StoreError:
    """Make the refusal of a second write of an alert."""
    return StoreError(
        "an alert of this id, or of this rank or entity in this run, was raised already; what it says is frozen",
        where=f"run {run_id}",
        mend="raise it in a new run",
    )
