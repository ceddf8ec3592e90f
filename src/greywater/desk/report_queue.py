"""The queue on the report's page: the first alerts in full, the rest as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from greywater.desk import wording as say
from greywater.desk.alerts import Alert
from greywater.desk.evidence import EvidenceRow
from greywater.desk.proof import Proof

__all__ = ["LONGEST_WORD", "TOLD_IN_FULL", "queue"]

#: Alerts with reasons, evidence and picture; the others are rows of a table.
TOLD_IN_FULL: Final = 100
#: Ids of more letters are cut in their middle; the JSON holds them whole.
LONGEST_WORD: Final = 120


def queue(alerts: Sequence[Alert], base_currency: str, outcomes: Mapping[str, bool] | None = None) -> str:
    """Make the HTML of the queue.

    Parameters
    ----------
    alerts : sequence of Alert
        By rank.
    base_currency : str
        Currency of `base_amount`.
    outcomes : mapping of alert id to bool, optional
        What the labels say of each.
    """
    known = outcomes or {}
    full = "".join(
        _alert(alert, base_currency, known.get(alert.id), is_open=place == 0)
        for place, alert in enumerate(alerts[:TOLD_IN_FULL])
    )
    search = (
        '<label class="filter" hidden>Filter <input type="search" id="filter" autocomplete="off" '
        'placeholder="account, customer or reason"></label>'
    )
    rest = _rest(alerts[TOLD_IN_FULL:], known, labelled=outcomes is not None) if len(alerts) > TOLD_IN_FULL else ""
    return f'{search}<div id="alerts">{full}</div>{rest}'


def _text(value: object) -> str:
    return escape(say.plain(str(value), LONGEST_WORD), quote=True)


def _verdict(outcome: bool | None) -> str:
    if outcome is None:
        return ""
    return '<span class="yes">✓ laundering</span>' if outcome else '<span class="no">not laundering</span>'


def _chance(probability: float) -> str:
    """The calibrated probability, never as a certainty."""
    return (
        "–" if probability != probability else say.share(min(probability, 0.9999)) if probability > 0 else "under 1 %"
    )


def _alert(alert: Alert, base_currency: str, outcome: bool | None, *, is_open: bool) -> str:
    first = alert.reasons[0].text if alert.reasons else ""
    again = f'<span class="again">+ {alert.folded:,} later {"day" if alert.folded == 1 else "days"}</span>'
    reasons = "".join(
        f"<li>{_text(reason.text)}" + (f"<small>{_text(reason.peers)}</small>" if reason.peers else "") + "</li>"
        for reason in alert.reasons
    )
    versions = ", ".join(f"{_text(name)} {_text(version)}" for name, version in alert.versions.items())
    shape = f"<p>Looks like {_text(alert.typology)}.</p>" if alert.typology else ""
    raised = say.moment_words(int(alert.raised_at.timestamp()) * 1_000_000)
    kind = "" if alert.kind == "account" else f'<span class="kind">{_text(alert.kind)}</span>'
    return (
        f'<details class="alert"{" open" if is_open else ""}><summary><span class="rank">{alert.rank}</span>'
        f'<span class="who">{_text(alert.entity)}{kind}</span><span class="gist">{_text(first)}</span>'
        f'<span class="marks">{_verdict(outcome)}{again if alert.folded else ""}</span>'
        f'<span class="score" title="score {alert.score:.4g}">{_chance(alert.probability)}</span></summary>'
        f'<div class="body"><div class="two"><div><h3>Why</h3><ol class="why">{reasons}</ol>{shape}'
        f'<p class="note">Raised {raised}. Score {alert.score:.4g}, probability {_chance(alert.probability)}. '
        f"Alert {_text(alert.id)}.</p></div>"
        f'<div class="flow" tabindex="0">{alert.picture}</div></div>{_patterns(alert.patterns, base_currency)}'
        f"{_evidence(alert.evidence, base_currency)}"
        f'<p class="note">{"Made with " + versions + "." if versions else ""}</p></div></details>'
    )


def _patterns(proofs: Sequence[Proof], base_currency: str) -> str:
    """What the raising payment formed: each pattern's sentence, picture and payments."""
    parts = []
    for proof in proofs:
        best, *others = proof.formed
        reasons = " and ".join(f"reason {place + 1}" for place in proof.reasons)
        shown = [each.row for each in best.payments]
        more = f" {say.count(best.left_out, 'more payment')} of it not shown." if best.left_out else ""
        told = f"The payments that formed it.{more}"
        table = _payments(shown, base_currency, told, [each.role for each in best.payments])
        also = "".join(f"<li>{_text(formed.text)}</li>" for formed in others)
        also = f'<p class="note">And:</p><ul class="note">{also}</ul>' if also else ""
        behind = f" Behind {reasons}." if reasons else ""
        parts.append(
            f'<div class="pattern"><h3>{_text(proof.text)}</h3><p>{_text(best.text)}.{behind}</p>'
            f'<div class="flow" tabindex="0">{proof.picture}</div>{table}{also}</div>'
        )
    return "".join(parts)


def _evidence(evidence: Sequence[EvidenceRow], base_currency: str) -> str:
    if not evidence:
        return ""
    plural = "payment" if len(evidence) == 1 else "payments"
    caption = f"Evidence: {len(evidence)} {plural}, the one that raised the alert first"
    return _payments(evidence, base_currency, caption)


def _payments(
    payments: Sequence[EvidenceRow], base_currency: str, caption: str, roles: Sequence[str] | None = None
) -> str:
    """A table of payments, with their part in a pattern in front where there is one."""
    rows = ""
    foreign = any(row.currency != base_currency and row.base_amount is not None for row in payments)
    for place, row in enumerate(payments):
        mark = ' class="raising"' if row.raising else ""
        base = say.money(row.base_amount, base_currency) if row.base_amount is not None else "–"
        rows += f"<tr{mark}>" + (f"<td>{_text(roles[place])}" if roles else "")
        rows += (
            f"<td>{say.moment_words(row.time_us)}<td>{_text(row.sender)}<td>{_text(row.receiver)}"
            f'<td class="n">{_text(say.money(row.amount, row.currency))}'
        )
        rows += f'<td class="n">{_text(base)}' if foreign else ""
        score = "–" if row.score is None else f"{row.score:.4g}"
        rows += f'<td>{_text(row.channel.replace("_", " "))}<td class="n">{score}<td><code>{_text(row.tx_id)}</code>'
    head = '<th scope="col">Part' if roles else ""
    head += '<th scope="col">When (UTC)<th scope="col">From<th scope="col">To<th scope="col" class="n">Amount'
    head += f'<th scope="col" class="n">In {_text(base_currency)}' if foreign else ""
    head += '<th scope="col">How<th scope="col" class="n">Score<th scope="col">Payment'
    return (
        f'<div class="wide" tabindex="0"><table class="evidence"><caption>{_text(caption)}</caption>'
        f"<thead><tr>{head}<tbody>{rows}</table></div>"
    )


def _rest(alerts: Sequence[Alert], outcomes: Mapping[str, bool], *, labelled: bool) -> str:
    rows = []
    for alert in alerts:
        first = alert.reasons[0].text if alert.reasons else ""
        rows.append(
            f'<tr><td class="n">{alert.rank}<td>{_text(alert.entity)}<td class="n">{_chance(alert.probability)}'
            f"<td>{alert.raised_at:%Y-%m-%d}<td>{_text(first)}"
            + (f"<td>{_verdict(outcomes.get(alert.id))}" if labelled else "")
        )
    head = (
        '<th scope="col" class="n">Rank<th scope="col">Who<th scope="col" class="n">Probability<th scope="col">Raised'
    )
    head += '<th scope="col">First reason' + ('<th scope="col">Label' if labelled else "")
    return (
        f'<details class="rest"><summary>The other {len(alerts):,} alerts</summary><div class="wide" tabindex="0">'
        f'<table id="rest"><thead><tr>{head}<tbody>{"".join(rows)}</table></div></details>'
    )
