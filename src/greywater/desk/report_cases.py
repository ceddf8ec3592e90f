"""The alerts of a run as cases on the report's page: networks, levels, expected value an hour, and what may sleep."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from greywater.desk import wording as say
from greywater.desk.alerts import Alert
from greywater.desk.ranking import RankedAlert, Ranking
from greywater.desk.report_queue import LONGEST_WORD
from greywater.vocab import currency_exponent

__all__ = ["cases_table"]

#: Cases shown, and parties named of each.
MOST_CASES: Final = 100
MOST_PARTIES: Final = 3
_PLACES: Final = {
    "work": "to be worked", "over_budget": "over the budget", "sampled": "asleep, sampled", "hibernated": "asleep",
}  # fmt: skip


def cases_table(queue: Ranking | None, alerts: Sequence[Alert], base_currency: str) -> str:
    """Make the HTML of the cases; empty where there is none.

    Parameters
    ----------
    queue : Ranking, optional
    alerts : sequence of Alert
        What the queue was made of, in the order of its positions.
    base_currency : str
        Of the money at stake.
    """
    if queue is None or not queue.alerts:
        return ""
    rows = "".join(_row(case, alerts, base_currency) for case in queue.alerts[:MOST_CASES])
    head = "".join(
        f'<th scope="col"{kind}>{name}'
        for name, kind in (
            ("Case", ' class="n"'), ("Level", ""), ("Who", ""), ("Alerts", ""), ("Money at stake", ' class="n"'),
            ("Minutes", ' class="n"'), ("Value an hour", ' class="n"'), ("Now", ""),
        )
    )  # fmt: skip
    words = "".join(f"<li>{escape(each)}" for each in queue.words)
    return (
        f'<p class="lead">{escape(_lead(queue, len(alerts)))}</p><div class="wide" tabindex="0"><table><thead>'
        f"<tr>{head}<tbody>{rows}</table></div><details><summary>What was assumed</summary><ul>{words}</ul></details>"
    )


def _lead(queue: Ranking, alerts: int) -> str:
    networks = sum(case.kind == "network" for case in queue.alerts)
    asleep = len(queue.at("hibernated"))
    text = f"{say.count(alerts, 'alert')} make {say.count(len(queue.alerts), 'case')}, {networks:,} of them networks, "
    text += f"about {queue.minutes / 60:,.0f} hours of work."
    if queue.cut is not None:
        text += (
            f" {asleep:,} may sleep: the line kept {queue.cut.kept:,} of the {queue.cut.reported:,} launderers of an"
        )
        text += f" earlier slice ({queue.cut.low:.0%} to {queue.cut.high:.0%} of all)."
    if len(queue.alerts) > MOST_CASES:
        text += f" The first {MOST_CASES} are shown, the JSON has all."
    return text


def _row(case: RankedAlert, alerts: Sequence[Alert], base_currency: str) -> str:
    more = len(case.entities) - MOST_PARTIES
    who = ", ".join(case.entities[:MOST_PARTIES]) + (f" and {more:,} more" if more > 0 else "")
    told = ", ".join(f"{alerts[place].rank:,}" for place in case.candidates[:MOST_PARTIES])
    told += f" and {len(case.candidates) - MOST_PARTIES:,} more" if len(case.candidates) > MOST_PARTIES else ""
    stake = say.money(round(case.stake * 10 ** currency_exponent(base_currency)), base_currency)
    value = "–" if case.value_per_hour is None else f"{case.value_per_hour:.2f}"
    return (
        f'<tr><td class="n">{case.rank:,}<td>{case.level.name}<th scope="row">'
        f"{escape(say.plain(who, LONGEST_WORD), quote=True)}<td>{told}"
        f'<td class="n">{escape(stake)}<td class="n">{case.minutes:,.0f}<td class="n">{value}<td>{_PLACES[case.place]}'
    )
