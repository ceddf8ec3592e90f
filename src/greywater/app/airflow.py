"""The use case that writes a pipeline as a DAG of Apache Airflow: one task a step, each a call of `greywater`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from greywater.app.audit import audited
from greywater.app.pipeline_file import Pipeline
from greywater.app.pipeline_steps import WORK
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.featurestore.training_record import moment_us
from greywater.stores.durable import write_whole_text
from greywater.vocab import Actor

__all__ = ["airflow_dag", "export_to_airflow"]

#: Airflow fills these in wherever they stand in a command.
_BRACES: Final = ("{{", "{%", "{#")

_PAGE: Final = '''"""The pipeline {name} of Greywater, one task a step.

Written by `greywater pipeline export`. Greywater keeps what each step rested on: a task that is given again goes on, or
leaves what stands as it is. Who may do what, and passwords, are the worker's: none is in this file.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

#: Step -> the command that runs it.
STEPS = {{
{steps}
}}

with DAG(
    dag_id={dag_id!r},
    description={description!r},
    schedule={cron!r},
    start_date=datetime({start}, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={{"retries": {retries}, "retry_delay": timedelta(minutes={minutes!r})}},
    tags=["greywater"],
) as dag:
    before = None
    for step, command in STEPS.items():
        task = BashOperator(task_id=step, bash_command=command)
        if before is not None:
            before >> task
        before = task
'''


def airflow_dag(pipeline: Pipeline, more: Sequence[str] = ()) -> str:
    """A Python file for Airflow's folder of DAGs, for Airflow 2 and 3.

    Parameters
    ----------
    pipeline : Pipeline
        Its `[schedule]` says when, how often a failed task is given again, and what `greywater` is called there.
    more : sequence of str
        Further words of each command, such as `--store DIR`.

    Returns
    -------
    str
        Each task is `greywater pipeline run FILE --only STEP`, behind the one before. Two runs never overlap.

    Raises
    ------
    UsageError
        A word holds what Airflow would fill in.
    """
    path, plan = str(pipeline.path.absolute()), pipeline.schedule
    commands = {
        step: f"{plan.command} {shlex.join(['pipeline', 'run', path, '--only', step, *more])}"
        for step in pipeline.steps
    }
    for command in commands.values():
        if any(brace in command for brace in _BRACES) or not command.isprintable():
            raise UsageError(
                f"Airflow would not run {command!r} as it stands", where=str(pipeline.path),
                mend="use paths without {{, {%, {# and line breaks",
            )  # fmt: skip
    start = datetime.fromtimestamp(moment_us(plan.start) / 1e6, UTC)
    return _PAGE.format(
        name=pipeline.name,
        steps="\n".join(f"    {step!r}: {command!r}," for step, command in commands.items()),
        dag_id=f"greywater_{pipeline.name}",
        description="; ".join(WORK[step].about for step in pipeline.steps),
        cron=plan.cron,
        start=f"{start.year}, {start.month}, {start.day}, {start.hour}, {start.minute}",
        retries=plan.retries,
        minutes=plan.retry_minutes,
    )


def export_to_airflow(
    actor: Actor, settings: Settings, pipeline: Pipeline, out: Path, more: Sequence[str] = ()
) -> None:
    """Write a pipeline's DAG to a file, which then holds all of it or what it held before.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `export`.
    settings : Settings
        Store and project, for the audit.
    pipeline : Pipeline
    out : Path
        A file that ends in .py.
    more : sequence of str
        As for `airflow_dag`.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        The file does not end in .py, or a command cannot be given to Airflow.
    StoreFullError, StoreAccessError
        The file cannot be written.
    """
    if out.suffix != ".py":
        raise UsageError("Airflow reads Python files", where=str(out), mend="name a file that ends in .py")
    with audited(settings, actor, "export", f"pipeline {pipeline.name} for Airflow"):
        write_whole_text(out, airflow_dag(pipeline, more), "write the DAG")
