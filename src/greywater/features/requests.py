"""Names of window features that carry their own window and filter, read into what the engine is asked to compute."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal, TypeVar, get_args

from greywater.errors import UsageError
from greywater.features.window_labels import window_label
from greywater.vocab import CHANNELS, MAX_AMOUNT

__all__ = [
    "LONGEST_WINDOW",
    "PAYMENT_TYPES",
    "STATISTICS",
    "FeatureRequest",
    "canonical_name",
    "is_request",
    "parse_request",
]

Role = Literal["sender", "receiver"]
Direction = Literal["out", "in"]
Statistic = Literal["count", "sum", "mean", "min", "max", "counterparties"]
Word = TypeVar("Word", bound=str)

ROLES: Final[tuple[Role, ...]] = get_args(Role)
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
#: Statistics that can be asked for with a window and a filter of one's own.
STATISTICS: Final[tuple[Statistic, ...]] = get_args(Statistic)
#: Types of payments that a filter can name, and when a payment is of each.
PAYMENT_TYPES: Final[dict[str, str]] = {
    "cross_bank": "sender and receiver bank with different banks",
    "currency_change": "the currencies paid and received differ",
    "round": "the amount paid is a multiple of 1,000 of the currency's major unit",
    "night": "paid from 22:00 to before 6:00 in the set time zone; no payment of day-stamped data is",
    "weekend": "paid on Saturday or Sunday in the set time zone",
}
#: Longest window in seconds.
LONGEST_WINDOW: Final = 366 * 86_400
_units: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_name: Final = re.compile(
    r"(?P<role>[A-Za-z_]+)\.(?P<direction>[A-Za-z_]+)\.(?P<statistic>[A-Za-z_]+)\.(?P<window>[0-9A-Za-z]+)"
    r"(?:\[(?P<filter>[^\[\]]*)\])?"
)
_amount: Final = re.compile(r"(?P<low>[0-9]+(?:\.[0-9]+)?)?\s*\.\.\s*(?P<high>[0-9]+(?:\.[0-9]+)?)?")
_mend: Final = "write sender.out.count.48h[amount 8500..9999, channel cash]"


@dataclass(frozen=True)
class FeatureRequest:
    """A statistic of what an account sent or received in a window, of the payments that a filter lets through.

    The window is (t - window, t] of the payment's event time; the payment itself counts where it is one of the role's
    own and passes the filter. Counts are int64, all else is float64; where no
    payment passed, counts and sums are 0 and the others NaN.

    Parameters
    ----------
    role : {"sender", "receiver"}
        Party of the payment whose payments count.
    direction : {"out", "in"}
        What it sent, or what it received.
    statistic : {"count", "sum", "mean", "min", "max", "counterparties"}
        Sums and the like are of amounts in minor units of the base currency; counterparties are different accounts.
    window : int
        Seconds, 1 to 366 days.
    amount_from, amount_to : Decimal, optional
        Least and largest amount that passes, both included, in major units of the base currency.
    channel : str, optional
        One of `vocab.CHANNELS`.
    type : str, optional
        One of PAYMENT_TYPES.

    Examples
    --------
    >>> request = parse_request("sender.out.count.48h[amount 8500..9999]")
    >>> request.window, request.name, request.minor_range()
    (172800, 'sender.out.count.2d[amount 8500..9999]', (850000, 999900))
    """

    role: Role
    direction: Direction
    statistic: Statistic
    window: int
    amount_from: Decimal | None = None
    amount_to: Decimal | None = None
    channel: str | None = None
    type: str | None = None

    @property
    def filtered(self) -> bool:
        """True where not every payment of the window counts."""
        return bool(self.filter)

    @property
    def filter(self) -> str:
        """The text between the brackets; empty where there is none."""
        parts = []
        if self.amount_from is not None or self.amount_to is not None:
            parts.append(f"amount {_plain(self.amount_from)}..{_plain(self.amount_to)}")
        if self.channel is not None:
            parts.append(f"channel {self.channel}")
        if self.type is not None:
            parts.append(f"type {self.type}")
        return ", ".join(parts)

    @property
    def name(self) -> str:
        """The one way to write it: `parse_request(request.name) == request`."""
        name = f"{self.role}.{self.direction}.{self.statistic}.{window_label(self.window)}"
        return f"{name}[{self.filter}]" if self.filtered else name

    def minor_range(self, exponent: int = 2) -> tuple[int, int]:
        """Least and largest amount that passes, both included, in minor units of a currency with `exponent` decimals.

        0 and `vocab.MAX_AMOUNT` where a side is open. A range between two minor units passes nothing.
        """
        scale = Decimal(10) ** exponent
        low = 0 if self.amount_from is None else int((self.amount_from * scale).to_integral_value(ROUND_CEILING))
        high = MAX_AMOUNT if self.amount_to is None else int((self.amount_to * scale).to_integral_value(ROUND_FLOOR))
        return low, min(high, MAX_AMOUNT)


def parse_request(name: str) -> FeatureRequest:
    """The request that a feature name makes.

    Parameters
    ----------
    name : str
        `{role}.{direction}.{statistic}.{window}` and, in square brackets, what the payments must be, each at most once,
        separated by commas: `amount LOW..HIGH` (either side may be left open), `channel NAME`, `type NAME`. The window
        is a whole number with s, m, h or d.

    Raises
    ------
    UsageError
        Naming what of the name cannot be used.

    Examples
    --------
    >>> parse_request("receiver.in.counterparties.24h[channel cash,amount ..9999.99]").name
    'receiver.in.counterparties.1d[amount ..9999.99, channel cash]'
    """
    match = _name.fullmatch(name.strip())
    if match is None:
        raise UsageError("the name is not that of a window feature", where=_cut(name), mend=_mend)
    role = _one_of(match["role"], ROLES, "party", name)
    direction = _one_of(match["direction"], DIRECTIONS, "direction", name)
    statistic = _one_of(match["statistic"], STATISTICS, "statistic", name)
    window = _window(match["window"], name)
    found: dict[str, str] = {}
    if match["filter"] is not None:
        for part in match["filter"].split(","):
            key, _, value = part.strip().partition(" ")
            _one_of(key, ("amount", "channel", "type"), "filter", name)
            if key in found:
                raise UsageError(f"the filter names {key} twice", where=_cut(name), mend="name it once")
            found[key] = value.strip()
    low, high = _range(found["amount"], name) if "amount" in found else (None, None)
    return FeatureRequest(
        role=role,
        direction=direction,
        statistic=statistic,
        window=window,
        amount_from=low,
        amount_to=high,
        channel=_one_of(found["channel"], CHANNELS, "channel", name) if "channel" in found else None,
        type=_one_of(found["type"], tuple(PAYMENT_TYPES), "type of payment", name) if "type" in found else None,
    )


def canonical_name(name: str) -> str:
    """The one way to write a feature name: that of its request, or the name as it is where it makes none.

    Examples
    --------
    >>> canonical_name("sender.out.count.24h"), canonical_name("payment.amount")
    ('sender.out.count.1d', 'payment.amount')
    """
    try:
        return parse_request(name).name
    except UsageError:
        return name


def is_request(name: str) -> bool:
    """Whether a name can be read as a request.

    Examples
    --------
    >>> is_request("sender.out.count.24h"), is_request("payment.amount")
    (True, False)
    """
    try:
        parse_request(name)
    except UsageError:
        return False
    return True


def _one_of(found: str, known: tuple[Word, ...], what: str, name: str) -> Word:
    for word in known:
        if word == found:
            return word
    close = difflib.get_close_matches(found, known, 1)
    mend = f"perhaps {close[0]!r} is meant; there are " if close else "there are "
    raise UsageError(f"there is no {what} {_cut(found)!r}", where=_cut(name), mend=mend + ", ".join(known))


def _window(text: str, name: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([smhd])", text)
    seconds = int(match[1]) * _units[match[2]] if match else 0
    if not 1 <= seconds <= LONGEST_WINDOW:
        raise UsageError(
            f"{_cut(text)!r} is no window", where=_cut(name), mend="write 90s, 30m, 48h or 7d, at most 366d"
        )
    return seconds


def _range(text: str, name: str) -> tuple[Decimal | None, Decimal | None]:
    match = _amount.fullmatch(text)
    if match is None or (match["low"] is None and match["high"] is None) or len(text) > 60:
        raise UsageError(
            f"{_cut(text)!r} is no range of amounts", where=_cut(name), mend="write amount 8500..9999, 8500.. or ..9999"
        )
    low, high = (None if side is None else Decimal(side) for side in (match["low"], match["high"]))
    if low is not None and high is not None and low > high:
        raise UsageError(f"the range {text!r} begins above its end", where=_cut(name), mend="write the lower one first")
    return low, high


def _plain(amount: Decimal | None) -> str:
    """Digits without an exponent and without zeros at the end of the fraction; empty for None."""
    if amount is None:
        return ""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else str(int(amount))


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
