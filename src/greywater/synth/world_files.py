"""Writes large made-up worlds in AMLworld's, AMLSim's and our own form, as CSV or Parquet, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from greywater.formats.amlworld import CHANNELS
from greywater.kernels.world_rows import LONGEST, Words, account_texts, amlsim_lines, amlworld_lines, own_lines
from greywater.synth.economy import AMOUNT_UNITS, CODES, CURRENCIES, FORMATS, USD_RATES, Population
from greywater.synth.ledgerfile import named_troubles
from greywater.synth.presets import WorldPlan
from greywater.synth.weaving import Chunk
from greywater.vocab import Int64Array

__all__ = [
    "AMLSIM_TYPES",
    "FORMS",
    "Form",
    "Kind",
    "PaymentsFile",
    "id_digits",
    "number_texts",
    "payments_file",
    "payments_path",
]

Form = Literal["amlworld", "amlsim", "own"]
Kind = Literal["csv", "parquet"]
FORMS: Final = ("amlworld", "amlsim", "own")

_HEADS: Final = {
    "amlworld": "Timestamp,From Bank,Account,To Bank,Account,Amount Received,Receiving Currency,Amount Paid,"
    "Payment Currency,Payment Format,Is Laundering",
    "amlsim": "tran_id,orig_acct,bene_acct,tx_type,base_amt,tran_timestamp,is_sar,alert_id",
    "own": "tx_id,event_time,sender,receiver,amount,currency,received_amount,received_currency,sender_bank,"
    "receiver_bank,channel",
}
#: AMLSim's words for ways to pay; what it has no word for is a transfer.
AMLSIM_TYPES: Final = ("CHECK", "CREDIT", "TRANSFER", "CASH", "TRANSFER", "WIRE", "TRANSFER")
_YEN: Final = CODES.index("JPY")
_GROUP_ROWS: Final = 1 << 20
_MONEY: Final = pa.decimal128(18, 6)
_MINUTE_US: Final = 60_000_000
_DAY_US: Final = 86_400_000_000


class PaymentsFile(Protocol):
    """A file of payments: chunks are encoded in any thread, and written by one in their order."""

    def encode(self, chunk: Chunk) -> Any:
        """The chunk as what `write` takes."""
        ...

    def write(self, encoded: Any) -> None:
        """Append what `encode` gave."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *trouble: object) -> None: ...


def payments_path(folder: Path, plan: WorldPlan, form: Form, kind: Kind) -> Path:
    """Where the payments of a world lie: `HI-Small_Trans.csv`, `transactions.csv` or `payments.csv`."""
    names = {"amlworld": f"{plan.name}_Trans", "amlsim": "transactions", "own": "payments"}
    return folder / f"{names[form]}.{kind}"


def payments_file(path: Path, form: Form, kind: Kind, plan: WorldPlan, population: Population) -> PaymentsFile:
    """A file to write the payments of a world into; it has its name only once it is whole."""
    words = _words(form, plan, population)
    return _Lines(path, form, words) if kind == "csv" else _Columns(path, form, words)


def id_digits(plan: WorldPlan) -> int:
    """How many digits the number of a payment has in our own form: `T` and so many."""
    return max(8, len(str(plan.payments)))


def number_texts(numbers: Int64Array) -> pa.Array:
    """Numbers of accounts or customers as nine hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> number_texts(np.array([0x800737690, 0x10042])).to_pylist()
    ['800737690', '000010042']
    """
    return _nine_digits(np.arange(len(numbers), dtype=np.int32), np.ascontiguousarray(numbers, dtype=np.int64))


def _nine_digits(places: NDArray[np.int32], numbers: Int64Array) -> pa.Array:
    letters = np.empty(9 * len(places), np.uint8)
    account_texts(places, numbers, letters)
    offsets = np.arange(len(places) + 1, dtype=np.int32) * 9
    return pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets), pa.py_buffer(letters))


def _words(form: Form, plan: WorldPlan, population: Population) -> Words:
    own = form == "own"
    currency, currency_length = _matrix(CODES if own else CURRENCIES)
    ways = {"amlworld": FORMATS, "amlsim": AMLSIM_TYPES, "own": tuple(CHANNELS[name] for name in FORMATS)}[form]
    format, format_length = _matrix(ways)
    digits = np.array([len(str(units)) - 1 for units in AMOUNT_UNITS.tolist()], np.int64)
    divisor = np.ones(len(CODES), np.int64)
    if own:
        digits[_YEN], divisor[_YEN] = 0, 100
    return Words(
        currency=currency,
        currency_length=currency_length,
        format=format,
        format_length=format_length,
        number=population.number,
        bank=population.bank,
        bank_id=population.bank_id,
        digits=digits,
        divisor=divisor,
        rate=USD_RATES,
        units=AMOUNT_UNITS.astype(np.float64),
        id_digits=id_digits(plan),
    )


def _matrix(words: tuple[str, ...]) -> tuple[NDArray[np.uint8], Int64Array]:
    """Words as bytes, one a row, and their lengths."""
    lengths = np.array([len(word) for word in words], np.int64)
    letters = np.zeros((len(words), int(lengths.max())), np.uint8)
    for place, word in enumerate(words):
        letters[place, : len(word)] = np.frombuffer(word.encode("ascii"), np.uint8)
    return letters, lengths


class _Unfinished:
    """A file that is called `<name>.part` until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")

    def finish(self, whole: bool) -> None:
        try:
            if whole:
                self.part.replace(self.path)
        finally:
            self.part.unlink(missing_ok=True)


class _Lines:
    """CSV, comma, header, no quotes, LF."""

    def __init__(self, path: Path, form: Form, words: Words) -> None:
        self._place, self._form, self._words = _Unfinished(path), form, words
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with named_troubles(self._place.path):
            self._stream = self._place.part.open("wb", buffering=0)
            self._stream.write((_HEADS[self._form] + "\n").encode())
        return self

    def __exit__(self, *trouble: object) -> None:
        with named_troubles(self._place.path):
            if self._stream is not None:
                self._stream.close()
            self._place.finish(trouble[0] is None)

    def encode(self, chunk: Chunk) -> memoryview:
        room = np.empty(len(chunk) * LONGEST, np.uint8)
        if self._form == "amlworld":
            size = amlworld_lines(chunk.columns, chunk.laundering, self._words, room)
        elif self._form == "amlsim":
            size = amlsim_lines(chunk.columns, chunk.laundering, chunk.alert, chunk.row, self._words, room)
        else:
            size = own_lines(chunk.columns, chunk.row, self._words, room)
        return room[:size].copy().data

    def write(self, encoded: memoryview) -> None:
        assert self._stream is not None
        with named_troubles(self._place.path):
            rest = encoded
            while len(rest):
                rest = rest[self._stream.write(rest) :]


class _Columns:
    """Parquet, row groups of a million payments whatever the chunks are; one is written while the next is gathered."""

    def __init__(self, path: Path, form: Form, words: Words) -> None:
        self._place, self._form, self._words = _Unfinished(path), form, words
        self._writer: pq.ParquetWriter | None = None
        self._gathered: list[pa.RecordBatch] = []
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._busy: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *trouble: object) -> None:
        whole = False
        try:
            with named_troubles(self._place.path):
                if trouble[0] is None:
                    self._write_groups(1)
                self._wait()
                whole = trouble[0] is None
        finally:
            self._hand.shutdown()
            with named_troubles(self._place.path):
                if self._writer is not None:
                    closed = False
                    try:
                        self._writer.close()
                        closed = True
                    finally:
                        self._place.finish(whole and closed)

    def encode(self, chunk: Chunk) -> pa.RecordBatch:
        made = {"amlworld": _amlworld_columns, "amlsim": _amlsim_columns, "own": _own_columns}[self._form]
        names, arrays = zip(*made(chunk, self._words), strict=True)
        return pa.RecordBatch.from_arrays(list(arrays), names=list(names))

    def write(self, encoded: pa.RecordBatch) -> None:
        self._gathered.append(encoded)
        with named_troubles(self._place.path):
            self._write_groups(_GROUP_ROWS)

    def _write_groups(self, least: int) -> None:
        """Hand over what was gathered, a row group at a time, until fewer than `least` payments are left."""
        rows = sum(batch.num_rows for batch in self._gathered)
        if rows < least:
            return
        if self._writer is None:
            self._writer = _writer(self._place.part, self._gathered[0].schema)
        table = pa.Table.from_batches(self._gathered)
        while rows >= least:
            group = table.slice(0, _GROUP_ROWS)
            self._wait()
            self._busy = self._hand.submit(self._writer.write_table, group, _GROUP_ROWS)
            table = table.slice(_GROUP_ROWS)
            rows = table.num_rows
        self._gathered = table.to_batches()

    def _wait(self) -> None:
        """Until the row group before is written."""
        if self._busy is not None:
            self._busy.result()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Amounts, times and account numbers hardly repeat and are written plainly, the rest by dictionary."""
    repeated = [field.name for field in schema if field.type.id in (pa.lib.Type_DICTIONARY, pa.lib.Type_INT32)]
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=repeated, store_decimal_as_integer=True
    )


_Named = Iterator[tuple[str, pa.Array]]


def _amlworld_columns(chunk: Chunk, words: Words) -> _Named:
    columns = chunk.columns
    minutes = columns.time // _MINUTE_US * 60_000
    yield "Timestamp", pa.array(minutes, pa.int64()).cast(pa.timestamp("ms"))
    yield "From Bank", pa.array(words.bank_id[words.bank[columns.sender]].astype(np.int32))
    yield "Account", _nine_digits(columns.sender, words.number)
    yield "To Bank", pa.array(words.bank_id[words.bank[columns.receiver]].astype(np.int32))
    yield "Account.1", _nine_digits(columns.receiver, words.number)
    yield "Amount Received", _money(columns.received, columns.received_currency, words)
    yield "Receiving Currency", _coded(columns.received_currency, CURRENCIES)
    yield "Amount Paid", _money(columns.paid, columns.paid_currency, words)
    yield "Payment Currency", _coded(columns.paid_currency, CURRENCIES)
    yield "Payment Format", _coded(columns.format, FORMATS)
    yield "Is Laundering", pa.array(chunk.laundering.astype(np.int32))


def _amlsim_columns(chunk: Chunk, words: Words) -> _Named:
    columns = chunk.columns
    dollars = columns.paid / (words.units * words.rate)[columns.paid_currency]
    cents = np.floor(dollars * 100.0 + 0.5)
    yield "tran_id", pa.array(np.arange(chunk.row + 1, chunk.row + len(chunk) + 1))
    yield "orig_acct", pa.array(words.number[columns.sender])
    yield "bene_acct", pa.array(words.number[columns.receiver])
    yield "tx_type", _coded(columns.format, AMLSIM_TYPES)
    yield "base_amt", _decimal(np.maximum(cents, 1).astype(np.int64) * 10_000)
    days = columns.time // _DAY_US * 86_400_000
    yield "tran_timestamp", pa.array(days, pa.int64()).cast(pa.timestamp("ms", "UTC"))
    yield "is_sar", pa.array(chunk.laundering)
    yield "alert_id", pa.array(chunk.alert.astype(np.int32))


def _own_columns(chunk: Chunk, words: Words) -> _Named:
    columns = chunk.columns
    yield "tx_id", _payment_ids(chunk.row + 1, len(chunk), words.id_digits)
    yield "event_time", pa.array(columns.time // 1_000, pa.int64()).cast(pa.timestamp("ms", "UTC"))
    yield "sender", _nine_digits(columns.sender, words.number)
    yield "receiver", _nine_digits(columns.receiver, words.number)
    yield "amount", _money(columns.paid, columns.paid_currency, words)
    yield "currency", _coded(columns.paid_currency, CODES)
    yield "received_amount", _money(columns.received, columns.received_currency, words)
    yield "received_currency", _coded(columns.received_currency, CODES)
    yield "sender_bank", pa.array(words.bank_id[words.bank[columns.sender]].astype(np.int32))
    yield "receiver_bank", pa.array(words.bank_id[words.bank[columns.receiver]].astype(np.int32))
    yield "channel", _coded(columns.format, tuple(CHANNELS[name] for name in FORMATS))


def _payment_ids(first: int, count: int, digits: int) -> pa.StringArray:
    """`T` and so many digits for the numbers from `first` on."""
    letters = np.empty((count, digits + 1), np.uint8)
    letters[:, 0] = ord("T")
    rest = np.arange(first, first + count)
    for place in range(digits, 0, -1):
        rest, digit = np.divmod(rest, 10)
        letters[:, place] = digit + ord("0")
    offsets = np.arange(count + 1, dtype=np.int32) * (digits + 1)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))


def _coded(places: NDArray[np.int8], words: tuple[str, ...]) -> pa.DictionaryArray:
    """Words by their places; one dictionary knows each word once."""
    distinct = sorted(set(words))
    by_place = np.array([distinct.index(word) for word in words], np.int8)
    return pa.DictionaryArray.from_arrays(pa.array(by_place[places]), pa.array(distinct))


def _money(amounts: Int64Array, currency: NDArray[np.int8], words: Words) -> pa.Array:
    """Smallest units as decimals with six places, as the file rounds them."""
    divisor = words.divisor[currency]
    scale = 10 ** (6 - words.digits)[currency]
    return _decimal(np.maximum((amounts + divisor // 2) // divisor, 1) * scale)


def _decimal(millionths: Int64Array) -> pa.Array:
    whole = np.empty((len(millionths), 2), np.int64)
    whole[:, 0], whole[:, 1] = millionths, np.where(millionths < 0, -1, 0)
    return pa.Array.from_buffers(_MONEY, len(millionths), [None, pa.py_buffer(whole)])
