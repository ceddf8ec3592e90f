"""The pictures of an evaluation and the documents that hold them: safe, nested, complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk import curve_pictures as draw
from greywater.desk.document import Bullets, Document, Picture, Section, Table, Text, to_html, to_markdown
from greywater.desk.report import render
from tests.desk.test_report import NASTY, Page, report

BINS = [
    {"rows": 900, "mean_probability": 0.0004, "share_positive": 0.0, "low": 0.0, "high": 0.004},
    {"rows": 0, "mean_probability": None, "share_positive": None},
    {"rows": 40, "mean_probability": 0.3, "share_positive": 0.25, "low": 0.14, "high": 0.4},
]
FLOORS = [{"floor": 0.99, "saved": 0.2}, {"floor": 0.9, "saved": 0.7}]


def test_each_picture_is_a_figure_with_words_for_those_who_do_not_see_it() -> None:
    periods = [{"name": f"2024-0{m}", "recall": 0.1 * m, "recall_interval": (0.05 * m, 0.15 * m)} for m in (1, 2, 3)]
    groups = [{"name": NASTY, "rate": 0.02, "rate_interval": (0.01, 0.05)},
              {"name": "", "rate": 0.5, "rate_interval": (0.2, 0.9)}]  # fmt: skip
    pictures = [
        draw.reliability_picture(BINS),
        draw.alerts_saved_picture([(0.5, 0.9), (1.0, 0.1)], FLOORS),
        draw.waiting_picture([(0.2, 0.1), (31.0, 0.6)]),
        draw.period_picture(periods, "recall", "Recall"),
        draw.group_picture(groups, "rate", "Alert rate"),
    ]
    for picture in pictures:
        page = Page(picture)
        (tag,) = [attributes for name, attributes in page.tags if name == "svg"]
        assert tag["role"] == "img"
        assert tag["aria-label"]
        assert "nan" not in picture
        assert not any(name in ("img", "script") for name, _ in page.tags)
    assert pictures[0].count("<circle") == 2
    assert "said 30 %, came 25 %, 40 payments" in pictures[0]
    assert "90% of the launderers: 70.0% need no look" in pictures[1]
    assert ">50<" in pictures[2]
    assert pictures[3].count('class="whisker"') == 3
    assert "not known" in pictures[4]


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw.reliability_picture([]) == draw.alerts_saved_picture(()) == draw.waiting_picture(()) == ""
    assert draw.period_picture([{"name": "2024-01", "recall": 0.5}], "recall", "Recall") == ""
    assert draw.group_picture([{"name": "a", "rate": None}], "rate", "Rate") == ""


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_whatever_the_curve_the_line_stays_in_the_frame(points: list[tuple[float, float]]) -> None:
    picture = draw.alerts_saved_picture(sorted(points))
    path = picture.split('class="line" d="M')[1].split('"')[0]
    for pair in path.split("L"):
        x, y = map(float, pair.split())
        assert draw.LEFT <= x <= draw.LEFT + draw.WIDTH
        assert draw.TOP <= y <= draw.TOP + draw.HEIGHT


def test_the_report_shows_the_pictures() -> None:
    page = render(report(reliability=BINS, saved=[(0.5, 0.9), (1.0, 0.1)], floors=FLOORS, waiting=[(1.0, 0.4)]))
    assert page.count('class="chart"') == 4
    assert "Looks saved." in Page(page).text
    assert 'class="charts"' not in render(report(curve=()))


def document() -> Document:
    return Document(
        f"Card {NASTY}",
        "of today",
        [
            Section("Words", [Text("A lead.", lead=True), Bullets(["one", f"two {NASTY}"])]),
            Section("Numbers", [Table(["name", "value"], [["a|b", "1"], ["c", "2"]], "Told.", frozenset({1}))]),
            Section("Curves", [Picture(draw.waiting_picture([(1.0, 0.4)]), "Time to alert.")]),
            Section("Nothing", [Table(["a"], []), Bullets([]), Picture("", "")]),
        ],
    )


def test_a_document_is_a_page_that_asks_for_nothing() -> None:
    text = to_html(document())
    page = Page(text)
    assert "script" not in {name for name, _ in page.tags}
    assert "default-src 'none'" in text
    assert [words for words in ("A lead.", "two", "a|b", "Told.") if words not in page.text] == []
    assert "Nothing" not in page.text
    assert page.count("svg", value="chart") == 1


def test_a_document_in_markdown_marks_nothing_up_that_was_given() -> None:
    text = to_markdown(document())
    assert "| a\\|b | 1 |\n| c | 2 |" in text
    assert "|---|---:|" in text
    assert "*Time to alert.*" in text
    assert "## Nothing" not in text
    assert "\\<img" in text
    assert " <img" not in text


@pytest.mark.parametrize("words", ["a\x1b[2Jb", "line\nbreak", "``code``", "<b>"])
def test_hostile_words_stay_words(words: str) -> None:
    made = Document("T", words, [Section("S", [Bullets([words])])])
    assert "\x1b" not in to_html(made) + to_markdown(made)
    assert "<b>" not in to_html(made)
    assert to_markdown(made).count("\n- ") == 1
