"""Evidence in a stream of payments: by their ids, or by how many payments were taken in before them."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from greywater.errors import RefusedTypeError, RefusedValueError
from greywater.features.account_names import AccountNames
from greywater.features.evidence import Evidence
from greywater.features.first_values import FirstValues
from greywater.features.graph_evidence import DEFAULT_VISITS, find_evidence, part_of
from greywater.features.graph_state import GraphState
from greywater.features.graph_view import GraphView
from greywater.features.payment_values import digests
from greywater.features.payment_view import Account

__all__ = ["StreamParts"]


@dataclass(frozen=True)
class StreamParts:
    """What a stream holds, as far as evidence needs it.

    Parameters
    ----------
    graph : GraphState
        The payments.
    names : AccountNames or None
        Of accounts that are named by text; None where the graph has the accounts' own numbers.
    first : FirstValues or None
        Ids of the payments; None where every row is new.
    text_ids : bool
        True where ids are text, of which only digests are held.
    """

    graph: GraphState
    names: AccountNames | None
    first: FirstValues | None
    text_ids: bool

    def evidence(
        self, tx_id: Any, pattern: str, window: int | None, *, limit: int, visits: int = DEFAULT_VISITS
    ) -> Evidence:
        """The payments that form a pattern of a held payment.

        Parameters
        ----------
        tx_id : str or int
            The payment's id where there are ids; else how many payments were taken in before it.
        pattern : str
            One of `greywater.features.graph_evidence.PATTERNS_WITH_EVIDENCE`.
        window : int or None
            Seconds; one of the plan's, None = the longest.
        limit, visits : int
            As for `find_evidence`.

        Returns
        -------
        Evidence
            `number` counts the payments taken in; `tx_id` is set where ids are numbers, and of the payment asked for.

        Raises
        ------
        RefusedValueError, RefusedTypeError
            If no payment of this id was taken in.
        UsageError
            If the pattern or the window is not in the plan.
        EngineError
            If the payment or what it saw is no longer held.
        """
        part = part_of(self.graph.plan, pattern, window)
        number = self._number(tx_id)
        found = find_evidence(GraphView(self.graph, number, part.look_back), part, limit=limit, visits=visits)
        ids: dict[int, Account] = {}
        if self.first is not None and not self.text_ids:
            ids |= self.first.ids_of(np.array(found.numbers, np.int64))
        if self.first is not None:
            ids[number] = tx_id if isinstance(tx_id, str) else operator.index(tx_id)
        names = {} if self.names is None else self.names.by_number
        return found.named(lambda account: names.get(int(account), account), ids.get)

    def _number(self, tx_id: Any) -> int:
        if self.first is None:
            return _whole(tx_id, "without an id_column a payment is named by how many were taken in before it")
        if self.text_ids is not isinstance(tx_id, str):
            raise _other_kind(tx_id, f"ids are {'text' if self.text_ids else 'whole numbers'}")
        words = digests([tx_id]) if self.text_ids else (np.array([_whole(tx_id, "")]), np.zeros(1, np.int64))
        number = self.first.place_of(*words)
        if number < 0:
            raise RefusedValueError(
                f"no payment of id {tx_id!r} was taken in", where="tx_id", mend="give the id of a payment taken in"
            )
        return number


def _whole(value: Any, why: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise _other_kind(value, why) from None
    if not -(2**63) <= number < 2**63:
        raise RefusedValueError(f"{number} is beyond 64 bits", where="tx_id", mend="give the id as it was taken in")
    return number


def _other_kind(value: Any, why: str) -> RefusedTypeError:
    return RefusedTypeError(f"{value!r} names no payment: {why}", where="tx_id", mend="give it as it was taken in")
