"""Works out what was known of each alert's customer at its moment, from recorded payments or from its own file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.alert_book import AlertBook
from greywater.app.parties import read_parties
from greywater.app.wiring import Project
from greywater.features.alert_bags import BAG_FEATURES, bag_features
from greywater.features.alert_past import PAST_FEATURES, alert_past
from greywater.features.alert_windows import ALERT_COLUMNS, AlertWindows, gather_payments
from greywater.features.catalog import payments_v1
from greywater.features.feature import Feature
from greywater.formats.synthaml import read_alert_transactions
from greywater.vocab import CHANNELS, Float64Array, Int64Array, Progress, currency_exponent

__all__ = ["AlertEvidence", "of_recorded_payments", "of_their_own_transactions"]

#: Alerts worked on between two words of progress.
PIECE: Final = 500
DAY: Final = 86_400


@dataclass(frozen=True)
class AlertEvidence:
    """Features of all alerts of a book.

    Parameters
    ----------
    features : tuple of Feature
        The columns.
    values : float64[n, features]
        As of each alert's moment.
    signs : tuple of int
        Columns of which more is worse, for a ranking without outcomes.
    stake : float64[n]
        Money at stake in major units of the base currency, 0 where sizes are no money.
    accounts : tuple of tuples of str
        Accounts of each alert's customer.
    is_customer : bool[n]
        The alert names a customer with recorded accounts, not an account.
    base_currency : str
    notes : tuple of str
    rejected : tuple of dict
        Transactions that were set aside (of SynthAML's form; recorded payments have a table of their own).
    """

    features: tuple[Feature, ...]
    values: Float64Array
    signs: tuple[int, ...]
    stake: Float64Array
    accounts: tuple[tuple[str, ...], ...]
    is_customer: np.ndarray
    base_currency: str
    notes: tuple[str, ...]
    rejected: tuple[dict[str, object], ...] = ()


def of_recorded_payments(project: Project, book: AlertBook, progress: Progress | None = None) -> AlertEvidence:
    """What the customers' accounts sent and received up to each alert, and their earlier alerts.

    Parameters
    ----------
    project : Project
        Whose ledger holds the payments; its accounts say which belong to a customer.
    book : AlertBook
    progress : Progress, optional

    Returns
    -------
    AlertEvidence
    """
    parties = read_parties(project.tables)
    names = list(dict.fromkeys(name for name in book.party if name))
    number = {name: place for place, name in enumerate(names)}
    accounts_of = [parties.accounts_of.get(name, (name,)) for name in names]
    party_of = {account: place for place, accounts in enumerate(accounts_of) for account in accounts}
    if progress is not None:
        progress.step("reading the customers' payments")
    payments = project.ledger.payments_of(sorted(party_of), list(ALERT_COLUMNS))
    gathered = gather_payments(payments, party_of, len(names) + 1)
    plan = payments_v1(project.settings, project.file.resolution_us or 1).plan
    windows = AlertWindows(plan, _channels(payments))
    party = np.array([number.get(name, len(names)) for name in book.party], np.int64)
    if progress is not None:
        progress.step("looking back from each alert", len(party))
    parts = []
    for begin in range(0, len(party), PIECE):
        piece = slice(begin, begin + PIECE)
        parts.append(windows.at(gathered, party[piece], book.moment_us[piece]))
        if progress is not None:
            progress.advance(len(parts[-1]))
    values = np.concatenate([*parts, np.empty((0, len(windows.features)))])
    features = (*windows.features, *PAST_FEATURES)
    whole = np.column_stack([values, alert_past(book.past)])
    silent = np.diff(gathered.begins)[party] == 0
    return AlertEvidence(
        features=features,
        values=whole,
        signs=_signs(features, plan.seconds),
        stake=_stake(features, whole, plan.seconds, project.file.base_currency),
        accounts=tuple(accounts_of[place] if place < len(names) else () for place in party.tolist()),
        is_customer=np.array([name in parties.accounts_of for name in book.party], np.bool_),
        base_currency=project.file.base_currency,
        notes=_silent_words(silent, book),
    )


def _channels(payments: pa.Table) -> list[int]:
    present = set(pc.unique(payments["channel"]).to_pylist())
    return [place for place, name in enumerate(CHANNELS) if name in present] if len(present) > 1 else []


def _silent_words(silent: np.ndarray, book: AlertBook) -> tuple[str, ...]:
    if not silent.any():
        return ()
    first = int(np.flatnonzero(silent)[0])
    return (
        f"{int(silent.sum()):,} of {len(silent):,} alerts are about customers without a recorded payment, the first "
        f"is {book.ids[first]}: only their alerts speak for them; give --accounts where alerts name customers and "
        "payments name accounts",
    )


def _nearest(seconds: Sequence[int], days: int) -> int:
    return min(range(len(seconds)), key=lambda place: (abs(seconds[place] - days * DAY), place))


def _signs(features: Sequence[Feature], seconds: Sequence[int]) -> tuple[int, ...]:
    """Columns of which more is worse: much money in a month and a week, passed on, new partners, many alerts."""
    chosen = {seconds[_nearest(seconds, days)] for days in (7, 30)}
    wanted: dict[str, Callable[[Feature], bool]] = {
        "sum": lambda each: each.parameters.get("window") in chosen,
        "new_counterparties": lambda each: each.parameters.get("window") in chosen,
        "passed_on": lambda each: each.parameters.get("window") in chosen,
        "pace": lambda each: each.parameters.get("window") in chosen,
    }
    past = ("alerts.before.30d", "alerts.same_moment", "alerts.rules_before", "alerts.reported_before",
            "rule.reported_share")  # fmt: skip
    places = []
    for place, feature in enumerate(features):
        topics = [wanted[part] for part in feature.name.split(".") if part in wanted]
        if feature.name in past or any(topic(feature) for topic in topics):
            places.append(place)
    return tuple(places)


def _stake(features: Sequence[Feature], values: Float64Array, seconds: Sequence[int], currency: str) -> Float64Array:
    """The larger of what came in and what went out over about 30 days."""
    window = seconds[_nearest(seconds, 30)]
    columns = [
        place
        for place, feature in enumerate(features)
        if feature.parameters.get("statistic") == "sum" and feature.parameters.get("window") == window
    ]
    most: Float64Array = np.nan_to_num(values[:, columns]).max(axis=1, initial=0.0)
    return most / 10.0 ** currency_exponent(currency)


def of_their_own_transactions(path: Path, book: AlertBook, progress: Progress | None = None) -> AlertEvidence:
    """Features of alerts from a file of SynthAML's form: transactions by alert, no counterparty, sizes but no money.

    A transaction after its alert's moment is left out and counted.

    Parameters
    ----------
    path : Path
        The transactions.
    book : AlertBook
    progress : Progress, optional
    """
    if progress is not None:
        progress.step("reading the alerts' transactions")
    read = read_alert_transactions(path)
    number = {name: place for place, name in enumerate(book.ids)}
    owner = np.array([number.get(name, -1) for name in read.alerts], np.int64)
    alert: Int64Array = owner[read.alert] if len(owner) else np.empty(0, np.int64)
    strange = alert < 0
    later = np.zeros(len(alert), np.bool_)
    later[~strange] = read.time_us[~strange] > book.moment_us[alert[~strange]]
    kept = ~strange & ~later
    values = bag_features(len(book.ids), alert[kept], read.group[kept], read.size[kept])
    counts = {
        "transactions were set aside": read.rejections,
        "transactions are of no alert in the file": int(strange.sum()),
        "transactions came after their alert and were left out": int(later.sum()),
        "alerts have no transaction": int((np.bincount(alert[kept], minlength=len(book.ids)) == 0).sum()),
    }
    signs = tuple(
        place for place, feature in enumerate(BAG_FEATURES) if feature.parameters["measure"] in ("max", "count")
    )
    return AlertEvidence(
        features=BAG_FEATURES,
        values=values,
        signs=signs,
        stake=np.zeros(len(book.ids)),
        accounts=tuple(() for _ in book.ids),
        is_customer=np.zeros(len(book.ids), np.bool_),
        base_currency="",
        notes=tuple(f"{number:,} {words}" for words, number in counts.items() if number),
        rejected=tuple(read.rejected.to_pylist()),
    )
