"""The two tables from a ledger: which payments count, as what, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from greywater.errors import EmptyInputError, RefusedValueError, UsageError
from greywater.synth.alertbook_ledger import LedgerAlerts, balanced, from_ledger
from greywater.synth.alertbook_tables import DAY, AlertTables
from tests.synth.alert_sets import made_alerts

SECOND = 1_000_000
ALERT_DAY = 19_000
MOMENT = (ALERT_DAY + 1) * DAY * SECOND - 1
ACCOUNTS = {"ann": ("a1", "a2"), "firm": ("f1",)}
PRIVATE = {"ann": True, "firm": False}
ALERTS = LedgerAlerts(["ann", "firm"], np.array([MOMENT, MOMENT]), np.array([True, False]))


def payments(*rows: tuple[int, str, str, str, str, int | None]) -> pa.Table:
    """Days before the alert, sender, receiver, channel, received currency, minor units."""
    days, sender, receiver, channel, received, amount = zip(*rows, strict=True)
    time = pa.array([(ALERT_DAY - day) * DAY * SECOND + 3_600 * SECOND for day in days])
    return pa.table(
        {
            "event_time": time.cast(pa.timestamp("us", tz="UTC")),
            "sender": sender,
            "receiver": receiver,
            "currency": ["USD"] * len(rows),
            "received_currency": received,
            "base_amount": pa.array(amount, pa.int64()),
            "channel": channel,
        }
    )


def built(*rows: tuple[int, str, str, str, str, int | None], **asked: object) -> AlertTables:
    return from_ledger(ALERTS, payments(*rows), ACCOUNTS, private=PRIVATE, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channel", "received", "kind"),
    [
        ("card", "USD", 0), ("debit_card", "EUR", 0), ("cash", "USD", 1), ("cheque", "USD", 3), ("app", "USD", 3),
        ("wire", "USD", 3), ("wire", "EUR", 2), ("cheque", "EUR", 2), ("transfer", "USD", 3),
    ],
)  # fmt: skip
def test_channels_become_types_and_directions_entries(channel: str, received: str, kind: int) -> None:
    found = built((5, "a1", "x", channel, received, 900), (4, "x", "a2", channel, received, 700))
    assert found.cell.tolist() == [kind, 4 + kind]
    assert found.days_before.tolist() == [5, 4]


def test_own_transfers_missing_amounts_and_later_payments_do_not_count() -> None:
    found = built(
        (5, "a1", "a2", "wire", "USD", 900),
        (4, "a1", "x", "wire", "USD", None),
        (-1, "a1", "x", "wire", "USD", 900),
        (0, "a1", "x", "wire", "USD", 900),
        (2, "x", "y", "wire", "USD", 900),
    )
    assert found.days_before.tolist() == [0]


def test_history_reaches_so_many_days_back() -> None:
    rows = [(day, "a1", "x", "wire", "USD", 900) for day in (364, 365, 366)]
    assert built(*rows).days_before.tolist() == [364]
    assert built(*rows, days=366).days_before.tolist() == [365, 364]


def test_only_private_persons_unless_everybody() -> None:
    rows = [(3, "a1", "x", "wire", "USD", 900), (3, "f1", "x", "wire", "USD", 900)]
    assert built(*rows).reported.tolist() == [True]
    assert built(*rows, private_only=False).reported.tolist() == [True, False]
    with pytest.raises(UsageError, match="private person"):
        from_ledger(ALERTS, payments(*rows), ACCOUNTS)


def test_sizes_are_standardised_logarithms_and_epsilon_is_secret() -> None:
    rows = [(day, "a1", "x", "wire", "USD", 100 * 3**day) for day in range(1, 12)]
    one, again = built(*rows), built(*rows)
    assert one.size.mean() == pytest.approx(0, abs=1e-9)
    assert one.size.std() == pytest.approx(1)
    assert not np.array_equal(one.size, again.size)
    known = built(*rows, epsilon=2.0)
    wanted = np.log(3.0 ** np.arange(11, 0, -1) + 2.0)
    wanted = np.maximum(wanted, np.quantile(wanted, 0.001))
    np.testing.assert_allclose(known.size, (wanted - wanted.mean()) / wanted.std())


@pytest.mark.parametrize("asked", [{"days": 0}, {"epsilon": 1.0}])
def test_what_cannot_be_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        built((3, "a1", "x", "wire", "USD", 900), **asked)


def test_no_transaction_at_all_is_refused() -> None:
    with pytest.raises(EmptyInputError):
        built((3, "x", "y", "wire", "USD", 900))


def test_a_balanced_book_has_the_shares_asked_for() -> None:
    tables = made_alerts(400, 5, 1)
    sex = ["f" if place % 4 == 0 else "m" for place in range(400)]
    high = [place % 3 == 0 for place in range(400)]
    found = balanced(tables, sex, high, seed=4)
    by_date = {(int(day), bool(reported)) for day, reported in zip(tables.day, tables.reported, strict=True)}
    assert len(found.day) == 400
    assert {(int(day), bool(out)) for day, out in zip(found.day, found.reported, strict=True)} <= by_date
    assert sorted(np.unique(found.alert).tolist()) == list(range(400))
    sizes = {tuple(tables.size[tables.alert == one]) for one in range(400)}
    assert all(tuple(found.size[found.alert == one]) in sizes for one in range(0, 400, 37))


def test_balancing_needs_two_sexes_and_all_strata() -> None:
    tables = made_alerts(40, 5, 1)
    with pytest.raises(RefusedValueError, match="1 sexes"):
        balanced(tables, ["f"] * 40, [False] * 40)
    with pytest.raises(RefusedValueError, match="high risk"):
        balanced(tables, ["f", "m"] * 20, [False] * 40)
