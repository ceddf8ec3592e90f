"""`greywater rules ...`: which rules there are, whether they can be evaluated, what they did on history, tuning."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.rule_place import RulePlace
    from greywater.detectors.rules.back_test import RuleMeasure
    from greywater.detectors.rules.rule import Rule

__all__ = ["backtest", "check", "listed", "show", "tune"]

Rules = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE|DIR", readable=False, help="Rules beside those shipped and the project's."),
]
RuleSettings = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", readable=False, help="States and parameters of rules.")
]


def listed(
    rules: Rules = None,
    settings_file: RuleSettings = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """List the rules: severity, state, how long they look back, title.

    Examples

        greywater rules list

        greywater rules list --rules bank.toml --json -
    """
    from greywater.app.rule_place import project_rules

    found = project_rules(settings_of(store, project), _place(rules, settings_file)).rules
    if json is not None:
        write_json([rule.to_json() for rule in found], json)
    if json != "-":
        rows = [(rule.id, str(rule.severity), rule.state, _window(rule), rule.title) for rule in found]
        show_rows(f"{len(found)} rules", ("rule", "severity", "state", "looks back", "title"), rows)


def show(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule.")],
    rules: Rules = None,
    settings_file: RuleSettings = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Show a rule: what it looks for and why, its parameters, its expression, the columns it reads.

    Examples

        greywater rules show fan-in
    """
    from greywater.app.rule_place import project_rules
    from greywater.detectors.rules.compiling import columns_of

    found = project_rules(settings_of(store, project), _place(rules, settings_file))
    one = found.rule(rule)
    columns = columns_of(one, found.exponent)
    if json is not None:
        write_json({**one.to_json(), "columns": list(columns)}, json)
    if json == "-":
        return
    typer.echo(f"{one.id}, version {one.version}: {one.title}\n\n{one.description}\n")
    state = f"{one.state} ({one.why_off})" if one.state == "off" else one.state
    facts = [
        ("state", state), ("severity", str(one.severity)), ("mandatory", "yes" if one.mandatory else "no"),
        ("about", one.about), ("looks back", _window(one)), ("typologies", ", ".join(one.typologies)),
        ("source", one.source), ("only where", " ".join(one.segment.split()) or "everywhere"),
        ("reads", ", ".join(columns)),
    ]  # fmt: skip
    show_rows("Facts", ("", ""), facts)
    given = [
        (each.name, str(each.value), each.unit, f"{each.least} to {each.most}", each.meaning) for each in one.parameters
    ]
    show_rows("Parameters", ("name", "value", "unit", "bounds", "meaning"), given)
    typer.echo(f"\n{one.expression.strip()}")


def check(
    rules: Rules = None,
    settings_file: RuleSettings = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Check every rule, and say which would be evaluated on the project's features and why others would not.

    A rule that cannot be read, or could never be evaluated, is an error with file, line and column.

    Examples

        greywater rules test --rules bank.toml

        greywater rules test --store ./bank --settings rules.toml
    """
    from greywater.app.rules import check_rules
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    checked = check_rules(Actor(project=settings.project), settings, _place(rules, settings_file))
    active = [rule for rule in checked.rules.rules if rule.id not in checked.off]
    if json is not None:
        told = {
            "fingerprint": checked.rules.fingerprint,
            "features": checked.features,
            "active": [rule.id for rule in active],
            "off": dict(checked.off),
        }
        write_json(told, json)
    if json != "-":
        typer.echo(f"{len(checked.rules.rules)} rules can be read; nothing is wrong with them.")
        if checked.features:
            typer.echo(f"{len(active)} are evaluated on {checked.features}.")
        else:
            typer.echo("Which of them are evaluated is known with a project: name its --store and --project.")
        if checked.off:
            show_rows("Not evaluated", ("rule", "because"), list(checked.off.items()))


def backtest(
    chosen: Annotated[list[str] | None, typer.Argument(metavar="RULE...", help="Only these. [default: all]")] = None,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Measure from this event time.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Measure up to before this one.")] = None,
    rules: Rules = None,
    settings_file: RuleSettings = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Evaluate rules on every recorded payment as of its moment, and measure them by the recorded labels.

    Rules in shadow are measured too. A rule that is off is measured where it is named.

    Examples

        greywater rules backtest --store ./bank

        greywater rules backtest fan-in pass-through --from 2024-01-01 --to 2024-04-01
    """
    from greywater.app.rules import BackTestRequest, run_back_test
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    request = BackTestRequest(
        _place(rules, settings_file), tuple(chosen or ()), _moment(begin, "--from"), _moment(end, "--to")
    )
    with Shown() as progress:
        result = run_back_test(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(result.to_json(), json)
    if json != "-":
        base = "" if result.base_rate is None else f", {result.base_rate:.3%} of them laundering"
        typer.echo(f"{result.payments:,} payments over {result.months:.1f} months{base}.")
        measures = sorted(result.rules, key=lambda one: (-(one.precision or 0.0), one.rule))
        show_rows(
            "What the rules did",
            ("rule", "state", "hits", "precision", "95 %", "recall", "alone", "alerts a month"),
            [_measured(one) for one in (*measures, result.together)],
        )
        if result.off:
            show_rows("Not evaluated", ("rule", "because"), list(result.off.items()))


def tune(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule.")],
    parameter: Annotated[str, typer.Argument(metavar="PARAMETER", help="One of its parameters.")],
    low: Annotated[str, typer.Option("--from", metavar="VALUE", help="Least value tried.")],
    high: Annotated[str, typer.Option("--to", metavar="VALUE", help="Greatest value tried.")],
    steps: Annotated[int, typer.Option(metavar="N", help="Values tried, in even steps.")] = 7,
    sample: Annotated[int, typer.Option(metavar="N", min=1, help="Payments drawn from each band.")] = 100,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draw.")] = 7,
    worth: Annotated[float, typer.Option(metavar="SHARE", help="Precision from which looking is worth it.")] = 0.05,
    outcomes: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="CSV of what reviewers said: tx_id, label.")
    ] = None,
    rules: Rules = None,
    settings_file: RuleSettings = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Sample above and below the line of a rule, recommend a threshold, and write the change record.

    Nothing is changed: the record says what to write into the settings.

    Examples

        greywater rules tune fan-in senders --from 3 --to 12 --steps 10 --store ./bank

        greywater rules tune pass-through amount --from 500 --to 5000 --outcomes reviewed.csv
    """
    from greywater.app.rules import TuneRequest, tune_rule
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    request = TuneRequest(
        rule, parameter, low, high, steps, sample, seed, worth, outcomes, _place(rules, settings_file)
    )
    with Shown() as progress:
        result = tune_rule(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(result.to_json(), json)
    if json != "-":
        typer.echo(result.text)
    show_warnings([f"change record: {result.record}"])


def _place(rules: Path | None, settings: Path | None) -> RulePlace:
    from greywater.app.rule_place import RulePlace

    return RulePlace(rules, settings)


def _window(rule: Rule) -> str:
    from greywater.features.window_labels import window_label

    return window_label(rule.window_seconds) if rule.window_seconds else "-"


def _measured(one: RuleMeasure) -> tuple[Any, ...]:
    low, high = one.precision_interval.low, one.precision_interval.high
    return (
        one.rule,
        one.state,
        one.hits,
        "-" if one.precision is None else f"{one.precision:.2%}",
        "-" if low is None or high is None else f"{low:.2%} to {high:.2%}",
        "-" if one.recall is None else f"{one.recall:.1%}",
        one.alone,
        f"{one.alerts_a_month:,.1f}",
    )


def _moment(words: str | None, option: str) -> datetime | None:
    from greywater.errors import UsageError

    try:
        return None if words is None else datetime.fromisoformat(words)
    except ValueError:
        raise UsageError(f"{words!r} is no date", where=option, mend="write 2024-01-31") from None
