"""How the length of a window is written in the name of a feature."""

from __future__ import annotations

__all__ = ["window_label"]

DAY = 86_400


def window_label(seconds: int) -> str:
    """Short name of a window.

    Examples
    --------
    >>> [window_label(s) for s in (3600, 86400, 30 * 86400, 5400, 90)]
    ['1h', '1d', '30d', '90m', '90s']
    """
    for length, letter in ((DAY, "d"), (3600, "h"), (60, "m")):
        if seconds % length == 0:
            return f"{seconds // length}{letter}"
    return f"{seconds}s"
