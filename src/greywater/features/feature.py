"""What a feature is: data about a column, from which its name, its documentation and its kernel follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Feature"]


@dataclass(frozen=True)
class Feature:
    """One column of a FeatureBlock, declared.

    Parameters
    ----------
    name : str
        Made from the parameters, for example `sender.out.sum.7d`.
    entity : {"sender", "receiver", "pair", "payment"}
        Whose behaviour it describes.
    dtype : {"int64", "float64"}
        Counts, flags and codes are int64 and never missing; all else is float64, NaN = not defined.
    unit : str
        "payments", "accounts", "minor units", "seconds", "ratio", "flag", "code", ...
    description : str
        One sentence for people.
    family : str
        The room that computes it: "window", "calendar", "counterparty", "payment".
    kind : {"mergeable", "ordered"}
        Mergeable: the state of a slice merges; ordered: the kernel replays in ledger order.
    typologies : tuple of str
        Laundering shapes it serves.
    parameters : dict
        What the name was made from: role, direction, statistic, window in seconds...
    """

    name: str
    entity: Literal["sender", "receiver", "pair", "payment"]
    dtype: Literal["int64", "float64"]
    unit: str
    description: str
    family: str
    kind: Literal["mergeable", "ordered"] = "ordered"
    typologies: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)
