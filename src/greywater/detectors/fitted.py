"""What every detector tells once it is fitted: its card, its columns, its threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

from greywater.detectors.saved import plain
from greywater.detectors.threshold import Threshold
from greywater.errors import DetectorError

__all__ = ["FittedFace", "WhatWasLearned"]


class WhatWasLearned(Protocol):
    """What fitting leaves behind at least."""

    names: tuple[str, ...]
    threshold: Threshold
    card: dict[str, Any]


Learned = TypeVar("Learned", bound=WhatWasLearned)


class FittedFace(Generic[Learned]):
    """The part of the Detector contract that only reads what fitting left in `_fitted`."""

    _fitted: Learned | None = None

    @property
    def card(self) -> dict[str, Any]:
        """What it was fitted on, with what, how it did, its limits and notes; JSON types."""
        return dict(self._known().card)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names it was fitted on, in order."""
        return self._known().names

    @property
    def threshold(self) -> Threshold:
        """Where a score becomes a flag."""
        return self._known().threshold

    def annotate(self, facts: Mapping[str, Any]) -> Self:
        """Add facts of the run (data version, test measures...) to the card; JSON types."""
        self._known().card.update(plain(facts))
        return self

    def _known(self) -> Learned:
        if self._fitted is None:
            raise DetectorError("the detector is not fitted", mend="call fit, or load a saved one")
        return self._fitted
