"""A document of headings, sentences, lists, tables and pictures: one HTML page that needs no network, or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Final

from greywater.desk import wording as say

__all__ = ["Bullets", "Document", "Picture", "Section", "Table", "Text", "to_html", "to_markdown"]

#: Words of more letters are cut in their middle.
LONGEST_WORD: Final = 64


@dataclass(frozen=True)
class Text:
    """A paragraph; `lead` is larger."""

    words: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; cells of columns in `numeric` stand to the right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """An inline SVG figure made by this package, and what it shows in words (for Markdown)."""

    svg: str
    words: str


Block = Text | Bullets | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; left out where it holds nothing."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A title, a line under it, sections, and the style sheets of its page, files of assets/."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    styles: Sequence[str] = ("report.css",)


def to_html(document: Document) -> str:
    """Render as one self-contained HTML page without script, light or dark, for screen and paper.

    Examples
    --------
    >>> page = to_html(Document("Card <1>", "of today", [Section("Limits", [Bullets(["none & all"])])]))
    >>> "<h1>Card &lt;1&gt;</h1>" in page, "<li>none &amp; all" in page, "http" in page.split("<body>")[1]
    (True, True, False)
    """
    assets = files("greywater.desk").joinpath("assets")
    style = "".join(assets.joinpath(name).read_text(encoding="utf-8") for name in document.styles)
    shown = [section for section in document.sections if any(_html(block) for block in section.blocks)]
    links = "".join(f'<a href="#s{place}">{_text(section.title)}</a>' for place, section in enumerate(shown))
    body = "".join(
        f'<section id="s{place}"><h2>{_text(section.title)}</h2>{"".join(map(_html, section.blocks))}</section>'
        for place, section in enumerate(shown)
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Greywater: {_text(document.title)}</title><style>{style}</style></head><body>"
        f'<header><p class="brand">Greywater</p><h1>{_text(document.title)}</h1>'
        f'<p class="sub">{_text(document.subtitle)}</p></header><nav aria-label="Sections">{links}</nav>'
        f"<main>{body}</main><footer>Made by Greywater.</footer></body></html>"
    )


def to_markdown(document: Document) -> str:
    """Render as Markdown; pictures are told in words.

    Examples
    --------
    >>> print(to_markdown(Document("Card", "of today", [Section("Data", [Table(["a", "b"], [["1", "x|y"]])])])))
    # Card
    <BLANKLINE>
    of today
    <BLANKLINE>
    ## Data
    <BLANKLINE>
    | a | b |
    |---|---|
    | 1 | x\\|y |
    <BLANKLINE>
    """
    parts = [f"# {_mark(document.title)}", _mark(document.subtitle)]
    for section in document.sections:
        blocks = [text for block in section.blocks if (text := _markdown(block))]
        if blocks:
            parts += [f"## {_mark(section.title)}", *blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(block: Block) -> str:
    match block:
        case Text(words, lead):
            return f'<p class="{"lead" if lead else "words-of-document"}">{_text(words)}</p>' if words else ""
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>" if items else ""
        case Picture(svg, _):
            return svg
        case Table():
            return _html_table(block)


def _html_table(table: Table) -> str:
    if not table.rows:
        return ""
    kinds = [' class="n"' if place in table.numeric else "" for place in range(len(table.headings))]
    head = "".join(f'<th scope="col"{kind}>{_text(name)}' for kind, name in zip(kinds, table.headings, strict=True))
    rows = ""
    for row in table.rows:
        first, *others = row
        cells = "".join(f"<td{kind}>{_text(cell)}" for kind, cell in zip(kinds[1:], others, strict=True))
        rows += f'<tr><th scope="row">{_text(first)}{cells}'
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    return f'<div class="wide" tabindex="0"><table>{caption}<thead><tr>{head}<tbody>{rows}</table></div>'


def _markdown(block: Block) -> str:
    match block:
        case Text(words, _):
            return _mark(words)
        case Bullets(items):
            return "\n".join(f"- {_mark(item)}" for item in items)
        case Picture(svg, words):
            return f"*{_mark(words)}*" if svg and words else ""
        case Table():
            if not block.rows:
                return ""
            rule = "".join("---:|" if place in block.numeric else "---|" for place in range(len(block.headings)))
            lines = [f"| {' | '.join(map(_mark, block.headings))} |", f"|{rule}"]
            lines += [f"| {' | '.join(map(_mark, row))} |" for row in block.rows]
            return (f"{_mark(block.caption)}\n\n" if block.caption else "") + "\n".join(lines)


def _text(words: str) -> str:
    return escape(say.plain(words, LONGEST_WORD), quote=True)


def _mark(words: str) -> str:
    """Plain words in Markdown: nothing of them is read as a mark-up or as HTML."""
    flat = " ".join(say.plain(words).split())
    for letter in "\\`*_|<[]&~":
        flat = flat.replace(letter, "\\" + letter)
    return f"\\{flat}" if flat[:1] in ("#", ">") else flat
