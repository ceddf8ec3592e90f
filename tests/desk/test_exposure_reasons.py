"""Exposure to known launderers gives one reason a party and direction, worded by its strongest column."""

from __future__ import annotations

from greywater.config import Settings
from greywater.desk.reasons import Payment, ReasonWriter, theme_of
from greywater.features.catalog import payments_v3

CATALOG = payments_v3(Settings(), 1).by_name
PAYMENT = Payment("t1", 7, 0, "A", "B", 950_000, "USD", 950_000, "USD")


def test_the_columns_of_a_direction_are_one_theme() -> None:
    names = ["sender.in.exposed_count.7d", "sender.in.exposed_distance.7d", "sender.in.exposed_sum.30d"]
    reasons = ReasonWriter(names, CATALOG, "USD").reasons([2, 1, 70_000], [0.1, 0.5, 0.2], PAYMENT, "sender")
    assert [reason.theme for reason in reasons] == ["exposure"]
    assert reasons[0].features[0] == "sender.in.exposed_distance.7d"
    assert reasons[0].text.startswith("sender: payments to the nearest known launderer that its money comes from")
    assert reasons[0].text.endswith(": 1")


def test_each_direction_of_each_party_is_a_theme_of_its_own() -> None:
    exposed = [name for name in CATALOG if ".exposed_" in name and not name.endswith("since_last")]
    themes = {theme_of(name) for name in exposed}
    assert {theme.name for theme in themes} == {"exposure"}
    assert {(theme.role, theme.direction) for theme in themes} == {
        (role, direction) for role in ("sender", "receiver") for direction in ("out", "in")
    }
