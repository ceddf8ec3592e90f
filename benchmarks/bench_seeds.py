"""What a few known launderers, late labels and a hybrid queue are worth, with splits by time: three sections a set.

    scripts/bench seeds [--sets amlsim_medium,...] [--draws N] [--folder DIR] [--parts seeds,delay,queue] [--print-only]

Seeds: 1 % and 5 % of the launderers are known and nothing else; accounts that are active in the last 20 % are ranked
by Anti-TrustRank and, by their most unusual payment, by an isolation forest. Delay: labels that come 30 and 90 days
late. Queue: how many accounts must be looked at for 95 % of the launderers, by the hybrid and by the rules alone.
Features are worked out once by the main job's own code; --folder keeps them for the next time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from graph_sets import data_folder
from greywater.app.part_makers import PartContext, make_parts
from greywater.config import Settings
from greywater.detectors.experiments import Labelled, label_delay
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.metrics import average_precision
from hybrid_sets import FILES, RuleQueue, Scored, rule_queue, scored_set
from report import table, write_section
from seed_contest import DAY_US, Contest, Moment, by_accounts, launderers, moments
from seed_rankings import DEFAULT, MIXED, RARE, WAYS, Way, best_payment, fused, looks, measured

SHARES = (0.01, 0.05)
DELAYS = (0, 30, 90)
RECALL = 0.95
MEASURES = ("AP", "precision at 100", "ROC AUC", "payments AP")
PARTS = ("seeds", "delay", "queue")


#: Of each draw of seeds the scores of all accounts, and those of the payments of the last 20 % where there are any.
Ranking = Callable[[Sequence[np.ndarray]], list[tuple[np.ndarray, np.ndarray | None]]]


def few_seeds(scored: Scored, draws: int) -> str:
    """The section on seeds alone."""
    contest = Contest(scored)
    every = tried(contest, range(draws))
    best = max(WAYS, key=lambda way: np.mean([ways[way] for ways in every.values()]))
    before = launderers(scored, slice(0, contest.last.start))
    words = (
        f"{len(contest.active):,} accounts are active in the last 20 % ({days(scored)} days), {len(contest.guilty)} of "
        f"them launder there (average precision of a random order: {contest.truth[contest.active].mean():.3f}). "
        f"{len(before):,} launder before, {len(np.intersect1d(contest.guilty, before))} both before and there. Medians "
        f"over {draws} draws of seeds, of average precision (AP) also least and greatest; seeds are not ranked, and "
        "payments are those without a seed. The forest was grown on all before the last 20 % and reads all payments in "
        "it, one after the other."
    )
    texts = [moment_table(contest, moment, best, range(draws, 2 * draws)) for moment in moments(scored)]
    return "\n\n".join([words, *texts, ways_table(every, best, draws)])


def tried(contest: Contest, draws: Sequence[int]) -> dict[tuple[str, float], dict[Way, float]]:
    """Median average precision of every way at each moment, save day by day, and share."""
    found: dict[tuple[str, float], dict[Way, float]] = {}
    for moment in moments(contest.scored):
        for way in () if moment.daily else WAYS:
            for share in SHARES:
                reached = []
                for draw in draws:
                    seeds = contest.seeds(moment, share, draw)
                    ranked = contest.others(seeds)
                    score = contest.spread(way, moment.paid).score(seeds)
                    reached.append(measured(contest.truth[ranked], score[ranked]).average_precision)
                found.setdefault((moment.words, share), {})[way] = median(reached)
    return found


def rankings(contest: Contest, moment: Moment, best: Way) -> dict[str, Ranking]:
    """What is reported of a moment."""

    def spread(way: Way, drawn: Sequence[np.ndarray]) -> list[np.ndarray]:
        if moment.daily:
            return contest.daily(way, drawn)
        return [contest.spread(way, moment.paid).score(seeds) for seeds in drawn]

    def trust(way: Way) -> Ranking:
        return lambda drawn: [
            (score, None if moment.daily else by_accounts(contest, score)) for score in spread(way, drawn)
        ]

    def forest(drawn: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        scores = [contest.forest(place) for place in range(len(drawn))]
        return [(best_payment(contest.scored.sides, contest.last, score), score) for score in scores]

    def together(drawn: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        both = []
        for seeds, trusted, (unusual, _) in zip(drawn, spread(MIXED, drawn), forest(drawn), strict=True):
            ranked, whole = contest.others(seeds), np.zeros(len(trusted))
            whole[ranked] = fused(trusted[ranked], unusual[ranked])
            both.append((whole, None))
        return both

    def alike(score: np.ndarray) -> Ranking:
        return lambda drawn: [(score, by_accounts(contest, score))] * len(drawn)

    sides, last = contest.scored.sides, contest.last
    found = {f"Anti-TrustRank: {way.words}": trust(way) for way in dict.fromkeys((DEFAULT, RARE, MIXED, best))}
    found |= {"isolation forest": forest, "the third and the forest, fused by rank": together}
    if not moment.daily:
        counted = np.bincount(np.append(sides.sender[last], sides.receiver[last]), minlength=sides.accounts)
        found["the second without seeds: PageRank"] = alike(contest.spread(RARE, moment.paid).score(None))
        found["number of payments in the last 20 %"] = alike(counted.astype(np.float64))
    return found


def moment_table(contest: Contest, moment: Moment, best: Way, draws: Sequence[int]) -> str:
    """The table of one moment."""
    drawn = {share: [contest.seeds(moment, share, draw) for draw in draws] for share in SHARES}
    rows = []
    for name, ranking in rankings(contest, moment, best).items():
        rows.append((name, *(cell for each in drawn.values() for cell in middle(contest, each, ranking(each)))))
        print(contest.scored.name, moment.words, *rows[-1], flush=True)
    heads = [f"{share:.0%}: {measure}" for share in SHARES for measure in MEASURES]
    sizes = " and ".join(f"{len(each[0])} ({share:.0%})" for share, each in drawn.items())
    return f"**{moment.words.capitalize()}**, {sizes} seeds.\n\n{table(('ranked by', *heads), rows)}"


def middle(
    contest: Contest, drawn: Sequence[np.ndarray], said: Sequence[tuple[np.ndarray, np.ndarray | None]]
) -> tuple[str, ...]:
    """Median of each measure, of the first also the least and greatest."""
    found, singly = [], []
    for seeds, (score, payments) in zip(drawn, said, strict=True):
        ranked = contest.others(seeds)
        found.append(measured(contest.truth[ranked], score[ranked]))
        singly += [] if payments is None else [contest.of_payments(payments, seeds)]
    precision = [each.average_precision for each in found]
    return (
        f"{median(precision):.3f} ({min(precision):.3f} to {max(precision):.3f})",
        f"{median(each.at_100 for each in found):.2f}",
        f"{median(each.roc_auc for each in found):.3f}",
        f"{median(singly):.3f}" if singly else "",
    )


def days(scored: Scored) -> int:
    """Days from the first payment of the last 20 % to the last."""
    return int((scored.time_us[-1] - scored.time_us[scored.split.validation]) // DAY_US) + 1


def days_before(scored: Scored) -> int:
    """Days before the first payment of the last 20 %."""
    return int((scored.time_us[scored.split.validation] - scored.time_us[0]) // DAY_US)


def ways_table(every: dict[tuple[str, float], dict[Way, float]], best: Way, draws: int) -> str:
    """Every way that was tried."""
    heads = ("way", *(f"{share:.0%} {moment}" for moment, share in every))
    rows = [
        (f"**{way.words}**" if way == best else way.words, *(f"{ways[way]:.3f}" for ways in every.values()))
        for way in WAYS
    ]
    return (
        f"All {len(WAYS)} ways that were tried: median average precision on {draws} other draws. In bold is the "
        f"best of them on the whole.\n\n{table(heads, rows)}"
    )


# -------------------------------------------------------------------- late labels


def late_labels(scored: Scored, seed: int) -> tuple[str, np.ndarray]:
    """The section on late labels, and the hybrid's scores of the last 20 % where no label is late."""
    contest, blocks, cut = Contest(scored), scored.blocks, scored.split
    edges = ((0, cut.train), (cut.train, cut.validation), (cut.validation, cut.rows))
    parts = [Labelled(blocks.slice(a, b), scored.y[a:b], scored.time_us[a:b]) for a, b in edges]
    made: list[Hybrid] = []

    def make() -> Hybrid:
        made.append(Hybrid(make_parts(PartContext(Settings(seed=seed), blocks.names))))
        return made[-1]

    rows: list[tuple[object, ...]] = []
    scores: list[np.ndarray] = []
    for delay in DELAYS:
        label_delay(make, parts[0], parts[1], parts[2], days=[delay])
        said, how = made[-1].part_scores(parts[2].X), made[-1].card["how"]
        scores.append(made[-1].score(parts[2].X))
        latest = parts[2].time_us.min() - delay * DAY_US
        known = sum(int(part.y[part.time_us <= latest].sum()) for part in parts[:2])
        rows.append((f"{delay} days", f"**hybrid** ({how})", f"{known}", *of_both(contest, scores[-1])))
        for name in ("boosted", "isolation", "rules.severity"):
            told = (
                of_both(contest, said.of(name)) if name in said.names else ("not possible: no label is known", "", "")
            )
            rows.append((f"{delay} days", f"part: {name}", f"{known}", *told))
        rows.extend(late_seeds(contest, delay))
        print(scored.name, *rows, sep="\n", flush=True)
    words = (
        "Labels are known so many days after their payment; what is not known when the last 20 % begins is called "
        "honest. Accounts: each by its most suspicious payment. New accounts: those that did not launder before, known "
        f"or not; {int(contest.truth[contest.newcomers()].sum())} of the {len(contest.newcomers()):,} launder. "
        "Anti-TrustRank reads the payments up to the start; its seeds are accounts, and a payment has the scores of "
        f"both parties, added. {days_before(scored)} days lie before the last 20 %."
    )
    heads = ("delay", "detector", "labels known", "payments: AP", "accounts: AP", "new accounts: AP")
    return f"{words}\n\n{table(heads, rows)}", scores[0]


def late_seeds(contest: Contest, delay: int) -> Iterator[tuple[object, ...]]:
    """Rows of Anti-TrustRank from the launderers whose labels are known by then."""
    scored, begin = contest.scored, contest.last.start
    known = int(np.searchsorted(scored.time_us, scored.time_us[begin] - delay * DAY_US, side="right"))
    seeds = launderers(scored, slice(0, min(known, begin)))
    for way in (DEFAULT, RARE, MIXED):
        name = f"Anti-TrustRank: {way.words}"
        if not len(seeds):
            yield f"{delay} days", name, "0", "not possible: no launderer is known", "", ""
            continue
        score = contest.spread(way, begin).score(seeds)
        told = of_both(contest, by_accounts(contest, score), score)
        yield (f"{delay} days", name, f"{len(seeds)} seeds", *told)


def of_both(contest: Contest, payments: np.ndarray, accounts: np.ndarray | None = None) -> tuple[str, str, str]:
    """Average precision over payments, over all active accounts, and over the new ones."""
    scored = contest.scored
    score = best_payment(scored.sides, contest.last, payments) if accounts is None else accounts
    found = [average_precision(scored.y[contest.last], payments)]
    found += [average_precision(contest.truth[who], score[who]) for who in (contest.active, contest.newcomers())]
    told = ["" if value is None else f"{value:.3f}" for value in found]
    return told[0], told[1], told[2]


# -------------------------------------------------------------------------- queue


def queue(scored: Scored, rules: RuleQueue, hybrid: np.ndarray) -> str:
    """The section on alerts saved: hybrid float64[k] are the hybrid's scores of the last 20 %."""
    contest = Contest(scored)
    active, last = contest.active, contest.last
    truth = contest.truth[active]
    severity = best_payment(scored.sides, last, rules.severity[last])[active]
    score = best_payment(scored.sides, last, hybrid)[active]
    hit = severity > 0
    reached = int(truth[hit].sum())
    rows: list[tuple[object, ...]] = []
    for words, wanted, within in (
        (f"{RECALL:.0%} of the launderers that the rules reach", int(np.ceil(RECALL * reached)), hit),
        (f"{RECALL:.0%} of all launderers", int(np.ceil(RECALL * truth.sum())), np.ones(len(truth), np.bool_)),
    ):
        if not wanted:
            continue
        ordered = looks(truth, np.where(hit, severity, -1.0), wanted) if wanted <= reached else None
        whole = int(hit.sum()) if wanted <= reached else None
        asked = looks(truth * within, score, wanted)
        counts = (told(each) for each in (whole, ordered, asked))
        rows.append((words, wanted, *counts, saved(whole, asked), saved(ordered, asked)))
    heads = (
        "reached", "launderers", "rules: whole queue", "rules, most severe first", "hybrid", "saved: whole queue",
        "saved: most severe first",
    )  # fmt: skip
    return (
        f"{rules.active} of {rules.rules} shipped rules can be evaluated on this set, with windows and filters that "
        f"they name and the parameters they ship with. In the last 20 % they hit {int(hit.sum()):,} of {len(active):,} "
        f"active accounts, {reached} of the {int(truth.sum())} launderers. One alert an account; counted is how many "
        "are looked at until so many launderers are reached, equal severities drawn by lot. In the first row hybrid "
        "and rules reach the same launderers.\n\n" + table(heads, rows)
    )


def told(count: int | None) -> str:
    return "never" if count is None else f"{count:,}"


def saved(before: int | None, after: int | None) -> str:
    return "" if not before or after is None else f"{1 - after / before:.1%}"


def sections(
    scored: Scored, rules: RuleQueue, draws: int, parts: Sequence[str], seed: int = 7
) -> Iterator[tuple[str, str]]:
    """Name and text of each section of one set."""
    if "seeds" in parts:
        yield f"What a few known launderers are worth: {scored.name}", few_seeds(scored, draws)
    if "delay" in parts or "queue" in parts:
        late, hybrid = late_labels(scored, seed)
        if "delay" in parts:
            yield f"What late labels cost: {scored.name}", late
        if "queue" in parts:
            yield f"Alerts saved against the rules alone: {scored.name}", queue(scored, rules, hybrid)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(FILES), help="which sets, by commas")
    parser.add_argument(
        "--draws", type=int, default=10, help="draws of seeds that are reported; as many choose the way"
    )
    parser.add_argument("--folder", type=Path, help="where features are kept for the next time")
    parser.add_argument("--parts", default=",".join(PARTS), help="which tables, by commas")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    for given, there in ((asked.sets, FILES), (asked.parts, PARTS)):
        unknown = set(given.split(",")) - set(there)
        if unknown:
            parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    with tempfile.TemporaryDirectory(prefix="greywater-bench-") as made:
        for name in asked.sets.split(","):
            if not data_folder().is_dir():
                print(f"{name}: left out, there is no {data_folder()}")
                continue
            folder = asked.folder or Path(made)
            made_of = scored_set(name, folder), rule_queue(name, folder), asked.draws, asked.parts.split(",")
            for title, text in sections(*made_of):
                if asked.print_only:
                    print(f"## {title}\n\n{text}\n")
                else:
                    write_section(title, text)


if __name__ == "__main__":
    main()
