"""Turns the best candidates into alerts: reasons in words, the payments that prove them, a picture of the flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.app.parties import Parties
from greywater.app.peer_groups import PeerReader
from greywater.app.proving import Prover, best_seqs, in_words, shown_seqs
from greywater.app.rule_hits import rule_hits
from greywater.desk.alerts import Alert, build_alert, side_of
from greywater.desk.evidence import Around, EvidenceRow
from greywater.desk.reasons import ReasonWriter
from greywater.desk.reasons_beside import rule_reason, with_payments, with_peers
from greywater.desk.recorded import Recorded
from greywater.desk.rollup import Candidate
from greywater.desk.sentences import Payment
from greywater.detectors.detector import Detector
from greywater.detectors.rows import matrix
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
    for begin, piece, explaining in _pieces(candidates, blocks, detector):
        history = _History.read(ledger, piece, parties, scores)
        seqs, table, contributions = explaining.result()
        values = matrix(table)
        hits = [] if rules is None else rule_hits(rules, table, features)
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
            around, formed = history.up_to(candidate.seq, accounts), best_seqs(findings)
            proofs = in_words(findings, history.rows(shown_seqs(findings)), candidate.seq)
            yield build_alert(
                run_id,
                begin + number + 1,
                candidate,
                (*with_payments(reasons, around, proofs=proofs), *struck),
                history.with_formed(around, formed).choose(reasons, formed=formed),
                accounts=accounts,
                base_currency=base_currency,
                proofs=proofs,
                seeds=parties.seeds_known(candidate.seq, candidate.time_us),
                versions=versions,
            )
        if progress is not None:
            progress.advance(len(piece))


def _pieces(
    candidates: Sequence[Candidate], blocks: FeatureBlocks, detector: Detector
) -> Iterator[tuple[int, Sequence[Candidate], Future[tuple[Int64Array, pa.Table, Float64Array]]]]:
    """The candidates piece by piece: the first one's rank less 1, the piece, and what will be known of its payments.

    That is their seqs, feature rows and contributions. They are worked out in a thread, one piece ahead, while the
    caller words the piece before.
    """

    def explained(begin: int) -> tuple[Int64Array, pa.Table, Float64Array]:
        seqs = _seqs(candidates[begin : begin + PIECE])
        table = blocks.take(np.searchsorted(blocks.seq, seqs).astype(np.int64)).combine_chunks()
        return seqs, table, detector.explain(TableRows(table))

    with ThreadPoolExecutor(1, "greywater-explain") as pool:
        begins = list(range(0, len(candidates), PIECE))
        ahead = [pool.submit(explained, begin) for begin in begins[:1]]
        for number, begin in enumerate(begins):
            ahead += [pool.submit(explained, later) for later in begins[number + 1 : number + 2]]
            yield begin, candidates[begin : begin + PIECE], ahead.pop(0)


def _seqs(candidates: Sequence[Candidate]) -> Int64Array:
    """The payments that raise alerts, increasing, each once."""
    return np.unique(np.array([candidate.seq for candidate in candidates], np.int64))


class _History:
    """The payments of some accounts, found by account, and others that formed patterns with them."""

    def __init__(self, payments: pa.Table) -> None:
        self._payments, self._own = payments, len(payments)
        self._recorded = recorded = Recorded(payments)
        self._code_of = recorded.code_of
        codes = np.concatenate([recorded.sender, recorded.receiver])
        self._order = np.argsort(codes, kind="stable")
        self._begins = np.searchsorted(codes[self._order], np.arange(len(recorded.accounts) + 1))
        self._rows_of: dict[str, Int64Array] = {}
        self._last: tuple[tuple[int, frozenset[str]], Around] | None = None

    @classmethod
    def read(cls, ledger: Ledger, candidates: Sequence[Candidate], parties: Parties, scores: Scores) -> _History:
        """Read the payments of the candidates and of the other parties of the payments that raised them."""
        raising = ledger.take(_seqs(candidates), ["sender", "receiver"])
        wanted = set(raising["sender"].to_pylist()) | set(raising["receiver"].to_pylist())
        for candidate in candidates:
            wanted.update(parties.accounts(candidate.entity, candidate.kind))
        return cls(_scored(ledger.payments_of(sorted(wanted), COLUMNS), scores))

    def payment(self, seq: int) -> Payment:
        """One of the payments that raise alerts."""
        return self._recorded.payment(self._recorded.place(seq))

    def know(self, ledger: Ledger, seqs: Sequence[int], scores: Scores) -> None:
        """Read payments that formed patterns; they may be of parties that no alert is about."""
        missing = np.setdiff1d(np.array(seqs, np.int64), self._recorded.seq)
        if len(missing):
            others = _scored(ledger.take(missing, COLUMNS), scores)
            # Behind the others, so that these keep their places.
            self._recorded = Recorded(pa.concat_tables([self._payments, others]))

    def rows(self, seqs: Sequence[int]) -> dict[int, EvidenceRow]:
        """Payments by seq, as rows of evidence."""
        places = self._recorded.places(np.array(seqs, np.int64))
        return {seq: self._recorded.evidence(place) for seq, place in zip(seqs, places.tolist(), strict=True)}

    def with_formed(self, around: Around, formed: Sequence[int]) -> Around:
        """What an alert may speak of, and the payments of `formed` that are not among it."""
        if not formed:
            return around
        places = self._recorded.places(np.array(formed, np.int64)).tolist()
        more = [place for place in places if not (around.places == place).any()]
        return Around(self._recorded, around.raising_seq, np.append(around.places, more)) if more else around

    def up_to(self, seq: int, accounts: Sequence[str]) -> Around:
        """Payments recorded up to `seq` in which the accounts or the parties of payment `seq` take part."""
        recorded, at = self._recorded, self._recorded.place(seq)
        sides = (recorded.accounts[recorded.sender[at]], recorded.accounts[recorded.receiver[at]])
        key = (seq, frozenset([*sides, *accounts]))
        if self._last is None or self._last[0] != key:
            # Both sides of a payment are often alerted by it, one after the other.
            latest = [
                rows[: np.searchsorted(rows, at, side="right")][-MOST_LOOKED_AT:] for rows in map(self._of, key[1])
            ]
            self._last = key, Around(recorded, seq, _each_once(np.concatenate([[at], *latest])))
        return self._last[1]

    def _of(self, account: str) -> Int64Array:
        """Places, increasing, of the payments of one account."""
        if account not in self._rows_of:
            code = self._code_of.get(account)
            low, high = (0, 0) if code is None else self._begins[code : code + 2]
            self._rows_of[account] = _each_once(self._order[low:high] % max(self._own, 1))
        return self._rows_of[account]


def _scored(payments: pa.Table, scores: Scores) -> pa.Table:
    """Payments with their scores."""
    whole = payments.combine_chunks()
    return whole.append_column("score", pa.array(scores.of(np.asarray(whole["seq"].to_numpy(), np.int64))))


def _each_once(places: Int64Array) -> Int64Array:
    """Increasing, each once."""
    ordered = np.sort(places)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
