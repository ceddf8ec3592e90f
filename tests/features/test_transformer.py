"""GraphFeatures: a transformer with a memory, whose values do not depend on how payments are cut into blocks."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator

from greywater import GraphFeatures
from greywater.errors import EngineError, GreywaterError, RefusedTypeError, RefusedValueError, SnapshotError
from greywater.features.graph import PATTERNS
from greywater.features.graph_state import GraphState
from tests.conftest import FULL
from tests.features.graph_payments import LATENESS, SHORT_WINDOWS, random_graph
from tests.naive_graph import Payment

DOCS = Path(__file__).resolve().parents[2] / "docs"

#: The checks of scikit-learn that a transformer with a memory cannot pass, and why.
CANNOT_PASS = {
    "check_transformer_general": "fit_transform starts with an empty graph and knows each payment once; "
    "fit and then transform of the same rows takes every payment in twice",
    "check_transformer_data_not_an_array": "the same comparison of fit_transform with fit and transform",
    "check_methods_sample_order_invariance": "the order of the rows is the order of arrival: "
    "a payment knows those before it",
    "check_methods_subset_invariance": "transform takes its rows in, so the same rows transformed again, in parts, "
    "come after themselves",
}
#: The checks hand over two columns at times: the time is then that of the sender's column.
TWO_COLUMNS: dict[str, Any] = {"time_column": 0, "sender_column": 0, "receiver_column": 1, "amount_column": None}
SMALL: dict[str, Any] = {
    **{f"{pattern}_windows": SHORT_WINDOWS for pattern in PATTERNS if pattern != "fan_new"},
    "allowed_lateness": LATENESS,
    "max_length": 5,
    "time_unit": "us",
    "amount_decimals": 0,
    "unknown_amounts": "keep",
    "n_threads": 1,
}


def checks() -> list[Any]:
    found = []
    estimator = GraphFeatures(**TWO_COLUMNS, fan_windows="1d", n_threads=1)
    for number, (each, check) in enumerate(estimator_checks_generator(estimator)):
        inner = check
        while hasattr(inner, "func"):
            inner = inner.func
        found.append(pytest.param(each, check, inner.__name__, id=f"{number}-{inner.__name__}"))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check", "name"), checks())
def test_checks_of_scikit_learn(estimator: Any, check: Callable[[Any], None], name: str) -> None:
    if name in CANNOT_PASS:
        with pytest.raises(AssertionError):
            check(estimator)
        return
    try:
        check(estimator)
    except SkipTest:
        assert name == "check_array_api_input"


def test_the_checks_that_cannot_pass_are_documented() -> None:
    said = (DOCS / "graph_features.md").read_text(encoding="utf-8")
    for name, reason in CANNOT_PASS.items():
        assert f"| `{name}` | {reason} |" in said


def test_every_parameter_is_documented() -> None:
    said = (DOCS / "graph_features.md").read_text(encoding="utf-8")
    for name, default in GraphFeatures().get_params().items():
        rows = [line for line in said.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
        assert rows, f"docs/graph_features.md does not describe {name}"
        assert f"`{default!r}`" in rows[0].split("|")[2], f"the default of {name} is {default!r}"
        assert f"{name}" in (GraphFeatures.__doc__ or "")


def graph(seed: int, n: int = 120) -> list[Payment]:
    return random_graph(seed, n, 7, follow=0.4)


def frame_of(payments: list[Payment]) -> pd.DataFrame:
    columns = {"event_time": [], "sender": [], "receiver": [], "amount": []}
    for payment in payments:
        for name, value in zip(columns, (payment.time, payment.sender, payment.receiver, payment.amount), strict=True):
            columns[name].append(value)
    frame = pd.DataFrame(columns)
    return frame.assign(amount=frame.amount.astype("Int64"))


def pieces(frame: pd.DataFrame, sizes: list[int]) -> list[pd.DataFrame]:
    begins = np.cumsum([0, *sizes]).clip(max=len(frame)).tolist()
    return [frame.iloc[a:b] for a, b in zip(begins, [*begins[1:], len(frame)], strict=True)]


def pushed(estimator: GraphFeatures, frame: pd.DataFrame) -> np.ndarray:
    rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False)
    return np.array([estimator.push(tuple(row)) for row in rows])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_block_is_many_is_one_by_one_is_restored(pattern: str) -> None:
    def make(**changes: Any) -> GraphFeatures:
        return GraphFeatures(**{**SMALL, "patterns": [pattern], **changes})

    frame = frame_of(graph(3))
    at_once = make().fit_transform(frame)
    cut = make()
    blocks = [cut.fit_transform(frame.iloc[:10])]
    for size, block in zip((0, 1, 1, 30, 64), pieces(frame.iloc[10:], [0, 1, 1, 30]), strict=True):
        assert len(block) in (size, len(frame) - 42)
        blocks.append(cut.transform(block))
        cut = pickle.loads(pickle.dumps(copy.deepcopy(cut)))  # noqa: S301
        cut = clone(cut).restore(cut.snapshot())
    assert np.array_equal(np.concatenate(blocks), at_once, equal_nan=True)
    assert np.array_equal(pushed(make(), frame), at_once, equal_nan=True)
    assert np.array_equal(make(n_threads=3).fit_transform(frame), at_once, equal_nan=True)
    numbered = frame.assign(**{side: frame[side].str[1:].astype(int) * 2**57 - 7 for side in ("sender", "receiver")})
    assert np.array_equal(make().fit_transform(numbered), at_once, equal_nan=True)
    if FULL:
        for seed in range(20):
            more = frame_of(graph(100 + seed))
            one = make().fit_transform(more)
            assert np.array_equal(pushed(make(), more), one, equal_nan=True)


def test_the_values_are_those_of_the_graph() -> None:
    frame = frame_of(graph(5, 300))
    estimator = GraphFeatures(**SMALL)
    found = estimator.fit_transform(frame)
    state = GraphState(estimator.stream_.plan, threads=1)
    codes = {name: k for k, name in enumerate(sorted({*frame.sender, *frame.receiver}))}
    coded = frame.assign(**{side: frame[side].map(codes) for side in ("sender", "receiver")}).fillna({"amount": -1})
    columns = [coded[name].to_numpy(np.int64).copy() for name in ("sender", "receiver", "event_time", "amount")]
    ints, floats = state.process(*columns)
    assert np.array_equal(found, np.concatenate([ints, floats]).T, equal_nan=True)
    assert estimator.get_feature_names_out().tolist() == list(estimator.stream_.plan.names)
    assert (found[:, :10] > 0).any()


def test_fit_takes_in_and_transform_goes_on() -> None:
    frame = frame_of(graph(7))
    past, now = frame.iloc[:80], frame.iloc[80:]
    expected = GraphFeatures(**SMALL).fit_transform(frame)[80:]
    fitted = GraphFeatures(**SMALL).fit(past)
    assert np.array_equal(fitted.transform(now), expected, equal_nan=True)
    parts = GraphFeatures(**SMALL)
    for block in pieces(past, [0, 30, 1]):
        assert parts.partial_fit(block) is parts
    assert np.array_equal(parts.transform(now), expected, equal_nan=True)
    again = fitted.fit(past, y=np.zeros(80)).transform(now)
    assert np.array_equal(again, expected, equal_nan=True)
    assert np.array_equal(fitted.fit_transform(frame)[80:], expected, equal_nan=True)
    assert not np.array_equal(fitted.transform(now), expected, equal_nan=True)


def test_a_pipeline_learns_and_scores() -> None:
    frame = frame_of(graph(9, 200))
    target = (frame.receiver == "a1").to_numpy()
    pipeline = make_pipeline(GraphFeatures(**SMALL), DecisionTreeClassifier())
    assert pipeline.fit(frame.iloc[:150], target[:150]).predict_proba(frame.iloc[150:]).shape == (50, 2)
    assert clone(pipeline).get_params()["graphfeatures"].get_params() == GraphFeatures(**SMALL).get_params()


def test_without_fit() -> None:
    frame = frame_of(graph(1, 20))
    for use in ("transform", "get_feature_names_out", "snapshot"):
        with pytest.raises(NotFittedError):
            getattr(GraphFeatures(**SMALL), use)(*([frame] if use == "transform" else []))
    started = GraphFeatures(**SMALL)
    first = started.push((0, "a", "b", 1))
    assert first.shape == (len(started.get_feature_names_out()),)
    assert started.transform(frame).shape == (20, len(first))
    assert started.n_features_in_ == 4
    empty = GraphFeatures(**SMALL).partial_fit(frame.iloc[:0])
    assert empty.transform(frame.iloc[:0]).shape == (0, len(first))
    with pytest.raises(RefusedValueError, match=r"0 sample\(s\)"):
        empty.fit(frame.iloc[:0])


@pytest.mark.parametrize("way", ["transform", "partial_fit", "push", "fit", "fit_transform"])
def test_a_refused_block_changes_nothing(way: str) -> None:
    frame = frame_of(graph(2, 60))
    held, untouched = (GraphFeatures(**SMALL).fit(frame.iloc[:40]) for _ in range(2))
    bad = frame.iloc[40:].copy()
    bad.loc[bad.index[-1], "amount"] = -1
    with pytest.raises(RefusedValueError, match="negative"):
        getattr(held, way)(tuple(bad.iloc[-1]) if way == "push" else bad)
    rest = frame.iloc[40:]
    assert np.array_equal(held.transform(rest), untouched.transform(rest), equal_nan=True)


def test_text_and_numbers_are_never_taken_for_each_other() -> None:
    estimator = GraphFeatures(**SMALL, id_column=4)
    with pytest.raises(RefusedTypeError, match="senders are text"):
        estimator.fit([[0, "1", 2, 5, 1]])
    with pytest.raises(RefusedTypeError, match="text and as whole numbers"):
        estimator.push((0, "1", 2, 5, 1))
    estimator.push((0, "1", "2", 5, 1))
    for row in ((1, 1, 2, 5, 2), (1, "1", "2", 5, "2")):
        with pytest.raises(RefusedTypeError, match="text and as whole numbers"):
            estimator.push(row)
        with pytest.raises(RefusedTypeError, match="text and as whole numbers"):
            estimator.transform([list(row)])
    estimator.fit([[0, 1, 2, 5, "x"]])
    assert estimator.push((1, 1, 2, 5, "y"))[0] == 2


def test_an_interrupted_block_is_not_built_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of(graph(2, 60))
    estimator = GraphFeatures(**SMALL).fit(frame.iloc[:40])
    saved = estimator.snapshot()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GraphState, "process", interrupted)
        with pytest.raises(KeyboardInterrupt):
            estimator.transform(frame.iloc[40:])
    for use in (lambda: estimator.transform(frame), lambda: estimator.push((0, "a", "b", 1)), estimator.snapshot):
        with pytest.raises(EngineError, match="interrupted half-way"):
            use()
    expected = GraphFeatures(**SMALL).fit_transform(frame)[40:]
    assert np.array_equal(estimator.restore(saved).transform(frame.iloc[40:]), expected, equal_nan=True)


def test_a_snapshot_of_other_features_is_refused() -> None:
    saved = GraphFeatures(**SMALL).fit(frame_of(graph(2, 60))).snapshot()
    with pytest.raises(SnapshotError, match="other graph features"):
        GraphFeatures(**{**SMALL, "fan_windows": "9h"}).restore(saved)
    with pytest.raises(SnapshotError, match="ids"):
        GraphFeatures(**SMALL, id_column="id").restore(saved)


WITH_IDS: dict[str, Any] = {
    "patterns": ["fan"],
    "fan_windows": [5],
    "allowed_lateness": 5,
    "amount_column": None,
    "id_column": 3,
    "n_threads": 1,
}
HOLD = 10


class Answers:
    """What an estimator with ids answers, from one without ids and a dictionary."""

    def __init__(self) -> None:
        self.bare = GraphFeatures(**{**WITH_IDS, "id_column": None})
        self.seen: dict[Any, tuple[int, np.ndarray | None]] = {}
        self.horizon = -(2**60)

    def refuses(self, block: list[list[Any]], compute: bool) -> bool:
        """Whether an id of the block is no longer held, or has no values."""
        times = {identity: time for identity, (time, _) in self.seen.items()}
        horizon = self.horizon
        for time, _, _, identity in block:
            if identity not in times:
                times[identity] = time
                horizon = max(horizon, time)
                continue
            without = compute and identity in self.seen and self.seen[identity][1] is None
            if without or times[identity] <= horizon - HOLD:
                return True
        return False

    def of(self, block: list[list[Any]], compute: bool) -> list[np.ndarray | None]:
        for time, sender, receiver, identity in block:
            if identity not in self.seen:
                values = self.bare.push((time, sender, receiver, None))
                self.seen[identity] = time, values if compute else None
                self.horizon = max(self.horizon, time)
        return [self.seen[identity][1] for *_, identity in block]


def given_to(estimator: GraphFeatures, way: str, block: list[list[Any]]) -> Any:
    if way == "push":
        (row,) = block
        return [estimator.push((*row[:3], None, row[3]))]
    if not hasattr(estimator, "stream_"):
        way = {"transform": "fit_transform", "partial_fit": "fit"}[way]
    return getattr(estimator, way)(block)


PAYMENTS = st.tuples(st.integers(-12, 6), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
BLOCKS = st.lists(
    st.tuples(st.sampled_from(["transform", "partial_fit", "push"]), st.lists(PAYMENTS, min_size=1, max_size=5)),
    max_size=8,
)


@pytest.mark.parametrize("text", [False, True])
@settings(max_examples=1_000 if FULL else 60)
@given(blocks=BLOCKS)
def test_an_id_that_comes_again_gets_its_first_values(text: bool, blocks: list[tuple[str, list[Any]]]) -> None:
    estimator, answers = GraphFeatures(**WITH_IDS), Answers()
    now = 100
    for way, drawn in blocks:
        rows = []
        for step, sender, receiver, identity in drawn:
            now += max(step, 0)
            rows.append([now + min(step, 0), sender, receiver, f"tx{identity}" if text else identity])
        for block in [[row] for row in rows] if way == "push" else [rows]:
            compute = way != "partial_fit"
            if answers.refuses(block, compute):
                with pytest.raises(EngineError, match=r"is no longer held|without its values") as caught:
                    given_to(estimator, way, block)
                assert caught.value.mend
                continue
            found, expected = given_to(estimator, way, block), answers.of(block, compute)
            if compute:
                for row, values in zip(found, expected, strict=True):
                    assert values is not None
                    assert np.array_equal(row, values, equal_nan=True)
        if hasattr(estimator, "stream_"):
            estimator = clone(estimator).restore(estimator.snapshot())
            assert estimator.footprint.ids == len(answers.seen)


def test_an_id_holds_whatever_else_its_row_says() -> None:
    estimator = GraphFeatures(**WITH_IDS)
    first = estimator.push((0, 1, 2, None, 2**63 - 1))
    assert np.array_equal(estimator.push((7, 5, 6, None, 2**63 - 1)), first, equal_nan=True)
    assert estimator.stream_.payments == 1
    assert estimator.stream_.horizon == 0
    assert estimator.footprint.graph.held == 1


def test_many_ids_are_kept_and_their_values_are_not() -> None:
    estimator = GraphFeatures(**WITH_IDS)
    step = 500
    largest = 0
    for begin in range(0, 20 * step, step):
        ids = np.arange(begin, begin + step)
        estimator.partial_fit(np.column_stack([ids // 100, ids % 7, ids % 5, ids]))
        again = np.column_stack([ids // 100, ids % 7, ids % 5, ids + 10**9])
        values = estimator.transform(again)
        assert np.array_equal(estimator.transform(again[-50:]), values[-50:], equal_nan=True)
        largest = max(largest, estimator.footprint.value_bytes)
    held = estimator.footprint
    assert held.ids == 40 * step
    assert held.id_bytes <= 64 * held.ids
    width = 4 * len(estimator.stream_.plan.int_features) + 8 * len(estimator.stream_.plan.float_features) + 9
    assert largest < 1.02 * width * (2 * 1_000 + 2 * step + 2 * 1_024)
    with pytest.raises(EngineError, match="id 0 in row 0 is no longer held"):
        estimator.transform([[1, 1, 2, 0]])


def test_names_of_accounts_are_forgotten_with_their_payments() -> None:
    options = {**WITH_IDS, "id_column": None}
    named, numbered = GraphFeatures(**options), GraphFeatures(**options)
    for begin in range(0, 12_000, 600):
        rows = [[k // 10, k // 20, k // 20 + 1 + k % 3] for k in range(begin, begin + 600)]
        texts = [[time, f"account {sender}", f"account {receiver}"] for time, sender, receiver in rows]
        if not begin:
            named.partial_fit(np.empty((0, 3)))
            numbered.partial_fit(np.empty((0, 3)))
        assert np.array_equal(named.transform(texts), numbered.transform(rows), equal_nan=True)
    assert named.footprint.names < 2_500
    assert numbered.footprint.names == 0


def test_containers() -> None:
    def make() -> GraphFeatures:
        return GraphFeatures(**{**SMALL, "patterns": ["fan", "chain"]})

    frame = frame_of(graph(4, 50)).set_index(np.arange(50) * 2 + 1)
    plain = make().fit_transform(frame)
    assert plain.dtype == np.float64
    as_pandas = make().set_output(transform="pandas").fit_transform(frame)
    as_polars = make().set_output(transform="polars").fit_transform(frame)
    names = make().fit(frame).get_feature_names_out()
    for found in (as_pandas, as_polars):
        assert list(found.columns) == list(names)
        assert np.array_equal(found.to_numpy().astype(float), plain, equal_nan=True)
    assert as_pandas.index.tolist() == frame.index.tolist()
    kinds = [feature.dtype for feature in make().fit(frame).stream_.plan.features]
    assert as_pandas.dtypes.map(str).tolist() == kinds
    assert [str(kind).lower() for kind in as_polars.dtypes] == kinds
    with sklearn.config_context(transform_output="polars"):
        assert isinstance(make().fit_transform(frame), pl.DataFrame)
    assert isinstance(make().set_output(transform="pandas").fit_transform(frame.to_numpy()), pd.DataFrame)


KEPT: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
    "numbered": lambda frame: frame.set_axis(range(5), axis=1),
    "objects": lambda frame: frame.to_numpy(object),
}


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("kind", KEPT)
def test_the_columns_of_the_input_are_kept(kind: str, container: str) -> None:
    given = frame_of(graph(4, 30)).assign(amount=1.5, memo=[f"no {k}" for k in range(30)])
    estimator = GraphFeatures(**{**SMALL, "patterns": ["fan"], "keep_input": True}).set_output(transform=container)
    found = estimator.fit_transform(KEPT[kind](given))
    names = [f"x{k}" for k in range(5)] if kind in ("numbered", "objects") else list(given.columns)
    assert list(found.columns)[:5] == names
    for name, kept in zip(names, given.columns, strict=True):
        assert found[name].to_list() == given[kept].to_list()
    assert list(found.columns) == list(estimator.get_feature_names_out())
    with pytest.raises(ValueError, match=r"is expecting 5 features|other names"):
        estimator.transform(KEPT[kind](given).iloc[:, ::-1] if kind == "pandas" else np.zeros((1, 4)))


def test_an_array_keeps_numbers_only() -> None:
    def make() -> GraphFeatures:
        return GraphFeatures(**{**SMALL, "patterns": ["fan"], "keep_input": True})

    rows = np.array([[0, 1, 2, 5.5], [1, 2, 3, 2**52]])
    estimator = make()
    assert np.array_equal(estimator.fit_transform(rows)[:, :4], rows)
    assert estimator.get_feature_names_out()[:5].tolist() == ["x0", "x1", "x2", "x3", "sender.out.degree.1m"]
    assert estimator.get_feature_names_out(["t", "s", "r", "a"])[:4].tolist() == ["t", "s", "r", "a"]
    with pytest.raises(RefusedTypeError, match="column sender, keep_input"):
        make().fit_transform(frame_of(graph(4, 30)))
    with pytest.raises(RefusedValueError, match="column sender, keep_input"):
        make().fit_transform(pd.DataFrame({"event_time": 1, "sender": [2**53 + 1], "receiver": 1, "amount": 1}))
    named = pd.DataFrame({"event_time": 1, "sender": [1], "receiver": 2, "amount": 1, "sender.out.fan.1m": 3})
    with pytest.raises(RefusedValueError, match="the name of a feature"):
        make().fit_transform(named)


def test_names_of_features() -> None:
    frame = frame_of(graph(4, 30))
    estimator = GraphFeatures(**SMALL).fit(frame)
    assert estimator.feature_names_in_.tolist() == list(frame.columns)
    assert estimator.get_feature_names_out(frame.columns).tolist() == list(estimator.stream_.plan.names)
    with pytest.raises(ValueError, match="input_features is not equal"):
        estimator.get_feature_names_out(["a", "b", "c", "d"])
    estimator.fit(frame.assign(sender=1, receiver=2).to_numpy())
    assert not hasattr(estimator, "feature_names_in_")


def test_a_row_pushed_has_its_parts() -> None:
    for estimator, row, words in (
        (GraphFeatures(**SMALL), (1, 2, 3), "the row has 3 values"),
        (GraphFeatures(**SMALL), (1, 2, 3, 4, 5), "the row has 5 values"),
        (GraphFeatures(**WITH_IDS), (1, 2, 3, None), "the row has 4 values"),
        (GraphFeatures(), (1, 2, 3, None), "the amount is missing"),
    ):
        with pytest.raises(GreywaterError, match=words) as caught:
            estimator.push(row)
        assert isinstance(caught.value, ValueError)
        assert caught.value.mend


def test_times_before_1970_and_payments_to_oneself() -> None:
    estimator = GraphFeatures(patterns=["fan"], fan_windows="1d", n_threads=1)
    found = estimator.fit_transform([[-100.5, 1, 2, 1], [-100, 2, 2, 1], [-50, 1, 3, 1], [-200, 1, 3, 1]])
    degree = estimator.get_feature_names_out().tolist().index("sender.out.degree.1d")
    assert found[:, degree].tolist() == [1, 0, 2, 1]
    assert estimator.stream_.horizon == -50_000_000
