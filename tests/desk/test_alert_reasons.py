"""Reasons of an alert: the strongest topics first, each once, with a comparison where the value is unusual."""

from __future__ import annotations

import math

import numpy as np

from greywater.desk.alert_reasons import MOST_REASONS, AlertReasons
from greywater.features.feature import Feature


def feature(name: str, unit: str = "minor units", words: str = "total sent") -> Feature:
    return Feature(name, "sender", "float64", unit, words, "window")


FEATURES = (
    feature("out.sum.1d", words="total sent in the last 1d"),
    feature("out.sum.7d", words="total sent in the last 7d"),
    feature("in.count.7d", "payments", "number of payments received in the last 7d"),
    feature("out.pace.7d", "ratio", "daily total sent"),
    feature("passed_on.7d", "ratio", "share passed on"),
    feature("out.since_last", "seconds", "time since the last payment sent"),
)
REFERENCE = np.tile(np.arange(100.0)[:, None], (1, len(FEATURES)))


def told(values: list[float], pushes: list[float]) -> tuple[str, ...]:
    return AlertReasons(FEATURES, REFERENCE, "EUR").reasons(np.array(values), np.array(pushes))


def test_one_sentence_a_topic_over_the_window_that_pushed_hardest() -> None:
    said = told([90, 95, 3, 1, 1, 1], [0.2, 0.5, 0.6, -1, 0, 0])
    assert said == (
        "total sent in the last 7d: 0.95 EUR, more than 95 % of the alerts",
        "number of payments received in the last 7d: 3 payments, less than 96 % of the alerts",
    )


def test_units_have_words_and_usual_values_no_comparison() -> None:
    said = told([50, 50, 50, 50, 0.5, 50], [0, 0, 0, 3, 2, 1])
    assert said == ("daily total sent: 50 times", "share passed on: 50 %, less than 99 % of the alerts",
                    "time since the last payment sent: 50 s")  # fmt: skip


def test_what_is_not_defined_and_what_pushes_down() -> None:
    assert told([math.nan] * 6, [1, 0, 0, 0, 0, 0]) == ("total sent in the last 1d: none",)
    assert told([1.0] * 6, [-1, 0, -1, 0, 0, 0]) == ()
    assert told([1.0] * 6, [math.nan] * 6) == ()


def test_there_are_not_too_many() -> None:
    features = tuple(feature(f"{letter}.sum.7d") for letter in "abcdefg")
    writer = AlertReasons(features, np.zeros((3, 7)), "")
    assert len(writer.reasons(np.ones(7), np.ones(7))) == MOST_REASONS
