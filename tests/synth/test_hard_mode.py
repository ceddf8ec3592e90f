"""Hard mode, knob by knob: what it does, and that without it the same does not happen."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from greywater.errors import UsageError
from greywater.synth.disguise import EverydayLooks, EverydaySample, PublishedLooks
from greywater.synth.economy import AMOUNT_UNITS, FORMATS, USD_RATES, Population, make_population
from greywater.synth.everyday_sample import sample_everyday
from greywater.synth.hard_mode import QUARTER_DAYS, HardMode
from greywater.synth.laundering import Laundering, plan_laundering
from greywater.synth.lookalikes import CUSTOMS, LookAlikes, plan_lookalikes
from greywater.synth.monitoring import Watched, watch
from greywater.synth.planned import PHASES, TYPOLOGIES, Planned
from greywater.synth.presets import world_plan
from greywater.synth.proportions import HI_SMALL

PLAN = replace(world_plan("hi-small", payments=150_000, accounts=6_000, days=365), laundering=2_500)
PROPORTIONS = HI_SMALL.scaled(PLAN.payments, laundering=PLAN.laundering)
DAY = 86_400


@cache
def everyday() -> tuple[Population, EverydaySample, EverydayLooks]:
    population = make_population(PLAN)
    sample = sample_everyday(PLAN, population)
    return population, sample, EverydayLooks(population, sample)


def planned(**knobs: Any) -> Laundering:
    population, _, looks = everyday()
    hard = HardMode(**knobs)
    chosen = looks if hard.disguised else PublishedLooks(population)
    return plan_laundering(PLAN, population, chosen, PROPORTIONS, hard)


@cache
def usual() -> Laundering:
    return planned()


@cache
def groups() -> LookAlikes:
    population, _, looks = everyday()
    return plan_lookalikes(PLAN, population, looks, 3_000)


def watched(**knobs: Any) -> Watched:
    population, _, looks = everyday()
    return watch(PLAN, population, looks, usual(), groups(), HardMode(**knobs))


def typed(laundering: Laundering) -> Planned:
    return laundering.payments.take(laundering.payments.typology >= 0)


def same(one: Planned, other: Planned) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Planned))


def leak(laundering: Laundering, column: str) -> float:
    """Area under the curve on the later half of a tree that saw one column of the earlier half."""
    _, sample, _ = everyday()
    payments = laundering.payments

    def values(paid: Any, currency: Any, form: Any) -> np.ndarray:
        dollars = paid / AMOUNT_UNITS[currency] / USD_RATES[currency]
        return dollars[:, None] if column == "amount" else np.eye(len(FORMATS))[form]

    x = np.vstack(
        [
            values(sample.paid, sample.currency, sample.format),
            values(payments.paid, payments.paid_currency, payments.format),
        ]
    )
    y = np.repeat([0, 1], [len(sample), len(payments)])
    time = np.concatenate([sample.time, payments.time])
    earlier = time < np.median(payments.time)
    tree = DecisionTreeClassifier(max_depth=5, min_samples_leaf=100, class_weight="balanced", random_state=0)
    tree.fit(x[earlier], y[earlier])
    return float(roc_auc_score(y[~earlier], tree.predict_proba(x[~earlier])[:, 1]))


@pytest.mark.parametrize("column", ["amount", "format"])
def test_neither_amount_nor_format_leaks_in_disguise(column: str) -> None:
    assert abs(leak(usual(), column) - 0.5) <= 0.05
    assert leak(planned(disguised=False), column) >= 0.65


def test_payments_to_oneself_are_as_common_as_everywhere() -> None:
    _, sample, _ = everyday()
    payments = usual().payments
    everywhere = np.mean(sample.sender == sample.receiver)
    assert np.mean(payments.sender == payments.receiver) == pytest.approx(everywhere, abs=0.03)
    published = planned(disguised=False).payments
    assert not np.any(published.sender == published.receiver)


def test_attempts_have_their_structure() -> None:
    """Who takes part how often, by typology; amounts passed on were received before."""
    payments = typed(usual())
    for attempt in usual().attempts:
        mine = payments.take(payments.attempt == attempt.number)
        senders, receivers = Counter(mine.sender.tolist()), Counter(mine.receiver.tolist())
        both = senders.keys() & receivers.keys()
        if attempt.typology == "fan-out":
            assert len(senders) == 1
            assert max(receivers.values()) == 1
        if attempt.typology == "fan-in":
            assert len(receivers) == 1
            assert max(senders.values()) == 1
        if attempt.typology == "gather-scatter":
            assert len(both) == 1
        if attempt.typology == "scatter-gather":
            assert len(both) == len(mine) // 2
        if attempt.typology == "cycle":
            assert senders.keys() == receivers.keys()
        if attempt.typology == "random":
            assert len(both) == len(mine) - 1
        if attempt.typology == "bipartite":
            assert not both
        if attempt.typology == "stack":
            assert both
        origin = int(mine.sender[0]) if attempt.typology == "cycle" else -1
        for account in both - {origin}:
            came, went = mine.receiver == account, mine.sender == account
            assert mine.time[came].max() < mine.time[went].min()
            assert mine.paid[went].sum() <= mine.paid[came].sum() + len(mine)


def test_every_payment_has_attempt_and_phase_and_placement_comes_first() -> None:
    payments = usual().payments
    assert payments.laundering.all()
    assert payments.attempt.min() >= 0
    assert {PHASES[place] for place in np.unique(payments.phase).tolist()} == set(PHASES)
    for attempt in usual().attempts:
        mine = payments.take(payments.attempt == attempt.number)
        assert (mine.time[mine.phase == PHASES.index("placement")] <= attempt.start).all()
        assert (mine.time[mine.phase == PHASES.index("integration")] >= attempt.start).all()


def test_lookalikes_have_the_shapes_of_laundering_and_are_none() -> None:
    found = groups()
    assert 3_000 <= len(found.payments) < 3_100
    assert not found.payments.laundering.any()
    assert (found.payments.attempt == -1).all()
    assert {group.name for group in found.groups} == {custom.name for custom in CUSTOMS}
    assert {group.shape for group in found.groups} == set(TYPOLOGIES)
    ring = next(group for group in found.groups if group.name == "family_ring")
    mine = found.payments.take(found.payments.group == ring.number)
    assert set(mine.sender.tolist()) == set(mine.receiver.tolist()) == set(ring.accounts)
    payroll = next(group for group in found.groups if group.name == "payroll")
    mine = found.payments.take(found.payments.group == payroll.number)
    assert len(set(mine.sender.tolist())) == 1
    assert mine.time.max() - mine.time.min() < DAY


def test_parties_of_laundering_may_know_each_other() -> None:
    payments, cover = typed(usual()), planned(familiar=0.9).cover
    pairs = set(zip(cover.sender.tolist(), cover.receiver.tolist(), strict=True))
    known = [pair in pairs for pair in zip(payments.sender.tolist(), payments.receiver.tolist(), strict=True)]
    assert np.mean(known) == pytest.approx(0.9, abs=0.08)
    assert not cover.laundering.any()
    assert len(planned(familiar=0.0).cover) == 0


def test_launderers_keep_back_what_the_knob_says() -> None:
    def passed(laundering: Laundering) -> float:
        payments = typed(laundering)
        shares = []
        for attempt in laundering.attempts:
            if attempt.typology == "gather-scatter":
                mine = payments.take(payments.attempt == attempt.number)
                (hub,) = set(mine.sender.tolist()) & set(mine.receiver.tolist())
                shares.append(mine.paid[mine.sender == hub].sum() / mine.paid[mine.receiver == hub].sum())
        return float(np.mean(shares))

    assert 0.7 <= passed(planned(kept=(0.9, 1.0), drift=0.0)) <= 1.0
    assert 0.2 <= passed(planned(kept=(0.3, 0.4), drift=0.0)) <= 0.4


def spans(laundering: Laundering) -> np.ndarray:
    return np.array([attempt.end - attempt.start for attempt in laundering.attempts]) / DAY


def test_attempts_take_as_long_as_the_knob_says() -> None:
    assert spans(planned(days=1.0, drift=0.0)).max() <= 2.0 + 0.5 * 12
    assert np.median(spans(planned(days=10.0))) > 2 * np.median(spans(planned(days=2.0)))


def test_attempts_are_no_smaller_than_the_knob_says() -> None:
    def least(laundering: Laundering) -> int:
        return int(np.bincount(typed(laundering).attempt).min())

    assert least(planned(smallest=5)) >= 5
    assert least(planned(smallest=0)) < 5


def test_behaviour_drifts_by_quarter() -> None:
    def later_to_earlier(laundering: Laundering) -> float:
        start = np.array([attempt.start - PLAN.start for attempt in laundering.attempts]) / DAY
        took = spans(laundering)
        return float(np.median(took[start > 3 * QUARTER_DAYS]) / np.median(took[start < QUARTER_DAYS]))

    assert later_to_earlier(planned(drift=0.6, mix_drift=0.0)) > 1.7
    assert 0.5 < later_to_earlier(planned(drift=0.0, mix_drift=0.0)) < 1.7


def test_the_mix_of_typologies_drifts() -> None:
    def stack_after_fan(laundering: Laundering) -> float:
        when = {name: [] for name in TYPOLOGIES}  # type: dict[str, list[int]]
        for attempt in laundering.attempts:
            when[attempt.typology].append(attempt.start)
        return (np.mean(when["stack"]) - np.mean(when["fan-out"])) / (PLAN.days * DAY)

    assert stack_after_fan(planned(mix_drift=1.0)) > 0.6
    assert abs(stack_after_fan(planned(mix_drift=0.0))) < 0.25


def test_only_payments_of_alerted_customers_made_before_the_alert_are_labelled() -> None:
    population, _, _ = everyday()
    found = watched()
    both = Planned.joined([usual().payments, groups().payments])
    alerts = found.alerts
    for row, since in zip(found.labels.row.tolist(), found.labels.known_since.tolist(), strict=True):
        parties = population.entity[[both.sender[row], both.receiver[row]]]
        mine = np.isin(alerts.customer, parties) & (alerts.decided == since)
        assert mine.any()
        assert (alerts.time[mine] >= both.time[row]).all()
    labelled = set(found.labels.row.tolist())
    unalerted = ~np.isin(population.entity[both.sender], alerts.customer)
    unalerted &= ~np.isin(population.entity[both.receiver], alerts.customer)
    assert unalerted.any()
    assert not labelled & set(np.flatnonzero(unalerted).tolist())


def test_how_many_launderers_are_alerted() -> None:
    none, some, all_of_them = (watched(alerted=share) for share in (0.0, 0.5, 1.0))
    guilty = [int((found.alerts.attempt >= 0).sum()) for found in (none, some, all_of_them)]
    assert guilty[0] == 0
    assert guilty[1] == pytest.approx(guilty[2] / 2, rel=0.1)
    assert not none.labels.label.any()


def test_false_alerts_and_what_they_are_about() -> None:
    alerts = watched(false_alerts=4.0, alerted=0.3).alerts
    guilty = int((alerts.attempt >= 0).sum())
    assert len(alerts) - guilty == pytest.approx(4 * guilty, rel=0.1)
    assert (alerts.group >= 0).any()
    assert not watched(false_alerts=0.0).alerts.group.max() >= 0


def test_labels_are_late() -> None:
    for days in (5.0, 40.0):
        alerts = watched(label_delay_days=days).alerts
        assert np.median(alerts.decided - alerts.time) / DAY == pytest.approx(days, rel=0.1)


def test_labels_are_wrong_both_ways() -> None:
    laundering = len(usual().payments)
    exact, wrong = watched(overlooked=0.0, mistaken=0.0), watched(overlooked=0.5, mistaken=0.5)
    for found, noisy in ((exact, False), (wrong, True)):
        really = found.labels.row < laundering
        assert np.any(really & (found.labels.label == 0)) == noisy
        assert np.any(~really & (found.labels.label == 1)) == noisy


def test_some_labels_name_another_typology() -> None:
    both = Planned.joined([usual().payments, groups().payments])

    def misnamed(share: float) -> float:
        labels = watched(misnamed=share).labels
        told = labels.typology >= 0
        return float(np.mean(labels.typology[told] != both.typology[labels.row[told]]))

    assert misnamed(0.0) == 0.0
    assert misnamed(0.4) == pytest.approx(0.4 * 7 / 8, abs=0.05)


def test_seeds_are_launderers_known_after_they_were_reported() -> None:
    population, _, _ = everyday()
    found = watched()
    seeds, alerts = found.seeds, found.alerts
    assert len(seeds.customer) > 10
    assert len(set(seeds.customer.tolist())) == len(seeds.customer)
    assert (population.entity[seeds.account] == seeds.customer).all()
    for customer, since in zip(seeds.customer.tolist(), seeds.known_since.tolist(), strict=True):
        mine = (alerts.customer == customer) & alerts.reported & (alerts.attempt >= 0)
        assert alerts.decided[mine].min() < since < PLAN.end


def test_the_same_knobs_give_the_same_and_others_do_not() -> None:
    assert same(usual().payments, planned().payments)
    assert not same(usual().payments, planned(days=3.0).payments)
    one, again = watched().alerts, watched().alerts
    assert np.array_equal(one.time, again.time)


@pytest.mark.parametrize(
    "knobs", [{"familiar": 1.5}, {"drift": -1.0}, {"kept": (0.9, 0.5)}, {"alerted": float("nan")}, {"lookalikes": -1}]
)
def test_knobs_that_mean_nothing_are_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        HardMode(**knobs)


def test_the_documents_name_every_knob_and_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "world.md").read_text(encoding="utf-8")
    for field in fields(HardMode):
        value = getattr(HardMode(), field.name)
        shown = f"{value[0]:g}..{value[1]:g}" if isinstance(value, tuple) else f"{value:g}"
        shown = str(value).lower() if isinstance(value, bool) else shown
        assert f"| `{field.name}` | {shown} |" in text


def test_a_disguise_is_an_everyday_payment_of_nearly_the_amount() -> None:
    _, sample, looks = everyday()
    worn = {(int(sample.currency[row]), int(sample.paid[row]), int(sample.format[row])) for row in range(len(sample))}
    wanted = np.exp(np.random.default_rng(2).normal(11.0, 1.0, 300))
    currency = np.random.default_rng(3).integers(0, 2, 300)
    paid, form = looks.wear(np.random.default_rng(4), currency, wanted, typed=True)
    units = wanted / 100.0 * USD_RATES[currency] * AMOUNT_UNITS[currency]
    near = (paid <= units + 1) & (paid >= 0.88 * units - 1)
    assert near.all()
    known = [one in worn for one in zip(currency.tolist(), paid.tolist(), form.tolist(), strict=True)]
    assert np.mean(known) > 0.98
