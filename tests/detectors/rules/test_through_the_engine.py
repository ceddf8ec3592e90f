"""Real payments through the engine: the last payment of a planted case hits its rule, its look-alike does not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from greywater.app.rule_place import with_requests
from greywater.config import Settings
from greywater.detectors.rules.hits import RuleHits
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.catalog import payments_v2
from greywater.features.engine import Engine
from tests.features.payments import as_table
from tests.naive import DAY_US, Paid

HOUR_US = DAY_US // 24
START = 19_700 * DAY_US
#: (hours since the start, a Saturday at midnight; sender, receiver, amount in major units), then perhaps "cash" or "fx"
Payment = tuple[float, str, str, float] | tuple[float, str, str, float, str]


def days(count: int, step: float, sender: str, receiver: str, amount: float) -> list[Payment]:
    return [(24 * step * at, sender, receiver, amount + at % 3) for at in range(count)]


FOUR_WEEKS = days(4, 7, "A", "B", 1_000)
USUAL = days(20, 3, "A", "B", 200)
#: Rule -> (payments of which the last one hits, payments of which the last one does not).
CASES: dict[str, tuple[list[Payment], list[Payment]]] = {
    "pass-through": (
        [(0, "X", "A", 10_000), (5, "A", "Y", 9_600)],
        [(0, "X", "A", 10_000), (5, "A", "Y", 800)],
    ),
    "mule-commission": (
        [(0, "X", "A", 1_000), (3, "A", "Y", 910)],
        [*[(at / 10, f"X{at}", "A", 50) for at in range(20)], (3, "A", "Y", 910)],
    ),
    "funnel-account": (
        [*[(6 * at, f"X{at}", "A", 2_000) for at in range(6)], (50, "A", "Y", 11_000)],
        [*[(6 * at, f"X{at}", "A", 2_000) for at in range(6)], *[(50 + at, "A", f"Y{at}", 900) for at in range(12)]],
    ),
    "round-trip": (
        [(0, "A", "B", 4_000), (40, "B", "A", 3_950)],
        [(0, "A", "B", 4_000), (40, "B", "A", 1_200)],
    ),
    "temporal-ring": (
        [(0, "A", "B", 5_000), (5, "B", "C", 4_800), (9, "C", "D", 4_700), (20, "D", "A", 4_600)],
        [(0, "A", "B", 5_000), (5, "B", "C", 4_800), (9, "C", "D", 4_700), (20, "D", "E", 4_600)],
    ),
    "layering-chain": (
        [(0, "A", "B", 3_000), (5, "B", "C", 2_900), (9, "C", "D", 2_800), (20, "D", "E", 2_700)],
        [(0, "A", "B", 3_000), (5, "B", "C", 2_900)],
    ),
    "fan-in": (
        [(at, f"X{at}", "A", 100) for at in range(5)],
        [(at, f"X{at % 4}", "A", 100) for at in range(8)],
    ),
    "gather-scatter": (
        [*[(at, f"X{at}", "A", 1_000) for at in range(3)], *[(5 + at, "A", f"Y{at}", 990) for at in range(3)]],
        [*[(at, f"X{at}", "A", 1_000) for at in range(3)], *[(5 + at, "A", f"Y{at}", 90) for at in range(3)]],
    ),
    "scatter-gather": (
        [*[(at, "S", f"M{at}", 1_000) for at in range(3)], *[(9 + at, f"M{at}", "T", 980) for at in range(3)]],
        [*[(at, "S", f"M{at}", 1_000) for at in range(2)], *[(9 + at, f"M{at}", "T", 980) for at in range(2)]],
    ),
    "dormant-reactivation": (
        [*days(2, 1, "A", "B", 100), *[(24 * 150 + at, "A", f"Y{at}", 700) for at in range(3)]],
        [*days(15, 10, "A", "B", 100), *[(24 * 150 + at, "A", f"Y{at}", 700) for at in range(3)]],
    ),
    "new-account-active": (
        [(2 * at, "A", f"Y{at}", 200) for at in range(25)],
        [(0, "A", "B", 10), *[(24 * 100 + 2 * at, "A", f"Y{at}", 200) for at in range(25)]],
    ),
    "amount-against-own-history": ([*USUAL, (24 * 61, "A", "B", 5_000)], [*USUAL, (24 * 61, "A", "B", 202)]),
    "exceptional-transfer": (
        [*days(8, 5, "A", "B", 4_000), (24 * 45, "A", "B", 9_000)],
        [*days(8, 5, "A", "B", 4_000), (24 * 45, "A", "B", 4_200)],
    ),
    "volume-spike": ([*FOUR_WEEKS, (24 * 26, "A", "C", 20_000)], [*FOUR_WEEKS, (24 * 26, "A", "C", 500)]),
    "repeated-similar-amounts": (
        [(at, "A", f"Y{at}", 200 + at) for at in range(5)],
        [(at, "A", f"Y{at}", 110 + 90 * at) for at in range(5)],
    ),
    "round-amounts": (
        [*days(3, 2, "A", "B", 130), (24 * 9, "A", "B", 7_000)],
        [*days(3, 2, "A", "B", 130), (24 * 9, "A", "B", 7_123.45)],
    ),
    "burst": ([(at, "A", "B", 300) for at in range(5)], [(at, "A", "B", 2.5) for at in range(5)]),
    "large-first-payment-to-new-payee": ([*USUAL, (24 * 59, "A", "C", 8_000)], [*USUAL, (24 * 59, "A", "B", 8_000)]),
    "structuring-by-one-sender": (
        [(0, "A", "B", 9_500), (40, "A", "C", 9_200)],
        [(0, "A", "B", 9_500), (60, "A", "C", 9_200)],
    ),
    "structuring-over-a-month": (
        [(24 * at, "A", f"Y{at}", 9_000) for at in range(20)],
        [(24 * 7 * at, "A", "Landlord", 9_000) for at in range(5)],
    ),
    "smurfing-into-one-account": (
        [(at, f"X{at}", "A", 4_500) for at in range(3)],
        [(at, f"X{at}", "A", 1_500) for at in range(3)],
    ),
    "daily-cash-aggregate": (
        [(at, "X", "A", 4_000, "cash") for at in range(3)],
        [*[(at, "X", "A", 4_000) for at in range(2)], (3, "X", "A", 4_000, "cash")],
    ),
    "cash-intensive-account": (
        [(24 * at, f"X{at}", "A", 6_000, "cash") for at in range(5)],
        [*[(20 * at, f"X{at}", "A", 60_000) for at in range(5)], (110, "X", "A", 25_000, "cash")],
    ),
    "fan-out": (
        [(at, "A", f"Y{at}", 100) for at in range(5)],
        [(4 * at, "A", f"Y{at}", 100) for at in range(5)],
    ),
    "night-and-weekend-concentration": (
        [(24 * at + 1, "A", "B", 100) for at in range(12)],
        [(24 * at + 12, "A", "B", 100) for at in range(12)],
    ),
    "currency-hopping": (
        [(24 * at, "A", "B", 900, "fx") for at in range(3)],
        [(24 * 9 * at, "A", "B", 900, "fx") for at in range(3)],
    ),
    "single-large-deposit": ([(0, "A", "B", 15_000)], [(0, "A", "B", 9_999)]),
    "fortnight-total": (
        [(24 * 4 * at, f"X{at}", "A", 4_000) for at in range(3)],
        [(24 * 20 * at, f"X{at}", "A", 4_000) for at in range(3)],
    ),
}


@dataclass(frozen=True)
class Answers:
    """The answers for all cases in one ledger, and where the last payment of each is."""

    hits: RuleHits
    last: dict[tuple[str, bool], int]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """All cases go through one engine; each has accounts of its own, so that none sees another."""
    told: list[tuple[float, str, bool, bool, Payment]] = []
    for name, sides in CASES.items():
        for guilty, payments in zip((True, False), sides, strict=True):
            ordered = sorted(payments, key=lambda payment: payment[0])
            assert ordered == list(payments), name
            told += [(each[0], name, guilty, each is payments[-1], each) for each in payments]
    told.sort(key=lambda each: each[0])
    ledger, last = [], {}
    for seq, (hours, name, guilty, is_last, (_, sender, receiver, amount, *kind)) in enumerate(told):
        prefix = f"{name}/{guilty}/"
        minor = round(amount * 100)
        paid = Paid(
            START + int(hours * HOUR_US), prefix + sender, prefix + receiver, minor, minor, "USD",
            "EUR" if "fx" in kind else "USD", minor, "cash" if "cash" in kind else "wire", "b1", "b1",
        )  # fmt: skip
        ledger.append(paid)
        if is_last:
            last[name, guilty] = seq
    rules = RuleSet.load()
    every = rules.only([rule.id for rule in rules.rules])  # those that are off by default too
    features = with_requests(payments_v2(Settings(), resolution_us=1), every)
    engine = Engine(features, threads=1)
    block = engine.process(as_table(ledger).combine_chunks().to_batches()[0])
    return Answers(every.evaluate(block.columns), last)


@pytest.mark.parametrize("name", CASES)
def test_the_planted_case_hits_and_its_look_alike_does_not(name: str, answers: Answers) -> None:
    assert name not in answers.hits.off
    found = answers.hits.of(name)
    assert found[answers.last[name, True]], answers.hits.rows.slice(answers.last[name, True], 1).to_pylist()
    assert not found[answers.last[name, False]]


def test_every_rule_that_the_engine_computes_has_a_case(answers: Answers) -> None:
    assert {rule.id for rule in answers.hits.rules} - set(answers.hits.off) == set(CASES)
