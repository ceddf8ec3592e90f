"""Greywater finds money laundering in payment data and says why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from greywater._version import __version__

if TYPE_CHECKING:
    from greywater.config import Settings
    from greywater.errors import GreywaterError
    from greywater.vocab import Actor

__all__ = ["Actor", "GreywaterError", "Settings", "__version__"]

#: Where each name of the public face lives; it is imported when it is first asked for.
HOMES = {
    "Actor": "greywater.vocab",
    "GreywaterError": "greywater.errors",
    "Settings": "greywater.config",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    raise AttributeError(f"module 'greywater' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
