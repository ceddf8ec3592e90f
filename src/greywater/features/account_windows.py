"""Windows of an account at any moment: the engine's own bits at each payment, and exact between payments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedValueError, SnapshotError
from greywater.features.dictionary import AccountDictionary
from greywater.features.engine import EngineState
from greywater.features.feature import Feature
from greywater.features.ledger_order import int64, times_in_order
from greywater.features.pair_book import PairBook
from greywater.features.sides import Side
from greywater.features.windows import UNITS, WORDS, WindowPlan
from greywater.kernels.account_windows import HEAD, HELD, copy_held, count_held, take, windows_at
from greywater.kernels.windows import COUNTS, FLOATS, LookBack, Payments
from greywater.vocab import Float64Array, Int64Array

__all__ = ["ACCOUNT_COLUMNS", "AccountWindows", "Taken", "WindowReader", "held_payments"]

#: Columns of the transaction table that are read.
ACCOUNT_COLUMNS = ("seq", "event_time", "sender", "receiver", "base_amount")
START_OF_TIME = -(2**62)
DIRECTIONS = ("out", "in")

#: A payment held of an account: event time in microseconds, base amount in minor units (None = no rate), any name
#: of the counterparty, and whether it was the first ever of its ordered pair.
Held = tuple[int, int | None, int | str, bool]


class WindowReader:
    """The window values of an account, worked out from the payments that are held of it.

    Parameters
    ----------
    plan : WindowPlan
        The windows.

    Examples
    --------
    >>> reader = WindowReader(WindowPlan((3600,), (), 0))
    >>> tail = held_payments(sent=[(0, 500, "b", True), (60_000_000, 700, "b", False)], received=[])
    >>> values, change = reader.values_at(tail, 60_000_000)
    >>> dict(zip(reader.names, values))["out.sum.1h"], change == 3_600_000_000
    (1200.0, True)
    >>> values, change = reader.values_at(tail, change)
    >>> dict(zip(reader.names, values))["out.sum.1h"]
    700.0
    """

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self._look: LookBack = plan.look_back()
        self._windows = len(plan.labels)
        self._none_included = np.zeros(2, np.int64)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What is worked out, in order: counts sent, counts received (int64), measures sent, measures received."""
        return tuple(
            _feature(direction, statistic, label, seconds)
            for statistics in (COUNTS, FLOATS)
            for direction in DIRECTIONS
            for statistic in statistics
            for label, seconds in zip(self.plan.labels, self.plan.seconds, strict=True)
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in that order: `out.count.1h`, ..., `in.max.365d`."""
        return tuple(feature.name for feature in self.features)

    def values_at(
        self, tail: Int64Array, time_us: int, *, horizon_us: int | None = None, included: tuple[int, int] = (0, 0)
    ) -> tuple[list[int | float], int]:
        """The values at a moment, and the next one at which any changes if no payment comes.

        Parameters
        ----------
        tail : int64[2 + 3 n]
            What `held_payments` or a record holds; no payment of it later than `time_us`.
        time_us : int
            The moment, microseconds since 1970.
        horizon_us : int, optional
            H, where the moment is that of a late payment; else nothing that a window reaches is hidden.
        included : (int, int)
            1 where the last payment sent (received) is the one that asks: it is in its own windows however late.

        Returns
        -------
        (list of int and float, int)
            One value a name; NaN = not defined. FAR (2^62) = nothing will change.
        """
        windows = self._windows
        ints, floats = np.empty(6 * windows, np.int64), np.empty(10 * windows, np.float64)
        starts = np.empty(2 * windows, np.int64)
        own = self._none_included if included == (0, 0) else np.array(included, np.int64)
        horizon = time_us if horizon_us is None else horizon_us
        change = windows_at(self._look, tail, time_us, horizon, own, ints, floats, starts)
        return ints.tolist() + floats.tolist(), int(change)


def held_payments(sent: Iterable[Held], received: Iterable[Held]) -> Int64Array:
    """The payments of one account as a record holds them.

    Parameters
    ----------
    sent, received : iterable of (time, amount, counterparty, new)
        In the order they were recorded; sorted by time here, equal times in that order.

    Returns
    -------
    int64[2 + 3 n]
        See kernels/account_windows.py.

    Raises
    ------
    RefusedValueError
        A negative amount.
    """
    numbers: dict[int | str, int] = {}
    sides = [sorted(payments, key=lambda payment: payment[0]) for payments in (sent, received)]
    tail = [len(side) for side in sides]
    for side in sides:
        seen: set[int | str] = set()
        entries: list[tuple[int, int, int]] = []
        for time, amount, counterparty, new in reversed(side):
            if amount is not None and amount < 0:
                raise RefusedValueError(f"the amount {amount} is negative", where=f"payment of {time}")
            number = numbers.setdefault(counterparty, len(numbers))
            entries.append((time, -1 if amount is None else amount, 4 * number + 2 * (counterparty not in seen) + new))
            seen.add(counterparty)
        for entry in reversed(entries):
            tail.extend(entry)
    return np.array(tail, np.int64)


@dataclass(frozen=True)
class Taken:
    """What a block of payments changed.

    Parameters
    ----------
    next_seq : int
        The payment after the block.
    accounts : tuple of str
        Accounts of the bank that sent or received in the block, in order of first appearance.
    event_us, change_us : int64[n]
        Event time of the last payment of each, and the next moment at which a value changes.
    counts, floats : int64[n, 6 W], float64[n, 10 W]
        Values at that event time, in the order of `WindowReader.names`.
    tails : int64[...]
        Payments that a window may still want, account after account.
    begins : int64[n + 1]
        Where in `tails` each begins.
    make_rows : callable
        What makes `rows`.
    """

    next_seq: int
    accounts: tuple[str, ...]
    event_us: Int64Array
    change_us: Int64Array
    counts: Int64Array
    floats: Float64Array
    tails: Int64Array
    begins: Int64Array
    make_rows: Callable[[], pa.Table] = field(repr=False)

    @cached_property
    def rows(self) -> pa.Table:
        """Account, event_time, known_time and the values at each payment, of both parties: the offline group.

        Made when first asked for.
        """
        return self.make_rows()

    @property
    def held(self) -> Int64Array:
        """int64[n], payments held of each."""
        return (np.diff(self.begins) - HEAD) // HELD


@dataclass(frozen=True)
class _Block:
    time: Int64Array
    horizon: Int64Array
    amount: Int64Array
    sender: np.ndarray
    receiver: np.ndarray
    outside: np.ndarray


class AccountWindows:
    """Keeps the windows of all accounts as payments come, in ledger order.

    At payment i the values of its sender are the engine's `sender.out.*` and `sender.in.*` of i, those of its receiver
    `receiver.out.*` and `receiver.in.*`, bit for bit, however the payments are cut into blocks. Where the other party
    is outside the bank the engine scores nothing; the account has its values here all the same.

    Parameters
    ----------
    plan : WindowPlan
        The windows.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self.reader = WindowReader(plan)
        self.plan = plan
        windows = len(plan.labels)
        self._look = plan.look_back()
        self._accounts = AccountDictionary()
        self._pairs = PairBook()
        self._sides = (Side(windows), Side(windows))
        self._next_seq = 0
        self._horizon = START_OF_TIME

    @property
    def next_seq(self) -> int:
        """The sequence number of the next payment to take."""
        return self._next_seq

    def take(self, transactions: pa.RecordBatch | pa.Table) -> Taken:
        """Take the next payments.

        Parameters
        ----------
        transactions : RecordBatch or Table
            ACCOUNT_COLUMNS at least, `known_time` where it is not the event time; `seq` must follow on.

        Raises
        ------
        EngineError
            If a column or a payment is missing, repeated or out of order.
        """
        table = pa.table(transactions) if isinstance(transactions, pa.RecordBatch) else transactions
        block = self._read(table)
        n = len(block.time)
        pair, new = self._pairs.meet(
            block.sender, block.receiver, block.outside, block.time, accounts=len(self._accounts)
        )
        own = [np.where(block.outside[s], -1, (block.sender, block.receiver)[s]).astype(np.int32) for s in (0, 1)]
        sides = []
        for s, side in enumerate(self._sides):
            side.reserve(len(self._accounts), len(self._pairs))
            payments = Payments(
                own[s], own[1 - s], pair, new, block.time, block.horizon, block.amount, np.ones(n, np.uint8)
            )
            sides.append(self._run(side, payments))
        if n:
            self._horizon = int(block.horizon[-1])
        self._next_seq += n
        return self._changed(table, own, sides)

    def snapshot(self) -> EngineState:
        """The state after the last payment; `restore` goes on from there."""
        accounts, pairs = len(self._accounts), len(self._pairs)
        arrays = {f"pairs.{name}": array for name, array in self._pairs.arrays(accounts).items()}
        for direction, side in zip(DIRECTIONS, self._sides, strict=True):
            side.pack(self._horizon - self.plan.hold_us, spare=True)
            arrays |= {f"{direction}.{name}": array for name, array in side.arrays(accounts, pairs).items()}
        arrays |= {f"accounts.{name}": array for name, array in self._accounts.arrays().items()}
        meta = {"next_seq": self._next_seq, "horizon": self._horizon, "plan": self._plan_words}
        return EngineState(meta, {name: array.copy() for name, array in arrays.items()})

    def restore(self, state: EngineState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotError
            If it is of other windows.
        """
        if state.meta.get("plan") != self._plan_words:
            raise SnapshotError(
                f"the snapshot is of the windows {state.meta.get('plan')}, not {self._plan_words}",
                mend="take the ledger in from its beginning",
            )
        parts: dict[str, dict[str, np.ndarray]] = {}
        for name, array in state.arrays.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = array
        self._accounts = AccountDictionary.from_arrays(parts["accounts"])
        self._pairs.load(parts["pairs"])
        for direction, side in zip(DIRECTIONS, self._sides, strict=True):
            side.load(parts[direction])
        self._next_seq, self._horizon = int(state.meta["next_seq"]), int(state.meta["horizon"])

    @property
    def _plan_words(self) -> str:
        return f"{','.join(self.plan.labels)} and {self.plan.allowed_lateness} s of lateness"

    def _read(self, rows: pa.Table) -> _Block:
        time, horizon = times_in_order(rows, ACCOUNT_COLUMNS, self._next_seq, self._horizon)
        sender = self._accounts.encode(rows.column("sender"))
        receiver = self._accounts.encode(rows.column("receiver"))
        external = self._accounts.external
        outside = np.array([external[sender], external[receiver]], np.bool_)
        return _Block(time, horizon, int64(pc.fill_null(rows.column("base_amount"), -1)), sender, receiver, outside)

    def _run(self, side: Side, payments: Payments) -> tuple[Int64Array, Float64Array]:
        n, windows = len(payments.time), len(self.plan.labels)
        ints, floats = np.empty((n, 6 * windows), np.int64), np.empty((n, 10 * windows), np.float64)
        line = np.empty(windows, np.float64), np.empty(windows, np.int64)
        side.run(
            lambda lists, begin: take(lists, self._look, payments, begin, ints, floats, *line),
            payments.horizon,
            self.plan.hold_us,
        )
        return ints, floats

    def _changed(self, table: pa.Table, own: list[np.ndarray], sides: list[tuple[Int64Array, Float64Array]]) -> Taken:
        both = np.stack(own, axis=1).ravel()
        codes, firsts = np.unique(both, return_index=True)
        order = np.argsort(firsts[codes >= 0], kind="stable")
        codes, firsts = codes[codes >= 0][order].astype(np.int64), firsts[codes >= 0][order]
        names = [table.column(name).take(pa.array(firsts[firsts % 2 == s] // 2)) for s, name in enumerate(_PARTIES)]
        accounts = np.empty(len(codes), object)
        for s in (0, 1):
            accounts[firsts % 2 == s] = names[s].to_pylist()
        rows = partial(self._rows, table, own, sides)
        return Taken(self._next_seq, tuple(accounts), *self._laid_out(codes), rows)

    def values_at(self, account: str, time_us: int) -> tuple[list[int | float], int] | None:
        """The values of an account at a moment, and the next one at which any changes if no payment comes.

        Parameters
        ----------
        account : str
        time_us : int
            Microseconds since 1970, not before the account's last payment.

        Returns
        -------
        (list of int and float, int) or None
            As `WindowReader.values_at`; None where no payment of the account was taken.

        Raises
        ------
        RefusedValueError
            The moment is before the account's last payment.
        """
        code = self._accounts.code(account)
        if code is None or self._accounts.external[code]:
            return None
        event, _, _, _, tail, _ = self._laid_out(np.array([code], np.int64))
        if time_us < int(event[0]):
            raise RefusedValueError(
                f"the moment {time_us} is before the account's last payment at {int(event[0])}",
                mend="ask for that moment or a later one; the past is in the offline store",
            )
        return self.reader.values_at(tail, time_us)

    def _laid_out(
        self, codes: Int64Array
    ) -> tuple[Int64Array, Int64Array, Int64Array, Float64Array, Int64Array, Int64Array]:
        """Of accounts: last event, next change, counts, floats, payments that a window may want, where those begin."""
        windows, n = len(self.plan.labels), len(codes)
        events, counts = np.empty(n, np.int64), np.empty((2, n), np.int64)
        sent, received = self._sides[0].lists, self._sides[1].lists
        count_held(sent, received, self._look, codes, self._horizon, events, counts)
        begins = np.concatenate([[0], np.cumsum(HEAD + HELD * counts.sum(axis=0))]).astype(np.int64)
        tails, changes = np.empty(int(begins[-1]), np.int64), np.empty(n, np.int64)
        ints, floats = np.empty((n, 6 * windows), np.int64), np.empty((n, 10 * windows), np.float64)
        scratch = np.zeros(2, np.int64), np.empty(2 * windows, np.int64)
        copy_held(
            sent, received, self._look, codes, self._horizon, events, counts, begins, tails, scratch[0], ints, floats,
            scratch[1], changes,
        )  # fmt: skip
        return events, changes, ints, floats, tails, begins

    def _rows(self, table: pa.Table, own: list[np.ndarray], sides: list[tuple[Int64Array, Float64Array]]) -> pa.Table:
        """Sender, then receiver, of each payment; a party outside the bank has no row, a self-payment one."""
        windows, n = len(self.plan.labels), len(own[0])
        wanted = np.stack([own[0] >= 0, (own[1] >= 0) & (own[1] != own[0])], axis=1).ravel()
        parts: list[np.ndarray] = []
        for kind, width in ((0, 3 * windows), (1, 5 * windows)):
            sent, received = sides[0][kind], sides[1][kind]
            whole = np.empty((n, 2, 2 * width), sent.dtype)
            whole[:, 0, :width], whole[:, 0, width:] = sent[:, :width], received[:, width:]
            whole[:, 1, :width], whole[:, 1, width:] = sent[:, width:], received[:, :width]
            parts += list(whole.reshape(2 * n, 2 * width)[wanted].T)
        places = np.flatnonzero(wanted)
        accounts = pa.concat_arrays([_flat(table.column(name)).cast(pa.string()) for name in _PARTIES])
        known = "known_time" if "known_time" in table.column_names else "event_time"
        moments = [_flat(table.column(name)).cast(pa.timestamp("us", tz="UTC")) for name in ("event_time", known)]
        payment = pa.array(places // 2)
        columns = [
            accounts.take(pa.array(places // 2 + n * (places % 2))),
            *(moment.take(payment) for moment in moments),
        ]
        return pa.table(
            [*columns, *(pa.array(part) for part in parts)],
            names=["account", "event_time", "known_time", *self.reader.names],
        )


_PARTIES = ("sender", "receiver")


def _flat(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole


def _feature(direction: str, statistic: str, label: str, seconds: int) -> Feature:
    verb, verb_with = ("sent", "paid") if direction == "out" else ("received", "paying it")
    return Feature(
        name=f"{direction}.{statistic}.{label}",
        entity="sender" if direction == "out" else "receiver",
        dtype="int64" if statistic in COUNTS else "float64",
        unit=UNITS.get(statistic, "minor units"),
        description=f"{WORDS[statistic].format(verb=verb, verb_with=verb_with)} in the last {label}",
        family="window",
        parameters={"direction": direction, "statistic": statistic, "window": seconds, "label": label},
    )
