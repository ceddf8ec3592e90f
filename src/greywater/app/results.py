"""What a run found, as the documented JSON and as the facts of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from greywater.app.queueing import queue_in_json
from greywater.app.run import RunOutcome
from greywater.desk.report import Baseline, FileRead, RejectedReason, RunReport, Slice
from greywater.detectors.saved import plain

__all__ = ["run_in_json", "run_report"]

#: Measures of `metrics` that the report does not show as single figures.
NOT_FIGURES = ("confusion", "recall_by_typology")


def run_in_json(outcome: RunOutcome) -> dict[str, Any]:
    """The result of `greywater run --json`; docs/cli.md describes it. Keys are only ever added."""
    ingested, fitted = outcome.ingested, outcome.fitted
    found: dict[str, Any] = {
        "source": {
            "files": [{"name": file.name, "format": file.format, "sha256": file.sha256} for file in ingested.files],
            "store": str(outcome.settings.store),
            "project": outcome.settings.project,
            "payments": outcome.replayed.payments,
            "scored": outcome.split.rows,
            "base_currency": ingested.base_currency,
            "rates": ingested.rates_name,
        },
        "counts": asdict(ingested.counts),
        "split": _split(outcome),
        "detector": {"kind": fitted.kind, "name": fitted.name, "why": fitted.why},
        "features": {
            "name": outcome.features.name,
            "fingerprint": outcome.features.fingerprint,
            "columns": len(outcome.features.names),
            "attributes": [name for name, _ in outcome.features.attributes],
            "held_payments": outcome.footprint.held,
            "bytes_per_held_payment": round(outcome.footprint.bytes_per_held_payment, 1),
            "graph_held_payments": outcome.footprint.graph_held,
            "graph_bytes": outcome.footprint.graph_bytes,
            "lifetime_bytes": outcome.footprint.lifetime_bytes,
        },
        "budget": str(outcome.request.budget),
        "metrics": outcome.verdict.metrics if outcome.verdict else None,
        "alerts": [alert.to_json() for alert in outcome.alerts],
        "queue": queue_in_json(outcome.queue, outcome.alerts)
        | {"woken": [{"case": each.id, "why": each.words} for each in outcome.woken]},
        "rules": outcome.rules.to_json(),
        "run": outcome.run_id,
        "versions": outcome.versions,
        "warnings": list(outcome.warnings),
        "timings": outcome.timings | {"total": round(sum(outcome.timings.values()), 3)},
        "peak_rss_mb": outcome.peak_rss_mb,
    }
    return plain(found)  # type: ignore[no-any-return]


def run_report(outcome: RunOutcome) -> RunReport:
    """The facts of the report."""
    ingested, verdict = outcome.ingested, outcome.verdict
    files = [FileRead(file.name, file.format, file.counts.read) for file in ingested.files]
    rejected = [
        RejectedReason(each.reason, each.count, f"{each.file}, row {each.row}: {each.message}")
        for each in ingested.rejections
    ]
    alert_outcomes = None
    if verdict is not None:
        alert_outcomes = {alert.id: alert.entity in verdict.guilty for alert in outcome.alerts}
    times = outcome.replayed.time_us
    return RunReport(
        title=", ".join(file.name for file in files) or f"project {outcome.settings.project}",
        made_at=outcome.made_at,
        counts=ingested.counts,
        detector=outcome.fitted.name,
        why=outcome.fitted.why,
        budget=outcome.request.budget.words,
        alerts=outcome.alerts,
        cases=outcome.queue,
        files=files,
        rejected=rejected,
        slices=_slices(outcome),
        first_us=int(times.min()),
        last_us=int(times.max()),
        parties=_parties(outcome),
        base_currency=ingested.base_currency,
        metrics=_shown(verdict.metrics) if verdict else None,
        baseline=_baseline(verdict.metrics) if verdict else None,
        curve=verdict.curve if verdict else (),
        reliability=verdict.metrics["calibration"]["bins"] if verdict else (),
        saved=verdict.saved if verdict else (),
        floors=verdict.metrics["alerts_saved"] if verdict else (),
        waiting=verdict.waiting if verdict else (),
        outcomes=alert_outcomes,
        timings=outcome.timings,
        peak_rss_mb=outcome.peak_rss_mb,
        versions=outcome.versions,
        notes=[*outcome.warnings, *_wakes(outcome)],
    )


def _wakes(outcome: RunOutcome, most: int = 5) -> list[str]:
    """The cases of an earlier run that wake, a sentence each."""
    told = [f"Case {each.id}, asleep since an earlier run, wakes: {each.words}." for each in outcome.woken[:most]]
    more = len(outcome.woken) - most
    return told + ([f"{more:,} more cases wake; the JSON names them."] if more > 0 else [])


def _slices(outcome: RunOutcome) -> list[Slice]:
    split, times = outcome.split, outcome.replayed.time_us
    bounds = [("learn", 0, split.train)]
    if split.validation > split.train:
        bounds.append(("tune", split.train, split.validation))
    bounds.append(("alert and judge" if outcome.truth is not None else "alert", split.alerting, split.rows))
    return [
        Slice(
            name,
            end - begin,
            None if outcome.truth is None else int(outcome.truth.y[begin:end].sum()),
            int(times[begin:end].min()),
            int(times[begin:end].max()),
        )
        for name, begin, end in bounds
        if end > begin
    ]


def _split(outcome: RunOutcome) -> list[dict[str, Any]]:
    return [
        {"slice": part.name, "payments": part.payments, "laundering": part.positives, "from_us": part.start_us,
         "to_us": part.stop_us}
        for part in _slices(outcome)
    ]  # fmt: skip


def _shown(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Single figures, the confusion matrix and the typologies; the rest stays in the JSON."""
    return {
        key: value
        for key, value in metrics.items()
        if key in NOT_FIGURES or value is None or isinstance(value, int | float)
    }


def _baseline(metrics: Mapping[str, Any]) -> Baseline | None:
    best = metrics["single_column_baseline"]["by_average_precision"]
    if best is None:
        return None
    figures = {key: best[key] for key in ("average_precision", "roc_auc")}
    return Baseline(f"{best['column']} ({best['direction']} values first)", figures)


def _parties(outcome: RunOutcome) -> str:
    accounts = f"{outcome.footprint.accounts:,} accounts"
    if outcome.parties.customer_of is None:
        return accounts
    return f"{accounts} of {outcome.parties.customers:,} customers"
