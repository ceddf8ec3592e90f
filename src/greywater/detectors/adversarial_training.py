"""Trains a refiner against a discriminator on good behaviour, watches that it does not collapse, and stops in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import numpy as np

from greywater.detectors.adversarial_networks import Networks
from greywater.detectors.refiner import Pair
from greywater.detectors.steps import StepTold
from greywater.errors import DetectorError, ExtraMissingError, TrainingCollapsedError

__all__ = ["Trained", "TrainingPlan", "load_torch", "side_by_side", "train_pair"]

Float32Array = np.ndarray[Any, np.dtype[np.float32]]
#: Reconstructions that vary less than this share of what the originals do have collapsed.
LEAST_DIVERSITY: Final = 0.05
#: Rows that the monitor and early stopping look at, at most.
WATCHED: Final = 20_000
#: Highest errors of a batch that are not learned from, from the second epoch on, is a share of `TrainingPlan.trim`.
FADE: Final = 0.01
#: Rows of an epoch up to which few are gone over as often as need be: less would teach nothing.
LEAST_ROWS: Final = 16_384
#: Held while a network draws its first weights from the one generator that the library has.
BEGINNING: Final = Lock()


@dataclass(frozen=True)
class TrainingPlan:
    """How a pair is trained.

    Parameters
    ----------
    epochs, patience : int
        Most epochs, and those without a better look after which it stops.
    epoch_rows, passes : int
        Rows of an epoch, however many there are: few are gone over several times, but beyond 16,384 rows at most
        `passes` times; of many some wait for the next.
    batch : int
        Rows of a step.
    rate, discriminator_rate : float
        Learning rates: two time scales, the discriminator's the quicker (Heusel et al. 2017).
    masked, noise : float
        Share of the values that are replaced by noise, and the deviation of the noise added to all.
    adversarial, matching : float
        Weight of misleading the discriminator, and of equal features, beside the error of reconstruction.
    push : float
        Weight of driving known launderers' error up (the last term of Ruff et al. 2020).
    trim : float
        Share of each batch, that of the largest errors, which is not learned from: what contaminates good behaviour.
    """

    epochs: int = 10
    epoch_rows: int = 65_536
    passes: int = 4
    patience: int = 3
    batch: int = 512
    rate: float = 1e-3
    discriminator_rate: float = 2e-3
    masked: float = 0.3
    noise: float = 0.3
    adversarial: float = 0.1
    matching: float = 0.1
    push: float = 0.3
    trim: float = 0.02


@dataclass(frozen=True)
class Trained:
    """A trained pair, and what was seen on the way: each epoch's loss, diversity and gap of the discriminator."""

    pair: Pair
    epochs: int
    best: int
    history: dict[str, list[float]] = field(default_factory=dict)


def train_pair(
    rows: Float32Array,
    bad: Float32Array,
    watched: Float32Array,
    plan: TrainingPlan,
    networks: Networks,
    *,
    seed: int,
    device: str = "auto",
    look: Callable[[Pair], float] | None = None,
    told: StepTold | None = None,
) -> Trained:
    """Train a pair.

    The refiner learns to give originals back from noised ones, and to give back nothing that the discriminator can tell
    from an original; the discriminator learns to tell (hinge loss, spectral norm: Miyato et al. 2018). Of the refiner
    the average over time is kept. The same arguments give the same bits on the same machine and device: on a CPU one
    thread works.

    Parameters
    ----------
    rows : float32[n, columns]
        Scaled rows of good, or mostly good, behaviour.
    bad : float32[m, columns]
        Known launderers, pushed away; may be empty.
    watched : float32[k, columns]
        Rows that are not learned from; early stopping looks at their error, leaving out the largest share `plan.trim`.
    plan : TrainingPlan
    networks : Networks
        How the two are built.
    seed : int
    device : {"auto", "cpu", "cuda"}
    look : callable, optional
        What early stopping makes least instead: given the pair, smaller = better.
    told : callable, optional
        Told each epoch's loss, diversity, gap and score (what is made least, turned round); ends it by False.

    Raises
    ------
    TrainingCollapsedError
        Reconstructions vary far less than originals do, or the losses are no numbers.
    ExtraMissingError
        There is no torch.
    """
    torch = load_torch()
    where = _device(torch, device)
    threads = torch.get_num_threads()
    try:
        if where == "cpu":
            torch.set_num_threads(1)
        with BEGINNING:
            training = _Training(torch, where, rows, bad, watched, plan, networks, seed)
        return training.run(look, told)
    finally:
        torch.set_num_threads(threads)


def side_by_side(jobs: Sequence[Callable[[], Trained | None]], at_once: int) -> list[Trained | None]:
    """What the jobs trained, in order, `at_once` of them trained beside each other; changes no bit."""
    if min(at_once, len(jobs)) < 2:
        return [job() for job in jobs]
    torch = load_torch()
    threads = torch.get_num_threads()
    try:
        # Each job takes one thread for itself, and gives back what it found.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(at_once) as pool:
            return [done.result() for done in [pool.submit(job) for job in jobs]]
    finally:
        torch.set_num_threads(threads)


class _Training:
    """One run over the rows."""

    def __init__(
        self, torch: Any, where: str, rows: Float32Array, bad: Float32Array, watched: Float32Array, plan: TrainingPlan,
        networks: Networks, seed: int,
    ) -> None:  # fmt: skip
        self._networks = networks
        self._torch, self._where, self._plan = torch, where, plan
        self._draw = torch.Generator(device=where).manual_seed(seed)
        self._order = np.random.default_rng(seed)
        self._rows = torch.from_numpy(rows).to(where)
        self._bad = torch.from_numpy(bad).to(where)
        self._watched = torch.from_numpy(watched[:WATCHED]).to(where)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._refiner = networks.refiner(torch).to(where)
            self._kept = networks.refiner(torch).to(where)
            self._judge = networks.discriminator(torch).to(where)
        self._kept.load_state_dict(self._refiner.state_dict())
        self._by_refiner = torch.optim.AdamW(
            self._refiner.parameters(), lr=plan.rate, betas=(0.5, 0.99), weight_decay=1e-5
        )
        self._by_judge = torch.optim.Adam(self._judge.parameters(), lr=plan.discriminator_rate, betas=(0.5, 0.99))
        self._steps = 0

    def run(self, look: Callable[[Pair], float] | None, told: StepTold | None) -> Trained:
        """Epoch by epoch until nothing gets better."""
        plan = self._plan
        best, least, pair = 0, math.inf, self._pair()
        history: dict[str, list[float]] = {"loss": [], "diversity": [], "gap": []}
        epoch, ended = 0, False
        for epoch in range(1, plan.epochs + 1):
            gap = self._epoch(epoch)
            loss, diversity = self._watch()
            now = self._pair()
            wanted = loss if look is None else look(now)
            for name, value in (("loss", loss), ("diversity", diversity), ("gap", gap)):
                history[name].append(round(value, 6))
            if not all(map(math.isfinite, (wanted, loss, gap))):
                raise _collapsed(f"a loss of {wanted} in epoch {epoch}")
            if wanted < least - 1e-4 * abs(least if math.isfinite(least) else 0.0):
                best, least, pair = epoch, wanted, now
            seen = {"score": -wanted, "loss": loss, "diversity": diversity, "gap": gap}
            ended = told is not None and not told(epoch, seen)
            if ended or epoch - best >= plan.patience:
                break
        if not ended and history["diversity"] and history["diversity"][best - 1] < LEAST_DIVERSITY:
            raise _collapsed(f"reconstructions vary {history['diversity'][best - 1]:.1%} as much as originals")
        return Trained(pair, epoch, best, history)

    def _epoch(self, epoch: int) -> float:
        """How far the discriminator tells originals from reconstructions, in the mean of its steps."""
        plan, torch = self._plan, self._torch
        most = max(plan.passes, -(-LEAST_ROWS // len(self._rows)))
        times = min(-(-plan.epoch_rows // len(self._rows)), most)
        order = np.concatenate([self._order.permutation(len(self._rows)) for _ in range(times)])[: plan.epoch_rows]
        rate = plan.rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / plan.epochs))
        for group in self._by_refiner.param_groups:
            group["lr"] = rate
        gap = 0.0
        starts = range(0, len(order), plan.batch)
        for start in starts:
            taken = torch.from_numpy(order[start : start + plan.batch]).to(self._where)
            gap += self._step(self._rows[taken], trim=plan.trim if epoch > 1 else 0.0)
        return gap / max(len(starts), 1)

    def _step(self, rows: Any, trim: float) -> float:
        plan, torch = self._plan, self._torch
        refined = self._refiner(self._noised(rows))
        gap = 0.0
        error = ((refined - rows) ** 2).mean(dim=1)
        if trim:
            error = torch.sort(error).values[: max(1, math.ceil(len(error) * (1 - trim)))]
        loss = error.mean()
        if plan.adversarial or plan.matching:
            told = self._judge[-1](features := self._judge[:-1](torch.cat([rows, refined.detach()])))[:, 0]
            real, made = told[: len(rows)], told[len(rows) :]
            misled = torch.relu(1 - real).mean() + torch.relu(1 + made).mean()
            self._by_judge.zero_grad()
            misled.backward()
            self._by_judge.step()
            gap = float((real.mean() - made.mean()).detach())
            now = self._judge[:-1](refined)
            loss = loss - plan.adversarial * self._judge[-1](now).mean()
            loss = loss + plan.matching * ((now - features[: len(rows)].detach()) ** 2).mean()
        if len(self._bad) and plan.push:
            chosen = torch.randint(len(self._bad), (min(len(self._bad), 64),), generator=self._draw, device=self._where)
            away = self._bad[chosen]
            apart = torch.log1p((self._refiner(away) - away) ** 2).mean(dim=1)
            loss = loss + plan.push * (1 / (apart + 0.05)).mean()
        self._by_refiner.zero_grad()
        loss.backward()
        self._by_refiner.step()
        self._average()
        return gap

    def _noised(self, rows: Any) -> Any:
        """Some values replaced by noise, and a little noise on all, as much as the row drew."""
        plan, torch = self._plan, self._torch
        drawn = torch.rand((len(rows), rows.shape[1] + 1), generator=self._draw, device=self._where)
        masked = (drawn[:, :-1] < plan.masked).float()
        noise = torch.randn(rows.shape, generator=self._draw, device=self._where)
        return rows * (1 - masked) + noise * (masked + plan.noise * drawn[:, -1:])

    def _average(self) -> None:
        """Let what is kept follow the refiner: slowly, but not at the beginning."""
        self._steps += 1
        share = max(FADE, 1 / (1 + self._steps))
        with self._torch.no_grad():
            for kept, now in zip(self._kept.parameters(), self._refiner.parameters(), strict=True):
                kept.lerp_(now, share)

    def _watch(self) -> tuple[float, float]:
        """Error of the rows that are not learned from, and how much reconstructions vary beside originals."""
        torch = self._torch
        with torch.no_grad():
            refined = self._kept(self._watched)
            error = torch.log1p((refined - self._watched) ** 2).mean(dim=1)
            kept = max(1, math.ceil(len(error) * (1 - self._plan.trim)))
            loss = float(torch.sort(error).values[:kept].mean())
            varied = float(refined.std(dim=0, correction=0).mean())
            diversity = varied / max(float(self._watched.std(dim=0, correction=0).mean()), 1e-12)
        return loss, diversity

    def _pair(self) -> Pair:
        return self._networks.pair(self._kept, self._judge)


def load_torch() -> Any:
    """PyTorch, imported when it is first needed."""
    try:
        import torch
    except ImportError as error:
        raise ExtraMissingError(
            "PyTorch is not installed", where="adversarial detector", mend="pip install 'greywater[deep]'"
        ) from error
    return torch


def _device(torch: Any, wanted: str) -> str:
    if wanted not in ("auto", "cpu", "cuda"):
        raise DetectorError(f"there is no device {wanted!r}", where="device", mend='give "auto", "cpu" or "cuda"')
    there = bool(torch.cuda.is_available())
    if wanted == "cuda" and not there:
        raise DetectorError("there is no CUDA device", where="device", mend='give "auto" or "cpu"')
    return "cuda" if there and wanted != "cpu" else "cpu"


def _collapsed(what: str) -> TrainingCollapsedError:
    return TrainingCollapsedError(
        f"the training collapsed: {what}", where="adversarial training", mend="lower the rates, or give more rows"
    )
