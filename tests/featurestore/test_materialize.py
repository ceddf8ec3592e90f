"""What materialize brings online is the latest row of each entity, whatever was there and wherever it was cut off."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import StoreDamagedError, UsageError
from greywater.features.windows import WindowPlan
from greywater.featurestore import materialize as module
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.materialize import materialize
from greywater.featurestore.pushing import push
from greywater.featurestore.vectors import OnlineView
from greywater.featurestore.window_records import window_group, window_reader
from greywater.stores.feature_ports import Offline
from greywater.stores.online_lmdb import LmdbOnline
from greywater.stores.online_memory import MemoryOnline
from greywater.stores.open import open_offline
from tests.featurestore.offline_double import OfflineDouble, latest_twin

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3
NOW = 1_700_000_000_000_000
DAY = 86_400_000_000

PAIRS = FeatureGroup(
    "pairs", 1, ("a", "n"), ("string", "int64"), (FeatureField("x", "float64"), FeatureField("word", "string"))
)
MORE = FeatureGroup("more", 3, ("a", "n"), ("string", "int64"), (FeatureField("y", "int64", default=-1),))
GROUPS = {(group.name, group.version): group for group in (PAIRS, MORE)}
VIEW = FeatureView("v", 1, (ViewFeature("more", 3, "y"), ViewFeature("pairs", 1, "x"), ViewFeature("pairs", 1, "word")))

Row = tuple[tuple[object, ...], int, int, int, Mapping[str, object]]


def stamps(times: list[int]) -> pa.Array:
    return pa.array(times, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def append(offline: Offline, group: FeatureGroup, rows: list[Row]) -> None:
    """One commit with these rows."""
    columns: dict[str, Any] = {
        key: pa.array([row[0][place] for row in rows], pa.string() if dtype == "string" else pa.int64())
        for place, (key, dtype) in enumerate(zip(group.keys, group.key_dtypes, strict=True))
    }
    columns |= {"event_time": stamps([row[1] for row in rows]), "known_time": stamps([row[2] for row in rows])}
    columns |= {
        field.name: pa.array([row[4][field.name] for row in rows], field.type) for field in group.layout.features
    }
    offline.append(group.name, group.version, pa.table(columns))


def drawn(draw: random.Random, group: FeatureGroup, commits: int, rows: int, span: int = 5) -> list[list[Row]]:
    """Rows of some commits; times collide, some are known late, some values are null."""
    made: dict[str, Any] = {
        "x": lambda: draw.choice((None, draw.random())),
        "word": lambda: draw.choice((None, "", "ü" * draw.randrange(9))),
        "y": lambda: draw.choice((None, draw.randrange(-(2**63), 2**63))),
    }
    listed = []
    for commit in range(commits):
        each = []
        for _ in range(draw.randrange(rows + 1)):
            event = NOW + draw.randrange(span) * DAY // 2
            known = event + draw.choice((0, 0, DAY))
            values = {field.name: made[field.name]() for field in group.features}
            each.append((("ab"[draw.randrange(2)], draw.randrange(4)), event, known, commit, values))
        listed.append(each)
    return listed


def online_state(view: OnlineView) -> dict[tuple[object, ...], tuple[object, ...]]:
    entities = [{"a": a, "n": n} for a in "ab" for n in range(4)]
    return {(one["a"], one["n"]): view.vector(one) for one in entities}  # type: ignore[arg-type]


def twin_state(
    rows: Mapping[str, list[Row]], as_of: int, known_by: int
) -> dict[tuple[object, ...], tuple[object, ...]]:
    latest = {name: latest_twin(listed, as_of, known_by) for name, listed in rows.items()}
    state = {}
    for entity in [(a, n) for a in "ab" for n in range(4)]:
        more = latest["more"].get(entity, (0, {"y": -1}))[1]
        pairs = latest["pairs"].get(entity, (0, {"x": None, "word": None}))[1]
        state[entity] = (more["y"], pairs["x"], pairs["word"])
    return state


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 3), batch=st.integers(1, 5), steps=st.integers(1, 3))
def test_any_sequence_of_moments_gives_the_latest_rows(seed: int, cut: int, batch: int, steps: int) -> None:
    draw = random.Random(seed)
    offline, view = OfflineDouble(), OnlineView(VIEW, GROUPS, MemoryOnline())
    every: dict[str, list[Row]] = {"pairs": [], "more": []}
    for group in (PAIRS, MORE):
        offline.create(group.layout)
    as_of = known_by = NOW
    commits = {group.name: drawn(draw, group, steps * 2, 6) for group in (PAIRS, MORE)}
    for step in range(steps):
        for group in (PAIRS, MORE):
            for rows in commits[group.name][2 * step : 2 * step + 2]:
                append(offline, group, rows)
                every[group.name] += rows
        as_of += draw.randrange(2) * DAY
        known_by = max(known_by, as_of + draw.randrange(2) * DAY)
        if cut:
            broken(view, offline, as_of, known_by, batch, after=cut)
        materialize(view, offline, as_of, known_by_us=known_by, batch_rows=batch)
        assert online_state(view) == twin_state(every, as_of, known_by)
        again = materialize(view, offline, as_of, known_by_us=known_by)
        assert (again.written, again.resumed) == (0, 0)


class BreaksOff(MemoryOnline):
    """Ends the process's work, as far as the store is concerned, at the k-th write."""

    def __init__(self, within: MemoryOnline, after: int) -> None:
        super().__init__()
        self.within, self.after = within, after

    def put_many(self, space: str, items: Any, *, mark: bytes | None = None) -> int:
        if not self.after:
            raise KeyboardInterrupt
        self.after -= 1
        return self.within.put_many(space, items, mark=mark)

    def get_many(self, space: str, keys: Any) -> list[bytes | None]:
        return self.within.get_many(space, keys)

    def mark(self, space: str) -> bytes | None:
        return self.within.mark(space)


def broken(view: OnlineView, offline: OfflineDouble, as_of: int, known_by: int, batch: int, after: int) -> None:
    within = view.online
    assert isinstance(within, MemoryOnline)
    try:
        cut_off = OnlineView(VIEW, GROUPS, BreaksOff(within, after))
        materialize(cut_off, offline, as_of, known_by_us=known_by, batch_rows=batch)
    except KeyboardInterrupt:
        return


def test_it_goes_on_after_the_last_commit_and_tells_how_far_it_is() -> None:
    offline, view = OfflineDouble(), OnlineView(VIEW, GROUPS, MemoryOnline())
    for group in (PAIRS, MORE):
        offline.create(group.layout)
    append(offline, MORE, [(("a", n), NOW, NOW, 0, {"y": n}) for n in range(10)])
    broken(view, offline, NOW, NOW, batch=4, after=2)
    told: list[Any] = []

    class Told:
        def step(self, name: str, total: int | None = None) -> None:
            told.append((name, total))

        def advance(self, amount: int) -> None:
            told.append(amount)

        def say(self, text: str) -> None:
            told.append(text)

    done = materialize(view, offline, NOW, batch_rows=4, progress=Told())
    assert (done.written, done.resumed, done.left_out) == (2, 8, ())
    assert told[:3] == [("materialize v@1/a+n from more@3", 10), 8, 2]
    assert [view.vector({"a": "a", "n": n})[0] for n in range(11)] == [*range(10), -1]


def test_only_what_changed_is_written_again() -> None:
    offline, view = OfflineDouble(), OnlineView(VIEW, GROUPS, MemoryOnline())
    for group in (PAIRS, MORE):
        offline.create(group.layout)
    append(offline, MORE, [(("a", n), NOW, NOW, 0, {"y": n}) for n in range(100)])
    assert materialize(view, offline, NOW).written == 100
    append(offline, MORE, [(("a", 3), NOW + DAY, NOW + DAY, 1, {"y": 30}), (("b", 1), NOW - DAY, NOW, 1, {"y": 5})])
    assert materialize(view, offline, NOW + DAY).written == 2
    assert [view.vector({"a": a, "n": n})[0] for a, n in (("a", 3), ("b", 1), ("a", 99))] == [30, 5, 99]


def test_a_pushed_row_that_is_newer_stays() -> None:
    offline, view = OfflineDouble(), OnlineView(VIEW, GROUPS, MemoryOnline())
    for group in (PAIRS, MORE):
        offline.create(group.layout)
    append(offline, MORE, [(("a", n), NOW, NOW, 0, {"y": n}) for n in range(3)])
    pushed = {"a": ["a", "a"], "n": [0, 1], "event_time": stamps([NOW + 9, NOW - 9]), "y": pa.array([70, 71])}
    assert push(view, ("more", 3), pa.table(pushed)) == 2
    single = OnlineView(FeatureView("one", 1, VIEW.columns[:1]), GROUPS, view.online)
    assert push(single, ("more", 3), pa.table(pushed)) == 2
    for each in (view, single):
        materialize(each, offline, NOW)
        assert [each.vector({"a": "a", "n": n})[0] for n in range(3)] == [70, 1, 2]
    append(offline, MORE, [(("a", 0), NOW + 5, NOW + 5, 1, {"y": 50})])
    materialize(view, offline, NOW + 20)
    assert view.vector({"a": "a", "n": 0})[0] == 70


def test_back_in_time_or_another_definition_only_anew() -> None:
    offline, online = OfflineDouble(), MemoryOnline()
    view = OnlineView(VIEW, GROUPS, online)
    for group in (PAIRS, MORE):
        offline.create(group.layout)
    append(offline, MORE, [(("a", 1), NOW, NOW, 0, {"y": 1}), (("b", 2), NOW + DAY, NOW + DAY, 0, {"y": 2})])
    materialize(view, offline, NOW + DAY)
    with pytest.raises(UsageError, match="later moment"):
        materialize(view, offline, NOW)
    materialize(view, offline, NOW, fresh=True)
    assert [view.vector({"a": a, "n": n})[0] for a, n in (("a", 1), ("b", 2))] == [1, -1]
    other = OnlineView(FeatureView("v", 1, VIEW.columns[:2]), GROUPS, online)
    with pytest.raises(UsageError, match="another definition"):
        materialize(other, offline, NOW)
    materialize(other, offline, NOW, fresh=True)
    assert other.vector({"a": "a", "n": 1}) == (1, None)
    online.put_many("v@1/a+n", [], mark=b"{}")
    with pytest.raises(StoreDamagedError, match="mark"):
        materialize(other, offline, NOW)
    with pytest.raises(UsageError, match="batches of 0"):
        materialize(other, offline, NOW, batch_rows=0)


def test_groups_that_are_not_there_and_groups_of_windows() -> None:
    plan = WindowPlan((3_600,), (), 0)
    windows = window_group(plan)
    key = (windows.name, windows.version)
    view = FeatureView("w", 1, (ViewFeature(*key, "out.count.1h"), ViewFeature("more", 3, "y")))
    online = OnlineView(view, {**GROUPS, key: windows}, MemoryOnline(), windows={key: window_reader(plan)})
    with pytest.raises(UsageError, match="not in the offline store"):
        materialize(online, OfflineDouble(), NOW)
    offline = OfflineDouble()
    offline.create(MORE.layout)
    assert materialize(online, offline, NOW).left_out == ("account_windows",)


@pytest.mark.parametrize("kind", ["memory", "delta"])
def test_over_the_stores_themselves(kind: str, tmp_path: Path) -> None:
    draw = random.Random(11)
    offline = open_offline("memory:" if kind == "memory" else f"delta:{tmp_path / 'offline'}")
    view = OnlineView(VIEW, GROUPS, LmdbOnline(tmp_path / "online"))
    rows: dict[str, list[Row]] = {"pairs": [], "more": []}
    for group in (PAIRS, MORE):
        offline.create(group.layout)
    for step in range(2):
        for group in (PAIRS, MORE):
            each = [row for _ in range(3) for row in drawn(draw, group, 1, 12)[0]]
            if each:
                append(offline, group, each)
                rows[group.name] += [(*row[:3], step, row[4]) for row in each]
        as_of = NOW + (step + 1) * DAY
        materialize(view, offline, as_of, batch_rows=3)
        assert online_state(view) == twin_state(rows, as_of, as_of)
    view.online.close()


def test_many_runs_are_compacted_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPACT_FROM", 3)
    draw = random.Random(3)
    offline, view = OfflineDouble(), OnlineView(VIEW, GROUPS, MemoryOnline())
    rows: dict[str, list[Row]] = {"pairs": [], "more": []}
    for group in (PAIRS, MORE):
        offline.create(group.layout)
        for each in drawn(draw, group, 12, 9):
            append(offline, group, each)
            rows[group.name] += each
    materialize(view, offline, NOW + 2 * DAY, batch_rows=2)
    assert online_state(view) == twin_state(rows, NOW + 2 * DAY, NOW + 2 * DAY)


ONE = FeatureGroup("one", 1, ("c",), ("string",), tuple(FeatureField(f"f{k}", "float64") for k in range(10)))
ONE_VIEW = FeatureView("one", 1, tuple(ViewFeature("one", 1, f"f{k}") for k in range(10)))
ENTITIES = 4_000


def filled() -> OfflineDouble:
    """The same rows in any process: each entity's are the number of the entity and of the commit."""
    offline = OfflineDouble()
    offline.create(ONE.layout)
    for commit in range(2):
        columns: dict[str, Any] = {"c": [f"c{n}" for n in range(ENTITIES)]}
        columns |= {name: stamps([NOW + commit * DAY] * ENTITIES) for name in ("event_time", "known_time")}
        columns |= {f"f{k}": np.arange(ENTITIES) + 0.25 * commit for k in range(10)}
        offline.append("one", 1, pa.table(columns))
    return offline


#: Materializes in small commits, telling each, until it is killed.
COMMAND = """
import sys
from pathlib import Path
from greywater.featurestore.materialize import materialize
from greywater.featurestore.pushing import push
from greywater.featurestore.vectors import OnlineView
from greywater.stores.feature_ports import Offline
from greywater.stores.online_lmdb import LmdbOnline
from greywater.stores.open import open_offline
from tests.featurestore.test_materialize import NOW, DAY, ONE, ONE_VIEW, filled
offline = filled()
view = OnlineView(ONE_VIEW, {("one", 1): ONE}, LmdbOnline(Path(sys.argv[1])))
class Told:
    def step(self, name, total=None):
        print("ready", flush=True)
    def advance(self, amount):
        print(amount, flush=True)
materialize(view, offline, NOW + DAY, batch_rows=40, progress=Told())
"""


def test_killed_at_any_moment_nothing_is_torn_and_the_same_call_completes(tmp_path: Path) -> None:
    offline = filled()
    root = Path(__file__).resolve().parents[2]
    for seed in range(KILLS):
        folder = tmp_path / f"{seed}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(folder)], stdout=subprocess.PIPE, env=environment, cwd=root
        )
        chance = random.Random(seed)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2 + chance.randrange(60))]
        time.sleep(chance.uniform(0.0, 0.01))
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines(keepends=True)
        acknowledged = sum(int(line) for line in lines[1:] if line.endswith(b"\n"))
        store = LmdbOnline(folder)
        view = OnlineView(ONE_VIEW, {("one", 1): ONE}, store)
        held = dict(store.scan("one@1/c"))
        mark = json.loads(store.mark("one@1/c") or b'{"groups": {}}')["groups"].get("one@1", {})
        done = ENTITIES if set(mark) == {"base"} else mark.get("done", 0)
        assert len(held) == done
        assert done >= acknowledged
        for key in held:
            number = float(key[2:])
            assert view.vector(key[1:].decode()) == (number + 0.25,) * 10
        finished = materialize(view, offline, NOW + DAY, batch_rows=500)
        assert finished.resumed == (done if done < ENTITIES else 0)
        assert finished.written == ENTITIES - done
        assert len(dict(store.scan("one@1/c"))) == ENTITIES
        store.close()
