"""The page of the SynthAML benchmark: models beside the published ones, rarer reports, drift, worth of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from greywater.desk.document import Block, Bullets, Document, Picture, Section, Table, Text
from greywater.desk.experiment_pictures import Axis, Line, axis_of, plot

__all__ = ["alert_benchmark_page", "percent_of", "pictures_of"]

STYLES: Final = ("report.css", "experiments.css")
#: Columns shown for each model.
MOST_COLUMNS: Final = 10

_REMEDIES: Final = {
    "none": "none", "weights": "weights", "under": "under-sampling", "over": "over-sampling", "smote": "SMOTE",
}  # fmt: skip


def alert_benchmark_page(found: Mapping[str, Any]) -> Document:
    """Make the page.

    Parameters
    ----------
    found : mapping
        `AlertBenchmark.to_json()`.
    """
    train, test = found["train"], found["test"]
    told = (
        f"{found['alerts']} and {found['transactions']}: {train['alerts']:,} alerts before {found['test_from']} "
        f"({train['reported']:,} reported) to learn from, {test['alerts']:,} from then on ({test['reported']:,}) to "
        f"measure; {found['seeds']} seeds."
    )
    sections = [
        Section("Models", _models(found["models"])),
        Section("Rarer reports", _imbalance(found["imbalance"])),
        Section("Concept drift", _drift(found["drift"])),
        Section("What columns are worth", _worth(found["interpretability"])),
        Section("Notes", [Bullets(found["notes"])]),
    ]
    return Document("The SynthAML benchmark", told, sections, STYLES)


def percent_of(spread: Mapping[str, Any]) -> str:
    """Mean ROC AUC in percent, and its standard deviation over the seeds in brackets.

    Examples
    --------
    >>> percent_of({"mean": 0.6262, "sd": 0.0041}), percent_of({"mean": 0.5, "sd": None}), percent_of({"mean": None})
    ('62.62 (0.41)', '50.00', '–')
    """
    if spread["mean"] is None:
        return "–"
    sd = spread.get("sd")
    return f"{100 * spread['mean']:.2f}" + ("" if sd is None else f" ({100 * sd:.2f})")


def pictures_of(named: Sequence[tuple[str, str]]) -> Picture:
    """Named SVG charts beside each other; those that are empty are left out."""
    drawn = "".join(f"<figure><h3>{name}</h3>{svg}</figure>" for name, svg in named if svg)
    return Picture(f'<div class="charts">{drawn}</div>' if drawn else "", ", ".join(name for name, svg in named if svg))


def _models(models: Sequence[Mapping[str, Any]]) -> list[Block]:
    rows = [
        [each["model"], percent_of(each["roc_auc"]), _published(each["published_percent"])]
        for each in sorted(models, key=lambda each: -(each["roc_auc"]["mean"] or 0.0))
    ]
    words = (
        "ROC AUC in percent, mean and (standard deviation) over the seeds. Published: trained and tested on the "
        "published synthetic files (Jensen et al., Scientific Data 2023); compare only where those files were given."
    )
    return [Table(["Model", "ROC AUC", "Published"], rows, words, frozenset({1, 2}))]


def _published(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _imbalance(cells: Sequence[Mapping[str, Any]]) -> list[Block]:
    if not cells:
        return []
    blocks: list[Block] = [
        Text(
            "The training alerts are thinned to each rate, the test alerts stay as they are: ROC AUC does not depend "
            "on their rate. Percent, mean and (standard deviation) over seeds that each draw their own alerts."
        )
    ]
    headings = ["Rate", "Reported", *_REMEDIES.values()]
    for model in dict.fromkeys(cell["model"] for cell in cells):
        own = [cell for cell in cells if cell["model"] == model]
        rows = []
        for rate in dict.fromkeys(cell["rate"] for cell in own):
            at = {cell["remedy"]: cell for cell in own if cell["rate"] == rate}
            reported = next(iter(at.values()))["reported"]
            rows.append([_rate(rate), f"{reported:,}", *(percent_of(at[name]["auc"]) for name in _REMEDIES)])
        blocks.append(Table(headings, rows, model, frozenset(range(len(headings)))))
    reasons = {f"{cell['model']}: {cell['why']}" for cell in cells if cell["why"]}
    return [*blocks, Bullets(sorted(reasons))]


def _rate(rate: float) -> str:
    return f"{100 * rate:g} %"


def _drift(drift: Mapping[str, Any]) -> list[Block]:
    cells, points = drift["quarters"], drift["upkeep"]
    if not cells and not points:
        return []
    blocks: list[Block] = []
    for model in dict.fromkeys(cell["model"] for cell in cells):
        own = [cell for cell in cells if cell["model"] == model]
        measured = list(dict.fromkeys(cell["measured"] for cell in own))
        at = {(cell["learned"], cell["measured"]): cell["auc"] for cell in own}
        rows = [
            [learned, *(percent_of(at[learned, when]) if (learned, when) in at else "" for when in measured)]
            for learned in dict.fromkeys(cell["learned"] for cell in own)
        ]
        caption = f"{model}: learned from one quarter (rows), measured on a later one"
        blocks.append(Table(["Learned from", *measured], rows, caption, frozenset(range(1, len(measured) + 1))))
    words = (
        f"Upkeep: every model begins with the outcomes of the first quarter; after each later one it is given "
        f"{drift['labels_per_quarter']:,} of that quarter's outcomes (none: none; all outcomes: every one). Outcomes "
        "count as known when their quarter ends."
    )
    pictures = []
    for model in dict.fromkeys(point["model"] for point in points):
        own = [point for point in points if point["model"] == model]
        measured = list(dict.fromkeys(point["measured"] for point in own))
        ways = list(dict.fromkeys(point["upkeep"] for point in own))
        at = {(point["upkeep"], point["measured"]): point for point in own}
        rows = [[way, *(percent_of(at[way, when]["auc"]) for when in measured)] for way in ways]
        rows[0:0] = [["outcomes given at the end", *(f"{at['active', when]['labels']:,}" for when in measured)]]
        blocks.append(Table(["Upkeep", *measured], rows, model, frozenset(range(1, len(measured) + 1))))
        pictures.append((model, _lives(ways, measured, at)))
    keys = "".join(f'<span class="key c{place}">{way}</span>' for place, way in enumerate(_ways(points)))
    legend = Picture(f"<figure><figcaption>{keys}</figcaption></figure>", "")
    return [Text(words), *blocks, pictures_of(pictures), legend]


def _ways(points: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(point["upkeep"] for point in points))


def _lives(ways: Sequence[str], measured: Sequence[str], at: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    lines = []
    for place, way in enumerate(ways):
        means = [(float(x), at[way, when]["auc"]["mean"]) for x, when in enumerate(measured)]
        lines.append(Line(way, [(x, 100 * y) for x, y in means if y is not None], place))
    values = [y for line in lines for _, y in line.points]
    ticks = tuple((float(x), when) for x, when in enumerate(measured))
    x = Axis("measured on", 0.0, max(1.0, len(measured) - 1.0), ticks)
    return plot(lines, x, axis_of(values, "ROC AUC, percent"), "ROC AUC by quarter for each way of upkeep")


def _worth(found: Sequence[Mapping[str, Any]]) -> list[Block]:
    if not found:
        return []
    blocks: list[Block] = [
        Text(
            "Permutation: ROC AUC (percent points) lost where the column is shuffled among test alerts. Shapley and "
            "surrogate: mean size of a contribution over the explained alerts, in the model's own score. Agreement is "
            "Spearman's correlation over all columns."
        )
    ]
    agreement = [[each["model"], *(_signed(each["agreement"][key]) for key in each["agreement"])] for each in found]
    headings = ["Model", "Permutation, Shapley", "Permutation, surrogate", "Shapley, surrogate"]
    blocks.append(Table(headings, agreement, "How far the three agree", frozenset({1, 2, 3})))
    for each in found:
        rows = [
            [one["column"], f"{100 * one['permutation']:.2f}", f"{one['shapley']:.4f}", f"{one['surrogate']:.4f}"]
            for one in each["columns"][:MOST_COLUMNS]
        ]
        caption = f"{each['model']}, the first {len(rows)} of {len(each['columns'])} columns by permutation"
        blocks.append(Table(["Column", "Permutation", "Shapley", "Surrogate"], rows, caption, frozenset({1, 2, 3})))
    return blocks


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
