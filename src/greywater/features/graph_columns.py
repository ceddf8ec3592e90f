"""The columns of each graph pattern, declared in the order in which the kernels fill them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from greywater.features.feature import Feature
from greywater.features.windows import window_label

__all__ = ["PATTERN_NAMES", "pattern_columns"]

Entity = Literal["sender", "receiver", "pair", "payment"]
Columns = tuple[tuple[Feature, ...], tuple[Feature, ...]]

#: The two parties' lists in kernel order: role, direction.
LISTS: tuple[tuple[Entity, str], ...] = (("sender", "out"), ("sender", "in"), ("receiver", "out"), ("receiver", "in"))
#: Statistics of a list in kernel order, with their words.
STATISTICS = {
    "sum": "total",
    "mean": "mean",
    "min": "smallest",
    "max": "largest",
    "median": "median",
    "variance": "variance",
    "skewness": "skewness",
    "kurtosis": "excess kurtosis",
}
#: Sizes of a scatter-gather that are counted apart, with their words.
SIZES = {
    "size_2": "exactly 2",
    "size_3": "exactly 3",
    "size_4": "exactly 4",
    "size_5_6": "5 or 6",
    "size_7_10": "7 to 10",
    "size_11": "11 or more",
}
VARIANTS = {
    "any": "sources that reach the receiver through the sender and other middlemen, in any order of the payments",
    "ordered": "sources that reach the receiver through the sender and other middlemen, each paid before it pays",
    "first_leg": "sinks that the sender reaches through the receiver and other middlemen, in any order of the payments",
}
#: Laundering shapes that a pattern's own columns serve.
SERVES: dict[str, tuple[str, ...]] = {
    "fan": ("fan-out", "fan-in", "scatter-gather", "gather-scatter"),
    "fan_new": ("fan-out", "fan-in", "scatter-gather", "gather-scatter"),
    "statistics": ("fan-out", "fan-in", "scatter-gather", "gather-scatter"),
    "scatter_gather": ("scatter-gather",),
    "gather_scatter": ("gather-scatter",),
    "temporal_cycle": ("cycle",),
    "simple_cycle": ("cycle",),
    "chain": ("random", "stack"),
    "bipartite": ("bipartite", "stack"),
}
#: Names of the patterns; the position of one is its number in the kernels.
PATTERN_NAMES = tuple(SERVES)


def pattern_columns(pattern: str, windows: Sequence[int], max_length: int) -> Columns:
    """The int64 and the float64 columns of a pattern, each in the kernel's row order.

    Parameters
    ----------
    pattern : str
        One of PATTERN_NAMES.
    windows : sequence of int
        Seconds.
    max_length : int
        Payments of the longest cycle that is looked for.

    Examples
    --------
    >>> ints, floats = pattern_columns("chain", (3 * 86_400,), 10)
    >>> [feature.name for feature in ints + floats]
    ['chain.hops.3d', 'chain.truncated.3d', 'chain.duration.3d', 'chain.leak.3d', 'chain.lag.3d']
    """
    ints, floats = _MAKERS[pattern](windows, max_length)
    truncated = tuple(_truncated(pattern, window) for window in windows)
    return ints + truncated, floats


def _column(
    name: str,
    window: int,
    unit: str,
    description: str,
    *,
    pattern: str,
    entity: Entity = "payment",
    dtype: Literal["int64", "float64"] = "int64",
    typologies: tuple[str, ...] | None = None,
    **parameters: Any,
) -> Feature:
    """A column; the window's label follows its name and, unless the sentence has a place for it, its sentence."""
    label = window_label(window)
    if "{label}" not in description:
        description += " in the last {label}"
    return Feature(
        name=f"{name}.{label}",
        entity=entity,
        dtype=dtype,
        unit=unit,
        description=description.format(label=label),
        family="graph",
        typologies=SERVES[pattern] if typologies is None else typologies,
        parameters={"pattern": pattern, "window": window, "label": label, **parameters},
    )


def _truncated(pattern: str, window: int) -> Feature:
    words = pattern.replace("_", " ")
    return _column(
        f"{pattern}.truncated",
        window,
        "flag",
        f"1 where the cap cut the search for {words} in the last {{label}}; its values are those found so far",
        pattern=pattern,
        statistic="truncated",
    )


def _of_list(direction: str, *, out: Sequence[str], into: Sequence[str]) -> tuple[str, ...]:
    return tuple(out if direction == "out" else into)


def _fan(windows: Sequence[int], max_length: int) -> Columns:
    counted = {
        "degree": ("payments", "number of payments"),
        "fan": ("accounts", "number of different accounts"),
    }
    ints, floats = [], []
    for role, direction in LISTS:
        shapes = _of_list(
            direction,
            out=("fan-out", "scatter-gather", "gather-scatter"),
            into=("fan-in", "scatter-gather", "gather-scatter"),
        )
        given: dict[str, Any] = {"entity": role, "pattern": "fan", "typologies": shapes}
        given |= {"role": role, "direction": direction}
        for window in windows:
            for name, (unit, words) in counted.items():
                said = _verb(direction, name == "fan")
                text = f"{role}: {words} {said}"
                ints.append(_column(f"{role}.{direction}.{name}", window, unit, text, **given, statistic=name))
            text = f"{role}: different accounts {_verb(direction, True)}, divided by the payments,"
            name = "fan_ratio"
            floats.append(
                _column(f"{role}.{direction}.{name}", window, "ratio", text, dtype="float64", **given, statistic=name)
            )
    return tuple(ints), tuple(floats)


def _verb(direction: str, accounts: bool) -> str:
    if accounts:
        return "it paid" if direction == "out" else "that paid it"
    return "it sent" if direction == "out" else "it received"


def _fan_new(windows: Sequence[int], max_length: int) -> Columns:
    return tuple(
        _column(
            f"{role}.{direction}.fan_new",
            window,
            "accounts",
            f"{role}: accounts {_verb(direction, True)} in the last {{label}} and not in the {{label}} before",
            entity=role,
            pattern="fan_new",
            typologies=_of_list(direction, out=("fan-out", "scatter-gather"), into=("fan-in", "scatter-gather")),
            role=role,
            direction=direction,
            statistic="fan_new",
        )
        for role, direction in LISTS
        for window in windows
    ), ()


def _statistics(windows: Sequence[int], max_length: int) -> Columns:
    ints, floats = [], []
    for role, direction in LISTS:
        shapes = _of_list(
            direction,
            out=("fan-out", "scatter-gather", "gather-scatter"),
            into=("fan-in", "scatter-gather", "gather-scatter"),
        )
        given: dict[str, Any] = {"entity": role, "pattern": "statistics", "typologies": shapes}
        given |= {"role": role, "direction": direction}
        sent = _verb(direction, False)
        for window in windows:
            for value, words in (("amount", "known amounts of the payments"), ("gap", "gaps between the payments")):
                count_unit = "payments" if value == "amount" else "gaps"
                ints.append(
                    _column(
                        f"{role}.{direction}.{value}_count",
                        window,
                        count_unit,
                        f"{role}: number of {words} {sent}",
                        **given,
                        value=value,
                        statistic="count",
                    )
                )
                for name, adjective in STATISTICS.items():
                    floats.append(
                        _column(
                            f"{role}.{direction}.{value}_{name}",
                            window,
                            _unit(value, name),
                            f"{role}: {adjective} of the {words} {sent}",
                            dtype="float64",
                            **given,
                            value=value,
                            statistic=name,
                        )
                    )
    return tuple(ints), tuple(floats)


def _unit(value: str, statistic: str) -> str:
    if statistic in ("skewness", "kurtosis"):
        return "ratio"
    unit = "minor units" if value == "amount" else "seconds"
    return f"{unit} squared" if statistic == "variance" else unit


def _scatter_gather(windows: Sequence[int], max_length: int) -> Columns:
    ints = []
    for window in windows:
        for variant, words in VARIANTS.items():
            texts = {
                "pairs": ("pairs", f"number of {words}, at least 2 middlemen each,"),
                "largest": ("accounts", f"most middlemen of one of the {words},"),
            }
            for size, said in SIZES.items():
                texts[size] = ("pairs", f"number of {words}, with {said} middlemen,")
            for name, (unit, text) in texts.items():
                ints.append(
                    _column(
                        f"scatter_gather.{variant}.{name}",
                        window,
                        unit,
                        text,
                        pattern="scatter_gather",
                        variant=variant,
                        statistic=name,
                    )
                )
    return tuple(ints), ()


def _gather_scatter(windows: Sequence[int], max_length: int) -> Columns:
    words: dict[tuple[str, str], str] = {
        ("sender", "senders"): "different accounts that paid the sender before this payment",
        ("sender", "receivers"): "different accounts that the sender paid after it was first paid",
        ("receiver", "senders"): "different accounts that paid the receiver, this payment's sender included,",
        ("receiver", "receivers"): "different accounts that the receiver paid",
    }
    condition = " in the last {label}, 0 unless at least 2 paid in and at least 2 were paid"
    roles: tuple[Entity, Entity] = ("sender", "receiver")
    ints = tuple(
        _column(
            f"gather_scatter.{role}.{name}",
            window,
            "accounts",
            f"{role} as a hub: {words[role, name]}{condition}",
            entity=role,
            pattern="gather_scatter",
            role=role,
            statistic=name,
        )
        for window in windows
        for role in roles
        for name in ("senders", "receivers")
    )
    floats = tuple(
        _column(
            f"gather_scatter.{role}.kept",
            window,
            "ratio",
            f"{role} as a hub: share of the money gathered that was not scattered again",
            entity=role,
            dtype="float64",
            pattern="gather_scatter",
            role=role,
            statistic="kept",
        )
        for window in windows
        for role in roles
    )
    return ints, floats


def _temporal_cycle(windows: Sequence[int], max_length: int) -> Columns:
    ring = "rings in time order that this payment closes"
    ints, floats = [], []
    for window in windows:
        ints += [_length("temporal_cycle", window, length, ring) for length in range(2, max_length + 1)]
        ints.append(
            _column(
                "temporal_cycle.shortest",
                window,
                "payments",
                f"payments of the shortest of the {ring}, 0 where there is none,",
                pattern="temporal_cycle",
                statistic="shortest",
            )
        )
        for name, unit, words in (
            ("share", "ratio", "smallest amount on the way round, divided by the first, of the best"),
            ("duration", "seconds", "time from the first payment to this one of the best"),
        ):
            floats.append(
                _column(
                    f"temporal_cycle.{name}",
                    window,
                    unit,
                    f"{words} of the {ring}",
                    dtype="float64",
                    pattern="temporal_cycle",
                    statistic=name,
                )
            )
    return tuple(ints), tuple(floats)


def _length(pattern: str, window: int, length: int, words: str) -> Feature:
    text = f"number of {words}, {length} payments long,"
    return _column(
        f"{pattern}.length_{length}", window, "cycles", text, pattern=pattern, statistic="length", length=length
    )


def _simple_cycle(windows: Sequence[int], max_length: int) -> Columns:
    return tuple(
        _length("simple_cycle", window, length, "rings that this payment closes, whatever their order in time")
        for window in windows
        for length in range(2, max_length + 1)
    ), ()


def _chain(windows: Sequence[int], max_length: int) -> Columns:
    chain = "the longest chain that passes much the same amount on and ends in this payment"
    ints = tuple(
        _column("chain.hops", window, "payments", f"payments of {chain}", pattern="chain", statistic="hops")
        for window in windows
    )
    words = {
        "duration": ("seconds", f"time from the first payment to this one of {chain}"),
        "leak": ("ratio", f"share of the amount that was lost on the way along {chain}"),
        "lag": ("seconds", f"time from the payment before this one to this one on {chain}"),
    }
    floats = tuple(
        _column(f"chain.{name}", window, unit, text, dtype="float64", pattern="chain", statistic=name)
        for window in windows
        for name, (unit, text) in words.items()
    )
    return ints, floats


def _bipartite(windows: Sequence[int], max_length: int) -> Columns:
    text = "number of blocks of two payers and two payees, each payer having paid both, that this payment completes"
    return tuple(
        _column("bipartite.blocks", window, "blocks", text, pattern="bipartite", statistic="blocks")
        for window in windows
    ), ()


_MAKERS: dict[str, Callable[[Sequence[int], int], Columns]] = {
    "fan": _fan,
    "fan_new": _fan_new,
    "statistics": _statistics,
    "scatter_gather": _scatter_gather,
    "gather_scatter": _gather_scatter,
    "temporal_cycle": _temporal_cycle,
    "simple_cycle": _simple_cycle,
    "chain": _chain,
    "bipartite": _bipartite,
}
