"""All shipped rules over made columns, beside the same conditions in DuckDB; and one payment at a time.

    python benchmarks/bench_rules.py [--rows 1000000]

Seconds are CPU seconds of the process, one thread each. DuckDB reads the same Arrow table and counts the hits of each
condition.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from greywater.detectors.rules.columns import type_of_column
from greywater.detectors.rules.compiling import compiled
from greywater.detectors.rules.rule_set import BoundRules, RuleSet
from greywater.features.expressions.syntax import Node

#: Words of columns that are whole numbers.
WHOLE = ("count", "counterparties", "senders", "receivers", "shortest", "largest", "hops", "zeros", "round_amount")
ONE_BY_ONE = 5_000


def made(rules: RuleSet, rows: int, seed: int = 7) -> pa.Table:
    """A table of every column that the rules read: lognormal amounts with gaps, small counts."""
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for name in rules.columns:
        whole = type_of_column(name, {}) == pa.int64() or any(word in name for word in WHOLE)
        if whole or name.startswith(("pair.", "payment.c")):
            columns[name] = draw.poisson(2, rows)
            continue
        values = draw.lognormal(10, 2, rows)
        values[draw.random(rows) < 0.1] = np.nan
        columns[name] = values
    return pa.table(columns)


def as_sql(node: Node, nodes: tuple[Node, ...], table: pa.Table) -> str:
    """A condition as DuckDB reads it: NaN is null."""
    given = [as_sql(nodes[each], nodes, table) for each in node.operands]
    if node.form == "literal":
        return repr(node.values[0])
    if node.form == "column":
        quoted = f'"{node.name}"'
        floating = pa.types.is_floating(table.schema.field(node.name).type)
        return f"(case when isnan({quoted}) then null else {quoted} end)" if floating else quoted
    if node.form == "function":
        return f"{({'min': 'least', 'max': 'greatest'}).get(node.name, node.name)}({', '.join(given)})"
    if node.name == "between":
        return f"({given[0]} between {given[1]} and {given[2]})"
    return f"({given[0]} {node.name} {given[1]})" if len(given) == 2 else f"({node.name} {given[0]})"


def seconds(work: Any, repeats: int = 3) -> tuple[float, Any]:
    """Least CPU seconds of some repeats, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        begun = time.process_time()
        result = work()
        best = min(best, time.process_time() - begun)
    return best, result


def one_by_one(bound: BoundRules, table: pa.Table) -> float:
    """Microseconds a payment."""
    rows = [list(row) for row in zip(*(table[name][:ONE_BY_ONE].to_pylist() for name in bound.columns), strict=True)]
    spent, _ = seconds(lambda: [bound.one(row) for row in rows])
    return spent / len(rows) * 1e6


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    rows = options.parse_args().rows
    rules = RuleSet.load()
    rules = rules.only([rule.id for rule in rules.rules])
    table = made(rules, rows)
    bound = rules.bind(table.schema)
    active = [rules.rules[place] for place in bound.active]
    ours, hits = seconds(lambda: bound.evaluate(table))
    scoring, _ = seconds(lambda: hits.score)

    types = {field.name: field.type for field in table.schema}
    wholes = [compiled(rule, types).nodes for rule in active]
    counts = ", ".join(f"count(*) filter (where {as_sql(nodes[-1], nodes, table)})" for nodes in wholes)
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.register("payments", table)
    theirs, counted = seconds(lambda: connection.execute(f"select {counts} from payments").fetchone())
    agree = [int(count) for count in counted or ()] == [int(hits.of(rule.id).sum()) for rule in active]

    print(f"{len(active)} rules, {len(bound.columns)} columns, {rows:,} payments, {len(bound.program.nodes)} steps")
    print("| | payments a CPU second | against DuckDB |")
    print("|---|---|---|")
    print(f"| rules, answers of every payment | {rows / ours:,.0f} | {theirs / ours:.2f} x |")
    print(f"| rules, answers and score | {rows / (ours + scoring):,.0f} | {theirs / (ours + scoring):.2f} x |")
    print(f"| DuckDB {duckdb.__version__}, counts of hits only | {rows / theirs:,.0f} | 1 |")
    print(f"one payment at a time: {one_by_one(bound, table):.1f} us of CPU; the same hits as DuckDB: {agree}")


if __name__ == "__main__":
    main()
