"""What the desk's pictures of payments share: style, boxes of parties, text that is safe in SVG."""

from __future__ import annotations

from html import escape
from typing import Final

from greywater.vocab import EXTERNAL_PREFIX

__all__ = ["NODE_HEIGHT", "NODE_WIDTH", "STYLE", "TOOLTIP", "folded_box", "party_box", "short_name", "svg_text"]

NODE_WIDTH: Final = 112
NODE_HEIGHT: Final = 24
#: Letters of a name in a box, and in its tooltip.
LETTERS: Final = 15
TOOLTIP: Final = 48

#: Travels with each picture, so that it looks right on any page, light or dark, and on paper.
STYLE: Final = (
    ".gw-flow{max-width:100%;height:auto;font:11px system-ui,sans-serif;color:inherit}"
    ".gw-flow rect{fill:var(--gw-paper,transparent);stroke:currentColor;stroke-opacity:.45}"
    ".gw-flow text{fill:currentColor;text-anchor:middle;dominant-baseline:central}"
    ".gw-flow .e{fill:none;stroke:var(--gw-edge,#5b7f95);stroke-opacity:.6}"
    ".gw-flow .a{fill:var(--gw-edge,#5b7f95)}"
    ".gw-flow .r{stroke:var(--gw-raise,#b3541e);stroke-opacity:.9}.gw-flow .ra{fill:var(--gw-raise,#b3541e)}"
    ".gw-flow .l{font-size:10px;paint-order:stroke;stroke:var(--gw-paper,transparent);stroke-width:3px}"
    ".gw-flow .me rect{stroke-width:2.5;stroke-opacity:1}.gw-flow .me text{font-weight:600}"
    ".gw-flow .seed rect{stroke:var(--gw-raise,#b3541e);stroke-width:2;stroke-opacity:1}"
    ".gw-flow .out rect{stroke-dasharray:4 3}.gw-flow .more rect{stroke:none}.gw-flow .more text{font-style:italic}"
)


def party_box(x: float, y: float, name: str, *, is_seed: bool = False, is_alerted: bool = False, part: str = "") -> str:
    """The box of a party around a point; a diamond marks a confirmed launderer, a dashed edge an outsider.

    Parameters
    ----------
    x, y : float
        The middle.
    name : str
        Account or customer.
    is_seed : bool
        A confirmed launderer.
    is_alerted : bool
        The party that the alert is about.
    part : str
        Its part in what is drawn, for the tooltip.
    """
    kinds, mark, note, shown = [], "", f", {part}" if part else "", name
    if is_alerted:
        kinds.append("me")
    if is_seed:
        kinds.append("seed")
        mark, note = "◆ ", note + ": confirmed launderer"
    elif name.startswith(EXTERNAL_PREFIX):
        kinds.append("out")
        note += ": outside the bank"
        shown = name.removeprefix(EXTERNAL_PREFIX)
    note += ": this alert" if is_alerted else ""
    tooltip = f"<title>{svg_text(short_name(name, TOOLTIP) + note)}</title>" if note or len(name) > LETTERS else ""
    return _box(x, y, " ".join(kinds), tooltip, mark + short_name(shown, LETTERS - len(mark)))


def folded_box(x: float, y: float, parties: int) -> str:
    """The box of parties that have none of their own."""
    tooltip = f"<title>{svg_text(f'+ {parties} more: smaller parties, folded')}</title>"
    return _box(x, y, "more", tooltip, f"+ {parties} more")


def _box(x: float, y: float, kind: str, tooltip: str, text: str) -> str:
    return (
        f'<g class="{kind}">{tooltip}<rect x="{x - NODE_WIDTH / 2:.0f}" y="{y - NODE_HEIGHT / 2:.0f}" '
        f'width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="6"/>'
        f'<text x="{x:.0f}" y="{y:.0f}">{svg_text(text)}</text></g>'
    )


def short_name(name: str, letters: int) -> str:
    """Cut a long name in its middle, where ids differ least.

    Examples
    --------
    >>> short_name("account-000000000000-17", 15)
    'account…0000-17'
    """
    if len(name) <= letters:
        return name
    tail = (letters - 1) // 2
    return f"{name[: letters - 1 - tail]}…{name[-tail:]}"


def svg_text(text: str) -> str:
    """Escape for HTML and XML; control characters, which XML does not have, become a replacement mark.

    Examples
    --------
    >>> svg_text("a<b&" + chr(7))
    'a&lt;b&amp;�'
    """
    if text.isprintable():
        return escape(text, quote=True)
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text), quote=True)
