"""Pictures of patterns: every account and payment is there, nothing overlaps a box, the raising payment stands out."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from greywater.desk.drawing import NODE_HEIGHT, NODE_WIDTH
from greywater.desk.proof_picture import MOST_IN_COLUMN, proof_picture
from tests.desk.proofs import proof_of, ring, scatter_gather
from tests.naive_graph import Payment

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>alert(1)</script>&\"'\x1b"


def drawn(payments: list[Payment], pattern: str, **more: object) -> ET.Element:
    formed = proof_of(payments, pattern, longest=10).formed[0]
    return ET.fromstring(proof_picture(pattern, formed, base_currency="USD", **more))  # type: ignore[arg-type]


def boxes(svg: ET.Element) -> dict[str, tuple[float, float, str]]:
    found = {}
    for group in svg.iter(f"{SVG}g"):
        text = group.find(f"{SVG}text")
        assert text is not None
        found[text.text or ""] = (float(text.get("x", 0)), float(text.get("y", 0)), group.get("class", ""))
    return found


def inside(svg: ET.Element) -> bool:
    """Does everything lie in the picture?"""
    width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
    return all(
        NODE_WIDTH / 2 <= x <= width - NODE_WIDTH / 2 and NODE_HEIGHT / 2 <= y <= height - NODE_HEIGHT / 2
        for x, y, _ in boxes(svg).values()
    )


@pytest.mark.parametrize("length", [2, 3, 4, 7, 10])
def test_rings_show_every_account_once_and_every_payment(length: int) -> None:
    svg = drawn(ring(*range(100_000, 100_000 + length)), "temporal_cycle")
    assert sorted(boxes(svg)) == sorted("abcdefghij"[:length])
    assert len(svg.findall(f"{SVG}path")) == 2 * length
    assert len(svg.findall(f"{SVG}path[@class='e r']")) == 1
    assert inside(svg)
    places = list(boxes(svg).values())
    for number, (x, y, _) in enumerate(places):
        for left, top, _ in places[number + 1 :]:
            assert abs(x - left) >= NODE_WIDTH or abs(y - top) >= NODE_HEIGHT


def test_chains_wind_through_rows() -> None:
    payments = [Payment(k * 60_000_000, f"n{k}", f"n{k + 1}", 100_000) for k in range(9)]
    svg = drawn(payments, "chain")
    assert len(boxes(svg)) == 10
    assert len({y for _, y, _ in boxes(svg).values()}) == 2
    assert inside(svg)


def test_columns_go_from_sources_over_middlemen_to_sinks() -> None:
    found = boxes(drawn(scatter_gather(3), "scatter_gather", accounts={"sink"}, seeds={"m01"}))
    assert found["source"][0] < found["m00"][0] < found["sink"][0]
    assert found["sink"][2] == "me"
    assert found["◆ m01"][2] == "seed"


def test_a_long_column_is_folded_but_not_the_party_of_the_raising_payment() -> None:
    svg = drawn(scatter_gather(12), "scatter_gather")
    middlemen = [name for name in boxes(svg) if name.startswith("m")]
    assert len(middlemen) == MOST_IN_COLUMN - 1
    assert "m11" in middlemen
    assert "+ 5 more" in boxes(svg)
    assert inside(svg)


def test_payments_both_ways_stand_apart() -> None:
    payments = [Payment(k * 60_000_000, f"in{k}", "hub", 1_000) for k in range(2)]
    payments += [Payment(200_000_000, "hub", "out", 900), Payment(300_000_000, "hub", "in0", 900)]
    svg = drawn(payments, "gather_scatter")
    lines = [
        [float(number) for number in re.findall(r"[\d.]+", path.get("d", ""))]
        for path in svg.findall(f"{SVG}path")
        if path.get("class") in ("e", "e r")
    ]
    back = next(line for line in lines if line[0] > line[2])
    forth = next(line for line in lines if abs(line[1] - back[3]) < 20 and line[0] < line[2] < 250)
    assert 8 < abs(forth[1] - back[3]) < 16
    assert boxes(svg)["in0"][0] < boxes(svg)["hub"][0] < boxes(svg)["out"][0]


def test_hostile_names_and_unknown_amounts_are_safe() -> None:
    names = [NASTY, "external:" + "x" * 90, "c"]
    text = proof_picture("simple_cycle", proof_of(ring(None, 5, 5), "simple_cycle").formed[0], base_currency="USD")
    assert ">?<" in text
    payments = [Payment(0, names[1], NASTY, 500), Payment(1, NASTY, "c", 500)]
    formed = proof_of(payments, "chain").formed[0]
    svg = ET.fromstring(proof_picture("chain", formed, base_currency="XXX"))
    assert not list(svg.iter(f"{SVG}script"))
    assert svg.get("aria-label", "").startswith("Passed on from external:")
    assert any(kind == "out" for *_, kind in boxes(svg).values())


def test_the_same_is_drawn_for_the_same() -> None:
    proof = proof_of(scatter_gather(5), "scatter_gather")
    first, again = (proof_picture(proof.pattern, proof.formed[0], base_currency="USD") for _ in range(2))
    assert first == again
    assert len(first.encode()) < 10_000
