"""Reading `--budget`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.budget import Budget
from greywater.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20/day", Budget(20, True)),
        (" 20 / day ", Budget(20, True)),
        ("20 per day", Budget(20, True)),
        ("20/DAY", Budget(20, True)),
        ("500", Budget(500, False)),
        ("1", Budget(1, False)),
        ("0020/day", Budget(20, True)),
    ],
)
def test_the_two_forms_are_read(text: str, expected: Budget) -> None:
    assert Budget.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["0", "-3", "x/day", "0/day", "-1/day", "", " ", "20/week", "2.5", "1e3", "20/", "/day", "1_000", "٢٠", "day/20",
     "20/day/day", "99999999999", "20perday", "NaN"],
)  # fmt: skip
def test_anything_else_is_refused_with_its_mend(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Budget.parse(text)
    assert refusal.value.exit_code == 2
    assert refusal.value.where == "--budget"
    assert "20/day" in refusal.value.mend


@given(st.integers(1, 999_999_999), st.booleans())
def test_what_is_written_is_read_back(count: int, per_day: bool) -> None:
    budget = Budget(count, per_day)
    assert Budget.parse(str(budget)) == budget


@given(st.text(max_size=20))
def test_any_text_is_a_budget_or_a_usage_error(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except UsageError as refusal:
        assert refusal.mend  # noqa: PT017
    else:
        assert budget.count >= 1


def test_the_default_is_twenty_a_day_and_words_are_plain() -> None:
    assert Budget() == Budget.parse("20/day")
    assert Budget().words == "20 alerts a day"
    assert Budget(1, False).words == "1 alert in all"
    assert Budget(2500, False).words == "2,500 alerts in all"


@pytest.mark.parametrize(
    ("text", "expected", "alerts"),
    [
        ("7h/day", Budget(7, True, "hours"), 14),
        ("40h", Budget(40, False, "hours"), 80),
        (" 7 H / day", Budget(7, True, "hours"), 14),
        ("20/day", Budget(20, True), 20),
    ],
)
def test_hours_are_read_and_are_so_many_alerts(text: str, expected: Budget, alerts: int) -> None:
    budget = Budget.parse(text)
    assert budget == expected
    assert Budget.parse(str(budget)) == budget
    assert budget.alerts() == alerts


def test_hours_are_said_and_one_alert_always_fits() -> None:
    assert Budget.parse("7h/day").words == "7 hours of work a day"
    assert Budget.parse("1h").words == "1 hour of work in all"
    assert Budget.parse("1h").alerts(minutes=240) == 1
