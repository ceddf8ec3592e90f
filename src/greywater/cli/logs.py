"""Log lines for machines: one JSON object a line when GREYWATER_LOG=json, no personal data."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Final

__all__ = ["JsonLines", "configure_logging"]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, event, and the fields that came with it.

    Examples
    --------
    >>> said = {"name": "greywater.ingest", "levelname": "INFO", "msg": "ingested", "created": 0, "recorded": 3}
    >>> record = logging.makeLogRecord(said)
    >>> JsonLines().format(record)
    '{"time": "1970-01-01T00:00:00+00:00", "level": "INFO", "logger": "greywater.ingest", "event": "ingested", \
"recorded": 3}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        said.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info and record.exc_info[0] is not None:
            said["error"] = record.exc_info[0].__name__
        return json.dumps(said, default=str)


def configure_logging() -> None:
    """Send the log to standard error as GREYWATER_LOG says: `json`, `text`, or nothing where it is not set."""
    logger = logging.getLogger("greywater")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    wanted = os.environ.get("GREYWATER_LOG", "").lower()
    if wanted in ("json", "text"):
        handler = logging.StreamHandler(sys.stderr)
        text = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
        handler.setFormatter(JsonLines() if wanted == "json" else text)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    else:
        logger.addHandler(logging.NullHandler())
