"""Training sets: what was known at the moment, and the same bits again after the groups have gone on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from greywater.errors import (
    FormatError,
    InputError,
    RefusedTypeError,
    RefusedValueError,
    StoreDamagedError,
    StoreError,
    UsageError,
)
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, RequestValue
from greywater.featurestore.splits import GroupSplit, RandomSplit, Split, TimeSplit
from greywater.featurestore.training_record import TrainingRecord, moment_us
from greywater.featurestore.training_set import assemble, remake
from tests.featurestore.training_world import (
    CREDIT,
    DAY,
    END,
    GROUPS,
    NUMBERS,
    VIEW,
    SmallOffline,
    bank,
    fill,
    label_rows,
    make,
    slow_join,
    times,
)


def test_a_set_has_ids_labels_features_and_parts_as_of_each_moment() -> None:
    offline, labels = bank(), label_rows()
    made = make(offline, labels, split=TimeSplit(purge_days=1), keep=("segment",))
    assert made.table.column_names == ["tx", "event_time", "laundering", "segment", *VIEW.names, "part"]
    used = labels.filter(pc.is_in(labels["tx"], made.table["tx"])).sort_by(
        [("event_time", "ascending"), ("tx", "ascending")]
    )
    assert made.table["tx"].to_pylist() == used["tx"].to_pylist()
    expected = slow_join(used, VIEW, GROUPS, offline)
    assert repr(made.table.select(list(VIEW.names)).to_pylist()) == repr(expected.to_pylist())
    at = made.table["event_time"].cast(pa.int64()).to_pylist()
    assert min(at) >= 2 * DAY
    for when, since in zip(at, used["known_since"].cast(pa.int64()).to_pylist(), strict=True):
        assert (since if since is not None else when + 30 * DAY) <= 25 * DAY
    parts = made.table["part"].to_pylist()
    assert parts == sorted(parts, key=["train", "validation", "test"].index)
    assert {report.name: report.rows for report in made.record.parts} == {
        **{name: parts.count(name) for name in ("train", "validation", "test")},
        "left_out": made.record.label_counts.used - len(parts),
    }
    assert made.record.rows == made.table.num_rows == len(parts) > 30


def test_no_feature_is_from_after_the_event_or_known_after_it() -> None:
    offline = SmallOffline()
    for group in GROUPS.values():
        offline.create(group.layout)
    empty = {"band": None, "accounts": None, "since": None, "watched": None}
    rows = [(3, 3, 1.0), (5, 9, 2.0), (6, 6, 3.0), (8, 8, 4.0), (3, 3, 9.0)]
    offline.append("credit", 1, pa.table({
        "customer": ["C"] * 5, "event_time": times([at * DAY for at, _, _ in rows]),
        "known_time": times([known * DAY for _, known, _ in rows]), "score": [score for _, _, score in rows],
        **{name: pa.array([value] * 5, CREDIT.layout.features.field(name).type) for name, value in empty.items()},
    }))  # fmt: skip
    labels = pa.table({
        "tx": ["t1", "t2", "t3", "t4", "t5"], "event_time": times([2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 9 * DAY]),
        "customer": ["C"] * 5, "branch": pa.array([None] * 5, pa.int64()), "laundering": [0] * 5,
        "known_since": times([None] * 5),
    })  # fmt: skip
    made = make(offline, labels, label_delay_days=0)
    assert made.table["score"].to_pylist() == [None, 9.0, 9.0, 3.0, 4.0]
    assert made.table["amount"].to_pylist() == [0] * 5


@pytest.mark.parametrize("split", [None, TimeSplit(), RandomSplit(seed=3, stratify="segment"), GroupSplit("customer")])
def test_a_set_is_made_again_bit_for_bit_after_the_groups_and_labels_have_gone_on(split: Split | None) -> None:
    offline, labels = bank(), label_rows()
    made = make(offline, labels, split=split)
    fill(offline, seed=99, commits=4)
    later = label_rows(seed=8, count=60, first=500)
    late = later.set_column(6, "known_since", times([26 * DAY] * 60))
    outside = later.set_column(1, "event_time", times([END + k for k in range(60)]))
    grown = pa.concat_tables([late, labels.take(pa.array(np.random.default_rng(1).permutation(120))), outside])
    record = TrainingRecord.from_json(made.record.to_json())
    assert record == made.record
    again = remake(record, GROUPS, offline, grown, join=slow_join)
    assert again.record == made.record
    assert repr(again.table.to_pylist()) == repr(made.table.to_pylist())
    assert again.table.schema == made.table.schema
    other = make(offline, labels, split=split)
    assert other.record.sha256 != made.record.sha256, "the corrections change a set that is new"


def test_the_hash_does_not_depend_on_chunks_and_features_come_a_chunk_at_a_time() -> None:
    offline, labels = bank(), label_rows()
    made = make(offline, labels, split=RandomSplit())
    offline.joined_rows.clear()
    assembly = assemble(made.record.query, VIEW, GROUPS, offline, labels, join=slow_join)
    chunks = list(assembly.chunks(7))
    assert max(offline.joined_rows) == 7
    assert assembly.record().sha256 == made.record.sha256
    assert repr(pa.concat_tables(chunks).to_pylist()) == repr(made.table.to_pylist())
    with pytest.raises(UsageError, match="0 rows"):
        next(assembly.chunks(0))


def test_what_is_not_the_same_is_found_when_a_set_is_made_again() -> None:
    offline, labels = bank(), label_rows()
    made = make(offline, labels)
    rows = offline.rows["credit", 1]
    for number, (commit, row) in enumerate(rows):
        rows[number] = (commit, row | {"score": 0.5})
    with pytest.raises(StoreDamagedError, match="differing in score"):
        remake(made.record, GROUPS, offline, labels, join=slow_join)
    offline = bank()
    log = offline.log["origin", 1]
    log[2] = replace(log[2], sha256="0" * 64)
    with pytest.raises(StoreDamagedError, match="commit 2 is not the one"):
        remake(made.record, GROUPS, offline, labels, join=slow_join)
    log.pop()
    with pytest.raises(StoreDamagedError, match="commit 2 is missing"):
        remake(made.record, GROUPS, offline, labels, join=slow_join)
    changed = labels.set_column(5, "laundering", pa.array([1] * 120, pa.int8()))
    with pytest.raises(InputError, match="not those that the set was made of"):
        remake(made.record, GROUPS, bank(), changed, join=slow_join)
    other = {**GROUPS, ("credit", 1): replace(CREDIT, features=(*CREDIT.features, FeatureField("new", "int8")))}
    with pytest.raises(StoreDamagedError, match="defined otherwise"):
        remake(made.record, other, bank(), labels, join=slow_join)


def with_state(state: Any, protected: bool = False) -> dict[tuple[str, int], FeatureGroup]:
    score = replace(CREDIT.features[0], state=state, protected=protected)
    return {**GROUPS, ("credit", 1): replace(CREDIT, features=(score, *CREDIT.features[1:]))}


def test_a_retired_feature_is_refused_for_a_new_set_and_read_for_an_old_one() -> None:
    offline, labels = bank(), label_rows()
    made = make(offline, labels)
    retired = with_state("retired")
    with pytest.raises(UsageError, match="'score' of group 'credit' is retired"):
        make(offline, labels, groups=retired)
    assert remake(made.record, retired, offline, labels, join=slow_join).record.sha256 == made.record.sha256
    with pytest.raises(UsageError, match="view is retired"):
        make(offline, labels, view=replace(VIEW, state="retired"))
    warned = make(offline, labels, groups=with_state("deprecated"), view=replace(VIEW, state="deprecated"))
    assert warned.record.warnings[:2] == ("view risk is deprecated", "feature score of group credit is deprecated")


def test_a_protected_attribute_needs_leave() -> None:
    offline, labels = bank(), label_rows()
    with pytest.raises(UsageError, match="protected attribute"):
        make(offline, labels, groups=with_state("active", protected=True))
    assert make(offline, labels, groups=with_state("active", protected=True), allow_protected=True).record.rows > 0


def test_a_record_says_how_labels_are_spread_over_slices() -> None:
    offline, labels = bank(), label_rows(count=400)
    made = make(offline, labels, slices=("segment", "band"), as_known_at=60 * DAY)
    assert made.record.bias is not None
    rates = {one.said: one for one in made.record.bias.slices}
    rows = made.table.to_pylist()
    segments = {row["tx"]: row["segment"] for row in labels.to_pylist()}
    hits = [row["laundering"] for row in rows if segments[row["tx"]] == "retail"]
    assert (rates["segment is retail"].rows, rates["segment is retail"].positives) == (len(hits), sum(hits))
    crossed = [row for row in rows if segments[row["tx"]] == "retail" and row["band"] == "a,b"]
    assert rates["segment is retail and band is a,b"].rows == len(crossed)
    thin = [one for one in made.record.warnings if one.startswith(("only ", "no "))]
    assert len(thin) == 10
    assert any("more slices" in one for one in made.record.warnings)
    record = TrainingRecord.from_json(made.record.to_json())
    assert record == made.record
    assert remake(record, GROUPS, offline, labels, join=slow_join).record.bias == made.record.bias
    assert make(bank(), labels).record.bias is None
    with pytest.raises(InputError, match="region"):
        make(bank(), labels, slices=("region",))


def test_unlabelled_rows_stay_where_they_are_asked_for() -> None:
    offline, labels = bank(), label_rows()
    without, kept = make(offline, labels), make(offline, labels, keep_unlabelled=True)
    assert without.table["laundering"].null_count == 0
    assert kept.table["laundering"].null_count > 0
    labelled = kept.table.filter(kept.table["laundering"].is_valid())
    assert labelled["tx"].to_pylist() == without.table["tx"].to_pylist()
    unlabelled = make(offline, labels, view=replace(VIEW, label=""))
    assert "laundering" not in unlabelled.table.column_names
    assert unlabelled.table.num_rows == kept.table.num_rows


def test_the_features_may_use_what_was_known_at_another_moment() -> None:
    offline = bank()
    at = label_rows()["event_time"].cast(pa.int64()).to_pylist()
    labels = label_rows().append_column("reviewed", times([moment + 9 * DAY for moment in at]))
    made = make(offline, labels, known_column="reviewed")
    used = labels.filter(pc.is_in(labels["tx"], made.table["tx"])).sort_by(
        [("event_time", "ascending"), ("tx", "ascending")]
    )
    expected = slow_join(used, VIEW, GROUPS, offline, known_column="reviewed")
    assert repr(made.table["score"].to_pylist()) == repr(expected["score"].to_pylist())
    assert made.record.sha256 != make(offline, labels).record.sha256


def test_a_set_goes_to_numpy_pandas_and_polars() -> None:
    made = make(bank(), label_rows(), view=NUMBERS, split=TimeSplit())
    x, y = made.to_numpy("train")
    train = made.part("train")
    assert y is not None
    assert (x.shape, x.dtype, y.tolist()) == ((train.num_rows, 3), np.float64, train["laundering"].to_pylist())
    expected = [[np.nan if row[name] is None else row[name] for name in NUMBERS.names] for row in train.to_pylist()]
    assert np.array_equal(x, np.array(expected, np.float64), equal_nan=True)
    frame = made.to_polars()
    assert isinstance(frame, pl.DataFrame)
    assert frame["tx"].to_list() == made.table["tx"].to_pylist()
    pandas = made.to_pandas("test")
    assert list(pandas["tx"]) == made.part("test")["tx"].to_pylist()
    assert sum(made.part(name).num_rows for name in ("train", "validation", "test")) == made.table.num_rows
    with pytest.raises(UsageError, match="no part 'all'"):
        made.part("all")
    whole = make(bank(), label_rows())
    assert whole.part("all").num_rows == whole.table.num_rows
    with pytest.raises(RefusedTypeError, match="column band"):
        whole.to_numpy()


def test_whole_numbers_that_a_float_cannot_hold_are_refused_in_a_matrix() -> None:
    view = replace(VIEW, columns=(VIEW.columns[4],))
    made = make(bank(), label_rows(), view=view)
    assert 2**62 in made.table["accounts"].to_pylist()
    with pytest.raises(RefusedValueError, match="4611686018427387904"):
        made.to_numpy()


def test_names_that_meet_and_groups_that_are_not_there_are_refused() -> None:
    offline, labels = bank(), label_rows()
    with pytest.raises(UsageError, match="'amount' would name two"):
        make(offline, labels, keep=("amount",))
    with pytest.raises(UsageError, match="'part' would name two"):
        make(offline, labels, view=FeatureView("v", 1, (RequestValue("part", "int64"),), label="laundering"))
    with pytest.raises(UsageError, match="group 'origin' version 1, which is not there"):
        make(offline, labels, groups={("credit", 1): CREDIT})
    without = replace(CREDIT, features=CREDIT.features[1:])
    with pytest.raises(UsageError, match="feature 'score' of group"):
        make(offline, labels, groups={**GROUPS, ("credit", 1): without})
    with pytest.raises(StoreError, match="not in the offline store"):
        make(SmallOffline(), labels)
    with pytest.raises(InputError, match="'customer'"):
        make(offline, labels.drop(["customer"]))
    with pytest.raises(UsageError, match="end is not after"):
        make(offline, labels, start=END)
    with pytest.raises(UsageError, match="version 0"):
        make(offline, labels, version=0)
    with pytest.raises(InputError, match="no row is left"):
        make(offline, labels, as_known_at=0)


def test_a_join_that_gives_other_columns_is_found() -> None:
    def short(*given: Any, **named: Any) -> pa.Table:
        return slow_join(*given, **named).drop(["score"])

    with pytest.raises(StoreError, match="join does not give"):
        make(bank(), label_rows(), join=short)


def test_groups_without_a_commit_give_nulls() -> None:
    offline = SmallOffline()
    for group in GROUPS.values():
        offline.create(group.layout)
    made = make(offline, label_rows())
    assert made.table["score"].null_count == made.table.num_rows
    assert made.record.commits == {("credit", 1): -1, ("origin", 1): -1}
    fill(offline, 1)
    assert remake(made.record, GROUPS, offline, label_rows(), join=slow_join).table.equals(made.table)


def test_parts_that_teach_nothing_are_warned_of() -> None:
    labels = label_rows()
    clean = labels.set_column(5, "laundering", pa.array([0] * 119 + [None], pa.int8()))
    lost = clean.set_column(0, "tx", pa.array([None, *clean["tx"].to_pylist()[1:]], pa.string()))
    made = make(bank(), lost, split=TimeSplit(), as_known_at=None)
    assert made.record.warnings == (
        *(f"all labels of part {name} are 0" for name in ("train", "validation", "test")),
        "1 label rows without an id or a time were left out",
    )


def test_a_record_that_is_none_is_refused() -> None:
    text = make(bank(), label_rows()).record.to_json()
    for damaged in ("", "{}", "[]", text.replace("training set 1", "training set 0"), text.replace('"band"', '"bond"')):
        with pytest.raises(FormatError, match="no record"):
            TrainingRecord.from_json(damaged)
    with pytest.raises(UsageError, match="no moment"):
        moment_us("yesterday")
    assert moment_us("1970-01-01T01:00:00+01:00") == 0
