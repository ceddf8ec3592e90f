"""Turns the best candidates into alerts: reasons in words, the payments that prove them, a picture of the flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.parties import Parties
from greywater.app.peer_groups import PeerReader
from greywater.app.proving import Prover, best_seqs, in_words, shown_seqs
from greywater.app.rule_hits import rule_hits
from greywater.desk.alerts import Alert, build_alert, side_of
from greywater.desk.evidence import EvidenceRow, choose_evidence, evidence_rows, payment_at
from greywater.desk.reasons import ReasonWriter
from greywater.desk.reasons_beside import rule_reason, with_payments, with_peers
from greywater.desk.rollup import Candidate
from greywater.desk.sentences import Payment
from greywater.detectors.detector import Detector
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.catalog import FeatureSet
from greywater.stores.blocks import FeatureBlocks, TableRows
from greywater.stores.ports import Ledger
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = ["Scores", "raise_alerts"]

#: Alerts worked on at a time: bounds the payments in memory.
PIECE = 1_500
#: Payments of one party looked at for evidence, the latest ones.
MOST_LOOKED_AT = 1_000
COLUMNS = [
    "tx_id", "seq", "event_time", "sender", "receiver", "amount", "currency", "received_amount", "received_currency",
    "base_amount", "channel",
]  # fmt: skip


#: Rules told behind the other reasons of an alert.
MOST_RULES: Final = 5


@dataclass(frozen=True)
class Scores:
    """Scores of payments by seq: seq int64[n] increasing, score float64[n]."""

    seq: Int64Array
    score: Float64Array

    def of(self, seq: Int64Array) -> Float64Array:
        """Scores of the given payments, NaN where they have none."""
        place = np.minimum(np.searchsorted(self.seq, seq), max(len(self.seq) - 1, 0))
        found = np.full(len(seq), np.nan)
        if len(self.seq):
            hit = self.seq[place] == seq
            found[hit] = self.score[place[hit]]
        return found


def raise_alerts(
    run_id: str,
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    blocks: FeatureBlocks,
    detector: Detector,
    features: FeatureSet,
    scores: Scores,
    parties: Parties,
    base_currency: str,
    versions: Mapping[str, str],
    peers: PeerReader | None = None,
    rules: RuleSet | None = None,
    progress: Progress | None = None,
) -> Iterator[Alert]:
    """Make the alerts of ranked candidates, in rank order.

    Reasons come from the detector's contributions to the payment that raised the alert, evidence from the payments of
    both its parties that were recorded up to then, and from those that formed a pattern with it. With `peers` each
    reason says how the party's own segment does; with `rules` those that hit are told behind the other reasons.
    """
    catalog = features.by_name
    writer = ReasonWriter(features.names, catalog, base_currency, day_windows=features.plan.day_windows)
    prover = Prover(ledger, features, np.array([candidate.seq for candidate in candidates], np.int64))
    for begin in range(0, len(candidates), PIECE):
        piece = candidates[begin : begin + PIECE]
        seqs = np.unique(np.array([candidate.seq for candidate in piece], np.int64))
        table = blocks.take(np.searchsorted(blocks.seq, seqs).astype(np.int64))
        rows = TableRows(table)
        values = np.column_stack([np.asarray(column.to_numpy(), np.float64) for column in table.columns])
        contributions = detector.explain(rows)
        hits = [] if rules is None else rule_hits(rules, table, features)
        history = _History.read(ledger, seqs, piece, parties, scores)
        told = []
        for candidate in piece:
            row = int(np.searchsorted(seqs, candidate.seq))
            payment = history.payment(candidate.seq)
            side = side_of(payment, parties.accounts(candidate.entity, candidate.kind))
            reasons = writer.reasons(values[row], contributions[row], payment, side)
            if peers is not None:
                told_of = peers.segments_of(payment.seq, payment.time_us, payment.sender, payment.receiver)
                reasons = with_peers(reasons, peers.groups, told_of, side, catalog, base_currency)
            struck = [
                replace(rule_reason(hit), payments=(payment.tx_id,)) for hit in (hits[row] if hits else ())[:MOST_RULES]
            ]
            told.append((candidate, reasons, struck, prover.find(candidate.seq, values[row], reasons)))
        history.know(ledger, [seq for *_, findings in told for seq in shown_seqs(findings)], scores)
        for number, (candidate, reasons, struck, findings) in enumerate(told):
            accounts = parties.accounts(candidate.entity, candidate.kind)
            payments, formed = history.up_to(candidate.seq, accounts), best_seqs(findings)
            proofs = in_words(findings, history.formed, candidate.seq)
            yield build_alert(
                run_id,
                begin + number + 1,
                candidate,
                (*with_payments(reasons, payments, candidate.seq, proofs=proofs), *struck),
                choose_evidence(history.with_formed(payments, formed), candidate.seq, reasons, formed=formed),
                accounts=accounts,
                base_currency=base_currency,
                proofs=proofs,
                seeds=parties.seeds_known(candidate.seq, candidate.time_us),
                versions=versions,
            )
        if progress is not None:
            progress.advance(len(piece))


class _History:
    """The payments of some accounts, found by account."""

    def __init__(self, table: pa.Table, seq: Int64Array, rows_of: dict[str, Int64Array]) -> None:
        self._table = table
        self._seq = seq
        self._rows_of = rows_of
        self._last: tuple[int, frozenset[str], pa.Table] | None = None
        self._others = table.slice(0, 0)
        self.formed: dict[int, EvidenceRow] = {}

    @classmethod
    def read(
        cls, ledger: Ledger, seqs: Int64Array, candidates: Sequence[Candidate], parties: Parties, scores: Scores
    ) -> _History:
        """Read the payments of the candidates and of the other parties of the payments that raised them."""
        raising = ledger.take(seqs, ["sender", "receiver"])
        wanted = set(raising["sender"].to_pylist()) | set(raising["receiver"].to_pylist())
        for candidate in candidates:
            wanted.update(parties.accounts(candidate.entity, candidate.kind))
        table = ledger.payments_of(sorted(wanted), COLUMNS).combine_chunks()
        seq = np.asarray(table["seq"].to_numpy(), np.int64)
        table = table.append_column("score", pa.array(scores.of(seq)))
        rows_of: dict[str, list[Int64Array]] = {}
        for name in ("sender", "receiver"):
            for account, rows in _rows_by_value(table[name], wanted):
                rows_of.setdefault(account, []).append(rows)
        return cls(table, seq, {account: np.unique(np.concatenate(rows)) for account, rows in rows_of.items()})

    def payment(self, seq: int) -> Payment:
        """One of the payments that raise alerts."""
        return payment_at(self._table.slice(int(np.searchsorted(self._seq, seq)), 1), seq)

    def know(self, ledger: Ledger, seqs: Sequence[int], scores: Scores) -> None:
        """Read payments that formed patterns; they may be of parties that no alert is about."""
        wanted = np.unique(np.array(seqs, np.int64))
        if len(wanted):
            self._others = ledger.take(wanted, COLUMNS).append_column("score", pa.array(scores.of(wanted)))
            self.formed = evidence_rows(self._others, -1)

    def with_formed(self, payments: pa.Table, formed: Sequence[int]) -> pa.Table:
        """Payments, and those of `formed` that are not among them."""
        there = set(payments["seq"].to_pylist()) if formed else set()
        missing = [seq for seq in formed if seq not in there]
        if not missing:
            return payments
        rows = np.searchsorted(self._others["seq"].to_numpy(), np.array(missing, np.int64))
        return pa.concat_tables([payments, self._others.take(pa.array(rows)).select(payments.column_names)])

    def up_to(self, seq: int, accounts: Sequence[str]) -> pa.Table:
        """Payments recorded up to `seq` in which the accounts or the parties of payment `seq` take part."""
        at = int(np.searchsorted(self._seq, seq))
        parties = frozenset([self._table["sender"][at].as_py(), self._table["receiver"][at].as_py(), *accounts])
        if self._last is not None and self._last[:2] == (seq, parties):
            return self._last[2]
        parts = [np.array([at])]
        for party in parties:
            rows = self._rows_of.get(party)
            if rows is not None:
                earlier = rows[: np.searchsorted(rows, at, side="right")]
                parts.append(earlier[-MOST_LOOKED_AT:])
        found = self._table.take(pa.array(np.unique(np.concatenate(parts))))
        # Both sides of a payment are often alerted by it, one after the other.
        self._last = (seq, parties, found)
        return found


def _rows_by_value(column: pa.ChunkedArray, wanted: set[str]) -> Iterator[tuple[str, Int64Array]]:
    """Row numbers, increasing, of each wanted value of a column."""
    encoded = pc.dictionary_encode(column).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks)
    codes = np.asarray(encoded.indices.to_numpy(), np.int64)
    order = np.argsort(codes, kind="stable")
    names = encoded.dictionary.to_pylist()
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for code, name in enumerate(names):
        if name in wanted:
            yield name, order[bounds[code] : bounds[code + 1]].astype(np.int64)
