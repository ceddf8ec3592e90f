"""The slow, obvious twins of expressions, statistics, drift and bias: one value at a time, in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

#: An expression as nested tuples: ("column", name), ("literal", value) or (operator or function, operand, ...).
Tree = tuple[Any, ...]
Row = Mapping[str, Any]


# --------------------------------------------------------------- expressions


def evaluated(tree: Tree, row: Row) -> Any:
    """The value of an expression for one row; None where it is not known."""
    form = tree[0]
    if form == "literal":
        return tree[1]
    if form == "column":
        value = row[tree[1]]
        return None if isinstance(value, float) and math.isnan(value) else value
    if form in ("in", "not in"):
        tested = evaluated(tree[1], row)
        return None if tested is None else (tested in tree[2]) == (form == "in")
    operands = [evaluated(operand, row) for operand in tree[1:]]
    if form in ("is null", "is not null"):
        return (operands[0] is None) == (form == "is null")
    if form in ("and", "or", "not"):
        return _logic(form, operands)
    if form == "between":
        return _logic("and", [_compared(">=", operands[0], operands[1]), _compared("<=", operands[0], operands[2])])
    if form == "coalesce":
        known = next((operand for operand in operands if operand is not None), None)
        return _checked(float(known) if _mixed(tree, row) and known is not None else known)
    if any(operand is None for operand in operands):
        return None
    if form in _COMPARE:
        return _COMPARE[form](*operands)
    return _checked(_ARITHMETIC[form](*operands))


def _mixed(tree: Tree, row: Row) -> bool:
    return any(isinstance(evaluated(operand, row), float) for operand in tree[1:])


def _compared(sign: str, a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else _COMPARE[sign](a, b)


def _logic(word: str, operands: Sequence[bool | None]) -> bool | None:
    if word == "not":
        return None if operands[0] is None else not operands[0]
    decided = word == "or"
    if decided in operands:
        return decided
    return None if None in operands else not decided


def _checked(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value if isinstance(value, (bool, str)) or value is None or -(2**63) <= value < 2**63 else None


def _divide(a: float, b: float) -> float | None:
    return None if b == 0 else float(a) / float(b)


def _remainder(a: Any, b: Any) -> Any:
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return int(math.copysign(1, a)) * (abs(a) % abs(b))
    return None if math.isinf(a) else math.fmod(a, b)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _divide, "%": _remainder,
    "negative": lambda a: -a, "abs": abs, "min": min, "max": max, "length": len,
}  # fmt: skip


# ---------------------------------------------------------------- statistics


def finite(values: Sequence[Any]) -> list[Any]:
    """The values that are neither null nor NaN nor infinite."""
    return [value for value in values if value is not None and (not isinstance(value, float) or math.isfinite(value))]


def mean(values: Sequence[Any]) -> float | None:
    """The exact mean of the finite values, rounded once."""
    there = [Fraction(value) for value in finite(values)]
    return float(sum(there) / len(there)) if there else None


def deviation(values: Sequence[Any]) -> float | None:
    """The standard deviation (ddof = 1), from exact sums."""
    there = [Fraction(value) for value in finite(values)]
    if len(there) < 2:
        return None
    centre = sum(there) / len(there)
    variance = sum((value - centre) ** 2 for value in there) / (len(there) - 1)
    digits = 2 ** max(0, 1100 - variance.numerator.bit_length() + variance.denominator.bit_length())
    return float(Fraction(math.isqrt(int(variance * digits * digits)), digits))


def quantile(values: Sequence[Any], probability: float) -> float | None:
    """Linear interpolation between the two values at the rank."""
    there = sorted(finite(values))
    if not there:
        return None
    rank = probability * (len(there) - 1)
    low = there[math.floor(rank)]
    high = there[min(math.floor(rank) + 1, len(there) - 1)]
    return float(low if low == high else (1 - rank % 1) * low + (rank % 1) * high)


def rank_distance(values: Sequence[float], value: float, probability: float) -> float:
    """By which share of the values the rank of `value` is off that of a quantile."""
    wanted = probability * (len(values) - 1)
    below, through = sum(one < value for one in values), sum(one <= value for one in values)
    return max(below - wanted - 1, wanted - through, 0) / len(values)


def histogram(values: Sequence[Any], most_bins: int, narrowest: int) -> tuple[int, int, list[int]]:
    """(exponent, first bin, counts): the narrowest bins 2^exponent wide, from `narrowest` on, that are not too many."""
    there = [Fraction(value) for value in finite(values)]
    exponent = narrowest
    while True:
        bins = [math.floor(value / Fraction(2) ** exponent) for value in there]
        if max(bins) - min(bins) < most_bins:
            counts = Counter(bins)
            return exponent, min(bins), [counts[j] for j in range(min(bins), max(bins) + 1)]
        exponent += 1


def octaves(values: Sequence[Any], lowest: int) -> tuple[int, dict[int, int], dict[int, int]]:
    """Counts at zero, and by floor(log2 |value|) above and below zero."""
    there = [Fraction(value) for value in finite(values)]
    sides: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for value in there:
        if value:
            octave = lowest
            while Fraction(2) ** (octave + 1) <= abs(value):
                octave += 1
            sides[value < 0][octave] += 1
    return sum(value == 0 for value in there), dict(sides[0]), dict(sides[1])


def most_frequent(values: Sequence[Any], most: int) -> list[tuple[Any, int]]:
    """The most frequent values, then the smallest."""
    counts = Counter(value for value in values if value is not None)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


# ---------------------------------------------------------------- validation


def missing(value: Any) -> bool:
    """Null or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def breaking(kind: str, feature: str, parameters: Mapping[str, Any], rows: Sequence[Row], now_us: int) -> list[bool]:
    """Which rows break a rule that is neither `unique` nor `expression`."""
    values = [row.get(feature) for row in rows]
    if kind == "range":
        least, most = parameters.get("least", -math.inf), parameters.get("most", math.inf)
        return [not missing(value) and not least <= value <= most for value in values]
    if kind == "not_null":
        return [missing(value) for value in values]
    if kind == "null_share":
        share = Fraction(sum(map(missing, values)), len(values)) if values else 0
        return [missing(value) and share > parameters["most"] for value in values]
    if kind == "one_of":
        return [not missing(value) and value not in parameters["values"] for value in values]
    newest = max((row["event_time"] for row in rows), default=now_us)
    return [now_us - newest > parameters["most_seconds"] * 1_000_000] * len(rows)


def repeated(keys: Sequence[Any], aside: Sequence[bool], known: Sequence[bool]) -> list[bool]:
    """Which of the rows that are not set aside have the key of an earlier one, or one that is known."""
    seen: set[Any] = set()
    found = []
    for key, out, held in zip(keys, aside, known, strict=True):
        found.append(not out and (held or key in seen))
        if not out:
            seen.add(key)
    return found


# --------------------------------------------------------------------- drift


def psi(reference: Mapping[Any, int], live: Mapping[Any, int]) -> float:
    """The population stability index of two counts by bin."""
    total = 0.0
    for key in {*reference, *live}:
        if reference.get(key, 0) + live.get(key, 0):
            q = max(reference.get(key, 0), 0.5) / sum(reference.values())
            p = max(live.get(key, 0), 0.5) / sum(live.values())
            total += (p - q) * math.log(p / q)
    return total


def jensen_shannon(reference: Mapping[Any, int], live: Mapping[Any, int]) -> float:
    """The root of the Jensen-Shannon divergence in bits."""
    total = 0.0
    for key in {*reference, *live}:
        q = reference.get(key, 0) / sum(reference.values())
        p = live.get(key, 0) / sum(live.values())
        total += sum(one * math.log2(2 * one / (p + q)) / 2 for one in (p, q) if one)
    return math.sqrt(max(total, 0.0))


def chi_square(reference: Mapping[Any, int], live: Mapping[Any, int]) -> tuple[float, int]:
    """Pearson's statistic, and degrees of freedom."""
    n, m = sum(reference.values()), sum(live.values())
    total, keys = 0.0, [key for key in {*reference, *live} if reference.get(key, 0) + live.get(key, 0)]
    for key in keys:
        for counts, size in ((reference, n), (live, m)):
            expected = (reference.get(key, 0) + live.get(key, 0)) * size / (n + m)
            total += (counts.get(key, 0) - expected) ** 2 / expected
    return total, len(keys) - 1


def share_up_to(values: Sequence[float], value: float) -> float:
    """The distribution function."""
    return sum(one <= value for one in values) / len(values)


def kolmogorov_smirnov(reference: Sequence[float], live: Sequence[float]) -> float:
    """The greatest distance of the distribution functions at any value."""
    return max(abs(share_up_to(reference, value) - share_up_to(live, value)) for value in [*reference, *live])


def wasserstein(reference: Sequence[float], live: Sequence[float]) -> float:
    """The area between the distribution functions."""
    both = sorted([*reference, *live])
    return sum(abs(share_up_to(reference, low) - share_up_to(live, low)) * (high - low) for low, high in pairwise(both))


def number_bins(values: Sequence[Any], reference: Sequence[Any], live: Sequence[Any]) -> Counter[Any]:
    """Counts by bin (each value, or tenths of the reference), missing values in one of their own."""
    ordered = sorted(value for value in reference if not missing(value))
    distinct = {value for value in [*reference, *live] if not missing(value)}
    if len(distinct) <= 20 or not ordered:
        return Counter("missing" if missing(value) else ("value", value) for value in values)
    edges = {ordered[len(ordered) * part // 10] for part in range(1, 10)}
    return Counter("missing" if missing(value) else sum(edge < value for edge in edges) for value in values)


def category_bins(values: Sequence[Any], reference: Sequence[Any], live: Sequence[Any], most: int) -> Counter[Any]:
    """Counts by category: the most frequent of both, all others, missing."""
    kept = {value for value, _ in most_frequent([*reference, *live], most)}
    return Counter("missing" if value is None else ("kept", value) if value in kept else "other" for value in values)


# ---------------------------------------------------------------------- bias


def label_counts(
    rows: Sequence[Row], label: str, positive: Any, attributes: Sequence[str], chosen: Sequence[Any]
) -> tuple[int, int, int]:
    """(rows, positives, negatives) of the slice in which the attributes have the chosen values."""
    inside = [row for row in rows if all(row[name] == value for name, value in zip(attributes, chosen, strict=True))]
    labelled = [row[label] for row in inside if not missing(row[label])]
    positives = sum(value == positive for value in labelled)
    return len(inside), positives, len(labelled) - positives
