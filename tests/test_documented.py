"""Every command, option, setting and error is documented; what is missing is named."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from greywater import errors
from greywater.cli.main import COMMANDS, application, loaded
from greywater.config import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(command: str) -> str:
    """What docs/cli.md says under the heading of a command."""
    found = re.search(rf"^## `greywater {command}\b.*?(?=^## |\Z)", text("cli.md"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no heading for greywater {command}"
    return found.group()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_their_options(command: str) -> None:
    said = section(command)
    options = {word for parameter in loaded(command).params for word in parameter.opts if word.startswith("--")}
    assert options >= {"--store", "--project", "--json"}
    missing = {word for word in options - {"--help"} if not re.search(rf"`{word}[ `\\]", said)}
    assert not missing, f"docs/cli.md does not describe {sorted(missing)} of greywater {command}"
    assert f"    greywater {command}" in said, "an example is missing"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_is_documented_that_is_not_there(command: str) -> None:
    options = {word for parameter in loaded(command).params for word in parameter.opts}
    shown = {
        word
        for row in section(command).splitlines()
        if row.startswith("|")
        for word in re.findall(r"`(--[a-z-]+)", row)
    }
    assert shown <= options | {"--help"}, sorted(shown - options)


def test_options_of_the_command_itself() -> None:
    for parameter in application().params:
        for word in parameter.opts:
            assert f"`{word}`" in text("cli.md"), f"docs/cli.md does not describe {word}"


def test_settings() -> None:
    said = text("settings.md")
    for field in fields(Settings):
        row = next((line for line in said.splitlines() if line.startswith(f"| `{field.name}` |")), "")
        assert row, f"docs/settings.md does not describe {field.name}"
        assert f"`GREYWATER_{field.name.upper()}`" in row
        default = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default) or "(empty)"
        assert f"| `{shown}` |" in row or f"| {shown} |" in row, f"the default of {field.name} is {shown}"
        assert (
            Settings.from_environment({f"GREYWATER_{field.name.upper()}": shown.replace("(empty)", "")}) == Settings()
        )
    named = set(re.findall(r"^\| `([a-z_]+)` \|", said, re.MULTILINE))
    assert named == {field.name for field in fields(Settings)}


def test_errors() -> None:
    said = text("errors.md")
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(classes) > 10
    for error in classes:
        row = next((line for line in said.splitlines() if line.startswith(f"| `{error.__name__}` |")), "")
        assert row, f"docs/errors.md does not describe {error.__name__}"
        assert f"| {error.exit_code} |" in row  # type: ignore[attr-defined]


def test_exit_codes() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    codes = {error.exit_code for error in classes} | {0, 130}  # type: ignore[attr-defined]
    paragraph = text("cli.md").split("The exit code is that of its class")[1].split("\n\n")[0]
    for code in codes:
        assert re.search(rf"\b{code} ", paragraph), f"docs/cli.md does not say what exit code {code} means"
