"""The use case that explains an alert or any scored payment: contributions, reasons, counterfactual, evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.access.policy import require
from greywater.app.audit import audited
from greywater.app.joining import joins_of
from greywater.app.keeping import KeptRun, kept_runs, read_run
from greywater.app.known_launderers import known_for
from greywater.app.parties import Parties, read_parties
from greywater.app.peer_groups import PeerReader, Segments
from greywater.app.proving import Prover, best_seqs, in_words, shown_seqs
from greywater.app.rule_hits import packaged_rules, rule_hits, rules_of
from greywater.app.seed_paths import seed_paths
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.desk.alerts import side_of
from greywater.desk.counterfactual import Counterfactual, counterfactual
from greywater.desk.evidence import Around, EvidenceRow, evidence_rows, payment_at
from greywater.desk.peers import PeerGroups
from greywater.desk.proof import Proof
from greywater.desk.reasons import Reason, ReasonWriter, theme_of
from greywater.desk.reasons_beside import rule_reason, seed_reason, with_payments, with_peers
from greywater.desk.recorded import Recorded
from greywater.desk.sentences import Payment, Role
from greywater.detectors.detector import Detector
from greywater.detectors.kernel_shap import as_table, explain_by_calls
from greywater.detectors.loading import load_detector
from greywater.detectors.part_scores import Mandatory
from greywater.detectors.saved import plain
from greywater.errors import StoreError, UsageError
from greywater.features.catalog import FeatureSet
from greywater.features.engine import INPUT_COLUMNS, Engine
from greywater.pipeline.look_back import find_payment
from greywater.stores.blocks import TableRows
from greywater.stores.record_rows import AlertRecord
from greywater.vocab import Actor, Float64Array, Int64Array, Progress

__all__ = ["ExplainRequest", "Explanation", "explain"]

COLUMNS: Final = [
    "tx_id", "seq", "event_time", "sender", "receiver", "amount", "currency", "received_amount", "received_currency",
    "base_amount", "channel",
]  # fmt: skip
#: Contributions that are told.
MOST_CONTRIBUTIONS: Final = 20
#: Typical rows behind contributions by calls.
BACKGROUND: Final = 24
BATCH_ROWS: Final = 32_768
#: Payments of each party that evidence is chosen from.
MOST_LOOKED_AT: Final = 20_000

Method = Literal["own", "calls"]


@dataclass(frozen=True)
class ExplainRequest:
    """What to explain: the id of an alert or of a payment; by which run (None: the alert's, or the last one).

    `by_calls` asks for Kernel SHAP, which needs nothing of the detector but its score, also where it explains itself.
    """

    id: str
    run_id: str | None = None
    by_calls: bool = False


@dataclass(frozen=True)
class Explanation:
    """Why a payment scored as it did.

    Parameters
    ----------
    id, kind : str
        What was asked for: an "alert" or a "payment".
    run_id : str
        The run whose model scored it.
    entity : str
        Who is spoken of: the alerted party, or the sender.
    payment : Payment
        The payment that was scored.
    side : {"sender", "receiver"}
        The entity's side in it.
    score, probability : float
        By the run's model; for an alert those of the day.
    line, line_words : float or None, str
        The score below which it would not have been raised, and what line that is.
    contributions : tuple of (feature, value, contribution)
        Strongest first, at most twenty.
    base : float
        The score of a typical payment, from which the contributions lead to the score.
    method : {"own", "calls"}
        The detector's own contributions, or Kernel SHAP by score calls.
    reasons : tuple of Reason
        For an alert those frozen when it was raised.
    rules : tuple of Reason
        Rules (the detector's, else those that are shipped) that hit the payment, with the values they were judged on,
        the most severe first.
    seeds : tuple of Reason
        Strongest paths from confirmed launderers known then, over relationships and the parties' own payments.
    counterfactual : Counterfactual or None
        None where the payment is below the line, or a mandatory rule hit it.
    evidence : tuple of EvidenceRow
    patterns : tuple of Proof
    segments : dict
        Of the sender and the receiver.
    versions : dict of str to str
        Of data, features, model.
    descriptions : dict of str to str
        Of the contributing features.
    """

    id: str
    kind: Literal["alert", "payment"]
    run_id: str
    entity: str
    payment: Payment
    side: Role
    score: float
    probability: float
    line: float | None
    line_words: str
    contributions: tuple[tuple[str, float, float], ...]
    base: float
    method: Method
    reasons: tuple[Reason, ...]
    rules: tuple[Reason, ...]
    seeds: tuple[Reason, ...]
    counterfactual: Counterfactual | None
    evidence: tuple[EvidenceRow, ...]
    patterns: tuple[Proof, ...]
    segments: dict[str, str]
    versions: dict[str, str]
    descriptions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater explain --json`; docs/cli.md describes it."""
        found = {name: getattr(self, name) for name in ("id", "kind", "entity", "side", "score", "probability")}
        found |= {
            "run": self.run_id,
            "payment": vars(self.payment),
            "line": {"score": self.line, "words": self.line_words},
            "base": self.base,
            "method": self.method,
            "contributions": [
                {"feature": name, "value": value, "contribution": push, "description": self.descriptions.get(name, "")}
                for name, value, push in self.contributions
            ],
            "reasons": [asdict(reason) for reason in self.reasons],
            "rules": [asdict(reason) for reason in self.rules],
            "seeds": [asdict(reason) for reason in self.seeds],
            "counterfactual": None if self.counterfactual is None else asdict(self.counterfactual),
            "evidence": [vars(row) for row in self.evidence],
            "patterns": [proof.to_json() for proof in self.patterns],
            "segments": self.segments,
            "versions": self.versions,
        }
        return plain(found)  # type: ignore[no-any-return]


def explain(actor: Actor, settings: Settings, request: ExplainRequest, progress: Progress | None = None) -> Explanation:
    """Explain an alert, or any payment between two accounts of the bank, by the model of a kept run.

    The feature row of a payment that raised an alert was kept with the run. For any other one the features are worked
    out again, from the first payment to this one: what it saw then, and nothing later.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_payments` and to `read_alerts`.
    settings : Settings
        Store and project.
    request : ExplainRequest
        What.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    Explanation

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        There is no such alert and no such payment, or it is not one that is scored.
    StoreError
        There is no such project, or the run was not kept.
    DetectorError
        The saved model cannot be read.
    """
    with (
        audited(settings, actor, "read_payments", f"explanation of {request.id}") as detail,
        open_project(settings, actor) as project,
    ):
        require(actor, "read_alerts")
        alert = _alert(project, request.id)
        seq = int(alert.payload["evidence"][0]["seq"]) if alert is not None else _payment(project, request.id)
        run_id = request.run_id or (alert.run_id if alert is not None else _last(project))
        detail.update(run=run_id, kind="alert" if alert is not None else "payment")
        return _Explainer(project, read_run(project.folder, run_id), seq, alert, progress).explanation(request)


class _Explainer:
    """One explanation on its way."""

    def __init__(
        self, project: Project, kept: KeptRun, seq: int, alert: AlertRecord | None, progress: Progress | None
    ) -> None:
        self._project, self._kept, self._seq, self._alert, self._progress = project, kept, seq, alert, progress
        self._features = FeatureSet.from_json(kept.facts["features"]["set"])
        self._parties: Parties = read_parties(project.tables)
        self._detector: Detector = load_detector(project.folder / "models" / kept.run_id)

    def explanation(self, request: ExplainRequest) -> Explanation:
        """Do it."""
        row = self._row()
        payment = payment_at(self._project.ledger.take(np.array([self._seq], np.int64), COLUMNS), self._seq)
        entity, side = self._entity(payment)
        peers = PeerReader(self._groups(), Segments.open(self._project.tables, self._parties))
        segments = peers.segments_of(payment.seq, payment.time_us, payment.sender, payment.receiver)
        score = float(self._detector.score(TableRows(row))[0])
        values = _values(row)[0]
        pushes, method = self._contributions(row, by_calls=request.by_calls)
        reasons, evidence, proofs = self._told(payment, side, entity, values, pushes, peers, segments)
        line, words = self._line(row, score)
        order = np.argsort(-np.abs(pushes[:-1]), kind="stable")[:MOST_CONTRIBUTIONS]
        names = self._features.names
        told = tuple((names[at], float(values[at]), float(pushes[at])) for at in order.tolist() if pushes[at])
        frozen = self._alert
        return Explanation(
            id=request.id,
            kind="alert" if frozen is not None else "payment",
            run_id=self._kept.run_id,
            entity=entity,
            payment=payment,
            side=side,
            score=score,
            probability=float(self._detector.probability(TableRows(row))[0]),
            line=line,
            line_words=words,
            contributions=told,
            base=float(pushes[-1]),
            method=method,
            reasons=tuple(_reason(each) for each in frozen.payload["reasons"]) if frozen is not None else reasons,
            rules=self._rules(row, payment),
            seeds=self._seeds(payment, entity),
            counterfactual=self._counterfactual(row, line, side, segments, peers.groups),
            evidence=tuple(EvidenceRow(**each) for each in frozen.payload["evidence"]) if frozen else evidence,
            patterns=proofs,
            segments={str(role): segment for role, segment in segments.items()},
            versions=dict(frozen.payload["versions"] if frozen is not None else self._kept.facts["versions"]),
            descriptions={n: f.description for n, f in self._features.by_name.items() if n in {t[0] for t in told}},
        )

    def _row(self) -> pa.Table:
        """The payment's feature row, kept or worked out again."""
        kept = self._kept.alerted
        if kept is not None:
            found = np.flatnonzero(np.asarray(kept["seq"].to_numpy()) == self._seq)
            if len(found):
                return kept.slice(int(found[0]), 1).drop_columns(["seq"])
        return self._replayed()

    def _replayed(self) -> pa.Table:
        """Replay the ledger up to the payment."""
        if self._progress is not None:
            self._progress.step("working out what it saw", self._seq + 1)
        joins = joins_of(self._project, self._features, protected=bool(self._kept.facts.get("allow_protected")))
        engine = Engine(self._features.of_engine, threads=self._project.settings.worker_threads)
        known = known_for(self._features, self._project.tables, self._project.ledger)
        if known is not None:
            engine.know(known)
        columns = list(dict.fromkeys([*INPUT_COLUMNS, "tx_id", *(name for join in joins for name in join.reads)]))
        for batch in self._project.ledger.scan(columns, start=0, batch_rows=BATCH_ROWS):
            seqs = np.asarray(batch.column("seq").to_numpy(), np.int64)
            inside = batch.slice(0, int(np.searchsorted(seqs, self._seq, side="right")))
            block = engine.process(inside)
            beside = [
                (name, column) for join in joins for name, column in zip(join.names, join.columns(inside), strict=True)
            ]
            if self._progress is not None:
                self._progress.advance(inside.num_rows)
            if len(seqs) and seqs[-1] >= self._seq:
                place = int(np.searchsorted(block.seq, self._seq))
                if place >= len(block.seq) or block.seq[place] != self._seq or not block.scored[place]:
                    break
                row = pa.Table.from_batches([block.columns.slice(place, 1)])
                for name, column in beside:
                    row = row.append_column(name, pa.chunked_array([column.slice(place, 1)]))
                return row
        raise UsageError(
            "the payment is not one that is scored: a party of it is outside the bank", where=str(self._seq),
            mend="name a payment between two accounts of the bank",
        )  # fmt: skip

    def _entity(self, payment: Payment) -> tuple[str, Role]:
        """Who is spoken of, and its side."""
        if self._alert is None:
            return self._parties.entity(payment.sender), "sender"
        return self._alert.entity, side_of(payment, self._parties.accounts(self._alert.entity, self._alert.kind))

    def _groups(self) -> PeerGroups:
        if not self._kept.peers:
            return PeerGroups.of(self._features.names, {})
        return PeerGroups.from_bytes(self._kept.peers)

    def _contributions(self, row: pa.Table, *, by_calls: bool) -> tuple[Float64Array, Method]:
        """Contributions float64[columns + 1] and how they were found."""
        own = getattr(self._detector, "explain", None)
        if own is not None and not by_calls:
            return np.asarray(own(TableRows(row)), np.float64)[0], "own"
        typical = self._kept.typical
        if typical is None or not typical.num_rows:
            raise StoreError("the run kept no typical payments", where=self._kept.run_id, mend="run again")
        some = np.unique(np.linspace(0, typical.num_rows - 1, BACKGROUND).round().astype(np.int64))
        background = TableRows(typical.take(pa.array(some)))
        return explain_by_calls(self._detector, TableRows(row), background, groups=_themes(row.column_names))[
            0
        ], "calls"

    def _told(
        self,
        payment: Payment,
        side: Role,
        entity: str,
        values: Float64Array,
        pushes: Float64Array,
        peers: PeerReader,
        segments: Mapping[Role, str],
    ) -> tuple[tuple[Reason, ...], tuple[EvidenceRow, ...], tuple[Proof, ...]]:
        """Reasons in words, the payments they speak of, and the patterns behind them."""
        catalog, currency = self._features.by_name, self._project.file.base_currency
        writer = ReasonWriter(self._features.names, catalog, currency, day_windows=self._features.plan.day_windows)
        reasons = writer.reasons(values, pushes, payment, side)
        reasons = with_peers(reasons, peers.groups, segments, side, catalog, currency)
        ledger, payments = self._project.ledger, self._payments(payment, entity)
        findings = Prover(ledger, self._features, np.array([self._seq], np.int64)).find(self._seq, values, reasons)
        shown = np.unique(np.array([self._seq, *shown_seqs(findings)], np.int64))
        proofs = in_words(findings, evidence_rows(ledger.take(shown, COLUMNS), self._seq), self._seq)
        around = Around(Recorded(payments), self._seq)
        reasons = with_payments(reasons, around, proofs=proofs)
        there = set(around.seq.tolist())
        formed = [seq for seq in best_seqs(findings) if seq in there]
        return reasons, around.choose(reasons, formed=formed), tuple(proofs)

    def _rules(self, row: pa.Table, payment: Payment) -> tuple[Reason, ...]:
        """The rules that hit the payment; each cites it."""
        rules = rules_of(self._detector) or packaged_rules(self._project.file.base_currency)
        (hits,) = rule_hits(rules, row, self._features)
        return tuple(replace(rule_reason(hit), payments=(payment.tx_id,)) for hit in hits)

    def _seeds(self, payment: Payment, entity: str) -> tuple[Reason, ...]:
        """Paths from confirmed launderers that the payment saw."""
        if not self._parties.seeds:
            return ()
        payments = self._payments(payment, entity)
        found = seed_paths(self._project.tables, self._parties, payments, entity, self._seq, payment.time_us)
        return tuple(seed_reason(path) for path in found)

    def _payments(self, payment: Payment, entity: str) -> pa.Table:
        """The last payments of the entity and of the payment's parties, up to it."""
        kind = self._alert.kind if self._alert is not None else "customer"
        accounts = {payment.sender, payment.receiver, *self._parties.accounts(entity, kind)}
        payments = self._project.ledger.payments_of(sorted(accounts), COLUMNS)
        seqs = np.asarray(payments["seq"].to_numpy(), np.int64)
        return payments.take(pa.array(np.flatnonzero(seqs <= self._seq)[-MOST_LOOKED_AT:]))

    def _line(self, row: pa.Table, score: float) -> tuple[float | None, str]:
        """The line that the payment is above, and what it is; None where it is above none."""
        if self._demanded(row)[0]:
            return None, "a mandatory rule hit it, which alerts whatever the score"
        threshold = self._kept.facts["threshold"]
        if threshold is not None and score >= float(threshold):
            return float(threshold), "the threshold from which a payment counts as flagged"
        if self._alert is None or self._alert.run_id != self._kept.run_id:
            return None, "nothing needs to: the payment is below the threshold"
        others = self._project.records.alerts(self._alert.run_id)
        whole = "day" not in str(self._kept.facts["budget"])
        day = self._alert.raised_at.date()
        beside = self._beside_the_budget()
        scores = [
            other.score
            for other in others
            if (whole or other.raised_at.date() == day) and int(other.payload["evidence"][0]["seq"]) not in beside
        ]
        words = "the last alert of the run" if whole else f"the last alert of {day:%Y-%m-%d}"
        return min(scores), f"{words}: below it the budget goes to somebody else"

    def _demanded(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Where a mandatory rule demands an alert, bool[n]."""
        if isinstance(self._detector, Mandatory):
            return self._detector.mandatory(TableRows(rows))
        return np.zeros(rows.num_rows, np.bool_)

    def _beside_the_budget(self) -> set[int]:
        """Payments of the run that were raised by a mandatory rule: their scores say nothing of the budget's line."""
        kept = self._kept.alerted
        if kept is None or not kept.num_rows:
            return set()
        return set(kept["seq"].to_numpy()[self._demanded(kept.drop_columns(["seq"]))].tolist())

    def _counterfactual(
        self, row: pa.Table, line: float | None, side: Role, segments: Mapping[Role, str], groups: PeerGroups
    ) -> Counterfactual | None:
        if line is None:
            return None
        names, types = row.column_names, [field.type for field in row.schema]
        usual = groups.medians(side, segments)
        if self._kept.typical is not None and self._kept.typical.num_rows:
            typical = _values(self._kept.typical)
            with np.errstate(all="ignore"):
                middle = np.array([np.median(known) if len(known := c[~np.isnan(c)]) else np.nan for c in typical.T])
            usual = np.where(np.isnan(usual), middle, usual)

        def score(rows: Float64Array) -> Float64Array:
            return self._detector.score(TableRows(as_table(rows, names, types)))

        return counterfactual(
            score, _values(row)[0], usual, names, line, catalog=self._features.by_name,
            currency=self._project.file.base_currency,
        )  # fmt: skip


def _alert(project: Project, name: str) -> AlertRecord | None:
    try:
        return project.records.alert(name)
    except StoreError:
        return None


def _payment(project: Project, name: str) -> int:
    try:
        return find_payment(project.ledger, name)
    except UsageError as error:
        raise UsageError(
            f"{name!r} is neither an alert nor a recorded payment", where=name,
            mend="give the id of an alert (greywater run --json) or of a payment",
        ) from error  # fmt: skip


def _last(project: Project) -> str:
    known = kept_runs(project.folder)
    if not known:
        raise StoreError("no run of this project was kept", where=str(project.folder), mend="run first: greywater run")
    return known[-1]


def _values(rows: pa.Table) -> Float64Array:
    return np.column_stack([np.asarray(column.to_numpy(), np.float64) for column in rows.columns])


def _themes(names: list[str]) -> Int64Array:
    """A number for what each column is about: columns of one theme, party and direction are one player."""
    known: dict[tuple[str, str, str], int] = {}
    themes = (theme_of(name) for name in names)
    keys = [(theme.name, theme.role or "", theme.direction) for theme in themes]
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def _reason(frozen: Mapping[str, Any]) -> Reason:
    """A reason as it was frozen; texts of older alerts lack the newest fields."""
    known: dict[str, Any] = {name: value for name, value in frozen.items() if name in Reason.__dataclass_fields__}
    fields: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in known.items()}
    return Reason(**fields)
