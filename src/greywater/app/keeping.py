"""What a run leaves behind for those who judge or question it later: scores, feature rows of alerts, facts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.app.truth import Scored
from greywater.detectors.saved import plain
from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.durable import make_folder, store_errors, write_file_durably
from greywater.stores.ports import Finding
from greywater.vocab import Float64Array, Int64Array

__all__ = ["RUNS", "KeptRun", "Scores", "check_kept", "keep_run", "kept_runs", "read_run"]

#: Folder of a project with one folder a run.
RUNS: Final = "runs"
FACTS: Final = "run.json"
SCORES: Final = "scores.arrow"
#: Feature rows: of the payments that raised alerts, and typical ones of the slice that was learned from.
ROWS: Final = ("alerted.arrow", "typical.arrow")
PEERS: Final = "peers.npz"
VERSION: Final = 1
_MEND: Final = "run again: greywater run"


@dataclass(frozen=True)
class Scores:
    """The scored payments of the slice on which a run raised its alerts, in ledger order.

    seq, time_us int64[n]; sender, receiver int32[n] positions in `accounts`; score, probability float64[n].
    """

    seq: Int64Array
    time_us: Int64Array
    sender: np.ndarray
    receiver: np.ndarray
    accounts: tuple[str, ...]
    score: Float64Array
    probability: Float64Array

    @classmethod
    def of(cls, scored: Scored, begin: int, score: Float64Array, probability: Float64Array) -> Scores:
        """Those of rows [begin, n), with the accounts that take part in them only."""
        sender, receiver = scored.sender[begin:], scored.receiver[begin:]
        used, places = np.unique(np.concatenate([sender, receiver]), return_inverse=True)
        codes = places.astype(np.int32)
        accounts = tuple(scored.accounts[code] for code in used.tolist())
        rows = len(sender)
        return cls(
            scored.seq[begin:], scored.time_us[begin:], codes[:rows], codes[rows:], accounts, score, probability
        )  # fmt: skip

    def to_table(self) -> pa.Table:
        """As one table; accounts are dictionaries."""
        names = pa.array(self.accounts, pa.string())
        parties = {
            name: pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)
            for name, codes in (("sender", self.sender), ("receiver", self.receiver))
        }
        numbers = {"seq": self.seq, "time_us": self.time_us, "score": self.score, "probability": self.probability}
        return pa.table(numbers | parties)

    @classmethod
    def from_table(cls, table: pa.Table) -> Scores:
        """What `to_table` made."""
        numbers = {name: table[name].to_numpy() for name in ("seq", "time_us", "score", "probability")}
        whole = {name: table[name].combine_chunks() for name in ("sender", "receiver")}
        arrays = {name: each if isinstance(each, pa.DictionaryArray) else each.chunk(0) for name, each in whole.items()}
        codes = {name: np.asarray(each.indices.to_numpy(), np.int32) for name, each in arrays.items()}
        return cls(
            numbers["seq"], numbers["time_us"], codes["sender"], codes["receiver"],
            tuple(arrays["sender"].dictionary.to_pylist()), numbers["score"], numbers["probability"],
        )  # fmt: skip


@dataclass(frozen=True)
class KeptRun:
    """A run as it was kept.

    Parameters
    ----------
    run_id : str
    facts : dict
        JSON types: what was scored, by what, with which settings and versions, and the measures of the day.
    scores : Scores
        Of the slice on which alerts were raised.
    alerted : pa.Table or None
        `seq` and the feature rows of the payments that raised alerts, in order of seq.
    typical : pa.Table or None
        Feature rows of typical payments of the slice that was learned from, with the same columns but `seq`.
    peers : bytes
        The peer groups' quantiles (`greywater.desk.peers.PeerGroups`); empty where there are none.
    """

    run_id: str
    facts: dict[str, Any]
    scores: Scores
    alerted: pa.Table | None = None
    typical: pa.Table | None = None
    peers: bytes = field(default=b"", repr=False)


def keep_run(project_folder: Path, run: KeptRun) -> Path:
    """Write a run's folder; `run.json`, with the SHA-256 of the others, comes last. Every file is synced.

    Returns
    -------
    Path
        The folder: `<project>/runs/<run>`.

    Raises
    ------
    StoreFullError, StoreAccessError, StoreError
        The disk refuses; a folder without run.json is no kept run.
    """
    folder = project_folder / RUNS / run.run_id
    files = {SCORES: _arrow(run.scores.to_table())}
    files |= {
        name: _arrow(rows) for name, rows in zip(ROWS, (run.alerted, run.typical), strict=True) if rows is not None
    }
    files |= {PEERS: run.peers} if run.peers else {}
    make_folder(folder)
    for name, content in files.items():
        write_file_durably(folder / name, content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = json.dumps(plain({"version": VERSION, "run": run.run_id, "files": hashes, **run.facts}), allow_nan=False)
    write_file_durably(folder / FACTS, text.encode())
    return folder


def kept_runs(project_folder: Path) -> list[str]:
    """Ids of the runs that were kept, oldest first."""
    folder = project_folder / RUNS
    with store_errors(folder, "look for kept runs"):
        return sorted(path.parent.name for path in folder.glob(f"*/{FACTS}")) if folder.is_dir() else []


def read_run(project_folder: Path, run_id: str) -> KeptRun:
    """Read what a run left, every file verified.

    Raises
    ------
    StoreError
        The run was not kept.
    StoreDamagedError
        A file is missing or not what was written.
    """
    folder = project_folder / RUNS / run_id
    path = folder / FACTS
    if Path(run_id).name != run_id or not path.is_file():
        known = kept_runs(project_folder)
        raise StoreError(
            f"no scores of run {run_id!r} are kept", where=str(path),
            mend=f"name one of {', '.join(known[-3:])}" if known else _MEND,
        )  # fmt: skip
    try:
        with store_errors(path, "read a run"):
            facts = json.loads(path.read_bytes())
        hashes = {str(name): str(digest) for name, digest in facts["files"].items()}
        version = facts["version"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamagedError(f"the run cannot be read: {error}", where=str(path), mend=_MEND) from error
    if version != VERSION:
        raise StoreError(f"the run was kept by version {version}", where=str(path), mend="use the newer Greywater")
    content = {name: _verified(folder / Path(name).name, digest) for name, digest in hashes.items()}
    if SCORES not in content:
        raise StoreDamagedError("the scores are missing", where=str(path), mend=_MEND)
    alerted, typical = (_table(content[name]) if name in content else None for name in ROWS)
    scores = Scores.from_table(_table(content[SCORES]))
    return KeptRun(run_id, facts, scores, alerted, typical, content.get(PEERS, b""))


def check_kept(project_folder: Path) -> list[Finding]:
    """Verify the files of every kept run; what is wrong, and how to mend it."""
    findings = []
    for run_id in kept_runs(project_folder):
        try:
            read_run(project_folder, run_id)
        except StoreError as error:
            findings.append(Finding(error.where, error.found, error.mend))
    return findings


def _verified(path: Path, digest: str) -> bytes:
    with store_errors(path, "read a run"):
        if not path.is_file():
            raise StoreDamagedError("a file of the run is missing", where=str(path), mend=_MEND)
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise StoreDamagedError("the file is not what was written", where=str(path), mend=_MEND)
    return content


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _table(content: bytes) -> pa.Table:
    return pa.ipc.open_file(pa.BufferReader(content)).read_all()
