"""How finely a source's times are told apart, judged from its first rows where nothing says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from greywater.formats.layout import Layout
from greywater.formats.tabular import Table
from greywater.formats.times import DAY_US, read_times
from greywater.formats.timetext import OK

__all__ = ["day_stamped"]

#: Rows that are looked at, and how many of them must be readable for a verdict.
LOOK_AT: Final = 4_096
AT_LEAST: Final = 100


def day_stamped(table: Table, layout: Layout) -> bool:
    """Whether the first rows, at least AT_LEAST of them, are all at midnight, UTC or local.

    Fewer rows say nothing: a file of a few payments is taken to be stamped finely.
    """
    rule = replace(layout.time, zone="")
    for raw in table.chunks((layout.places.event_time.name,), LOOK_AT, verify=False):
        times = read_times(raw.columns[layout.places.event_time.name], rule)
        readable = times.value[times.verdict == OK]
        return len(readable) >= AT_LEAST and bool((readable % DAY_US == 0).all())
    return False
