"""Graph features against the Graph Feature Preprocessor of snapml, on the same payments, in one run.

    scripts/bench graph [--quick] [--print-only] [--parts bulk,single,...] [--budget SECONDS] [--repeats N]

Both run in turn, each in a process of its own, with the peer's paper settings: scatter-gather over 6 h, all else over
1 d (AMLSim, stamped to the day: 7 d), cycles to length 10, statistics of time and amount. Every part writes its own
section of docs/benchmarks.md when it is done; with --quick nothing is written and the figures mean little.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import streams
from graph_contest import OURS, PEER, Contest, Duel, figures, verdict
from graph_sets import amlsim, data_folder
from report import table, write_section

HOUR, DAY = 3_600, 86_400
PAPER = {
    "fan": DAY,
    "statistics": DAY,
    "scatter_gather": 6 * HOUR,
    "temporal_cycle": DAY,
    "simple_cycle": DAY,
}
ALL = "everything together"
WORDS = {
    "fan": "fan and degree",
    "statistics": "statistics",
    "scatter_gather": "scatter-gather",
    "temporal_cycle": "temporal cycles",
    "simple_cycle": "simple cycles",
}
#: Rows a call of each: ours in large blocks, the peer in what it is fastest with of 128, 2,048 and 16,384.
BULK = {OURS: 32_768, PEER: 2_048}
#: Least ratio of the rates, by stream and what is computed.
BULK_BOUNDS = {("sparse", ALL): 10.0, ("dense", ALL): 20.0, ("dense", "simple_cycle"): 22.0}
PATTERN_BOUNDS = {"scatter_gather": 20.0, "temporal_cycle": 20.0}
PATTERN_BOUND, BATCH_BOUND = 10.0, 5.0
DENSE_P99_US = 2_000.0
THREAD_BOUNDS = {"sparse": 1.3, "dense": 1.7}
MOST_CUT, MOST_BYTES, SAME_RATE = 0.001, 120.0, 0.75
#: Share of the cores' time that the host may take in a run of two threads, and how often undisturbed ones are tried.
MOST_STOLEN, MOST_TRIES = 0.04, 12
HUBS_SECONDS, HUBS_BYTES = 600.0, 4e9
#: The `cap` that docs/graph_features.md advises where hubs have a hundred thousand counterparties and more.
HUB_CAP = 200


@dataclass(frozen=True)
class Scale:
    """How much is measured: seconds a run, repeats, and sizes."""

    budget_s: float = 12.0
    repeats: int = 3
    quick: bool = False
    payments: int = 1_000_000
    days: float = 10.0
    warm: dict[str, int] = field(default_factory=lambda: {"sparse": 200_000, "dense": 200_000, "amlsim": 100_000})
    long: int = 5
    hub_payments: int = 20_000_000
    hub_accounts: int = 2_000_000
    hubs: int = 5
    hub_width: int = 500_000

    @classmethod
    def small(cls) -> Scale:
        """A try of everything in a few minutes."""
        warm = {"sparse": 110_000, "dense": 110_000, "amlsim": 20_000}
        return cls(1.0, 1, True, 150_000, 1.5, warm, 2, 200_000, 20_000, 5, 5_000)


@dataclass(frozen=True)
class Bench:
    """The contest, its size, and the streams it is about."""

    contest: Contest
    scale: Scale
    saved: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)

    def stream(self, name: str, times: int = 1) -> tuple[str, int]:
        """The folder of a saved stream, and its length; `times` as many payments over as many days."""
        if (name, times) not in self.saved:
            if name == "amlsim":
                found = amlsim()
                made = found.rows(slice(0, self.scale.payments) if self.scale.quick else slice(None)).stream()
            else:
                make = {"sparse": streams.sparse, "dense": streams.dense}[name]
                made = make(self.scale.payments * times, self.scale.days * times)
            self.saved[name, times] = self.contest.save(made, f"{name}-{times}"), len(made)
        return self.saved[name, times]

    @property
    def names(self) -> list[str]:
        """The streams there are; AMLSim only where the data folder is."""
        return ["sparse", "dense"] + (["amlsim"] if data_folder().is_dir() else [])

    def job(self, name: str, patterns: dict[str, int] | None = None, *, threads: int = 1) -> dict[str, Any]:
        """Rates on a stream after a warm-up that fills the windows."""
        folder, length = self.stream(name)
        windows = {pattern: 7 * DAY if name == "amlsim" else window for pattern, window in (patterns or PAPER).items()}
        warm = self.scale.warm[name]
        return {
            "task": "rate",
            "stream": folder,
            "patterns": windows,
            "max_length": 10,
            "threads": threads,
            "warm": warm,
            "rows": length - warm,
            "budget_s": self.scale.budget_s,
        }

    def duel(self, job: dict[str, Any], chunks: dict[str, int]) -> Duel:
        own = {who: {"chunk": rows} for who, rows in chunks.items()}
        return self.contest.duel(job, own=own, repeats=self.scale.repeats)


def rates(duel: Duel) -> tuple[str, str, str]:
    """Cells: the payments measured, and both rates."""
    rows = duel.middle(OURS, "rows")
    return f"{rows:,.0f}", figures(duel.values(PEER, "cpu_rate")), figures(duel.values(OURS, "cpu_rate"))


def bound(ratio: float, least: float | None) -> tuple[str, str, str]:
    """Cells: the ratio, its bound and what became of it."""
    return f"{ratio:.1f}x", "" if least is None else f">= {least:g}x", verdict(ratio, least=least)


def bulk(bench: Bench) -> str:
    lines = []
    for name in bench.names:
        for what in [ALL, *PAPER]:
            duel = bench.duel(bench.job(name, None if what == ALL else {what: PAPER[what]}), BULK)
            least = BULK_BOUNDS.get((name, what))
            if least is None and what != ALL and name != "amlsim":
                least = PATTERN_BOUNDS.get(what, PATTERN_BOUND)
            lines.append((name, WORDS.get(what, what), *rates(duel), *bound(duel.ratio("cpu_rate"), least)))
    heads = ("payments", "computed", "measured", "the peer, payments/s", "ours, payments/s", "ratio", "bound", "")
    note = (
        "One thread each; rates are payments a second of CPU time, so that what the host of a virtual machine takes "
        "away counts for neither. Medians, and every run in brackets; both began with the same payments. The peer gets "
        f"{BULK[PEER]:,} a call, what it is fastest with of 128, 2,048 and 16,384, and sees within a call what comes "
        f"later; ours gets {BULK[OURS]:,} and does not. In everything together both give fan, degree and their ratio."
    )
    return table(heads, lines) + "\n\n" + note


def batches(bench: Bench) -> str:
    lines = []
    for name in bench.names:
        duel = bench.duel(bench.job(name), {OURS: 128, PEER: 128})
        lines.append((name, *rates(duel), *bound(duel.ratio("cpu_rate"), BATCH_BOUND)))
    heads = ("payments", "measured", "the peer, payments/s", "ours, payments/s", "ratio", "bound", "")
    return table(heads, lines) + "\n\nEverything together, one thread each, payments a second of CPU time."


def single(bench: Bench) -> str:
    lines = []
    for name in bench.names:
        duel = bench.duel(bench.job(name), {OURS: 1, PEER: 1})
        for quantile in ("p50", "p99", "max"):
            ours, peer = (duel.values(who, f"{quantile}_us") for who in (OURS, PEER))
            middle = median(ours) if ours else float("nan")
            most = None if quantile == "max" else duel.middle(PEER, f"{quantile}_us")
            words = "" if most is None else "<= the peer's"
            if name == "dense" and quantile == "p99":
                most, words = min(most or DENSE_P99_US, DENSE_P99_US), f"{words} and <= {DENSE_P99_US:,.0f}"
            rows = f"{duel.middle(OURS, 'rows'):,.0f}"
            lines.append((name, rows, quantile, figures(peer), figures(ours), words, verdict(middle, most=most)))
    heads = ("payments", "measured", "", "the peer, us", "ours, us", "bound", "")
    return table(heads, lines) + "\n\nEverything together, one thread: `transform` of one row against `push`."


def threads(bench: Bench) -> str:
    lines = []
    for name in bench.names:
        found: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        for repeat in range(1 if bench.scale.quick else MOST_TRIES):
            for count in (1, 2) if repeat % 2 == 0 else (2, 1):
                result = bench.contest.run(OURS, {**bench.job(name, threads=count), "chunk": BULK[OURS]})
                found[count] += [result] if result else []
            if all(len(undisturbed(runs)) >= bench.scale.repeats for runs in found.values()):
                break
        one, two = ([run["rate"] for run in undisturbed(found[count]) or found[count]] for count in (1, 2))
        ratio = median(two) / median(one) if one and two else float("nan")
        least = THREAD_BOUNDS.get(name)
        words = "" if least is None else f">= {least:g}x"
        quiet = f"{len(undisturbed(found[1]))} and {len(undisturbed(found[2]))} of {len(found[1])}"
        lines.append((name, figures(one), figures(two), quiet, f"{ratio:.2f}x", words, verdict(ratio, least=least)))
    heads = (
        "payments", "1 thread, payments/s", "2 threads, payments/s", "undisturbed runs", "ratio", "bound", "",
    )  # fmt: skip
    note = (
        f"Everything together, in bulk, on {os.cpu_count()} cores. Runs in which the host of the virtual machine took "
        f"more than {MOST_STOLEN:.0%} of the cores' time are left out, where others are left."
    )
    return table(heads, lines) + "\n\n" + note


def undisturbed(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that had the cores to themselves."""
    return [run for run in runs if run["stolen"] <= MOST_STOLEN]


def long(bench: Bench) -> str:
    lines = []
    for name in ("sparse", "dense"):
        runs: dict[int, list[dict[str, Any]]] = {1: [], bench.scale.long: []}
        for _ in range(min(2, bench.scale.repeats)):
            for times, found in runs.items():
                job = {**bench.job(name), "task": "whole", "stream": bench.stream(name, times)[0]}
                result = bench.contest.run(OURS, job)
                found += [result] if result else []
        base = median([run["rate"] for run in runs[1]]) if runs[1] else float("nan")
        for times, found in runs.items():
            rates_found = [run["rate"] for run in found]
            ratio = median(rates_found) / base if found else float("nan")
            held = found[-1] if found else {"held": 0, "bytes_per_held": float("nan")}
            same = "" if times == 1 else f"{ratio:.2f}x, {verdict(ratio, least=SAME_RATE)}"
            size = f"{held['bytes_per_held']:.0f}, {verdict(held['bytes_per_held'], most=MOST_BYTES)}"
            span = f"{bench.scale.payments * times:,} over {bench.scale.days * times:g} days"
            lines.append((name, span, figures(rates_found), same, f"{held['held']:,}", size))
    heads = (
        "payments", "", "payments/s", f"against the short (>= {SAME_RATE:g}x)", "held at the end",
        f"bytes per held payment (<= {MOST_BYTES:g})",
    )  # fmt: skip
    note = (
        "Everything together, one thread, the whole stream from an empty graph. With the default allowed lateness "
        "payments are held 7 d longer than the windows need."
    )
    return table(heads, lines) + "\n\n" + note


def cut(bench: Bench) -> str:
    lines = []
    for name in bench.names:
        for what in ("the peer's patterns and windows", "every pattern, default windows"):
            job: dict[str, Any] = {**bench.job(name, threads=2), "task": "whole"}
            if what.startswith("every") and name == "dense":
                lines.append((name, what, "not measured: more than 10 CPU minutes", "", "", ""))
                continue
            if what.startswith("every"):
                del job["patterns"]
                job["by_day"] = name == "amlsim"
            result = bench.contest.run(OURS, job)
            shares = result["cut"] if result else {}
            some = ", ".join(f"{key} {share:.4%}" for key, share in shares.items() if share and key != "any")
            total = shares.get("any", float("nan"))
            rate = f"{result['rate']:,.0f}" if result else "died"
            lines.append((name, what, rate, f"{total:.4%}", some or "none", verdict(total, most=MOST_CUT)))
    heads = ("payments", "computed", "2 threads, payments/s", "rows cut", "by pattern", f"<= {MOST_CUT:.1%}")
    note = "Rows of the whole stream in which the cap on work cut a search short, in any window."
    return table(heads, lines) + "\n\n" + note


def hubs(bench: Bench) -> str:
    scale, lines = bench.scale, []
    for what, patterns in (("the peer's patterns, 1 d", PAPER), ("every pattern, default windows", None)):
        job: dict[str, Any] = {
            "task": "hubs", "rows": scale.hub_payments, "accounts": scale.hub_accounts, "hubs": scale.hubs,
            "width": scale.hub_width, "threads": 2, "max_length": 10, "cap": HUB_CAP,
        }  # fmt: skip
        if patterns:
            job["patterns"] = patterns
        result = bench.contest.run(OURS, job)
        if result is None:
            lines.append((what, "died", "", "", "", "missed"))
            continue
        within = verdict(result["wall_s"], most=HUBS_SECONDS) + ", " + verdict(result["peak_bytes"], most=HUBS_BYTES)
        cells = (f"{result['wall_s']:,.0f} s", f"{result['peak_bytes'] / 1e9:.2f} GB", f"{result['cut']['any']:.2%}")
        lines.append((what, *cells, f"{result['bytes_per_held']:.0f}", within))
    heads = ("computed", "wall time", "peak memory", "rows cut", "bytes per held payment", "<= 600 s, <= 4 GB")
    note = (
        f"{scale.hub_payments:,} random payments of {scale.hub_accounts:,} accounts inside one hour, one in eight with "
        f"one of {scale.hubs} hubs, each with about {scale.hub_width * 2 // 5:,} counterparties that it pays and as "
        f"many that pay it. Two threads, cap {HUB_CAP}. The time includes making the payments, "
        "the memory is the whole process's."
    )
    return table(heads, lines) + "\n\n" + note


PARTS: dict[str, tuple[str, Callable[[Bench], str]]] = {
    "bulk": ("Graph features in bulk", bulk),
    "batches": ("Graph features in batches of 128", batches),
    "single": ("Graph features one payment at a time", single),
    "threads": ("Graph features on two threads", threads),
    "long": ("Graph features of a long stream", long),
    "cut": ("Graph features where the cap cut", cut),
    "hubs": ("Graph features around hubs", hubs),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="try everything on small streams; write nothing")
    parser.add_argument("--parts", default=",".join(PARTS), help="which parts, by commas")
    parser.add_argument("--budget", type=float, help="seconds that a run of the peer may take")
    parser.add_argument("--repeats", type=int, help="how often each is measured")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args(arguments)
    unknown = set(asked.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"no such parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    scale = Scale.small() if asked.quick else Scale()
    changed = {"budget_s": asked.budget, "repeats": asked.repeats}
    scale = Scale(**{**vars(scale), **{name: value for name, value in changed.items() if value is not None}})
    with Contest() as contest:
        bench = Bench(contest, scale)
        for part in asked.parts.split(","):
            heading, measure = PARTS[part]
            text = measure(bench)
            if scale.quick or asked.print_only:
                print(f"## {heading}\n\n{text}\n")
            else:
                write_section(heading, text)


if __name__ == "__main__":
    main()
