"""Every feature is documented in docs/features.md, but for those of graph and exposure, which have their own pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greywater.config import Settings
from greywater.features.catalog import payments_v1, payments_v2, payments_v3
from greywater.features.feature import Feature
from greywater.features.joined import FAMILIES, joined_features

DOCS = Path(__file__).resolve().parents[2] / "docs"
DAY_US = 86_400 * 10**6


def template(feature: Feature) -> str:
    """The name as the documents write it."""
    parts = feature.name.split(".")
    if feature.parameters.get("label"):
        parts[-1] = "{window}"
    if parts[0] in ("sender", "receiver"):
        parts[0] = "{party}"
    if parts[1] in ("out", "in"):
        parts[1] = "{direction}"
    return ".".join(parts)


def joined_template(name: str) -> str:
    party, _, rest = re.sub(r"\.\d+\.", ".{k}.", name).partition(".")
    return f"{{party}}.{rest}" if party in ("sender", "receiver") else name


def quoted(page: str = "features.md") -> set[str]:
    """What a page sets as code, without its examples."""
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"`([^`]+)`", text))


def test_every_feature_without_the_graph_is_documented() -> None:
    said = quoted()
    wanted = {template(f) for resolution in (1, DAY_US) for f in payments_v1(Settings(), resolution).features}
    joined = {joined_template(feature.name) for feature in joined_features(tuple(FAMILIES))}
    assert sorted(wanted - said) == []
    columns = {name for name in said if re.fullmatch(r"(payment|calendar|pair|\{party\})\.[a-z_.{}]+", name)}
    assert sorted(columns - wanted - joined) == []
    assert sorted(joined - said) == []


def test_every_column_of_exposure_is_documented() -> None:
    plan = payments_v3(Settings(exposure_hops=3), 1).exposure
    assert plan is not None
    wanted = {re.sub(r"_[23]\.", "_{h}.", template(feature)) for feature in plan.features}
    said = {name for name in quoted("exposure.md") if re.fullmatch(r"(exposure|\{party\})\.[a-z_.{}]+", name)}
    assert said == wanted


@pytest.mark.parametrize("resolution_us", [1, DAY_US])
def test_the_numbers_of_columns_are_those_of_the_sets(resolution_us: int) -> None:
    said = (DOCS / "features.md").read_text(encoding="utf-8")
    place = 1 if resolution_us == 1 else 2
    for make in (payments_v1, payments_v2, payments_v3):
        set_ = make(Settings(), resolution_us)
        row = next(line for line in said.splitlines() if line.startswith(f"| `{set_.name}`"))
        assert row.split("|")[1 + place].strip() == str(len(set_.names)), set_.name


def test_what_is_left_out_is_named() -> None:
    said = quoted()
    set_ = payments_v2(Settings(), 1)
    assert set_.graph is not None
    kept = {feature.name for feature in set_.graph_features}
    for feature in set_.graph.features:
        statistic = feature.name.split(".")[-2]
        if feature.name not in kept:
            assert statistic in said, f"docs/features.md does not say that {statistic} is left out"
