"""Counterparty features: is the payee new, how often before, does money come back, how old are the accounts."""

from __future__ import annotations

from greywater.features.feature import Feature

__all__ = ["PAIR_COUNTS", "PAIR_DERIVED", "PAIR_FLOATS"]


def _pair(name: str, dtype: str, unit: str, description: str, typologies: tuple[str, ...] = ()) -> Feature:
    return Feature(
        name=f"pair.{name}",
        entity="pair",
        dtype="int64" if dtype == "int64" else "float64",
        unit=unit,
        description=description,
        family="counterparty",
        typologies=typologies,
        parameters={"statistic": name},
    )


def _age(role: str) -> Feature:
    return Feature(
        name=f"{role}.age",
        entity="sender" if role == "sender" else "receiver",
        dtype="float64",
        unit="seconds",
        description=f"{role}: time since the account's first payment of any kind",
        family="counterparty",
        parameters={"role": role, "statistic": "age"},
    )


#: int64 rows of kernels.pairs.meet.
PAIR_COUNTS = (
    _pair("times_before", "int64", "payments", "how often the sender paid this receiver before"),
    _pair("reverse_times_before", "int64", "payments", "how often the receiver paid this sender before", ("cycle",)),
)
#: float64 rows of kernels.pairs.meet.
PAIR_FLOATS = (
    _pair("since_last", "float64", "seconds", "time since the sender last paid this receiver"),
    _pair("reverse_since_last", "float64", "seconds", "time since the receiver last paid this sender", ("cycle",)),
    _age("sender"),
    _age("receiver"),
)
#: int64 flags that follow from PAIR_COUNTS.
PAIR_DERIVED = (
    _pair("first", "int64", "flag", "1 where the sender never paid this receiver before", ("fan-out", "fan-in")),
    _pair("reciprocal", "int64", "flag", "1 where the receiver paid this sender before", ("cycle",)),
)
