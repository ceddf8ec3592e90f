"""One small worked example a graph pattern: who paid whom, when, how much, and what the last payment is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

__all__ = ["EXAMPLES", "Account", "Example", "Payment", "Told"]

HOUR: Final = 3_600
DAY: Final = 86_400
#: The day of most payments, and the one before.
DATES: Final = {"Mon": "2024-01-01", "Sun": "2023-12-31"}


@dataclass(frozen=True)
class Account:
    """An account of a picture: its letter, the middle of its circle in pixels, and the part it plays."""

    name: str
    x: int
    y: int
    part: str = ""
    side: Literal["above", "below"] = "below"


@dataclass(frozen=True)
class Payment:
    """A payment of a picture.

    Parameters
    ----------
    sender, receiver : str
        Letters of accounts.
    at : str
        Clock, `09:30`, or with the day, `Sun 09:30`.
    amount : int or None
        Minor units (cents); None where it is not known.
    bend : int
        Pixels by which the middle of the arrow leaves the straight line, positive to the right of its direction.
    label : float
        Where on the arrow its label stands, 0 at the sender to 1 at the receiver.
    counted : bool
        False where the pattern leaves it out; drawn dashed.
    """

    sender: str
    receiver: str
    at: str
    amount: int | None
    bend: int = 0
    label: float = 0.5
    counted: bool = True

    @property
    def moment(self) -> str:
        """Event time in ISO 8601, UTC.

        Examples
        --------
        >>> Payment("u", "v", "Sun 09:30", 100).moment
        '2023-12-31T09:30'
        """
        day, _, clock = self.at.rpartition(" ")
        return f"{DATES[day or 'Mon']}T{clock}"

    @property
    def minutes(self) -> int:
        """Minutes since Monday began; negative on Sunday."""
        since = datetime.fromisoformat(self.moment) - datetime.fromisoformat(DATES["Mon"])
        return round(since.total_seconds() / 60)


@dataclass(frozen=True)
class Told:
    """A column, its value for the last payment, and the value in words."""

    column: str
    value: float
    words: str


@dataclass(frozen=True)
class Example:
    """A pattern's worked example. The last payment, u -> v, is the one that is told.

    Parameters
    ----------
    pattern : str
        Name of the pattern in the plan.
    title, description : str
        What the picture shows: the heading, and the same for those who hear it.
    windows : tuple of int
        Seconds.
    height : int
        Pixels that the drawing itself takes.
    accounts : tuple of Account
        Empty where the payments are drawn along a line of time instead.
    payments : tuple of Payment
        In the order of recording.
    told : tuple of Told
        Some columns of the last payment.
    dashed : str
        Why dashed payments are not counted.
    """

    pattern: str
    title: str
    description: str
    windows: tuple[int, ...]
    height: int
    accounts: tuple[Account, ...]
    payments: tuple[Payment, ...]
    told: tuple[Told, ...]
    dashed: str = field(default="")


_FAN = Example(
    pattern="fan",
    title="Fan: u pays several accounts within a day",
    description="Account u, paid once by F, pays B twice, C once and then v, which E paid before. "
    "A payment from u to H, more than a day earlier, is outside the window.",
    windows=(HOUR, DAY),
    height=300,
    accounts=(
        Account("F", 60, 150, "payer of u"),
        Account("u", 270, 150, "sender", "above"),
        Account("H", 270, 266),
        Account("B", 500, 46),
        Account("C", 520, 150),
        Account("v", 500, 254, "receiver"),
        Account("E", 700, 254, "payer of v"),
    ),
    payments=(
        Payment("u", "H", "Sun 09:00", 60_000, counted=False),
        Payment("F", "u", "08:00", 150_000),
        Payment("u", "B", "09:00", 40_000, bend=-17, label=0.64),
        Payment("u", "C", "09:20", 30_000, label=0.58),
        Payment("u", "B", "09:40", 20_000, bend=9, label=0.46),
        Payment("E", "v", "09:50", 25_000),
        Payment("u", "v", "10:10", 50_000, label=0.55),
    ),
    told=(
        Told("sender.out.degree.1d", 4, "payments of u in a day, this one included"),
        Told("sender.out.fan.1d", 3, "different accounts: B counts once, H is too long ago"),
        Told("sender.out.fan_ratio.1d", 0.75, "3 of 4: B came twice"),
        Told("sender.out.fan.1h", 3, "after 09:10: C, B and v"),
        Told("receiver.in.fan.1d", 2, "E and u"),
    ),
    dashed="before the window",
)

_FAN_NEW = Example(
    pattern="fan_new",
    title="New counterparties: whom u did not pay the day before",
    description="On Sunday account u paid B and C. On Monday it pays B again, and for the first time D and v.",
    windows=(DAY,),
    height=230,
    accounts=(
        Account("C", 80, 46, "only the day before"),
        Account("u", 330, 115, "sender", "above"),
        Account("B", 80, 176, "both days"),
        Account("D", 610, 50, "new"),
        Account("v", 610, 175, "new, receiver"),
    ),
    payments=(
        Payment("u", "B", "Sun 09:00", 40_000, bend=-30, label=0.52),
        Payment("u", "C", "Sun 10:00", 30_000),
        Payment("u", "B", "11:00", 20_000, bend=4, label=0.5),
        Payment("u", "D", "11:30", 25_000),
        Payment("u", "v", "12:00", 50_000),
    ),
    told=(
        Told("sender.out.fan_new.1d", 2, "D and v; B was paid the day before as well"),
        Told("receiver.in.fan_new.1d", 1, "u had not paid v before"),
    ),
)

_STATISTICS = Example(
    pattern="statistics",
    title="Statistics: the amounts that u sends, and the time between them",
    description="Account u sends 100, 100, an unknown amount and 100, between 09:00 and 09:40, and at 10:10 it sends "
    "900 to v. The gaps are 10, 15, 15 and 30 minutes.",
    windows=(DAY,),
    height=236,
    accounts=(),
    payments=(
        Payment("u", "B", "09:00", 10_000),
        Payment("u", "C", "09:10", 10_000),
        Payment("u", "B", "09:25", None),
        Payment("u", "D", "09:40", 10_000),
        Payment("u", "v", "10:10", 90_000),
    ),
    told=(
        Told("sender.out.amount_count.1d", 4, "known amounts; one of five is not known"),
        Told("sender.out.amount_mean.1d", 30_000.0, "cents: 1,200.00 over 4"),
        Told("sender.out.amount_median.1d", 10_000.0, "cents: the usual payment"),
        Told("sender.out.amount_skewness.1d", 1.1547, "one amount far above the others"),
        Told("sender.out.gap_count.1d", 4, "between five payments"),
        Told("sender.out.gap_median.1d", 900.0, "seconds: a quarter of an hour"),
    ),
)

_SCATTER_GATHER = Example(
    pattern="scatter_gather",
    title="Scatter-gather: one source, several middlemen, one sink",
    description="Source s pays B, u, C and D within minutes. B, C and u pay v: u last, C before its own money came. "
    "D paid v only the day before.",
    windows=(6 * HOUR,),
    height=372,
    accounts=(
        Account("s", 60, 180, "source"),
        Account("B", 370, 40, "middleman"),
        Account("u", 370, 130, "middleman", "above"),
        Account("C", 370, 235, "middleman"),
        Account("D", 370, 335, ""),
        Account("v", 690, 180, "sink"),
    ),
    payments=(
        Payment("D", "v", "Sun 17:00", 70_000, label=0.46, counted=False),
        Payment("s", "B", "08:00", 90_000, label=0.52),
        Payment("C", "v", "08:02", 65_000, label=0.46),
        Payment("s", "u", "08:05", 80_000, label=0.56),
        Payment("s", "C", "08:10", 70_000, label=0.56),
        Payment("s", "D", "08:15", 60_000, label=0.54, counted=False),
        Payment("B", "v", "09:00", 89_000, label=0.46),
        Payment("u", "v", "09:30", 79_000, label=0.46),
    ),
    told=(
        Told("scatter_gather.any.pairs.6h", 1, "the pair of s and v"),
        Told("scatter_gather.any.largest.6h", 3, "its middlemen: B, C and u"),
        Told("scatter_gather.ordered.largest.6h", 2, "B and u; C paid v before s paid C"),
        Told("scatter_gather.any.size_3.6h", 1, "pairs with exactly three middlemen"),
    ),
    dashed="D paid v only the day before",
)

_FIRST_LEG = Example(
    pattern="scatter_gather",
    title="Scatter-gather, first leg: v had advanced the money",
    description="Source u pays B, which pays the sink w. Middleman v pays w at 09:10 and gets its money from u only at "
    "09:30: the payment that completes the shape is a first leg.",
    windows=(6 * HOUR,),
    height=220,
    accounts=(
        Account("u", 60, 110, "source"),
        Account("B", 370, 36, "middleman"),
        Account("v", 370, 166, "middleman"),
        Account("w", 690, 110, "sink"),
    ),
    payments=(
        Payment("u", "B", "08:00", 90_000),
        Payment("B", "w", "09:00", 89_000),
        Payment("v", "w", "09:10", 79_000),
        Payment("u", "v", "09:30", 80_000),
    ),
    told=(
        Told("scatter_gather.first_leg.pairs.6h", 1, "the pair of u and w"),
        Told("scatter_gather.first_leg.largest.6h", 2, "its middlemen: B and v"),
        Told("scatter_gather.any.pairs.6h", 0, "nobody paid u: it is no middleman"),
    ),
)

_GATHER_SCATTER = Example(
    pattern="gather_scatter",
    title="Gather-scatter: three pay u, then u pays two",
    description="A, B and C pay the hub u 1,000 together between 08:00 and 08:40. After that u pays D 450 and v 480. "
    "What it paid G before the first of them came in is not part of it.",
    windows=(6 * HOUR,),
    height=290,
    accounts=(
        Account("A", 60, 40, "sender"),
        Account("B", 60, 135, "sender"),
        Account("C", 60, 230, "sender"),
        Account("u", 370, 135, "hub", "above"),
        Account("G", 370, 256),
        Account("D", 680, 60, "receiver"),
        Account("v", 680, 215, "receiver"),
    ),
    payments=(
        Payment("u", "G", "07:00", 50_000, counted=False),
        Payment("A", "u", "08:00", 30_000, label=0.45),
        Payment("B", "u", "08:20", 30_000, label=0.42),
        Payment("C", "u", "08:40", 40_000, label=0.45),
        Payment("u", "D", "09:00", 45_000),
        Payment("u", "v", "09:30", 48_000),
    ),
    told=(
        Told("gather_scatter.sender.senders.6h", 3, "A, B and C paid u"),
        Told("gather_scatter.sender.receivers.6h", 2, "u paid D and v after 08:00"),
        Told("gather_scatter.sender.kept.6h", 0.07, "930 of 1,000 went on: 7 % stayed"),
        Told("gather_scatter.receiver.senders.6h", 0, "v paid nobody: it is no hub"),
    ),
    dashed="before the first payment in",
)

_TEMPORAL_CYCLE = Example(
    pattern="temporal_cycle",
    title="Temporal cycle: the money comes back to v, in the order of time",
    description="v pays B 1,000 at 09:00, B pays C 960 at 10:00, C pays u 940 at 11:00 and u pays v 920 at 12:00. "
    "An earlier payment from B to C makes no second ring. The way over D is no ring: D paid u before v paid D.",
    windows=(DAY,),
    height=292,
    accounts=(
        Account("v", 110, 36),
        Account("B", 600, 36),
        Account("C", 600, 250),
        Account("u", 110, 250),
        Account("D", 310, 143),
    ),
    payments=(
        Payment("v", "B", "09:00", 100_000),
        Payment("B", "C", "09:30", 30_000, bend=-48, label=0.6),
        Payment("B", "C", "10:00", 96_000, bend=14, label=0.4),
        Payment("C", "u", "11:00", 94_000, label=0.5),
        Payment("D", "u", "11:15", 50_000, counted=False),
        Payment("v", "D", "11:30", 50_000, counted=False),
        Payment("u", "v", "12:00", 92_000),
    ),
    told=(
        Told("temporal_cycle.length_4.1d", 1, "v, B, C, u: once, though B paid C twice"),
        Told("temporal_cycle.length_3.1d", 0, "v, D, u is not in the order of time"),
        Told("temporal_cycle.shortest.1d", 4, "payments"),
        Told("temporal_cycle.share.1d", 0.92, "920 of 1,000 came round"),
        Told("temporal_cycle.duration.1d", 10_800.0, "seconds from 09:00 to 12:00"),
    ),
    dashed="not in the order of time",
)

_SIMPLE_CYCLE = Example(
    pattern="simple_cycle",
    title="Simple cycle: rings through u and v, in any order of time",
    description="v paid u at 08:00, which with the payment from u to v makes a ring of two. v paid B and B had paid u "
    "before: a ring of three. v paid C, C paid B and B paid u: a ring of four.",
    windows=(DAY,),
    height=292,
    accounts=(
        Account("u", 170, 36),
        Account("v", 170, 250),
        Account("B", 430, 36),
        Account("C", 650, 250),
    ),
    payments=(
        Payment("v", "u", "08:00", 20_000, bend=-48, label=0.4),
        Payment("v", "C", "09:00", 70_000),
        Payment("C", "B", "09:30", 68_000),
        Payment("B", "u", "10:00", 66_000, label=0.45),
        Payment("v", "B", "11:00", 60_000, label=0.55),
        Payment("u", "v", "12:00", 65_000, label=0.4),
    ),
    told=(
        Told("simple_cycle.length_2.1d", 1, "v, u"),
        Told("simple_cycle.length_3.1d", 1, "v, B, u: B paid u an hour before it was paid"),
        Told("simple_cycle.length_4.1d", 1, "v, C, B, u"),
        Told("simple_cycle.length_5.1d", 0, "none longer"),
    ),
)

_CHAIN = Example(
    pattern="chain",
    title="Chain: much the same amount is passed on, hop by hop",
    description="A pays B 1,000, B pays C 950, C pays u 900 and u pays v 880, within three hours. What D paid u is far "
    "from what u pays on, and is no hop.",
    windows=(3 * DAY,),
    height=210,
    accounts=(
        Account("A", 50, 60),
        Account("B", 216, 60),
        Account("C", 382, 60),
        Account("u", 548, 60, "", "above"),
        Account("v", 714, 60),
        Account("D", 382, 170),
    ),
    payments=(
        Payment("A", "B", "08:00", 100_000),
        Payment("B", "C", "09:00", 95_000),
        Payment("C", "u", "10:30", 90_000),
        Payment("D", "u", "10:45", 30_000, counted=False),
        Payment("u", "v", "11:00", 88_000),
    ),
    told=(
        Told("chain.hops.3d", 4, "payments, this one included"),
        Told("chain.duration.3d", 10_800.0, "seconds from 08:00 to 11:00"),
        Told("chain.leak.3d", 0.12, "120 of 1,000 stayed on the way"),
        Told("chain.lag.3d", 1_800.0, "seconds that u held the money"),
    ),
    dashed="differs by more than 20 %",
)

_BIPARTITE = Example(
    pattern="bipartite",
    title="Bipartite: payers who pay the same payees",
    description="s paid v and d, and u paid d: with the payment from u to v, s and u have paid both v and d. "
    "q paid v and e, and u paid e: a second block.",
    windows=(6 * HOUR,),
    height=320,
    accounts=(
        Account("s", 110, 44, "payer"),
        Account("u", 110, 150, "payer"),
        Account("q", 110, 262, "payer"),
        Account("d", 640, 44, "payee"),
        Account("v", 640, 150, "payee"),
        Account("e", 640, 262, "payee"),
    ),
    payments=(
        Payment("s", "d", "08:00", 50_000, label=0.5),
        Payment("s", "v", "08:10", 40_000, label=0.28),
        Payment("q", "v", "08:20", 30_000, label=0.28),
        Payment("q", "e", "08:30", 20_000, label=0.5),
        Payment("u", "d", "09:00", 60_000, label=0.72),
        Payment("u", "e", "09:10", 25_000, label=0.72),
        Payment("u", "v", "09:30", 45_000, label=0.5),
    ),
    told=(Told("bipartite.blocks.6h", 2, "s with d, and q with e; q did not pay d, nor s pay e"),),
)

#: By the name of its picture: the pattern's, or the pattern's with a variant.
EXAMPLES: Final[dict[str, Example]] = {
    "fan": _FAN,
    "fan_new": _FAN_NEW,
    "statistics": _STATISTICS,
    "scatter_gather": _SCATTER_GATHER,
    "scatter_gather_first_leg": _FIRST_LEG,
    "gather_scatter": _GATHER_SCATTER,
    "temporal_cycle": _TEMPORAL_CYCLE,
    "simple_cycle": _SIMPLE_CYCLE,
    "chain": _CHAIN,
    "bipartite": _BIPARTITE,
}
