"""Says by the outcomes known now what the hibernation of an earlier ranking really kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from greywater.app.alert_book import AlertBook
from greywater.desk.hibernation import RecallEstimate, Sleep, estimate_recall
from greywater.errors import FormatError, InputError

__all__ = ["earlier_recall"]

_STATES = {"work": "work", "over_budget": "work", "sampled": "sampled", "hibernated": "hibernated"}


def earlier_recall(path: Path, book: AlertBook) -> RecallEstimate:
    """Estimate the recall of an earlier ranking from the outcomes of the alerts that were looked at since.

    Parameters
    ----------
    path : Path
        What `greywater prioritise --json` wrote.
    book : AlertBook
        Outcomes known now. Alerts without one count as not reviewed.

    Returns
    -------
    RecallEstimate
        Of hibernation alone: alerts over the budget count as awake.

    Raises
    ------
    InputError
        The file cannot be read.
    FormatError
        It is no such JSON.
    """
    outcome = dict(zip(book.ids, book.outcome.tolist(), strict=True))
    sleeps, y = [], []
    for entry in _alerts(path):
        try:
            state = _STATES.get(entry["place"])
            if state is None:  # folded: its first alert speaks for it
                continue
            sleeps.append(Sleep(state, entry["chosen_by"], float(entry["chance"])))  # type: ignore[arg-type]
            y.append(outcome.get(str(entry["alert_id"]), -1))
        except (KeyError, TypeError, ValueError) as error:
            raise _strange(path) from error
    return estimate_recall(sleeps, np.array(y, np.int64))


def _alerts(path: Path) -> list[dict[str, Any]]:
    try:
        alerts = json.loads(path.read_text(encoding="utf-8"))["alerts"]
    except OSError as error:
        raise InputError(
            f"the earlier ranking cannot be read: {error.strerror}", where=str(path), mend="check the path"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _strange(path) from error
    if not isinstance(alerts, list):
        raise _strange(path)
    return alerts


def _strange(path: Path) -> FormatError:
    return FormatError(
        "this is no ranking", where=str(path), mend="give what greywater prioritise --json FILE wrote earlier"
    )
