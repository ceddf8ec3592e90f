"""One sentence a theme: what a payment's feature row says about a party, in words with values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from greywater.desk import wording as say

__all__ = ["WRITERS", "Facts", "Payment", "Theme"]

Role = Literal["sender", "receiver"]
DAY: Final = 86_400
#: A ratio to the usual is worth saying from here on.
TELLING: Final = 1.5


@dataclass(frozen=True)
class Payment:
    """The payment that raised an alert, as recorded.

    Amounts are in minor units of their currency; `time_us` is microseconds since 1970 (UTC).
    """

    tx_id: str
    seq: int
    time_us: int
    sender: str
    receiver: str
    amount: int
    currency: str
    received_amount: int
    received_currency: str
    channel: str = "other"
    base_amount: int | None = None


@dataclass(frozen=True)
class Theme:
    """What several correlated columns are about: one theme, one sentence.

    `name` is the kind of sentence; `role` and `direction` say whose payments; `window` in seconds is the
    one whose columns push hardest, None where the theme has none; `sizes` is True where the single amounts
    push, not only their number and total.
    """

    name: str
    role: Role | None = None
    direction: str = ""
    label: str = ""
    window: int | None = None
    sizes: bool = False


@dataclass(frozen=True)
class Facts:
    """One feature row with what is needed to word it.

    `values` by feature name (NaN = not defined); `side` is the entity's place in the payment;
    `base_currency` that of the windows; `day_windows` the windows over whole UTC days, in days; `windows`
    the label and the seconds of every window.
    """

    values: Mapping[str, float]
    payment: Payment
    side: Role
    base_currency: str
    day_windows: tuple[int, ...] = (90, 365)
    windows: tuple[tuple[str, int], ...] = ()

    def value(self, name: str) -> float:
        """Read a value, NaN where there is none."""
        return self.values.get(name, math.nan)

    def money(self, minor: float) -> str:
        """Write an amount of the base currency."""
        return say.money(minor, self.base_currency)

    def whole_days(self, window: int) -> bool:
        """Whether a window is counted by whole UTC days."""
        return window % DAY == 0 and window // DAY in self.day_windows

    def within(self, window: int) -> str:
        """Write a window with its preposition."""
        return say.within(window, whole_days=self.whole_days(window))

    def subject(self, role: Role) -> str:
        """Name the party where it is not the entity itself, with a blank behind."""
        if role == self.side:
            return ""
        return f"the payee {self.payment.receiver} " if role == "receiver" else f"the sender {self.payment.sender} "

    @property
    def other(self) -> str:
        """The other party of the payment, seen from the entity."""
        return self.payment.receiver if self.side == "sender" else self.payment.sender


def _known(value: float) -> bool:
    return math.isfinite(value)


def _flow(facts: Facts, theme: Theme) -> str | None:
    """sent 14 payments to 14 new payees in 24 h, 12,345.60 USD in all, 6.2 times the usual amount."""
    if theme.role is None or theme.window is None:
        return None
    stem, window = f"{theme.role}.{theme.direction}", theme.window
    number, total = facts.value(f"{stem}.count.{theme.label}"), facts.value(f"{stem}.sum.{theme.label}")
    if not (_known(number) or _known(total) or _known(facts.value(f"{stem}.counterparties.{theme.label}"))):
        return None
    verb = "sent" if theme.direction == "out" else "received"
    who, within = facts.subject(theme.role), facts.within(window)
    if number == 0:
        return f"{who}{verb} nothing {within}"
    text = f"{who}{verb} {say.count(number, 'payment') if _known(number) else 'payments'}"
    text += (_range(facts, theme) if theme.sizes else "") + f"{_parties(facts, theme)} {within}"
    if _known(total):
        text += f", {facts.money(total)}" + (" in all" if number != 1 else "")
        ratio = _to_usual(facts, theme, total)
        if ratio >= TELLING:
            text += f", {say.times(ratio)} the usual amount"
    return text


def _range(facts: Facts, theme: Theme) -> str:
    """of 100.00–9,500.00 USD."""
    stem = f"{theme.role}.{theme.direction}"
    least, most = (facts.value(f"{stem}.{name}.{theme.label}") for name in ("min", "max"))
    if not (_known(least) and _known(most)) or facts.value(f"{stem}.count.{theme.label}") == 1:
        return ""
    if least == most:
        return f" of {facts.money(most)} each"
    return f" of {facts.money(least).split(' ')[0]}–{facts.money(most)}"


def _parties(facts: Facts, theme: Theme) -> str:
    stem = f"{theme.role}.{theme.direction}"
    parties = facts.value(f"{stem}.counterparties.{theme.label}")
    new = facts.value(f"{stem}.new_counterparties.{theme.label}")
    word, preposition = ("payee", "to") if theme.direction == "out" else ("sender", "from")
    if not _known(parties) or parties < 1:
        return ""
    # Over months everybody was new once: it says nothing there.
    if theme.window is None or facts.whole_days(theme.window):
        return f" {preposition} {say.count(parties, word)}"
    if _known(new) and new >= parties:
        return f" {preposition} {say.count(parties, f'new {word}')}"
    tail = f", {round(new):,} of them new," if _known(new) and new > 0 else _met_again(facts, theme)
    return f" {preposition} {say.count(parties, word)}{tail}"


def _met_again(facts: Facts, theme: Theme) -> str:
    """, 3 of them not in the 7 days before,: where none of them is new for ever."""
    again = facts.value(f"{theme.role}.{theme.direction}.fan_new.{theme.label}")
    if theme.window is None or not again > 0:
        return ""
    return f", {round(again):,} of them not in the {say.window_words(theme.window)} before,"


def _to_usual(facts: Facts, theme: Theme, total: float) -> float:
    """How many times the account's own average per window of this length before it; NaN where that is not known."""
    window = theme.window
    if window is None or facts.whole_days(window):
        return math.nan
    stem = f"{theme.role}.{theme.direction}.sum."
    age = facts.value(f"{theme.role}.age")
    best = math.nan
    for label, longer in facts.windows:
        value = facts.value(stem + label)
        if longer < 4 * window or not _known(value):
            continue
        seen = min(longer, age) if _known(age) else longer
        windows_before = (seen - window) / window
        earlier = value - total
        if windows_before >= 2 and earlier > 0 and (not _known(best) or longer <= 30 * DAY):
            best = total / (earlier / windows_before)
    return best


def _amount(facts: Facts, theme: Theme) -> str | None:
    """this payment of 9,500.00 USD is 6.2 times what it usually sends (mean of the 30 days before)."""
    payment = facts.payment
    text = f"this payment of {say.money(payment.amount, payment.currency)}"
    role = theme.role or facts.side
    stem = "sender.out" if role == "sender" else "receiver.in"
    verb = "sends" if role == "sender" else "receives"
    who = facts.subject(role).strip() or "it"
    for label, window in facts.windows:
        before = f"the {window // DAY} days before" if window % DAY == 0 else f"the {window // 3_600} h before"
        to_mean, to_max = facts.value(f"{stem}.amount_to_mean.{label}"), facts.value(f"{stem}.amount_to_max.{label}")
        if _known(to_mean) and to_mean >= TELLING:
            largest = ", and the largest" if _known(to_max) and to_max > 1 else ""
            return f"{text} is {say.times(to_mean)} what {who} usually {verb} (mean of {before}){largest}"
        if _known(to_max) and to_max > 1:
            return f"{text} is the largest {who} {_past(verb)} in {before}"
        if _known(to_mean) and to_mean <= 0.5:
            return f"{text} is only {say.times(to_mean)} what {who} usually {verb} (mean of {before})"
    return f"this payment is of {say.money(payment.amount, payment.currency)}" + (
        ", a round amount" if _is_round(payment.amount) else ""
    )


def _is_round(amount: int) -> bool:
    """Whether at most two digits of at least four are not zero, as in 9,500.00."""
    digits = str(amount)
    return len(digits) >= 4 and not digits[2:].strip("0")


def _past(verb: str) -> str:
    return "sent" if verb == "sends" else "received"


def _tempo(facts: Facts, theme: Theme) -> str | None:
    """sent its last payment 40 s before this one."""
    if theme.role is None:
        return None
    gap = facts.value(f"{theme.role}.{theme.direction}.since_last")
    verb = "sent" if theme.direction == "out" else "received"
    own = (theme.role, theme.direction) in (("sender", "out"), ("receiver", "in"))
    if not _known(gap):
        return f"{facts.subject(theme.role)}had never {verb} a payment before"
    last = "the payment before this one" if own else "a payment"
    how = f"{say.duration(gap)} earlier" if gap > 0 else "at the same time"
    return f"{facts.subject(theme.role)}{verb} {last} {how}"


def _history(facts: Facts, theme: Theme) -> str | None:
    """was first seen 3 days before this payment, with 4 payments sent and none received since."""
    if theme.role is None:
        return None
    age = facts.value(f"{theme.role}.age")
    who = facts.subject(theme.role)
    sent, received = (facts.value(f"{theme.role}.{way}.lifetime_count") for way in ("out", "in"))
    if (not _known(age) and not _known(sent) and not _known(received)) or (_known(age) and age < 0):
        return f"{who}had no payment before this one"
    if sent == 0 and received == 0:
        return f"{who}had no payment before this one"
    parts = []
    if _known(sent) or f"{theme.role}.out.lifetime_count" in facts.values:
        parts.append(f"{say.count(sent if _known(sent) else 0, 'payment')} sent")
    if _known(received) or f"{theme.role}.in.lifetime_count" in facts.values:
        parts.append(f"{say.count(received if _known(received) else 0, 'payment')} received")
    seen = f"was first seen {say.duration(age)} before" if _known(age) and age > 0 else "was first seen just now"
    return f"{who}{seen}" + (f", with {' and '.join(parts)} until this one" if parts else "")


def _self(facts: Facts, theme: Theme) -> str | None:
    """paid itself 5 times in 7 days, 5,000.00 USD in all."""
    if theme.role is None or theme.window is None:
        return None
    number = facts.value(f"{theme.role}.self.count.{theme.label}")
    total = facts.value(f"{theme.role}.self.sum.{theme.label}")
    if number == 0 or (not _known(number) and not total > 0):
        return f"{facts.subject(theme.role)}made no payment to itself {facts.within(theme.window)}"
    text = f"{facts.subject(theme.role)}paid itself"
    text += f" {say.count(number, 'time')}" if _known(number) else ""
    return f"{text} {facts.within(theme.window)}" + (f", {facts.money(total)} in all" if _known(total) else "")


def _pass_through(facts: Facts, theme: Theme) -> str | None:
    """passes on 92 % of the 10,000.00 USD that came in during the 24 h before."""
    ratio = facts.value(f"sender.pass_through.{theme.label}")
    window = say.window_words(theme.window or DAY)
    who = facts.subject("sender")
    if not _known(ratio):
        return f"{who}had received nothing in the {window} before this payment"
    came = facts.value(f"sender.in.sum.{theme.label}")
    came_in = f"the {facts.money(came)} that came in" if _known(came) and came > 0 else "what came in"
    if ratio > 1.005:
        return f"{who}sends with this payment {say.times(ratio)} {came_in} during the {window} before"
    return f"{who}passes on with this payment {say.share(ratio)} of {came_in} during the {window} before"


def _pair(facts: Facts, _: Theme) -> str | None:
    """first payment to this payee, B2, who had paid back 3 times before."""
    before = facts.value("pair.times_before")
    first = facts.value("pair.first") == 1 or before == 0
    gap = facts.value("pair.since_last")
    back = facts.value("pair.reverse_times_before")
    sending = facts.side == "sender"
    party = f"this {'payee' if sending else 'sender'}, {facts.other}"
    if first:
        text = f"first payment {'to' if sending else 'from'} {party}"
    else:
        often = say.count(before, "time") if _known(before) and before > 0 else ""
        last = f", {say.duration(gap)} after the last" if _known(gap) and gap > 0 else ""
        text = f"{'paid' if sending else 'was paid by'} {party}, {often or 'already'} before{last}"
    if _known(back) and back > 0:
        text += f"; money went the other way {say.count(back, 'time')} before"
    elif facts.value("pair.reciprocal") == 1:
        text += "; money went the other way before"
    if facts.value("pair.outside_community") == 1:
        text += f"; {'the payee' if sending else 'this account'} lies outside the circle that the sender deals with"
    return text


def _how(facts: Facts, _: Theme) -> str | None:
    """paid by wire in EUR, received in USD, between two banks."""
    payment = facts.payment
    text = "paid" if payment.channel == "other" else f"paid by {payment.channel.replace('_', ' ')}"
    if payment.currency != payment.received_currency:
        text += f" in {payment.currency}, received in {payment.received_currency}"
    elif payment.currency not in ("", say.NO_CURRENCY):
        text += f" in {payment.currency}"
    kept = facts.value("payment.received_to_paid")
    if _known(kept) and kept < 0.9995:
        text += f", {say.share(kept)} of it arrived"
    crossing = facts.value("payment.cross_bank")
    if _known(crossing):
        text += ", between two banks" if crossing == 1 else ", inside one bank"
    return text if text != "paid" else None


def _when(facts: Facts, _: Theme) -> str | None:
    """made on a Sunday between 03:00 and 04:00, on a public holiday."""
    weekday, hour = facts.value("calendar.weekday"), facts.value("calendar.hour")
    parts = []
    if _known(weekday) and 0 <= weekday <= 6:
        parts.append(f"on a {say.WEEKDAYS[int(weekday)]}")
    elif facts.value("calendar.weekend") == 1:
        parts.append("at a weekend")
    if _known(hour) and 0 <= hour <= 23:
        parts.append(f"between {int(hour):02d}:00 and {int(hour) + 1:02d}:00")
    text = " ".join(parts)
    if facts.value("calendar.holiday") == 1:
        text += (", " if text else "on ") + "a public holiday"
    day = facts.value("calendar.month_day")
    if facts.value("calendar.month_end") == 1:
        text += f"{', ' if text else 'on '}the last day of the month"
    elif _known(day):
        text += f"{', ' if text else 'on '}day {int(day)} of the month"
    return f"made {text}" if text else None


def _late(facts: Facts, _: Theme) -> str | None:
    late = facts.value("payment.late") == 1
    return "recorded later than the allowed lateness" if late else "recorded in time"


def _suspicion(facts: Facts, theme: Theme) -> str | None:
    """known as a launderer itself; or: 0.42 of a known launderer's suspicion reaches it through payments."""
    value = facts.value(f"{theme.role}.suspicion")
    if theme.role is None or not _known(value):
        return None
    who = facts.subject(theme.role)
    if value >= 1:
        return f"{who}known as a launderer, or paid by those who are as one is"
    if value <= 0:
        return f"{who}not reached from any known launderer"
    return f"{who}reached by {value:.2g} of the suspicion that a known launderer has, through payments"


#: Theme name -> its sentence; each returns None where the row does not hold what the sentence needs.
WRITERS: Final[Mapping[str, Callable[[Facts, Theme], str | None]]] = {
    "flow": _flow,
    "amount": _amount,
    "tempo": _tempo,
    "history": _history,
    "self": _self,
    "pass_through": _pass_through,
    "pair": _pair,
    "how": _how,
    "when": _when,
    "late": _late,
    "suspicion": _suspicion,
}
