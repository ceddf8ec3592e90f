"""Over Spark as on one machine: the same bits, in one commit, and still so when a worker is killed half way."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.errors import EngineError, ExtraMissingError, UsageError
from greywater.features.catalog import payments_v1, payments_v2
from greywater.pipeline import cluster
from greywater.pipeline.backfill import backfill, settle_group
from greywater.pipeline.cluster import backfill_on_cluster, open_session, source_of, work_lifetime, work_slice
from greywater.pipeline.slices import plan_slices
from greywater.stores.open import open_ledger
from greywater.stores.ports import Unsequenced
from tests.pipeline.groups import Kept
from tests.pipeline.ledgers import made_table
from tests.pipeline.spark_cluster import SparkCluster
from tests.pipeline.test_backfill import assert_same
from tests.pipeline.test_slices import SHORT

SETS = {"payments_v1": payments_v1(SHORT, 1), "payments_v2": payments_v2(SHORT, 1)}
PAYMENTS = 1_500
OPTIONS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
}


@pytest.fixture(scope="module")
def ledger_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Recorded payments on disk, where every worker finds them."""
    folder = tmp_path_factory.mktemp("recorded")
    table = made_table(5, PAYMENTS, accounts=12, span_days=100, late_share=0.1).drop_columns(["seq"])
    table = table.append_column("file", pa.array(["made.csv"] * PAYMENTS))
    table = table.append_column("row", pa.array(range(1, PAYMENTS + 1), pa.int64()))
    with open_ledger(f"delta:{folder}", max_ahead_us=0, max_jump_us=None) as ledger:  # type: ignore[attr-defined]
        done = ledger.append(Unsequenced(table))
    assert done.recorded.num_rows == PAYMENTS
    return f"delta:{folder}"


def read(ledger_url: str) -> Any:
    return open_ledger(ledger_url, max_ahead_us=0, max_jump_us=None, read_only=True)


def local(ledger_url: str, name: str) -> pa.Table:
    offline: Any = Kept()
    backfill(read(ledger_url), SETS[name], offline, settle_group(offline, SETS[name]))
    return offline.table(name)


class InProcess:
    """Does what a session does with our tasks, here and now, the last one first."""

    def range(self, start: int, stop: int, step: int, parts: int) -> InProcess:
        assert (start, step, parts) == (0, 1, stop)
        self.tasks = stop
        return self

    def mapInArrow(self, answer: Any, schema: str) -> InProcess:  # noqa: N802
        assert schema == cluster.ANSWER
        batches = [pa.record_batch([pa.array([number])], names=["id"]) for number in reversed(range(self.tasks))]
        self.rows = [row for batch in batches for found in answer(iter([batch])) for row in found.to_pylist()]
        return self

    def collect(self) -> list[dict[str, Any]]:
        return self.rows


@pytest.mark.parametrize("name", sorted(SETS))
def test_tasks_done_in_any_order_make_one_commit_of_the_same_rows(ledger_url: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    features, offline = SETS[name], Kept()
    group, source = settle_group(offline, features), source_of(ledger_url, features, tmp_path / "aside")  # type: ignore[arg-type]
    session: Any = InProcess()
    small = cluster.ClusterSource(**{**asdict(source), "chunk_rows": 100})
    backfill_on_cluster(session, small, features, offline, group, start=400, stop=900, slices=2)  # type: ignore[arg-type]
    done = backfill_on_cluster(session, small, features, offline, group, slices=5)  # type: ignore[arg-type]
    assert (done.payments, done.present, done.commits) == (PAYMENTS - 500, 500, 1)
    assert_same(offline.table(name), local(ledger_url, name))
    again = backfill_on_cluster(session, source, features, offline, group)  # type: ignore[arg-type]
    assert (again.payments, again.present, again.commits) == (0, PAYMENTS, 0)
    assert not (tmp_path / "aside").exists()


def test_an_attempt_that_was_lost_leaves_nothing_that_counts(ledger_url: str, tmp_path: Path) -> None:
    features = SETS["payments_v1"]
    source = source_of(ledger_url, features, tmp_path)
    plan = plan_slices(read(ledger_url), features, [0, 700, 1_500], grain_rows=50)
    parts = [work_lifetime(source, k, list(stretch))[0].path for k, stretch in enumerate(plan.stretches)]
    last = plan.slices[1]
    task = {"slice": asdict(last), "lifetimes": parts[: plan.before(last)]}
    first, second = work_slice(source, 1, task), work_slice(source, 1, task)
    assert {file.path for file in first}.isdisjoint(file.path for file in second)
    assert [file.rows for file in first] == [file.rows for file in second]
    assert 0 < last.halo < 700


def test_an_answer_that_is_missing_is_noticed(ledger_url: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")

    class Forgetful(InProcess):
        def collect(self) -> list[dict[str, Any]]:
            return self.rows[1:]

    features, offline = SETS["payments_v1"], Kept()
    group, source = settle_group(offline, features), source_of(ledger_url, features, tmp_path / "aside")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="not answered"):
        backfill_on_cluster(Forgetful(), source, features, offline, group)  # type: ignore[arg-type]
    assert offline.commits(group.name, 1) == []
    assert not (tmp_path / "aside").exists()


def test_without_pyspark_or_java_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if "pyspark" in sys.modules or shutil.which("java"):
        monkeypatch.setattr(cluster.shutil, "which", lambda name: None)
        monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ExtraMissingError, match=r"greywater\[spark\]"), open_session("local[1]"):
        pass
    monkeypatch.undo()
    pytest.importorskip("pyspark")
    monkeypatch.setattr(cluster.shutil, "which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UsageError, match="Java"), open_session("local[1]"):
        pass


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on this machine")
    with SparkCluster(tmp_path_factory.mktemp("spark"), workers=2) as cluster:
        yield cluster


def over_spark(ledger_url: str, spark: SparkCluster, name: str, slices: int, folder: Path) -> None:
    """A backfill on the cluster has the rows of one on this machine."""
    features, offline = SETS[name], Kept()
    group = settle_group(offline, features)  # type: ignore[arg-type]
    source = source_of(ledger_url, features, folder)
    with open_session(spark.master, options=OPTIONS) as session:
        done = backfill_on_cluster(session, source, features, offline, group, slices=slices)  # type: ignore[arg-type]
    assert (done.payments, done.commits) == (PAYMENTS, 1)
    assert_same(offline.table(name), local(ledger_url, name))


@pytest.mark.full
def test_on_a_cluster_of_two_workers(ledger_url: str, spark: SparkCluster, tmp_path: Path) -> None:
    over_spark(ledger_url, spark, "payments_v1", 3, tmp_path / "aside")
    assert all(worker.poll() is None for worker in spark.workers)


@pytest.mark.slow
def test_on_a_cluster_whose_worker_is_killed_half_way(ledger_url: str, spark: SparkCluster, tmp_path: Path) -> None:
    """One of two workers is killed as soon as the first rows are put aside."""
    victim, killed = spark.workers[0], threading.Event()

    def kill_half_way() -> None:
        end = time.monotonic() + 300
        while not list((tmp_path / "aside").glob("rows-*")) and time.monotonic() < end:
            time.sleep(0.02)
        spark.kill(victim)
        killed.set()

    threading.Thread(target=kill_half_way, daemon=True).start()
    over_spark(ledger_url, spark, "payments_v2", 4, tmp_path / "aside")
    assert killed.is_set()
    assert victim.poll() is not None
    assert spark.workers[1].poll() is None
