"""The picture: layered, bounded, deterministic, accessible, safe."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.desk.evidence import EvidenceRow
from greywater.desk.flow import MOST_NEIGHBOURS, picture

SVG = "{http://www.w3.org/2000/svg}"


def row(seq: int, sender: str, receiver: str, amount: int | None = 10_000, *, raising: bool = False) -> EvidenceRow:
    return EvidenceRow(f"t{seq}", seq, seq, sender, receiver, amount or 5_000, "USD", amount, "wire", None, raising)


def draw(rows: list[EvidenceRow], entity: str = "me", **more: object) -> ET.Element:
    text = picture(rows, entity=entity, accounts={entity}, base_currency="USD", **more)  # type: ignore[arg-type]
    assert len(text.encode()) <= 12_000
    return ET.fromstring(text)


def boxes(svg: ET.Element) -> dict[str, tuple[float, float, str]]:
    found = {}
    for group in svg.iter(f"{SVG}g"):
        text = group.find(f"{SVG}text")
        assert text is not None
        found[text.text or ""] = (float(text.get("x", 0)), float(text.get("y", 0)), group.get("class", ""))
    return found


def test_senders_are_left_receivers_right_and_the_second_layer_beyond() -> None:
    svg = draw([row(1, "s2", "s1"), row(2, "s1", "me"), row(3, "me", "r1"), row(4, "r1", "r2")])
    x = {name: place[0] for name, place in boxes(svg).items()}
    assert x["s2"] < x["s1"] < x["me"] < x["r1"] < x["r2"]
    assert boxes(svg)["me"][2] == "me"


def test_a_party_on_both_sides_stands_where_more_flows() -> None:
    x = {name: place[0] for name, place in boxes(draw([row(1, "a", "me", 900), row(2, "me", "a", 100)])).items()}
    assert x["a"] < x["me"]
    x = {name: place[0] for name, place in boxes(draw([row(1, "a", "me", 100), row(2, "me", "a", 900)])).items()}
    assert x["a"] > x["me"]


def test_many_neighbours_are_folded() -> None:
    rows = [row(i, f"s{i:02d}", "me", 1_000 + i) for i in range(20)]
    found = boxes(draw(rows))
    assert len([name for name in found if name.startswith("s")]) == MOST_NEIGHBOURS
    assert found["+ 12 more"][2] == "more"
    assert "s19" in found
    assert "s00" not in found


def test_the_party_of_the_raising_payment_is_never_folded() -> None:
    rows = [row(i, f"s{i:02d}", "me", 1_000 + i) for i in range(20)] + [row(99, "tiny", "me", 1, raising=True)]
    assert "tiny" in boxes(draw(rows))


def test_seeds_externals_and_the_raising_line_are_marked() -> None:
    svg = draw([row(1, "bad", "me"), row(2, "external:-1", "me"), row(3, "me", "r", raising=True)], seeds={"bad"})
    found = boxes(svg)
    assert found["◆ bad"][2] == "seed"
    assert found["-1"][2] == "out"
    titles = [title.text for title in svg.iter(f"{SVG}title")]
    assert "bad: confirmed launderer" in titles
    assert "external:-1: outside the bank" in titles
    assert [path.get("class") for path in svg.iter(f"{SVG}path")].count("e r") == 1
    both = boxes(draw([row(1, "a", "me")], seeds={"me"}))
    assert both["◆ me"][2] == "me seed"


def test_it_says_in_words_what_it_shows() -> None:
    svg = draw([row(1, "a", "me", 10_000), row(2, "b", "me", 5_000), row(3, "me", "c", 14_000)])
    told = "Money flow around me: 2 payments in from 2 parties, 150.00 USD; 1 payment out to 1 party, 140.00 USD"
    assert svg.get("aria-label") == told
    assert svg.get("role") == "img"
    title = svg.find(f"{SVG}title")
    assert title is not None
    assert title.text == told


def test_amounts_and_counts_label_the_lines_and_widths_follow() -> None:
    svg = draw([row(1, "a", "me", 1_000_000), row(2, "a", "me", 1_000_000), row(3, "b", "me", 10_000)])
    labels = [text.text for text in svg.iter(f"{SVG}text") if text.get("class") == "l"]
    assert labels == ["20 k ×2", "100"]
    widths = [float(path.get("stroke-width", 0)) for path in svg.iter(f"{SVG}path") if path.get("class") == "e"]
    assert widths[0] > 2 * widths[1]


def test_a_customers_accounts_are_one_and_payments_between_them_a_loop() -> None:
    rows = [row(1, "a1", "a2"), row(2, "x", "a1"), row(3, "a2", "y")]
    svg = ET.fromstring(picture(rows, entity="Ann", accounts={"a1", "a2"}, base_currency="USD"))
    assert set(boxes(svg)) == {"Ann", "x", "y"}
    assert any("c0 -16" in (path.get("d") or "") for path in svg.iter(f"{SVG}path"))


def test_without_rates_the_own_amounts_are_shown() -> None:
    svg = draw([row(1, "a", "me", None)])
    assert [text.text for text in svg.iter(f"{SVG}text") if text.get("class") == "l"] == ["50.00"]


def test_names_cannot_become_markup() -> None:
    nasty = '<script>alert("x")</script>&\x00\u202e'
    text = picture([row(1, nasty, "me"), row(2, "me", nasty + "2")], entity="me", accounts={"me"}, base_currency="USD")
    assert "<script" not in text
    ET.fromstring(text)


def test_long_names_that_need_escaping_still_make_a_small_picture() -> None:
    rows = [row(i, "'" * 50 + f"{i}", "<" * 50 + f"{i}", 1_000 + i) for i in range(25)]
    text = picture(rows, entity="'" * 500, accounts={"me"}, base_currency="USD")
    assert len(text.encode()) <= 12_000
    ET.fromstring(text)


def test_it_asks_nothing_of_the_network() -> None:
    text = picture([row(1, "a", "me")], entity="me", accounts={"me"}, base_currency="USD")
    assert re.findall(r"(?:https?:)?//[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in text


names = st.text(max_size=60) | st.sampled_from(["me", "a", "b", "c", "d", "external:1"])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(names, names, st.none() | st.integers(0, 2**53), st.booleans()), max_size=25),
    st.sets(names, max_size=3),
)
def test_any_evidence_gives_a_small_sound_picture(
    payments: list[tuple[str, str, int | None, bool]], seeds: set[str]
) -> None:
    rows = [row(i, a, b, amount, raising=mark) for i, (a, b, amount, mark) in enumerate(payments)]
    text = picture(rows, entity="me", accounts={"me"}, base_currency="USD", seeds=seeds)
    assert len(text.encode()) <= 12_000
    svg = ET.fromstring(text)
    assert not re.search(r"[\" ]-?(nan|inf)", text)
    places = [place[:2] for place in boxes(svg).values()]
    assert len(places) == len(set(places))
    _, _, width, height = (float(part) for part in svg.get("viewBox", "").split())
    assert all(0 < x < width and 0 < y < height for x, y in places)
    assert text == picture(rows, entity="me", accounts=["me"], base_currency="USD", seeds=sorted(seeds))
