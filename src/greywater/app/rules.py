"""Use cases of rules: which a project has, whether they can be evaluated, what they did on its history, tuning."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater._version import __version__
from greywater.access.policy import require
from greywater.app.audit import audited
from greywater.app.ingest_request import Silent
from greywater.app.joining import project_features
from greywater.app.replaying import replay_through
from greywater.app.rule_place import RULES, RulePlace, project_rules, words_of
from greywater.app.truth import Truth
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.detectors.rules.back_test import BackTest, History, HitLog, back_test
from greywater.detectors.rules.rule import Rule, Value
from greywater.detectors.rules.rule_set import RuleSet
from greywater.detectors.rules.tuning import Tuned, change_record, grid_of, tune, variants
from greywater.errors import FormatError, StoreError, UsageError
from greywater.features.catalog import FeatureSet, payments_v3
from greywater.pipeline.replay import Replayed
from greywater.stores.durable import make_folder, store_errors, write_whole_text
from greywater.stores.project_file import ProjectFile
from greywater.vocab import Actor, FeatureBlock, Int64Array, Progress

__all__ = [
    "BackTestRequest", "RuleCheck", "TuneRequest", "TuneResult", "check_rules", "run_back_test", "tune_rule",
]  # fmt: skip

#: Folder of a project's rules for the records of changes.
CHANGES: Final = "changes"
#: Most outcomes read from a file.
MOST_OUTCOMES: Final = 10_000_000


@dataclass(frozen=True)
class RuleCheck:
    """Rules that can be read, and which would be evaluated on the features of a project.

    `off` gives the reasons of those that would not; `features` names the set, empty where there is no project.
    """

    rules: RuleSet
    off: Mapping[str, str]
    features: str


@dataclass(frozen=True)
class BackTestRequest:
    """Which rules (none named: all that are not off), and event times in [begin, end)."""

    place: RulePlace = field(default_factory=RulePlace)
    rules: tuple[str, ...] = ()
    begin: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class TuneRequest:
    """Which parameter of which rule is tried from `low` to `high`, and how the samples are drawn and judged.

    `outcomes` is a CSV file (tx_id, label) of what reviewers said; without it the recorded labels count.
    """

    rule: str
    parameter: str
    low: str
    high: str
    steps: int = 7
    sample: int = 100
    seed: int = 7
    worth: float = 0.05
    outcomes: Path | None = None
    place: RulePlace = field(default_factory=RulePlace)


@dataclass(frozen=True)
class TuneResult:
    """What the samples say, the payments drawn by value, and where the change record is."""

    tuned: Tuned
    samples: Mapping[str, tuple[str, ...]]
    record: Path
    text: str

    def to_json(self) -> dict[str, Any]:
        """Everything, in JSON types."""
        drawn = {value: list(ids) for value, ids in self.samples.items()}
        return {**self.tuned.to_json(), "samples": drawn, "record": str(self.record)}


def check_rules(actor: Actor, settings: Settings, place: RulePlace | None = None) -> RuleCheck:
    """Read and check all rules; where the project exists, say which would be evaluated on its features.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_features`.
    settings : Settings
    place : RulePlace, optional

    Raises
    ------
    FormatError, UsageError
        A rule cannot be read or could never be evaluated; with file, line and column.
    """
    require(actor, "read_features")
    rules = project_rules(settings, place)
    largest = payments_v3(Settings(), resolution_us=1)
    if ProjectFile.load(settings.project_folder) is None:
        rules.check(_types(largest))
        return RuleCheck(rules, {rule.id: rule.why_off for rule in rules.rules if rule.state == "off"}, "")
    with open_project(settings, actor) as project:
        features = project_features(project, rules).features
    rules.check({**_types(largest), **_types(features)})
    bound = rules.bind(pa.schema(list(_types(features).items())), words_of(features))
    return RuleCheck(replace(rules, rules=bound.rules), bound.off, f"{features.name}, {features.fingerprint}")


def run_back_test(
    actor: Actor, settings: Settings, request: BackTestRequest, progress: Progress | None = None
) -> BackTest:
    """Evaluate rules on every recorded payment as of its moment, and measure them by the labels.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_features` and `read_labels`.
    settings : Settings
        Store, project, the set of features.
    request : BackTestRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project.
    UsageError, FormatError
        There is no such rule, or one cannot be read.
    """
    told = progress or Silent()
    require(actor, "read_labels")
    begin_us, end_us = _micros(request.begin), _micros(request.end)
    if begin_us is not None and end_us is not None and begin_us >= end_us:
        raise UsageError("the stretch of time is empty", where="--from, --to", mend="let --from be earlier than --to")
    with (
        audited(settings, actor, "read_features", "back-test of rules") as detail,
        open_project(settings, actor) as project,
    ):
        rules = project_rules(settings, request.place)
        if request.rules:
            rules = rules.only(request.rules)
        log, history, _, _ = _history(project, rules, told)
        result = back_test(log, history, history.between(begin_us, end_us))
        detail.update(rules=rules.fingerprint, evaluated=len(result.rules), payments=result.payments)
    return result


def tune_rule(actor: Actor, settings: Settings, request: TuneRequest, progress: Progress | None = None) -> TuneResult:
    """Try a range of a parameter, sample around the line, recommend a threshold, and write the change record.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`, `read_labels` and `read_payments`.
    settings : Settings
        Store, project, the set of features.
    request : TuneRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project, or the record cannot be written.
    UsageError, FormatError
        There is no such rule or parameter, its columns are missing, or a value does not fit.
    """
    told = progress or Silent()
    for action in ("read_labels", "read_payments"):
        require(actor, action)
    with (
        audited(settings, actor, "train", f"threshold of rule {request.rule}") as detail,
        open_project(settings, actor) as project,
    ):
        rules = project_rules(settings, request.place)
        rule = rules.rule(request.rule)
        values = _grid(rule, request)
        tried = RuleSet(variants(rule, request.parameter, values), rules.exponent)
        log, history, truth, replayed = _history(project, tried, told)
        if log.off:
            raise UsageError(
                f"rule {rule.id} cannot be evaluated: {next(iter(log.off.values()))}",
                where=f"project {settings.project}",
                mend="see greywater rules test",
            )
        outcomes = _outcomes(project, request.outcomes, replayed)
        hits = [log.positions(each.id) for each in tried.rules]
        tuned = tune(
            rule, request.parameter, values, hits, lambda drawn: _judged(drawn, truth, outcomes),
            sample=request.sample, seed=request.seed, worth=request.worth,
        )  # fmt: skip
        result = _recorded(project, rules, tuned, replayed, history, request)
        detail.update(parameter=request.parameter, now=tuned.current, recommended=tuned.recommended)
    return result


# -------------------------------------------------------------------- history


def _history(project: Project, rules: RuleSet, progress: Progress) -> tuple[HitLog, History, Truth | None, Replayed]:
    """Replay the ledger through the engine, which works out what the rules name, and the rules; only hits are kept."""
    made = project_features(project, rules)
    features = made.features
    bound = rules.bind(pa.schema(list(_types(features).items())), words_of(features))
    every = features.of_engine
    needed = every.only([name for name in every.names if name in bound.columns] or every.names[:1])
    log = HitLog()

    def sink(block: FeatureBlock) -> None:
        rows = block.columns if block.scored.all() else block.columns.filter(pa.array(block.scored))
        log.add(bound.evaluate(rows))

    replayed, truth = replay_through(project, needed, sink, progress, joins=made.joins, doing="trying rules on history")
    if not len(replayed.seq):
        raise StoreError(
            "no payment between two accounts of the bank is recorded, so there is nothing to try rules on",
            where=str(project.folder),
            mend="record payments: greywater ingest PATH",
        )
    history = History(replayed.time_us, replayed.sender, replayed.receiver, None if truth is None else truth.y)
    return log, history, truth, replayed


def _types(features: FeatureSet) -> dict[str, pa.DataType]:
    return {each.name: pa.int64() if each.dtype == "int64" else pa.float64() for each in features.features}


# --------------------------------------------------------------------- tuning


def _grid(rule: Rule, request: TuneRequest) -> tuple[Value, ...]:
    parameter = next((each for each in rule.parameters if each.name == request.parameter), None)
    if parameter is None:
        listed = ", ".join(each.name for each in rule.parameters) or "none"
        raise UsageError(
            f"rule {rule.id} has no parameter {request.parameter[:40]!r}", where="PARAMETER", mend=f"it has {listed}"
        )

    def value(text: str, option: str) -> Value:
        if parameter.unit == "time":
            return text
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            raise UsageError(f"{text[:40]!r} is no number", where=option, mend="write 5 or 0.5") from None

    return grid_of(parameter, value(request.low, "--from"), value(request.high, "--to"), request.steps)


def _judged(drawn: Int64Array, truth: Truth | None, outcomes: Int64Array | None) -> Int64Array:
    """Outcomes of payments by position: those of reviewers where they were given, else the labels."""
    if outcomes is not None:
        return outcomes[drawn]
    return np.full(len(drawn), -1, np.int64) if truth is None else truth.y[drawn]


def _outcomes(project: Project, path: Path | None, replayed: Replayed) -> Int64Array | None:
    """Outcome of each scored payment, int64[n], -1 where the file says nothing; None without a file."""
    if path is None:
        return None
    said: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source)
            if not {"tx_id", "label"} <= set(reader.fieldnames or ()):
                raise FormatError("the outcomes have no columns tx_id and label", where=str(path), mend="name them so")
            for number, row in enumerate(reader, 2):
                if row["label"] not in ("0", "1") or len(said) >= MOST_OUTCOMES:
                    raise FormatError(
                        f"label is {str(row['label'])[:20]!r}", where=f"{path}, line {number}", mend="write 1 or 0"
                    )
                said[row["tx_id"]] = int(row["label"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"the outcomes cannot be read: {error}", where=str(path), mend="give a CSV file") from None
    found = np.full(len(replayed.seq), -1, np.int64)
    names = pa.array(list(said), pa.string())
    labels = np.array(list(said.values()), np.int64)
    for batch in project.ledger.scan(["tx_id", "seq"]):
        places = pc.index_in(batch.column("tx_id"), names)
        hit = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
        seq = batch.column("seq").to_numpy()[hit]
        at = np.searchsorted(replayed.seq, seq)
        inside = at < len(found)
        inside[inside] = replayed.seq[at[inside]] == seq[inside]
        given = labels[places.take(pa.array(hit)).to_numpy(zero_copy_only=False).astype(np.int64)]
        found[at[inside]] = given[inside]
    return found


def _recorded(
    project: Project, rules: RuleSet, tuned: Tuned, replayed: Replayed, history: History, request: TuneRequest
) -> TuneResult:
    """Write the change record, as text and as JSON, and name the payments that were drawn."""
    made = datetime.now(UTC)
    facts = {
        "made": f"{made:%Y-%m-%d %H:%M} UTC",
        "by": project.actor.principal,
        "project": project.settings.project,
        "payments": f"{project.ledger.next_seq:,} recorded, {history.rows:,} scored",
        "rules": rules.fingerprint,
        "outcomes": "recorded labels" if request.outcomes is None else request.outcomes.name,
        "greywater": __version__,
    }
    text = change_record(tuned, facts)
    samples = _sampled_ids(project, tuned, replayed)
    folder = project.folder / RULES / CHANGES
    with store_errors(folder, "make the folder of change records"):
        make_folder(folder)
    stem = folder / f"{made:%Y%m%dT%H%M%S%f}-{tuned.rule}-{tuned.parameter}"
    told = {"facts": facts, **tuned.to_json(), "samples": samples}
    write_whole_text(stem.with_suffix(".json"), json.dumps(told, indent=1, allow_nan=False) + "\n", "write the record")
    write_whole_text(stem.with_suffix(".txt"), text, "write the change record")
    return TuneResult(tuned, {name: tuple(ids) for name, ids in samples.items()}, stem.with_suffix(".txt"), text)


def _sampled_ids(project: Project, tuned: Tuned, replayed: Replayed) -> dict[str, list[str]]:
    """Ids of the payments drawn, by the value of their band."""
    ids: dict[str, list[str]] = {}
    for band in tuned.bands:
        seqs = replayed.seq[np.array(band.sample, np.int64)]
        ids[str(band.value)] = project.ledger.take(seqs, ["tx_id"])["tx_id"].to_pylist() if len(seqs) else []
    return ids


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    whole = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds
