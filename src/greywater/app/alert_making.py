"""The use case that makes up alerts and their transactions: from an example, two files, a saved book, or the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from greywater.access.policy import require
from greywater.app.alert_book import read_book
from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.parties import read_parties
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import EmptyInputError, UsageError
from greywater.synth import alertbook
from greywater.synth.alertbook_files import ALERTS_NAME, TRANSACTIONS_NAME, AlertFiles
from greywater.synth.alertbook_ledger import LEDGER_COLUMNS
from greywater.synth.alertbook_tables import AlertTables
from greywater.vocab import Actor, Progress, currency_exponent

__all__ = ["AlertMakingRequest", "AlertsMade", "make_alerts"]

#: Kinds of customers that are private persons, in lower case.
PRIVATE: Final = ("person", "individual", "private", "natural person")

#: Alerts of the built-in example to which another mode is fitted.
EXAMPLE_ALERTS: Final = 4_000


@dataclass(frozen=True)
class AlertMakingRequest:
    """What is to be made. Of `files`, `ledger_alerts` and `book` at most one; the example where none is given.

    Parameters
    ----------
    folder : Path
        Where the two files go.
    files : tuple of Path, optional
        Alerts and transactions to fit to.
    ledger_alerts : Path, optional
        Alerts with outcomes of customers whose payments are recorded.
    book : Path, optional
        A folder that a book was saved in.
    mode : str
        How to fit.
    alerts, seed : int
        How many to draw, and the seed.
    form : {"csv", "parquet"}
    save : Path, optional
        A folder to save the book in.
    days : int
        History of an alert, from the ledger.
    private_only : bool
        From the ledger: private persons only.
    threads : int, optional
        The processor's cores where left out.
    categories, marginals : str
        Switches of the mode hma1.
    """

    folder: Path
    files: tuple[Path, Path] | None = None
    ledger_alerts: Path | None = None
    book: Path | None = None
    mode: Any = "faithful"
    alerts: int = alertbook.PUBLISHED_ALERTS
    seed: int = 0
    form: Literal["csv", "parquet"] = "csv"
    save: Path | None = None
    days: int = 365
    private_only: bool = True
    threads: int | None = None
    categories: Any = "paper"
    marginals: Any = "gaussian"


@dataclass(frozen=True)
class AlertsMade:
    """What was made, from what."""

    source: str
    mode: str
    files: AlertFiles

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON types."""
        return {
            "source": self.source,
            "mode": self.mode,
            "alerts": self.files.alert_count,
            "reported": self.files.reported,
            "transactions": self.files.transaction_count,
            "files": [str(self.files.alerts), str(self.files.transactions)],
        }


def make_alerts(
    actor: Actor, settings: Settings, request: AlertMakingRequest, progress: Progress | None = None
) -> AlertsMade:
    """Fit or take a book, draw from it, and write the two files.

    Raises
    ------
    UsageError
        More than one source is named, or the words cannot be used.
    AccessDeniedError
        The actor may not export, or may not read payments where they come from the ledger.
    InputError
        What was given cannot be used.
    StoreError
        The ledger cannot be read, or a file not written.
    """
    told = progress or Silent()
    named = [
        name for name, given in (("two files", request.files), ("the ledger", request.ledger_alerts),
                                 ("a saved book", request.book)) if given is not None
    ]  # fmt: skip
    if len(named) > 1:
        raise UsageError(f"alerts cannot come from {' and '.join(named)} at once", mend="name one of them")
    _keep_what_is_read(request)
    with audited(settings, actor, "export", request.folder.name) as detail:
        if request.ledger_alerts is not None:
            require(actor, "read_payments")
        book = _book(actor, settings, request, told)
        if request.save is not None:
            book.save(request.save)
        files = book.write(
            request.folder, request.alerts, request.seed, form=request.form, threads=request.threads, progress=told
        )
        made = AlertsMade(named[0] if named else "the built-in example", book.mode, files)
        detail.update({"alerts": files.alert_count, "transactions": files.transaction_count, "mode": book.mode})
    return made


def _keep_what_is_read(request: AlertMakingRequest) -> None:
    """Refuse to write over the files that the alerts come from."""
    read = {path.resolve() for path in (*(request.files or ()), request.ledger_alerts) if path is not None}
    for name in (ALERTS_NAME, TRANSACTIONS_NAME):
        written = request.folder / f"{name}.{request.form}"
        if written.resolve() in read:
            found = "the alerts that are made up would replace those that they are fitted to"
            raise UsageError(found, where=str(written), mend="name another folder")


def _book(actor: Actor, settings: Settings, request: AlertMakingRequest, told: Progress) -> alertbook.AlertBook:
    if request.book is not None:
        book = alertbook.AlertBook.load(request.book)
        if request.mode not in ("faithful", book.mode):
            mend = "leave --mode out, or fit a book anew"
            raise UsageError(f"the saved book is of the mode {book.mode}", where=str(request.book), mend=mend)
        return book
    alerts: Any
    transactions: Any
    if request.files is not None:
        alerts, transactions = request.files
    elif request.ledger_alerts is not None:
        alerts, transactions = _from_recorded(actor, settings, request, told), None
    elif request.mode == "faithful":
        return alertbook.example()
    else:
        told.step("drawing the example")
        alerts, transactions = alertbook.example().tables(EXAMPLE_ALERTS, threads=request.threads)
    return alertbook.fit(
        alerts, transactions, request.mode, categories=request.categories, marginals=request.marginals, progress=told
    )


def _from_recorded(actor: Actor, settings: Settings, request: AlertMakingRequest, told: Progress) -> AlertTables:
    assert request.ledger_alerts is not None
    told.step("reading alerts and payments")
    held = read_book(request.ledger_alerts, None, delay_days=0)
    decided = [place for place in held.decided.tolist() if held.party[place]]
    if not decided:
        mend = "give alerts with a customer and an outcome: reported or dismissed"
        raise EmptyInputError(
            "no alert has both a customer and an outcome", where=str(request.ledger_alerts), mend=mend
        )
    alerts = alertbook.LedgerAlerts(
        [held.party[place] for place in decided], held.moment_us[decided], np.asarray(held.outcome[decided] == 1)
    )
    with open_project(settings, actor) as project:
        parties = read_parties(project.tables)
        kinds = project.tables.read("parties", ["customer", "kind"])
        pairs = () if kinds is None else zip(kinds["customer"].to_pylist(), kinds["kind"].to_pylist(), strict=True)
        private = {customer: (kind or "").lower() in PRIVATE for customer, kind in pairs}
        accounts = sorted({one for name in alerts.customer for one in parties.accounts_of.get(name, (name,))})
        payments = project.ledger.payments_of(accounts, list(LEDGER_COLUMNS))
        unit = 10 ** currency_exponent(project.file.base_currency)
    return alertbook.from_ledger(
        alerts, payments, parties.accounts_of, private=private, days=request.days,
        private_only=request.private_only, minor_units=unit,
    )  # fmt: skip
