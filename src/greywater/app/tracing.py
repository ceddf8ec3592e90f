"""Writes down what the alerts of a run come from: the source files, and the model that the run fitted."""

from __future__ import annotations

from collections.abc import Sequence

from greywater.app.file_log import file_rows
from greywater.app.wiring import Project
from greywater.featurestore.lineage import Lineage
from greywater.stores.feature_records import FeatureRecords

__all__ = ["note_run"]


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
    sources = {f"{row['name']} {str(row['sha256'])[:16]}" for row in file_rows(project.tables)}
    edges = [("source", source, "model", run_id) for source in sorted(sources)]
    edges += [("model", run_id, "alert", alert) for alert in alerts]
    return Lineage(FeatureRecords(project.records.database)).add_all(edges, how="greywater run")
