"""Made-up alert books: alerts with outcomes and the transactions before each, in the form of SynthAML."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa

from greywater.errors import StoreDamagedError, UsageError
from greywater.synth.alertbook_blocks import ALERT_SCHEMA, TRANSACTION_SCHEMA, AlertBlock, in_order
from greywater.synth.alertbook_corrected import draw_hma1
from greywater.synth.alertbook_example import example_book
from greywater.synth.alertbook_faithful import FaithfulBook, fit_faithful
from greywater.synth.alertbook_files import AlertFiles, read_arrays, write_arrays, write_files
from greywater.synth.alertbook_hma import Categories, HmaBook, Marginals, fit_hma1
from greywater.synth.alertbook_ledger import LedgerAlerts, from_ledger
from greywater.synth.alertbook_tables import AlertTables, read_tables
from greywater.vocab import Progress

__all__ = ["MODES", "PUBLISHED_ALERTS", "AlertBook", "LedgerAlerts", "example", "fit", "from_ledger"]

MODES: Final = ("faithful", "hma1")
#: Alerts of the published files.
PUBLISHED_ALERTS: Final = 20_000

Mode = Literal["faithful", "hma1"]
Given: TypeAlias = Path | str | Any


@dataclass(frozen=True)
class AlertBook:
    """A fitted book; alerts and transactions are drawn from it.

    Parameters
    ----------
    mode : {"faithful", "hma1"}
        Which method fitted it.
    parameters : FaithfulBook or HmaBook
        What was fitted.

    Examples
    --------
    >>> book = example(seed=7)
    >>> alerts, transactions = book.tables(20, seed=1)
    >>> alerts.column_names, transactions.column_names
    (['AlertID', 'Date', 'Outcome'], ['AlertID', 'Timestamp', 'Entry', 'Type', 'Size'])
    """

    mode: Mode
    parameters: FaithfulBook | HmaBook

    def sample(
        self, alerts: int = PUBLISHED_ALERTS, seed: int = 0, *, threads: int | None = None
    ) -> Iterator[AlertBlock]:
        """Draw alerts and their transactions, in blocks and in flat memory.

        Parameters
        ----------
        alerts : int
            How many; the first ones of a longer book are the same (of mode hma1 but for the sizes, whose correction is
            learned from what is drawn).
        seed : int
            Of the random numbers. The same seed gives the same bits on any number of threads.
        threads : int, optional
            Blocks drawn at the same time; the processor's cores where left out.

        Raises
        ------
        UsageError
            Fewer than one alert or thread.
        """
        if alerts < 1:
            raise UsageError(f"{alerts} alerts cannot be drawn", where="alerts", mend="ask for at least one")
        if threads is not None and threads < 1:
            raise UsageError(f"{threads} threads cannot draw", where="threads", mend="give at least one")
        threads = threads or len(os.sched_getaffinity(0))
        if isinstance(self.parameters, HmaBook):
            return draw_hma1(self.parameters, seed, alerts, threads)
        return in_order(partial(self.parameters.draw, seed), alerts, threads)

    def tables(
        self, alerts: int = PUBLISHED_ALERTS, seed: int = 0, *, threads: int | None = None
    ) -> tuple[pa.Table, pa.Table]:
        """Alerts and transactions as two Arrow tables with the published columns."""
        blocks = list(self.sample(alerts, seed, threads=threads))
        return (
            pa.concat_tables([ALERT_SCHEMA.empty_table(), *(block.alert_table() for block in blocks)]),
            pa.concat_tables([TRANSACTION_SCHEMA.empty_table(), *(block.transaction_table() for block in blocks)]),
        )

    def write(
        self, folder: Path | str, alerts: int = PUBLISHED_ALERTS, seed: int = 0, *,
        form: Literal["csv", "parquet"] = "csv", threads: int | None = None, progress: Progress | None = None,
    ) -> AlertFiles:  # fmt: skip
        """Write synthetic_alerts and synthetic_transactions as CSV or Parquet.

        Raises
        ------
        UsageError
            The form is not known, or fewer than one alert is asked for.
        StoreAccessError, StoreFullError
            A file cannot be written.
        """
        blocks = self.sample(alerts, seed, threads=threads)
        if progress is not None:
            progress.step("drawing alerts", alerts)
        return write_files(blocks, folder, form, progress)

    def save(self, folder: Path | str) -> None:
        """Keep the book as alertbook.json and alertbook.npz.

        Raises
        ------
        StoreAccessError, StoreFullError
            A file cannot be written.
        """
        write_arrays(folder, self.mode, self.parameters.arrays())

    @classmethod
    def load(cls, folder: Path | str) -> AlertBook:
        """A book that was saved.

        Raises
        ------
        StoreAccessError
            A file cannot be read.
        StoreDamagedError
            A file is not what was written.
        """
        mode, arrays = read_arrays(folder)
        try:
            if mode == "faithful":
                return cls("faithful", FaithfulBook.from_arrays(arrays))
            if mode == "hma1":
                return cls("hma1", HmaBook.from_arrays(arrays))
        except KeyError as error:
            text = f"the array {error} is missing"
            raise StoreDamagedError(text, where=str(folder), mend="save the book again") from None
        raise StoreDamagedError(f"the mode {mode!r} is not known", where=str(folder), mend="save the book again")


def fit(
    alerts: Given | AlertTables, transactions: Given | None = None, mode: Mode = "faithful", *,
    categories: Categories = "paper", marginals: Marginals = "gaussian", flip: float = 0.1,
    progress: Progress | None = None,
) -> AlertBook:  # fmt: skip
    """Fit a book to two tables.

    Parameters
    ----------
    alerts : path, pa.Table or AlertTables
        AlertID, Date, Outcome; or both tables, read already.
    transactions : path or pa.Table, optional
        AlertID, Timestamp, Entry, Type, Size.
    mode : {"faithful", "hma1"}
        What keeps the signal of outcomes, or the method that SynthAML was published with.
    categories : {"paper", "library"}
        Of hma1: categories as truncated Gaussians decoded by bracket, or untruncated, modulo 1, by the nearest mean.
    marginals : {"gaussian", "best"}
        Of hma1: Gaussian marginals of the extended table, or of each column the nearest of seven families.
    flip : float
        Of hma1: chance that an alert's sizes are corrected to those of the other outcome.
    progress : Progress, optional
        Is told how far it is.

    Raises
    ------
    UsageError
        The mode is not known, or the transactions are missing.
    InputError
        The tables cannot be used; its message says why.

    Examples
    --------
    >>> alerts, transactions = example(seed=7).tables(400, seed=1)
    >>> fit(alerts, transactions).tables(20, seed=2)[0].num_rows
    20
    """
    if mode not in MODES:
        raise UsageError(f"{mode!r} is no mode", where="mode", mend=f"choose {' or '.join(MODES)}")
    if progress is not None:
        progress.step("reading the two tables")
    if isinstance(alerts, AlertTables):
        tables = alerts
    elif transactions is None:
        raise UsageError("the transactions are missing", where="transactions", mend="give both tables")
    else:
        tables = read_tables(alerts, transactions)
    if progress is not None and tables.set_aside:
        progress.say(f"{tables.set_aside:,} transactions were left out: unreadable, of no alert, or after its day")
    if mode == "hma1":
        book = fit_hma1(tables, categories=categories, marginals=marginals, flip=flip, progress=progress)
        return AlertBook(mode, book)
    return AlertBook(mode, fit_faithful(tables, progress))


def example(seed: int = 7) -> AlertBook:
    """A built-in book with the marginals that SynthAML publishes; no data is needed.

    17 % of alerts are reported, they spread over the quarters of 2020 and 2021 as published, and have 812 transactions
    on average; 2 % of these are cash and 4 % card debit. Amounts, other shares and the signal of the outcome are ours.

    Parameters
    ----------
    seed : int
        Varies correlations and signal a little, as from bank to bank, never the marginals.

    Examples
    --------
    >>> blocks = list(example().sample(512, seed=3))
    >>> sum(len(block.day) for block in blocks)
    512
    """
    return AlertBook("faithful", example_book(seed))
