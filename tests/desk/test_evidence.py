"""Evidence: the raising payment, then what the reasons speak of, and nothing later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.desk.evidence import MOST_EVIDENCE, MOST_FORMED, Around, choose_evidence, evidence_rows, payment_at
from greywater.desk.reasons import Reason
from greywater.desk.recorded import Recorded
from greywater.desk.sentences import Role
from greywater.errors import UsageError

DAY = 86_400
START = datetime(2024, 3, 1, tzinfo=UTC)
Row = tuple[float, str, str, int, float | None]  # day, sender, receiver, base amount, score


def table(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            "tx_id": [f"t{i}" for i in range(len(rows))],
            "seq": pa.array(range(len(rows)), pa.int64()),
            "event_time": pa.array([START + timedelta(days=row[0]) for row in rows], pa.timestamp("us", "UTC")),
            "sender": [row[1] for row in rows],
            "receiver": [row[2] for row in rows],
            "amount": pa.array([row[3] for row in rows], pa.int64()),
            "currency": ["USD"] * len(rows),
            "base_amount": pa.array([row[3] for row in rows], pa.int64()),
            "channel": ["wire"] * len(rows),
            "score": pa.array([row[4] for row in rows], pa.float64()),
        }
    )


def reason(
    window: int | None, role: Role | None, direction: str, *, theme: str = "flow", whole_days: bool = False
) -> Reason:
    return Reason("said", theme, (), (), 1.0, window, whole_days, role, direction)


def chosen(rows: list[Row], raising: int, *reasons: Reason, limit: int = MOST_EVIDENCE) -> list[str]:
    return [row.tx_id for row in choose_evidence(table(rows), raising, reasons, limit=limit)]


def test_the_raising_payment_comes_first_then_the_window_by_score_and_amount() -> None:
    rows: list[Row] = [
        (0.0, "a", "x", 9_999, 5.0),  # outside the window
        (6.1, "a", "y", 100, 1.0),
        (6.2, "a", "z", 300, None),
        (6.3, "a", "w", 400, None),
        (6.4, "q", "a", 999, 9.0),  # the other direction
        (6.5, "a", "v", 200, 2.0),
        (7.0, "a", "u", 50, 0.5),
        (7.0, "a", "t", 900, 8.0),  # recorded later
    ]
    evidence = choose_evidence(table(rows), 6, [reason(DAY, "sender", "out")])
    assert [row.tx_id for row in evidence] == ["t6", "t5", "t1", "t3", "t2"]
    assert [row.raising for row in evidence] == [True, False, False, False, False]
    assert evidence[1].score == 2.0
    assert evidence[3].score is None
    assert (evidence[0].sender, evidence[0].receiver, evidence[0].amount, evidence[0].channel) == ("a", "u", 50, "wire")
    assert evidence[0].time_us == int((START + timedelta(days=7)).timestamp()) * 1_000_000


def test_the_window_is_open_at_its_far_end() -> None:
    rows: list[Row] = [(6.0, "a", "b", 1, 1.0), (6.0 + 1e-5, "a", "b", 1, 1.0), (7.0, "a", "b", 1, 1.0)]
    assert chosen(rows, 2, reason(DAY, "sender", "out")) == ["t2", "t1"]


def test_whole_day_windows_take_whole_days() -> None:
    rows: list[Row] = [(4.99, "a", "b", 1, 1.0), (5.0, "a", "b", 1, 2.0), (7.9, "a", "b", 1, 1.0)]
    assert chosen(rows, 2, reason(3 * DAY, "sender", "out", whole_days=True)) == ["t2", "t1"]
    assert chosen(rows, 2, reason(3 * DAY, "sender", "out")) == ["t2", "t1", "t0"]


def test_roles_and_directions_are_those_of_the_reason() -> None:
    rows: list[Row] = [
        (1.0, "c", "a", 1, 1.0), (1.1, "b", "d", 1, 1.0), (1.2, "e", "b", 1, 1.0), (1.3, "a", "a", 1, 1.0),
        (1.4, "a", "f", 1, 1.0), (1.5, "a", "b", 1, 1.0),
    ]  # fmt: skip
    assert chosen(rows, 5, reason(DAY, "sender", "in")) == ["t5", "t0"]
    assert chosen(rows, 5, reason(DAY, "receiver", "out")) == ["t5", "t1"]
    assert chosen(rows, 5, reason(DAY, "receiver", "in")) == ["t5", "t2"]
    assert chosen(rows, 5, reason(DAY, "sender", "self")) == ["t5", "t3"]
    assert chosen(rows, 5, reason(DAY, "sender", "out")) == ["t5", "t4"]
    assert chosen(rows, 5, reason(DAY, "sender", "out"), reason(DAY, "sender", "in")) == ["t5", "t4", "t0"]


def test_a_reason_about_the_pair_speaks_of_both_ways_whenever() -> None:
    rows: list[Row] = [
        (0.0, "a", "b", 1, 1.0),
        (100.0, "b", "a", 1, 2.0),
        (200.0, "a", "c", 1, 3.0),
        (300.0, "a", "b", 1, 0.0),
    ]
    assert chosen(rows, 3, reason(None, None, "", theme="pair")) == ["t3", "t1", "t0"]


def test_where_no_reason_names_a_window_the_last_thirty_days_of_both_sides_stand_in() -> None:
    rows: list[Row] = [
        (0.0, "a", "x", 1, 9.0),
        (20.0, "a", "x", 1, 1.0),
        (21.0, "y", "b", 1, 2.0),
        (22.0, "p", "q", 1, 5.0),
        (40.0, "a", "b", 1, 0.0),
    ]
    assert chosen(rows, 4, reason(None, "sender", "out", theme="tempo")) == ["t4", "t2", "t1"]
    assert chosen(rows, 4) == ["t4", "t2", "t1"]


def test_a_later_payment_in_the_window_does_not_keep_the_last_thirty_days_away() -> None:
    rows: list[Row] = [(0.0, "a", "c", 1, 1.0), (1.0, "a", "a", 1, 1.0), (1.0, "a", "b", 1, 1.0)]
    assert chosen(rows, 1, reason(3_600, "sender", "out")) == chosen(rows[:2], 1, reason(3_600, "sender", "out"))
    assert chosen(rows, 1, reason(3_600, "sender", "out")) == ["t1", "t0"]


def test_evidence_is_bounded() -> None:
    rows: list[Row] = [(1.0, "a", f"b{i}", i, float(i)) for i in range(100)]
    assert chosen(rows, 99, reason(DAY, "sender", "out")) == [f"t{i}" for i in range(99, 74, -1)]
    assert chosen(rows, 99, reason(DAY, "sender", "out"), limit=1) == ["t99"]


def test_payments_that_formed_a_pattern_come_after_the_raising_one() -> None:
    rows: list[Row] = [(1.0, "a", f"b{i}", i, float(i)) for i in range(100)]
    evidence = choose_evidence(table(rows), 99, [reason(DAY, "sender", "out")], formed=(3, 99, 7, 3))
    assert [row.tx_id for row in evidence[:5]] == ["t99", "t3", "t7", "t98", "t97"]
    assert len(evidence) == MOST_EVIDENCE
    many = choose_evidence(table(rows), 99, [reason(DAY, "sender", "out")], formed=range(40))
    assert [row.tx_id for row in many[1:]] == [f"t{i}" for i in (*range(MOST_FORMED), *range(98, 89, -1))]
    with pytest.raises(UsageError, match="payment 100"):
        choose_evidence(table(rows), 99, [], formed=(100,))


def test_rows_are_read_by_seq() -> None:
    rows = evidence_rows(table([(0.0, "a", "b", 7, 1.0), (1.0, "b", "c", 8, float("nan"))]), 1)
    assert {seq: (row.tx_id, row.score, row.raising) for seq, row in rows.items()} == {
        0: ("t0", 1.0, False),
        1: ("t1", None, True),
    }


def test_a_raising_payment_that_is_not_there_is_said_so() -> None:
    with pytest.raises(UsageError, match="payment 5"):
        choose_evidence(table([(0.0, "a", "b", 1, 1.0)]), 5, [])
    with pytest.raises(UsageError, match="payment 5"):
        payment_at(table([(0.0, "a", "b", 1, 1.0)]), 5)


def test_without_scores_and_with_unknown_rates_it_still_chooses() -> None:
    rows = table([(0.0, "a", "b", 1, None), (0.5, "a", "c", 5, None), (0.6, "a", "d", 3, None)]).drop_columns("score")
    rows = rows.set_column(
        rows.schema.get_field_index("base_amount"), "base_amount", pa.array([None, 5, 3], pa.int64())
    )
    evidence = choose_evidence(rows, 2, [reason(DAY, "sender", "out")])
    assert [row.tx_id for row in evidence] == ["t2", "t1", "t0"]
    assert evidence[2].base_amount is None
    assert [row.score for row in evidence] == [None] * 3


def test_a_nan_score_is_no_score() -> None:
    (row,) = choose_evidence(table([(0.0, "a", "b", 1, float("nan"))]), 0, [])
    assert row.score is None


def test_the_raising_payment_is_read_whole() -> None:
    payments = table([(0.0, "a", "b", 7, 1.0)])
    payment = payment_at(payments, 0)
    assert (payment.sender, payment.receiver, payment.amount, payment.received_amount) == ("a", "b", 7, 7)
    more = payments.append_column("received_amount", pa.array([6], pa.int64())).append_column(
        "received_currency", pa.array(["EUR"])
    )
    assert (payment_at(more, 0).received_amount, payment_at(more, 0).received_currency) == (6, "EUR")


names = st.sampled_from(["a", "b", "c", "d"])
any_rows = st.lists(
    st.tuples(st.floats(0, 40), names, names, st.integers(0, 99), st.none() | st.floats(-5, 5)), min_size=1
)
any_reasons = st.lists(
    st.builds(
        reason,
        st.none() | st.sampled_from([3_600, DAY, 30 * DAY]),
        st.none() | st.sampled_from(["sender", "receiver"]),
        st.sampled_from(["out", "in", "self", ""]),
        theme=st.sampled_from(["flow", "pair", "tempo"]),
        whole_days=st.booleans(),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(any_rows, any_reasons, st.randoms(use_true_random=False))
def test_it_is_causal_bounded_and_does_not_hang_on_the_order_of_the_table(
    rows: list[Row], reasons: list[Reason], random: np.random.Generator
) -> None:
    raising = random.randrange(len(rows))  # type: ignore[attr-defined]
    payments = table(rows)
    evidence = choose_evidence(payments, raising, reasons)
    assert evidence[0].seq == raising
    assert all(row.seq < raising and row.time_us <= evidence[0].time_us for row in evidence[1:])
    assert len({row.seq for row in evidence}) == len(evidence) <= MOST_EVIDENCE
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[arg-type]
    assert choose_evidence(payments.take(order), raising, reasons) == evidence
    assert choose_evidence(payments.slice(0, raising + 1), raising, reasons) == evidence


def spoken_of(rows: list[Row], raising: int, said: Reason) -> list[int]:
    """The slow twin: places of the payments that a reason speaks of, latest first."""
    day, sender, receiver, *_ = rows[raising]
    party = sender if said.role == "sender" else receiver
    found = []
    for place, (when, payer, payee, *_) in enumerate(rows[: raising + 1]):
        if said.theme == "pair":
            about = (payer, payee) in ((sender, receiver), (receiver, sender))
        elif said.window is None or said.role is None:
            about = False
        else:
            way = {"out": payer == party != payee, "in": payee == party != payer, "self": payer == party == payee}
            microseconds = [(START + timedelta(days=each) - START) // timedelta(microseconds=1) for each in (when, day)]
            late = microseconds[0] > microseconds[1] - said.window * 1_000_000
            if said.whole_days:
                late = microseconds[0] // (DAY * 1_000_000) > microseconds[1] // (DAY * 1_000_000) - said.window // DAY
            about = late and way.get(said.direction, party in (payer, payee))
        if about:
            found.append(place)
    return found[::-1]


@settings(max_examples=100, deadline=None)
@given(any_rows, any_reasons, st.data())
def test_what_a_reason_cites_is_what_it_speaks_of_among_the_payments_that_count(
    rows: list[Row], reasons: list[Reason], data: st.DataObject
) -> None:
    raising = data.draw(st.integers(0, len(rows) - 1))
    kept = sorted({raising, *data.draw(st.sets(st.integers(0, len(rows) - 1)))})
    around = Around(Recorded(table(rows)), raising, np.array(kept))
    for said in reasons:
        expected = [place for place in spoken_of(rows, raising, said) if place in kept] or [raising]
        assert around.cited(said, 3) == (tuple(f"t{place}" for place in expected[:3]), len(expected))
    assert around.choose(reasons) == choose_evidence(table(rows).take(kept), raising, reasons)


def test_payments_are_found_by_seq_and_what_is_not_known_stays_open() -> None:
    rows = table([(1.0, "a", "b", 10, None), (2.0, "b", "c", 20, 2.0)])
    rows = rows.set_column(7, "base_amount", pa.array([None, 2**53 - 1], pa.int64())).take([1, 0])
    recorded = Recorded(rows)
    assert recorded.places(np.array([0, 1])).tolist() == [1, 0]
    assert [recorded.evidence(place).base_amount for place in (0, 1)] == [2**53 - 1, None]
    assert [recorded.evidence(place).score for place in (0, 1)] == [2.0, None]
    assert recorded.evidence(0) is recorded.evidence(0)
    assert recorded.evidence(0, raising=True).raising
    assert not recorded.evidence(0).raising
    with pytest.raises(UsageError, match="payment 7"):
        recorded.place(7)
