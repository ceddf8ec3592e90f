"""Greywater finds money laundering in payment data and says why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from greywater._version import __version__

if TYPE_CHECKING:
    from greywater.app.embedded import run
    from greywater.app.embedded_features import open_features
    from greywater.app.run import RunOutcome
    from greywater.config import Settings
    from greywater.errors import GreywaterError
    from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
    from greywater.features.engine import Engine
    from greywater.features.transformer import GraphFeatures
    from greywater.features.trust import AntiTrustRank
    from greywater.synth.world import make_world
    from greywater.vocab import Actor

__all__ = [
    "Actor",
    "AntiTrustRank",
    "Engine",
    "FeatureSet",
    "GraphFeatures",
    "GreywaterError",
    "RunOutcome",
    "Settings",
    "__version__",
    "make_world",
    "open_features",
    "payments_v1",
    "payments_v2",
    "run",
]

#: Where each name of the public face lives; it is imported when it is first asked for.
HOMES = {
    "Actor": "greywater.vocab",
    "AntiTrustRank": "greywater.features.trust",
    "Engine": "greywater.features.engine",
    "FeatureSet": "greywater.features.catalog",
    "GraphFeatures": "greywater.features.transformer",
    "GreywaterError": "greywater.errors",
    "RunOutcome": "greywater.app.run",
    "Settings": "greywater.config",
    "make_world": "greywater.synth.world",
    "open_features": "greywater.app.embedded_features",
    "payments_v1": "greywater.features.catalog",
    "payments_v2": "greywater.features.catalog",
    "run": "greywater.app.embedded",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    raise AttributeError(f"module 'greywater' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
