"""The use case that fills the group of a project's payment features from its ledger, here or on a Spark cluster."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from greywater._version import __version__
from greywater.app.audit import audited
from greywater.app.features import feature_store
from greywater.app.known_launderers import known_for
from greywater.app.tracing import note_backfill
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.catalog import FeatureSet, payment_features
from greywater.featurestore.definitions import FeatureGroup, ViewFeature
from greywater.kernels.compile import kernel_hash
from greywater.pipeline.backfill import Backfilled, KnownTime, settle_group
from greywater.pipeline.backfill import backfill as fill
from greywater.pipeline.cluster import backfill_on_cluster, open_session, source_of
from greywater.pipeline.slices import range_of_times
from greywater.stores.feature_ports import Offline
from greywater.stores.lock import WriterLock
from greywater.stores.open import open_offline
from greywater.vocab import Actor, Progress, currency_exponent

__all__ = ["ENGINES", "BackfillRequest", "BackfillResult", "backfill", "features_named"]

Way = Literal["local", "spark"]
ENGINES: Final[tuple[Way, ...]] = ("local", "spark")
#: Held while a group is filled: two at once would write the same payments twice.
LOCK: Final = "backfill.lock"
#: Between the names of features; a name's filter may hold commas, in brackets.
_comma: Final = re.compile(r",(?![^\[\]]*\])")
#: Folder of a project for what workers put aside.
ASIDE: Final = "aside"


@dataclass(frozen=True)
class BackfillRequest:
    """Which payments, and where the work is done.

    Parameters
    ----------
    begin, end : datetime, optional
        Event times in [begin, end); None = open. Without a zone they are UTC. All payments recorded between the first
        and the last one of that time are worked out, late ones among them too.
    engine : {"local", "spark"}
    master : str
        Of the Spark cluster: `spark://host:port`, `local[4]`...
    slices : int
        Tasks on the cluster; 0 = four a core that it offers.
    known_time : {"event_time", "recorded_time"}
        From when on a row counts as known: its payment's event time where history was loaded in bulk, the time at which
        it was recorded where payments came live.
    wait : float
        Seconds to wait for another backfill of the project.
    features : tuple of str
        Work out these features alone, or requests (features/requests.py), into a group of their own; empty = all that
        the settings name.
    statistics : bool
        Keep with each commit what its values are like; done here alone, not on a cluster.
    """

    begin: datetime | None = None
    end: datetime | None = None
    engine: Way = "local"
    master: str = "local[*]"
    slices: int = 0
    known_time: KnownTime = "event_time"
    wait: float = 0.0
    features: tuple[str, ...] = ()
    statistics: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"there is no engine {self.engine!r}", where="--engine", mend="give local or spark")
        if self.slices < 0:
            raise UsageError(f"{self.slices} slices", where="--slices", mend="give 0 or more")
        begin, end = _micros(self.begin), _micros(self.end)
        if begin is not None and end is not None and begin >= end:
            raise UsageError("the time range is empty", where="--from, --to", mend="let --from be before --to")


@dataclass(frozen=True)
class BackfillResult:
    """What was filled.

    Parameters
    ----------
    group : FeatureGroup
    done : Backfilled
    start, stop : int
        The range of payments.
    seconds, cpu_seconds : float
        It took, on the clock and of this process.
    """

    group: FeatureGroup
    done: Backfilled
    start: int
    stop: int
    seconds: float
    cpu_seconds: float

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "group": self.group.name, "version": self.group.version, "start": self.start, "stop": self.stop,
            **vars(self.done), "seconds": round(self.seconds, 3), "cpu_seconds": round(self.cpu_seconds, 3),
        }  # fmt: skip


def backfill(
    actor: Actor, settings: Settings, request: BackfillRequest, progress: Progress | None = None
) -> BackfillResult:
    """Write what was known of the project's payments at their moments into their feature group.

    The group is registered, and each of its commits is in the lineage behind the files that its payments came from.
    Payments whose rows are there are left alone, so a backfill that was stopped goes on, and one given again after more
    payments were recorded adds theirs.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `run`.
    settings : Settings
        Store, project, the set of features and its windows.
    request : BackfillRequest
    progress : Progress, optional

    Returns
    -------
    BackfillResult

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreLockedError
        Another backfill of the project is at work.
    StoreError, EngineError, UsageError
        As `greywater.pipeline.backfill.backfill` and `greywater.pipeline.cluster.backfill_on_cluster`.
    """
    with (
        audited(settings, actor, "run", "backfill of payment features") as detail,
        open_project(settings, actor) as project,
        WriterLock(project.folder, wait_seconds=request.wait, name=LOCK),
    ):
        begun, cpu = time.perf_counter(), time.process_time()
        features = payment_features(settings, project.file.resolution_us or 1)
        if request.features:
            exponent = currency_exponent(project.file.base_currency)
            features = features.also((), base_exponent=exponent).only(request.features)
        offline = open_offline(f"delta:{project.folder}")
        group = settle_group(offline, features)
        start, stop = range_of_times(project.ledger, _micros(request.begin), _micros(request.end))
        done = _fill(project, request, features, offline, group, (start, stop), progress)
        note_backfill(project, offline, group)
        result = BackfillResult(group, done, start, stop, time.perf_counter() - begun, time.process_time() - cpu)
        detail.update(result.to_json(), engine=request.engine)
    return result


def features_named(actor: Actor, settings: Settings, words: str) -> tuple[str, ...]:
    """The payment features that words name: names with commas between them, or a view that has some.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_features`, where a view is named.
    settings : Settings
        Store and project.
    words : str
        `sender.out.sum.7d,payment.amount` or `VIEW` or `VIEW@VERSION`. The name of a feature has a dot, that of a
        view has none.

    Raises
    ------
    UsageError
        The view has no features of payments.
    StoreError
        There is no such view.
    """
    if "." in words:
        return tuple(part.strip() for part in _comma.split(words) if part.strip())
    word, _, version = words.strip().partition("@")
    if version and not version.isdecimal():
        raise UsageError(f"{words!r} names no version", where="--features", mend="write name@1")
    with feature_store(actor, settings, "read_features", f"features of {word}") as (held, _detail):
        view = held.registry.view(word, int(version) if version else None)
    columns = [one for one in view.columns if isinstance(one, ViewFeature)]
    names = tuple(dict.fromkeys(one.feature for one in columns if one.group.startswith("payments_v")))
    if not names:
        raise UsageError(
            f"the view {word!r} has no features of payments", where="--features", mend="name features or another view"
        )
    return names


def _fill(
    project: Project,
    request: BackfillRequest,
    features: FeatureSet,
    offline: Offline,
    group: FeatureGroup,
    span: tuple[int, int],
    progress: Progress | None,
) -> Backfilled:
    meta = {"by": project.actor.principal, "greywater": __version__, "kernels": kernel_hash(), "engine": request.engine}
    start, stop = span
    known = known_for(features, project.tables, project.ledger)
    if request.engine == "local":
        return fill(
            project.ledger, features, offline, group, start=start, stop=stop, known_time=request.known_time,
            threads=project.settings.worker_threads, meta=meta, known=known, statistics=request.statistics,
            progress=progress,
        )  # fmt: skip
    folder = (project.folder / ASIDE / uuid.uuid4().hex).absolute()
    source = source_of(f"delta:{Path(project.folder).absolute()}", features, folder, request.known_time)
    with open_session(request.master) as session:
        slices = request.slices or 4 * session.sparkContext.defaultParallelism
        return backfill_on_cluster(
            session, source, features, offline, group, start=start, stop=stop, slices=slices, meta=meta,
            known=known, progress=progress,
        )  # fmt: skip


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    whole = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds
