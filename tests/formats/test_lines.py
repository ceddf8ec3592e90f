"""Records: cut the same wherever a block ends, bad ones alone set aside."""

from __future__ import annotations

import csv
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greywater.formats import lines
from greywater.formats.lines import MAX_RECORD_LINES, cut_records

TEXT = st.text(alphabet='ab,"\n', max_size=60)


def rows(text: bytes, fields: int = 2, cuts: tuple[int, ...] = (), delimiter: str = ",") -> list[tuple[int, object]]:
    """(place, values) of good records and (place, reason) of bad ones, the text handed over in blocks."""
    found: list[tuple[int, object]] = []
    pieces = text.split(b"\n")[:-1]
    borders = sorted({0, len(pieces), *(cut % (len(pieces) + 1) for cut in cuts)})
    blocks = [b"".join(p + b"\n" for p in pieces[a:b]) for a, b in pairwise(borders)]
    rest, done = b"", 0
    for i, block in enumerate(blocks):
        cut = cut_records(rest + block, delimiter, fields, last=i == len(blocks) - 1)
        values = list(
            csv.reader(cut.good.decode("latin-1").splitlines(keepends=True), delimiter=delimiter, strict=True)
        )
        assert len(values) == len(cut.offsets)
        assert len(cut.offsets) + len(cut.bad) == cut.records
        found += [(done + int(place), value) for place, value in zip(cut.offsets, values, strict=True)]
        found += [(done + bad.offset, bad.reason) for bad in cut.bad]
        done += cut.records
        rest = cut.rest
    assert rest == b""
    return sorted(found, key=lambda pair: pair[0])


@given(TEXT, st.integers(1, 3), st.lists(st.integers(0, 60), max_size=5))
@example('a,"b\nc\na,b\n', 2, [1])
@example('"a\nb",c\n"x""y",z', 2, [1])
@example('a"b,c\na,"b"c', 2, [])
def test_the_same_wherever_blocks_end(text: str, fields: int, cuts: list[int]) -> None:
    data = text.encode() + b"\n"
    whole = rows(data, fields)
    assert rows(data, fields, tuple(cuts)) == whole
    assert [place for place, _ in whole] == list(range(len(whole)))


@given(TEXT, st.integers(1, 3))
def test_the_fast_way_equals_the_slow_way(text: str, fields: int) -> None:
    data = text.encode() + b"\n"
    slow = lines._cut_slowly(data, ",", fields, last=True)
    fast = cut_records(data, ",", fields, last=True)
    read = [list(csv.reader(cut.good.decode().splitlines(keepends=True))) for cut in (slow, fast)]
    assert read[0] == read[1]
    assert slow.offsets.tolist() == fast.offsets.tolist()
    assert [(b.offset, b.text, b.reason) for b in slow.bad] == [(b.offset, b.text, b.reason) for b in fast.bad]


@given(st.lists(st.lists(st.text(alphabet='ab,"\né', max_size=8), min_size=3, max_size=3), min_size=1, max_size=8))
def test_what_a_writer_wrote_is_read(records: list[list[str]]) -> None:
    text = "\n".join(",".join('"' + value.replace('"', '""') + '"' for value in record) for record in records) + "\n"
    assert [value for _, value in rows(text.encode("latin-1"), 3)] == records


@given(st.text(alphabet="ab,\n", max_size=80), st.integers(1, 4))
def test_without_quotes_a_line_is_a_record(text: str, fields: int) -> None:
    expected = [
        (place, line.split(",") if line.count(",") == fields - 1 else "fields")
        for place, line in enumerate(line for line in text.split("\n") if line)
    ]
    assert rows(text.encode() + b"\n", fields) == expected


def test_an_opening_quote_without_partner_spoils_its_own_line_only() -> None:
    text = b'1,"a\n' + b"".join(b"%d,b\n" % i for i in range(2, 500)) + b'500,"c"\n'
    found = rows(text, 2, (3, 50, 200))
    assert found[0] == (0, "quote")
    assert [value for _, value in found[1:3]] == [["2", "b"], ["3", "b"]]
    assert found[-1] == (499, ["500", "c"])
    assert len(found) == 500


def test_a_quoted_value_may_span_lines_up_to_a_limit() -> None:
    short = b'1,"' + b"x\n" * (MAX_RECORD_LINES - 1) + b'"\n2,b\n'
    assert [place for place, _ in rows(short)] == [0, 1]
    long = b'1,"' + b"x\n" * (MAX_RECORD_LINES + 1) + b'"\n2,b\n'
    assert rows(long)[0] == (0, "quote")
    assert rows(long)[-1][1] == ["2", "b"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    text = f'a{delimiter}"b{delimiter}c"\n'.encode()
    assert rows(text, 2, (), delimiter) == [(0, ["a", f"b{delimiter}c"])]


def test_blank_lines_are_no_records() -> None:
    assert rows(b"\n\n1,a\n\n2,b\n\n") == [(0, ["1", "a"]), (1, ["2", "b"])]
