"""Documents: whatever names come from outside, neither HTML nor Markdown reads them as anything but words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from greywater.desk.document import Bullets, Document, Section, Table, Text, to_html, to_markdown

HOSTILE = (
    '"><script>alert(1)</script>', "[here](javascript:alert(1))", "![x](http://x/y.png)", "&lt;b&gt;", "# heading",
    "> said", "`code`", "~~gone~~", "a|b",
)  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def made(name: str) -> Document:
    return Document(name, name, [Section(name, [Text(name), Bullets([name]), Table([name], [[name]], name)])])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_words_and_nothing_else(name: str) -> None:
    plain, hostile = Tags(), Tags()
    plain.feed(to_html(made("Anna")))
    hostile.feed(to_html(made(name)))
    assert hostile.seen == plain.seen
    assert not hostile.handlers
    text = to_markdown(made(name))
    assert not re.search(r"(?<!\\)[\[\]&`~]|(?<!\\)<\w", text)
    assert not [line for line in text.splitlines() if line.startswith((">", "# #", "# >", "## #", "- #", "- >"))]
