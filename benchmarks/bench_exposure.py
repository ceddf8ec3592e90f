"""What exposure costs a payment, beside networkx for the distances, and what one column of it tells of laundering.

Run: python benchmarks/bench_exposure.py [amlsim_medium | amlgentex_small]. Every party of a payment labelled laundering
counts as known 30 days after it. Times are CPU time of one thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import networkx as nx
import numpy as np
import pyarrow as pa
from sklearn.metrics import average_precision_score

from graph_sets import DAY_US, PaymentSet, amlgentex, amlsim
from greywater.features.exposure import ExposurePlan, KnownLaunderers
from greywater.features.exposure_columns import ExposureColumns
from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_state import GraphState
from greywater.kernels.temporal_graph import KEEP_IN, KEEP_OUT

SETS = {"amlsim_medium": amlsim, "amlgentex_small": amlgentex}
DAY = 86_400
PLAN = ExposurePlan((7 * DAY, 30 * DAY))
BLOCK, SAMPLE = 32_768, 40
Columns = Mapping[str, np.ndarray]


def codes_of(payments: PaymentSet) -> tuple[np.ndarray, np.ndarray]:
    """Sender and receiver, 0 = outside the bank."""
    return np.maximum(payments.sender + 1, 0), np.maximum(payments.receiver + 1, 0)


def known_of(payments: PaymentSet) -> KnownLaunderers:
    """The bank's own parties of labelled payments, from their first label on."""
    horizon = np.maximum.accumulate(payments.time)
    rows: dict[int, tuple[str, int, int, int, bool]] = {}
    for seq in np.flatnonzero(payments.label).tolist():
        since = int(payments.time[seq]) + 30 * DAY_US
        after = max(int(np.searchsorted(horizon, since, side="right")) - 1, seq)
        for code in (int(side[seq]) for side in codes_of(payments)):
            if code:
                rows.setdefault(code, (str(code), seq, since, after, True))
    return KnownLaunderers.of(list(rows.values()))


def run(
    payments: PaymentSet, known: KnownLaunderers, *, follow: bool = True, plan: ExposurePlan = PLAN
) -> tuple[float, Columns]:
    """CPU seconds, and the columns of all payments."""
    graph = GraphState(GraphPlan((PatternPlan("fan", (60,)),), 7 * DAY, plan.look_back), threads=1)
    exposure = ExposureColumns(plan)
    if follow:
        graph.follow(exposure.take)
    sender, receiver = codes_of(payments)
    external = np.arange(int(max(sender.max(), receiver.max())) + 1) == 0
    exposure.know(np.array([int(code) for code in known.account.to_pylist()], np.int64), known, 0)
    keep = (np.where(sender == 0, 0, KEEP_OUT) + np.where(receiver == 0, 0, KEEP_IN)).astype(np.uint8)
    parts: list[list[np.ndarray]] = []
    begun = time.process_time()
    for begin in range(0, len(payments), BLOCK):
        part = slice(begin, begin + BLOCK)
        if follow:
            exposure.begin(begin, payments.scored[part], external)
        graph.append(sender[part], receiver[part], payments.time[part], payments.amount[part], keep[part])
        if follow:
            parts.append([column.copy() for column in exposure.columns()])
    seconds = time.process_time() - begun
    whole = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return seconds, dict(zip((feature.name for feature in plan.features), whole, strict=False))


def peer(payments: PaymentSet, known: KnownLaunderers, found: Columns) -> tuple[float, int]:
    """Seconds a payment that networkx takes for the four distances over 30 days in a graph that is there already, and
    how many of them differ."""
    sender, receiver = codes_of(payments)
    seconds, wrong = 0.0, 0
    scored = np.flatnonzero(payments.scored)
    chosen = np.random.default_rng(1).choice(scored[len(scored) // 2 :], SAMPLE, replace=False)
    for seq in np.sort(chosen).tolist():
        now = int(payments.time[seq])
        seen = np.flatnonzero(payments.time[: seq + 1] > now - 30 * DAY_US)
        graph = nx.DiGraph(zip(sender[seen].tolist(), receiver[seen].tolist(), strict=True))
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        graph.remove_nodes_from([0])
        seen_now = (known.after_seq < seq) & (known.known_since_us <= now)
        guilty = {int(code) for code in known.account.filter(pa.array(seen_now)).to_pylist()}
        back = graph.reverse()
        begun = time.process_time()
        for role, account in (("sender", int(sender[seq])), ("receiver", int(receiver[seq]))):
            for direction, ways in (("out", graph), ("in", back)):
                reached = nx.single_source_shortest_path_length(ways, account, cutoff=3)
                nearest = min((hops for other, hops in reached.items() if other in guilty), default=4)
                wrong += nearest != found[f"{role}.{direction}.exposed_distance.30d"][seq]
        seconds += time.process_time() - begun
    return seconds / SAMPLE, wrong


def main() -> None:
    """Print the lines."""
    for name in sys.argv[1:] or SETS:
        payments = SETS[name]()
        known = known_of(payments)
        for follow in (True, False):
            run(payments.rows(slice(0, 1_000)), KnownLaunderers.nobody(), follow=follow)
        plain, _ = run(payments, known, follow=False)
        nobody, _ = run(payments, KnownLaunderers.nobody())
        every, found = run(payments, known)
        n = len(payments)
        theirs, wrong = peer(payments, known, found)
        ours = (every - plain) / n
        print(f"{name}: {n:,} payments, {len(known):,} accounts known in the end")
        print(
            f"  nobody known {1e6 * (nobody - plain) / n:.2f} us a payment, all labels {1e6 * ours:.2f} us, 48 columns"
        )
        print(
            f"  networkx, 4 of the columns: {1e6 * theirs:,.0f} us, {theirs / ours:,.0f} times as long; {wrong} differ"
        )
        for hops in (2, 3):
            farther, reached = run(payments, known, plan=replace(PLAN, hops=hops))
            cut = int(sum(reached[f"exposure.truncated.{window}"].sum() for window in ("7d", "30d")))
            print(f"  counts and flow up to {hops} payments away: {1e6 * (farther - plain) / n:.2f} us, {cut} cut")
            found = {**found, **reached} if not cut else found
        print(f"  searches cut: {int(sum(found[f'exposure.truncated.{window}'].sum() for window in ('7d', '30d')))}")
        last = np.flatnonzero(payments.scored)[int(payments.scored.sum() * 0.8) :]
        label = payments.label[last]
        best = {
            column: average_precision_score(
                label, np.nan_to_num(-values[last] if "distance" in column else values[last])
            )
            for column, values in found.items()
            if "since_last" not in column
        }
        top = max(best, key=lambda column: best[column])
        print(f"  last fifth: {label.mean():.4f} laundering; {top} alone has an average precision of {best[top]:.4f}")
        near = (found["sender.known_launderer"] | found["receiver.known_launderer"])[last] == 1
        print(f"  a party is known in {near[label == 1].mean():.0%} of the laundering, in {near.mean():.0%} of all")


if __name__ == "__main__":
    main()
