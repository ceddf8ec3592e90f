"""Columns of a source to payments: every row becomes a payment, is skipped, or is set aside with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.formats.identity import transaction_ids
from greywater.formats.layout import Column, Layout
from greywater.formats.money import AMOUNT_REASONS, BALANCE_REASONS, Money, balances, minor_units
from greywater.formats.tabular import BadRow, RawChunk
from greywater.formats.text import as_text, map_codes, shorten
from greywater.formats.times import TIME_REASONS, Times, read_times
from greywater.vocab import (
    CHANNELS,
    CURRENCY_EXPONENTS,
    EXTERNAL_PREFIX,
    PARSED_SCHEMA,
    REJECTED_SCHEMA,
    Int64Array,
    ParsedChunk,
    currency_exponent,
)

__all__ = ["Assembled", "assemble"]

_ISO_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Assembled:
    """A chunk made of a raw chunk, and how many of its payments had times without and with a zone."""

    chunk: ParsedChunk
    naive: int
    zoned: int


@dataclass(frozen=True)
class _Currencies:
    """Currency of each row: codes and exponents."""

    codes: pa.Array
    exponents: int | Int64Array


def assemble(layout: Layout, raw: RawChunk, name: str) -> Assembled:
    """Make payments of a raw chunk.

    Parameters
    ----------
    layout : Layout
        Which column says what.
    raw : RawChunk
        Columns and row numbers.
    name : str
        Base name of the file, for rejected rows and ids.
    """
    desk = _Assembly(layout, raw, name)
    times = desk.times()
    parties = desk.parties()
    paid_in = desk.currency("currency", layout.places.currency)
    money = desk.money("amount", layout.places.amount, paid_in)
    received = desk.received(money, paid_in)
    columns: dict[str, pa.Array] = {
        "row": pa.array(raw.rows),
        "tx_id": desk.ids(),
        "event_time": pa.array(times.value).cast(PARSED_SCHEMA.field("event_time").type),
        **parties,
        "amount": pa.array(money.value),
        "currency": paid_in.codes,
        **received.columns,
        "channel": desk.channel(),
        "reference": _blank_to_null(desk.text(layout.places.reference)),
        "sender_balance": desk.balance(layout.places.sender_balance, paid_in),
        "receiver_balance": desk.balance(layout.places.receiver_balance, received.currencies),
        "label": desk.label(),
        "typology": _blank_to_null(desk.text(layout.places.typology)),
    }
    good = ~desk.settled
    table = pa.table(columns)
    if not good.all():
        table = table.filter(pa.array(good))
    table = desk.with_typologies(table, good)
    if not layout.places.tx_id:
        table = table.set_column(1, "tx_id", transaction_ids(name, table))
    chunk = ParsedChunk(
        payments=table.cast(PARSED_SCHEMA),
        rejected=desk.rejected(),
        skipped=desk.skipped,
        rounded=int(((money.rounded | received.rounded) & good).sum()),
    )
    return Assembled(chunk, int((times.naive & good).sum()), int((times.zoned & good).sum()))


@dataclass(frozen=True)
class _Received:
    columns: dict[str, pa.Array]
    rounded: Mask
    currencies: _Currencies


class _Assembly:
    """One raw chunk on its way: remembers which rows are settled, that is skipped or set aside."""

    def __init__(self, layout: Layout, raw: RawChunk, name: str) -> None:
        self.layout = layout
        self.raw = raw
        self.name = name
        self.rows = len(raw.rows)
        self.settled: Mask = np.zeros(self.rows, dtype=np.bool_)
        self.bad: list[BadRow] = list(raw.bad)
        self.skipped = 0
        self._encoded: dict[str, tuple[list[str | None], NDArray[np.intp]]] = {}
        if layout.skip_column:
            self._skip(layout.skip_column, layout.skip_values)

    def _skip(self, column: str, values: frozenset[str]) -> None:
        names, codes = self._codes(column)
        self.settled = np.array([name in values for name in names], dtype=np.bool_)[codes]
        self.skipped = int(self.settled.sum())

    def _codes(self, column: str) -> tuple[list[str | None], NDArray[np.intp]]:
        """Distinct texts of a column and the place of each row's among them; found once."""
        if column not in self._encoded:
            self._encoded[column] = map_codes(self.raw.columns[column])
        return self._encoded[column]

    def column(self, place: Column) -> pa.Array:
        """The values of a place as they stand in the source."""
        if place.name:
            return self.raw.columns[place.name]
        if place.constant is None:
            return pa.nulls(self.rows, pa.string())
        return pa.repeat(pa.scalar(place.constant), self.rows)

    def text(self, place: Column) -> pa.Array:
        """The values of a place as trimmed text."""
        if not place.name:
            return self.column(place)
        return as_text(self.raw.columns[place.name])

    def reject(self, mask: Mask, place: Column, reason: str, found: str, mend: str) -> None:
        """Set rows aside, unless they are settled already."""
        mask = mask & ~self.settled
        if not mask.any():
            return
        self.settled |= mask
        positions = np.flatnonzero(mask)
        values = as_text(self.column(place).take(pa.array(positions))).to_pylist()
        name = place.name or "(constant)"
        for row, value in zip(self.raw.rows[positions].tolist(), values, strict=True):
            text = None if value is None else shorten(value)
            shown = "" if not text else f" {text!r}"
            message = f"{found}:{shown} in column {name!r} ({self.name}, row {row}). To mend: {mend}."
            self.bad.append(BadRow(row, name, text, reason, message))

    def times(self) -> Times:
        """Event times."""
        place = self.layout.places.event_time
        times = read_times(self.column(place), self.layout.time)
        self._refuse(times.verdict, TIME_REASONS, place)
        return times

    def _refuse(self, verdict: NDArray[np.uint8], reasons: Mapping[int, tuple[str, str, str]], place: Column) -> None:
        if not verdict.any():
            return
        for code, (reason, found, mend) in reasons.items():
            self.reject(verdict == code, place, reason, found, mend)

    def parties(self) -> dict[str, pa.Array]:
        """Sender and receiver with their banks."""
        layout = self.layout
        sender, sender_bank = self._party(layout.places.sender, layout.places.sender_bank)
        receiver, receiver_bank = self._party(layout.places.receiver, layout.places.receiver_bank)
        return {"sender": sender, "receiver": receiver, "sender_bank": sender_bank, "receiver_bank": receiver_bank}

    def _party(self, place: Column, bank_place: Column) -> tuple[pa.Array, pa.Array]:
        rule = self.layout.party
        account = self._required(place, "party_missing", "the account is missing", "name both parties of every payment")
        bank = _blank_to_null(self.text(bank_place))
        if rule.strip_bank_zeros:
            stripped = pc.utf8_ltrim(bank, "0")
            bank = pc.if_else(pc.equal(stripped, ""), pc.if_else(pc.equal(bank, ""), bank, "0"), stripped)
        if rule.bank_qualified:
            mend = "name the bank of every account, as accounts are told apart by it"
            self.reject(np.asarray(bank.is_null()), bank_place, "party_missing", "the bank is missing", mend)
            account = pc.binary_join_element_wise(pc.fill_null(bank, ""), account, ":")
        outside = [pc.starts_with(account, prefix) for prefix in rule.external_prefixes]
        if rule.external_values:
            outside.append(pc.is_in(account, value_set=pa.array(rule.external_values)))
        for mask in outside:
            account = pc.if_else(mask, pc.binary_join_element_wise(EXTERNAL_PREFIX, account, ""), account)
        return account, bank

    def _required(self, place: Column, reason: str, found: str, mend: str) -> pa.Array:
        """Text that no payment lacks."""
        text = pc.fill_null(self.text(place), "")
        self.reject(np.asarray(pc.equal(text, "")), place, reason, found, mend)
        return text

    def ids(self) -> pa.Array:
        """Ids of the source; blanks where they are made later."""
        if not self.layout.places.tx_id:
            return pa.repeat(pa.scalar(""), self.rows)
        mend = "give every payment an id, or leave the id column out and ids are made"
        return self._required(self.layout.places.tx_id, "id_missing", "the id is missing", mend)

    def currency(self, what: str, place: Column, *, optional: bool = False) -> _Currencies:
        """Currency codes and exponents; blanks stay null where they are optional."""
        if not place.name:
            code = place.constant or "XXX"
            return _Currencies(pa.repeat(pa.scalar(code), self.rows), currency_exponent(code))
        names, codes = self._codes(place.name)
        found = [_currency_code(name, self.layout.currencies) for name in names]
        missing = np.array([not name for name in names], dtype=np.bool_)
        unknown = np.array([code is None for code in found], dtype=np.bool_) & ~missing
        if not optional:
            mend = "give the currency of every payment, or one for all in a mapping file"
            self.reject(missing[codes], place, "currency_missing", f"the {what} is missing", mend)
        mend = "write the ISO 4217 code, or map the name to its code in a mapping file"
        self.reject(unknown[codes], place, "currency_unknown", f"the {what} is not known", mend)
        exponents = np.array([currency_exponent(code or "") for code in found], dtype=np.int64)
        return _Currencies(pa.array(found, pa.string()).take(pa.array(codes)), exponents[codes])

    def money(self, what: str, place: Column, currencies: _Currencies, within: Mask | None = None) -> Money:
        """Amounts in minor units; only rows of `within` can be refused."""
        money = minor_units(self.column(place), currencies.exponents, self.layout.money)
        verdict = money.verdict if within is None else np.where(within, money.verdict, 0).astype(np.uint8)
        self._refuse(verdict, AMOUNT_REASONS, place)
        return money

    def received(self, paid: Money, paid_in: _Currencies) -> _Received:
        """What arrived; the same as what was paid where the source does not say."""
        layout = self.layout
        none = np.zeros(self.rows, dtype=np.bool_)
        if not layout.places.received_amount and not layout.places.received_currency:
            same = {"received_amount": pa.array(paid.value), "received_currency": paid_in.codes}
            return _Received(same, none, paid_in)
        currencies = paid_in
        differs = none
        if layout.places.received_currency:
            named = self.currency("received currency", layout.places.received_currency, optional=True)
            codes = pc.coalesce(named.codes, paid_in.codes)
            exponents = np.where(np.asarray(named.codes.is_null()), paid_in.exponents, named.exponents)
            currencies = _Currencies(codes, exponents.astype(np.int64))
            differs = np.asarray(pc.fill_null(pc.not_equal(codes, paid_in.codes), False))
        place = layout.places.received_amount
        given = none if not place else np.asarray(pc.fill_null(pc.not_equal(self.text(place), ""), False))
        money = self.money("received amount", place, currencies, given | differs)
        value = np.where(given, money.value, paid.value)
        columns = {"received_amount": pa.array(value), "received_currency": currencies.codes}
        return _Received(columns, money.rounded & given, currencies)

    def balance(self, place: Column, currencies: _Currencies) -> pa.Array:
        """What was on an account before the payment, in minor units of the currency given; null = not known."""
        if not place.name:
            return pa.nulls(self.rows, pa.int64())
        found = balances(self.column(place), currencies.exponents, self.layout.money)
        self._refuse(found.verdict, BALANCE_REASONS, place)
        return found.value

    def channel(self) -> pa.Array:
        """How money moved, one of CHANNELS; "other" where the source's word is not known."""
        place = self.layout.places.channel
        if not place.name:
            return pa.repeat(pa.scalar(_channel(place.constant, self.layout.channels)), self.rows)
        names, codes = self._codes(place.name)
        found = pa.array([_channel(name, self.layout.channels) for name in names], pa.string())
        return found.take(pa.array(codes))

    def label(self) -> pa.Array:
        """1 laundering, 0 not, null unknown."""
        place = self.layout.places.label
        if not place.name:
            return pa.nulls(self.rows, pa.int8())
        rule = self.layout.labels
        names, codes = self._codes(place.name)
        words = [(name or "").lower() for name in names]
        values = [
            None if not word else 1 if word in rule.true else 0 if word in rule.false or not rule.false else -1
            for word in words
        ]
        unclear = np.array([value == -1 for value in values], dtype=np.bool_)
        mend = "write 1 or 0, leave it blank where it is unknown, or name the true values in a mapping file"
        self.reject(unclear[codes], place, "label_unreadable", "the label cannot be read", mend)
        return pa.array(values, pa.int8()).take(pa.array(codes))

    def with_typologies(self, table: pa.Table, good: Mask) -> pa.Table:
        """The table with typologies from the sibling file, for laundering payments only."""
        source = self.layout.typologies
        positive = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(table.column("label"), 1), False)))
        if source is None or len(positive) == 0:
            return table
        keys: list[str | None] = [None] * len(positive)
        if source.column:
            raw_rows = np.flatnonzero(good)[positive]
            keys = as_text(self.raw.columns[source.column].take(pa.array(raw_rows))).to_pylist()
        names: list[str | None] = [None] * table.num_rows
        for position, name in zip(positive.tolist(), source.find(table.take(pa.array(positive)), keys), strict=True):
            names[position] = name
        return table.set_column(table.column_names.index("typology"), "typology", pa.array(names, pa.string()))

    def rejected(self) -> pa.Table:
        """The rows set aside, in row order."""
        bad = sorted(self.bad, key=lambda row: row.row)
        columns = [[self.name] * len(bad)]
        columns += [[getattr(row, field) for row in bad] for field in REJECTED_SCHEMA.names[1:]]
        return pa.table(columns, schema=REJECTED_SCHEMA)


def _blank_to_null(text: pa.Array) -> pa.Array:
    if text.null_count == len(text):
        return text
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _currency_code(name: str | None, currencies: Mapping[str, str]) -> str | None:
    if not name:
        return None
    if name in currencies:
        return currencies[name]
    code = name if currencies else name.upper()
    return code if code in CURRENCY_EXPONENTS or _ISO_CODE.fullmatch(code) else None


def _channel(name: str | None, channels: Mapping[str, str]) -> str:
    if not name:
        return CHANNELS[0]
    if name in channels:
        return channels[name]
    word = name.lower().replace(" ", "_").replace("-", "_")
    return word if word in CHANNELS else CHANNELS[0]
