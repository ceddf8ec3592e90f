"""Writes down what things come from: alerts of a run from its model, models and rows of features from source files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from greywater.app.file_log import file_rows
from greywater.app.wiring import Project
from greywater.featurestore.definitions import FeatureGroup
from greywater.featurestore.lineage import Lineage, commit_name
from greywater.featurestore.registry import Registry
from greywater.stores.feature_ports import GroupCommit, Offline
from greywater.stores.feature_records import FeatureRecords

__all__ = ["note_backfill", "note_run"]


def note_run(project: Project, run_id: str, alerts: Sequence[str]) -> int:
    """Add the lineage of a run: every recorded file to its model, and the model to every alert.

    Parameters
    ----------
    project : Project
        Where it ran; its files are the sources.
    run_id : str
        Names the model, which a run fits for itself.
    alerts : sequence of str
        Ids of the alerts raised.

    Returns
    -------
    int
        Edges that were not known.
    """
    sources = {_named(row) for row in file_rows(project.tables)}
    edges = [("source", source, "model", run_id) for source in sorted(sources)]
    edges += [("model", run_id, "alert", alert) for alert in alerts]
    return Lineage(FeatureRecords(project.records.database)).add_all(edges, how="greywater run")


def note_backfill(project: Project, offline: Offline, group: FeatureGroup) -> int:
    """Register the group of a backfill, and add its commits that are not noted yet, each with the files it comes from.

    A group of the same features that an earlier release described in other words stays as it is registered.

    Parameters
    ----------
    project : Project
        Whose payments they are; its files are the sources.
    offline : Offline
        Holds the group.
    group : FeatureGroup

    Returns
    -------
    int
        Commits that were not noted.
    """
    records = FeatureRecords(project.records.database)
    held = [one for one in Registry(records).groups() if (one.name, one.version) == (group.name, group.version)]
    if not held or held[0].fingerprint != group.fingerprint:
        Registry(records).register_group(group, project.actor)
    noted = {one.number for one in records.commits(group.name, group.version)}
    files = file_rows(project.tables)
    fresh = [one for one in offline.commits(group.name, group.version) if one.number not in noted]
    for commit in fresh:
        target = commit_name(group.name, group.version, commit.number)
        sources = sorted({_named(row) for row in files if _holds(commit, row)})
        Lineage(records).add_all([("source", source, "commit", target) for source in sources], how="backfill")
        records.put_commit(
            project.actor, group.name, group.version, commit.number, rows=commit.rows, sha256=commit.sha256,
            statistics={}, detail={"sources": sources},
        )  # fmt: skip
    return len(fresh)


def _named(row: Mapping[str, Any]) -> str:
    """A recorded file as the lineage names it."""
    return f"{row['name']} {str(row['sha256'])[:16]}"


def _holds(commit: GroupCommit, file: Mapping[str, Any]) -> bool:
    """Whether payments of a file are among those of a commit, as far as their ranges say."""
    meta = commit.meta
    spans = meta.get("ranges") or [[meta.get("start", 0), meta.get("stop", 0)]]
    return any(int(start) < file["next_seq"] and file["first_seq"] < int(stop) for start, stop in spans)
