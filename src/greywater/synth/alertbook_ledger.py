"""The two tables of an alert book from recorded payments and the alerts that another system raised on them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import EmptyInputError, RefusedValueError, UsageError
from greywater.synth.alertbook_tables import DAY, KINDS, AlertTables
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array

__all__ = ["LEDGER_COLUMNS", "LedgerAlerts", "balanced", "from_ledger"]

#: Columns of the transaction table that are read.
LEDGER_COLUMNS: Final = (
    "event_time", "sender", "receiver", "currency", "received_currency", "base_amount", "channel",
)  # fmt: skip
# Of the other channels a payment is international where its two currencies differ; the rest (cheques, app payments,
# transfers) are wires.
_CARDS: Final = ("card", "credit_card", "debit_card")
_CASH: Final = ("cash",)

_SECOND_US: Final = 1_000_000
#: Share of all sizes that the one lower clip touches.
_CLIPPED: Final = 0.001
#: Targets of the stratified bootstrap: share of one sex, and of high risk.
_SEX_SHARE: Final = 0.5
_HIGH_RISK_SHARE: Final = 0.1


@dataclass(frozen=True)
class LedgerAlerts:
    """Alerts with an outcome.

    Parameters
    ----------
    customer : sequence of str
        Customer, or account, of each alert.
    moment_us : int64[a]
        When each was raised, microseconds since 1970.
    reported : bool[a]
        Whether it was reported.
    """

    customer: Sequence[str]
    moment_us: Int64Array
    reported: NDArray[np.bool_]


@dataclass(frozen=True)
class _Flows:
    """What customers sent and received, in order of customer and time; `begin` has one more entry than customers."""

    begin: Int64Array
    time_us: Int64Array
    cell: NDArray[np.int8]
    amount: Float64Array


def from_ledger(
    alerts: LedgerAlerts,
    payments: pa.Table,
    accounts_of: Mapping[str, Sequence[str]],
    *,
    private: Mapping[str, bool] | None = None,
    days: int = 365,
    private_only: bool = True,
    epsilon: float | None = None,
    minor_units: int = 100,
) -> AlertTables:
    """Build the two tables from a ledger.

    A payment that a customer sends is a credit (money leaving), one received a debit; payments between accounts of
    one customer are left out. Sizes are ln(amount + epsilon), clipped from below at one bound for all, standardised.

    Parameters
    ----------
    alerts : LedgerAlerts
        Alerts with outcomes.
    payments : pa.Table
        LEDGER_COLUMNS, of the customers' accounts, in any order.
    accounts_of : mapping of str to accounts
        Accounts of customers; a name that is not there is an account itself.
    private : mapping of str to bool, optional
        Which customers are private persons.
    days : int
        How far back from an alert its transactions reach.
    private_only : bool
        Leave out the alerts of all who are not known to be private persons.
    epsilon : float, optional
        Above 1. Drawn from the operating system where left out, and told to nobody: without it amounts cannot be
        worked back from sizes.
    minor_units : int
        Minor units of the base currency in one major unit.

    Returns
    -------
    AlertTables
        Only alerts that have transactions.

    Raises
    ------
    UsageError
        `days` is below 1, `epsilon` not above 1, or nobody is known to be private though only they are wanted.
    EmptyInputError
        No alert has a transaction.
    """
    if days < 1:
        raise UsageError(f"{days} days of history hold nothing", where="days", mend="give at least 1")
    if epsilon is None:
        epsilon = 1 + (1 + secrets.randbelow(1 << 30)) / (1 << 28)
    if epsilon <= 1:
        raise UsageError("epsilon is not above 1", where="epsilon", mend="leave it out: it is drawn")
    kept = np.arange(len(alerts.customer))
    if private_only:
        if private is None or not any(private.values()):
            mend = "record customers with their kind (person), or take the alerts of all customers"
            raise UsageError("no customer is known to be a private person", where="private_only", mend=mend)
        kept = np.flatnonzero([private.get(name, False) for name in alerts.customer])
    names = list(dict.fromkeys(alerts.customer[place] for place in kept.tolist()))
    flows = _flows(payments, {name: accounts_of.get(name, (name,)) for name in names})
    number = {name: place for place, name in enumerate(names)}
    customer = np.array([number[alerts.customer[place]] for place in kept.tolist()], np.int64)
    alert, rows = _histories(flows, customer, alerts.moment_us[kept], days)
    if not len(rows):
        mend = "record payments of the alerts' customers, dated before the alerts"
        raise EmptyInputError("no alert has a transaction in its history", mend=mend)
    some, place = np.unique(alert, return_inverse=True)
    amount = flows.amount[rows] / minor_units
    return AlertTables(
        day=alerts.moment_us[kept][some] // (_SECOND_US * DAY), reported=alerts.reported[kept][some],
        alert=place.astype(np.int32), seconds=flows.time_us[rows] // _SECOND_US, cell=flows.cell[rows],
        size=_sizes(amount, epsilon),
    )  # fmt: skip


def _flows(payments: pa.Table, accounts: Mapping[str, Sequence[str]]) -> _Flows:
    owner = {account: place for place, held in enumerate(accounts.values()) for account in held}
    known = payments.filter(pc.is_valid(payments["base_amount"]))
    names, owners = pa.array(list(owner), pa.string()), np.array([*owner.values(), -1], np.int64)
    sender, receiver = (
        owners[pc.fill_null(pc.index_in(known[side], value_set=names), len(owner)).to_numpy()]
        for side in ("sender", "receiver")
    )
    time = known["event_time"].cast(pa.int64()).to_numpy()
    amount = known["base_amount"].to_numpy().astype(np.float64)
    kind = _kinds(known)
    between = sender != receiver
    out, into = np.flatnonzero(between & (sender >= 0)), np.flatnonzero(between & (receiver >= 0))
    customer, rows = np.concatenate([sender[out], receiver[into]]), np.concatenate([out, into])
    entry = np.repeat(np.array([0, len(KINDS)], np.int8), [len(out), len(into)])
    order = np.lexsort((rows, time[rows], customer))
    rows, entry = rows[order], entry[order]
    begin = np.searchsorted(customer[order], np.arange(len(accounts) + 1))
    return _Flows(begin.astype(np.int64), time[rows], kind[rows] + entry, amount[rows])


def _kinds(payments: pa.Table) -> NDArray[np.int8]:
    """Type of each payment, a position in KINDS."""
    kind = np.full(payments.num_rows, KINDS.index("Wire"), np.int8)
    abroad = pc.not_equal(payments["currency"], payments["received_currency"]).to_numpy()
    for name, words in (("Card", _CARDS), ("Cash", _CASH)):
        of_it = pc.is_in(payments["channel"], value_set=pa.array(words)).to_numpy()
        kind[of_it] = KINDS.index(name)
    kind[abroad & (kind == KINDS.index("Wire"))] = KINDS.index("International")
    return kind


def _histories(flows: _Flows, customer: Int64Array, moment_us: Int64Array, days: int) -> tuple[Int64Array, Int64Array]:
    """Alert and row of each transaction of each alert."""
    first, last = np.empty(len(customer), np.int64), np.empty(len(customer), np.int64)
    for place, (who, moment) in enumerate(zip(customer.tolist(), moment_us.tolist(), strict=True)):
        begin, end = flows.begin[who], flows.begin[who + 1]
        reach = [moment - days * DAY * _SECOND_US, moment]
        first[place], last[place] = begin + np.searchsorted(flows.time_us[begin:end], reach, side="right")
    count = last - first
    alert = np.repeat(np.arange(len(customer)), count)
    return alert, np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)


def _sizes(amount: Float64Array, epsilon: float) -> Float64Array:
    size = np.log(amount + epsilon)
    size = np.maximum(size, np.quantile(size, _CLIPPED))
    spread = float(size.std())
    standard: Float64Array = (size - size.mean()) / (spread if spread > 0 else 1.0)
    return standard


def balanced(tables: AlertTables, sex: Sequence[str], high_risk: Sequence[bool], seed: int = 0) -> AlertTables:
    """A stratified bootstrap: as many alerts, half of each sex, one in ten of high risk.

    Parameters
    ----------
    tables : AlertTables
        The two tables.
    sex, high_risk : sequences, an entry an alert
        Two words for the sexes; "" where it is not known, and the alert is left out.
    seed : int
        Of the random numbers.

    Raises
    ------
    RefusedValueError
        Not two sexes, or nobody in one of the four strata.
    """
    words = sorted({word for word in sex if word})
    if len(words) != 2:
        mend = "give two words, one a sex, and leave out who is neither"
        raise RefusedValueError(f"{len(words)} sexes cannot be balanced", where="sex", mend=mend)
    random = stream(seed, "alertbook", "balanced")
    alerts, chosen = len(tables.day), []
    risk = np.asarray(high_risk, np.bool_)
    for word, share in zip(words, (_SEX_SHARE, 1 - _SEX_SHARE), strict=True):
        for high, part in ((True, _HIGH_RISK_SHARE), (False, 1 - _HIGH_RISK_SHARE)):
            among = np.flatnonzero((np.asarray(sex) == word) & (risk == high))
            wanted = round(alerts * share * part)
            if wanted and not len(among):
                text = f"no alert is of {word} and {'high' if high else 'ordinary'} risk"
                raise RefusedValueError(text, mend="give alerts of all four strata, or do not balance them")
            chosen.append(random.choice(among, wanted))
    picked = np.sort(np.concatenate(chosen))
    order = np.argsort(tables.alert, kind="stable")
    count = np.bincount(tables.alert, minlength=alerts)
    begin = np.cumsum(count) - count
    per = count[picked]
    rows = order[np.arange(int(per.sum())) - np.repeat(np.cumsum(per) - per, per) + np.repeat(begin[picked], per)]
    return AlertTables(
        tables.day[picked], tables.reported[picked], np.repeat(np.arange(len(picked)), per).astype(np.int32),
        tables.seconds[rows], tables.cell[rows], tables.size[rows],
    )  # fmt: skip
