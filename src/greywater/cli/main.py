"""The command `greywater`: names its sub-commands, loads the one that is called, and ends with one clear message."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from greywater._version import __version__
from greywater.errors import GreywaterError

__all__ = ["COMMANDS", "Command", "application", "run"]


@dataclass(frozen=True)
class Command:
    """A sub-command that is imported when it is called.

    Parameters
    ----------
    home : str
        `module:function`; the function has typer's annotations.
    about : str
        One line for the list of commands.
    """

    home: str
    about: str

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.home.partition(":")[0]

    def load(self) -> Callable[..., None]:
        """Import the function."""
        module, _, name = self.home.partition(":")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]


#: What the first word of commands of two words stands for.
GROUPS: Final = {
    "rules": "Rules: which there are, whether they can be evaluated, what they did on history, how to tune them.",
    "features": "Groups and views of features: what there is, what it says, made again, served, compared.",
    "models": """Models: which there are, where each stands, promoted, retired, restored.

Examples

    greywater models list --store ./bank

    greywater models shadow MODEL

    greywater models promote MODEL --why "finds 12 % more at the same budget"

    greywater models restore

A model is a candidate, then a shadow, the champion, retired: docs/models.md.
""",
    "seeds": "Confirmed launderers: taken from past reports or closed alerts, and listed.",
    "experiments": "Fits that were written down: listed, shown, compared, tagged, exported, repeated.",
    "training-set": "Training sets as of their moments: made, listed, made again bit for bit.",
    "synth": "Made-up money: alerts and payments in files that can be shared, and how near they are to real ones.",
    "bench": "Benchmarks that others have published, run on their files or on files of their form.",
    "pipeline": "Steps from recorded payments to a judged model, declared in a file, run and gone on with.",
}

#: Sub-commands by name, in the order in which `--help` shows them. A name of two words is a command of a group.
COMMANDS: Final = {
    "run": Command(
        "greywater.cli.run:run", "Record payments, score them, and rank who is worth an investigator's hour."
    ),
    "train": Command("greywater.cli.train:train", "Fit a detector on the recorded payments and keep it."),
    "retrain": Command(
        "greywater.cli.retrain:retrain", "Fit a detector anew, measure it against the champion, and propose it."
    ),
    "score": Command(
        "greywater.cli.train:score", "Score recorded payments with the champion, or another model that was kept."
    ),
    "models list": Command("greywater.cli.models:listed", "List models, where each stands and how it did."),
    "models show": Command("greywater.cli.models:show", "Show every step of a model with its evidence."),
    "models add": Command("greywater.cli.models:add", "Register a model that was fitted elsewhere, an ONNX file."),
    "models export": Command("greywater.cli.models:export", "Write a model as an ONNX file."),
    "models shadow": Command("greywater.cli.models:shadow", "Let a candidate score beside the champion."),
    "models promote": Command("greywater.cli.models:promote", "Make a model the champion."),
    "models propose": Command("greywater.cli.retrain:propose", "Measure a model against the champion, and propose it."),
    "models decline": Command("greywater.cli.models:decline", "Decline a proposal to promote a model."),
    "models retire": Command("greywater.cli.models:retire", "Put a model out of use."),
    "models restore": Command("greywater.cli.models:restore", "Put the previous champion back."),
    "tune": Command("greywater.cli.tune:tune", "Tune a detector: many trials, hopeless ones ended early."),
    "ablate": Command("greywater.cli.ablate:ablate", "Say what each piece of a detector is worth."),
    "ingest": Command("greywater.cli.ingest:ingest", "Record payments and what is known beside them, once, in order."),
    "prioritise": Command(
        "greywater.cli.prioritise:prioritise", "Rank the alerts of another system by what became of its earlier ones."
    ),
    "evidence": Command("greywater.cli.evidence:evidence", "Show which payments formed the patterns of a payment."),
    "evaluate": Command("greywater.cli.evaluate:evaluate", "Judge a run by the labels known now, with intervals."),
    "explain": Command(
        "greywater.cli.evaluate:explain", "Explain an alert or a payment, and what would have changed it."
    ),
    "experiments list": Command("greywater.cli.experiments:listed", "List the fits that were written down."),
    "experiments show": Command("greywater.cli.experiments:show", "Show what a fit was given and how it did."),
    "experiments compare": Command("greywater.cli.experiments:compare", "Lay fits side by side."),
    "experiments page": Command("greywater.cli.experiments:page", "Write fits side by side as one HTML page."),
    "experiments tag": Command("greywater.cli.experiments:tag", "Put tags on a fit."),
    "experiments export": Command("greywater.cli.experiment_copies:export", "Hand fits to TensorBoard or MLflow."),
    "experiments repeat": Command("greywater.cli.experiment_copies:repeat", "Fit again as recorded, the same model."),
    "seeds import": Command("greywater.cli.seeds:imported", "Record confirmed launderers of a file."),
    "seeds list": Command("greywater.cli.seeds:listed", "List confirmed launderers."),
    "features create": Command("greywater.cli.features:create", "Register groups and views of a TOML file."),
    "features list": Command("greywater.cli.features:listed", "List groups and views."),
    "features describe": Command("greywater.cli.features:describe", "Show what a group or a view is."),
    "features search": Command("greywater.cli.features:search", "Find groups, views and features by words."),
    "features state": Command("greywater.cli.features:state", "Say that something is deprecated or retired."),
    "features write": Command("greywater.cli.features:write", "Write rows of a file into a group."),
    "features quarantined": Command("greywater.cli.features:quarantined", "Show the rows that rules set aside."),
    "features stats": Command("greywater.cli.feature_rows:stats", "Describe the rows of a group."),
    "features drift": Command("greywater.cli.feature_rows:drift", "Measure how far two windows of a group are apart."),
    "features backfill": Command("greywater.cli.feature_rows:backfill", "Write the features of recorded payments."),
    "features materialize": Command("greywater.cli.feature_rows:materialize", "Bring online records up to date."),
    "features vector": Command("greywater.cli.feature_rows:vector", "Show a vector as it is served."),
    "features lineage": Command("greywater.cli.feature_lineage:lineage", "Show what a thing comes from."),
    "features bind": Command("greywater.cli.feature_lineage:bind", "Write that a model reads a view."),
    "features usage": Command("greywater.cli.feature_lineage:usage", "Show who uses what, and what reuse saved."),
    "training-set make": Command("greywater.cli.training_set:make", "Make a training set in files."),
    "training-set list": Command("greywater.cli.training_set:listed", "List training sets."),
    "training-set remake": Command("greywater.cli.training_set:remake", "Make one again, the same bit for bit."),
    "pipeline run": Command("greywater.cli.pipeline:run", "Run the steps of a pipeline that are not finished."),
    "pipeline check": Command("greywater.cli.pipeline:check", "Show which steps would run, and why."),
    "pipeline export": Command("greywater.cli.pipeline:export", "Write a pipeline as a DAG of Apache Airflow."),
    "bench synthaml": Command("greywater.cli.bench:synthaml", "Run the SynthAML benchmark beside what was published."),
    "synth world": Command(
        "greywater.cli.synth_world:world", "Make up a large world of payments with laundering in it."
    ),
    "synth alertbook": Command(
        "greywater.cli.synth:alert_book", "Make up alerts with outcomes and transactions, in SynthAML's form."
    ),
    "synth report": Command("greywater.cli.synth_report:report", "Hold made-up alerts against real ones."),
    "rules list": Command("greywater.cli.rules:listed", "List rules."),
    "rules show": Command("greywater.cli.rules:show", "Show what a rule is."),
    "rules test": Command("greywater.cli.rules:check", "Check rules, and say which are evaluated."),
    "rules backtest": Command("greywater.cli.rules:backtest", "Measure rules on recorded payments."),
    "rules tune": Command("greywater.cli.rules:tune", "Sample above and below a line and recommend a threshold."),
    "parity": Command("greywater.cli.feature_lineage:parity", "Compare what was served with what the ledger says."),
    "check": Command("greywater.cli.check:check", "Verify the files, the order and the counts of a store."),
}

ABOUT: Final = """Greywater finds money laundering in payment data and says why.

Examples

    greywater run payments.csv --labels labels.csv --report report.html

    greywater ingest january.parquet february.parquet --store ./bank

    greywater evidence T1048576 --store ./bank

    greywater check --store ./bank

`greywater COMMAND --help` shows the options of a command. Documentation: docs/cli.md.
"""


class _LazyCommand(TyperCommand):
    """Stands for a sub-command in the list of commands, and becomes it when it is called."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name.split()[-1], **settings)
        self._whole = name

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Import the command and let it parse its arguments."""
        return loaded(self._whole).make_context(info_name, args, parent=parent, **extra)


class _Commands(TyperGroup):
    """The sub-commands, each imported only when it is called, and the end of every one of them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, command in COMMANDS.items():
            if find_spec(command.module) is not None:
                *group, word = name.split()
                among = self._group(group[0]).commands if group else self.commands
                among[word] = _LazyCommand(name, callback=None, help=command.about)

    def _group(self, name: str) -> TyperGroup:
        if name not in self.commands:
            self.commands[name] = TyperGroup(
                name=name, help=GROUPS[name], no_args_is_help=True, rich_markup_mode="markdown"
            )
        group = self.commands[name]
        assert isinstance(group, TyperGroup)
        return group

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command; turn what stopped it into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # who read the answer has closed the pipe, as `| head` does: typer ends quietly
            raise
        except (GreywaterError, KeyboardInterrupt, MemoryError, OSError) as error:
            if wants_traceback():
                raise
            raise typer.Exit(_explain(error)) from None


def wants_traceback() -> bool:
    """Whether `--debug` or GREYWATER_DEBUG=1 was given."""
    return os.environ.get("GREYWATER_DEBUG", "") not in ("", "0")


def loaded(name: str) -> Any:
    """The sub-command itself, imported."""
    single = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    single.command(name.split()[-1])(COMMANDS[name].load())
    return typer.main.get_command(single)


def _explain(error: BaseException) -> int:
    """Say what stopped the command, on standard error; returns the exit code."""
    from greywater.cli.output import show_error

    return show_error(error)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"greywater {__version__}")
        raise typer.Exit


def application() -> Any:
    """The command with all its sub-commands, as typer runs it."""
    app = typer.Typer(
        cls=_Commands,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(help=ABOUT)
    def greywater(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
        ] = False,
        debug: Annotated[
            bool, typer.Option("--debug", help="Show the whole traceback of an error; may stand anywhere.")
        ] = False,
    ) -> None:
        from greywater.cli.logs import configure_logging

        configure_logging()

    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `greywater`.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after the command; those of the process where left out.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    plain = words.index("--") if "--" in words else len(words)
    if "--debug" in words[:plain]:
        words = [word for place, word in enumerate(words) if place >= plain or word != "--debug"]
        os.environ["GREYWATER_DEBUG"] = "1"
    try:
        application()(words, prog_name="greywater")
    except Exception as error:  # the last door: nothing but a message may reach the person
        if wants_traceback():
            raise
        sys.exit(_explain(error))


if __name__ == "__main__":
    run()
