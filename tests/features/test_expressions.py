"""Expressions equal a twin that works row by row in plain Python; what is wrong with one is said with its place."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, UsageError
from greywater.features.expressions.checking import checked
from greywater.features.expressions.expression import Expression
from greywater.features.expressions.parser import MOST_NESTING, parse
from greywater.features.expressions.scalar import for_one_row
from greywater.features.expressions.tokens import MOST_CHARACTERS, Parameter
from tests.naive_quality import Tree, evaluated

MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [("w", pa.int64()), ("v.7d", pa.int64()), ("n", pa.float64()), ("odd name", pa.float64()), ("t", pa.string()),
     ("b", pa.bool_()), ("m", MOMENT)]
)  # fmt: skip
WHOLES = [0, 1, -1, 2, 3, 7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 10**12, -(10**9)]
NUMBERS = [0.0, -0.0, 0.5, 1.0, -2.5, 3.0, 2.0**53, 2.0**63, -(2.0**63), 1e300, 1e-300]
TEXTS = ["", "a", "it's", "é€", "retail", "Z" * 40]


def rendered(tree: Tree) -> str:
    """An expression as text, every operand in brackets."""
    form = tree[0]
    if form == "literal":
        value = tree[1]
        if isinstance(value, bool):
            return str(value).lower()
        return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
    if form == "column":
        return f'"{tree[1]}"'
    operands = [f"({rendered(operand)})" for operand in tree[1:] if isinstance(operand, tuple) and form[-2:] != "in"]
    if form in ("in", "not in"):
        listed = ", ".join(rendered(("literal", value)) for value in tree[2])
        return f"({rendered(tree[1])}) {form} ({listed})"
    if form in ("is null", "is not null"):
        return f"{operands[0]} {form}"
    if form == "between":
        return f"{operands[0]} between {operands[1]} and {operands[2]}"
    if form == "negative":
        return f"- {operands[0]}"
    if form == "not":
        return f"not {operands[0]}"
    if form.isalpha() and form not in ("and", "or"):
        return f"{form}({', '.join(operands)})"
    return f" {form} ".join(operands)


def column(*names: str) -> st.SearchStrategy[Tree]:
    return st.sampled_from([("column", name) for name in names])


def literal(values: list[Any]) -> st.SearchStrategy[Tree]:
    return st.sampled_from([("literal", value) for value in values])


def numeric(depth: int) -> st.SearchStrategy[Tree]:
    leaves = column("w", "v.7d", "n", "odd name") | literal(WHOLES) | literal(NUMBERS)
    if not depth:
        return leaves
    inner = numeric(depth - 1)
    two = st.tuples(st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner)
    one = st.tuples(st.sampled_from(["negative", "abs"]), inner)
    return leaves | two | one | st.tuples(st.just("length"), textual())


def textual() -> st.SearchStrategy[Tree]:
    return column("t") | literal(TEXTS)


def condition(depth: int) -> st.SearchStrategy[Tree]:
    numbers, texts = numeric(2), textual()
    signs = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    leaves = (
        st.tuples(signs, numbers, numbers)
        | st.tuples(signs, texts, texts)
        | st.tuples(signs, column("m"), column("m"))
        | st.tuples(st.just("between"), numbers, numbers, numbers)
        | st.tuples(st.sampled_from(["is null", "is not null"]), numbers | texts | column("b", "m"))
        | st.tuples(st.sampled_from(["in", "not in"]), numbers, st.lists(st.sampled_from(WHOLES + NUMBERS), min_size=1))
        | st.tuples(st.sampled_from(["in", "not in"]), texts, st.lists(st.sampled_from(TEXTS), min_size=1))
        | column("b")
        | literal([True, False])
    )
    if not depth:
        return leaves
    inner = condition(depth - 1)
    return leaves | st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner)


def maybe(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(values)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "w": maybe(WHOLES),
            "v.7d": maybe(WHOLES),
            "n": maybe([*NUMBERS, math.nan, math.inf, -math.inf]),
            "odd name": maybe(NUMBERS),
            "t": maybe(TEXTS),
            "b": maybe([True, False]),
            "m": maybe([datetime(2024, 1, 1, tzinfo=UTC), datetime(1969, 7, 20, 20, 17, tzinfo=UTC)]),
        }
    ),
    max_size=12,
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


@given(condition(2), ROWS)
def test_conditions_equal_the_twin(tree: Tree, rows: list[dict[str, Any]]) -> None:
    expression = Expression.parse(rendered(tree), SCHEMA)
    assert expression.evaluate(table(rows)).to_pylist() == [evaluated(tree, row) for row in rows]


@given(numeric(3), ROWS)
def test_numbers_equal_the_twin(tree: Tree, rows: list[dict[str, Any]]) -> None:
    expression = Expression.parse(rendered(tree), SCHEMA)
    found = expression.evaluate(table(rows)).to_pylist()
    wanted = [evaluated(tree, row) for row in rows]
    if expression.kind == "number":
        wanted = [None if value is None else float(value) for value in wanted]
    assert found == wanted


@given(condition(1), ROWS)
def test_one_row_at_a_time_gives_what_all_rows_give(tree: Tree, rows: list[dict[str, Any]]) -> None:
    expression = Expression.parse(rendered(tree), SCHEMA)
    one_by_one = [expression.evaluate(table([row])).to_pylist()[0] for row in rows]
    assert expression.evaluate(table(rows)).to_pylist() == one_by_one


@given(condition(2) | numeric(3), ROWS)
def test_the_way_of_one_row_gives_the_same(tree: Tree, rows: list[dict[str, Any]]) -> None:
    expression = Expression.parse(rendered(tree), SCHEMA)
    one = for_one_row(expression.nodes, expression.kinds, {name: at for at, name in enumerate(SCHEMA.names)})
    given = table(rows).set_column(6, "m", table(rows)["m"].cast(pa.int64())).to_pylist()
    found = [one(list(row.values())) for row in given]
    wanted = expression.evaluate(table(rows)).to_pylist()
    assert found == wanted
    assert [type(value) for value in found] == [type(value) for value in wanted]


FIVE = table(
    [
        {
            "w": 1,
            "v.7d": 10,
            "n": 0.5,
            "odd name": 2.5,
            "t": "retail",
            "b": True,
            "m": datetime(2024, 1, 1, tzinfo=UTC),
        },
        {
            "w": 2,
            "v.7d": 3,
            "n": math.nan,
            "odd name": 3.5,
            "t": None,
            "b": False,
            "m": datetime(2024, 6, 1, tzinfo=UTC),
        },
        {"w": None, "v.7d": 0, "n": 1.25, "odd name": -2.5, "t": "état", "b": None, "m": None},
    ]
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3 = 7 and (1 + 2) * 3 = 9", [True] * 3),
        ("10 - 3 - 2 = 5 and 2 * 6 / 3 = 4.0 and -7 % 3 = -1", [True] * 3),
        ("- w + 1", [0, -1, None]),
        ("not b or b", [True, True, None]),
        ("not w = 1 and true", [False, True, None]),
        ("w != 2 or n > 0", [True, None, True]),
        ("w is null", [False, False, True]),
        ("n IS NOT NULL", [True, False, True]),
        ("w / 0", [None] * 3),
        ("v.7d % 0", [None] * 3),
        ("round(\"odd name\")", [2.0, 4.0, -2.0]),
        ("round(n, 1)", [0.5, None, 1.2]),
        ("floor(n) + ceil(n)", [1.0, None, 3.0]),
        ("length(t)", [6, None, 4]),
        ("coalesce(w, v.7d, 5)", [1, 2, 0]),
        ("coalesce(t, 'none')", ["retail", "none", "état"]),
        ("min(w, 2.5, v.7d)", [1.0, 2.0, None]),
        ("max(w, v.7d)", [10, 3, None]),
        ("m >= '2024-03-01'", [False, True, None]),
        ("m between '2024-01-01T00:00:00Z' and '2024-01-02'", [True, False, None]),
        ("m in ('2024-06-01')", [False, True, None]),
        ("m - m", [0.0, 0.0, None]),
        ("t not in ('retail') # with a comment", [False, None, True]),
        ("w not between 2 and 5", [True, False, None]),
        ("9223372036854775807 + w", [None] * 3),
        ("w\n  > 1", [False, True, None]),
        ("b = true", [True, False, None]),
        ("'a' < 'b'", [True] * 3),
        ("length('abc')", [3, 3, 3]),
        ("-9223372036854775808 < w", [True, True, None]),
    ],
)  # fmt: skip
def test_what_expressions_say(text: str, wanted: list[Any]) -> None:
    expression = Expression.parse(text, SCHEMA)
    assert expression.evaluate(FIVE).to_pylist() == wanted
    one = for_one_row(expression.nodes, expression.kinds, {name: at for at, name in enumerate(SCHEMA.names)})
    rows = FIVE.set_column(6, "m", FIVE["m"].cast(pa.int64())).to_pylist()
    assert [one(list(row.values())) for row in rows] == wanted


WINDOW = Parameter(172_800, "48h")
LOW, WORD = Parameter(850_000, "8500"), Parameter("retail", "retail")
GIVEN = {"window": WINDOW, "low": LOW, "word": WORD, "least": Parameter(-2, "-2"), "sure": Parameter(True, "true")}


def test_parameters_stand_for_values_and_inside_names() -> None:
    name = "sender.out.count.2d[amount 8500..9999]"
    schema = pa.schema([*SCHEMA, (name, pa.int64())])
    rows = FIVE.append_column(name, pa.array([3, 1, None]))
    text = "sender.out.count.$window[ amount $low..9999 ] >= -$least and $low = 850000 and t in ('x', $word) and $sure"
    expression = Expression.parse(text, schema, parameters=GIVEN)
    assert expression.columns == (name, "t")
    assert expression.evaluate(rows).to_pylist() == [True, False, False]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("w > $high", "line 1, column 5", r"no parameter \$high .* there are \$window, \$low"),
        ("w > 1 and\n a.$high > 1", "line 2, column 2", r"no parameter \$high"),
        ("sender.out.count.$window[amount] > 1", "line 1, column 1", "no range"),
        ("w[1] > 2", "line 1, column 1", "window feature"),
        ("w > $", "line 1, column 5", "means nothing"),
    ],
)
def test_what_is_wrong_with_parameters_and_filters(text: str, place: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Expression.parse(text, SCHEMA, parameters=GIVEN)
    assert caught.value.where == place


def test_a_chain_too_deep_to_call_is_worked_out_node_by_node() -> None:
    nodes, kinds = checked(parse(" + ".join(["w"] * 3_000) + " > 2999"), {"w": pa.int64()})
    one = for_one_row(nodes, kinds, {"w": 0})
    assert [one([1]), one([0]), one([None])] == [True, False, None]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "line 1, column 1", "empty"),
        ("w >", "line 1, column 4", "the end"),
        ("(w > 1", "line 1, column 7", "`(` is at line 1, column 1"),
        ("w > 1)", "line 1, column 6", "does not go on"),
        ("w > 1\n  and x = 2", "line 2, column 7", "no column 'x'"),
        ("w > 'a'", "line 1, column 3", "a whole number and a text"),
        ("w and b", "line 1, column 3", "`and` is given a whole number and true or false"),
        ("1 < w < 3", "line 1, column 7", "between 1 and 5"),
        ("w = null", "line 1, column 5", "is null"),
        ("w in ()", "line 1, column 7", "in the list"),
        ("w in 3", "line 1, column 6", "write in (1, 2, 3)"),
        ("t in (1)", "line 1, column 3", "a text and its list has a whole number"),
        ("t = 'open", "line 1, column 5", "does not end"),
        ('"open', "line 1, column 1", "does not end"),
        ("w ; 1", "line 1, column 3", "';' means nothing"),
        ("12abc > 1", "line 1, column 1", "'12abc' is not a number"),
        ("99999999999999999999 > w", "line 1, column 1", "64 bits"),
        ("1e999 > n", "line 1, column 1", "larger than any"),
        ("w not like 3", "line 1, column 3", "not in"),
        ("sqrt(w) > 1", "line 1, column 1", "there are abs"),
        ("abs(w, 1)", "line 1, column 1", "it takes 1"),
        ("length(w)", "line 1, column 1", "a whole number"),
        ("round(n, w)", "line 1, column 10", "write 0 to 12"),
        ("round(n, 99)", "line 1, column 10", "write 0 to 12"),
        ("m > 'yesterday'", "line 1, column 5", "is not a moment"),
        ("b < b", "line 1, column 3", "true or false"),
        ("__import__('os')", "line 1, column 1", "no function"),
        ("not", "line 1, column 4", "a value is wanted"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, place: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Expression.parse(text, SCHEMA, where="rule 3")
    assert caught.value.where == f"rule 3, {place}"
    assert said in str(caught.value)


@pytest.mark.parametrize("opening", ["(", "not ", "-(", "abs(", "- "])
def test_ten_thousand_levels_are_refused_and_do_not_crash(opening: str) -> None:
    with pytest.raises(UsageError, match=f"more than {MOST_NESTING} deep"):
        Expression.parse(opening * 10_000 + "w" + ")" * 10_000 * ("(" in opening), SCHEMA)


def test_nesting_up_to_the_limit_is_read() -> None:
    depth = MOST_NESTING - 1
    assert Expression.parse("(" * depth + "w" + ")" * depth, SCHEMA).evaluate(FIVE).to_pylist() == [1, 2, None]


def test_a_long_chain_needs_no_stack() -> None:
    text = " + ".join(["w"] * 10_000)
    assert Expression.parse(text, SCHEMA).evaluate(FIVE).to_pylist() == [10_000, 20_000, None]


def test_a_megabyte_is_refused() -> None:
    with pytest.raises(UsageError, match=f"{MOST_CHARACTERS:,} are read"):
        Expression.parse("w" * 1_000_000, SCHEMA)


PIECES = ["w", "n", "(", ")", "and", "or", "not", "in", "is", "null", ",", "+", "-", "1", "'a'", "=", "<", "b"]


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    where = ""
    try:
        read = len(Expression.parse(text, SCHEMA).evaluate(FIVE))
    except UsageError as error:
        read, where = 0, error.where
    assert read == FIVE.num_rows or where.startswith("line ")


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pa.int8(), [1, None, -128]),
        (pa.uint32(), [1, None, 2**32 - 1]),
        (pa.float32(), [1.0, None, -128.0]),
        (pa.date32(), None),
        (pa.uint64(), None),
        (pa.decimal128(10, 2), None),
        (pa.list_(pa.int8()), None),
    ],
)
def test_types_of_columns(dtype: pa.DataType, values: list[Any] | None) -> None:
    schema = pa.schema([("x", dtype)])
    if values is None:
        with pytest.raises(UsageError, match="which expressions do not read"):
            Expression.parse("x is null", schema)
    else:
        rows = pa.table({"x": pa.array(values, dtype)})
        assert Expression.parse("x > 0", schema).evaluate(rows).to_pylist() == [v and v > 0 for v in values]


def test_texts_in_dictionaries_and_chunks() -> None:
    chunks = pa.chunked_array([pa.array(["a", None]), pa.array(["b"])]).dictionary_encode()
    rows = pa.table({"t": chunks, "w": pa.chunked_array([[1], [2, 3]])})
    expression = Expression.parse("t = 'a' or w = 3", rows.schema)
    assert expression.evaluate(rows).to_pylist() == [True, None, True]


def test_a_condition_as_arrays() -> None:
    holds, known = Expression.parse("w > 1", SCHEMA).truth(FIVE)
    assert (holds.tolist(), known.tolist()) == ([False, True, False], [True, True, False])
    with pytest.raises(UsageError, match="not true or false"):
        Expression.parse("w + 1", SCHEMA).truth(FIVE)


def test_rows_of_another_schema_are_refused() -> None:
    expression = Expression.parse("w > 1", SCHEMA)
    with pytest.raises(RefusedTypeError, match="no single column 'w'"):
        expression.evaluate(pa.table({"x": [1]}))
    with pytest.raises(RefusedTypeError, match="of type string"):
        expression.evaluate(pa.table({"w": ["1"]}))


def test_no_rows() -> None:
    rows = SCHEMA.empty_table()
    for text in ("w * v.7d + n > 1", "t = 'a' and b", "length(t)", "m - m", "1 + 1"):
        assert len(Expression.parse(text, SCHEMA).evaluate(rows)) == 0
