"""Which rules a project has, and the features with windows and filters of their own that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from greywater.config import Settings
from greywater.detectors.rules.rule_file import read_settings
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.catalog import FeatureSet
from greywater.features.requests import is_request, parse_request
from greywater.stores.project_file import ProjectFile
from greywater.vocab import currency_exponent

__all__ = ["RULES", "RulePlace", "project_rules", "with_requests", "words_of"]

DAY_US: Final = 86_400_000_000
#: Folder of a project for its own rules, their settings, and the records of changes.
RULES: Final = "rules"
SETTINGS: Final = "settings.toml"


@dataclass(frozen=True)
class RulePlace:
    """Where rules and their settings are, beside those that are shipped and those of the project.

    `rules` is a TOML file or a folder of them whose rules stand beside the others; a rule with the id of another takes
    its place. `settings` overrides parameters and states.
    """

    rules: Path | None = None
    settings: Path | None = None


def project_rules(settings: Settings, place: RulePlace | None = None) -> RuleSet:
    """The shipped rules, a project's own, those of `place`, and the settings of both, the later ones first.

    Parameters
    ----------
    settings : Settings
        Store and project; a project that does not exist has no rules of its own.
    place : RulePlace, optional

    Raises
    ------
    FormatError, UsageError
        Something cannot be read; with file, line and column.
    """
    asked = place or RulePlace()
    folder = settings.project_folder / RULES
    known = ProjectFile.load(settings.project_folder)
    exponent = currency_exponent(known.base_currency) if known is not None and known.base_currency else 2
    rules = RuleSet.load(exponent=exponent)
    if folder.is_dir():
        own = [path for path in sorted(folder.glob("*.toml")) if path.name != SETTINGS]
        for path in own:
            rules = rules.joined(RuleSet.load(path, exponent=exponent))
    if asked.rules is not None:
        rules = rules.joined(RuleSet.load(asked.rules, exponent=exponent))
    if (folder / SETTINGS).is_file():
        rules = rules.with_settings(read_settings(folder / SETTINGS), str(folder / SETTINGS))
    if asked.settings is not None:
        rules = rules.with_settings(read_settings(asked.settings), str(asked.settings))
    return rules


def words_of(features: FeatureSet) -> dict[str, tuple[str, ...]]:
    """What the codes of text attributes mean, by column."""
    parties = ("sender", "receiver")
    return {f"{party}.attribute.{name}": words for name, words in features.attribute_words for party in parties}


def with_requests(features: FeatureSet, rules: RuleSet) -> FeatureSet:
    """The features, and the windows and filters of their own that rules name and the data's time resolution carries.

    Parameters
    ----------
    features : FeatureSet
    rules : RuleSet

    Examples
    --------
    >>> from greywater.features.catalog import payments_v1
    >>> with_requests(payments_v1(Settings(), 1), RuleSet.load().only(["fan-out"])).requests
    ('sender.out.counterparties.8h',)
    """
    named = dict.fromkeys(rules.columns + rules.by_day().columns if features.resolution_us >= DAY_US else rules.columns)
    asked = [name for name in named if name not in set(features.names) and is_request(name)]
    asked = [name for name in asked if parse_request(name).window * 1_000_000 >= features.resolution_us]
    return features.also(asked, base_exponent=rules.exponent) if asked else features
