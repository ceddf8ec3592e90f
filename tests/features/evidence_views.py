"""Both ways to look back from a payment, over the same made payments: an index of them all, and a live graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from greywater.errors import EngineError
from greywater.features.evidence import Evidence
from greywater.features.graph import GraphPlan
from greywater.features.graph_evidence import find_evidence, part_of
from greywater.features.graph_state import GraphState
from greywater.features.graph_view import GraphView
from greywater.features.payment_view import IndexView, PaymentIndex
from tests.features.graph_payments import Columns, as_arrays
from tests.naive_graph import Payment, is_outside

SECOND = 1_000_000


def index_of(payments: Sequence[Payment]) -> tuple[PaymentIndex, list[str]]:
    """An index of all payments, and the accounts' names by code."""
    names = sorted({name for payment in payments for name in (payment.sender, payment.receiver)})
    code = {name: place for place, name in enumerate(names)}
    index = PaymentIndex(
        np.arange(len(payments)),
        np.array([payment.time for payment in payments], np.int64),
        np.array([code[payment.sender] for payment in payments], np.int32),
        np.array([code[payment.receiver] for payment in payments], np.int32),
        np.array([-1 if payment.amount is None else payment.amount for payment in payments], np.int64),
        np.array([is_outside(name) for name in names], np.bool_),
    )
    return index, names


def index_view(index: PaymentIndex, payments: Sequence[Payment], i: int, plan: GraphPlan, look_back: int) -> IndexView:
    """What payment i sees of the index."""
    horizon = max(payment.time for payment in payments[: i + 1])
    return index.view(i, max(payments[i].time - look_back * SECOND, horizon - plan.hold_us))


def evidence_of_all(
    payments: Sequence[Payment], plan: GraphPlan, pattern: str, window: int, **bounds: int
) -> list[Evidence]:
    """The evidence of every payment, read from an index of all of them, later ones included."""
    return _evidence(payments, range(len(payments)), plan, pattern, window, bounds)


def evidence_of_last(
    payments: Sequence[Payment], plan: GraphPlan, pattern: str, window: int, **bounds: int
) -> Evidence:
    """The evidence of the last payment."""
    return _evidence(payments, range(len(payments) - 1, len(payments)), plan, pattern, window, bounds)[0]


def _evidence(
    payments: Sequence[Payment], rows: range, plan: GraphPlan, pattern: str, window: int, bounds: dict[str, int]
) -> list[Evidence]:
    index, names = index_of(payments)
    part = part_of(plan, pattern, window)
    found = [find_evidence(index_view(index, payments, i, plan, part.look_back), part, **bounds) for i in rows]
    return [evidence.named(lambda code: names[int(code)], lambda number: f"t{number}") for evidence in found]


def live_evidence(
    payments: Sequence[Payment], plan: GraphPlan, pattern: str, window: int, ask_after: int = 0, **bounds: int
) -> dict[int, Evidence]:
    """The evidence of each payment from a live graph, asked `ask_after` payments later, where the graph can tell."""
    arrays = as_arrays(payments)
    names = dict(zip(arrays.senders.tolist(), (payment.sender for payment in payments), strict=True))
    names |= dict(zip(arrays.receivers.tolist(), (payment.receiver for payment in payments), strict=True))
    state = GraphState(plan, threads=1)
    part = part_of(plan, pattern, window)
    found = {}
    for k in range(len(payments)):
        state.append(*(column[k : k + 1] for column in arrays[:5]))
        i = k - ask_after
        if i < 0 or payments[i].sender == payments[i].receiver or not arrays.keep[i]:
            continue
        view = _view(state, i, part.look_back)
        if view is not None:
            found[i] = find_evidence(view, part, **bounds).named(
                lambda number: names[int(number)], lambda number: f"t{number}"
            )
    return found


def _view(state: GraphState, number: int, look_back: int) -> GraphView | None:
    try:
        return GraphView(state, number, look_back)
    except EngineError:
        return None


def unlike_columns(evidence: Evidence, columns: Columns) -> list[str]:
    """Where the evidence's columns are not the feature columns of its payment."""
    wrong = []
    for name, value in evidence.columns.items():
        column = float(columns[name][evidence.number])
        if value != column and not (math.isnan(value) and math.isnan(column)):
            wrong.append(f"payment {evidence.number}: {name} is {column}, the evidence says {value}")
    return wrong
