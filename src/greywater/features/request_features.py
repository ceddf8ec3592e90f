"""Requests as features: a window or a filter of one's own, declared as any other column."""

from __future__ import annotations

from typing import Final

from greywater.features.feature import Feature
from greywater.features.requests import FeatureRequest
from greywater.features.window_labels import window_label

__all__ = ["request_feature"]

WORDS: Final = {
    "count": "number of payments {verb}",
    "counterparties": "number of different accounts {accounts}",
    "sum": "total {verb}",
    "mean": "mean amount {verb}",
    "min": "smallest amount {verb}",
    "max": "largest amount {verb}",
}
UNITS: Final = {"count": "payments", "counterparties": "accounts"}


def request_feature(request: FeatureRequest) -> Feature:
    """The feature that a request asks for.

    Examples
    --------
    >>> from greywater.features.requests import parse_request
    >>> request_feature(parse_request("sender.out.sum.48h[channel cash]")).description
    'sender: total sent in the last 2d, of the payments with channel cash'
    """
    out = request.direction == "out"
    words = WORDS[request.statistic].format(verb="sent" if out else "received", accounts="paid" if out else "paying it")
    label = window_label(request.window)
    filtered = f", of the payments with {request.filter}" if request.filtered else ""
    unit = UNITS.get(request.statistic)
    return Feature(
        name=request.name,
        entity=request.role,
        dtype="float64" if unit is None else "int64",
        unit=unit or "minor units",
        description=f"{request.role}: {words} in the last {label}{filtered}",
        family="window",
        parameters={
            "role": request.role,
            "direction": request.direction,
            "statistic": request.statistic,
            "window": request.window,
            "label": label,
            "filter": request.filter,
        },
    )
