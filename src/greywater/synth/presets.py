"""The sizes of made-up worlds: the published ones, and any other in their proportions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from greywater.errors import UsageError

__all__ = ["ATTEMPTS", "DAY_SECONDS", "PRESETS", "WorldPlan", "world_plan"]

DAY_SECONDS: Final = 86_400
#: Least and most of each: files number so many accounts, and dates go so far.
_BOUNDS: Final = {
    "payments": (2_000, 10_000_000_000),
    "accounts": (500, 250_000_000),
    "days": (1, 36_500),
}
_FIRST_DAY: Final = int(datetime(2022, 9, 1, tzinfo=UTC).timestamp())

#: Laundering attempts of the published world of many launderers, by typology.
ATTEMPTS: Final = {
    "fan-out": 48,
    "fan-in": 40,
    "gather-scatter": 51,
    "scatter-gather": 44,
    "cycle": 54,
    "random": 41,
    "bipartite": 49,
    "stack": 43,
}
#: The same of the published world of few launderers.
_FEW_ATTEMPTS: Final = {
    "fan-out": 19,
    "fan-in": 12,
    "gather-scatter": 12,
    "scatter-gather": 13,
    "cycle": 12,
    "random": 15,
    "bipartite": 16,
    "stack": 18,
}


@dataclass(frozen=True)
class WorldPlan:
    """How large a world is to be.

    Parameters
    ----------
    name : str
        Of the files: `<name>_Trans.csv`.
    accounts, payments : int
        Exactly so many; of the payments `laundering` are laundering.
    days : int
        Everyday life lasts from `start` so long; laundering that began may end some days later.
    laundering : int
        Laundering payments.
    attempts : dict of str to int
        Laundering attempts by typology.
    seed : int
        Another seed, another world.
    start : int
        First midnight, seconds since 1970.
    """

    name: str
    accounts: int
    payments: int
    laundering: int
    days: int = 10
    attempts: dict[str, int] = field(default_factory=lambda: dict(ATTEMPTS))
    seed: int = 7
    start: int = _FIRST_DAY

    @property
    def end(self) -> int:
        """Last midnight of everyday life, seconds since 1970."""
        return self.start + self.days * DAY_SECONDS


PRESETS: Final = {
    "hi-small": WorldPlan("HI-Small", accounts=515_088, payments=5_078_345, laundering=5_177),
    "li-small": WorldPlan("LI-Small", accounts=705_907, payments=6_924_049, laundering=3_565, attempts=_FEW_ATTEMPTS),
}


def world_plan(
    preset: str = "hi-small",
    *,
    payments: int | None = None,
    accounts: int | None = None,
    days: int | None = None,
    seed: int = 7,
) -> WorldPlan:
    """A published size, or another in its proportions.

    Parameters
    ----------
    preset : {"hi-small", "li-small"}
        Whose proportions.
    payments, accounts, days : int, optional
        Sizes of one's own. Accounts follow payments where only these are given; laundering and its attempts do always.
    seed : int
        Another seed, another world.

    Returns
    -------
    WorldPlan
        What the world is to be.

    Raises
    ------
    UsageError
        No such preset, or the world would be too small to live in, or too large to be numbered.

    Examples
    --------
    >>> plan = world_plan("hi-small", payments=507_834)
    >>> plan.accounts, plan.laundering, plan.attempts["cycle"]
    (51509, 518, 5)
    """
    if preset not in PRESETS:
        raise UsageError(f"no preset is called {preset}", where="preset", mend=f"choose one of {', '.join(PRESETS)}")
    published = PRESETS[preset]
    for name, value in (("payments", payments), ("accounts", accounts), ("days", days)):
        _check(name, value)
    if payments is None:
        payments = published.payments
        if accounts is not None:
            payments = round(published.payments * accounts / published.accounts)
    share = payments / published.payments
    if accounts is None:
        accounts = max(_BOUNDS["accounts"][0], round(published.accounts * share))
        _check("accounts", accounts)
    return replace(
        published,
        payments=payments,
        accounts=accounts,
        days=days if days is not None else published.days,
        laundering=max(8, round(published.laundering * share)),
        attempts={name: max(1, round(count * share)) for name, count in published.attempts.items()},
        seed=seed,
    )


def _check(name: str, value: int | None) -> None:
    """Refuse a size outside of its bounds."""
    least, most = _BOUNDS[name]
    if value is not None and value < least:
        raise UsageError(f"a world needs at least {least} {name}, not {value}", where=name, mend=f"give {least}")
    if value is not None and value > most:
        found = f"a world has at most {most:,} {name}, not {value:,}"
        raise UsageError(found, where=name, mend=f"give {most} or fewer {name}")
