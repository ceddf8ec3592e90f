"""Rule files and settings: what is wrong is said with file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.detectors.rules.rule_set import RuleSet
from greywater.errors import FormatError, GreywaterError, UsageError

HEAD = """# Rules of the bank.

[[rule]]
id = "wires-abroad"
version = 1
title = "Wires"
description = "Many wires."
source = "the bank"
typologies = ["layering"]
about = "sender"
window = "$window"
severity = 3
"""
PARAMETERS = """
[rule.parameters.window]
default = "24h"
unit = "time"
least = "1h"
most = "30d"
meaning = "how long"
[rule.parameters.amount]
default = 100.5
unit = "money"
least = 1
most = 1000
meaning = "how much"
"""
GOOD = '''expression = """
sender.out.count.$window >= 3
  and payment.amount > $amount
"""
'''
CATALOG = {
    "sender.out.count.1d": pa.int64(),
    "sender.out.sum.1d": pa.float64(),
    "payment.amount": pa.float64(),
    "payment.channel": pa.int64(),
}


def written(folder: Path, expression: str = GOOD, parameters: str = PARAMETERS, head: str = HEAD) -> Path:
    path = folder / "bank.toml"
    path.write_text(head + expression + parameters, encoding="utf-8")
    return path


def refused(path: Path) -> GreywaterError:
    with pytest.raises((FormatError, UsageError)) as caught:
        RuleSet.load(path).check(CATALOG)
    assert caught.value.mend
    assert len(str(caught.value)) < 600
    return caught.value


def test_a_rule_is_read_and_evaluated(tmp_path: Path) -> None:
    rules = RuleSet.load(written(tmp_path))
    rules.check(CATALOG)
    (rule,) = rules.rules
    assert rule.window_seconds == 86_400
    assert rules.columns == ("sender.out.count.1d", "payment.amount")
    rows = pa.table({"sender.out.count.1d": [3, 3, 2], "payment.amount": [10_051.0, 10_050.0, 99_999.0]})
    assert rules.evaluate(rows).of("wires-abroad").tolist() == [True, False, False]
    yen = RuleSet.load(written(tmp_path), exponent=0)
    assert yen.evaluate(rows).of("wires-abroad").tolist() == [True, True, False]


def test_a_file_that_begins_with_a_mark_is_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [rule.id for rule in RuleSet.load(path).rules] == ["wires-abroad"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "a.toml").write_text((HEAD + GOOD + PARAMETERS).replace("wires-abroad", "another"), encoding="utf-8")
    assert [rule.id for rule in RuleSet.load(tmp_path).rules] == ["another", "wires-abroad"]
    (tmp_path / "c.toml").write_text(HEAD + GOOD + PARAMETERS, encoding="utf-8")
    with pytest.raises(UsageError, match="two rules have the id") as caught:
        RuleSet.load(tmp_path)
    assert "bank.toml" in caught.value.where
    assert "c.toml" in caught.value.where


@pytest.mark.parametrize(
    ("expression", "place", "said"),
    [
        ('expression = "sender.out.cuont.1d > 3"\n', "line 13, column 15", "perhaps 'sender.out.count.1d' or"),
        ("expression = 'payment.amount >'\n", "line 13, column 31", "the end"),
        ('expression = """\n\n3 < 4 and\n  payment.amuont > $amount"""\n', "line 16, column 3", "payment.amount"),
        ('expression = """payment.amount > \'a\'"""\n', "line 13, column 32", "a number and a text"),
        ('expression = """\npayment.amount / (2 - 2) > 1"""\n', "line 14, column 16", "divides by zero"),
        ('expression = """\npayment.channel % 0 > 1"""\n', "line 14, column 17", "divides by zero"),
        ('expression = """\npayment.amount + 1"""\n', "line 14, column 1", "not true or false"),
        ('expression = """\npayment.amount > $amuont"""\n', "line 14, column 18", "no parameter \\$amuont"),
        ('expression = """\nsender.out.count.$window[amount 9..5] > 1"""\n', "line 14, column 1", "above its end"),
        ('expression = "1 < 2"\n', "rule wires-abroad", "reads no column"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_expression(tmp_path: Path, expression: str, place: str, said: str) -> None:
    error = refused(written(tmp_path, expression))
    assert "bank.toml, rule wires-abroad" in error.where
    assert error.where.endswith(place)
    assert said.replace("\\", "") in str(error)


@pytest.mark.parametrize("opening", ["(", "not ", "abs("])
def test_ten_thousand_nested_brackets(tmp_path: Path, opening: str) -> None:
    deep = opening * 10_000 + "payment.amount" + ")" * 10_000 * ("(" in opening)
    error = refused(written(tmp_path, f'expression = """\n{deep} > 1"""\n'))
    assert "nested more than 100 deep" in error.found
    assert "line 14, column" in error.where


def test_an_expression_of_a_megabyte(tmp_path: Path) -> None:
    error = refused(written(tmp_path, f'expression = """\n{"payment.amount + " * 60_000} 1 > 1"""\n'))
    assert "65,536 are read" in error.found
    assert error.where.endswith("rule wires-abroad, line 14, column 1")


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        (lambda text: text.replace("severity = 3", "severity = 9"), "rule wires-abroad", "severity 9"),
        (lambda text: text.replace("severity = 3", 'severity = "3"'), "line 14", "not a whole number"),
        (lambda text: text.replace("severity", "severty"), "rule wires-abroad", "perhaps 'severity' is meant"),
        (lambda text: text.replace('about = "sender"', 'about = "them"'), "line 14", "sender, receiver, both"),
        (lambda text: text.replace('"wires-abroad"', '"Wires Abroad"'), "bank.toml", "no id"),
        (lambda text: text.replace('title = "Wires"\n', ""), "line 13", "has no title"),
        (lambda text: text.replace("version = 1", "version = 0"), "rule wires-abroad", "below 1"),
        (lambda text: text.replace('window = "$window"', 'window = "soon"'), "rule wires-abroad", "no window"),
        (lambda text: text.replace("default = 100.5", "default = 5000"), "parameter amount", "out of bounds"),
        (lambda text: text.replace("most = 1000", "most = nan"), "parameter amount", "most is no number"),
        (lambda text: text.replace("default = 100.5", "default = 1e308").replace("most = 1000", "most = inf"),
         "parameter amount", "larger than any amount"),
        (lambda text: text.replace("default = 100.5", f"default = {10**25}").replace("most = 1000", f"most = {10**25}"),
         "parameter amount", "larger than any amount"),
        (lambda text: text.replace('default = "24h"', "default = 24"), "parameter window", "24"),
        (lambda text: text.replace('default = "24h"', 'default = "9999d"'), "parameter window", "no length of time"),
        (lambda text: text.replace('unit = "money"\n', ""), "parameter amount", "has no unit"),
        (lambda text: text.replace("$amount", "7"), "rule wires-abroad", "amount is not used"),
        (lambda text: text.replace("[[rule]]", "[[rules]]"), "bank.toml", "perhaps 'rule' is meant"),
        (lambda text: text.replace('id = "', 'id = '), "line 4, column 6", "no TOML"),
        (lambda text: "x = " + "[" * 10_000 + "\n" + text, "bank.toml", "nested too deep"),
        (lambda text: 'state = "off"', "bank.toml", "means nothing"),
        (lambda text: "", "bank.toml", "no rule"),
        (lambda text: text.replace("severity = 3", 'severity = 3\nstate = "off"'), "wires-abroad", "does not say why"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(tmp_path: Path, change: Any, place: str, said: str) -> None:
    path = written(tmp_path)
    path.write_text(change(path.read_text()), encoding="utf-8")
    error = refused(path)
    assert place in error.where
    assert said in str(error)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "UTF-8" in refused(tmp_path / "bytes.toml").found
    assert "cannot be read" in refused(tmp_path / "missing.toml").found
    (tmp_path / "huge.toml").write_bytes(b"#" * 8_000_001)
    assert "8,000,000" in refused(tmp_path / "huge.toml").found


SETTINGS = """
[rules.wires-abroad]
state = "shadow"
severity = 5
[rules.wires-abroad.parameters]
window = "48h"
amount = 7
"""


def test_settings_override(tmp_path: Path) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(SETTINGS, encoding="utf-8")
    plain, changed = RuleSet.load(written(tmp_path)), RuleSet.load(written(tmp_path), settings=path)
    (rule,) = changed.rules
    assert (rule.state, rule.severity, rule.window_seconds) == ("shadow", 5, 172_800)
    assert changed.columns == ("sender.out.count.2d", "payment.amount")
    assert changed.fingerprint != plain.fingerprint
    again = RuleSet.from_json(changed.to_json())
    assert again.fingerprint == changed.fingerprint
    assert again.rules == changed.rules


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[rules.wires-abroad]", "[rules.wires-abrod]", "perhaps wires-abroad is meant"),
        ("amount = 7", "amuont = 7", "it has window, amount"),
        ("amount = 7", "amount = 7000", "give 1 to 1000"),
        ("amount = 7", 'amount = "7"', "not a number"),
        ('state = "shadow"', 'state = "asleep"', "on, shadow, off"),
        ("severity = 5", "severity = 6", "severity 6"),
        ("severity = 5", "severity = true", "not a whole number"),
        ("severity = 5", "weight = 5", "means nothing"),
    ],
)
def test_what_is_wrong_with_settings(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(SETTINGS.replace(old, new), encoding="utf-8")
    with pytest.raises((FormatError, UsageError), match=said):
        RuleSet.load(written(tmp_path), settings=path)
