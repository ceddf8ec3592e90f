"""The backfill over Spark: every worker runs the same engine on slices of the ledger, the driver makes one commit.

A task reads the ledger itself (a path that all machines share), writes its rows as Parquet files aside under names no
other attempt uses, and answers with those names. What a lost worker leaves behind is named by nobody and goes with the
folder. Workers start anew for each task (no fork) and run the serial kernels.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from greywater.errors import EngineError, ExtraMissingError, UsageError
from greywater.features.catalog import FeatureSet
from greywater.features.exposure import KnownLaunderers
from greywater.features.lifetime import LIFETIME_SCHEMA, Lifetime, merge_lifetimes
from greywater.featurestore.definitions import FeatureGroup
from greywater.pipeline.backfill import (
    ROW_COLUMNS,
    Backfilled,
    KnownTime,
    chunk_key,
    chunk_rows_of,
    covered,
    group_rows,
    missing_from,
)
from greywater.pipeline.slices import Slice, SlicePlan, even_cuts, plan_slices, run_slice, stretch_lifetime
from greywater.stores.durable import make_folder, store_errors
from greywater.stores.feature_ports import Offline
from greywater.stores.open import open_ledger
from greywater.stores.ports import Ledger
from greywater.vocab import FeatureBlock, Progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "ClusterSource", "Written", "backfill_on_cluster", "open_session", "source_of", "work_lifetime",
    "work_slice",
]  # fmt: skip

#: What a task answers: one row a file.
ANSWER: Final = "number long, path string, rows long"
ANSWER_SCHEMA: Final = pa.schema([("number", pa.int64()), ("path", pa.string()), ("rows", pa.int64())])
#: Who is a known launderer, beside what is put aside.
KNOWN: Final = "known.parquet"
Range = tuple[int, int]


@dataclass(frozen=True)
class ClusterSource:
    """What every task needs, as plain values.

    Parameters
    ----------
    ledger : str
        URL of the ledger, a path that every worker sees.
    features : str
        The feature set as JSON.
    folder : str
        Where files are put aside; every worker writes there.
    known_time : str
        As for `backfill`.
    chunk_rows : int
        Payments a file.
    """

    ledger: str
    features: str
    folder: str
    known_time: KnownTime
    chunk_rows: int

    def open_ledger(self) -> Ledger:
        """The ledger, for reading."""
        return open_ledger(self.ledger, max_ahead_us=0, max_jump_us=None, read_only=True)


@dataclass(frozen=True)
class Written:
    """A file that a task put aside: of which task, where, how many rows."""

    number: int
    path: str
    rows: int


@contextmanager
def open_session(master: str, *, options: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """A Spark session for backfills, stopped at the end.

    Parameters
    ----------
    master : str
        `spark://host:port`, `local[2]`, `yarn`...
    options : mapping of str to str, optional
        Spark's settings; they win over ours.

    Notes
    -----
    Workers run the interpreter that PYSPARK_PYTHON names, else this one's path.

    Raises
    ------
    ExtraMissingError
        pyspark is not installed.
    UsageError
        There is no Java to run it.
    """
    try:
        from pyspark.errors.exceptions.base import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ExtraMissingError(
            "pyspark is not installed", where="--engine spark", mend="pip install 'greywater[spark]'"
        ) from error
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise UsageError(
            "there is no Java on this machine", where="--engine spark", mend="install Java 17, or set JAVA_HOME"
        )
    settings = {
        # A fork of a process in which kernels have run kills its threads: each task gets a process of its own.
        "spark.python.use.daemon": "false",
        # Spark gives such a process ten seconds to connect back; on a busy machine that takes several tries.
        "spark.task.maxFailures": "8",
        "spark.executorEnv.NUMBA_NUM_THREADS": "1",
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
        **(options or {}),
    }
    builder = SparkSession.builder.master(master).appName("greywater")
    for name, value in settings.items():
        builder = builder.config(name, value)
    # The interpreter of the workers; Spark's own setting for it is read by spark-submit alone.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        session = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise UsageError(
            f"Spark did not start: {error}", where=master, mend="look at its log; is the master there?"
        ) from error
    try:
        yield session
    finally:
        session.stop()


def backfill_on_cluster(
    session: SparkSession,
    source: ClusterSource,
    features: FeatureSet,
    offline: Offline,
    group: FeatureGroup,
    *,
    start: int = 0,
    stop: int | None = None,
    slices: int = 8,
    meta: Mapping[str, Any] | None = None,
    known: KnownLaunderers | None = None,
    progress: Progress | None = None,
) -> Backfilled:
    """Write the rows of the payments [start, stop) that are not there yet, all in one commit.

    Parameters
    ----------
    session : SparkSession
        From `open_session`.
    source : ClusterSource
        Its `features` are those of `features`.
    features, offline, group, start, stop, meta, known, progress
        As for `greywater.pipeline.backfill.backfill`.
    slices : int
        Tasks. Changes no row.

    Returns
    -------
    Backfilled

    Raises
    ------
    EngineError
        A task failed as often as Spark tries, or answered with other rows than it was given.
    """
    ledger = source.open_ledger()
    end = ledger.next_seq if stop is None else stop
    if not 0 <= start <= end <= ledger.next_seq:
        raise UsageError(f"there are no payments {start} to {end}", mend=f"ask for some of 0 to {ledger.next_seq}")
    there = covered(offline.commits(group.name, group.version), features.fingerprint)
    gaps = missing_from(there, start, end)
    wanted = sum(high - low for low, high in gaps)
    if not wanted:
        return Backfilled(present=end - start)
    make_folder(Path(source.folder))
    if known is not None:
        _write(known.to_table(), Path(source.folder) / KNOWN)
    try:
        files: list[Written] = []
        for gap in gaps:
            share = max(1, slices * (gap[1] - gap[0]) // wanted)
            files += _run_gap(session, source, ledger, features, gap, share, progress)
        told = {
            **(meta or {}), "features": features.fingerprint, "known_time": source.known_time, "start": gaps[0][0],
            "stop": gaps[-1][1], "ranges": [list(gap) for gap in gaps], "slices": slices,
        }  # fmt: skip
        key = chunk_key(features.fingerprint, (gaps[0][0], gaps[-1][1]))
        paths = [Path(file.path) for file in files]
        made = offline.adopt(group.name, group.version, paths, transaction=key, meta=told)
    finally:
        with store_errors(Path(source.folder), "remove what was put aside"):
            shutil.rmtree(source.folder, ignore_errors=True)
    rows = sum(file.rows for file in files) if made is not None else 0
    return Backfilled(wanted, rows, int(made is not None), end - start - wanted)


def _run_gap(
    session: SparkSession,
    source: ClusterSource,
    ledger: Ledger,
    features: FeatureSet,
    gap: Range,
    slices: int,
    progress: Progress | None,
) -> list[Written]:
    """Both passes over one range; the files in ledger order."""
    plan = plan_slices(ledger, features, even_cuts(*gap, slices))
    if progress is not None:
        progress.step("lifetimes of the stretches", len(plan.stretches))
    parts = _run_tasks(session, source, work_lifetime, [list(stretch) for stretch in plan.stretches])
    if progress is not None:
        progress.advance(len(plan.stretches))
        progress.step("working out features", gap[1] - gap[0])
    files = _run_tasks(session, source, work_slice, _slice_tasks(plan, parts))
    if progress is not None:
        progress.advance(gap[1] - gap[0])
    return files


def _slice_tasks(plan: SlicePlan, parts: Sequence[Written]) -> list[Any]:
    ordered = [part.path for part in parts]
    return [{"slice": asdict(one), "lifetimes": ordered[: plan.before(one)]} for one in plan.slices]


def _run_tasks(
    session: SparkSession,
    source: ClusterSource,
    work: Callable[[ClusterSource, int, Any], list[Written]],
    tasks: Sequence[Any],
) -> list[Written]:
    """Do each task once, wherever; their files in the order of the tasks."""
    from pyspark.errors.exceptions.base import PySparkException

    if not tasks:
        return []
    plain, texts = asdict(source), [json.dumps(task) for task in tasks]

    def answer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                files = work(ClusterSource(**plain), number, json.loads(texts[number]))
                yield pa.RecordBatch.from_pylist([asdict(file) for file in files], schema=ANSWER_SCHEMA)

    numbers = session.range(0, len(tasks), 1, len(tasks))
    try:
        rows = numbers.mapInArrow(answer, ANSWER).collect()
    except PySparkException as error:
        raise EngineError(
            f"a task failed on the cluster: {' '.join(str(error).split())[:2_000]}",
            mend="look at the workers' logs; the ledger, the code and the folder must be there on every machine",
        ) from error
    files = [Written(row["number"], row["path"], row["rows"]) for row in rows]
    answered = {file.number for file in files}
    if answered != set(range(len(tasks))) or len({file.path for file in files}) != len(files):
        raise EngineError("a task was not answered, or twice", mend="run the backfill again")
    return sorted(files, key=lambda file: (file.number, file.path))


def work_lifetime(source: ClusterSource, number: int, task: Any) -> list[Written]:
    """On a worker, pass 1: put the lifetime of a stretch of payments aside.

    Parameters
    ----------
    source : ClusterSource
    number : int
        Of the task.
    task : list of int
        The stretch [start, stop).
    """
    lifetime = stretch_lifetime(source.open_ledger(), *task)
    path = _new_path(source, f"lifetime-{number:06d}")
    _write(lifetime.pairs, path)
    return [Written(number, str(path), lifetime.pairs.num_rows)]


def work_slice(source: ClusterSource, number: int, task: Any) -> list[Written]:
    """On a worker, pass 2: put the rows of a slice aside, a file for every `chunk_rows` payments.

    Parameters
    ----------
    source : ClusterSource
    number : int
        Of the task.
    task : dict
        `slice`: the fields of a Slice; `lifetimes`: paths of the parts before its halo, in order.
    """
    ledger, features = source.open_ledger(), FeatureSet.from_json(source.features)
    one = Slice(**task["slice"])
    parts = [Lifetime(pq.read_table(path).cast(LIFETIME_SCHEMA)) for path in task["lifetimes"]]
    files: list[Written] = []
    waiting: list[pa.RecordBatch] = []
    attempt = uuid.uuid4().hex

    def put_aside() -> None:
        rows = pa.Table.from_batches(waiting)
        path = Path(source.folder) / f"rows-{number:06d}-{attempt}-{len(files):06d}.parquet"
        _write(rows, path)
        files.append(Written(number, str(path), rows.num_rows))
        waiting.clear()

    def take(payments: pa.RecordBatch, block: FeatureBlock) -> None:
        waiting.append(group_rows(payments, block, source.known_time))
        if sum(batch.num_rows for batch in waiting) >= source.chunk_rows:
            put_aside()

    told = Path(source.folder) / KNOWN
    known = KnownLaunderers.from_table(pq.read_table(told)) if told.exists() else None
    run_slice(ledger, features, one, merge_lifetimes(parts), take, columns=ROW_COLUMNS, known=known)
    if waiting or not files:
        put_aside()
    return files


def _new_path(source: ClusterSource, name: str) -> Path:
    return Path(source.folder) / f"{name}-{uuid.uuid4().hex}.parquet"


def _write(rows: pa.Table, path: Path) -> None:
    """Plain pages: what is read once soon is not worth packing."""
    with store_errors(path, "put rows aside"):
        pq.write_table(rows, path, compression="none", use_dictionary=False, write_statistics=False)


def source_of(ledger: str, features: FeatureSet, folder: Path, known_time: KnownTime = "event_time") -> ClusterSource:
    """What tasks need to work out these features.

    Parameters
    ----------
    ledger : str
        URL of the ledger.
    features : FeatureSet
    folder : Path
        A folder of this backfill alone; it is removed at the end.
    known_time : str
        As for `backfill`.
    """
    return ClusterSource(ledger, features.to_json(), str(folder), known_time, chunk_rows_of(features))
